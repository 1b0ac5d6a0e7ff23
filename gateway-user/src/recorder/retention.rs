//! What goes when recordings are too old or too many. Each removal is in the host recording before the file goes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use portreeve_recording::{Host, Removed};

use super::HostRecording;
use super::directory::{self, SessionPath};

/// How long and how much is kept; all of it, where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Whole days behind the one of opening.
    pub(crate) keep_days: Option<u32>,
    /// Of all session files together.
    pub(crate) keep_bytes: Option<u64>,
}

/// A session's file that may go.
struct Candidate {
    session: SessionPath,
    bytes: u64,
}

impl Retention {
    /// Removes what is over: the oldest first, never a file that a daemon writes.
    ///
    /// # Errors
    /// A directory cannot be read, or a removal neither recorded nor done; what was removed until then stays recorded.
    pub(super) fn apply(&self, state_dir: &Path, host: &HostRecording, now_unix_ns: u64) -> io::Result<()> {
        let oldest = self.keep_days.map(|days| oldest_day(days, now_unix_ns)).transpose()?;
        let why_old = format!("older than {} days", self.keep_days.unwrap_or_default());
        let (mut kept, mut total) = (Vec::new(), 0_u64);
        for day in directory::days(state_dir)? {
            for session in directory::sessions(state_dir, &day)? {
                let Ok(bytes) = fs::metadata(&session.path).map(|found| found.len()) else { continue };
                let is_old = oldest.as_ref().is_some_and(|oldest| day < *oldest);
                if !(is_old && remove(host, &session, false, &why_old, now_unix_ns)?) {
                    total = total.saturating_add(bytes);
                    kept.push(Candidate { session, bytes });
                }
            }
        }
        if let Some(keep_bytes) = self.keep_bytes {
            make_room(host, kept, total, keep_bytes, now_unix_ns)?;
        }
        // Behind the sessions that they list.
        if let Some(oldest) = &oldest {
            remove_host_recordings(state_dir, host, oldest, &why_old, now_unix_ns)?;
        }
        Ok(())
    }
}

fn make_room(
    host: &HostRecording,
    kept: Vec<Candidate>,
    mut total: u64,
    keep_bytes: u64,
    now_unix_ns: u64,
) -> io::Result<()> {
    let why = format!("the oldest, when there were more than {keep_bytes} bytes");
    for Candidate { session, bytes } in kept {
        if total <= keep_bytes {
            break;
        }
        if bytes > 0 && remove(host, &session, false, &why, now_unix_ns)? {
            total = total.saturating_sub(bytes);
        }
    }
    Ok(())
}

fn remove_host_recordings(
    state_dir: &Path,
    host: &HostRecording,
    oldest: &str,
    why: &str,
    now_unix_ns: u64,
) -> io::Result<()> {
    for recording in directory::host_recordings(state_dir)? {
        if recording.day.as_str() < oldest {
            remove(host, &recording, true, why, now_unix_ns)?;
        }
    }
    Ok(())
}

/// Removes a file unless it is written, and its folder if that is empty then. Returns whether the file is gone.
fn remove(
    host: &HostRecording,
    recording: &SessionPath,
    is_host: bool,
    reason: &str,
    now_unix_ns: u64,
) -> io::Result<bool> {
    let Ok(file) = File::open(&recording.path) else { return Ok(false) };
    // Held until the file is gone: who has just made it, and not locked it yet, then sees that it is.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Ok(false);
    }
    let found = file.metadata()?;
    // The other daemon of an upgrade was faster.
    if found.nlink() == 0 {
        return Ok(true);
    }
    // An empty one was never entered in the ledger.
    if found.len() > 0 {
        let (id, reason) = (recording.id.to_string().into(), reason.to_owned().into());
        host.record(now_unix_ns, Host::Removed(Box::new(Removed { id, host: is_host, bytes: found.len(), reason })))?;
    }
    fs::remove_file(&recording.path)?;
    if let Some(folder) = recording.path.parent() {
        // Fails while something is in it.
        let _ = fs::remove_dir(folder);
    }
    Ok(true)
}

/// The oldest day that is kept, as its directory is called: names of days are in order of time.
fn oldest_day(keep_days: u32, now_unix_ns: u64) -> io::Result<String> {
    let now = Timestamp::from_nanosecond(i128::from(now_unix_ns)).map_err(io::Error::other)?;
    let today = now.to_zoned(TimeZone::UTC).date();
    // Longer ago than there are dates: nothing is that old.
    let before = Span::new().try_days(i64::from(keep_days)).and_then(|days| today.checked_sub(days));
    Ok(before.unwrap_or(Date::MIN).to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use portreeve_recording::{Closed, Entry, Record};
    use uuid::Uuid;

    use super::*;
    use crate::recorder::tests::{directory as folder, started};
    use crate::recorder::{Durability, KeyPair, Recorder};

    const SESSIONS_MADE: u32 = 5000;
    const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;
    /// 2026-11-21, some hours into it.
    const TODAY_NS: u64 = 1_795_231_554_000_000_000;

    struct Kept {
        state_dir: PathBuf,
        recorder: Recorder,
    }

    impl Kept {
        fn new(name: &str) -> Self {
            let state_dir = folder(name);
            let key = KeyPair::open(&state_dir).unwrap().signing;
            let host = HostRecording::begin(
                &state_dir,
                Arc::clone(&key),
                Retention::default(),
                Durability::Kernel,
                started(),
                TODAY_NS,
            )
            .unwrap();
            Self { recorder: Recorder::of(&state_dir, key, host), state_dir }
        }

        fn closed(&self, number: u128, days_ago: u64) -> u64 {
            let at_unix_ns = TODAY_NS - days_ago * DAY_NS;
            let mut file = self.recorder.create(Uuid::from_u128(number), at_unix_ns).unwrap();
            let closed = Closed { reason: "done".into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 };
            file.append(&Entry { at_unix_ns, record: Record::Closed(closed) }).unwrap();
            let path = file.file.path().to_owned();
            file.close().unwrap();
            fs::metadata(path).unwrap().len()
        }

        fn apply(&self, keep_days: Option<u32>, keep_bytes: Option<u64>) -> Vec<u128> {
            let retention = Retention { keep_days, keep_bytes };
            retention.apply(&self.state_dir, self.recorder.host(), TODAY_NS).unwrap();
            let days = directory::days(&self.state_dir).unwrap();
            let sessions = days.iter().flat_map(|day| directory::sessions(&self.state_dir, day).unwrap());
            sessions.map(|session| session.id.as_u128()).collect()
        }
    }

    #[test]
    fn what_is_older_than_its_days_goes_and_what_is_written_stays() {
        let kept = Kept::new("days");
        for days_ago in 0..4 {
            kept.closed(u128::from(days_ago) + 1, days_ago);
        }
        let live = kept.recorder.create(Uuid::from_u128(9), TODAY_NS - 3 * DAY_NS).unwrap();
        assert_eq!(kept.apply(None, None), [4, 9, 3, 2, 1]);
        assert_eq!(kept.apply(Some(u32::MAX), None), [4, 9, 3, 2, 1]);
        assert_eq!(kept.apply(Some(2), None), [9, 3, 2, 1]);
        drop(live);
        assert_eq!(kept.apply(Some(0), None), [1]);
        assert_eq!(
            directory::days(&kept.state_dir).unwrap(),
            ["2026-11-21"],
            "folders of days go with their last file"
        );
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    #[test]
    fn of_too_many_bytes_the_oldest_go() {
        let kept = Kept::new("bytes");
        let bytes: Vec<_> = (0..3).map(|days_ago| kept.closed(u128::from(days_ago) + 1, days_ago)).collect();
        let all = bytes.iter().sum();
        assert_eq!(kept.apply(None, Some(all)), [3, 2, 1]);
        assert_eq!(kept.apply(None, Some(all - 1)), [2, 1]);
        assert_eq!(kept.apply(None, Some(0)), [] as [u128; 0]);
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    /// Against somebody who does nothing but remove the very file that is made at the moment.
    #[test]
    fn what_was_just_made_never_goes() {
        let kept = Kept::new("race");
        let at_unix_ns = TODAY_NS - DAY_NS;
        let session = |number: u32| {
            let (day, id) = ("2026-11-20".to_owned(), Uuid::from_u128(number.into()));
            let path = directory::of_day(&kept.state_dir, &day).join(directory::file_name(id));
            SessionPath { day, id, path }
        };
        let (making, mut nameless) = (AtomicU32::new(0), Vec::new());
        thread::scope(|scope| {
            let removing = scope.spawn(|| {
                while making.load(Ordering::Relaxed) < SESSIONS_MADE {
                    let session = session(making.load(Ordering::Relaxed));
                    remove(kept.recorder.host(), &session, false, "to see", TODAY_NS).unwrap();
                }
            });
            for number in 0..SESSIONS_MADE {
                let file = kept.recorder.create(session(number).id, at_unix_ns).unwrap();
                nameless.extend((!file.file.path().exists()).then_some(number));
                making.store(number + 1, Ordering::Relaxed);
            }
            removing.join().unwrap();
        });
        assert_eq!(nameless, [0_u32; 0], "sessions that are written to files without a name");
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    #[test]
    fn old_host_recordings_go_with_their_sessions() {
        let kept = Kept::new("old-hosts");
        let key = KeyPair::open(&kept.state_dir).unwrap().signing;
        let old = HostRecording::begin(
            &kept.state_dir,
            key,
            Retention::default(),
            Durability::Kernel,
            started(),
            TODAY_NS - 5 * DAY_NS,
        )
        .unwrap();
        let count = || directory::host_recordings(&kept.state_dir).unwrap().len();
        kept.apply(Some(3), None);
        assert_eq!(count(), 2, "one that is written stays");
        drop(old);
        kept.apply(Some(5), None);
        assert_eq!(count(), 2);
        kept.apply(Some(4), None);
        assert_eq!(count(), 1);
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }
}

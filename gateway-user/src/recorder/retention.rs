//! What goes when recordings are too old or too many. Each removal is in the host recording before the file goes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use nix::libc;
use portreeve_recording::{Host, ReadError, Removed, Stream, StreamError};

use super::directory::{self, SessionPath};
use super::{HostRecording, utc_day};
use crate::limits::KEEP_BYTES_SPARES_NS;

/// How long and how much is kept; all of it, where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Whole days behind the one of the last record.
    pub(crate) keep_days: Option<u32>,
    /// Of all recordings together.
    pub(crate) keep_bytes: Option<u64>,
}

/// When something is removed, in nanoseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// What the ledger says.
    pub(super) now_unix_ns: u64,
    /// What ages are told by.
    pub(super) steady_unix_ns: u64,
}

/// A recording that may go.
struct Candidate {
    recording: SessionPath,
    is_host: bool,
    bytes: u64,
    /// When something was written last.
    changed_unix_ns: u64,
}

impl Retention {
    /// Removes what is over: the oldest first, never a file that a daemon writes. Returns how many bytes are too many still.
    ///
    /// # Errors
    /// A directory cannot be read, or a removal neither recorded nor done; what was removed until then stays recorded.
    pub(super) fn apply(&self, state_dir: &Path, host: &HostRecording, times: Times) -> io::Result<u64> {
        let mut kept = candidates(state_dir)?;
        if let Some(days) = self.keep_days {
            let oldest = oldest_day(days, times.steady_unix_ns)?;
            let why = format!("older than {days} days");
            let is_old = |candidate: &Candidate| {
                // A session may have been opened long ago, and have ended today.
                let changed = utc_day(candidate.changed_unix_ns).is_ok_and(|day| day < oldest);
                changed && candidate.recording.day < oldest
            };
            kept = remove_where(kept, is_old, |candidate| remove(host, candidate, &why, times.now_unix_ns))?;
        }
        let mut over =
            kept.iter().map(|one| one.bytes).sum::<u64>().saturating_sub(self.keep_bytes.unwrap_or(u64::MAX));
        let why = format!("the oldest, when there were more than {} bytes", self.keep_bytes.unwrap_or_default());
        for candidate in &kept {
            // Whoever makes much to be recorded would else choose what nobody sees any more.
            let age = times.steady_unix_ns.saturating_sub(candidate.changed_unix_ns);
            let may_go = over > 0 && candidate.bytes > 0 && age >= KEEP_BYTES_SPARES_NS;
            if may_go && remove(host, candidate, &why, times.now_unix_ns)? {
                over = over.saturating_sub(candidate.bytes);
            }
        }
        Ok(over)
    }
}

/// Every recording, the oldest day first, and each day's host recordings behind the sessions that they list.
fn candidates(state_dir: &Path) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let mut take = |recordings: Vec<SessionPath>, is_host| {
        for recording in recordings {
            // It may just have gone.
            let Ok(metadata) = fs::symlink_metadata(&recording.path) else { continue };
            let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            // What has no time is not old.
            let changed_unix_ns = changed.and_then(|at| u64::try_from(at.as_nanos()).ok()).unwrap_or(u64::MAX);
            found.push(Candidate { recording, is_host, bytes: metadata.len(), changed_unix_ns });
        }
    };
    for day in directory::days(state_dir)? {
        take(directory::sessions(state_dir, &day)?, false);
    }
    take(directory::host_recordings(state_dir)?, true);
    found.sort_by(|one, other| {
        let key = |candidate: &Candidate| (candidate.is_host, candidate.recording.id);
        one.recording.day.cmp(&other.recording.day).then_with(|| key(one).cmp(&key(other)))
    });
    Ok(found)
}

/// Those that stay.
fn remove_where(
    candidates: Vec<Candidate>,
    is_asked: impl Fn(&Candidate) -> bool,
    remove: impl Fn(&Candidate) -> io::Result<bool>,
) -> io::Result<Vec<Candidate>> {
    let mut kept = Vec::new();
    for candidate in candidates {
        if !(is_asked(&candidate) && remove(&candidate)?) {
            kept.push(candidate);
        }
    }
    Ok(kept)
}

/// Removes a file unless it is written or not ours, and its folder if that is empty then. Returns whether the file is gone.
fn remove(host: &HostRecording, candidate: &Candidate, reason: &str, now_unix_ns: u64) -> io::Result<bool> {
    let Candidate { recording, is_host, .. } = candidate;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(&recording.path);
    let Ok(mut file) = opened else { return Ok(false) };
    // Held until the file is gone: who has just made it, and not locked it yet, then sees that it is.
    if file.try_lock().is_err() {
        return Ok(false);
    }
    let found = file.metadata()?;
    // The other daemon of an upgrade was faster.
    if found.nlink() == 0 {
        return Ok(true);
    }
    if !is_ours(&mut file, recording) {
        return Ok(false);
    }
    // An empty one was never entered in the ledger.
    if found.len() > 0 {
        let (id, reason) = (recording.id.to_string().into(), reason.to_owned().into());
        let removed = Removed { id, host: *is_host, bytes: found.len(), reason };
        host.record(now_unix_ns, Host::Removed(Box::new(removed)))?;
    }
    fs::remove_file(&recording.path)?;
    if let Some(folder) = recording.path.parent() {
        // Fails while something is in it.
        let _ = fs::remove_dir(folder);
    }
    Ok(true)
}

/// Whether the file is the recording that its name says, or one that never came to be.
fn is_ours(file: &mut File, recording: &SessionPath) -> bool {
    match Stream::open(file) {
        Ok(stream) => stream.header().session_id == recording.id.into_bytes(),
        Err(error) => matches!(error, StreamError::Read(ReadError::Blank)),
    }
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use portreeve_recording::{Closed, Entry, Record};
    use uuid::Uuid;

    use super::*;
    use crate::recorder::Recorder;
    use crate::recorder::tests::{directory as folder, host_begun_at};

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
            Self { recorder: Recorder::begun_at(&state_dir, TODAY_NS), state_dir }
        }

        fn closed(&self, number: u128, days_ago: u64) -> u64 {
            let at_unix_ns = TODAY_NS - days_ago * DAY_NS;
            let mut file = self.recorder.create(Uuid::from_u128(number), at_unix_ns).unwrap();
            let closed = Closed { reason: "done".into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 };
            file.append(&Entry { at_unix_ns, record: Record::Closed(closed) }).unwrap();
            let path = file.file.path().to_owned();
            file.close().unwrap();
            changed(&path, at_unix_ns);
            fs::metadata(path).unwrap().len()
        }

        fn apply(&self, keep_days: Option<u32>, keep_bytes: Option<u64>) -> Vec<u128> {
            self.apply_at(TODAY_NS, keep_days, keep_bytes).0
        }

        /// The sessions that are kept, and how many bytes are too many still.
        fn apply_at(&self, unix_ns: u64, keep_days: Option<u32>, keep_bytes: Option<u64>) -> (Vec<u128>, u64) {
            let retention = Retention { keep_days, keep_bytes };
            let times = Times { now_unix_ns: unix_ns, steady_unix_ns: unix_ns };
            let over = retention.apply(&self.state_dir, self.recorder.host(), times).unwrap();
            let days = directory::days(&self.state_dir).unwrap();
            let sessions = days.iter().flat_map(|day| directory::sessions(&self.state_dir, day).unwrap());
            (sessions.map(|session| session.id.as_u128()).collect(), over)
        }

        fn host_bytes(&self) -> u64 {
            let hosts = directory::host_recordings(&self.state_dir).unwrap();
            hosts.iter().map(|host| fs::metadata(&host.path).unwrap().len()).sum()
        }
    }

    /// As if something was written then last.
    fn changed(path: &Path, unix_ns: u64) {
        let at = UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
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
        let path = live.file.path().to_owned();
        drop(live);
        changed(&path, TODAY_NS - 3 * DAY_NS);
        assert_eq!(kept.apply(Some(0), None), [1]);
        assert_eq!(
            directory::days(&kept.state_dir).unwrap(),
            ["2026-11-21"],
            "folders of days go with their last file"
        );
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    #[test]
    fn a_session_is_as_old_as_its_last_record() {
        let kept = Kept::new("last-record");
        kept.closed(1, 9);
        kept.closed(2, 9);
        let day = &directory::days(&kept.state_dir).unwrap()[0];
        let path = directory::sessions(&kept.state_dir, day).unwrap().remove(1).path;
        changed(&path, TODAY_NS - DAY_NS);
        assert_eq!(kept.apply(Some(5), None), [2]);
        assert_eq!(kept.apply(Some(0), None), [] as [u128; 0]);
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    #[test]
    fn of_too_many_bytes_the_oldest_go_and_those_of_a_day_stay() {
        let kept = Kept::new("bytes");
        let bytes: Vec<_> = (0..4).map(|days_ago| kept.closed(u128::from(days_ago) + 1, days_ago)).collect();
        // The ledger counts as well, and is written.
        let all = bytes.iter().sum::<u64>() + kept.host_bytes();
        assert_eq!(kept.apply(None, Some(all)), [4, 3, 2, 1]);
        assert_eq!(kept.apply(None, Some(all - 1)), [3, 2, 1]);
        let (sessions, over) = kept.apply_at(TODAY_NS, None, Some(0));
        assert_eq!(sessions, [1], "whoever fills the disk does not remove what was recorded a moment ago");
        assert_eq!(over, bytes[0] + kept.host_bytes());
        assert_eq!(kept.apply_at(TODAY_NS + DAY_NS, None, Some(0)).0, [] as [u128; 0]);
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }

    #[test]
    fn what_is_not_ours_stays() {
        let kept = Kept::new("foreign");
        kept.closed(1, 9);
        let sessions = kept.state_dir.join("sessions");
        let day = directory::days(&kept.state_dir).unwrap().remove(0);
        let name = |number: u128| directory::file_name(Uuid::from_u128(number));
        let old = |path: &Path| changed(path, TODAY_NS - 9 * DAY_NS);
        let ours = sessions.join(&day).join(name(1));
        // A folder of somebody's own, a file under another's name, a link, a pipe, something else.
        let court = sessions.join("0-for-the-court");
        fs::create_dir(&court).unwrap();
        let copies = [court.join(name(1)), sessions.join(&day).join(name(2))];
        for copy in &copies {
            fs::copy(&ours, copy).unwrap();
            old(copy);
        }
        std::os::unix::fs::symlink(&court, sessions.join("2001-01-01")).unwrap();
        std::os::unix::fs::symlink(&copies[0], sessions.join(&day).join(name(3))).unwrap();
        nix::unistd::mkfifo(&sessions.join(&day).join(name(4)), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(sessions.join("README"), "not a folder").unwrap();
        kept.apply(Some(0), Some(0));
        assert!(!ours.exists() && copies.iter().all(|copy| copy.exists()));
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
                    let recording = session(making.load(Ordering::Relaxed));
                    let candidate = Candidate { recording, is_host: false, bytes: 0, changed_unix_ns: 0 };
                    remove(kept.recorder.host(), &candidate, "to see", TODAY_NS).unwrap();
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
        let old = host_begun_at(&kept.state_dir, TODAY_NS - 5 * DAY_NS);
        let count = || directory::host_recordings(&kept.state_dir).unwrap().len();
        let path = directory::host_recordings(&kept.state_dir).unwrap().remove(0).path;
        changed(&path, TODAY_NS - 5 * DAY_NS);
        kept.apply(Some(3), None);
        assert_eq!(count(), 2, "one that is written stays");
        drop(old);
        changed(&path, TODAY_NS - 5 * DAY_NS);
        kept.apply(Some(5), None);
        assert_eq!(count(), 2);
        kept.apply(Some(4), None);
        assert_eq!(count(), 1);
        fs::remove_dir_all(&kept.state_dir).unwrap();
    }
}

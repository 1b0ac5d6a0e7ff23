//! Recordings: the files of sessions, and the host's own, which is also the ledger of them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portreeve_recording::{Entry, Header, Host, Kind, SessionBegan, SessionEnded, SigningKey};
use uuid::Uuid;

pub(crate) mod directory;
mod durable;
mod file;
mod host;
mod key;
mod mapping;
mod past;
mod retention;
mod steady;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use durable::Durability;
pub(crate) use file::CHUNK_LEN_MIN;
use file::RecordFile;
pub(crate) use host::HostRecording;
pub(crate) use key::{KeyPair, public_path, read_public};
pub(crate) use past::{followed_by, host_of};
pub(crate) use retention::Retention;

/// Makes session files below a state directory.
#[derive(Debug)]
pub(crate) struct Recorder {
    state_dir: PathBuf,
    key: Arc<SigningKey>,
    host: Arc<HostRecording>,
}

impl Recorder {
    /// For files in `<state_dir>/sessions/<date>/`, signed with `key` and listed in `host`.
    pub(crate) fn of(state_dir: impl Into<PathBuf>, key: Arc<SigningKey>, host: Arc<HostRecording>) -> Self {
        Self { state_dir: state_dir.into(), key, host }
    }

    /// The host's own recording.
    pub(crate) fn host(&self) -> &HostRecording {
        &self.host
    }

    /// Makes the file of a new session, with its header, in the directory of its UTC day.
    ///
    /// # Errors
    /// With the path and what to do, when the directory or file cannot be made or the disk is full.
    pub(crate) fn create(&self, session_id: Uuid, now_unix_ns: u64) -> io::Result<SessionFile> {
        let folder = directory::of_day(&self.state_dir, &utc_day(now_unix_ns)?);
        let path = folder.join(directory::file_name(session_id));
        let header = Header::new(Kind::Session, session_id.into_bytes(), now_unix_ns);
        let file = RecordFile::create(path, &header, Arc::clone(&self.key))?;
        // Behind the file, which is empty: a session that the ledger lists and nobody has a file of was removed.
        let began = SessionBegan { session_id: session_id.to_string().into() };
        if let Err(error) = self.host.record(now_unix_ns, Host::SessionBegan(Box::new(began))) {
            let _ = fs::remove_file(file.path());
            return Err(error);
        }
        Ok(SessionFile { id: session_id, file, host: Arc::clone(&self.host), is_listed: false })
    }
}

/// The file of one session.
#[derive(Debug)]
pub(crate) struct SessionFile {
    id: Uuid,
    file: RecordFile,
    host: Arc<HostRecording>,
    /// The ledger's entry of its beginning is on the disk.
    is_listed: bool,
}

impl SessionFile {
    /// Appends one record; behind [`portreeve_recording::Closed`] the seal as well. When this returns, they survive `kill -9` of
    /// the daemon.
    ///
    /// # Errors
    /// With the path and what to do; the file is then as before.
    pub(crate) fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.file.append(entry)
    }

    /// Ready when everything that was appended is on the disk, and that the session began is in the ledger there.
    ///
    /// # Errors
    /// With the path, the disk's.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        if !self.is_listed {
            self.host.sync().await?;
            self.is_listed = true;
        }
        self.file.sync().await
    }

    /// Cuts the file to its real length, unlocks it, and enters its end in the ledger. Append
    /// [`portreeve_recording::Closed`] first.
    ///
    /// # Errors
    /// With the path. The file is whole all the same: readers find zeros after its seal, or no entry in the ledger.
    pub(crate) fn close(self) -> io::Result<()> {
        let (frames, chain) = self.file.state();
        let at_unix_ns = self.file.last_unix_ns();
        let cut = self.file.close();
        let ended = SessionEnded { session_id: self.id.to_string().into(), frames, chain };
        self.host.record(at_unix_ns, Host::SessionEnded(Box::new(ended)))?;
        cut
    }
}

/// Nanoseconds since 1970 UTC; a clock before that reads 0.
pub(crate) fn now_unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Makes a directory of recordings and those above it, for the owner alone.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| explain(e, "make", path))
}

/// The UTC day of a time, as the directory of its sessions is called.
fn utc_day(unix_ns: u64) -> io::Result<String> {
    let time = Timestamp::from_nanosecond(i128::from(unix_ns)).map_err(io::Error::other)?;
    Ok(time.to_zoned(TimeZone::UTC).date().to_string())
}

/// The error with the path, and with what the operator can do.
fn explain(error: io::Error, doing: &str, path: &Path) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space below `state_dir`",
        io::ErrorKind::PermissionDenied => "the daemon must own `state_dir`",
        io::ErrorKind::ReadOnlyFilesystem => "`state_dir` must be on a disk that can be written",
        io::ErrorKind::FileTooLarge => "raise the daemon's limit of file sizes (`LimitFSIZE=`, `ulimit -f`)",
        io::ErrorKind::AlreadyExists => "an id was used twice; please report this",
        _ => "look for disk errors in the kernel's log",
    };
    io::Error::new(error.kind(), format!("cannot {doing} `{}`: {error}; {advice}", path.display()))
}

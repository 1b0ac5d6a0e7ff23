//! Where session files lie, and which there are.

use std::fs::{self, File, FileType, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::Date;
use uuid::Uuid;

/// What session files end in.
pub(crate) const EXTENSION: &str = "prs";

/// The folder of host recordings in the state directory.
pub(crate) const HOST: &str = "host";

/// One session file, not opened yet. Ordered by day, then by id: ids are UUIDv7, so that is by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionPath {
    /// UTC day, as the directory is called.
    pub(crate) day: String,
    /// From the file's name.
    pub(crate) id: Uuid,
    pub(crate) path: PathBuf,
}

/// What a recording's file is called.
pub(crate) fn file_name(id: Uuid) -> String {
    format!("{id}.{EXTENSION}")
}

/// The directory of a day's host recordings.
pub(super) fn of_host_day(state_dir: &Path, day: &str) -> PathBuf {
    state_dir.join(HOST).join(day)
}

/// Every host recording, oldest first.
///
/// # Errors
/// When a directory is there and cannot be read.
pub(crate) fn host_recordings(state_dir: &Path) -> io::Result<Vec<SessionPath>> {
    let mut found = Vec::new();
    for day in folders_of_days(&state_dir.join(HOST))? {
        found.extend(recordings(&of_host_day(state_dir, &day), &day)?);
    }
    Ok(found)
}

/// The directory of a day's sessions.
pub(crate) fn of_day(state_dir: &Path, day: &str) -> PathBuf {
    state_dir.join("sessions").join(day)
}

/// The days that have a directory, oldest first.
///
/// # Errors
/// When the directory is there and cannot be read.
pub(crate) fn days(state_dir: &Path) -> io::Result<Vec<String>> {
    folders_of_days(&state_dir.join("sessions"))
}

/// The session files of a day, oldest first. Files with other names are not ours and are left out.
///
/// # Errors
/// When the directory is there and cannot be read.
pub(crate) fn sessions(state_dir: &Path, day: &str) -> io::Result<Vec<SessionPath>> {
    recordings(&of_day(state_dir, day), day)
}

/// Whatever else somebody put there is not ours.
fn folders_of_days(directory: &Path) -> io::Result<Vec<String>> {
    let is_day = |name: &str| name.parse::<Date>().is_ok_and(|date| date.to_string() == name);
    Ok(names(directory, FileType::is_dir)?.into_iter().filter(|name| is_day(name)).collect())
}

fn recordings(directory: &Path, day: &str) -> io::Result<Vec<SessionPath>> {
    let found = names(directory, FileType::is_file)?.into_iter().filter_map(|name| {
        let id = Uuid::try_parse(name.strip_suffix(EXTENSION)?.strip_suffix('.')?).ok()?;
        Some(SessionPath { day: day.to_owned(), id, path: directory.join(name) })
    });
    let mut sessions: Vec<_> = found.collect();
    sessions.sort();
    Ok(sessions)
}

/// Whether a daemon still writes the file: it holds the file's lock as long as it lives.
pub(crate) fn is_written(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            // The lock is also gone when the file is closed, but a follower keeps it open.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// When a session's file was closed, by the time of its last change: closing cuts it to its length, and before it is as long as the
/// pages that were allocated. None for one that may still be written, or whose daemon was killed.
pub(crate) fn closed_at(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    metadata.modified().ok().filter(|_| !metadata.len().is_multiple_of(super::file::PAGE_LEN))
}

/// Whether it begins as a session file does.
pub(crate) fn is_session_file(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| portreeve_recording::Stream::open(file).is_ok())
}

/// Names in a directory, in order. Links are neither files nor directories: where they lead to is not ours.
fn names(directory: &Path, is_wanted: fn(&FileType) -> bool) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let text = format!("cannot read `{}`: {error}; run this as the daemon's user", directory.display());
            return Err(io::Error::new(error.kind(), text));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        // It may just have gone.
        if entry.file_type().is_ok_and(|kind| is_wanted(&kind)) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

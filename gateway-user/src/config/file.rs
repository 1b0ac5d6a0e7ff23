//! The one reader of files that the configuration names: bounded, and wiped when dropped, since some hold secrets.

use std::{fs::File, io, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};
use zeroize::Zeroizing;

/// Why a file cannot be used; who asked for it knows what it was to be.
#[derive(Debug)]
pub(super) enum FileError {
    Unreadable(io::Error),
    NotAFile,
    TooLong,
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The file's bytes, at most `bytes_max`, and its mode.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<(Zeroizing<Vec<u8>>, u32), FileError> {
    // Asked before opening: opening a FIFO would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    // The whole capacity at once: growing would leave copies of a secret in freed memory.
    let capacity = bytes_max.saturating_add(1);
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(capacity).unwrap_or(usize::MAX)]);
    let mut filled = 0;
    let mut reader = file.take(capacity);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    if u64::try_from(filled).is_ok_and(|filled| filled > bytes_max) {
        return Err(FileError::TooLong);
    }
    bytes.truncate(filled);
    Ok((bytes, mode))
}

/// What an operator reads when others than owner and group may read or change a file with a secret in it.
pub(super) fn open_to_all(path: &Path, mode: u32) -> Option<String> {
    (mode & 0o007 != 0).then(|| {
        format!(
            "every user of this host can get at `{}` (mode {:04o}): run `chmod 0600 {0}`",
            path.display(),
            mode & 0o7777,
        )
    })
}

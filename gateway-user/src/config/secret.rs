//! Password files. What is read here is wiped when dropped; the configuration keeps the file's path, never its content.

use crate::limits::SECRET_BYTES_MAX;
use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};
use zeroize::Zeroizing;

/// Why a password file cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("cannot read the password file `{path}`: {source}; make it a file that the daemon may read")]
    Unreadable { path: String, source: std::io::Error },
    #[error("`{path}` is not a file; write the path of a file that holds the password alone")]
    NotAFile { path: String },
    #[error("`{path}` is longer than {SECRET_BYTES_MAX} bytes; write the path of a file that holds the password alone")]
    TooLong { path: String },
    #[error("`{path}` holds a NUL byte, which no MySQL password can; write the password as text")]
    Nul { path: String },
}

/// The file's content without one closing newline. Its `Debug` would print it: keep it out of types that derive `Debug`.
///
/// # Errors
/// When the file cannot be read, is no file, is longer than 4 KiB, or holds a NUL (it would end the password early).
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_with_mode(path).map(|(secret, _)| secret)
}

/// As [`read`], with a warning when others than owner and group may read or change the file.
pub(super) fn inspect(path: &Path) -> Result<Option<String>, SecretError> {
    let (secret, mode) = read_with_mode(path)?;
    if mode & 0o007 != 0 {
        return Ok(Some(format!(
            "every user of this host can get at `{}` (mode {:04o}): run `chmod 0600 {0}`",
            path.display(),
            mode & 0o7777,
        )));
    }
    Ok(secret.is_empty().then(|| format!("`{}` is empty: the account has no password", path.display())))
}

fn read_with_mode(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), SecretError> {
    let named = || path.display().to_string();
    let unreadable = |source| SecretError::Unreadable { path: named(), source };
    // Asked before opening: opening a FIFO would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretError::NotAFile { path: named() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    // The whole capacity at once: growing would leave copies of the password in freed memory.
    let capacity = usize::try_from(SECRET_BYTES_MAX + 1).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(vec![0; capacity]);
    let mut filled = 0;
    let mut reader = file.take(SECRET_BYTES_MAX + 1);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).map_err(unreadable)? {
            0 => break,
            count => filled += count,
        }
    }
    if filled == capacity {
        return Err(SecretError::TooLong { path: named() });
    }
    bytes.truncate(filled);
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.contains(&0) {
        return Err(SecretError::Nul { path: named() });
    }
    Ok((bytes, mode))
}

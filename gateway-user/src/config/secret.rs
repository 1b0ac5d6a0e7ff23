//! Password files. What is read here is wiped when dropped; the configuration keeps the file's path, never its content.

use super::file::{self, FileError};
use crate::limits::SECRET_BYTES_MAX;
use std::path::Path;
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
    let empty = || secret.is_empty().then(|| format!("`{}` is empty: the account has no password", path.display()));
    Ok(file::open_to_all(path, mode).or_else(empty))
}

fn read_with_mode(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), SecretError> {
    let named = || path.display().to_string();
    let (mut bytes, mode) = file::read(path, SECRET_BYTES_MAX).map_err(|error| match error {
        FileError::Unreadable(source) => SecretError::Unreadable { path: named(), source },
        FileError::NotAFile => SecretError::NotAFile { path: named() },
        FileError::TooLong => SecretError::TooLong { path: named() },
    })?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.contains(&0) {
        return Err(SecretError::Nul { path: named() });
    }
    Ok((bytes, mode))
}

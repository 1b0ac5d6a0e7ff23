//! PEM files: the CAs that a server's certificate is verified with, and the gateway's own certificate and key at a server.

use super::file::{self, FileError};
use crate::limits::PEM_BYTES_MAX;
use rustls::{
    InconsistentKeys,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};
use std::path::Path;
use zeroize::{Zeroize as _, Zeroizing};

/// Why a PEM file cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    #[error("cannot read `{path}`: {source}; make it a file that the daemon may read")]
    Unreadable { path: String, source: std::io::Error },
    #[error("`{path}` is not a file; write the path of a PEM file")]
    NotAFile { path: String },
    #[error("`{path}` is longer than {PEM_BYTES_MAX} bytes; write the path of a PEM file")]
    TooLong { path: String },
    #[error("`{path}` is not PEM: {why}; write the path of a PEM file")]
    NotPem { path: String, why: String },
    #[error("`{path}` holds no `-----BEGIN CERTIFICATE-----`; write the path of a PEM file with a certificate")]
    NoCertificate { path: String },
    #[error(
        "`{path}` holds no private key in clear text; write the path of a PEM file with a `PRIVATE KEY`, without passphrase"
    )]
    NoKey { path: String },
    #[error(
        "the key in `{path}` is none of RSA with at least 2048 bits, ECDSA P-256 or P-384, Ed25519; use such a key"
    )]
    KeyKind { path: String },
    #[error("the key in `{path}` is not that of the certificate in `{certificate}`; write the files of one pair")]
    OtherKey { path: String, certificate: String },
}

/// Every certificate of the file, in order; at least one.
///
/// # Errors
/// The file cannot be read, is not PEM, or holds none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let (bytes, _) = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| broken(path, &error))?;
    if found.is_empty() {
        return Err(PemError::NoCertificate { path: path.display().to_string() });
    }
    Ok(found)
}

/// The first private key of the file (PKCS#8, PKCS#1 or SEC1), to be wiped by the caller.
///
/// # Errors
/// As [`certificates`]. A key with a passphrase counts as none.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    private_key_with_mode(path).map(|(key, _)| key)
}

/// As [`private_key`], with a warning when others than owner and group may read or change the file.
pub(super) fn inspect_key(path: &Path) -> Result<(PrivateKeyDer<'static>, Option<String>), PemError> {
    let (key, mode) = private_key_with_mode(path)?;
    Ok((key, file::open_to_all(path, mode)))
}

fn private_key_with_mode(path: &Path) -> Result<(PrivateKeyDer<'static>, u32), PemError> {
    let (bytes, mode) = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => PemError::NoKey { path: path.display().to_string() },
        other => broken(path, &other),
    })?;
    Ok((key, mode))
}

fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), PemError> {
    let named = || path.display().to_string();
    file::read(path, PEM_BYTES_MAX).map_err(|error| match error {
        FileError::Unreadable(source) => PemError::Unreadable { path: named(), source },
        FileError::NotAFile => PemError::NotAFile { path: named() },
        FileError::TooLong => PemError::TooLong { path: named() },
    })
}

/// The parser quotes lines as lists of bytes, and one of a key's file might be of the key: neither is shown.
fn broken(path: &Path, error: &pem::Error) -> PemError {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    };
    PemError::NotPem { path: path.display().to_string(), why: why.to_owned() }
}

/// A certificate with its chain and the key that it belongs to, ready for a handshake. The key's bytes are wiped.
///
/// # Errors
/// As [`certificates`] and [`private_key`]; the key is of a kind that is not supported, or of another certificate.
pub(crate) fn certified_key(certificate_file: &Path, key_file: &Path) -> Result<CertifiedKey, PemError> {
    let chain = certificates(certificate_file)?;
    certify(chain, certificate_file, private_key(key_file)?, key_file)
}

pub(super) fn certify(
    chain: Vec<CertificateDer<'static>>,
    certificate_file: &Path,
    mut key: PrivateKeyDer<'static>,
    key_file: &Path,
) -> Result<CertifiedKey, PemError> {
    let signing_key = ring::sign::any_supported_type(&key);
    key.zeroize();
    let path = key_file.display().to_string();
    let Ok(signing_key) = signing_key else { return Err(PemError::KeyKind { path }) };
    let certified = CertifiedKey::new(chain, signing_key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(PemError::OtherKey { path, certificate: certificate_file.display().to_string() })
        }
        // Whatever else is wrong with the certificate is the server's to say.
        Ok(()) | Err(_) => Ok(certified),
    }
}

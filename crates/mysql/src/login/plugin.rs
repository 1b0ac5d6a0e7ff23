//! What each plugin answers a server's nonce with.

use ed25519_dalek::{SECRET_KEY_LENGTH, Signer, SigningKey};
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::client_ed25519::ClientEd25519;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::auth::plugins::{ChallengeResponsePlugin, Context};
use zeroize::Zeroizing;

use super::ClientPlugin;
use crate::limits::{LONG_NONCE_LEN, NONCE_LEN};
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

const PARSEC: &str = "parsec";
/// `P` for PBKDF2 with HMAC-SHA512, in front of MariaDB's stored `parsec` hash.
const PARSEC_KDF: u8 = b'P';
const PARSEC_SALT_LEN: usize = 18;
/// The greatest binary logarithm of iterations over 1024 that clients of MariaDB take.
const PARSEC_FACTOR_MAX: u8 = 3;

/// An authentication plugin that the gateway speaks towards servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plugin {
    Native,
    CachingSha2,
    Sha256,
    Ed25519,
    Parsec,
    Clear,
}

impl Plugin {
    const ALL: [Self; 6] = [Self::Native, Self::CachingSha2, Self::Sha256, Self::Ed25519, Self::Parsec, Self::Clear];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Native => ClientPlugin::Native.name(),
            Self::CachingSha2 => ClientPlugin::CachingSha2.name(),
            Self::Sha256 => "sha256_password",
            Self::Ed25519 => "client_ed25519",
            Self::Parsec => PARSEC,
            Self::Clear => "mysql_clear_password",
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }

    /// The nonce of a switch to this plugin: exactly `N` bytes, and perhaps the NUL that ends it as a C string.
    pub(super) fn nonce<const N: usize>(self, data: &[u8]) -> Result<[u8; N], ProtocolError> {
        let mut reader = Reader::new(self.name(), data);
        let nonce = reader.array("nonce")?;
        if !reader.is_empty() && reader.u8("nonce")? != 0 {
            return Err(reader.fail("nonce", Fault::Invalid));
        }
        reader.end("nonce")?;
        Ok(nonce)
    }
}

impl From<ClientPlugin> for Plugin {
    fn from(plugin: ClientPlugin) -> Self {
        match plugin {
            ClientPlugin::Native => Self::Native,
            ClientPlugin::CachingSha2 => Self::CachingSha2,
        }
    }
}

/// The response of a plugin that hashes; empty for an empty password.
pub(super) fn scramble(plugin: ClientPlugin, password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
    match plugin {
        ClientPlugin::Native => scramble_native(nonce, password).map(Vec::from),
        ClientPlugin::CachingSha2 => scramble_sha256(nonce, password).map(Vec::from),
    }
    .unwrap_or_default()
}

/// The password as a C string: what goes over TLS, and what is encrypted without.
pub(super) fn c_string(password: &[u8]) -> Zeroizing<Vec<u8>> {
    // Filled in one go: a vector that grew would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(password.len().saturating_add(1)));
    text.extend(password.iter().chain(&[0]));
    text
}

/// The password as a C string, XORed with the nonce over and over.
pub(super) fn obscured(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Zeroizing<Vec<u8>> {
    let mut text = c_string(password);
    for (byte, mask) in text.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    text
}

/// `client_ed25519`: the nonce signed with a key made of the password.
pub(super) fn ed25519(password: &[u8], nonce: &[u8; LONG_NONCE_LEN]) -> Result<Vec<u8>, ProtocolError> {
    let name = Plugin::Ed25519.name();
    let response = ClientEd25519::default()
        .run(Password(password), nonce)
        .map_err(|_| ProtocolError::malformed(name, "nonce", Fault::Invalid))?;
    response.data().map(<[u8]>::to_vec).ok_or(ProtocolError::malformed(name, "nonce", Fault::Invalid))
}

/// `parsec`: both nonces signed with a key derived from the password and the account's salt; `data` says how (MariaDB's
/// manual, "Authentication Plugin - PARSEC"). Returns the client's nonce and the signature.
pub(super) fn parsec(
    password: &[u8],
    server_nonce: &[u8; LONG_NONCE_LEN],
    client_nonce: &[u8; LONG_NONCE_LEN],
    data: &[u8],
) -> Result<Vec<u8>, ProtocolError> {
    let mut reader = Reader::new(PARSEC, data);
    if reader.u8("key derivation")? != PARSEC_KDF {
        return Err(reader.fail("key derivation", Fault::Invalid));
    }
    let factor = reader.u8("iterations")?;
    // Each step doubles the work that a server can make us do.
    if factor > PARSEC_FACTOR_MAX {
        return Err(reader.fail("iterations", Fault::Invalid));
    }
    let salt = reader.array::<PARSEC_SALT_LEN>("salt")?;
    reader.end("salt")?;
    let mut key = Zeroizing::new([0; SECRET_KEY_LENGTH]);
    pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, &salt, 1024 << factor, &mut *key);
    let message = [*server_nonce, *client_nonce].concat();
    let signature = SigningKey::from_bytes(&key).sign(&message);
    Ok([&client_nonce[..], &signature.to_bytes()].concat())
}

/// What `mysql_common` asks a password of.
struct Password<'a>(&'a [u8]);

impl Context for Password<'_> {
    fn pass(&self) -> &[u8] {
        self.0
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        false
    }

    fn scramble(&self) -> &[u8] {
        &[]
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests;

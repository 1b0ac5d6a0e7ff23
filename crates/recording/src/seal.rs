//! Keys and what they sign.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

/// First in every message, so that a signature of the same key for something else never fits.
const CONTEXT: [u8; 24] = *b"portreeve recording v2\r\n";

/// Bytes of a message: context, kind, session id, frame, time, chain.
const MESSAGE_LEN: usize = 24 + 1 + 16 + 8 + 8 + 32;

/// Stands for the frame's number in a message. The chain says it already, and who reads a file from near its end does not know
/// the number. Files written before 2026-11-25 have it.
const ANY_FRAME: u64 = u64::MAX;

/// What a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// More may follow.
    Checkpoint,
    /// The file is whole.
    Seal,
}

impl Signed {
    /// What is signed by a frame: all frames before it, and its own time.
    pub(crate) fn message(self, session_id: &[u8; 16], at_unix_ns: u64, chain_before: &[u8; 32]) -> [u8; MESSAGE_LEN] {
        self.message_of(session_id, ANY_FRAME, at_unix_ns, chain_before)
    }

    /// The same in an older file, where the frame has this index.
    pub(crate) fn message_of(
        self,
        session_id: &[u8; 16],
        index: u64,
        at_unix_ns: u64,
        chain_before: &[u8; 32],
    ) -> [u8; MESSAGE_LEN] {
        let kind = match self {
            Self::Checkpoint => b'C',
            Self::Seal => b'S',
        };
        let mut message = [0; MESSAGE_LEN];
        let (index, at) = (index.to_le_bytes(), at_unix_ns.to_le_bytes());
        let fields: [&[u8]; 6] = [&CONTEXT, &[kind], session_id, &index, &at, chain_before];
        for (to, from) in message.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        message
    }
}

/// The key that signs. Zeroed when it is dropped, never printed.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// From the 32 random bytes that are an Ed25519 private key (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// What verifies signatures; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(crate) [u8; 32]);

/// A text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("a public key has 64 hexadecimal digits; `portreeve key` prints it")]
    Shape,
    /// Not a point of the curve.
    #[error("these digits are no Ed25519 public key; `portreeve key` prints it")]
    Value,
}

impl PublicKey {
    /// As in a `Signature` record. Whether it is a key at all shows when it verifies.
    #[must_use]
    pub const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // A sign is no digit, which `from_str_radix` would take.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(KeyError::Shape);
        }
        let mut key = [0; 32];
        for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or(KeyError::Shape)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| KeyError::Shape)?;
        }
        VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Value)?;
        Ok(Self(key))
    }
}

/// A signature in a file, with what it must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it signs.
    pub signed: Signed,
    /// As it is written now, and as it was.
    pub(crate) messages: [[u8; MESSAGE_LEN]; 2],
    pub(crate) key: [u8; 32],
    pub(crate) signature: [u8; 64],
}

impl Claim {
    /// The key it claims to be by.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        PublicKey(self.key)
    }

    /// Whether it is that key's signature of just these frames. Weak keys verify nothing.
    #[must_use]
    pub fn verifies(&self) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.key) else { return false };
        let signature = Signature::from_bytes(&self.signature);
        self.messages.iter().any(|message| key.verify_strict(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_read_as_it_is_printed() {
        let key = SigningKey::from_seed(&[7; 32]);
        let text = key.public().to_string();
        assert_eq!(format!("{text}\n").parse(), Ok(key.public()));
        assert_eq!(text.to_uppercase().parse(), Ok(key.public()));
        assert_eq!(text[1..].parse::<PublicKey>(), Err(KeyError::Shape));
        assert_eq!(format!("+{}", &text[1..]).parse::<PublicKey>(), Err(KeyError::Shape));
        assert_eq!(format!("02{}", "00".repeat(31)).parse::<PublicKey>(), Err(KeyError::Value));
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }

    /// RFC 8032, section 7.1, test 1: the library is what it says.
    #[test]
    fn the_key_of_the_rfc_is_the_one_of_its_seed() {
        let seed: PublicKeyBytes = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(SigningKey::from_seed(&seed).public().to_string(), public);
    }

    type PublicKeyBytes = [u8; 32];

    fn hex(text: &str) -> PublicKeyBytes {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }
}

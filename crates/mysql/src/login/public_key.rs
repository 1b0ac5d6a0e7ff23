use std::convert::Infallible;

use mysql_common::crypto::der::{PubKeyFileType, parse_pub_key, pem_to_der};
use mysql_common::crypto::rsa::{Pkcs1OaepPadding, PublicKey, Rng};

use crate::limits::{PUBLIC_KEY_BITS_MAX, PUBLIC_KEY_BITS_MIN, PUBLIC_KEY_PEM_LEN_MAX};
use crate::{Misbehaviour, ProtocolError};

/// Bytes of an OAEP seed: one SHA-1 digest.
pub(super) const SEED_LEN: usize = 20;
/// Bytes that OAEP with SHA-1 takes of a block (RFC 8017, 7.1.1).
const OAEP_OVERHEAD: usize = 2 * SEED_LEN + 2;
/// Bytes; more only cost time.
const EXPONENT_LEN_MAX: usize = 8;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// Encrypts `message` for the server's key with RSA, OAEP and SHA-1, as `caching_sha2_password` wants it.
///
/// # Errors
/// `Misbehaved` when the key is none, is too small or too large, or the message does not fit.
pub(super) fn encrypt(pem: &[u8], message: &[u8], seed: [u8; SEED_LEN]) -> Result<Vec<u8>, ProtocolError> {
    let key = read(pem).map_err(|reason| ProtocolError::from(Misbehaviour::PublicKey(reason)))?;
    let max = key.num_octets().saturating_sub(OAEP_OVERHEAD);
    if message.len() > max {
        // One byte of the message is the NUL behind the password.
        let (len, max) = (message.len().saturating_sub(1), max.saturating_sub(1));
        return Err(Misbehaviour::PasswordTooLongForKey { len, max }.into());
    }
    key.encrypt_block(message, Pkcs1OaepPadding::new(Seed(seed)))
        .map_err(|_| Misbehaviour::PublicKey("encryption failed").into())
}

fn read(pem: &[u8]) -> Result<PublicKey, &'static str> {
    if pem.len() > PUBLIC_KEY_PEM_LEN_MAX {
        return Err("too long");
    }
    let (der, kind) = pem_to_der(pem).map_err(|_| "not in PEM form")?;
    // `mysql_common` indexes into the DER bytes unchecked: it may see only what was walked before.
    check(&der, kind)?;
    let (modulus, exponent) = parse_pub_key(&der, kind).map_err(|_| "not an RSA key")?;
    Ok(PublicKey::new(modulus, exponent))
}

fn check(der: &[u8], kind: PubKeyFileType) -> Result<(), &'static str> {
    let key = match kind {
        PubKeyFileType::Pkcs1 => der,
        PubKeyFileType::Pkcs8 => {
            let (info, _) = element(der, SEQUENCE)?;
            let (_algorithm, rest) = element(info, SEQUENCE)?;
            let (bits, _) = element(rest, BIT_STRING)?;
            bits.strip_prefix(&[0]).ok_or("not an RSA key")?
        }
    };
    let (numbers, _) = element(key, SEQUENCE)?;
    let (modulus, rest) = element(numbers, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    let modulus = unpadded(modulus);
    let bits = modulus.len().saturating_mul(8);
    // Also refuses a modulus whose length is no multiple of 8 bits: `mysql_common` pads those wrongly.
    if modulus.first().is_none_or(|byte| byte & 0x80 == 0)
        || !(PUBLIC_KEY_BITS_MIN..=PUBLIC_KEY_BITS_MAX).contains(&bits)
    {
        return Err("its modulus is too small, too large or of an odd length");
    }
    let exponent = unpadded(exponent);
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > EXPONENT_LEN_MAX {
        return Err("its numbers are not those of an RSA key");
    }
    Ok(())
}

/// One DER element of that tag: content, and what follows.
fn element(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), &'static str> {
    const BROKEN: &str = "not in DER form";
    let (&len, rest) = der.strip_prefix(&[tag]).and_then(<[u8]>::split_first).ok_or(BROKEN)?;
    let (len, rest) = match len {
        short @ 0..=0x7F => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7F)).ok_or(BROKEN)?;
            (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
        }
        _ => return Err(BROKEN),
    };
    rest.split_at_checked(len).ok_or(BROKEN)
}

fn unpadded(mut number: &[u8]) -> &[u8] {
    while let Some(rest) = number.strip_prefix(&[0]) {
        number = rest;
    }
    number
}

/// The seed, drawn by the caller.
struct Seed([u8; SEED_LEN]);

impl Rng for Seed {
    type Error = Infallible;

    fn fill(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        for (to, from) in dest.iter_mut().zip(self.0) {
            *to = from;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{PUBLIC_KEY, decrypt};

    #[test]
    fn what_is_encrypted_can_be_decrypted() {
        for message in [&b"\0"[..], b"s3cret\0", &[0xA5; 214]] {
            let encrypted = encrypt(PUBLIC_KEY, message, [9; SEED_LEN]).unwrap();
            assert_eq!(encrypted.len(), 256);
            assert_eq!(decrypt(&encrypted), message);
        }
    }

    #[test]
    fn one_byte_more_than_fits_is_refused() {
        let refusal = Misbehaviour::PasswordTooLongForKey { len: 214, max: 213 };
        assert_eq!(encrypt(PUBLIC_KEY, &[1; 215], [9; SEED_LEN]), Err(refusal.into()));
    }

    #[test]
    fn no_cut_or_flipped_byte_of_a_key_panics() {
        let (der, kind) = pem_to_der(PUBLIC_KEY).unwrap();
        assert_eq!(check(&der, kind), Ok(()));
        for at in 0..der.len() {
            assert!(check(&der[..at], kind).is_err(), "cut at {at}");
            for flip in [0x01, 0x80, 0xFF] {
                let mut broken = der.clone();
                broken[at] ^= flip;
                if check(&broken, kind).is_ok() {
                    let (modulus, exponent) = parse_pub_key(&broken, kind).unwrap();
                    let octets = PublicKey::new(modulus, exponent).num_octets();
                    // The zero byte in front of the modulus may have become a part of it.
                    assert!((256..=257).contains(&octets), "byte {at} flipped");
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = vec![b'-'; PUBLIC_KEY_PEM_LEN_MAX + 1];
        let small = b"-----BEGIN PUBLIC KEY-----\nMAkwAAMFADAABAA=\n-----END PUBLIC KEY-----";
        for (pem, reason) in [
            (&b""[..], "not in PEM form"),
            (b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", "not in DER form"),
            (small, "not in DER form"),
            (&long, "too long"),
        ] {
            assert_eq!(encrypt(pem, b"x", [9; SEED_LEN]), Err(Misbehaviour::PublicKey(reason).into()));
        }
    }
}

use ed25519_dalek::{Signature, VerifyingKey};

use super::*;

const SERVER_NONCE: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
const CLIENT_NONCE: &[u8; 32] = b"CLIENTCLIENTCLIENTCLIENTCLIENT32";

/// What password `correct horse battery staple 123` gives over [`SERVER_NONCE`]: of 32 bytes, it is a seed of plain Ed25519.
/// Computed with Python's cryptography.
const ED25519_SIGNATURE: [u8; 64] = [
    0xe0, 0x7a, 0x77, 0xa2, 0xa9, 0xbc, 0xb6, 0x5d, 0xf7, 0xaa, 0x9c, 0xc4, 0xf0, 0x48, 0xba, 0xed, 0x98, 0x85, 0xdb,
    0x88, 0x20, 0x0e, 0x6b, 0x06, 0x3b, 0xaa, 0xa0, 0x72, 0x7a, 0x95, 0x43, 0x3f, 0x27, 0x05, 0x50, 0x1a, 0x12, 0x6a,
    0x6a, 0xd4, 0x67, 0xe7, 0xa6, 0x69, 0x59, 0xaa, 0x46, 0x09, 0xb7, 0x9d, 0x7b, 0xf2, 0x27, 0xe2, 0x4d, 0xab, 0x17,
    0xa2, 0xac, 0x27, 0x16, 0x59, 0x2e, 0x0b,
];
/// The hash that MariaDB 11.8 stored for `IDENTIFIED VIA ed25519 USING PASSWORD('s3cret')`.
const ED25519_STORED: [u8; 32] = [
    0x55, 0x3a, 0x5e, 0x30, 0xef, 0x44, 0xa0, 0x41, 0xf7, 0xd8, 0xac, 0x45, 0x90, 0x2e, 0x95, 0x95, 0x0c, 0x1b, 0xcf,
    0xb8, 0x12, 0x98, 0x8d, 0xb9, 0xdd, 0x2a, 0xa4, 0xde, 0x44, 0x2f, 0xc7, 0xae,
];
/// What password `s3cret` gives over both nonces with a salt of 0 to 17, by 1024 and by 8192 iterations. Computed with
/// Python's hashlib and cryptography.
const PARSEC_SIGNATURES: [(u8, [u8; 64]); 2] = [
    (
        0,
        [
            0x44, 0x0f, 0xa8, 0x82, 0x57, 0x9c, 0x54, 0xf7, 0x7e, 0xff, 0xc2, 0xad, 0x22, 0x2b, 0x12, 0x70, 0xa6, 0x3e,
            0xff, 0x7e, 0xd5, 0x3a, 0x7b, 0x60, 0x9f, 0x4d, 0xb3, 0xed, 0xc3, 0xf3, 0x24, 0xef, 0x7f, 0xc2, 0x66, 0x88,
            0x9d, 0xab, 0xf6, 0x7a, 0xf6, 0xdc, 0x70, 0x1c, 0x2f, 0x40, 0xd9, 0x1a, 0x32, 0xb7, 0x13, 0x97, 0x49, 0xd4,
            0x3e, 0x58, 0x57, 0xb1, 0xc9, 0x90, 0xd9, 0x29, 0x94, 0x02,
        ],
    ),
    (
        3,
        [
            0xd0, 0x79, 0x76, 0x1e, 0x3a, 0x49, 0x85, 0xd6, 0xeb, 0x27, 0xaa, 0xda, 0x09, 0xd9, 0xbf, 0x6a, 0x2e, 0xaf,
            0x50, 0x65, 0x02, 0x12, 0xf2, 0x6c, 0x66, 0xfb, 0x03, 0x39, 0x1e, 0xd8, 0x97, 0x2f, 0xb5, 0x5e, 0xa8, 0x5b,
            0xfd, 0x20, 0xd6, 0xe1, 0x34, 0x57, 0x08, 0x66, 0x57, 0x85, 0x51, 0xac, 0xe6, 0x37, 0xf1, 0x0c, 0x11, 0x1f,
            0x32, 0xbb, 0x13, 0xeb, 0x25, 0xe9, 0x8f, 0x7c, 0x6c, 0x0f,
        ],
    ),
];
/// Salt and key that MariaDB 11.8 stored for `IDENTIFIED VIA parsec USING PASSWORD('s3cret')`.
const PARSEC_STORED: ([u8; 18], [u8; 32]) = (
    [0x11, 0xf8, 0x38, 0x1f, 0x3a, 0xfa, 0x9b, 0xa4, 0x59, 0x0e, 0xd1, 0x96, 0xe2, 0x11, 0x4f, 0x6c, 0xce, 0x47],
    [
        0xb9, 0xef, 0x64, 0x15, 0x2e, 0x95, 0x48, 0x88, 0x9f, 0xdb, 0x74, 0x6a, 0x05, 0x77, 0x37, 0x6c, 0xcf, 0x9a,
        0x6c, 0x2c, 0x5d, 0x50, 0x05, 0x5a, 0xd5, 0xfb, 0x38, 0xe4, 0xbd, 0xf8, 0x19, 0xc8,
    ],
);

fn check_signature(key: &[u8; 32], message: &[u8], signature: &[u8]) {
    let signature = Signature::from_slice(signature).unwrap();
    VerifyingKey::from_bytes(key).unwrap().verify_strict(message, &signature).unwrap();
}

fn salted(factor: u8, salt: &[u8]) -> Vec<u8> {
    [&[PARSEC_KDF, factor], salt].concat()
}

#[test]
fn every_plugin_has_the_name_that_servers_call_it_by() {
    for name in [
        "mysql_native_password",
        "caching_sha2_password",
        "sha256_password",
        "client_ed25519",
        "parsec",
        "mysql_clear_password",
    ] {
        assert_eq!(Plugin::from_name(name.as_bytes()).unwrap().name(), name);
    }
    for name in ["", "dialog", "mysql_old_password", "auth_gssapi_client", "Parsec"] {
        assert_eq!(Plugin::from_name(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn a_nonce_has_its_length_and_perhaps_a_nul() {
    for plugin in Plugin::ALL {
        let name = plugin.name();
        let fault = |fault| Err(ProtocolError::malformed(name, "nonce", fault));
        let nonce = [&SERVER_NONCE[..], b"\0x"].concat();
        for short in 0..32 {
            assert_eq!(plugin.nonce::<32>(&nonce[..short]), fault(Fault::Truncated));
        }
        assert_eq!(plugin.nonce(&nonce[..32]), Ok(*SERVER_NONCE));
        assert_eq!(plugin.nonce(&nonce[..33]), Ok(*SERVER_NONCE));
        assert_eq!(plugin.nonce::<32>(&nonce), fault(Fault::Trailing { len: 1 }));
        assert_eq!(plugin.nonce::<20>(&nonce[..21]), Err(ProtocolError::malformed(name, "nonce", Fault::Invalid)));
    }
}

#[test]
fn a_password_goes_over_tls_as_a_c_string() {
    assert_eq!(c_string(b"s3cret")[..], *b"s3cret\0");
    assert_eq!(c_string(b"")[..], *b"\0");
}

#[test]
fn an_obscured_password_is_masked_over_and_over() {
    let password = [b'p'; 50];
    let nonce = crate::samples::NONCE;
    let plain: Vec<u8> =
        obscured(&password, nonce).iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(plain, [&password[..], b"\0"].concat());
}

#[test]
fn an_ed25519_signature_is_the_one_that_mariadb_checks() {
    assert_eq!(ed25519(b"correct horse battery staple 123", SERVER_NONCE).unwrap(), ED25519_SIGNATURE);
    check_signature(&ED25519_STORED, SERVER_NONCE, &ed25519(b"s3cret", SERVER_NONCE).unwrap());
    // An empty password signs like any other.
    assert_eq!(ed25519(b"", SERVER_NONCE).unwrap().len(), 64);
}

#[test]
fn a_parsec_signature_is_the_one_that_mariadb_checks() {
    let salt: Vec<u8> = (0..18).collect();
    for (factor, signature) in PARSEC_SIGNATURES {
        let response = parsec(b"s3cret", SERVER_NONCE, CLIENT_NONCE, &salted(factor, &salt)).unwrap();
        assert_eq!(response, [&CLIENT_NONCE[..], &signature].concat(), "{factor}");
    }
    let (salt, key) = PARSEC_STORED;
    let response = parsec(b"s3cret", SERVER_NONCE, CLIENT_NONCE, &salted(0, &salt)).unwrap();
    check_signature(&key, &[*SERVER_NONCE, *CLIENT_NONCE].concat(), &response[32..]);
}

#[test]
fn a_parsec_salt_of_another_shape_is_refused() {
    let whole = salted(0, &[7; 18]);
    let sign = |data: &[u8]| parsec(b"s3cret", SERVER_NONCE, CLIENT_NONCE, data);
    for short in 0..whole.len() {
        assert!(sign(&whole[..short]).is_err(), "{short} bytes");
    }
    assert!(sign(&[&whole[..], b"x"].concat()).is_err());
    assert!(sign(&[b"Q", &whole[1..]].concat()).is_err());
    for factor in [4, 5, 64, 255] {
        let refusal = ProtocolError::malformed("parsec", "iterations", Fault::Invalid);
        assert_eq!(sign(&salted(factor, &[7; 18])), Err(refusal), "{factor}");
    }
}

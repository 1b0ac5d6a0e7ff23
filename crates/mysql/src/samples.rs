//! Packets as real servers and clients send them, and the helper that feeds them in pieces.

/// Twenty bytes as a server draws them.
pub(crate) const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";

/// MariaDB 10.11: `LONG_PASSWORD` clear, extended capabilities `0x1d`.
pub(crate) const MARIADB_GREETING: &[u8] = b"\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\0\x1f\0\0\0abcdefgh\0\
    \xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

/// MySQL 9.7.
pub(crate) const MYSQL_GREETING: &[u8] = b"\x0a9.7.0\0\x04\x03\x02\x01abcdefgh\0\
    \xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0";

/// A handshake response of these capabilities, whose part from the user on is `tail`.
pub(crate) fn login_payload(capabilities: u32, tail: &[u8]) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 45]);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(tail);
    payload
}

/// What password `s3cret` gives over [`NONCE`], computed with Python's hashlib.
pub(crate) const NATIVE_SCRAMBLE: [u8; 20] = [
    0x85, 0x10, 0x60, 0x5a, 0x5e, 0xc0, 0xd3, 0xd9, 0x58, 0x05, 0x86, 0x36, 0xe0, 0xa2, 0xeb, 0xdf, 0xcf, 0x34, 0xbe,
    0x4c,
];
/// See [`NATIVE_SCRAMBLE`].
pub(crate) const CACHING_SHA2_SCRAMBLE: [u8; 32] = [
    0x56, 0x61, 0xac, 0x17, 0xce, 0xc0, 0xe6, 0x00, 0x1d, 0x37, 0x47, 0xb3, 0xaa, 0xa0, 0xd0, 0xc1, 0x92, 0x7f, 0xdc,
    0x43, 0xc5, 0x6d, 0xee, 0xab, 0x05, 0xd4, 0xc4, 0x2d, 0x73, 0xb2, 0xb6, 0x42,
];

/// Of a key pair made by `openssl genrsa 2048` for these tests and nothing else.
pub(crate) const PUBLIC_KEY: &[u8] = b"-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0tklVp3Avh8EvYnnZBsa
wuRsxijVfneckZqSi2439SWyDvWV5p8m5s7Ok65u9gUtkAeOUojoGosp04iqTQQ3
+F6M9/DIMLjOI1CiFycrVQBkxa235a+oLKh35WGySOPC/t4bp+JNhGE+3ncYSgDm
V87RQDSoitBiWbtwsfOjqW5ww52ngariAlXUSL/KbOwj4j4YZK/db4KdxcGxj3Yu
J7Pcbnmc0xhNy2OQuGct++3Cow0tLmeB4lOvgeHD/RfvSXNNi1BLt3wy2a1hY6jh
xKSPOalLgSZPVTgqa1wYO4NZGyaffFGLdwXCMxaJz+T9CW8IIK83Oka1sOIToBn+
NwIDAQAB
-----END PUBLIC KEY-----
";
const MODULUS: &str = "\
    d2d925569dc0be1f04bd89e7641b1ac2e46cc628d57e779c919a928b6e37f525b20ef595e69f26e6cece93ae6ef6052d90078e5288e81a8b\
    29d388aa4d0437f85e8cf7f0c830b8ce2350a217272b550064c5adb7e5afa82ca877e561b248e3c2fede1ba7e24d84613ede77184a00e657\
    ced14034a88ad06259bb70b1f3a3a96e70c39da781aae20255d448bfca6cec23e23e1864afdd6f829dc5c1b18f762e27b3dc6e799cd3184d\
    cb6390b8672dfbedc2a30d2d2e6781e253af81e1c3fd17ef49734d8b504bb77c32d9ad6163a8e1c4a48f39a94b81264f55382a6b5c183b83\
    591b269f7c518b7705c2331689cfe4fd096f0820af373a46b5b0e213a019fe37";
const PRIVATE_EXPONENT: &str = "\
    34e506c9f0ef5e82b794b918d4733c4672399b88b8ee6e215821b7ebc4adc3113ed723e304251f043e1372d70abd2b555fd19571bd28c527\
    ee4943fabd3176bd1733342c327c8e902029e54ffba292437404676d3ff0ce36cdd8ae31d1211a0a5c17ea4636ae8dac3bb2619c354c7e7c\
    bec49ddfd7fc630499503d9856efd2dc0e59f698e0d8dfe1062bd81a38ff2cede63ac9cd179685dc9a6bb33b29da5aa8c61e211bed54a659\
    35edb03e428bca83d297b572052dddbc82d6b604d54c31adf56d137bbe5dc86aa580d7406e82958f01b9982088c5a456bfc41fa177c4aa0e\
    e0cd51c2f4304cdbf025ecb866d2e76cba9c49680c522d2eb7980f6274c9e9e1";

/// Decrypts RSA with OAEP and SHA-1 (RFC 8017, 7.1.2) by the private half of [`PUBLIC_KEY`].
pub(crate) fn decrypt(encrypted: &[u8]) -> Vec<u8> {
    use mysql_common::num_bigint::BigUint;
    let number = |hex: &str| BigUint::parse_bytes(hex.as_bytes(), 16).unwrap();
    let plain = BigUint::from_bytes_be(encrypted).modpow(&number(PRIVATE_EXPONENT), &number(MODULUS));
    let significant = plain.to_bytes_be();
    // The block of 256 bytes starts with a zero byte, which the conversion drops like every other leading one.
    let plain = [vec![0; 255 - significant.len()], significant].concat();
    let (masked_seed, masked_data) = plain.split_at(20);
    let seed: Vec<u8> = masked_seed.iter().zip(mgf1(masked_data, 20)).map(|(byte, mask)| byte ^ mask).collect();
    let data: Vec<u8> = masked_data.iter().zip(mgf1(&seed, 235)).map(|(byte, mask)| byte ^ mask).collect();
    let padding = data[20..].iter().position(|byte| *byte == 1).unwrap();
    assert!(data[20..20 + padding].iter().all(|byte| *byte == 0), "broken padding");
    data[20 + padding + 1..].to_vec()
}

fn mgf1(seed: &[u8], len: usize) -> Vec<u8> {
    use sha1::{Digest, Sha1};
    let mut mask = Vec::new();
    for counter in 0_u32.. {
        if mask.len() >= len {
            break;
        }
        mask.extend_from_slice(&Sha1::digest([seed, &counter.to_be_bytes()].concat()));
    }
    mask.truncate(len);
    mask
}

use super::*;
use crate::capabilities::GATEWAY;
use crate::samples::login_payload;

const SECURE: u32 = 0x0000_8200;

#[test]
fn the_three_encodings_of_the_auth_response_are_read() {
    let lenenc = 0x0020_8200;
    for (bits, tail) in [
        (lenenc, &b"root\0\x03abc"[..]),
        (SECURE, b"root\0\x03abc"),
        (0x0000_0200, b"root\0abc\0"),
        (0x0000_0200, b"root\0abc"),
    ] {
        let payload = login_payload(bits, tail);
        let login = HandshakeResponse::parse(&payload, GATEWAY).unwrap();
        assert_eq!((login.user, login.auth_response), (&b"root"[..], &b"abc"[..]), "{bits:#x}");
        assert_eq!((login.max_packet_size, login.collation), (0x0100_0000, 45));
    }
}

#[test]
fn a_long_auth_response_needs_the_length_encoded_form() {
    let token = vec![b't'; 300];
    let tail = [&b"u\0\xfc\x2c\x01"[..], &token].concat();
    let payload = login_payload(0x0020_8200, &tail);
    assert_eq!(HandshakeResponse::parse(&payload, GATEWAY).unwrap().auth_response, token);
}

#[test]
fn missing_optional_fields_are_taken_as_absent() {
    let all = 0x0018_8208;
    for (tail, schema, plugin) in [
        (&b"u\0\0"[..], None, None),
        (b"u\0\0\0", None, None),
        (b"u\0\0shop", Some(&b"shop"[..]), None),
        (b"u\0\0shop\0", Some(b"shop"), None),
        (b"u\0\0\0p", None, Some(&b"p"[..])),
        (b"u\0\0shop\0p\0", Some(b"shop"), Some(b"p")),
        (b"u\0\0shop\0p\0\0", Some(b"shop"), Some(b"p")),
    ] {
        let payload = login_payload(all, tail);
        let login = HandshakeResponse::parse(&payload, GATEWAY).unwrap();
        assert_eq!((login.schema, login.auth_plugin), (schema, plugin));
        assert_eq!(login.connect_attrs, []);
    }
}

#[test]
fn attributes_keep_order_and_duplicates() {
    let payload = login_payload(0x0010_8200, b"u\0\0\x0a\x01b\x011\x01a\x00\x01b\x012");
    let payload = &payload[..];
    let login = HandshakeResponse::parse(payload, GATEWAY);
    assert!(login.is_err(), "eleven bytes of pairs with a length of ten");
    let payload = login_payload(0x0010_8200, b"u\0\0\x0b\x01b\x011\x01a\x00\x01b\x012");
    let login = HandshakeResponse::parse(&payload, GATEWAY).unwrap();
    let attrs: [(&[u8], &[u8]); 3] = [(b"b", b"1"), (b"a", b""), (b"b", b"2")];
    assert_eq!(login.connect_attrs, attrs);
}

#[test]
fn attributes_end_at_their_limit() {
    let with = |value_len: usize| {
        let mut tail = b"u\0\0\xfd".to_vec();
        tail.extend_from_slice(&(value_len as u32 + 6).to_le_bytes()[..3]);
        tail.extend_from_slice(b"\x01a\xfd");
        tail.extend_from_slice(&(value_len as u32).to_le_bytes()[..3]);
        tail.resize(tail.len() + value_len, b'v');
        login_payload(0x0010_8200, &tail)
    };
    let fits = CONNECT_ATTRS_LEN_MAX - 6;
    assert_eq!(HandshakeResponse::parse(&with(fits), GATEWAY).unwrap().connect_attrs.len(), 1);
    let max = CONNECT_ATTRS_LEN_MAX as u64;
    let fault = Fault::TooLong { len: max + 1, max };
    let refusal = ProtocolError::malformed(PACKET, "connection attributes", fault);
    assert_eq!(HandshakeResponse::parse(&with(fits + 1), GATEWAY), Err(refusal));
}

#[test]
fn old_logins_and_tls_requests_are_refused_by_name() {
    let old = b"\x85\xa4\x03\0\0\x01root\0scramble";
    assert_eq!(HandshakeResponse::parse(old, GATEWAY), Err(Unsupported::OldProtocol.into()));
    let tls = login_payload(0x0000_8A00, b"");
    assert_eq!(tls.len(), SSL_REQUEST_LEN);
    assert_eq!(HandshakeResponse::parse(&tls, GATEWAY), Err(Unsupported::Tls.into()));
}

#[test]
fn a_bit_without_an_offer_changes_nothing() {
    // mysql2 for Node sets QUERY_ATTRIBUTES and MFA unasked.
    let payload = login_payload(SECURE | 0x1800_0000, b"u\0\0");
    let login = HandshakeResponse::parse(&payload, GATEWAY).unwrap();
    assert_eq!(login.capabilities.bits(), SECURE);
}

#[test]
fn trailing_bytes_are_refused_but_the_zstd_level() {
    for (bits, tail, ok) in [
        (SECURE, &b"u\0\0x"[..], false),
        (SECURE | 0x0400_0000, b"u\0\0\x03", true),
        (SECURE | 0x0400_0000, b"u\0\0\x03\x03", false),
    ] {
        let payload = login_payload(bits, tail);
        assert_eq!(HandshakeResponse::parse(&payload, GATEWAY).is_ok(), ok, "{tail:?}");
    }
}

#[test]
fn a_login_reads_back_as_written() {
    for capabilities in [GATEWAY, GATEWAY.difference(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)] {
        let login = HandshakeResponse {
            capabilities,
            max_packet_size: 0x4000_0000,
            collation: 45,
            user: b"orders_ro",
            auth_response: &[7; 32],
            schema: Some(b"shop"),
            auth_plugin: Some(b"caching_sha2_password"),
            connect_attrs: vec![(b"_client_name", b"libmariadb"), (b"", b"")],
        };
        let mut payload = Vec::new();
        login.write(&mut payload).unwrap();
        assert_eq!(HandshakeResponse::parse(&payload, GATEWAY), Ok(login));
        for short in 0..36 {
            assert!(HandshakeResponse::parse(&payload[..short], GATEWAY).is_err(), "{short} bytes");
        }
    }
}

#[test]
fn a_name_with_a_nul_is_not_written() {
    let payload = login_payload(SECURE, b"u\0\0");
    let mut login = HandshakeResponse::parse(&payload, GATEWAY).unwrap();
    login.user = b"a\0b";
    let refusal = ProtocolError::malformed(PACKET, "user", Fault::Invalid);
    assert_eq!(login.write(&mut Vec::new()), Err(refusal));
}

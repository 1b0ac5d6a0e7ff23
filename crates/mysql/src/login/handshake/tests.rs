use super::*;
use crate::Fault;
use crate::capabilities::{GATEWAY, GATEWAY_MARIADB, MariaDbCapabilities};
use crate::limits::CONNECT_ATTRS_LEN_MAX;
use crate::samples::login_payload;

/// What a server of MySQL offers without TLS.
const OFFER: Negotiated = Negotiated::without_mariadb(GATEWAY.difference(Capabilities::CLIENT_SSL));
const TLS_OFFER: Negotiated = Negotiated::without_mariadb(GATEWAY);
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
        let login = HandshakeResponse::parse(&payload, OFFER).unwrap();
        assert_eq!((login.user, login.auth_response), (&b"root"[..], &b"abc"[..]), "{bits:#x}");
        assert_eq!((login.max_packet_size, login.collation), (0x0100_0000, 45));
    }
}

#[test]
fn a_long_auth_response_needs_the_length_encoded_form() {
    let token = vec![b't'; 300];
    let tail = [&b"u\0\xfc\x2c\x01"[..], &token].concat();
    let payload = login_payload(0x0020_8200, &tail);
    assert_eq!(HandshakeResponse::parse(&payload, OFFER).unwrap().auth_response, token);
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
        let login = HandshakeResponse::parse(&payload, OFFER).unwrap();
        assert_eq!((login.schema, login.auth_plugin), (schema, plugin));
        assert_eq!(login.connect_attrs, []);
    }
}

#[test]
fn attributes_keep_order_and_duplicates() {
    let payload = login_payload(0x0010_8200, b"u\0\0\x0a\x01b\x011\x01a\x00\x01b\x012");
    let payload = &payload[..];
    let login = HandshakeResponse::parse(payload, OFFER);
    assert!(login.is_err(), "eleven bytes of pairs with a length of ten");
    let payload = login_payload(0x0010_8200, b"u\0\0\x0b\x01b\x011\x01a\x00\x01b\x012");
    let login = HandshakeResponse::parse(&payload, OFFER).unwrap();
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
    assert_eq!(HandshakeResponse::parse(&with(fits), OFFER).unwrap().connect_attrs.len(), 1);
    let max = CONNECT_ATTRS_LEN_MAX as u64;
    let fault = Fault::TooLong { len: max + 1, max };
    let refusal = ProtocolError::malformed(PACKET, "connection attributes", fault);
    assert_eq!(HandshakeResponse::parse(&with(fits + 1), OFFER), Err(refusal));
}

#[test]
fn old_logins_and_tls_requests_are_refused_by_name() {
    let old = b"\x85\xa4\x03\0\0\x01root\0scramble";
    assert_eq!(HandshakeResponse::parse(old, OFFER), Err(Unsupported::OldProtocol.into()));
    let tls = login_payload(0x0000_8A00, b"");
    assert_eq!(tls.len(), SSL_REQUEST_LEN);
    assert_eq!(HandshakeResponse::parse(&tls, OFFER), Err(Unsupported::Tls.into()));
}

#[test]
fn a_bit_without_an_offer_changes_nothing() {
    // mysql2 for Node sets QUERY_ATTRIBUTES and MFA unasked.
    let payload = login_payload(SECURE | 0x1800_0000, b"u\0\0");
    let offer = Capabilities::from_bits_retain(SECURE).into();
    let login = HandshakeResponse::parse(&payload, offer).unwrap();
    assert_eq!(login.capabilities, offer);
}

#[test]
fn trailing_bytes_are_refused_but_the_zstd_level() {
    for (bits, tail, level) in [
        (SECURE, &b"u\0\0x"[..], None),
        (SECURE | 0x0400_0000, b"u\0\0", Some(None)),
        (SECURE | 0x0400_0000, b"u\0\0\x03", Some(Some(3))),
        (SECURE | 0x0400_0000, b"u\0\0\x03\x03", None),
    ] {
        let payload = login_payload(bits, tail);
        let login = HandshakeResponse::parse(&payload, OFFER).ok();
        assert_eq!(login.map(|login| login.zstd_level), level, "{tail:?}");
    }
}

#[test]
fn a_zstd_level_without_an_offer_is_skipped() {
    let payload = login_payload(SECURE | 0x0400_0000, b"u\0\0\x03");
    let without = Negotiated::without_mariadb(GATEWAY.difference(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM));
    assert_eq!(HandshakeResponse::parse(&payload, without).unwrap().zstd_level, None);
}

fn full(capabilities: Negotiated) -> HandshakeResponse<'static> {
    let zstd = capabilities.has(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
    HandshakeResponse {
        capabilities,
        max_packet_size: 0x4000_0000,
        collation: 45,
        user: b"orders_ro",
        auth_response: &[7; 32],
        schema: Some(b"shop"),
        auth_plugin: Some(b"caching_sha2_password"),
        connect_attrs: vec![(b"_client_name", b"libmariadb"), (b"", b"")],
        zstd_level: zstd.then_some(7),
    }
}

const MARIADB: Negotiated =
    Negotiated { standard: GATEWAY.difference(Capabilities::CLIENT_LONG_PASSWORD), mariadb: GATEWAY_MARIADB };

#[test]
fn a_login_reads_back_as_written() {
    let without = |flag| Negotiated::without_mariadb(GATEWAY.difference(flag));
    for capabilities in [
        TLS_OFFER,
        MARIADB,
        without(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA),
        without(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM),
    ] {
        let login = full(capabilities);
        let mut payload = Vec::new();
        login.write(&mut payload).unwrap();
        assert_eq!(HandshakeResponse::parse(&payload, capabilities), Ok(login));
        for short in 0..36 {
            assert!(HandshakeResponse::parse(&payload[..short], capabilities).is_err(), "{short} bytes");
        }
        for short in 36..payload.len() {
            // Cut within a field or between two: never a panic, never more than was sent.
            if let Ok(cut) = HandshakeResponse::parse(&payload[..short], capabilities) {
                assert_eq!(cut.user, b"orders_ro");
                assert!(cut.zstd_level.is_none());
            }
        }
    }
}

#[test]
fn extended_capabilities_are_those_of_a_client_of_mariadb_alone() {
    let mut payload = login_payload(SECURE, b"u\0\0");
    payload[28..32].copy_from_slice(&0xFFFF_FFFF_u32.to_le_bytes());
    let read = |payload: &[u8], offer| HandshakeResponse::parse(payload, offer).unwrap().capabilities;
    assert_eq!(read(&payload, MARIADB).mariadb, GATEWAY_MARIADB);
    let bulk = MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS;
    assert_eq!(read(&payload, Negotiated { mariadb: bulk, ..MARIADB }).mariadb, bulk);
    assert_eq!(read(&payload, OFFER).mariadb, MariaDbCapabilities::empty());
    // A client of MySQL sets the bit whatever the greeting has, and may leave anything in the reserved bytes.
    payload[0] |= 1;
    assert_eq!(read(&payload, MARIADB).mariadb, MariaDbCapabilities::empty());
}

#[test]
fn towards_a_server_of_mysql_the_reserved_bytes_are_zero() {
    let mut payload = Vec::new();
    full(Negotiated { mariadb: GATEWAY_MARIADB, ..OFFER }).write(&mut payload).unwrap();
    assert_eq!(payload[9..32], [0; 23]);
}

#[test]
fn a_request_for_tls_is_told_from_a_login() {
    let request = login_payload(SECURE | 0x0800, b"");
    let expected = SslRequest {
        capabilities: Capabilities::from_bits_retain(SECURE | 0x0800).into(),
        max_packet_size: 0x0100_0000,
        collation: 45,
    };
    assert_eq!(FirstPacket::parse(&request, TLS_OFFER), Ok(FirstPacket::SslRequest(expected)));
    assert_eq!(FirstPacket::parse(&request, OFFER), Err(Unsupported::Tls.into()));
    let mut written = Vec::new();
    expected.write(&mut written);
    assert_eq!(written, request);

    let login = login_payload(SECURE, b"u\0\0");
    for offer in [OFFER, TLS_OFFER] {
        let read = HandshakeResponse::parse(&login, offer).unwrap();
        assert_eq!(FirstPacket::parse(&login, offer), Ok(FirstPacket::Response(read)));
    }
}

#[test]
fn a_request_for_tls_has_exactly_its_length() {
    let request = login_payload(SECURE | 0x0800, b"");
    for short in 0..request.len() {
        assert!(FirstPacket::parse(&request[..short], TLS_OFFER).is_err(), "{short} bytes");
    }
    // A whole login in the clear that claims TLS: the servers would read a TLS record next.
    for tail in [&b"x"[..], b"u\0\0"] {
        let fault = Fault::Trailing { len: tail.len() };
        let refusal = ProtocolError::malformed("SSL request", "reserved bytes", fault);
        assert_eq!(FirstPacket::parse(&login_payload(SECURE | 0x0800, tail), TLS_OFFER), Err(refusal));
    }
}

#[test]
fn the_login_inside_tls_must_be_that_of_the_request() {
    let with = |bits: u32, tail: &[u8]| login_payload(bits, tail);
    let all = SECURE | 0x0408_0820;
    let request = with(all, b"");
    let Ok(FirstPacket::SslRequest(request)) = FirstPacket::parse(&request, TLS_OFFER) else { panic!("no request") };
    let changed = ProtocolError::from(Misbehaviour::ChangedCapabilities);
    for (bits, result) in [
        (all, Ok(())),
        (all ^ 0x0800, Ok(())),      // MySqlConnector
        (all | 0x0200_0000, Ok(())), // optional metadata
        (all ^ 0x8000, Err(changed.clone())),
        (all ^ 0x0008_0000, Err(changed.clone())),
        (all ^ 0x0000_0020, Err(changed.clone())),
        (all ^ 0x0400_0000, Err(changed.clone())),
    ] {
        let payload = with(bits, b"u\0\0");
        let login = HandshakeResponse::parse(&payload, TLS_OFFER).unwrap();
        assert_eq!(request.check(&login), result, "{bits:#x}");
    }
    // Bits that were never offered do not count.
    let payload = with(all | 0x1000_0000, b"u\0\0");
    assert_eq!(request.check(&HandshakeResponse::parse(&payload, TLS_OFFER).unwrap()), Ok(()));
}

#[test]
fn a_name_with_a_nul_is_not_written() {
    let payload = login_payload(SECURE, b"u\0\0");
    let mut login = HandshakeResponse::parse(&payload, OFFER).unwrap();
    login.user = b"a\0b";
    let refusal = ProtocolError::malformed(PACKET, "user", Fault::Invalid);
    assert_eq!(login.write(&mut Vec::new()), Err(refusal));
}

use super::*;
use crate::capabilities::GATEWAY;

const FULL: &[u8] = b"anyone\0\x03abcshop\0\x2d\0mysql_native_password\0\x04\x01a\x01b";

#[test]
fn what_libmysql_and_mysqlnd_send_is_read() {
    let change = ChangeUser::parse(FULL, GATEWAY.into()).unwrap();
    assert_eq!((change.user, change.auth_response), (&b"anyone"[..], &b"abc"[..]));
    assert_eq!((change.schema, change.collation), (Some(&b"shop"[..]), Some(45)));
    assert_eq!(change.auth_plugin, Some(&b"mysql_native_password"[..]));
    assert_eq!(change.connect_attrs, [(&b"a"[..], &b"b"[..])]);
}

#[test]
fn what_npms_mysql_sends_is_read() {
    let change = ChangeUser::parse(b"u\0\0shop\0\x00\x01", Capabilities::CLIENT_SECURE_CONNECTION.into()).unwrap();
    assert_eq!((change.schema, change.collation, change.auth_plugin), (Some(&b"shop"[..]), Some(256), None));
}

#[test]
fn everything_behind_the_schema_may_be_missing() {
    for (payload, schema, collation) in [
        (&b"u\0\0\0"[..], None, None),
        (b"u\0\0shop", Some(&b"shop"[..]), None),
        (b"u\0\0shop\0", Some(b"shop"), None),
        (b"u\0\0shop\0\0", Some(b"shop"), None),
        (b"u\0\0\0\x21\x01", None, Some(0x121)),
        (b"u\0\0\0\x21\0\0", None, Some(0x21)),
    ] {
        let change = ChangeUser::parse(payload, GATEWAY.into()).unwrap();
        assert_eq!((change.schema, change.collation), (schema, collation), "{payload:?}");
        assert_eq!((change.auth_plugin, &change.connect_attrs[..]), (None, &[][..]));
    }
}

#[test]
fn what_the_capabilities_do_not_announce_is_left_unread() {
    let change = ChangeUser::parse(FULL, Capabilities::CLIENT_SECURE_CONNECTION.into()).unwrap();
    assert_eq!((change.auth_plugin, &change.connect_attrs[..]), (None, &[][..]));
}

#[test]
fn without_secure_connection_the_response_ends_at_a_nul() {
    let change = ChangeUser::parse(b"u\0abc\0shop\0", Capabilities::empty().into()).unwrap();
    assert_eq!((change.auth_response, change.schema), (&b"abc"[..], Some(&b"shop"[..])));
}

#[test]
fn no_cut_reads_more_than_was_sent() {
    let whole = ChangeUser::parse(FULL, GATEWAY.into()).unwrap();
    for short in 0..FULL.len() {
        let cut = ChangeUser::parse(&FULL[..short], GATEWAY.into());
        // Up to the schema's first byte, and in the attributes.
        let refused = short < 12 || (41..).contains(&short);
        assert_eq!(cut.is_err(), refused, "{short} bytes: {cut:?}");
        if let Ok(cut) = cut {
            assert_eq!((cut.user, cut.auth_response), (whole.user, whole.auth_response));
        }
    }
}

#[test]
fn attributes_that_lie_are_refused() {
    for tail in [&b"\x05\x01a\x01b"[..], b"\x03\x01a\x01b", b"\xfb"] {
        let payload = [&b"u\0\0\0\x2d\0p\0"[..], tail].concat();
        assert!(ChangeUser::parse(&payload, GATEWAY.into()).is_err(), "{tail:?}");
    }
}

#[test]
fn the_response_is_not_in_the_debug_text() {
    let change = ChangeUser::parse(b"u\0\x06secretshop\0", GATEWAY.into()).unwrap();
    let text = format!("{change:?}");
    assert!(text.contains("shop") && !text.contains("secret") && !text.contains("115"), "{text}");
}

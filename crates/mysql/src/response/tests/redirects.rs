//! OK packets that send the client past the gateway.

use super::*;
use crate::outcome::{Tracked, without_redirect};

const TRACKING: Capabilities = NEW.union(Capabilities::CLIENT_SESSION_TRACK);
const OLD_TRACKING: Capabilities = OLD.union(Capabilities::CLIENT_SESSION_TRACK);

const AZURE: &[u8] = b"location: mysql://10.0.0.9:3306/user=bob@db";

fn text(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

/// An OK packet of that header; `changes` are `(kind, data)`.
fn ok_packet(header: u8, info: &[u8], changes: Option<&[(u8, Vec<u8>)]>) -> Vec<u8> {
    let status: u8 = if changes.is_some() { 0x40 } else { 0 };
    let mut payload = vec![header, 1, 0, 2, status, 0, 0];
    payload.extend(text(info));
    if let Some(changes) = changes {
        let all: Vec<u8> = changes.iter().flat_map(|(kind, data)| [&[*kind][..], &text(data)].concat()).collect();
        payload.extend(text(&all));
    }
    payload
}

fn variable(name: &[u8], value: &[u8]) -> (u8, Vec<u8>) {
    (0, [text(name), text(value)].concat())
}

fn schema(name: &[u8]) -> (u8, Vec<u8>) {
    (1, text(name))
}

/// The answer with that OK packet goes out with `expected` in its place, in one piece, however it comes in.
fn check(negotiated: Capabilities, before: &[&[u8]], ok: &[u8], expected: &[u8]) -> Summary {
    let all = |ok| wire(&[before, &[ok]].concat());
    let (summary, out) = check_splits(|| Response::new(Expect::Query, negotiated.into()), &all(ok));
    assert_eq!(out, all(expected));
    let again = check_splits(|| Response::new(Expect::Query, negotiated.into()), &out);
    assert_eq!(again.1, out, "what was rewritten is an answer that stays as it is");
    assert_eq!(without_redirect(ok, negotiated.into()).unwrap(), expected);
    summary
}

#[test]
fn a_location_in_the_info_is_emptied() {
    check(TRACKING, &[], &ok_packet(0, AZURE, None), &ok_packet(0, b"", None));
    check(TRACKING, &[], &ok_packet(0, b" LOCATION:x", None), &ok_packet(0, b"", None));
    // Without session tracking nothing stays behind the counters, be the info written with its length or without.
    let bare = &[0, 1, 0, 2, 0, 0, 0];
    check(NEW, &[], &ok_packet(0, AZURE, None), bare);
    check(OLD, &[], &[bare, AZURE].concat(), bare);
    for info in [&b"Rows matched: 1  Changed: 1  Warnings: 0"[..], b"Your Location: here", b""] {
        for negotiated in [NEW, TRACKING] {
            let ok = ok_packet(0, info, None);
            check(negotiated, &[], &ok, &ok);
        }
    }
}

#[test]
fn a_redirect_url_is_left_out_of_session_tracking() {
    let url = variable(b"redirect_url", b"mysql://10.0.0.9:3306");
    let (mode, shop) = (variable(b"sql_mode", b"ANSI_QUOTES"), schema(b"shop"));
    for (changes, kept) in [
        (vec![url.clone()], vec![]),
        (vec![mode.clone(), url.clone(), shop.clone()], vec![mode.clone(), shop.clone()]),
        (vec![variable(b"Redirect_URL", b"")], vec![]),
        (vec![mode.clone(), shop.clone()], vec![mode, shop]),
    ] {
        for info in [&b""[..], b"Records: 1"] {
            let ok = ok_packet(0, info, Some(&changes));
            check(TRACKING, &[], &ok, &ok_packet(0, info, Some(&kept)));
            check(OLD_TRACKING, &[], &ok, &ok_packet(0, info, Some(&kept)));
        }
        let ok = ok_packet(0, AZURE, Some(&changes));
        check(TRACKING, &[], &ok, &ok_packet(0, b"", Some(&kept)));
    }
    // Two variables in one change.
    let joined = (0, [variable(b"redirect_url", b"x").1, variable(b"autocommit", b"ON").1].concat());
    let kept = ok_packet(0, b"", Some(&[variable(b"autocommit", b"ON")]));
    check(TRACKING, &[], &ok_packet(0, b"", Some(&[joined])), &kept);
}

#[test]
fn an_ok_in_place_of_an_eof_is_no_exception() {
    let url = variable(b"redirect_url", b"mysql://10.0.0.9:3306");
    let before: [&[u8]; 3] = [b"\x01", COLUMN, b"\x011"];
    let summary = check(
        TRACKING,
        &before,
        &ok_packet(0xFE, AZURE, Some(&[url, schema(b"shop")])),
        &ok_packet(0xFE, b"", Some(&[schema(b"shop")])),
    );
    assert_eq!((summary.rows, summary.tracked.schema.as_deref()), (1, Some(&b"shop"[..])));
}

#[test]
fn bytes_around_a_rewritten_packet_stay_and_go_out_in_order() {
    let more = |info: &[u8]| {
        let mut ok = ok_packet(0, info, None);
        ok[3] = 0x0A;
        ok
    };
    let (moved, emptied) = (more(AZURE), more(b""));
    let packets = |ok| wire(&[&b"\x01"[..], COLUMN, b"\x011", OK_END_MORE, ok, ok, b"\x01", COLUMN, b"\x012", OK_END]);
    let (summary, out) = check_splits(|| Response::new(Expect::Query, TRACKING.into()), &packets(&moved));
    assert_eq!(out, packets(&emptied));
    assert_eq!((summary.rows, summary.affected_rows), (2, 2));
}

#[test]
fn what_was_tracked_is_told() {
    let changes = [
        variable(b"sql_mode", b"STRICT_ALL_TABLES"),
        variable(b"character_set_client", b"gbk"),
        variable(b"time_zone", b"SYSTEM"),
        schema(b"shop"),
        (2, b"1".to_vec()),
    ];
    let ok = ok_packet(0, b"", Some(&changes));
    let tracked = check(TRACKING, &[], &ok, &ok).tracked;
    let expected = Tracked {
        sql_mode: Some(b"STRICT_ALL_TABLES".to_vec()),
        character_set_client: Some(b"gbk".to_vec()),
        schema: Some(b"shop".to_vec()),
    };
    assert_eq!(tracked, expected);
    let ok = ok_packet(0, b"", None);
    assert_eq!(check(TRACKING, &[], &ok, &ok).tracked, Tracked::default());
}

#[test]
fn session_tracking_that_cannot_be_read_is_refused() {
    let changed = |state: &[u8]| [&b"\x00\x01\x00\x02\x40\0\0\x00"[..], &text(state)].concat();
    for payload in [
        changed(b"\x00"),
        changed(b"\x00\x05\x01a"),
        changed(b"\x00\x02\x01a"),
        changed(b"\x01\x00"),
        [&ok_packet(0, b"", None)[..], b"\x0cREDIRECT_url\x01x"].concat(),
        b"\x00\x01\x00\x02\x40\0\0\x30location: mysql://elsewhere".to_vec(),
    ] {
        refused(Expect::Query, TRACKING, &[&payload]);
        assert!(without_redirect(&payload, TRACKING.into()).is_err(), "{payload:?}");
    }
    // MariaDB 10.11 with `character_set_server = ucs2`, after `USE d1`: the state's length is two bytes.
    let in_ucs2 = b"\x00\0\0\x02\x40\0\0\0\x00\x05\x01\x03\x02d1";
    check(TRACKING, &[], in_ucs2, in_ucs2);
    // MariaDB sets the flag and says nothing more when there is nothing to say.
    let silent = b"\x00\x01\x00\x02\x40\0\0";
    check(TRACKING, &[], silent, silent);
}

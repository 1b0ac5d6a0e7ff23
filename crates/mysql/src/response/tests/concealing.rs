//! Variables that lead round the gateway, in results of both protocols.

use super::*;
use crate::Unsupported;
use crate::conceal::is_mentioned;

const NOT_NULL: u8 = 1;

/// A column definition of that type and flags; `extended` puts MariaDB's further field in.
pub(super) fn column(org_table: &str, name: &str, column_type: u8, flags: u8, extended: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    for field in ["def", "", org_table, org_table, name, ""] {
        payload.push(field.len() as u8);
        payload.extend_from_slice(field.as_bytes());
    }
    if extended {
        payload.push(0);
    }
    payload.extend_from_slice(&[0x0C, 0x2D, 0, 0xFF, 0, 0, 0, column_type, flags, 0, 0, 0, 0]);
    payload
}

fn text_column(name: &str, flags: u8) -> Vec<u8> {
    column("", name, 0xFD, flags, false)
}

fn plain(name: &str) -> Vec<u8> {
    text_column(name, 0)
}

/// A result set of text columns, with its EOFs or without.
fn result_set(negotiated: Negotiated, columns: &[Vec<u8>], rows: &[&[u8]]) -> Vec<u8> {
    let count = [columns.len() as u8];
    let mut packets: Vec<&[u8]> = vec![&count];
    packets.extend(columns.iter().map(Vec::as_slice));
    let deprecate_eof = negotiated.has(Capabilities::CLIENT_DEPRECATE_EOF);
    packets.extend((!deprecate_eof).then_some(EOF));
    packets.extend_from_slice(rows);
    packets.push(if deprecate_eof { OK_END } else { EOF });
    wire(&packets)
}

/// Concealing makes `to` of `from`, at every split, and leaves what it made as it is.
fn check(expect: Expect, negotiated: Negotiated, from: &[u8], to: &[u8]) -> Summary {
    let response = || Response::new(expect, negotiated).with_concealing(None);
    let (summary, out) = check_splits(response, from);
    assert_eq!(out, to);
    assert_eq!(check_splits(response, to).1, to);
    // Not asked to conceal, it passes all of it.
    assert_eq!(check_splits(|| Response::new(expect, negotiated), from).1, from);
    summary
}

fn check_text(names: &[&str], row: &[u8], concealed: &[u8]) {
    for capabilities in [OLD, NEW] {
        let columns: Vec<_> = names.iter().map(|name| plain(name)).collect();
        let from = result_set(capabilities.into(), &columns, &[row, row]);
        let to = result_set(capabilities.into(), &columns, &[concealed, concealed]);
        assert_eq!(check(Expect::Query, capabilities.into(), &from, &to).rows, 2);
    }
}

#[test]
fn what_mysql_async_asks_has_no_socket() {
    let names = ["@@max_allowed_packet", "@@wait_timeout", "@@socket"];
    check_text(&names, b"\x0816777216\x0528800\x0d/run/s/m.sock", b"\x0816777216\x0528800\xfb");
}

#[test]
fn a_variable_is_known_by_its_name_however_it_is_written() {
    for name in [
        "@@socket",
        "@@SOCKET",
        "@@global.socket",
        "@@GLOBAL.`socket`",
        "@@session.extra_port",
        "@@local . admin_port",
        "@@persist.admin_address",
        "@@mysqlx_port",
        "@@mysqlx_socket",
        "@@redirect_url",
    ] {
        check_text(&[name, "other"], b"\x04here\x011", b"\xfb\x011");
    }
    for name in ["@@sockets", "@@other.socket", "@@port", "socket", "sockets", "@socket", "@@socket_", "s"] {
        check_text(&[name], b"\x04here", b"\x04here");
    }
    // An application's own column.
    let own = [column("devices", "socket", 0xFD, 0, false)];
    let wire = result_set(NEW.into(), &own, &[b"\x04left"]);
    check(Expect::Query, NEW.into(), &wire, &wire);
}

#[test]
fn rows_of_show_variables_lose_their_value() {
    for names in [["Variable_name", "Value"], ["VARIABLE_NAME", "VARIABLE_VALUE"], ["VARIABLE_NAME", "GLOBAL_VALUE"]] {
        check_text(&names, b"\x06socket\x0c/run/my.sock", b"\x06socket\x00");
        check_text(&names, b"\x0aEXTRA_PORT\x0533061", b"\x0aEXTRA_PORT\x00");
        check_text(&names, b"\x04port\x043306", b"\x04port\x043306");
        check_text(&names, b"\xfb\x043306", b"\xfb\x043306");
        check_text(&names, b"\x06socket\xfb", b"\x06socket\xfb");
    }
    check_text(&["Value", "Variable_name"], b"\x0c/run/my.sock\x06socket", b"\x00\x06socket");
    check_text(&["Value", "name"], b"\x0c/run/my.sock\x06socket", b"\x0c/run/my.sock\x06socket");
}

#[test]
fn a_column_made_null_is_no_longer_not_null() {
    let (from, to) = ([text_column("@@socket", NOT_NULL | 0x10)], [text_column("@@socket", 0x10)]);
    for capabilities in [OLD, NEW] {
        let from = result_set(capabilities.into(), &from, &[b"\x04here"]);
        let to = result_set(capabilities.into(), &to, &[b"\xfb"]);
        check(Expect::Query, capabilities.into(), &from, &to);
    }
    // In what a prepare says too, for clients keep that.
    let prepared = |column: &[u8]| wire(&[b"\x00\x05\0\0\0\x01\0\x01\0\0\0\0", COLUMN, column]);
    check(Expect::Prepare, NEW.into(), &prepared(&from[0]), &prepared(&to[0]));
}

#[test]
fn binary_rows_are_concealed_too() {
    let columns = |flags| {
        [
            column("", "@@wait_timeout", 8, NOT_NULL, false),
            column("", "@@socket", 0xFD, flags, false),
            column("", "now", 12, 0, false),
            column("", "@@extra_port", 3, flags, false),
            column("", "n", 6, 0, false),
            column("", "tiny", 1, 0, false),
        ]
    };
    // NULL bits start at the third: `n` is NULL.
    let row = b"\x00\x40\x01\0\0\0\0\0\0\0\x04here\x04\xea\x07\x0b\x15\x2a\0\0\0\x07";
    let concealed = b"\x00\x68\x01\0\0\0\0\0\0\0\x04\xea\x07\x0b\x15\x07";
    for capabilities in [OLD, NEW] {
        let from = result_set(capabilities.into(), &columns(NOT_NULL), &[row]);
        let to = result_set(capabilities.into(), &columns(0), &[concealed]);
        check(Expect::Execute { cursor: false }, capabilities.into(), &from, &to);
    }
    let columns = [plain("Variable_name"), plain("Value")];
    let from = result_set(NEW.into(), &columns, &[b"\x00\x00\x06socket\x04here", b"\x00\x00\x04port\x043306"]);
    let to = result_set(NEW.into(), &columns, &[b"\x00\x00\x06socket\x00", b"\x00\x00\x04port\x043306"]);
    check(Expect::Execute { cursor: false }, NEW.into(), &from, &to);
}

#[test]
fn definitions_of_mariadb_have_one_more_field() {
    let mariadb = MariaDbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA;
    let negotiated = Negotiated { standard: NEW, mariadb };
    let from = result_set(negotiated, &[column("", "@@socket", 0xFD, NOT_NULL, true)], &[b"\x04here"]);
    let to = result_set(negotiated, &[column("", "@@socket", 0xFD, 0, true)], &[b"\xfb"]);
    check(Expect::Query, negotiated, &from, &to);
    let without = result_set(NEW.into(), &[plain("@@socket")], &[b"\x04here"]);
    assert!(feed_pieces(Response::new(Expect::Query, negotiated).with_concealing(None), [&without[..]]).is_err());
}

#[test]
fn every_result_set_of_a_chain_is_looked_at() {
    let chain = |column: &[u8], first: &[u8], second: &[u8]| {
        wire(&[
            b"\x01",
            &plain("a"),
            b"\x011",
            OK_END_MORE,
            b"\x01",
            column,
            first,
            OK_END_MORE,
            b"\x01",
            column,
            second,
            OK_END,
        ])
    };
    let socket = plain("@@socket");
    let from = chain(&socket, b"\x04here", b"\x05there");
    check(Expect::Query, NEW.into(), &from, &chain(&socket, b"\xfb", b"\xfb"));
}

#[test]
fn without_metadata_only_what_is_known_is_passed() {
    let mariadb = MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA;
    let cached = Negotiated { standard: NEW, mariadb };
    let execute = Expect::Execute { cursor: false };
    let concealing = |expect, known| Response::new(expect, cached).with_concealing(known);
    let first = wire(&[b"\x01\x01", &plain("@@socket"), b"\x00\x00\x04here", OK_END]);
    let fed = feed_pieces(concealing(execute, None), [&first[..]]).unwrap();
    let plan = fed.response.plan().unwrap().clone();
    assert!(plan.hides());
    assert_eq!(plan.len(), 1);

    let again = |count: u8| wire(&[&[count, 0], b"\x00\x00\x04here", OK_END]);
    let fed = feed_pieces(concealing(execute, Some(plan.clone())), [&again(1)[..]]).unwrap();
    assert_eq!(fed.out, wire(&[b"\x01\x00", b"\x00\x04", OK_END]));
    assert_eq!(fed.response.plan(), Some(&plan));
    let fetched = wire(&[b"\x00\x00\x04here", b"\x00\x04", OK_END]);
    let fed = feed_pieces(concealing(Expect::Fetch, Some(plan.clone())), [&fetched[..]]).unwrap();
    assert_eq!(fed.out, wire(&[b"\x00\x04", b"\x00\x04", OK_END]));

    let unknown = ProtocolError::Unsupported(Unsupported::ConcealingWithoutMetadata);
    let more =
        [&again(1)[..again(1).len() - 11], &wire_from(3, &[OK_END_MORE, b"\x01\x00", b"\x00\x00\x04here", OK_END])]
            .concat();
    for (expect, known, wire) in [
        (execute, None, again(1)),
        (execute, Some(plan.clone()), again(2)),
        (Expect::Fetch, None, fetched),
        // The plan is of the first result set only.
        (execute, Some(plan), more),
    ] {
        assert_eq!(feed_pieces(concealing(expect, known), [&wire[..]]).err(), Some(unknown.clone()));
    }
    // No row, nothing to conceal.
    let empty = wire(&[b"\xfe\0\0\x82\0\0\0"]);
    assert!(feed_pieces(concealing(Expect::Fetch, None), [&empty[..]]).is_ok());
}

#[test]
fn rows_without_anything_to_conceal_go_through_in_pieces() {
    let mut response = Response::new(Expect::Query, NEW.into()).with_concealing(None);
    response.feed(&wire(&[b"\x01", &plain("a")])).unwrap();
    let row = [0xFF, 0xFF, 0xFF, 3, 0xFD];
    assert_eq!(response.feed(&row).unwrap().consumed, row.len());
    let mut response = Response::new(Expect::Query, NEW.into()).with_concealing(None);
    response.feed(&wire(&[b"\x01", &plain("@@socket")])).unwrap();
    assert!(matches!(response.feed(&row), Err(ProtocolError::Misbehaved(Misbehaviour::PacketTooLarge { .. }))));
}

#[test]
fn rows_that_do_not_fit_their_columns_are_refused() {
    for row in [&b"\x04her"[..], b"\x04here\x00", b"\xfb\xfb"] {
        let wire = result_set(NEW.into(), &[plain("@@socket")], &[row]);
        assert!(feed_pieces(Response::new(Expect::Query, NEW.into()).with_concealing(None), [&wire[..]]).is_err());
    }
}

#[test]
fn statements_that_may_ask_are_known() {
    for sql in [
        &b"SELECT @@max_allowed_packet,@@wait_timeout,@@socket"[..],
        b"show VARIABLES like 'max%'",
        b"select @@Extra_Port",
        b"SELECT @@ADMIN_ADDRESS",
        b"select @@admin_port",
        b"select @@mysqlx_port",
        b"select @@redirect_url",
        b"select * from performance_schema.session_variables",
        b"socket",
    ] {
        assert!(is_mentioned(sql), "{}", String::from_utf8_lossy(sql));
    }
    for sql in
        [&b"SELECT * FROM orders WHERE k = 'value' AND v_port = 1"[..], b"", b"k", b"_port", b"sock", b"variable"]
    {
        assert!(!is_mentioned(sql), "{}", String::from_utf8_lossy(sql));
    }
}

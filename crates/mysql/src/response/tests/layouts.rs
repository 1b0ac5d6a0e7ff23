//! Answers as capabilities and commands lay them out, taken from MySQL 9.7 and MariaDB 10.11.

use super::*;

const OPTIONAL: Capabilities = Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA;
/// EOF behind column definitions with CURSOR_EXISTS, or all rows sent.
const EOF_CURSOR: &[u8] = b"\xfe\0\0\x62\0";
const EOF_LAST_ROW: &[u8] = b"\xfe\0\0\x82\0";
const OK_CURSOR: &[u8] = b"\xfe\0\0\x62\0\0\0";
const OK_LAST_ROW: &[u8] = b"\xfe\0\0\x82\0\0\0";
const ROW: &[u8] = b"\x00\x00\x01\0\0\0";

fn maria(standard: Capabilities, mariadb: MariaDbCapabilities) -> Negotiated {
    Negotiated { standard, mariadb }
}

fn cached(standard: Capabilities) -> Negotiated {
    maria(standard, MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA)
}

#[test]
fn a_flag_behind_the_number_of_columns_says_whether_definitions_follow() {
    for (negotiated, eof, end) in [
        (Negotiated::from(OLD | OPTIONAL), true, EOF),
        (Negotiated::from(NEW | OPTIONAL), false, OK_END),
        (cached(OLD), true, EOF),
        (cached(NEW), false, OK_END),
    ] {
        for expect in [Expect::Query, Expect::Execute { cursor: false }] {
            let mut with = vec![&b"\x01\x01"[..], COLUMN];
            let mut without = vec![&b"\x01\x00"[..]];
            for packets in [&mut with, &mut without] {
                // It comes even where no definition does.
                packets.extend(eof.then_some(EOF));
                packets.extend([ROW, ROW, end]);
                let summary = check_every_split(expect, negotiated, packets);
                assert_eq!((summary.rows, summary.result_sets), (2, 1), "{packets:?}");
            }
        }
        for broken in [&b"\x01"[..], b"\x01\x02", b"\x01\x01\x00"] {
            refused(Expect::Query, negotiated, &[broken]);
        }
    }
    refused(Expect::Query, NEW, &[b"\x01\x01"]);
}

#[test]
fn a_prepare_answer_without_definitions_keeps_its_eofs() {
    let statement = |flag: u8| {
        let mut payload = b"\x00\x01\0\0\0\x03\0\x01\0\0\0\0".to_vec();
        payload.push(flag);
        payload
    };
    let prepared = Some(Prepared { statement_id: 1, columns: 3, parameters: 1 });
    let (none, full) = (statement(0), statement(1));
    for (capabilities, packets) in [
        (OLD | OPTIONAL, &[&none[..], EOF, EOF][..]),
        (NEW | OPTIONAL, &[&none]),
        (OLD | OPTIONAL, &[&full, COLUMN, EOF, COLUMN, COLUMN, COLUMN, EOF]),
        (NEW | OPTIONAL, &[&full, COLUMN, COLUMN, COLUMN, COLUMN]),
    ] {
        assert_eq!(check_every_split(Expect::Prepare, capabilities, packets).prepared, prepared);
    }
    let only_columns = b"\x00\x01\0\0\0\x03\0\0\0\0\0\0\x00";
    check_every_split(Expect::Prepare, OLD | OPTIONAL, &[only_columns, EOF]);
    check_every_split(Expect::Prepare, NEW | OPTIONAL, &[only_columns]);
    let only_parameters = b"\x00\x01\0\0\0\0\0\x01\0\0\0\0\x00";
    check_every_split(Expect::Prepare, OLD | OPTIONAL, &[only_parameters, EOF]);
    check_every_split(Expect::Prepare, NEW | OPTIONAL, &[only_parameters]);
    // MariaDB's caching leaves this answer as it was.
    check_every_split(Expect::Prepare, cached(NEW), &[PREPARED_2_1, COLUMN, COLUMN, COLUMN]);
    refused(Expect::Prepare, cached(NEW), &[&full]);
}

#[test]
fn a_cursor_leaves_the_rows_to_be_fetched() {
    let cursor = Expect::Execute { cursor: true };
    let open = check_every_split(cursor, OLD, &[b"\x01", COLUMN, EOF_CURSOR]);
    assert_eq!((open.rows, open.result_sets, open.status), (0, 1, 0x62));
    assert_eq!(check_every_split(cursor, NEW, &[b"\x01", COLUMN, OK_CURSOR]).status, 0x62);
    check_every_split(cursor, cached(OLD), &[b"\x01\x00", EOF_CURSOR]);
    check_every_split(cursor, cached(NEW), &[b"\x01\x00", OK_CURSOR]);
    // The server may send the rows at once all the same, or have none to send.
    check_every_split(cursor, OLD, &[OK_3]);
    assert_eq!(check_every_split(cursor, OLD, &[b"\x01", COLUMN, EOF, ROW, EOF]).rows, 1);
    assert_eq!(check_every_split(cursor, NEW, &[b"\x01", COLUMN, ROW, OK_END]).rows, 1);
}

#[test]
fn a_stale_cursor_flag_is_no_cursor() {
    // MySQL 9.7 leaves the flag set after a routine used a cursor of its own.
    let plain = Expect::Execute { cursor: false };
    assert_eq!(check_every_split(plain, OLD, &[b"\x01", COLUMN, EOF_CURSOR, ROW, EOF_CURSOR]).rows, 1);
    assert_eq!(check_every_split(Expect::Query, OLD, &[b"\x01", COLUMN, EOF_CURSOR, b"\x011", EOF]).rows, 1);
}

#[test]
fn fetched_rows_come_without_anything_before_them() {
    for (capabilities, more, last) in [(OLD, EOF_CURSOR, EOF_LAST_ROW), (NEW, OK_CURSOR, OK_LAST_ROW)] {
        let summary = check_every_split(Expect::Fetch, capabilities, &[ROW, ROW, more]);
        assert_eq!((summary.rows, summary.result_sets, summary.status), (2, 0, 0x62));
        assert_eq!(check_every_split(Expect::Fetch, capabilities, &[last]).status, 0x82);
        let error = check_every_split(Expect::Fetch, capabilities, &[ROW, DENIED]);
        assert_eq!((error.rows, error.error.unwrap().code), (1, 1142));
    }
    refused(Expect::Fetch, NEW, &[b"\x011"]);
}

#[test]
fn a_bulk_execution_is_answered_with_an_ok_or_rows() {
    let bulk = maria(
        NEW,
        MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS
            | MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA
            | MariaDbCapabilities::MARIADB_CLIENT_BULK_UNIT_RESULTS,
    );
    let ok = b"\x00\x03\x01\x02\0\0\0\x26Records: 3  Duplicates: 0  Warnings: 0";
    assert_eq!(check_every_split(Expect::BulkExecute, bulk, &[ok]).affected_rows, 3);
    let rows = check_every_split(Expect::BulkExecute, bulk, &[b"\x02\x01", COLUMN, COLUMN, ROW, ROW, ROW, OK_END]);
    assert_eq!((rows.rows, rows.result_sets), (3, 1));
}

#[test]
fn reports_of_progress_end_nothing() {
    let progress = maria(OLD, MariaDbCapabilities::MARIADB_CLIENT_PROGRESS);
    let report = b"\xff\xff\xff\x01\x01\x02\x42\0\0\x11copy to tmp table";
    let summary = check_every_split(Expect::Query, progress, &[report, report, OK_3]);
    assert_eq!((summary.affected_rows, summary.error), (3, None));
    let rows = check_every_split(Expect::Query, progress, &[report, b"\x01", COLUMN, EOF, b"\x011", report, EOF]);
    assert_eq!((rows.rows, rows.error), (1, None));
    assert_eq!(check_every_split(Expect::Query, progress, &[report, DENIED]).error.unwrap().code, 1142);
    // Without the capability it is an error like any other.
    assert_eq!(check_every_split(Expect::Query, OLD, &[report]).error.unwrap().code, 0xFFFF);
}

#[test]
fn events_of_a_binary_log_go_on_until_an_eof_or_error() {
    for capabilities in [OLD, NEW] {
        let event = b"\x00\0\0\0\0\x04\x01\0\0\0\x2f\0\0\0\xff\xff\0\0\x20\0binlog.000001";
        let summary = check_every_split(Expect::BinlogDump, capabilities, &[event, event, EOF]);
        assert_eq!((summary.rows, summary.result_sets), (0, 0));
        let denied = check_every_split(Expect::BinlogDump, capabilities, &[event, DENIED]);
        assert_eq!(denied.error.unwrap().code, 1142);
        refused(Expect::BinlogDump, capabilities, &[b"\x01"]);
    }
}

#[test]
fn packets_that_must_be_whole_have_a_limit() {
    let head = [0, 0, 0x11, 1];
    for first in [0x00, 0xFF] {
        let wire = [&head[..], &[first]].concat();
        let error = Response::new(Expect::Query, NEW.into()).feed(&wire).unwrap_err();
        assert_eq!(error, Misbehaviour::PacketTooLarge { len: 0x11_0000, max: 0x10_0000 }.into());
    }
    // A row has none.
    let mut response = Response::new(Expect::Query, NEW.into());
    response.feed(&wire(&[b"\x01", COLUMN])).unwrap();
    let row = [0xFF, 0xFF, 0xFF, 3, 0xFD];
    assert_eq!(response.feed(&row).unwrap().consumed, row.len());
    assert!(response.is_within_packet());
}

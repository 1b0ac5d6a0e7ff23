//! Rows taken for a recording: as the client gets them, up to a bound, however the answer is cut.

use super::concealing::column;
use super::*;

const MANY: RowLimits = RowLimits { rows: 100, bytes: 100_000 };

/// Result set, number of the first row, values, and whether more was not taken.
type Seen = (u32, u64, Vec<Option<String>>, bool);

fn seen(rows: &TakenRows) -> Seen {
    let values = rows.values().map(|value| value.map(|value| String::from_utf8_lossy(value).into_owned())).collect();
    (rows.result_set, rows.first, values, rows.truncated)
}

/// Everything that is taken of an answer that comes in pieces of `size` bytes, pieces of one result set put together.
fn taken(mut response: Response, wire: &[u8], size: usize) -> (Vec<Seen>, Response) {
    let (mut all, mut unread): (Vec<Seen>, Vec<u8>) = (Vec::new(), Vec::new());
    for piece in wire.chunks(size) {
        unread.extend_from_slice(piece);
        let consumed = response.feed(&unread).unwrap().consumed;
        unread.drain(..consumed);
        for rows in response.take_rows() {
            let rows = seen(&rows);
            match all.last_mut() {
                Some(last) if last.0 == rows.0 => {
                    last.2.extend(rows.2);
                    last.3 |= rows.3;
                }
                _ => all.push(rows),
            }
        }
    }
    assert!(unread.is_empty());
    (all, response)
}

fn texts(values: &[Option<&str>]) -> Vec<Option<String>> {
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

fn named(name: &str, column_type: u8) -> Vec<u8> {
    column("", name, column_type, 0, false)
}

#[test]
fn text_rows_of_several_results_are_taken_however_they_are_cut() {
    let (id, item) = (named("id", 3), named("item", 0xFD));
    let answer: [&[u8]; 12] =
        [&[2], &id, &item, EOF, b"\x011\x03tea", b"\x012\xfb", EOF_MORE, &[1], &item, EOF, b"\x00", EOF];
    let wire = wire(&answer);
    for size in 1..=wire.len() {
        // With whole packets in between, as where something is concealed, it is the same.
        for conceals in [false, true] {
            let response = Response::new(Expect::Query, OLD.into()).with_rows(MANY, None);
            let response = if conceals { response.with_concealing(None) } else { response };
            let (all, mut response) = taken(response, &wire, size);
            let first = texts(&[Some("1"), Some("tea"), Some("2"), None]);
            assert_eq!(all, [(0, 0, first, false), (1, 0, texts(&[Some("")]), false)], "pieces of {size}");
            assert_eq!(response.columns().unwrap().names(), ["id", "item"]);
        }
    }
}

#[test]
fn what_is_concealed_is_taken_as_the_client_gets_it() {
    let wire = wire(&[&[1], &named("@@socket", 0xFD), EOF, b"\x04/tmp", EOF]);
    let response = Response::new(Expect::Query, OLD.into()).with_concealing(None).with_rows(MANY, None);
    assert_eq!(taken(response, &wire, wire.len()).0, [(0, 0, texts(&[None]), false)]);
}

#[test]
fn what_is_over_a_bound_is_not_taken_and_that_is_said() {
    let item = named("item", 0xFD);
    let wire =
        wire(&[&[1], &item, EOF, b"\x03one", b"\x03two", b"\x05three", EOF_MORE, &[1], &item, EOF, b"\x01x", EOF]);
    let take = |rows, bytes, size| {
        let limits = RowLimits { rows, bytes };
        taken(Response::new(Expect::Query, OLD.into()).with_rows(limits, None), &wire, size).0
    };
    let two = [(0, 0, texts(&[Some("one"), Some("two")]), true)];
    for size in [1, 7, wire.len()] {
        assert_eq!(take(2, 100_000, size), two, "pieces of {size}");
        assert_eq!(take(0, 100_000, size), [(0, 0, vec![], true)]);
        assert_eq!(take(100, 10, size), [(0, 0, vec![], true)]);
    }
    // The name, and two values of four bytes on the wire.
    assert_eq!(take(100, 4 + 64 + 2 * (4 + 64), wire.len()), two);
    assert_eq!(take(100, 100_000, wire.len()).len(), 2);
}

#[test]
fn binary_rows_need_the_types_and_know_them_from_an_earlier_answer() {
    let (id, item) = (named("id", 3), named("item", 0xFD));
    let row: &[u8] = b"\x00\x00\x07\0\0\0\x03tea";
    let null: &[u8] = b"\x00\x08\x08\0\0\0";
    let executed = wire(&[&[2], &id, &item, EOF, row, null, EOF]);
    let execute = Expect::Execute { cursor: false };
    let values = texts(&[Some("7"), Some("tea"), Some("8"), None]);
    let (all, mut response) = taken(Response::new(execute, OLD.into()).with_rows(MANY, None), &executed, 3);
    assert_eq!(all, [(0, 0, values.clone(), false)]);

    let known = response.columns().cloned();
    let fetched = wire(&[row, null, EOF]);
    let fetch = |known| taken(Response::new(Expect::Fetch, OLD.into()).with_rows(MANY, known), &fetched, 5).0;
    assert_eq!(fetch(known), [(0, 0, values, false)]);
    assert_eq!(fetch(None), [(0, 0, vec![], true)]);
}

#[test]
fn a_row_that_cannot_be_read_is_not_passed() {
    for row in [&b"\x05tea"[..], b"\x03tea\x01"] {
        let wire = wire(&[&[1], &named("item", 0xFD), EOF, row, EOF]);
        assert!(Response::new(Expect::Query, OLD.into()).feed(&wire).is_ok());
        assert!(Response::new(Expect::Query, OLD.into()).with_rows(MANY, None).feed(&wire).is_err());
    }
}

#[test]
fn of_a_result_with_more_names_than_may_be_taken_nothing_is_kept() {
    let item = named("item", 0xFD);
    let mut packets: Vec<&[u8]> = vec![&[9]];
    packets.extend([&item[..]; 9]);
    packets.extend([EOF, b"\0\0\0\0\0\0\0\0\0", EOF]);
    let wire = wire(&packets);
    for size in [1, wire.len()] {
        let limits = RowLimits { rows: 1, bytes: 8 * (4 + 64) };
        let (all, mut response) = taken(Response::new(Expect::Query, OLD.into()).with_rows(limits, None), &wire, size);
        assert_eq!(all, [(0, 0, vec![], true)]);
        assert_eq!(response.columns(), None);
    }
}

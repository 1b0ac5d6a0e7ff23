mod concealing;
mod layouts;
mod redirects;
mod taking;

use super::*;
use crate::limits::{LOCAL_INFILE_NAME_MAX, PACKET_PAYLOAD_MAX};
use crate::packet::write_packet;
use crate::{Fault, Misbehaviour};

const OLD: Capabilities = Capabilities::CLIENT_PROTOCOL_41;
const NEW: Capabilities = Capabilities::CLIENT_PROTOCOL_41.union(Capabilities::CLIENT_DEPRECATE_EOF);

const COLUMN: &[u8] = b"\x03def\x04shop\x05users\x05users\x02id\x02id\x0c\x3f\0\x0b\0\0\0\x03\x03\x42\0\0\0";
const OK_3: &[u8] = b"\x00\x03\x07\x02\0\x01\0";
const EOF: &[u8] = b"\xfe\0\0\x02\0";
const EOF_MORE: &[u8] = b"\xfe\0\0\x0a\0";
const OK_END: &[u8] = b"\xfe\0\0\x02\0\0\0";
const OK_END_MORE: &[u8] = b"\xfe\0\0\x0a\0\0\0";
const DENIED: &[u8] = b"\xff\x76\x04#42000SELECT command denied";
const PREPARED_2_1: &[u8] = b"\x00\x05\0\0\0\x02\0\x01\0\0\x03\0";

fn wire(payloads: &[&[u8]]) -> Vec<u8> {
    wire_from(1, payloads)
}

fn wire_from(mut sequence_id: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        write_packet(&mut wire, &mut sequence_id, payload);
    }
    wire
}

/// An answer fed in pieces, and what went to the client.
struct Fed {
    response: Response,
    out: Vec<u8>,
    state: State,
}

/// Feeds pieces as a connection does: what was not consumed is fed again with the next piece behind it. A file that is asked
/// for is taken as sent in one packet with the empty one behind it.
fn feed_pieces<'p>(mut response: Response, pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Fed, ProtocolError> {
    let (mut unread, mut out, mut state) = (Vec::new(), Vec::new(), State::More);
    for piece in pieces {
        assert_ne!(state, State::Complete, "over before its last byte");
        unread.extend_from_slice(piece);
        loop {
            let progress = response.feed(&unread)?;
            match progress.pass {
                Pass::Verbatim => out.extend_from_slice(&unread[..progress.consumed]),
                Pass::Rewritten(bytes) => out.extend_from_slice(&bytes),
            }
            unread.drain(..progress.consumed);
            state = progress.state;
            if state == State::LocalInfile {
                response.local_infile_sent(response.next_sequence_id().wrapping_add(1))?;
                state = State::More;
            }
            if progress.consumed == 0 || state == State::Complete || unread.is_empty() {
                break;
            }
        }
    }
    assert!(unread.is_empty() || state == State::More, "bytes left behind the answer");
    Ok(Fed { response, out, state })
}

/// Feeds bytes whole, byte by byte, and in two pieces cut at every place; each must come to the same. Returns the summary
/// and what the client got.
fn check_splits(response: impl Fn() -> Response, wire: &[u8]) -> (Summary, Vec<u8>) {
    let whole = feed_pieces(response(), [wire]).unwrap_or_else(|error| panic!("{error} in {wire:?}"));
    assert_eq!((whole.state, whole.response.summary().bytes), (State::Complete, wire.len() as u64), "{wire:?}");
    let same = |fed: Result<Fed, ProtocolError>, how: &str| {
        let fed = fed.unwrap_or_else(|error| panic!("{error}, {how} of {wire:?}"));
        assert_eq!(fed.state, State::Complete, "{how}");
        assert_eq!(fed.response.summary(), whole.response.summary(), "{how}");
        assert!(fed.out == whole.out, "{how}: {:?} is not {:?}", fed.out, whole.out);
    };
    same(feed_pieces(response(), wire.chunks(1)), "byte by byte");
    for at in 1..wire.len() {
        let (front, back) = wire.split_at(at);
        same(feed_pieces(response(), [front, back]), &format!("cut at {at}"));
    }
    (whole.response.summary().clone(), whole.out)
}

/// [`check_splits`] of an answer that goes through as it is.
fn check_every_split(expect: Expect, negotiated: impl Into<Negotiated>, payloads: &[&[u8]]) -> Summary {
    let wire = wire(payloads);
    let negotiated = negotiated.into();
    let (whole, out) = check_splits(|| Response::new(expect, negotiated), &wire);
    assert_eq!(out, wire);
    // What comes behind the answer is not taken for a part of it.
    let mut response = Response::new(expect, negotiated);
    let behind = [&wire[..], b"\x01\0\0\0\x0e"].concat();
    let over = Progress { consumed: wire.len(), pass: Pass::Verbatim, state: State::Complete };
    assert_eq!(response.feed(&behind), Ok(over));
    assert!(response.feed(b"\x01").is_err());
    whole
}

fn refused(expect: Expect, negotiated: impl Into<Negotiated>, payloads: &[&[u8]]) -> ProtocolError {
    let (wire, negotiated) = (wire(payloads), negotiated.into());
    let whole = feed_pieces(Response::new(expect, negotiated), [&wire[..]]).err().expect("no error");
    let by_byte = feed_pieces(Response::new(expect, negotiated), wire.chunks(1)).err();
    assert_eq!(by_byte.as_ref(), Some(&whole));
    whole
}

#[test]
fn an_ok_ends_the_answer() {
    for (expect, capabilities) in
        [(Expect::Query, OLD), (Expect::Execute { cursor: false }, NEW), (Expect::Simple, OLD)]
    {
        let summary = check_every_split(expect, capabilities, &[OK_3]);
        assert_eq!((summary.affected_rows, summary.last_insert_id), (3, 7));
        assert_eq!((summary.status, summary.warnings, summary.result_sets), (2, 1, 0));
    }
}

#[test]
fn an_error_ends_the_answer_to_every_command() {
    let all = [
        Expect::Query,
        Expect::Prepare,
        Expect::Execute { cursor: false },
        Expect::FieldList,
        Expect::Statistics,
        Expect::Simple,
    ];
    for expect in all {
        let error = check_every_split(expect, OLD, &[DENIED]).error.unwrap();
        let message = "SELECT command denied".to_owned();
        assert_eq!(error, ResponseError { code: 1142, sqlstate: Some(*b"42000"), message });
    }
}

#[test]
fn a_long_error_is_cut_and_what_is_no_text_replaced() {
    let long = [DENIED, &[b'x'; 1000]].concat();
    let error = check_every_split(Expect::Query, NEW, &[&long]).error.unwrap();
    assert_eq!(error.message.len(), 512 - 9);
    let binary = [b"\xff\x76\x04#42000\xe9".to_vec()].concat();
    assert_eq!(check_every_split(Expect::Query, NEW, &[&binary]).error.unwrap().message, "\u{fffd}");
}

#[test]
fn text_rows_are_counted() {
    for (capabilities, packets) in [
        (OLD, &[b"\x02", COLUMN, COLUMN, EOF, b"\x011\x03bob", b"\xfb\x00", EOF][..]),
        (NEW, &[b"\x02", COLUMN, COLUMN, b"\x011\x03bob", b"\xfb\x00", OK_END]),
    ] {
        let summary = check_every_split(Expect::Query, capabilities, packets);
        assert_eq!((summary.rows, summary.result_sets, summary.status), (2, 1, 2));
    }
}

#[test]
fn binary_rows_are_counted() {
    for (capabilities, packets) in [
        (OLD, &[b"\x01", COLUMN, EOF, b"\x00\x00\x01\0\0\0", b"\x00\x04", EOF][..]),
        (NEW, &[b"\x01", COLUMN, b"\x00\x00\x01\0\0\0", b"\x00\x04", OK_END]),
    ] {
        let summary = check_every_split(Expect::Execute { cursor: false }, capabilities, packets);
        assert_eq!((summary.rows, summary.result_sets), (2, 1));
    }
}

#[test]
fn an_empty_result_set_has_no_rows() {
    assert_eq!(check_every_split(Expect::Query, OLD, &[b"\x01", COLUMN, EOF, EOF]).rows, 0);
    assert_eq!(check_every_split(Expect::Query, NEW, &[b"\x01", COLUMN, OK_END]).rows, 0);
}

#[test]
fn further_results_are_followed() {
    for (capabilities, packets) in [
        (OLD, &[b"\x01", COLUMN, EOF, b"\x011", EOF_MORE, b"\x01", COLUMN, EOF, b"\x012", EOF_MORE, OK_3][..]),
        (NEW, &[b"\x01", COLUMN, b"\x011", OK_END_MORE, b"\x01", COLUMN, b"\x012", OK_END_MORE, OK_3]),
    ] {
        let summary = check_every_split(Expect::Query, capabilities, packets);
        assert_eq!((summary.rows, summary.result_sets, summary.affected_rows), (2, 2, 3));
    }
    let ok_more = b"\x00\x01\x00\x0a\0\0\0";
    assert_eq!(check_every_split(Expect::Query, OLD, &[ok_more, ok_more, OK_3]).affected_rows, 5);
}

#[test]
fn what_follows_out_parameters_is_said_behind_their_columns() {
    // MySQL 9.7 without DEPRECATE_EOF: MORE_RESULTS | PS_OUT_PARAMS there, and no MORE_RESULTS behind the row.
    let (columns_end, rows_end) = (b"\xfe\0\0\x2a\x10", b"\xfe\0\0\x22\0");
    let packets: &[&[u8]] = &[b"\x01", COLUMN, columns_end, b"\x00\x00\x01\0\0\0", rows_end, OK_3];
    let summary = check_every_split(Expect::Execute { cursor: false }, OLD, packets);
    assert_eq!((summary.rows, summary.result_sets, summary.affected_rows), (1, 1, 3));
}

#[test]
fn an_error_ends_the_chain_of_results() {
    let after_rows = check_every_split(Expect::Query, NEW, &[b"\x01", COLUMN, b"\x011", DENIED]);
    assert_eq!((after_rows.rows, after_rows.error.unwrap().code), (1, 1142));
    let in_chain = check_every_split(Expect::Query, OLD, &[b"\x01", COLUMN, EOF, b"\x011", EOF_MORE, DENIED]);
    assert_eq!((in_chain.rows, in_chain.error.unwrap().code), (1, 1142));
}

#[test]
fn a_prepared_statement_has_definitions_of_both_kinds() {
    let prepared = Some(Prepared { statement_id: 5, columns: 2, parameters: 1 });
    for (capabilities, packets) in
        [(OLD, &[PREPARED_2_1, COLUMN, EOF, COLUMN, COLUMN, EOF][..]), (NEW, &[PREPARED_2_1, COLUMN, COLUMN, COLUMN])]
    {
        let summary = check_every_split(Expect::Prepare, capabilities, packets);
        assert_eq!((summary.prepared, summary.result_sets), (prepared, 0));
    }
    for capabilities in [OLD, NEW] {
        let bare = check_every_split(Expect::Prepare, capabilities, &[b"\x00\x05\0\0\0\0\0\0\0\0\0\0"]);
        assert_eq!(bare.prepared, Some(Prepared { statement_id: 5, columns: 0, parameters: 0 }));
    }
    let columns_only = b"\x00\x05\0\0\0\x01\0\0\0\0\0\0";
    check_every_split(Expect::Prepare, OLD, &[columns_only, COLUMN, EOF]);
    check_every_split(Expect::Prepare, NEW, &[columns_only, COLUMN]);
    let parameters_only = b"\x00\x05\0\0\0\0\0\x01\0\0\0\0";
    check_every_split(Expect::Prepare, OLD, &[parameters_only, COLUMN, EOF]);
    check_every_split(Expect::Prepare, NEW, &[parameters_only, COLUMN]);
}

#[test]
fn a_field_list_ends_with_its_eof() {
    check_every_split(Expect::FieldList, OLD, &[COLUMN, COLUMN, EOF]);
    check_every_split(Expect::FieldList, NEW, &[COLUMN, OK_END]);
    check_every_split(Expect::FieldList, OLD, &[EOF]);
}

#[test]
fn statistics_are_a_bare_string() {
    check_every_split(Expect::Statistics, NEW, &[b"Uptime: 1187  Threads: 1"]);
}

#[test]
fn a_row_of_16_mib_may_start_with_the_byte_of_eof() {
    for (capabilities, end) in [(OLD, EOF), (NEW, OK_END)] {
        for len in [PACKET_PAYLOAD_MAX, PACKET_PAYLOAD_MAX + 1, 2 * PACKET_PAYLOAD_MAX] {
            let mut row = vec![b'x'; len];
            row[0] = 0xFE;
            let mut packets: Vec<&[u8]> = vec![b"\x01", COLUMN];
            if capabilities == OLD {
                packets.push(EOF);
            }
            packets.extend_from_slice(&[&row, b"\x011", end]);
            let wire = wire(&packets);
            for piece in [wire.len(), PACKET_PAYLOAD_MAX, 65_536 - 1] {
                let mut response = Response::new(Expect::Query, capabilities.into());
                let state = wire.chunks(piece).map(|piece| response.feed(piece).unwrap().state).last();
                assert_eq!((state, response.summary().rows), (Some(State::Complete), 2), "{len} in {piece}");
            }
        }
    }
}

#[test]
fn what_looks_like_an_end_and_is_none_is_refused() {
    let long_eof = [b"\xfe".to_vec(), vec![0; 8]].concat();
    let error = refused(Expect::Query, OLD, &[b"\x01", COLUMN, EOF, &long_eof]);
    assert_eq!(error, ProtocolError::malformed("EOF packet", "header", Fault::Invalid));
    refused(Expect::Query, OLD, &[b"\x01", COLUMN, COLUMN]);
    refused(Expect::Query, NEW, &[b"\x01", COLUMN, b"\xfe\0\0\x02"]);
    refused(Expect::Query, OLD, &[b"\x01", COLUMN, EOF, b"\xfe\0\0\x02"]);
    refused(Expect::Query, OLD, &[EOF]);
    refused(Expect::Query, NEW, &[OK_END]);
    refused(Expect::Simple, OLD, &[b"\x01"]);
    refused(Expect::Execute { cursor: false }, NEW, &[b"\x01", COLUMN, b"\x011"]);
    refused(Expect::Query, NEW, &[b"\x01", COLUMN, b""]);
    refused(Expect::Query, NEW, &[b""]);
}

#[test]
fn a_number_of_columns_is_one_number_within_limits() {
    for broken in [&b"\x01\x00"[..], b"\xfc\x00\x00", b"\xfd\x00\x00\x01", b"\xfe\x01\0\0\0\0\0\0\0", b"\xfc\x01"] {
        refused(Expect::Query, NEW, &[broken]);
    }
    let mut response = Response::new(Expect::Query, NEW.into());
    assert!(response.feed(&wire(&[b"\xfc\xff\xff"])).is_ok());
}

#[test]
fn a_prepare_answer_of_another_length_is_refused() {
    refused(Expect::Prepare, OLD, &[&PREPARED_2_1[..11]]);
    refused(Expect::Prepare, OLD, &[&[PREPARED_2_1, b"\0"].concat()]);
    refused(Expect::Prepare, OLD, &[&[PREPARED_2_1, &[0; 100]].concat()]);
    refused(Expect::Prepare, OLD, &[b"\x01\x05\0\0\0\0\0\0\0\0\0\0"]);
}

#[test]
fn sequence_ids_go_on_without_gaps_and_wrap() {
    let mut wire = wire(&[b"\x01", COLUMN, OK_END]);
    wire[3 + 5] = 3;
    let error = Response::new(Expect::Query, NEW.into()).feed(&wire).unwrap_err();
    assert_eq!(error, Misbehaviour::SequenceId { expected: 2, got: 3 }.into());

    let mut packets: Vec<&[u8]> = vec![b"\x01", COLUMN];
    packets.extend(vec![&b"\x011"[..]; 600]);
    packets.push(OK_END);
    let mut response = Response::new(Expect::Query, NEW.into());
    assert_eq!(response.feed(&self::wire(&packets)).unwrap().state, State::Complete);
    assert_eq!((response.summary().rows, response.next_sequence_id()), (600, ((1 + 603_u32) % 256) as u8));
}

#[test]
fn a_command_of_several_packets_moves_the_first_id() {
    let mut response = Response::new(Expect::Query, NEW.into()).with_first_sequence_id(3);
    assert_eq!(response.feed(&wire_from(3, &[OK_3])).unwrap().state, State::Complete);
    let mut response = Response::new(Expect::Query, NEW.into()).with_first_sequence_id(3);
    assert!(response.feed(&wire(&[OK_3])).is_err());
}

#[test]
fn a_file_is_asked_for_only_where_it_was_allowed() {
    let request = wire(&[b"\xfb/etc/passwd"]);
    let execute = Expect::Execute { cursor: false };
    for (expect, allowed) in [(Expect::Query, false), (execute, false), (Expect::BulkExecute, true)] {
        let error = Response::new(expect, NEW.into()).with_local_infile(allowed).feed(&request).unwrap_err();
        assert_eq!(error, Misbehaviour::UnrequestedLocalInfile.into());
    }
    let mut response = Response::new(Expect::Query, NEW.into()).with_local_infile(true);
    for cut in 0..request.len() {
        let waits = Progress { consumed: 0, pass: Pass::Verbatim, state: State::More };
        assert_eq!(response.feed(&request[..cut]), Ok(waits), "cut at {cut}");
    }
    let asks = Progress { consumed: request.len(), pass: Pass::Verbatim, state: State::LocalInfile };
    assert_eq!(response.feed(&request), Ok(asks));
    assert_eq!(response.local_infile_name(), Some(&b"/etc/passwd"[..]));
    assert!(response.feed(&wire_from(2, &[OK_3])).is_err(), "the client's turn");
    response.local_infile_sent(4).unwrap();
    assert_eq!(response.local_infile_name(), None);
    assert!(response.local_infile_sent(4).is_err());
    assert_eq!(response.feed(&wire_from(5, &[OK_3])).unwrap().state, State::Complete);
    assert_eq!(response.summary().affected_rows, 3);
}

#[test]
fn a_prepared_statement_may_ask_for_a_file_too() {
    // MariaDB 10.11 prepares LOAD DATA LOCAL.
    let request = wire(&[b"\xfbnope.txt"]);
    let mut response = Response::new(Expect::Execute { cursor: false }, OLD.into()).with_local_infile(true);
    assert_eq!(response.feed(&request).unwrap().state, State::LocalInfile);
}

#[test]
fn a_request_for_a_file_comes_alone() {
    let ok_more = b"\x00\x00\x00\x0a\0\0\0";
    let (before, request) = (wire(&[ok_more]), wire_from(2, &[b"\xfba"]));
    let mut response = Response::new(Expect::Query, NEW.into()).with_local_infile(true);
    let both = [&before[..], &request].concat();
    let first = Progress { consumed: before.len(), pass: Pass::Verbatim, state: State::More };
    assert_eq!(response.feed(&both), Ok(first));
    let second = Progress { consumed: request.len(), pass: Pass::Verbatim, state: State::LocalInfile };
    assert_eq!(response.feed(&both[before.len()..]), Ok(second));
    // Refused: the client reads an error where the request was, the server an empty file, and its answer is dropped.
    assert_eq!(response.next_sequence_id().wrapping_sub(1), 2);
    response.local_infile_sent(response.next_sequence_id()).unwrap();
    assert_eq!(response.feed(&wire_from(4, &[OK_3])).unwrap().state, State::Complete);
}

#[test]
fn a_second_file_in_one_chain_is_asked_for_again() {
    let mut response = Response::new(Expect::Query, NEW.into()).with_local_infile(true);
    assert_eq!(response.feed(&wire(&[b"\xfba"])).unwrap().state, State::LocalInfile);
    response.local_infile_sent(2).unwrap();
    let error = response.feed(&wire_from(3, &[b"\xfbb"])).unwrap_err();
    assert_eq!(error, ProtocolError::unexpected("at this point of the server's answer"));
}

#[test]
fn a_file_name_ends_at_its_limit() {
    for (len, ok) in [(LOCAL_INFILE_NAME_MAX, true), (LOCAL_INFILE_NAME_MAX + 1, false)] {
        let request = [b"\xfb".to_vec(), vec![b'n'; len]].concat();
        let mut response = Response::new(Expect::Query, NEW.into()).with_local_infile(true);
        assert_eq!(response.feed(&wire(&[&request])).is_ok(), ok, "{len}");
        assert_eq!(response.local_infile_name().map(<[u8]>::len), ok.then_some(len));
    }
}

//! An answer comes to the same whether fed whole, byte by byte, or in pieces of any lengths; and what is rewritten is an
//! answer again, in which nothing is left to rewrite. Rows that are taken are the same too, whole, and no more than may be.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::ProtocolError;
use portreeve_mysql::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use portreeve_mysql::packet::write_packet;
use portreeve_mysql::response::{Columns, Expect, Pass, Response, RowLimits, State, Summary, TakenRows};

const EXPECT: [Expect; 10] = [
    Expect::Query,
    Expect::Execute { cursor: false },
    Expect::Execute { cursor: true },
    Expect::BulkExecute,
    Expect::Fetch,
    Expect::Prepare,
    Expect::FieldList,
    Expect::Statistics,
    Expect::Simple,
    Expect::BinlogDump,
];
const STANDARD: [Capabilities; 3] = [
    Capabilities::CLIENT_DEPRECATE_EOF,
    Capabilities::CLIENT_SESSION_TRACK,
    Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA,
];
const MARIADB: [MariaDbCapabilities; 3] = [
    MariaDbCapabilities::MARIADB_CLIENT_PROGRESS,
    MariaDbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA,
    MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA,
];

/// So many bytes that only the number of rows bounds what is taken: how an answer is cut must not matter.
const MANY: RowLimits = RowLimits { rows: 3, bytes: 1 << 30 };
const FEW: RowLimits = RowLimits { rows: 100, bytes: 300 };

/// What was taken of one result set.
#[derive(PartialEq, Eq, Debug)]
struct Taken {
    result_set: u32,
    columns: Arc<Columns>,
    values: Vec<Option<Vec<u8>>>,
    truncated: bool,
}

#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    consumed: usize,
    out: Vec<u8>,
    state: State,
    summary: Summary,
    taken: Vec<Taken>,
}

/// Puts the pieces of a result set together.
fn add(all: &mut Vec<Taken>, rows: &TakenRows) {
    let columns = rows.columns.names().len();
    let values: Vec<_> = rows.values().map(|value| value.map(<[u8]>::to_vec)).collect();
    assert!(values.len().is_multiple_of(columns.max(1)), "rows are whole");
    match all.last_mut() {
        Some(last) if last.result_set == rows.result_set => {
            assert!(!last.truncated, "nothing is taken behind what was not");
            let before = last.values.len() / last.columns.names().len().max(1);
            assert_eq!(rows.first, before as u64, "no row is left out in between");
            last.values.extend(values);
            last.truncated = rows.truncated;
        }
        _ => {
            let (result_set, columns, truncated) = (rows.result_set, Arc::clone(&rows.columns), rows.truncated);
            all.push(Taken { result_set, columns, values, truncated });
        }
    }
}

/// The columns of an earlier answer: an integer and a text.
fn known() -> Option<Arc<Columns>> {
    let column = |column_type: u8| {
        let names = [&b"\x03def"[..], b"\0", b"\x01t", b"\x01t", b"\x01c", b"\0"].concat();
        [&names[..], &[0x0c, 33, 0, 255, 0, 0, 0, column_type, 0, 0, 0, 0, 0]].concat()
    };
    let (mut wire, mut sequence_id) = (Vec::new(), 1);
    for payload in [&[2][..], &column(3), &column(0xFD), &[0xFE, 0, 0, 2, 0], &[0xFE, 0, 0, 2, 0]] {
        write_packet(&mut wire, &mut sequence_id, payload);
    }
    let negotiated = Negotiated::from(Capabilities::CLIENT_PROTOCOL_41);
    let mut response = Response::new(Expect::Execute { cursor: false }, negotiated).with_rows(MANY, None);
    response.feed(&wire).expect("an answer");
    response.columns().cloned()
}

/// Feeds `wire` in pieces, as a connection's buffer does; where the client's file is due, takes it as sent.
fn run(mut response: Response, wire: &[u8], mut piece_len: impl FnMut() -> usize) -> Result<Outcome, ProtocolError> {
    let (mut consumed, mut have, mut out, mut taken) = (0, 0, Vec::new(), Vec::new());
    let mut state = State::More;
    while state != State::Complete && have < wire.len() {
        have = wire.len().min(have.saturating_add(piece_len().max(1)));
        loop {
            let unread = &wire[consumed..have];
            let progress = response.feed(unread)?;
            assert!(progress.consumed <= unread.len());
            response.take_rows().iter().for_each(|rows| add(&mut taken, rows));
            match progress.pass {
                Pass::Verbatim => out.extend_from_slice(&unread[..progress.consumed]),
                Pass::Rewritten(bytes) => {
                    assert!(bytes.len() <= progress.consumed, "nothing is ever added");
                    out.extend_from_slice(&bytes);
                }
            }
            consumed += progress.consumed;
            state = progress.state;
            if state == State::LocalInfile {
                assert!(response.local_infile_name().is_some());
                let last = response.next_sequence_id().wrapping_sub(1);
                response.local_infile_sent(last).expect("a file is due");
                state = State::More;
            }
            if progress.consumed == 0 || state == State::Complete || consumed == have {
                break;
            }
        }
    }
    assert_eq!(response.summary().bytes, consumed as u64);
    Ok(Outcome { consumed, out, state, summary: response.summary().clone(), taken })
}

fuzz_target!(|data: &[u8]| {
    let [choice, options, capabilities, pieces, rest @ ..] = data else { return };
    let expect = EXPECT[usize::from(*choice) % EXPECT.len()];
    let set = |bit: usize| capabilities >> bit & 1 == 1;
    let mut negotiated = Negotiated::from(Capabilities::CLIENT_PROTOCOL_41);
    for (bit, flag) in STANDARD.into_iter().enumerate() {
        negotiated.standard.set(flag, set(bit));
    }
    for (bit, flag) in MARIADB.into_iter().enumerate() {
        negotiated.mariadb.set(flag, set(STANDARD.len() + bit));
    }
    let plain = || {
        let response = Response::new(expect, negotiated).with_local_infile(options & 1 != 0);
        if options & 2 != 0 { response.with_concealing(None) } else { response }
    };
    let known = (options & 16 != 0).then(known).flatten();
    let response = || if options & 8 != 0 { plain().with_rows(MANY, known.clone()) } else { plain() };
    // Either the bytes as they are, or packets with right headers: a random sequence id would end most inputs at once.
    let mut wire = Vec::new();
    if options & 4 == 0 {
        wire.extend_from_slice(rest);
    } else {
        let (mut sequence_id, mut rest) = (1, rest);
        while let Some((&len, after)) = rest.split_first() {
            let (payload, after) = after.split_at(usize::from(len).min(after.len()));
            write_packet(&mut wire, &mut sequence_id, payload);
            rest = after;
        }
    }
    let whole = run(response(), &wire, || usize::MAX);
    if let Ok(few) = run(plain().with_rows(FEW, known.clone()), &wire, || 7) {
        let bytes = few.taken.iter().flat_map(|rows| &rows.values).flatten().map(Vec::len).sum::<usize>();
        assert!(bytes <= FEW.bytes, "{bytes} bytes were taken");
    }
    let mut seed = u32::from(*pieces);
    let uneven = run(response(), &wire, || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (seed >> 16) as usize % 23
    });
    for split in [run(response(), &wire, || 1), uneven] {
        assert_eq!(split, whole);
    }
    let Ok(whole) = whole else { return };
    let again = run(response(), &whole.out, || usize::MAX).expect("what went out is an answer too");
    assert_eq!((again.out == whole.out, again.state), (true, whole.state));
    assert_eq!((again.summary.rows, again.summary.error), (whole.summary.rows, whole.summary.error));
    assert_eq!(again.taken, whole.taken, "what is taken is what goes out");
});

//! An answer comes to the same whether fed whole, byte by byte, or in pieces of any lengths; and what is rewritten is an
//! answer again, in which nothing is left to rewrite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::ProtocolError;
use portreeve_mysql::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use portreeve_mysql::packet::write_packet;
use portreeve_mysql::response::{Expect, Pass, Response, State, Summary};

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

#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    consumed: usize,
    out: Vec<u8>,
    state: State,
    summary: Summary,
}

/// Feeds `wire` in pieces, as a connection's buffer does; where the client's file is due, takes it as sent.
fn run(mut response: Response, wire: &[u8], mut piece_len: impl FnMut() -> usize) -> Result<Outcome, ProtocolError> {
    let (mut consumed, mut have, mut out) = (0, 0, Vec::new());
    let mut state = State::More;
    while state != State::Complete && have < wire.len() {
        have = wire.len().min(have.saturating_add(piece_len().max(1)));
        loop {
            let unread = &wire[consumed..have];
            let progress = response.feed(unread)?;
            assert!(progress.consumed <= unread.len());
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
    Ok(Outcome { consumed, out, state, summary: response.summary().clone() })
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
    let response = || {
        let response = Response::new(expect, negotiated).with_local_infile(options & 1 != 0);
        if options & 2 != 0 { response.with_concealing(None) } else { response }
    };
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
});

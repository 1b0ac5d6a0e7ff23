//! An answer comes to the same whether fed whole, byte by byte, or in pieces of any lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::ProtocolError;
use portreeve_mysql::capabilities::Capabilities;
use portreeve_mysql::packet::write_packet;
use portreeve_mysql::response::{Expect, Response, State, Summary};

const EXPECT: [Expect; 6] =
    [Expect::Query, Expect::Execute, Expect::Prepare, Expect::FieldList, Expect::Statistics, Expect::Simple];

struct Outcome {
    consumed: usize,
    state: State,
    result: Result<Summary, ProtocolError>,
}

/// Feeds `wire` in pieces; where the client's file is due, takes it as sent.
fn run(mut response: Response, wire: &[u8], mut piece_len: impl FnMut() -> usize) -> Outcome {
    let mut consumed = 0;
    let mut state = State::More;
    while state != State::Complete && consumed < wire.len() {
        let end = wire.len().min(consumed + piece_len().max(1));
        let mut piece = &wire[consumed..end];
        while !piece.is_empty() && state != State::Complete {
            let progress = match response.feed(piece) {
                Ok(progress) => progress,
                Err(error) => return Outcome { consumed: 0, state: State::More, result: Err(error) },
            };
            assert!(progress.consumed <= piece.len());
            assert!(progress.state != State::More || progress.consumed == piece.len());
            consumed += progress.consumed;
            piece = &piece[progress.consumed..];
            state = progress.state;
            if state == State::LocalInfile {
                assert!(response.local_infile_name().is_some());
                let last = response.next_sequence_id().wrapping_sub(1);
                response.local_infile_sent(last).expect("a file is due");
                state = State::More;
            }
        }
    }
    assert_eq!(response.summary().bytes, consumed as u64);
    Outcome { consumed, state, result: Ok(response.summary().clone()) }
}

fuzz_target!(|data: &[u8]| {
    let [choice, pieces, rest @ ..] = data else { return };
    let expect = EXPECT[usize::from(choice & 0x0F) % EXPECT.len()];
    let mut capabilities = Capabilities::CLIENT_PROTOCOL_41;
    capabilities.set(Capabilities::CLIENT_DEPRECATE_EOF, choice & 0x10 != 0);
    let response = || Response::new(expect, capabilities, choice & 0x20 != 0);
    // Either the bytes as they are, or packets with right headers: a random sequence id would end most inputs at once.
    let mut wire = Vec::new();
    if choice & 0x40 == 0 {
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
        assert_eq!((split.consumed, split.state), (whole.consumed, whole.state));
        assert_eq!(split.result, whole.result);
    }
});

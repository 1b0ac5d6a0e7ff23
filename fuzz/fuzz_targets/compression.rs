//! The compressed protocol: what is compressed reads back, and what is not neither panics nor makes more than it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::ProtocolError;
use portreeve_mysql::compression::{Algorithm, Compressor, Decompressed, Decompressor};
use portreeve_mysql::limits::DECOMPRESSED_STEP_MAX;

/// Everything that comes out of `wire`, fed in pieces of that length.
fn read(algorithm: Algorithm, wire: &[u8], piece: usize, from: Option<u8>) -> Result<(usize, Vec<u8>), ProtocolError> {
    let mut reader = Decompressor::new(algorithm);
    if let Some(sequence_id) = from {
        reader.number_from(sequence_id);
    }
    let (mut plain, mut consumed, mut have) = (Vec::new(), 0, 0);
    while have < wire.len() {
        have = wire.len().min(have + piece.max(1));
        loop {
            let step = reader.feed(&wire[consumed..have], &mut plain)?;
            assert!(step.appended <= DECOMPRESSED_STEP_MAX);
            consumed += step.consumed;
            if step == (Decompressed { consumed: 0, appended: 0 }) {
                break;
            }
        }
    }
    Ok((consumed, plain))
}

fuzz_target!(|data: &[u8]| {
    let [choice, piece, rest @ ..] = data else { return };
    let algorithm = if choice & 1 == 0 { Algorithm::Zlib } else { Algorithm::Zstd };
    let from = (choice & 2 != 0).then_some(*piece);
    let piece = usize::from(*piece);
    if choice & 4 == 0 {
        // Anything as compressed packets.
        let whole = read(algorithm, rest, usize::MAX / 2, from);
        let split = read(algorithm, rest, piece, from);
        assert_eq!(whole, split);
        return;
    }
    let mut wire = Vec::new();
    Compressor::new(algorithm, Some(*choice)).compress(rest, &mut wire);
    let (consumed, plain) = read(algorithm, &wire, piece, from).expect("what was compressed reads back");
    assert_eq!((consumed, plain.len()), (wire.len(), rest.len()));
    // The stream as packets, but for their sequence ids.
    let mut at = 0;
    while at < plain.len() {
        let header = &rest[at..rest.len().min(at + 4)];
        let same = header.len().min(3);
        assert_eq!(plain[at..at + same], header[..same]);
        let [low, middle, high, _] = header else { break };
        let len = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        let end = rest.len().min(at + 4 + len);
        assert_eq!(plain[at + 4..end], rest[at + 4..end]);
        at = end;
    }
});

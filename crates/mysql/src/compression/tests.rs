use super::*;
use crate::ProtocolError;
use crate::limits::{COMPRESSED_CHUNK_MAX, COMPRESSED_LEN_MIN, DECOMPRESSED_STEP_MAX, PACKET_PAYLOAD_MAX};
use crate::packet::write_packet;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd];

const SQL: &[u8] = b"\x03SELECT * FROM orders WHERE customer = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
/// The packet of [`SQL`] by Python's `zlib.compress`.
const BY_PYTHON: [u8; 56] = [
    0x78, 0x9c, 0x0b, 0x67, 0x60, 0x60, 0x60, 0x0e, 0x76, 0xf5, 0x71, 0x75, 0x0e, 0x51, 0xd0, 0x52, 0x70, 0x0b, 0xf2,
    0xf7, 0x55, 0xc8, 0x2f, 0x4a, 0x49, 0x2d, 0x2a, 0x56, 0x08, 0xf7, 0x70, 0x0d, 0x72, 0x55, 0x48, 0x2e, 0x2d, 0x2e,
    0xc9, 0xcf, 0x4d, 0x2d, 0x52, 0xb0, 0x55, 0x50, 0x4f, 0x24, 0x09, 0xa8, 0x03, 0x00, 0xe0, 0x55, 0x1d, 0xce,
];
/// The packet of [`SQL`] by `zstd -3`.
const BY_ZSTD: [u8; 62] = [
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x5b, 0xad, 0x01, 0x00, 0xe4, 0x02, 0x57, 0x00, 0x00, 0x00, 0x03, 0x53, 0x45, 0x4c,
    0x45, 0x43, 0x54, 0x20, 0x2a, 0x20, 0x46, 0x52, 0x4f, 0x4d, 0x20, 0x6f, 0x72, 0x64, 0x65, 0x72, 0x73, 0x20, 0x57,
    0x48, 0x45, 0x52, 0x45, 0x20, 0x63, 0x75, 0x73, 0x74, 0x6f, 0x6d, 0x65, 0x72, 0x20, 0x3d, 0x20, 0x27, 0x61, 0x27,
    0x01, 0x00, 0xd5, 0x04, 0x65,
];

fn packet(sequence_id: u8, payload: &[u8]) -> Vec<u8> {
    let (mut wire, mut sequence_id) = (Vec::new(), sequence_id);
    write_packet(&mut wire, &mut sequence_id, payload);
    wire
}

fn compressed_packet(sequence_id: u8, plain_len: usize, payload: &[u8]) -> Vec<u8> {
    let (len, plain_len) = (payload.len().to_le_bytes(), plain_len.to_le_bytes());
    let mut wire = vec![len[0], len[1], len[2], sequence_id, plain_len[0], plain_len[1], plain_len[2]];
    wire.extend_from_slice(payload);
    wire
}

fn compress(algorithm: Algorithm, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new(algorithm, None).compress(plain, &mut out);
    out
}

/// Feeds in pieces of that length until nothing comes any more. Returns the plain bytes and those left over.
fn decompress_in(
    decompressor: &mut Decompressor,
    wire: &[u8],
    piece: usize,
) -> Result<(Vec<u8>, usize), ProtocolError> {
    let (mut plain, mut unread) = (Vec::new(), Vec::new());
    for piece in wire.chunks(piece) {
        unread.extend_from_slice(piece);
        loop {
            let step = decompressor.feed(&unread, &mut plain)?;
            assert!(step.appended <= DECOMPRESSED_STEP_MAX);
            unread.drain(..step.consumed);
            if step == (Decompressed { consumed: 0, appended: 0 }) {
                break;
            }
        }
    }
    Ok((plain, unread.len()))
}

fn decompress(algorithm: Algorithm, wire: &[u8], piece: usize) -> Result<Vec<u8>, ProtocolError> {
    let (plain, left) = decompress_in(&mut Decompressor::new(algorithm), wire, piece)?;
    assert_eq!(left, 0, "bytes left over");
    Ok(plain)
}

/// Bytes that compress badly.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 16) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_others_compressed_is_read_in_whatever_pieces() {
    let plain = packet(0, SQL);
    for (algorithm, payload) in [(Algorithm::Zlib, &BY_PYTHON[..]), (Algorithm::Zstd, &BY_ZSTD)] {
        let wire = compressed_packet(0, plain.len(), payload);
        for piece in 1..=wire.len() {
            assert_eq!(decompress(algorithm, &wire, piece).as_ref(), Ok(&plain), "{algorithm:?} in {piece}");
        }
    }
}

#[test]
fn what_is_compressed_reads_back() {
    for algorithm in ALGORITHMS {
        for payload in [
            Vec::new(),
            b"SELECT 1".to_vec(),
            vec![b'x'; COMPRESSED_LEN_MIN],
            vec![b'x'; COMPRESSED_CHUNK_MAX - 4],
            vec![b'x'; COMPRESSED_CHUNK_MAX - 3],
            noise(3 * COMPRESSED_CHUNK_MAX),
            vec![0; PACKET_PAYLOAD_MAX + 1],
        ] {
            let plain = packet(0, &payload);
            let wire = compress(algorithm, &plain);
            assert!(wire.len() <= plain.len() + 7 * plain.len().div_ceil(COMPRESSED_CHUNK_MAX));
            for piece in [65_536, 40_093] {
                let read = decompress(algorithm, &wire, piece).unwrap();
                assert!(read == plain, "{} bytes by {algorithm:?} changed", payload.len());
            }
        }
    }
}

#[test]
fn only_what_gets_smaller_is_compressed() {
    for algorithm in ALGORITHMS {
        for (plain, compressed) in [
            (vec![b'x'; COMPRESSED_LEN_MIN - 1], false),
            (vec![b'x'; COMPRESSED_LEN_MIN], true),
            (noise(COMPRESSED_LEN_MIN), false),
            (vec![b'x'; 10_000], true),
            (noise(10_000), false),
        ] {
            let wire = compress(algorithm, &plain);
            let announced = usize::from(wire[4]) | usize::from(wire[5]) << 8;
            assert_eq!(announced, if compressed { plain.len() } else { 0 }, "{algorithm:?}");
            assert_eq!(wire.len() < plain.len(), compressed);
        }
        assert_eq!(compress(algorithm, b""), b"");
    }
}

#[test]
fn compressed_packets_are_counted_and_the_other_side_goes_on_behind() {
    let mut commands = Compressor::new(Algorithm::Zlib, None);
    let mut wire = Vec::new();
    commands.compress(&vec![b'x'; 2 * COMPRESSED_CHUNK_MAX], &mut wire);
    commands.compress(b"\x01\0\0\0\x0e", &mut wire);
    let mut reader = Decompressor::new(Algorithm::Zlib);
    decompress_in(&mut reader, &wire, 1000).unwrap();
    assert_eq!(reader.last_sequence_id(), 2);
    let mut answers = Compressor::new(Algorithm::Zlib, None);
    answers.follow(reader.last_sequence_id());
    let mut wire = Vec::new();
    answers.compress(b"ok", &mut wire);
    assert_eq!(wire[3], 3);
    answers.follow(255);
    answers.compress(b"ok", &mut wire);
    assert_eq!(wire[9 + 3], 0);
    answers.begin();
    commands.begin();
    let mut wire = Vec::new();
    commands.compress(b"\x01\0\0\0\x0e", &mut wire);
    assert_eq!(wire[3], 0);
}

#[test]
fn packets_inside_are_numbered_as_in_the_plain_protocol() {
    let plain = [packet(7, SQL), packet(9, b""), packet(200, &[b'x'; 300])].concat();
    let ids = |bytes: &[u8]| [bytes[3], bytes[4 + SQL.len() + 3], bytes[4 + SQL.len() + 4 + 3]];
    for piece in [1, 5, 100_000] {
        let wire = compress(Algorithm::Zlib, &plain);
        let mut reader = Decompressor::new(Algorithm::Zlib);
        let commands = decompress_in(&mut reader, &wire, piece).unwrap().0;
        assert_eq!(ids(&commands), [0, 0, 0]);
        reader.number_from(254);
        let answer = decompress_in(&mut reader, &wire, piece).unwrap().0;
        assert_eq!(ids(&answer), [254, 255, 0]);
        reader.number_commands();
        assert_eq!(ids(&decompress_in(&mut reader, &wire, piece).unwrap().0), [0, 0, 0]);
        assert_eq!(answer[4..4 + SQL.len()], *SQL, "payloads stay");
    }
}

#[test]
fn a_command_of_several_packets_is_counted_through() {
    let plain = packet(9, &vec![0; PACKET_PAYLOAD_MAX]);
    let wire = compress(Algorithm::Zstd, &[plain.clone(), packet(3, b"\x0e")].concat());
    let read = decompress(Algorithm::Zstd, &wire, 65_536).unwrap();
    let end = plain.len();
    assert_eq!([read[3], read[end - 1], read[end + 3]], [0, 1, 0]);
}

#[test]
fn headers_in_pieces_of_compressed_packets_are_numbered() {
    let wire: Vec<u8> = packet(9, b"\x03SELECT 1").chunks(1).flat_map(|byte| compressed_packet(0, 0, byte)).collect();
    assert_eq!(decompress(Algorithm::Zlib, &wire, 7), Ok(packet(0, b"\x03SELECT 1")));
}

#[test]
fn another_length_than_announced_is_refused() {
    let plain = packet(0, SQL);
    for (algorithm, payload) in [(Algorithm::Zlib, &BY_PYTHON[..]), (Algorithm::Zstd, &BY_ZSTD)] {
        for announced in [1, plain.len() - 1, plain.len() + 1, 0xFF_FFFF] {
            let wire = compressed_packet(0, announced, payload);
            for piece in [1, wire.len()] {
                assert!(decompress(algorithm, &wire, piece).is_err(), "{algorithm:?}, {announced} bytes");
            }
        }
        for cut in 1..payload.len() {
            let wire = compressed_packet(0, plain.len(), &payload[..cut]);
            assert!(decompress(algorithm, &wire, wire.len()).is_err(), "{algorithm:?} cut at {cut}");
        }
        for behind in [&b"x"[..], payload] {
            let wire = compressed_packet(0, plain.len(), &[payload, behind].concat());
            assert!(decompress(algorithm, &wire, wire.len()).is_err(), "{algorithm:?}");
        }
    }
}

#[test]
fn garbage_is_refused_and_what_was_read_before_stands() {
    for algorithm in ALGORITHMS {
        let mut reader = Decompressor::new(algorithm);
        let wire = [compressed_packet(0, 0, b"\x01\0\0\0\x0e"), compressed_packet(1, 100, &[0xA5; 60])].concat();
        let mut plain = Vec::new();
        assert!(reader.feed(&wire, &mut plain).is_err());
        assert_eq!(plain[..5], *b"\x01\0\0\0\x0e");
    }
}

#[test]
fn a_bomb_makes_no_more_than_a_step_at_a_time() {
    for algorithm in ALGORITHMS {
        // Forty million zeros, said to be fewer.
        let bomb = match algorithm {
            Algorithm::Zlib => {
                let mut encoder = flate2::Compress::new(flate2::Compression::best(), true);
                let mut out = Vec::with_capacity(1 << 20);
                encoder.compress_vec(&vec![0; 40_000_000], &mut out, flate2::FlushCompress::Finish).unwrap();
                out
            }
            Algorithm::Zstd => zstd::bulk::compress(&vec![0; 40_000_000], 3).unwrap(),
        };
        let wire = compressed_packet(0, PACKET_PAYLOAD_MAX, &bomb);
        let mut reader = Decompressor::new(algorithm);
        let (mut plain, mut consumed, mut total) = (Vec::new(), 0, 0);
        let refused = loop {
            match reader.feed(&wire[consumed..], &mut plain) {
                Ok(step) => {
                    assert!(step.appended <= DECOMPRESSED_STEP_MAX && step.consumed + step.appended > 0);
                    (consumed, total) = (consumed + step.consumed, total + step.appended);
                    plain.clear();
                }
                Err(error) => break error,
            }
        };
        assert!(total <= PACKET_PAYLOAD_MAX, "{algorithm:?}: {total} bytes before {refused}");
    }
}

#[test]
fn a_level_that_the_peer_names_costs_no_more_than_the_usual_one() {
    let compressed = |level| {
        let mut wire = Vec::new();
        Compressor::new(Algorithm::Zstd, level).compress(&SQL.repeat(100), &mut wire);
        wire
    };
    assert_eq!(compressed(Some(22)), compressed(None));
    assert_eq!(compressed(Some(255)), compressed(Some(3)));
}

#[test]
fn memory_given_back_is_taken_again() {
    let plain = packet(0, SQL);
    for algorithm in ALGORITHMS {
        let (mut writer, mut reader) = (Compressor::new(algorithm, Some(255)), Decompressor::new(algorithm));
        for _ in 0..3 {
            let mut wire = Vec::new();
            writer.compress(&plain, &mut wire);
            assert_eq!(decompress_in(&mut reader, &wire, 3).unwrap(), (plain.clone(), 0));
            writer.rest();
            reader.rest();
        }
    }
}

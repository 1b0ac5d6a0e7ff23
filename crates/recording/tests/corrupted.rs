//! Files from anyone: whatever is in them, no panic, no more memory than the limit says, and nothing read as sound that was not
//! written.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

use std::io::Cursor;

use portreeve_recording::limits::{FRAME_MEMORY_MAX, HEADER_LEN, PAYLOAD_LEN_MAX};
use portreeve_recording::{Audit, Encoder, End, Entry, Facts, Header, Kind, Login, Reader, Record, Rows, Stream, Text};

/// The files that are checked in, one of each format.
const FILES: [&[u8]; 2] = [include_bytes!("format-1.prs"), include_bytes!("format-2.prs")];

/// Numbers that are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// How many frames are sound, and how they end; read whole and in chunks, which must agree.
fn read(bytes: &[u8]) -> Option<(u64, End)> {
    let mut audit = Audit::new(&[]);
    let whole = Reader::open(bytes).ok().map(|mut reader| {
        while let Some(frame) = reader.next_frame() {
            let _ = audit.take(&frame);
            frame.to_entry().unwrap();
        }
        (reader.position().index, reader.end().unwrap())
    });
    let chunked = Stream::open(Cursor::new(bytes)).ok().map(|mut stream| {
        loop {
            if let Err(end) = stream.next_frame().unwrap() {
                return (stream.position().index, end);
            }
        }
    });
    assert_eq!(whole, chunked);
    whole
}

/// One of the ways in which a file is damaged or altered.
fn corrupt(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let at = numbers.below(bytes.len());
    let length = 1 + numbers.below(64.min(bytes.len() - at));
    match numbers.below(6) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..at + length)),
        3 => {
            let part = bytes[at..at + length].to_vec();
            let to = numbers.below(bytes.len());
            bytes.splice(to..to, part);
        }
        4 => bytes[at..at + length].fill(0),
        // Lengths and pointers are what a reader follows.
        _ => {
            let at = at & !3;
            let value =
                [0, 1, 0x7fff_ffff, u32::MAX, PAYLOAD_LEN_MAX as u32, PAYLOAD_LEN_MAX as u32 + 1][numbers.below(6)];
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// A corpus of twenty thousand files, made anew in each run and the same each time.
#[test]
fn corrupted_files_are_read_to_the_damage_and_no_further() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for file in FILES {
        let (frames, end) = read(file).unwrap();
        assert_eq!(end, End::Closed);
        for _ in 0..10_000 {
            let mut bytes = file.to_vec();
            for _ in 0..=numbers.below(3) {
                if !bytes.is_empty() {
                    corrupt(&mut bytes, &mut numbers);
                }
            }
            let Some((found, end)) = read(&bytes) else { continue };
            // Without the chain's help nobody gets a frame more, or another one.
            assert!(found <= frames);
            let same = bytes.len() == file.len() && bytes == file;
            let is_longer = bytes.starts_with(file) && bytes[file.len()..].iter().all(|&byte| byte == 0);
            assert!(same || is_longer || found < frames || end != End::Closed, "a change was not seen");
        }
    }
}

/// Checksum and chain are right, as whoever alters a file can make them: what is left is what rkyv checks.
#[test]
fn payloads_that_were_altered_under_a_right_chain_are_refused_or_read() {
    let mut numbers = Numbers(7);
    for file in FILES {
        let header = Header::read(file).unwrap();
        let payloads = payloads(file);
        for _ in 0..3_000 {
            let mut payload = payloads[numbers.below(payloads.len())].clone();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(payload.len());
                payload[at] = u8::try_from(numbers.below(256)).unwrap();
            }
            read(&framed(&header, &payload)).unwrap();
        }
    }
}

fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let mut at = HEADER_LEN;
    let mut payloads = Vec::new();
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        payloads.push(file[at + 48..at + 48 + length].to_vec());
        at = (at + 48 + length).next_multiple_of(16);
    }
    payloads
}

/// After `docs/recording-format.md`, not with the encoder.
fn framed(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut file = header.to_bytes().to_vec();
    let chain = blake3::Hasher::new().update(blake3::hash(&file).as_bytes()).update(payload).finalize();
    let length = (payload.len() as u32).to_le_bytes();
    file.extend(length);
    file.extend(crc32fast::hash(&[&length, payload].concat()).to_le_bytes());
    file.extend(chain.as_bytes());
    file.extend([0; 8]);
    file.extend(payload);
    file.resize(file.len().next_multiple_of(16), 0);
    file
}

/// Records that take the most memory for their bytes: lists of many small things.
#[test]
fn no_frame_takes_more_memory_than_the_limit() {
    let many = |length: usize, text: &str| vec![text.to_owned(); length];
    let pairs = |length: usize| vec![(String::new(), "12345678".to_owned()); length];
    let half = PAYLOAD_LEN_MAX / 2;
    let opened =
        |groups: Vec<String>| Record::Facts(Facts { number: 1, actions: groups.into(), resources: Vec::new().into() });
    let login = Record::Login(Box::new(Login {
        user: "".into(),
        schema: None,
        client_attributes: pairs(half / 16).into(),
        server_version: "".into(),
        server_connection_id: 0,
        accepted: true,
        error: None,
    }));
    let rows = |value: Option<Text<'static>>, length: usize| {
        let values = vec![value; length].into();
        Record::Rows(Rows { number: 1, result_set: 0, first: 0, columns: Vec::new().into(), values, truncated: false })
    };
    let records = [
        opened(many(half / 8, "")),
        opened(many(half / 8, "12345678")),
        opened(many(half / 32, "a text behind a pointer")),
        login,
        rows(None, half / 40),
        rows(Some(Text::of_bytes(b"")), half / 40),
    ];
    for record in records {
        let (mut encoder, header) = Encoder::new(&Header::new(Kind::Session, [1; 16], 1));
        let mut bytes = header.to_vec();
        encoder.encode(&Entry { at_unix_ns: 1, record }, &mut bytes).unwrap();
        assert!(bytes.len() > half / 2, "{} bytes are no great frame", bytes.len());
        let taken = allocation_counter::measure(|| {
            let mut stream = Stream::open(Cursor::new(&bytes[..])).unwrap();
            drop(stream.next_frame().unwrap().unwrap().to_entry().unwrap());
        });
        let share = FRAME_MEMORY_MAX as u64 * bytes.len() as u64 / PAYLOAD_LEN_MAX as u64;
        assert!(taken.bytes_max < share, "{} bytes for a file of {}", taken.bytes_max, bytes.len());
    }
    // A length that is claimed and not there costs one frame's buffer.
    let mut bytes = Header::new(Kind::Session, [1; 16], 1).to_bytes().to_vec();
    bytes.extend((PAYLOAD_LEN_MAX as u32).to_le_bytes());
    bytes.extend([1; 100]);
    let taken = allocation_counter::measure(|| {
        let mut stream = Stream::open(Cursor::new(&bytes[..])).unwrap();
        assert!(matches!(stream.next_frame().unwrap(), Err(End::Torn { .. })));
    });
    assert!(taken.bytes_max < FRAME_MEMORY_MAX as u64, "{}", taken.bytes_max);
}

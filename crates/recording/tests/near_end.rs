//! Long files that are read from near their end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

use std::io::Cursor;

use portreeve_recording::limits::{NEAR_END_CHECKED_MAX, NEAR_END_LEN};
use portreeve_recording::{
    Closed, Command, Encoder, End, Entry, Format, Header, Kind, Record, Statement, Stream, Text,
};

const HEADER: Header = Header {
    format: Format::One,
    kind: Kind::Session,
    session_id: [0xab; 16],
    created_unix_ns: 1_795_231_554_000_000_000,
};

fn statement(number: u64, sql: &[u8]) -> Entry<'_> {
    let (prepared, schema, parameters) = (None, None, (&[]).into());
    let sql = Text::of_bytes(sql);
    let record = Record::Statement(Statement { number, command: Command::Query, prepared, sql, schema, parameters });
    Entry { at_unix_ns: number, record }
}

fn closed() -> Entry<'static> {
    let record = Record::Closed(Closed { reason: "".into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 });
    Entry { at_unix_ns: u64::MAX, record }
}

/// A file of statements with the given texts.
fn file<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> (Encoder, Vec<u8>) {
    file_of(&HEADER, texts)
}

fn file_of<'a>(header: &Header, texts: impl IntoIterator<Item = &'a [u8]>) -> (Encoder, Vec<u8>) {
    let (mut encoder, head) = Encoder::new(header);
    let mut bytes = head.to_vec();
    for (number, text) in (1..).zip(texts) {
        encoder.encode(&statement(number, text), &mut bytes).unwrap();
    }
    (encoder, bytes)
}

/// The numbers of the statements that are left, after a skip to at least so many frames; and how they end.
fn after_skip(bytes: &[u8], frames: u64) -> (bool, Vec<u64>, End) {
    let mut stream = Stream::open(Cursor::new(bytes)).unwrap();
    let skipped = stream.skip_near_end(frames).unwrap();
    let mut numbers = Vec::new();
    loop {
        match stream.next_frame().unwrap() {
            Ok(frame) => numbers.push(frame.to_entry().unwrap().at_unix_ns),
            Err(end) => return (skipped, numbers, end),
        }
    }
}

/// More than what is looked at, in statements of half a MiB.
fn long() -> Vec<Vec<u8>> {
    (0..80).map(|number: u8| vec![b'a' + number % 26; 512 * 1024]).collect()
}

#[test]
fn the_last_frames_of_a_long_file_are_found() {
    let texts = long();
    let (mut encoder, mut bytes) = file(texts.iter().map(Vec::as_slice));
    let open_at = bytes.len() as u64;
    let (skipped, numbers, end) = after_skip(&bytes, 10);
    assert!(skipped && numbers.len() >= 10 && numbers.len() < 40, "{numbers:?}");
    assert_eq!(numbers, ((81 - numbers.len() as u64)..=80).collect::<Vec<_>>());
    assert_eq!(end, End::Open { offset: open_at });
    // What a writer has allocated ahead.
    let mut ahead = bytes.clone();
    ahead.resize(bytes.len() + 4 * 1024 * 1024, 0);
    assert_eq!(after_skip(&ahead, 10).2, End::Open { offset: open_at });
    assert!(after_skip(&ahead, 10).0);
    encoder.encode(&closed(), &mut bytes).unwrap();
    assert_eq!(after_skip(&bytes, 10).2, End::Closed);
}

#[test]
fn a_shorter_file_and_too_few_frames_are_read_from_the_start() {
    let (_, short) = file([&b"SELECT 1"[..], b"SELECT 2"]);
    assert_eq!(after_skip(&short, 1), (false, vec![1, 2], End::Open { offset: short.len() as u64 }));
    let texts = long();
    let (_, bytes) = file(texts.iter().map(Vec::as_slice));
    let (skipped, numbers, _) = after_skip(&bytes, 1000);
    assert!(!skipped && numbers.len() == 80, "{} frames", numbers.len());
}

#[test]
fn of_small_frames_the_last_few_are_enough() {
    let texts: Vec<Vec<u8>> = (0..5000).map(|number| format!("SELECT {number}").into_bytes()).collect();
    for format in [Format::One, Format::Two] {
        let (_, bytes) = file_of(&Header { format, ..HEADER }, texts.iter().map(Vec::as_slice));
        let (skipped, numbers, _) = after_skip(&bytes, 10);
        assert!(skipped && numbers.len() < 4000 && numbers.last() == Some(&5000), "{} frames", numbers.len());
    }
}

#[test]
fn a_stream_goes_on_behind_the_skip_as_the_file_grows() {
    let texts = long();
    let (mut encoder, bytes) = file(texts.iter().map(Vec::as_slice));
    let mut stream = Stream::open(Cursor::new(bytes.clone())).unwrap();
    assert!(stream.skip_near_end(1).unwrap());
    while stream.next_frame().unwrap().is_ok() {}
    encoder.encode(&closed(), stream.get_mut().get_mut()).unwrap();
    assert_eq!(stream.next_frame().unwrap().unwrap().to_entry().unwrap(), closed());
}

#[test]
fn frames_that_a_client_wrote_into_a_statement_are_not_taken_for_real() {
    // A statement that holds a chain of its own, of two statements that were never asked.
    let (_, false_file) = file([&b"SELECT 'never asked'"[..], b"SELECT 'nor this'"]);
    for shift in 0..16 {
        let mut hostile = vec![b' '; shift];
        // The header of a file, then its frames, so that one of these lies at a multiple of 16.
        for _ in 0..2000 {
            hostile.extend_from_slice(&false_file);
        }
        let texts: Vec<&[u8]> = (0..40).map(|_| hostile.as_slice()).collect();
        let (_, bytes) = file(texts.iter().copied());
        assert!(bytes.len() > NEAR_END_LEN, "{} bytes", bytes.len());
        let (_, numbers, end) = after_skip(&bytes, 2);
        assert_eq!(numbers.last(), Some(&40), "shift {shift}: {end:?}");
        assert!(numbers.is_sorted() && numbers.iter().all(|number| numbers.len() as u64 + number > 40), "{numbers:?}");
        assert_eq!(end, End::Open { offset: bytes.len() as u64 });
    }
}

#[test]
fn damage_near_the_end_is_met_by_reading() {
    let texts = long();
    let (_, mut bytes) = file(texts.iter().map(Vec::as_slice));
    let at = bytes.len() - 1000;
    bytes[at] ^= 1;
    let (skipped, numbers, end) = after_skip(&bytes, 2);
    assert!(!skipped && numbers.len() == 79 && matches!(end, End::Torn { .. }), "{end:?}");
}

#[test]
fn a_file_that_is_all_lengths_takes_no_time() {
    // Each sixteen bytes look like the beginning of a frame of a MiB: without a bound, that is a TiB to check.
    let mut bytes = HEADER.to_bytes().to_vec();
    while bytes.len() < NEAR_END_LEN + 4096 {
        bytes.extend_from_slice(&(1024_u32 * 1024).to_le_bytes());
        bytes.extend_from_slice(&[0; 12]);
    }
    let mut stream = Stream::open(Cursor::new(bytes)).unwrap();
    let begun = std::time::Instant::now();
    assert!(!stream.skip_near_end(1).unwrap());
    // At a hundredth of the speed that checksums have.
    let longest = std::time::Duration::from_millis(NEAR_END_CHECKED_MAX as u64 / 10_000);
    assert!(begun.elapsed() < longest, "{:?}", begun.elapsed());
}

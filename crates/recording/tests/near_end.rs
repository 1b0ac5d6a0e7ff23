//! Long files that are read from near their end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

use std::io::Cursor;

use portreeve_recording::limits::{NEAR_END_CHECKED_MAX, NEAR_END_LEN};
use portreeve_recording::{
    Closed, Command, Encoder, End, Entry, Format, Header, Kind, Record, Signed, SigningKey, Statement, Stream, Text,
};

const HEADER: Header = Header {
    format: Format::Two,
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

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// A file of statements with the given texts, with a checkpoint where one is due.
fn file<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> (Encoder, Vec<u8>) {
    file_of(&HEADER, &key(), texts)
}

fn file_of<'a>(header: &Header, key: &SigningKey, texts: impl IntoIterator<Item = &'a [u8]>) -> (Encoder, Vec<u8>) {
    let (mut encoder, head) = Encoder::new(header);
    let mut bytes = head.to_vec();
    for (number, text) in (1..).zip(texts) {
        encoder.encode(&statement(number, text), &mut bytes).unwrap();
        if header.format == Format::Two && encoder.is_checkpoint_due() {
            encoder.sign(Signed::Checkpoint, key, &mut bytes).unwrap();
        }
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
            Ok(frame) if frame.claim().is_some() => {}
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
fn without_signatures_a_file_is_read_from_the_start() {
    let texts = long();
    let (_, bytes) = file_of(&Header { format: Format::One, ..HEADER }, &key(), texts.iter().map(Vec::as_slice));
    let (skipped, numbers, _) = after_skip(&bytes, 10);
    assert!(!skipped && numbers.len() == 80, "{} frames", numbers.len());
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

/// A text that lies at each place a frame can begin at, so often that a whole look near the end falls into it.
fn repeated(text: &[u8], len: usize) -> Vec<u8> {
    let mut texts = Vec::new();
    for shift in 0..16 {
        texts.extend(std::iter::repeat_n(b' ', shift));
        texts.extend_from_slice(text);
        texts.resize(texts.len().next_multiple_of(16), b' ');
    }
    texts.repeat(len / texts.len())
}

/// What `text` makes of a file, in which it stands in the statements numbered from 61 on.
fn with_hostile(text: &[u8], ahead: usize) {
    let mut texts = long();
    for hostile in texts.iter_mut().skip(60) {
        *hostile = text.to_vec();
    }
    let (_, mut bytes) = file(texts.iter().map(Vec::as_slice));
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + ahead, 0);
    let (_, numbers, found) = after_skip(&bytes, 2);
    assert_eq!((numbers.last(), found), (Some(&80), End::Open { offset: end }));
    assert!(numbers.iter().rev().zip((1..=80).rev()).all(|(number, real)| *number == real), "{numbers:?}");
}

/// A statement that holds a chain of its own, of statements that were never asked, signed by a key of its own.
#[test]
fn frames_that_a_client_wrote_into_a_statement_are_not_taken_for_real() {
    let asked = [&b"SELECT 'never asked'"[..], b"SELECT 'nor this'", b"SELECT 'nor that'"];
    let own = SigningKey::from_seed(&[2; 32]);
    let (mut encoder, mut chained) = file_of(&HEADER, &own, asked);
    encoder.sign(Signed::Checkpoint, &own, &mut chained).unwrap();
    for ahead in [0, 4 * 1024 * 1024] {
        with_hostile(&repeated(&chained, 1024 * 1024), ahead);
        // Zeros look as the end of a file that is written.
        let mut with_end = chained.clone();
        with_end.resize(with_end.len() + 64, 0);
        with_hostile(&repeated(&with_end, 1024 * 1024), ahead);
        encoder.clone().encode(&closed(), &mut with_end).unwrap();
        with_hostile(&repeated(&with_end, 1024 * 1024), ahead);
    }
}

/// What a daemon that was killed within a write leaves: a frame without its length, whose text is the client's.
#[test]
fn a_frame_that_is_being_written_is_not_looked_into() {
    let (_, chained) = file([&b"SELECT 'never asked'"[..], b"SELECT 'nor this'"]);
    let texts = long();
    let (mut encoder, mut bytes) = file(texts.iter().map(Vec::as_slice));
    let end = bytes.len();
    let hostile = repeated(&[chained.as_slice(), &[0; 64]].concat(), 1024 * 1024);
    encoder.encode(&statement(81, &hostile), &mut bytes).unwrap();
    bytes[end..end + 4].fill(0);
    // Only a part of the text has arrived.
    let cut = end + 512 * 1024;
    bytes[cut..].fill(0);
    let (skipped, numbers, found) = after_skip(&bytes, 2);
    assert!(skipped);
    assert_eq!((numbers.last(), found), (Some(&80), End::Open { offset: end as u64 }));
}

#[test]
fn a_file_that_is_full_of_signatures_takes_no_time() {
    // Of the right key, as whoever reads recordings knows some; chained anew, so that none fits.
    let texts = long();
    let (_, bytes) = file(texts.iter().map(Vec::as_slice));
    let mut stream = Stream::open(Cursor::new(&bytes)).unwrap();
    let checkpoint = loop {
        let frame = stream.next_frame().unwrap().unwrap();
        if frame.claim().is_some() {
            break frame.to_entry().unwrap();
        }
    };
    let (mut other, mut signed) = (Encoder::new(&HEADER).0, Vec::new());
    while signed.len() < 1024 * 1024 {
        other.encode(&checkpoint, &mut signed).unwrap();
    }
    let begun = std::time::Instant::now();
    with_hostile(&signed, 0);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn damage_near_the_end_is_met_by_reading() {
    let texts = long();
    let (_, mut bytes) = file(texts.iter().map(Vec::as_slice));
    let at = bytes.len() - 1000;
    bytes[at] ^= 1;
    let (_, numbers, end) = after_skip(&bytes, 2);
    assert!(numbers.last() == Some(&79) && matches!(end, End::Torn { .. }), "{end:?}");
}

#[test]
fn a_file_that_is_all_lengths_takes_no_time() {
    // Each sixteen bytes look like the beginning of a frame of a MiB: without a bound, that is a TiB to check.
    let mut bytes = HEADER.to_bytes().to_vec();
    while bytes.len() < NEAR_END_LEN + 4096 {
        bytes.extend_from_slice(&(1024_u32 * 1024).to_le_bytes());
        bytes.extend_from_slice(&[0; 12]);
    }
    let (_, mut hostile) = file(long().iter().map(Vec::as_slice));
    hostile.extend_from_slice(&bytes);
    let mut stream = Stream::open(Cursor::new(hostile)).unwrap();
    let begun = std::time::Instant::now();
    assert!(!stream.skip_near_end(1).unwrap());
    // At a hundredth of the speed that checksums have.
    let longest = std::time::Duration::from_millis(NEAR_END_CHECKED_MAX as u64 / 10_000);
    assert!(begun.elapsed() < longest, "{:?}", begun.elapsed());
}

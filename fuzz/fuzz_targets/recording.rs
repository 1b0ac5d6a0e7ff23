//! Session files from anyone: no bytes may make a reader panic, or read differently in one piece than in chunks.

#![no_main]

use std::{borrow::Cow, io::Cursor};

use libfuzzer_sys::fuzz_target;
use portreeve_recording::{
    Audit, End, Entry, Header, Kind, Reader, Stream,
    redact::{self, Quoting},
};

fuzz_target!(|data: &[u8]| {
    check(data);
    // Checksum and chain keep random bytes away from the records: give them right ones.
    check(&file_with(data));
    redacts(data);
    redacts(&[b"SET PASSWORD = ".as_slice(), data].concat());
});

fn check(file: &[u8]) {
    let whole = Reader::open(file).ok().map(|mut reader| {
        let (mut entries, mut audit) = (Vec::new(), Audit::new(&[]));
        while let Some(frame) = reader.next_frame() {
            let _ = audit.take(&frame);
            entries.extend(frame.to_entry());
        }
        (entries, reader.end())
    });
    let chunked = Stream::open(Cursor::new(file)).ok().map(|mut stream| drain(&mut stream));
    assert!(whole == chunked);
    // Without the chain it finds no less.
    let unproven = Stream::open(Cursor::new(file)).ok().map(|stream| drain(&mut stream.without_chain()).0.len());
    assert!(unproven >= whole.map(|(entries, _)| entries.len()));
}

fn drain(stream: &mut Stream<Cursor<&[u8]>>) -> (Vec<Entry<'static>>, Option<End>) {
    let mut entries = Vec::new();
    loop {
        match stream.next_frame() {
            Ok(Ok(frame)) => entries.extend(frame.to_entry()),
            Ok(Err(end)) => return (entries, Some(end)),
            Err(_) => return (entries, None),
        }
    }
}

/// A file of two frames around the halves of `data`, made after `docs/recording-format.md` and not with the encoder.
fn file_with(data: &[u8]) -> Vec<u8> {
    let mut file = Header::new(Kind::Session, [1; 16], 1).to_bytes().to_vec();
    let mut chain = *blake3::hash(&file).as_bytes();
    // The first byte says where the data is cut.
    let (cut, rest) = data.split_first().map_or((0, data), |(cut, rest)| (usize::from(*cut), rest));
    let (first, second) = rest.split_at(rest.len().min(cut));
    for payload in [first, second].into_iter().filter(|payload| !payload.is_empty()) {
        let length = (payload.len() as u32).to_le_bytes();
        chain = *blake3::Hasher::new().update(&chain).update(payload).finalize().as_bytes();
        file.extend(length);
        file.extend(crc32fast::hash(&[&length, payload].concat()).to_le_bytes());
        file.extend(chain);
        file.extend([0; 8]);
        file.extend(payload);
        file.resize(file.len().next_multiple_of(16), 0);
    }
    file
}

/// A secret by any reading is one where nobody knows which is the server's.
fn redacts(sql: &[u8]) {
    let quotings = [false, true]
        .map(|no_backslash_escapes| [false, true].map(|ansi_quotes| Quoting { no_backslash_escapes, ansi_quotes }));
    let is_changed = |quoting| matches!(redact::sql(sql, quoting), Cow::Owned(_));
    let known = quotings.as_flattened().iter().any(|quoting| is_changed(Some(*quoting)));
    assert_eq!(known, is_changed(None));
}

//! Session files as a reader meets them: whole, growing, cut and altered.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

use std::borrow::Cow;
use std::io::Cursor;

use portreeve_recording::limits::{FRAME_ALIGN, FRAME_HEADER_LEN, HEADER_LEN, PAYLOAD_LEN_MAX, STREAM_CHUNK_LEN};
use portreeve_recording::{
    Abandoned, Audit, Chosen, Closed, Command, Connects, Decision, EncodeError, Encoder, End, Entry, ErrorText,
    Evidence, Facts, Follows, Format, Forwarded, Header, Host, Kind, Login, Lost, Opened, PoliciesLoaded, Proof,
    ReadError, Reader, Record, Removed, Response, Rows, SessionBegan, SessionEnded, Signed, SigningKey, Started,
    Statement, Stopped, Stream, Tagged, Text, TornWhy, Transport, Verdict,
};

const HEADER: Header = Header::new(Kind::Session, [0xab; 16], 1_795_231_554_000_000_000);

fn opened() -> Record<'static> {
    Record::Opened(Box::new(Opened {
        session_id: "019aa3a1-0000-7000-8000-000000000001".into(),
        workload: Some("spiffe://example.org/reporting".into()),
        groups: vec!["reporting".to_owned(), "analysts".to_owned()].into(),
        evidence: Evidence {
            cgroup_id: 4711,
            tagged_cgroup_id: 4700,
            cgroup_path: Some("/agents/reporting/job-1".into()),
            uid: 1000,
            gid: 1000,
            pid: 4242,
            comm: "mysql".into(),
            netns_cookie: 1,
            socket_cookie: 77,
        },
        original_destination: "10.0.0.5:3306".into(),
        client_address: "10.0.0.9:51234".into(),
        server: Some("orders".into()),
        credential: Some("orders_ro".into()),
        gateway_version: "0.1.0".into(),
    }))
}

fn login() -> Record<'static> {
    Record::Login(Box::new(Login {
        user: "app".into(),
        schema: None,
        client_attributes: vec![("_client_name".to_owned(), "libmariadb".to_owned())].into(),
        server_version: "10.11.14-MariaDB".into(),
        server_connection_id: 31,
        accepted: false,
        error: Some(ErrorText { code: 1045, sqlstate: "28000".into(), message: "access denied".into() }),
    }))
}

fn statement(number: u64, sql: &str) -> Record<'static> {
    Record::Statement(Statement {
        number,
        command: Command::Query,
        prepared: None,
        sql: Text::of_sql(sql.as_bytes(), None).into_owned(),
        schema: Some("shop".into()),
        parameters: Cow::Borrowed(&[]),
    })
}

/// One of each record, with every optional part once there and once not.
fn records() -> Vec<Record<'static>> {
    vec![
        opened(),
        login(),
        statement(1, "SELECT id FROM orders"),
        Record::Verdict(Verdict {
            number: 1,
            decision: Decision::Deny,
            class: "select".into(),
            policies: vec!["no-orders".to_owned()].into(),
            reason: "forbidden by `no-orders`".into(),
        }),
        Record::Statement(Statement {
            number: 2,
            command: Command::Refused { code: 0x1f },
            prepared: Some(1),
            sql: Text::empty(),
            schema: None,
            parameters: vec![Text::of_bytes(b"42"), Text::of_bytes(b"\xff\x00")].into(),
        }),
        Record::Response(Response {
            number: 2,
            rows: 3,
            result_sets: 1,
            bytes: 120,
            affected_rows: 0,
            last_insert_id: 0,
            warnings: 2,
            error: None,
            duration_ns: 400_000,
            first_byte_ns: 300_000,
        }),
        Record::Closed(Closed { reason: "client quit".into(), statements: 2, bytes_to_client: 9, bytes_to_server: 8 }),
    ]
}

/// Those that came after the first files of this format were written.
fn later_records() -> Vec<Record<'static>> {
    vec![
        Record::Transport(Transport {
            client_tls: Some("TLSv1.3 TLS13_AES_128_GCM_SHA256".into()),
            server_tls: None,
            client_compression: None,
            server_compression: Some("zstd".into()),
        }),
        Record::Statement(Statement {
            number: 3,
            command: Command::Admin { code: 0x08 },
            prepared: None,
            sql: Text::empty(),
            schema: None,
            parameters: Cow::Borrowed(&[]),
        }),
        Record::Abandoned(Abandoned { number: 3, killed: true, detail: "the client left".into() }),
        Record::Forwarded(Forwarded { number: 1, sql: Text::of_bytes(b"SELECT id FROM orders") }),
        Record::Chosen(Chosen {
            selector: "unit = \"agent@*.service\"".into(),
            unit: Some("agent@a.service".into()),
            container: None,
            pod: None,
            exe: Some("/usr/bin/python3".into()),
            sha256: None,
        }),
        Record::Verdict(Verdict {
            number: 3,
            decision: Decision::WouldDeny,
            class: "shutdown".into(),
            policies: Cow::Borrowed(&[]),
            reason: "no policy permits `shutdown` on `orders`".into(),
        }),
    ]
}

/// Those of format 2.
fn records_of_two() -> Vec<Record<'static>> {
    vec![
        Record::Facts(Facts {
            number: 1,
            actions: vec!["select".to_owned()].into(),
            resources: vec!["orders/shop.orders".to_owned(), "orders/shop.items".to_owned()].into(),
        }),
        Record::Rows(Rows {
            number: 1,
            result_set: 0,
            first: 0,
            columns: vec!["id".to_owned(), "note".to_owned()].into(),
            values: vec![Some(Text::of_bytes(b"1")), None, Some(Text::of_bytes(b"2")), Some(Text::of_bytes(b"\xff"))]
                .into(),
            truncated: true,
        }),
    ]
}

fn tagged() -> Box<Tagged<'static>> {
    Box::new(Tagged {
        cgroup: "agents/reporting".into(),
        cgroup_id: 4700,
        workload: "reporting".into(),
        spiffe_id: "spiffe://example.org/reporting".into(),
        groups: vec!["reporting".to_owned()].into(),
        by: "configuration".into(),
    })
}

/// One of each record of a host recording.
fn host_records() -> Vec<Record<'static>> {
    let id = "019aa3a1-0000-7000-8000-000000000002";
    let records = [
        Host::Started(Box::new(Started {
            id: id.into(),
            continues: None,
            gateway_version: "0.1.0".into(),
            pid: 4711,
            kernel: "6.12.0".into(),
            boot_id: "b5a0e9b4-9d6c-4f0e-8f3f-0d5c6a0f5f0a".into(),
            config_path: "/etc/portreeve/portreeve.toml".into(),
            config_sha256: "00".repeat(32).into(),
            policies_sha256: "11".repeat(32).into(),
            observe: false,
        })),
        Host::Follows(Box::new(Follows { id: id.into(), ended: true, frames: 9, chain: [3; 32] })),
        Host::Connects(Box::new(Connects {
            refused: Some("other-creator".into()),
            workload: Some("reporting".into()),
            destination: Some("10.0.0.5:3306".into()),
            uid: Some(1000),
            pid: Some(4242),
            comm: Some("python".into()),
            cgroup_id: 4711,
            netns_cookie: None,
            count: 17,
            first_unix_ns: 1,
            last_unix_ns: 2,
        })),
        Host::Tagged(tagged()),
        Host::Untagged(tagged()),
        Host::PoliciesLoaded(Box::new(PoliciesLoaded { sha256: "22".repeat(32).into(), policies: 3, error: None })),
        Host::Lost(Box::new(Lost { connect_events: 4, connects_unlisted: 5 })),
        Host::SessionBegan(Box::new(SessionBegan { session_id: id.into() })),
        Host::SessionEnded(Box::new(SessionEnded { session_id: id.into(), frames: 8, chain: [4; 32] })),
        Host::Removed(Box::new(Removed {
            id: id.into(),
            host: false,
            bytes: 4096,
            reason: "older than 90 days".into(),
        })),
        Host::Stopped(Box::new(Stopped { reason: "SIGTERM".into(), continued: None })),
    ];
    records.into_iter().map(|record| Record::Host(Box::new(record))).collect()
}

/// One of every kind of record, signed in the middle and at the end.
fn file_of_two() -> Vec<u8> {
    let (mut encoder, header) = Encoder::new(&HEADER);
    let mut bytes = header.to_vec();
    let key = SigningKey::from_seed(&[9; 32]);
    let mut all = [records(), later_records(), records_of_two(), host_records()].concat();
    let last = all.remove(6);
    for record in all {
        encoder.encode(&Entry { at_unix_ns: HEADER.created_unix_ns, record }, &mut bytes).unwrap();
    }
    encoder.sign(Signed::Checkpoint, &key, &mut bytes).unwrap();
    encoder.encode(&Entry { at_unix_ns: HEADER.created_unix_ns + 1, record: last }, &mut bytes).unwrap();
    encoder.sign(Signed::Seal, &key, &mut bytes).unwrap();
    bytes
}

fn entries() -> Vec<Entry<'static>> {
    let record_at = |(index, record)| Entry { at_unix_ns: HEADER.created_unix_ns + index as u64, record };
    records().into_iter().enumerate().map(record_at).collect()
}

/// A file of `entries`, and where each frame begins.
fn file_of(entries: &[Entry<'_>]) -> (Vec<u8>, Vec<usize>) {
    file_with(&HEADER, entries)
}

fn file_with(header: &Header, entries: &[Entry<'_>]) -> (Vec<u8>, Vec<usize>) {
    let (mut encoder, header) = Encoder::new(header);
    let mut bytes = header.to_vec();
    let mut starts = Vec::new();
    for entry in entries {
        starts.push(bytes.len());
        encoder.encode(entry, &mut bytes).unwrap();
    }
    (bytes, starts)
}

fn read(bytes: &[u8]) -> (Vec<Entry<'static>>, End) {
    let mut reader = Reader::open(bytes).unwrap();
    let mut entries = Vec::new();
    while let Some(frame) = reader.next_frame() {
        assert_eq!(frame.index, entries.len() as u64);
        entries.push(frame.to_entry().unwrap());
    }
    (entries, reader.end().unwrap())
}

#[test]
fn every_record_is_read_back_as_it_was_written() {
    let (bytes, starts) = file_of(&entries());
    assert!(starts.iter().all(|start| start.is_multiple_of(FRAME_ALIGN)), "{starts:?}");
    assert_eq!(read(&bytes), (entries(), End::Closed));
}

#[test]
fn records_that_came_later_are_read_back_before_the_last() {
    let mut entries = entries();
    let last = entries.pop().unwrap();
    entries.extend(later_records().into_iter().map(|record| Entry { at_unix_ns: last.at_unix_ns, record }));
    entries.push(last);
    let (bytes, _) = file_of(&entries);
    assert_eq!(read(&bytes), (entries, End::Closed));
}

#[test]
fn bytes_at_any_alignment_give_the_same_entries() {
    let (bytes, _) = file_of(&entries());
    for shift in 0..FRAME_ALIGN {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&bytes);
        assert_eq!(read(&shifted[shift..]), (entries(), End::Closed), "shifted by {shift}");
    }
}

#[test]
fn preallocated_zeros_are_no_damage() {
    let all = entries();
    let (mut bytes, _) = file_of(&all);
    bytes.resize(bytes.len() + 4096, 0);
    assert_eq!(read(&bytes), (all.clone(), End::Closed));

    let (mut bytes, _) = file_of(&all[..3]);
    let offset = bytes.len() as u64;
    bytes.resize(bytes.len() + 4096, 0);
    assert_eq!(read(&bytes), (all[..3].to_vec(), End::Open { offset }));
}

#[test]
fn a_frame_whose_length_was_not_written_yet_does_not_exist() {
    let all = entries();
    let (mut bytes, starts) = file_of(&all[..4]);
    bytes[starts[3]..starts[3] + 4].fill(0);
    assert_eq!(read(&bytes), (all[..3].to_vec(), End::Open { offset: starts[3] as u64 }));
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_frames_and_says_where_it_is_torn() {
    let all = entries();
    let (bytes, starts) = file_of(&all);
    for cut in HEADER_LEN..bytes.len() {
        let whole = starts.iter().skip(1).filter(|&&start| start <= cut).count();
        let (found, end) = read(&bytes[..cut]);
        assert_eq!(found, all[..whole], "cut at {cut}");
        let offset = starts[whole] as u64;
        let at_zeros = bytes[starts[whole]..cut].iter().take(4).all(|&byte| byte == 0);
        match end {
            End::Open { offset: at } => assert!(at_zeros && at == offset, "cut at {cut}"),
            End::Torn { offset: at, why: TornWhy::Cut { .. } } => assert!(!at_zeros && at == offset, "cut at {cut}"),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn a_change_of_any_byte_is_found_in_its_frame() {
    let all = entries();
    let (bytes, starts) = file_of(&all);
    for at in HEADER_LEN..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        let hit = starts.iter().rposition(|&start| start <= at).unwrap();
        let (found, end) = read(&changed);
        assert_eq!(found, all[..hit], "byte {at}");
        assert!(matches!(end, End::Torn { offset, .. } if offset == starts[hit] as u64), "byte {at}: {end:?}");
    }
}

#[test]
fn a_change_of_the_header_is_found() {
    let (bytes, _) = file_of(&entries());
    for at in 0..HEADER_LEN {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        if let Ok(mut reader) = Reader::open(&changed) {
            assert!(reader.next_frame().is_none(), "byte {at}");
            assert_eq!(reader.end(), Some(End::Torn { offset: HEADER_LEN as u64, why: TornWhy::Chain }), "byte {at}");
        }
    }
}

#[test]
fn frames_removed_moved_or_added_break_the_chain() {
    let (bytes, starts) = file_of(&entries());
    let frame = |index: usize| &bytes[starts[index]..starts[index + 1]];
    let torn_at = |parts: &[&[u8]], offset: usize, why| {
        let altered = [&[&bytes[..starts[2]]], parts].concat().concat();
        assert_eq!(read(&altered).1, End::Torn { offset: offset as u64, why });
    };
    torn_at(&[&bytes[starts[3]..]], starts[2], TornWhy::Chain);
    torn_at(&[frame(3), frame(2), &bytes[starts[4]..]], starts[2], TornWhy::Chain);
    torn_at(&[frame(2), frame(2), &bytes[starts[3]..]], starts[3], TornWhy::Chain);
    // Nothing but a seal follows the closing record, whatever its chain.
    torn_at(&[&bytes[starts[2]..], frame(2)], bytes.len(), TornWhy::Chain);
    let mut all = entries();
    all.push(all[2].clone());
    let (bytes, starts) = file_of(&all);
    assert_eq!(read(&bytes).1, End::Torn { offset: starts[7] as u64, why: TornWhy::AfterClosed });
    let (bytes, starts) = file_with(&Header { format: Format::One, ..HEADER }, &all);
    assert_eq!(read(&bytes).1, End::Torn { offset: starts[7] as u64, why: TornWhy::AfterClosed });
}

#[test]
fn reading_goes_on_where_it_ended() {
    let all = entries();
    let (bytes, starts) = file_of(&all);
    let mut first = Reader::open(&bytes[..starts[3]]).unwrap();
    while first.next_frame().is_some() {}
    let position = first.position();
    assert_eq!((position.offset, position.index), (starts[3] as u64, 3));

    let mut second = Reader::resume(&bytes[starts[3]..], position);
    let frame = second.next_frame().unwrap();
    assert_eq!((frame.index, frame.offset, frame.to_entry().unwrap()), (3, starts[3] as u64, all[3].clone()));

    let mut elsewhere = Reader::resume(&bytes[starts[4]..], position);
    assert!(elsewhere.next_frame().is_none());
    assert_eq!(elsewhere.end(), Some(End::Torn { offset: starts[3] as u64, why: TornWhy::Chain }));
}

#[test]
fn a_length_over_the_limit_is_not_believed() {
    let (mut bytes, starts) = file_of(&entries());
    let claimed = PAYLOAD_LEN_MAX as u32 + 1;
    bytes[starts[1]..starts[1] + 4].copy_from_slice(&claimed.to_le_bytes());
    assert_eq!(read(&bytes).1, End::Torn { offset: starts[1] as u64, why: TornWhy::TooLong(claimed) });
}

#[test]
fn an_entry_over_the_limit_is_an_error_and_leaves_no_trace() {
    let long = "x".repeat(PAYLOAD_LEN_MAX);
    let (mut encoder, header) = Encoder::new(&HEADER);
    let mut bytes = header.to_vec();
    let too_long =
        Record::Closed(Closed { reason: long.into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 });
    let failed = encoder.encode(&Entry { at_unix_ns: 1, record: too_long }, &mut bytes);
    assert_eq!((failed, bytes.len()), (Err(EncodeError::TooLong), HEADER_LEN));

    // The chain goes on as if it had not been tried.
    let next = Entry { at_unix_ns: 2, record: statement(1, "SELECT 1") };
    encoder.encode(&next, &mut bytes).unwrap();
    assert_eq!(read(&bytes).0, [next]);
}

#[test]
fn the_longest_entry_is_written_and_read() {
    let closed = |len| Entry {
        at_unix_ns: 1,
        record: Record::Closed(Closed {
            reason: "x".repeat(len).into(),
            statements: 0,
            bytes_to_client: 0,
            bytes_to_server: 0,
        }),
    };
    let (bytes, starts) = file_of(&[closed(100_000)]);
    let overhead = bytes.len() - starts[0] - FRAME_HEADER_LEN - 100_000;
    let (bytes, _) = file_of(&[closed(PAYLOAD_LEN_MAX - overhead)]);
    assert_eq!(read(&bytes).1, End::Closed);
    let mut stream = Stream::open(Cursor::new(bytes)).unwrap();
    assert!(stream.next_frame().unwrap().is_ok());
}

/// All that a stream gives until it says how the frames end.
fn drain(stream: &mut Stream<Cursor<Vec<u8>>>) -> (Vec<Entry<'static>>, End) {
    let mut entries = Vec::new();
    loop {
        match stream.next_frame().unwrap() {
            Ok(frame) => entries.push(frame.to_entry().unwrap()),
            Err(end) => return (entries, end),
        }
    }
}

#[test]
fn a_stream_reads_frames_that_lie_across_its_chunks() {
    let long = format!("SELECT '{}'", "x".repeat(STREAM_CHUNK_LEN / 3));
    let mut all: Vec<_> =
        (1..20).map(|number| Entry { at_unix_ns: number, record: statement(number, &long) }).collect();
    let longer = format!("SELECT '{}'", "x".repeat(STREAM_CHUNK_LEN * 3));
    all.push(Entry { at_unix_ns: 20, record: statement(20, &longer) });
    let (bytes, _) = file_of(&all);
    let offset = bytes.len() as u64;
    let mut stream = Stream::open(Cursor::new(bytes)).unwrap();
    assert_eq!(drain(&mut stream), (all, End::Open { offset }));
}

/// A file grows under a stream as the recorder lets it: first preallocated zeros, then frames in them.
#[test]
fn a_stream_follows_a_growing_file() {
    let all = entries();
    let (bytes, starts) = file_of(&all);
    let mut stream = Stream::open(Growing { bytes: bytes.clone(), visible: starts[0], at: 0 }).unwrap();
    assert!(matches!(stream.next_frame().unwrap(), Err(End::Open { .. })));
    for index in 0..all.len() {
        // A part of the frame, with its length still zero: nothing is there.
        stream.get_mut().visible = starts[index];
        assert!(matches!(stream.next_frame().unwrap(), Err(End::Open { .. })), "before frame {index}");
        stream.get_mut().visible = starts.get(index + 1).copied().unwrap_or(bytes.len());
        assert_eq!(stream.next_frame().unwrap().unwrap().to_entry().unwrap(), all[index]);
    }
    assert_eq!(stream.next_frame().unwrap().unwrap_err(), End::Closed);
}

/// A file of which the bytes from `visible` on still read as zero.
struct Growing {
    bytes: Vec<u8>,
    visible: usize,
    at: usize,
}

impl std::io::Read for Growing {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = buf.len().min(self.bytes.len() - self.at);
        for (offset, byte) in buf[..count].iter_mut().enumerate() {
            let at = self.at + offset;
            *byte = if at < self.visible { self.bytes[at] } else { 0 };
        }
        self.at += count;
        Ok(count)
    }
}

impl std::io::Seek for Growing {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let std::io::SeekFrom::Start(at) = to else { panic!("the stream only seeks from the start") };
        self.at = (at as usize).min(self.bytes.len());
        Ok(at)
    }
}

#[test]
fn files_that_are_no_recording_are_refused() {
    for (bytes, expected) in [
        (&b""[..], ReadError::Blank),
        (&[0; 4096][..], ReadError::Blank),
        (&b"PRSESS\r\n"[..], ReadError::Short(8)),
        (&[b'x'; 4096][..], ReadError::Magic),
    ] {
        assert_eq!(Reader::open(bytes).unwrap_err(), expected);
        let error = Stream::open(Cursor::new(bytes.to_vec())).unwrap_err();
        assert_eq!(error.to_string(), expected.to_string());
    }
}

/// The bytes of a format must stay what they are: files are kept for years. When this fails, the format has changed, and
/// needs a new version number.
#[test]
fn formats_are_what_they_were() {
    let two = file_of_two();
    let one = file_with(&Header { format: Format::One, ..HEADER }, &entries()).0;
    for (name, written, kept) in [
        ("format-1.prs", one, &include_bytes!("format-1.prs")[..]),
        ("format-2.prs", two, include_bytes!("format-2.prs")),
    ] {
        let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, &written).unwrap();
        assert!(written == kept, "the encoder no longer writes {name}; {path} is what it writes");
    }
    assert_eq!(read(include_bytes!("format-1.prs")), (entries(), End::Closed));
    // The early one's signatures say the numbers of their frames.
    for file in [&include_bytes!("format-2.prs")[..], include_bytes!("format-2-early.prs")] {
        let (found, end) = read(file);
        let mut expected = [records(), later_records(), records_of_two(), host_records()].concat();
        let closed = expected.remove(6);
        let found: Vec<_> = found.into_iter().map(|entry| entry.record).collect();
        assert_eq!((&found[..expected.len()], end), (&expected[..], End::Closed));
        assert!(
            matches!(&found[expected.len()..], [Record::Checkpoint(_), last, Record::Sealed(_)] if *last == closed)
        );
        let (mut audit, mut reader) = (Audit::new(&[]), Reader::open(file).unwrap());
        while let Some(frame) = reader.next_frame() {
            audit.take(&frame).unwrap();
        }
        assert_eq!(audit.proof(), Proof::Sealed);
    }
}

#[test]
fn a_stream_that_checks_no_chain_still_finds_damage() {
    let (mut encoder, head) = Encoder::new(&HEADER);
    let mut bytes = head.to_vec();
    let mut starts = Vec::new();
    for number in 1..4 {
        starts.push(bytes.len());
        let record = statement(number, "SELECT 1");
        encoder.encode(&Entry { at_unix_ns: number, record }, &mut bytes).unwrap();
    }
    let count = |bytes: &[u8]| {
        let mut stream = Stream::open(Cursor::new(bytes.to_vec())).unwrap().without_chain();
        let mut count = 0;
        loop {
            match stream.next_frame().unwrap() {
                Ok(_) => count += 1,
                Err(end) => return (count, end),
            }
        }
    };
    assert_eq!(count(&bytes), (3, End::Open { offset: bytes.len() as u64 }));
    let removed = [&bytes[..starts[1]], &bytes[starts[2]..]].concat();
    assert_eq!(count(&removed).0, 2);
    bytes[starts[1] + FRAME_HEADER_LEN] ^= 1;
    assert_eq!(count(&bytes), (1, End::Torn { offset: starts[1] as u64, why: TornWhy::Checksum }));
}

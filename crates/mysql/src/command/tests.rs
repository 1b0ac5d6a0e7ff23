use super::*;
use crate::Fault;
use crate::attributes::Attribute;
use crate::execute::Value;

fn plain() -> Negotiated {
    Capabilities::CLIENT_PROTOCOL_41.into()
}

fn with_attributes() -> Negotiated {
    Capabilities::CLIENT_QUERY_ATTRIBUTES.into()
}

fn with_bulk() -> Negotiated {
    Negotiated { mariadb: MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS, ..plain() }
}

fn query(sql: &[u8]) -> Command<'_> {
    Command::Query { sql, attributes: Attributes::default() }
}

const SEVEN: StatementId = StatementId::Id(7);

#[test]
fn every_passed_command_is_read() {
    for (payload, command) in [
        (&b"\x03SELECT 1\0"[..], query(b"SELECT 1\0")),
        (b"\x03", query(b"")),
        (b"\x02shop", Command::InitDb { schema: b"shop" }),
        (b"\x0e", Command::Ping),
        (b"\x01", Command::Quit),
        (b"\x09", Command::Statistics),
        (b"\x04users\0%", Command::FieldList { table: b"users", wildcard: b"%" }),
        (b"\x04users\0", Command::FieldList { table: b"users", wildcard: b"" }),
        (b"\x16SELECT ?", Command::StmtPrepare { sql: b"SELECT ?" }),
        (
            b"\x18\x07\0\0\0\x02\x01data",
            Command::StmtSendLongData { statement: SEVEN, parameter: 0x0102, data: b"data" },
        ),
        (b"\x19\x07\0\0\0", Command::StmtClose { statement: SEVEN }),
        (b"\x1a\xfe\xff\xff\xff", Command::StmtReset { statement: StatementId::Id(0xFFFF_FFFE) }),
        (b"\x1c\x07\0\0\0\x64\0\0\0", Command::StmtFetch { statement: SEVEN, rows: 100 }),
        (b"\x1b\x01\0", Command::SetOption { option: 1 }),
        (b"\x1f", Command::ResetConnection),
        (b"\x11bob\0", Command::ChangeUser { request: b"bob\0" }),
        (b"\x0c\x01\x02\0\0", Command::ProcessKill { connection_id: 0x0201 }),
        (b"\x0d", Command::Debug),
        (b"\x07\x04", Command::Refresh { what: 4 }),
        (b"\x07", Command::Refresh { what: 0 }),
        (b"\x08", Command::Shutdown { level: None }),
        (b"\x08\x10", Command::Shutdown { level: Some(16) }),
        (b"\x0a", Command::ProcessInfo),
        (b"\x05shop", Command::CreateDb { schema: b"shop" }),
        (b"\x06shop", Command::DropDb { schema: b"shop" }),
        (b"\x12\x04", Command::BinlogDump { request: b"\x04" }),
        (b"\x1e\x04", Command::BinlogDumpGtid { request: b"\x04" }),
        (b"\x13\x04shop", Command::TableDump { request: b"\x04shop" }),
        (b"\x15\x01", Command::RegisterSlave { request: b"\x01" }),
    ] {
        assert_eq!(Command::parse(payload, plain()), Ok(command));
    }
}

#[test]
fn bytes_behind_the_last_field_are_ignored_as_the_servers_do() {
    for (payload, command) in [
        (&b"\x0exx"[..], Command::Ping),
        (b"\x01x", Command::Quit),
        (b"\x09x", Command::Statistics),
        (b"\x1fx", Command::ResetConnection),
        (b"\x0dx", Command::Debug),
        (b"\x0ax", Command::ProcessInfo),
        (b"\x19\x07\0\0\0x", Command::StmtClose { statement: SEVEN }),
        (b"\x1a\x07\0\0\0x", Command::StmtReset { statement: SEVEN }),
        (b"\x1c\x07\0\0\0\x01\0\0\0x", Command::StmtFetch { statement: SEVEN, rows: 1 }),
        (b"\x1b\0\0x", Command::SetOption { option: 0 }),
        (b"\x0c\x01\0\0\0x", Command::ProcessKill { connection_id: 1 }),
    ] {
        assert_eq!(Command::parse(payload, plain()), Ok(command));
    }
}

#[test]
fn what_is_short_is_refused() {
    for payload in [
        &b"\x04users"[..],
        b"\x17\x01\0\0\0\0\x01\0\0",
        b"\x18\x07\0\0\0\x02",
        b"\x19\x07\0\0",
        b"\x1a\x07\0\0",
        b"\x1c\x07\0\0\0\x01\0\0",
        b"\x1b\0",
        b"\x0c\x01\0\0",
    ] {
        let read = Command::parse(payload, plain());
        assert!(matches!(read, Err(ProtocolError::Malformed { fault: Fault::Truncated, .. })), "{payload:?}");
    }
    assert_eq!(Command::parse(b"", plain()), Err(Misbehaviour::EmptyCommand.into()));
    assert!(Command::parse(b"\xfa\x07\0\0\0\x80", with_bulk()).is_err());
}

#[test]
fn attributes_precede_a_statement_only_where_they_were_negotiated() {
    let payload = b"\x03\x01\x01\x00\x01\x03\x00\x01n\x2a\0\0\0SELECT 1";
    let Ok(Command::Query { sql, attributes }) = Command::parse(payload, with_attributes()) else { panic!("no query") };
    assert_eq!(sql, b"SELECT 1");
    let all: Vec<_> = attributes.iter().collect();
    assert_eq!(all, [Attribute { name: b"n", value: Value::Int(42) }]);
    assert_eq!(Command::parse(payload, plain()), Ok(query(&payload[1..])));
    assert_eq!(Command::parse(b"\x03\x00\x01SELECT 1", with_attributes()), Ok(query(b"SELECT 1")));
    assert!(Command::parse(b"\x03SELECT 1", with_attributes()).is_err());
    // A prepared statement's text has none: they come with its execution.
    let prepare = Command::StmtPrepare { sql: b"\x00\x01SELECT 1" };
    assert_eq!(Command::parse(b"\x16\x00\x01SELECT 1", with_attributes()), Ok(prepare));
}

#[test]
fn the_statement_prepared_last_has_an_id_of_its_own() {
    let last = StatementId::LastPrepared;
    let read = |byte: u8| {
        let payload = [byte, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1, 0, 0, 0];
        match Command::parse(&payload, with_bulk()).unwrap() {
            Command::StmtExecute(execute) => execute.statement,
            Command::StmtBulkExecute(bulk) => bulk.statement,
            Command::StmtSendLongData { statement, .. }
            | Command::StmtClose { statement }
            | Command::StmtReset { statement }
            | Command::StmtFetch { statement, .. } => statement,
            other => panic!("{other:?}"),
        }
    };
    for byte in [0x17, 0x18, 0x19, 0x1A, 0x1C, 0xFA] {
        assert_eq!(read(byte), last, "{byte:#x}");
    }
}

#[test]
fn every_byte_is_a_command_a_name_or_unknown() {
    let body = b"\x01\0\0\0\0\x01\0\0\0";
    let (mut passed, mut named, mut unknown) = (0, 0, 0);
    for byte in 0..=255 {
        match Command::parse(&[&[byte], &body[..]].concat(), plain()) {
            Ok(Command::Unsupported { byte: read, .. }) => {
                assert_eq!(read, byte);
                named += 1;
            }
            Ok(Command::Unknown { byte: read }) => {
                assert_eq!(read, byte);
                unknown += 1;
            }
            Ok(_) | Err(_) => passed += 1,
        }
    }
    assert_eq!((passed, named, unknown), (26, 2, 228));
}

#[test]
fn commands_without_an_answer_are_told_apart() {
    for (payload, answered) in [
        (&b"\x01"[..], false),
        (b"\x18\x07\0\0\0\0\0", false),
        (b"\x19\x07\0\0\0", false),
        (b"\x1a\x07\0\0\0", true),
        (b"\x0e", true),
        (b"\x1f", true),
        (b"\x99", true),
    ] {
        assert_eq!(Command::parse(payload, plain()).unwrap().expects_response(), answered, "{payload:?}");
    }
}

#[test]
fn long_data_is_known_by_its_first_bytes() {
    let payload = b"\x18\x07\0\0\0\x02\x01data";
    let head = LongDataHead { statement: SEVEN, parameter: 0x0102 };
    assert_eq!(LongDataHead::parse(payload), Ok(Some(head)));
    assert_eq!(LongDataHead::parse(&payload[..LongDataHead::LEN]), Ok(Some(head)));
    assert_eq!(LongDataHead::parse(b"\x17\x07\0\0\0\0\0"), Ok(None));
    assert_eq!(LongDataHead::parse(b""), Ok(None));
    for cut in 1..LongDataHead::LEN {
        assert!(LongDataHead::parse(&payload[..cut]).is_err(), "cut at {cut}");
    }
}

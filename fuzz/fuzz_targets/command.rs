//! Every command is read without loss, whatever was negotiated: texts are the payload's own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use portreeve_mysql::command::{Command, LongDataHead, StatementId};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let mut standard = Capabilities::CLIENT_PROTOCOL_41;
    standard.set(Capabilities::CLIENT_QUERY_ATTRIBUTES, choice & 1 != 0);
    let mut mariadb = MariaDbCapabilities::empty();
    mariadb.set(MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS, choice & 2 != 0);
    let head = LongDataHead::parse(data);
    let Ok(command) = Command::parse(data, Negotiated { standard, mariadb }) else { return };
    match command {
        Command::Query { sql, attributes } => {
            assert!(data.ends_with(sql));
            assert_eq!(attributes.iter().count(), usize::from(attributes.len()));
            if choice & 1 == 0 {
                assert_eq!((sql, attributes.is_empty()), (&data[1..], true));
            } else {
                assert!(sql.len() + 3 <= data.len());
            }
        }
        Command::StmtPrepare { sql: text }
        | Command::InitDb { schema: text }
        | Command::CreateDb { schema: text }
        | Command::DropDb { schema: text }
        | Command::ChangeUser { request: text }
        | Command::BinlogDump { request: text }
        | Command::BinlogDumpGtid { request: text }
        | Command::TableDump { request: text }
        | Command::RegisterSlave { request: text } => assert_eq!(text, &data[1..]),
        Command::FieldList { table, wildcard } => {
            assert_eq!(table.len() + wildcard.len() + 2, data.len());
            assert!(!table.contains(&0));
        }
        Command::StmtSendLongData { statement, parameter, data: long } => {
            assert_eq!(long, &data[LongDataHead::LEN..]);
            assert_eq!(head, Ok(Some(LongDataHead { statement, parameter })));
        }
        Command::StmtClose { statement } | Command::StmtReset { statement } => {
            assert_eq!(statement == StatementId::LastPrepared, data[1..5] == [0xFF; 4]);
        }
        Command::StmtBulkExecute(_) => assert_ne!(choice & 2, 0),
        Command::Unsupported { byte, .. } | Command::Unknown { byte } => assert_eq!(byte, data[0]),
        Command::StmtExecute(_)
        | Command::StmtFetch { .. }
        | Command::Ping
        | Command::Quit
        | Command::Statistics
        | Command::SetOption { .. }
        | Command::ResetConnection
        | Command::ProcessKill { .. }
        | Command::Debug
        | Command::Refresh { .. }
        | Command::Shutdown { .. }
        | Command::ProcessInfo => {}
    }
    if command.expect().is_some() {
        assert!(command.expects_response());
    }
});

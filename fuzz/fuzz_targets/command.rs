//! Every command is read without loss: texts are the payload's own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::command::Command;

fuzz_target!(|data: &[u8]| {
    let Ok(command) = Command::parse(data) else { return };
    match command {
        Command::Query { sql: text } | Command::StmtPrepare { sql: text } | Command::InitDb { schema: text } => {
            assert_eq!(text, &data[1..]);
        }
        Command::FieldList { table, wildcard } => {
            assert_eq!(table.len() + wildcard.len() + 2, data.len());
            assert!(!table.contains(&0));
        }
        Command::StmtSendLongData { data: long, .. } => assert_eq!(long, &data[7..]),
        Command::Unsupported { byte, .. } | Command::Unknown { byte } => assert_eq!(byte, data[0]),
        _ => {}
    }
    if command.expect().is_some() {
        assert!(command.expects_response());
    }
});

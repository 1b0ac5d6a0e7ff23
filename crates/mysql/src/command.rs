//! What a client asks for in the command phase.

use crate::execute::Execute;
use crate::reader::Reader;
use crate::response::Expect;
use crate::{Misbehaviour, ProtocolError, Unsupported};

const QUIT: u8 = 0x01;
const INIT_DB: u8 = 0x02;
const QUERY: u8 = 0x03;
const FIELD_LIST: u8 = 0x04;
const STATISTICS: u8 = 0x09;
const PING: u8 = 0x0E;
const STMT_PREPARE: u8 = 0x16;
const STMT_EXECUTE: u8 = 0x17;
const STMT_SEND_LONG_DATA: u8 = 0x18;
const STMT_CLOSE: u8 = 0x19;
const STMT_RESET: u8 = 0x1A;

/// The id that MariaDB reads as "the statement prepared last", whatever was negotiated.
const LAST_PREPARED: u32 = u32::MAX;

/// One command, its texts as the server will read them: no trailing NUL is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    Query {
        sql: &'a [u8],
    },
    InitDb {
        schema: &'a [u8],
    },
    Ping,
    Quit,
    FieldList {
        table: &'a [u8],
        wildcard: &'a [u8],
    },
    Statistics,
    StmtPrepare {
        sql: &'a [u8],
    },
    StmtExecute(Execute<'a>),
    StmtSendLongData {
        statement_id: u32,
        parameter: u16,
        data: &'a [u8],
    },
    StmtClose {
        statement_id: u32,
    },
    StmtReset {
        statement_id: u32,
    },
    /// A command of the protocol that the gateway does not pass on.
    Unsupported {
        byte: u8,
        name: &'static str,
    },
    /// A byte that names no command in MySQL 9.7 or MariaDB 10.11.
    Unknown {
        byte: u8,
    },
}

impl<'a> Command<'a> {
    /// Reads one command of a session without `QUERY_ATTRIBUTES`.
    ///
    /// # Errors
    /// `Misbehaved` for an empty payload, `Malformed` for fields that are not there, `Unsupported` for MariaDB's
    /// "statement prepared last": which one that is, only the server knows.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let Some((&byte, rest)) = payload.split_first() else {
            return Err(Misbehaviour::EmptyCommand.into());
        };
        let command = match byte {
            QUERY => Self::Query { sql: rest },
            INIT_DB => Self::InitDb { schema: rest },
            PING => bare("COM_PING", rest, Self::Ping)?,
            QUIT => bare("COM_QUIT", rest, Self::Quit)?,
            STATISTICS => bare("COM_STATISTICS", rest, Self::Statistics)?,
            FIELD_LIST => {
                let mut reader = Reader::new("COM_FIELD_LIST", rest);
                Self::FieldList { table: reader.until_nul("table")?, wildcard: reader.take_rest() }
            }
            STMT_PREPARE => Self::StmtPrepare { sql: rest },
            STMT_EXECUTE => Self::StmtExecute(Execute::parse(rest)?),
            STMT_SEND_LONG_DATA => {
                let mut reader = Reader::new("COM_STMT_SEND_LONG_DATA", rest);
                Self::StmtSendLongData {
                    statement_id: statement_id(&mut reader)?,
                    parameter: reader.u16("parameter")?,
                    data: reader.take_rest(),
                }
            }
            STMT_CLOSE => Self::StmtClose { statement_id: only_statement_id("COM_STMT_CLOSE", rest)? },
            STMT_RESET => Self::StmtReset { statement_id: only_statement_id("COM_STMT_RESET", rest)? },
            _ => match unsupported_name(byte) {
                Some(name) => Self::Unsupported { byte, name },
                None => Self::Unknown { byte },
            },
        };
        Ok(command)
    }

    /// Whether the client waits for an answer: a gateway that refuses a command without one must stay silent too.
    #[must_use]
    pub const fn expects_response(&self) -> bool {
        !matches!(self, Self::Quit | Self::StmtClose { .. } | Self::StmtSendLongData { .. })
    }

    /// How the server's answer is laid out; `None` where there is none, or the command is not passed on.
    #[must_use]
    pub const fn expect(&self) -> Option<Expect> {
        match self {
            Self::Query { .. } => Some(Expect::Query),
            Self::InitDb { .. } | Self::Ping | Self::StmtReset { .. } => Some(Expect::Simple),
            Self::FieldList { .. } => Some(Expect::FieldList),
            Self::Statistics => Some(Expect::Statistics),
            Self::StmtPrepare { .. } => Some(Expect::Prepare),
            Self::StmtExecute(_) => Some(Expect::Execute),
            Self::Quit
            | Self::StmtSendLongData { .. }
            | Self::StmtClose { .. }
            | Self::Unsupported { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

/// A command of one byte.
fn bare<'a>(packet: &'static str, rest: &[u8], command: Command<'a>) -> Result<Command<'a>, ProtocolError> {
    Reader::new(packet, rest).end("command")?;
    Ok(command)
}

/// Reads the id that a statement command starts with.
pub(crate) fn statement_id(reader: &mut Reader<'_>) -> Result<u32, ProtocolError> {
    match reader.u32("statement id")? {
        LAST_PREPARED => Err(Unsupported::LastPreparedStatement.into()),
        statement_id => Ok(statement_id),
    }
}

fn only_statement_id(packet: &'static str, rest: &[u8]) -> Result<u32, ProtocolError> {
    let mut reader = Reader::new(packet, rest);
    let statement_id = statement_id(&mut reader)?;
    reader.end("statement id")?;
    Ok(statement_id)
}

/// The other commands of `include/my_command.h` in MySQL 9.7, and those of MariaDB 10.11.
const fn unsupported_name(byte: u8) -> Option<&'static str> {
    Some(match byte {
        0x00 => "COM_SLEEP",
        0x05 => "COM_CREATE_DB",
        0x06 => "COM_DROP_DB",
        0x07 => "COM_REFRESH",
        0x08 => "COM_SHUTDOWN",
        0x0A => "COM_PROCESS_INFO",
        0x0B => "COM_CONNECT",
        0x0C => "COM_PROCESS_KILL",
        0x0D => "COM_DEBUG",
        0x0F => "COM_TIME",
        0x10 => "COM_DELAYED_INSERT",
        0x11 => "COM_CHANGE_USER",
        0x12 => "COM_BINLOG_DUMP",
        0x13 => "COM_TABLE_DUMP",
        0x14 => "COM_CONNECT_OUT",
        0x15 => "COM_REGISTER_SLAVE",
        0x1B => "COM_SET_OPTION",
        0x1C => "COM_STMT_FETCH",
        0x1D => "COM_DAEMON",
        0x1E => "COM_BINLOG_DUMP_GTID",
        0x1F => "COM_RESET_CONNECTION",
        0x20 => "COM_CLONE",
        0x21 => "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
        0xFA => "COM_STMT_BULK_EXECUTE",
        0xFB => "COM_SLAVE_WORKER",
        0xFC => "COM_SLAVE_IO",
        0xFD => "COM_SLAVE_SQL",
        0xFE => "COM_MULTI",
        0xFF => "COM_END",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_passed_command_is_read() {
        for (payload, command) in [
            (&b"\x03SELECT 1\0"[..], Command::Query { sql: b"SELECT 1\0" }),
            (b"\x03", Command::Query { sql: b"" }),
            (b"\x02shop", Command::InitDb { schema: b"shop" }),
            (b"\x0e", Command::Ping),
            (b"\x01", Command::Quit),
            (b"\x09", Command::Statistics),
            (b"\x04users\0%", Command::FieldList { table: b"users", wildcard: b"%" }),
            (b"\x04users\0", Command::FieldList { table: b"users", wildcard: b"" }),
            (b"\x16SELECT ?", Command::StmtPrepare { sql: b"SELECT ?" }),
            (
                b"\x18\x07\0\0\0\x02\x01data",
                Command::StmtSendLongData { statement_id: 7, parameter: 0x0102, data: b"data" },
            ),
            (b"\x19\x07\0\0\0", Command::StmtClose { statement_id: 7 }),
            (b"\x1a\xfe\xff\xff\xff", Command::StmtReset { statement_id: 0xFFFF_FFFE }),
        ] {
            assert_eq!(Command::parse(payload), Ok(command));
        }
    }

    #[test]
    fn what_is_short_or_too_long_is_refused() {
        for payload in [
            &b"\x0ex"[..],
            b"\x01x",
            b"\x09x",
            b"\x04users",
            b"\x17\x01\0\0\0\0\x01\0\0",
            b"\x18\x07\0\0\0\x02",
            b"\x19\x07\0\0",
            b"\x19\x07\0\0\0x",
            b"\x1a\x07\0\0\0\0",
        ] {
            assert!(matches!(Command::parse(payload), Err(ProtocolError::Malformed { .. })), "{payload:?}");
        }
        assert_eq!(Command::parse(b""), Err(Misbehaviour::EmptyCommand.into()));
    }

    #[test]
    fn the_statement_prepared_last_is_refused() {
        for byte in [0x17, 0x18, 0x19, 0x1A] {
            let payload = [byte, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1, 0, 0, 0];
            assert_eq!(Command::parse(&payload), Err(Unsupported::LastPreparedStatement.into()));
        }
    }

    #[test]
    fn every_byte_is_a_command_a_name_or_unknown() {
        let body = b"\x01\0\0\0\0\x01\0\0\0";
        let (mut passed, mut named, mut unknown) = (0, 0, 0);
        for byte in 0..=255 {
            match Command::parse(&[&[byte], &body[..]].concat()) {
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
        assert_eq!((passed, named, unknown), (11, 29, 216));
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
            assert_eq!(Command::parse(payload).unwrap().expects_response(), answered, "{payload:?}");
        }
    }
}

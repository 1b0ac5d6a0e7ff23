//! What a client asks for in the command phase.

use crate::attributes::Attributes;
use crate::bulk::BulkExecute;
use crate::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use crate::execute::Execute;
use crate::reader::Reader;
use crate::response::Expect;
use crate::{Misbehaviour, ProtocolError};

const QUIT: u8 = 0x01;
const INIT_DB: u8 = 0x02;
const QUERY: u8 = 0x03;
const FIELD_LIST: u8 = 0x04;
const CREATE_DB: u8 = 0x05;
const DROP_DB: u8 = 0x06;
const REFRESH: u8 = 0x07;
const SHUTDOWN: u8 = 0x08;
const STATISTICS: u8 = 0x09;
const PROCESS_INFO: u8 = 0x0A;
const PROCESS_KILL: u8 = 0x0C;
const DEBUG: u8 = 0x0D;
const PING: u8 = 0x0E;
const CHANGE_USER: u8 = 0x11;
const BINLOG_DUMP: u8 = 0x12;
const TABLE_DUMP: u8 = 0x13;
const REGISTER_SLAVE: u8 = 0x15;
const STMT_PREPARE: u8 = 0x16;
const STMT_EXECUTE: u8 = 0x17;
const STMT_SEND_LONG_DATA: u8 = 0x18;
const STMT_CLOSE: u8 = 0x19;
const STMT_RESET: u8 = 0x1A;
const SET_OPTION: u8 = 0x1B;
const STMT_FETCH: u8 = 0x1C;
const BINLOG_DUMP_GTID: u8 = 0x1E;
const RESET_CONNECTION: u8 = 0x1F;
const CLONE: u8 = 0x20;
const SUBSCRIBE_GROUP_REPLICATION_STREAM: u8 = 0x21;
const STMT_BULK_EXECUTE: u8 = 0xFA;

/// The id that MariaDB reads as "the statement prepared last", whatever was negotiated.
const LAST_PREPARED: u32 = u32::MAX;

/// Which prepared statement a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatementId {
    Id(u32),
    /// `0xFFFFFFFF`: MariaDB takes the statement prepared last, MySQL knows no statement of that id.
    LastPrepared,
}

/// One command, its texts as the server will read them: no trailing NUL is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    Query {
        sql: &'a [u8],
        /// None without `QUERY_ATTRIBUTES`.
        attributes: Attributes<'a>,
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
    /// Only under MariaDB's `STMT_BULK_OPERATIONS`.
    StmtBulkExecute(BulkExecute<'a>),
    StmtSendLongData {
        statement: StatementId,
        parameter: u16,
        data: &'a [u8],
    },
    StmtClose {
        statement: StatementId,
    },
    StmtReset {
        statement: StatementId,
    },
    StmtFetch {
        statement: StatementId,
        /// At most so many.
        rows: u32,
    },
    /// 0 turns multi-statements on, 1 off; servers answer others with 1047.
    SetOption {
        option: u16,
    },
    ResetConnection,
    /// What follows the command's byte; it is read with the login.
    ChangeUser {
        request: &'a [u8],
    },
    ProcessKill {
        connection_id: u32,
    },
    Debug,
    Refresh {
        /// Bits of `REFRESH_*` in the servers' mysql_com.h.
        what: u8,
    },
    Shutdown {
        level: Option<u8>,
    },
    ProcessInfo,
    CreateDb {
        schema: &'a [u8],
    },
    DropDb {
        schema: &'a [u8],
    },
    BinlogDump {
        request: &'a [u8],
    },
    BinlogDumpGtid {
        request: &'a [u8],
    },
    TableDump {
        request: &'a [u8],
    },
    RegisterSlave {
        request: &'a [u8],
    },
    /// A command of the protocol that the gateway does not pass on.
    Unsupported {
        byte: u8,
        name: &'static str,
    },
    /// A byte that the servers answer with error 1047, be it no command or one that clients may not send.
    Unknown {
        byte: u8,
    },
}

impl<'a> Command<'a> {
    /// Reads one command of a session in which `negotiated` is in force.
    ///
    /// Like the servers (MySQL 9.7, MariaDB 10.11), it ignores what follows the last field.
    ///
    /// # Errors
    /// `Misbehaved` for an empty payload, `Malformed` for fields that are not there: MySQL answers error 1835 to that and
    /// goes on.
    pub fn parse(payload: &'a [u8], negotiated: Negotiated) -> Result<Self, ProtocolError> {
        let Some((&byte, rest)) = payload.split_first() else {
            return Err(Misbehaviour::EmptyCommand.into());
        };
        let query_attributes = negotiated.has(Capabilities::CLIENT_QUERY_ATTRIBUTES);
        let command = match byte {
            QUERY => query(rest, query_attributes)?,
            STMT_PREPARE => Self::StmtPrepare { sql: rest },
            STMT_EXECUTE => Self::StmtExecute(Execute::parse(rest, query_attributes)?),
            STMT_BULK_EXECUTE if negotiated.has_mariadb(MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS) => {
                Self::StmtBulkExecute(BulkExecute::parse(rest)?)
            }
            STMT_SEND_LONG_DATA..=STMT_RESET | STMT_FETCH => statement_command(byte, rest)?,
            QUIT => Self::Quit,
            INIT_DB => Self::InitDb { schema: rest },
            PING => Self::Ping,
            STATISTICS => Self::Statistics,
            RESET_CONNECTION => Self::ResetConnection,
            CHANGE_USER => Self::ChangeUser { request: rest },
            FIELD_LIST => {
                let mut reader = Reader::new("COM_FIELD_LIST", rest);
                Self::FieldList { table: reader.until_nul("table")?, wildcard: reader.take_rest() }
            }
            SET_OPTION => Self::SetOption { option: Reader::new("COM_SET_OPTION", rest).u16("option")? },
            BINLOG_DUMP => Self::BinlogDump { request: rest },
            BINLOG_DUMP_GTID => Self::BinlogDumpGtid { request: rest },
            TABLE_DUMP => Self::TableDump { request: rest },
            REGISTER_SLAVE => Self::RegisterSlave { request: rest },
            CLONE => Self::Unsupported { byte, name: "COM_CLONE" },
            SUBSCRIBE_GROUP_REPLICATION_STREAM => {
                Self::Unsupported { byte, name: "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM" }
            }
            _ => administrative(byte, rest)?,
        };
        Ok(command)
    }

    /// Whether the client waits for an answer: a gateway that refuses a command without one must stay silent too.
    #[must_use]
    pub const fn expects_response(&self) -> bool {
        !matches!(self, Self::Quit | Self::StmtClose { .. } | Self::StmtSendLongData { .. })
    }

    /// How the server's answer is laid out; `None` where there is none, the command is not passed on, or the answer is an
    /// exchange of its own (COM_CHANGE_USER).
    #[must_use]
    pub const fn expect(&self) -> Option<Expect> {
        match self {
            Self::Query { .. } | Self::ProcessInfo => Some(Expect::Query),
            Self::InitDb { .. }
            | Self::Ping
            | Self::StmtReset { .. }
            | Self::SetOption { .. }
            | Self::ResetConnection
            | Self::ProcessKill { .. }
            | Self::Debug
            | Self::Refresh { .. }
            | Self::Shutdown { .. }
            | Self::CreateDb { .. }
            | Self::DropDb { .. }
            | Self::TableDump { .. }
            | Self::RegisterSlave { .. } => Some(Expect::Simple),
            Self::FieldList { .. } => Some(Expect::FieldList),
            Self::Statistics => Some(Expect::Statistics),
            Self::StmtPrepare { .. } => Some(Expect::Prepare),
            Self::StmtExecute(execute) => Some(Expect::Execute { cursor: execute.cursor() }),
            Self::StmtBulkExecute(_) => Some(Expect::BulkExecute),
            Self::StmtFetch { .. } => Some(Expect::Fetch),
            Self::BinlogDump { .. } | Self::BinlogDumpGtid { .. } => Some(Expect::BinlogDump),
            Self::Quit
            | Self::StmtSendLongData { .. }
            | Self::StmtClose { .. }
            | Self::ChangeUser { .. }
            | Self::Unsupported { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

fn query(rest: &[u8], query_attributes: bool) -> Result<Command<'_>, ProtocolError> {
    if !query_attributes {
        return Ok(Command::Query { sql: rest, attributes: Attributes::default() });
    }
    let mut reader = Reader::new("COM_QUERY", rest);
    let attributes = Attributes::read(&mut reader)?;
    Ok(Command::Query { sql: reader.take_rest(), attributes })
}

/// A command about one prepared statement, other than its execution.
fn statement_command(byte: u8, rest: &[u8]) -> Result<Command<'_>, ProtocolError> {
    let packet = match byte {
        STMT_SEND_LONG_DATA => LongDataHead::PACKET,
        STMT_CLOSE => "COM_STMT_CLOSE",
        STMT_RESET => "COM_STMT_RESET",
        _ => "COM_STMT_FETCH",
    };
    let mut reader = Reader::new(packet, rest);
    let statement = StatementId::read(&mut reader)?;
    Ok(match byte {
        STMT_SEND_LONG_DATA => {
            let parameter = reader.u16("parameter")?;
            Command::StmtSendLongData { statement, parameter, data: reader.take_rest() }
        }
        STMT_CLOSE => Command::StmtClose { statement },
        STMT_RESET => Command::StmtReset { statement },
        _ => Command::StmtFetch { statement, rows: reader.u32("number of rows")? },
    })
}

/// What works on the server rather than on the session's data. MySQL 9.7 has dropped most and answers 1047.
fn administrative(byte: u8, rest: &[u8]) -> Result<Command<'_>, ProtocolError> {
    Ok(match byte {
        CREATE_DB => Command::CreateDb { schema: rest },
        DROP_DB => Command::DropDb { schema: rest },
        // MariaDB takes a missing byte for no bits.
        REFRESH => Command::Refresh { what: rest.first().copied().unwrap_or_default() },
        SHUTDOWN => Command::Shutdown { level: rest.first().copied() },
        PROCESS_INFO => Command::ProcessInfo,
        PROCESS_KILL => {
            Command::ProcessKill { connection_id: Reader::new("COM_PROCESS_KILL", rest).u32("connection id")? }
        }
        DEBUG => Command::Debug,
        // SLEEP, CONNECT, TIME, DELAYED_INSERT, CONNECT_OUT, DAEMON, MULTI, END, those of MariaDB's replicas among them.
        _ => Command::Unknown { byte },
    })
}

impl StatementId {
    /// Reads the id that a statement command starts with.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        Ok(match reader.u32("statement id")? {
            LAST_PREPARED => Self::LastPrepared,
            id => Self::Id(id),
        })
    }
}

/// The fixed part of COM_STMT_SEND_LONG_DATA, so that its data need not be held: they are up to `max_allowed_packet` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDataHead {
    pub statement: StatementId,
    pub parameter: u16,
}

impl LongDataHead {
    /// Payload bytes up to the data, the command's byte included.
    pub const LEN: usize = 7;

    const PACKET: &'static str = "COM_STMT_SEND_LONG_DATA";

    /// Reads the first [`LongDataHead::LEN`] bytes of a command's payload, or more; `None` for any other command.
    ///
    /// # Errors
    /// `Malformed` when fewer are given.
    pub fn parse(front: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some((&STMT_SEND_LONG_DATA, rest)) = front.split_first() else { return Ok(None) };
        let mut reader = Reader::new(Self::PACKET, rest);
        let statement = StatementId::read(&mut reader)?;
        Ok(Some(Self { statement, parameter: reader.u16("parameter")? }))
    }
}

#[cfg(test)]
mod tests;

use super::{Expect, Layout, Prepared};
use crate::capabilities::StatusFlags;
use crate::limits::{COLUMNS_MAX, CONCEALED_PACKET_MAX, HELD_PACKET_MAX, LOCAL_INFILE_NAME_MAX, PACKET_PAYLOAD_MAX};
use crate::outcome::{EOF, ERR, EofPacket, OK, OkPacket};
use crate::reader::Reader;
use crate::{Fault, Misbehaviour, ProtocolError};

/// First byte of a request for a file of the client.
const LOCAL_INFILE: u8 = 0xFB;
/// An EOF packet is shorter than this; what starts with its byte and is longer is something else.
const EOF_LEN_END: usize = 9;

/// Which packet is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// OK, ERR, a request for a file, or the number of columns of a result set.
    Result,
    /// OK, ERR or EOF.
    Simple,
    Statistics,
    Columns {
        left: u64,
    },
    ColumnsEnd,
    Rows {
        /// A result follows whatever is said behind the rows: they are a procedure's OUT parameters, and MySQL says so in the
        /// EOF behind the columns only.
        more: bool,
    },
    FieldList,
    LocalInfile,
    /// OK or ERR, and maybe further results.
    AfterLocalInfile,
    Prepare,
    /// Definitions of parameters, then those of columns.
    PreparedParameters {
        left: u16,
        columns: u16,
    },
    PreparedParametersEnd {
        columns: u16,
    },
    /// The same where no definitions come, neither before nor behind.
    UndescribedParametersEnd {
        columns: u16,
    },
    PreparedColumns {
        left: u16,
    },
    PreparedColumnsEnd,
    /// Events up to an EOF or ERR.
    BinlogEvents,
    Complete,
}

/// How a packet goes through, as far as its length and first byte say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// In whatever pieces it comes in: nothing needs to be known of it.
    Stream,
    /// Whole, for it decides something.
    Decide { max: usize },
    /// Whole, for values in it may be concealed.
    Conceal { max: usize },
    /// Whole, and alone.
    LocalInfile { max: usize },
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    ResultSet {
        columns: u64,
        described: bool,
    },
    /// An OK packet, or one in place of an EOF.
    Ok,
    Eof(EofPacket),
    Prepared {
        prepared: Prepared,
        warnings: u16,
        described: bool,
    },
    /// An ERR packet.
    Error,
}

type Next = Result<(Action, Stage), ProtocolError>;

impl Stage {
    pub(super) const fn first(expect: Expect) -> Self {
        match expect {
            Expect::Query | Expect::Execute { .. } | Expect::BulkExecute => Self::Result,
            Expect::Prepare => Self::Prepare,
            Expect::FieldList => Self::FieldList,
            Expect::Fetch => Self::Rows { more: false },
            Expect::Statistics => Self::Statistics,
            Expect::Simple => Self::Simple,
            Expect::BinlogDump => Self::BinlogEvents,
        }
    }

    /// Judges a packet by its front. `hides`: whether values of this result set's rows are concealed.
    pub(super) fn handling(
        self,
        len: usize,
        first: u8,
        layout: &Layout,
        hides: bool,
    ) -> Result<Handling, ProtocolError> {
        const DECIDE: Handling = Handling::Decide { max: HELD_PACKET_MAX };
        const CONCEAL: Handling = Handling::Conceal { max: CONCEALED_PACKET_MAX };
        let is_end = first == EOF && len < PACKET_PAYLOAD_MAX;
        Ok(match self {
            Self::LocalInfile | Self::Complete => return Err(unexpected()),
            _ if first == ERR => DECIDE,
            Self::Result if first == LOCAL_INFILE => {
                // A server can ask any client for any file; only a statement that was judged to be LOAD DATA LOCAL may.
                // MariaDB prepares it too.
                let may_ask = matches!(layout.expect, Expect::Query | Expect::Execute { .. });
                if !layout.local_infile_allowed || !may_ask {
                    return Err(Misbehaviour::UnrequestedLocalInfile.into());
                }
                Handling::LocalInfile { max: LOCAL_INFILE_NAME_MAX.saturating_add(1) }
            }
            Self::Rows { .. } | Self::FieldList if is_end => DECIDE,
            // A definition starts with the length of its catalog's name. Some clients read definitions up to an EOF.
            Self::Columns { .. } | Self::PreparedColumns { .. } | Self::PreparedParameters { .. } if is_end => {
                return Err(unexpected());
            }
            // A text row may start with the byte of EOF, when its first value has 16 MiB or more: then so has the packet.
            Self::Rows { .. } if layout.expect.is_binary() && first != 0 => {
                return Err(ProtocolError::malformed("binary row", "header", Fault::Invalid));
            }
            Self::Rows { .. } if hides => CONCEAL,
            Self::Columns { .. } | Self::PreparedColumns { .. } if layout.conceals => CONCEAL,
            Self::Rows { .. }
            | Self::FieldList
            | Self::Columns { .. }
            | Self::PreparedColumns { .. }
            | Self::PreparedParameters { .. }
            | Self::Statistics => Handling::Stream,
            Self::BinlogEvents if first == OK => Handling::Stream,
            Self::Result
            | Self::Simple
            | Self::ColumnsEnd
            | Self::AfterLocalInfile
            | Self::Prepare
            | Self::PreparedParametersEnd { .. }
            | Self::UndescribedParametersEnd { .. }
            | Self::PreparedColumnsEnd
            | Self::BinlogEvents => DECIDE,
        })
    }

    /// What is due behind a packet that decided nothing.
    pub(super) fn behind_streamed(self, layout: &Layout) -> Self {
        match self {
            Self::Columns { left } => columns_left(left.saturating_sub(1), layout),
            Self::PreparedParameters { left, columns } => parameters_left(left.saturating_sub(1), columns, layout),
            Self::PreparedColumns { left } => prepared_columns_left(left.saturating_sub(1), layout),
            Self::Statistics => Self::Complete,
            other => other,
        }
    }

    /// Judges a whole packet: what it says, and which one is due next.
    pub(super) fn decide(self, payload: &[u8], layout: &Layout) -> Next {
        match (self, payload.first()) {
            (_, None) => Err(empty()),
            (_, Some(&ERR)) => Ok((Action::Error, Self::Complete)),
            (Self::Result | Self::AfterLocalInfile, Some(&OK)) => ok(payload, layout),
            (Self::Result, Some(&first)) => result(first, payload, layout),
            (Self::Simple, Some(&OK)) => Ok((Action::Ok, Self::Complete)),
            (Self::Simple | Self::FieldList | Self::Rows { .. }, Some(&EOF)) => end(self, payload, layout),
            (Self::Simple, Some(_)) => Err(ProtocolError::malformed("response", "header", Fault::Invalid)),
            // Without a cursor asked for, CURSOR_EXISTS is no sign that rows must be fetched: MySQL 9.7 leaves the flag set
            // after a routine used a cursor of its own, and sends the rows.
            (Self::ColumnsEnd, Some(_)) => {
                let eof = eof(payload)?;
                let status = StatusFlags::from_bits_retain(eof.status);
                let fetched = layout.expect == (Expect::Execute { cursor: true })
                    && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS);
                let more = status.contains(StatusFlags::SERVER_PS_OUT_PARAMS | StatusFlags::SERVER_MORE_RESULTS_EXISTS);
                Ok((Action::Eof(eof), if fetched { after(eof.status, layout) } else { Self::Rows { more } }))
            }
            (Self::Prepare, Some(_)) => prepared(payload, layout),
            (Self::PreparedParametersEnd { columns }, Some(_)) => {
                Ok((Action::Eof(eof(payload)?), prepared_columns(columns)))
            }
            (Self::UndescribedParametersEnd { columns }, Some(_)) => {
                Ok((Action::Eof(eof(payload)?), undescribed_columns(columns, layout)))
            }
            (Self::PreparedColumnsEnd | Self::BinlogEvents, Some(_)) => {
                Ok((Action::Eof(eof(payload)?), Self::Complete))
            }
            (
                Self::AfterLocalInfile
                | Self::LocalInfile
                | Self::Statistics
                | Self::FieldList
                | Self::Rows { .. }
                | Self::Columns { .. }
                | Self::PreparedParameters { .. }
                | Self::PreparedColumns { .. }
                | Self::Complete,
                Some(_),
            ) => Err(unexpected()),
        }
    }
}

/// The first packet of a result that is no OK.
fn result(first: u8, payload: &[u8], layout: &Layout) -> Next {
    const FIELD: &str = "number of columns";
    let mut reader = Reader::new("result set", payload);
    // No number of columns needs eight bytes, and a client could read an EOF packet in it.
    if first == EOF {
        return Err(reader.fail(FIELD, Fault::Invalid));
    }
    let columns = reader.lenenc_int(FIELD)?;
    let described = !layout.metadata_flag || metadata_follows(&mut reader)?;
    reader.end(FIELD)?;
    if !(1..=COLUMNS_MAX).contains(&columns) {
        return Err(reader.fail(FIELD, Fault::Invalid));
    }
    // Without definitions, the EOF behind them comes all the same (MySQL 9.7 and MariaDB 10.11).
    let left = if described { columns } else { 0 };
    Ok((Action::ResultSet { columns, described }, columns_left(left, layout)))
}

fn metadata_follows(reader: &mut Reader<'_>) -> Result<bool, ProtocolError> {
    const FIELD: &str = "metadata flag";
    match reader.u8(FIELD)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.fail(FIELD, Fault::Invalid)),
    }
}

const fn columns_left(left: u64, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => Stage::Rows { more: false },
        (0, false) => Stage::ColumnsEnd,
        (left, _) => Stage::Columns { left },
    }
}

/// What ends rows or a list.
fn end(stage: Stage, payload: &[u8], layout: &Layout) -> Next {
    let (action, status) = if layout.deprecate_eof {
        (Action::Ok, OkPacket::parse(payload)?.status)
    } else {
        let eof = eof(payload)?;
        (Action::Eof(eof), eof.status)
    };
    let next = match stage {
        Stage::Rows { more: true } => Stage::Result,
        Stage::Rows { more: false } => after(status, layout),
        _ => Stage::Complete,
    };
    Ok((action, next))
}

fn ok(payload: &[u8], layout: &Layout) -> Next {
    Ok((Action::Ok, after(OkPacket::parse(payload)?.status, layout)))
}

fn eof(payload: &[u8]) -> Result<EofPacket, ProtocolError> {
    if payload.len() >= EOF_LEN_END {
        return Err(ProtocolError::malformed("EOF packet", "header", Fault::Invalid));
    }
    EofPacket::parse(payload)
}

fn after(status: u16, layout: &Layout) -> Stage {
    let more = StatusFlags::from_bits_retain(status).contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS);
    if more && layout.expect != Expect::Fetch { Stage::Result } else { Stage::Complete }
}

fn prepared(payload: &[u8], layout: &Layout) -> Next {
    let mut reader = Reader::new("COM_STMT_PREPARE response", payload);
    if reader.u8("header")? != OK {
        return Err(reader.fail("header", Fault::Invalid));
    }
    let statement_id = reader.u32("statement id")?;
    let columns = reader.u16("number of columns")?;
    let parameters = reader.u16("number of parameters")?;
    reader.u8("filler")?;
    let warnings = reader.u16("warnings")?;
    // MySQL's flag is here as well, MariaDB's only with the result set.
    let described = !layout.prepare_flag || reader.is_empty() || metadata_follows(&mut reader)?;
    reader.end("warnings")?;
    let prepared = Prepared { statement_id, columns, parameters };
    let next = match (parameters, described) {
        (0, true) => prepared_columns(columns),
        (0, false) => undescribed_columns(columns, layout),
        (left, true) => Stage::PreparedParameters { left, columns },
        (_, false) if layout.deprecate_eof => Stage::Complete,
        (_, false) => Stage::UndescribedParametersEnd { columns },
    };
    Ok((Action::Prepared { prepared, warnings, described }, next))
}

const fn parameters_left(left: u16, columns: u16, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => prepared_columns(columns),
        (0, false) => Stage::PreparedParametersEnd { columns },
        (left, _) => Stage::PreparedParameters { left, columns },
    }
}

const fn prepared_columns(columns: u16) -> Stage {
    if columns == 0 { Stage::Complete } else { Stage::PreparedColumns { left: columns } }
}

const fn prepared_columns_left(left: u16, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => Stage::Complete,
        (0, false) => Stage::PreparedColumnsEnd,
        (left, _) => Stage::PreparedColumns { left },
    }
}

/// Where the definitions of columns would be, only the EOF behind them comes.
const fn undescribed_columns(columns: u16, layout: &Layout) -> Stage {
    if columns == 0 || layout.deprecate_eof { Stage::Complete } else { Stage::PreparedColumnsEnd }
}

pub(super) const fn empty() -> ProtocolError {
    ProtocolError::malformed("response", "packet", Fault::Truncated)
}

const fn unexpected() -> ProtocolError {
    ProtocolError::unexpected("at this point of the server's answer")
}

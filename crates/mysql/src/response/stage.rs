use super::{Expect, Layout, Prepared};
use crate::capabilities::StatusFlags;
use crate::limits::{
    COLUMNS_MAX, ERROR_MESSAGE_KEPT_MAX, LOCAL_INFILE_NAME_MAX, PACKET_HEAD_KEPT_MAX, PACKET_PAYLOAD_MAX,
};
use crate::outcome::{EOF, ERR, EofPacket, OK, OkPacket};
use crate::reader::Reader;
use crate::{Fault, Misbehaviour, ProtocolError};

/// First byte of a request for a file of the client.
const LOCAL_INFILE: u8 = 0xFB;
/// An EOF packet is shorter than this; what starts with its byte and is longer is something else.
const EOF_LEN_END: u64 = 9;

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
    Rows,
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
    PreparedColumns {
        left: u16,
    },
    PreparedColumnsEnd,
    Complete,
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    ResultSet,
    Row,
    Ok(OkPacket),
    Eof(EofPacket),
    /// With the number of warnings.
    Prepared(Prepared, u16),
    /// The head is an ERR packet.
    Error,
}

type Next = Result<(Action, Stage), ProtocolError>;

impl Stage {
    pub(super) const fn first(expect: Expect) -> Self {
        match expect {
            Expect::Query | Expect::Execute => Self::Result,
            Expect::Prepare => Self::Prepare,
            Expect::FieldList => Self::FieldList,
            Expect::Statistics => Self::Statistics,
            Expect::Simple => Self::Simple,
        }
    }

    /// How many bytes of a packet of `len` bytes with that first byte are needed.
    pub(super) const fn kept_max(self, len: usize, first: u8) -> usize {
        match (self, first) {
            (_, ERR) | (Self::Result, LOCAL_INFILE) => ERROR_MESSAGE_KEPT_MAX,
            (Self::Rows | Self::FieldList, EOF) if len < PACKET_PAYLOAD_MAX => PACKET_HEAD_KEPT_MAX,
            (
                Self::Rows
                | Self::FieldList
                | Self::Columns { .. }
                | Self::PreparedParameters { .. }
                | Self::PreparedColumns { .. },
                _,
            ) => 1,
            _ => PACKET_HEAD_KEPT_MAX,
        }
    }

    /// Judges the packet of `len` payload bytes that starts with `head`: what it says, and which one is due next.
    pub(super) fn next(self, head: &[u8], len: u64, layout: &Layout) -> Next {
        let Some(&first) = head.first() else {
            return Err(ProtocolError::malformed("response", "packet", Fault::Truncated));
        };
        if first == ERR && !matches!(self, Self::LocalInfile | Self::Complete) {
            return Ok((Action::Error, Self::Complete));
        }
        match self {
            Self::Result => result(first, head, len, layout),
            Self::AfterLocalInfile if first == OK => ok(head),
            Self::Simple => simple(first, head, len, layout),
            Self::Statistics => Ok((Action::Nothing, Self::Complete)),
            Self::Columns { left } => Ok((Action::Nothing, columns_left(left.saturating_sub(1), layout))),
            // CURSOR_EXISTS in its status is no sign that rows must be fetched: MySQL 9.7 leaves the flag set after a routine
            // used a cursor of its own, and sends the rows. Cursors of the client are refused before (execute's flags).
            Self::ColumnsEnd => Ok((Action::Eof(eof(head, len)?), Self::Rows)),
            Self::Rows => row(first, head, len, layout),
            Self::FieldList if first == EOF => end(head, len, layout).map(|(action, _)| (action, Self::Complete)),
            Self::FieldList => Ok((Action::Nothing, Self::FieldList)),
            Self::Prepare => prepared(head, len),
            Self::PreparedParameters { left, columns } => {
                Ok((Action::Nothing, parameters_left(left.saturating_sub(1), columns, layout)))
            }
            Self::PreparedParametersEnd { columns } => Ok((Action::Eof(eof(head, len)?), prepared_columns(columns))),
            Self::PreparedColumns { left } => {
                Ok((Action::Nothing, prepared_columns_left(left.saturating_sub(1), layout)))
            }
            Self::PreparedColumnsEnd => Ok((Action::Eof(eof(head, len)?), Self::Complete)),
            Self::AfterLocalInfile | Self::LocalInfile | Self::Complete => {
                Err(ProtocolError::unexpected("at this point of the server's answer"))
            }
        }
    }
}

/// The first packet of a result.
fn result(first: u8, head: &[u8], len: u64, layout: &Layout) -> Next {
    match first {
        OK => ok(head),
        LOCAL_INFILE => local_infile(len, layout),
        // No number of columns needs eight bytes, and a client could read an EOF packet in it.
        EOF => Err(ProtocolError::malformed("result set", "number of columns", Fault::Invalid)),
        _ => {
            let mut reader = Reader::new("result set", head);
            let columns = reader.lenenc_int("number of columns")?;
            reader.end("number of columns")?;
            if !(1..=COLUMNS_MAX).contains(&columns) {
                return Err(reader.fail("number of columns", Fault::Invalid));
            }
            Ok((Action::ResultSet, columns_left(columns, layout)))
        }
    }
}

fn local_infile(len: u64, layout: &Layout) -> Next {
    // A server can ask any client for any file; only a text statement that was judged to be LOAD DATA LOCAL may.
    if !layout.local_infile_allowed || layout.expect != Expect::Query {
        return Err(Misbehaviour::UnrequestedLocalInfile.into());
    }
    let (len, max) = (len.saturating_sub(1), LOCAL_INFILE_NAME_MAX as u64);
    if len > max {
        return Err(ProtocolError::malformed("LOCAL INFILE request", "file name", Fault::TooLong { len, max }));
    }
    Ok((Action::Nothing, Stage::LocalInfile))
}

fn columns_left(left: u64, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => Stage::Rows,
        (0, false) => Stage::ColumnsEnd,
        (left, _) => Stage::Columns { left },
    }
}

fn row(first: u8, head: &[u8], len: u64, layout: &Layout) -> Next {
    // A text row may start with the byte of EOF, when its first value has 16 MiB or more: then so has the packet.
    if first == EOF && len < PACKET_PAYLOAD_MAX as u64 {
        return end(head, len, layout);
    }
    if layout.expect == Expect::Execute && first != 0 {
        return Err(ProtocolError::malformed("binary row", "header", Fault::Invalid));
    }
    Ok((Action::Row, Stage::Rows))
}

/// What ends rows: EOF, or an OK packet in its place.
fn end(head: &[u8], len: u64, layout: &Layout) -> Next {
    if layout.deprecate_eof {
        return ok(head);
    }
    let eof = eof(head, len)?;
    Ok((Action::Eof(eof), after(eof.status)))
}

fn ok(head: &[u8]) -> Next {
    let ok = OkPacket::parse(head)?;
    Ok((Action::Ok(ok), after(ok.status)))
}

fn eof(head: &[u8], len: u64) -> Result<EofPacket, ProtocolError> {
    if len >= EOF_LEN_END {
        return Err(ProtocolError::malformed("EOF packet", "header", Fault::Invalid));
    }
    EofPacket::parse(head)
}

fn after(status: u16) -> Stage {
    if StatusFlags::from_bits_retain(status).contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
        Stage::Result
    } else {
        Stage::Complete
    }
}

fn simple(first: u8, head: &[u8], len: u64, layout: &Layout) -> Next {
    let (action, _) = match first {
        OK => ok(head)?,
        EOF => end(head, len, layout)?,
        _ => return Err(ProtocolError::malformed("response", "header", Fault::Invalid)),
    };
    Ok((action, Stage::Complete))
}

fn prepared(head: &[u8], len: u64) -> Next {
    const PACKET: &str = "COM_STMT_PREPARE response";
    let mut reader = Reader::new(PACKET, head);
    if reader.u8("header")? != OK {
        return Err(reader.fail("header", Fault::Invalid));
    }
    let statement_id = reader.u32("statement id")?;
    let columns = reader.u16("number of columns")?;
    let parameters = reader.u16("number of parameters")?;
    reader.u8("filler")?;
    let warnings = reader.u16("warnings")?;
    reader.end("warnings")?;
    // More than was kept cannot be seen by the reader.
    if len > PACKET_HEAD_KEPT_MAX as u64 {
        return Err(reader.fail("warnings", Fault::Invalid));
    }
    let prepared = Prepared { statement_id, columns, parameters };
    let next = if parameters == 0 {
        prepared_columns(columns)
    } else {
        Stage::PreparedParameters { left: parameters, columns }
    };
    Ok((Action::Prepared(prepared, warnings), next))
}

fn parameters_left(left: u16, columns: u16, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => prepared_columns(columns),
        (0, false) => Stage::PreparedParametersEnd { columns },
        (left, _) => Stage::PreparedParameters { left, columns },
    }
}

fn prepared_columns(columns: u16) -> Stage {
    if columns == 0 { Stage::Complete } else { Stage::PreparedColumns { left: columns } }
}

fn prepared_columns_left(left: u16, layout: &Layout) -> Stage {
    match (left, layout.deprecate_eof) {
        (0, true) => Stage::Complete,
        (0, false) => Stage::PreparedColumnsEnd,
        (left, _) => Stage::PreparedColumns { left },
    }
}

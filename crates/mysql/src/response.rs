//! The server's answer to one command, followed through whatever pieces it arrives in.
//!
//! The bytes are forwarded as they are, but for what leads the client past the gateway: redirects in OK packets, and,
//! where asked for, the variables of [`conceal`](crate::conceal). Rows go through in pieces and unread, unless they are
//! taken for a recording; what decides where the answer ends is small and taken whole, out of the caller's buffer.

mod concealing;
mod outbox;
mod stage;
mod summary;
mod taking;

use std::borrow::Cow;
use std::sync::Arc;

use crate::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use crate::conceal::Plan;
use crate::limits::{HEADER_LEN, PACKET_PAYLOAD_MAX};
use crate::outcome::ErrorPacket;
use crate::packet::header;
use crate::{Misbehaviour, ProtocolError, tracking};

pub use summary::{Prepared, ResponseError, Summary};
pub use taking::{Columns, RowLimits, TakenRows};

use concealing::Concealing;
use outbox::Outbox;
use stage::{Action, Handling, Stage};
use taking::Taking;

/// The code of an ERR packet that reports progress and ends nothing (MariaDB, `PROGRESS`).
const PROGRESS_CODE: u16 = 0xFFFF;

/// Which command the answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// COM_QUERY, COM_PROCESS_INFO.
    Query,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_EXECUTE; with a cursor asked for, the rows may be left to be fetched.
    Execute { cursor: bool },
    /// COM_STMT_BULK_EXECUTE.
    BulkExecute,
    /// COM_STMT_FETCH: rows without anything before them.
    Fetch,
    /// COM_FIELD_LIST.
    FieldList,
    /// COM_STATISTICS: a bare string.
    Statistics,
    /// One OK, ERR or EOF.
    Simple,
    /// COM_BINLOG_DUMP: events without end, or up to an EOF.
    BinlogDump,
}

/// How far [`Response::feed`] came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes at the front of those fed that are done with. The rest is fed again, with more behind it.
    pub consumed: usize,
    /// What the client gets for them.
    pub pass: Pass,
    pub state: State,
}

/// What the client gets for consumed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// They themselves.
    Verbatim,
    /// These in their place.
    Rewritten(Vec<u8>),
}

/// What is due next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// More bytes of the server.
    More,
    /// The client's file: packets of the client up to an empty one, then [`Response::local_infile_sent`].
    LocalInfile,
    /// Nothing: the answer is over.
    Complete,
}

/// Follows one answer.
#[derive(Debug)]
pub struct Response {
    next_sequence_id: u8,
    place: Place,
    stage: Stage,
    layout: Layout,
    summary: Summary,
    local_infile_name: Vec<u8>,
    concealing: Option<Concealing>,
    /// Behind a pointer: most answers have none.
    taking: Option<Box<Taking>>,
}

/// What decides how packets are read.
#[derive(Debug, Clone, Copy)]
struct Layout {
    expect: Expect,
    negotiated: Negotiated,
    deprecate_eof: bool,
    /// Whether a byte behind the number of columns says that definitions follow.
    metadata_flag: bool,
    /// Whether a prepare's answer has that byte too.
    prepare_flag: bool,
    progress: bool,
    local_infile_allowed: bool,
    conceals: bool,
}

/// Where in the stream the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In front of a logical packet.
    Start,
    /// In front of the header of a packet's continuation.
    Continuation,
    /// That many bytes before the end of a physical packet's payload.
    Payload { left: usize, continued: bool },
}

impl Expect {
    /// Whether rows are in the binary protocol.
    const fn is_binary(self) -> bool {
        matches!(self, Self::Execute { .. } | Self::BulkExecute | Self::Fetch)
    }
}

impl Layout {
    const fn has_extended_metadata(&self) -> bool {
        self.negotiated.has_mariadb(MariaDbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA)
    }
}

impl Response {
    /// Follows the answer to a command whose packet had sequence id 0, on a leg where `negotiated` is in force.
    #[must_use]
    pub const fn new(expect: Expect, negotiated: Negotiated) -> Self {
        let optional_metadata = negotiated.has(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA);
        let layout = Layout {
            expect,
            negotiated,
            deprecate_eof: negotiated.has(Capabilities::CLIENT_DEPRECATE_EOF),
            metadata_flag: optional_metadata
                || negotiated.has_mariadb(MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA),
            prepare_flag: optional_metadata,
            progress: negotiated.has_mariadb(MariaDbCapabilities::MARIADB_CLIENT_PROGRESS),
            local_infile_allowed: false,
            conceals: false,
        };
        Self {
            next_sequence_id: 1,
            place: Place::Start,
            stage: Stage::first(expect),
            layout,
            summary: Summary::NOTHING,
            local_infile_name: Vec::new(),
            concealing: None,
            taking: None,
        }
    }

    /// For a command of several packets: the answer's ids go on behind the command's last one.
    #[must_use]
    pub const fn with_first_sequence_id(mut self, first_sequence_id: u8) -> Self {
        self.next_sequence_id = first_sequence_id;
        self
    }

    /// Whether this very statement may ask the client for a file; otherwise such a request is an error.
    #[must_use]
    pub const fn with_local_infile(mut self, allowed: bool) -> Self {
        self.layout.local_infile_allowed = allowed;
        self
    }

    /// Conceals the variables of [`conceal`](crate::conceal). `known` is what [`Response::plan`] said of an earlier answer
    /// to the same prepared statement, for when this one comes without column definitions.
    #[must_use]
    pub fn with_concealing(mut self, known: Option<Plan>) -> Self {
        self.layout.conceals = true;
        self.concealing = Some(Concealing::new(self.layout.expect, known));
        self
    }

    /// Takes the rows for a recording, so far as `limits` say. `known` is what [`Response::columns`] said of an earlier answer
    /// to the same prepared statement, for when this one comes without column definitions.
    #[must_use]
    pub fn with_rows(mut self, limits: RowLimits, known: Option<Arc<Columns>>) -> Self {
        self.taking = Some(Box::new(Taking::new(self.layout.expect, limits, known)));
        self
    }

    /// The rows whose last byte was consumed since the last call, as the client gets them. None, unless with
    /// [`Response::with_rows`].
    pub fn take_rows(&mut self) -> Vec<TakenRows> {
        self.taking.as_mut().map(|taking| taking.ready()).unwrap_or_default()
    }

    /// The columns of the (first) result set, or of the statement prepared, where their definitions came; only with
    /// [`Response::with_rows`].
    pub fn columns(&mut self) -> Option<&Arc<Columns>> {
        self.taking.as_mut().and_then(|taking| taking.learned())
    }

    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The sequence id that the next packet of this exchange carries: for an error in place of the rest of an answer.
    #[must_use]
    pub const fn next_sequence_id(&self) -> u8 {
        self.next_sequence_id
    }

    /// Whether the server is in the middle of a packet: nothing of the gateway's own may be put in.
    #[must_use]
    pub const fn is_within_packet(&self) -> bool {
        !matches!(self.place, Place::Start)
    }

    /// The name of the file that the server asked the client for, while the state is [`State::LocalInfile`].
    #[must_use]
    pub fn local_infile_name(&self) -> Option<&[u8]> {
        (self.stage == Stage::LocalInfile).then_some(&self.local_infile_name)
    }

    /// What is concealed in the (first) result set, or in that of the statement prepared, once its columns went through; only
    /// with [`Response::with_concealing`].
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.concealing.as_ref().and_then(Concealing::learned)
    }

    /// Takes the server's next bytes; what `pass` says of those consumed may be forwarded, whole packets or not.
    ///
    /// It stops in front of a packet that must be whole (OK, EOF, ERR, and what is rewritten) as long as it is not: the rest
    /// is fed again together with what comes next. A request for a file comes alone, so that it can be refused: then it is
    /// not forwarded, an empty packet is sent to the server, and the rest of the answer, which tells of an empty file, is fed
    /// and dropped. In its place the client gets an ERR with [`Response::next_sequence_id`] less 1, as it was before
    /// [`Response::local_infile_sent`].
    ///
    /// # Errors
    /// `Malformed`, and `Misbehaved` for sequence ids with gaps, packets over their limit, a file asked for unasked, and bytes
    /// after the end; `Unsupported` for a result without metadata that must be concealed. The bytes of the failed call must
    /// not be forwarded.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, ProtocolError> {
        if self.state() != State::More && !bytes.is_empty() {
            return Err(ProtocolError::unexpected("while nothing is due from the server"));
        }
        let mut outbox = Outbox::new(bytes);
        while self.state() == State::More {
            let goes_on = match self.place {
                Place::Start => self.start(&mut outbox)?,
                Place::Continuation => self.continuation(&mut outbox)?,
                Place::Payload { left, continued } => self.payload(&mut outbox, left, continued)?,
            };
            if !goes_on {
                break;
            }
        }
        let consumed = outbox.consumed();
        self.summary.bytes = self.summary.bytes.saturating_add(consumed as u64);
        Ok(Progress { consumed, pass: outbox.into_pass(), state: self.state() })
    }

    /// Goes on after the client's file, whose last packet (the empty one) had that sequence id.
    ///
    /// # Errors
    /// `Misbehaved` when no file was asked for.
    pub fn local_infile_sent(&mut self, last_client_sequence_id: u8) -> Result<(), ProtocolError> {
        if self.stage != Stage::LocalInfile {
            return Err(ProtocolError::unexpected("while no file was asked for"));
        }
        self.next_sequence_id = last_client_sequence_id.wrapping_add(1);
        self.stage = Stage::AfterLocalInfile;
        Ok(())
    }

    const fn state(&self) -> State {
        match self.stage {
            Stage::Complete => State::Complete,
            Stage::LocalInfile => State::LocalInfile,
            _ => State::More,
        }
    }

    /// Takes the front of a logical packet, or all of it. `false` when more bytes are needed.
    fn start(&mut self, outbox: &mut Outbox<'_>) -> Result<bool, ProtocolError> {
        let rest = outbox.rest();
        let Some((head, payload)) = rest.split_first_chunk::<HEADER_LEN>() else { return Ok(false) };
        let len = self.expected(*head)?;
        if len == 0 {
            return Err(stage::empty());
        }
        let Some(&first) = payload.first() else { return Ok(false) };
        let hides = self.concealing.as_ref().is_some_and(Concealing::hides);
        match self.stage.handling(len, first, &self.layout, hides)? {
            Handling::Stream => {
                self.next_sequence_id = self.next_sequence_id.wrapping_add(1);
                outbox.pass(HEADER_LEN);
                self.place = Place::Payload { left: len, continued: len == PACKET_PAYLOAD_MAX };
                Ok(true)
            }
            handling @ (Handling::Decide { max } | Handling::Conceal { max } | Handling::LocalInfile { max }) => {
                if len > max {
                    return Err(Misbehaviour::PacketTooLarge { len, max }.into());
                }
                let Some(payload) = payload.get(..len) else { return Ok(false) };
                if matches!(handling, Handling::LocalInfile { .. }) {
                    return Ok(self.local_infile(payload, outbox));
                }
                let rewritten = match handling {
                    Handling::Conceal { .. } => self.conceal(payload)?,
                    _ => self.decide(payload)?,
                };
                match rewritten {
                    Some(changed) => outbox.replace(HEADER_LEN.saturating_add(len), self.next_sequence_id, &changed),
                    None => outbox.pass(HEADER_LEN.saturating_add(len)),
                }
                self.next_sequence_id = self.next_sequence_id.wrapping_add(1);
                Ok(true)
            }
        }
    }

    /// Takes a request for a file, unless something is before it in this call.
    fn local_infile(&mut self, payload: &[u8], outbox: &mut Outbox<'_>) -> bool {
        if outbox.consumed() > 0 {
            return false;
        }
        self.local_infile_name.clear();
        self.local_infile_name.extend_from_slice(payload.get(1..).unwrap_or_default());
        outbox.pass(HEADER_LEN.saturating_add(payload.len()));
        self.next_sequence_id = self.next_sequence_id.wrapping_add(1);
        self.stage = Stage::LocalInfile;
        true
    }

    fn continuation(&mut self, outbox: &mut Outbox<'_>) -> Result<bool, ProtocolError> {
        let Some(head) = outbox.rest().first_chunk::<HEADER_LEN>() else { return Ok(false) };
        let left = self.expected(*head)?;
        self.next_sequence_id = self.next_sequence_id.wrapping_add(1);
        outbox.pass(HEADER_LEN);
        self.place = Place::Payload { left, continued: left == PACKET_PAYLOAD_MAX };
        Ok(true)
    }

    fn payload(&mut self, outbox: &mut Outbox<'_>, left: usize, continued: bool) -> Result<bool, ProtocolError> {
        let taken = left.min(outbox.rest().len());
        if let Some(taking) = &mut self.taking {
            taking.piece(self.stage, outbox.rest().get(..taken).unwrap_or_default());
        }
        outbox.pass(taken);
        let left = left.saturating_sub(taken);
        if left > 0 {
            self.place = Place::Payload { left, continued };
            return Ok(false);
        }
        if continued {
            self.place = Place::Continuation;
            return Ok(true);
        }
        self.place = Place::Start;
        self.end_taken()?;
        if matches!(self.stage, Stage::Rows { .. }) {
            self.summary.row();
        } else {
            self.stage = self.stage.behind_streamed(&self.layout);
        }
        Ok(true)
    }

    /// A packet that may be taken for a recording is whole.
    fn end_taken(&mut self) -> Result<(), ProtocolError> {
        let extended = self.layout.has_extended_metadata();
        self.taking.as_mut().map_or(Ok(()), |taking| taking.end_packet(self.stage, extended))
    }

    /// The payload's length by a header whose sequence id is due.
    fn expected(&self, head: [u8; HEADER_LEN]) -> Result<usize, ProtocolError> {
        let (len, got) = header(head);
        let expected = self.next_sequence_id;
        if got == expected { Ok(len as usize) } else { Err(Misbehaviour::SequenceId { expected, got }.into()) }
    }

    /// Takes a whole packet that decides something. Returns what the client gets in its place, if not the same.
    fn decide(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
        let (action, next) = self.stage.decide(payload, &self.layout)?;
        let mut rewritten = None;
        match action {
            Action::ResultSet { columns, described } => {
                self.summary.result_sets = self.summary.result_sets.saturating_add(1);
                self.begin_columns(columns, described)?;
            }
            Action::Ok => {
                let (ok, kept) = tracking::follow(payload, self.layout.negotiated, &mut self.summary.tracked)?;
                self.summary.ok(ok);
                if let Cow::Owned(kept) = kept {
                    rewritten = Some(kept);
                }
            }
            Action::Eof(eof) => self.summary.eof(eof),
            Action::Prepared { prepared, warnings, described } => {
                self.summary.prepared = Some(prepared);
                self.summary.warnings = warnings;
                // Without definitions, nothing is learned, and the answer to the execution decides.
                if described {
                    self.begin_columns(prepared.columns.into(), true)?;
                }
            }
            Action::Error => {
                let error = ErrorPacket::parse(payload)?;
                if self.layout.progress && error.code == PROGRESS_CODE {
                    return Ok(None);
                }
                self.summary.error = Some(ResponseError::read(&error, payload));
            }
        }
        self.stage = next;
        Ok(rewritten)
    }

    /// Takes a whole column definition or row in which something may have to be concealed.
    fn conceal(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
        let stage = self.stage;
        let rewritten = self.concealed(payload)?;
        if let Some(taking) = &mut self.taking {
            taking.piece(stage, rewritten.as_deref().unwrap_or(payload));
            taking.end_packet(stage, self.layout.has_extended_metadata())?;
        }
        Ok(rewritten)
    }

    fn concealed(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
        let Some(concealing) = self.concealing.as_mut() else { return Ok(None) };
        if matches!(self.stage, Stage::Rows { .. }) {
            self.summary.row();
            return concealing.row(payload, self.layout.expect.is_binary());
        }
        let rewritten = concealing.column(payload, self.layout.has_extended_metadata())?;
        let next = self.stage.behind_streamed(&self.layout);
        if !matches!(next, Stage::Columns { .. } | Stage::PreparedColumns { .. }) {
            concealing.end_columns();
        }
        self.stage = next;
        Ok(rewritten)
    }

    fn begin_columns(&mut self, columns: u64, described: bool) -> Result<(), ProtocolError> {
        if let Some(taking) = &mut self.taking {
            taking.begin_columns(columns, described);
        }
        self.concealing.as_mut().map_or(Ok(()), |concealing| concealing.begin_columns(columns, described))
    }
}

#[cfg(test)]
mod tests;

//! The server's answer to one command, followed through whatever pieces it arrives in.
//!
//! The bytes are forwarded as they are; this only finds where the answer ends and what it came to. Nothing is buffered
//! but the first bytes of the current packet, and of a row not even those are copied.

mod assembler;
mod stage;

use crate::ProtocolError;
use crate::capabilities::Capabilities;
use crate::outcome::{EofPacket, ErrorPacket, OkPacket};

use assembler::Assembler;
use stage::{Action, Stage};

/// Which command the answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// COM_QUERY.
    Query,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_EXECUTE without a cursor.
    Execute,
    /// COM_FIELD_LIST.
    FieldList,
    /// COM_STATISTICS: a bare string.
    Statistics,
    /// One OK, ERR or EOF.
    Simple,
}

/// How far [`Response::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that belong to this answer.
    pub consumed: usize,
    pub state: State,
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

/// What the answer came to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Over all result sets.
    pub rows: u64,
    pub result_sets: u32,
    /// On the wire, headers included.
    pub bytes: u64,
    /// Over all results.
    pub affected_rows: u64,
    /// The last one that was not 0.
    pub last_insert_id: u64,
    /// As last seen.
    pub warnings: u16,
    /// Bits of [`StatusFlags`](crate::capabilities::StatusFlags) as last seen, unknown ones kept.
    pub status: u16,
    pub error: Option<ResponseError>,
    pub prepared: Option<Prepared>,
}

/// The error that ended an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseError {
    pub code: u16,
    pub sqlstate: Option<[u8; 5]>,
    /// Cut to [`ERROR_MESSAGE_KEPT_MAX`](crate::limits::ERROR_MESSAGE_KEPT_MAX); what is no UTF-8 is replaced.
    pub message: String,
}

/// A statement that the server prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    pub statement_id: u32,
    pub columns: u16,
    pub parameters: u16,
}

/// Follows one answer.
#[derive(Debug)]
pub struct Response {
    packets: Assembler,
    stage: Stage,
    layout: Layout,
    summary: Summary,
}

/// What decides how packets are read.
#[derive(Debug, Clone, Copy)]
struct Layout {
    expect: Expect,
    deprecate_eof: bool,
    local_infile_allowed: bool,
}

impl Response {
    /// Follows the answer to a command whose packet had sequence id 0; `capabilities` are those in force on the leg.
    ///
    /// `local_infile_allowed`: whether this very statement may ask the client for a file.
    #[must_use]
    pub fn new(expect: Expect, capabilities: Capabilities, local_infile_allowed: bool) -> Self {
        Self::with_first_sequence_id(expect, capabilities, local_infile_allowed, 1)
    }

    /// Like [`Response::new`], for a command of several packets: the answer's ids go on behind the command's last one.
    #[must_use]
    pub fn with_first_sequence_id(
        expect: Expect,
        capabilities: Capabilities,
        local_infile_allowed: bool,
        first_sequence_id: u8,
    ) -> Self {
        let deprecate_eof = capabilities.contains(Capabilities::CLIENT_DEPRECATE_EOF);
        Self {
            packets: Assembler::new(first_sequence_id),
            stage: Stage::first(expect),
            layout: Layout { expect, deprecate_eof, local_infile_allowed },
            summary: Summary::default(),
        }
    }

    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The sequence id that the next packet of this exchange carries: for an error in place of the rest of an answer.
    #[must_use]
    pub const fn next_sequence_id(&self) -> u8 {
        self.packets.next_sequence_id()
    }

    /// The name of the file that the server asked the client for, while the state is [`State::LocalInfile`].
    #[must_use]
    pub fn local_infile_name(&self) -> Option<&[u8]> {
        if self.stage == Stage::LocalInfile { self.packets.head().get(1..) } else { None }
    }

    /// Takes the server's next bytes; those of the answer may be forwarded, whole packets or not.
    ///
    /// # Errors
    /// `Malformed`, and `Misbehaved` for sequence ids with gaps, a file asked for unasked, and bytes after the end. The
    /// bytes of the failed call must not be forwarded.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, ProtocolError> {
        let mut rest = bytes;
        let mut state = self.state();
        while state == State::More {
            let Some(packet) = self.packets.next(&mut rest, |len, first| self.stage.kept_max(len, first))? else {
                break;
            };
            if packet.is_plain_row(&self.stage, self.layout.expect) {
                self.summary.rows = self.summary.rows.saturating_add(1);
                continue;
            }
            self.take(packet.len)?;
            state = self.state();
        }
        let consumed = bytes.len().saturating_sub(rest.len());
        if consumed == 0 && !bytes.is_empty() {
            return Err(ProtocolError::unexpected("while nothing is due from the server"));
        }
        self.summary.bytes = self.summary.bytes.saturating_add(consumed as u64);
        Ok(Progress { consumed, state })
    }

    /// Goes on after the client's file, whose last packet (the empty one) had that sequence id.
    ///
    /// # Errors
    /// `Misbehaved` when no file was asked for.
    pub fn local_infile_sent(&mut self, last_client_sequence_id: u8) -> Result<(), ProtocolError> {
        if self.stage != Stage::LocalInfile {
            return Err(ProtocolError::unexpected("while no file was asked for"));
        }
        self.packets.resume(last_client_sequence_id.wrapping_add(1));
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

    /// Takes a whole packet of `len` payload bytes whose head was kept.
    fn take(&mut self, len: u64) -> Result<(), ProtocolError> {
        let (action, next) = self.stage.next(self.packets.head(), len, &self.layout)?;
        self.stage = next;
        match action {
            Action::Nothing => {}
            Action::ResultSet => self.summary.result_sets = self.summary.result_sets.saturating_add(1),
            Action::Row => self.summary.rows = self.summary.rows.saturating_add(1),
            Action::Ok(ok) => self.ok(ok),
            Action::Eof(eof) => self.eof(eof),
            Action::Prepared(prepared, warnings) => {
                self.summary.prepared = Some(prepared);
                self.summary.warnings = warnings;
            }
            Action::Error => self.summary.error = Some(ResponseError::read(self.packets.head())?),
        }
        Ok(())
    }

    fn ok(&mut self, ok: OkPacket) {
        self.summary.affected_rows = self.summary.affected_rows.saturating_add(ok.affected_rows);
        if ok.last_insert_id != 0 {
            self.summary.last_insert_id = ok.last_insert_id;
        }
        self.eof(EofPacket { warnings: ok.warnings, status: ok.status });
    }

    fn eof(&mut self, eof: EofPacket) {
        self.summary.warnings = eof.warnings;
        self.summary.status = eof.status;
    }
}

impl ResponseError {
    fn read(head: &[u8]) -> Result<Self, ProtocolError> {
        let error = ErrorPacket::parse(head)?;
        let message = String::from_utf8_lossy(error.message).into_owned();
        Ok(Self { code: error.code, sqlstate: error.sqlstate, message })
    }
}

#[cfg(test)]
mod tests;

use crate::limits::ERROR_MESSAGE_KEPT_MAX;
use crate::outcome::{EofPacket, ErrorPacket, OkPacket, Tracked};

/// What the answer came to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Over all result sets.
    pub rows: u64,
    pub result_sets: u32,
    /// As the server sent them, headers included.
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
    /// Of session tracking, as last said.
    pub tracked: Tracked,
}

/// The error that ended an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseError {
    pub code: u16,
    pub sqlstate: Option<[u8; 5]>,
    /// Cut so that the packet is no longer than [`ERROR_MESSAGE_KEPT_MAX`]; what is no UTF-8 is replaced.
    pub message: String,
}

/// A statement that the server prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    pub statement_id: u32,
    pub columns: u16,
    pub parameters: u16,
}

impl Summary {
    pub(super) const NOTHING: Self = Self {
        rows: 0,
        result_sets: 0,
        bytes: 0,
        affected_rows: 0,
        last_insert_id: 0,
        warnings: 0,
        status: 0,
        error: None,
        prepared: None,
        tracked: Tracked { sql_mode: None, character_set_client: None, schema: None },
    };

    pub(super) const fn row(&mut self) {
        self.rows = self.rows.saturating_add(1);
    }

    pub(super) const fn ok(&mut self, ok: OkPacket) {
        self.affected_rows = self.affected_rows.saturating_add(ok.affected_rows);
        if ok.last_insert_id != 0 {
            self.last_insert_id = ok.last_insert_id;
        }
        self.eof(EofPacket { warnings: ok.warnings, status: ok.status });
    }

    pub(super) const fn eof(&mut self, eof: EofPacket) {
        self.warnings = eof.warnings;
        self.status = eof.status;
    }
}

impl ResponseError {
    pub(super) fn read(error: &ErrorPacket<'_>, payload: &[u8]) -> Self {
        let cut = payload.len().saturating_sub(ERROR_MESSAGE_KEPT_MAX);
        let kept = error.message.get(..error.message.len().saturating_sub(cut)).unwrap_or_default();
        Self { code: error.code, sqlstate: error.sqlstate, message: String::from_utf8_lossy(kept).into_owned() }
    }
}

//! What came of a statement that was run again.

use std::io::{self, Write};
use std::time::Duration;

use portreeve_mysql::response::Summary;
use portreeve_recording::{Response, Text};
use serde::Serialize;

use crate::cli::recorded::Exchange;
use crate::cli::render::{self, duration, json};

/// What came of one statement. `docs/recordings.md` has the keys.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) number: u64,
    pub(super) sql: String,
    pub(super) outcome: Outcome,
    /// Why it was skipped.
    pub(super) reason: Option<String>,
    pub(super) was: Option<Answer>,
    pub(super) now: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Same,
    Differs,
    Skipped,
}

/// An answer, as far as it is compared; times are not.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    rows: u64,
    result_sets: u64,
    affected_rows: u64,
    error_code: Option<u16>,
    duration_ns: u64,
}

/// Statements, and how long they took then and now.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) same: u64,
    pub(super) differ: u64,
    pub(super) skipped: u64,
    pub(super) was_ns: u64,
    pub(super) now_ns: u64,
}

impl Answer {
    pub(super) fn of_response(response: &Response<'_>) -> Self {
        Self {
            rows: response.rows,
            result_sets: response.result_sets.into(),
            affected_rows: response.affected_rows,
            error_code: response.error.as_ref().map(|error| error.code),
            duration_ns: response.duration_ns,
        }
    }

    pub(super) fn of_summary(summary: &Summary, took: Duration) -> Self {
        Self {
            rows: summary.rows,
            result_sets: summary.result_sets.into(),
            affected_rows: summary.affected_rows,
            error_code: summary.error.as_ref().map(|error| error.code),
            duration_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.rows == other.rows
            && self.result_sets == other.result_sets
            && self.affected_rows == other.affected_rows
            && self.error_code == other.error_code
    }

    pub(super) fn shown(&self) -> String {
        let took = duration(self.duration_ns);
        match self.error_code {
            Some(code) => format!("error {code}, {took}"),
            None if self.result_sets == 0 => format!("{} affected, {took}", self.affected_rows),
            None => format!("{} rows, {took}", self.rows),
        }
    }
}

impl Compared {
    pub(super) fn skipped(exchange: &Exchange, reason: String) -> Self {
        let sql = String::from_utf8_lossy(exchange.text().kept()).into_owned();
        let number = exchange.statement.number;
        Self { number, sql, outcome: Outcome::Skipped, reason: Some(reason), was: None, now: None }
    }

    pub(super) fn without_reason(self) -> Self {
        Self { reason: None, ..self }
    }

    pub(super) fn tell(&self, as_json: bool, out: &mut impl Write) -> io::Result<()> {
        if as_json {
            return writeln!(out, "{}", json::line(self)?);
        }
        let sql = render::sql(&Text::of_bytes(self.sql.as_bytes()));
        match (self.outcome, &self.was, &self.now) {
            (Outcome::Same, ..) => Ok(()),
            (Outcome::Differs, Some(was), Some(now)) => {
                writeln!(out, "#{} differs: {} then, {} now: {sql}", self.number, was.shown(), now.shown())
            }
            (Outcome::Differs | Outcome::Skipped, ..) => {
                let reason = self.reason.as_deref().unwrap_or_default();
                writeln!(out, "#{} skipped, as {}: {sql}", self.number, render::escape(reason.as_bytes()))
            }
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, compared: &Compared) {
        match compared.outcome {
            Outcome::Same => self.same += 1,
            Outcome::Differs => self.differ += 1,
            Outcome::Skipped => self.skipped += 1,
        }
        if let (Some(was), Some(now)) = (&compared.was, &compared.now) {
            self.was_ns = self.was_ns.saturating_add(was.duration_ns);
            self.now_ns = self.now_ns.saturating_add(now.duration_ns);
        }
    }
}

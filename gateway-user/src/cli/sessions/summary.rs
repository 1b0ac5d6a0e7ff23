//! What one session file says, summed up.

use std::fs::File;
use std::path::Path;

use portreeve_recording::{ArchivedDecision, ArchivedEntry, ArchivedRecord, End, Stream};
use serde::Serialize;
use uuid::Uuid;

use super::State;
use crate::cli::recorded::Filter;
use crate::cli::render::time;
use crate::recorder::directory;

/// A session in the table.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) id: Uuid,
    pub(super) opened_unix_ns: u64,
    /// Of the last record.
    last_unix_ns: u64,
    pub(super) workload: Option<String>,
    pub(super) server: Option<String>,
    accepted: bool,
    pub(super) statements: u64,
    pub(super) denied: u64,
    pub(super) would_deny: u64,
    reason: Option<String>,
    end: End,
    is_written: bool,
}

/// A session as JSON; `docs/recordings.md` has the keys.
#[derive(Debug, Serialize)]
pub(super) struct JsonSummary<'a> {
    session: String,
    opened: String,
    duration_ns: u64,
    workload: Option<&'a str>,
    server: Option<&'a str>,
    statements: u64,
    denied: u64,
    would_deny: u64,
    state: &'static str,
    reason: Option<&'a str>,
    damage: Option<String>,
}

impl Summary {
    /// Reads a session file to its end; none when it is of another session than those that are wanted. Damage after the header is a
    /// state, not an error. Records are looked at where they lie, as most of them are only counted; that they are the ones that
    /// were written is for `verify` to say.
    ///
    /// # Errors
    /// When the file cannot be read or is no session file.
    pub(super) fn read(path: &Path, filter: &Filter) -> anyhow::Result<Option<Self>> {
        let file = File::open(path)?;
        // Asked before reading: a session that closes meanwhile is then read to its close.
        let is_written = directory::is_written(&file);
        let mut stream = Stream::open(file)?.without_chain();
        let header = *stream.header();
        if !filter.is_time(header.created_unix_ns) {
            return Ok(None);
        }
        let mut summary = Self {
            id: Uuid::from_bytes(header.session_id),
            opened_unix_ns: header.created_unix_ns,
            last_unix_ns: header.created_unix_ns,
            workload: None,
            server: None,
            accepted: false,
            statements: 0,
            denied: 0,
            would_deny: 0,
            reason: None,
            end: End::Open { offset: 0 },
            is_written,
        };
        summary.end = loop {
            match stream.next_frame()? {
                Ok(frame) => summary.add(frame.entry),
                Err(end) => break end,
            }
            // The first record says whose it is.
            if stream.position().index == 1 && !summary.is_session(filter) {
                return Ok(None);
            }
        };
        Ok(summary.is_session(filter).then_some(summary))
    }

    fn is_session(&self, filter: &Filter) -> bool {
        filter.is_session_of(self.workload.as_deref(), self.server.as_deref())
    }

    fn add(&mut self, entry: &ArchivedEntry<'_>) {
        self.last_unix_ns = entry.at_unix_ns.to_native();
        match &entry.record {
            ArchivedRecord::Opened(opened) => {
                self.workload = opened.workload.as_ref().map(|id| id.as_str().to_owned());
                self.server = opened.server.as_ref().map(|name| name.as_str().to_owned());
            }
            ArchivedRecord::Login(login) => self.accepted |= login.accepted,
            ArchivedRecord::Statement(_) => self.statements += 1,
            ArchivedRecord::Verdict(verdict) => match verdict.decision {
                ArchivedDecision::Allow => {}
                ArchivedDecision::Deny => self.denied += 1,
                ArchivedDecision::WouldDeny => self.would_deny += 1,
            },
            ArchivedRecord::Response(_)
            | ArchivedRecord::Transport(_)
            | ArchivedRecord::Abandoned(_)
            | ArchivedRecord::Forwarded(_)
            | ArchivedRecord::Chosen(_)
            | ArchivedRecord::Checkpoint(_)
            | ArchivedRecord::Sealed(_)
            | ArchivedRecord::Facts(_)
            | ArchivedRecord::Rows(_)
            | ArchivedRecord::Host(_) => {}
            ArchivedRecord::Closed(closed) => self.reason = Some(closed.reason.as_str().to_owned()),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.end {
            End::Closed if self.accepted => State::Closed,
            End::Closed => State::Refused,
            End::Open { .. } if self.is_written => State::Open,
            End::Open { .. } | End::Torn { .. } => State::Torn,
        }
    }

    /// Nanoseconds from opening to now for a running session, to the last record for others.
    pub(super) fn duration_ns(&self, now_unix_ns: u64) -> u64 {
        let until = if self.state() == State::Open { now_unix_ns } else { self.last_unix_ns };
        until.saturating_sub(self.opened_unix_ns)
    }

    pub(super) fn json(&self, now_unix_ns: u64) -> JsonSummary<'_> {
        let damage = match self.end {
            End::Torn { offset, why } => Some(format!("at byte {offset}: {why}")),
            End::Open { .. } | End::Closed => None,
        };
        JsonSummary {
            session: self.id.to_string(),
            opened: time(self.opened_unix_ns, 9),
            duration_ns: self.duration_ns(now_unix_ns),
            workload: self.workload.as_deref(),
            server: self.server.as_deref(),
            statements: self.statements,
            denied: self.denied,
            would_deny: self.would_deny,
            state: self.state().as_str(),
            reason: self.reason.as_deref(),
            damage,
        }
    }
}

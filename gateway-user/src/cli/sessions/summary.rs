//! What one session file says, summed up.

use std::fs::File;
use std::path::Path;

use portreeve_recording::{Decision, End, Entry, Record, Stream};
use serde::Serialize;
use uuid::Uuid;

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
    /// Reads a session file to its end. Damage after the header is a state, not an error.
    ///
    /// # Errors
    /// When the file cannot be read or is no session file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        // Asked before reading: a session that closes meanwhile is then read to its close.
        let is_written = directory::is_written(&file);
        let mut stream = Stream::open(file)?;
        let header = *stream.header();
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
                Ok(frame) => match frame.to_entry() {
                    Ok(entry) => summary.add(entry),
                    Err(why) => break End::Torn { offset: frame.offset, why },
                },
                Err(end) => break end,
            }
        };
        Ok(summary)
    }

    fn add(&mut self, entry: Entry<'static>) {
        self.last_unix_ns = entry.at_unix_ns;
        match entry.record {
            Record::Opened(opened) => {
                self.workload = opened.workload.map(|id| id.into_owned());
                self.server = opened.server.map(|name| name.into_owned());
            }
            Record::Login(login) => self.accepted |= login.accepted,
            Record::Statement(_) => self.statements += 1,
            Record::Verdict(verdict) => match verdict.decision {
                Decision::Allow => {}
                Decision::Deny => self.denied += 1,
                Decision::WouldDeny => self.would_deny += 1,
            },
            Record::Response(_)
            | Record::Transport(_)
            | Record::Abandoned(_)
            | Record::Forwarded(_)
            | Record::Chosen(_)
            | Record::Checkpoint(_)
            | Record::Sealed(_)
            | Record::Facts(_)
            | Record::Rows(_)
            | Record::Host(_) => {}
            Record::Closed(closed) => self.reason = Some(closed.reason.into_owned()),
        }
    }

    /// - `open`: it runs;
    /// - `closed`: it ended in order;
    /// - `refused`: it ended without an accepted login;
    /// - `torn`: its daemon was killed, or the file is damaged.
    pub(super) fn state(&self) -> &'static str {
        match self.end {
            End::Closed if self.accepted => "closed",
            End::Closed => "refused",
            End::Open { .. } if self.is_written => "open",
            End::Open { .. } | End::Torn { .. } => "torn",
        }
    }

    /// Nanoseconds from opening to now for a running session, to the last record for others.
    pub(super) fn duration_ns(&self, now_unix_ns: u64) -> u64 {
        let until = if self.state() == "open" { now_unix_ns } else { self.last_unix_ns };
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
            state: self.state(),
            reason: self.reason.as_deref(),
            damage,
        }
    }
}

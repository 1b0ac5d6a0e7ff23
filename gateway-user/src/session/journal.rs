//! The session's recording as the session writes it: one method per event, time stamped here.

mod facts;
mod secrets;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, io, time::Duration};

use portreeve_mysql::response::{RowLimits, Summary, TakenRows};
use portreeve_policy::{Decision as PolicyDecision, Verdict as PolicyVerdict};
use portreeve_recording::{
    Abandoned, Chosen, Closed, Command, Decision, Entry, ErrorText, Forwarded, Login, Opened, Record, Response, Rows,
    Statement, Text, Transport, Verdict, clip,
};

use portreeve_recording::limits::{ROWS_KEPT_BYTES_MAX, ROWS_KEPT_MAX};

use secrets::Secrets;

use crate::recorder::{Durability, SessionFile, now_unix_ns};

/// In place of an error message that may hold secrets; the same words as in a statement.
const REDACTED: &str = "<redacted>";
/// How much of each answer is recorded, where its rows are.
const ROW_LIMITS: RowLimits = RowLimits { rows: ROWS_KEPT_MAX, bytes: ROWS_KEPT_BYTES_MAX };

/// The recording could not be written: nothing more may be forwarded.
#[derive(Debug, thiserror::Error)]
#[error("the session cannot be recorded: {0}")]
pub(super) struct JournalError(#[from] io::Error);

/// What is said of a command when it arrives.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) command: Command,
    pub(super) prepared: Option<u64>,
    pub(super) text: Text<'a>,
    pub(super) schema: Option<&'a str>,
    pub(super) parameters: &'a [Text<'a>],
}

/// Writes one session's file.
#[derive(Debug)]
pub(super) struct Journal {
    file: SessionFile,
    /// As the configuration calls it; empty where there is none.
    server: Box<str>,
    /// Number of the last statement.
    statements: u64,
    /// What policy denies is forwarded.
    observes: bool,
    secrets: Secrets,
    durability: Durability,
    /// Rows of answers are recorded.
    keeps_rows: bool,
}

impl Journal {
    /// `observes` says that what policy denies is forwarded, `keeps_rows` that rows of answers are recorded.
    pub(super) fn open(
        file: SessionFile,
        opened: Opened<'_>,
        observes: bool,
        durability: Durability,
        keeps_rows: bool,
    ) -> Result<Self, JournalError> {
        let server = opened.server.as_deref().unwrap_or_default().into();
        let mut journal =
            Self { file, server, statements: 0, observes, secrets: Secrets::default(), durability, keeps_rows };
        journal.write(Record::Opened(Box::new(opened)))?;
        Ok(journal)
    }

    fn write(&mut self, record: Record<'_>) -> Result<(), JournalError> {
        write(&mut self.file, now_unix_ns(), record)
    }

    /// Ready when what was recorded counts as recorded: nothing of it may be forwarded before.
    pub(super) async fn durable(&mut self) -> Result<(), JournalError> {
        match self.durability {
            Durability::Kernel => Ok(()),
            Durability::Fsync => Ok(self.file.sync().await?),
        }
    }

    pub(super) fn login(&mut self, login: Login<'_>) -> Result<(), JournalError> {
        self.write(Record::Login(Box::new(login)))
    }

    pub(super) fn chosen(&mut self, chosen: Chosen<'_>) -> Result<(), JournalError> {
        self.write(Record::Chosen(chosen))
    }

    pub(super) fn transport(&mut self, transport: Transport<'_>) -> Result<(), JournalError> {
        self.write(Record::Transport(transport))
    }

    /// Records that the client left before the answer to a statement was over.
    pub(super) fn abandoned(&mut self, number: u64, killed: bool, detail: &str) -> Result<(), JournalError> {
        self.write(Record::Abandoned(Abandoned { number, killed, detail: clip(detail.as_bytes()) }))
    }

    /// Records a command and the verdict on it, before anything of it is forwarded. Returns its number.
    pub(super) fn judged(
        &mut self,
        arrived: Arrived<'_>,
        class: &str,
        verdict: &PolicyVerdict,
    ) -> Result<u64, JournalError> {
        // One time for all that is said of a statement at once.
        let at_unix_ns = now_unix_ns();
        let number = self.arrived_at(at_unix_ns, arrived)?;
        let decision = match verdict.decision {
            PolicyDecision::Allow => Decision::Allow,
            PolicyDecision::Deny if self.observes => Decision::WouldDeny,
            PolicyDecision::Deny => Decision::Deny,
        };
        let said = Verdict {
            number,
            decision,
            class: Cow::Borrowed(class),
            policies: Cow::Borrowed(&verdict.policies),
            reason: clip(verdict.reason.as_bytes()),
        };
        let Self { file, server, .. } = self;
        write(file, at_unix_ns, Record::Verdict(said))?;
        facts::with(number, server, verdict, |facts| write(file, at_unix_ns, Record::Facts(facts)))?;
        Ok(number)
    }

    /// Records the text that is forwarded in place of a statement's own, before it is.
    pub(super) fn forwarded(&mut self, number: u64, sql: Text<'_>) -> Result<(), JournalError> {
        self.write(Record::Forwarded(Forwarded { number, sql }))
    }

    /// Records a command that is denied without asking policy.
    pub(super) fn refused(&mut self, arrived: Arrived<'_>, reason: &str) -> Result<u64, JournalError> {
        let number = self.arrived(arrived)?;
        self.write(Record::Verdict(Verdict {
            number,
            decision: Decision::Deny,
            class: Cow::Borrowed("command"),
            policies: Cow::Borrowed(&[]),
            reason: clip(reason.as_bytes()),
        }))?;
        Ok(number)
    }

    /// Records a command that carries no statement and needs no verdict (`COM_PING`). Returns its number.
    pub(super) fn arrived(&mut self, arrived: Arrived<'_>) -> Result<u64, JournalError> {
        self.arrived_at(now_unix_ns(), arrived)
    }

    fn arrived_at(&mut self, at_unix_ns: u64, arrived: Arrived<'_>) -> Result<u64, JournalError> {
        self.statements = self.statements.saturating_add(1);
        let number = self.statements;
        self.secrets.arrived(&arrived);
        let statement = Statement {
            number,
            command: arrived.command,
            prepared: arrived.prepared,
            sql: arrived.text,
            schema: arrived.schema.map(Cow::Borrowed),
            parameters: Cow::Borrowed(arrived.parameters),
        };
        write(&mut self.file, at_unix_ns, Record::Statement(statement))?;
        Ok(number)
    }

    /// Records that the server asks the client for a file, one that the statement before names.
    pub(super) fn asked_for_file(&mut self, name: &[u8]) -> Result<(), JournalError> {
        let text = Text::of_bytes(name);
        self.arrived(Arrived { command: Command::LocalInfile, prepared: None, text, schema: None, parameters: &[] })?;
        Ok(())
    }

    /// Records that the server asked the client for a file that policy does not permit: it gets none.
    pub(super) fn refused_file(&mut self, name: &[u8]) -> Result<(), JournalError> {
        let text = Text::of_bytes(name);
        let arrived = Arrived { command: Command::LocalInfile, prepared: None, text, schema: None, parameters: &[] };
        self.refused(arrived, "no policy permits `local_infile` for the file that the server asked for")?;
        Ok(())
    }

    /// How much of each answer is recorded; none where rows are not.
    pub(super) fn row_limits(&self) -> Option<RowLimits> {
        self.keeps_rows.then_some(ROW_LIMITS)
    }

    /// Records rows of the answer to a statement, before the last byte of each is forwarded.
    pub(super) fn rows(&mut self, number: u64, rows: &TakenRows) -> Result<(), JournalError> {
        let values: Vec<_> = rows.values().map(|value| value.map(Text::of_bytes)).collect();
        self.write(Record::Rows(Rows {
            number,
            result_set: rows.result_set,
            first: rows.first,
            columns: Cow::Borrowed(rows.columns.names()),
            values: Cow::Borrowed(&values),
            truncated: rows.truncated,
        }))
    }

    /// Records the server's answer to the last statement.
    pub(super) fn answered(
        &mut self,
        number: u64,
        summary: &Summary,
        first_byte: Duration,
        duration: Duration,
    ) -> Result<(), JournalError> {
        let hides_message = self.secrets.answered(number, summary.error.as_ref().map(|error| error.code));
        let error = summary.error.as_ref().map(|error| ErrorText {
            code: error.code,
            sqlstate: error
                .sqlstate
                .map_or(Cow::Borrowed("HY000"), |state| String::from_utf8_lossy(&state).into_owned().into()),
            message: if hides_message { Cow::Borrowed(REDACTED) } else { clip(error.message.as_bytes()) },
        });
        self.write(Record::Response(Response {
            number,
            rows: summary.rows,
            result_sets: summary.result_sets,
            bytes: summary.bytes,
            affected_rows: summary.affected_rows,
            last_insert_id: summary.last_insert_id,
            warnings: u32::from(summary.warnings),
            error,
            duration_ns: nanoseconds(duration),
            first_byte_ns: nanoseconds(first_byte),
        }))
    }

    /// Writes the last record and closes the file. Its end is on the disk before the ledger has it: otherwise a loss of power would
    /// leave a session that looks cut.
    pub(super) async fn close(
        mut self,
        reason: &str,
        bytes_to_client: u64,
        bytes_to_server: u64,
    ) -> Result<u64, JournalError> {
        let statements = self.statements;
        self.write(Record::Closed(Closed {
            reason: clip(reason.as_bytes()),
            statements,
            bytes_to_client,
            bytes_to_server,
        }))?;
        self.durable().await?;
        self.file.close()?;
        Ok(statements)
    }
}

/// Everything of a session goes through here. It stays a function of its own in the binary: `cargo xtask bench --only recording` compares
/// with a copy of that in which it returns at once.
#[inline(never)]
fn write(file: &mut SessionFile, at_unix_ns: u64, record: Record<'_>) -> Result<(), JournalError> {
    Ok(file.append(&Entry { at_unix_ns, record })?)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

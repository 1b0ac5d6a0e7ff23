//! A session file as a sequence of statements with what became of them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::Path;

use anyhow::bail;
use portreeve_recording::{Command, End, Entry, Record, Rows, Stream};
use uuid::Uuid;

use super::{About, Exchange, PreparedTexts};
use crate::limits::{RECORDED_PENDING_MAX, RECORDED_ROWS_BYTES_MAX};

/// A session file that is being read.
#[derive(Debug)]
pub(in crate::cli) struct Recording {
    stream: Stream<File>,
    about: About,
    prepared: PreparedTexts,
    /// Statements that more may be recorded about, by number.
    pending: BTreeMap<u64, Exchange>,
    ready: VecDeque<Event>,
    /// Frames that are read, from the first on.
    frames_max: u64,
    ended: bool,
}

/// What a recording has next.
#[derive(Debug)]
pub(in crate::cli) enum Event {
    /// A statement with what became of it.
    Exchange(Box<Exchange>),
    /// A record that is about no statement.
    Record(Box<Entry<'static>>),
}

impl Recording {
    /// # Errors
    /// When the file cannot be read or is none of a session.
    pub(in crate::cli) fn open(path: &Path) -> anyhow::Result<Self> {
        let stream = Stream::open(File::open(path)?)?;
        let about = About::new(Uuid::from_bytes(stream.header().session_id));
        let (prepared, pending, ready) = (PreparedTexts::default(), BTreeMap::new(), VecDeque::new());
        Ok(Self { stream, about, prepared, pending, ready, frames_max: u64::MAX, ended: false })
    }

    /// The first frames of it, as if there were no more.
    pub(in crate::cli) fn first(self, frames: u64) -> Self {
        Self { frames_max: frames, ..self }
    }

    /// The session, as far as it was read.
    pub(in crate::cli) fn about(&self) -> &About {
        &self.about
    }

    /// What is next; none at the end of what is recorded.
    ///
    /// # Errors
    /// Damage, once all that is sound was given.
    pub(in crate::cli) fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.ended && !self.pending.is_empty() {
                self.finish_all();
                continue;
            }
            if self.stream.position().index >= self.frames_max {
                if self.ended {
                    return Ok(None);
                }
                self.ended = true;
                continue;
            }
            let entry = match self.stream.next_frame()? {
                Ok(frame) => frame.to_entry()?,
                Err(End::Torn { .. }) if !self.ended => {
                    self.ended = true;
                    continue;
                }
                Err(End::Torn { offset, why }) => bail!("at byte {offset}: {why}; what follows is left out"),
                Err(End::Open { .. } | End::Closed) if self.ended => return Ok(None),
                Err(End::Open { .. } | End::Closed) => {
                    self.ended = true;
                    continue;
                }
            };
            self.take(entry);
        }
    }

    fn take(&mut self, entry: Entry<'static>) {
        self.about.learn(&entry.record);
        let Entry { at_unix_ns, record } = entry;
        match record {
            Record::Statement(statement) => {
                self.prepared.learn(&statement);
                self.finish_unanswered();
                let prepared = self.prepared.of(&statement);
                let number = statement.number;
                self.pending.insert(number, Exchange::new(at_unix_ns, statement, prepared));
                if self.pending.len() > RECORDED_PENDING_MAX
                    && let Some((_, oldest)) = self.pending.pop_first()
                {
                    self.ready.push_back(Event::Exchange(Box::new(oldest)));
                }
            }
            Record::Verdict(verdict) => {
                self.update(verdict.number, at_unix_ns, false, |exchange| exchange.verdict = Some(verdict));
            }
            Record::Facts(facts) => {
                let is_denied = self.pending.get(&facts.number).is_some_and(Exchange::is_denied);
                let is_over = is_denied && !facts.is_followed();
                self.update(facts.number, at_unix_ns, is_over, |exchange| exchange.add_facts(facts));
            }
            Record::Rows(rows) => {
                self.update(rows.number, at_unix_ns, false, |exchange| {
                    exchange.rows.extend(kept(&exchange.rows, rows))
                });
            }
            Record::Forwarded(forwarded) => {
                self.update(forwarded.number, at_unix_ns, false, |exchange| exchange.forwarded = Some(forwarded.sql));
            }
            Record::Response(response) => {
                let number = response.number;
                self.update(number, at_unix_ns, true, |exchange| exchange.response = Some(response));
            }
            Record::Abandoned(abandoned) => {
                let number = abandoned.number;
                self.update(number, at_unix_ns, true, |exchange| exchange.abandoned = Some(abandoned));
            }
            Record::Checkpoint(_) | Record::Sealed(_) | Record::Host(_) => {}
            record @ (Record::Opened(_)
            | Record::Login(_)
            | Record::Closed(_)
            | Record::Transport(_)
            | Record::Chosen(_)) => {
                self.finish_all();
                self.ready.push_back(Event::Record(Box::new(Entry { at_unix_ns, record })));
            }
        }
    }

    fn update(&mut self, number: u64, at_unix_ns: u64, is_over: bool, change: impl FnOnce(&mut Exchange)) {
        let Some(exchange) = self.pending.get_mut(&number) else { return };
        change(exchange);
        exchange.until_unix_ns = at_unix_ns;
        if is_over && let Some(exchange) = self.pending.remove(&number) {
            self.ready.push_back(Event::Exchange(Box::new(exchange)));
        }
    }

    /// Gives those that get no answer, now that another statement came.
    fn finish_unanswered(&mut self) {
        let is_unanswered = |command| match command {
            Command::Close | Command::SendLongData | Command::Quit | Command::LocalInfile => true,
            Command::Query
            | Command::Prepare
            | Command::Execute
            | Command::Fetch
            | Command::Reset
            | Command::InitDb
            | Command::FieldList
            | Command::Ping
            | Command::Statistics
            | Command::SetOption
            | Command::ResetConnection
            | Command::ChangeUser
            | Command::Refused { .. }
            | Command::BulkExecute
            | Command::Admin { .. } => false,
        };
        let over = self
            .pending
            .extract_if(.., |_, exchange| exchange.is_denied() || is_unanswered(exchange.statement.command));
        self.ready.extend(over.map(|(_, exchange)| Event::Exchange(Box::new(exchange))));
    }

    fn finish_all(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.ready.extend(pending.into_values().map(|exchange| Event::Exchange(Box::new(exchange))));
    }
}

/// Rows that follow, if those that are kept leave room for them.
fn kept(rows: &[Rows<'_>], next: Rows<'static>) -> Option<Rows<'static>> {
    let bytes = |rows: &Rows<'_>| rows.values.iter().flatten().map(|value| value.kept().len() + 1).sum::<usize>();
    (rows.iter().map(bytes).sum::<usize>() <= RECORDED_ROWS_BYTES_MAX).then_some(next)
}

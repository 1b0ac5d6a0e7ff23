//! The recorded part of many sessions as one sequence in order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use portreeve_recording::Entry;

use super::Shown;
use super::source::{Next, Source};
use crate::cli::recorded::Analyses;
use crate::recorder::directory::SessionPath;

/// Merges sessions by the time of their records. A file is opened when its session's time has come and closed at its end, so
/// that only as many are open as sessions ran at once.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    shown: &'a Shown<'a>,
    analyses: Analyses,
    /// Not opened yet; the oldest is last.
    waiting: Vec<SessionPath>,
    heads: BinaryHeap<Reverse<Head>>,
    /// At their end for now, but still written.
    running: Vec<Source>,
    /// Could not be opened. Their daemon may be making them just now: a follower tries again.
    unread: Vec<SessionPath>,
}

/// A session's next record.
#[derive(Debug)]
struct Head {
    entry: Entry<'static>,
    source: Source,
}

impl<'a> Merge<'a> {
    /// Of `sessions`, oldest first.
    pub(super) fn new(mut sessions: Vec<SessionPath>, shown: &'a Shown<'a>) -> Self {
        sessions.reverse();
        let (heads, running, unread) = (BinaryHeap::new(), Vec::new(), Vec::new());
        Self { shown, analyses: Analyses::default(), waiting: sessions, heads, running, unread }
    }

    /// The lines of the next record: none, one or two. `None` after the last.
    pub(super) fn next_lines(&mut self) -> Option<Vec<String>> {
        self.open_due();
        let Reverse(Head { entry, mut source }) = self.heads.pop()?;
        let mut lines = Vec::new();
        let mut push = |_, line| lines.push(line);
        source.lines(entry, &self.shown.filter, &mut self.analyses, &mut push);
        match source.next() {
            Next::Entry(entry) => self.heads.push(Reverse(Head { entry, source })),
            Next::Later if self.shown.args.follow => self.running.push(source),
            Next::Later | Next::Ended => source.flush(&self.shown.filter, &mut self.analyses, &mut push),
        }
        Some(lines)
    }

    /// The sessions that go on, read up to now, and those that could not be read yet.
    pub(super) fn into_running(self) -> (Vec<Source>, Vec<SessionPath>) {
        (self.running, self.unread)
    }

    /// Opens every session that may have a record before the first one at hand.
    fn open_due(&mut self) {
        while let Some(session) = self.waiting.pop_if(|session| match self.heads.peek() {
            Some(Reverse(head)) => started_unix_ns(session) <= head.entry.at_unix_ns,
            None => true,
        }) {
            match Source::open(&session, self.shown) {
                Ok(source) => self.begin(source),
                Err(_) if self.shown.args.follow => self.unread.push(session),
                Err(error) => self.shown.unread.tell(&session.path, format_args!("{error:#}")),
            }
        }
    }

    fn begin(&mut self, mut source: Source) {
        match source.next() {
            Next::Entry(entry) if source.is_wanted(&self.shown.filter) => match self.shown.lines_of_long_file() {
                Some(lines) if source.skip_to_last(&entry, lines) => match source.next() {
                    Next::Entry(entry) => self.heads.push(Reverse(Head { entry, source })),
                    Next::Later | Next::Ended => self.running.push(source),
                },
                Some(_) | None => self.heads.push(Reverse(Head { entry, source })),
            },
            Next::Later if self.shown.args.follow => self.running.push(source),
            Next::Entry(_) | Next::Later | Next::Ended => {}
        }
    }
}

/// When the session began, by its id; 0 where the id does not say.
pub(super) fn started_unix_ns(session: &SessionPath) -> u64 {
    let time = session.id.get_timestamp().map(|time| time.to_unix());
    time.map_or(0, |(seconds, ns)| seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(ns)))
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entry.at_unix_ns.cmp(&other.entry.at_unix_ns)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

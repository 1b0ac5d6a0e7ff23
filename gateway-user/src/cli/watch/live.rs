//! The sessions that run, as far as they are recorded.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portreeve_recording::limits::NEAR_END_LEN;
use portreeve_recording::{Decision, End, Entry, Record, Stream};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::recorded::{About, Analyses, Filter};
use crate::cli::render::text::SessionText;
use crate::cli::render::time;
use crate::cli::tail::arrivals::Arrivals;
use crate::cli::tail::selection::{Choosing, Selection};
use crate::limits::{WATCHED_LINE_CHARS_MAX, WATCHED_LINES_MAX, WATCHED_SESSIONS_MAX};
use crate::recorder::directory::{self, SessionPath};

/// Records taken from one session in one look, so that a busy one does not hold up the screen.
const RECORDS_PER_LOOK_MAX: usize = 4096;
/// How long a session that ended is still shown.
const ENDED_SHOWN: Duration = Duration::from_secs(10);
/// Days whose folders may hold sessions that run are all of them at first; later these.
const DAYS_LOOKED_AT: usize = 2;

/// What a line says, by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Denied,
    WouldDeny,
    Error,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream<File>,
    selection: Selection,
    text: SessionText,
    pub(super) about: About,
    pub(super) opened_unix_ns: u64,
    pub(super) last_unix_ns: u64,
    pub(super) statements: u64,
    pub(super) denied: u64,
    pub(super) would_deny: u64,
    /// The recording was long: only the end of it is counted.
    pub(super) is_counted_from_its_end: bool,
    pub(super) lines: VecDeque<(Tone, String)>,
    /// Lines that are no longer kept.
    pub(super) lines_gone: u64,
    pub(super) runs: bool,
    ended: Option<Instant>,
}

/// A session as JSON; `docs/recordings.md` has the keys.
#[derive(Debug, Serialize)]
pub(super) struct SessionJson<'a> {
    session: String,
    opened: String,
    last: String,
    workload: Option<&'a str>,
    server: Option<&'a str>,
    client_address: &'a str,
    statements: u64,
    denied: u64,
    would_deny: u64,
    is_counted_from_its_end: bool,
}

/// The sessions that run.
#[derive(Debug)]
pub(super) struct Live {
    state_dir: PathBuf,
    filter: Filter,
    analyses: Analyses,
    arrivals: Arrivals,
    /// None before the first look.
    known: Option<HashSet<Uuid>>,
    /// Files that had no record yet.
    unread: Vec<SessionPath>,
    sessions: Vec<Session>,
}

impl Live {
    pub(super) fn new(state_dir: &Path, filter: Filter) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            filter,
            analyses: Analyses::default(),
            arrivals: Arrivals::new(state_dir),
            known: None,
            unread: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Oldest first.
    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Takes in what was recorded since the last look.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        self.add_new()?;
        let Self { sessions, filter, analyses, .. } = self;
        for session in sessions.iter_mut().filter(|session| session.runs) {
            session.look(filter, analyses);
        }
        sessions.retain(|session| session.ended.is_none_or(|ended| ended.elapsed() < ENDED_SHOWN));
        Ok(())
    }

    fn add_new(&mut self) -> anyhow::Result<()> {
        let mut found = std::mem::take(&mut self.unread);
        let is_first = self.known.is_none();
        if self.arrivals.any() || is_first {
            let days = directory::days(&self.state_dir)?;
            let days_looked_at = if is_first { usize::MAX } else { DAYS_LOOKED_AT };
            let known = self.known.get_or_insert_default();
            let first = days.len().saturating_sub(days_looked_at);
            for day in days.iter().skip(first) {
                let sessions = directory::sessions(&self.state_dir, day)?;
                found.extend(sessions.into_iter().filter(|session| known.insert(session.id)));
            }
        }
        for path in found {
            // What is cut to its length does not run.
            if directory::closed_at(&path.path).is_some() || self.sessions.len() >= WATCHED_SESSIONS_MAX {
                continue;
            }
            match Session::open(&path.path, &self.filter, &mut self.analyses) {
                Opened::Session(session) => self.sessions.push(*session),
                Opened::Later => self.unread.push(path),
                Opened::Unwanted => {}
            }
        }
        Ok(())
    }
}

/// What came of opening a file.
enum Opened {
    Session(Box<Session>),
    /// It holds no record yet.
    Later,
    /// It does not run, is of another session than those that are wanted, or cannot be read.
    Unwanted,
}

impl Session {
    fn open(path: &Path, filter: &Filter, analyses: &mut Analyses) -> Opened {
        let Ok(file) = File::open(path) else { return Opened::Unwanted };
        if !directory::is_written(&file) {
            return Opened::Unwanted;
        }
        // Its daemon may be between two steps of making it.
        let Ok(stream) = Stream::open(file) else { return Opened::Later };
        let header = *stream.header();
        let id = Uuid::from_bytes(header.session_id);
        let mut session = Self {
            stream,
            selection: Selection::default(),
            text: SessionText::new(id),
            about: About::new(id),
            opened_unix_ns: header.created_unix_ns,
            last_unix_ns: header.created_unix_ns,
            statements: 0,
            denied: 0,
            would_deny: 0,
            is_counted_from_its_end: false,
            lines: VecDeque::new(),
            lines_gone: 0,
            runs: true,
            ended: None,
        };
        let first = match session.stream.next_frame() {
            Ok(Ok(frame)) => frame.to_entry(),
            Ok(Err(End::Open { .. })) => return Opened::Later,
            Ok(Err(End::Closed | End::Torn { .. })) | Err(_) => return Opened::Unwanted,
        };
        let Ok(first) = first else { return Opened::Unwanted };
        session.take(first, filter, analyses);
        if !filter.is_session(&session.about) {
            return Opened::Unwanted;
        }
        let is_long = fs::metadata(path).is_ok_and(|metadata| metadata.len() > NEAR_END_LEN as u64);
        session.is_counted_from_its_end =
            is_long && session.stream.skip_near_end(WATCHED_LINES_MAX as u64).unwrap_or(false);
        Opened::Session(Box::new(session))
    }

    fn look(&mut self, filter: &Filter, analyses: &mut Analyses) {
        // Asked before reading: what a daemon wrote last is then read before the session is said to have ended.
        let is_written = directory::is_written(self.stream.get_ref());
        for _ in 0..RECORDS_PER_LOOK_MAX {
            let entry = match self.stream.next_frame() {
                Ok(Ok(frame)) => frame.to_entry().ok(),
                Ok(Err(End::Open { .. })) if is_written => return,
                Ok(Err(_)) | Err(_) => None,
            };
            let Some(entry) = entry else {
                self.runs = false;
                self.ended = Some(Instant::now());
                return;
            };
            self.take(entry, filter, analyses);
        }
    }

    fn take(&mut self, entry: Entry<'static>, filter: &Filter, analyses: &mut Analyses) {
        self.about.learn(&entry.record);
        self.last_unix_ns = entry.at_unix_ns;
        match &entry.record {
            Record::Statement(_) => self.statements += 1,
            Record::Verdict(verdict) => match verdict.decision {
                Decision::Allow => {}
                Decision::Deny => self.denied += 1,
                Decision::WouldDeny => self.would_deny += 1,
            },
            Record::Opened(_)
            | Record::Login(_)
            | Record::Response(_)
            | Record::Closed(_)
            | Record::Transport(_)
            | Record::Abandoned(_)
            | Record::Forwarded(_)
            | Record::Chosen(_)
            | Record::Checkpoint(_)
            | Record::Sealed(_)
            | Record::Facts(_)
            | Record::Rows(_)
            | Record::Host(_) => {}
        }
        let Self { selection, about, text, lines, .. } = self;
        let mut by = Choosing { about, filter, analyses };
        selection.take(entry, &mut by, &mut |entry| {
            let tone = tone(&entry.record);
            text.take(entry, &mut |_, line| lines.push_back((tone, cut(line))));
        });
        while self.lines.len() > WATCHED_LINES_MAX {
            self.lines.pop_front();
            self.lines_gone += 1;
        }
    }

    pub(super) fn json(&self) -> SessionJson<'_> {
        SessionJson {
            session: self.about.id.to_string(),
            opened: time(self.opened_unix_ns, 9),
            last: time(self.last_unix_ns, 9),
            workload: self.about.workload.as_deref(),
            server: self.about.server.as_deref(),
            client_address: &self.about.client_address,
            statements: self.statements,
            denied: self.denied,
            would_deny: self.would_deny,
            is_counted_from_its_end: self.is_counted_from_its_end,
        }
    }
}

fn tone(record: &Record<'_>) -> Tone {
    match record {
        Record::Verdict(verdict) => match verdict.decision {
            Decision::Allow => Tone::Plain,
            Decision::Deny => Tone::Denied,
            Decision::WouldDeny => Tone::WouldDeny,
        },
        Record::Response(response) if response.error.is_some() => Tone::Error,
        Record::Login(login) if !login.accepted => Tone::Error,
        Record::Opened(_)
        | Record::Login(_)
        | Record::Statement(_)
        | Record::Response(_)
        | Record::Closed(_)
        | Record::Transport(_)
        | Record::Abandoned(_)
        | Record::Forwarded(_)
        | Record::Chosen(_)
        | Record::Checkpoint(_)
        | Record::Sealed(_)
        | Record::Facts(_)
        | Record::Rows(_)
        | Record::Host(_) => Tone::Plain,
    }
}

fn cut(mut line: String) -> String {
    if let Some((at, _)) = line.char_indices().nth(WATCHED_LINE_CHARS_MAX) {
        line.truncate(at);
        line.push('…');
    }
    line
}

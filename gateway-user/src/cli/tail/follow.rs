//! Records as they come.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use uuid::Uuid;

use super::source::{Next, Source};
use super::{TailArgs, is_session};
use crate::recorder::directory::{self, SessionPath};

/// Time between two looks. Writing through a mapping raises no inotify event, so looking is the only way.
const POLL: Duration = Duration::from_millis(100);
/// How long a new file may lack its header before that is called an error: its daemon may be between two steps.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// Records taken from one session in one look, so that a busy one does not hide the others, nor fill memory.
const RECORDS_PER_LOOK_MAX: usize = 256;
/// Days whose directories are looked at for new sessions: today's and, around midnight, yesterday's.
const DAYS_LOOKED_AT: usize = 2;

/// A running `tail --follow`.
#[derive(Debug)]
pub(super) struct Follow<'a> {
    args: &'a TailArgs,
    state_dir: PathBuf,
    signals: SignalFd,
    /// New files without a header, since when.
    headless: Vec<(SessionPath, Instant)>,
}

impl<'a> Follow<'a> {
    /// Takes over SIGINT and SIGTERM, so that output ends with a whole line.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(super) fn new(args: &'a TailArgs, state_dir: &Path) -> anyhow::Result<Self> {
        let mut ending = SigSet::empty();
        ending.add(Signal::SIGINT);
        ending.add(Signal::SIGTERM);
        ending.thread_block().context("cannot take over SIGINT")?;
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        let signals = signals.context("cannot take over SIGINT")?;
        // Each running session is an open file.
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
        Ok(Self { args, state_dir: state_dir.to_owned(), signals, headless: Vec::new() })
    }

    /// Shows what `running` sessions and ones not `known` yet record, until a signal ends it.
    ///
    /// # Errors
    /// When `out` cannot be written or the directory not be read.
    pub(super) fn run(
        mut self,
        (mut running, unread): (Vec<Source>, Vec<SessionPath>),
        mut known: HashSet<Uuid>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        self.headless = unread.into_iter().map(|session| (session, Instant::now())).collect();
        while !self.is_ended()? {
            self.add_new(&mut running, &mut known)?;
            let more = self.look(&mut running, out)?;
            if !more {
                thread::sleep(POLL);
            }
        }
        Ok(())
    }

    fn is_ended(&self) -> io::Result<bool> {
        Ok(self.signals.read_signal()?.is_some())
    }

    /// Writes what is new, in order of time. Whether there is more at once.
    fn look(&self, running: &mut Vec<Source>, out: &mut impl Write) -> io::Result<bool> {
        let mut lines = Vec::new();
        let mut more = false;
        running.retain_mut(|source| match self.look_at(source, &mut |at, line| lines.push((at, line))) {
            Some(has_more) => {
                more |= has_more;
                true
            }
            None => false,
        });
        lines.sort_by_key(|(at, _)| *at);
        for (_, line) in &lines {
            writeln!(out, "{line}")?;
        }
        if !lines.is_empty() {
            out.flush()?;
        }
        Ok(more)
    }

    /// Whether the session has more at once; none when it ended or is not wanted.
    fn look_at(&self, source: &mut Source, line: &mut impl FnMut(u64, String)) -> Option<bool> {
        for _ in 0..RECORDS_PER_LOOK_MAX {
            match source.next() {
                Next::Entry(entry) if source.is_wanted(self.args) => source.lines(&entry, line),
                Next::Entry(_) => return None,
                Next::Later => {
                    source.flush(line);
                    return Some(false);
                }
                Next::Ended => {
                    source.flush(line);
                    return None;
                }
            }
        }
        Some(true)
    }

    fn add_new(&mut self, running: &mut Vec<Source>, known: &mut HashSet<Uuid>) -> io::Result<()> {
        let mut found = std::mem::take(&mut self.headless);
        let days = directory::days(&self.state_dir)?;
        for day in days.iter().rev().take(DAYS_LOOKED_AT) {
            for session in directory::sessions(&self.state_dir, day)? {
                let wanted = self.args.session.as_deref().is_none_or(|wanted| is_session(wanted, session.id));
                if wanted && known.insert(session.id) {
                    found.push((session, Instant::now()));
                }
            }
        }
        for (session, since) in found {
            match Source::open(&session, self.args.json) {
                Ok(source) => running.push(source),
                Err(_) if since.elapsed() < HEADER_PATIENCE => self.headless.push((session, since)),
                Err(error) => eprintln!("portreeve: {error:#}"),
            }
        }
        Ok(())
    }
}

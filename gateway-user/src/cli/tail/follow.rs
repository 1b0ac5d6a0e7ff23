//! Records as they come.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use uuid::Uuid;

use super::Shown;
use super::arrivals::Arrivals;
use super::source::{Next, Source};
use crate::cli::recorded::{Analyses, Ending, is_session};
use crate::recorder::directory::{self, SessionPath};

/// Time between two looks. Writing through a mapping raises no inotify event, so looking is the only way.
const POLL: Duration = Duration::from_millis(40);
/// And so many times as long as the last look took: with very many sessions, looking must not fill a core.
const POLL_SHARE: u32 = 4;
/// The folders are looked at so often even when no event says so.
const FOLDERS_EVERY: Duration = Duration::from_secs(5);
/// How long a new file may lack its header before that is called an error: its daemon may be between two steps.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// Records taken from one session in one look, so that a busy one does not hide the others, nor fill memory.
const RECORDS_PER_LOOK_MAX: usize = 256;
/// Days whose directories are looked at for new sessions: today's and, around midnight, yesterday's.
pub(super) const DAYS_LOOKED_AT: usize = 2;

/// A running `tail --follow`.
#[derive(Debug)]
pub(super) struct Follow<'a> {
    shown: &'a Shown<'a>,
    analyses: Analyses,
    state_dir: PathBuf,
    ending: Ending,
    arrivals: Arrivals,
    folders_seen: Instant,
    /// New files without a header, since when.
    headless: Vec<(SessionPath, Instant)>,
}

impl<'a> Follow<'a> {
    /// Takes over SIGINT and SIGTERM, so that output ends with a whole line.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(super) fn new(shown: &'a Shown<'a>, state_dir: &Path) -> anyhow::Result<Self> {
        let ending = Ending::new()?;
        // Each running session is an open file.
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
        Ok(Self {
            shown,
            analyses: Analyses::default(),
            state_dir: state_dir.to_owned(),
            ending,
            arrivals: Arrivals::new(state_dir),
            folders_seen: Instant::now(),
            headless: Vec::new(),
        })
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
        // What came while the recorded part was shown.
        self.add_new(&mut running, &mut known, true)?;
        while !self.ending.is_asked()? {
            let begun = Instant::now();
            let look_at_folders = self.arrivals.any() || self.folders_seen.elapsed() > FOLDERS_EVERY;
            self.add_new(&mut running, &mut known, look_at_folders)?;
            let more = self.look(&mut running, out)?;
            if !more {
                self.pause(POLL.max(begun.elapsed() * POLL_SHARE));
            }
        }
        Ok(())
    }

    /// Waits so long, or until there is a new session.
    fn pause(&self, time: Duration) {
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let mut waited: Vec<_> = [self.ending.as_fd()]
            .into_iter()
            .chain(self.arrivals.inotify().map(AsFd::as_fd))
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // A signal that interrupts it is looked at next.
        let _ = poll(&mut waited, time);
    }

    /// Writes what is new, in order of time. Whether there is more at once.
    fn look(&mut self, running: &mut Vec<Source>, out: &mut impl Write) -> io::Result<bool> {
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
    fn look_at(&mut self, source: &mut Source, line: &mut impl FnMut(u64, String)) -> Option<bool> {
        for _ in 0..RECORDS_PER_LOOK_MAX {
            match source.next() {
                Next::Entry(entry) if source.is_wanted(&self.shown.filter) => {
                    source.lines(entry, &self.shown.filter, &mut self.analyses, line);
                }
                Next::Entry(_) => return None,
                Next::Later => {
                    source.flush(&self.shown.filter, &mut self.analyses, line);
                    return Some(false);
                }
                Next::Ended => {
                    source.flush(&self.shown.filter, &mut self.analyses, line);
                    return None;
                }
            }
        }
        Some(true)
    }

    fn add_new(
        &mut self,
        running: &mut Vec<Source>,
        known: &mut HashSet<Uuid>,
        look_at_folders: bool,
    ) -> io::Result<()> {
        let mut found = std::mem::take(&mut self.headless);
        let days = if look_at_folders { directory::days(&self.state_dir)? } else { Vec::new() };
        if look_at_folders {
            self.folders_seen = Instant::now();
        }
        for day in days.iter().rev().take(DAYS_LOOKED_AT) {
            for session in directory::sessions(&self.state_dir, day)? {
                let wanted = self.shown.args.session.as_deref().is_none_or(|wanted| is_session(wanted, session.id));
                if wanted && known.insert(session.id) {
                    found.push((session, Instant::now()));
                }
            }
        }
        for (session, since) in found {
            match Source::open(&session, self.shown) {
                Ok(source) => running.push(source),
                Err(_) if since.elapsed() < HEADER_PATIENCE => self.headless.push((session, since)),
                Err(error) => self.shown.unread.tell(&session.path, format_args!("{error:#}")),
            }
        }
        Ok(())
    }
}

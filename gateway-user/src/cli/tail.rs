//! `portreeve tail`: the newest records of all sessions, in order of time, and with `--follow` those to come.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::SystemTime;

use anyhow::bail;
use clap::Args;
use uuid::Uuid;

use super::recorded::{Filter, FilterArgs, Unread, is_session};
use crate::recorder::directory::{self, SessionPath};

pub(super) mod arrivals;
pub(super) mod connects;
mod follow;
pub(super) mod host;
mod merge;
pub(super) mod selection;
mod source;
#[cfg(test)]
mod tests;

use follow::Follow;
use merge::Merge;

/// Lines that are shown when neither `--lines` nor `--since` says how many.
const LINES_SHOWN: usize = 20;

/// Options of `portreeve tail`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  portreeve tail                                the last 20 records of all sessions
  portreeve tail --follow --workload reporting  watch one workload
  portreeve tail --follow --verdict deny --verdict would-deny
  portreeve tail --since 10m --table shop.orders --action write
  portreeve tail --follow --grep '(?i)drop +table'
  portreeve tail --lines 0 9c41d8a2             one session from its start
  portreeve tail --connects --follow            who was refused on the way, and why
  portreeve tail --host --lines 0               starts, tags, policies and connects of this host, as recorded
  portreeve tail --follow --json | jq 'select(.decision == \"deny\")'

Exit code 4: a recording could not be read to its end.")]
pub(crate) struct TailArgs {
    /// Only this session: its id, or the beginning or end of it as `portreeve sessions` shows it
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Go on with new records and new sessions until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Show the last N lines of what is recorded; 0 shows all. By default 20, and with `--since` all
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,

    /// The connects that the kernel programs refused or redirected, instead of what sessions did; the daemon keeps the
    /// newest of them
    #[arg(long, conflicts_with_all = ["session", "server", "since", "verdicts", "classes", "actions", "tables", "grep"])]
    pub(crate) connects: bool,

    /// What befell the host, instead of what sessions did, from the host recordings: starts, tags, policies, connects, and
    /// which sessions began and ended
    #[arg(long, conflicts_with_all = ["session", "connects", "server", "verdicts", "classes", "actions", "tables", "grep"])]
    pub(crate) host: bool,

    /// One JSON object per record
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

impl TailArgs {
    /// How many lines of what is recorded are shown; none for all.
    fn lines_kept(&self) -> Option<usize> {
        match self.lines {
            Some(0) => None,
            None if self.filter.since.is_some() => None,
            given => Some(given.unwrap_or(LINES_SHOWN)),
        }
    }
}

/// What is shown, and how.
#[derive(Debug)]
struct Shown<'a> {
    args: &'a TailArgs,
    filter: Filter,
    unread: Rc<Unread>,
}

impl Shown<'_> {
    /// How many of a long file's last lines are enough, where no statement needs to be looked for.
    fn lines_of_long_file(&self) -> Option<usize> {
        self.args.lines_kept().filter(|_| !self.filter.is_about_statements())
    }
}

/// Writes the records to `out`. Exit code 1 when there is no such session, 4 when a recording could not be read to its end: a line on
/// stderr says which.
///
/// # Errors
/// When the directory of the recordings cannot be read or `out` cannot be written. A reader of `out` that goes away (`| head`) ends the command without an error.
pub(crate) fn run(args: &TailArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match tail(args, state_dir, out) {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn tail(args: &TailArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let shown = &Shown { args, filter: Filter::new(&args.filter)?, unread: Rc::default() };
    let follow = args.follow.then(|| Follow::new(shown, state_dir)).transpose()?;
    let mut sessions = select(args.session.as_deref(), state_dir)?;
    if let (true, Some(session)) = (sessions.is_empty(), &args.session) {
        eprintln!("portreeve: no session begins or ends with `{session}`; `portreeve sessions` lists them");
        return Ok(ExitCode::from(1));
    }
    let known: HashSet<Uuid> = sessions.iter().map(|session| session.id).collect();
    leave_out_old(&mut sessions, shown);
    let mut merge = Merge::new(sessions, shown);
    let mut last = VecDeque::new();
    while let Some(lines) = merge.next_lines() {
        for line in lines {
            match args.lines_kept() {
                None => writeln!(out, "{line}")?,
                Some(kept) => {
                    last.push_back(line);
                    last.drain(..last.len().saturating_sub(kept));
                }
            }
        }
    }
    for line in last {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if let Some(follow) = follow {
        follow.run(merge.into_running(), known, out)?;
    }
    Ok(shown.unread.exit_code(ExitCode::SUCCESS))
}

/// The sessions to show, oldest first.
fn select(session: Option<&str>, state_dir: &Path) -> anyhow::Result<Vec<SessionPath>> {
    let mut found = Vec::new();
    for day in directory::days(state_dir)? {
        found.extend(directory::sessions(state_dir, &day)?);
    }
    let Some(wanted) = session else { return Ok(found) };
    found.retain(|session| is_session(wanted, session.id));
    if let [first, second, ..] = &found[..] {
        bail!("`{wanted}` is `{}` and `{}` and perhaps others; give more of the id", first.id, second.id);
    }
    Ok(found)
}

/// Leaves out files that can have none of the lines to show, by when they were closed.
fn leave_out_old(sessions: &mut Vec<SessionPath>, shown: &Shown<'_>) {
    let since = SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(shown.filter.since_unix_ns);
    let mut closed_at: Vec<_> = sessions.iter().map(|session| directory::closed_at(&session.path)).collect();
    let mut earliest = since;
    if let Some(lines) = shown.args.lines_kept().filter(|_| shown.filter.is_every_session()) {
        // So many that were closed after the others have as many lines that come after all of theirs.
        let mut newest: Vec<_> =
            closed_at.iter().zip(sessions.iter()).filter_map(|(at, of)| Some(((*at)?, of))).collect();
        newest.sort_by_key(|(at, _)| Reverse(*at));
        let readable = newest.iter().filter(|(_, session)| directory::is_session_file(&session.path));
        if let Some((at, _)) = readable.take(lines).nth(lines.saturating_sub(1)) {
            earliest = earliest.max(*at);
        }
    }
    let mut closed_at = closed_at.drain(..);
    sessions.retain(|_| closed_at.next().flatten().is_none_or(|at| at >= earliest));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

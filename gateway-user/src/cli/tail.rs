//! `portreeve tail`: the newest records of all sessions, in order of time, and with `--follow` those to come.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use uuid::Uuid;

use crate::recorder::directory::{self, SessionPath};

pub(super) mod connects;
mod follow;
pub(super) mod host;
mod merge;
mod source;
#[cfg(test)]
mod tests;

use follow::Follow;
use merge::Merge;

/// Options of `portreeve tail`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  portreeve tail                                the last 20 records of all sessions
  portreeve tail --follow --workload reporting  watch one workload
  portreeve tail --lines 0 9c41d8a2             one session from its start
  portreeve tail --connects --follow            who was refused on the way, and why
  portreeve tail --host --lines 0               starts, tags, policies and connects of this host, as recorded
  portreeve tail --follow --json | jq 'select(.decision == \"deny\")'")]
pub(crate) struct TailArgs {
    /// Only this session: its id, or the beginning or end of it as `portreeve sessions` shows it
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Go on with new records and new sessions until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only sessions of this workload: its name or SPIFFE ID
    #[arg(short, long, value_name = "WORKLOAD")]
    pub(crate) workload: Option<String>,

    /// Show the last N lines of what is recorded; 0 shows all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,

    /// The connects that the kernel programs refused or redirected, instead of what sessions did; the daemon keeps the
    /// newest of them
    #[arg(long, conflicts_with = "session")]
    pub(crate) connects: bool,

    /// What befell the host, instead of what sessions did, from the host recordings: starts, tags, policies, connects, and
    /// which sessions began and ended
    #[arg(long, conflicts_with_all = ["session", "connects"])]
    pub(crate) host: bool,

    /// One JSON object per record
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes the records to `out`. Exit code 1 when there is no such session.
///
/// # Errors
/// When the directory of the recordings cannot be read or `out` cannot be written. A session file that cannot be read is
/// a line on stderr. A reader of `out` that goes away (`| head`) ends the command without an error.
pub(crate) fn run(args: &TailArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match tail(args, state_dir, out) {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn tail(args: &TailArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let follow = args.follow.then(|| Follow::new(args, state_dir)).transpose()?;
    let sessions = select(args.session.as_deref(), state_dir)?;
    if let (true, Some(session)) = (sessions.is_empty(), &args.session) {
        eprintln!("portreeve: no session begins or ends with `{session}`; `portreeve sessions` lists them");
        return Ok(ExitCode::from(1));
    }
    let known: HashSet<Uuid> = sessions.iter().map(|session| session.id).collect();
    let mut merge = Merge::new(sessions, args);
    let mut last = VecDeque::new();
    while let Some(lines) = merge.next_lines() {
        for line in lines {
            match args.lines {
                0 => writeln!(out, "{line}")?,
                kept => {
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
    Ok(ExitCode::SUCCESS)
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

/// Whether `wanted` begins or ends the id. Its end is what tells the sessions of one minute apart.
fn is_session(wanted: &str, id: Uuid) -> bool {
    let wanted = wanted.to_ascii_lowercase();
    let (printed, simple) = (id.to_string(), id.simple().to_string());
    !wanted.is_empty() && [printed, simple].iter().any(|id| id.starts_with(&wanted) || id.ends_with(&wanted))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

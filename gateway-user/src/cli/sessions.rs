//! `portreeve sessions`: the recorded sessions as a table, newest first.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::recorded::{Filter, FilterArgs, Unread};
use super::render::{duration, escape, json, time, workload_name};
use crate::recorder::directory::{self, SessionPath};

mod summary;
#[cfg(test)]
mod tests;

use summary::Summary;

/// Options of `portreeve sessions`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  portreeve sessions                        the newest 50
  portreeve sessions --workload reporting   of one workload
  portreeve sessions --state open           those that run
  portreeve sessions --since 24h --denied   in which something was denied, or would have been
  portreeve sessions --limit 0 --json       all, one JSON object per line")]
pub(crate) struct SessionsArgs {
    /// Only sessions of this workload: its name or SPIFFE ID
    #[arg(short, long, value_name = "WORKLOAD")]
    pub(crate) workload: Option<String>,

    /// Only sessions with this server
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,

    /// Only sessions that opened since: a time such as 2026-11-24T03:00:00Z, a day, or so long ago (10m, 24h, 7d)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,

    /// Only sessions in this state; may be given several times
    #[arg(long = "state", value_enum, value_name = "STATE")]
    pub(crate) states: Vec<State>,

    /// Only sessions in which a statement was denied, or would have been
    #[arg(long)]
    pub(crate) denied: bool,

    /// Show at most N sessions, the newest; 0 shows all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,

    /// One JSON object per session
    #[arg(long)]
    pub(crate) json: bool,
}

/// What has become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It runs.
    Open,
    /// It ended in order.
    Closed,
    /// It ended without an accepted login.
    Refused,
    /// Its daemon was killed, or the file is damaged.
    Torn,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Torn => "torn",
        }
    }
}

/// Writes the table to `out`.
///
/// # Errors
/// When the directory of the recordings cannot be read or `out` cannot be written. A session file that cannot be read is
/// a line on stderr. A reader of `out` that goes away ends the command without an error.
pub(crate) fn run(args: &SessionsArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let unread = Unread::default();
    let summaries = newest(args, state_dir, &unread)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let now_unix_ns = u64::try_from(now.as_nanos()).context("the clock is after 2500")?;
    let written =
        if args.json { write_json(&summaries, now_unix_ns, out) } else { write_table(&summaries, now_unix_ns, out) };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| unread.exit_code(ExitCode::SUCCESS)).context("cannot write the sessions"),
    }
}

/// The newest sessions that are asked for; files are opened only until there are enough.
fn newest(args: &SessionsArgs, state_dir: &Path, unread: &Unread) -> anyhow::Result<Vec<Summary>> {
    let SessionsArgs { workload, server, since, .. } = args.clone();
    let filter = Filter::new(&FilterArgs { workload, server, since, ..FilterArgs::default() })?;
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut found = Vec::new();
    for day in directory::days(state_dir)?.iter().rev() {
        let mut sessions = directory::sessions(state_dir, day)?;
        while !sessions.is_empty() && found.len() < limit {
            // As many as are missing: more only where the filters leave some of them out.
            let first = sessions.len().saturating_sub(limit - found.len());
            let newest = sessions.split_off(first);
            found.extend(
                read(&newest, &filter, unread).into_iter().rev().flatten().filter(|summary| is_wanted(args, summary)),
            );
        }
    }
    Ok(found)
}

/// Reads files, on all processors. None in the place of one that is not wanted, or cannot be read.
fn read(sessions: &[SessionPath], filter: &Filter, unread: &Unread) -> Vec<Option<Summary>> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(sessions.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut read = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(session) = sessions.get(at) else { return read };
            match Summary::read(&session.path, filter) {
                Ok(summary) => read.push((at, summary)),
                Err(error) => unread.tell(&session.path, format_args!("cannot be read: {error:#}")),
            }
        }
    };
    let read = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // None of them panics; if one did, what it read is missing, as what cannot be read.
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let mut summaries: Vec<_> = sessions.iter().map(|_| None).collect();
    for (at, summary) in read {
        if let Some(place) = summaries.get_mut(at) {
            *place = summary;
        }
    }
    summaries
}

fn is_wanted(args: &SessionsArgs, summary: &Summary) -> bool {
    let is_state = args.states.is_empty() || args.states.contains(&summary.state());
    is_state && (!args.denied || summary.denied + summary.would_deny > 0)
}

fn write_json(summaries: &[Summary], now_unix_ns: u64, out: &mut impl Write) -> io::Result<()> {
    for summary in summaries {
        writeln!(out, "{}", json::line(&summary.json(now_unix_ns))?)?;
    }
    Ok(())
}

const HEADINGS: [&str; 8] = ["SESSION", "OPENED", "DURATION", "WORKLOAD", "SERVER", "STATEMENTS", "DENIED", "STATE"];

fn write_table(summaries: &[Summary], now_unix_ns: u64, out: &mut impl Write) -> io::Result<()> {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(summaries.iter().map(|summary| row(summary, now_unix_ns)));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..HEADINGS.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(summary: &Summary, now_unix_ns: u64) -> [String; 8] {
    let shown = |name: Option<&str>| name.map_or("-".to_owned(), |name| escape(name.as_bytes()));
    [
        summary.id.to_string(),
        time(summary.opened_unix_ns, 0),
        duration(summary.duration_ns(now_unix_ns)),
        shown(summary.workload.as_deref().map(workload_name)),
        shown(summary.server.as_deref()),
        summary.statements.to_string(),
        match summary.would_deny {
            0 => summary.denied.to_string(),
            observed => format!("{} ({observed} observed)", summary.denied),
        },
        summary.state().as_str().to_owned(),
    ]
}

//! `portreeve policy suggest`

use super::{Usage, print_json};
use crate::{
    cli::{NO, render},
    config::Config,
    recorder::directory::EXTENSION,
};
use anyhow::Context as _;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use portreeve_policy::Suggested;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

mod seen;

use seen::Seen;

#[derive(Debug, Args)]
pub(in crate::cli) struct SuggestArgs {
    /// A folder of session files, or of folders of them; by default the daemon's recordings
    #[arg(long, value_name = "DIR")]
    sessions: Option<PathBuf>,
    /// Only this workload: its name or SPIFFE ID; by default every workload that was seen
    #[arg(short, long, value_name = "WORKLOAD")]
    workload: Option<String>,
    /// Only what was recorded since: a time such as 2026-11-24T03:00:00Z, a day, or so long ago (90m, 24h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was forwarded to a server
    #[arg(long)]
    forwarded: bool,
    /// Permit columns, where it is known which were read and written, instead of their tables
    #[arg(long)]
    columns: bool,
    /// Print policies, counts and what is not covered as JSON
    #[arg(long)]
    json: bool,
}

/// Which sessions and statements count.
#[derive(Debug)]
struct Wanted<'a> {
    workload: Option<&'a str>,
    since_unix_ns: u64,
    forwarded: bool,
}

impl Wanted<'_> {
    fn is_workload(&self, spiffe_id: &str) -> bool {
        self.workload.is_none_or(|wanted| render::is_workload(wanted, Some(spiffe_id)))
    }
}

pub(super) fn run(args: &SuggestArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let folder = match &args.sessions {
        Some(folder) => folder.clone(),
        None => Config::read(config)?.state_dir.join("sessions"),
    };
    let wanted = Wanted {
        workload: args.workload.as_deref(),
        since_unix_ns: args.since.as_deref().map_or(Ok(0), since)?,
        forwarded: args.forwarded,
    };
    let mut seen = Seen::new(args.columns);
    for file in files(&folder)? {
        // Damage ends a file, not the command: what came before it is sound.
        if let Err(error) = seen.read(&file, &wanted) {
            eprintln!("portreeve: `{}`: {error:#}", file.display());
        }
    }
    let suggested: BTreeMap<String, Suggested> = seen.finish();
    if args.json {
        print_json(out, &suggested.values().collect::<Vec<_>>())?;
    } else {
        for (index, one) in suggested.values().enumerate() {
            write!(out, "{}{}", if index > 0 { "\n" } else { "" }, one.cedar)?;
        }
    }
    if suggested.is_empty() {
        out.flush()?;
        let whose = args.workload.as_ref().map_or(String::new(), |workload| format!(" of `{workload}`"));
        eprintln!("portreeve: no statement{whose} is recorded in `{}`", folder.display());
        return Ok(ExitCode::from(NO));
    }
    Ok(ExitCode::SUCCESS)
}

/// A moment, or a duration before now, in nanoseconds since 1970.
fn since(text: &str) -> anyhow::Result<u64> {
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => Some(moment),
        Err(_) => match (text.parse::<jiff::civil::Date>(), ago(text)) {
            (Ok(day), _) => day.in_tz("UTC").ok().map(|start| start.timestamp()),
            (Err(_), Some(ago)) => Timestamp::now().checked_sub(ago).ok(),
            (Err(_), None) => None,
        },
    };
    let moment = moment.ok_or_else(|| {
        Usage(format!("`{text}` is no time: write 2026-11-24T03:00:00Z, 2026-11-24, or 90m, 24h, 7d for so long ago"))
    })?;
    Ok(u64::try_from(moment.as_nanosecond()).unwrap_or(0))
}

fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    Some(SignedDuration::from_secs(count.checked_mul(seconds)?))
}

/// The session files of a folder and of those in it, by path: days, and within a day by time.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // `sessions/<day>/<id>.prs` below the state directory, which may be given itself.
    collect(folder, 3, &mut files).with_context(|| format!("cannot read `{}`", folder.display()))?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(EXTENSION)) {
            files.push(path);
        } else if depth > 1 && path.is_dir() {
            collect(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

//! `portreeve export --host`: the connects of host recordings.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use portreeve_recording::{Connects, End, Host, Record, Stream};

use super::output::Output;
use super::{ExportArgs, Format, Stopped, ocsf};
use crate::cli::Usage;
use crate::cli::recorded::{Ending, Filter, Unread};
use crate::cli::render::{json, workload_name};
use crate::recorder::directory::{self, SessionPath};

/// Writes the connects below `state_dir`.
///
/// # Errors
/// As the export of statements.
pub(super) fn run(args: &ExportArgs, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let filter = Filter::new(&args.filter)?;
    match args.format {
        Format::Ocsf => {}
        Format::Jsonl | Format::Csv | Format::Parquet => {
            let what =
                "`--host` writes connects as OCSF events: add `--format ocsf` (`tail --host --json` has all else)";
            return Err(Usage(what.to_owned()).into());
        }
    }
    if filter.is_about_statements() || args.filter.server.is_some() {
        let what = "connects are before any statement and server: only `--workload` and `--since` choose among them";
        return Err(Usage(what.to_owned()).into());
    }
    let ending = args.output.is_some().then(Ending::new).transpose()?;
    let output = Output::new(args.output.as_deref())?;
    let mut out = output.writer()?;
    let unread = Unread::default();
    for recording in directory::host_recordings(state_dir)? {
        if let Some(ending) = &ending
            && ending.is_asked()?
        {
            bail!("interrupted: nothing was written");
        }
        match export(&recording, &filter, args.filter.workload.as_deref(), &mut out) {
            Ok(()) => {}
            Err(Stopped::Unread(error)) => unread.tell(&recording.path, format_args!("{error:#}")),
            Err(Stopped::Unwritten(error)) => return Err(error),
        }
    }
    out.flush()?;
    output.keep()?;
    Ok(unread.exit_code(ExitCode::SUCCESS))
}

fn export(
    recording: &SessionPath,
    filter: &Filter,
    workload: Option<&str>,
    out: &mut impl Write,
) -> Result<(), Stopped> {
    let open = || anyhow::Ok(Stream::open(File::open(&recording.path)?)?);
    let mut stream = open().context("cannot be read").map_err(Stopped::Unread)?;
    let id = recording.id.to_string();
    for frame in 0.. {
        let found = match stream.next_frame().map_err(|error| Stopped::Unread(error.into()))? {
            Ok(found) => found,
            Err(End::Open { .. } | End::Closed) => break,
            Err(End::Torn { why, .. }) => return Err(Stopped::Unread(anyhow::anyhow!("{why}"))),
        };
        let entry = found.to_entry().map_err(|why| Stopped::Unread(anyhow::anyhow!("{why}")))?;
        let Record::Host(host) = entry.record else { continue };
        if let Host::Connects(connects) = *host
            && filter.is_time(entry.at_unix_ns)
            && workload.is_none_or(|wanted| is_of(&connects, wanted))
        {
            let line = json::line(&ocsf::network::event(&id, frame, entry.at_unix_ns, &connects));
            let line = line.map_err(|error| Stopped::Unwritten(io::Error::from(error).into()))?;
            writeln!(out, "{line}").map_err(|error| Stopped::Unwritten(error.into()))?;
        }
    }
    Ok(())
}

/// Connects have the workload's name alone.
fn is_of(connects: &Connects<'_>, wanted: &str) -> bool {
    connects.workload.as_deref().is_some_and(|name| name == wanted || name == workload_name(wanted))
}

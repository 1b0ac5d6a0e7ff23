//! `portreeve tail --host`: what befell the host, from the host recordings. Needs no daemon.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use portreeve_recording::{End, Entry, Host, Record, Stream};
use uuid::Uuid;

use super::TailArgs;
use crate::cli::render::{json, text::SessionText};
use crate::recorder::directory::{self, SessionPath};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(100);

/// A host recording being read.
#[derive(Debug)]
struct Source {
    stream: Stream<File>,
    path: PathBuf,
    id: String,
    text: SessionText,
}

/// Writes the records to `out`.
///
/// # Errors
/// The directory cannot be read, or `out` not be written. A file that cannot be read is a line on stderr.
pub(in crate::cli) fn run(args: &TailArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (mut known, mut sources, mut lines) = (HashSet::new(), Vec::new(), Vec::new());
    take_new(state_dir, &mut known, &mut sources)?;
    sources.retain_mut(|source| read(source, args, &mut lines));
    // Two daemons write at once during an upgrade.
    lines.sort_by_key(|(at_unix_ns, _)| *at_unix_ns);
    let shown = args.lines_kept().unwrap_or(lines.len());
    for (_, line) in lines.drain(lines.len().saturating_sub(shown)..) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::sleep(POLL);
        lines.clear();
        take_new(state_dir, &mut known, &mut sources)?;
        sources.retain_mut(|source| read(source, args, &mut lines));
        for (_, line) in &lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
}

/// Opens the recordings that are not `known`. One that cannot be read yet is tried again.
fn take_new(state_dir: &Path, known: &mut HashSet<Uuid>, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    for recording in directory::host_recordings(state_dir)? {
        if known.contains(&recording.id) {
            continue;
        }
        match Source::open(&recording) {
            Ok(source) => sources.push(source),
            // Its daemon may be making it just now.
            Err(_) if File::open(&recording.path).is_ok_and(|file| directory::is_written(&file)) => continue,
            Err(error) => eprintln!("portreeve: {error:#}"),
        }
        known.insert(recording.id);
    }
    Ok(())
}

impl Source {
    fn open(recording: &SessionPath) -> anyhow::Result<Self> {
        let open = || anyhow::Ok(Stream::open(File::open(&recording.path)?)?);
        let stream = open().with_context(|| format!("cannot read `{}`", recording.path.display()))?;
        let (id, text) = (recording.id.to_string(), SessionText::new(recording.id));
        Ok(Self { stream, path: recording.path.clone(), id, text })
    }
}

/// Adds the lines of the records that are there; whether more may come.
fn read(source: &mut Source, args: &TailArgs, lines: &mut Vec<(u64, String)>) -> bool {
    let damaged = |path: &Path, what: &dyn std::fmt::Display| {
        eprintln!("portreeve: `{}`: {what}", path.display());
        false
    };
    loop {
        let entry = match source.stream.next_frame() {
            Ok(Ok(frame)) => frame.to_entry(),
            Ok(Err(End::Open { .. })) => return directory::is_written(source.stream.get_ref()),
            Ok(Err(End::Closed)) => return false,
            Ok(Err(End::Torn { why, .. })) => return damaged(&source.path, &why),
            Err(error) => return damaged(&source.path, &error),
        };
        match entry {
            Ok(entry) if is_wanted(args, &entry) => show(source, args.json, &entry, lines),
            Ok(_) => {}
            Err(why) => return damaged(&source.path, &why),
        }
    }
}

fn show(source: &mut Source, as_json: bool, entry: &Entry<'_>, lines: &mut Vec<(u64, String)>) {
    if !as_json {
        return source.text.take(entry, &mut |at_unix_ns, line| lines.push((at_unix_ns, line)));
    }
    match json::object(&source.id, None, entry) {
        Ok(object) => lines.push((entry.at_unix_ns, object)),
        Err(error) => eprintln!("portreeve: `{}`: cannot show a record: {error}", source.path.display()),
    }
}

/// Of one workload: its connects and tags.
fn is_wanted(args: &TailArgs, entry: &Entry<'_>) -> bool {
    let Some(wanted) = args.filter.workload.as_deref() else { return true };
    let Record::Host(host) = &entry.record else { return false };
    match &**host {
        Host::Connects(connects) => connects.workload.as_deref() == Some(wanted),
        Host::Tagged(tagged) | Host::Untagged(tagged) => tagged.workload == wanted || tagged.spiffe_id == wanted,
        Host::Started(_)
        | Host::Follows(_)
        | Host::Stopped(_)
        | Host::PoliciesLoaded(_)
        | Host::Lost(_)
        | Host::SessionBegan(_)
        | Host::SessionEnded(_)
        | Host::Removed(_) => false,
    }
}

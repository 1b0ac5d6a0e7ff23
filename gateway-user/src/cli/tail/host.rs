//! `portreeve tail --host`: what befell the host, from the host recordings. Needs no daemon.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use portreeve_recording::{End, Entry, Host, Record, Stream};
use uuid::Uuid;

use super::TailArgs;
use super::merge::started_unix_ns;
use crate::cli::recorded::{Filter, Unread};
use crate::cli::render::{json, text::SessionText};
use crate::config::Workload;
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

/// What is wanted, and what came of reading.
#[derive(Debug)]
struct Reading<'a> {
    args: &'a TailArgs,
    since_unix_ns: u64,
    /// Names of the workload that is wanted: connects are recorded by name, which its SPIFFE ID does not tell.
    names: BTreeSet<String>,
    unread: Unread,
}

/// Writes the records to `out`; `configured` says by which names workloads are recorded. Exit code 4 when a recording could not be read to its end: a line on stderr says which.
///
/// # Errors
/// The directory cannot be read, or `out` not be written.
pub(in crate::cli) fn run(
    args: &TailArgs,
    state_dir: &Path,
    configured: &[Workload],
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut reading = Reading::new(args, configured)?;
    let (mut known, mut running) = (HashSet::new(), Vec::new());
    let mut shown = Shown::new(args.lines_kept());
    for recording in directory::host_recordings(state_dir)? {
        // No later file has anything from before it began.
        shown.settle(started_unix_ns(&recording), out)?;
        if let Some(mut source) = reading.open(&recording, &mut known)
            && reading.read(&mut source, &mut shown.lines)
        {
            running.push(source);
        }
    }
    shown.settle(u64::MAX, out)?;
    for line in shown.last {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if args.follow {
        reading.follow(state_dir, known, running, out)?;
    }
    Ok(reading.unread.exit_code(ExitCode::SUCCESS))
}

/// Lines on their way to be shown. Two daemons write at once during an upgrade, so that files overlap; but no more of them is held
/// than do.
#[derive(Debug)]
struct Shown {
    /// How many of the last are shown; none for all.
    kept: Option<usize>,
    /// Those that others may still come before.
    lines: Vec<(u64, String)>,
    last: VecDeque<String>,
}

impl Shown {
    fn new(kept: Option<usize>) -> Self {
        Self { kept, lines: Vec::new(), last: VecDeque::new() }
    }

    /// Takes the lines from before a moment, in order of time: nothing comes before these any more.
    fn settle(&mut self, before_unix_ns: u64, out: &mut impl Write) -> io::Result<()> {
        self.lines.sort_by_key(|(at_unix_ns, _)| *at_unix_ns);
        let settled = self.lines.partition_point(|(at_unix_ns, _)| *at_unix_ns < before_unix_ns);
        for (_, line) in self.lines.drain(..settled) {
            match self.kept {
                None => writeln!(out, "{line}")?,
                Some(kept) => {
                    self.last.push_back(line);
                    self.last.drain(..self.last.len().saturating_sub(kept));
                }
            }
        }
        Ok(())
    }
}

impl<'a> Reading<'a> {
    fn new(args: &'a TailArgs, configured: &[Workload]) -> anyhow::Result<Self> {
        let wanted = args.filter.workload.as_ref();
        let configured = configured.iter().filter(|workload| Some(&workload.spiffe_id) == wanted);
        let names = configured.map(|workload| workload.name.clone()).chain(wanted.cloned()).collect();
        let since_unix_ns = Filter::new(&args.filter)?.since_unix_ns;
        Ok(Self { args, since_unix_ns, names, unread: Unread::default() })
    }

    /// Opens a recording that is not `known`. One that cannot be read yet is tried again.
    fn open(&self, recording: &SessionPath, known: &mut HashSet<Uuid>) -> Option<Source> {
        if known.contains(&recording.id) {
            return None;
        }
        let source = match Source::open(recording) {
            Ok(source) => Some(source),
            // Its daemon may be making it just now.
            Err(_) if File::open(&recording.path).is_ok_and(|file| directory::is_written(&file)) => return None,
            Err(error) => {
                self.unread.tell(&recording.path, format_args!("{error:#}"));
                None
            }
        };
        known.insert(recording.id);
        source
    }

    /// Shows what comes, without end.
    fn follow(
        &mut self,
        state_dir: &Path,
        mut known: HashSet<Uuid>,
        mut running: Vec<Source>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        loop {
            thread::sleep(POLL);
            for recording in directory::host_recordings(state_dir)? {
                running.extend(self.open(&recording, &mut known));
            }
            let mut shown = Shown::new(None);
            running.retain_mut(|source| self.read(source, &mut shown.lines));
            shown.settle(u64::MAX, out)?;
            out.flush()?;
        }
    }

    /// Adds the lines of the records that are there; whether more may come.
    fn read(&mut self, source: &mut Source, lines: &mut Vec<(u64, String)>) -> bool {
        loop {
            let entry = match source.stream.next_frame() {
                Ok(Ok(frame)) => frame.to_entry().map_err(|why| why.to_string()),
                Ok(Err(End::Open { .. })) => return directory::is_written(source.stream.get_ref()),
                Ok(Err(End::Closed)) => return false,
                Ok(Err(End::Torn { offset, why })) => {
                    Err(format!("at byte {offset}: {why}; records after it are not shown"))
                }
                Err(error) => Err(error.to_string()),
            };
            match entry {
                Ok(entry) if self.is_wanted(&entry) => self.show(source, &entry, lines),
                Ok(_) => {}
                Err(why) => {
                    self.unread.tell(&source.path, why);
                    return false;
                }
            }
        }
    }

    fn show(&self, source: &mut Source, entry: &Entry<'_>, lines: &mut Vec<(u64, String)>) {
        if !self.args.json {
            return source.text.take(entry, &mut |at_unix_ns, line| lines.push((at_unix_ns, line)));
        }
        match json::object(&source.id, None, entry) {
            Ok(object) => lines.push((entry.at_unix_ns, object)),
            Err(error) => self.unread.tell(&source.path, format_args!("cannot show a record: {error}")),
        }
    }

    /// Whether it is recent enough, and of the workload: its connects and tags.
    fn is_wanted(&mut self, entry: &Entry<'_>) -> bool {
        let is_recent = entry.at_unix_ns >= self.since_unix_ns;
        let Some(wanted) = self.args.filter.workload.as_deref() else { return is_recent };
        let Record::Host(host) = &entry.record else { return false };
        let is_of_workload = match &**host {
            Host::Connects(connects) => connects.workload.as_deref().is_some_and(|name| self.names.contains(name)),
            Host::Tagged(tagged) | Host::Untagged(tagged) => {
                if tagged.spiffe_id == wanted && !self.names.contains(&*tagged.workload) {
                    self.names.insert(tagged.workload.to_string());
                }
                tagged.workload == wanted || tagged.spiffe_id == wanted
            }
            Host::Started(_)
            | Host::Follows(_)
            | Host::Stopped(_)
            | Host::PoliciesLoaded(_)
            | Host::Lost(_)
            | Host::SessionBegan(_)
            | Host::SessionEnded(_)
            | Host::Removed(_) => false,
        };
        is_of_workload && is_recent
    }
}

impl Source {
    fn open(recording: &SessionPath) -> anyhow::Result<Self> {
        let stream = Stream::open(File::open(&recording.path)?)?;
        let (id, text) = (recording.id.to_string(), SessionText::new(recording.id));
        Ok(Self { stream, path: recording.path.clone(), id, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_order_of_time_and_no_more_are_held_than_are_shown() {
        let (mut shown, mut out) = (Shown::new(Some(2)), Vec::new());
        for round in 0..1000 {
            shown.lines.push((round * 10 + 1, format!("b{round}")));
            shown.lines.push((round * 10, format!("a{round}")));
            shown.settle(round * 10, &mut out).unwrap();
            assert!(shown.lines.len() <= 2 && shown.last.len() <= 2, "{shown:?}");
        }
        shown.settle(u64::MAX, &mut out).unwrap();
        assert_eq!((shown.last.make_contiguous(), out.len()), (&mut ["a999".to_owned(), "b999".to_owned()][..], 0));
        let (mut shown, mut out) = (Shown::new(None), Vec::new());
        shown.lines = vec![(2, "second".to_owned()), (1, "first".to_owned()), (3, "third".to_owned())];
        shown.settle(3, &mut out).unwrap();
        assert_eq!((String::from_utf8(out).unwrap().as_str(), shown.lines.len()), ("first\nsecond\n", 1));
    }
}

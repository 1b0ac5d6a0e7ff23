//! `portreeve export`: recorded statements for other programs, one row each.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::config::Config;

use super::Usage;
use super::recorded::{Analyses, Ending, Event, Filter, FilterArgs, FolderArgs, Question, Recording, Row, Unread};

mod host;
mod ocsf;
mod output;
mod parquet;
mod sink;
#[cfg(test)]
mod tests;

use output::Output;
use sink::Sink;

/// Statements between two looks whether to end.
const ENDING_EVERY: u32 = 256;

/// Options of `portreeve export`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  portreeve export --format csv --since 24h --output statements.csv
  portreeve export --format parquet --since 2026-11-01 --output november.parquet
  portreeve export --format ocsf --verdict deny | curl --data-binary @- https://siem.example/ingest
  portreeve export --format ocsf --host --since 24h              connects, refused ones too
  portreeve export --format jsonl 9c41d8a2 | jq .sql

Exit code 4: a recording could not be read to its end; what came before that is written.")]
pub(crate) struct ExportArgs {
    /// Only this session: its id, or the beginning or end of it as `portreeve sessions` shows it
    #[arg(value_name = "SESSION")]
    session: Option<String>,
    /// What to write
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// Write to this file, which is there only when it is whole, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The connects of this host, redirected and refused, from the host recordings instead; with `--format ocsf`
    #[arg(long, conflicts_with_all = ["session", "sessions", "json"])]
    host: bool,

    /// In CSV, write texts as they are recorded, also those that a spreadsheet or terminal would act on: for programs
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    folder: FolderArgs,
    /// The same as `--format jsonl`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// One JSON object per line
    #[default]
    Jsonl,
    /// RFC 4180, with a heading
    Csv,
    /// Apache Parquet, not compressed
    Parquet,
    /// Events of the OCSF class Datastore Activity (6005), or with `--host` Network Activity (4001), one JSON object per line
    Ocsf,
}

/// Writes the statements. Exit code 1 when no session is meant, or the export was interrupted, 4 when a recording could not be read
/// to its end: a line on stderr says which.
///
/// # Errors
/// When the recordings cannot be found or the output cannot be written.
pub(crate) fn run(args: &ExportArgs, config: &Path) -> anyhow::Result<ExitCode> {
    if args.host {
        return host::run(args, &Config::read(config)?.state_dir);
    }
    if args.raw && args.format != Format::Csv {
        return Err(
            Usage("`--raw` is for `--format csv`: other formats have texts as they are recorded".to_owned()).into()
        );
    }
    let filter = Filter::new(&args.filter)?;
    let files = args.folder.files(args.session.as_deref(), config)?;
    // Standard output needs no tidying up: a signal ends the command as ever.
    let ending = args.output.is_some().then(Ending::new).transpose()?;
    let output = Output::new(args.output.as_deref())?;
    let mut export = Export { filter, ending, analyses: Analyses::default(), rows: 0 };
    let mut sink = sink::new(args.format, args.raw, output.writer()?)?;
    let unread = Unread::default();
    for file in files {
        // Damage ends a file, not the export: what came before it is sound.
        match export.file(&file, sink.as_mut()) {
            Ok(()) => {}
            Err(Stopped::Unread(error)) => unread.tell(&file, format_args!("{error:#}")),
            Err(Stopped::Unwritten(error)) => return Err(error),
        }
    }
    sink.finish()?;
    output.keep()?;
    Ok(unread.exit_code(ExitCode::SUCCESS))
}

#[derive(Debug)]
struct Export {
    filter: Filter,
    ending: Option<Ending>,
    analyses: Analyses,
    /// Statements since the last look whether to end.
    rows: u32,
}

/// Why a file was not read to its end.
#[derive(Debug)]
enum Stopped {
    /// It cannot be read.
    Unread(anyhow::Error),
    /// The output cannot be written, or the command was told to end.
    Unwritten(anyhow::Error),
}

impl Export {
    fn file(&mut self, path: &Path, sink: &mut dyn Sink) -> Result<(), Stopped> {
        let mut recording = Recording::open(path).map_err(Stopped::Unread)?;
        while let Some(event) = recording.next().map_err(Stopped::Unread)? {
            self.look().map_err(Stopped::Unwritten)?;
            let about = recording.about();
            if !self.filter.is_session(about) {
                return Ok(());
            }
            let Event::Exchange(exchange) = event else { continue };
            if self.filter.is_time(exchange.at_unix_ns)
                && self.filter.is_statement(about, Question::from(&*exchange), &mut self.analyses)
            {
                let row = Row::new(about, &exchange, &mut self.analyses);
                sink.row(&row).map_err(Stopped::Unwritten)?;
            }
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.rows = self.rows.wrapping_add(1);
        if self.rows.is_multiple_of(ENDING_EVERY)
            && let Some(ending) = &self.ending
            && ending.is_asked()?
        {
            bail!("interrupted: nothing was written");
        }
        Ok(())
    }
}

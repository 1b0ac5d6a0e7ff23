//! `portreeve search`: statements of recorded sessions by what they say.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;

use super::NO;
use super::recorded::{
    About, Analyses, Event, Exchange, Filter, FilterArgs, FolderArgs, Question, Recording, Row, Unread, regex, texts,
};
use super::render::{json, text::SessionText};

#[cfg(test)]
mod tests;

/// Options of `portreeve search`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  portreeve search 'password|secret' --ignore-case
  portreeve search --fixed 'WHERE id = 4711' --since 7d --workload reporting
  portreeve search 'INTO +OUTFILE' --context 3       with what came before and after
  portreeve search . --table shop.customers --json | jq -r .sql

Exit code 1: nothing was found; 4: a recording could not be read to its end.")]
pub(crate) struct SearchArgs {
    /// A regular expression, which is looked for in statements and in their parameters
    #[arg(value_name = "REGEX")]
    pattern: String,
    /// The pattern is a text, not a regular expression
    #[arg(short = 'F', long)]
    fixed: bool,
    /// Letters of either case fit
    #[arg(short, long)]
    ignore_case: bool,
    /// Show so many statements of the session before and after each that was found
    #[arg(short = 'C', long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    context: u8,
    /// Only this session: its id, or the beginning or end of it
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    #[command(flatten)]
    folder: FolderArgs,
    /// One JSON object per statement
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Writes what is found. Exit code 1 when that is nothing, 4 when a recording could not be read to its end: a line on stderr says which.
///
/// # Errors
/// When the recordings cannot be found or `out` cannot be written.
pub(crate) fn run(args: &SearchArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let pattern = if args.fixed { ::regex::escape(&args.pattern) } else { args.pattern.clone() };
    // Says what is wrong with it, in our words.
    regex(&pattern)?;
    let pattern = RegexBuilder::new(&pattern).case_insensitive(args.ignore_case).build()?;
    let mut search = Search {
        args,
        pattern,
        filter: Filter::new(&args.filter)?,
        analyses: Analyses::default(),
        found: 0,
        before: VecDeque::new(),
        after: 0,
        is_apart: false,
    };
    let unread = Unread::default();
    for file in args.folder.files(args.session.as_deref(), config)? {
        if let Err(error) = search.file(&file, out) {
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return Err(error);
            }
            unread.tell(&file, format_args!("{error:#}"));
        }
    }
    out.flush()?;
    Ok(unread.exit_code(if search.found == 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS }))
}

#[derive(Debug)]
struct Search<'a> {
    args: &'a SearchArgs,
    pattern: Regex,
    filter: Filter,
    analyses: Analyses,
    found: u64,
    /// The last statements that were not shown.
    before: VecDeque<Exchange>,
    /// How many more are shown for one that was found.
    after: u8,
    /// Whether something was left out since the last that was shown.
    is_apart: bool,
}

/// A row of JSON.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    /// Whether it was found, or stands beside one that was.
    found: bool,
    #[serde(flatten)]
    row: Row<'a>,
}

impl Search<'_> {
    fn file(&mut self, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        let mut recording = Recording::open(path)?;
        self.before.clear();
        (self.after, self.is_apart) = (0, self.found > 0);
        while let Some(event) = recording.next()? {
            let about = recording.about();
            if !self.filter.is_session(about) {
                return Ok(());
            }
            let Event::Exchange(exchange) = event else { continue };
            self.exchange(about, *exchange, out)?;
        }
        Ok(())
    }

    fn exchange(&mut self, about: &About, exchange: Exchange, out: &mut impl Write) -> anyhow::Result<()> {
        let is_found = self.filter.is_time(exchange.at_unix_ns)
            && texts(&exchange.statement, exchange.prepared.as_deref()).any(|text| self.pattern.is_match(text))
            && self.filter.is_statement(about, Question::from(&exchange), &mut self.analyses);
        if is_found {
            self.found += 1;
            if self.is_apart && self.args.context > 0 && !self.args.json {
                writeln!(out, "--")?;
            }
            self.is_apart = false;
            for before in std::mem::take(&mut self.before) {
                self.show(about, &before, false, out)?;
            }
            self.after = self.args.context;
            return self.show(about, &exchange, true, out);
        }
        if self.after > 0 {
            self.after -= 1;
            return self.show(about, &exchange, false, out);
        }
        self.before.push_back(exchange);
        if self.before.len() > usize::from(self.args.context) {
            self.before.pop_front();
            self.is_apart = self.found > 0;
        }
        Ok(())
    }

    fn show(&mut self, about: &About, exchange: &Exchange, found: bool, out: &mut impl Write) -> anyhow::Result<()> {
        if self.args.json {
            let row = Row::new(about, exchange, &mut self.analyses);
            writeln!(out, "{}", json::line(&Shown { found, row }).map_err(io::Error::from)?)?;
            return Ok(());
        }
        let mut lines = Vec::new();
        let mut text = SessionText::of(about.id, about.workload.as_deref());
        exchange.records().for_each(|entry| text.take(&entry, &mut |_, line| lines.push(line)));
        text.flush(&mut |_, line| lines.push(line));
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

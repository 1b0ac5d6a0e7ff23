//! `portreeve policy import`

use super::{Usage, print_json, shown};
use crate::{config::names, limits::IMPORTED_BYTES_MAX};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use portreeve_policy::{ImportScope, import_guardrails};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ImportCommand {
    /// Guardrails of hoop.dev: `deny_words_list` and `pattern_match` rules, as its API gives them
    #[command(after_help = "Examples:
  portreeve policy import hoop guardrails.json | tee imported.cedar
  portreeve policy import hoop guardrails.json --group analysts --server orders --schema shop
  portreeve policy import hoop guardrails.json --json | jq '.notes'

Policies go to standard output, notes on what could not be carried over exactly to standard error, and into comments. Without
`--group`, nothing is permitted: what no rule matches is denied until a policy of yours permits it.")]
    Hoop(HoopArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HoopArgs {
    /// JSON: one guardrail, or a list; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whom the rules are for: the policies are about this group, and what no rule matches is permitted to it
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// The server that the policies are about
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The schema of the tables that rules name
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// Print policies and notes as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &ImportCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let ImportCommand::Hoop(args) = command;
    args.group.iter().try_for_each(|group| names::check_group(group)).map_err(Usage)?;
    args.server.iter().try_for_each(|server| names::check_server(server)).map_err(Usage)?;
    let text = read(&args.file)?;
    let scope =
        ImportScope { group: args.group.as_deref(), server: args.server.as_deref(), schema: args.schema.as_deref() };
    let imported =
        import_guardrails(&text, &scope).map_err(|error| Usage(format!("`{}`: {error}", args.file.display())))?;
    if args.json {
        print_json(out, &imported)?;
    } else {
        out.write_all(imported.cedar.as_bytes())?;
        out.flush()?;
        for note in &imported.notes {
            // With standard error closed the comments still have them.
            let _ = writeln!(io::stderr(), "note: {}, {}: {}", shown(&note.guardrail), note.rule, shown(&note.note));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let what = || format!("cannot read `{}`", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().lock().take(IMPORTED_BYTES_MAX).read_to_string(&mut text).with_context(what)?;
    } else {
        File::open(path).with_context(what)?.take(IMPORTED_BYTES_MAX).read_to_string(&mut text).with_context(what)?;
    }
    Ok(text)
}

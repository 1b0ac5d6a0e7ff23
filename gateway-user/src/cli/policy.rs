//! `portreeve policy`: checking, explaining, suggesting and importing policies, without the daemon.

mod check;
mod explain;
mod import;
mod replay;
mod suggest;

use super::{NO, Usage, print_json};
use crate::config::Config;
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use portreeve_policy::{Catalogue, Flavour};
use std::{io::Write, path::Path, process::ExitCode};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Validate policy files, and check the cases beside them
    #[command(after_help = "Examples:
  portreeve policy check                        those of the configuration
  portreeve policy check policies/examples      these, without a configuration
  portreeve policy check --json | jq '.failed'

Cases are texts with the verdict each must get: `*.toml` files in a folder `cases` in the folder of the policies, or beside it.
Exit code 1: a case does not hold; 2: a policy or a file of cases is not valid.")]
    Check(check::CheckArgs),
    /// Show what a statement would do, what is asked of the policies, and their answer; exit code 0 allow, 1 deny
    #[command(after_help = "Examples:
  portreeve policy explain --workload reporting --server orders 'SELECT * FROM shop.orders'
  portreeve policy explain --workload spiffe://example.org/etl --group ingest \\
      --server orders --schema shop --json 'INSERT INTO orders VALUES (1)'
  echo 'SELECT 1' | portreeve policy explain --workload reporting --server orders -")]
    Explain(explain::ExplainArgs),
    /// Write the least policy that would permit what recorded sessions did
    #[command(after_help = "Examples:
  portreeve policy suggest --workload reporting             from the daemon's recordings
  portreeve policy suggest --since 7d --forwarded           what all workloads did in a week, and was let through
  portreeve policy suggest --sessions /var/lib/portreeve/sessions/2026-11-24 --json

Run the daemon with `portreeve run --observe` to record without denying. Read the result before you use it: it permits
what was seen, whether that was right or not.")]
    Suggest(suggest::SuggestArgs),
    /// Judge what recorded sessions did by other policies, and show each statement whose verdict would change
    #[command(after_help = "Examples:
  portreeve policy replay --policies new/                    the daemon's recordings
  portreeve policy replay --policies new/ --since 7d --workload reporting
  portreeve policy replay --policies new.cedar --sessions /var/lib/portreeve/sessions/2026-11-24 --json

Exit code 0: nothing that was permitted would be denied; 1: something would be, or with `--strict` could not be judged; 2: the
policies are not valid.")]
    Replay(replay::ReplayArgs),
    /// Turn the rules of another tool into policies
    #[command(
        subcommand,
        after_help = "Examples:
  portreeve policy import hoop guardrails.json | tee imported.cedar"
    )]
    Import(import::ImportCommand),
    /// Have the running daemon read its policies anew; exit code 2 and every problem when they are not valid
    #[command(after_help = "Examples:
  portreeve policy reload                       as SIGHUP does, and as a changed file does by itself
  portreeve policy reload --json | jq .problems")]
    Reload(super::reload::ReloadArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlavourName {
    Mysql,
    Mariadb,
}

impl From<FlavourName> for Flavour {
    fn from(name: FlavourName) -> Self {
        match name {
            FlavourName::Mysql => Self::MySql,
            FlavourName::Mariadb => Self::MariaDb,
        }
    }
}

pub(super) fn run(command: &PolicyCommand, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => check::run(args, config, out),
        PolicyCommand::Explain(args) => explain::run(args, &Config::read(config)?, out),
        PolicyCommand::Suggest(args) => suggest::run(args, config, out),
        PolicyCommand::Replay(args) => replay::run(args, config, out),
        PolicyCommand::Import(command) => import::run(command, out),
        PolicyCommand::Reload(args) => super::reload::run(args, config, out),
    }
}

/// What the servers would say of their tables, from a file such as `explain --tables` takes.
fn catalogue(tables: Option<&Path>) -> anyhow::Result<Catalogue> {
    let Some(path) = tables else { return Ok(Catalogue::EMPTY_WITH_COLUMNS.clone()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let name = path.display().to_string();
    Catalogue::of_tables(&name, &text).map_err(|problem| Usage(problem.to_string()).into())
}

/// Names from a statement may hold what a terminal would obey.
fn shown(text: &str) -> String {
    super::render::escape(text.as_bytes())
}

fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

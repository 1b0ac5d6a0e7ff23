//! `portreeve policy check` and `portreeve policy explain`

use super::{NO, Usage, print_json};
use crate::{
    config::{Config, Problem, names},
    policies,
};
use clap::{Args, Subcommand, ValueEnum};
use portreeve_policy::{Context, Facts, Flavour, StatementFacts, Subject, Verdict, analyse};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Validate policy files
    #[command(after_help = "Examples:
  portreeve policy check                        those of the configuration
  portreeve policy check policies/ new.cedar    these, without a configuration")]
    Check(CheckArgs),
    /// Show what a statement would do, what is asked of the policies, and their answer; exit code 0 allow, 1 deny
    #[command(after_help = "Examples:
  portreeve policy explain --workload reporting --server orders 'SELECT * FROM shop.orders'
  portreeve policy explain --workload spiffe://example.org/etl --group ingest \\
      --server orders --schema shop --json 'INSERT INTO orders VALUES (1)'")]
    Explain(ExplainArgs),
    /// Have the running daemon read its policies anew; exit code 2 and every problem when they are not valid
    #[command(after_help = "Examples:
  portreeve policy reload                       as SIGHUP does, and as a changed file does by itself
  portreeve policy reload --json | jq .problems")]
    Reload(super::reload::ReloadArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Policy files, or folders of `*.cedar` files; by default those of the configuration
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A workload's name in the configuration, or a SPIFFE ID
    #[arg(long, value_name = "NAME|ID")]
    workload: String,
    /// A group of the workload, besides those of the configuration; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A server's name in the configuration
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The default schema of the session
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// Whose SQL it is
    #[arg(long, value_enum, default_value = "mysql")]
    flavour: FlavourName,
    /// Print facts and verdict as JSON
    #[arg(long)]
    json: bool,
    /// The statement, or several with `;` between them
    #[arg(value_name = "SQL")]
    sql: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlavourName {
    Mysql,
    Mariadb,
}

impl FlavourName {
    /// A server of today: executable comments are read as it reads them.
    const fn version(self) -> u32 {
        match self {
            Self::Mysql => 90_700,
            Self::Mariadb => 101_100,
        }
    }
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
        PolicyCommand::Check(args) => check(args, config, out),
        PolicyCommand::Explain(args) => explain(args, &Config::read(config)?, out),
        PolicyCommand::Reload(args) => super::reload::run(args, config, out),
    }
}

/// What `policy check --json` prints.
#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    problems: Vec<Problem>,
    policies: Vec<String>,
}

fn check(args: &CheckArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let paths = if args.paths.is_empty() { Config::read(config)?.policy_paths } else { args.paths.clone() };
    let loaded = policies::load(&paths);
    if !args.json {
        let policies = loaded?;
        let ids: Vec<&str> = policies.ids().collect();
        writeln!(out, "{} policies are valid{}{}", ids.len(), if ids.is_empty() { "" } else { ": " }, ids.join(", "))?;
        return Ok(ExitCode::SUCCESS);
    }
    let checked = match loaded {
        Ok(policies) => {
            Checked { ok: true, problems: Vec::new(), policies: policies.ids().map(str::to_owned).collect() }
        }
        Err(error) => Checked { ok: false, problems: error.problems(), policies: Vec::new() },
    };
    print_json(out, &checked)?;
    Ok(if checked.ok { ExitCode::SUCCESS } else { ExitCode::from(super::USAGE) })
}

/// What `policy explain --json` prints.
#[derive(Debug, Serialize)]
struct Explained<'e> {
    workload: &'e str,
    groups: &'e [String],
    server: &'e str,
    default_schema: Option<&'e str>,
    facts: &'e Facts,
    verdict: &'e Verdict,
}

fn explain(args: &ExplainArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let subject = subject(args, config)?;
    if config.server(&args.server).is_none() {
        let known: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
        let message = format!("there is no server `{}` in {}", args.server, config.path.display());
        return Err(Usage(format!("{message}: give one of {}", list(&known))).into());
    }
    let policies = policies::load(&config.policy_paths)?;
    let context = Context {
        default_schema: args.schema.as_deref(),
        version: args.flavour.version(),
        ..Context::new(&args.server, args.flavour.into())
    };
    let facts = analyse(args.sql.as_bytes(), &context);
    let verdict = policies.judge(&subject, &facts, &context);
    if args.json {
        let explained = Explained {
            workload: &subject.spiffe_id,
            groups: &subject.groups,
            server: &args.server,
            default_schema: args.schema.as_deref(),
            facts: &facts,
            verdict: &verdict,
        };
        print_json(out, &explained)?;
    } else {
        writeln!(out, "workload   {}  groups: {}", subject.spiffe_id, list(&subject.groups))?;
        print(&facts, &verdict, &args.server, out)?;
    }
    Ok(if verdict.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// The workload as policy sees it: a configured one with its groups, or any SPIFFE ID with the groups given.
fn subject(args: &ExplainArgs, config: &Config) -> anyhow::Result<Subject> {
    args.groups.iter().try_for_each(|group| names::check_group(group)).map_err(Usage)?;
    let by_id = |id: &str| config.workloads.iter().find(|workload| workload.spiffe_id == id);
    let (spiffe_id, mut groups) = match config.workload(&args.workload).or_else(|| by_id(&args.workload)) {
        Some(workload) => (workload.spiffe_id.clone(), workload.groups.clone()),
        None if args.workload.starts_with("spiffe://") => {
            names::check_spiffe_id(&args.workload).map_err(Usage)?;
            (args.workload.clone(), Vec::new())
        }
        None => {
            let known: Vec<&str> = config.workloads.iter().map(|workload| workload.name.as_str()).collect();
            let message = format!("there is no workload `{}` in {}", args.workload, config.path.display());
            return Err(Usage(format!("{message}: give one of {}, or a SPIFFE ID with `--group`", list(&known))).into());
        }
    };
    groups.extend(args.groups.iter().filter(|group| !groups.contains(group)).cloned().collect::<Vec<_>>());
    Ok(Subject { spiffe_id, groups })
}

fn print(facts: &Facts, verdict: &Verdict, server: &str, out: &mut impl Write) -> io::Result<()> {
    for (number, statement) in facts.statements.iter().enumerate() {
        writeln!(out, "statement  {}: {}", number + 1, describe(statement))?;
        if let Some(reason) = &statement.unparsed {
            writeln!(out, "           not read: {}", shown(reason))?;
        }
    }
    for answer in &verdict.answers {
        let word = if answer.allowed { "yes" } else { "no" };
        let id = shown(&answer.request.resource.id(server));
        writeln!(out, "  {word:<4} {} on {id}  by {}", answer.request.action, list(&answer.policies))?;
    }
    let word = if verdict.is_allowed() { "allow" } else { "deny" };
    writeln!(out, "verdict    {word}: {}", shown(&verdict.reason))?;
    writeln!(out, "policies   {}", list(&verdict.policies))
}

fn describe(statement: &StatementFacts) -> String {
    let mut facts = vec![statement.class.to_string(), format!("{} tables", statement.tables)];
    let noted = [
        (statement.has_where, "where"),
        (statement.where_is_constant, "where is constant"),
        (statement.has_limit, "limit"),
        (statement.locks_rows, "locks rows"),
    ];
    facts.extend(noted.iter().filter(|(holds, _)| *holds).map(|(_, name)| (*name).to_owned()));
    if !statement.functions.is_empty() {
        let functions: Vec<&str> = statement.functions.iter().map(String::as_str).collect();
        facts.push(format!("functions {}", shown(&functions.join(" "))));
    }
    facts.join(", ")
}

/// Names from a statement may hold what a terminal would obey.
fn shown(text: &str) -> String {
    super::render::escape(text.as_bytes())
}

fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

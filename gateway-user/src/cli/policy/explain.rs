//! `portreeve policy explain`

use super::{FlavourName, NO, Usage, catalogue, list, print_json, shown};
use crate::{
    config::{Config, names},
    limits::EXPLAINED_BYTES_MAX,
    policies,
};
use anyhow::Context as _;
use clap::Args;
use portreeve_policy::{
    Answer, Columns, ColumnsOf, Context, Facts, Failing, Flavour, Lacking, Modes, Part, Policies, StatementFacts,
    Subject, Verdict, analyse, version_number,
};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
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
    /// The server's version, which decides about executable comments; by default one of today
    #[arg(long = "version", value_name = "VERSION")]
    server_version: Option<String>,
    /// The server's lower_case_table_names
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    lower_case_table_names: u8,
    /// A file that says which columns tables have, as in cases: below `[tables]`, `"schema.table" = ["column", …]`; without it, a
    /// name without a table before it may be of any table
    #[arg(long, value_name = "FILE")]
    tables: Option<PathBuf>,
    /// The session's sql_mode, where it changes how text is read: ANSI_QUOTES, NO_BACKSLASH_ESCAPES and the like
    #[arg(long, value_name = "MODES", default_value = "")]
    sql_mode: String,
    /// As a statement prepared by the protocol
    #[arg(long)]
    prepared: bool,
    /// The moment at which it arrives, such as 2026-11-24T03:00:00Z; by default now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print facts and verdict as JSON
    #[arg(long)]
    json: bool,
    /// Read the statement from a file
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// The statement, or several with `;` between them; `-` reads them from standard input
    #[arg(value_name = "SQL", required_unless_present = "file")]
    sql: Option<String>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Explained<'e> {
    workload: &'e str,
    groups: &'e [String],
    server: &'e str,
    default_schema: Option<&'e str>,
    facts: &'e Facts,
    verdict: &'e Verdict,
    lacking: &'e [Lacking],
}

pub(super) fn run(args: &ExplainArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let subject = subject(args, config)?;
    if config.server(&args.server).is_none() {
        let known: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
        let message = format!("there is no server `{}` in {}", args.server, config.path.display());
        return Err(Usage(format!("{message}: give one of {}", list(&known))).into());
    }
    let policies = policies::load(&config.policy_paths)?;
    let catalogue = catalogue(args.tables.as_deref())?;
    let context = Context { catalogue: &catalogue, ..context(args)? };
    let sql = text(args)?;
    let facts = analyse(&sql, &context);
    let verdict = policies.judge(&subject, &facts, &context);
    let lacking = policies.lacking(&subject, &facts, &context);
    if args.json {
        let explained = Explained {
            workload: &subject.spiffe_id,
            groups: &subject.groups,
            server: &args.server,
            default_schema: args.schema.as_deref(),
            facts: &facts,
            verdict: &verdict,
            lacking: &lacking,
        };
        print_json(out, &explained)?;
    } else {
        writeln!(out, "workload   {}  groups: {}", subject.spiffe_id, list(&subject.groups))?;
        print(&facts, &verdict, &policies, &args.server, out)?;
        print_lacking(&lacking, &args.server, out)?;
    }
    Ok(if verdict.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// The statement's bytes: they need not be UTF-8, as little as a client's.
fn text(args: &ExplainArgs) -> anyhow::Result<Vec<u8>> {
    let read = |from: &mut dyn Read, what: &str| {
        let mut text = Vec::new();
        from.take(EXPLAINED_BYTES_MAX).read_to_end(&mut text).with_context(|| format!("cannot read {what}"))?;
        // An editor's or echo's last line ends; a statement does not.
        while text.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
            text.pop();
        }
        anyhow::Ok(text)
    };
    match (&args.file, args.sql.as_deref()) {
        (Some(path), _) => {
            let what = format!("`{}`", path.display());
            read(&mut File::open(path).with_context(|| format!("cannot open {what}"))?, &what)
        }
        (None, Some("-")) => read(&mut io::stdin().lock(), "standard input"),
        (None, sql) => Ok(sql.unwrap_or_default().as_bytes().to_vec()),
    }
}

fn context(args: &ExplainArgs) -> anyhow::Result<Context<'_>> {
    let flavour = Flavour::from(args.flavour);
    let modes = Modes::parse(&args.sql_mode)
        .map_err(|mode| Usage(format!("the sql_mode `{mode}` is not read: every statement is `unparsed` in it")))?;
    let version = match &args.server_version {
        Some(version) => version_number(version, flavour)
            .ok_or_else(|| Usage(format!("`{version}` is no version: write three numbers, such as 10.11.14")))?,
        None => flavour.version_of_today(),
    };
    let now_unix_ms = match &args.at {
        Some(at) => {
            let at: jiff::Timestamp =
                at.parse().map_err(|_| Usage(format!("`{at}` is no moment: write 2026-11-24T03:00:00Z")))?;
            at.as_millisecond()
        }
        None => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
            i64::try_from(since.as_millis()).context("the clock is far in the future")?
        }
    };
    Ok(Context {
        default_schema: args.schema.as_deref(),
        prepared: args.prepared,
        version,
        lower_case_table_names: args.lower_case_table_names,
        now_unix_ms,
        ..Context::new(&args.server, flavour)
    }
    .with_modes(modes))
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

fn print(facts: &Facts, verdict: &Verdict, policies: &Policies, server: &str, out: &mut impl Write) -> io::Result<()> {
    for (number, statement) in facts.statements.iter().enumerate() {
        writeln!(out, "statement  {}: {}", number + 1, describe(statement))?;
        if let Some(reason) = &statement.unparsed {
            writeln!(out, "           not read: {}", shown(reason))?;
        }
        for of in &statement.columns {
            writeln!(out, "           {}", columns(of))?;
        }
    }
    for answer in &verdict.answers {
        writeln!(out, "  {}", asked(answer, server))?;
    }
    let word = if verdict.is_allowed() { "allow" } else { "deny" };
    writeln!(out, "verdict    {word}: {}", shown(&verdict.reason))?;
    writeln!(out, "policies   {}", list(&verdict.policies))?;
    if !verdict.lifted.is_empty() {
        writeln!(out, "lifted     {}", list(&verdict.lifted))?;
    }
    if verdict.depends_on_time {
        writeln!(out, "time       the verdict may be another one at another time")?;
    }
    if policies.ids().next().is_none() {
        writeln!(out, "           there is no policy at all: every statement is denied")?;
    }
    Ok(())
}

/// `select customers: id, name`
fn columns(of: &ColumnsOf) -> String {
    let columns = match &of.columns {
        Columns::Named(names) if names.is_empty() => "no column".to_owned(),
        Columns::Named(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        Columns::Every(why) => format!("every column ({why})"),
    };
    shown(&format!("{} {}.{}: {columns}", of.action, of.schema, of.table))
}

fn asked(answer: &Answer, server: &str) -> String {
    let word = if answer.allowed { "yes" } else { "no" };
    let id = shown(&answer.request.resource.id(server));
    let lifted = if answer.lifted.is_empty() { String::new() } else { format!("  lifted {}", list(&answer.lifted)) };
    format!("{word:<4} {} on {id}  by {}{lifted}", answer.request.action, list(&answer.policies))
}

/// What is missing, request by request: the nearest permit and what of it does not hold, else what to add.
fn print_lacking(lacking: &[Lacking], server: &str, out: &mut impl Write) -> io::Result<()> {
    for Lacking { request, nearest, add } in lacking {
        let about = format!("{} on {}", request.action, shown(&request.resource.id(server)));
        if let Some(nearest) = nearest {
            writeln!(out, "nearest    for {about}: {}, but for", nearest.policy)?;
            for failing in &nearest.fails {
                writeln!(out, "             its {}: {}", failing.part.as_str(), shown(&failing.text))?;
            }
        }
        // A permit for other actions, or for others, is seldom the one to widen.
        let widen = |failing: &Failing| matches!(failing.part, Part::Resource | Part::Condition);
        match (nearest, add) {
            (Some(nearest), _) if nearest.fails.iter().all(widen) => {}
            (_, Some(text)) => {
                writeln!(out, "add        for {about}, the smallest policy:")?;
                text.lines().try_for_each(|line| writeln!(out, "             {}", shown(line)))?;
            }
            (_, None) => writeln!(out, "nearest    for {about}: write the statement so that it can be read")?,
        }
    }
    Ok(())
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
    facts.extend(statement.rows_changed_max.map(|rows| format!("changes at most {rows} rows")));
    if !statement.functions.is_empty() {
        let functions: Vec<&str> = statement.functions.iter().map(String::as_str).collect();
        facts.push(format!("functions {}", shown(&functions.join(" "))));
    }
    facts.join(", ")
}

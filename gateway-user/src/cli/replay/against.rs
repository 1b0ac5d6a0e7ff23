//! `replay --against`: what only read, read again, and its answers compared.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use portreeve_mysql::response::Summary;
use portreeve_policy::{Action, Facts};
use portreeve_recording::{Command, Decision};

use super::ReplayArgs;
use crate::cli::recorded::{About, Analyses, Asks, Event, Exchange, Recording};
use crate::cli::render::{duration, workload_name};
use crate::cli::{NO, Usage};
use crate::config::{Account, Config, Server, secret};
use crate::session::Again;
use crate::tls::ServersTls;

mod compared;

use compared::{Answer, Compared, Outcome, Totals};

/// Runs the statements again. Exit code 1 when an answer differs.
///
/// # Errors
/// When the session or server cannot be found, or the server not be logged in to.
pub(super) fn run(args: &ReplayArgs, server: &str, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let files = args.folder.files(Some(&args.session), config)?;
    let config = Config::read(config)?;
    let server = config.server(server).ok_or_else(|| {
        let known: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
        Usage(format!("there is no server `{server}` in the configuration: give one of {}", known.join(", ")))
    })?;
    let servers_tls = ServersTls::load(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut totals = Totals::default();
    for file in files {
        let mut recording = Recording::open(&file)?;
        runtime.block_on(replay(args, &config, server, &servers_tls, &mut recording, &mut totals, out))?;
    }
    let Totals { same, differ, skipped, was_ns, now_ns } = totals;
    if !args.json {
        let (was, now) = (duration(was_ns), duration(now_ns));
        writeln!(out, "{same} the same, {differ} differ, {skipped} skipped; in {was} then, in {now} now")?;
    }
    Ok(if differ > 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

async fn replay(
    args: &ReplayArgs,
    config: &Config,
    server: &Server,
    servers_tls: &ServersTls,
    recording: &mut Recording,
    totals: &mut Totals,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut analyses = Analyses::default();
    let mut again: Option<Repeating> = None;
    while let Some(event) = recording.next()? {
        let Event::Exchange(exchange) = event else { continue };
        if !is_text(&exchange) {
            continue;
        }
        let about = recording.about();
        let compared = match why_not(about, &exchange, &mut analyses) {
            Some(reason) => Compared::skipped(&exchange, reason),
            None => {
                let again = match &mut again {
                    Some(again) => again,
                    none => none.insert(Repeating::open(args, config, server, servers_tls, about).await?),
                };
                again.repeat(&exchange).await?
            }
        };
        totals.add(&compared);
        compared.tell(args.json, out)?;
    }
    if let Some(again) = again {
        again.again.close().await;
    }
    Ok(())
}

/// A connection and the default schema on it.
struct Repeating {
    again: Again,
    schema: Option<String>,
}

impl Repeating {
    async fn open(
        args: &ReplayArgs,
        config: &Config,
        server: &Server,
        servers_tls: &ServersTls,
        about: &About,
    ) -> anyhow::Result<Self> {
        let account = account(args, config, server, about)?;
        let password = secret::read(&account.password_file)
            .with_context(|| format!("secret file {} cannot be read", account.password_file.display()))?;
        let address = address(args, server, about)?;
        let again = Again::open(servers_tls, server, (account, &password), address).await;
        let again = again.map_err(|why| anyhow!("cannot log in to `{}`: {why}", server.name))?;
        Ok(Self { again, schema: None })
    }

    async fn repeat(&mut self, exchange: &Exchange) -> anyhow::Result<Compared> {
        let schema = exchange.prepared.as_ref().map_or(exchange.statement.schema.as_deref(), |of| of.schema.as_deref());
        if let Some(schema) = schema.filter(|schema| self.schema.as_deref() != Some(*schema)) {
            let (used, _) = self.ask(format!("USE `{}`", schema.replace('`', "``")).as_bytes()).await?;
            if let Some(error) = &used.error {
                return Ok(Compared::skipped(exchange, format!("its schema cannot be used: error {}", error.code)));
            }
            self.schema = Some(schema.to_owned());
        }
        let (summary, took) = self.ask(exchange.text().kept()).await?;
        let now = Answer::of_summary(&summary, took);
        let was = exchange.response.as_ref().map(Answer::of_response);
        let is_same = was.as_ref().is_some_and(|was| was.is_as(&now));
        let outcome = if is_same { Outcome::Same } else { Outcome::Differs };
        Ok(Compared { outcome, was, now: Some(now), ..Compared::skipped(exchange, String::new()) }.without_reason())
    }

    async fn ask(&mut self, sql: &[u8]) -> anyhow::Result<(Summary, Duration)> {
        self.again.ask(sql).await.map_err(|why| anyhow!("the server does not answer: {why}"))
    }
}

fn account<'s>(args: &ReplayArgs, config: &Config, server: &'s Server, about: &About) -> anyhow::Result<&'s Account> {
    let found = match &args.credential {
        Some(user) => server.accounts().find(|account| account.user == *user),
        None => {
            let id = about.workload.as_deref().unwrap_or_default();
            let known = config.workloads.iter().find(|workload| workload.spiffe_id == id);
            let name = known.map_or(workload_name(id), |workload| workload.name.as_str());
            config.account_for(server, name, &about.groups)
        }
    };
    let server = &server.name;
    found.ok_or_else(|| {
        Usage(format!("server `{server}` has no such account: give one with `--credential USER`")).into()
    })
}

fn address(args: &ReplayArgs, server: &Server, about: &About) -> anyhow::Result<SocketAddr> {
    let went_to = about.original_destination.parse::<SocketAddr>().ok();
    let went_to = went_to.filter(|to| server.matches.iter().any(|at| at.contains(to.ip(), to.port())));
    match args.address.or(went_to) {
        Some(address) => Ok(address),
        None => bail!(Usage(format!(
            "the session did not go to `{}`: say where that is, with `--address ADDRESS:PORT`",
            server.name
        ))),
    }
}

/// Whether the command is a text that runs.
fn is_text(exchange: &Exchange) -> bool {
    matches!(exchange.statement.command, Command::Query | Command::Execute | Command::BulkExecute)
}

/// Why a statement is not run again.
fn why_not(about: &About, exchange: &Exchange, analyses: &mut Analyses) -> Option<String> {
    let was_permitted = exchange.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Allow);
    if !was_permitted {
        return Some("it was not permitted".to_owned());
    }
    if exchange.response.is_none() {
        return Some("its answer is not recorded".to_owned());
    }
    if !exchange.statement.parameters.is_empty() {
        return Some("the types of its parameters are not recorded".to_owned());
    }
    if exchange.text().redacted {
        return Some("a secret of it is not recorded".to_owned());
    }
    match exchange.asks() {
        Asks::Text { sql, schema, prepared } => match analyses.of(about, sql, schema, prepared) {
            Ok(facts) => changes(&facts),
            Err(why) => Some(why.to_owned()),
        },
        Asks::Unknown(why) => Some(why.to_owned()),
        Asks::Command(..) | Asks::Nothing => Some("it is no statement".to_owned()),
    }
}

/// What a text may do besides reading.
fn changes(facts: &Facts) -> Option<String> {
    if facts.has_unparsed() {
        return Some("it was not read with certainty".to_owned());
    }
    if facts.statements.iter().any(|statement| statement.locks_rows) {
        return Some("it locks rows".to_owned());
    }
    let actions = facts.statements.iter().flat_map(|statement| &statement.requests).map(|request| request.action);
    let is_read = |action: Action| matches!(action, Action::Select | Action::Show | Action::Explain | Action::Inspect);
    actions.into_iter().find(|action| !is_read(*action)).map(|action| format!("it may do more than read: `{action}`"))
}

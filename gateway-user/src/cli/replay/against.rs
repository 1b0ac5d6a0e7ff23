//! `replay --against`: what only read, read again, and its answers compared.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use zeroize::Zeroizing;

use super::ReplayArgs;
use crate::cli::recorded::{About, Event, Exchange, Recording};
use crate::cli::render::{duration, workload_name};
use crate::cli::verify::signed_frames;
use crate::cli::{NO, Usage};
use crate::config::{Account, Config, Server, secret};
use crate::session::Again;
use crate::tls::ServersTls;

mod compared;
mod reads;

use compared::{Answer, Compared, Outcome, Totals};
use reads::{is_text, recorded_text, text_to_run};

/// Runs the statements again. Exit code 1 when an answer differs.
///
/// # Errors
/// When the session or server cannot be found, the recording not be believed, or the server not be logged in to.
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
        let frames = believed(&file, args, &config)?;
        let mut recording = Recording::open(&file)?.first(frames);
        runtime.block_on(replay(args, &config, server, &servers_tls, &mut recording, &mut totals, out))?;
    }
    let Totals { same, differ, skipped, was_ns, now_ns } = totals;
    if !args.json {
        let (was, now) = (duration(was_ns), duration(now_ns));
        writeln!(out, "{same} the same, {differ} differ, {skipped} skipped; in {was} then, in {now} now")?;
    }
    Ok(if differ > 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

/// How many of its frames may be acted on: those that a signature covers.
fn believed(file: &Path, args: &ReplayArgs, config: &Config) -> anyhow::Result<u64> {
    let found = signed_frames(file, &args.public_key, &config.state_dir).context("nothing of it is run")?;
    if let Some(key) = found.anyones {
        eprintln!("portreeve: signed by {key}: whose that is, only `--public-key` tells");
    }
    if found.unsigned > 0 {
        eprintln!("portreeve: the last {} records are not signed, and nothing of them is run", found.unsigned);
    }
    Ok(found.signed)
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
    let mut again: Option<Again> = None;
    while let Some(event) = recording.next()? {
        let Event::Exchange(exchange) = event else { continue };
        if !is_text(&exchange) {
            continue;
        }
        let compared = match recorded_text(&exchange) {
            Err(reason) => Compared::skipped(&exchange, reason),
            Ok(text) => {
                let again = match &mut again {
                    Some(again) => again,
                    none => none.insert(open(args, config, server, servers_tls, recording.about()).await?),
                };
                repeat(again, &exchange, text).await?
            }
        };
        totals.add(&compared);
        compared.tell(args.json, out)?;
    }
    if let Some(again) = again {
        again.close().await;
    }
    Ok(())
}

async fn open(
    args: &ReplayArgs,
    config: &Config,
    server: &Server,
    servers_tls: &ServersTls,
    about: &About,
) -> anyhow::Result<Again> {
    let account = account(args, config, server, about)?;
    let own = password(account)?;
    let reader = server.catalogue.as_ref();
    let reader = reader.map(|reader| password(reader).map(|password| (reader, password))).transpose()?;
    let reader = reader.as_ref().map(|(reader, password)| (*reader, password.as_slice()));
    let address = address(args, server, about)?;
    let again = Again::open(servers_tls, server, (account, &own), reader, address).await;
    again.map_err(|why| anyhow!("cannot run statements at `{}`: {why}", server.name))
}

/// Runs one statement again, if it only reads there.
async fn repeat(again: &mut Again, exchange: &Exchange, text: &str) -> anyhow::Result<Compared> {
    let silent = |why| anyhow!("the server does not answer: {why}");
    let schema = exchange.prepared.as_ref().map_or(exchange.statement.schema.as_deref(), |of| of.schema.as_deref());
    if let Some(schema) = schema
        && let Some(code) = again.use_schema(schema).await.map_err(silent)?
    {
        return Ok(Compared::skipped(exchange, format!("its schema cannot be used: error {code}")));
    }
    let facts = again.facts(text);
    let sql = match text_to_run(&facts, text) {
        Ok(sql) => sql,
        Err(reason) => return Ok(Compared::skipped(exchange, reason)),
    };
    let (summary, took) = again.ask(sql).await.map_err(silent)?;
    let now = Answer::of_summary(&summary, took);
    let was = exchange.response.as_ref().map(Answer::of_response);
    let is_same = was.as_ref().is_some_and(|was| was.is_as(&now));
    let outcome = if is_same { Outcome::Same } else { Outcome::Differs };
    Ok(Compared { outcome, was, now: Some(now), ..Compared::skipped(exchange, String::new()) }.without_reason())
}

fn password(account: &Account) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    secret::read(&account.password_file)
        .with_context(|| format!("secret file {} cannot be read", account.password_file.display()))
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

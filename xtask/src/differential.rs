//! `cargo xtask differential`: whether analysis finds the tables that the server itself asks privileges for.

mod kind;
mod report;
mod session;
mod trial;

use crate::{corpus, limits::PROGRESS_EVERY, setup};
use anyhow::{Context as _, Result, anyhow, bail};
use portreeve_tests::{
    host, process,
    servers::{Flavour, Server},
};
use report::Report;
use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};
use trial::Trial;

/// Run the statements of MariaDB's own tests, file by file, on a server; before each, an account that has privileges on just
/// the tables and schemas that analysis found has it prepared, or runs it. When the server refuses that account a table, analysis
/// has read too little. Then each table is taken away once: what the server does not miss, analysis asked for too much.
///
/// Views and routines do their work with their makers' privileges here, so what is inside of them is not compared.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask differential                         MariaDB, all files\n  cargo xtask differential --server mysql --jobs 2  at MySQL, what it takes of them\n  cargo xtask differential --sample 40              every 40th file\n  cargo xtask differential --tests DIR --json       other files, for a machine"
)]
pub(crate) struct Args {
    /// Which server is asked.
    #[arg(long, default_value = "mariadb", value_parser = ["mariadb", "mysql"])]
    server: String,
    /// Test files (`*.test`) from here, folders in it included, in place of MariaDB's own.
    #[arg(long, value_name = "DIR")]
    tests: Option<PathBuf>,
    /// Make tables that a statement touches and nobody made, with one column: what fails for want of others then is compared too.
    #[arg(long)]
    stubs: bool,
    /// Only files whose path has this in it.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Every Nth file.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// At once, each with a server of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    jobs: u8,
    /// Print each statement for which analysis asked too much, and which it did not read.
    #[arg(long)]
    verbose: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Every so many files are a part of `cargo xtask test`, at either server.
const QUICK_SAMPLE: u32 = 60;

/// [`run`], on a machine that is set up, of some thousand statements at both servers.
pub(crate) fn quick() -> Result<()> {
    for server in ["mariadb", "mysql"] {
        println!("{server}:");
        let server = server.to_owned();
        compare(&Args {
            server,
            tests: None,
            stubs: false,
            only: None,
            sample: QUICK_SAMPLE,
            jobs: 1,
            verbose: false,
            json: false,
        })?;
    }
    Ok(())
}

/// Errors when analysis read a statement with too little.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    compare(args)
}

fn compare(args: &Args) -> Result<()> {
    let flavour = if args.server == "mysql" { Flavour::MySql } else { Flavour::MariaDb };
    let files = files(args)?;
    let next = AtomicUsize::new(0);
    let reports = thread::scope(|scope| {
        let jobs: Vec<_> = (0..args.jobs).map(|_| scope.spawn(|| job(&files, &next, flavour, args.stubs))).collect();
        let ended = jobs.into_iter().map(|job| job.join().map_err(|_| anyhow!("a job panicked"))?);
        ended.collect::<Result<Vec<_>>>()
    })?;
    let report = reports.into_iter().fold(Report::default(), Report::and);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print(args.verbose);
    }
    match report.too_little.len() {
        0 => Ok(()),
        number => bail!("{number} statements touch what analysis did not find, see above"),
    }
}

fn files(args: &Args) -> Result<Vec<PathBuf>> {
    let mut files = match &args.tests {
        Some(root) => corpus::tests_below(root)?,
        None => corpus::tests_of_mariadb()?,
    };
    if let Some(only) = &args.only {
        files.retain(|file| file.to_string_lossy().contains(only.as_str()));
    }
    let step = usize::try_from(args.sample).context("too large a step")?;
    let files: Vec<_> = files.into_iter().step_by(step).collect();
    if files.is_empty() {
        bail!("no test file is left: see `--tests` and `--only`");
    }
    Ok(files)
}

fn job(files: &[PathBuf], next: &AtomicUsize, flavour: Flavour, stubs: bool) -> Result<Report> {
    let mut report = Report::default();
    let mut server = server(flavour)?;
    let mut told = Instant::now();
    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        process::check_interrupt()?;
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("{} of {} files: {}", next.load(Ordering::Relaxed), files.len(), report.line());
        }
        let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let ended = Trial::begin(&server, flavour, stubs).and_then(|mut trial| trial.file(file, &text, &mut report));
        if let Err(error) = ended {
            // A statement on which the server ends or hangs takes the rest of its file with it.
            report.broken.push(format!("{}: {error:#}", file.display()));
            server = self::server(flavour)?;
        }
    }
    Ok(report)
}

/// One that gives up what takes long, and does not look after its data.
fn server(flavour: Flavour) -> Result<Server> {
    let mut arguments = vec![
        "--log-bin-trust-function-creators=ON",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-lock-wait-timeout=1",
        "--lock-wait-timeout=2",
    ];
    arguments.push(match flavour {
        Flavour::MariaDb => "--max-statement-time=5",
        Flavour::MySql => "--max-execution-time=5000",
    });
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    let server = Server::start_with(flavour, host::free_address()?, &arguments)?;
    trial::prepare(&server)?;
    Ok(server)
}

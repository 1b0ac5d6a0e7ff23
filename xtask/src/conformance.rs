//! `cargo xtask conformance`: MariaDB's own suite, directly and through Portreeve.

mod report;

use crate::{chore, setup};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    cgroup, host,
    mysqltest::{self, Class, Suite, Trial, Verdict},
    process,
};
use report::Report;
use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Run each test of MariaDB's own suite twice directly and once through Portreeve (everything allowed, recording on), and
/// compare what it prints. What gives the same twice directly must give the same through Portreeve.
///
/// Goes on where it was interrupted: verdicts and outputs are in target/conformance. Needs root; takes about an hour.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask conformance                       all of `main`, or what is left of it\n  cargo xtask conformance --tests ps,sp --fresh  these two again\n  cargo xtask conformance --again                with another daemon, against the direct runs of before\n  cargo xtask conformance --with ps-protocol     statements prepared wherever they can be"
)]
pub(crate) struct Args {
    /// The suite.
    #[arg(long, default_value = "main")]
    suite: String,
    /// Only these tests of it.
    #[arg(long, value_delimiter = ',', value_name = "TEST,…")]
    tests: Vec<String>,
    /// Only those that came to this in an earlier run: `differs`, `other-accounts`, …
    #[arg(long, value_name = "CLASS")]
    only: Option<String>,
    /// An option of mysql-test-run.pl: `ps-protocol`, `cursor-protocol`, `view-protocol`, `sp-protocol`, `compress`, `ssl`.
    #[arg(long, value_name = "OPTION")]
    with: Vec<String>,
    /// Forget verdicts of earlier runs, but keep the outputs of direct ones: they do not depend on the daemon.
    #[arg(long)]
    again: bool,
    /// Forget direct runs as well.
    #[arg(long)]
    fresh: bool,
    /// At once, each with a server of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    jobs: u8,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// One job's part of the tests; what this chore starts itself with.
    #[arg(long, hide = true, value_name = "I/N")]
    share: Option<String>,
}

/// Tests that one call of the runner gets: it takes a second to start, and what a test leaves behind ends with it.
const BATCH_TESTS: usize = 20;

/// Errors when a test differs, after all have been run.
pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root()?;
    if let Some(share) = &args.share {
        return work(args, share);
    }
    setup::ensure()?;
    chore::build_release()?;
    process::catch_interrupts()?;
    cgroup::sweep()?;
    host::sweep_run_dirs()?;
    let suite = Suite::find(&args.suite)?;
    let wanted = wanted(args, &suite)?;
    if args.fresh || args.again {
        report::forget(&folder(args), &wanted)?;
    }
    let start = Instant::now();
    let mut jobs = start_jobs(args, &wanted)?;
    for job in &mut jobs {
        while process::wait(job, Duration::from_secs(1))?.is_none() {}
    }
    let report = Report::read(&folder(args), &wanted)?;
    report.write(&folder(args))?;
    if args.json {
        println!("{}", report.json()?)
    } else {
        print!("{report}")
    }
    println!("{} s; outputs and verdicts: {}", start.elapsed().as_secs(), folder(args).display());
    conclude(&report, &wanted)
}

fn conclude(report: &Report, wanted: &[String]) -> Result<()> {
    let missing = report.missing(wanted);
    if !missing.is_empty() {
        bail!("{} tests have no verdict yet: {}", missing.len(), missing.join(" "));
    }
    match report.count(Class::Differs) {
        0 => Ok(()),
        differ => bail!("{differ} tests differ"),
    }
}

fn wanted(args: &Args, suite: &Suite) -> Result<Vec<String>> {
    let all = suite.tests()?;
    if let Some(unknown) = args.tests.iter().find(|test| !all.contains(test)) {
        bail!("`{unknown}` is not in the suite `{}`", suite.name());
    }
    let mut wanted = if args.tests.is_empty() { all } else { args.tests.clone() };
    if let Some(class) = &args.only {
        let chosen = report::tests_of(&folder(args), class)?;
        wanted.retain(|test| chosen.contains(test));
    }
    Ok(wanted)
}

/// Where verdicts and outputs of that suite with these options are.
fn folder(args: &Args) -> PathBuf {
    let label: Vec<_> = std::iter::once(&args.suite).chain(&args.with).map(String::as_str).collect();
    host::provisioned().join("conformance").join(label.join(","))
}

/// Each is this program again, in namespaces of its own: every server has the same port and the same paths.
fn start_jobs(args: &Args, wanted: &[String]) -> Result<Vec<Child>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let job = |number: u8| {
        let mut command = Command::new(&program);
        command.args(["conformance", "--suite", &args.suite, "--tests", &wanted.join(",")]);
        command.arg(format!("--share={number}/{}", args.jobs));
        command.args(args.with.iter().map(|option| format!("--with={option}")));
        if args.fresh {
            command.arg("--fresh");
        }
        if args.json {
            command.stdout(std::process::Stdio::null());
        }
        process::spawn(command)
    };
    (0..args.jobs).map(job).collect()
}

fn work(args: &Args, share: &str) -> Result<()> {
    let (number, of) = share.split_once('/').context("a share is I/N")?;
    let (number, of): (usize, usize) = (number.parse()?, of.parse()?);
    process::catch_interrupts()?;
    mysqltest::enter()?;
    let suite = Suite::find(&args.suite)?;
    let options: Vec<_> = args.with.iter().map(|option| format!("--{option}")).collect();
    let folder = folder(args);
    let done = Report::read(&folder, &args.tests)?;
    let left = done.missing(&args.tests);
    // Neighbours by name are alike: a job gets some of every kind.
    let mine: Vec<_> =
        left.iter().enumerate().filter(|(index, _)| index % of == number).map(|(_, test)| test).collect();
    let mine: Vec<String> = mine.into_iter().map(|test| (*test).to_owned()).collect();
    let trial = Trial { suite: &suite, options: &options, folder: folder.clone(), keep_direct: !args.fresh };
    let mut finished = 0;
    for batch in mine.chunks(BATCH_TESTS) {
        let start = Instant::now();
        let verdicts = trial.judge(batch, &mut |line| println!("{line}"))?;
        keep(&folder, &verdicts, batch)?;
        finished += batch.len();
        println!("== {finished} of {} tests, the last {} in {} s", mine.len(), batch.len(), start.elapsed().as_secs());
    }
    Ok(())
}

/// Appends to the verdicts; a test of which the runner said nothing gets one that says so.
fn keep(folder: &Path, verdicts: &[Verdict], batch: &[String]) -> Result<()> {
    let silent = batch.iter().filter(|test| !verdicts.iter().any(|verdict| verdict.test() == test.as_str()));
    let silent = silent.map(|test| Verdict {
        name: test.clone(),
        class: Class::LeftOut,
        why: "the runner does not mention it".into(),
        accounts: vec![],
        denials: vec![],
    });
    let mut lines = String::new();
    for verdict in verdicts.iter().cloned().chain(silent) {
        lines.push_str(&serde_json::to_string(&verdict)?);
        lines.push('\n');
    }
    let path = folder.join(report::VERDICTS);
    let mut file = OpenOptions::new().create(true).append(true).open(&path).context("cannot open the verdicts")?;
    // One write: another job appends to the same file.
    file.write_all(lines.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
}

//! `cargo xtask bench`: Portreeve beside no proxy, a proxy that does nothing, and MySQL's own.

mod connects;
mod load;
mod memory;
mod recording;
mod table;
mod target;
mod verdicts;

use crate::{chore, setup};
use anyhow::{Context as _, Result, bail};
use load::{Load, Sample};
use portreeve_tests::{cgroup, host, process};
use std::{collections::BTreeMap, fs, path::PathBuf};
use table::{Measured, Row};
use target::Lane;

/// Measure statements per second, connections per second, a large result and memory per idle session: directly, through
/// HAProxy (TCP mode), MySQL Router and Portreeve (policy and recording on), interleaved, against a private MariaDB.
/// Needs root; leaves nothing behind. What a verdict costs by itself is measured as well, and alone with `--only verdicts`, which
/// needs no root.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench                             about ten minutes\n  cargo xtask bench --quick                     about one minute, rough\n  cargo xtask bench --rounds 9 --json out.json  more certain, and for programs\n  cargo xtask bench --only verdicts             analysis and policy alone\n  cargo xtask bench --only connects             what kernel programs cost a connect: a minute\n  cargo xtask bench --only recording            what recording costs, and reading it takes"
)]
pub(crate) struct Args {
    /// How long each measurement runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How often each measurement is repeated, by turns; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Two rounds of one second, a fifth of the idle sessions.
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// Also write every sample and the medians to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure one part.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

/// What can be measured apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Statements, connections, memory: through each proxy.
    Loads,
    /// Analysis and policy, without a connection.
    Verdicts,
    /// What the kernel programs cost a connect, in and out of scope.
    Connects,
    /// What recording costs point selects, and how long it takes to open what was recorded: writes 10 GB where there is room.
    Recording,
}

/// Connections at once in the statement rate.
const THREADS: [u32; 3] = [1, 8, 64];
const IDLE_SESSIONS: u32 = 500;

/// How much to measure.
struct Plan {
    seconds: u32,
    rounds: u32,
    idle: u32,
}

/// Errors when a proxy does not start, a load fails (a table with holes would mislead), or a connect or recording costs more than it may.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wants = |part: Part| args.only.is_none_or(|only| only == part);
    let mut measured = Measured::default();
    if args.only != Some(Part::Verdicts) {
        host::require_root()?;
    }
    if wants(Part::Verdicts) {
        measured.verdicts = verdicts::run(args.quick)?;
    }
    let plan = if args.quick {
        Plan { seconds: 1, rounds: 2, idle: IDLE_SESSIONS / 5 }
    } else {
        Plan { seconds: args.seconds, rounds: args.rounds, idle: IDLE_SESSIONS }
    };
    if args.only != Some(Part::Verdicts) {
        prepare()?;
    }
    if wants(Part::Loads) {
        measured.rows = measure_loads(&plan)?;
        print!("\n{}", table::text(&measured.rows));
        println!("{} rounds of {} s by turns; medians. {}", plan.rounds, plan.seconds, machine());
    }
    if !measured.verdicts.is_empty() {
        print!("\n{}", verdicts::text(&measured.verdicts));
        println!("criterion's estimates. {}", machine());
    }
    if wants(Part::Connects) {
        measured.connects = Some(connects::run(plan.rounds)?);
        println!("{} rounds by turns. {}", plan.rounds, machine());
    }
    if wants(Part::Recording) {
        measured.recording = Some(recording::run(plan.rounds, plan.seconds)?);
        println!("{} rounds of {} s by turns. {}", plan.rounds, plan.seconds, machine());
    }
    write_json(args, &measured, &plan)?;
    measured.connects.as_ref().map_or(Ok(()), connects::check)?;
    measured.recording.as_ref().map_or(Ok(()), recording::check)
}

/// What all but verdicts need. Mounts and signals before any thread starts.
fn prepare() -> Result<()> {
    setup::ensure()?;
    chore::build_release()?;
    host::private_mounts()?;
    process::catch_interrupts()?;
    cgroup::sweep()?;
    host::sweep_run_dirs()
}

fn measure_loads(plan: &Plan) -> Result<Vec<Row>> {
    let bench = target::Bench::start()?;
    // First: after the loads, proxies hold freed memory that idle sessions would fill unseen.
    let memory = idle_memory(&bench, plan)?;
    let mut rows = loads().map(|load| measure(&bench, load, plan)).collect::<Result<Vec<_>>>()?;
    rows.push(memory);
    Ok(rows)
}

fn write_json(args: &Args, measured: &Measured, plan: &Plan) -> Result<()> {
    if let Some(path) = &args.json {
        let json = table::json(measured, &machine(), plan.rounds, plan.seconds)?;
        fs::write(path, json).with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("samples and medians: {}", path.display());
    }
    Ok(())
}

fn loads() -> impl Iterator<Item = Load> {
    let selects = THREADS.map(|threads| Load::PointSelect { threads });
    selects.into_iter().chain([Load::Connect { threads: 1 }, Load::Connect { threads: 8 }, Load::LargeResult])
}

/// Lanes take turns within a round, so that a slow minute of the machine hits all of them.
fn measure(bench: &target::Bench, load: Load, plan: &Plan) -> Result<Row> {
    let mut samples: BTreeMap<Lane, Vec<Sample>> = BTreeMap::new();
    for round in 1..=plan.rounds {
        for lane in Lane::ALL {
            process::check_interrupt()?;
            let sample = load.run(bench, lane, plan.seconds).with_context(|| format!("{load} through {lane}"))?;
            println!("{load}, round {round}, {lane}: {sample}");
            samples.entry(lane).or_default().push(sample);
        }
    }
    Ok(Row::of(&load.to_string(), load.unit(), &samples))
}

fn idle_memory(bench: &target::Bench, plan: &Plan) -> Result<Row> {
    let mut samples = BTreeMap::new();
    for lane in [Lane::HaProxy, Lane::Router, Lane::Portreeve] {
        let Some(pid) = bench.pid(lane) else { bail!("{lane} does not run") };
        let kib = memory::per_idle_session(bench, lane, pid, plan.idle)
            .with_context(|| format!("idle sessions through {lane}"))?;
        println!("{} idle sessions, {lane}: {kib:.1} KiB each", plan.idle);
        samples.insert(lane, vec![Sample { value: kib, latency_ms: None }]);
    }
    Ok(Row::of("memory per idle session", "KiB", &samples))
}

/// What the numbers were measured on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} × {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

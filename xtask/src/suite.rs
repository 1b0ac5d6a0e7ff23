//! `cargo xtask test`: everything that must hold, in one command.

mod fuzz;

use crate::{chore, differential, kernels, setup, tidy};
use anyhow::{Result, bail};
use portreeve_tests::{cgroup, host, netns};
use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

/// Set the machine up, then check formatting, lints and tidiness, run the unit tests, build the daemon and run the
/// end-to-end tests with real servers and clients. Needs root: privileged tests fail without it, they never skip.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test           everything but fuzzing\n  cargo xtask test --fast    what needs neither root nor a release build\n  cargo xtask test --fuzz    each fuzz target for a minute too"
)]
pub(crate) struct Args {
    /// Build every fuzz target and run each for a minute.
    #[arg(long)]
    fuzz: bool,
    /// Leave out the release build and the end-to-end tests.
    #[arg(long, conflicts_with = "fuzz")]
    fast: bool,
}

/// What became of one phase.
struct Phase {
    name: &'static str,
    /// The error, or none.
    failed: Option<String>,
    counts: Counts,
    took: Duration,
}

/// Tests by outcome, summed over test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    failed: u32,
    ignored: u32,
}

/// Errors when a phase failed, after running all that can run.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    if !args.fast {
        host::require_root()?;
        // Before any thread starts: whatever is pinned during the tests vanishes with this process.
        host::private_mounts()?;
        cgroup::sweep()?;
        netns::sweep()?;
        host::sweep_run_dirs()?;
    }
    let mut phases = vec![
        phase("fmt", |_| cargo(&["fmt", "--all", "--check"], &mut |_| ())),
        phase("clippy", |_| cargo(&["clippy", "--all-targets", "--", "-D", "warnings"], &mut |_| ())),
        phase("tidy", |_| tidy::run(&tidy::Args::default())),
        phase("unit", |counts| {
            tests(&["--workspace", "--exclude", "portreeve-tests", "--exclude", "gateway-ebpf"], counts)
        }),
    ];
    if !args.fast {
        phases.push(phase("release", |_| chore::build_release()));
        // A stale daemon would be tested otherwise.
        if phases.last().is_some_and(|phase| phase.failed.is_none()) {
            phases.push(phase("end-to-end", |counts| tests(&["--package", "portreeve-tests"], counts)));
            phases.push(phase("differential", |_| differential::quick()));
            phases.push(phase("kernels", |_| kernels::quick()));
        }
        phases.push(phase("left behind", |_| left_behind()));
    }
    if args.fuzz {
        phases.push(phase("fuzz", |_| fuzz::run()));
    }
    conclude(&phases)
}

fn phase(name: &'static str, action: impl FnOnce(&mut Counts) -> Result<()>) -> Phase {
    println!("\n== {name}");
    let start = Instant::now();
    let mut counts = Counts::default();
    let failed = action(&mut counts).err().map(|error| format!("{error:#}"));
    if let Some(error) = &failed {
        eprintln!("{name}: {error}");
    }
    Phase { name, failed, counts, took: start.elapsed() }
}

fn cargo(args: &[&str], line: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = chore::cargo();
    command.args(args);
    if chore::watched(command, line)? {
        return Ok(());
    }
    bail!("`cargo {}` failed, see above", args.join(" "))
}

fn tests(which: &[&str], counts: &mut Counts) -> Result<()> {
    // All binaries run, so that one report names every failure.
    let args = [&["test", "--no-fail-fast"], which].concat();
    cargo(&args, &mut |line| {
        if let Some(found) = Counts::parse(line) {
            *counts += found;
        }
    })
}

/// Processes and cgroups of the tests must be gone; what is not, is named and removed.
fn left_behind() -> Result<()> {
    let cgroups = cgroup::sweep()?;
    let files = host::run_files()?;
    let left: Vec<_> = cgroups.iter().chain(&files).map(|path| path.display().to_string()).collect();
    if left.is_empty() {
        println!("nothing");
        return Ok(());
    }
    bail!("the tests left behind: {}", left.join(", "))
}

fn conclude(phases: &[Phase]) -> Result<()> {
    println!("\n== summary");
    let mut all = Counts::default();
    for phase in phases {
        let outcome = if phase.failed.is_none() { "ok" } else { "FAILED" };
        let tests = if phase.counts == Counts::default() { String::new() } else { phase.counts.to_string() };
        println!("{:<12} {outcome:<7} {:>6.1} s  {tests}", phase.name, phase.took.as_secs_f64());
        all += phase.counts;
    }
    println!("tests: {all}");
    let failed: Vec<_> = phases.iter().filter(|phase| phase.failed.is_some()).map(|phase| phase.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

impl Counts {
    /// libtest's closing line: `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut parts = rest.split("; ");
        let mut count = |what: &str| parts.next()?.strip_suffix(what)?.trim().parse().ok();
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed; {} failed; {} ignored", self.passed, self.failed, self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_read() {
        let line = "test result: FAILED. 11 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 6.28s";
        assert_eq!(Counts::parse(line), Some(Counts { passed: 11, failed: 1, ignored: 2 }));
        assert_eq!(Counts::parse("test result: what"), None);
        assert_eq!(Counts::parse("test a ... ok"), None);
    }

    #[test]
    fn a_failed_phase_fails_the_whole() {
        let good = phase("good", |_| Ok(()));
        let bad = phase("bad", |_| bail!("no"));
        assert!(conclude(&[good]).is_ok());
        assert_eq!(conclude(&[bad]).unwrap_err().to_string(), "failed: bad");
    }
}

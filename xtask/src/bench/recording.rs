//! What recording costs a session, and how long it takes to open what was recorded.

mod reading;
mod unrecorded;

use super::{
    load::Load,
    table,
    target::{Bench, Lane},
};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, process};
use reading::Reading;
use std::{fmt::Write as _, fs, path::Path};

/// Sessions at once: enough that the machine has nothing left, so that what recording takes is missing elsewhere; and that each of the
/// daemon's threads has about as many. With 8, one thread may have all of them, which costs less by more than what is measured here.
const THREADS: u32 = 64;
/// Percent of the throughput.
const COST_MAX: f64 = 3.0;
/// Between these two lies what says whether statements were recorded: each has some hundred bytes. A session that is just being closed
/// has some tens of thousands without any.
const RECORDED_BYTES_MIN: f64 = 200.0;
const UNRECORDED_BYTES_MAX: f64 = 50.0;

/// What one daemon did.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
struct Sample {
    /// Statements per second.
    rate: f64,
    /// Processor time of the daemon for each statement, in microseconds: it says what is what where other work takes the processors.
    cpu_us: f64,
    /// Of the recording, for each statement.
    bytes: f64,
}

/// Both in one round.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
struct Round {
    recorded: Sample,
    unrecorded: Sample,
}

impl Round {
    /// Percent of the throughput.
    fn cost(self) -> f64 {
        (1.0 - self.recorded.rate / self.unrecorded.rate) * 100.0
    }

    /// Microseconds for each statement.
    fn cpu_us_more(self) -> f64 {
        self.recorded.cpu_us - self.unrecorded.cpu_us
    }
}

#[derive(Debug, serde::Serialize)]
pub(super) struct Recording {
    threads: u32,
    rounds: Vec<Round>,
    readings: Vec<Reading>,
}

/// # Errors
/// Something does not start, a load or command fails, or what was measured as unrecorded was not.
pub(super) fn run(rounds: u32, seconds: u32) -> Result<Recording> {
    let mut bench = Bench::start()?;
    let dir = host::run_dir("unrecorded")?;
    let measured = measure(&mut bench, &dir, rounds, seconds);
    host::remove_run_dir(&dir)?;
    let rounds = measured?;
    drop(bench);
    // Last: what it writes would be on its way to the disk still.
    let readings = reading::run()?;
    let found = Recording { threads: THREADS, rounds, readings };
    print!("\n{}", text(&found));
    Ok(found)
}

fn measure(bench: &mut Bench, dir: &Path, rounds: u32, seconds: u32) -> Result<Vec<Round>> {
    let (recorded, unrecorded) = (host::portreeve_binary()?, unrecorded::binary(dir)?);
    let mut found = Vec::new();
    // The first round warms up.
    for round in 0..=rounds {
        // Each is first as often as second: the machine may get slower or faster meanwhile.
        let both = if round % 2 == 0 {
            let recorded = once(bench, &recorded, seconds)?;
            Round { recorded, unrecorded: once(bench, &unrecorded, seconds)? }
        } else {
            let unrecorded = once(bench, &unrecorded, seconds)?;
            Round { recorded: once(bench, &recorded, seconds)?, unrecorded }
        };
        if both.recorded.bytes < RECORDED_BYTES_MIN || both.unrecorded.bytes > UNRECORDED_BYTES_MAX {
            bail!("one should record and the other not: {both:?}");
        }
        let (recorded, unrecorded) = (both.recorded.rate, both.unrecorded.rate);
        println!("round {round}: {recorded:.0} recorded, {unrecorded:.0} not: {:.1} %", both.cost());
        if round > 0 {
            found.push(both);
        }
    }
    Ok(found)
}

fn once(bench: &mut Bench, binary: &Path, seconds: u32) -> Result<Sample> {
    process::check_interrupt()?;
    bench.serve_with(binary)?;
    let sessions = bench.sessions();
    let _ = fs::remove_dir_all(&sessions);
    let pid = bench.pid(Lane::Portreeve).context("the daemon does not run")?;
    let before = cpu_seconds(pid)?;
    let rate = Load::PointSelect { threads: THREADS }.run(bench, Lane::Portreeve, seconds)?.value;
    let statements = rate * f64::from(seconds);
    let cpu_us = (cpu_seconds(pid)? - before) * 1e6 / statements;
    // Each session has a few records and one header beside its statements.
    Ok(Sample { rate, cpu_us, bytes: reading::bytes_below(&sessions)? as f64 / statements })
}

/// What the scheduler counted for all threads.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the daemon is gone")? {
        let path = thread.context("the daemon is gone")?.path().join("schedstat");
        // Which may have ended; those of sessions do not.
        let Ok(text) = fs::read_to_string(path) else { continue };
        let ran = text.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
        nanoseconds += ran.context("an unknown schedstat")?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Errors with what does not hold.
pub(super) fn check(recording: &Recording) -> Result<()> {
    let cost = recording.cost();
    if cost > COST_MAX {
        bail!("recording costs {cost:.1} % of point selects, which may be {COST_MAX} %");
    }
    reading::check(&recording.readings)
}

impl Recording {
    /// Percent: the median of what each round says, for both of a round met the same machine.
    fn cost(&self) -> f64 {
        table::median(self.rounds.iter().map(|round| round.cost())).unwrap_or(f64::NAN)
    }
}

fn text(recording: &Recording) -> String {
    let Recording { threads, rounds, readings } = recording;
    let median = |which: fn(&Round) -> f64| table::median(rounds.iter().map(which)).unwrap_or(f64::NAN);
    let (recorded, unrecorded) = (median(|round| round.recorded.rate), median(|round| round.unrecorded.rate));
    let mut text = format!("{:<34}{:>12}{:>12}{:>10}{:>10}\n", "point select", "recorded", "not", "cost", "at most");
    let (what, cost) = (format!("{threads} threads, statements/s"), recording.cost());
    let _ = writeln!(text, "{what:<34}{recorded:>12.0}{unrecorded:>12.0}{cost:>8.1} %{COST_MAX:>8.1} %");
    let (recorded, unrecorded) = (median(|round| round.recorded.cpu_us), median(|round| round.unrecorded.cpu_us));
    let (what, more) = ("daemon's processor time, µs each", median(|round| round.cpu_us_more()));
    let _ = writeln!(text, "{what:<34}{recorded:>12.2}{unrecorded:>12.2}{more:>10.2}");
    let costs: Vec<_> = rounds.iter().map(|round| format!("{:.1}", round.cost())).collect();
    let bytes = median(|round| round.recorded.bytes);
    let _ = writeln!(text, "cost by round: {} %; {bytes:.0} bytes for each statement", costs.join(", "));
    text.push_str(&reading::text(readings));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(rounds: &[(f64, f64)]) -> Recording {
        let sample = |rate| Sample { rate, cpu_us: 20.0, bytes: 700.0 };
        let round = |(recorded, unrecorded): &(f64, f64)| Round {
            recorded: sample(*recorded),
            unrecorded: sample(*unrecorded),
        };
        Recording { threads: 8, rounds: rounds.iter().map(round).collect(), readings: vec![] }
    }

    #[test]
    fn the_cost_is_the_median_of_what_rounds_say() {
        // The second round met a slow machine: both of it did.
        let found = recording(&[(98.0, 100.0), (49.0, 50.0), (90.0, 100.0)]);
        assert!((found.cost() - 2.0).abs() < 1e-9, "{}", found.cost());
        assert!(check(&found).is_ok());
        assert!(check(&recording(&[(96.0, 100.0)])).is_err());
        assert!(text(&found).contains("cost by round: 2.0, 2.0, 10.0 %"), "{}", text(&found));
    }
}

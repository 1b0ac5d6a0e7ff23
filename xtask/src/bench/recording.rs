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

/// Sessions at once: enough that the machine has nothing left, so that what recording takes is missing elsewhere.
const THREADS: u32 = 8;
/// Percent of the throughput.
const COST_MAX: f64 = 3.0;
/// Between these two lies what says whether statements were recorded: each has some hundred bytes.
const RECORDED_BYTES_MIN: f64 = 100.0;
const UNRECORDED_BYTES_MAX: f64 = 1.0;

/// Statements per second of both in one round.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
struct Round {
    recorded: f64,
    unrecorded: f64,
}

impl Round {
    /// Percent.
    fn cost(self) -> f64 {
        (1.0 - self.recorded / self.unrecorded) * 100.0
    }
}

#[derive(Debug, serde::Serialize)]
pub(super) struct Recording {
    threads: u32,
    rounds: Vec<Round>,
    bytes_per_statement: f64,
    readings: Vec<Reading>,
}

/// # Errors
/// Something does not start, a load or command fails, or what was measured as unrecorded was not.
pub(super) fn run(rounds: u32, seconds: u32) -> Result<Recording> {
    let readings = reading::run()?;
    let mut bench = Bench::start()?;
    let dir = host::run_dir("unrecorded")?;
    let measured = measure(&mut bench, &dir, rounds, seconds);
    host::remove_run_dir(&dir)?;
    let (rounds, bytes_per_statement) = measured?;
    let found = Recording { threads: THREADS, rounds, bytes_per_statement, readings };
    print!("\n{}", text(&found));
    Ok(found)
}

fn measure(bench: &mut Bench, dir: &Path, rounds: u32, seconds: u32) -> Result<(Vec<Round>, f64)> {
    let (recorded, unrecorded) = (host::portreeve_binary()?, unrecorded::binary(dir)?);
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=rounds {
        let with = |bench: &mut Bench| {
            let (rate, each) = once(bench, &recorded, seconds)?;
            if each < RECORDED_BYTES_MIN {
                bail!("a statement has {each:.1} bytes: the daemon does not record");
            }
            anyhow::Ok((rate, each))
        };
        let without = |bench: &mut Bench| {
            let (rate, each) = once(bench, &unrecorded, seconds)?;
            if each > UNRECORDED_BYTES_MAX {
                bail!("a statement has {each:.1} bytes: what should not be recorded is");
            }
            anyhow::Ok(rate)
        };
        // Each is first as often as second: the machine may get slower or faster meanwhile.
        let ((recorded, each), unrecorded) = if round % 2 == 0 {
            let first = with(bench)?;
            (first, without(bench)?)
        } else {
            let first = without(bench)?;
            (with(bench)?, first)
        };
        let both = Round { recorded, unrecorded };
        println!("round {round}: {recorded:.0} recorded, {unrecorded:.0} not: {:.1} %", both.cost());
        if round > 0 {
            found.push(both);
            bytes.push(each);
        }
    }
    Ok((found, table::median(bytes.into_iter()).context("nothing was measured")?))
}

/// Statements per second through a daemon, and bytes of recording for each.
fn once(bench: &mut Bench, binary: &Path, seconds: u32) -> Result<(f64, f64)> {
    process::check_interrupt()?;
    bench.serve_with(binary)?;
    let sessions = bench.sessions();
    let _ = fs::remove_dir_all(&sessions);
    let sample = Load::PointSelect { threads: THREADS }.run(bench, Lane::Portreeve, seconds)?;
    // Each session has a few records and one header beside its statements.
    let bytes = reading::bytes_below(&sessions)?;
    Ok((sample.value, bytes as f64 / (sample.value * f64::from(seconds))))
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
    let Recording { threads, rounds, bytes_per_statement, readings } = recording;
    let median = |which: fn(&Round) -> f64| table::median(rounds.iter().map(which)).unwrap_or(f64::NAN);
    let mut text = format!("{:<34}{:>12}{:>12}{:>10}{:>10}\n", "statements/s", "recorded", "not", "cost", "at most");
    let _ = writeln!(
        text,
        "{:<34}{:>12.0}{:>12.0}{:>8.1} %{COST_MAX:>8.1} %",
        format!("point select, {threads} threads"),
        median(|round| round.recorded),
        median(|round| round.unrecorded),
        recording.cost()
    );
    let costs: Vec<_> = rounds.iter().map(|round| format!("{:.1}", round.cost())).collect();
    let _ = writeln!(text, "cost by round: {} %; {bytes_per_statement:.0} bytes for each statement", costs.join(", "));
    text.push_str(&reading::text(readings));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(rounds: &[(f64, f64)]) -> Recording {
        let rounds = rounds.iter().map(|(recorded, unrecorded)| Round { recorded: *recorded, unrecorded: *unrecorded });
        Recording { threads: 8, rounds: rounds.collect(), bytes_per_statement: 700.0, readings: vec![] }
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

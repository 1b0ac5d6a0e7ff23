//! The verdict's own cost: criterion's benches in `crates/policy`, in a table like that of the loads.

use crate::chore;
use anyhow::{Result, bail};
use std::fmt::Write as _;

/// Runs the benches, which need neither root nor a server, and returns what each took.
///
/// # Errors
/// When they do not build or fail, or print nothing that can be read.
pub(super) fn run(quick: bool) -> Result<Vec<Verdict>> {
    let mut command = chore::cargo();
    command.args(["bench", "--package", "portreeve-policy", "--bench", "verdicts", "--", "--noplot"]);
    if quick {
        command.args(["--warm-up-time", "0.5", "--measurement-time", "1"]);
    }
    let mut lines = Lines::default();
    if !chore::watched(command, |line| lines.add(line))? {
        bail!("the benches of verdicts failed, see above");
    }
    if lines.found.is_empty() {
        bail!("the benches of verdicts printed no times: did criterion change its format?");
    }
    Ok(lines.found)
}

/// What one bench took.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct Verdict {
    name: String,
    nanoseconds: f64,
}

/// criterion prints `name  time:   [1.0 µs 1.1 µs 1.2 µs]`, the middle one its estimate; a long name has a line of its own.
#[derive(Default)]
struct Lines {
    name: String,
    found: Vec<Verdict>,
}

impl Lines {
    fn add(&mut self, line: &str) {
        let Some((before, times)) = line.split_once("time:") else {
            line.trim().clone_into(&mut self.name);
            return;
        };
        let name = if before.trim().is_empty() { self.name.as_str() } else { before.trim() };
        if let Some(nanoseconds) = estimate(times) {
            self.found.push(Verdict { name: name.to_owned(), nanoseconds });
        }
    }
}

fn estimate(times: &str) -> Option<f64> {
    let mut words = times.trim().strip_prefix('[')?.strip_suffix(']')?.split_whitespace().skip(2);
    let (number, unit) = (words.next()?.parse::<f64>().ok()?, words.next()?);
    let scale = match unit {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" | "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number * scale)
}

/// A table of fixed width.
pub(super) fn text(verdicts: &[Verdict]) -> String {
    let mut text = format!("{:<40}{:>12}\n", "verdict", "µs");
    for verdict in verdicts {
        let micros = verdict.nanoseconds / 1e3;
        let _ = writeln!(text, "{:<40}{micros:>12.digits$}", verdict.name, digits = if micros < 10.0 { 3 } else { 1 });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_estimates_are_read() {
        let mut lines = Lines::default();
        for line in [
            "Benchmarking verdict, a: Collecting 100 samples",
            "verdict, a              time:   [98.1 ns 99.0 ns 101.2 ns]",
            "verdict, with a long name",
            "                        time:   [1.1000 µs 1.2500 µs 1.3 µs]",
            "                        change: [-1.2% +0.3% +1.9%] (p = 0.70 > 0.05)",
        ] {
            lines.add(line);
        }
        let found: Vec<_> = lines.found.iter().map(|found| (found.name.as_str(), found.nanoseconds)).collect();
        assert_eq!(found, [("verdict, a", 99.0), ("verdict, with a long name", 1250.0)]);
        assert!(text(&lines.found).contains("verdict, with a long name                      1.250\n"));
    }
}

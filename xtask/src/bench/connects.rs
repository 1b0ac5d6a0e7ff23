//! What the kernel programs cost a connect: out of scope and in scope, with a thousand tagged cgroups and ten thousand open sessions.

mod programs;
mod stage;

use anyhow::{Context as _, Result, bail};
use portreeve_tests::process;
use programs::Programs;
use stage::Stage;
use std::{collections::BTreeMap, fmt::Write as _};

pub(super) const CGROUPS: usize = 1_000;
/// Redirected sockets that are open, each a session where that many files may be.
pub(super) const SOCKETS: u64 = 10_000;
/// Connects of one lane in one round.
const CONNECTS: u32 = 500;
const OUT_OF_SCOPE_MAX_NS: f64 = 1_000.0;
const IN_SCOPE_MAX_NS: f64 = 5_000.0;

/// A way to connect, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// An untagged client, to a listener on a guarded port, without programs.
    OutsideBare,
    /// The same with programs.
    Outside,
    /// An untagged client, to the gateway's own listener, without programs: what a redirected connect ends at.
    InsideBare,
    /// A tagged client, redirected.
    Inside,
}

/// Bare and with programs by turns, so that a slow moment of the machine hits both.
const LANES: [Lane; 4] = [Lane::OutsideBare, Lane::Outside, Lane::InsideBare, Lane::Inside];

impl Lane {
    fn with_programs(self) -> bool {
        match self {
            Self::Outside | Self::Inside => true,
            Self::OutsideBare | Self::InsideBare => false,
        }
    }
}

/// Nanoseconds of one call, or of socket to close.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Times {
    connect: Vec<u64>,
    whole: Vec<u64>,
}

/// One comparison.
#[derive(Debug, serde::Serialize)]
pub(super) struct Cost {
    what: &'static str,
    bare_ns: f64,
    with_programs_ns: f64,
    /// What it may cost more; none for what is just shown.
    more_max_ns: Option<f64>,
}

/// What one program took on each path, by the kernel's own count.
#[derive(Debug, serde::Serialize)]
pub(super) struct Run {
    path: &'static str,
    program: String,
    runs_per_connect: f64,
    ns_per_run: f64,
}

#[derive(Debug, serde::Serialize)]
pub(super) struct Connects {
    cgroups: usize,
    sockets: u64,
    sessions: u64,
    costs: Vec<Cost>,
    runs: Vec<Run>,
}

/// # Errors
/// Something does not start, a client fails, or a bound does not hold.
pub(super) fn run(rounds: u32) -> Result<Connects> {
    println!("\nstarting a private MariaDB and Portreeve with {CGROUPS} tagged cgroups");
    let stage = Stage::set()?;
    let mut programs = Programs::of(&stage.gateway)?;
    let sessions = stage.sessions()?;
    check_sockets(&programs)?;
    let mut times: BTreeMap<Lane, Times> = BTreeMap::new();
    // The first round warms up.
    for round in 0..=rounds {
        for lane in LANES {
            process::check_interrupt()?;
            programs.set_attached(lane.with_programs())?;
            let found = stage.time(lane, CONNECTS)?;
            if round > 0 {
                let all = times.entry(lane).or_default();
                all.connect.extend(&found.connect);
                all.whole.extend(&found.whole);
            }
        }
    }
    programs.set_attached(true)?;
    let mut runs = counted(&stage, &programs, "out of scope", Lane::Outside)?;
    runs.extend(counted(&stage, &programs, "in scope", Lane::Inside)?);
    let found = Connects { cgroups: CGROUPS, sockets: programs.open_sockets()?, sessions, costs: costs(&times)?, runs };
    print!("\n{}", text(&found));
    check_sockets(&programs)?;
    Ok(found)
}

/// As the kernel programs know them, before and after: what was measured without them was not what is said.
fn check_sockets(programs: &Programs) -> Result<()> {
    let open = programs.open_sockets()?;
    if open < SOCKETS {
        bail!("{open} redirected sockets are open, not {SOCKETS}");
    }
    Ok(())
}

/// The kernel counts only while it is told to: that costs time itself, so it is done apart.
fn counted(stage: &Stage, programs: &Programs, path: &'static str, lane: Lane) -> Result<Vec<Run>> {
    let _counting = programs::Counting::begin()?;
    let before = programs.counts()?;
    stage.time(lane, CONNECTS)?;
    let after = programs.counts()?;
    let runs = before.iter().zip(&after).filter_map(|(before, after)| {
        let (runs, ns) = ((after.runs - before.runs) as f64, (after.ns - before.ns) as f64);
        (runs > 0.0).then(|| Run {
            path,
            program: before.name.clone(),
            runs_per_connect: runs / f64::from(CONNECTS),
            ns_per_run: ns / runs,
        })
    });
    Ok(runs.collect())
}

fn costs(times: &BTreeMap<Lane, Times>) -> Result<Vec<Cost>> {
    let median = |lane: Lane, which: fn(&Times) -> &Vec<u64>| {
        let values = times.get(&lane).map(which).into_iter().flatten().map(|ns| *ns as f64);
        super::table::median(values).with_context(|| format!("{lane:?} was not measured"))
    };
    let cost = |what, (bare, with): (Lane, Lane), which: fn(&Times) -> &Vec<u64>, more_max_ns| {
        anyhow::Ok(Cost { what, bare_ns: median(bare, which)?, with_programs_ns: median(with, which)?, more_max_ns })
    };
    let (outside, inside) = ((Lane::OutsideBare, Lane::Outside), (Lane::InsideBare, Lane::Inside));
    Ok(vec![
        cost("out of scope, connect", outside, |times| &times.connect, Some(OUT_OF_SCOPE_MAX_NS))?,
        cost("out of scope, socket to close", outside, |times| &times.whole, None)?,
        cost("in scope, connect", inside, |times| &times.connect, Some(IN_SCOPE_MAX_NS))?,
        cost("in scope, socket to close", inside, |times| &times.whole, None)?,
    ])
}

/// Errors with the first bound that does not hold.
pub(super) fn check(connects: &Connects) -> Result<()> {
    match connects.costs.iter().find(|cost| !cost.holds()) {
        Some(cost) => bail!("{} costs {:.2} µs more with programs", cost.what, cost.more_ns() / 1e3),
        None => Ok(()),
    }
}

impl Cost {
    fn more_ns(&self) -> f64 {
        self.with_programs_ns - self.bare_ns
    }

    fn holds(&self) -> bool {
        self.more_max_ns.is_none_or(|most| self.more_ns() < most)
    }
}

/// Two tables of fixed width.
pub(super) fn text(connects: &Connects) -> String {
    let mut text =
        format!("{:<32}{:>10}{:>15}{:>10}{:>10}\n", "µs, medians", "bare", "with programs", "more", "at most");
    for cost in &connects.costs {
        let most = cost.more_max_ns.map_or_else(|| "-".into(), |most| format!("{:.2}", most / 1e3));
        let (bare, with, more) = (cost.bare_ns / 1e3, cost.with_programs_ns / 1e3, cost.more_ns() / 1e3);
        let verdict = if cost.holds() { "" } else { "  too much" };
        let _ = writeln!(text, "{:<32}{bare:>10.2}{with:>15.2}{more:>10.2}{most:>10}{verdict}", cost.what);
    }
    let Connects { cgroups, sockets, sessions, .. } = connects;
    let _ = writeln!(text, "{cgroups} tagged cgroups, {sockets} redirected sockets open, {sessions} of them sessions");
    let _ = writeln!(text, "\n{:<16}{:<18}{:>18}{:>12}", "path", "program", "runs per connect", "ns per run");
    for run in &connects.runs {
        let _ =
            writeln!(text, "{:<16}{:<18}{:>18.1}{:>12.0}", run.path, run.program, run.runs_per_connect, run.ns_per_run);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(bare_ns: f64, with_programs_ns: f64) -> Cost {
        Cost { what: "out of scope, connect", bare_ns, with_programs_ns, more_max_ns: Some(OUT_OF_SCOPE_MAX_NS) }
    }

    fn of(cost: Cost) -> Connects {
        Connects { cgroups: CGROUPS, sockets: SOCKETS, sessions: SOCKETS, costs: vec![cost], runs: vec![] }
    }

    #[test]
    fn a_bound_that_does_not_hold_is_an_error() {
        let good = of(cost(10_000.0, 10_999.0));
        assert!(check(&good).is_ok() && !text(&good).contains("too much"));
        let bad = of(cost(10_000.0, 11_000.0));
        assert_eq!(check(&bad).unwrap_err().to_string(), "out of scope, connect costs 1.00 µs more with programs");
        assert!(text(&bad).contains("too much"));
    }

    #[test]
    fn medians_are_compared_lane_by_lane() {
        let times = |ns: u64| Times { connect: vec![ns, ns + 1, ns + 100], whole: vec![2 * ns] };
        let all = LANES.into_iter().zip([10, 20, 30, 40].map(times)).collect();
        let costs = costs(&all).unwrap();
        assert_eq!(costs.iter().map(Cost::more_ns).collect::<Vec<_>>(), [10.0, 20.0, 10.0, 20.0]);
        assert!(super::costs(&BTreeMap::new()).is_err());
    }
}

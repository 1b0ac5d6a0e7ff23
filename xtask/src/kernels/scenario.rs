//! Jobs that are about a whole host: what becomes of a machine that provisions itself, or boots with both units.

use super::{
    Args,
    archive::{Kernel, Suite},
    job::{self, Step, quoted},
    machine::{Machine, Ran},
    watch,
};
use crate::limits::{KERNEL_MEMORY_MIB, KERNEL_PROVISION_MEMORY_MIB, KERNEL_SCENARIO_MAX};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::host;
use std::{fmt::Write as _, fs, path::Path};

const NETWORK: &str = include_str!("network.sh");
const BOOT: &str = include_str!("boot.sh");
const CHECK: &str = include_str!("check.sh");

#[derive(Clone, Copy)]
pub(super) enum Scenario {
    /// `vagrant/provision.sh`, then `cargo xtask demo`.
    Provision,
    /// systemd as process 1, with `portreeve-guard.service` and `portreeve.service`.
    Boot,
}

/// One step of one kernel.
#[derive(Debug, serde::Serialize)]
struct Row {
    suite: Suite,
    version: String,
    step: String,
    /// Its exit status; none when it was not reached or did not end.
    status: Option<i32>,
    seconds: Option<u64>,
}

impl Scenario {
    /// # Errors
    /// A step fails somewhere; what it printed is shown.
    pub(super) fn run(self, args: &Args) -> Result<()> {
        let suites = if args.kernel.is_empty() { self.suites() } else { args.kernel.clone() };
        let mut rows = Vec::new();
        let mut problems = Vec::new();
        for suite in suites {
            println!("\n── {suite}");
            let kernel = Kernel::obtain(suite, args.refresh)?;
            println!("   Linux {}", kernel.version);
            let machine =
                Machine { kernel: &kernel, accel: args.accel, memory_mib: self.memory_mib(), network: self.network() };
            let ran = watch(&machine, &self.script(&kernel)?, KERNEL_SCENARIO_MAX)?;
            problems.extend(ran.broken.iter().map(|broken| format!("{suite}: {broken}")));
            rows.extend(self.steps().map(|step| row(&kernel, step, &ran)));
            println!("   {} s in all", ran.took.as_secs());
        }
        problems
            .extend(rows.iter().filter(|row| row.status != Some(0)).map(|row| format!("{}: {}", row.suite, row.step)));
        if args.json {
            println!("{}", serde_json::to_string_pretty(&rows).context("cannot write JSON")?);
        } else {
            print!("\n{}", table(&rows));
        }
        if problems.is_empty() {
            return Ok(());
        }
        bail!("failed: {}; the logs are in target/kernels/<suite>/", problems.join("; "))
    }

    /// Where no kernel is named.
    fn suites(self) -> Vec<Suite> {
        match self {
            // The box of vagrant/Vagrantfile.
            Self::Provision => vec![Suite::Bookworm],
            Self::Boot => vec![Suite::Bookworm, Suite::Trixie],
        }
    }

    fn memory_mib(self) -> u32 {
        match self {
            Self::Provision => KERNEL_PROVISION_MEMORY_MIB,
            Self::Boot => KERNEL_MEMORY_MIB,
        }
    }

    fn network(self) -> bool {
        match self {
            Self::Provision => true,
            Self::Boot => false,
        }
    }

    fn steps(self) -> Box<dyn Iterator<Item = String>> {
        match self {
            Self::Provision => Box::new(provision().into_iter().map(|step| step.name)),
            Self::Boot => {
                let steps = CHECK.lines().filter_map(|line| line.strip_prefix("step ")?.split(' ').next());
                Box::new(steps.map(str::to_owned))
            }
        }
    }

    fn script(self, kernel: &Kernel) -> Result<String> {
        match self {
            Self::Provision => Ok(job::script(kernel, &provision())),
            Self::Boot => boot(kernel),
        }
    }
}

/// cargo looks at real paths, so that behind the link it finds what was built here; nothing is compiled by software.
fn provision() -> Vec<Step> {
    let tree = quoted(&host::repo_root().display().to_string());
    // Part of what cargo knows a build by.
    let incremental = std::env::var("CARGO_INCREMENTAL").map(|value| format!("export CARGO_INCREMENTAL={value}; "));
    let incremental = incremental.unwrap_or_default();
    let demo = format!("{incremental}. /root/.cargo/env && cd /portreeve && cargo xtask demo");
    let steps = [
        ("network", format!("{NETWORK}ln -s {tree} /portreeve")),
        ("provision", format!("{incremental}/portreeve/vagrant/provision.sh")),
        ("demo", demo),
    ];
    steps.map(|(name, command)| Step { name: name.to_owned(), command }).into()
}

fn boot(kernel: &Kernel) -> Result<String> {
    let check = kernel.folder().join("check.sh");
    fs::write(&check, format!("{}{CHECK}{}", job::STEP, job::END)).context("cannot write what is checked")?;
    let mut script = job::begin(kernel);
    let python = host::provisioned().join("clients/python/bin/python");
    let names: [(&str, &Path); 4] = [
        ("tree", &host::repo_root()),
        ("portreeve", &host::portreeve_binary()?),
        ("python", &python),
        ("check", &check),
    ];
    for (name, path) in names {
        let _ = writeln!(script, "{name}={}", quoted(&path.display().to_string()));
    }
    Ok(script + BOOT)
}

/// What a step printed is shown where it failed.
fn row(kernel: &Kernel, step: String, ran: &Ran) -> Row {
    let said = job::said(&ran.log, &step);
    let ended = said.as_ref().and_then(|said| said.ended);
    let status = ended.map(|(status, _)| status);
    if status != Some(0) {
        println!("   {step} failed:");
        said.iter().flat_map(|said| &said.lines).for_each(|line| println!("     {line}"));
    }
    Row {
        suite: kernel.suite,
        version: kernel.version.clone(),
        step,
        status,
        seconds: ended.map(|(_, seconds)| seconds),
    }
}

/// A table of fixed width.
fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<20}{:<26}{:<28}{:>9}{:>9}\n", "suite", "Linux", "step", "status", "seconds");
    let shown = |number: Option<String>| number.unwrap_or_else(|| "none".to_owned());
    for row in rows {
        let (status, seconds) =
            (shown(row.status.map(|status| status.to_string())), shown(row.seconds.map(|seconds| seconds.to_string())));
        let _ = writeln!(text, "{:<20}{:<26}{:<28}{status:>9}{seconds:>9}", row.suite, row.version, row.step);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_steps_of_a_boot_are_those_of_its_script() {
        let steps: Vec<_> = Scenario::Boot.steps().collect();
        assert!(steps.len() > 5 && steps.contains(&"early-agent-refused".to_owned()), "{steps:?}");
    }

    #[test]
    fn a_step_that_was_not_reached_has_not_passed() {
        let kernel = Kernel { suite: Suite::Bookworm, version: "6.1.0-50-amd64".into() };
        let log = "== network …\n== network ended with 0 after 1 s\n== provision …\nno network\n".to_owned();
        let ran = Ran { log, took: Duration::from_secs(9), broken: None };
        let rows: Vec<_> = Scenario::Provision.steps().map(|step| row(&kernel, step, &ran)).collect();
        let ended: Vec<_> = rows.iter().map(|row| row.status).collect();
        assert_eq!(ended, [Some(0), None, None]);
        assert!(table(&rows).ends_with("demo                             none     none\n"), "{}", table(&rows));
    }
}

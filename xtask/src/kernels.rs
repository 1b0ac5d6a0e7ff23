//! `cargo xtask kernels`: the kernel programs on the kernels that Debian ships, in virtual machines made for it.

mod archive;
mod doctor;
mod initramfs;
mod job;
mod machine;
mod outcome;
mod scenario;

use crate::{
    chore,
    limits::{KERNEL_MEMORY_MIB, KERNEL_RUN_MAX, KERNEL_RUN_QUICK_MAX},
    setup,
};
use anyhow::{Context as _, Result, bail};
use archive::{Kernel, Suite};
use machine::{Accelerator, Machine, Ran};
use outcome::Outcome;
use portreeve_tests::{host, process};
use scenario::Scenario;
use std::{path::PathBuf, time::Duration};

/// Boot Debian's kernels under QEMU, load every kernel program there, run `portreeve doctor` and the interception tests inside,
/// and print what became of them.
///
/// The virtual machine sees this machine's files, read only, and writes into its memory: servers, clients and tests are those of
/// here. Kernels are fetched from Debian's archive into `target/kernels` and stay there, with the logs. Needs root, and no
/// hardware virtualisation.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask kernels                            every kernel and test: about 20 minutes\n  cargo xtask kernels --quick                    6.1 and 6.12, two tests: what `cargo xtask test` runs\n  cargo xtask kernels --kernel 6.1 --only ways   Debian 12's, the tests that have `ways` in their name\n  cargo xtask kernels --write-docs               put what doctor said into docs/kernel.md\n  cargo xtask kernels --provision                is what `vagrant up` does still whole?\n  cargo xtask kernels --boot --kernel 6.1        a boot with portreeve-guard.service and portreeve.service"
)]
pub(crate) struct Args {
    /// This kernel only, by Debian's suite: bookworm is 6.1 as well, trixie 6.12. Can be repeated.
    #[arg(long, value_enum, value_name = "SUITE")]
    kernel: Vec<Suite>,
    /// On 6.1 and 6.12: every program, doctor, a connect that is redirected and one that is refused.
    #[arg(long, conflicts_with_all = ["kernel", "only", "test", "write_docs"])]
    quick: bool,
    /// Have vagrant/provision.sh set a machine up with Debian 12's kernel and this machine's files, and play `cargo xtask demo` there.
    #[arg(long, conflicts_with_all = ["quick", "only", "test", "write_docs", "boot"])]
    provision: bool,
    /// Boot a host with systemd and both units (docs/install.md): who is refused and served at boot, at restarts and kills.
    #[arg(long, conflicts_with_all = ["quick", "only", "test", "write_docs"])]
    boot: bool,
    /// A test binary of tests/tests. Can be repeated.
    #[arg(long, value_name = "NAME", default_values = SUITES)]
    test: Vec<String>,
    /// Only tests with this in their name. Can be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// What runs the virtual processor: by software anywhere, or by the hardware where /dev/kvm works.
    #[arg(long, value_enum, default_value_t = Accelerator::Tcg)]
    accel: Accelerator,
    /// Fetch the kernels anew, the newest that the archive has.
    #[arg(long)]
    refresh: bool,
    /// Write what doctor said, and which kernels it was, into docs/kernel.md. Otherwise it is compared.
    #[arg(long)]
    write_docs: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// The test binaries that are about the kernel side.
const SUITES: [&str; 3] = ["interception", "namespaces", "handover"];
/// Left out by software unless asked for by `--only`: it alone takes more than ten minutes there.
const TOO_LONG: &str = "a_hundred_kills_let_nobody_through";
/// One connect that is refused, then one that is redirected; and both from a cgroup below the tagged one.
const QUICK: [&str; 2] = ["a_socket_bound_to_a_device_is_refused", "a_cgroup_below_a_tagged_one_is_in_scope"];

/// Errors when a program does not load somewhere, a test fails, or docs/kernel.md says something else.
pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root()?;
    machine::check(args.accel)?;
    setup::ensure()?;
    chore::build_release()?;
    // Before any thread starts.
    process::catch_interrupts()?;
    if args.quick {
        return quick();
    }
    let scenario = match (args.provision, args.boot) {
        (true, _) => Some(Scenario::Provision),
        (_, true) => Some(Scenario::Boot),
        (false, false) => None,
    };
    if let Some(scenario) = scenario {
        return scenario.run(args);
    }
    let suites = if args.kernel.is_empty() { Suite::ALL.to_vec() } else { args.kernel.clone() };
    let mut tests = args.only.clone();
    // A kernel that runs by software on a busy machine: two tests at once are plenty.
    tests.push("--test-threads=2".into());
    if args.only.is_empty() && args.accel == Accelerator::Tcg {
        tests.extend(["--skip".into(), TOO_LONG.into()]);
    }
    let binaries = args.test.iter().map(|name| test_binary(name)).collect::<Result<_>>()?;
    let plan = Plan { binaries, tests, accel: args.accel, patience: KERNEL_RUN_MAX };
    let outcomes = suites.into_iter().map(|suite| plan.run(suite, args.refresh)).collect::<Result<Vec<_>>>()?;
    if args.write_docs {
        doctor::write(&outcomes)?;
    }
    conclude(outcomes, args.json)
}

/// The part for `cargo xtask test`, on a machine that is set up, with the daemon built.
pub(crate) fn quick() -> Result<()> {
    let mut tests: Vec<_> = QUICK.map(str::to_owned).to_vec();
    tests.push("--exact".into());
    let binaries = vec![test_binary("interception")?];
    let plan = Plan { binaries, tests, accel: Accelerator::Tcg, patience: KERNEL_RUN_QUICK_MAX };
    let outcomes = [Suite::Bookworm, Suite::Trixie].map(|suite| plan.run(suite, false));
    conclude(outcomes.into_iter().collect::<Result<_>>()?, false)
}

/// What is done on each kernel.
struct Plan {
    binaries: Vec<TestBinary>,
    /// The arguments of each.
    tests: Vec<String>,
    accel: Accelerator,
    patience: Duration,
}

impl Plan {
    /// What a kernel does wrong is part of the outcome; an error is ours, or an interrupt.
    fn run(&self, suite: Suite, refresh: bool) -> Result<Outcome> {
        println!("\n── {suite}");
        let kernel = Kernel::obtain(suite, refresh)?;
        println!("   Linux {}", kernel.version);
        let script = job::script(&kernel, &job::checks(&host::portreeve_binary()?, &self.binaries, &self.tests));
        let machine = Machine { kernel: &kernel, accel: self.accel, memory_mib: KERNEL_MEMORY_MIB, network: false };
        let ran = watch(&machine, &script, self.patience)?;
        let outcome = Outcome::of(&kernel, &ran, &self.binaries);
        outcome.problems.iter().for_each(|problem| println!("   {problem}"));
        Ok(outcome)
    }
}

/// Runs a job, and shows its steps and tests as they come.
fn watch(machine: &Machine<'_>, script: &str, patience: Duration) -> Result<Ran> {
    machine.run(script, patience, |line| {
        if let Some(step) = line.strip_prefix(job::MARK) {
            println!("  {step}");
        } else if line.starts_with("test ") && line.contains(" ... ") {
            println!("     {line}");
        }
    })
}

fn conclude(mut outcomes: Vec<Outcome>, json: bool) -> Result<()> {
    outcomes.iter_mut().try_for_each(doctor::compare)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcomes).context("cannot write JSON")?);
    } else {
        print!("\n{}", outcome::table(&outcomes));
    }
    let problems: Vec<_> = outcomes.iter().flat_map(Outcome::named_problems).collect();
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}; the logs are in target/kernels/<suite>/", problems.join("; "))
}

/// A test binary by its name in tests/tests.
struct TestBinary {
    name: String,
    path: PathBuf,
}

/// Builds it, with what it needs of this tree; the daemon is another matter.
fn test_binary(name: &str) -> Result<TestBinary> {
    let mut command = chore::cargo();
    command.args(["test", "--package", "portreeve-tests", "--test", name, "--no-run", "--message-format=json"]);
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the tests `{name}` do not build: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut paths = built.filter(|line| line.pointer("/target/name").is_some_and(|found| found == name));
    let path = paths.find_map(|line| Some(PathBuf::from(line.get("executable")?.as_str()?)));
    let path = path.with_context(|| format!("cargo does not say where the tests `{name}` are"))?;
    Ok(TestBinary { name: name.to_owned(), path })
}

//! `cargo xtask setup`: installs and builds what is missing, says each step, can be run again at no cost.

mod clients;
mod ebpf;
mod machine;
mod mysql;
mod packages;
mod rust;
mod suite;
mod tools;

pub(crate) use ebpf::Toolchain;
pub(crate) use tools::{denier, fuzzer};

use anyhow::{Result, bail};
use machine::Machine;
use std::{
    io::{Write as _, stdout},
    time::Instant,
};

/// Install and build what is missing on this machine, and say what could not be done.
///
/// Steps that find their work done take no time: run it as often as you like. Packages and MySQL need root; everything
/// else goes into `target/`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask setup            install what is missing\n  cargo xtask setup --check    say what is missing, change nothing"
)]
pub(crate) struct Args {
    /// Only say what is missing; exit 1 if anything is.
    #[arg(long)]
    check: bool,
}

/// How a step went.
enum Outcome {
    /// It was there before; what exactly.
    There(String),
    /// It is there now.
    Done(String),
}

/// The second argument takes lines of progress.
type Make = fn(&Machine, &mut dyn FnMut(&str)) -> Result<String>;

/// One thing that must be on the machine.
struct Step {
    name: &'static str,
    /// What is there, or none.
    find: fn(&Machine) -> Result<Option<String>>,
    /// Gets it there; says what in the end.
    make: Make,
}

/// In order of need: a later step may use what an earlier one installed.
const STEPS: [Step; 10] = [
    Step { name: "rust", find: rust::find, make: rust::make },
    Step { name: "packages", find: packages::find, make: packages::make },
    Step { name: "llvm 22", find: packages::find_llvm, make: packages::make_llvm },
    Step { name: "ebpf toolchain", find: ebpf::find_toolchain, make: ebpf::make_toolchain },
    Step { name: "bpf-linker", find: ebpf::find_linker, make: ebpf::make_linker },
    Step { name: "mysql 9.7", find: mysql::find, make: mysql::make },
    Step { name: "mariadb-test", find: suite::find, make: suite::make },
    Step { name: "python clients", find: clients::find_python, make: clients::make_python },
    Step { name: "node clients", find: clients::find_node, make: clients::make_node },
    Step { name: "rust clients", find: clients::find_rust, make: clients::make_rust },
];

/// Errors when something is missing in the end, after trying every step.
pub(crate) fn run(args: &Args) -> Result<()> {
    let machine = Machine::read()?;
    println!("setup: {machine}");
    let mut missing = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        let label = format!("[{}/{}] {}", index + 1, STEPS.len(), step.name);
        if !take(step, &machine, &label, args.check) {
            missing.push(step.name);
        }
    }
    if !missing.is_empty() {
        bail!("setup is not complete: {} missing, see above", missing.join(", "));
    }
    println!("setup: everything is there");
    Ok(())
}

/// What the other chores call first.
pub(crate) fn ensure() -> Result<()> {
    run(&Args { check: false })
}

fn take(step: &Step, machine: &Machine, label: &str, check: bool) -> bool {
    let start = Instant::now();
    print!("{label} … ");
    // A step that is long in coming should be seen by name.
    let _ = stdout().flush();
    let mut told = false;
    let mut progress = |text: &str| {
        if !told {
            println!();
        }
        told = true;
        println!("      {text}");
    };
    let outcome = (step.find)(machine).and_then(|found| match found {
        Some(what) => Ok(Outcome::There(what)),
        None if check => bail!("missing; run `cargo xtask setup`"),
        None => (step.make)(machine, &mut progress).map(Outcome::Done),
    });
    if told {
        print!("{label} … ");
    }
    match &outcome {
        Ok(Outcome::There(what)) => println!("already there: {what}"),
        Ok(Outcome::Done(what)) => println!("ok: {what} ({} s)", start.elapsed().as_secs()),
        Err(error) => println!("failed: {error:#}"),
    }
    outcome.is_ok()
}

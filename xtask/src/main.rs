//! Portreeve's chores, one command each; CI calls the same commands as a person.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod bench;
mod chore;
mod conformance;
mod corpus;
mod demo;
mod differential;
mod kernels;
mod limits;
mod setup;
mod suite;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Portreeve's chores: set a machine up, show the product, test it, measure it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install and build what is missing: packages, eBPF toolchain, servers, clients.
    Setup(setup::Args),
    /// Watch an unmodified client being intercepted, identified, allowed, denied and recorded.
    Demo(demo::Args),
    /// Check formatting, lints and tidiness, then run unit and end-to-end tests.
    Test(suite::Args),
    /// Measure Portreeve against no proxy, HAProxy and MySQL Router.
    Bench(bench::Args),
    /// Compare MariaDB's own test suite through Portreeve with direct runs.
    Conformance(conformance::Args),
    /// Count how much of MariaDB's own suite analysis reads.
    Corpus(corpus::Args),
    /// Compare the tables that analysis finds with those that a server asks privileges for.
    Differential(differential::Args),
    /// Boot Debian's kernels, load the kernel programs there and run the interception tests inside.
    Kernels(kernels::Args),
    /// Check the tree against the rules that no other tool knows.
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Setup(args) => setup::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => suite::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Conformance(args) => conformance::run(&args),
        Chore::Corpus(args) => corpus::run(&args),
        Chore::Differential(args) => differential::run(&args),
        Chore::Kernels(args) => kernels::run(&args),
        Chore::Tidy(args) => tidy::run(&args),
    };
    report(done)
}

fn report(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_chore_shows_examples() {
        let mut cli = Cli::command();
        cli.build();
        for chore in cli.get_subcommands_mut().filter(|chore| chore.get_name() != "help") {
            let help = chore.render_long_help().to_string();
            assert!(help.contains("Examples:\n  cargo xtask "), "{help}");
        }
    }
}

//! The `portreeve` binary: parses the command line and does what it says.
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

mod admin;
mod app;
mod catalogue;
mod cli;
mod config;
mod connections;
mod connects;
mod counters;
mod gateway;
mod handover;
mod hex;
mod host;
mod interception;
mod limits;
mod memory;
mod notify;
mod policies;
mod recorder;
mod selector;
mod session;
mod tls;
mod worker;
mod workloads;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::execute(&cli::Cli::parse()).unwrap_or_else(|error| cli::report(&error))
}

//! `portreeve guard`

use super::{print_json, render};
use crate::{
    admin::{InUse, Lock},
    app,
    config::Config,
};
use clap::Args;
use serde::Serialize;
use std::{io::Write, path::Path, path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// Print what is in force as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Guarded {
    /// A daemon runs: it does what is to be done, and more.
    daemon_runs: bool,
    cgroups: Vec<PathBuf>,
    pins: Option<PathBuf>,
}

/// Reads the configuration without the files that it names: secrets and policies may be on file systems that are not there yet.
pub(super) fn run(args: &GuardArgs, path: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let config = Config::read(path)?;
    let guarded = match Lock::take(&config.run_dir) {
        Ok(_held) => {
            let app::Guarded { pins, cgroups } = app::guard(&config)?;
            Guarded { daemon_runs: false, cgroups, pins: Some(pins) }
        }
        Err(error) if error.is::<InUse>() => Guarded { daemon_runs: true, cgroups: Vec::new(), pins: None },
        Err(error) => return Err(error),
    };
    if args.json {
        print_json(out, &guarded)?;
    } else if guarded.daemon_runs {
        writeln!(out, "a daemon runs with run_dir `{}`: nothing is to be done", config.run_dir.display())?;
    } else {
        writeln!(out, "refused until a daemon serves: {} tagged cgroups", guarded.cgroups.len())?;
        guarded.cgroups.iter().try_for_each(|cgroup| writeln!(out, "  {}", render::path(cgroup)))?;
    }
    Ok(ExitCode::SUCCESS)
}

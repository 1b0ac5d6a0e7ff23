//! `portreeve detach`

use super::print_json;
use crate::{admin::Lock, config::Config, host, interception::pins};
use clap::Args;
use serde::Serialize;
use std::{io::Write, path::Path, path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Detached {
    removed: Vec<PathBuf>,
}

/// Holding the instance's lock proves that no daemon relies on the pins.
pub(super) fn run(args: &DetachArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?;
    let _held = Lock::take(&config.run_dir)?;
    let removed = match host::bpffs_mount()? {
        Some(bpffs) => pins::detach(&bpffs, &config.run_dir)?,
        None => Vec::new(),
    };
    if args.json {
        print_json(out, &Detached { removed })?;
    } else if removed.is_empty() {
        writeln!(out, "nothing is pinned for run_dir `{}`", config.run_dir.display())?;
    } else {
        for pins in &removed {
            writeln!(out, "removed {}", pins.display())?;
        }
        writeln!(out, "workloads of this instance now connect to servers directly")?;
    }
    Ok(ExitCode::SUCCESS)
}

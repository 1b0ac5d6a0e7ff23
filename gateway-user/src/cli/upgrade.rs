//! `portreeve upgrade`

use super::print_json;
use crate::{
    admin::{
        client,
        message::{Request, Response},
    },
    config::Config,
    limits::UPGRADE_CLIENT_TIMEOUT,
};
use anyhow::{Context as _, bail};
use clap::Args;
use std::{io::Write, path::Path, path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    /// The binary to go on with; the one at the running daemon's own path if left out
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &UpgradeArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let socket = Config::read(config)?.control_socket();
    // The daemon may have been started in another folder.
    let binary = args.binary.as_deref().map(std::fs::canonicalize).transpose();
    let binary = binary.with_context(|| format!("`{}`", args.binary.as_deref().unwrap_or(config).display()))?;
    let request = Request::Upgrade { binary };
    let Response::Upgraded { upgraded } = client::ask_for(&socket, &request, UPGRADE_CLIENT_TIMEOUT)? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &upgraded)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "process {} serves in place of process {}", upgraded.pid, upgraded.previous_pid)?;
    if upgraded.sessions_draining > 0 {
        writeln!(
            out,
            "{} sessions go on there for at most {} s; `portreeve status` says how many are left",
            upgraded.sessions_draining, upgraded.drain_seconds
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

//! `portreeve policy reload`

use super::{USAGE, Usage, print_json};
use crate::{
    admin::{
        client,
        message::{Reloaded, Request, Response},
    },
    config::Config,
};
use anyhow::bail;
use clap::Args;
use std::{fmt::Write as _, io::Write, path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Print the problems, and the policies in force, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReloadArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let socket = Config::read(config)?.control_socket();
    let Response::Reloaded { reloaded } = client::ask(&socket, &Request::ReloadPolicies {})? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &reloaded)?;
        return Ok(if reloaded.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) });
    }
    let Reloaded { problems, policy } = reloaded;
    if problems.is_empty() {
        writeln!(out, "{} policies are in force", policy.policies)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut message = format!("the {} policies in force stay, as the new ones are not valid:", policy.policies);
    for problem in problems {
        let _ = write!(message, "\n  {problem}");
    }
    Err(Usage(message).into())
}

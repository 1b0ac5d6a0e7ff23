//! `portreeve ca`

use super::print_json;
use crate::{
    config::Config,
    tls::{Authority, Description},
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct CaArgs {
    /// Print the CA as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<CaCommand>,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Replace the CA by a new one; clients must then trust the new one
    #[command(after_help = "Examples:
  portreeve ca renew                   the old certificate is kept beside the new one")]
    Renew(RenewArgs),
}

#[derive(Debug, Args)]
struct RenewArgs {
    /// Print the new CA as JSON
    #[arg(long)]
    json: bool,
}

/// What `renew --json` prints.
#[derive(Debug, Serialize)]
struct Renewed {
    #[serde(flatten)]
    new: Description,
    /// Where the old certificate is.
    kept: PathBuf,
}

/// Works without the daemon: the CA is a file, made when it is missing.
pub(super) fn run(args: &CaArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let state_dir = Config::read(config)?.state_dir;
    match &args.command {
        None => {
            let found = Authority::open(&state_dir, SystemTime::now())?.describe()?;
            if args.json { print_json(out, &found)? } else { print(&found, out)? }
        }
        Some(CaCommand::Renew(args)) => {
            let (authority, kept) = Authority::renew(&state_dir, SystemTime::now())?;
            let renewed = Renewed { new: authority.describe()?, kept };
            if args.json { print_json(out, &renewed)? } else { print_renewed(&renewed, out)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_renewed(renewed: &Renewed, out: &mut impl Write) -> io::Result<()> {
    print(&renewed.new, out)?;
    writeln!(out, "\nthe old certificate is kept as {}", renewed.kept.display())?;
    writeln!(out, "restart the daemon: it shows certificates of the old CA until then")?;
    writeln!(out, "and give the new CA to every client that verifies: they refuse to connect otherwise")
}

/// The PEM comes last, as it is in the file: what reads PEM files skips the lines before.
fn print(ca: &Description, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "path         {}", ca.path.display())?;
    writeln!(out, "subject      {}", ca.subject)?;
    writeln!(out, "fingerprint  SHA-256 {}", ca.sha256)?;
    writeln!(out, "valid        {} to {}", ca.not_before, ca.not_after)?;
    writeln!(out)?;
    write!(out, "{}", ca.pem)
}

//! `portreeve verify`: whether recordings are as they were written, and which are missing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use portreeve_recording::PublicKey;

use super::render::{escape, json};
use crate::admin::client;
use crate::config::Config;
use crate::recorder;

mod file;
mod ledger;
mod signed;
#[cfg(test)]
mod tests;

use file::{Against, Finding};
pub(super) use signed::signed_frames;

/// Options of `portreeve verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  portreeve verify --all
  portreeve verify --all --public-key /mnt/elsewhere/host-7.pub
  portreeve verify /var/lib/portreeve/sessions/2026-11-21/*.prs
  portreeve verify --all --json | jq 'select(.problem != null)'

Exit code 1 when a file is not sound.")]
pub(crate) struct VerifyArgs {
    /// Recordings, wherever they are
    #[arg(value_name = "FILE", required_unless_present = "all", conflicts_with = "all")]
    files: Vec<PathBuf>,

    /// Every recording below `state_dir`, and whether any is missing
    #[arg(long)]
    all: bool,

    /// The key that must have signed: 64 hexadecimal digits as `portreeve key` prints them, or a file with them; more
    /// than one where a key was replaced. `--all` takes `state_dir`'s own if left out; files given by name are then only
    /// held against the key that they name
    #[arg(long, value_name = "FILE|HEX")]
    public_key: Vec<String>,

    /// One JSON object per file
    #[arg(long)]
    json: bool,
}

/// Verifies files one by one; memory is bounded by one frame, and with `--all` by what the ledger says of each session.
///
/// # Errors
/// The configuration, a key or a directory cannot be read, or `out` not be written. What is wrong with a file is a finding.
pub(super) fn run(args: &VerifyArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut trusted = args.public_key.iter().map(|given| public_key(given)).collect::<anyhow::Result<Vec<_>>>()?;
    // Files that somebody brought need no configuration.
    if !args.all {
        let against = Against { trusted: &trusted, is_served: true };
        return report(args.files.iter().map(|path| file::check(path, against)), args.json, out);
    }
    let config = Config::read(config)?;
    let state_dir = &config.state_dir;
    if trusted.is_empty() {
        let path = recorder::public_path(state_dir);
        trusted.push(recorder::read_public(&path).context("give the key with `--public-key`")?);
    }
    let against = Against { trusted: &trusted, is_served: is_served(&config) };
    report(ledger::check_all(state_dir, against)?.into_iter(), args.json, out)
}

/// Whether a daemon of this instance is alive, one that drains included.
fn is_served(config: &Config) -> bool {
    let draining = client::draining(&config.run_dir);
    draining.iter().chain([&config.control_socket()]).any(|socket| client::is_alive(socket))
}

fn public_key(given: &str) -> anyhow::Result<PublicKey> {
    match given.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(given).exists() => recorder::read_public(Path::new(given)),
        Err(error) => Err(error).with_context(|| format!("`{given}` is no file and no key")),
    }
}

fn report(findings: impl Iterator<Item = Finding>, as_json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (mut files, mut unsound, mut anyones) = (0, 0, None);
    for finding in findings {
        files += 1;
        unsound += usize::from(finding.problem.is_some());
        anyones = anyones.or(finding.key.clone().filter(|_| !finding.key_is_trusted));
        match as_json {
            true => writeln!(out, "{}", json::line(&finding)?)?,
            // Thousands of sound files are a number, not lines.
            false if finding.problem.is_some() => writeln!(out, "{}", line(&finding))?,
            false => {}
        }
    }
    if !as_json {
        writeln!(out, "{} of {files} recordings are sound", files - unsound)?;
        if let Some(key) = anyones {
            writeln!(out, "held against the keys they name, such as {key}: whose that is, only `--public-key` tells")?;
        }
    }
    Ok(if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn line(finding: &Finding) -> String {
    let path = escape(finding.path.as_os_str().as_encoded_bytes());
    format!("{path}: {}", escape(finding.problem.as_deref().unwrap_or("sound").as_bytes()))
}

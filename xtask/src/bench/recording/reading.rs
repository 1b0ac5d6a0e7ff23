//! How long it takes to open what was recorded: a directory of 1 GB, and one file of 10.

use super::super::table;
use crate::chore;
use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::statvfs;
use portreeve_tests::{
    gateway::{Gateway, GatewayConfig},
    host, process,
};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Closed sessions, and bytes of each: 1 GB.
const SESSIONS: u64 = 100;
const SESSION_BYTES: u64 = 10_000_000;
/// The file that is followed, and the smaller one where there is no room for it.
const FILE_BYTES: u64 = 10_000_000_000;
const SMALL_FILE_BYTES: u64 = 3_000_000_000;
/// What must be left on the disk beside it.
const SPARE_BYTES: u64 = 10_000_000_000;
const TIMES: u32 = 3;
const SESSIONS_MAX: Duration = Duration::from_secs(1);
/// "At once": what a person does not wait for.
const TAIL_MAX: Duration = Duration::from_millis(500);

/// How long a command takes.
#[derive(Debug, serde::Serialize)]
pub(super) struct Reading {
    what: String,
    seconds: f64,
    seconds_max: f64,
}

/// # Errors
/// A command fails, or there is no room for what is read.
pub(super) fn run() -> Result<Vec<Reading>> {
    // For its configuration alone: nothing runs.
    let gateway = Gateway::prepare(&GatewayConfig::default())?;
    fill(&gateway, SESSIONS, SESSION_BYTES, &[])?;
    let sessions = timed(|| whole(&gateway, &["sessions", "--limit", "0"]))?;
    fs::remove_dir_all(state(&gateway)).context("cannot remove recordings")?;
    let room = statvfs(gateway.dir()).context("cannot ask for the room on the disk")?;
    let room = room.blocks_available().saturating_mul(room.fragment_size());
    let bytes = if room >= FILE_BYTES + SPARE_BYTES { FILE_BYTES } else { SMALL_FILE_BYTES };
    fill(&gateway, 1, bytes, &["--open"])?;
    let tail = timed(|| whole(&gateway, &["tail"]))?;
    let follow = timed(|| first_line(&gateway, &["tail", "--follow"]))?;
    let on = format!("a session of {} GB", bytes / 1_000_000_000);
    let reading = |what: String, seconds, most: Duration| Reading { what, seconds, seconds_max: most.as_secs_f64() };
    Ok(vec![
        reading("sessions, of 100 sessions, 1 GB".to_owned(), sessions, SESSIONS_MAX),
        reading(format!("tail, {on}"), tail, TAIL_MAX),
        reading(format!("tail --follow, first line, {on}"), follow, TAIL_MAX),
    ])
}

fn state(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("state")
}

/// Makes recordings.
fn fill(gateway: &Gateway, sessions: u64, bytes: u64, more: &[&str]) -> Result<()> {
    println!("writing {} GB of recordings", sessions * bytes / 1_000_000_000);
    let mut command = chore::cargo();
    command.args(["run", "--quiet", "--release", "--package", "portreeve-recording", "--example", "fill", "--"]);
    command.arg(state(gateway)).args([sessions.to_string(), bytes.to_string()]).args(more);
    if !chore::watched(command, |_| ())? {
        bail!("recordings cannot be written, see above");
    }
    Ok(())
}

/// The median, in seconds.
fn timed(run: impl Fn() -> Result<Duration>) -> Result<f64> {
    let times = (0..TIMES).map(|_| Ok(run()?.as_secs_f64())).collect::<Result<Vec<_>>>()?;
    table::median(times.into_iter()).context("nothing was measured")
}

fn whole(gateway: &Gateway, args: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let output = gateway.cli(args)?;
    let took = start.elapsed();
    if !output.status.success() || output.stdout.is_empty() {
        bail!("`portreeve {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}

fn first_line(gateway: &Gateway, args: &[&str]) -> Result<Duration> {
    let mut command = Command::new(host::portreeve_binary()?);
    command.args(args).arg("--config").arg(gateway.config_path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = process::spawn(command)?;
    let mut line = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    let took = start.elapsed();
    process::terminate(&mut child)?;
    match read {
        Some(Ok(read)) if read > 0 => Ok(took),
        Some(_) | None => bail!("`portreeve {}` printed nothing", args.join(" ")),
    }
}

/// Of all files.
pub(super) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry.context("cannot read a folder of recordings")?;
        let found = entry.metadata().context("cannot read a folder of recordings")?;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

/// Errors with the first command that takes too long.
pub(super) fn check(readings: &[Reading]) -> Result<()> {
    match readings.iter().find(|reading| !reading.holds()) {
        Some(reading) => bail!("{} takes {:.2} s", reading.what, reading.seconds),
        None => Ok(()),
    }
}

impl Reading {
    fn holds(&self) -> bool {
        self.seconds <= self.seconds_max
    }
}

pub(super) fn text(readings: &[Reading]) -> String {
    let mut text = format!("\n{:<48}{:>10}{:>10}\n", "reading", "s", "at most");
    for reading in readings {
        let verdict = if reading.holds() { "" } else { "  too long" };
        let _ = writeln!(text, "{:<48}{:>10.2}{:>10.2}{verdict}", reading.what, reading.seconds, reading.seconds_max);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_named() {
        let reading = |seconds| Reading { what: "tail".to_owned(), seconds, seconds_max: 0.5 };
        assert!(check(&[reading(0.1), reading(0.5)]).is_ok());
        let error = check(&[reading(0.1), reading(0.6)]).unwrap_err().to_string();
        assert_eq!(error, "tail takes 0.60 s");
        assert!(text(&[reading(0.6)]).ends_with("0.60      0.50  too long\n"));
    }
}

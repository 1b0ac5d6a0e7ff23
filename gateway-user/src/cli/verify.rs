//! `portreeve verify`: whether recordings are as they were written.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portreeve_recording::{End, ReadError, Stream, StreamError, TornWhy};
use serde::Serialize;
use uuid::Uuid;

use super::render::{escape, json};
use crate::config::Config;
use crate::recorder::directory;

#[cfg(test)]
mod tests;

/// Options of `portreeve verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  portreeve verify --all
  portreeve verify /var/lib/portreeve/sessions/2026-11-21/*.prs
  portreeve verify --all --json | jq 'select(.problem != null)'

Exit code 1 when a file is not sound.")]
pub(crate) struct VerifyArgs {
    /// Session files, wherever they are
    #[arg(value_name = "FILE", required_unless_present = "all", conflicts_with = "all")]
    files: Vec<PathBuf>,

    /// Every recording below `state_dir`
    #[arg(long)]
    all: bool,

    /// One JSON object per file
    #[arg(long)]
    json: bool,
}

/// How a file is; `docs/recordings.md` says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Sound,
    Open,
    Unfinished,
    Damaged,
    Unreadable,
}

/// What was found in one file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    path: PathBuf,
    state: State,
    /// Frames that are sound: also the number, from 0, of the frame that is not.
    frames: u64,
    /// Where the sound frames end, in bytes.
    byte: u64,
    problem: Option<String>,
}

/// Verifies files one by one; memory is bounded by one frame.
///
/// # Errors
/// The configuration or a directory cannot be read, or `out` not be written. What is wrong with a file is a finding.
pub(super) fn run(args: &VerifyArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    // Files that somebody brought need no configuration.
    let files = if args.all { all(&Config::read(config)?.state_dir)? } else { args.files.clone() };
    verify(&files, args.json, out)
}

fn verify(files: &[PathBuf], as_json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut unsound = 0;
    for path in files {
        let finding = check(path);
        unsound += usize::from(finding.problem.is_some());
        match as_json {
            true => writeln!(out, "{}", json::line(&finding)?)?,
            // Thousands of sound files are a number, not lines.
            false if finding.problem.is_some() => writeln!(out, "{}", line(&finding))?,
            false => {}
        }
    }
    if !as_json {
        writeln!(out, "{} of {} recordings are sound", files.len() - unsound, files.len())?;
    }
    Ok(if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn all(state_dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for day in directory::days(state_dir)? {
        files.extend(directory::sessions(state_dir, &day)?.into_iter().map(|session| session.path));
    }
    Ok(files)
}

/// Reads a file to its end.
fn check(path: &Path) -> Finding {
    let finding = |state, frames, byte, problem| Finding { path: path.to_owned(), state, frames, byte, problem };
    let unreadable =
        |frames, byte, error: &dyn std::fmt::Display| finding(State::Unreadable, frames, byte, Some(error.to_string()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return unreadable(0, 0, &error),
    };
    // Asked before reading: a session that closes meanwhile is then read to its close.
    let is_written = directory::is_written(&file);
    let mut stream = match Stream::open(file) {
        Ok(stream) => stream,
        Err(StreamError::Read(ReadError::Blank)) if is_written => return finding(State::Open, 0, 0, None),
        Err(error) => return unreadable(0, 0, &error),
    };
    if let Some(problem) = misnamed(path, stream.header().session_id) {
        return finding(State::Damaged, 0, 0, Some(problem));
    }
    let end = loop {
        match stream.next_frame() {
            Ok(Ok(_)) => {}
            Ok(Err(end)) => break end,
            Err(error) => return unreadable(stream.position().index, stream.position().offset, &error),
        }
    };
    let (frames, byte) = (stream.position().index, stream.position().offset);
    let (state, problem) = match end {
        End::Closed => (State::Sound, None),
        End::Open { .. } if is_written => (State::Open, None),
        End::Open { .. } => (State::Unfinished, Some(unfinished(frames))),
        End::Torn { why, .. } => (State::Damaged, Some(damaged(frames, byte, why))),
    };
    finding(state, frames, byte, problem)
}

/// A file put in the place of another has a sound chain of its own. Only names that are session ids are compared: who
/// keeps a copy calls it as they like.
fn misnamed(path: &Path, session_id: [u8; 16]) -> Option<String> {
    let id = Uuid::from_bytes(session_id);
    let named = Uuid::try_parse(path.file_stem()?.to_str()?).ok()?;
    (named != id).then(|| format!("this is the recording of session {id}, under another's name"))
}

fn unfinished(frames: u64) -> String {
    format!("it ends after {frames} frames without a closing record: its daemon was killed, or the file was cut there")
}

fn damaged(frame: u64, byte: u64, why: TornWhy) -> String {
    format!("frame {frame}, at byte {byte}: {why}")
}

fn line(finding: &Finding) -> String {
    let path = escape(finding.path.as_os_str().as_encoded_bytes());
    format!("{path}: {}", escape(finding.problem.as_deref().unwrap_or("sound").as_bytes()))
}

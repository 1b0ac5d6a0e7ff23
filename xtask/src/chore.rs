//! Commands that a chore runs, and what they print.

use crate::limits::{NETWORK_PAUSE, NETWORK_TRIES_MAX, PROGRESS_EVERY};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, process};
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What a short command prints, or none when it is missing or fails.
pub(crate) fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A long command whose output goes to `target/setup/<log>.log`; its last line is shown now and then. A failure carries
/// the end of the log.
pub(crate) fn logged(log: &str, mut command: Command, mut progress: impl FnMut(&str)) -> Result<()> {
    let shown = process::shown(&command);
    let path = host::provisioned().join("setup").join(format!("{log}.log"));
    fs::create_dir_all(host::provisioned().join("setup")).context("cannot create target/setup")?;
    let mut file = File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    writeln!(file, "$ {shown}").with_context(|| format!("cannot write `{}`", path.display()))?;
    command.stdin(Stdio::null());
    command.stdout(file.try_clone().context("cannot share the log")?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let start = Instant::now();
    let mut told = start;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a command")? {
            break status;
        }
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            progress(&format!("{} s: {}", start.elapsed().as_secs(), last_line(&host::log_tail(&path))));
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        let tail = host::log_tail(&path);
        let end: Vec<_> = tail.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        bail!("`{shown}` failed ({status}): {}; all of it is in `{}`", end.join(" | "), path.display());
    }
    Ok(())
}

/// Runs `attempt` until it works, at most [`NETWORK_TRIES_MAX`] times: mirrors and package locks have bad moments.
pub(crate) fn retried(
    mut progress: impl FnMut(&str),
    mut attempt: impl FnMut(&mut dyn FnMut(&str)) -> Result<()>,
) -> Result<()> {
    let mut number = 1;
    loop {
        match attempt(&mut progress) {
            Err(error) if number < NETWORK_TRIES_MAX => {
                progress(&format!("try {number} of {NETWORK_TRIES_MAX}: {error:#}"));
                number += 1;
                thread::sleep(NETWORK_PAUSE);
            }
            done => return done,
        }
    }
}

/// Runs a command in the foreground, its output shown as it comes; `line` sees every line of stdout. True when it
/// succeeded.
pub(crate) fn watched(mut command: Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let shown = process::shown(&command);
    println!("$ {shown}");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    for text in BufReader::new(stdout).split(b'\n') {
        let text = text.with_context(|| format!("cannot read from `{shown}`"))?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        line(&text);
    }
    Ok(child.wait().context("cannot wait for a command")?.success())
}

/// The cargo that runs this chore.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(host::repo_root());
    // Set by the `cargo run` around this chore; they are about xtask, and would make cargo rebuild what reads them.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_BIN_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Builds what `portreeve_tests::host::portreeve_binary` finds, unless `PORTREEVE_BIN` names another one.
pub(crate) fn build_release() -> Result<()> {
    if std::env::var_os("PORTREEVE_BIN").is_some() {
        println!("PORTREEVE_BIN is set: {}", host::portreeve_binary()?.display());
        return Ok(());
    }
    let mut command = cargo();
    command.args(["build", "--release", "--package", "portreeve"]);
    if watched(command, |_| ())? {
        return Ok(());
    }
    bail!("the daemon does not build, see above")
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_end_of_the_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = format!("{:#}", logged("chore-test", command, |_| ()).unwrap_err());
        assert!(error.contains("exit status: 3") && error.contains("one | two"), "{error}");
    }

    #[test]
    fn lines_are_seen_as_they_come() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two"]);
        let mut seen = Vec::new();
        assert!(watched(command, |line| seen.push(line.to_owned())).unwrap());
        assert_eq!(seen, ["one", "two"]);
    }
}

//! The real daemon, with a configuration, policies, secrets and state of its own under `target/run`.

mod config;

use crate::{
    host,
    limits::{CLIENT_RUN_MAX, GATEWAY_START_MAX, POLL_EVERY},
    process,
};
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Instant,
};

pub use config::{Credential, GatewayConfig, Policy, Upstream, Workload};

/// A running `portreeve run`. Dropping it ends the daemon and removes its pins and files.
#[derive(Debug)]
pub struct Gateway {
    dir: PathBuf,
    observe: bool,
    child: Option<Child>,
}

impl Gateway {
    /// Writes configuration, policies and secrets, starts the daemon, and returns when `portreeve status` answers.
    /// Errors carry what the daemon printed.
    pub fn start(config: &GatewayConfig) -> Result<Self> {
        let mut gateway = Self::prepare(config)?;
        gateway.restart()?;
        Ok(gateway)
    }

    /// Writes the same files and starts nothing: [`Gateway::restart`] does, or [`Gateway::cli`] with `run`.
    pub fn prepare(config: &GatewayConfig) -> Result<Self> {
        host::require_root()?;
        host::ensure_bpffs()?;
        let gateway = Self { dir: host::run_dir("gateway")?, observe: config.observe, child: None };
        config.write(&gateway.dir)?;
        Ok(gateway)
    }

    /// The configuration file, for `--config`.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("portreeve.toml")
    }

    /// The folder that holds configuration, `policies/`, `secrets/`, `run/` and `state/`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The daemon's process id, if it was not ended through this value.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the daemon again with the same files, after [`Gateway::kill9`] or [`Gateway::terminate`]. A running one is
    /// ended first.
    pub fn restart(&mut self) -> Result<()> {
        self.restart_as(&host::portreeve_binary()?)
    }

    /// The same as this binary.
    pub fn restart_as(&mut self, binary: &Path) -> Result<()> {
        self.begin(binary)?;
        self.wait_ready()
    }

    /// Starts the daemon as this binary, and does not wait for anything.
    pub fn begin(&mut self, binary: &Path) -> Result<()> {
        self.terminate()?;
        let mut command = Command::new(binary);
        command.arg("run").args(self.observe.then_some("--observe")).arg("--config").arg(self.config_path());
        let log = self.log_file()?;
        command.stdin(Stdio::null()).stdout(log.try_clone().context("cannot share the daemon's log")?).stderr(log);
        self.child = Some(process::spawn(command)?);
        Ok(())
    }

    /// For what is appended to the daemon's log.
    pub(crate) fn log_file(&self) -> Result<File> {
        File::options().create(true).append(true).open(self.log_path()).context("cannot open the daemon's log")
    }

    fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let child = self.child.as_mut().context("the daemon was not started")?;
            if let Some(status) = child.try_wait().context("cannot wait for the daemon")? {
                self.child = None;
                bail!("the daemon ended at once ({status}): {}", self.log());
            }
            let status = self.cli(&["status"])?;
            if status.status.success() {
                return Ok(());
            }
            if start.elapsed() > GATEWAY_START_MAX {
                let said = String::from_utf8_lossy(&status.stderr).into_owned();
                bail!("`portreeve status` fails after {GATEWAY_START_MAX:?}: {said}; the daemon's log: {}", self.log());
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Ends the daemon without a chance to tidy up. What it pinned stays, by design.
    pub fn kill9(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { bail!("the daemon does not run") };
        process::signal(&child, Signal::SIGKILL)?;
        child.wait().context("cannot wait for the daemon").map(drop)
    }

    /// Asks the daemon to end and waits for it; none when it does not run.
    pub fn terminate(&mut self) -> Result<Option<ExitStatus>> {
        self.child.take().map(|mut child| process::terminate(&mut child)).transpose()
    }

    /// Whether the daemon still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What the daemon printed so far, its end only.
    pub fn log(&self) -> String {
        host::log_tail(&self.log_path())
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// `portreeve <args> --config <this daemon's>`, whatever its exit status.
    pub fn cli(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(host::portreeve_binary()?);
        command.args(args).arg("--config").arg(self.config_path());
        process::output(command, CLIENT_RUN_MAX)
    }

    /// What `portreeve <args>` prints as JSON; an error when it fails.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.cli(args)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("`portreeve {}` failed: {said}; the daemon's log: {}", args.join(" "), self.log());
        }
        serde_json::from_slice(&output.stdout).context("no JSON")
    }

    /// Every record of every session so far, oldest first: `portreeve tail --json --lines 0 <args>`.
    pub fn records(&self, args: &[&str]) -> Result<Vec<Value>> {
        let output = self.cli(&[&["tail", "--json", "--lines", "0"], args].concat())?;
        if !output.status.success() {
            bail!("`portreeve tail` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout).context("`portreeve tail` printed no UTF-8")?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: `{line}`"))).collect()
    }

    /// The folders of kernel programs and maps that this instance has pinned, one per build that left some.
    pub fn pins(&self) -> Result<Vec<PathBuf>> {
        let run_dir = self.dir.join("run");
        // On the keeper: the pins are in its mount namespace.
        let folders = process::on_keeper(move || {
            let instances = instance_pins(&run_dir)?;
            instances.iter().map(|path| entries(path)).collect::<Result<Vec<_>>>()
        });
        Ok(folders??.concat())
    }

    /// Ends a daemon that took over from the child (`portreeve upgrade`): it is nobody's.
    fn end_successor(&self) -> Result<()> {
        let Ok(status) = self.json(&["status", "--json"]) else { return Ok(()) };
        let pid = status.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.context("a status without a pid")?;
        process::signal_pid(pid, Signal::SIGTERM)?;
        let start = Instant::now();
        while Path::new(&format!("/proc/{pid}")).exists() {
            if start.elapsed() > GATEWAY_START_MAX {
                bail!("process {pid} does not end");
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    fn remove(&mut self) -> Result<()> {
        if self.terminate()?.is_some() {
            self.end_successor()?;
        }
        let run_dir = self.dir.join("run");
        process::on_keeper(move || remove_pins(&run_dir))??;
        if thread::panicking() {
            eprintln!("the daemon's files stay for a look: {}\n{}", self.dir.display(), self.log());
            return Ok(());
        }
        host::remove_run_dir(&self.dir)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("the daemon of `{}` did not go away: {error:#}", self.dir.display());
        }
    }
}

fn remove_pins(run_dir: &Path) -> Result<()> {
    for path in instance_pins(run_dir)? {
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove the pins `{}`", path.display()))?;
    }
    // Fails while another instance has pins, as it should.
    let _ = fs::remove_dir(pins_root());
    Ok(())
}

/// An instance's pins lie in `portreeve/<run_dir>/` below the bpffs, with `/` written `-` and other signs as `_xx` (two
/// hexadecimal digits). Only the part of the path that no other run of the harness has is compared.
fn instance_pins(run_dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = run_dir.parent().and_then(Path::file_name).context("a run folder has a name")?;
    let unique = format!("-{}-run", folder.to_string_lossy().replace('-', "_2d"));
    let mut paths = entries(&pins_root())?;
    paths.retain(|path| path.to_string_lossy().ends_with(&unique));
    Ok(paths)
}

fn pins_root() -> PathBuf {
    Path::new(host::BPFFS).join("portreeve")
}

/// What is in a folder of pins; nothing when it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(vec![]) };
    entries.map(|entry| Ok(entry.context("cannot read the pins")?.path())).collect()
}

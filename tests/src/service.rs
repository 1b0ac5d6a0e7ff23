//! A daemon under a service manager that speaks systemd's protocol (`tests/clients/python/service_manager.py`): it keeps the
//! descriptors that it is asked to keep, and gives them to the next daemon.

use crate::{cgroup::Cgroup, client, gateway::Gateway, host, limits::GATEWAY_START_MAX, process};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// Dropping it kills the manager and every daemon that it has started, as they are in one cgroup.
#[derive(Debug)]
pub struct Service {
    manager: Child,
    words: ChildStdin,
    events: Receiver<Value>,
    main: u64,
    _cgroup: Cgroup,
}

impl Service {
    /// Starts `binary` with the files of a gateway that does not run itself, and waits until it serves.
    pub fn start(gateway: &Gateway, binary: &Path) -> Result<Self> {
        let cgroup = Cgroup::create("service")?;
        let mut command = cgroup.command(client::python_program()?)?;
        command.arg("-B").arg(host::repo_root().join("tests/clients/python/service_manager.py"));
        command.arg(binary).arg("run").arg("--config").arg(gateway.config_path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(gateway.log_file()?);
        let mut manager = process::spawn(command)?;
        let words = manager.stdin.take().context("the manager reads")?;
        let said = BufReader::new(manager.stdout.take().context("the manager speaks")?);
        let (sender, events) = channel();
        thread::spawn(move || {
            let lines = said.lines().map_while(Result::ok);
            // Nobody listens once the service is dropped.
            lines.filter_map(|line| serde_json::from_str(&line).ok()).try_for_each(|event| sender.send(event))
        });
        let mut service = Self { manager, words, events, main: 0, _cgroup: cgroup };
        service.wait_for("ready")?;
        Ok(service)
    }

    /// The main process, as the manager knows it.
    pub fn main(&self) -> u64 {
        self.main
    }

    /// `systemctl restart`: ends the main process, then starts the next one with what was kept; returns when that serves.
    pub fn restart(&mut self) -> Result<()> {
        self.say("restart")?;
        self.wait_for("ready")
    }

    /// Kills the main process; the manager starts the next one, as `Restart=always` has it.
    pub fn kill9(&mut self) -> Result<()> {
        self.say("kill")?;
        self.wait_for("ready")
    }

    /// Has the main process end, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        self.say("stop")?;
        self.wait_for("ended")
    }

    /// Waits until the main process has ended by itself.
    pub fn wait_ended(&mut self) -> Result<()> {
        self.wait_for("ended")
    }

    /// Waits until the manager has heard of a successor.
    pub fn wait_upgraded(&mut self) -> Result<()> {
        self.wait_for("ready")
    }

    fn say(&mut self, word: &str) -> Result<()> {
        writeln!(self.words, "{word}").context("the manager has ended")
    }

    fn wait_for(&mut self, event: &str) -> Result<()> {
        loop {
            let Ok(seen) = self.events.recv_timeout(GATEWAY_START_MAX) else {
                bail!("the service is not `{event}` within {GATEWAY_START_MAX:?}");
            };
            if let Some(main) = seen.get("main").and_then(Value::as_u64) {
                self.main = main;
            }
            if seen.get("event").is_some_and(|seen| seen == event) {
                return Ok(());
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The daemons go with the cgroup.
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

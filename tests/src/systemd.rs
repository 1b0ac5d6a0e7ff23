//! The unit of `docs/portreeve.service`, under a real systemd: its manager for users, which is the same program and needs not be
//! process 1.

use crate::{
    cgroup::Cgroup,
    gateway::Gateway,
    host,
    limits::{CLIENT_RUN_MAX, GATEWAY_START_MAX, POLL_EVERY},
    process,
};
use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Instant,
};

/// The unit's name.
pub const UNIT: &str = "portreeve.service";

/// systemd wants to see that the host was booted with it, wherever that was. What `ProtectKernelModules=` puts in front of a host's
/// modules is process 1's to make.
const MANAGER: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/systemd/inaccessible/dir && \
    exec /lib/systemd/systemd --user --unit=manager.target";

/// A manager with the one unit. Dropping it kills everything in its cgroup.
#[derive(Debug)]
pub struct Systemd {
    manager: Child,
    runtime: PathBuf,
    _cgroup: Cgroup,
}

impl Systemd {
    /// Starts the manager, and the unit with the files of a gateway that does not run itself.
    pub fn start(gateway: &Gateway) -> Result<Self> {
        let units = gateway.dir().join("units");
        fs::create_dir(&units).context("cannot make a folder for units")?;
        fs::write(units.join("manager.target"), "[Unit]\nAllowIsolate=yes\nDefaultDependencies=no\n")?;
        fs::write(units.join(UNIT), unit(gateway)?)?;
        // A path that is short enough for a socket.
        let runtime = std::env::temp_dir().join(format!("portreeve-systemd-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&runtime).context("cannot make a folder for systemd")?;
        let cgroup = Cgroup::create("systemd")?;
        let mut command = cgroup.command("unshare")?;
        command.args(["--mount", "--propagation", "private", "sh", "-c", MANAGER]);
        command.env("XDG_RUNTIME_DIR", &runtime).env("SYSTEMD_UNIT_PATH", &units);
        command.env("SYSTEMD_LOG_TARGET", "console");
        command.stdin(Stdio::null()).stdout(gateway.log_file()?).stderr(gateway.log_file()?);
        let systemd = Self { manager: process::spawn(command)?, runtime, _cgroup: cgroup };
        systemd.wait_running()?;
        if let Err(error) = systemd.ctl(&["start", UNIT]) {
            let status = systemd.run(&["status", UNIT])?;
            return Err(error).context(String::from_utf8_lossy(&status.stdout).into_owned());
        }
        Ok(systemd)
    }

    fn wait_running(&self) -> Result<()> {
        let start = Instant::now();
        while !self.run(&["is-active", "manager.target"])?.status.success() {
            if start.elapsed() > GATEWAY_START_MAX {
                bail!("systemd does not answer within {GATEWAY_START_MAX:?}");
            }
            thread::sleep(POLL_EVERY * 4);
        }
        Ok(())
    }

    /// `systemctl <arguments>`; what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            bail!("`systemctl {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("systemctl printed no UTF-8")
    }

    /// The main process, as systemd knows it.
    pub fn main(&self) -> Result<u64> {
        let shown = self.ctl(&["show", "--property=MainPID", "--value", UNIT])?;
        shown.trim().parse().context("a process id")
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(arguments).env("XDG_RUNTIME_DIR", &self.runtime);
        process::output(command, CLIENT_RUN_MAX)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        let _ = fs::remove_dir_all(&self.runtime);
    }
}

/// The unit as it is shipped, but for where things are. A manager for users knows neither the targets of the host nor its mounts, and
/// cannot hide folders (`ProtectHome=`).
fn unit(gateway: &Gateway) -> Result<String> {
    let shipped = fs::read_to_string(host::repo_root().join("docs").join(UNIT)).context("no unit")?;
    let config = format!("--config {}", gateway.config_path().display());
    let installed = Path::new("/usr/local/bin/portreeve").to_string_lossy().into_owned();
    let here = host::portreeve_binary()?.display().to_string();
    let line = |line: &str| {
        let line = line.replace(&installed, &here);
        match line.split_once('=').map_or("", |(key, _)| key) {
            "ExecStart" | "ExecStartPre" | "ExecReload" => format!("{line} {config}\n"),
            "After" | "Wants" | "ProtectHome" => String::new(),
            _ => format!("{line}\n"),
        }
    };
    let text: String = shipped.lines().map(line).collect();
    let log = gateway.log_path();
    let logged = format!("[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n", log.display());
    Ok(text.replace("[Unit]\n", "[Unit]\nDefaultDependencies=no\n").replace("[Service]\n", &logged))
}

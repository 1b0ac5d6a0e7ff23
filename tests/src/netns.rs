//! Network namespaces: one of the test binary's own in place of the host's, and others in it for agents.

use crate::{host, limits::CLIENT_RUN_MAX, process};
use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, unshare};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
    sync::{Mutex, PoisonError},
};

/// The host's address on the bridge that agents' namespaces can be attached to.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
/// The bridge.
const BRIDGE: &str = "agents";

/// Every command from here on, daemon and servers included, runs in a network namespace of this test binary's own with the
/// bridge and [`HOST`] in it. Call it first; again it does nothing.
pub fn own_network() -> Result<()> {
    static ENTERED: Mutex<bool> = Mutex::new(false);
    host::require_root()?;
    let mut entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if *entered {
        return Ok(());
    }
    process::on_keeper(|| unshare(CloneFlags::CLONE_NEWNET))?.context("no network namespace of our own")?;
    let lines =
        ["link set lo up", "link add agents type bridge", "addr add 10.213.0.1/24 dev agents", "link set agents up"];
    lines.iter().try_for_each(|line| run("ip", line))?;
    *entered = true;
    Ok(())
}

/// Runs a program with arguments that hold no blanks; a failure is an error.
pub fn run(program: &str, arguments: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    succeed(command)
}

fn succeed(command: Command) -> Result<()> {
    let shown = process::shown(&command);
    let output = process::output(command, CLIENT_RUN_MAX)?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A namespace that exists as long as this value, as `ip netns` makes them.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// With only `lo`, which is up.
    pub fn create() -> Result<Self> {
        let netns = Self::create_down()?;
        netns.run("ip", "link set lo up")?;
        Ok(netns)
    }

    /// With only `lo`, which is down.
    pub fn create_down() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        own_network()?;
        let name = format!("portreeve-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", &format!("netns add {name}"))?;
        Ok(Self { name })
    }

    /// The file that names it.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Attaches it to the bridge, with an address of its own there and the host as its way to everywhere else.
    pub fn attach(&self) -> Result<Ipv4Addr> {
        static NEXT: AtomicU8 = AtomicU8::new(2);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(10, 213, 0, number);
        run("ip", &format!("link add agent{number} type veth peer name eth0 netns {}", self.name))?;
        run("ip", &format!("link set agent{number} master {BRIDGE} up"))?;
        self.run("ip", &format!("addr add {address}/24 dev eth0"))?;
        self.run("ip", "link set eth0 up")?;
        self.run("ip", &format!("route add default via {HOST}"))?;
        Ok(address)
    }

    /// Runs a program in it, outside of every cgroup of ours, as [`run`] does.
    pub fn run(&self, program: &str, arguments: &str) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments.split(' '));
        succeed(self.command(&command))
    }

    /// The same command within the namespace; what else was set on it is lost.
    pub fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--");
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }
}

/// Removes the namespaces that a dead harness left (it was killed outright).
pub fn sweep() -> Result<()> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return Ok(()) };
    for entry in entries {
        let name = entry.context("cannot read /run/netns")?.file_name().to_string_lossy().into_owned();
        if name.starts_with("portreeve-") && host::is_orphan(&name) {
            run("ip", &format!("netns del {name}"))?;
        }
    }
    Ok(())
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &format!("netns del {}", self.name)) {
            eprintln!("network namespace `{}` stays behind: {error:#}", self.name);
        }
    }
}

//! Connections made by a process of its own, in ways that a driver does not: `tests/clients/python/dial.py`.

use crate::{cgroup::Cgroup, client, gateway::Gateway, host, limits::CLIENT_RUN_MAX, netns::Netns};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::process::Command;

/// What came of one connection.
#[derive(Clone, Debug)]
pub struct Dialled {
    /// The process that connected.
    pub pid: u64,
    line: Value,
}

impl Dialled {
    fn of(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).with_context(|| format!("no JSON: `{line}`"))?;
        let pid = line.get("pid").and_then(Value::as_u64).context("a line without pid")?;
        Ok(Self { pid, line })
    }

    /// The server's version, and where `getpeername` says that the connection goes, as `address port`; none when there was no
    /// greeting.
    pub fn greeting(&self) -> Option<(String, String)> {
        let peer = self.line.get("peer")?;
        let peer = format!("{} {}", peer.get(0)?.as_str()?, peer.get(1)?);
        Some((self.line.get("greeting")?.as_str()?.to_owned(), peer))
    }

    /// Bytes that came before the end of the stream, when no whole packet did.
    pub fn closed_after(&self) -> Option<u64> {
        self.line.get("closed")?.as_u64()
    }

    /// The name of the error that the system call gave, as `EPERM`.
    pub fn errno(&self) -> Option<&str> {
        self.line.get("errno")?.as_str()
    }

    /// `SO_NETNS_COOKIE` of the socket, by the way `with_cookie`.
    pub fn netns_cookie(&self) -> Option<u64> {
        self.line.get("netns_cookie")?.as_u64()
    }

    /// Milliseconds from the connect to the outcome.
    pub fn elapsed_ms(&self) -> Option<u64> {
        self.line.get("elapsed_ms")?.as_u64()
    }

    /// The destinations that the daemon recorded for the process that connected, oldest first: empty when its connections were
    /// not intercepted.
    pub fn recorded_destinations(&self, gateway: &Gateway) -> Result<Vec<String>> {
        let opened = opened_by(gateway, self.pid)?;
        let destination = |record: &Value| Some(record.get("original_destination")?.as_str()?.to_owned());
        opened.iter().map(|record| destination(record).context("a record without destination")).collect()
    }
}

/// The `opened` records of the sessions of one process.
pub fn opened_by(gateway: &Gateway, pid: u64) -> Result<Vec<Value>> {
    let of_pid = |record: &Value| record.pointer("/evidence/pid").and_then(Value::as_u64) == Some(pid);
    Ok(gateway.records(&[])?.into_iter().filter(of_pid).collect())
}

/// Connects to `address`:`port` in the given way, from the cgroup if there is one, and returns every connection it made.
pub fn dial(cgroup: Option<&Cgroup>, way: &str, address: &str, port: u16, more: &[&str]) -> Result<Vec<Dialled>> {
    dial_with(cgroup, command(way, address, port, more)?)
}

/// [`dial_once`] from a new network namespace, whose loopback interface is up.
pub fn dial_in_new_netns(
    cgroup: Option<&Cgroup>,
    way: &str,
    address: &str,
    port: u16,
    more: &[&str],
) -> Result<Dialled> {
    let dialler = command(way, address, port, more)?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(dialler.get_program()).args(dialler.get_args());
    only(way, dial_with(cgroup, command)?)
}

/// [`dial`] from a network namespace.
pub fn dial_in(
    netns: &Netns,
    cgroup: Option<&Cgroup>,
    way: &str,
    address: &str,
    port: u16,
    more: &[&str],
) -> Result<Vec<Dialled>> {
    dial_with(cgroup, netns.command(&command(way, address, port, more)?))
}

/// [`dial_in`] for one connection.
pub fn dial_once_in(
    netns: &Netns,
    cgroup: Option<&Cgroup>,
    way: &str,
    address: &str,
    port: u16,
    more: &[&str],
) -> Result<Dialled> {
    only(way, dial_in(netns, cgroup, way, address, port, more)?)
}

fn dial_with(cgroup: Option<&Cgroup>, command: Command) -> Result<Vec<Dialled>> {
    let answer = client::run_for(cgroup, command, CLIENT_RUN_MAX)?;
    if !answer.ok() {
        bail!("`{}` failed: {}", answer.command, answer.stderr);
    }
    answer.stdout.lines().map(Dialled::of).collect()
}

/// [`dial`] for one connection.
pub fn dial_once(cgroup: Option<&Cgroup>, way: &str, address: &str, port: u16, more: &[&str]) -> Result<Dialled> {
    only(way, dial(cgroup, way, address, port, more)?)
}

fn only(way: &str, mut all: Vec<Dialled>) -> Result<Dialled> {
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => bail!("`{way}` did not make one connection"),
    }
}

/// The dialler itself, to be run by something else (a container runtime).
pub fn command(way: &str, address: &str, port: u16, more: &[&str]) -> Result<Command> {
    let mut command = Command::new(client::python_program()?);
    command.arg(host::repo_root().join("tests/clients/python/dial.py"));
    command.args([way, address, &port.to_string()]).args(more);
    Ok(command)
}

//! Namespaces of our own, in which port and paths are the same for every run and nobody else is near.

use super::scratch;
use crate::{host, process};
use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Gives all that [`process`] starts from now on a network with nothing in it but a loopback device, and mounts of their
/// own: servers' data in memory, and `localhost` without IPv6 (servers of the suite listen on 127.0.0.1 alone). Needs
/// root; once per process, before anything is started.
pub fn enter() -> Result<()> {
    host::require_root()?;
    host::ensure_bpffs()?;
    fs::create_dir_all(scratch()).with_context(|| format!("cannot create `{}`", scratch().display()))?;
    process::on_keeper(separate)??;
    let mut up = Command::new("ip");
    up.args(["link", "set", "lo", "up"]);
    let answer = process::output(up, crate::limits::CLIENT_RUN_MAX)?;
    if !answer.status.success() {
        bail!("cannot start the loopback device: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    Ok(())
}

fn separate() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("cannot get namespaces of my own")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("cannot make `/` private")?;
    let scratch = scratch();
    // The suite syncs its files thousands of times.
    mount(Some("tmpfs"), &scratch, Some("tmpfs"), MsFlags::empty(), none)
        .with_context(|| format!("cannot mount a tmpfs at `{}`", scratch.display()))?;
    let hosts = scratch.join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").context("cannot write a hosts file")?;
    mount(Some(&hosts), "/etc/hosts", none, MsFlags::MS_BIND, none).context("cannot mount our own /etc/hosts")?;
    // What clients of the suite trust, see `trust`.
    fs::copy(authorities(), scratch.join("cacert.original")).context("cannot copy the suite's authority")?;
    fs::copy(authorities(), scratch.join("cacert.pem")).context("cannot copy the suite's authority")?;
    mount(Some(&scratch.join("cacert.pem")), &authorities(), none, MsFlags::MS_BIND, none)
        .context("cannot mount our own cacert.pem")
}

/// Makes clients of the suite trust the suite's authority, and the one in the file given.
pub(super) fn trust(authority: Option<&Path>) -> Result<()> {
    let more = authority.map(fs::read).transpose().context("cannot read the daemon's authority")?.unwrap_or_default();
    process::on_keeper(move || {
        let mut trusted = fs::read(scratch().join("cacert.original")).context("cannot read the suite's authority")?;
        trusted.extend(more);
        fs::write(scratch().join("cacert.pem"), trusted).context("cannot write what clients trust")
    })?
}

/// The file that the suite's clients have as `ssl-ca`.
fn authorities() -> PathBuf {
    host::provisioned().join("mariadb-test/usr/share/mysql/mysql-test/std_data/cacert.pem")
}

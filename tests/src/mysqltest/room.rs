//! Namespaces of our own, in which port and paths are the same for every run and nobody else is near.

use super::scratch;
use crate::{host, process};
use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{fs, process::Command};

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
    mount(Some(&hosts), "/etc/hosts", none, MsFlags::MS_BIND, none).context("cannot mount our own /etc/hosts")
}

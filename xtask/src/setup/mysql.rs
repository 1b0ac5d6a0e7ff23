//! MySQL 9.7, its client and its router, as a Debian unstable in `target/mysql`: Debian 12 has MariaDB only.

use super::machine::Machine;
use crate::chore;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, servers};
use std::{fs, path::Path, process::Command};

const PACKAGES: &str = "mysql-server-core,mysql-client-core,mysql-router";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Debian unstable moves: whatever 9.x it has will do, another major version is a change to look at.
const MAJOR: &str = "9.";

pub(super) fn find(_: &Machine) -> Result<Option<String>> {
    // Asks the real thing: a half-copied folder does not answer.
    let Ok(mut command) = servers::mysql_program("usr/sbin/mysqld") else { return Ok(None) };
    let output = command.args(["--no-defaults", "--version"]).output().context("cannot run mysqld")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split("Ver ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let Some(version) = version.filter(|_| output.status.success()) else {
        bail!("target/mysql is there but its mysqld does not run: remove it and run `cargo xtask setup` again");
    };
    if !version.starts_with(MAJOR) {
        bail!(
            "target/mysql holds MySQL {version}, the tests are written for 9.7: Debian unstable has moved on, see docs/install.md"
        );
    }
    Ok(Some(version.to_owned()))
}

pub(super) fn make(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    machine.require_root("debootstrap")?;
    let ready = host::provisioned().join("mysql");
    let fresh = host::provisioned().join("mysql.new");
    chore::retried(progress, |progress| {
        remove(&fresh)?;
        fs::create_dir_all(host::provisioned()).context("cannot create target/")?;
        // In a mount namespace of its own: what debootstrap mounts inside is gone however it ends, and removing the
        // folder can never reach into /proc or /sys.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]);
        command.arg(format!("--include={PACKAGES}")).arg("sid").arg(&fresh).arg(MIRROR);
        chore::logged("mysql", command, progress)
    })?;
    remove(&fresh.join("var/cache/apt/archives"))?;
    fs::rename(&fresh, &ready).context("cannot rename target/mysql.new to target/mysql")?;
    find(machine)?.context("mysqld is not in what debootstrap made")
}

fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).with_context(|| format!("cannot remove `{}`", path.display()))
}

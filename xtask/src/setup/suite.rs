//! MariaDB's own test suite with the server and the clients of the same version, unpacked into `target/mariadb-test`: the
//! packages themselves would bring a server that is started, and `mariadb-test` wants just its version of everything.

use super::machine::{Distribution, Machine};
use crate::chore;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, mysqltest::Suite};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The first one's version is the whole's.
const PACKAGES: [&str; 8] = [
    "mariadb-test",
    "mariadb-test-data",
    "mariadb-server",
    "mariadb-server-core",
    "mariadb-client",
    "mariadb-client-core",
    "mariadb-common",
    "libmariadb3",
];
/// mysqltest's only library that no other package needs.
const REGULAR_EXPRESSIONS: &str = "libpcre2-posix3";

pub(super) fn find(_: &Machine) -> Result<Option<String>> {
    // The folder appears under its name when it is complete.
    let Ok(suite) = Suite::find("main") else { return Ok(None) };
    let version = fs::read_to_string(ready().join("version")).context("target/mariadb-test has no version")?;
    Ok(Some(format!("{} of {} tests", version.trim(), suite.tests()?.len())))
}

pub(super) fn make(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    if machine.distribution == Distribution::UbuntuJammy {
        bail!(
            "Ubuntu 22.04 has MariaDB 10.6 and names its packages otherwise: use Debian 12, or the machine in vagrant/"
        );
    }
    let fresh = host::provisioned().join("mariadb-test.new");
    chore::retried(progress, |progress| {
        remove(&fresh)?;
        let archives = fresh.join("archives");
        fs::create_dir_all(&archives).with_context(|| format!("cannot create `{}`", archives.display()))?;
        if download(&archives, &mut *progress).is_err() {
            // Lists may be absent (a fresh image) or name versions that the mirror no longer has.
            machine.require_root("apt-get update")?;
            let mut update = Command::new("apt-get");
            update.args(["--yes", "--option", "DPkg::Lock::Timeout=300", "update"]);
            chore::logged("mariadb-test", update, &mut *progress)?;
            download(&archives, &mut *progress)?;
        }
        unpack(&archives, &fresh, progress)?;
        remove(&archives)
    })?;
    fs::rename(&fresh, ready()).context("cannot rename target/mariadb-test.new to target/mariadb-test")?;
    find(machine)?.context("mysqltest is not in what was unpacked")
}

fn download(archives: &Path, progress: impl FnMut(&str)) -> Result<()> {
    let version = candidate(PACKAGES.first().copied().unwrap_or_default())?;
    let mut command = Command::new("apt-get");
    // Packages of several versions may be on offer; what belongs together is of one.
    command.current_dir(archives).arg("download").args(PACKAGES.map(|package| format!("{package}={version}")));
    command.arg(REGULAR_EXPRESSIONS);
    chore::logged("mariadb-test", command, progress)?;
    fs::write(archives.with_file_name("version"), version).context("cannot write the version")
}

/// The version that apt would install.
fn candidate(package: &str) -> Result<String> {
    let said = chore::answer("apt-cache", &["policy", package]).unwrap_or_default();
    let version = said.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    version
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
        .with_context(|| format!("apt does not know `{package}`"))
}

fn unpack(archives: &Path, to: &Path, mut progress: impl FnMut(&str)) -> Result<()> {
    for entry in fs::read_dir(archives).context("cannot read the downloaded packages")? {
        let mut command = Command::new("dpkg-deb");
        command.arg("--extract").arg(entry.context("cannot read the downloaded packages")?.path()).arg(to);
        chore::logged("mariadb-test", command, &mut progress)?;
    }
    Ok(())
}

fn ready() -> PathBuf {
    host::provisioned().join("mariadb-test")
}

fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).with_context(|| format!("cannot remove `{}`", path.display()))
}

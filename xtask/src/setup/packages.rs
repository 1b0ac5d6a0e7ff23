//! Packages of the distribution.

use super::machine::{Distribution, Machine};
use crate::chore;
use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
};

/// What bpf-linker links with; its LLVM must be the one of the toolchain that builds the kernel programs.
const LLVM: [&str; 5] = ["llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev", "libxml2-dev"];

/// Clients of the matrix (tests/clients) that the distribution packages, with their languages.
const CLIENTS: [&str; 7] = [
    "libdbd-mariadb-perl",
    "libdbd-mysql-perl",
    "libmariadb-java",
    "php-cli",
    "php-mysql",
    "python3-mysqldb",
    "ruby-mysql2",
];

/// invoke-rc.d asks this program whether it may start a service (Debian policy 9.3.3).
const POLICY_RC_D: &str = "/usr/sbin/policy-rc.d";

pub(super) fn find(machine: &Machine) -> Result<Option<String>> {
    let wanted = wanted(machine.distribution);
    Ok(missing(&wanted)?.is_empty().then(|| format!("{} packages", wanted.len())))
}

pub(super) fn make(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    install(machine, &wanted(machine.distribution), progress)
}

pub(super) fn find_llvm(_: &Machine) -> Result<Option<String>> {
    Ok(missing(&LLVM)?.is_empty().then(|| "llvm-22-dev".to_owned()))
}

pub(super) fn make_llvm(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    machine.require_root("installing packages")?;
    if machine.distribution != Distribution::Debian && !known("llvm-22-dev") {
        bail!(
            "LLVM 22 is not in Ubuntu's archive: add LLVM's own with `wget https://apt.llvm.org/llvm.sh && bash llvm.sh 22`, \
             then run `cargo xtask setup` again"
        );
    }
    install(machine, &LLVM, progress)
}

fn wanted(distribution: Distribution) -> Vec<&'static str> {
    let mut packages = vec![
        "build-essential",
        // `cargo xtask kernels`: what boots Debian's kernels, and what unpacks them.
        "busybox-static",
        "ca-certificates",
        "cpio",
        // Container runtimes, for agents in them: none is a service.
        "crun",
        "debootstrap",
        // A disk that fails is a file system in a file.
        "e2fsprogs",
        "haproxy",
        "iproute2",
        "kmod",
        "mariadb-client",
        // The server without its service: nothing is started, and the tests bring their own data folders.
        if distribution == Distribution::UbuntuJammy { "mariadb-server-core-10.6" } else { "mariadb-server-core" },
        "nftables",
        "openssl",
        "python3-venv",
        "qemu-system-x86",
        "runc",
        "strace",
        "sysbench",
        // For its manager of users' services: the shipped unit is tested under it, wherever process 1 is another.
        "systemd",
        "systemd-container",
        "util-linux",
        "xz-utils",
        "zstd",
    ];
    packages.extend(CLIENTS);
    if distribution == Distribution::Debian {
        // `cargo xtask bench --only connects`; Ubuntu has it in packages of its kernels.
        packages.push("bpftool");
    } else {
        // debootstrap verifies Debian's archive with it.
        packages.push("debian-archive-keyring");
    }
    // Node may come from elsewhere (nodesource, nvm): any will do.
    if chore::answer("node", &["--version"]).is_none() {
        packages.push("nodejs");
    }
    if chore::answer("npm", &["--version"]).is_none() {
        packages.push("npm");
    }
    // Any JDK will do as well: `java` alone does not compile.
    if chore::answer("/usr/bin/javac", &["-version"]).is_none() {
        packages.push("default-jdk-headless");
    }
    packages
}

/// Those of the packages that dpkg does not have installed.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context("cannot run dpkg-query")?;
    // Its exit status is 1 when it does not know one of them: only the list counts.
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(not_in(&listed, packages))
}

fn not_in<'a>(listed: &str, packages: &[&'a str]) -> Vec<&'a str> {
    let there = |package: &str| listed.lines().any(|line| line == format!("{package} installed"));
    packages.iter().copied().filter(|package| !there(package)).collect()
}

fn known(package: &str) -> bool {
    chore::answer("apt-cache", &["show", package]).is_some_and(|text| !text.trim().is_empty())
}

/// Installs those of the packages that are missing, without starting their services.
pub(super) fn install(machine: &Machine, packages: &[&str], progress: &mut dyn FnMut(&str)) -> Result<String> {
    let missing = missing(packages)?;
    machine.require_root(&format!("installing {}", missing.join(" ")))?;
    progress(&format!("apt-get install {}", missing.join(" ")));
    let _no_services = NoServices::begin(progress)?;
    chore::retried(progress, |progress| {
        if apt(&["install", "--no-install-recommends"], &missing, progress).is_ok() {
            return Ok(());
        }
        // Lists may be absent (a fresh image) or name versions that the mirror no longer has.
        apt(&["update"], &[], progress)?;
        apt(&["install", "--no-install-recommends"], &missing, progress)
    })?;
    Ok(format!("installed {}", missing.join(" ")))
}

fn apt(action: &[&str], packages: &[&str], progress: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["--yes", "--option", "DPkg::Lock::Timeout=300"]).args(action).args(packages);
    chore::logged("apt", command, progress)
}

/// While it lives, packages may not start services: HAProxy's would, and nothing here needs it running.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let created = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY_RC_D);
        match created {
            Ok(mut file) => {
                let ours = Self { ours: true };
                // 101: action not allowed.
                file.write_all(b"#!/bin/sh\n# From `cargo xtask setup`, gone when it ends.\nexit 101\n")
                    .with_context(|| format!("cannot write `{POLICY_RC_D}`"))?;
                progress(
                    "services of new packages are not started now; haproxy's will be at the next boot unless you disable it",
                );
                Ok(ours)
            }
            // The operator has rules of their own.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(error).with_context(|| format!("cannot create `{POLICY_RC_D}`")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(Path::new(POLICY_RC_D)).is_err() {
            eprintln!("`{POLICY_RC_D}` stays behind: remove it by hand, it keeps packages from starting services");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count_as_there() {
        let listed = "haproxy installed\nsysbench config-files\nsysbench-extra installed\n";
        assert_eq!(not_in(listed, &["haproxy", "sysbench", "npm"]), ["sysbench", "npm"]);
    }

    #[test]
    fn ubuntu_differs_where_it_must() {
        assert!(wanted(Distribution::UbuntuJammy).contains(&"mariadb-server-core-10.6"));
        assert!(wanted(Distribution::Ubuntu).contains(&"debian-archive-keyring"));
        assert!(!wanted(Distribution::Debian).contains(&"debian-archive-keyring"));
    }
}

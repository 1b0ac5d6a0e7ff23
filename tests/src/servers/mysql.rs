//! MySQL 9.7, in a folder of its own with the libraries of its distribution.

use crate::host;
use anyhow::{Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The dynamic loader and the library folder, below the root of an installed Debian.
#[cfg(target_arch = "aarch64")]
const LOADER: (&str, &str) = ("usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu");
#[cfg(not(target_arch = "aarch64"))]
const LOADER: (&str, &str) = ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu");

/// A program below `target/mysql`, run by that folder's own loader and libraries: no chroot, so that paths, Unix sockets,
/// cgroup and network are the host's. `path` is for example `usr/bin/mysql`.
pub fn program(path: &str) -> Result<Command> {
    let root = root();
    let (loader, libraries) = LOADER;
    let program = root.join(path);
    if !program.is_file() {
        bail!("`{}` is not there: run `cargo xtask setup`", program.display());
    }
    let mut command = Command::new(root.join(loader));
    let mut path = root.join(libraries).into_os_string();
    // The router's plugins look for their libraries at the absolute place of an installed router.
    path.push(":");
    path.push(root.join("usr/lib/mysql-router"));
    command.arg("--library-path").arg(path).arg(program);
    Ok(command)
}

fn root() -> PathBuf {
    host::provisioned().join("mysql")
}

fn mysqld(data: &Path) -> Result<Command> {
    let usr = root().join("usr");
    let mut command = program("usr/sbin/mysqld")?;
    command
        .args(["--no-defaults", "--user=root", "--innodb-redo-log-capacity=64M"])
        .arg(format!("--basedir={}", usr.display()))
        .arg(format!("--plugin-dir={}", usr.join("lib/mysql/plugin").display()))
        .arg(format!("--lc-messages-dir={}", usr.join("share/mysql").display()))
        .arg(format!("--character-sets-dir={}", usr.join("share/mysql/charsets").display()))
        .arg(format!("--datadir={}", data.display()));
    Ok(command)
}

pub(super) fn server(data: &Path) -> Result<Command> {
    let mut command = mysqld(data)?;
    // The X protocol would listen on 33060 of every address, and two servers would collide there.
    command.args(["--mysqlx=OFF", "--secure-file-priv=NULL"]);
    Ok(command)
}

pub(super) fn initialise(data: &Path) -> Result<Command> {
    let mut command = mysqld(data)?;
    command.arg("--initialize-insecure");
    Ok(command)
}

pub(super) fn client() -> Result<Command> {
    let mut command = program("usr/bin/mysql")?;
    // Where the plugins of an installed client would be; 9.x has `mysql_native_password` only as a plugin.
    command.arg("--no-defaults").arg(format!("--plugin-dir={}", root().join("usr/lib/mysql/plugin").display()));
    Ok(command)
}

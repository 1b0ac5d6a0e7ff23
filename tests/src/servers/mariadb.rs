//! MariaDB of the distribution.

use anyhow::{Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const SETUP: &str = "run `cargo xtask setup`";

/// Smaller files than the defaults: a data folder is copied for every server.
const SMALL: [&str; 2] = ["--innodb-log-file-size=16M", "--skip-name-resolve"];

pub(super) fn server(data: &Path) -> Result<Command> {
    let mut command = Command::new(program(&["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"])?);
    command.args(["--no-defaults", "--user=root"]).arg(format!("--datadir={}", data.display())).args(SMALL);
    Ok(command)
}

pub(super) fn initialise(data: &Path) -> Result<Command> {
    let mut command = Command::new(program(&["/usr/bin/mariadb-install-db"])?);
    command
        .args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .arg(format!("--datadir={}", data.display()))
        .args(SMALL);
    Ok(command)
}

pub(super) fn client() -> Result<Command> {
    let mut command = Command::new(program(&["/usr/bin/mariadb"])?);
    command.arg("--no-defaults");
    Ok(command)
}

fn program(places: &[&str]) -> Result<PathBuf> {
    match places.iter().map(PathBuf::from).find(|path| path.exists()) {
        Some(path) => Ok(path),
        None => bail!("`{}` is not installed: {SETUP}", places.join("` or `")),
    }
}

//! Client libraries that the end-to-end tests run, at the versions that `tests/clients` pins.

use super::machine::Machine;
use crate::chore;
use anyhow::{Context as _, Result};
use portreeve_tests::host;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

const PYTHON_PINS: &str = "tests/clients/python/requirements.txt";
const RUST: &str = "tests/clients/rust";
/// In the folder of a build: what it was made from.
const BUILT: &str = "built-from.txt";
const NODE_PINS: &str = "tests/clients/node/package-lock.json";

pub(super) fn find_python(_: &Machine) -> Result<Option<String>> {
    let same = same(&pins(PYTHON_PINS), &python().join("requirements.txt"))?;
    Ok(same.then(|| "PyMySQL and others in target/clients/python".to_owned()))
}

pub(super) fn make_python(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let folder = python();
    chore::retried(progress, |progress| {
        remove(&folder)?;
        let mut venv = Command::new("/usr/bin/python3");
        venv.args(["-m", "venv"]).arg(&folder);
        chore::logged("python", venv, &mut *progress)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--require-hashes", "--disable-pip-version-check", "--requirement"])
            .arg(pins(PYTHON_PINS));
        chore::logged("python", pip, progress)
    })?;
    // Last: what says that the folder is complete.
    copy(&pins(PYTHON_PINS), &folder.join("requirements.txt"))?;
    find_python(machine)?.context("it is not there after its installation")
}

pub(super) fn find_node(_: &Machine) -> Result<Option<String>> {
    let same = same(&pins(NODE_PINS), &node().join("installed.json"))?;
    Ok(same.then(|| "mysql2 and others in target/clients/node".to_owned()))
}

pub(super) fn make_node(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let folder = node();
    chore::retried(progress, |progress| {
        remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        for file in ["package.json", "package-lock.json"] {
            copy(&pins("tests/clients/node").join(file), &folder.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
        chore::logged("node", npm, progress)
    })?;
    copy(&pins(NODE_PINS), &folder.join("installed.json"))?;
    find_node(machine)?.context("it is not there after its installation")
}

pub(super) fn find_rust(_: &Machine) -> Result<Option<String>> {
    let built = fs::read_to_string(rust().join(BUILT)).unwrap_or_default();
    Ok((built == rust_sources()?).then(|| "sqlx and mysql_async in target/clients/rust".to_owned()))
}

pub(super) fn make_rust(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let sources = rust_sources()?;
    chore::retried(progress, |progress| {
        let mut build = chore::cargo();
        build.args(["build", "--locked", "--manifest-path"]).arg(pins(RUST).join("Cargo.toml"));
        build.arg("--target-dir").arg(rust());
        chore::logged("rust-clients", build, progress)
    })?;
    fs::write(rust().join(BUILT), sources).context("cannot write what was built into target/clients/rust")?;
    find_rust(machine)?.context("it is not there after it was built")
}

/// Whatever the programs are built from, in one text.
fn rust_sources() -> Result<String> {
    let mut files = vec![pins(RUST).join("Cargo.toml"), pins(RUST).join("Cargo.lock")];
    for folder in ["src", "src/bin"] {
        let folder = pins(RUST).join(folder);
        let listed = fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        let mut paths = listed
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .with_context(|| format!("cannot read `{}`", folder.display()))?;
        paths.retain(|path| path.is_file());
        paths.sort();
        files.extend(paths);
    }
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()));
    files.iter().map(read).collect()
}

fn rust() -> PathBuf {
    host::provisioned().join("clients/rust")
}

fn python() -> PathBuf {
    host::provisioned().join("clients/python")
}

fn node() -> PathBuf {
    host::provisioned().join("clients/node")
}

fn pins(path: &str) -> PathBuf {
    host::repo_root().join(path)
}

fn same(pins: &Path, installed: &Path) -> Result<bool> {
    let wanted = fs::read(pins).with_context(|| format!("cannot read `{}`", pins.display()))?;
    match fs::read(installed) {
        Ok(bytes) => Ok(bytes == wanted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", installed.display())),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy `{}`", from.display())).map(drop)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

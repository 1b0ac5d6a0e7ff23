//! Programs of cargo's registry in `target/tools`, some built only at their first use.

use crate::chore;
use anyhow::Result;
use portreeve_tests::host;
use std::{path::PathBuf, process::Command};

const FUZZER: (&str, &str) = ("cargo-fuzz", "0.13.2");
const DENIER: (&str, &str) = ("cargo-deny", "0.20.2");

/// `target/tools`, the root of `cargo install`.
pub(super) fn folder() -> PathBuf {
    host::provisioned().join("tools")
}

/// A `cargo install` into it, to which features may be added.
pub(super) fn install(package: &str, version: &str) -> Command {
    let mut command = chore::cargo();
    command.args(["install", package, "--version", version, "--locked", "--root"]).arg(folder());
    command
}

/// cargo-fuzz: only `cargo xtask test --fuzz` needs it.
pub(crate) fn fuzzer() -> Result<PathBuf> {
    first_use(FUZZER)
}

/// cargo-deny: only `cargo xtask tidy --deny` needs it, and it takes minutes to build.
pub(crate) fn denier() -> Result<PathBuf> {
    first_use(DENIER)
}

fn first_use((package, version): (&str, &str)) -> Result<PathBuf> {
    let path = folder().join("bin").join(package);
    if !path.exists() {
        println!("building {package} {version} into target/tools");
        chore::logged(package, install(package, version), |text| println!("      {text}"))?;
    }
    Ok(path)
}

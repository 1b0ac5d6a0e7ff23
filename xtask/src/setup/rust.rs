//! The stable Rust that builds everything but the kernel programs.

use super::machine::Machine;
use crate::chore;
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// The workspace's `rust-version`.
const RUST_MIN: (u32, u32) = (1, 95);

pub(super) fn find(_: &Machine) -> Result<Option<String>> {
    let version =
        chore::answer("rustc", &["--version"]).context("no `rustc` in PATH: install rustup from https://rustup.rs")?;
    let (major, minor) = parse(&version).with_context(|| format!("cannot read the version in `{}`", version.trim()))?;
    if (major, minor) < RUST_MIN {
        bail!(
            "rustc {major}.{minor} is too old: run `rustup update stable` for at least {}.{}",
            RUST_MIN.0,
            RUST_MIN.1
        );
    }
    let complete = ["fmt", "clippy"].iter().all(|tool| chore::answer("cargo", &[tool, "--version"]).is_some());
    Ok(complete.then(|| format!("{major}.{minor}")))
}

pub(super) fn make(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let mut command = Command::new("rustup");
    command.args(["component", "add", "rustfmt", "clippy"]);
    chore::logged("rust", command, progress)?;
    find(machine)?.context("rustfmt and clippy are still missing")
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(parse("rustc 1.98.0-nightly (x 2026-07-15)"), Some((1, 98)));
        assert_eq!(parse("rustc"), None);
    }
}

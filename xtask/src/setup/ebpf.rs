//! The pinned toolchain that builds the kernel programs, and their linker.

use super::{
    machine::{Distribution, Machine},
    packages, tools,
};
use crate::chore;
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// LLVM 22.1.8 inside, as in Debian 12's llvm-22.
const NIGHTLY: &str = "nightly-2026-07-15";
const LLVM_MAJOR: &str = "22";
const LINKER_VERSION: &str = "0.13.0";
/// Debian's own Rust under a rustup name, for machines that cannot fetch the nightly.
const LINKED: &str = "portreeve-ebpf";

/// What builds the kernel programs, as `target/tools/ebpf-toolchain` says it: first line the name, second line
/// `bootstrap` when a stable compiler must be told that it may use unstable features.
pub(crate) struct Toolchain {
    pub(crate) name: String,
    pub(crate) bootstrap: bool,
}

impl Toolchain {
    /// What an earlier `cargo xtask setup` chose.
    pub(crate) fn chosen() -> Result<Self> {
        let text = fs::read_to_string(file()).context("no eBPF toolchain is chosen: run `cargo xtask setup`")?;
        let mut lines = text.lines();
        let name = lines.next().context("target/tools/ebpf-toolchain is empty: run `cargo xtask setup`")?.to_owned();
        Ok(Self { name, bootstrap: lines.next() == Some("bootstrap") })
    }

    fn choose(&self) -> Result<()> {
        fs::create_dir_all(tools::folder()).context("cannot create target/tools")?;
        let text = if self.bootstrap { format!("{}\nbootstrap\n", self.name) } else { format!("{}\n", self.name) };
        fs::write(file(), text).context("cannot write target/tools/ebpf-toolchain")
    }

    /// What it is, when it is complete: the right LLVM, and the source of `core`.
    fn found(&self) -> Result<Option<String>> {
        let Some(version) = chore::answer("rustup", &["run", &self.name, "rustc", "-vV"]) else { return Ok(None) };
        let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or_default();
        if llvm.split('.').next() != Some(LLVM_MAJOR) {
            bail!(
                "`{}` has LLVM {llvm}, bpf-linker needs {LLVM_MAJOR}: remove it with `rustup toolchain uninstall {}`",
                self.name,
                self.name
            );
        }
        let sysroot = chore::answer("rustup", &["run", &self.name, "rustc", "--print", "sysroot"]).unwrap_or_default();
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        Ok(source.exists().then(|| format!("{}, LLVM {llvm}", self.name)))
    }
}

fn file() -> PathBuf {
    tools::folder().join("ebpf-toolchain")
}

pub(super) fn find_toolchain(_: &Machine) -> Result<Option<String>> {
    match Toolchain::chosen() {
        Ok(toolchain) => toolchain.found(),
        // Nothing is chosen yet.
        Err(_) => Ok(None),
    }
}

pub(super) fn make_toolchain(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    if chore::answer("rustup", &["--version"]).is_none() {
        bail!("no `rustup` in PATH: install it from https://rustup.rs, the kernel programs need a pinned nightly");
    }
    let nightly = Toolchain { name: NIGHTLY.into(), bootstrap: false };
    if let Some(what) = nightly.found()? {
        nightly.choose()?;
        return Ok(what);
    }
    if let Err(error) = chore::retried(&mut *progress, install_nightly) {
        progress(&format!("rustup cannot fetch {NIGHTLY}: {error:#}"));
        return make_linked(machine, progress);
    }
    let what = nightly
        .found()?
        .with_context(|| format!("{NIGHTLY} has no rust-src: `rustup component add rust-src --toolchain {NIGHTLY}`"))?;
    nightly.choose()?;
    Ok(what)
}

fn install_nightly(progress: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args([
        "toolchain",
        "install",
        NIGHTLY,
        "--profile",
        "minimal",
        "--component",
        "rust-src",
        "--no-self-update",
    ]);
    chore::logged("ebpf-toolchain", command, progress)
}

/// Debian 12's rustc-web is built with the same LLVM; its `core` comes from rust-web-src.
fn make_linked(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    if machine.distribution != Distribution::Debian {
        bail!(
            "the fallback, Debian's rustc-web, is not in this distribution: give rustup a way to static.rust-lang.org and try again"
        );
    }
    packages::install(machine, &["rustc-web", "cargo-web", "rust-web-src"], progress)?;
    let mut command = Command::new("rustup");
    command.args(["toolchain", "link", LINKED, "/usr"]);
    chore::logged("ebpf-toolchain", command, progress)?;
    let linked = Toolchain { name: LINKED.into(), bootstrap: true };
    let what = linked.found()?.context("rust-web-src did not bring the source of `core` to /usr/lib/rustlib/src")?;
    linked.choose()?;
    Ok(what)
}

pub(super) fn find_linker(_: &Machine) -> Result<Option<String>> {
    let linker = tools::folder().join("bin/bpf-linker");
    let version = chore::answer(&linker.to_string_lossy(), &["--version"]);
    Ok(version.filter(|text| text.contains(LINKER_VERSION)).map(|_| LINKER_VERSION.to_owned()))
}

pub(super) fn make_linker(machine: &Machine, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let prefix = format!("/usr/lib/llvm-{LLVM_MAJOR}");
    if !Path::new(&prefix).join("bin/llvm-config").exists() {
        bail!("there is no LLVM {LLVM_MAJOR} in `{prefix}`: see the step before");
    }
    chore::retried(progress, |progress| {
        let mut command = tools::install("bpf-linker", LINKER_VERSION);
        command.env("LLVM_PREFIX", &prefix).args(["--no-default-features", "--features", "llvm-22", "--force"]);
        chore::logged("bpf-linker", command, progress)
    })?;
    find_linker(machine)?.context("the built bpf-linker does not run")
}

//! Every fuzz target, built and run for a while.

use crate::{
    chore,
    limits::FUZZ_SECONDS,
    setup::{self, Toolchain},
};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::host;
use std::process::Command;

/// Errors at the first target that finds something; what it found is in `fuzz/artifacts/<target>/`.
pub(super) fn run() -> Result<()> {
    let fuzzer = setup::fuzzer()?;
    let toolchain = Toolchain::chosen()?;
    let targets = targets()?;
    for target in &targets {
        println!("\n-- fuzz {target}, {FUZZ_SECONDS} s");
        let mut command = Command::new("rustup");
        command.args(["run", &toolchain.name]).arg(&fuzzer).args(["fuzz", "run"]);
        if toolchain.bootstrap {
            // Debian's rustc has no address sanitizer; libFuzzer itself needs none.
            command.env("RUSTC_BOOTSTRAP", "1").args(["--sanitizer", "none"]);
        }
        command.arg(target).arg("--").arg(format!("-max_total_time={FUZZ_SECONDS}"));
        command.current_dir(host::repo_root());
        // `rustup run` chooses the toolchain; these would choose it back.
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
            command.env_remove(name);
        }
        if !chore::watched(command, |_| ())? {
            bail!("fuzz target `{target}` failed: the input is in `fuzz/artifacts/{target}/`");
        }
    }
    println!("{} fuzz targets found nothing in {FUZZ_SECONDS} s each", targets.len());
    Ok(())
}

/// The names of the files in `fuzz/fuzz_targets`; none at all is an error, it would prove nothing.
fn targets() -> Result<Vec<String>> {
    let folder = host::repo_root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry.context("cannot read fuzz/fuzz_targets")?.path();
        if path.extension().is_some_and(|end| end == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("there is no fuzz target in `{}`", folder.display());
    }
    Ok(names)
}

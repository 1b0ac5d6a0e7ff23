//! Builds the kernel programs and leaves the object in `OUT_DIR` for the binary to embed.
//!
//! `cargo xtask setup` writes which toolchain builds them to `target/tools/ebpf-toolchain`; see docs/install.md.

use anyhow::{Context as _, Result, bail};
use std::{env, fs, path::Path};

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package lies in a workspace")?;
    let tools = workspace.join("target/tools");
    let linker = tools.join("bin/bpf-linker");
    let choice = tools.join("ebpf-toolchain");
    println!("cargo:rerun-if-changed={}", choice.display());
    println!("cargo:rerun-if-changed={}", linker.display());
    let Ok(text) = fs::read_to_string(&choice) else {
        bail!("the eBPF toolchain is not set up ({} is missing): run `cargo xtask setup`", choice.display());
    };
    if !linker.exists() {
        bail!("{} is missing: run `cargo xtask setup`", linker.display());
    }
    let mut lines = text.lines();
    let toolchain = lines.next().context("target/tools/ebpf-toolchain is empty: run `cargo xtask setup`")?;
    // SAFETY: a build script has one thread here; the variables are for the cargo that aya-build starts.
    unsafe {
        env::set_var("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &linker);
        env::set_var("CARGO_TARGET_BPFEB_UNKNOWN_NONE_LINKER", &linker);
        // What the inner cargo prints while it works would appear as warnings of ours.
        env::set_var("CARGO_TERM_QUIET", "true");
        // Debian's stable rustc builds `core` for the BPF target as well, when told that it may.
        if lines.next() == Some("bootstrap") {
            env::set_var("RUSTC_BOOTSTRAP", "1");
        }
    }
    aya_build::build_ebpf(
        [aya_build::Package {
            name: "gateway-ebpf",
            root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway-ebpf"),
            ..Default::default()
        }],
        aya_build::Toolchain::Custom(toolchain),
    )
}

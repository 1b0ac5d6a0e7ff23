//! `portreeve key`

use super::print_json;
use crate::{config::Config, recorder::KeyPair};
use clap::Args;
use serde::Serialize;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    /// 64 hexadecimal digits.
    public_key: String,
    /// The file with just these digits.
    path: PathBuf,
}

/// Works without the daemon: the key is a file, made when it is missing.
pub(super) fn run(args: &KeyArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let found = KeyPair::open(&Config::read(config)?.state_dir)?;
    let shown = Shown { public_key: found.public.to_string(), path: found.public_path };
    if args.json {
        print_json(out, &shown)?;
    } else {
        writeln!(out, "public key  {}\npath        {}", shown.public_key, shown.path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

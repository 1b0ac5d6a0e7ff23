//! `portreeve detach`

use super::{NO, print_json};
use crate::{
    admin::{
        InUse, Lock,
        client::{draining, is_alive},
        lock_file,
    },
    config::Config,
    host,
    interception::{
        detach::{Remains, run_dirs},
        pins,
    },
};
use clap::Args;
use serde::Serialize;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Of every instance on this host whose daemon does not run, whatever the configuration says
    #[arg(long)]
    all: bool,
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Detached {
    run_dir: PathBuf,
    #[serde(flatten)]
    remains: Remains,
    /// Sockets and the lock's file.
    files: Vec<PathBuf>,
    /// Programs that another process still holds.
    still_loaded: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Kept {
    run_dir: PathBuf,
    reason: String,
}

/// With one instance its keys are the object's own; `--all` gives lists.
#[derive(Debug, Serialize)]
struct All {
    instances: Vec<Detached>,
    kept: Vec<Kept>,
}

pub(super) fn run(args: &DetachArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bpffs = host::bpffs_mount()?;
    if !args.all {
        let detached = detach(bpffs.as_deref(), Config::read(config)?.run_dir, args.dry_run)?;
        if args.json {
            print_json(out, &detached)?;
        } else {
            print(&detached, args.dry_run, out)?;
        }
        return Ok(if detached.still_loaded.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NO) });
    }
    let mut all = All { instances: Vec::new(), kept: Vec::new() };
    for run_dir in bpffs.as_deref().map(run_dirs).transpose()?.unwrap_or_default() {
        match detach(bpffs.as_deref(), run_dir.clone(), args.dry_run) {
            Ok(detached) => all.instances.push(detached),
            Err(error) => all.kept.push(Kept { run_dir, reason: format!("{error:#}") }),
        }
    }
    if args.json {
        print_json(out, &all)?;
    } else {
        all.instances.iter().try_for_each(|detached| print(detached, args.dry_run, out))?;
        all.kept.iter().try_for_each(|kept| writeln!(out, "kept `{}`: {}", kept.run_dir.display(), kept.reason))?;
        if all.instances.is_empty() && all.kept.is_empty() {
            writeln!(out, "nothing is pinned on this host")?;
        }
    }
    let is_whole = all.kept.is_empty() && all.instances.iter().all(|detached| detached.still_loaded.is_empty());
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Holding the instance's lock proves that no daemon relies on the pins.
///
/// # Errors
/// A daemon runs or drains, or something cannot be removed.
fn detach(bpffs: Option<&Path>, run_dir: PathBuf, dry_run: bool) -> anyhow::Result<Detached> {
    // A folder that is not there is nobody's, and need not be made.
    let _held = run_dir.exists().then(|| Lock::take(&run_dir)).transpose()?;
    check_nobody_drains(&run_dir)?;
    let found = bpffs.map(|bpffs| (bpffs, pins::instance_dir(bpffs, &run_dir)));
    let remains = found.as_ref().map(|(_, instance)| Remains::of(instance)).transpose()?.unwrap_or_default();
    let files = leftovers(&run_dir);
    let mut still_loaded = Vec::new();
    if !dry_run {
        if let Some((bpffs, instance)) = &found {
            still_loaded = remains.remove(bpffs, instance)?;
        }
        // The lock's file last: it is held until here.
        files.iter().for_each(|file| drop(fs::remove_file(file)));
    }
    Ok(Detached { run_dir, remains, files, still_loaded })
}

/// A daemon that handed over and whose successor was killed has no lock, and sessions still.
fn check_nobody_drains(run_dir: &Path) -> anyhow::Result<()> {
    match draining(run_dir).iter().find(|socket| is_alive(socket)) {
        Some(socket) => Err(InUse::draining(run_dir, socket).into()),
        None => Ok(()),
    }
}

/// Files that a daemon leaves in its `run_dir` when it is killed.
fn leftovers(run_dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![run_dir.join("control.sock"), run_dir.join("control.new")];
    files.extend(draining(run_dir));
    files.push(lock_file(run_dir));
    files.retain(|file| file.symlink_metadata().is_ok());
    files
}

fn print(detached: &Detached, dry_run: bool, out: &mut impl Write) -> io::Result<()> {
    let Detached { run_dir, remains, files, still_loaded } = detached;
    let removed = if dry_run { "would remove" } else { "removed" };
    if remains.folders.is_empty() {
        writeln!(out, "nothing is pinned for run_dir `{}`", run_dir.display())?;
    }
    for folder in &remains.folders {
        writeln!(out, "{removed} {}", folder.display())?;
    }
    if !remains.folders.is_empty() {
        writeln!(out, "  programs {}", remains.programs.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?;
        writeln!(out, "  links    {}", remains.links)?;
        writeln!(out, "  maps     {}", remains.maps.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?;
    }
    for file in files {
        writeln!(out, "{removed} {}", file.display())?;
    }
    if !still_loaded.is_empty() {
        let names = still_loaded.join(", ");
        writeln!(out, "STILL LOADED: {names}: another process holds them (`bpftool prog show` says which); end it")?;
    } else if !dry_run && !remains.folders.is_empty() {
        writeln!(out, "workloads of this instance now connect to servers directly")?;
    }
    Ok(())
}

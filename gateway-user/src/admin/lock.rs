//! One daemon per `run_dir`.

use anyhow::{Context as _, bail};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Holds `run_dir/portreeve.lock` as long as it lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the `run_dir` (mode 0700) where it is missing and takes its lock.
    ///
    /// # Errors
    /// When another daemon holds it; when the folder belongs to another user or others may write there (they could
    /// replace the control socket).
    pub(crate) fn take(run_dir: &Path) -> anyhow::Result<Self> {
        own_folder(run_dir)?;
        let path = run_dir.join("portreeve.lock");
        let cannot = || format!("cannot open the lock file `{}`: remove it if it is not a file", path.display());
        let flags = nix::libc::O_NOFOLLOW;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path)
            .with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number is a help only: a holder that has not written it yet is as alive.
                let holder = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => format!(" (process {})", holder.trim()),
                    _ => String::new(),
                };
                bail!(
                    "another portreeve{holder} runs with run_dir `{}`: stop it, or give this one a `run_dir` of its own",
                    run_dir.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        file.set_len(0).with_context(cannot)?;
        writeln!(file, "{}", std::process::id()).with_context(cannot)?;
        Ok(Self { _file: file })
    }
}

/// An existing folder keeps its mode: it may be one that somebody else relies on.
fn own_folder(run_dir: &Path) -> anyhow::Result<()> {
    if let Some(parent) = run_dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}` for run_dir", parent.display()))?;
    }
    match DirBuilder::new().mode(0o700).create(run_dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make run_dir `{}`", run_dir.display())),
    }
    let found =
        fs::symlink_metadata(run_dir).with_context(|| format!("cannot look at run_dir `{}`", run_dir.display()))?;
    let own = nix::unistd::geteuid().as_raw();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        bail!(
            "run_dir `{}` is not a folder that only user {own} may write in: remove it, or set `run_dir` to another one",
            run_dir.display()
        );
    }
    Ok(())
}

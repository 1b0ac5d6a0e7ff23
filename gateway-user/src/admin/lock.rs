//! One daemon per `run_dir`.

use anyhow::{Context as _, bail};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// The lock's file in a `run_dir`.
pub(crate) fn lock_file(run_dir: &Path) -> PathBuf {
    run_dir.join("portreeve.lock")
}

/// A daemon has the lock.
#[derive(Debug, thiserror::Error)]
#[error("another portreeve{holder} runs with run_dir `{run_dir}`: stop it, or give this one a `run_dir` of its own")]
pub(crate) struct InUse {
    /// ` (process 7)`, or nothing.
    holder: String,
    run_dir: String,
}

impl InUse {
    /// By a daemon that has handed over and keeps its sessions to their end.
    pub(crate) fn draining(run_dir: &Path, socket: &Path) -> Self {
        let name = socket.file_name().unwrap_or_default().to_string_lossy();
        Self { holder: format!(" ({name}: it keeps sessions to their end)"), run_dir: run_dir.display().to_string() }
    }
}

/// Holds `run_dir/portreeve.lock` as long as it lives; the kernel lets go of it when the process ends, however it ends. A
/// successor that inherits the descriptor holds the same lock (`flock(2)`: it belongs to the open file).
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Lock {
    /// Makes the `run_dir` (mode 0700) where it is missing and takes its lock.
    ///
    /// # Errors
    /// When another daemon holds it; when the folder belongs to another user or others may write there (they could
    /// replace the control socket).
    pub(crate) fn take(run_dir: &Path) -> anyhow::Result<Self> {
        own_folder(run_dir)?;
        let path = lock_file(run_dir);
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
                return Err(InUse { holder, run_dir: run_dir.display().to_string() }.into());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        let lock = Self { file };
        lock.claim().with_context(cannot)?;
        Ok(lock)
    }

    /// The lock that the daemon before left to this process. It stays named as that one's until [`Lock::claim`].
    ///
    /// # Errors
    /// It is another instance's: the configuration's `run_dir` has changed.
    pub(crate) fn inherit(run_dir: &Path, descriptor: OwnedFd) -> anyhow::Result<Self> {
        let file = File::from(descriptor);
        let is_it = |found: fs::Metadata, held: fs::Metadata| (found.dev(), found.ino()) == (held.dev(), held.ino());
        let same = fs::metadata(lock_file(run_dir)).and_then(|found| Ok(is_it(found, file.metadata()?)));
        if !same.unwrap_or(false) {
            bail!(
                "the daemon that runs has another run_dir than `{}`: stop it and start this one instead",
                run_dir.display()
            );
        }
        Ok(Self { file })
    }

    /// Says that this process is the one that holds it.
    pub(crate) fn claim(&self) -> io::Result<()> {
        // The offset is shared with whoever else has the file open.
        self.file.set_len(0)?;
        self.file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
    }
}

/// An existing folder keeps its mode: it may be one that somebody else relies on.
fn own_folder(run_dir: &Path) -> anyhow::Result<()> {
    if let Some(parent) = run_dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}` for run_dir", parent.display()))?;
    }
    match DirBuilder::new().mode(0o700).create(run_dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
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

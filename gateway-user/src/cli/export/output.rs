//! Where an export goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::Usage;

/// Standard output, or a file that gets its name when it is whole.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    File(Unfinished),
}

/// A file beside the one that it becomes, removed unless it does.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    becomes: PathBuf,
}

impl Output {
    /// # Errors
    /// When no file can be made in the folder, or something that is no file has this name.
    pub(super) fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // A device or pipe would be replaced by a file.
            return Err(
                Usage(format!("`{}` is no regular file: redirect standard output to it", path.display())).into()
            );
        }
        let name = path.file_name().with_context(|| format!("`{}` is no file name", path.display()))?;
        let mut unfinished = name.to_owned();
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = path.with_file_name(unfinished);
        // What was recorded is nobody else's business.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = file.with_context(|| format!("cannot make `{}`", unfinished.display()))?;
        Ok(Self::File(Unfinished { file, path: unfinished, becomes: path.to_owned() }))
    }

    /// # Errors
    /// The system's.
    pub(super) fn writer(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(BufWriter::new(io::stdout())),
            Self::File(unfinished) => Box::new(BufWriter::new(unfinished.file.try_clone()?)),
        })
    }

    /// Gives the file its name, now that it is whole.
    ///
    /// # Errors
    /// When the system cannot; the file is gone then.
    pub(super) fn keep(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(unfinished) => {
                let Unfinished { file, path, becomes } = &unfinished;
                let kept = file.sync_all().and_then(|()| fs::rename(path, becomes));
                kept.with_context(|| format!("cannot write `{}`", becomes.display()))
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Of one that was kept there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

//! Which session files a command reads.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, bail};
use clap::Args;
use uuid::Uuid;

use crate::config::Config;
use crate::recorder::directory::{EXTENSION, HOST};

/// Where the session files lie.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct FolderArgs {
    /// A folder of session files, or of folders of them; by default the daemon's recordings
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) sessions: Option<PathBuf>,
}

impl FolderArgs {
    /// The folder.
    ///
    /// # Errors
    /// When none is given and the configuration cannot be read.
    pub(in crate::cli) fn folder(&self, config: &Path) -> anyhow::Result<PathBuf> {
        match &self.sessions {
            Some(folder) => Ok(folder.clone()),
            None => Ok(Config::read(config)?.state_dir.join("sessions")),
        }
    }

    /// The session files, oldest first, or the one of a session.
    ///
    /// # Errors
    /// As [`Self::folder`], when the folder cannot be read, and when no session or more than one is meant.
    pub(in crate::cli) fn files(&self, session: Option<&str>, config: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.folder(config)?;
        // Nothing was recorded yet.
        let is_missing = self.sessions.is_none() && !folder.exists();
        let mut files = if is_missing { Vec::new() } else { files(&folder)? };
        let Some(wanted) = session else { return Ok(files) };
        let id = |path: &PathBuf| Uuid::try_parse(path.file_stem()?.to_str()?).ok();
        files.retain(|path| id(path).is_some_and(|id| is_session(wanted, id)));
        match files.as_slice() {
            [] => bail!("no session begins or ends with `{wanted}`; `portreeve sessions` lists them"),
            [_] => Ok(files),
            _ => bail!("`{wanted}` is more than one session; give more of the id"),
        }
    }
}

/// Whether `wanted` begins or ends the id. Its end is what tells the sessions of one minute apart.
pub(in crate::cli) fn is_session(wanted: &str, id: Uuid) -> bool {
    let wanted = wanted.to_ascii_lowercase();
    let (printed, simple) = (id.to_string(), id.simple().to_string());
    !wanted.is_empty() && [printed, simple].iter().any(|id| id.starts_with(&wanted) || id.ends_with(&wanted))
}

/// The session files of a folder and of those in it, by path: days, and within a day by time.
///
/// # Errors
/// When a folder cannot be read.
pub(in crate::cli) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // `sessions/<day>/<id>.prs` below the state directory, which may be given itself.
    collect(folder, 3, &mut files).with_context(|| format!("cannot read `{}`", folder.display()))?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(EXTENSION)) {
            files.push(path);
        } else if depth > 1 && path.file_name() != Some(OsStr::new(HOST)) && path.is_dir() {
            collect(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

//! Which network namespaces the threads of a cgroup's subtree are in.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::host;

/// The cgroups of some subtrees, and the network namespaces of their threads but our own.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) ids: HashSet<u64>,
    /// By inode number, which nobody else gets while the file is open.
    pub(super) namespaces: HashMap<u64, File>,
}

impl Tree {
    /// `cgroups` are paths; those that do not exist have no threads.
    ///
    /// # Errors
    /// It cannot be told which namespace is our own.
    pub(super) fn of(cgroups: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let own = own_namespace()?;
        let mut tree = Self::default();
        let mut left: Vec<PathBuf> = cgroups.into_iter().collect();
        while let Some(path) = left.pop() {
            // A cgroup may go while we look: it has no thread then, and no socket of interest.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if tree.ids.insert(metadata.ino()) {
                tree.note_namespaces(&path, own);
                left.extend(folders(&path));
            }
        }
        Ok(tree)
    }

    /// Threads, not processes: each may have gone to another namespace by itself.
    fn note_namespaces(&mut self, cgroup: &Path, own: u64) {
        let threads = fs::read_to_string(cgroup.join("cgroup.threads")).unwrap_or_default();
        for thread in threads.lines() {
            let Ok(metadata) = fs::metadata(format!("/proc/{thread}/ns/net")) else { continue };
            if metadata.ino() != own
                && !self.namespaces.contains_key(&metadata.ino())
                && let Ok((inode, namespace)) = namespace_of(thread, cgroup)
                && inode != own
            {
                self.namespaces.insert(inode, namespace);
            }
        }
    }
}

/// Inode number of the network namespace that the daemon was started in.
pub(super) fn own_namespace() -> Result<u64> {
    // Of the process, that is of its first thread, which never goes elsewhere.
    Ok(fs::metadata("/proc/self/ns/net").context("/proc/self/ns/net cannot be read")?.ino())
}

/// A thread's network namespace and its inode number. By the time it is looked at, the number may be another thread's: it must be
/// in the cgroup still. The folder stays that of one thread, or cannot be read.
fn namespace_of(thread: &str, cgroup: &Path) -> io::Result<(u64, File)> {
    let folder = File::open(format!("/proc/{thread}"))?;
    let folder_path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let namespace = File::open(format!("{folder_path}/ns/net"))?;
    let cgroups = fs::read_to_string(format!("{folder_path}/cgroup"))?;
    if !host::cgroup2_path(&cgroups).is_some_and(|path| cgroup.ends_with(path)) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok((namespace.metadata()?.ino(), namespace))
}

/// The network namespaces of a process's threads, by inode number: to be believed only where they prove to be the wanted one.
pub(super) fn namespaces_of_process(pid: u32) -> HashMap<u64, File> {
    let threads = folders(Path::new(&format!("/proc/{pid}/task")));
    let namespaces = threads.into_iter().filter_map(|thread| File::open(thread.join("ns/net")).ok());
    namespaces.filter_map(|file| Some((file.metadata().ok()?.ino(), file))).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_its_own_namespace_and_in_its_own_cgroup() {
        let pid = std::process::id();
        let own = own_namespace().unwrap();
        assert_eq!(namespaces_of_process(pid).into_keys().collect::<Vec<_>>(), [own]);
        let text = fs::read_to_string("/proc/self/cgroup").unwrap();
        let cgroup = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        let cgroup = Path::new("/sys/fs/cgroup").join(cgroup.trim_start_matches('/'));
        assert_eq!(namespace_of(&pid.to_string(), &cgroup).unwrap().0, own);
        assert!(namespace_of(&pid.to_string(), &cgroup.join("elsewhere")).is_err() || cgroup.ends_with("cgroup"));
    }
}

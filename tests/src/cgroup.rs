//! A cgroup v2 folder of our own, and commands that run inside it.

use crate::{
    host::{self, cgroup2_mount, require_root},
    limits::{CGROUP_EMPTY_MAX, POLL_EVERY},
    process,
};
use anyhow::{Context as _, Result, bail};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Instant,
};

/// A cgroup that exists as long as this value. Dropping it kills what is inside, children's cgroups included.
#[derive(Debug)]
pub struct Cgroup {
    mount: PathBuf,
    path: PathBuf,
    /// Folders made for it, the nearest first.
    above: Vec<PathBuf>,
}

impl Cgroup {
    /// `<cgroup2>/portreeve-<purpose>-<pid>-<n>`. Needs root.
    pub fn create(purpose: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        require_root()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mount = cgroup2_mount()?;
        let path = mount.join(format!("portreeve-{purpose}-{}-{number}", std::process::id()));
        Self::make(mount, path)
    }

    /// A cgroup at this path below the mount, where a runtime would make it. Folders above it that are missing come and go with it.
    pub fn at(relative: &str) -> Result<Self> {
        require_root()?;
        let mount = cgroup2_mount()?;
        let path = mount.join(relative);
        let above: Vec<_> =
            path.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        for folder in above.iter().rev() {
            fs::create_dir(folder).with_context(|| format!("cannot create the cgroup `{}`", folder.display()))?;
        }
        let mut made = Self::make(mount, path)?;
        made.above = above;
        Ok(made)
    }

    /// A cgroup below this one. Drop it first: a kill of the parent reaches it anyway.
    pub fn child(&self, name: &str) -> Result<Self> {
        Self::make(self.mount.clone(), self.path.join(name))
    }

    fn make(mount: PathBuf, path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("cannot create the cgroup `{}`", path.display()))?;
        Ok(Self { mount, path, above: Vec::new() })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path below the cgroup v2 mount, as the key `cgroup` of a `[[workload]]` wants it.
    pub fn relative(&self) -> &Path {
        self.path.strip_prefix(&self.mount).unwrap_or(&self.path)
    }

    /// A command that is in this cgroup before it is executed.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        process::enter_cgroup(&mut command, &self.path.join("cgroup.procs"), None)?;
        Ok(command)
    }

    /// The same as an unprivileged user: its uid and a gid of the same number, no other groups.
    pub fn command_as(&self, uid: u32, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        process::enter_cgroup(&mut command, &self.path.join("cgroup.procs"), Some(uid))?;
        Ok(command)
    }

    fn remove(&self) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        // cgroup.kill reaches the whole subtree (5.14).
        fs::write(self.path.join("cgroup.kill"), "1").context("cannot kill what is inside")?;
        let start = Instant::now();
        while fs::read_to_string(self.path.join("cgroup.events")).is_ok_and(|text| text.contains("populated 1")) {
            if start.elapsed() > CGROUP_EMPTY_MAX {
                bail!("it is still populated {CGROUP_EMPTY_MAX:?} after cgroup.kill");
            }
            thread::sleep(POLL_EVERY);
        }
        remove_tree(&self.path).context("cannot remove it")?;
        // Fails while somebody is in it, as it should.
        self.above.iter().for_each(|folder| drop(fs::remove_dir(folder)));
        Ok(())
    }
}

/// Kills and removes the cgroups that a dead harness left (it was killed outright), and returns their paths.
pub fn sweep() -> Result<Vec<PathBuf>> {
    let mount = cgroup2_mount()?;
    let mut swept = Vec::new();
    for entry in fs::read_dir(&mount).with_context(|| format!("cannot read `{}`", mount.display()))? {
        let entry = entry.context("cannot read the cgroup v2 mount")?;
        let name = entry.file_name();
        if name.to_string_lossy().strip_prefix("portreeve-").is_some_and(host::is_orphan) {
            let left = Cgroup { mount: mount.clone(), path: entry.path(), above: Vec::new() };
            left.remove().with_context(|| format!("cannot remove the cgroup `{}`", left.path.display()))?;
            swept.push(entry.path());
        }
    }
    Ok(swept)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("cgroup `{}` stays behind: {error:#}", self.path.display());
        }
    }
}

/// Its files cannot be unlinked, so `remove_dir_all` would fail: folders only, deepest first.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_command_is_inside_and_everything_goes_with_the_cgroup() {
        let parent = Cgroup::create("test").unwrap();
        let child = parent.child("inner").unwrap();
        let mut cat = child.command("cat").unwrap();
        cat.arg("/proc/self/cgroup");
        let said = process::output(cat, Duration::from_secs(5)).unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains(&format!("/{}\n", child.relative().display())), "{said}");

        let mut id = child.command_as(65534, "id").unwrap();
        id.arg("-u");
        assert_eq!(process::output(id, Duration::from_secs(5)).unwrap().stdout, b"65534\n");

        let mut sleep = child.command("sleep").unwrap();
        sleep.arg("1000");
        let mut sleep = process::spawn(sleep).unwrap();
        let path = parent.path().to_path_buf();
        // The parent first: the order in which a failing test may drop them.
        drop(parent);
        assert!(!sleep.wait().unwrap().success());
        drop(child);
        assert!(!path.exists());
    }
}

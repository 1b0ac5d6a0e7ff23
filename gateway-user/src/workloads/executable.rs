//! What a process runs, read so that it is the process that connected. It only ever narrows.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{SysconfVar, sysconf};
use sha2::{Digest as _, Sha256};

use crate::{
    host,
    limits::{EXECUTABLE_BYTES_MAX, EXECUTABLES_KEPT_MAX},
    selector::Executable,
};

/// The kernel's record of who connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) cgroup_id: u64,
    pub(crate) connected_boot_ns: u64,
}

/// A file as long as none of these changes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FileState {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    bytes: u64,
}

impl FileState {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        let changed = (found.ctime(), found.ctime_nsec());
        Ok(Self { device: found.dev(), inode: found.ino(), changed, bytes: found.len() })
    }
}

/// Hashes of files that did not change since.
#[derive(Debug, Default)]
pub(super) struct Hashes(Mutex<HashMap<FileState, String>>);

impl Hashes {
    /// Reads whole files: not for a thread that serves sessions.
    ///
    /// # Errors
    /// The process is gone, is another than the caller, or runs what cannot be read.
    pub(super) fn executable(&self, cgroup_mount: &Path, caller: &Caller) -> Result<Executable> {
        // The folder stays this process's: a pid that is used again does not come back in it.
        let process = File::open(format!("/proc/{}", caller.pid)).context("the process is gone")?;
        let proc = format!("/proc/self/fd/{}", process.as_raw_fd());
        let started = start_ticks(&proc)?;
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
        let started_ns = u128::from(started) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
        if started_ns > u128::from(caller.connected_boot_ns) {
            bail!("pid {} is another process by now", caller.pid);
        }
        let text = fs::read_to_string(format!("{proc}/cgroup")).context("the process is gone")?;
        let path = host::cgroup2_path(&text).context("the process has no cgroup v2")?;
        if fs::metadata(cgroup_mount.join(path))?.ino() != caller.cgroup_id {
            bail!("pid {} is in another cgroup by now", caller.pid);
        }
        let link = format!("{proc}/exe");
        let file = File::open(&link).context("its executable cannot be read")?;
        let state = FileState::of(&file)?;
        let file_id = (state.device, state.inode);
        let path = fs::read_link(&link)?.to_string_lossy().into_owned();
        let sha256 = self.hash(file, state)?;
        let still = File::open(&link).and_then(|file| file.metadata()).context("the process is gone")?;
        if start_ticks(&proc)? != started || (still.dev(), still.ino()) != file_id {
            bail!("the process runs something else by now");
        }
        Ok(Executable { path, sha256 })
    }

    fn hash(&self, mut file: File, state: FileState) -> Result<String> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&state) {
            return Ok(known.clone());
        }
        if state.bytes > EXECUTABLE_BYTES_MAX {
            bail!("its executable is longer than {EXECUTABLE_BYTES_MAX} bytes");
        }
        let mut hasher = Sha256::new();
        let mut block = vec![0; 64 * 1024];
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                break;
            }
            hasher.update(block.get(..read).unwrap_or_default());
        }
        if FileState::of(&file)? != state {
            bail!("its executable was written while it was read");
        }
        let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= EXECUTABLES_KEPT_MAX {
            kept.clear();
        }
        kept.insert(state, hash.clone());
        Ok(hash)
    }
}

/// When the process started, in clock ticks since boot: field 22 of proc_pid_stat(5), counted behind the name, which may
/// hold anything.
fn start_ticks(proc: &str) -> Result<u64> {
    let stat = fs::read_to_string(format!("{proc}/stat")).context("the process is gone")?;
    let behind_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let mut fields = behind_name.split_whitespace();
    if matches!(fields.next(), Some("Z" | "X") | None) {
        bail!("the process is gone");
    }
    fields.nth(18).and_then(|ticks| ticks.parse().ok()).context("the process does not say when it started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use std::{process::Command, time::Duration};

    fn caller(pid: u32, connected_boot_ns: u64) -> (std::path::PathBuf, Caller) {
        let mount = host::cgroup2_mount().unwrap();
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        let cgroup_id = fs::metadata(mount.join(path.trim_start_matches('/'))).unwrap().ino();
        (mount, Caller { pid, uid: 0, cgroup_id, connected_boot_ns })
    }

    fn uptime_ns() -> u64 {
        let text = fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
        Duration::from_secs_f64(seconds).as_nanos().try_into().unwrap()
    }

    #[test]
    fn an_executable_is_read_with_its_hash() {
        let (mount, caller) = caller(std::process::id(), u64::MAX);
        let found = Hashes::default().executable(&mount, &caller).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(Path::new(&found.path), exe);
        let said = Command::new("sha256sum").arg(exe).output().unwrap();
        assert!(String::from_utf8(said.stdout).unwrap().starts_with(&found.sha256), "{found:?}");
    }

    #[test]
    fn a_process_that_started_after_the_connect_is_another() {
        let before = uptime_ns() - 1_000_000_000;
        let mut later = Command::new("sleep").arg("60").spawn().unwrap();
        let (mount, reused) = caller(later.id(), before);
        let error = Hashes::default().executable(&mount, &reused).unwrap_err();
        let moved = Caller { cgroup_id: u64::MAX, connected_boot_ns: u64::MAX, ..reused };
        let elsewhere = Hashes::default().executable(&mount, &moved).unwrap_err();
        later.kill().unwrap();
        later.wait().unwrap();
        let gone = Hashes::default().executable(&mount, &Caller { connected_boot_ns: u64::MAX, ..reused }).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error:#}");
        assert!(elsewhere.to_string().contains("another cgroup"), "{elsewhere:#}");
        assert!(gone.to_string().contains("gone"), "{gone:#}");
    }
}

//! The machine: root, mounts, paths, free addresses.

use crate::{limits::LOG_TAIL_BYTES_MAX, process};
use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use std::{
    env, fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the kernel programs are pinned.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Errors unless the effective user is root: a privileged test fails without root, it never skips.
pub fn require_root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!("root is needed (cgroups, kernel programs, mounts): run as root, for example with `sudo -E env PATH=$PATH`")
}

/// The root of the source tree that this harness was built from.
pub fn repo_root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Where `cargo xtask setup` puts what it installs: always `target/` of the tree, wherever cargo builds to.
pub fn provisioned() -> PathBuf {
    repo_root().join("target")
}

/// Where cargo builds to.
pub fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo_root().join("target"), |dir| repo_root().join(dir))
}

/// The daemon's binary: `PORTREEVE_BIN`, or the release build.
pub fn portreeve_binary() -> Result<PathBuf> {
    let path = env::var_os("PORTREEVE_BIN")
        .map_or_else(|| cargo_target().join("release/portreeve"), |path| repo_root().join(path));
    if path.is_file() {
        return Ok(path);
    }
    bail!("there is no `{}`: run `cargo build --release -p portreeve`, or set PORTREEVE_BIN", path.display())
}

/// A copy of the daemon's binary, below `dir`, that is of another build to whoever asks: `from` is replaced by `to` wherever it
/// occurs in it.
pub fn patched_binary(dir: &Path, name: &str, from: &str, to: &str) -> Result<PathBuf> {
    let mut bytes = fs::read(portreeve_binary()?).context("cannot read the daemon's binary")?;
    if from.len() != to.len() {
        bail!("`{from}` and `{to}` have different lengths");
    }
    let places: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, at)| *at == from.as_bytes())
        .map(|(place, _)| place)
        .collect();
    for place in &places {
        bytes.get_mut(*place..place + to.len()).context("a place within the binary")?.copy_from_slice(to.as_bytes());
    }
    if places.is_empty() {
        bail!("the daemon's binary does not contain `{from}`");
    }
    let path = dir.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("cannot make it executable")?;
    Ok(path)
}

/// The daemon with other kernel programs over the same maps: their licence is written otherwise.
pub fn other_build(dir: &Path) -> Result<PathBuf> {
    patched_binary(dir, "portreeve-other-build", "Dual MIT/GPL\0", "Dual BSD/GPL\0")
}

/// The daemon with maps that are laid out otherwise, as far as it knows.
pub fn other_layout(dir: &Path) -> Result<PathBuf> {
    let (from, to) = ("Records shared between Portreeve's kernel", "Records shared between Portreeve's Kernel");
    patched_binary(dir, "portreeve-other-layout", from, to)
}

/// A new folder `target/run/<purpose>-<pid>-<n>`, for one server's or one daemon's files.
pub fn run_dir(purpose: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = provisioned().join("run").join(format!("{purpose}-{}-{number}", std::process::id()));
    // A folder of that name belongs to a dead process of the same pid.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove `{}`", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    Ok(dir)
}

/// Removes a run folder and, when it was the last one, `target/run` itself.
pub fn remove_run_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove `{}`", dir.display()));
        }
        _ => {}
    }
    if let Some(parent) = dir.parent().filter(|parent| parent.ends_with("run")) {
        // Fails while another run uses it, as it should.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// What is in `target/run`, or that folder when it is empty: with no test running, what tests left.
pub fn run_files() -> Result<Vec<PathBuf>> {
    let runs = provisioned().join("run");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("cannot read target/run"),
    };
    let mut files =
        entries.map(|entry| Ok(entry.context("cannot read target/run")?.path())).collect::<Result<Vec<_>>>()?;
    if files.is_empty() {
        files.push(runs);
    }
    Ok(files)
}

/// Removes the run folders that a dead harness left (it was killed outright).
pub fn sweep_run_dirs() -> Result<()> {
    let Ok(entries) = fs::read_dir(provisioned().join("run")) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context("cannot read target/run")?;
        if is_orphan(&entry.file_name().to_string_lossy()) {
            remove_run_dir(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name `<purpose>-<pid>-<n>` is of a process that is no more.
pub(crate) fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn owner(name: &str) -> Option<u32> {
    let mut parts = name.rsplit('-');
    let number = parts.next()?;
    let pid = parts.next()?.parse().ok()?;
    (number.parse::<u32>().is_ok() && parts.next().is_some()).then_some(pid)
}

/// The mount point of cgroup v2: found in mountinfo, because hybrid machines have it at `/sys/fs/cgroup/unified`.
pub fn cgroup2_mount() -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    cgroup2_in(&text).context("no cgroup v2 is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified`")
}

/// proc_pid_mountinfo(5): the mount point is field 5; the file system type follows the lone `-`.
fn cgroup2_in(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next()? == "cgroup2").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// Whether `/sys/fs/bpf` holds a bpffs, in the calling thread's mount namespace.
pub fn bpffs_mounted() -> bool {
    statfs(BPFFS).is_ok_and(|facts| facts.filesystem_type() == BPF_FS_MAGIC)
}

/// Gives the calling thread, and all it starts from now on, a mount namespace of its own with an empty bpffs at
/// `/sys/fs/bpf`: pins vanish with the last process in it, and a host without bpffs stays as it was.
///
/// Call it in `main`, before other threads start: they keep the mounts that they began with (unshare(2)).
pub fn private_mounts() -> Result<()> {
    require_root()?;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot get a mount namespace of my own")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("cannot make `/` private")?;
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), none)
        .with_context(|| format!("cannot mount bpffs at `{BPFFS}`: does this kernel have CONFIG_BPF_SYSCALL?"))
}

/// Makes sure that what [`process`] starts sees a bpffs: a private one where the host has none.
pub fn ensure_bpffs() -> Result<()> {
    process::on_keeper(|| if bpffs_mounted() { Ok(()) } else { private_mounts() })?
}

/// A loopback address on which port 3306 is free, different at each call: every server gets its own, so that no client
/// needs a port in its configuration.
pub fn free_address() -> Result<Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..256 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = (std::process::id().wrapping_mul(16).wrapping_add(number)).to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low);
        // Some tools take .0 and .255 for addresses of networks.
        if !matches!(low, 0 | 255) && is_free(address) {
            return Ok(address);
        }
    }
    bail!(
        "port 3306 is taken on every loopback address tried: a server listens on 0.0.0.0:3306, stop it or bind it to one address"
    )
}

/// Whether port 3306 of a loopback address is free.
pub fn is_free(address: Ipv4Addr) -> bool {
    TcpListener::bind((address, 3306)).is_ok()
}

/// The last part of a log, for an error message; empty when it cannot be read.
pub fn log_tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES_MAX);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_in_hybrid_and_unified_layouts_only() {
        let v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_in(v1), None);
        assert_eq!(cgroup2_in(&format!("{v1}{hybrid}")), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn only_the_harness_s_own_names_have_an_owner() {
        assert_eq!(owner("demo-41-0"), Some(41));
        assert_eq!(owner("bench-outside-41-12"), Some(41));
        assert_eq!(owner("agents"), None);
        assert_eq!(owner("41-12"), None);
        assert!(!is_orphan(&format!("demo-{}-0", std::process::id())));
    }

    #[test]
    fn addresses_differ_and_are_free() {
        let first = free_address().unwrap();
        let second = free_address().unwrap();
        assert_ne!(first, second);
        assert!(first.is_loopback() && second.is_loopback());
    }

    #[test]
    fn a_run_folder_is_new_and_goes_away() {
        let dir = run_dir("host-test").unwrap();
        fs::write(dir.join("file"), "x").unwrap();
        remove_run_dir(&dir).unwrap();
        assert!(!dir.exists());
        remove_run_dir(&dir).unwrap();
    }
}

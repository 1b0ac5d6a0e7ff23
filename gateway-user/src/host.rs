//! Facts about the host that nobody may assume: mounts, kernel, privileges.
//!
//! The parsers take text, so that they are tested without such a host.

use anyhow::{Context as _, bail};
use std::{
    ffi::OsString,
    fmt, fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// Where the cgroup v2 hierarchy is mounted; `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid host.
///
/// # Errors
/// When there is no such mount in this mount namespace.
pub(crate) fn cgroup2_mount() -> anyhow::Result<PathBuf> {
    let text = mountinfo()?;
    let Some(mount) = mount_of(&text, "cgroup2") else {
        bail!(
            "no cgroup v2 hierarchy is mounted: boot with `systemd.unified_cgroup_hierarchy=1`, or mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified`"
        );
    };
    Ok(mount)
}

/// The path below the cgroup v2 mount that a `/proc/<pid>/cgroup` names; `None` where the process is in none.
pub(crate) fn cgroup2_path(cgroups: &str) -> Option<&str> {
    cgroups.lines().find_map(|line| line.strip_prefix("0::")).map(|path| path.trim_start_matches('/'))
}

/// Where a BPF file system is mounted; `None` when nowhere.
///
/// # Errors
/// When the mounts cannot be read.
pub(crate) fn bpffs_mount() -> anyhow::Result<Option<PathBuf>> {
    Ok(mount_of(&mountinfo()?, "bpf"))
}

/// The running kernel's version.
///
/// # Errors
/// When `/proc` does not tell it.
pub(crate) fn kernel_version() -> anyhow::Result<KernelVersion> {
    let release = read("/proc/sys/kernel/osrelease")?;
    KernelVersion::parse(&release)
        .with_context(|| format!("cannot read a version in the kernel's release `{}`", release.trim()))
}

/// The running kernel's release, as `uname -r` prints it.
///
/// # Errors
/// When `/proc` does not tell it.
pub(crate) fn kernel_release() -> anyhow::Result<String> {
    read("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned())
}

/// The kernel's id of this boot.
///
/// # Errors
/// When `/proc` does not tell it.
pub(crate) fn boot_id() -> anyhow::Result<String> {
    read("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// The effective capabilities of this process.
///
/// # Errors
/// When `/proc` does not tell them.
pub(crate) fn capabilities() -> anyhow::Result<Capabilities> {
    let status = read("/proc/self/status")?;
    Capabilities::parse(&status).context("no line `CapEff:` in /proc/self/status")
}

/// The effective capabilities of another process, in its own user namespace; `None` when it is gone.
pub(crate) fn capabilities_of(pid: u32) -> Option<Capabilities> {
    Capabilities::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// The oldest kernel that will do: Debian 12's.
pub(crate) const KERNEL_MIN: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// `major.minor` of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KernelVersion {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl KernelVersion {
    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
        Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// A set of capabilities, as the mask that the kernel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities(u64);

impl Capabilities {
    /// Bit numbers from `include/uapi/linux/capability.h`.
    const NET_ADMIN: u32 = 12;
    const NET_RAW: u32 = 13;
    const SYS_ADMIN: u32 = 21;
    const BPF: u32 = 39;

    fn parse(status: &str) -> Option<Self> {
        let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(hex.trim(), 16).ok().map(Self)
    }

    pub(crate) fn net_admin(self) -> bool {
        self.has(Self::NET_ADMIN)
    }

    pub(crate) fn net_raw(self) -> bool {
        self.has(Self::NET_RAW)
    }

    pub(crate) fn sys_admin(self) -> bool {
        self.has(Self::SYS_ADMIN)
    }

    /// `CAP_SYS_ADMIN` holds what `CAP_BPF` was split from (Linux 5.8).
    pub(crate) fn bpf(self) -> bool {
        self.has(Self::BPF) || self.sys_admin()
    }

    fn has(self, bit: u32) -> bool {
        self.0 & (1 << bit) != 0
    }
}

/// The local ports of listening TCP sockets in a `/proc/net/tcp` or `/proc/net/tcp6` (proc_net_tcp.txt in the kernel's documentation).
pub(crate) fn listening_ports(proc_net_tcp: &str) -> Vec<u16> {
    /// `TCP_LISTEN` of `include/net/tcp_states.h`.
    const LISTEN: &str = "0A";
    let listener = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        (fields.nth(1)? == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
    };
    proc_net_tcp.lines().filter_map(listener).collect()
}

fn mountinfo() -> anyhow::Result<String> {
    read("/proc/self/mountinfo")
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{path}`: is /proc mounted?"))
}

/// The first mount of a file system type that shows its root (proc_pid_mountinfo(5)): a bind mount of a part
/// (a container's own cgroup, say) is not the hierarchy.
fn mount_of(mountinfo: &str, kind: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (front.next()?, front.next()?);
        (root == "/" && back.split(' ').next()? == kind).then(|| unescape(point))
    })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Path::new(&OsString::from_vec(bytes)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
23 27 0:22 / /sys rw,relatime - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_the_cgroup2_mount_of_a_hybrid_host() {
        assert_eq!(mount_of(HYBRID, "cgroup2"), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn a_missing_mount_is_none() {
        assert_eq!(mount_of(HYBRID, "bpf"), None);
        assert_eq!(mount_of("", "cgroup2"), None);
        assert_eq!(mount_of("41 31 0:38 /\nbroken", "cgroup2"), None);
    }

    #[test]
    fn a_bind_mount_of_a_part_is_not_the_hierarchy() {
        let text = "50 1 0:38 /agents /mnt/agents rw - cgroup2 cgroup2 rw\n41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of(text, "cgroup2"), Some(PathBuf::from("/cg")));
    }

    #[test]
    fn octal_escapes_in_mount_points_are_read() {
        let text = r"30 23 0:29 / /mnt/a\040b\134c rw,nosuid - bpf bpf rw,mode=700";
        assert_eq!(mount_of(text, "bpf"), Some(PathBuf::from(r"/mnt/a b\c")));
        assert_eq!(unescape(r"/cut\04"), PathBuf::from(r"/cut\04"));
    }

    #[test]
    fn kernel_releases_of_distributions_are_read_and_ordered() {
        let version = |text| KernelVersion::parse(text).unwrap();
        assert_eq!(version("6.1.0-18-cloud-amd64\n"), KernelVersion { major: 6, minor: 1 });
        assert_eq!(version("6.18.44-fc-v657").to_string(), "6.18");
        assert!(version("5.15.0") < version("6.1.0") && version("6.10-rc1") > version("6.9"));
        assert_eq!(KernelVersion::parse("linux"), None);
    }

    #[test]
    fn capabilities_come_from_the_effective_set() {
        let status = "CapPrm:\t0000000000001000\nCapEff:\t0000008000000000\nCapBnd:\t000001ffffffffff\n";
        let effective = Capabilities::parse(status).unwrap();
        assert!(effective.bpf() && !effective.net_admin() && !effective.sys_admin());
        let root = Capabilities::parse("CapEff:\t000001fffeffffff").unwrap();
        assert!(root.bpf() && root.net_admin() && root.sys_admin());
        assert_eq!(Capabilities::parse("Name:\tx\n"), None);
    }

    #[test]
    fn only_listening_sockets_count() {
        let text = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:8124 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 00000000000000000000000000000000:8124 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 3
";
        assert_eq!(listening_ports(text), [3306, 33060]);
    }

    #[test]
    fn this_host_has_a_cgroup2_mount_and_a_kernel() {
        assert!(cgroup2_mount().unwrap().join("cgroup.procs").exists());
        assert!(kernel_version().unwrap() >= KernelVersion { major: 4, minor: 0 });
        capabilities().unwrap();
        bpffs_mount().unwrap();
    }
}

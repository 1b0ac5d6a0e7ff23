//! What the kernel programs need: kernel, mounts, privileges.

use super::Finding;
use crate::host::{self, KERNEL_MIN};
use std::{fs, path::Path};

pub(super) fn findings() -> Vec<Finding> {
    vec![kernel(), cgroup2(), btf(), bpffs(), privileges(), unprivileged_bpf(), ipv6_loopback()]
}

fn kernel() -> Finding {
    const LOST: &str = "the kernel programs may not load";
    match host::kernel_version() {
        Ok(version) if version >= KERNEL_MIN => {
            Finding::ok("kernel", format!("{version} ({KERNEL_MIN} or newer is needed)"))
        }
        Ok(version) => Finding::missing(
            "kernel",
            format!("{version}"),
            LOST,
            format!("boot Linux {KERNEL_MIN} or newer (Debian 12, Ubuntu 24.04)"),
        ),
        Err(error) => Finding::missing("kernel", format!("{error:#}"), LOST, "mount /proc"),
    }
}

fn cgroup2() -> Finding {
    match host::cgroup2_mount() {
        Ok(mount) => Finding::ok("cgroup v2", format!("mounted at {}", mount.display())),
        Err(error) => Finding::missing(
            "cgroup v2",
            format!("{error:#}"),
            "no workload can be told from another: the daemon does not start",
            "mount it where a daemon without access to the host's would find it, or run in the host's mount namespace",
        ),
    }
}

fn btf() -> Finding {
    let path = Path::new("/sys/kernel/btf/vmlinux");
    if path.exists() {
        return Finding::ok("BTF", path.display().to_string());
    }
    Finding::warning(
        "BTF",
        format!("{} is not there", path.display()),
        "kernel programs cannot be matched to this kernel's types, and verifier errors name none",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are",
    )
}

fn bpffs() -> Finding {
    const LOST: &str =
        "the kernel programs cannot be pinned, so that they would end with the daemon: it does not start";
    match host::bpffs_mount() {
        Ok(Some(mount)) => Finding::ok("BPF file system", format!("mounted at {}", mount.display())),
        // `run` mounts it, which is enough until the host restarts: then the pins of a killed daemon would be gone with it anyway.
        Ok(None) => Finding::warning(
            "BPF file system",
            "not mounted",
            "nothing while portreeve may mount it at /sys/fs/bpf itself; in a mount namespace of its own, others do not see its pins",
            "run `mount -t bpf bpf /sys/fs/bpf`, and put it in /etc/fstab",
        ),
        Err(error) => Finding::missing("BPF file system", format!("{error:#}"), LOST, "mount /proc"),
    }
}

fn privileges() -> Finding {
    const LOST: &str = "the daemon cannot load and attach its kernel programs, and `tag` and `status` cannot reach it";
    match host::capabilities() {
        Ok(own) => {
            let lacking: Vec<&str> =
                [(own.bpf(), "CAP_BPF"), (own.net_admin(), "CAP_NET_ADMIN"), (own.sys_admin(), "CAP_SYS_ADMIN")]
                    .iter()
                    .filter_map(|(held, name)| (!held).then_some(*name))
                    .collect();
            if lacking.is_empty() {
                return Finding::ok("privileges", "CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN");
            }
            Finding::missing("privileges", format!("without {}", lacking.join(", ")), LOST, "run portreeve as root")
        }
        Err(error) => Finding::missing("privileges", format!("{error:#}"), LOST, "mount /proc"),
    }
}

/// `kernel.unprivileged_bpf_disabled`: 0 anyone may, 1 nobody until reboot, 2 nobody for now.
fn unprivileged_bpf() -> Finding {
    const WHAT: &str = "unprivileged BPF";
    match fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled") {
        Ok(value) if value.trim() == "0" => Finding::warning(
            WHAT,
            "allowed",
            "agents may load programs on their own sockets, a frequent way into the kernel",
            "run `sysctl kernel.unprivileged_bpf_disabled=1`, and put it in /etc/sysctl.d",
        ),
        Ok(_) => Finding::ok(WHAT, "disabled"),
        // The file is absent where the kernel was built without it, and then only root has BPF.
        Err(_) => Finding::ok(WHAT, "not a setting of this kernel"),
    }
}

fn ipv6_loopback() -> Finding {
    // Address ::1 in the format of if_inet6(5): 32 hexadecimal digits, then the interface.
    let there = fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| has_ipv6_loopback(&text));
    if there {
        return Finding::ok("IPv6 loopback", "::1");
    }
    Finding::warning(
        "IPv6 loopback",
        "::1 is not there",
        "connections of tagged workloads to IPv6 addresses are refused",
        "nothing if your servers have IPv4 addresses only; else `sysctl net.ipv6.conf.lo.disable_ipv6=0`",
    )
}

fn has_ipv6_loopback(if_inet6: &str) -> bool {
    if_inet6.lines().any(|line| line.starts_with("00000000000000000000000000000001 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv6_loopback_is_told_from_other_addresses() {
        let link = "fe80000000000000020c29fffe5d5ebd 02 40 20 80 eth0\n";
        assert!(!has_ipv6_loopback(link) && !has_ipv6_loopback(""));
        assert!(has_ipv6_loopback(&format!("{link}00000000000000000000000000000001 01 80 10 80       lo\n")));
    }
}

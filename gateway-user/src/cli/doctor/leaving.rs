//! Ways out of a tagged cgroup, and round the hooks of the kernel: what no program can close is found here.

use super::Finding;
use crate::{config::Config, host};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Sockets whose owner starts processes in other cgroups for whoever may write to them.
const RUNTIMES: [&str; 4] =
    ["/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/crio/crio.sock"];
/// Processes named in one finding; more are counted.
const NAMED_MAX: usize = 8;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(mount) = host::cgroup2_mount() {
        let cgroups: Vec<PathBuf> = config
            .workloads
            .iter()
            .filter_map(|workload| workload.cgroup.as_ref())
            .map(|cgroup| mount.join(cgroup))
            .collect();
        findings.push(privileged_agents(&cgroups));
        findings.push(writable_parents(&mount, &cgroups));
    }
    findings.push(runtimes(&RUNTIMES.map(Path::new)));
    findings.push(user_managers(Path::new("/run/user"), config));
    findings
}

/// Packet sockets and tun devices pass by every cgroup hook.
fn privileged_agents(cgroups: &[PathBuf]) -> Finding {
    const WHAT: &str = "network privileges of workloads";
    let processes = cgroups.iter().flat_map(|cgroup| processes(cgroup));
    let mut privileged: Vec<String> = processes.filter_map(network_privileges).collect();
    if privileged.is_empty() {
        return Finding::ok(WHAT, "no process in a workload's cgroup has any");
    }
    let more = privileged.len().saturating_sub(NAMED_MAX);
    privileged.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Finding::warning(
        WHAT,
        format!("{}{more}", privileged.join(", ")),
        "who has CAP_NET_RAW or CAP_NET_ADMIN can send packets past every hook: packet sockets (AF_PACKET), tun devices",
        "drop them: `CapabilityBoundingSet=` in the unit, `--cap-drop NET_RAW --cap-drop NET_ADMIN` for a container; \
         no agent needs them to connect",
    )
}

fn network_privileges(pid: u32) -> Option<String> {
    let own = host::capabilities_of(pid)?;
    let names: Vec<&str> = [(own.net_raw(), "CAP_NET_RAW"), (own.net_admin(), "CAP_NET_ADMIN")]
        .iter()
        .filter_map(|(held, name)| held.then_some(*name))
        .collect();
    (!names.is_empty()).then(|| format!("process {pid} ({})", names.join(", ")))
}

/// The processes of a cgroup and those below it; none where it does not exist.
fn processes(cgroup: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    let mut left = vec![cgroup.to_owned()];
    while let Some(path) = left.pop() {
        let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    pids
}

/// Who leaves a cgroup must write to `cgroup.procs` of one that holds it as well as where he goes (cgroups(7), "Delegation
/// containment"): a tagged cgroup that is itself delegated leads nowhere.
fn writable_parents(mount: &Path, cgroups: &[PathBuf]) -> Finding {
    const WHAT: &str = "cgroups above workloads";
    let above = |cgroup: &PathBuf| -> Vec<PathBuf> {
        let within = cgroup.ancestors().skip(1).take_while(|path| path.starts_with(mount));
        within.map(|path| path.join("cgroup.procs")).filter(|path| is_writable_by_others(path)).collect()
    };
    let mut writable: Vec<PathBuf> = cgroups.iter().flat_map(above).collect();
    writable.sort();
    writable.dedup();
    if writable.is_empty() {
        return Finding::ok(WHAT, "only root may move processes out of them");
    }
    let names: Vec<String> = writable.iter().map(|path| path.display().to_string()).collect();
    Finding::warning(
        WHAT,
        format!("{} can be written by others than root", names.join(", ")),
        "an agent of that user can move out of its cgroup and connect unseen, unless its uid is the workload's (`uids`)",
        "tag the cgroup that was delegated, not one below it; or give the workload `uids`",
    )
}

fn is_writable_by_others(path: &Path) -> bool {
    const GROUP_OR_OTHERS: u32 = 0o022;
    fs::metadata(path).is_ok_and(|found| found.uid() != 0 || found.mode() & GROUP_OR_OTHERS != 0)
}

fn runtimes(sockets: &[&Path]) -> Finding {
    const WHAT: &str = "sockets of container runtimes";
    let open: Vec<String> =
        sockets.iter().filter(|path| is_writable_by_others(path)).map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        return Finding::ok(WHAT, "none that others than root may write to");
    }
    Finding::warning(
        WHAT,
        open.join(", "),
        "an agent that may write to one starts a container outside of its cgroup, as root",
        "keep agents out of its group, and do not mount it into their containers",
    )
}

/// `systemd-run --user`, and cron, start processes in other cgroups by request.
fn user_managers(run_user: &Path, config: &Config) -> Finding {
    const WHAT: &str = "user managers of systemd";
    let entries = fs::read_dir(run_user).into_iter().flatten().flatten();
    let uids: Vec<u32> = entries
        .filter(|entry| entry.path().join("systemd/private").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|uid| *uid != 0 && !config.workloads.iter().any(|workload| workload.uids.contains(uid)))
        .collect();
    if uids.is_empty() {
        return Finding::ok(WHAT, "none, but of uids that are a workload's");
    }
    let uids: Vec<String> = uids.iter().map(u32::to_string).collect();
    Finding::warning(
        WHAT,
        format!("run for uids {}", uids.join(", ")),
        "an agent with such a uid leaves its cgroup by `systemd-run --user`",
        "if agents have one of these uids: a uid of their own, named in `uids` of their workload, and no lingering for it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_file_that_others_may_write_is_told() {
        let dir = std::env::temp_dir().join(format!("portreeve-leaving-{}", std::process::id()));
        let below = dir.join("agents/one");
        fs::create_dir_all(&below).unwrap();
        let procs = dir.join("agents/cgroup.procs");
        fs::write(&procs, "").unwrap();
        fs::set_permissions(&procs, Permissions::from_mode(0o666)).unwrap();
        let cgroups = [below.clone()];
        assert_eq!(writable_parents(&dir, &cgroups).state, State::Warning);
        assert_eq!(runtimes(&[&procs]).state, State::Warning);
        fs::remove_file(&procs).unwrap();
        // What is delegated to the agent itself leads nowhere.
        fs::write(below.join("cgroup.procs"), "").unwrap();
        fs::set_permissions(below.join("cgroup.procs"), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(writable_parents(&dir, &cgroups).state, State::Ok);
        assert_eq!(runtimes(&[&procs]).state, State::Ok, "not there");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn privileges_of_a_workloads_processes_are_told() {
        let own = std::process::id();
        let text = fs::read_to_string("/proc/self/status").unwrap();
        let held = host::capabilities_of(own).unwrap();
        assert_eq!(network_privileges(own).is_some(), held.net_raw() || held.net_admin(), "{text}");
        assert_eq!(network_privileges(u32::MAX), None);
    }
}

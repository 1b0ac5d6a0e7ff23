//! What the configuration names on this host: folders, pins, the cgroups of workloads.

use super::Finding;
use crate::{
    config::{Config, Workload},
    host,
    interception::pins,
};
use nix::unistd::{AccessFlags, access};
use std::{fs, path::Path};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![folder("state_dir", &config.state_dir), folder("run_dir", &config.run_dir), pinned(config)];
    if let Ok(mount) = host::cgroup2_mount() {
        findings.extend(config.workloads.iter().filter_map(|workload| cgroup(&mount, workload)));
    }
    findings
}

fn folder(what: &'static str, path: &Path) -> Finding {
    // What does not exist yet is made below the nearest folder that does.
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let usable = there.is_dir() && access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    match (usable, there == path) {
        (true, true) => Finding::ok(what, format!("{} is writable", path.display())),
        (true, false) => Finding::ok(what, format!("{} will be made", path.display())),
        (false, _) => Finding::missing(
            what,
            format!("{} is not a folder that this user may write in", there.display()),
            "the daemon does not start",
            format!("run as root, or set `{what}` to a folder on a writable file system"),
        ),
    }
}

fn pinned(config: &Config) -> Finding {
    const WHAT: &str = "pins";
    let Ok(Some(bpffs)) = host::bpffs_mount() else {
        return none("no BPF file system is mounted, so there are none".to_owned());
    };
    let pins = pins::instance_dir(&bpffs, &config.run_dir);
    match fs::read_dir(&pins).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Finding::ok(WHAT, format!("in force at {}", pins.display())),
        Ok(false) | Err(_) => none(format!("none at {}", pins.display())),
    }
}

fn none(found: String) -> Finding {
    Finding::warning(
        "pins",
        found,
        "connections of the workloads are not intercepted now: they go to the servers directly",
        "start the daemon with `portreeve run`",
    )
}

/// None for a workload that selectors choose: its cgroups come and go.
fn cgroup(mount: &Path, workload: &Workload) -> Option<Finding> {
    let path = mount.join(workload.cgroup.as_ref()?);
    if path.join("cgroup.procs").exists() {
        return Some(Finding::ok("workload", format!("`{}` is cgroup {}", workload.name, path.display())));
    }
    Some(Finding::warning(
        "workload",
        format!("`{}`: there is no cgroup {}", workload.name, path.display()),
        "nothing is identified as this workload",
        "correct `cgroup` if it is a mistake; else nothing: the daemon makes it when it starts",
    ))
}

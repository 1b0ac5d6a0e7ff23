//! Agents in containers: OCI runtimes and systemd-nspawn, each with a root of its own, an unprivileged user and a network namespace
//! that the runtime makes.

use super::{QUERY, WORD, ask, mariadb, scene, status, wait_for};
use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer},
    host,
    netns::{HOST, Netns},
    scene::Scene,
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder with a root file system of the host's own programs, and a configuration for OCI runtimes. Gone when dropped.
struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// Runs the `mariadb` client in the cgroup (a path below the mount), in a network namespace of its own or the given one.
    fn new(cgroup: &Path, netns: Option<&Netns>) -> Self {
        let dir = host::run_dir("bundle").unwrap();
        for folder in ["usr", "etc", "proc", "tmp", "dev", "sys", "run", "var", "root"] {
            fs::create_dir_all(dir.join("rootfs").join(folder)).unwrap();
        }
        for folder in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{folder}"), dir.join("rootfs").join(folder)).unwrap();
        }
        let client = mariadb(&HOST.to_string(), QUERY);
        let words = std::iter::once(client.get_program()).chain(client.get_args());
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let network = match netns {
            Some(netns) => json!({"type": "network", "path": netns.path()}),
            None => json!({"type": "network"}),
        };
        let bind =
            |path: &str| json!({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]});
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": {"uid": 65534, "gid": 65534}, "cwd": "/", "args": words,
                "env": ["PATH=/usr/bin"], "capabilities": {}, "noNewPrivileges": true,
            },
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, bind("/usr"), bind("/etc")],
            "linux": {
                "cgroupsPath": Path::new("/").join(cgroup).join("box"),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, network],
            },
        });
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        Self { dir }
    }

    /// By an OCI runtime. It sees only cgroup v2, as on most hosts: crun 1.8 does not start where v1 is mounted too.
    fn run(&self, runtime: &str) -> Answer {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
        // Where it is mounted there, a second time is an error.
        command.arg(
            "[ \"$(stat --file-system --format=%T /sys/fs/cgroup)\" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup && \
             exec \"$0\" --root \"$1/state\" run --bundle \"$1\" \"$2\"",
        );
        let name = self.dir.file_name().unwrap();
        command.arg(runtime).arg(&self.dir).arg(name);
        // The runtime itself is no agent: it puts the container into its cgroup.
        client::run(None, command).unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Err(error) = host::remove_run_dir(&self.dir) {
            eprintln!("`{}` stays behind: {error:#}", self.dir.display());
        }
    }
}

/// The agent had its answer, by a session that the workload's cgroup and its namespace are recorded for.
fn check(scene: &Scene, answer: &Answer) {
    assert!(answer.ok() && answer.stdout.contains(WORD), "{answer:?}\n{}", scene.gateway.log());
    let records = scene.records_when_closed(1).unwrap();
    let opened = records.iter().find(|record| record["record"] == "opened").unwrap();
    assert_eq!(opened["workload"], "spiffe://example.org/reporting");
    assert!(opened["evidence"]["netns_cookie"].as_u64().unwrap() > 0);
    wait_for(&scene.gateway, "the container is gone", <[_]>::is_empty);
    assert_eq!(status(&scene.gateway)["namespaces_ended_total"], 1);
}

#[test]
fn a_container_of_crun_is_served() {
    let scene = scene();
    let answer = Bundle::new(scene.reporting.relative(), None).run("crun");
    check(&scene, &answer);
    let record = &scene.gateway.records(&[]).unwrap()[0];
    assert!(record["evidence"]["cgroup_path"].as_str().unwrap().ends_with("/box"), "{record}");
    assert_eq!(record["evidence"]["uid"], 65534);
}

#[test]
fn a_container_of_runc_is_served() {
    let scene = scene();
    let answer = Bundle::new(scene.reporting.relative(), None).run("runc");
    check(&scene, &answer);
}

#[test]
fn a_container_in_a_namespace_that_somebody_made_for_it_is_served() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    netns.attach().unwrap();
    let answer = Bundle::new(scene.reporting.relative(), Some(&netns)).run("crun");
    check(&scene, &answer);
}

#[test]
fn a_container_of_systemd_nspawn_is_served() {
    let scene = scene();
    let bundle = Bundle::new(scene.reporting.relative(), None);
    let mut command = Command::new("systemd-nspawn");
    command.args(["--register=no", "--keep-unit", "--quiet", "--as-pid2", "--private-network", "--read-only"]);
    command.args(["--bind-ro=/usr", "--bind-ro=/etc"]);
    command.arg(format!("--machine={}", bundle.dir.file_name().unwrap().to_string_lossy()));
    command.arg(format!("--directory={}", bundle.dir.join("rootfs").display()));
    let client = mariadb(&HOST.to_string(), QUERY);
    command.arg(client.get_program()).args(client.get_args());
    let answer = client::run(Some(&scene.reporting), command).unwrap();
    check(&scene, &answer);
}

#[test]
fn two_workloads_in_one_namespace_are_told_apart() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let who = |cgroup: &Cgroup| ask(cgroup, &netns, &HOST.to_string(), "SELECT CURRENT_USER()").stdout;
    assert!(who(&scene.reporting).contains("shop_reporting@"));
    assert!(!who(&scene.ingest).contains("shop_reporting@"));
}

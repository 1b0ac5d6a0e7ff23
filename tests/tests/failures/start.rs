//! A start that cannot be: one message, its exit code, and nothing half-started.

use portreeve_tests::{
    cgroup::Cgroup,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::REPORTING_WORKS,
};
use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A configuration that would start, for a server that nobody asks.
fn prepared(cgroup: &Cgroup) -> Gateway {
    let credential = Credential { for_: vec!["*".into()], user: "nobody".into(), password: "none".into() };
    let config = GatewayConfig {
        workloads: vec![Workload { name: "reporting".into(), cgroup: cgroup.relative().into(), groups: vec![] }],
        servers: vec![Upstream {
            name: "shop-db".into(),
            matches: vec!["127.0.0.9:3306".into()],
            credentials: vec![credential],
            ..Upstream::default()
        }],
        policies: vec![Policy { file: "scene.cedar".into(), text: REPORTING_WORKS.into() }],
        ..GatewayConfig::default()
    };
    Gateway::prepare(&config).unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no {from} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// One message with every part of it, the exit code, and nothing half-started.
fn check_refused(gateway: &Gateway, ended: &Output, code: i32, says: &[&str]) {
    let said = String::from_utf8(ended.stderr.clone()).unwrap();
    assert_eq!(ended.status.code(), Some(code), "{said}");
    for part in says {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("portreeve: ")).count(), 1, "one message: {said}");
    for trace in ["panicked", "backtrace", "RUST_BACKTRACE", "is ready"] {
        assert!(!said.contains(trace), "{said}");
    }
    assert!(ended.stdout.is_empty());
    check_nothing_started(gateway);
}

fn check_nothing_started(gateway: &Gateway) {
    assert_eq!(gateway.pins().unwrap(), Vec::<PathBuf>::new());
    assert!(!gateway.dir().join("run/control.sock").exists());
    assert!(!gateway.cli(&["status"]).unwrap().status.success(), "a daemon answers");
}

/// A mistake in the files, made before the start.
struct Mistake {
    name: &'static str,
    make: fn(&Path),
    code: i32,
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "text that is not TOML",
        make: |dir| replace(&dir.join("portreeve.toml"), "ports = [3306]", "ports : [3306]"),
        code: 2,
        says: &["the configuration has ", "portreeve.toml:8:", "is not TOML"],
    },
    Mistake {
        name: "an unknown key",
        make: |dir| replace(&dir.join("portreeve.toml"), "ports =", "prots ="),
        code: 2,
        says: &["interception.prots: unknown key `prots`: did you mean `ports`?"],
    },
    Mistake {
        name: "several bad settings",
        make: |dir| {
            replace(&dir.join("portreeve.toml"), "\"example.org\"", "\"No Domain\"");
            replace(&dir.join("portreeve.toml"), "[3306]", "[0]");
            replace(&dir.join("portreeve.toml"), "\"disabled\"", "\"perhaps\"");
        },
        code: 2,
        says: &["trust_domain: `No Domain`", "`0` is not a port", "server[1].tls: `perhaps`"],
    },
    Mistake {
        name: "a bad policy",
        make: |dir| fs::write(dir.join("policies/scene.cedar"), "// one\npermit (principal, action);\n").unwrap(),
        code: 2,
        says: &["policies/scene.cedar:2:"],
    },
    Mistake {
        name: "a policy about what is not in the schema",
        make: |dir| {
            let text = "@id(\"a\")\npermit (principal, action == Action::\"selct\", resource);\n";
            fs::write(dir.join("policies/scene.cedar"), text).unwrap();
        },
        code: 2,
        says: &["policies/scene.cedar:", "selct"],
    },
    Mistake {
        name: "a missing password file",
        make: |dir| fs::remove_file(dir.join("secrets/shop-db-0")).unwrap(),
        code: 2,
        says: &["server[1].credential[1].password_file", "secrets/shop-db-0", "No such file"],
    },
    Mistake {
        name: "a missing folder of policies",
        make: |dir| fs::remove_dir_all(dir.join("policies")).unwrap(),
        code: 2,
        says: &["policy.paths", "cannot read the policies"],
    },
    Mistake {
        name: "a state_dir that is no folder",
        make: |dir| {
            fs::remove_dir(dir.join("state")).unwrap();
            fs::write(dir.join("state"), "in the way").unwrap();
        },
        code: 1,
        says: &["state_dir `", "/state` cannot be made"],
    },
    Mistake {
        name: "a run_dir that others may write in",
        make: |dir| fs::set_permissions(dir.join("run"), Permissions::from_mode(0o777)).unwrap(),
        code: 1,
        says: &["run_dir `", "is not a folder that only user 0 may write in"],
    },
    Mistake {
        name: "kept tags that cannot be read",
        make: |dir| fs::write(dir.join("state/tags.json"), "[{").unwrap(),
        code: 1,
        says: &["tags.json is damaged", "tag its workloads again"],
    },
];

#[test]
fn a_mistake_in_the_files_is_told_and_nothing_is_half_started() {
    let cgroup = Cgroup::create("failures").unwrap();
    for mistake in MISTAKES {
        let gateway = prepared(&cgroup);
        (mistake.make)(gateway.dir());
        eprintln!("-- {}", mistake.name);
        check_refused(&gateway, &gateway.cli(&["run"]).unwrap(), mistake.code, mistake.says);
        // The same again, so that the message is not of what the first start left.
        check_refused(&gateway, &gateway.cli(&["run"]).unwrap(), mistake.code, mistake.says);
    }
}

#[test]
fn a_port_in_use_is_told() {
    let cgroup = Cgroup::create("failures").unwrap();
    let gateway = prepared(&cgroup);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = format!("[interception]\nlisten_port = {port}");
    replace(&gateway.dir().join("portreeve.toml"), "[interception]", &listen);
    let says = [&format!("cannot listen on port {port}"), "choose another `interception.listen_port`", "in use"];
    check_refused(&gateway, &gateway.cli(&["run"]).unwrap(), 1, &says);
}

#[test]
fn a_run_dir_in_use_is_told_and_its_daemon_is_not_disturbed() {
    let cgroup = Cgroup::create("failures").unwrap();
    let mut gateway = prepared(&cgroup);
    gateway.restart().unwrap();
    let pins = gateway.pins().unwrap();
    let second = gateway.cli(&["run"]).unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    let other = format!("another portreeve (process {}) runs with run_dir `", gateway.pid().unwrap());
    assert!(second.status.code() == Some(1) && said.contains(&other), "{said}");
    assert_eq!(gateway.pins().unwrap(), pins);
    assert_eq!(gateway.cli(&["status"]).unwrap().status.code(), Some(0));
}

/// Runs the daemon in a mount namespace of its own that shell text has changed.
fn run_after(gateway: &Gateway, change: &str) -> Output {
    let mut command = Command::new("unshare");
    let script = format!("set -e\n{change}\nexec \"$0\" run --config \"$1\"");
    command.args(["--mount", "--", "sh", "-c", &script]).arg(host::portreeve_binary().unwrap());
    command.arg(gateway.config_path());
    process::output(command, CLIENT_RUN_MAX).unwrap()
}

#[test]
fn a_host_that_cannot_be_guarded_is_told() {
    let cgroup = Cgroup::create("failures").unwrap();
    let gateway = prepared(&cgroup);
    let unmount = format!("umount --lazy '{}'", host::cgroup2_mount().unwrap().display());
    check_refused(&gateway, &run_after(&gateway, &unmount), 1, &["cgroup v2"]);

    let release = gateway.dir().join("osrelease");
    fs::write(&release, "5.15.0-91-generic\n").unwrap();
    let pretend = format!("mount --bind '{}' /proc/sys/kernel/osrelease", release.display());
    check_refused(&gateway, &run_after(&gateway, &pretend), 1, &["this kernel is 5.15; portreeve needs 6.1"]);
}

/// A folder that everybody may enter, wherever the tree is. It goes with its value.
struct Public(PathBuf);

impl Drop for Public {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("`{}` stays: {error}", self.0.display());
        }
    }
}

#[test]
fn a_user_who_is_not_root_is_told() {
    let cgroup = Cgroup::create("failures").unwrap();
    let public = Public(std::env::temp_dir().join(format!("portreeve-failures-{}", std::process::id())));
    let binary = public.0.join("portreeve");
    fs::create_dir(&public.0).unwrap();
    fs::set_permissions(&public.0, Permissions::from_mode(0o755)).unwrap();
    fs::copy(host::portreeve_binary().unwrap(), &binary).unwrap();
    let config = public.0.join("portreeve.toml");
    fs::write(&config, "trust_domain = \"example.org\"\n[policy]\npaths = []\n").unwrap();
    let mut command = cgroup.command_as(65534, &binary).unwrap();
    command.args(["run", "--config"]).arg(&config);
    let ended = process::output(command, CLIENT_RUN_MAX).unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("portreeve: run portreeve as root: it needs CAP_SYS_ADMIN and CAP_NET_ADMIN"), "{said}");
}

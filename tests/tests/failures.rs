//! What goes wrong, and what is then said and done: at the start, at the disk, at the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    dial::dial_once,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    host,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    relay::Relay,
    scene::{REPORTING_WORKS, Scene, server, shop},
    servers::{Flavour, PORT},
    wire::Wire,
};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    thread,
    time::Instant,
};

// ---- The start -------------------------------------------------------------------------------------------------------

/// A configuration that would start, for a server that nobody asks.
fn prepared(cgroup: &Cgroup) -> Gateway {
    let credential = Credential { for_: vec!["*".into()], user: "nobody".into(), password: "none".into() };
    let config = GatewayConfig {
        workloads: vec![Workload { name: "reporting".into(), cgroup: cgroup.relative().into(), groups: vec![] }],
        servers: vec![Upstream {
            name: "shop-db".into(),
            matches: vec!["127.0.0.9:3306".into()],
            credentials: vec![credential],
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
        says: &["the configuration has ", "portreeve.toml:7:", "is not TOML"],
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

// ---- The disk --------------------------------------------------------------------------------------------------------

/// A small disk at a folder, and what fills it. It goes with its value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        shell(&format!("mount -t tmpfs -o size=1m,mode=700 portreeve-test '{}'", at.display()));
        Self(at)
    }

    fn fill(&self) {
        shell(&format!("cat /dev/zero > '{}/filler' 2> /dev/null || true", self.0.display()));
    }

    fn free(&self) {
        shell(&format!("rm '{}/filler'", self.0.display()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        shell(&format!("umount --lazy '{}'", self.0.display()));
    }
}

/// In the mount namespace that the daemon is in.
fn shell(script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let ended = process::output(command, CLIENT_RUN_MAX).unwrap();
    assert!(ended.status.success(), "{script}: {ended:?}");
}

#[test]
fn on_a_full_disk_nothing_is_forwarded() {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let mut scene = Scene::with(server, REPORTING_WORKS, |_| ()).unwrap();
    scene.gateway.terminate().unwrap();
    let disk = SmallDisk::mount(scene.gateway.dir().join("state"));
    scene.gateway.restart().unwrap();

    let mut open = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(open.query("SELECT 1").is_ok());
    disk.fill();
    // The session's file has some room left; a kilobyte at a time uses it up.
    let statement = |number: u32| format!("SELECT 'full-{number}.' /* {} */", "x".repeat(1024));
    let refused = (0..1000).find_map(|number| Some((number, open.query(&statement(number)).err()?)));
    let (number, error) = refused.expect("a full disk");
    let error = error.to_string();
    assert!(error.contains("nothing was forwarded") && error.contains("cannot be recorded"), "{error}");
    assert_eq!(open.rest().unwrap(), [], "that was the session's end");
    let reached = scene.server.general_log();
    assert!(reached.contains(&format!("full-{}.", number - 1)), "the statement before was forwarded");
    assert!(!reached.contains(&format!("full-{number}.")), "a statement was forwarded without a record");

    let turned_away = scene.report("SELECT 'new-session'").unwrap();
    assert!(!turned_away.ok() && turned_away.stderr.contains("cannot be recorded"), "{turned_away:?}");
    assert!(!scene.server.general_log().contains("new-session"));

    disk.free();
    let answer = scene.report("SELECT 'space-again'").unwrap();
    assert!(answer.ok() && answer.stdout.contains("space-again"), "{answer:?}");
    scene.gateway.terminate().unwrap();
    drop(disk);
}

// ---- The way to the server -------------------------------------------------------------------------------------------

/// The records of the session to a destination, once it is closed: the client may be gone a moment before that.
fn records_of(scene: &Scene, answer: &Answer, destination: &str) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let records = scene.gateway.records(&[]).unwrap();
        let opened = records.iter().find(|record| record["original_destination"] == destination);
        let session = opened.unwrap_or_else(|| panic!("no session to {destination}: {answer:?}"))["session"].clone();
        let of_session: Vec<_> = records.into_iter().filter(|record| record["session"] == session).collect();
        if of_session.last().unwrap()["record"] == "closed" {
            return of_session;
        }
        assert!(start.elapsed() < CLIENT_RUN_MAX, "not closed: {of_session:?}");
        thread::sleep(POLL_EVERY);
    }
}

/// The client reads every part of the message, and the recording's end holds the reason.
fn check_turned_away(scene: &Scene, cgroup: &Cgroup, address: Ipv4Addr, says: &[&str], reason: &str) {
    let answer = client::mariadb(Some(cgroup), &Login::agent(address), "SELECT 1").unwrap();
    assert!(!answer.ok(), "{answer:?}");
    for part in says {
        assert!(answer.stderr.contains(part), "no `{part}` in {answer:?}");
    }
    let records = records_of(scene, &answer, &format!("{address}:{PORT}"));
    let closed = records.last().unwrap();
    assert!(closed["reason"].as_str().unwrap().contains(reason), "{closed}");
    assert!(records.iter().all(|record| record["record"] != "statement"), "{records:?}");
}

#[test]
fn who_cannot_go_on_is_told_why_and_recorded() {
    let (unreachable, unknown) = (host::free_address().unwrap(), host::free_address().unwrap());
    let strangers = Cgroup::create("strangers").unwrap();
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.servers[0].matches.push(format!("{unreachable}:{PORT}"));
        let cgroup = strangers.relative().into();
        config.workloads.push(Workload { name: "stranger".into(), cgroup, groups: vec![] });
    })
    .unwrap();
    check_turned_away(
        &scene,
        &scene.reporting,
        unreachable,
        &["1429", "Can't connect to MySQL server `shop-db`", "refused"],
        "server `shop-db` cannot be reached",
    );
    check_turned_away(
        &scene,
        &scene.reporting,
        unknown,
        &["1045", &format!("no server is configured for {unknown}:{PORT}")],
        "no server is configured for",
    );
    check_turned_away(
        &scene,
        &strangers,
        scene.server.address(),
        &["1045", "workload `stranger` has no credential for server `shop-db`"],
        "has no credential",
    );
}

#[test]
fn garbage_from_a_server_ends_that_session_only() {
    let (first, later) = (host::free_address().unwrap(), host::free_address().unwrap());
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.servers[0].matches.extend([first, later].map(|address| format!("{address}:{PORT}")));
    })
    .unwrap();
    let to = (scene.server.address(), PORT).into();
    let mut bystander = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();

    let _greets_with_garbage = Relay::start((first, PORT).into(), to, Some("")).unwrap();
    check_turned_away(&scene, &scene.reporting, first, &["shop-db"], "server");
    assert!(bystander.query("SELECT 1").is_ok());

    let _answers_with_garbage = Relay::start((later, PORT).into(), to, Some("'spoil'")).unwrap();
    let answer =
        client::mariadb(Some(&scene.reporting), &Login::agent(later), "SELECT 'fine'; SELECT 'spoil'").unwrap();
    assert!(!answer.ok() && answer.stdout.contains("fine") && !answer.stdout.contains("spoil"), "{answer:?}");
    let records = records_of(&scene, &answer, &format!("{later}:{PORT}"));
    let closed = records.last().unwrap();
    assert!(closed["reason"].as_str().unwrap().starts_with("server "), "{closed}");
    assert!(bystander.query("SELECT 1").is_ok());

    // Garbage from a client, too.
    let mut other = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    other.send(b"\x05\x00\x00\x2aGET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(other.rest().unwrap().iter().all(|packet| !packet.is_ok()));
    assert!(bystander.query("SELECT 1").is_ok());
    let dialled = dial_once(Some(&scene.reporting), "plain", &scene.server.address().to_string(), PORT, &[]).unwrap();
    assert!(dialled.greeting().is_some());
}

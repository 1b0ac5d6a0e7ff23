//! Sessions that outlive their daemon's time: stopped, upgraded, untagged; and upgrades that fail.

use super::*;
use portreeve_tests::{
    gateway::GatewayConfig,
    host,
    scene::{REPORTING_WORKS, server},
    servers::Flavour,
    service::Service,
    wire::Wire,
};
use std::fs;

fn scene(change: impl FnOnce(&mut GatewayConfig)) -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, change).unwrap()
}

fn session(scene: &Scene) -> Wire {
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(wire.query("SELECT 1").is_ok());
    wire
}

/// Under a manager, so that the successor outlives the daemon that the harness started.
fn served(change: impl FnOnce(&mut GatewayConfig)) -> (Scene, Service) {
    let mut scene = scene(change);
    scene.gateway.terminate().unwrap();
    let service = Service::start(&scene.gateway, &host::portreeve_binary().unwrap()).unwrap();
    (scene, service)
}

fn upgrade(scene: &Scene, service: &mut Service) {
    json(&scene.gateway, &["upgrade", "--json"]);
    service.wait_upgraded().unwrap();
}

#[test]
fn a_session_goes_on_under_the_daemon_that_was_upgraded_and_is_seen() {
    let (scene, mut service) = served(|_| ());
    let old = service.main();
    let mut wire = session(&scene);
    upgrade(&scene, &mut service);
    let seen = status(&scene.gateway);
    assert_eq!((seen["pid"].as_u64(), seen["draining"].as_bool()), (Some(service.main()), Some(false)));
    let before = seen["predecessors"].as_array().unwrap();
    assert_eq!(before.len(), 1, "{seen}");
    assert_eq!((before[0]["pid"].as_u64(), before[0]["sessions_open"].as_u64()), (Some(old), Some(1)), "{seen}");
    let shown = String::from_utf8(scene.gateway.cli(&["status"]).unwrap().stdout).unwrap();
    assert!(shown.contains(&format!("draining    portreeve 0.1.0, process {old}")), "{shown}");
    for _ in 0..3 {
        assert!(wire.query("SELECT item FROM orders WHERE id = 1").is_ok());
    }
    // A second one, beside which both drain.
    let mut next = session(&scene);
    upgrade(&scene, &mut service);
    assert_eq!(status(&scene.gateway)["predecessors"].as_array().unwrap().len(), 2);
    assert!(wire.query("SELECT 1").is_ok() && next.query("SELECT 1").is_ok());
    drop((wire, next));
    until("both leave", || status(&scene.gateway)["predecessors"].as_array().unwrap().is_empty());
    check_works(&scene);
}

#[test]
fn a_tag_that_ends_also_ends_the_sessions_of_the_daemon_before() {
    let (scene, mut service) = served(|_| ());
    let cgroup = Cgroup::create("visitor").unwrap();
    let name = cgroup.relative().to_str().unwrap();
    json(&scene.gateway, &["tag", "--cgroup", name, "--workload", "visitor", "--group", "reporting", "--json"]);
    let mut wire = Wire::login(&cgroup, scene.server.address(), "shop").unwrap();
    upgrade(&scene, &mut service);
    assert!(wire.query("SELECT 1").is_ok());
    json(&scene.gateway, &["untag", "--cgroup", name, "--json"]);
    assert_eq!(wire.rest().unwrap(), []);
}

#[test]
fn a_policy_that_changes_holds_for_sessions_of_the_daemon_before() {
    let (scene, mut service) = served(|_| ());
    let mut wire = session(&scene);
    upgrade(&scene, &mut service);
    fs::write(scene.gateway.dir().join("policies/scene.cedar"), "// nothing is permitted").unwrap();
    until("it is denied", || {
        wire.query("SELECT item FROM orders WHERE id = 1").is_err_and(|error| error.to_string().contains("denied"))
    });
}

#[test]
fn sessions_may_go_on_while_the_daemon_stops_and_not_for_longer() {
    let mut scene = scene(|config| config.stop_drain_seconds = 2);
    let mut wire = session(&scene);
    let pid = scene.gateway.pid().unwrap();
    let ended = thread::spawn(move || {
        let start = Instant::now();
        (scene.gateway.terminate().unwrap(), start.elapsed(), scene)
    });
    thread::sleep(Duration::from_millis(500));
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(wire.query("SELECT 1").is_ok(), "within its time");
    let (status, took, scene) = ended.join().unwrap();
    assert!(status.unwrap().success() && took > Duration::from_secs(2) && took < SOON, "{took:?}");
    assert_eq!(wire.rest().unwrap(), []);
    check_refused(&scene, &scene.reporting);
    let closed = scene.gateway.records(&[]).unwrap();
    let closed: Vec<_> = closed.iter().filter(|record| record["record"] == "closed").collect();
    assert_eq!(closed[0]["reason"], "gateway stopped");
}

#[test]
fn a_daemon_without_sessions_stops_at_once() {
    let mut scene = scene(|config| config.stop_drain_seconds = 600);
    drop(session(&scene));
    let start = Instant::now();
    assert!(scene.gateway.terminate().unwrap().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_successor_that_does_not_serve_changes_nothing() {
    let (scene, service) = served(|_| ());
    let mut wire = session(&scene);
    let check = |args: &[&str], says: &str| {
        let output = scene.gateway.cli(&[&["upgrade"], args].concat()).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{said}");
        assert_eq!(status(&scene.gateway)["pid"].as_u64(), Some(service.main()));
        check_works(&scene);
    };
    check(&["--binary", "/bin/true"], "it ended without a reason");
    check(&["--binary", "/etc/passwd"], "it cannot be started");
    let layout = host::other_layout(scene.gateway.dir()).unwrap();
    check(&["--binary", layout.to_str().unwrap()], "laid out otherwise");
    assert_eq!(scene.gateway.pins().unwrap().len(), 1);
    let config = scene.gateway.config_path();
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("[policy]", "[polcy]")).unwrap();
    // The command reads the same file.
    let output = scene.gateway.cli(&["upgrade"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    fs::write(&config, &good).unwrap();
    fs::write(scene.gateway.dir().join("state/tags.json"), "[{").unwrap();
    check(&[], "tags.json is damaged");
    fs::remove_file(scene.gateway.dir().join("state/tags.json")).unwrap();
    assert!(wire.query("SELECT 1").is_ok());
}

/// Both at once: whoever comes out of it, no program is left that refuses while a daemon serves, or the other way round.
#[test]
fn a_daemon_that_is_stopped_while_it_is_upgraded_leaves_one_or_none() {
    for pause_ms in [0, 20, 40, 60, 80, 120] {
        let (scene, mut service) = served(|_| ());
        let mut upgrade = std::process::Command::new(host::portreeve_binary().unwrap());
        upgrade.arg("upgrade").arg("--config").arg(scene.gateway.config_path());
        let mut upgrade = process::spawn(upgrade).unwrap();
        thread::sleep(Duration::from_millis(pause_ms));
        process::signal_pid(u32::try_from(service.main()).unwrap(), nix::sys::signal::Signal::SIGTERM).unwrap();
        let upgraded = process::wait(&mut upgrade, SOON).unwrap().unwrap().success();
        if upgraded {
            check_works(&scene);
        } else {
            service.wait_ended().unwrap();
            drop(service);
            check_refused(&scene, &scene.reporting);
        }
    }
}

/// Its programs' maps cannot be read by the next: connects fail until that serves, and none goes directly.
#[test]
fn a_restart_with_another_layout_refuses_and_then_serves() {
    let (scene, mut service) = served(|_| ());
    let layout = host::other_layout(scene.gateway.dir()).unwrap();
    let first = scene.gateway.pins().unwrap();
    service.stop().unwrap();
    drop(service);
    check_refused(&scene, &scene.reporting);
    let service = Service::start(&scene.gateway, &layout).unwrap();
    check_works(&scene);
    let then = scene.gateway.pins().unwrap();
    assert!(then.len() == 1 && then != first, "{first:?} {then:?}");
    drop(service);
}

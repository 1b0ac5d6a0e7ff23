//! Upgrades and restarts under load: no connect fails, no statement is lost, nothing goes directly.

use super::*;
use portreeve_tests::{
    host,
    scene::{REPORTING_WORKS, shop},
    servers::Flavour,
    service::Service,
};
use std::{path::Path, sync::Arc};

const CLIENTS: usize = 6;
const TIMES: usize = 10;
/// What the slowest machine gets done meanwhile: some for each time.
const CONNECTS_MIN: u64 = 2 * TIMES as u64;
/// What one more connect may wait for: sessions that end within it, and a start, on a busy machine. They end by themselves long before.
pub(super) const DRAIN_SECONDS: u32 = 20;

/// A server of its own, whose log is read, and a daemon under a service manager.
fn served() -> (Scene, Service) {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let mut scene = Scene::with(server, REPORTING_WORKS, |config| config.stop_drain_seconds = DRAIN_SECONDS).unwrap();
    scene.gateway.terminate().unwrap();
    let service = Service::start(&scene.gateway, &host::portreeve_binary().unwrap()).unwrap();
    (scene, service)
}

pub(super) fn check_undisturbed(scene: &Scene, load: Steady, connects_min: u64) {
    let done = load.end();
    println!("{done}");
    assert_eq!(done["errors"], serde_json::json!({}), "{done}\n{}", scene.gateway.log());
    assert!(done["connects"].as_u64().unwrap() >= connects_min, "{done}");
    check_nothing_direct(scene);
    check_all_recorded(scene);
    let refused = status(&scene.gateway)["refused_connections"].clone();
    let all_zero = refused.as_object().unwrap().values().all(|count| *count == 0);
    assert!(all_zero, "{refused}");
}

fn upgrade(scene: &Scene, service: &mut Service, binary: &Path) {
    let before = service.main();
    let upgraded = json(&scene.gateway, &["upgrade", "--json", "--binary", binary.to_str().unwrap()]);
    service.wait_upgraded().unwrap();
    assert_eq!((upgraded["previous_pid"].as_u64(), upgraded["pid"].as_u64()), (Some(before), Some(service.main())));
    assert_eq!(status(&scene.gateway)["pid"].as_u64(), Some(service.main()));
}

fn is_gone(pid: u64) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn ten_upgrades_lose_no_connect_and_no_statement() {
    let (scene, mut service) = served();
    let (same, other) = (host::portreeve_binary().unwrap(), host::other_build(scene.gateway.dir()).unwrap());
    let load = Steady::start(&scene, CLIENTS);
    let mut mains = vec![service.main()];
    let build = status(&scene.gateway)["build"].clone();
    for number in 0..TIMES {
        // Every other one brings other kernel programs.
        let binary = if number % 2 == 0 { &other } else { &same };
        upgrade(&scene, &mut service, binary);
        assert_eq!(status(&scene.gateway)["build"] == build, number % 2 == 1);
        mains.push(service.main());
        thread::sleep(Duration::from_millis(300));
    }
    mains.dedup();
    assert_eq!(mains.len(), TIMES + 1, "each is another process");
    check_undisturbed(&scene, load, CONNECTS_MIN);
    let last = service.main();
    for main in mains.into_iter().filter(|main| *main != last) {
        until("an old daemon ends with its last session", || is_gone(main));
    }
    assert_eq!(status(&scene.gateway)["predecessors"], Value::Array(Vec::new()));
    assert_eq!(scene.gateway.pins().unwrap().len(), 1);
}

#[test]
fn ten_restarts_lose_no_connect_and_no_statement() {
    let (scene, mut service) = served();
    let load = Steady::start(&scene, CLIENTS);
    for _ in 0..TIMES {
        let before = service.main();
        service.restart().unwrap();
        assert!(is_gone(before), "one daemon at a time");
        thread::sleep(Duration::from_millis(300));
    }
    check_undisturbed(&scene, load, CONNECTS_MIN);
}

/// Sessions break, and whoever connects meanwhile waits for the next daemon.
#[test]
fn a_killed_daemon_whose_listeners_are_kept_is_succeeded_without_a_refusal() {
    let (scene, mut service) = served();
    let load = Steady::start(&scene, CLIENTS);
    for _ in 0..TIMES {
        service.kill9().unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    let done = load.end();
    println!("{done}");
    let errors = done["errors"].as_object().unwrap();
    let refused = |error: &String| error.contains("Operation not permitted") || error.contains("Connection refused");
    assert!(!errors.keys().any(refused), "{done}");
    let broken: u64 = errors.values().map(|times| times.as_u64().unwrap()).sum();
    assert!((1..=(TIMES * CLIENTS) as u64).contains(&broken), "{done}");
    check_nothing_direct(&scene);
    check_all_recorded(&scene);
}

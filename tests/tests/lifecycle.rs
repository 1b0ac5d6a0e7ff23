//! The daemon's life: killed, stopped, started again, and what it is told while it runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Login},
    gateway::{Gateway, GatewayConfig, Workload},
    limits::POLL_EVERY,
    process,
    scene::{REPORTING_WORKS, Scene, shop},
    servers::Flavour,
    wire::Wire,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// "At once": a refused connect waits for nothing.
const AT_ONCE_MS: u64 = 1000;
/// Patience for what takes a moment, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn scene() -> Scene {
    Scene::mariadb(REPORTING_WORKS).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "not in {SOON:?}: {what}");
        thread::sleep(POLL_EVERY);
    }
}

fn json(gateway: &Gateway, args: &[&str]) -> Value {
    gateway.json(args).unwrap()
}

fn statements_total(gateway: &Gateway) -> u64 {
    json(gateway, &["status", "--json"])["statements_total"].as_u64().unwrap()
}

fn check_refused_at_once(scene: &Scene, cgroup: &Cgroup) {
    let dialled = scene.dial(cgroup).unwrap();
    assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
    assert!(dialled.elapsed_ms().unwrap() < AT_ONCE_MS, "{dialled:?}");
}

fn is_intercepted(scene: &Scene, cgroup: &Cgroup) -> bool {
    scene.is_intercepted(cgroup).unwrap()
}

fn check_works(scene: &Scene) {
    let answer = scene.report("SELECT item FROM orders WHERE id = 1").unwrap();
    assert!(answer.ok() && answer.stdout.contains("teapot"), "{answer:?}");
}

fn close_reasons(gateway: &Gateway) -> Vec<String> {
    let records = gateway.records(&[]).unwrap();
    let closed = records.iter().filter(|record| record["record"] == "closed");
    closed.map(|record| record["reason"].as_str().unwrap().to_owned()).collect()
}

/// The marks of `load.py` in a text.
fn marks(text: &str) -> BTreeSet<String> {
    let after = text.split("load-").skip(1);
    after.filter_map(|rest| rest.split_once('.')).map(|(mark, _)| mark.to_owned()).collect()
}

#[test]
fn killed_under_load_it_refuses_at_once_and_nothing_went_by_unrecorded() {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let mut scene = Scene::with(server, REPORTING_WORKS, |_| ()).unwrap();
    let load = || client::start_python(&scene.reporting, &scene.login(), "load.py", &[]).unwrap();
    let mut load = [load(), load(), load()];
    until("the load runs", || statements_total(&scene.gateway) > 200);
    let pins = scene.gateway.pins().unwrap();

    scene.gateway.kill9().unwrap();
    check_refused_at_once(&scene, &scene.reporting);
    let reached = marks(&scene.server.general_log());
    thread::sleep(Duration::from_millis(200));
    assert_eq!(marks(&scene.server.general_log()), reached, "the load must not get through");

    scene.gateway.restart().unwrap();
    assert_eq!(scene.gateway.pins().unwrap(), pins, "the same build takes its pins over");
    until("the load goes on", || statements_total(&scene.gateway) > 200);
    check_works(&scene);

    for child in &mut load {
        assert!(child.try_wait().unwrap().is_none(), "the load ended by itself");
        process::terminate(child).unwrap();
    }
    let reached = marks(&scene.server.general_log());
    assert!(reached.len() > 400, "{}", reached.len());
    let records = scene.gateway.records(&[]).unwrap();
    let statements = records.iter().filter(|record| record["record"] == "statement");
    let recorded = statements.flat_map(|record| marks(record["sql"]["text"].as_str().unwrap())).collect();
    let unrecorded: Vec<_> = reached.difference(&recorded).collect();
    assert!(unrecorded.is_empty(), "reached the server unrecorded: {unrecorded:?}");
}

#[test]
fn an_orderly_stop_ends_sessions_and_refuses_from_then_on() {
    let mut scene = scene();
    let mut open = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(open.query("SELECT 1").is_ok());
    let status = scene.gateway.terminate().unwrap().expect("it ran");
    assert!(status.success(), "{status}");
    assert_eq!(open.rest().unwrap(), []);
    check_refused_at_once(&scene, &scene.reporting);
    assert_eq!(close_reasons(&scene.gateway), ["gateway stopped"]);
    assert!(!scene.gateway.dir().join("run/control.sock").exists());

    scene.gateway.restart().unwrap();
    check_works(&scene);
}

#[test]
fn a_cgroup_is_tagged_and_untagged_while_the_daemon_runs() {
    let mut scene = scene();
    let cgroup = Cgroup::create("visitor").unwrap();
    let name = cgroup.relative().to_str().unwrap();
    assert!(!is_intercepted(&scene, &cgroup));

    let tag = ["tag", "--cgroup", name, "--workload", "visitor", "--group", "reporting", "--json"];
    let tagged = json(&scene.gateway, &tag);
    assert_eq!(tagged["spiffe_id"], "spiffe://example.org/visitor");
    let check_tagged = |scene: &Scene| {
        let login = Login::agent(scene.server.address()).schema("shop");
        let answer = client::mariadb(Some(&cgroup), &login, "SELECT CURRENT_USER()").unwrap();
        assert!(answer.ok() && answer.stdout.contains("shop_reporting@"), "{answer:?}");
        let workloads = json(&scene.gateway, &["workloads", "--json"]);
        let visitor = workloads.as_array().unwrap().iter().find(|workload| workload["workload"] == "visitor");
        let visitor = visitor.unwrap_or_else(|| panic!("{workloads}"));
        assert_eq!((visitor["source"].as_str(), visitor["cgroup"].as_str()), (Some("tag"), Some(name)));
        assert_eq!(json(&scene.gateway, &["status", "--json"])["workloads"], 3);
    };
    check_tagged(&scene);
    scene.gateway.restart().unwrap();
    check_tagged(&scene);

    let mut open = Wire::login(&cgroup, scene.server.address(), "shop").unwrap();
    assert_eq!(json(&scene.gateway, &["untag", "--cgroup", name, "--json"])["workload"], "visitor");
    assert_eq!(open.rest().unwrap(), []);
    assert!(!is_intercepted(&scene, &cgroup));
    until("the session's end is recorded", || {
        close_reasons(&scene.gateway).iter().any(|reason| reason == "workload was untagged")
    });
    let again = scene.gateway.cli(&["untag", "--cgroup", name]).unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().contains("is not tagged"));
    scene.gateway.restart().unwrap();
    assert!(!is_intercepted(&scene, &cgroup), "untagged for good");
}

#[test]
fn a_cgroup_that_is_removed_and_made_anew_is_tagged_again() {
    let scene = scene();
    let parent = Cgroup::create("service").unwrap();
    let cgroup = parent.child("unit").unwrap();
    let name = cgroup.relative().to_str().unwrap().to_owned();
    json(&scene.gateway, &["tag", "--cgroup", &name, "--workload", "unit", "--group", "reporting", "--json"]);
    assert!(is_intercepted(&scene, &cgroup));
    drop(cgroup);
    // Also while it is away for longer than the daemon's look.
    for pause in [Duration::ZERO, Duration::from_millis(500)] {
        thread::sleep(pause);
        let cgroup = parent.child("unit").unwrap();
        thread::sleep(Duration::from_secs(1));
        assert!(is_intercepted(&scene, &cgroup), "after {pause:?}");
    }
}

#[test]
fn a_start_that_fails_leaves_no_kernel_program() {
    let cgroup = "cgroup.procs/below-a-file".into();
    let workloads = vec![Workload { name: "nobody".into(), cgroup, groups: vec![] }];
    let mut gateway = Gateway::prepare(&GatewayConfig { workloads, ..GatewayConfig::default() }).unwrap();
    let error = format!("{:#}", gateway.restart().unwrap_err());
    assert!(error.contains("below-a-file") && error.contains("loaded and attached"), "{error}");
    assert!(gateway.pins().unwrap().is_empty());
    assert!(!gateway.dir().join("run/control.sock").exists());
}

#[test]
fn a_restart_that_fails_goes_on_refusing() {
    let mut scene = scene();
    scene.gateway.kill9().unwrap();
    let tags = scene.gateway.dir().join("state/tags.json");
    fs::write(&tags, "[{").unwrap();
    let error = format!("{:#}", scene.gateway.restart().unwrap_err());
    assert!(error.contains("tags.json is damaged"), "{error}");
    assert!(!scene.gateway.pins().unwrap().is_empty());
    check_refused_at_once(&scene, &scene.reporting);
    fs::remove_file(&tags).unwrap();
    scene.gateway.restart().unwrap();
    check_works(&scene);
}

#[test]
fn detach_ends_the_refusing_of_a_daemon_that_is_gone() {
    let mut scene = scene();
    let running = scene.gateway.cli(&["detach"]).unwrap();
    assert_eq!(running.status.code(), Some(1));
    let said = String::from_utf8(running.stderr).unwrap();
    assert!(said.contains(&format!("another portreeve (process {})", scene.gateway.pid().unwrap())), "{said}");
    check_works(&scene);

    scene.gateway.kill9().unwrap();
    check_refused_at_once(&scene, &scene.reporting);
    assert_eq!(json(&scene.gateway, &["detach", "--json"])["removed"].as_array().unwrap().len(), 1);
    assert!(scene.gateway.pins().unwrap().is_empty());
    assert!(!is_intercepted(&scene, &scene.reporting));
    assert_eq!(json(&scene.gateway, &["detach", "--json"])["removed"].as_array().unwrap().len(), 0);

    scene.gateway.restart().unwrap();
    check_works(&scene);
}

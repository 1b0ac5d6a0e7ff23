//! Cgroups that selectors choose: tagged when they appear, never by the names that an agent gives.

use super::{check_intercepted, check_untouched};
use portreeve_tests::{
    cgroup::Cgroup,
    client,
    dial::{Dialled, dial_once, opened_by},
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
};
use serde_json::Value;
use std::{os::unix::fs::chown, thread, time::Instant};

/// A daemon with one more workload, `chosen`, with these selectors. `interception` is more TOML of that section.
fn scene_with(interception: &str, selects: &str) -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.interception = interception.into();
        config.extra = format!("[[workload]]\nname = \"chosen\"\ngroups = [\"reporting\"]\n{selects}\n");
    })
    .unwrap()
}

fn select(keys: &str) -> String {
    format!("[[workload.select]]\n{keys}\n")
}

fn dial(scene: &Scene, cgroup: &Cgroup) -> Dialled {
    dial_once(Some(cgroup), "unprivileged", &scene.server.address().to_string(), PORT, &["plain"]).unwrap()
}

/// What the daemon says of a cgroup.
fn tagged(scene: &Scene, cgroup: &Cgroup) -> Option<Value> {
    let text = scene.portreeve(&["workloads", "--json"]).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    all.into_iter().find(|workload| workload["cgroup"].as_str() == cgroup.relative().to_str())
}

fn wait_until_tagged(scene: &Scene, cgroup: &Cgroup) {
    let start = Instant::now();
    while tagged(scene, cgroup).is_none() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{}", scene.gateway.log());
        thread::sleep(POLL_EVERY);
    }
}

fn records_of(scene: &Scene, dialled: &Dialled, kind: &str) -> Vec<Value> {
    let session = opened_by(&scene.gateway, dialled.pid).unwrap()[0]["session"].clone();
    let all = scene.gateway.records(&[]).unwrap();
    all.into_iter().filter(|record| record["session"] == session && record["record"] == kind).collect()
}

fn check_chosen(scene: &Scene, cgroup: &Cgroup) -> Value {
    let (host, dialled) = (scene.server.address(), dial(scene, cgroup));
    check_intercepted(&scene.gateway, &dialled, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
    let opened = opened_by(&scene.gateway, dialled.pid).unwrap();
    assert_eq!(opened[0]["workload"], "spiffe://example.org/chosen");
    records_of(scene, &dialled, "chosen").remove(0)
}

/// Met by the gateway, not let on to a server, and told why.
fn check_refused(scene: &Scene, cgroup: &Cgroup, why: &str) {
    let dialled = dial(scene, cgroup);
    let version = dialled.greeting().map(|(version, _)| version).unwrap_or_default();
    assert!(version.contains("portreeve") && !version.contains("MariaDB"), "{dialled:?}");
    let answer = client::mariadb(Some(cgroup), &scene.login(), "SELECT 1").unwrap();
    assert!(!answer.ok() && answer.stderr.contains(why), "{answer:?}");
}

#[test]
fn a_cgroup_that_appears_later_is_tagged_and_one_made_below_it_is_not_another() {
    let parent = Cgroup::create("selected").unwrap();
    let pattern = format!("{}/**/agent-*.service", parent.relative().display());
    let scene = scene_with("", &select(&format!("cgroup = {pattern:?}")));
    let agent = parent.child("agent-1.service").unwrap();
    wait_until_tagged(&scene, &agent);
    let chosen = check_chosen(&scene, &agent);
    assert_eq!(chosen["selector"], format!("cgroup = {pattern:?}"));
    let inner = agent.child("agent-2.service").unwrap();
    check_chosen(&scene, &inner);
    thread::sleep(POLL_EVERY * 20);
    assert_eq!(tagged(&scene, &inner), None);
}

#[test]
fn a_cgroup_below_one_that_is_not_roots_is_not_chosen_by_its_name() {
    let parent = Cgroup::create("delegated").unwrap();
    let pattern = format!("{}/**/agent.service", parent.relative().display());
    let scene = scene_with("", &select(&format!("cgroup = {pattern:?}")));
    let delegated = parent.child("user").unwrap();
    chown(delegated.path(), Some(65534), None).unwrap();
    let (pretender, real) = (delegated.child("agent.service").unwrap(), parent.child("agent.service").unwrap());
    wait_until_tagged(&scene, &real);
    let host = scene.server.address();
    check_untouched(&scene.gateway, &dial(&scene, &pretender), &format!("{host} {PORT}"));
}

#[test]
fn who_matches_no_workload_below_a_guarded_parent_is_refused() {
    let parent = Cgroup::create("guarded").unwrap();
    let path = parent.relative().display().to_string();
    let early = parent.child("early").unwrap();
    let guard = format!("refuse_unmatched = [{path:?}]");
    let scene = scene_with(&guard, &select(&format!("cgroup = \"{path}/agent\"")));
    check_refused(&scene, &early, "is no workload's");
    let agent = parent.child("agent").unwrap();
    wait_until_tagged(&scene, &agent);
    check_chosen(&scene, &agent);
}

#[test]
fn a_cgroup_that_two_workloads_choose_is_refused() {
    let parent = Cgroup::create("both").unwrap();
    let path = parent.relative().display().to_string();
    let both = parent.child("x").unwrap();
    let other = format!("[[workload]]\nname = \"other\"\n{}", select(&format!("cgroup = \"{path}/*\"")));
    let scene = scene_with("", &format!("{}{other}", select(&format!("cgroup = \"{path}/x\""))));
    check_refused(&scene, &both, "is no workload's");
    assert!(scene.gateway.log().contains("selectors of 2 workloads"), "{}", scene.gateway.log());
}

#[test]
fn uid_and_executable_narrow_and_are_recorded() {
    let parent = Cgroup::create("narrow").unwrap();
    let [fits, uid, hash] = ["fits", "uid", "hash"].map(|name| parent.child(name).unwrap());
    let keys = |name: &str, more: &str| select(&format!("cgroup = \"{}/{name}\"\n{more}", parent.relative().display()));
    let selects = [
        keys("fits", "uid = 65534\nexe = \"/**/python*\""),
        keys("uid", "uid = 65533"),
        keys("hash", &format!("sha256 = \"{}\"", "ab".repeat(32))),
    ];
    let scene = scene_with("", &selects.concat());
    let chosen = check_chosen(&scene, &fits);
    assert!(chosen["exe"].as_str().unwrap().contains("python"), "{chosen}");
    assert_eq!(chosen["sha256"].as_str().unwrap().len(), 64);
    check_refused(&scene, &uid, "uid 0 is not the selector's");
    check_refused(&scene, &hash, "not the selector's");
    let untag = scene.gateway.cli(&["untag", "--cgroup", &fits.relative().display().to_string()]).unwrap();
    assert!(String::from_utf8_lossy(&untag.stderr).contains("a selector of workload `chosen`"), "{untag:?}");
}

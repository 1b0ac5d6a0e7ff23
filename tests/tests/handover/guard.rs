//! `portreeve guard`: refused before there is a daemon.

use super::*;
use portreeve_tests::{
    gateway::Gateway,
    host,
    scene::{REPORTING_WORKS, server},
    servers::Flavour,
};
use std::{fs, path::Path, process::Command};

/// As it is after a boot: no daemon, no pins; the tags that were made at run time are in `state_dir`.
fn booted() -> Scene {
    let mut scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |_| ()).unwrap();
    scene.gateway.terminate().unwrap();
    json(&scene.gateway, &["detach", "--json"]);
    assert!(!is_intercepted(&scene, &scene.reporting), "nothing is in force after a boot");
    scene
}

fn guard_by(gateway: &Gateway, binary: &Path) -> std::process::Output {
    let mut command = Command::new(binary);
    command.args(["guard", "--json", "--config"]).arg(gateway.config_path());
    process::output(command, CLIENT_RUN_MAX).unwrap()
}

#[test]
fn it_refuses_until_a_daemon_serves_however_often_it_runs() {
    let mut scene = booted();
    let cgroup = Cgroup::create("visitor").unwrap();
    scene.gateway.restart().unwrap();
    let name = cgroup.relative().to_str().unwrap();
    json(&scene.gateway, &["tag", "--cgroup", name, "--workload", "visitor", "--json"]);
    scene.gateway.kill9().unwrap();
    json(&scene.gateway, &["detach", "--json"]);
    for _ in 0..2 {
        let guarded = json(&scene.gateway, &["guard", "--json"]);
        assert_eq!(guarded["daemon_runs"], false);
        assert_eq!(guarded["cgroups"].as_array().unwrap().len(), 3, "{guarded}");
        check_refused(&scene, &scene.reporting);
        check_refused(&scene, &cgroup);
        assert_eq!(scene.gateway.pins().unwrap().len(), 1);
    }
    let pins = scene.gateway.pins().unwrap();
    scene.gateway.restart().unwrap();
    assert_eq!(scene.gateway.pins().unwrap(), pins, "taken over");
    check_works(&scene);
}

#[test]
fn it_leaves_a_running_daemon_alone() {
    let mut scene = booted();
    scene.gateway.restart().unwrap();
    assert_eq!(json(&scene.gateway, &["guard", "--json"])["daemon_runs"], true);
    check_works(&scene);
}

#[test]
fn with_a_broken_configuration_it_fails_and_what_was_refused_stays_so() {
    let scene = booted();
    json(&scene.gateway, &["guard", "--json"]);
    let config = scene.gateway.config_path();
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("[policy]", "[polcy]")).unwrap();
    assert_eq!(scene.gateway.cli(&["guard"]).unwrap().status.code(), Some(2));
    check_refused(&scene, &scene.reporting);
    fs::write(&config, good).unwrap();
    fs::write(scene.gateway.dir().join("state/tags.json"), "[{").unwrap();
    assert_eq!(scene.gateway.cli(&["guard"]).unwrap().status.code(), Some(1));
    check_refused(&scene, &scene.reporting);
}

/// As it is after a boot: some of the tags refuse more than none.
#[test]
fn what_it_tagged_before_it_failed_is_refused() {
    let scene = booted();
    fs::write(scene.gateway.dir().join("state/tags.json"), "[{").unwrap();
    let failed = scene.gateway.cli(&["guard"]).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("tags.json is damaged"));
    check_refused(&scene, &scene.reporting);
}

#[test]
fn it_needs_neither_secrets_nor_policies() {
    let scene = booted();
    fs::remove_dir_all(scene.gateway.dir().join("secrets")).unwrap();
    fs::remove_dir_all(scene.gateway.dir().join("policies")).unwrap();
    json(&scene.gateway, &["guard", "--json"]);
    check_refused(&scene, &scene.reporting);
}

#[test]
fn pins_of_another_build_or_layout_are_taken_over_or_stood_beside() {
    let mut scene = booted();
    for other in [host::other_build(scene.gateway.dir()), host::other_layout(scene.gateway.dir())] {
        let output = guard_by(&scene.gateway, &other.unwrap());
        assert!(output.status.success(), "{output:?}");
        check_refused(&scene, &scene.reporting);
    }
    assert_eq!(scene.gateway.pins().unwrap().len(), 2, "another layout is beside");
    scene.gateway.restart().unwrap();
    assert_eq!(scene.gateway.pins().unwrap().len(), 1);
    check_works(&scene);
}

//! Connections that were there before the tag.

use super::{refused, scene, status};
use portreeve_tests::{
    cgroup::Cgroup,
    dial::{Dialled, dial_once},
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::Scene,
    servers::PORT,
};
use std::{fs, thread, time::Instant};

/// Connects from a cgroup that is tagged afterwards; `tagged` is the path it is tagged by, and what comes of the connection
/// is returned.
fn held_while_tagged(scene: &Scene, connected_in: &Cgroup, tagged: &Cgroup, address: &str, place: &str) -> Dialled {
    let mark = scene.gateway.dir().join(format!("mark-{place}"));
    let mark_text = mark.display().to_string();
    thread::scope(|scope| {
        let held = scope.spawn(|| dial_once(Some(connected_in), "held", address, PORT, &[&mark_text, place]).unwrap());
        let start = Instant::now();
        while !fs::read_to_string(&mark).is_ok_and(|text| text == "connected\n") {
            assert!(start.elapsed() < CLIENT_RUN_MAX && !held.is_finished(), "it did not connect");
            thread::sleep(POLL_EVERY);
        }
        let cgroup = tagged.relative().display().to_string();
        scene.portreeve(&["tag", "--cgroup", &cgroup, "--workload", "late"]).unwrap();
        held.join().unwrap()
    })
}

#[test]
fn tagging_ends_what_is_open_to_a_guarded_port() {
    let scene = scene();
    let late = Cgroup::create("late").unwrap();
    let below = late.child("below").unwrap();
    let host = scene.server.address().to_string();
    let dialled = held_while_tagged(&scene, &below, &late, &host, "here");
    assert_eq!(dialled.errno(), Some("ECONNABORTED"), "{dialled:?}");
    assert!(dialled.recorded_destinations(&scene.gateway).unwrap().is_empty());
    assert_eq!(refused(&scene.gateway, "unredirected"), 0, "the server must get the reset");
}

#[test]
fn tagging_ends_it_in_a_network_namespace_of_the_cgroups_own() {
    let scene = scene();
    let late = Cgroup::create("late").unwrap();
    let dialled = held_while_tagged(&scene, &late, &late, "127.0.0.1", "elsewhere");
    assert_eq!(dialled.errno(), Some("ECONNABORTED"), "{dialled:?}");
}

#[test]
fn tagging_again_ends_no_session() {
    let scene = Scene::mariadb("@id(\"all\") permit (principal, action, resource);").unwrap();
    let cgroup = scene.reporting.relative().display().to_string();
    let answer = thread::scope(|scope| {
        let running = scope.spawn(|| scene.report("SELECT SLEEP(1), 'done'").unwrap());
        let start = Instant::now();
        while status(&scene.gateway)["sessions_open"] != 1 {
            assert!(start.elapsed() < CLIENT_RUN_MAX, "no session");
            thread::sleep(POLL_EVERY);
        }
        // Refused: the configuration says what it is. Nothing may have been ended on the way.
        assert!(!scene.gateway.cli(&["tag", "--cgroup", &cgroup, "--workload", "late"]).unwrap().status.success());
        running.join().unwrap()
    });
    assert!(answer.ok() && answer.stdout.contains("done"), "{answer:?}");
}

//! What befell the host, as `portreeve tail --host` shows it.

use portreeve_tests::{
    dial,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::{REPORTING_WORKS, Scene},
};
use serde_json::Value;
use std::{fs, thread, time::Instant};

fn events(scene: &Scene) -> Vec<Value> {
    let text = scene.portreeve(&["tail", "--host", "--lines", "0", "--json"]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named<'a>(events: &'a [Value], event: &str) -> Vec<&'a Value> {
    events.iter().filter(|record| record["event"] == event).collect()
}

/// The events once `is_there` says so.
fn until(scene: &Scene, what: &str, is_there: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let events = events(scene);
        if is_there(&events) {
            return events;
        }
        assert!(start.elapsed() < CLIENT_RUN_MAX, "no {what}: {events:#?}");
        thread::sleep(POLL_EVERY * 10);
    }
}

#[test]
fn the_host_recording_says_what_befell_the_daemon_and_who_connected() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    assert!(scene.report("SELECT 1").unwrap().ok());
    // Many alike are one that is told at once, and a count.
    for _ in 0..5 {
        scene.dial(&scene.reporting).unwrap();
    }
    let late = scene.ingest.child("late").unwrap();
    let cgroup = late.relative().display().to_string();
    scene.portreeve(&["tag", "--cgroup", &cgroup, "--workload", "late"]).unwrap();
    scene.portreeve(&["untag", "--cgroup", &cgroup]).unwrap();
    // Dialled by somebody who is nobody's workload: the gateway itself.
    let listen = scene.gateway.json(&["status", "--json"]).unwrap()["listen"][0].as_str().unwrap().to_owned();
    let (address, port) = listen.rsplit_once(':').unwrap();
    dial::dial_once(None, "plain", address, port.parse().unwrap(), &[]).unwrap();
    fs::write(scene.gateway.dir().join("policies/more.cedar"), "nonsense").unwrap();
    let events = until(&scene, "refused policies", |events| {
        named(events, "policies_loaded").len() >= 2 && named(events, "connects").len() >= 2
    });

    let started = named(&events, "started")[0];
    assert_eq!(started["gateway_version"], "0.1.0");
    assert_eq!(started["config_path"], scene.gateway.config_path().to_str().unwrap());
    assert_eq!(started["config_sha256"].as_str().unwrap().len(), 64);
    let policies = named(&events, "policies_loaded");
    assert_eq!((&policies[0]["sha256"], &policies[0]["error"]), (&started["policies_sha256"], &Value::Null));
    assert_eq!(policies[1]["sha256"], started["policies_sha256"]);
    assert!(policies[1]["error"].as_str().unwrap().contains("more.cedar"), "{policies:#?}");

    let tags = |event| -> Vec<_> {
        let of = named(&events, event).into_iter();
        let mut tags: Vec<_> = of.map(|tag| (tag["of_workload"].clone(), tag["by"].clone())).collect();
        tags.sort_by_key(|(workload, _)| workload.to_string());
        tags
    };
    let by = |workload: &str, by: &str| (Value::from(workload), Value::from(by));
    assert_eq!(
        tags("tagged"),
        [by("ingest", "configuration"), by("late", "command"), by("reporting", "configuration")]
    );
    assert_eq!(tags("untagged"), [by("late", "command")]);

    let connects = named(&events, "connects");
    let redirected: Vec<_> = connects.iter().filter(|connect| connect["refused"].is_null()).collect();
    assert_eq!(redirected.len(), 1, "{connects:#?}");
    assert_eq!((&redirected[0]["of_workload"], &redirected[0]["count"]), (&"reporting".into(), &1.into()));
    assert_eq!(redirected[0]["destination"], format!("{}:3306", scene.server.address()));
    let unrecorded = connects.iter().filter(|connect| connect["refused"] == "no-record");
    assert_eq!(unrecorded.count(), 1, "{connects:#?}");

    let began = named(&events, "session_began");
    assert_eq!(began.len(), 6);
    until(&scene, "ends of sessions", |events| named(events, "session_ended").len() == 6);

    scene.gateway.terminate().unwrap();
    let events = self::events(&scene);
    assert_eq!(named(&events, "stopped")[0]["reason"], "the daemon was told to stop");
    let counted: Vec<_> = named(&events, "connects").into_iter().filter(|one| one["refused"].is_null()).collect();
    assert_eq!((counted.len(), &counted[1]["count"]), (2, &5.into()), "{counted:#?}");
    assert_eq!(events.last().unwrap()["record"], "sealed");
}

#[test]
fn each_daemon_follows_the_one_before() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    scene.gateway.terminate().unwrap();
    scene.gateway.restart().unwrap();
    scene.gateway.kill9().unwrap();
    scene.gateway.restart().unwrap();
    let events = events(&scene);
    let ids: Vec<_> = named(&events, "started").iter().map(|started| started["id"].clone()).collect();
    let follows: Vec<_> = named(&events, "follows")
        .iter()
        .map(|one| (one["session"].clone(), one["id"].clone(), one["ended"].clone()))
        .collect();
    let pair = |one: usize, before: usize| (ids[one].clone(), ids[before].clone(), Value::from(true));
    assert_eq!(follows, [pair(1, 0), pair(2, 1)]);
    let lines = scene.portreeve(&["tail", "--host", "--lines", "0"]).unwrap();
    for part in [
        "started: portreeve 0.1.0 (pid ",
        "tagged ",
        ", by configuration",
        "stopped the daemon was told to stop",
        "in force",
    ] {
        assert!(lines.contains(part), "no `{part}` in\n{lines}");
    }
}

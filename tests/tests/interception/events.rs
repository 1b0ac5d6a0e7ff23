//! `portreeve tail --connects`: what was refused and redirected, and why.

use super::scene;
use portreeve_tests::{
    dial::dial_once,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::Scene,
    servers::PORT,
};
use serde_json::Value;
use std::{thread, time::Instant};

/// The connects of one process, once there are so many.
fn connects_of(scene: &Scene, pid: u64, number: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let text = scene.portreeve(&["tail", "--connects", "--json", "--lines", "0"]).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let connects: Vec<Value> = all.filter(|connect| connect["pid"] == pid).collect();
        if connects.len() >= number {
            return connects;
        }
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{text}");
        thread::sleep(POLL_EVERY);
    }
}

#[test]
fn every_redirected_and_refused_connect_is_told_with_who_where_and_why() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let redirected = dial_once(Some(&scene.reporting), "unprivileged", &host, PORT, &[]).unwrap();
    let refused = dial_once(Some(&scene.ingest), "unprivileged", &host, 33060, &[]).unwrap();
    assert_eq!(refused.errno(), Some("EPERM"), "{refused:?}");
    let unmade = dial_once(Some(&scene.ingest), "unprivileged", &host, PORT, &["of_protocol", "1", "262"]).unwrap();

    let told = &connects_of(&scene, redirected.pid, 1)[0];
    assert_eq!(told["workload"], "reporting");
    assert_eq!(told["destination"], format!("{host}:{PORT}"));
    assert_eq!(told["refused"], Value::Null);
    assert_eq!((&told["uid"], &told["comm"]), (&Value::from(65534), &Value::from("python")));
    let told = &connects_of(&scene, refused.pid, 1)[0];
    assert_eq!(told["workload"], "ingest");
    assert_eq!(told["destination"], format!("{host}:33060"));
    assert_eq!(told["refused"], "refused-port");
    let told = &connects_of(&scene, unmade.pid, 1)[0];
    assert_eq!((&told["refused"], &told["destination"]), (&Value::from("protocol"), &Value::Null));

    let text = scene.portreeve(&["tail", "--connects", "--workload", "ingest"]).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("refused-port") && lines[0].contains("ingest"), "{text}");
    assert!(!text.contains("reporting"), "{text}");
    let status: Value = serde_json::from_str(&scene.portreeve(&["status", "--json"]).unwrap()).unwrap();
    assert_eq!((&status["redirected_total"], &status["connect_events_lost"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(status["refused_connections"]["protocol"], 1);
}

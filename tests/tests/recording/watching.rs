//! `portreeve tail` and `portreeve sessions`.

use super::of_kind;
use portreeve_tests::{
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
};

#[test]
fn tail_and_sessions_show_what_happened() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    assert!(scene.report("SELECT item FROM orders WHERE id = 1").unwrap().ok());
    assert!(!scene.report("SELECT card FROM customers").unwrap().ok());
    assert!(!scene.ingest("SELECT 1").unwrap().ok());
    let records = scene.records_when_closed(3).unwrap();

    let lines = scene.portreeve(&["tail", "--lines", "0"]).unwrap();
    for part in [
        "allow  select   SELECT item FROM orders WHERE id = 1  [reporting-works]",
        "rows=1",
        "deny   select   SELECT card FROM customers",
        "closed client quit; 1 statement,",
        "opened shop-db as shop_reporting",
    ] {
        assert!(lines.contains(part), "no `{part}` in\n{lines}");
    }
    assert_eq!(scene.portreeve(&["tail", "--lines", "2"]).unwrap().lines().count(), 2);
    let of_reporting = scene.gateway.records(&["--workload", "reporting"]).unwrap();
    assert!(of_reporting.iter().all(|record| record["workload"] == "spiffe://example.org/reporting"));
    assert_eq!(of_kind(&of_reporting, "opened").len(), 2);
    let id = records[0]["session"].as_str().unwrap();
    let of_session = scene.gateway.records(&[&id[id.len() - 8..]]).unwrap();
    assert!(of_session.len() == 9 && of_session.iter().all(|record| record["session"] == id), "{of_session:#?}");

    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let sessions: Vec<Value> = scene
        .portreeve(&["sessions", "--json"])
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| (&session["workload"], &session["statements"], &session["denied"], &session["state"]))
        .collect();
    let (reporting, ingest) = (json!("spiffe://example.org/reporting"), json!("spiffe://example.org/ingest"));
    let (open, closed, zero, one) = (json!("open"), json!("closed"), json!(0), json!(1));
    // The newest first. The schema `shop` is denied to `ingest` at its login.
    let refused = json!("refused");
    assert_eq!(
        shown,
        [
            (&reporting, &zero, &zero, &open),
            (&ingest, &zero, &zero, &refused),
            (&reporting, &one, &one, &closed),
            (&reporting, &one, &zero, &closed),
        ]
    );
    let table = scene.portreeve(&["sessions"]).unwrap();
    assert!(table.lines().count() == 5 && table.starts_with("SESSION"), "{table}");
    assert_eq!(scene.portreeve(&["sessions", "--workload", "ingest"]).unwrap().lines().count(), 2);
    wire.command(0x01, b"").unwrap();
}

#[test]
fn tail_follow_shows_a_statement_as_it_happens() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut command = Command::new(host::portreeve_binary().unwrap());
    command.args(["tail", "--follow", "--json", "--config"]).arg(scene.gateway.config_path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tail = process::spawn(command).unwrap();
    let (sender, lines) = channel();
    let output = BufReader::new(tail.stdout.take().unwrap());
    let reader = thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));

    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    for mark in ["first-to-follow", "second-to-follow"] {
        wire.query(&format!("SELECT '{mark}'")).unwrap();
        // The session is open all the while.
        let response = loop {
            let line = lines.recv_timeout(CLIENT_RUN_MAX).unwrap();
            if line.contains(mark) {
                let verdict: Value = serde_json::from_str(&lines.recv_timeout(CLIENT_RUN_MAX).unwrap()).unwrap();
                assert_eq!(verdict["decision"], "allow");
                let facts: Value = serde_json::from_str(&lines.recv_timeout(CLIENT_RUN_MAX).unwrap()).unwrap();
                assert_eq!(facts["actions"], json!(["inspect"]));
                break lines.recv_timeout(CLIENT_RUN_MAX).unwrap();
            }
        };
        assert_eq!(serde_json::from_str::<Value>(&response).unwrap()["rows"], 1);
    }
    process::terminate(&mut tail).unwrap();
    reader.join().unwrap().ok();
}

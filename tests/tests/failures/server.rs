//! No way to the server, or a server that is none.

use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    dial::dial_once,
    gateway::Workload,
    host,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    relay::Relay,
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
    wire::Wire,
};
use serde_json::Value;
use std::{net::Ipv4Addr, thread, time::Instant};

/// The records of the session to a destination, once it is closed: the client may be gone a moment before that.
fn records_of(scene: &Scene, answer: &Answer, destination: &str) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let records = scene.gateway.records(&[]).unwrap();
        let opened = records.iter().find(|record| record["original_destination"] == destination);
        let session = opened.unwrap_or_else(|| panic!("no session to {destination}: {answer:?}"))["session"].clone();
        let is_told = |record: &Value| record["session"] == session && record["record"] != "sealed";
        let of_session: Vec<_> = records.into_iter().filter(is_told).collect();
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
        &["1053 (08S01)", "Can't connect to MySQL server `shop-db`", "refused"],
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

//! How sessions end: by the client, by the server, by somebody else; and what is left of them then.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod client_gone;
mod ended_outside;
mod server_gone;
mod waiting_client;

use portreeve_tests::{
    limits::CLIENT_RUN_MAX,
    scene::{Scene, server},
    servers::{Flavour, Server},
    wire::Wire,
};
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

const FLAVOURS: [Flavour; 2] = [Flavour::MariaDb, Flavour::MySql];
/// What sessions do here is not judged: how they end is looked at.
const EVERYTHING: &str = r#"@id("everything") permit (principal, action, resource);"#;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
/// Between two looks at a server: each look is a client of its own.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A daemon before the shared server of that flavour.
fn scene(flavour: Flavour) -> Scene {
    scene_with(flavour, "")
}

/// The same with more TOML of the `[[server]]`.
fn scene_with(flavour: Flavour, extra: &str) -> Scene {
    Scene::with(server(flavour).unwrap(), EVERYTHING, |config| config.servers[0].extra = extra.into()).unwrap()
}

/// A session of `reporting`, and its connection id at the server.
fn session(scene: &Scene) -> (Wire, u64) {
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let id = connection_id(&mut wire);
    (wire, id)
}

fn connection_id(wire: &mut Wire) -> u64 {
    number(&wire.query("SELECT CONNECTION_ID()").unwrap())
}

/// The one cell of a result, as a number.
fn number(rows: &[Vec<Option<Vec<u8>>>]) -> u64 {
    String::from_utf8(rows[0][0].clone().unwrap()).unwrap().parse().unwrap()
}

/// Prepares a statement without parameters and executes it; its answer is not read.
fn execute(wire: &mut Wire, sql: &str) {
    wire.command(PREPARE, sql.as_bytes()).unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.is_ok(), "{}", prepared.text());
    wire.until_eof().unwrap();
    wire.command(EXECUTE, &[&prepared.payload[1..5], &[0, 1, 0, 0, 0][..]].concat()).unwrap();
}

/// How many connections of that id the server has; with `busy`, of those that run a statement.
fn connections(server: &Server, id: u64, busy: bool) -> u64 {
    let busy = if busy { " AND command IN ('Query', 'Execute')" } else { "" };
    let count = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}{busy}");
    server.sql(&count).unwrap().trim().parse().unwrap()
}

/// Waits until it is so, and returns how long that took.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "not within {CLIENT_RUN_MAX:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
    start.elapsed()
}

fn wait_running(server: &Server, id: u64) {
    wait_until("the statement runs", || connections(server, id, true) == 1);
}

/// The records of one kind, of all sessions, once so many sessions are closed.
fn records(scene: &Scene, kind: &str, closed: usize) -> Vec<Value> {
    let records = scene.records_when_closed(closed).unwrap();
    records.into_iter().filter(|record| record["record"] == kind).collect()
}

//! The protocol as a client that follows no library may speak it, and as a server that means harm may answer.
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

mod commands;
mod files;
mod hostile;
mod logins;
mod packets;

use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};
use serde_json::Value;

const PING: u8 = 0x0E;
const QUERY: u8 = 0x03;

/// A daemon before the shared MariaDB, whose workload `reporting` may work in the schema `shop`.
fn scene() -> Scene {
    Scene::mariadb(REPORTING_WORKS).unwrap()
}

/// A session of `reporting`.
fn session(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

fn check_usable(wire: &mut Wire) {
    assert_eq!(wire.query("SELECT item FROM shop.orders WHERE id = 1").unwrap(), [[Some(b"teapot".to_vec())]]);
}

/// Reads an ERR packet, which must have this code and say this.
fn check_error(wire: &mut Wire, code: u16, text: &str) {
    let packet = wire.packet().unwrap();
    assert_eq!(packet.error_code(), Some(code), "{}", packet.text());
    assert!(packet.text().contains(text), "no `{text}` in {}", packet.text());
}

/// The records of one kind, of all sessions.
fn records(scene: &Scene, kind: &str) -> Vec<Value> {
    scene.gateway.records(&[]).unwrap().into_iter().filter(|record| record["record"] == kind).collect()
}

/// Why sessions were closed, in order, once there are so many.
fn reasons(scene: &Scene, sessions: usize) -> Vec<String> {
    let records = scene.records_when_closed(sessions).unwrap();
    let closed = records.iter().filter(|record| record["record"] == "closed");
    closed.map(|closed| closed["reason"].as_str().unwrap().to_owned()).collect()
}

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

mod administration;
mod attributes;
mod bulk;
mod commands;
mod compression;
mod cursors;
mod files;
mod hostile;
mod kills;
mod logins;
mod long_data;
mod packets;
mod passwords;
mod replication;
mod resets;
mod users;
mod windows;

use anyhow::{Result, bail};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};
use serde_json::Value;

const QUERY: u8 = 0x03;
const PING: u8 = 0x0E;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const CLOSE: u8 = 0x19;

/// What servers say to a byte that is no command.
const UNKNOWN_COMMAND: &[u8] = b"\xFF\x17\x04#08S01Unknown command";

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

/// Prepares a statement and returns its id; the server's or the gateway's no is an error.
fn prepare(wire: &mut Wire, sql: &str) -> Result<Vec<u8>> {
    wire.command(PREPARE, sql.as_bytes())?;
    prepared(wire)
}

/// Reads the answer to a prepare.
fn prepared(wire: &mut Wire) -> Result<Vec<u8>> {
    let answer = wire.packet()?;
    let &[0, ref id @ .., columns, _, parameters, _, _, _, _] = answer.payload.as_slice() else {
        bail!("{}", answer.text())
    };
    for _ in [columns, parameters].iter().filter(|&&definitions| definitions > 0) {
        wire.until_eof()?;
    }
    Ok(id.to_vec())
}

/// Executes a statement without parameters. `flags` is the type of the cursor.
fn execute(wire: &mut Wire, id: &[u8], flags: u8) {
    wire.command(EXECUTE, &[id, &[flags, 1, 0, 0, 0]].concat()).unwrap();
}

/// The only cell of the only row, as text.
fn one(wire: &mut Wire, sql: &str) -> String {
    let rows = wire.query(sql).unwrap();
    let [row] = rows.as_slice() else { panic!("{sql}: {rows:?}") };
    let [Some(cell)] = row.as_slice() else { panic!("{sql}: {row:?}") };
    String::from_utf8(cell.clone()).unwrap()
}

/// The number of recorded commands of that name.
fn commands(scene: &Scene, command: &str) -> usize {
    records(scene, "statement").iter().filter(|statement| statement["command"] == command).count()
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

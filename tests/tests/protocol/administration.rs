//! Commands that act on the server: nobody may by default, and whoever may is served as by the server.

use super::{QUERY, check_error, check_usable, records, scene, session};
use portreeve_tests::{
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::{REPORTING_WORKS, Scene, shop},
    servers::Flavour,
    wire::{Packet, Wire},
};
use std::{thread, time::Instant};

/// Byte, argument, and the action that policy must permit.
const COMMANDS: [(u8, &[u8], &str); 8] = [
    (0x07, b"\x01", "flush"),
    (0x08, b"", "shutdown"),
    (0x0A, b"", "processlist"),
    (0x0D, b"", "debug"),
    (0x12, b"\x04\0\0\0\0\0\x01\0\0\0", "replication"),
    (0x13, b"\x04shop\x06orders", "replication"),
    (0x15, REPLICA, "replication"),
    (0x1E, b"\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0", "replication"),
];
/// A replica's id, no host, user nor password, port, rank, and the source's id.
pub(super) const REPLICA: &[u8] = b"\x07\0\0\0\0\0\0\xEA\x0C\0\0\0\0\0\0\0\0";
const ADMINISTERS: &str =
    r#"@id("administers") permit (principal in Group::"reporting", action in Action::"admin", resource);"#;

/// Each is answered by the gateway, by the name of the action.
fn check_denied(scene: &Scene, denial: &str, policies: &[&str]) {
    let mut wire = session(scene);
    for (byte, argument, action) in COMMANDS {
        wire.command(byte, argument).unwrap();
        check_error(&mut wire, 1142, &format!("42000denied by policy{}", denial.replace("ACTION", action)));
        check_usable(&mut wire);
    }
    let (statements, verdicts) = (records(scene, "statement"), records(scene, "verdict"));
    for (byte, _, action) in COMMANDS {
        let name = format!("command_{byte:#04x}");
        let statement = statements.iter().find(|statement| statement["command"] == name).unwrap();
        let verdict = verdicts.iter().find(|verdict| verdict["number"] == statement["number"]).unwrap();
        assert_eq!((&verdict["decision"], &verdict["class"]), (&"deny".into(), &action.into()), "{name}");
        assert_eq!(verdict["policies"], serde_json::json!(policies), "{name}");
    }
}

#[test]
fn by_default_nobody_administers_a_server() {
    check_denied(&scene(), ": no policy permits `ACTION` on `shop-db`", &[]);
    check_denied(&Scene::mysql(REPORTING_WORKS).unwrap(), ": no policy permits `ACTION` on `shop-db`", &[]);
}

#[test]
fn a_policy_that_forbids_it_is_named() {
    let forbids = r#"@id("nobody-administers") forbid (principal, action in Action::"admin", resource);"#;
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{ADMINISTERS}{forbids}")).unwrap();
    check_denied(&scene, " nobody-administers: `ACTION` on `shop-db` is forbidden", &["nobody-administers"]);
}

/// What the server answers to the command. MySQL 9.7 has dropped some of them.
fn answer(wire: &mut Wire, byte: u8, argument: &[u8]) -> Packet {
    wire.command(byte, argument).unwrap();
    let packet = wire.packet().unwrap();
    assert!(!packet.text().contains("portreeve") && !packet.text().contains("policy"), "{}", packet.text());
    packet
}

fn check_permitted(flavour: Flavour) {
    let policy = format!("{REPORTING_WORKS}{ADMINISTERS}");
    let scene = Scene::with(shop(flavour).unwrap().into(), &policy, |_| ()).unwrap();
    let mut wire = session(&scene);
    let dropped = |packet: &Packet| packet.error_code() == Some(1047);
    let of_mysql = flavour == Flavour::MySql;
    let flushed = answer(&mut wire, 0x07, b"\x01");
    assert!(if of_mysql { dropped(&flushed) } else { flushed.is_ok() }, "{}", flushed.text());
    let debug = answer(&mut wire, 0x0D, b"");
    assert!(debug.is_eof() || debug.is_ok(), "{}", debug.text());
    let replica = answer(&mut wire, 0x15, REPLICA);
    assert!(replica.is_ok(), "{}", replica.text());
    wire.command(0x0A, b"").unwrap();
    match of_mysql {
        true => check_error(&mut wire, 1047, "Unknown command"),
        false => {
            // The list of processes has this one.
            assert!(wire.result().unwrap().iter().any(|row| row[1] == Some(b"shop_reporting".to_vec())));
        }
    }
    // To make and to drop a schema: commands of old clients that neither server has any more.
    for byte in [0x05, 0x06] {
        let answer = answer(&mut wire, byte, b"by_command");
        assert!(dropped(&answer), "{}", answer.text());
    }
    check_usable(&mut wire);
    let shutdown = answer(&mut wire, 0x08, b"\0");
    if of_mysql {
        assert!(dropped(&shutdown), "{}", shutdown.text());
        return;
    }
    assert!(shutdown.is_eof() || shutdown.is_ok(), "{}", shutdown.text());
    wire.rest().unwrap();
    let start = Instant::now();
    while scene.server.sql("SELECT 1").is_ok() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "the server is still there");
        thread::sleep(POLL_EVERY);
    }
}

#[test]
fn whoever_may_administer_is_answered_by_the_server() {
    check_permitted(Flavour::MariaDb);
    check_permitted(Flavour::MySql);
}

#[test]
fn schemas_made_and_dropped_by_command_are_judged() {
    let forbids = r#"
        @id("no-new-schema") forbid (principal, action == Action::"create", resource == Schema::"shop-db/forbidden");
        @id("keep-vault") forbid (principal, action == Action::"drop", resource == Schema::"shop-db/vault");"#;
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{forbids}")).unwrap();
    let mut wire = session(&scene);
    wire.command(0x05, b"forbidden").unwrap();
    check_error(&mut wire, 1142, "denied by policy no-new-schema: `create` on `shop-db/forbidden` is forbidden");
    wire.command(0x06, b"vault").unwrap();
    check_error(&mut wire, 1142, "denied by policy keep-vault: `drop` on `shop-db/vault` is forbidden");
    wire.command(QUERY, b"SELECT COUNT(*) FROM vault.`keys`").unwrap();
    assert_eq!(wire.result().unwrap(), [[Some(b"1".to_vec())]]);
}

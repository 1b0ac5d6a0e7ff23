//! Streams of replication, where policy permits them: events pass, acknowledgements pass, and nothing else does.

use super::{administration::REPLICA, check_error, records, session};
use portreeve_tests::{
    host,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::{REPORTING_WORKS, Scene, shop_with},
    servers::Flavour,
    wire::{Packet, Wire, framed},
};
use std::{thread, time::Instant};

const REGISTER: u8 = 0x15;
const DUMP: u8 = 0x12;
/// What a replica acknowledges to a source that waits for it: a position and a file.
const ACKNOWLEDGEMENT: &[u8] = b"\xEF\x04\0\0\0\0\0\0\0log.000001";
const REPLICATES: &str =
    r#"@id("replicates") permit (principal in Group::"reporting", action == Action::"replication", resource);"#;
/// Flag: the stream ends where the log does now.
const NON_BLOCKING: u16 = 1;

/// A server of its own that writes a binary log.
fn scene(flavour: Flavour) -> Scene {
    let arguments = ["--log-bin=log", "--server-id=1", "--binlog-format=STATEMENT"].map(str::to_owned);
    let server = shop_with(flavour, host::free_address().unwrap(), &arguments).unwrap();
    server.sql("CREATE TABLE shop.replicated (word VARCHAR(40))").unwrap();
    server.log_statements().unwrap();
    Scene::with(server.into(), &format!("{REPORTING_WORKS}{REPLICATES}"), |_| ()).unwrap()
}

/// A session that is ready to be served as a replica.
fn replica(scene: &Scene) -> Wire {
    let mut wire = session(scene);
    wire.query("SET @master_binlog_checksum = 'NONE'").unwrap();
    wire.query("SET @source_binlog_checksum = 'NONE'").unwrap();
    wire.query("SET @mariadb_slave_capability = 4").unwrap();
    wire.command(REGISTER, REPLICA).unwrap();
    let registered = wire.packet().unwrap();
    assert!(registered.is_ok(), "{}", registered.text());
    wire
}

/// A request for the whole log.
fn dump(scene: &Scene, flags: u16) -> Vec<u8> {
    let log = match scene.server.flavour() {
        Flavour::MariaDb => "SHOW MASTER STATUS",
        Flavour::MySql => "SHOW BINARY LOG STATUS",
    };
    let status = scene.server.sql(log).unwrap();
    let file = status.split('\t').next().unwrap();
    framed(0, &[&[DUMP, 4, 0, 0, 0][..], &flags.to_le_bytes(), &[7, 0, 0, 0], file.as_bytes()].concat())
}

fn is_event_with(packet: &Packet, text: &str) -> bool {
    packet.payload.first() == Some(&0) && packet.text().contains(text)
}

/// Reads events up to the one that holds the text.
fn until_event(wire: &mut Wire, text: &str) {
    loop {
        let packet = wire.packet().unwrap();
        assert!(packet.error_code().is_none() && !packet.is_eof(), "{}", packet.text());
        if is_event_with(&packet, text) {
            return;
        }
    }
}

fn check_to_the_end(scene: &Scene) {
    scene.server.sql("INSERT INTO shop.replicated VALUES ('seen-by-the-replica')").unwrap();
    let mut wire = replica(scene);
    // All in one segment: what follows the stream is judged when the stream is over.
    let query = framed(0, b"\x03SELECT card FROM customers");
    wire.send(&[dump(scene, NON_BLOCKING), query].concat()).unwrap();
    until_event(&mut wire, "seen-by-the-replica");
    wire.until_eof().unwrap();
    check_error(&mut wire, 1142, "no-customers");
    // Servers end a session that was a stream.
    assert_eq!(wire.rest().unwrap(), []);
    let statements = records(scene, "statement");
    let dumped = statements.iter().find(|statement| statement["command"] == "command_0x12").unwrap();
    let verdicts = records(scene, "verdict");
    let verdict = verdicts.iter().find(|verdict| verdict["number"] == dumped["number"]).unwrap();
    assert_eq!((&verdict["class"], &verdict["policies"][0]), (&"replication".into(), &"replicates".into()));
    let responses = records(scene, "response");
    assert!(responses.iter().any(|response| response["number"] == dumped["number"]), "{responses:?}");
}

fn check_meanwhile(scene: &Scene) {
    let mut wire = replica(scene);
    let id = records(scene, "login").last().unwrap()["server_connection_id"].clone();
    wire.send(&dump(scene, 0)).unwrap();
    until_event(&mut wire, "CREATE TABLE shop.replicated");
    wire.send(&framed(0, ACKNOWLEDGEMENT)).unwrap();
    scene.server.sql("INSERT INTO shop.replicated VALUES ('while-it-streams')").unwrap();
    until_event(&mut wire, "while-it-streams");
    // A statement among acknowledgements waits, and those behind it do, too.
    let forbidden = framed(0, b"\x03SELECT card, 'unjudged' FROM customers");
    wire.send(&[framed(0, ACKNOWLEDGEMENT), forbidden.clone(), framed(0, ACKNOWLEDGEMENT), forbidden].concat())
        .unwrap();
    scene.server.sql("INSERT INTO shop.replicated VALUES ('behind-the-statement')").unwrap();
    until_event(&mut wire, "behind-the-statement");
    scene.server.sql(&format!("KILL {id}")).unwrap();
    let rest = wire.rest().unwrap();
    assert!(rest.iter().all(|packet| !packet.text().contains("4111")), "{rest:?}");
    let log = scene.server.general_log();
    assert!(!log.contains("unjudged"), "{log}");
    let start = Instant::now();
    while !records(scene, "closed").iter().any(|closed| closed["reason"].as_str().unwrap().contains("server")) {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{:?}", records(scene, "closed"));
        thread::sleep(POLL_EVERY);
    }
}

fn check_broken_off(scene: &Scene) {
    // A log that is not there: the server says so in place of a stream, and ends the session.
    let mut wire = replica(scene);
    wire.command(DUMP, b"\x04\0\0\0\0\0\x07\0\0\0no-such-log.000001").unwrap();
    loop {
        let packet = wire.packet().unwrap();
        if packet.error_code().is_some() {
            assert_eq!(packet.error_code(), Some(1236), "{}", packet.text());
            break;
        }
    }
    assert_eq!(wire.rest().unwrap(), []);
}

fn check(flavour: Flavour) {
    let scene = scene(flavour);
    check_to_the_end(&scene);
    check_broken_off(&scene);
    check_meanwhile(&scene);
}

#[test]
fn a_stream_of_mariadb_passes_and_nothing_unjudged_with_it() {
    check(Flavour::MariaDb);
}

#[test]
fn a_stream_of_mysql_passes_and_nothing_unjudged_with_it() {
    check(Flavour::MySql);
}

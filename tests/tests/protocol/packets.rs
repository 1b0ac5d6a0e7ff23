//! Framing: how bytes are cut into segments and packets means nothing.

use super::{PING, QUERY, UNKNOWN_COMMAND, check_error, check_usable, prepare, reasons, records, scene, session};
use portreeve_tests::{
    limits::CLIENT_RUN_MAX,
    scene::{REPORTING_WORKS, Scene},
    wire::{PACKET_MAX, framed},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for the daemon to read what was sent before.
const PAUSE: Duration = Duration::from_millis(2);

#[test]
fn a_query_is_read_alike_wherever_it_is_split() {
    let scene = scene();
    let mut wire = session(&scene);
    let query = framed(0, b"\x03SELECT item FROM orders WHERE id = 2");
    for split in 1..query.len() {
        wire.send(&query[..split]).unwrap();
        thread::sleep(PAUSE);
        wire.send(&query[split..]).unwrap();
        assert_eq!(wire.result().unwrap(), [[Some(b"cup".to_vec())]], "split at {split}");
    }
    for byte in &query {
        wire.send(&[*byte]).unwrap();
        thread::sleep(PAUSE);
    }
    assert_eq!(wire.result().unwrap(), [[Some(b"cup".to_vec())]]);
}

#[test]
fn commands_sent_together_are_answered_in_order() {
    let scene = scene();
    let mut wire = session(&scene);
    let query = |id: u32| framed(0, format!("\x03SELECT item FROM orders WHERE id = {id}").as_bytes());
    let denied = framed(0, b"\x03SELECT card FROM customers");
    wire.send(&[query(1), denied, query(2), framed(0, &[PING]), query(3)].concat()).unwrap();
    assert_eq!(wire.result().unwrap(), [[Some(b"teapot".to_vec())]]);
    check_error(&mut wire, 1142, "no-customers");
    assert_eq!(wire.result().unwrap(), [[Some(b"cup".to_vec())]]);
    assert!(wire.packet().unwrap().is_ok());
    assert_eq!(wire.result().unwrap(), [[Some(b"tray".to_vec())]]);
}

#[test]
fn a_command_without_an_answer_and_the_next_in_one_segment() {
    let scene = scene();
    let mut wire = session(&scene);
    wire.command(0x16, b"SELECT item FROM orders WHERE id = 3").unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.is_ok(), "{}", prepared.text());
    wire.until_eof().unwrap();
    let id = &prepared.payload[1..5];
    let (execute, close) = (framed(0, &[&[0x17], id, &[0, 1, 0, 0, 0]].concat()), framed(0, &[&[0x19], id].concat()));
    wire.send(&[execute.clone(), close, execute, framed(0, b"\x03SELECT 1")].concat()).unwrap();
    assert_eq!(wire.packet().unwrap().payload, [1]);
    wire.until_eof().unwrap();
    assert_eq!(wire.until_eof().unwrap(), [b"\0\0\x04tray"]);
    check_error(&mut wire, 1243, "Unknown prepared statement");
    assert_eq!(wire.result().unwrap(), [[Some(b"1".to_vec())]]);
}

#[test]
fn a_statement_and_a_row_of_20_mb_pass_whole() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.large (body LONGTEXT)").unwrap();
    let mut wire = session(&scene);
    let body = "0123456789".repeat(2_000_000);
    assert!(wire.query(&format!("INSERT INTO large VALUES ('{body}')")).unwrap().is_empty());
    assert_eq!(scene.server.sql("SELECT LENGTH(body) FROM shop.large").unwrap(), "20000000\n");
    let rows = wire.query("SELECT body FROM large").unwrap();
    assert!(rows == [[Some(body.into_bytes())]], "the row is not what was inserted");
    check_usable(&mut wire);
    let statements = records(&scene, "statement");
    let sql = &statements[0]["sql"];
    assert_eq!((&sql["truncated"], &sql["length"]), (&true.into(), &20_000_029.into()));
}

#[test]
fn payloads_around_the_longest_packet_pass_whole() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.edges (body LONGTEXT)").unwrap();
    let mut wire = session(&scene);
    let (head, tail) = ("INSERT INTO edges VALUES ('", "')");
    for payload in [PACKET_MAX - 1, PACKET_MAX, PACKET_MAX + 1] {
        let body = payload - 1 - head.len() - tail.len();
        wire.command(QUERY, format!("{head}{}{tail}", "x".repeat(body)).as_bytes()).unwrap();
        assert!(wire.packet().unwrap().is_ok());
        let sql = "SELECT LENGTH(body) FROM shop.edges; DELETE FROM shop.edges";
        assert_eq!(scene.server.sql(sql).unwrap(), format!("{body}\n"));
        // A cell of this size has four bytes of length before it.
        let rows = wire.query(&format!("SELECT REPEAT('y', {})", payload - 4)).unwrap();
        assert_eq!(rows[0][0].as_ref().unwrap().len(), payload - 4);
        check_usable(&mut wire);
    }
}

#[test]
fn an_empty_packet_is_answered_and_the_session_goes_on() {
    let scene = scene();
    let mut wire = session(&scene);
    wire.send(&[framed(0, b""), framed(0, b""), framed(0, &[PING])].concat()).unwrap();
    for _ in 0..2 {
        let packet = wire.packet().unwrap();
        assert_eq!((packet.id, packet.payload.as_slice()), (1, UNKNOWN_COMMAND), "{}", packet.text());
    }
    assert!(wire.packet().unwrap().is_ok());
    check_usable(&mut wire);
}

#[test]
fn a_command_out_of_order_ends_its_session_only() {
    let scene = scene();
    let mut other = session(&scene);
    for id in [1, 5, 0xFF] {
        let mut wire = session(&scene);
        wire.send(&[framed(id, &[PING]), framed(0, &[PING])].concat()).unwrap();
        let rest = wire.rest().unwrap();
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0].payload, b"\xFF\x84\x04#08S01Got packets out of order", "{}", rest[0].text());
        check_usable(&mut other);
    }
    let reasons = reasons(&scene, 3);
    assert!(reasons.iter().all(|reason| reason.starts_with("client ")), "{reasons:?}");
}

#[test]
fn a_command_with_fields_missing_is_answered_and_the_session_goes_on() {
    let scene = scene();
    let mut wire = session(&scene);
    let id = prepare(&mut wire, "SELECT item FROM orders WHERE id = ?").unwrap();
    let cut_value = [&[0x17], &id[..], &[0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0]].concat();
    let malformed: [&[u8]; 7] =
        [b"\x17\x01", &cut_value, b"\x1A", b"\x1C\x01\0\0\0", b"\x1B\0", b"\x0C\x01\0\0", b"\x04no end of the name"];
    for payload in malformed {
        wire.send(&framed(0, payload)).unwrap();
        let packet = wire.packet().unwrap();
        assert_eq!((packet.error_code(), packet.id), (Some(1835), 1), "{payload:?}: {}", packet.text());
        assert!(packet.text().contains("HY000Malformed communication packet"), "{payload:?}: {}", packet.text());
        check_usable(&mut wire);
    }
    let verdicts = records(&scene, "verdict");
    let denied: Vec<_> = verdicts.iter().filter(|verdict| verdict["decision"] == "deny").collect();
    assert_eq!(denied.len(), malformed.len(), "{denied:?}");
}

#[test]
fn what_follows_the_last_field_is_passed_as_servers_take_it() {
    for scene in [scene(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        let mut wire = session(&scene);
        wire.send(&framed(0, b"\x0Emore")).unwrap();
        assert!(wire.packet().unwrap().is_ok());
        wire.send(&framed(0, b"\x09more")).unwrap();
        assert!(wire.packet().unwrap().text().starts_with("Uptime: "));
        check_usable(&mut wire);
    }
}

#[test]
fn garbage_ends_its_session_only() {
    let scene = scene();
    let mut other = session(&scene);
    let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for garbage in [&b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"[..], &[0xFF; 300], &noise] {
        let mut wire = session(&scene);
        wire.send(garbage).unwrap();
        wire.finish();
        let rest = wire.rest().unwrap();
        assert!(rest.iter().all(|packet| packet.error_code().is_some()), "{rest:?}");
        check_usable(&mut other);
    }
    assert!(scene.portreeve(&["status"]).is_ok());
}

#[test]
fn a_client_that_leaves_within_an_answer_leaves_nothing_at_the_server() {
    let scene = scene();
    let mut wire = session(&scene);
    let id = String::from_utf8(wire.query("SELECT CONNECTION_ID()").unwrap()[0][0].clone().unwrap()).unwrap();
    let count = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
    assert_eq!(scene.server.sql(&count).unwrap(), "1\n");
    wire.command(QUERY, b"SELECT REPEAT('much ', 10000000), REPEAT('more ', 10000000)").unwrap();
    wire.packet().unwrap();
    drop(wire);
    assert_eq!(reasons(&scene, 1).len(), 1);
    let start = Instant::now();
    while scene.server.sql(&count).unwrap() != "0\n" {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "the server still has the session");
        thread::sleep(PAUSE);
    }
}

//! Policies exchanged under running sessions, and a daemon that only observes: through the real daemon and real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

use portreeve_tests::{
    host,
    limits::POLL_EVERY,
    scene::{self, Scene},
    servers::Flavour,
    wire::{Packet, Wire},
};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

const READS: &str = r#"
@id("reads")
permit (principal in Group::"reporting", action in [Action::"read", Action::"session"], resource in Server::"shop-db");
"#;
const NO_ORDERS: &str = r#"
@id("no-orders")
forbid (principal, action, resource == Table::"shop-db/shop.orders");
"#;
/// Permits all without a condition: no verdict depends on how the server reads texts.
const EVERYTHING: &str = r#"
@id("everything")
permit (principal in Group::"reporting", action, resource in Server::"shop-db");
"#;
const ORDERS: &str = "SELECT item FROM orders WHERE id = 1";
/// Patience for what takes a moment, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const FETCH: u8 = 0x1C;
const UNKNOWN: u8 = 0xF7;

/// As editors write: a new file in the place of the old one.
fn replace(scene: &Scene, text: &str) {
    let folder = scene.gateway.dir().join("policies");
    fs::write(folder.join(".scene.cedar.new"), text).unwrap();
    fs::rename(folder.join(".scene.cedar.new"), folder.join("scene.cedar")).unwrap();
}

fn status(scene: &Scene) -> Value {
    serde_json::from_str(&scene.portreeve(&["status", "--json"]).unwrap()).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "not in {SOON:?}: {what}");
        thread::sleep(POLL_EVERY);
    }
}

fn until_generation(scene: &Scene, generation: u64) {
    until("the policies are in force", || status(scene)["policy"]["generation"] == generation);
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn session(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

fn check_allowed(wire: &mut Wire) {
    assert_eq!(wire.query(ORDERS).unwrap(), [[Some(b"teapot".to_vec())]]);
}

fn check_denied(wire: &mut Wire, by: &str) {
    let error = wire.query(ORDERS).unwrap_err().to_string();
    assert!(error.contains(by) && error.contains("denied by policy"), "{error}");
}

/// The id of a prepared statement without parameters and with one column.
fn prepare(wire: &mut Wire, sql: &str) -> [u8; 4] {
    wire.command(PREPARE, sql.as_bytes()).unwrap();
    let ok = wire.packet().unwrap();
    assert_eq!(ok.payload[0], 0, "{}", ok.text());
    wire.until_eof().unwrap();
    ok.payload[1..5].try_into().unwrap()
}

fn execute(wire: &mut Wire, id: [u8; 4], cursor: u8) -> Packet {
    wire.command(EXECUTE, &[&id[..], &[cursor, 1, 0, 0, 0]].concat()).unwrap();
    wire.packet().unwrap()
}

/// An execution whose rows are of no interest.
fn check_executed(wire: &mut Wire, id: [u8; 4]) {
    let first = execute(wire, id, 0);
    assert_eq!(first.payload, [1], "{}", first.text());
    wire.until_eof().unwrap();
    wire.until_eof().unwrap();
}

#[test]
fn running_sessions_are_judged_by_new_policies_from_their_next_statement() {
    let scene = Scene::mariadb(READS).unwrap();
    let mut wire = session(&scene);
    check_allowed(&mut wire);
    let id = prepare(&mut wire, ORDERS);
    check_executed(&mut wire, id);
    let with_cursor = prepare(&mut wire, "SELECT item FROM orders");
    assert_eq!(execute(&mut wire, with_cursor, 1).payload, [1]);
    wire.until_eof().unwrap();

    replace(&scene, &[READS, NO_ORDERS].concat());
    until_generation(&scene, 2);
    check_denied(&mut wire, "no-orders");
    let refused = execute(&mut wire, id, 0);
    assert!(refused.error_code() == Some(1142) && refused.text().contains("no-orders"), "{}", refused.text());
    wire.command(FETCH, &[&with_cursor[..], &[1, 0, 0, 0]].concat()).unwrap();
    assert_eq!(wire.packet().unwrap().error_code(), Some(1142), "a cursor opened before");

    replace(&scene, READS);
    until_generation(&scene, 3);
    check_allowed(&mut wire);
    check_executed(&mut wire, id);
}

#[test]
fn running_sessions_are_judged_by_columns_once_a_policy_speaks_of_them() {
    let scene = Scene::mariadb(READS).unwrap();
    let mut wire = session(&scene);
    let item = prepare(&mut wire, ORDERS);
    let customer = prepare(&mut wire, "SELECT customer FROM orders WHERE id = 1");
    check_executed(&mut wire, item);
    check_executed(&mut wire, customer);

    let no_customer = r#"@id("no-customer")
        forbid (principal, action == Action::"select", resource == Column::"shop-db/shop.orders.customer");"#;
    replace(&scene, &[READS, no_customer].concat());
    until_generation(&scene, 2);
    check_executed(&mut wire, item);
    let refused = execute(&mut wire, customer, 0);
    assert!(refused.error_code() == Some(1142) && refused.text().contains("no-customer"), "{}", refused.text());
    check_allowed(&mut wire);
    for sql in ["SELECT item FROM orders WHERE customer = 1", "SELECT * FROM orders"] {
        let error = wire.query(sql).unwrap_err().to_string();
        assert!(error.contains("shop-db/shop.orders.customer"), "{error}");
    }

    replace(&scene, READS);
    until_generation(&scene, 3);
    check_executed(&mut wire, customer);
}

#[test]
fn a_broken_file_leaves_the_policies_in_force_and_says_so_everywhere() {
    let scene = Scene::mariadb(&[READS, NO_ORDERS].concat()).unwrap();
    let mut wire = session(&scene);
    check_denied(&mut wire, "no-orders");
    replace(&scene, "@id(\"typo\") permit (principal, action == Action::\"slect\", resource);\npermit (");
    until("the problem is told", || status(&scene)["policy"]["failed_loads"] == 1);
    check_denied(&mut wire, "no-orders");
    let told = status(&scene);
    assert_eq!((&told["policies"], &told["policy"]["generation"]), (&2.into(), &1.into()));
    assert!(!told["policy"]["last_problem"]["problems"].as_array().unwrap().is_empty(), "{told}");
    let text = scene.portreeve(&["status"]).unwrap();
    assert!(text.contains("NOT in force") && text.contains("scene.cedar:"), "{text}");
    assert!(scene.gateway.log().contains("the policies in force stay as they are"), "{}", scene.gateway.log());

    let reload = scene.gateway.cli(&["policy", "reload"]).unwrap();
    assert_eq!(reload.status.code(), Some(2));
    assert!(said(&reload).contains("the 2 policies in force stay") && said(&reload).contains("scene.cedar:"));

    replace(&scene, READS);
    until_generation(&scene, 2);
    check_allowed(&mut wire);
    let told = status(&scene);
    assert_eq!((&told["policy"]["last_problem"], &told["policy"]["failed_loads"]), (&Value::Null, &2.into()));
    assert!(scene.portreeve(&["policy", "reload"]).unwrap().contains("1 policies are in force"));
    until_generation(&scene, 3);
    let pid = scene.gateway.pid().unwrap();
    assert!(Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    until_generation(&scene, 4);
    check_allowed(&mut wire);
}

#[test]
fn a_session_that_was_permitted_everything_is_read_rightly_once_it_is_not() {
    let scene = Scene::mariadb(EVERYTHING).unwrap();
    let mut wire = session(&scene);
    wire.query("CREATE OR REPLACE VIEW shop.seen_late AS SELECT item FROM shop.orders").unwrap();
    wire.query("SET sql_mode = 'ANSI_QUOTES'").unwrap();
    let id = prepare(&mut wire, ORDERS);
    check_executed(&mut wire, id);

    replace(&scene, &[READS, NO_ORDERS].concat());
    until_generation(&scene, 2);
    check_denied(&mut wire, "no-orders");
    // A name in these quotes, and the view is known, as a session is asked both late.
    for text in ["SELECT item FROM \"orders\"", "SELECT item FROM seen_late"] {
        let error = wire.query(text).unwrap_err().to_string();
        assert!(error.contains("denied by policy no-orders"), "{text}: {error}");
    }
    assert!(wire.query("SELECT name FROM customers WHERE id = 1").is_ok());
    // How it was read when it was prepared is not known.
    let refused = execute(&mut wire, id, 0);
    assert_eq!(refused.error_code(), Some(1142), "{}", refused.text());
}

fn check_observed(flavour: Flavour) {
    let scene = Scene::with(scene::server(flavour).unwrap(), NO_ORDERS, |config| config.observe = true).unwrap();
    let mut wire = session(&scene);
    check_allowed(&mut wire);
    let id = prepare(&mut wire, ORDERS);
    check_executed(&mut wire, id);
    // What nobody reads is forwarded as well; what is no command is not.
    assert_eq!(wire.query("SELECT 1 /*! + 1 */").unwrap(), [[Some(b"2".to_vec())]]);
    wire.command(UNKNOWN, &[]).unwrap();
    assert_eq!(wire.packet().unwrap().error_code(), Some(1047));
    wire.command(QUERY, b"SELECT 1").unwrap();
    wire.result().unwrap();
    drop(wire);

    let records = scene.records_when_closed(1).unwrap();
    let verdicts: Vec<_> = records.iter().filter(|record| record["record"] == "verdict").collect();
    let of = |decision: &str| verdicts.iter().filter(|verdict| verdict["decision"] == decision).count();
    assert_eq!((of("would_deny"), of("allow"), of("deny")), (5, 0, 1), "{verdicts:?}");
    let first = verdicts.iter().find(|verdict| verdict["class"] == "select").unwrap();
    assert_eq!(first["policies"], serde_json::json!(["no-orders"]));
    let responses = records.iter().filter(|record| record["record"] == "response").count();
    assert_eq!(responses, 5, "what would be denied was answered by the server");

    let told = status(&scene);
    assert_eq!((&told["observe"], &told["would_deny_total"]), (&true.into(), &5.into()), "{told}");
    assert!(scene.portreeve(&["status"]).unwrap().starts_with("OBSERVES: nothing is denied"));
    assert!(scene.gateway.log().contains("NOTHING IS DENIED"), "{}", scene.gateway.log());
    let tail = scene.portreeve(&["tail", "--lines", "0"]).unwrap();
    assert!(tail.contains("would deny select"), "{tail}");
    let sessions: Value = serde_json::from_str(&scene.portreeve(&["sessions", "--json"]).unwrap()).unwrap();
    assert_eq!((&sessions["denied"], &sessions["would_deny"]), (&1.into(), &5.into()));
}

#[test]
fn a_daemon_that_observes_forwards_everything_and_records_what_it_would_deny() {
    host::require_root().unwrap();
    check_observed(Flavour::MariaDb);
    check_observed(Flavour::MySql);
}

//! What MariaDB's general log shows, beside what was recorded as permitted.

use super::of_kind;
use portreeve_tests::{
    client,
    scene::{REPORTING_WORKS, Scene, shop},
    servers::{Flavour, Server},
    wire::{Wire, framed},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What the gateway asks every server itself, before the client's first statement.
const OWN_QUESTION: &str = "SELECT @@session.sql_mode, @@session.character_set_client, DATABASE(), ";

/// What a connection begins with on which the gateway asks for views and routines, beside the sessions.
const OWN_CONNECTION: &str = "SET SESSION sql_mode = '', sql_quote_show_create = 1, NAMES utf8mb4";
/// And what it asks there, with nothing of a client's in it.
const OWN_QUESTIONS: [&str; 11] = [
    "SELECT @@lower_case_table_names",
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES",
    "SELECT TABLE_SCHEMA, TABLE_NAME, IF(LENGTH(VIEW_DEFINITION)",
    "SELECT ROUTINE_SCHEMA, ROUTINE_NAME,",
    "SHOW CREATE PROCEDURE ",
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS",
    "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE,",
    "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA,",
    "SHOW CREATE TRIGGER ",
    "SHOW VARIABLES LIKE 'partial_revokes'",
    "SHOW GRANTS",
];

/// Command and text of everything in a server's general log that came from the accounts that Portreeve holds, without what it
/// asks on connections of its own.
fn reached(server: &Server) -> Vec<(String, String)> {
    let log = server.general_log();
    let (mut ours, mut own) = (BTreeSet::new(), BTreeSet::new());
    let mut reached = Vec::new();
    for line in log.lines() {
        let mut fields = line.split('\t');
        let Some((id, command)) = fields.find_map(|field| {
            let (id, command) = field.trim_start().split_once(' ')?;
            // A date is no id: what follows it is a time.
            command.starts_with(char::is_alphabetic).then_some((id.parse::<u32>().ok()?, command))
        }) else {
            continue;
        };
        let text = fields.collect::<Vec<_>>().join("\t");
        if command == "Connect" && text.starts_with("shop_") {
            ours.insert(id);
        } else if ours.contains(&id) && text == OWN_CONNECTION {
            own.insert(id);
        } else if own.contains(&id) && (command == "Quit" || OWN_QUESTIONS.iter().any(|own| text.starts_with(own))) {
            // Nobody's statement.
        } else if ours.contains(&id) {
            reached.push((command.to_owned(), text));
        }
    }
    reached
}

/// The texts that were recorded as permitted, as the server's log would show them.
fn permitted(records: &[Value]) -> Vec<(String, String)> {
    let number = |record: &Value| (record["session"].clone(), record["number"].clone());
    let statements = of_kind(records, "statement");
    let allowed = of_kind(records, "verdict").into_iter().filter(|verdict| verdict["decision"] == "allow");
    allowed
        .filter_map(|verdict| {
            let statement = statements.iter().find(|statement| number(statement) == number(verdict))?;
            let command = match statement["command"].as_str()? {
                "query" => "Query",
                "prepare" => "Prepare",
                "init_db" => "Init DB",
                _ => return None,
            };
            // Where it was written anew, that is what reached the server.
            let anew = of_kind(records, "forwarded").into_iter().find(|record| number(record) == number(verdict));
            let text = anew.unwrap_or(statement)["sql"]["text"].as_str()?;
            Some((command.to_owned(), text.to_owned()))
        })
        .collect()
}

#[test]
fn what_reached_the_server_is_what_was_recorded_as_permitted() {
    let scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    scene.server.log_statements().unwrap();
    let mixed = [
        "SELECT item FROM orders",
        "SELECT card FROM customers",
        "CREATE TABLE mixed (id INT PRIMARY KEY, word VARCHAR(20))",
        "INSERT INTO mixed VALUES (1, 'a'), (2, 'b')",
        "DELETE FROM mixed WHERE id IN (SELECT id FROM customers)",
        "SELECT /*! card */ FROM customers",
        "SELECT /*!40101 item */ FROM orders",
        "UPDATE mixed SET word = 'c' WHERE id = 1",
        "SELECT * FROM not_there",
        "TRUNCATE mixed",
        "FLUSH TABLES",
    ];
    assert!(!scene.report(&mixed[1..].join(";")).unwrap().ok());
    let login = scene.login().schema("shop");
    client::python(Some(&scene.reporting), &login, "query.py", &mixed).unwrap();
    let prepared = ["SELECT item FROM orders WHERE id = ?\t1", "SELECT card FROM customers WHERE id = ?\t1"];
    client::node(Some(&scene.reporting), &login, "query.js", &prepared).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "").unwrap();
    wire.command(0x02, b"shop").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    wire.query("SELECT COUNT(*) FROM orders").unwrap();
    wire.command(0x01, b"").unwrap();

    let records = scene.records_when_closed(4).unwrap();
    let compared = |command: &str| ["Query", "Prepare", "Init DB"].contains(&command);
    let mut reached: Vec<_> = reached(&scene.server).into_iter().filter(|(command, _)| compared(command)).collect();
    let own = reached.iter().filter(|(_, text)| text.starts_with(OWN_QUESTION)).count();
    assert_eq!(own, 4, "one question of the gateway's own per session: {}", scene.server.general_log());
    reached.retain(|(_, text)| !text.starts_with(OWN_QUESTION));
    let mut permitted = permitted(&records);
    reached.sort();
    permitted.sort();
    assert_eq!(reached, permitted);
    assert!(reached.len() >= 10 && !reached.iter().any(|(_, text)| text.contains("card")), "{reached:?}");
}

/// No verdict depends on how its texts are read.
#[test]
fn a_session_that_may_do_everything_is_asked_nothing() {
    for (policy, questions) in [
        (r#"@id("all") permit (principal, action, resource);"#, 0),
        (r#"@id("all-here") permit (principal, action, resource in Server::"shop-db");"#, 0),
        (REPORTING_WORKS, 2),
    ] {
        let scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), policy, |_| ()).unwrap();
        scene.server.log_statements().unwrap();
        let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
        wire.query("SELECT COUNT(*) FROM orders").unwrap();
        // After a reset it is asked anew.
        wire.command(0x1F, b"").unwrap();
        assert!(wire.packet().unwrap().is_ok());
        wire.query("SELECT COUNT(*) FROM orders").unwrap();
        let asked = scene.server.general_log().matches(OWN_QUESTION).count();
        assert_eq!(asked, questions, "{policy}");
    }
}

#[test]
fn killed_in_the_middle_nothing_has_reached_the_server_unrecorded() {
    let mut scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    scene.server.log_statements().unwrap();
    let mut wires: Vec<_> =
        (0..4).map(|_| Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()).collect();
    // Each session has a long queue of statements at the daemon, and answers in flight.
    for (session, wire) in wires.iter_mut().enumerate() {
        let queue = (0..3000).flat_map(|number| {
            let sql = format!("\x03SELECT 'session {session} statement {number}', item FROM orders");
            framed(0, sql.as_bytes())
        });
        wire.send(&queue.collect::<Vec<_>>()).unwrap();
    }
    for wire in &mut wires {
        wire.result().unwrap();
    }
    scene.gateway.kill9().unwrap();
    for wire in &mut wires {
        // A cut packet may be the last thing of a killed daemon.
        let _ = wire.rest();
    }
    let mut reached: Vec<_> = reached(&scene.server).into_iter().filter(|(command, _)| command == "Query").collect();
    reached.retain(|(_, text)| !text.starts_with(OWN_QUESTION));
    assert!(reached.len() > 4 && reached.len() < 4 * 3000, "the kill came too early or too late: {}", reached.len());

    let records = scene.gateway.records(&[]).unwrap();
    let permitted: BTreeSet<_> = permitted(&records).into_iter().collect();
    let unrecorded: Vec<_> = reached.iter().filter(|statement| !permitted.contains(statement)).collect();
    assert!(unrecorded.is_empty(), "{unrecorded:?}");
    let sessions = scene.portreeve(&["sessions", "--json"]).unwrap();
    assert_eq!(sessions.lines().filter(|line| line.contains("\"state\":\"torn\"")).count(), 4, "{sessions}");
}

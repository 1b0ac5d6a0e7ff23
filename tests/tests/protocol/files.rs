//! `LOAD DATA LOCAL INFILE`: the client's file is asked for only when policy permits the statement.

use super::{QUERY, check_error, check_usable, execute, prepare, reasons, records, scene, session};
use portreeve_tests::{
    client, host,
    scene::{REPORTING_WORKS, Scene, server},
    servers::Flavour,
    wire::{CAPABILITIES, COMPRESS, Hello, Wire, framed},
};
use serde_json::Value;
use std::fs;

const LOADS: &str = r#"
@id("reporting-loads") permit (principal in Group::"reporting", action == Action::"local_infile", resource);
"#;
const LOAD: &[u8] = b"LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE loaded";

#[test]
fn without_a_permit_no_file_is_asked_for() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.loaded_never (word VARCHAR(40))").unwrap();
    let mut wire = session(&scene);
    wire.command(QUERY, b"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE loaded_never").unwrap();
    check_error(&mut wire, 1142, "no policy permits `local_infile` on `shop-db`");
    check_usable(&mut wire);
}

#[test]
fn with_a_permit_the_file_arrives() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded (word VARCHAR(40))").unwrap();
    let mut wire = session(&scene);
    wire.command(QUERY, LOAD).unwrap();
    let request = wire.packet().unwrap();
    assert_eq!((request.id, request.payload.as_slice()), (1, &b"\xFB/the/agents/file"[..]));
    wire.send_packet(2, b"first\nsec").unwrap();
    wire.send_packet(3, b"ond\nthird\n").unwrap();
    wire.send_packet(4, b"").unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok() && answer.payload[1] == 3, "{answer:?}");
    assert_eq!(scene.server.sql("SELECT GROUP_CONCAT(word) FROM shop.loaded").unwrap(), "first,second,third\n");
    check_usable(&mut wire);
    assert_eq!(records(&scene, "response")[0]["affected_rows"], 3);
}

#[test]
fn a_real_clients_file_arrives_whole() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded_large (number INT PRIMARY KEY, word VARCHAR(40))").unwrap();
    let dir = host::run_dir("file").unwrap();
    let file = dir.join("words.tsv");
    let lines: String = (0..100_000).map(|number| format!("{number}\tword number {number}\n")).collect();
    fs::write(&file, &lines).unwrap();
    let mut command = Flavour::MariaDb.client().unwrap();
    command.args(["--local-infile=1", &format!("-h{}", scene.server.address()), "-uagent", "-panything", "shop", "-e"]);
    command.arg(format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded_large", file.display()));
    let answer = client::run(Some(&scene.reporting), command).unwrap();
    host::remove_run_dir(&dir).unwrap();
    assert!(answer.ok(), "{answer:?}");
    let sum = scene.server.sql("SELECT COUNT(*), SUM(number), MAX(word) FROM shop.loaded_large").unwrap();
    assert_eq!(sum, "100000\t4999950000\tword number 99999\n");
}

/// Permits what nobody could read, and no file.
const UNREAD: &str = r#"@id("unread") permit (principal, action == Action::"unparsed", resource);"#;

/// The client is asked for nothing, reads an error in place of the rest of the answer, and goes on.
fn check_withheld(scene: &Scene, capabilities: u32, load: &str) {
    let hello = Hello { schema: "shop", capabilities, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    for (text, results_before) in
        [(load.to_owned(), 0), (format!("SELECT 1; {load}; SELECT 2"), 1), (format!("{load}; SELECT 1; {load}"), 0)]
    {
        wire.command(QUERY, text.as_bytes()).unwrap();
        for _ in 0..results_before {
            assert_eq!(wire.result().unwrap(), [[Some(b"1".to_vec())]]);
        }
        check_error(&mut wire, 3948, "42000Loading local data is denied: no policy permits `local_infile`");
        check_usable(&mut wire);
    }
}

/// The server asks, and what is done then is decided there: the text itself was not read.
fn check_unread(flavour: Flavour, table: &str) {
    let server = server(flavour).unwrap();
    if flavour == Flavour::MySql {
        // MySQL has it off.
        server.sql("SET GLOBAL local_infile = ON").unwrap();
    }
    server.sql(&format!("CREATE TABLE shop.{table} (word VARCHAR(40))")).unwrap();
    let load = format!("LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE {table} /*+ SET_VAR */");
    let without = Scene::with(server.clone(), &format!("{REPORTING_WORKS}{UNREAD}"), |_| ()).unwrap();
    for capabilities in [CAPABILITIES, CAPABILITIES | COMPRESS] {
        check_withheld(&without, capabilities, &load);
    }
    assert_eq!(server.sql(&format!("SELECT COUNT(*) FROM shop.{table}")).unwrap(), "0\n");
    let (statements, verdicts) = (records(&without, "statement"), records(&without, "verdict"));
    let asked: Vec<_> = statements.iter().filter(|statement| statement["command"] == "local_infile").collect();
    assert!(asked.len() >= 6, "{asked:?}");
    for file in asked {
        assert_eq!(file["sql"]["text"], "/the/agents/file");
        let of_file = |verdict: &&Value| verdict["number"] == file["number"] && verdict["session"] == file["session"];
        assert_eq!(verdicts.iter().find(of_file).unwrap()["decision"], "deny");
    }

    let with = Scene::with(server.clone(), &format!("{REPORTING_WORKS}{UNREAD}{LOADS}"), |_| ()).unwrap();
    let mut wire = session(&with);
    wire.command(QUERY, load.as_bytes()).unwrap();
    assert_eq!(wire.packet().unwrap().payload, b"\xFB/the/agents/file");
    wire.send_packet(2, b"first\nsecond\n").unwrap();
    wire.send_packet(3, b"").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    assert_eq!(server.sql(&format!("SELECT GROUP_CONCAT(word) FROM shop.{table}")).unwrap(), "first,second\n");
    let asked: Vec<_> =
        records(&with, "statement").into_iter().filter(|statement| statement["command"] == "local_infile").collect();
    assert_eq!(asked[0]["sql"]["text"], "/the/agents/file");
    check_usable(&mut wire);
}

#[test]
fn a_file_that_an_unread_statement_asks_for_needs_a_permit_of_its_own() {
    check_unread(Flavour::MariaDb, "unread");
    check_unread(Flavour::MySql, "unread");
}

/// MariaDB prepares it, too.
#[test]
fn a_prepared_statement_asks_for_its_file_when_it_is_executed() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded_prepared (word VARCHAR(40))").unwrap();
    let mut wire = session(&scene);
    let load = "LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE loaded_prepared";
    let id = prepare(&mut wire, load).unwrap();
    execute(&mut wire, &id, 0);
    let request = wire.packet().unwrap();
    assert_eq!((request.id, request.payload.as_slice()), (1, &b"\xFB/the/agents/file"[..]));
    wire.send_packet(2, b"prepared\n").unwrap();
    wire.send_packet(3, b"").unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok() && answer.payload[1] == 1, "{answer:?}");
    check_usable(&mut wire);
}

/// A client that breaks off, or whose packets are out of order, ends its session.
#[test]
fn a_file_that_is_cut_ends_the_session_only() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded_cut (word VARCHAR(40))").unwrap();
    let load = b"LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE loaded_cut";
    let mut other = session(&scene);
    for bytes in [framed(9, b"first\n"), framed(0, b"\x03SELECT 1"), framed(2, b"first\n")[..6].to_vec()] {
        let mut wire = session(&scene);
        wire.command(QUERY, load).unwrap();
        assert_eq!(wire.packet().unwrap().payload.first(), Some(&0xFB));
        wire.send(&bytes).unwrap();
        wire.finish();
        let rest = wire.rest().unwrap();
        assert!(rest.iter().all(|packet| packet.error_code().is_some()), "{rest:?}");
        check_usable(&mut other);
    }
    let reasons = reasons(&scene, 3);
    assert!(reasons.iter().all(|reason| reason.starts_with("client ")), "{reasons:?}");
}

//! MariaDB's `COM_STMT_BULK_EXECUTE`, and its id for "the statement prepared last".

use super::{EXECUTE, PREPARE, UNKNOWN_COMMAND, check_error, check_usable, prepare, prepared, records, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::{Hello, Wire, framed},
};
use serde_json::json;

const BULK_EXECUTE: u8 = 0xFA;
/// `STMT_BULK_OPERATIONS`
const BULK_OPERATIONS: u32 = 1 << 2;
/// Flag: types precede the rows.
const TYPES: u16 = 128;
const LONG: [u8; 2] = [3, 0];
const TEXT: [u8; 2] = [0xFD, 0];
const LAST_PREPARED: &[u8] = &[0xFF; 4];

fn bulk_session(scene: &Scene) -> Wire {
    let hello = Hello { schema: "shop", mariadb: BULK_OPERATIONS, ..Hello::default() };
    Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap()
}

/// A number and a text, each a value, or NULL (1) or the column's default (2).
type Row<'a> = (Result<i32, u8>, Result<&'a str, u8>);

fn bulk(id: &[u8], rows: &[Row<'_>]) -> Vec<u8> {
    let mut payload = [&[BULK_EXECUTE], id, &TYPES.to_le_bytes(), &LONG, &TEXT].concat();
    for (number, text) in rows {
        match number {
            Ok(number) => payload.extend([&[0], &number.to_le_bytes()[..]].concat()),
            Err(indicator) => payload.push(*indicator),
        }
        match text {
            Ok(text) => payload.extend([&[0, text.len() as u8], text.as_bytes()].concat()),
            Err(indicator) => payload.push(*indicator),
        }
    }
    payload
}

/// Affected rows of an OK packet.
fn affected(wire: &mut Wire) -> u8 {
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok(), "{}", answer.text());
    answer.payload[1]
}

#[test]
fn rows_sent_in_bulk_arrive_and_are_recorded() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.bulk (id INT, word VARCHAR(40) DEFAULT 'its default')").unwrap();
    let mut wire = bulk_session(&scene);
    let id = prepare(&mut wire, "INSERT INTO bulk VALUES (?, ?)").unwrap();
    let rows = [(Ok(1), Ok("one")), (Ok(2), Err(1)), (Err(1), Ok("none")), (Ok(4), Err(2))];
    wire.send(&framed(0, &bulk(&id, &rows))).unwrap();
    assert_eq!(affected(&mut wire), 4);
    let sum = "SELECT id, word FROM shop.bulk ORDER BY COALESCE(id, 9)";
    assert_eq!(scene.server.sql(sum).unwrap(), "1\tone\n2\tNULL\n4\tits default\nNULL\tnone\n");
    let statements = records(&scene, "statement");
    let bulk = statements.iter().find(|statement| statement["command"] == "bulk_execute").unwrap();
    assert_eq!(bulk["prepared"], 1);
    let shown: Vec<_> = bulk["parameters"].as_array().unwrap().iter().map(|row| &row["text"]).collect();
    let (first, last) = (shown[0].as_str().unwrap(), shown[3].as_str().unwrap());
    assert!(shown.len() == 4 && first.contains('1') && first.contains("one") && last.contains("DEFAULT"), "{shown:?}");
    assert_eq!(records(&scene, "response").last().unwrap()["affected_rows"], 4);
    check_usable(&mut wire);
}

#[test]
fn the_statement_prepared_last_is_the_one_that_was_permitted() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.last_prepared (id INT, word VARCHAR(40))").unwrap();
    let mut wire = bulk_session(&scene);
    // As MariaDB's connectors do: no answer is waited for.
    let prepare_last = |sql: &str| framed(0, &[&[PREPARE], sql.as_bytes()].concat());
    let bulk_last = framed(0, &bulk(LAST_PREPARED, &[(Ok(1), Ok("a")), (Ok(2), Ok("b"))]));
    wire.send(&[prepare_last("INSERT INTO last_prepared VALUES (?, ?)"), bulk_last.clone()].concat()).unwrap();
    prepared(&mut wire).unwrap();
    assert_eq!(affected(&mut wire), 2);
    // A denied statement is none: the one before it is not what the client means.
    wire.send(&[prepare_last("INSERT INTO customers VALUES (?, ?)"), bulk_last.clone()].concat()).unwrap();
    check_error(&mut wire, 1142, "no-customers");
    check_error(&mut wire, 1243, "Unknown prepared statement handler");
    // Nor is one that the server does not know.
    wire.send(&[prepare_last("INSERT INTO not_there VALUES (?, ?)"), bulk_last.clone()].concat()).unwrap();
    check_error(&mut wire, 1146, "not_there");
    check_error(&mut wire, 1243, "Unknown prepared statement handler");
    wire.send(&bulk_last).unwrap();
    check_error(&mut wire, 1243, "Unknown prepared statement handler");
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.last_prepared").unwrap(), "2\n");
    // A plain execution takes the id as well, whatever was negotiated.
    let execute_last = framed(0, &[&[EXECUTE], LAST_PREPARED, &[0, 1, 0, 0, 0]].concat());
    wire.send(&[prepare_last("SELECT item FROM orders WHERE id = 1"), execute_last].concat()).unwrap();
    prepared(&mut wire).unwrap();
    assert_eq!(wire.packet().unwrap().payload, [1]);
    wire.until_eof().unwrap();
    assert_eq!(wire.until_eof().unwrap(), [b"\0\0\x06teapot"]);
    check_usable(&mut wire);

    let statements = records(&scene, "statement");
    let of = |command: &str| -> Vec<_> {
        let all = statements.iter().filter(|statement| statement["command"] == command);
        all.map(|statement| statement["prepared"].clone()).collect()
    };
    assert_eq!(of("bulk_execute"), [json!(1), json!(null), json!(null), json!(null)]);
    assert_eq!(of("execute").len(), 1);
}

#[test]
fn a_bulk_that_cannot_be_read_is_answered_and_reaches_nothing() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.bulk_cut (id INT, word VARCHAR(40))").unwrap();
    let mut wire = bulk_session(&scene);
    let id = prepare(&mut wire, "INSERT INTO bulk_cut VALUES (?, ?)").unwrap();
    let whole = bulk(&id, &[(Ok(1), Ok("whole")), (Ok(2), Ok("cut"))]);
    for length in [3, 8, 13, whole.len() - 1] {
        wire.send(&framed(0, &whole[..length])).unwrap();
        check_error(&mut wire, 1835, "Malformed communication packet");
    }
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.bulk_cut").unwrap(), "0\n");
    check_usable(&mut wire);
}

#[test]
fn whoever_did_not_agree_on_it_is_told_that_there_is_no_such_command() {
    for scene in [scene(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        let mut wire = session(&scene);
        wire.send(&framed(0, &bulk(&[1, 0, 0, 0], &[(Ok(1), Ok("a"))]))).unwrap();
        assert_eq!(wire.packet().unwrap().payload, UNKNOWN_COMMAND);
        check_usable(&mut wire);
    }
}

#[test]
fn a_bulk_execution_changes_as_many_rows_as_it_has() {
    let policy = "@id(\"all\") permit (principal, action, resource);
                  @id(\"few\") @rows_changed_max(\"2\") forbid (principal, action == Action::\"insert\", resource);";
    let scene = Scene::mariadb(policy).unwrap();
    scene.server.sql("CREATE TABLE shop.bulk_few (id INT, word VARCHAR(40))").unwrap();
    let mut wire = bulk_session(&scene);
    let id = prepare(&mut wire, "INSERT INTO bulk_few VALUES (?, ?)").unwrap();
    let rows = [(Ok(1), Ok("a")), (Ok(2), Ok("b")), (Ok(3), Ok("c"))];
    wire.send(&framed(0, &bulk(&id, &rows))).unwrap();
    check_error(&mut wire, 1142, "few: `insert` on");
    wire.send(&framed(0, &bulk(&id, &rows[..2]))).unwrap();
    assert_eq!(affected(&mut wire), 2);
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.bulk_few").unwrap(), "2\n");
    check_usable(&mut wire);
}

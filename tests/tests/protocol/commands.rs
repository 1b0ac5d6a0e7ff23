//! Every command of the protocol: passed, judged, or refused, and never passed unread.

use super::{PING, check_error, check_usable, reasons, records, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};

/// Query, init_db, field_list, statistics, ping, quit, and prepared statements but for fetch.
const PASSED: [u8; 11] = [0x01, 0x02, 0x03, 0x04, 0x09, 0x0E, 0x16, 0x17, 0x18, 0x19, 0x1A];

#[test]
fn every_other_command_is_refused_by_name_and_the_session_goes_on() {
    let scene = scene();
    let mut wire = session(&scene);
    for byte in (0..=0xFF).filter(|byte| !PASSED.contains(byte)) {
        let argument: &[u8] = match byte {
            0x0C => &[1, 0, 0, 0],
            0x11 => b"root\0\0\0",
            0x12 => b"\x04\0\0\0\0\0\x01\0\0\0",
            0x1B => &[0, 0],
            0x1C => &[1, 0, 0, 0, 1, 0, 0, 0],
            _ => b"",
        };
        wire.command(byte, argument).unwrap();
        let packet = wire.packet().unwrap();
        assert_eq!((packet.error_code(), packet.id), (Some(1235), 1), "{byte:#x}: {}", packet.text());
        assert!(packet.text().contains("portreeve does not pass"), "{}", packet.text());
        if let Some(name) = name(byte) {
            assert!(packet.text().contains(name), "no {name} in {}", packet.text());
        }
        wire.command(PING, b"").unwrap();
        assert!(wire.packet().unwrap().is_ok(), "{byte:#x}");
    }
    check_usable(&mut wire);
    let refused = records(&scene, "verdict").iter().filter(|verdict| verdict["class"] == "command").count();
    assert_eq!(refused, 256 - PASSED.len());
}

fn name(byte: u8) -> Option<&'static str> {
    Some(match byte {
        0x08 => "COM_SHUTDOWN",
        0x0C => "COM_PROCESS_KILL",
        0x11 => "COM_CHANGE_USER",
        0x12 => "COM_BINLOG_DUMP",
        0x1B => "COM_SET_OPTION",
        0x1C => "COM_STMT_FETCH",
        0x1F => "COM_RESET_CONNECTION",
        0xFA => "COM_STMT_BULK_EXECUTE",
        _ => return None,
    })
}

#[test]
fn statistics_and_quit_pass() {
    let scene = scene();
    let mut wire = session(&scene);
    wire.command(0x09, b"").unwrap();
    assert!(wire.packet().unwrap().text().starts_with("Uptime: "));
    check_usable(&mut wire);
    wire.command(0x01, b"").unwrap();
    assert!(wire.rest().unwrap().is_empty());
    assert_eq!(reasons(&scene, 1), ["client quit"]);
}

#[test]
fn init_db_is_judged_as_a_use() {
    let no_vault =
        r#"@id("no-vault") forbid (principal, action == Action::"use", resource == Schema::"shop-db/vault");"#;
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{no_vault}")).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "").unwrap();
    wire.command(0x02, b"vault").unwrap();
    check_error(&mut wire, 1142, "denied by policy no-vault: `use` on `shop-db/vault` is forbidden");
    assert_eq!(wire.query("SELECT DATABASE()").unwrap(), [[None]]);
    wire.command(0x02, b"shop").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    assert_eq!(wire.query("SELECT item FROM orders WHERE id = 1").unwrap(), [[Some(b"teapot".to_vec())]]);
    // One that the server refuses changes nothing.
    wire.command(0x02, b"not_there").unwrap();
    check_error(&mut wire, 1049, "not_there");
    assert_eq!(wire.query("SELECT item FROM orders WHERE id = 2").unwrap(), [[Some(b"cup".to_vec())]]);
}

#[test]
fn field_list_is_judged_as_a_look_at_the_table() {
    let scene = scene();
    let mut wire = session(&scene);
    wire.command(0x04, b"orders\0").unwrap();
    let columns = wire.until_eof().unwrap();
    assert_eq!(columns.len(), 4);
    assert!(columns[2].windows(4).any(|part| part == b"item"));
    wire.command(0x04, b"customers\0").unwrap();
    check_error(&mut wire, 1142, "no-customers");
    check_usable(&mut wire);
}

#[test]
fn an_unknown_statement_id_is_an_error_where_an_answer_is_due() {
    let scene = scene();
    let mut wire = session(&scene);
    let id = [77, 0, 0, 0];
    // No answer to long data and close: the next packet is the execution's.
    wire.command(0x18, &[&id[..], b"\0\0data"].concat()).unwrap();
    wire.command(0x19, &id).unwrap();
    wire.command(0x17, &[&id[..], &[0, 1, 0, 0, 0]].concat()).unwrap();
    check_error(&mut wire, 1243, "(77)");
    wire.command(0x1A, &id).unwrap();
    check_error(&mut wire, 1243, "(77)");
    check_usable(&mut wire);
}

#[test]
fn a_cursor_is_refused_and_the_session_goes_on() {
    let scene = scene();
    let mut wire = session(&scene);
    let id = prepare(&mut wire, "SELECT item FROM orders");
    wire.command(0x17, &[&id[..], &[1, 1, 0, 0, 0]].concat()).unwrap();
    check_error(&mut wire, 1235, "cursor");
    check_usable(&mut wire);
}

/// Prepares a statement with a result or parameters, not both, and returns its id.
fn prepare(wire: &mut Wire, sql: &str) -> Vec<u8> {
    wire.command(0x16, sql.as_bytes()).unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.is_ok(), "{}", prepared.text());
    wire.until_eof().unwrap();
    prepared.payload[1..5].to_vec()
}

#[test]
fn long_data_arrives_whole_and_is_recorded_as_cut() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.long_data (body LONGTEXT, number INT)").unwrap();
    let mut wire = session(&scene);
    let id = prepare(&mut wire, "INSERT INTO long_data VALUES (?, ?)");
    let pieces = ["a".repeat(100_000), "b".repeat(7), "c".repeat(300_000)];
    for piece in &pieces {
        wire.command(0x18, &[&id[..], &[0, 0], piece.as_bytes()].concat()).unwrap();
    }
    // One parameter sent ahead (long blob), one here (long): no NULL, types bound, the value 42.
    let bound: &[u8] = &[0, 1, 0, 0, 0, 0, 1, 0xFB, 0, 3, 0, 42, 0, 0, 0];
    wire.command(0x17, &[&id, bound].concat()).unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok(), "{}", answer.text());
    let body = format!(
        "SELECT body = CONCAT(REPEAT('a', 100000), '{}', REPEAT('c', 300000)), number FROM shop.long_data",
        pieces[1]
    );
    assert_eq!(scene.server.sql(&body).unwrap(), "1\t42\n");

    let statements = records(&scene, "statement");
    let sent: Vec<_> = statements.iter().filter(|statement| statement["command"] == "send_long_data").collect();
    let texts: Vec<_> = sent.iter().map(|sent| (&sent["sql"]["truncated"], &sent["sql"]["length"])).collect();
    assert_eq!(texts, [(&true.into(), &100_000.into()), (&false.into(), &7.into()), (&true.into(), &300_000.into())]);
    let executed = statements.iter().find(|statement| statement["command"] == "execute").unwrap();
    assert_eq!(executed["parameters"][1]["text"], "42");
    assert_eq!(executed["prepared"], 1);
    check_usable(&mut wire);
}

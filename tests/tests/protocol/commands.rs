//! Every command of the protocol: passed, judged, or refused, and never passed unread.

use super::{PING, QUERY, UNKNOWN_COMMAND, check_error, check_usable, commands, reasons, records, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};

/// Bytes that servers know as commands of clients: the others are of nobody, or of their own threads.
const COMMANDS: [u8; 29] = [
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x0E, 0x11, 0x12, 0x13, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1E, 0x1F, 0x20, 0x21, PING,
];

#[test]
fn a_byte_that_is_no_command_is_answered_as_servers_do_and_the_session_goes_on() {
    let scene = scene();
    let mut wire = session(&scene);
    let unknown = || (0..=0xFF).filter(|byte| !COMMANDS.contains(byte));
    for byte in unknown() {
        wire.command(byte, b"\0\0\0\0DROP TABLE orders").unwrap();
        let packet = wire.packet().unwrap();
        assert_eq!((packet.id, packet.payload.as_slice()), (1, UNKNOWN_COMMAND), "{byte:#x}: {}", packet.text());
    }
    check_usable(&mut wire);
    let statements = records(&scene, "statement");
    let refused: Vec<_> = statements.iter().filter(|statement| statement["command"] != "query").collect();
    for (record, byte) in refused.iter().zip(unknown()) {
        assert_eq!(record["command"], format!("command_{byte:#04x}"));
    }
    assert_eq!(refused.len(), unknown().count());
}

#[test]
fn commands_that_no_gateway_can_pass_are_refused_by_name() {
    let scene = scene();
    let mut wire = session(&scene);
    for (byte, name) in [(0x20, "COM_CLONE"), (0x21, "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM")] {
        wire.command(byte, b"").unwrap();
        check_error(&mut wire, 1235, &format!("portreeve does not pass {name}"));
    }
    check_usable(&mut wire);
}

fn check_options(scene: &Scene) {
    let mut wire = session(scene);
    for (option, several) in [(1_u16, false), (0, true)] {
        wire.command(0x1B, &option.to_le_bytes()).unwrap();
        let packet = wire.packet().unwrap();
        assert!(packet.is_eof(), "{option}: {packet:?}");
        wire.command(QUERY, b"SELECT 1; SELECT 2").unwrap();
        match several {
            // The text was permitted; it is the server that reads one statement only.
            false => check_error(&mut wire, 1064, "SELECT 2"),
            true => {
                assert_eq!(wire.result().unwrap(), [[Some(b"1".to_vec())]]);
                assert_eq!(wire.result().unwrap(), [[Some(b"2".to_vec())]]);
            }
        }
    }
    wire.command(0x1B, &7_u16.to_le_bytes()).unwrap();
    check_error(&mut wire, 1047, "Unknown command");
    check_usable(&mut wire);
    assert_eq!(commands(scene, "set_option"), 3);
}

#[test]
fn set_option_turns_several_statements_off_and_on() {
    check_options(&scene());
    check_options(&Scene::mysql(REPORTING_WORKS).unwrap());
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

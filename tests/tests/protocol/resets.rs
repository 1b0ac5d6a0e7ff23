//! `COM_RESET_CONNECTION`: the session as it was after its login, at the server and in how Portreeve reads it.

use super::{CLOSE, QUERY, check_error, check_usable, commands, execute, one, prepare, records, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::{CAPABILITIES, Hello, Wire},
};

const RESET_CONNECTION: u8 = 0x1F;

fn check(scene: &Scene) {
    let mut wire = session(scene);
    let at_login = one(&mut wire, "SELECT @@sql_mode");
    wire.query("SET @kept = 1").unwrap();
    wire.query("CREATE TEMPORARY TABLE only_here (id INT)").unwrap();
    wire.query("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'").unwrap();
    let id = prepare(&mut wire, "SELECT item FROM orders WHERE id = 1").unwrap();
    wire.command(RESET_CONNECTION, b"").unwrap();
    assert!(wire.packet().unwrap().is_ok());

    execute(&mut wire, &id, 0);
    check_error(&mut wire, 1243, "Unknown prepared statement handler");
    // No answer, and nothing at the server: the next answer is the next command's.
    wire.command(CLOSE, &id).unwrap();
    assert_eq!(one(&mut wire, "SELECT @@sql_mode"), at_login);
    assert_eq!(wire.query("SELECT @kept").unwrap(), [[None]]);
    assert!(wire.query("SELECT id FROM only_here").is_err());
    // The schema stays.
    assert_eq!(one(&mut wire, "SELECT item FROM orders WHERE id = 2"), "cup");
    let again = prepare(&mut wire, "SELECT item FROM orders WHERE id = 3").unwrap();
    execute(&mut wire, &again, 0);
    assert_eq!(wire.packet().unwrap().payload, [1]);
    wire.until_eof().unwrap();
    assert_eq!(wire.until_eof().unwrap(), [b"\0\0\x04tray"]);
    check_usable(&mut wire);
    assert_eq!(commands(scene, "reset_connection"), 1);
}

#[test]
fn a_reset_leaves_nothing_of_the_session_but_its_schema() {
    check(&Scene::mariadb(REPORTING_WORKS).unwrap());
    check(&Scene::mysql(REPORTING_WORKS).unwrap());
}

/// CAN_HANDLE_EXPIRED_PASSWORDS, SESSION_TRACK, DEPRECATE_EOF, OPTIONAL_RESULTSET_METADATA and QUERY_ATTRIBUTES: each lays
/// out an answer or a command otherwise, those of the gateway's own question among them.
const NEWER: u32 = 0x0BC0_0000;

#[test]
fn a_reset_and_a_change_of_user_go_on_under_every_capability() {
    let scene = Scene::mysql(REPORTING_WORKS).unwrap();
    let hello = Hello { schema: "shop", capabilities: CAPABILITIES | NEWER, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    let check = |wire: &mut Wire| {
        // No attributes, in one set.
        wire.command(QUERY, b"\0\x01SELECT item FROM orders WHERE id = 2").unwrap();
        let packets: Vec<_> = (0..4).map(|_| wire.packet().unwrap()).collect();
        // Definitions follow; the row; and an OK packet in place of EOF.
        assert_eq!(packets[0].payload, [1, 1], "{packets:?}");
        assert_eq!((packets[2].payload.as_slice(), packets[3].payload[0]), (&b"\x03cup"[..], 0xFE), "{packets:?}");
    };
    check(&mut wire);
    for _ in 0..2 {
        wire.command(RESET_CONNECTION, b"").unwrap();
        assert!(wire.packet().unwrap().is_ok());
        check(&mut wire);
        assert!(wire.change_user(&hello.change()).unwrap().is_ok());
        check(&mut wire);
    }
}

#[test]
fn texts_are_read_as_the_server_reads_them_after_a_reset() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = session(&scene);
    let sql = r#"SELECT "no name" AS text"#;
    assert_eq!(one(&mut wire, sql), "no name");
    wire.query("SET sql_mode = 'ANSI_QUOTES'").unwrap();
    wire.command(QUERY, sql.as_bytes()).unwrap();
    check_error(&mut wire, 1054, "no name");
    wire.command(RESET_CONNECTION, b"").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    assert_eq!(one(&mut wire, sql), "no name");
    let classes: Vec<_> = records(&scene, "verdict").iter().map(|verdict| verdict["class"].clone()).collect();
    assert_eq!(classes, ["inspect", "set_session", "inspect", "inspect"]);
}

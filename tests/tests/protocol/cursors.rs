//! Cursors of prepared statements: opened, fetched from in parts, and gone.

use super::{CLOSE, check_error, check_usable, execute, prepare, records, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};

/// `SERVER_STATUS_CURSOR_EXISTS`: rows come when they are fetched.
const CURSOR_EXISTS: u16 = 0x40;
/// `SERVER_STATUS_LAST_ROW_SENT`
const LAST_ROW_SENT: u16 = 0x80;
const READ_ONLY: u8 = 1;
const RESET: u8 = 0x1A;
const FETCH: u8 = 0x1C;

/// Executes with a cursor: column definitions come, and no row.
fn open(wire: &mut Wire, id: &[u8]) {
    execute(wire, id, READ_ONLY);
    assert_eq!(wire.packet().unwrap().payload, [1]);
    let (definitions, status) = wire.until_status().unwrap();
    assert_eq!((definitions.len(), status & CURSOR_EXISTS), (1, CURSOR_EXISTS), "{status:#x}");
}

/// The rows that come, and whether they are the last.
fn fetch(wire: &mut Wire, id: &[u8], rows: u32) -> (Vec<Vec<u8>>, bool) {
    wire.command(FETCH, &[id, &rows.to_le_bytes()].concat()).unwrap();
    let (rows, status) = wire.until_status().unwrap();
    (rows, status & LAST_ROW_SENT != 0)
}

fn row(item: &str) -> Vec<u8> {
    [&[0, 0, item.len() as u8], item.as_bytes()].concat()
}

fn check(scene: &Scene) {
    let mut wire = session(scene);
    let id = prepare(&mut wire, "SELECT item FROM orders ORDER BY id").unwrap();
    open(&mut wire, &id);
    assert_eq!(fetch(&mut wire, &id, 2), (vec![row("teapot"), row("cup")], false));
    // A cursor stays open over other statements.
    check_usable(&mut wire);
    assert_eq!(fetch(&mut wire, &id, 5), (vec![row("tray")], true));
    let no_cursor = |wire: &mut Wire| {
        wire.command(FETCH, &[&id[..], &[1, 0, 0, 0]].concat()).unwrap();
        check_error(wire, 1421, "has no open cursor");
    };
    no_cursor(&mut wire);

    open(&mut wire, &id);
    assert_eq!(fetch(&mut wire, &id, 1), (vec![row("teapot")], false));
    // An execution begins at the first row, a reset closes.
    open(&mut wire, &id);
    assert_eq!(fetch(&mut wire, &id, 1), (vec![row("teapot")], false));
    wire.command(RESET, &id).unwrap();
    assert!(wire.packet().unwrap().is_ok());
    no_cursor(&mut wire);

    open(&mut wire, &id);
    wire.command(CLOSE, &id).unwrap();
    wire.command(FETCH, &[&id[..], &[1, 0, 0, 0]].concat()).unwrap();
    check_error(&mut wire, 1243, "Unknown prepared statement handler");
    check_usable(&mut wire);

    let statements = records(scene, "statement");
    let prepared = statements.iter().find(|statement| statement["command"] == "prepare").unwrap();
    let fetched: Vec<_> = statements.iter().filter(|statement| statement["command"] == "fetch").collect();
    let known: Vec<_> = fetched.iter().filter(|fetch| fetch["prepared"] == prepared["number"]).collect();
    assert_eq!((fetched.len(), known.len()), (7, 6), "{fetched:?}");
    let responses = records(scene, "response");
    let first = responses.iter().find(|response| response["number"] == fetched[0]["number"]).unwrap();
    assert_eq!(first["rows"], 2);
}

#[test]
fn a_cursor_is_fetched_from_in_parts_to_its_end() {
    check(&scene());
    check(&Scene::mysql(REPORTING_WORKS).unwrap());
}

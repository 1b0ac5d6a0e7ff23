//! Definitions that change while a session runs: by the agent, by another workload, by somebody who does not come through
//! the gateway.

use super::*;
use std::{
    thread,
    time::{Duration, Instant},
};

pub(super) const PREPARE: u8 = 0x16;
pub(super) const EXECUTE: u8 = 0x17;
/// A view that nobody has heard of is known within this, though a snapshot counts for longer.
const KNOWN_WITHIN: Duration = Duration::from_secs(40);

#[test]
fn what_another_workload_changes_is_known_at_the_next_statement() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE VIEW shop.front AS SELECT item FROM shop.orders WHERE id = 1").unwrap();
        let (mut wire, mut other) = (reporting(&scene), ingest(&scene));
        check_gives(&mut wire, "SELECT * FROM front", &["teapot"]);

        other.query("CREATE OR REPLACE VIEW front AS SELECT word AS item FROM vault.keys").unwrap();
        check_denied(&mut wire, "SELECT * FROM front", KEYS);
        other.query("RENAME TABLE front TO renamed").unwrap();
        check_denied(&mut wire, "SELECT * FROM renamed", KEYS);
        // Where a table was that may be read.
        other.query("CREATE TABLE goods AS SELECT item FROM orders").unwrap();
        check_gives(&mut wire, "SELECT COUNT(*) FROM goods", &["3"]);
        other.query("RENAME TABLE goods TO former, renamed TO goods").unwrap();
        check_denied(&mut wire, "SELECT COUNT(*) FROM goods", KEYS);
        other.query("DROP VIEW goods").unwrap();
        other.query("RENAME TABLE former TO goods").unwrap();
        check_gives(&mut wire, "SELECT COUNT(*) FROM goods", &["3"]);
    }
}

#[test]
fn a_prepared_statement_is_judged_by_what_its_view_is_when_it_is_executed() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE VIEW shop.porch AS SELECT item FROM shop.orders WHERE id = 1").unwrap();
        let (mut wire, mut other) = (reporting(&scene), ingest(&scene));
        wire.command(PREPARE, b"SELECT * FROM porch").unwrap();
        let prepared = wire.packet().unwrap().payload;
        wire.until_eof().unwrap();
        let execute = [&prepared[1..5], &[0, 1, 0, 0, 0]].concat();
        wire.command(EXECUTE, &execute).unwrap();
        wire.packet().unwrap();
        wire.until_eof().unwrap();
        assert_eq!(wire.until_eof().unwrap(), [b"\0\0\x06teapot"]);

        other.query("CREATE OR REPLACE VIEW porch AS SELECT word AS item FROM vault.keys").unwrap();
        wire.command(EXECUTE, &execute).unwrap();
        let denied = wire.packet().unwrap();
        assert!(denied.error_code() == Some(1142) && denied.text().contains(KEYS), "{}", denied.text());
        check_recorded(&scene, KEYS);
    }
}

#[test]
fn what_the_agent_defines_itself_is_judged_and_then_known() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let mut wire = reporting(&scene);
        wire.query("CREATE VIEW mine AS SELECT item FROM orders WHERE id = 1").unwrap();
        check_gives(&mut wire, "SELECT * FROM mine", &["teapot"]);
        check_denied(&mut wire, "CREATE OR REPLACE VIEW mine AS SELECT word FROM vault.keys", KEYS);
        check_denied(&mut wire, "CREATE VIEW more AS SELECT name FROM customers", CUSTOMERS);
        check_gives(&mut wire, "SELECT * FROM mine", &["teapot"]);
        // In one text, where the second is judged before the first has run.
        let text = "RENAME TABLE mine TO yours; SELECT * FROM yours";
        check_denied(&mut wire, text, "an earlier statement of the text may change what its names mean");
        let views = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop'";
        assert_eq!(scene.server.sql(views).unwrap(), "mine\n");
    }
}

#[test]
fn a_view_made_outside_is_looked_for_when_it_is_named() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let mut wire = reporting(&scene);
        let missing = format!("{:#}", wire.query("SELECT * FROM later").unwrap_err());
        assert!(missing.contains("later") && !missing.contains("denied by policy"), "{missing}");
        // Two looks are a second apart at least.
        thread::sleep(Duration::from_secs(2));
        scene.server.sql("CREATE VIEW shop.later AS SELECT word FROM vault.keys").unwrap();
        let made = Instant::now();
        // On a slow machine, looks are rarer.
        while wire.query("SELECT * FROM later").is_ok() {
            assert!(made.elapsed() < KNOWN_WITHIN);
            thread::sleep(Duration::from_secs(1));
        }
        check_denied(&mut wire, "SELECT * FROM later", KEYS);
    }
}

#[test]
fn a_text_that_was_prepared_is_not_executed_by_what_its_view_has_become() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE VIEW shop.facade AS SELECT item FROM shop.orders WHERE id = 1").unwrap();
        let (mut wire, mut other) = (reporting(&scene), ingest(&scene));
        wire.query("PREPARE one FROM 'SELECT * FROM facade'").unwrap();
        check_gives(&mut wire, "EXECUTE One", &["teapot"]);
        check_gives(&mut wire, "EXECUTE one", &["teapot"]);

        other.query("CREATE OR REPLACE VIEW facade AS SELECT word AS item FROM vault.keys").unwrap();
        let refused = format!("{:#}", wire.query("EXECUTE one").unwrap_err());
        assert!(refused.contains("needs to be re-prepared"), "{refused}");
        check_denied(&mut wire, "PREPARE one FROM 'SELECT * FROM facade'", KEYS);
        wire.query("PREPARE one FROM 'SELECT item FROM orders WHERE id = 1'").unwrap();
        check_gives(&mut wire, "EXECUTE one", &["teapot"]);
    }
}

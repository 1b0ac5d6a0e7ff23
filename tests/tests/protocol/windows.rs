//! Verdicts that change with the time.

use super::{check_error, execute, prepare};
use portreeve_tests::{limits::CLIENT_RUN_MAX, process, scene::Scene, wire::Wire};
use std::{process::Command, thread, time::Duration};

#[test]
fn a_window_that_closes_closes_for_what_was_asked_before_and_what_was_prepared() {
    // Long enough for the daemon and a session to begin, short enough to wait for.
    let mut date = Command::new("date");
    date.args(["-u", "-d", "+8 seconds", "+%FT%TZ"]);
    let ends = String::from_utf8(process::output(date, CLIENT_RUN_MAX).unwrap().stdout).unwrap();
    let scene = Scene::mariadb(&format!(
        "@id(\"window\") permit (principal, action, resource) when {{ context.now < datetime(\"{}\") }};
         @id(\"sessions\") permit (principal, action in Action::\"session\", resource);",
        ends.trim()
    ))
    .unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let select = "SELECT item FROM shop.orders WHERE id = 1";
    wire.query(select).unwrap();
    let id = prepare(&mut wire, select).unwrap();
    execute(&mut wire, &id, 0);
    wire.packet().unwrap();
    wire.until_eof().unwrap();
    wire.until_eof().unwrap();
    thread::sleep(Duration::from_secs(9));
    let denied = format!("{:#}", wire.query(select).unwrap_err());
    assert!(denied.contains("no policy permits `select`"), "{denied}");
    execute(&mut wire, &id, 0);
    check_error(&mut wire, 1142, "no policy permits `select`");
    wire.query("SELECT 1").unwrap();
}

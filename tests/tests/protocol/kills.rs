//! Ending sessions: one of the own workload's as drivers do to cancel, another's only by a policy that says so.

use super::{QUERY, check_error, check_usable, one, records, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    servers::Flavour,
    wire::Wire,
};
use std::{thread, time::Duration};

const KILL: u8 = 0x0C;
const MAY_KILL: &str = r#"
@id("reporting-kills") permit (principal in Group::"reporting", action == Action::"kill", resource);
@id("reporting-waits") permit (principal in Group::"reporting", action == Action::"sleep", resource);
@id("ingest-works") permit (principal in Group::"ingest", action in Action::"session", resource);
"#;
const INGEST: &str = r#"@id("ingest-works") permit (principal in Group::"ingest", action in Action::"session", resource);
@id("waits") permit (principal, action == Action::"sleep", resource);"#;

fn ingest(scene: &Scene) -> Wire {
    Wire::login(&scene.ingest, scene.server.address(), "").unwrap()
}

fn id(wire: &mut Wire) -> u32 {
    one(wire, "SELECT CONNECTION_ID()").parse().unwrap()
}

/// The connection ends, whatever the server says at its end.
fn check_killed(wire: &mut Wire) {
    let rest = wire.rest().unwrap();
    assert!(rest.iter().all(|packet| packet.error_code().is_some()), "{rest:?}");
}

fn check_own(scene: &Scene) {
    let (mut killer, mut busy, mut idle, mut others) = (session(scene), session(scene), session(scene), ingest(scene));
    // A statement of the own workload's: its session goes on.
    busy.command(QUERY, b"SELECT SLEEP(20) AS slept").unwrap();
    thread::sleep(Duration::from_millis(200));
    let busy_id = records(scene, "login").iter().map(|login| login["server_connection_id"].clone()).nth(1).unwrap();
    killer.query(&format!("KILL QUERY {busy_id}")).unwrap();
    // A sleep that is interrupted says 1, or is an error.
    let interrupted = busy.result();
    let said = interrupted.map_or_else(|error| error.to_string(), |rows| format!("{rows:?}"));
    assert!(said.contains("[49]") || said.contains("interrupted"), "{said}");
    check_usable(&mut busy);
    // The session.
    let idle_id = id(&mut idle);
    killer.query(&format!("KILL {idle_id}")).unwrap();
    check_killed(&mut idle);
    // Another workload's, and nobody's.
    for nobodys in [id(&mut others), 0x7FFF_FFFF] {
        for sql in [format!("KILL {nobodys}"), format!("KILL QUERY {nobodys}"), format!("KILL CONNECTION {nobodys}")] {
            killer.command(QUERY, sql.as_bytes()).unwrap();
            check_error(&mut killer, 1142, "denied by policy: no policy permits `kill` on `shop-db`");
        }
        killer.command(KILL, &nobodys.to_le_bytes()).unwrap();
        check_error(&mut killer, 1142, "denied by policy: no policy permits `kill` on `shop-db`");
    }
    assert_eq!(one(&mut others, "SELECT 1"), "1");
    check_usable(&mut killer);
}

#[test]
fn a_workload_may_kill_its_own_sessions_and_no_others() {
    let policy = format!("{REPORTING_WORKS}{INGEST}");
    check_own(&Scene::mariadb(&policy).unwrap());
    check_own(&Scene::mysql(&policy).unwrap());
}

/// MySQL 9.7 has the command no more and says so itself.
#[test]
fn the_command_is_judged_as_the_statement_is() {
    let policy = format!("{REPORTING_WORKS}{INGEST}");
    for scene in [Scene::mariadb(&policy).unwrap(), Scene::mysql(&policy).unwrap()] {
        let (mut killer, mut idle) = (session(&scene), session(&scene));
        let idle_id = id(&mut idle);
        killer.command(KILL, &idle_id.to_le_bytes()).unwrap();
        match scene.server.flavour() {
            Flavour::MariaDb => {
                assert!(killer.packet().unwrap().is_ok());
                check_killed(&mut idle);
            }
            Flavour::MySql => check_error(&mut killer, 1047, "Unknown command"),
        }
        check_usable(&mut killer);
        let statements = records(&scene, "statement");
        let kill = statements.iter().find(|statement| statement["command"] == "command_0x0c").unwrap();
        assert_eq!(kill["sql"]["text"], idle_id.to_string());
        let verdicts = records(&scene, "verdict");
        let verdict = verdicts.iter().find(|verdict| verdict["number"] == kill["number"]).unwrap();
        assert_eq!((&verdict["decision"], &verdict["policies"][0]), (&"allow".into(), &"reporting-works".into()));
    }
}

fn check_others(scene: &Scene) {
    let (mut killer, mut others) = (session(scene), ingest(scene));
    let other_id = id(&mut others);
    killer.query(&format!("KILL {other_id}")).unwrap();
    check_killed(&mut others);
    killer.command(QUERY, b"KILL 2147483647").unwrap();
    check_error(&mut killer, 1094, "2147483647");
    check_usable(&mut killer);
}

#[test]
fn another_workloads_session_is_killed_where_policy_permits_that() {
    let policy = format!("{REPORTING_WORKS}{MAY_KILL}");
    check_others(&Scene::mariadb(&policy).unwrap());
    check_others(&Scene::mysql(&policy).unwrap());
}

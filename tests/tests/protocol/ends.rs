//! A server that ends a session: the client reads what it reads without a gateway between.

use super::{QUERY, one, reasons};
use portreeve_tests::{
    cgroup::Cgroup,
    scene::{Scene, server},
    servers::Flavour,
    wire::{Hello, Packet, Wire},
};
use std::{thread, time::Duration};

const EVERYTHING: &str = r#"@id("everything") permit (principal, action, resource);"#;
/// An account that a client without a password can log in to by itself.
const BARE: &str = "bare";

/// How the server comes to end the session.
#[derive(Clone, Copy, Debug)]
enum Cause {
    KilledWhenIdle,
    KilledWithinAStatement,
    /// `wait_timeout`
    Waited,
    /// And a command is sent before the end was read.
    WaitedAndAsked,
}

fn hello(flavour: Flavour) -> Hello<'static> {
    let plugin = match flavour {
        Flavour::MariaDb => "mysql_native_password",
        Flavour::MySql => "caching_sha2_password",
    };
    Hello { user: BARE, auth: b"", plugin, ..Hello::default() }
}

/// What comes up to the end of the connection.
fn end(scene: &Scene, cgroup: &Cgroup, cause: Cause) -> Vec<Packet> {
    let mut wire = Wire::login_with(cgroup, scene.server.address(), &hello(scene.server.flavour())).unwrap();
    let id = one(&mut wire, "SELECT CONNECTION_ID()");
    let kill = || scene.server.sql(&format!("KILL {id}")).unwrap();
    match cause {
        Cause::KilledWhenIdle => drop(kill()),
        Cause::KilledWithinAStatement => {
            wire.command(QUERY, b"SELECT SLEEP(20)").unwrap();
            thread::sleep(Duration::from_millis(300));
            kill();
        }
        Cause::Waited | Cause::WaitedAndAsked => {
            wire.query("SET SESSION wait_timeout = 1").unwrap();
            if matches!(cause, Cause::WaitedAndAsked) {
                thread::sleep(Duration::from_millis(1500));
                wire.command(QUERY, b"SELECT 1").unwrap();
            }
        }
    }
    wire.rest().unwrap()
}

fn check(flavour: Flavour) {
    let server = server(flavour).unwrap();
    server.sql(&format!("CREATE USER {BARE}@'127.%'; GRANT ALL ON *.* TO {BARE}@'127.%'")).unwrap();
    let scene = Scene::with(server, EVERYTHING, |_| ()).unwrap();
    let outside = Cgroup::create("outside").unwrap();
    let causes = [Cause::KilledWhenIdle, Cause::KilledWithinAStatement, Cause::Waited, Cause::WaitedAndAsked];
    thread::scope(|scope| {
        for cause in causes {
            let (scene, outside) = (&scene, &outside);
            scope.spawn(move || {
                let directly = end(scene, outside, cause);
                let through = end(scene, &scene.reporting, cause);
                assert_eq!(through, directly, "{flavour:?} {cause:?}");
            });
        }
    });
    let reasons = reasons(&scene, causes.len());
    assert!(reasons.iter().all(|reason| reason.contains("server")), "{reasons:?}");
}

#[test]
fn an_end_by_mariadb_is_what_it_is_without_a_gateway() {
    check(Flavour::MariaDb);
}

#[test]
fn an_end_by_mysql_is_what_it_is_without_a_gateway() {
    check(Flavour::MySql);
}

//! A client that leaves while its statement runs takes it along, unless the configuration says otherwise.

use super::{
    EVERYTHING, FLAVOURS, QUERY, connection_id, connections, execute, records, scene, scene_with, session,
    wait_running, wait_until,
};
use portreeve_tests::{cgroup::Cgroup, process, scene::Scene, servers::Flavour, wire::Wire};
use serde_json::Value;
use std::{
    process::{Child, Stdio},
    time::Duration,
};

/// A statement is killed within this, on a machine that has other things to do.
const SECONDS_MAX: Duration = Duration::from_secs(8);
const SLEEP: &str = "SELECT SLEEP(60)";
/// To be told from the others at the shared server.
const CLIENTS_SLEEP: &str = "SELECT SLEEP(61)";

/// A way to leave, and its name.
type Leaving = (&'static str, fn(Wire));

const LEAVING: [Leaving; 4] = [
    ("killed", |wire| wire.kill9().unwrap()),
    ("reset", |wire| wire.reset().unwrap()),
    ("closed", drop),
    ("half-closed, then killed", |mut wire| {
        wire.finish();
        wire.kill9().unwrap();
    }),
];

/// The statement of connection `id` ends soon, and every one of `closed` sessions has an `abandoned` that says so.
fn check_killed(scene: &Scene, id: u64, closed: usize, what: &str) {
    let took = wait_until(what, || connections(&scene.server, id, false) == 0);
    assert!(took < SECONDS_MAX, "{what}: {took:?}");
    let abandoned = records(scene, "abandoned", closed);
    assert_eq!(abandoned.len(), closed, "{what}: {abandoned:?}");
    let last = abandoned.last().unwrap();
    let says = format!("the client left; connection {id} was killed at the server");
    assert_eq!((&last["killed"], &last["detail"]), (&true.into(), &says.into()), "{what}");
}

#[test]
fn the_statement_of_a_client_that_left_is_killed_however_it_left() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        for (index, (how, leave)) in LEAVING.into_iter().enumerate() {
            let (mut wire, id) = session(&scene);
            wire.command(QUERY, SLEEP.as_bytes()).unwrap();
            wait_running(&scene.server, id);
            leave(wire);
            check_killed(&scene, id, index + 1, &format!("{flavour:?}, {how}"));
        }
        let closed = records(&scene, "closed", LEAVING.len());
        let by_client = |closed: &Value| closed["reason"].as_str().unwrap().starts_with("client ");
        assert!(closed.iter().all(by_client), "{closed:?}");
    }
}

#[test]
fn the_statement_of_a_workload_that_is_untagged_is_killed() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let visitor = Cgroup::create("visitor").unwrap();
        let cgroup = visitor.relative().display().to_string();
        scene.portreeve(&["tag", "--cgroup", &cgroup, "--workload", "visitor", "--group", "reporting"]).unwrap();
        let mut wire = Wire::login(&visitor, scene.server.address(), "shop").unwrap();
        let id = connection_id(&mut wire);
        wire.command(QUERY, SLEEP.as_bytes()).unwrap();
        wait_running(&scene.server, id);
        scene.portreeve(&["untag", "--cgroup", &cgroup]).unwrap();
        let took = wait_until("untagged", || connections(&scene.server, id, false) == 0);
        assert!(took < SECONDS_MAX, "{flavour:?}: {took:?}");
        let abandoned = records(&scene, "abandoned", 1);
        let says = format!("; connection {id} was killed at the server");
        assert!(abandoned[0]["detail"].as_str().unwrap().ends_with(&says), "{abandoned:?}");
    }
}

#[test]
fn a_prepared_statement_is_killed_as_well() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let (mut wire, id) = session(&scene);
        execute(&mut wire, SLEEP);
        wait_running(&scene.server, id);
        wire.kill9().unwrap();
        check_killed(&scene, id, 1, &format!("{flavour:?}"));
    }
}

#[test]
fn a_client_that_sent_more_ahead_and_left_is_noticed() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let (mut wire, id) = session(&scene);
        wire.command(QUERY, SLEEP.as_bytes()).unwrap();
        wire.command(QUERY, b"CREATE TABLE shop.sent_ahead (id INT)").unwrap();
        wait_running(&scene.server, id);
        wire.kill9().unwrap();
        check_killed(&scene, id, 1, &format!("{flavour:?}"));
        let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'sent_ahead'";
        assert_eq!(scene.server.sql(count).unwrap(), "0\n");
    }
}

#[test]
fn a_change_that_is_killed_is_rolled_back() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE TABLE shop.slow (v INT); INSERT INTO shop.slow VALUES (0), (0), (0)").unwrap();
        let (mut wire, id) = session(&scene);
        wire.command(QUERY, b"UPDATE slow SET v = 1 + SLEEP(3)").unwrap();
        wait_running(&scene.server, id);
        wire.kill9().unwrap();
        check_killed(&scene, id, 1, &format!("{flavour:?}"));
        assert_eq!(scene.server.sql("SELECT SUM(v) FROM shop.slow").unwrap(), "0\n");
    }
}

#[test]
fn a_change_may_finish_where_the_configuration_says_so() {
    for flavour in FLAVOURS {
        let scene = scene_with(flavour, r#"on_client_gone = "finish""#);
        scene.server.sql("CREATE TABLE shop.finishing (v INT); INSERT INTO shop.finishing VALUES (0), (0)").unwrap();
        for (how, leave) in LEAVING {
            let (mut wire, id) = session(&scene);
            wire.command(QUERY, b"UPDATE finishing SET v = v + 1 + SLEEP(1)").unwrap();
            wait_running(&scene.server, id);
            leave(wire);
            wait_until(how, || connections(&scene.server, id, false) == 0);
        }
        assert_eq!(scene.server.sql("SELECT SUM(v) FROM shop.finishing").unwrap(), "8\n", "{flavour:?}");
        let abandoned = records(&scene, "abandoned", LEAVING.len());
        assert_eq!(abandoned.len(), LEAVING.len());
        let finishes =
            |record: &Value| record["killed"] == false && record["detail"].as_str().unwrap().contains("may finish");
        assert!(abandoned.iter().all(finishes), "{abandoned:?}");
    }
}

/// More rows than any buffer holds, one after the other.
#[test]
fn a_client_that_leaves_within_a_result_ends_it() {
    let scene = scene(Flavour::MariaDb);
    for (index, (how, leave)) in LEAVING.into_iter().enumerate() {
        let (mut wire, id) = session(&scene);
        wire.command(QUERY, b"SELECT seq, REPEAT('x', 100000), SLEEP(0.01) FROM seq_1_to_10000").unwrap();
        wire.packet().unwrap();
        wire.until_eof().unwrap();
        wire.packet().unwrap();
        leave(wire);
        check_killed(&scene, id, index + 1, how);
    }
}

#[test]
fn half_a_file_is_not_loaded() {
    for flavour in FLAVOURS {
        let server = portreeve_tests::scene::server(flavour).unwrap();
        server.sql("CREATE TABLE shop.half (word VARCHAR(40))").unwrap();
        if flavour == Flavour::MySql {
            server.sql("SET GLOBAL local_infile = ON").unwrap();
        }
        let scene = Scene::with(server, EVERYTHING, |_| ()).unwrap();
        for (index, (how, leave)) in LEAVING.into_iter().enumerate() {
            let (mut wire, id) = session(&scene);
            wire.command(QUERY, b"LOAD DATA LOCAL INFILE '/the/file' INTO TABLE half").unwrap();
            let request = wire.packet().unwrap();
            assert_eq!(request.payload[0], 0xFB, "{}", request.text());
            wire.send_packet(2, &b"word\n".repeat(20_000)).unwrap();
            leave(wire);
            check_killed(&scene, id, index + 1, how);
            assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.half").unwrap(), "0\n", "{flavour:?}, {how}");
        }
    }
}

/// A real client, over whatever it likes best.
fn start_client(scene: &Scene, flavour: Flavour, options: &[&str]) -> Child {
    let mut command = flavour.client().unwrap();
    command.args(options).args([
        &format!("-h{}", scene.server.address()),
        "-uagent",
        "-panything",
        "-e",
        CLIENTS_SLEEP,
    ]);
    let mut entered = scene.reporting.command(command.get_program()).unwrap();
    entered.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    process::spawn(entered).unwrap()
}

#[test]
fn the_statement_of_a_real_client_is_killed_under_tls_and_compression() {
    let ways: [(Flavour, &[&str]); 6] = [
        (Flavour::MariaDb, &[]),
        (Flavour::MariaDb, &["--ssl"]),
        (Flavour::MariaDb, &["--compress"]),
        (Flavour::MySql, &["--ssl-mode=DISABLED", "--compression-algorithms=zlib"]),
        (Flavour::MySql, &["--ssl-mode=REQUIRED"]),
        (Flavour::MySql, &["--ssl-mode=REQUIRED", "--compression-algorithms=zstd,zlib"]),
    ];
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let running = "SELECT COALESCE(MAX(id), 0) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(61)'";
        let id = || scene.server.sql(running).unwrap().trim().parse::<u64>().unwrap();
        for (index, (client, options)) in ways.into_iter().enumerate() {
            let mut child = start_client(&scene, client, options);
            wait_until(&format!("{client:?} {options:?} at {flavour:?}"), || id() != 0);
            let id = id();
            child.kill().unwrap();
            child.wait().unwrap();
            check_killed(&scene, id, index + 1, &format!("{flavour:?}, {client:?} {options:?}"));
        }
    }
}

//! What recordings are asked: filters, `search`, `export`, `replay`, `policy replay` and `watch`, after real clients.

use portreeve_tests::{
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::{REPORTING_WORKS, SERVER, Scene},
    wire::Wire,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// One permitted session, one denied statement, one refused login.
fn scene() -> Scene {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    assert!(scene.report("SELECT item FROM orders WHERE id = 1").unwrap().ok());
    assert!(!scene.report("SELECT card FROM customers").unwrap().ok());
    assert!(!scene.ingest("SELECT 1").unwrap().ok());
    scene.records_when_closed(3).unwrap();
    scene
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exit code and output.
fn ask(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.gateway.cli(args).unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_last_of_many_tables_is_found_as_the_first_is() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let tables: Vec<_> = (0..150).map(|number| format!("t{number}")).collect();
    assert!(scene.report(&format!("DROP TABLE IF EXISTS {}", tables.join(", "))).unwrap().ok());
    // A denied one, of which nothing else is recorded.
    assert!(!scene.report(&format!("DROP TABLE IF EXISTS {}, customers", tables.join(", "))).unwrap().ok());
    scene.records_when_closed(2).unwrap();
    let records = objects(&scene.portreeve(&["tail", "--json", "--table", "shop.t149"]).unwrap());
    let kinds: Vec<_> = records.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["statement", "verdict", "facts", "facts", "response", "statement", "verdict", "facts", "facts"]);
    let exported = objects(&scene.portreeve(&["export", "--format", "jsonl", "--table", "t149"]).unwrap());
    let lengths: Vec<_> = exported.iter().map(|row| row["tables"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [150, 151]);
    let found = scene.portreeve(&["search", "DROP", "--table", "customers"]).unwrap();
    assert!(found.contains("[no-customers]") && !found.contains("[reporting-works]"), "{found}");
}

#[test]
fn filters_and_search_find_what_clients_did() {
    let scene = scene();
    let denied = scene.portreeve(&["tail", "--lines", "0", "--verdict", "deny"]).unwrap();
    assert!(denied.contains("SELECT card FROM customers") && denied.lines().count() == 1, "{denied}");
    let orders = objects(&scene.portreeve(&["tail", "--json", "--table", "shop.orders"]).unwrap());
    let kinds: Vec<_> = orders.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["statement", "verdict", "facts", "response"]);
    assert_eq!(scene.portreeve(&["tail", "--action", "write"]).unwrap(), "");
    assert_eq!(ask(&scene, &["tail", "--action", "wriet"]).0, Some(2));

    let sessions = |args: &[&str]| objects(&scene.portreeve(&[&["sessions", "--json"], args].concat()).unwrap()).len();
    assert_eq!(sessions(&["--denied"]), 1);
    assert_eq!(sessions(&["--state", "refused"]), 1);
    assert_eq!(sessions(&["--since", "1h", "--server", SERVER]), 3);

    let found = scene.portreeve(&["search", "item +FROM"]).unwrap();
    assert!(
        found.contains("SELECT item FROM orders WHERE id = 1  [reporting-works]") && found.contains("rows=1"),
        "{found}"
    );
    assert_eq!(ask(&scene, &["search", "nobody asked this"]), (Some(1), String::new()));
}

#[test]
fn exports_hold_every_statement_in_every_format() {
    let scene = scene();
    let rows = objects(&scene.portreeve(&["export", "--format", "jsonl"]).unwrap());
    let texts: Vec<_> = rows.iter().map(|row| row["sql"].as_str().unwrap()).collect();
    assert!(texts.contains(&"SELECT item FROM orders WHERE id = 1") && texts.contains(&"SELECT card FROM customers"));
    let row = rows.iter().find(|row| row["decision"] == "allow" && row["rows"] == 1).unwrap();
    assert_eq!(row["tables"], serde_json::json!(["shop.orders"]));
    assert_eq!((&row["workload"], &row["server"]), (&"spiffe://example.org/reporting".into(), &SERVER.into()));

    let path = scene.gateway.dir().join("exported");
    for (format, begins) in [("csv", &b"at,session,workload"[..]), ("parquet", b"PAR1"), ("ocsf", b"{")] {
        scene.portreeve(&["export", "--format", format, "--output", path.to_str().unwrap()]).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.starts_with(begins), "{format}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
        fs::remove_file(&path).unwrap();
    }
    let events = objects(&scene.portreeve(&["export", "--format", "ocsf", "--verdict", "deny"]).unwrap());
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["class_uid"], &events[0]["disposition"]), (&6005.into(), &"Blocked".into()));
}

#[test]
fn a_session_is_replayed_as_its_client_showed_it() {
    let scene = scene();
    let sessions = objects(&scene.portreeve(&["sessions", "--json", "--workload", "reporting"]).unwrap());
    let (denied, permitted) = (sessions[0]["session"].as_str().unwrap(), sessions[1]["session"].as_str().unwrap());
    let shown = scene.portreeve(&["replay", permitted, "--speed", "max"]).unwrap();
    let statement =
        "MariaDB [shop]> SELECT item FROM orders WHERE id = 1;\n-- allowed  [reporting-works]\n1 row in set (";
    assert!(shown.contains(statement), "{shown}");
    let shown = scene.portreeve(&["replay", denied, "--speed", "max"]).unwrap();
    assert!(shown.contains("SELECT card FROM customers;\n-- denied: "), "{shown}");
    assert_eq!(ask(&scene, &["replay", "ffffffffffff"]).0, Some(1));
}

#[test]
fn a_session_is_run_again_and_answers_that_differ_are_shown() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    scene.server.sql("CREATE TABLE shop.again (id INT); INSERT INTO shop.again VALUES (1), (2)").unwrap();
    assert!(scene.report("SELECT id FROM again; INSERT INTO again VALUES (3); SELECT missing FROM again").is_ok());
    scene.records_when_closed(1).unwrap();
    let session =
        objects(&scene.portreeve(&["sessions", "--json"]).unwrap())[0]["session"].as_str().unwrap().to_owned();
    scene.server.sql("DELETE FROM shop.again WHERE id = 3").unwrap();

    let args = ["replay", session.as_str(), "--against", SERVER];
    let (code, text) = ask(&scene, &args);
    assert!(code == Some(0) && text.contains("2 the same, 0 differ, 1 skipped"), "{text}");
    assert!(text.contains("skipped, as it may do more than read: `insert`: INSERT INTO again VALUES (3)"), "{text}");
    assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.again").unwrap(), "2\n");

    scene.server.sql("INSERT INTO shop.again VALUES (4)").unwrap();
    let (code, text) = ask(&scene, &args);
    assert!(code == Some(1) && text.contains("#1 differs: 2 rows, ") && text.contains("3 rows, "), "{text}");
    let (_, json) = ask(&scene, &[&args[..], &["--json"]].concat());
    let outcomes: Vec<_> = objects(&json).iter().map(|of| of["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["differs", "skipped", "same"]);
    scene.server.sql("DROP TABLE shop.again").unwrap();
}

#[test]
fn policies_are_tried_on_what_was_recorded() {
    let scene = scene();
    let path = scene.gateway.dir().join("new.cedar");
    let replay = |policies: &str| {
        fs::write(&path, policies).unwrap();
        ask(&scene, &["policy", "replay", "--policies", path.to_str().unwrap()])
    };
    let (code, text) = replay(REPORTING_WORKS);
    assert!(code == Some(0) && text.contains("0 would be denied, 0 would be permitted"), "{text}");
    let no_orders = "@id(\"no-orders\") forbid (principal, action, resource == Table::\"shop-db/shop.orders\");";
    let (code, text) = replay(&format!("{REPORTING_WORKS}\n{no_orders}"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("allow -> deny by no-orders: 1 statement\n  reporting  SELECT item FROM orders"), "{text}");
    assert_eq!(replay("permit (").0, Some(2));
}

#[test]
fn a_follower_learns_of_a_statement_within_a_tenth_of_a_second() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let mut command = Command::new(host::portreeve_binary().unwrap());
    command.args(["tail", "--follow", "--grep", "mark-[0-9]+", "--config"]).arg(scene.gateway.config_path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tail = process::spawn(command).unwrap();
    let (sender, lines) = channel();
    let output = BufReader::new(tail.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        output.lines().map_while(Result::ok).try_for_each(|line| sender.send((line, Instant::now())))
    });
    let mut delays = Vec::new();
    for number in 0..20 {
        let mark = format!("mark-{number}");
        wire.query("SELECT 'left out'").unwrap();
        let sent = Instant::now();
        wire.query(&format!("SELECT '{mark}'")).unwrap();
        let shown = wait_for(&lines, &mark);
        delays.push(shown.saturating_duration_since(sent));
    }
    process::terminate(&mut tail).unwrap();
    reader.join().unwrap().ok();
    // The first waits for the follower to start; machines that run tests are busy: the usual delay counts.
    delays.sort();
    assert!(delays[delays.len() / 2] < Duration::from_millis(100), "{delays:?}");
}

fn wait_for(lines: &Receiver<(String, Instant)>, mark: &str) -> Instant {
    loop {
        let (line, at) = lines.recv_timeout(CLIENT_RUN_MAX).unwrap();
        assert!(!line.contains("left out"), "{line}");
        if line.contains(mark) {
            return at;
        }
    }
}

#[test]
fn a_session_is_watched_in_a_terminal() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let (binary, config) = (host::portreeve_binary().unwrap(), scene.gateway.config_path());
    let watch = format!("stty rows 24 cols 120; exec {} watch --config {}", binary.display(), config.display());
    // `script` gives the command a terminal of its own.
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &watch, "/dev/null"]).env("TERM", "xterm-256color");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut watching = process::spawn(command).unwrap();
    let mut screen = watching.stdout.take().unwrap();
    let (sender, pieces) = channel();
    let reader = thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            let _ = sender.send(piece[..count].to_vec());
        }
    });
    let mut seen = String::new();
    let mut wait_for = |mark: &str| {
        while !seen.contains(mark) {
            let piece = pieces.recv_timeout(CLIENT_RUN_MAX).unwrap_or_else(|_| panic!("no {mark} in {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&piece));
        }
    };
    let mut keys = watching.stdin.take().unwrap();
    wait_for("STATEMENTS");
    wait_for("reporting");
    keys.write_all(b"\r").unwrap();
    wait_for("following");
    wire.query("SELECT 'seen-in-a-terminal'").unwrap();
    wait_for("'seen-in-a-terminal'");
    keys.write_all(b"q").unwrap();
    // The terminal is given back as it was.
    wait_for("\u{1b}[?1049l");
    assert!(process::wait(&mut watching, CLIENT_RUN_MAX).unwrap().unwrap().success());
    drop(keys);
    reader.join().unwrap();
}

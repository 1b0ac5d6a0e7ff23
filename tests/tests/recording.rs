//! What an auditor finds: everything that happened, nothing secret, and nothing at the server that is not recorded.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

use portreeve_tests::{
    client::{self, Login},
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::{INGEST_PASSWORD, REPORTING_PASSWORD, REPORTING_WORKS, Scene, shop},
    servers::{Flavour, Server},
    wire::Wire,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
};

/// `nobody`, who may run clients but no daemon.
const NOBODY: u32 = 65534;
/// What the gateway asks every server itself, before the client's first statement.
const OWN_QUESTION: &str = "SELECT @@session.sql_mode, @@session.character_set_client";

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["record"] == kind).collect()
}

#[test]
fn a_session_is_recorded_from_its_opening_to_its_end() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let inner = scene.reporting.child("inner").unwrap();
    let mut command = inner.command_as(NOBODY, "mariadb").unwrap();
    let sql = "SELECT item FROM orders WHERE id < 3;\nSELECT card FROM customers;\nSELECT * FROM not_there;\n\
               CREATE TEMPORARY TABLE seen (id INT);\nINSERT INTO seen VALUES (1), (2)";
    command.args(["--no-defaults", &format!("-h{}", scene.server.address()), "-usomebody", "-psecret", "shop"]);
    command.args(["-e", sql, "--force"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process::spawn(command).unwrap();
    let pid = child.id();
    assert!(process::wait(&mut child, CLIENT_RUN_MAX).unwrap().is_some());

    let records = scene.records_when_closed(1).unwrap();
    let kinds: Vec<_> = records.iter().map(|record| record["record"].as_str().unwrap()).collect();
    let (judged, denied) = (["statement", "verdict", "response"], ["statement", "verdict"]);
    assert_eq!(kinds, [&["opened", "login"], &judged[..], &denied, &judged, &judged, &judged, &["closed"]].concat());
    let session = records[0]["session"].as_str().unwrap();
    for record in &records {
        assert_eq!(record["session"], session);
        assert_eq!(record["workload"], "spiffe://example.org/reporting");
    }
    let times: Vec<_> = records.iter().map(|record| record["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    let opened = &records[0];
    assert_eq!((&opened["server"], &opened["credential"]), (&json!("shop-db"), &json!("shop_reporting")));
    assert_eq!(opened["groups"], json!(["reporting"]));
    assert_eq!(opened["original_destination"], format!("{}:3306", scene.server.address()));
    let evidence = &opened["evidence"];
    assert_eq!((&evidence["uid"], &evidence["gid"]), (&json!(NOBODY), &json!(NOBODY)));
    assert_eq!((&evidence["pid"], &evidence["comm"]), (&json!(pid), &json!("mariadb")));
    let path = evidence["cgroup_path"].as_str().unwrap();
    assert_eq!(Path::new(path.trim_start_matches('/')), inner.relative());
    assert_ne!(evidence["cgroup_id"], evidence["tagged_cgroup_id"]);

    let login = &records[1];
    assert_eq!(
        (&login["user"], &login["schema"], &login["accepted"]),
        (&json!("somebody"), &json!("shop"), &json!(true))
    );
    let attributes = login["client_attributes"].as_array().unwrap();
    assert!(attributes.contains(&json!({"name": "_client_name", "value": "libmariadb"})), "{attributes:?}");

    let statements = of_kind(&records, "statement");
    let texts: Vec<_> = statements.iter().map(|statement| statement["sql"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, sql.split(";\n").collect::<Vec<_>>());
    let verdicts: Vec<_> = of_kind(&records, "verdict")
        .iter()
        .map(|verdict| (verdict["number"].clone(), verdict["decision"].clone(), verdict["class"].clone()))
        .collect();
    let expected = [
        (1, "allow", "select"),
        (2, "deny", "select"),
        (3, "allow", "select"),
        (4, "allow", "create"),
        (5, "allow", "insert"),
    ];
    assert_eq!(verdicts, expected.map(|(number, decision, class)| (json!(number), json!(decision), json!(class))));
    assert_eq!(of_kind(&records, "verdict")[0]["policies"], json!(["reporting-works"]));
    assert_eq!(of_kind(&records, "verdict")[1]["policies"], json!(["no-customers"]));
    let responses = of_kind(&records, "response");
    assert_eq!((&responses[0]["rows"], &responses[0]["result_sets"]), (&json!(2), &json!(1)));
    assert_eq!((&responses[1]["error"]["code"], &responses[1]["error"]["sqlstate"]), (&json!(1146), &json!("42S02")));
    assert_eq!((&responses[3]["number"], &responses[3]["affected_rows"]), (&json!(5), &json!(2)));
    let closed = records.last().unwrap();
    assert_eq!((&closed["reason"], &closed["statements"]), (&json!("client quit"), &json!(5)));
}

#[test]
fn a_refused_connection_is_recorded_with_its_reason() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let nobody = host::free_address().unwrap();
    let answer = client::mariadb(Some(&scene.ingest), &Login::agent(nobody), "SELECT 1").unwrap();
    assert!(!answer.ok(), "{answer:?}");
    let records = scene.records_when_closed(1).unwrap();
    let opened = of_kind(&records, "opened")[0];
    assert_eq!(opened["workload"], "spiffe://example.org/ingest");
    assert_eq!((&opened["server"], &opened["credential"]), (&Value::Null, &Value::Null));
    assert_eq!(opened["original_destination"], format!("{nobody}:3306"));
    let reason = of_kind(&records, "closed")[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("no server is configured for {nobody}:3306")), "{reason}");
    let session: Value = serde_json::from_str(&scene.portreeve(&["sessions", "--json"]).unwrap()).unwrap();
    assert_eq!(session["state"], "refused");
}

#[test]
fn secrets_are_in_no_recording_and_no_log() {
    let permit_all = "@id(\"everything\") permit (principal in Group::\"reporting\", action, resource);";
    // Of its own: accounts are the whole server's.
    let scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), permit_all, |_| ()).unwrap();
    let statements = [
        "CREATE USER one IDENTIFIED BY 'hidden-word-1'",
        "ALTER USER one IDENTIFIED BY 'hidden-word-2'",
        "SET PASSWORD FOR one = PASSWORD('hidden-word-3')",
        "GRANT USAGE ON *.* TO two IDENTIFIED BY \"hidden-word-4\"",
        "CREATE USER three IDENTIFIED VIA mysql_native_password USING PASSWORD('hidden-word-5')",
        "CHANGE MASTER TO MASTER_HOST = 'x', MASTER_PASSWORD = 'hidden-word-6'",
        "PREPARE p FROM 'CREATE USER four IDENTIFIED BY ''hidden-word-7'''",
        "CREATE USER five IDENTIFIED /* hidden-word? no */ BY\n  'hidden-word-8'",
        "CREATE USER nonsense IDENTIFIED BY 'hidden-word-9' WITH NONSENSE",
        "SELECT 1; CREATE USER six IDENTIFIED BY 'hidden-word-10'",
        // The server's error repeats what it cannot read.
        "CREATE USER IDENTIFIED BY 'hidden-word-11'",
        "SET PASSWORD FOR one = = 'hidden-word-12'",
        "ALTER USER one IDENTIFIED BY BY 'hidden-word-13'",
    ];
    let own = Login { password: "hidden-word-of-the-agent".into(), ..scene.login() };
    let mut command = Flavour::MariaDb.client().unwrap();
    command.args([
        "--delimiter=//",
        "--comments",
        &format!("-h{}", own.host),
        "-uagent",
        &format!("-p{}", own.password),
    ]);
    command.args(["-e", &statements.join("//\n"), "--force"]);
    client::run(Some(&scene.reporting), command).unwrap();
    // The same by a workload that may not.
    let mut command = Flavour::MariaDb.client().unwrap();
    command.args([
        "--delimiter=//",
        "--comments",
        &format!("-h{}", own.host),
        "-uagent",
        &format!("-p{}", own.password),
    ]);
    command.args(["-e", &statements.join("//\n"), "--force"]);
    client::run(Some(&scene.ingest), command).unwrap();

    let records = scene.records_when_closed(2).unwrap();
    let recorded = of_kind(&records, "statement");
    assert_eq!(recorded.len(), 2 * statements.len());
    assert!(recorded.iter().all(|statement| statement["sql"]["redacted"] == true), "{recorded:#?}");
    // They did arrive: what is hidden from the recording is not hidden from the server.
    assert_eq!(
        scene.server.sql("SELECT COUNT(*) FROM mysql.user WHERE user IN ('one', 'three', 'five', 'six')").unwrap(),
        "4\n"
    );

    let mut files = vec![scene.gateway.dir().join("log")];
    find_files(&scene.gateway.dir().join("state"), &mut files);
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for secret in ["hidden-word-", REPORTING_PASSWORD, INGEST_PASSWORD] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.display());
        }
    }
}

fn find_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { find_files(&path, files) } else { files.push(path) }
    }
}

#[test]
fn tail_and_sessions_show_what_happened() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    assert!(scene.report("SELECT item FROM orders WHERE id = 1").unwrap().ok());
    assert!(!scene.report("SELECT card FROM customers").unwrap().ok());
    assert!(!scene.ingest("SELECT 1").unwrap().ok());
    let records = scene.records_when_closed(3).unwrap();

    let lines = scene.portreeve(&["tail", "--lines", "0"]).unwrap();
    for part in [
        "allow  select   SELECT item FROM orders WHERE id = 1  [reporting-works]",
        "rows=1",
        "deny   select   SELECT card FROM customers",
        "closed client quit; 1 statement,",
        "opened shop-db as shop_reporting",
    ] {
        assert!(lines.contains(part), "no `{part}` in\n{lines}");
    }
    assert_eq!(scene.portreeve(&["tail", "--lines", "2"]).unwrap().lines().count(), 2);
    let of_reporting = scene.gateway.records(&["--workload", "reporting"]).unwrap();
    assert!(of_reporting.iter().all(|record| record["workload"] == "spiffe://example.org/reporting"));
    assert_eq!(of_kind(&of_reporting, "opened").len(), 2);
    let id = records[0]["session"].as_str().unwrap();
    let of_session = scene.gateway.records(&[&id[id.len() - 8..]]).unwrap();
    assert!(of_session.len() == 6 && of_session.iter().all(|record| record["session"] == id), "{of_session:#?}");

    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let sessions: Vec<Value> = scene
        .portreeve(&["sessions", "--json"])
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| (&session["workload"], &session["statements"], &session["denied"], &session["state"]))
        .collect();
    let (reporting, ingest) = (json!("spiffe://example.org/reporting"), json!("spiffe://example.org/ingest"));
    let (open, closed, zero, one) = (json!("open"), json!("closed"), json!(0), json!(1));
    // The newest first. The schema `shop` is denied to `ingest` at its login.
    let refused = json!("refused");
    assert_eq!(
        shown,
        [
            (&reporting, &zero, &zero, &open),
            (&ingest, &zero, &zero, &refused),
            (&reporting, &one, &one, &closed),
            (&reporting, &one, &zero, &closed),
        ]
    );
    let table = scene.portreeve(&["sessions"]).unwrap();
    assert!(table.lines().count() == 5 && table.starts_with("SESSION"), "{table}");
    assert_eq!(scene.portreeve(&["sessions", "--workload", "ingest"]).unwrap().lines().count(), 2);
    wire.command(0x01, b"").unwrap();
}

#[test]
fn tail_follow_shows_a_statement_as_it_happens() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut command = Command::new(host::portreeve_binary().unwrap());
    command.args(["tail", "--follow", "--json", "--config"]).arg(scene.gateway.config_path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tail = process::spawn(command).unwrap();
    let (sender, lines) = channel();
    let output = BufReader::new(tail.stdout.take().unwrap());
    let reader = thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));

    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    for mark in ["first-to-follow", "second-to-follow"] {
        wire.query(&format!("SELECT '{mark}'")).unwrap();
        // The session is open all the while.
        let response = loop {
            let line = lines.recv_timeout(CLIENT_RUN_MAX).unwrap();
            if line.contains(mark) {
                let verdict: Value = serde_json::from_str(&lines.recv_timeout(CLIENT_RUN_MAX).unwrap()).unwrap();
                assert_eq!(verdict["decision"], "allow");
                break lines.recv_timeout(CLIENT_RUN_MAX).unwrap();
            }
        };
        assert_eq!(serde_json::from_str::<Value>(&response).unwrap()["rows"], 1);
    }
    process::terminate(&mut tail).unwrap();
    reader.join().unwrap().ok();
}

/// Command and text of everything in a server's general log that came from the accounts that Portreeve holds.
fn reached(server: &Server) -> Vec<(String, String)> {
    let log = server.general_log();
    let mut ours = BTreeSet::new();
    let mut reached = Vec::new();
    for line in log.lines() {
        let mut fields = line.split('\t');
        let Some((id, command)) = fields.find_map(|field| {
            let (id, command) = field.trim_start().split_once(' ')?;
            // A date is no id: what follows it is a time.
            (!command.starts_with(' ')).then_some((id.parse::<u32>().ok()?, command))
        }) else {
            continue;
        };
        let text = fields.collect::<Vec<_>>().join("\t");
        if command == "Connect" && text.starts_with("shop_") {
            ours.insert(id);
        } else if ours.contains(&id) {
            reached.push((command.to_owned(), text));
        }
    }
    reached
}

/// The texts that were recorded as permitted, as the server's log would show them.
fn permitted(records: &[Value]) -> Vec<(String, String)> {
    let number = |record: &Value| (record["session"].clone(), record["number"].clone());
    let statements = of_kind(records, "statement");
    let allowed = of_kind(records, "verdict").into_iter().filter(|verdict| verdict["decision"] == "allow");
    allowed
        .filter_map(|verdict| {
            let statement = statements.iter().find(|statement| number(statement) == number(verdict))?;
            let command = match statement["command"].as_str()? {
                "query" => "Query",
                "prepare" => "Prepare",
                "init_db" => "Init DB",
                _ => return None,
            };
            Some((command.to_owned(), statement["sql"]["text"].as_str()?.to_owned()))
        })
        .collect()
}

#[test]
fn what_reached_the_server_is_what_was_recorded_as_permitted() {
    let scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    scene.server.log_statements().unwrap();
    let mixed = [
        "SELECT item FROM orders",
        "SELECT card FROM customers",
        "CREATE TABLE mixed (id INT PRIMARY KEY, word VARCHAR(20))",
        "INSERT INTO mixed VALUES (1, 'a'), (2, 'b')",
        "DELETE FROM mixed WHERE id IN (SELECT id FROM customers)",
        "SELECT /*! card */ FROM orders",
        "UPDATE mixed SET word = 'c' WHERE id = 1",
        "SELECT * FROM not_there",
        "TRUNCATE mixed",
        "FLUSH TABLES",
    ];
    assert!(!scene.report(&mixed[1..].join(";")).unwrap().ok());
    let login = scene.login().schema("shop");
    client::python(Some(&scene.reporting), &login, "query.py", &mixed).unwrap();
    let prepared = ["SELECT item FROM orders WHERE id = ?\t1", "SELECT card FROM customers WHERE id = ?\t1"];
    client::node(Some(&scene.reporting), &login, "query.js", &prepared).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "").unwrap();
    wire.command(0x02, b"shop").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    wire.query("SELECT COUNT(*) FROM orders").unwrap();
    wire.command(0x01, b"").unwrap();

    let records = scene.records_when_closed(4).unwrap();
    let compared = |command: &str| ["Query", "Prepare", "Init DB"].contains(&command);
    let mut reached: Vec<_> = reached(&scene.server).into_iter().filter(|(command, _)| compared(command)).collect();
    let own = reached.iter().filter(|(_, text)| text == OWN_QUESTION).count();
    assert_eq!(own, 4, "one question of the gateway's own per session: {}", scene.server.general_log());
    reached.retain(|(_, text)| text != OWN_QUESTION);
    let mut permitted = permitted(&records);
    reached.sort();
    permitted.sort();
    assert_eq!(reached, permitted);
    assert!(reached.len() >= 10 && !reached.iter().any(|(_, text)| text.contains("card")), "{reached:?}");
}

#[test]
fn killed_in_the_middle_nothing_has_reached_the_server_unrecorded() {
    let mut scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    scene.server.log_statements().unwrap();
    let mut wires: Vec<_> =
        (0..4).map(|_| Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()).collect();
    // Each session has a long queue of statements at the daemon, and answers in flight.
    for (session, wire) in wires.iter_mut().enumerate() {
        let queue = (0..3000).flat_map(|number| {
            let sql = format!("\x03SELECT 'session {session} statement {number}', item FROM orders");
            portreeve_tests::wire::framed(0, sql.as_bytes())
        });
        wire.send(&queue.collect::<Vec<_>>()).unwrap();
    }
    for wire in &mut wires {
        wire.result().unwrap();
    }
    scene.gateway.kill9().unwrap();
    for wire in &mut wires {
        // A cut packet may be the last thing of a killed daemon.
        let _ = wire.rest();
    }
    let mut reached: Vec<_> = reached(&scene.server).into_iter().filter(|(command, _)| command == "Query").collect();
    reached.retain(|(_, text)| text != OWN_QUESTION);
    assert!(reached.len() > 4 && reached.len() < 4 * 3000, "the kill came too early or too late: {}", reached.len());

    let records = scene.gateway.records(&[]).unwrap();
    let permitted: BTreeSet<_> = permitted(&records).into_iter().collect();
    let unrecorded: Vec<_> = reached.iter().filter(|statement| !permitted.contains(statement)).collect();
    assert!(unrecorded.is_empty(), "{unrecorded:?}");
    let sessions = scene.portreeve(&["sessions", "--json"]).unwrap();
    assert_eq!(sessions.lines().filter(|line| line.contains("\"state\":\"torn\"")).count(), 4, "{sessions}");
}

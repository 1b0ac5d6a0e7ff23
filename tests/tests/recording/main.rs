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

mod asking;
mod cost;
mod durable;
mod host_recording;
mod killed;
mod proof;
mod reached;
mod repeating;
mod rows;
mod watching;

use portreeve_tests::{
    client::{self, Login},
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::{INGEST_PASSWORD, REPORTING_PASSWORD, REPORTING_WORKS, Scene, shop},
    servers::{Flavour, Server},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

/// `nobody`, who may run clients but no daemon.
const NOBODY: u32 = 65534;
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
    let (judged, denied) = (["statement", "verdict", "facts", "response"], ["statement", "verdict", "facts"]);
    assert_eq!(
        kinds,
        [&["opened", "login", "transport"], &judged[..], &denied, &judged, &judged, &judged, &["closed", "sealed"]]
            .concat()
    );
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

    // The client speaks TLS where it is offered; the server of this scene is told to have none.
    let transport = &records[2];
    assert!(transport["client_tls"].as_str().unwrap().starts_with("TLSv1.3"), "{transport}");
    assert_eq!((&transport["server_tls"], &transport["client_compression"]), (&Value::Null, &Value::Null));

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
    let facts = &of_kind(&records, "facts")[0];
    assert_eq!((&facts["number"], &facts["actions"]), (&json!(1), &json!(["select"])));
    assert_eq!(facts["resources"], json!(["shop-db/shop.orders"]));
    let responses = of_kind(&records, "response");
    assert_eq!((&responses[0]["rows"], &responses[0]["result_sets"]), (&json!(2), &json!(1)));
    assert_eq!((&responses[1]["error"]["code"], &responses[1]["error"]["sqlstate"]), (&json!(1146), &json!("42S02")));
    assert_eq!((&responses[3]["number"], &responses[3]["affected_rows"]), (&json!(5), &json!(2)));
    let [.., closed, sealed] = &records[..] else { panic!("{records:?}") };
    assert_eq!(sealed["record"], "sealed");
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

const PERMIT_ALL: &str = "@id(\"everything\") permit (principal in Group::\"reporting\", action, resource);";

#[test]
fn secrets_are_in_no_recording_and_no_log() {
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
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', PASSWORD 'hidden-word-14')",
        "CREATE PROCEDURE shop.p() SET PASSWORD FOR one = PASSWORD('hidden-word-15')",
        "CREATE EVENT shop.e ON SCHEDULE AT '2037-01-01' DO SET PASSWORD FOR one = PASSWORD('hidden-word-16')",
        "BEGIN NOT ATOMIC SET PASSWORD FOR one = PASSWORD('hidden-word-17'); END",
        "CREATE PROCEDURE shop.q() EXECUTE IMMEDIATE 'ALTER USER one IDENTIFIED BY \"hidden-word-18\"'",
        "CREATE PROCEDURE shop.r() SET @s = 'ALTER USER one IDENTIFIED BY \"hidden-word-19\"'",
        "SELECT PASSWORD( _utf8 'hidden-word-20')",
        "CREATE TABLE shop.f (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:hidden-word-21@127.0.0.1/d/t'",
        "CREATE TABLE shop.g (a INT) COMMENT='wrapper \"mysql\", password \"hidden-word-22\"'",
        "SET GLOBAL wsrep_sst_auth='u:hidden-word-23'",
        // The error to the text that is run repeats it, which the statement that runs it does not have.
        "SET @s = 'ALTER USER one IDENTIFIED BY BY \"hidden-word-24\"'",
        "PREPARE p FROM @s",
    ];
    let scene = check_secrets(Flavour::MariaDb, &statements);
    // They did arrive: what is hidden from the recording is not hidden from the server.
    let users = "SELECT COUNT(*) FROM mysql.user WHERE user IN ('one', 'three', 'five', 'six')";
    assert_eq!(scene.server.sql(users).unwrap(), "4\n");
    let made = "SELECT (SELECT COUNT(*) FROM mysql.proc WHERE db = 'shop' AND name IN ('p', 'q', 'r')),
        (SELECT COUNT(*) FROM mysql.event WHERE name = 'e'), (SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'g')";
    assert_eq!(scene.server.sql(made).unwrap(), "3\t1\t1\n");
    assert_eq!(scene.server.sql("SELECT Password FROM mysql.servers").unwrap(), "hidden-word-14\n");
}

#[test]
fn nor_are_those_of_mysql() {
    let statements = [
        "CREATE USER one IDENTIFIED BY 'hidden-word-1'",
        "ALTER USER one IDENTIFIED WITH caching_sha2_password BY 'hidden-word-2' RETAIN CURRENT PASSWORD",
        "SET PASSWORD FOR one = 'hidden-word-3'",
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='x', SOURCE_PASSWORD='hidden-word-4'",
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='x', SOURCE_PASSWORD='hidden-word-5' NONSENSE",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', PASSWORD 'hidden-word-6')",
        "START REPLICA USER='x' PASSWORD='hidden-word-7'",
        "CLONE INSTANCE FROM 'x'@'127.0.0.1':3306 IDENTIFIED BY 'hidden-word-8'",
        "CREATE USER IDENTIFIED BY 'hidden-word-9'",
        "CREATE PROCEDURE shop.p() SET PASSWORD FOR one = 'hidden-word-10'",
        "CREATE EVENT shop.e ON SCHEDULE AT '2037-01-01 00:00:00' DO SET PASSWORD FOR one = 'hidden-word-11'",
        "ALTER USER one IDENTIFIED BY _utf8mb4 'hidden-word-12'",
        "CREATE TABLE shop.f (a INT) CONNECTION='mysql://u:hidden-word-13@127.0.0.1/d/t'",
        "CREATE TABLE shop.g (a INT) COMMENT='password \"hidden-word-14\"'",
        "SET GLOBAL authentication_ldap_simple_bind_root_pwd='hidden-word-15'",
        "SELECT audit_log_encryption_password_set('hidden-word-16')",
        "SET @s = 'ALTER USER one IDENTIFIED BY BY \"hidden-word-17\"'",
        "PREPARE p FROM @s",
    ];
    let scene = check_secrets(Flavour::MySql, &statements);
    let made = "SELECT (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'shop' AND routine_name = 'p'),
        (SELECT COUNT(*) FROM information_schema.events WHERE event_name = 'e'),
        (SELECT COUNT(*) FROM information_schema.tables WHERE table_name IN ('f', 'g'))";
    assert_eq!(scene.server.sql(made).unwrap(), "1\t1\t2\n");
    assert_eq!(scene.server.sql("SELECT Password FROM mysql.servers").unwrap(), "hidden-word-6\n");
}

/// The one who may do everything has a session of which nobody asked how texts are read; of the other's it is known.
#[test]
fn nor_are_those_behind_a_backslash_that_escapes_nothing() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let statements = [
            "CREATE USER one IDENTIFIED BY 'hidden-word-1'",
            "CREATE USER two IDENTIFIED BY 'hidden-word-2'",
            r"ALTER USER one IDENTIFIED BY 'x\', two IDENTIFIED BY 'hidden-word-3'",
        ];
        let server = shop(flavour).unwrap();
        server.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'").unwrap();
        let scene = check_secrets_on(server, &statements);
        let users = "SELECT COUNT(*) FROM mysql.user WHERE user IN ('one', 'two')";
        assert_eq!(scene.server.sql(users).unwrap(), "2\n");
    }
}

/// By a workload that may, and by one that may not.
fn check_secrets(flavour: Flavour, statements: &[&str]) -> Scene {
    check_secrets_on(shop(flavour).unwrap(), statements)
}

/// The server is the test's own: accounts are the whole server's.
fn check_secrets_on(server: Server, statements: &[&str]) -> Scene {
    let scene = Scene::with(server.into(), PERMIT_ALL, |_| ()).unwrap();
    let own = Login { password: "hidden-word-of-the-agent".into(), ..scene.login() };
    for workload in [&scene.reporting, &scene.ingest] {
        let mut command = Flavour::MariaDb.client().unwrap();
        command.args(["--delimiter=//", "--comments", &format!("-h{}", own.host), "-uagent"]);
        // `-e` takes an earlier `--force` back.
        command.args([&format!("-p{}", own.password), "-e", &statements.join("//\n"), "--force"]);
        client::run(Some(workload), command).unwrap();
    }

    let records = scene.records_when_closed(2).unwrap();
    let recorded = of_kind(&records, "statement");
    assert_eq!(recorded.len(), 2 * statements.len());
    let redacted = recorded.iter().filter(|statement| statement["sql"]["redacted"] == true).count();
    let secret = statements.iter().filter(|statement| statement.contains("hidden-word-")).count();
    assert_eq!(redacted, 2 * secret, "{recorded:#?}");

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
    scene
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { find_files(&path, files) } else { files.push(path) }
    }
}

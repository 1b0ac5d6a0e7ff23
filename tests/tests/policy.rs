//! Verdicts, through the real daemon and a real MariaDB: what is permitted comes back, what is not never arrives there.
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
    client::{self, Answer, Login},
    scene::Scene,
    servers::Flavour,
    wire::Wire,
};
use std::thread;

const POLICY: &str = r#"
@id("reporting-sessions")
permit (principal in Group::"reporting", action in Action::"session", resource in Server::"shop-db");
@id("no-vault")
forbid (principal, action == Action::"use", resource == Schema::"shop-db/vault");

@id("reporting-reads")
permit (principal in Group::"reporting", action in Action::"read", resource in Schema::"shop-db/shop");
@id("no-customers")
forbid (principal in Group::"reporting", action, resource == Table::"shop-db/shop.customers");
@id("reporting-copies")
permit (principal in Group::"reporting", action == Action::"insert", resource == Table::"shop-db/shop.copies");

@id("ingest-sessions")
permit (principal in Group::"ingest", action in Action::"session", resource in Server::"shop-db");
@id("ingest-inserts")
permit (principal in Group::"ingest", action in [Action::"insert", Action::"select"], resource in Schema::"shop-db/shop")
when { context.statement_class == "insert" };
"#;

/// The texts, each a query of its own (the client does not cut at `;`), going on after an error.
fn ask(scene: &Scene, workload: &str, schema: &str, texts: &[&str]) -> Answer {
    let login = Login { schema: (!schema.is_empty()).then(|| schema.into()), ..scene.login() };
    let cgroup = if workload == "reporting" { &scene.reporting } else { &scene.ingest };
    let mut command = Flavour::MariaDb.client().unwrap();
    command
        .args(["--delimiter=//", "--comments", &format!("-h{}", login.host), "-uagent", "-panything"])
        .args(&login.schema);
    // `-e` takes an earlier `--force` back.
    command.args(["-e", &texts.join("//\n"), "--force"]);
    let answer = client::run(Some(cgroup), command).unwrap();
    // The client repeats a failed statement above its error.
    let errors: Vec<_> = answer.stderr.lines().filter(|line| line.starts_with("ERROR ")).collect();
    Answer { stderr: errors.join("\n"), ..answer }
}

/// The text as `reporting` in the schema `shop`: what comes back, or the denial and that nothing arrived at the server.
fn check(scene: &Scene, expected: &[(&str, Result<&str, &str>)]) {
    for (sql, expected) in expected {
        let answer = ask(scene, "reporting", "shop", &[sql]);
        match expected {
            Ok(rows) => assert_eq!((answer.stderr.as_str(), answer.stdout.as_str()), ("", *rows), "{sql}"),
            Err(reason) => {
                let denial = format!("ERROR 1142 (42000) at line 1: denied by policy{reason} (session ");
                assert!(answer.stderr.starts_with(&denial) && answer.stdout.is_empty(), "{sql}\n{answer:?}\n{denial}");
            }
        }
    }
}

fn copies(scene: &Scene, table: &str) -> String {
    scene.server.sql(&format!("SELECT COUNT(*) FROM {table}")).unwrap().trim().to_owned()
}

#[test]
fn every_table_that_a_query_touches_is_judged_wherever_it_hides() {
    let scene = Scene::mariadb(POLICY).unwrap();
    let customers = Err(" no-customers: `select` on `shop-db/shop.customers` is forbidden");
    let keys = Err(": no policy permits `select` on `shop-db/vault.keys`");
    check(
        &scene,
        &[
            ("SELECT item FROM orders WHERE id = 1", Ok("item\nteapot\n")),
            ("SELECT a.item FROM orders a JOIN shop.orders b ON a.id = b.id + 1 WHERE b.id = 1", Ok("item\ncup\n")),
            (
                "WITH x AS (SELECT MAX(id) AS id FROM orders) SELECT item FROM orders JOIN x USING (id)",
                Ok("item\ntray\n"),
            ),
            ("SELECT item FROM orders WHERE id = (SELECT MIN(id) FROM orders)", Ok("item\nteapot\n")),
            ("SELECT id FROM orders WHERE id = 1 UNION ALL SELECT id + 10 FROM orders WHERE id = 2", Ok("id\n1\n12\n")),
            ("SELECT name FROM customers", customers),
            ("SELECT name FROM CUSTOMERS", Err(" no-customers: `select` on `shop-db/shop.CUSTOMERS` is forbidden")),
            ("SELECT item FROM orders o JOIN customers c ON c.id = o.customer", customers),
            ("SELECT item FROM orders o, customers c", customers),
            ("WITH orders AS (SELECT * FROM customers) SELECT * FROM orders", customers),
            ("SELECT item FROM orders WHERE customer IN (SELECT id FROM customers WHERE name LIKE 'A%')", customers),
            ("SELECT (SELECT card FROM customers LIMIT 1) FROM orders", customers),
            ("SELECT item FROM orders UNION SELECT card FROM customers", customers),
            ("SELECT item FROM orders ORDER BY (SELECT card FROM customers WHERE id = customer)", customers),
            ("SELECT * FROM (SELECT * FROM (SELECT card FROM customers) a) b", customers),
            (
                "EXPLAIN SELECT * FROM customers",
                Err(" no-customers: `select` on `shop-db/shop.customers` is forbidden"),
            ),
            ("SELECT item FROM orders JOIN vault.keys", keys),
            ("SELECT item FROM orders WHERE EXISTS (SELECT 1 FROM `vault`.`keys` WHERE word = 'sesame')", keys),
            (
                "SELECT schema_name FROM information_schema.schemata",
                Err(": no policy permits `select` on `shop-db/information_schema.schemata`"),
            ),
        ],
    );
}

#[test]
fn a_change_that_reads_is_judged_for_both() {
    let scene = Scene::mariadb(POLICY).unwrap();
    scene.server.sql("CREATE TABLE shop.copies (word VARCHAR(40))").unwrap();
    check(
        &scene,
        &[
            ("INSERT INTO copies SELECT item FROM orders WHERE id = 1", Ok("")),
            (
                "INSERT INTO copies SELECT card FROM customers",
                Err(" no-customers: `select` on `shop-db/shop.customers` is forbidden"),
            ),
            (
                "INSERT INTO copies SELECT word FROM vault.keys",
                Err(": no policy permits `select` on `shop-db/vault.keys`"),
            ),
            (
                "INSERT INTO orders (item) SELECT word FROM copies",
                Err(": no policy permits `insert` on `shop-db/shop.orders`"),
            ),
            ("CREATE TABLE shop.stolen AS SELECT 1", Err(": no policy permits `create` on `shop-db/shop.stolen`")),
            ("DELETE FROM copies", Err(": no policy permits `delete` on `shop-db/shop.copies`")),
        ],
    );
    assert_eq!(scene.server.sql("SELECT * FROM shop.copies").unwrap(), "teapot\n");
}

#[test]
fn of_several_statements_nothing_runs_when_one_is_denied() {
    let scene = Scene::mariadb(POLICY).unwrap();
    scene.server.sql("CREATE TABLE shop.several (word VARCHAR(40))").unwrap();
    for text in [
        "INSERT INTO several VALUES ('a'); DELETE FROM several",
        "INSERT INTO several VALUES ('a'); SELECT * FROM customers; INSERT INTO several VALUES ('b')",
        "INSERT INTO several VALUES ('a'); USE vault; SELECT word FROM keys",
        "INSERT INTO several VALUES ('a'); SELECT /*! card */ FROM customers",
        "INSERT INTO several VALUES ('a'); no statement at all",
        "DELETE FROM several; INSERT INTO several VALUES ('a')",
    ] {
        let answer = ask(&scene, "ingest", "shop", &[text]);
        assert!(answer.stderr.starts_with("ERROR 1142 (42000) at line 1: denied by policy"), "{text}: {answer:?}");
        assert_eq!(copies(&scene, "shop.several"), "0", "{text}");
    }
    let allowed = "INSERT INTO several VALUES ('a'); INSERT INTO several VALUES ('b')";
    assert!(ask(&scene, "ingest", "shop", &[allowed]).ok());
    assert_eq!(copies(&scene, "shop.several"), "2");
}

#[test]
fn use_decides_what_a_name_without_schema_means() {
    let scene = Scene::mariadb(POLICY).unwrap();
    let count = "SELECT COUNT(*) AS n FROM orders";
    // As a statement in the text; the client sends a lone USE as COM_INIT_DB.
    let texts = [count, "SELECT 1 AS n; USE shop", count, "USE vault", count, "SELECT 2 AS n; USE vault", count];
    let answer = ask(&scene, "reporting", "", &texts);
    assert_eq!(answer.stdout, "n\n1\nn\n3\nn\n3\nn\n3\n");
    let errors: Vec<_> = answer.stderr.lines().collect();
    assert!(errors[0].contains("line 1: denied by policy") && errors[0].contains("unparsed"), "{errors:?}");
    assert!(
        errors[1].contains("line 4: denied by policy no-vault: `use` on `shop-db/vault` is forbidden"),
        "{errors:?}"
    );
    assert!(errors[2].contains("line 6: denied by policy no-vault"), "{errors:?}");
    assert_eq!(errors.len(), 3);
}

#[test]
fn after_a_failure_among_several_statements_no_schema_is_assumed() {
    let scene = Scene::mariadb(POLICY).unwrap();
    let count = "SELECT COUNT(*) AS n FROM orders";
    // Nobody but the server knows whether its USE ran: this client does not track the session's state.
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "").unwrap();
    wire.command(0x03, b"SELECT 1 AS n; USE shop; SELECT * FROM not_there").unwrap();
    let rest = until_error(&mut wire);
    assert!(rest.contains("42S02") && rest.contains("not_there"), "{rest}");
    let denied = format!("{:#}", wire.query(count).unwrap_err());
    assert!(denied.contains("denied by policy: no policy permits `unparsed`"), "{denied}");
    wire.query("USE shop").unwrap();
    assert_eq!(wire.query(count).unwrap(), [[Some(b"3".to_vec())]]);
}

/// Reads an answer that ends with an error, whose text is returned.
fn until_error(wire: &mut Wire) -> String {
    loop {
        let packet = wire.packet().unwrap();
        if packet.error_code().is_some() {
            return packet.text();
        }
    }
}

#[test]
fn a_client_that_tracks_the_schema_keeps_it_over_a_failure_among_several_statements() {
    let scene = Scene::mariadb(POLICY).unwrap();
    let count = "SELECT COUNT(*) AS n FROM orders";
    let texts = ["SELECT 1 AS n; USE shop; SELECT * FROM not_there", count];
    let answer = ask(&scene, "reporting", "", &texts);
    let errors: Vec<_> = answer.stderr.lines().collect();
    assert!(errors.len() == 1 && errors[0].contains("ERROR 1146 (42S02) at line 1"), "{errors:?}");
    assert!(answer.stdout.ends_with("n\n3\n"), "{answer:?}");
    // The failure comes before the USE: the server is still where it was, and nobody says so.
    let texts = ["SELECT 1 AS n; SELECT * FROM shop.not_there; USE shop", count];
    let answer = ask(&scene, "reporting", "", &texts);
    assert!(answer.stderr.contains("line 2: denied by policy: no policy permits `unparsed`"), "{answer:?}");
}

#[test]
fn what_is_not_read_with_certainty_is_denied() {
    let scene = Scene::mariadb(POLICY).unwrap();
    for text in [
        "SELECT 1 /*! + /*! 1 */ */",
        "SELECT 1 /*!!100000 + 1 */",
        "SELECT b\"\\\", card FROM customers -- \"",
        "no such statement",
        "SELECT * FROM orders WHERE item = 'unclosed",
        "SELECT item FROM orders -- \u{1} \n; \u{1}",
        "SET sql_mode = 'ORACLE'",
        "SET character_set_client = 'gbk'",
        "SET NAMES gbk",
    ] {
        let answer = ask(&scene, "reporting", "shop", &[text]);
        let denied = answer.stderr.contains("ERROR 1142 (42000)")
            && answer.stderr.contains("denied by policy: no policy permits `unparsed` on `shop-db`");
        assert!(denied && answer.stdout.is_empty(), "{text}: {answer:?}");
    }
    for text in ["HANDLER customers OPEN", "PREPARE s FROM 'SELECT card FROM customers'"] {
        let answer = ask(&scene, "reporting", "shop", &[text]);
        let denied = answer.stderr.contains("denied by policy no-customers: `select` on `shop-db/shop.customers`");
        assert!(denied && answer.stdout.is_empty(), "{text}: {answer:?}");
    }
}

#[test]
fn two_workloads_get_their_own_verdicts_at_the_same_time() {
    let scene = Scene::mariadb(POLICY).unwrap();
    scene.server.sql("CREATE TABLE shop.both (word VARCHAR(40))").unwrap();
    let (select, insert) = ("SELECT item FROM orders WHERE id = 1", "INSERT INTO `both` VALUES ('x')");
    thread::scope(|scope| {
        for workload in ["reporting", "ingest", "reporting", "ingest"] {
            let scene = &scene;
            scope.spawn(move || {
                let answer = ask(scene, workload, "shop", &[select, insert, select, insert]);
                let denials: Vec<_> = answer.stderr.lines().collect();
                assert_eq!(denials.len(), 2, "{answer:?}");
                let (denied, shown) = match workload {
                    "reporting" => {
                        ("no policy permits `insert` on `shop-db/shop.both`", "item\nteapot\nitem\nteapot\n")
                    }
                    _ => ("no policy permits `select` on `shop-db/shop.orders`", ""),
                };
                assert!(denials.iter().all(|denial| denial.contains(denied)), "{denials:?}");
                assert_eq!(answer.stdout, shown);
            });
        }
    });
    assert_eq!(copies(&scene, "shop.both"), "4");
}

#[test]
fn an_initial_schema_is_judged_at_login() {
    let scene = Scene::mariadb(POLICY).unwrap();
    let refused = ask(&scene, "reporting", "vault", &["SELECT 1"]);
    let text = "ERROR 1044 (42000): Access denied by portreeve: `use` on `shop-db/vault` is forbidden";
    assert!(refused.stderr.starts_with(text) && !refused.ok(), "{refused:?}");
    let records = scene.gateway.records(&[]).unwrap();
    let login = records.iter().find(|record| record["record"] == "login").unwrap();
    assert_eq!((&login["accepted"], &login["schema"]), (&false.into(), &"vault".into()));
    assert!(ask(&scene, "reporting", "shop", &["SELECT 1"]).ok());
}

#[test]
fn a_forbid_overrides_any_number_of_permits_and_is_named() {
    let scene = Scene::mariadb(
        r#"
        @id("everything") permit (principal, action, resource);
        @id("everything-again") permit (principal in Group::"reporting", action, resource in Server::"shop-db");
        @id("not-this-one") forbid (principal, action == Action::"select", resource == Table::"shop-db/shop.customers");
        "#,
    )
    .unwrap();
    scene.server.sql("CREATE TABLE shop.forbidden (word VARCHAR(40))").unwrap();
    check(
        &scene,
        &[
            ("SELECT COUNT(*) AS n FROM vault.`keys`", Ok("n\n1\n")),
            ("SELECT * FROM customers", Err(" not-this-one: `select` on `shop-db/shop.customers` is forbidden")),
            // Permitted by name of `action` alone, even what nobody can read with certainty.
            ("SELECT 1 /*! + 1 */ AS n", Ok("n\n2\n")),
        ],
    );
    let records = scene.gateway.records(&[]).unwrap();
    let verdicts: Vec<_> = records.iter().filter(|record| record["record"] == "verdict").collect();
    let denied: Vec<_> = verdicts.iter().filter(|verdict| verdict["decision"] == "deny").collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["policies"], serde_json::json!(["not-this-one"]));
}

#[test]
fn a_forbid_with_a_condition_says_what_lifts_it() {
    let scene = Scene::mariadb(
        r#"
        @id("everything") permit (principal, action, resource);
        @id("ddl") @approval("dba") forbid (principal, action in Action::"ddl", resource);
        @id("few") @rows_changed_max("1") forbid (principal, action == Action::"delete", resource);
        "#,
    )
    .unwrap();
    scene
        .server
        .sql("CREATE TABLE shop.lifted (word VARCHAR(40)); INSERT INTO shop.lifted VALUES ('a'), ('b')")
        .unwrap();
    check(
        &scene,
        &[
            ("DROP TABLE lifted", Err(" ddl: `drop` on `shop-db/shop.lifted` needs approval of `dba` (policy ddl)")),
            (
                "DELETE FROM lifted",
                Err(" few: `delete` on `shop-db/shop.lifted` is forbidden unless at most 1 rows change (`LIMIT 1`)"),
            ),
            ("DELETE FROM lifted LIMIT 1", Ok("")),
        ],
    );
    assert_eq!(copies(&scene, "shop.lifted"), "1");
}

#[test]
fn without_any_policy_everything_is_denied() {
    let scene = Scene::mariadb("// nothing").unwrap();
    for text in
        ["SELECT 1", "SELECT item FROM shop.orders", "SET NAMES utf8mb4", "SHOW TABLES FROM shop", "DO SLEEP(0)"]
    {
        let answer = ask(&scene, "reporting", "", &[text]);
        assert!(
            answer.stderr.contains("denied by policy: no policy permits") && answer.stdout.is_empty(),
            "{answer:?}"
        );
    }
}

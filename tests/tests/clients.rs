//! Real clients, unmodified, each in a tagged cgroup, with a user and a password that no server knows. What a client
//! prints through Portreeve is what it prints on a direct connection, down to the last byte.
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
    cgroup::Cgroup,
    client::{self, Answer, Login},
    scene::{REPORTING_PASSWORD, REPORTING_WORKS, Scene, server},
    servers::Flavour,
};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    MariaDbCli,
    MySqlCli,
    PyMySql,
    Mysql2,
}

const CLIENTS: [Client; 4] = [Client::MariaDbCli, Client::MySqlCli, Client::PyMySql, Client::Mysql2];

/// What a day's work looks like: types, NULLs, changes, transactions, errors of the server, warnings, a procedure.
const WORK: [&str; 18] = [
    "SELECT VERSION(), @@version_comment, CURRENT_USER()",
    "CREATE TEMPORARY TABLE shop.kinds (id INT PRIMARY KEY AUTO_INCREMENT, big BIGINT UNSIGNED, exact DECIMAL(10,3), \
     wide DOUBLE, word VARCHAR(40) CHARACTER SET utf8mb4, raw VARBINARY(8), at DATETIME(6), doc TEXT, bits BIT(4), \
     one ENUM('a','b'), nothing INT)",
    "INSERT INTO shop.kinds (big, exact, wide, word, raw, at, doc, bits, one) VALUES \
     (18446744073709551615, -12.345, 0.5, 'naïve ☕ ''quoted''', 0x00ff, '2026-02-28 23:59:59.000001', '{\"a\": [1, null]}', \
     5, 'b')",
    "INSERT INTO shop.kinds () VALUES (), ()",
    "SELECT * FROM shop.kinds ORDER BY id",
    "UPDATE shop.kinds SET wide = 1e300 WHERE id > 1",
    "START TRANSACTION",
    "DELETE FROM shop.kinds",
    "ROLLBACK",
    "SELECT COUNT(*), SUM(wide), MAX(word) FROM shop.kinds",
    "SELECT * FROM shop.not_there",
    "SELECT not_there FROM shop.orders",
    "SELECT CAST('12 monkeys' AS SIGNED) AS warned",
    "SHOW WARNINGS",
    "SELECT o.item, k.id FROM shop.orders o LEFT JOIN shop.kinds k ON k.id = o.id AND k.id = 2 ORDER BY o.id",
    "CALL shop.two_results()",
    // MariaDB says that a text is JSON in column definitions of its extended capabilities.
    "SELECT JSON_OBJECT('a', 1, 'b', JSON_ARRAY(NULL)) AS doc",
    "SELECT REPEAT('long ', 20000) AS more_than_one_segment",
];

fn direct(scene: &Scene) -> Login {
    Login { user: "shop_reporting".into(), password: REPORTING_PASSWORD.into(), ..scene.login() }
}

fn ask(client: Client, cgroup: Option<&Cgroup>, login: &Login, statements: &[&str]) -> Answer {
    match client {
        Client::MariaDbCli => cli(Flavour::MariaDb, &[], cgroup, login, &statements.join(";\n")),
        Client::MySqlCli => cli(Flavour::MySql, &[], cgroup, login, &statements.join(";\n")),
        Client::PyMySql => client::python(cgroup, login, "query.py", statements).unwrap(),
        Client::Mysql2 => client::node(cgroup, login, "query.js", statements).unwrap(),
    }
}

/// Verbose, so that it prints changed rows and warnings, and going on with the next line after an error.
fn cli(flavour: Flavour, options: &[&str], cgroup: Option<&Cgroup>, login: &Login, sql: &str) -> Answer {
    let mut command = flavour.client().unwrap();
    command.args(["-vv", "--show-warnings"]).args(options);
    command.arg(format!("-h{}", login.host)).arg(format!("-u{}", login.user)).arg(format!("-p{}", login.password));
    // `-e` takes an earlier `--force` back.
    command.args(&login.schema).args(["-e", sql, "--force"]);
    client::run(cgroup, command).unwrap()
}

fn check_same_as_direct(scene: &Scene, client: Client, statements: &[&str]) -> Answer {
    let direct = ask(client, None, &direct(scene), statements);
    let through = ask(client, Some(&scene.reporting), &scene.login(), statements);
    for (through, direct) in through.stdout.lines().zip(direct.stdout.lines()) {
        assert_eq!(through, direct, "{client:?}");
    }
    assert_eq!(through.stdout.lines().count(), direct.stdout.lines().count(), "{client:?}");
    assert_eq!(through.stderr, direct.stderr, "{client:?}");
    assert_eq!(through.status, direct.status, "{client:?}");
    through
}

fn check_work(scene: &Scene) {
    // The first login over TLS fills the server's cache: not every client can fill it without.
    let filled = ask(Client::MySqlCli, None, &direct(scene), &["SELECT 1"]);
    assert!(filled.ok(), "{filled:?}");
    let version = scene.server.sql("SELECT VERSION()").unwrap();
    for client in CLIENTS {
        let answer = check_same_as_direct(scene, client, &WORK);
        let all = format!("{}{}", answer.stdout, answer.stderr);
        // Two equal failures would be equal as well.
        for part in
            [version.trim(), "shop_reporting@127.%", "184467440737095", "-12.345", "☕", "1146", "1054", "long l"]
        {
            assert!(all.contains(part), "{client:?} shows no {part}: {all}");
        }
        let null = if matches!(client, Client::MariaDbCli | Client::MySqlCli) { "NULL" } else { "null" };
        assert!(answer.stdout.contains(null), "{client:?}: {}", answer.stdout);
        if null == "NULL" {
            assert!(answer.stdout.contains("1 warning") && answer.stderr.contains("(42S02)"), "{answer:?}");
        }
    }
}

#[test]
fn every_client_works_on_mariadb_as_if_nobody_were_between() {
    check_work(&Scene::mariadb(REPORTING_WORKS).unwrap());
}

#[test]
fn every_client_works_on_mysql_as_if_nobody_were_between() {
    check_work(&Scene::mysql(REPORTING_WORKS).unwrap());
}

fn check_prepared(scene: &Scene) {
    let filled = ask(Client::MySqlCli, None, &direct(scene), &["SELECT 1"]);
    assert!(filled.ok(), "{filled:?}");
    let statements = [
        "SELECT item, amount, ? AS given FROM shop.orders WHERE id = ?\tword\t2",
        "SELECT item, amount, ? AS given FROM shop.orders WHERE id = ?\tanother\t1",
        "INSERT INTO shop.prepared_only_here VALUES (?)\t1",
        "SELECT * FROM shop.not_there WHERE id = ?\t1",
        "SELECT id, amount, 18446744073709551615 AS big, 1e300 AS wide, 0x00ff AS raw, NULL AS nothing, \
         CAST('2026-02-28 23:59:59.000001' AS DATETIME(6)) AS at, CAST('-838:59:59' AS TIME) AS span, \
         REPEAT('long', 70000) AS words FROM shop.orders WHERE id > ?\t0",
    ];
    let answer = check_same_as_direct(scene, Client::Mysql2, &statements);
    assert!(answer.stdout.contains(r#"{"rows":[["cup","4.50","word"]]}"#), "{answer:?}");
    assert!(answer.stdout.contains("1146"), "{answer:?}");

    let denied = ask(
        Client::Mysql2,
        Some(&scene.reporting),
        &scene.login(),
        &["SELECT name FROM shop.customers WHERE id = ?\t1", "SELECT item FROM shop.orders WHERE id = ?\t1"],
    );
    let lines: Vec<_> = denied.stdout.lines().collect();
    assert!(
        lines[0].starts_with(
            r#"{"error":[1142,"denied by policy no-customers: `select` on `shop-db/shop.customers` is forbidden"#
        ),
        "{denied:?}"
    );
    assert_eq!(lines[1], r#"{"rows":[["teapot"]]}"#);
}

#[test]
fn prepared_statements_work_and_are_denied_when_they_are_prepared() {
    check_prepared(&Scene::mariadb(REPORTING_WORKS).unwrap());
    check_prepared(&Scene::mysql(REPORTING_WORKS).unwrap());
}

#[test]
fn several_statements_in_one_packet_and_several_results_come_whole() {
    for scene in [Scene::mariadb(REPORTING_WORKS).unwrap(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        let sql = "SELECT 1 AS first; SET @seen = 2; SELECT item FROM shop.orders WHERE id = 2; CALL shop.two_results(); \
                   SELECT @seen AS last//SELECT 'the next' AS packet//";
        for flavour in [Flavour::MariaDb, Flavour::MySql] {
            let options = ["--delimiter=//"];
            let direct = cli(flavour, &options, None, &direct(&scene), sql);
            let through = cli(flavour, &options, Some(&scene.reporting), &scene.login(), sql);
            assert_eq!(through.stdout, direct.stdout);
            assert_eq!(through.stderr, direct.stderr);
            for part in ["first\n1\n", "item\ncup\n", "one\n1\n", "two\nb\n", "last\n2\n", "the next\n"] {
                assert!(through.stdout.contains(part), "no {part}: {through:?}");
            }
        }
    }
}

#[test]
fn the_server_shows_the_held_account_and_its_own_connection_id() {
    for scene in [Scene::mariadb(REPORTING_WORKS).unwrap(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        for (number, client) in CLIENTS.into_iter().enumerate() {
            let sql = "SELECT CONCAT(CURRENT_USER(), ' is number ', CONNECTION_ID(), '.') AS who";
            let answer = ask(client, Some(&scene.reporting), &scene.login(), &[sql]);
            assert!(answer.ok(), "{answer:?}");
            let records = scene.gateway.records(&[]).unwrap();
            let logins: Vec<_> = records.iter().filter(|record| record["record"] == "login").collect();
            assert_eq!(logins.len(), number + 1);
            let id = &logins[number]["server_connection_id"];
            let who = format!("shop_reporting@127.% is number {id}.");
            assert!(answer.stdout.contains(&who), "no {who}: {answer:?}");
            assert_eq!(logins[number]["user"], "agent");
        }
    }
}

#[test]
fn a_denied_statement_names_its_policy_and_the_session_goes_on() {
    for scene in [Scene::mariadb(REPORTING_WORKS).unwrap(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        for client in CLIENTS {
            let statements = ["SELECT name FROM shop.customers", "SELECT item FROM shop.orders WHERE id = 3"];
            let answer = ask(client, Some(&scene.reporting), &scene.login(), &statements);
            let (denial, shown) = match client {
                Client::MariaDbCli => (
                    "ERROR 1142 (42000) at line 1: denied by policy no-customers: `select` on `shop-db/shop.customers` is forbidden",
                    &answer.stderr,
                ),
                Client::MySqlCli => (
                    "ERROR 1142 (42000) at line 1: denied by policy no-customers: `select` on `shop-db/shop.customers` is forbidden",
                    &answer.stderr,
                ),
                Client::PyMySql => (
                    r#"{"error": [1142, "denied by policy no-customers: `select` on `shop-db/shop.customers` is forbidden"#,
                    &answer.stdout,
                ),
                Client::Mysql2 => (
                    r#"{"error":[1142,"denied by policy no-customers: `select` on `shop-db/shop.customers` is forbidden"#,
                    &answer.stdout,
                ),
            };
            assert!(shown.contains(denial), "{client:?}: {answer:?}");
            assert!(answer.stdout.contains("tray"), "{client:?}: {answer:?}");
            assert!(!answer.stdout.contains("Ada"), "{client:?}: {answer:?}");
        }
    }
}

#[test]
fn any_password_and_either_plugin_gets_a_client_in() {
    for scene in [Scene::mariadb(REPORTING_WORKS).unwrap(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        for plugin in ["mysql_native_password", "caching_sha2_password"] {
            for password in ["", "x", REPORTING_PASSWORD] {
                let login = Login { password: password.into(), user: "whoever".into(), ..scene.login() };
                let option = format!("--default-auth={plugin}");
                let answer = cli(Flavour::MariaDb, &[&option], Some(&scene.reporting), &login, "SELECT CURRENT_USER()");
                assert!(answer.ok() && answer.stdout.contains("shop_reporting@127.%"), "{plugin}: {answer:?}");
            }
        }
    }
}

/// Without TLS and without asking for the server's key, a client can log in by the server's cache only.
fn in_the_cache(scene: &Scene) -> bool {
    let answer = cli(Flavour::MySql, &["--ssl-mode=DISABLED"], None, &direct(scene), "SELECT 1");
    assert!(answer.ok() || answer.stderr.contains("ERROR 2061"), "{answer:?}");
    answer.ok()
}

#[test]
fn caching_sha2_logs_in_by_key_when_the_server_has_forgotten_and_by_cache_when_it_has_not() {
    // Of its own: the other tests log in meanwhile.
    let server = portreeve_tests::scene::shop(Flavour::MySql).unwrap();
    let scene = Scene::with(server.into(), REPORTING_WORKS, |_| ()).unwrap();
    for forget in [true, true, false, false] {
        if forget {
            scene.server.sql("FLUSH PRIVILEGES").unwrap();
        }
        assert_eq!(in_the_cache(&scene), !forget);
        let answer = scene.report("SELECT CURRENT_USER()").unwrap();
        assert!(answer.ok() && answer.stdout.contains("shop_reporting@127.%"), "{answer:?}");
        assert!(in_the_cache(&scene));
    }
}

#[test]
fn a_wrong_held_password_is_a_refusal_that_tells_the_client_nothing() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = Scene::with(server(flavour).unwrap(), REPORTING_WORKS, |config| {
            config.servers[0].credentials[0].password = "not-it-any-more".into();
        })
        .unwrap();
        let address = scene.server.address().to_string();
        for client in CLIENTS {
            let answer = ask(client, Some(&scene.reporting), &scene.login(), &["SELECT 1"]);
            assert!(!answer.ok(), "{answer:?}");
            let shown = format!("{}{}", answer.stdout, answer.stderr);
            assert!(shown.contains("1045") && shown.contains("could not log in to server `shop-db`"), "{answer:?}");
            for secret in ["shop_reporting", "not-it-any-more", &address, "127.0.0.1"] {
                assert!(!shown.contains(secret), "{secret} in {shown}");
            }
        }
        // The operator reads what the client must not.
        let log = scene.gateway.log();
        assert!(log.contains("shop_reporting") && !log.contains("not-it-any-more"), "{log}");
        let records = scene.gateway.records(&[]).unwrap();
        let refused = |record: &&Value| record["record"] == "login" && record["accepted"] == false;
        assert_eq!(records.iter().filter(refused).count(), CLIENTS.len());
    }
}

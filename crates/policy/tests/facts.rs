//! What each form of statement asks for. `check` writes the facts of a text in one line.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod lines;

use portreeve_policy::{Context, Facts, Flavour, Resource, analyse};

fn context() -> Context<'static> {
    Context { default_schema: Some("shop"), version: 90_704, ..Context::new("orders", Flavour::MySql) }
}

fn facts(sql: &str) -> Facts {
    analyse(sql.as_bytes(), &context())
}

/// `class: action resource, …` for each statement, separated by `; `; unread ones show only `unparsed`.
fn line(facts: &Facts) -> String {
    lines::line(facts, |statement| match statement.unparsed {
        Some(_) => "unparsed".to_owned(),
        None => lines::asked(statement),
    })
}

fn check(cases: &[(&str, &str)]) {
    lines::check(cases, facts, line);
}

/// The gateway hides the socket's path where its column is called so; any other way to its value asks for more.
#[test]
fn a_way_round_is_asked_for_unless_its_value_is_hidden() {
    check(&[("SELECT @@socket", "inspect: inspect"), ("select @@socket, @@version;", "inspect: inspect")]);
    for sql in [
        "SELECT @@socket AS x",
        "SELECT @@global.socket",
        "SELECT @@socket, 1",
        "SELECT CONCAT(@@socket)",
        "SELECT (SELECT @@socket)",
        "SELECT @@version UNION SELECT @@socket",
        "SELECT @@socket INTO @x",
        "SET @x = @@socket",
        "DO @x := @@socket",
        "PREPARE s FROM 'SELECT @@socket'",
        "SELECT @@socket FROM users",
        "SELECT 1; SELECT @@socket x",
    ] {
        let facts = facts(sql);
        let asked = facts.statements.iter().flat_map(|statement| &statement.requests);
        let asks = |request: &portreeve_policy::Request| {
            request.action.as_str() == "show" && request.resource == Resource::Server
        };
        assert!(asked.clone().any(asks), "{sql}: {facts:?}");
    }
    check(&[("KILL CONNECTION_ID()", "kill_own: kill_own"), ("KILL QUERY CONNECTION_ID()", "kill_own: kill_own")]);
    check(&[("KILL CONNECTION_ID() + 1", "kill: kill")]);
}

#[test]
fn what_clients_ask_at_connect_is_read() {
    check(&[
        ("select @@version_comment limit 1", "inspect: inspect"),
        ("select $$", "inspect: inspect"),
        ("SELECT DATABASE()", "inspect: inspect"),
        ("SELECT USER()", "inspect: inspect"),
        ("SELECT 1", "inspect: inspect"),
        ("SELECT 1+1 AS result", "inspect: inspect"),
        ("SELECT VERSION()", "inspect: inspect"),
        ("SELECT CONNECTION_ID(), VERSION();", "inspect: inspect"),
        ("SELECT @@max_allowed_packet,@@wait_timeout", "inspect: inspect"),
        ("SELECT @@max_allowed_packet,@@wait_timeout,@@socket", "inspect: inspect"),
        ("SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment", "inspect: inspect"),
        (
            "/* mysql-connector-j-8.3.0 (Revision: x) */SELECT  @@session.auto_increment_increment AS \
             auto_increment_increment, @@character_set_client AS character_set_client, @@collation_server AS \
             collation_server, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS \
             license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, \
             @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, \
             @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@transaction_isolation AS \
             transaction_isolation, @@wait_timeout AS wait_timeout",
            "inspect: inspect",
        ),
        (
            "SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, \
             CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
            "inspect: inspect",
        ),
        ("SET NAMES utf8mb4", "set_session: set_session"),
        ("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'", "set_session: set_session"),
        ("SET AUTOCOMMIT = 0", "set_session: set_session"),
        ("SET autocommit=1", "set_session: set_session"),
        ("SET @@session.autocommit = OFF", "set_session: set_session"),
        ("SET @@session.sql_mode = 'TRADITIONAL'", "set_session: set_session"),
        ("SET sql_mode='STRICT_TRANS_TABLES'", "set_session: set_session"),
        ("set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')", "set_session: set_session"),
        (
            "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00',NAMES \
             utf8mb4 COLLATE utf8mb4_unicode_ci;",
            "set_session: set_session",
        ),
        ("SET time_zone='+00:00'", "set_session: set_session"),
        ("SET character_set_results = NULL", "set_session: set_session"),
        ("SET SESSION character_set_results='binary'", "set_session: set_session"),
        ("SET SESSION TRANSACTION READ ONLY", "set_session: set_session"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "set_session: set_session"),
        ("START TRANSACTION", "transaction: transaction"),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "transaction: transaction"),
        ("BEGIN", "transaction: transaction"),
        ("COMMIT", "transaction: transaction"),
        ("ROLLBACK", "transaction: transaction"),
        ("ROLLBACK TO SAVEPOINT s", "transaction: transaction"),
        ("SHOW WARNINGS", "inspect: inspect"),
        ("SHOW COUNT(*) WARNINGS", "inspect: inspect"),
        ("SHOW VARIABLES LIKE 'x'", "inspect: inspect"),
        ("SHOW SESSION VARIABLES WHERE Variable_name = 'x'", "inspect: inspect"),
        ("show databases", "show: show"),
        ("show tables", "show: show shop"),
        ("SHOW FULL TABLES FROM `other`", "show: show other"),
        ("SHOW CREATE TABLE users", "show: show shop.users"),
        ("SHOW FULL COLUMNS FROM users;", "show: show shop.users"),
        ("SHOW INDEX FROM users FROM other", "show: show other.users"),
        ("SELECT c FROM sbtest1 WHERE id=?", "select: select shop.sbtest1"),
        ("SELECT @@tx_isolation", "inspect: inspect"),
    ]);
}

#[test]
fn every_table_of_a_query_is_asked_about() {
    check(&[
        ("SELECT * FROM users", "select: select shop.users"),
        ("SELECT(password)FROM users", "select: select shop.users"),
        ("SELECT`id`FROM`users`", "select: select shop.users"),
        (
            "SELECT * FROM a JOIN b USING (id) LEFT JOIN x.c ON a.i = c.i",
            "select: select shop.a, select shop.b, select x.c",
        ),
        ("SELECT * FROM a, b", "select: select shop.a, select shop.b"),
        ("SELECT * FROM a NATURAL JOIN b", "select: select shop.a, select shop.b"),
        ("SELECT * FROM a STRAIGHT_JOIN b", "select: select shop.a, select shop.b"),
        ("SELECT (SELECT 1 FROM b) FROM a", "select: select shop.a, select shop.b"),
        (
            "SELECT * FROM a WHERE i IN (SELECT i FROM b) AND EXISTS (SELECT 1 FROM c)",
            "select: select shop.a, select shop.b, select shop.c",
        ),
        ("SELECT * FROM a ORDER BY (SELECT 1 FROM b) LIMIT 1", "select: select shop.a, select shop.b"),
        ("SELECT * FROM a GROUP BY x HAVING (SELECT 1 FROM b)", "select: select shop.a, select shop.b"),
        ("SELECT CASE WHEN 1 THEN (SELECT 1 FROM b) ELSE 2 END FROM a", "select: select shop.a, select shop.b"),
        ("SELECT concat(1, (SELECT 1 FROM b)) FROM a", "select: select shop.a, select shop.b"),
        ("SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM b)) FROM a", "select: select shop.a, select shop.b"),
        ("SELECT x BETWEEN 1 AND (SELECT 1 FROM b) FROM a", "select: select shop.a, select shop.b"),
        ("SELECT x = ANY (SELECT 1 FROM b) FROM a", "select: select shop.a, select shop.b"),
        ("SELECT * FROM (SELECT * FROM (SELECT * FROM a) x) y", "select: select shop.a"),
        ("SELECT * FROM a, LATERAL (SELECT * FROM b) x", "select: select shop.a, select shop.b"),
        ("SELECT 1 UNION SELECT 2 FROM a UNION ALL (SELECT 3 FROM b)", "select: select shop.a, select shop.b"),
        ("SELECT 1 UNION TABLE users", "select: select shop.users"),
        ("TABLE users", "select: select shop.users"),
        ("TABLE users ORDER BY id LIMIT 1", "select: select shop.users"),
        ("VALUES ROW(1, (SELECT 1 FROM a))", "select: select shop.a"),
        ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b) LIMIT 1", "select: select shop.a, select shop.b"),
        ("SELECT 1 FROM DUAL", "inspect: inspect"),
        ("SELECT 1 FROM `dual`", "select: select shop.dual"),
        ("SELECT * FROM Information_Schema.TABLES", "select: select information_schema.tables"),
        ("SELECT * FROM a PARTITION (p0) AS x USE INDEX (i) WHERE 1", "select: select shop.a"),
        ("SELECT * FROM a LOCK IN SHARE MODE", "select: select shop.a"),
        ("SELECT * FROM a FOR UPDATE", "select: select shop.a"),
        ("SELECT 5 DIV 2, a DIV b FROM t", "select: select shop.t"),
        ("SELECT _utf8mb4'x' 'y', N'z', x'41', 0x41, b'1' FROM t", "select: select shop.t"),
        (
            "SELECT * FROM JSON_TABLE((SELECT j FROM t), '$[*]' COLUMNS (a INT PATH '$.a')) AS jt",
            "select: select shop.t",
        ),
    ]);
}

#[test]
fn names_of_ctes_shadow_tables_only_where_they_are_in_scope() {
    check(&[
        ("WITH x AS (SELECT * FROM a) SELECT * FROM x", "select: select shop.a"),
        ("WITH x AS (SELECT * FROM x) SELECT * FROM x", "select: select shop.x"),
        ("WITH x AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y", "inspect: inspect"),
        ("WITH y AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM y", "select: select shop.x"),
        (
            "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 5) SELECT * FROM x",
            "inspect: inspect",
        ),
        ("WITH x AS (SELECT 1) SELECT * FROM shop.x", "select: select shop.x"),
        ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) d, x", "select: select shop.x"),
        ("WITH X AS (SELECT 1) SELECT * FROM x", "select: select shop.x"),
        ("WITH x AS (SELECT 1) DELETE FROM users WHERE id IN (SELECT * FROM x)", "delete: delete shop.users"),
        ("WITH x AS (SELECT 1) DELETE FROM x", "delete: delete shop.x"),
    ]);
}

#[test]
fn writes_are_asked_about_on_what_they_change_and_what_they_read() {
    check(&[
        ("INSERT INTO a VALUES (1)", "insert: insert shop.a"),
        ("INSERT INTO a (x) SELECT x FROM b", "insert: insert shop.a, select shop.b"),
        ("INSERT INTO a TABLE b", "insert: insert shop.a, select shop.b"),
        ("INSERT INTO a SET x = (SELECT 1 FROM b)", "insert: insert shop.a, select shop.b"),
        (
            "INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE x = (SELECT 1 FROM b)",
            "insert: insert shop.a, select shop.b, update shop.a",
        ),
        ("REPLACE INTO a VALUES (1, 2)", "replace: replace shop.a"),
        ("UPDATE a SET x = 1 WHERE id = 2", "update: update shop.a"),
        ("UPDATE LOW_PRIORITY IGNORE a SET x = (SELECT 1 FROM b)", "update: select shop.b, update shop.a"),
        ("UPDATE a JOIN b ON a.i = b.i SET a.x = b.x", "update: select shop.a, select shop.b, update shop.a"),
        ("UPDATE a, b SET x = 1", "update: select shop.a, select shop.b, update shop.a, update shop.b"),
        ("UPDATE a AS q, b SET q.x = 1, b.y = 2", "update: select shop.a, select shop.b, update shop.a, update shop.b"),
        ("UPDATE a q, b SET B.x = 1", "update: select shop.a, select shop.b, update shop.b"),
        ("DELETE FROM a WHERE id = 1 ORDER BY id LIMIT 1", "delete: delete shop.a"),
        ("DELETE QUICK FROM a", "delete: delete shop.a"),
        ("DELETE a FROM a JOIN b ON a.i = b.i", "delete: delete shop.a, select shop.a, select shop.b"),
        ("DELETE x FROM a AS x, b", "delete: delete shop.a, select shop.a, select shop.b"),
        ("DELETE FROM a USING a JOIN b", "delete: delete shop.a, select shop.a, select shop.b"),
        ("CREATE TABLE a AS SELECT * FROM b", "create: create shop.a, select shop.b"),
        ("CREATE TABLE a AS TABLE b", "create: create shop.a, select shop.b"),
        ("WITH x AS (SELECT 1 AS i) UPDATE a JOIN x ON a.i = x.i SET a.y = 2", "update: select shop.a, update shop.a"),
        ("CREATE TABLE a LIKE b", "create: create shop.a, show shop.b"),
        (
            "CREATE TABLE a (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n VARCHAR(10) DEFAULT 'x', KEY k (n)) ENGINE=InnoDB \
             DEFAULT CHARSET=utf8mb4",
            "create: create shop.a",
        ),
        ("CREATE TABLE a (b INT, FOREIGN KEY (b) REFERENCES c (d))", "create: create shop.a, select shop.c"),
        ("CREATE VIEW v AS SELECT password AS nick FROM users", "create: create shop.v, select shop.users"),
        ("ALTER TABLE a ADD COLUMN x INT", "alter: alter shop.a"),
        ("ALTER TABLE a RENAME TO b", "alter: alter shop.a, rename shop.a, rename shop.b"),
        ("TRUNCATE TABLE a", "truncate: truncate shop.a"),
        ("DROP TABLE IF EXISTS a, x.b", "drop: drop shop.a, drop x.b"),
        ("DROP DATABASE x", "drop: drop x"),
        ("DROP INDEX i ON a", "index: index shop.a"),
        ("CREATE UNIQUE INDEX i ON a (x)", "index: index shop.a"),
        ("RENAME TABLE a TO b, b TO c", "rename: rename shop.a, rename shop.b, rename shop.c"),
        ("CREATE DATABASE x CHARACTER SET utf8mb4", "create: create x"),
        ("LOCK TABLES a READ, b AS q WRITE", "lock_tables: lock_tables shop.a, lock_tables shop.b"),
        ("UNLOCK TABLES", "lock_tables: lock_tables"),
    ]);
}

#[test]
fn what_reaches_beyond_tables_is_asked_about() {
    check(&[
        ("SELECT sleep(1)", "inspect: inspect, sleep"),
        ("SELECT SLEEP (1) FROM a", "select: select shop.a, sleep"),
        ("SELECT benchmark(1, 1)", "inspect: benchmark, inspect"),
        ("SELECT get_lock('a', 1)", "inspect: get_lock, inspect"),
        ("SELECT load_file('/etc/passwd')", "inspect: inspect, load_file"),
        ("SELECT f(1)", "inspect: execute, execute shop.f, inspect"),
        ("SELECT shop.sleep(1)", "inspect: execute shop.sleep, inspect"),
        ("SELECT `sys_exec`('id')", "inspect: execute, execute shop.sys_exec, inspect"),
        (
            "SELECT * FROM a INTO OUTFILE '/tmp/x' FIELDS TERMINATED BY ',' LINES TERMINATED BY '\\n'",
            "select: outfile, select shop.a",
        ),
        ("SELECT x INTO DUMPFILE '/tmp/x' FROM a", "select: dumpfile, select shop.a"),
        ("SELECT x FROM a INTO @x, @y", "select: select shop.a"),
        ("SELECT @@global.datadir", "inspect: inspect, show"),
        ("SELECT @@global.c.key_buffer_size", "inspect: inspect, show"),
        ("SELECT @x := 1", "inspect: inspect"),
        ("SET GLOBAL max_connections = 1", "set_global: set_global"),
        ("SET @@global.x = 1", "set_global: set_global"),
        ("SET PERSIST x = 1", "set_global: set_global"),
        ("SET @x = (SELECT password FROM users)", "set_session: select shop.users, set_session"),
        ("SET PASSWORD = 'x'", "users: users"),
        ("GRANT ALL ON *.* TO 'x'@'%'", "users: users"),
        ("CREATE USER x IDENTIFIED BY 'y'", "users: users"),
        ("KILL QUERY 5", "kill: kill"),
        ("FLUSH TABLES", "flush: flush"),
        ("INSTALL SONAME 'x'", "plugins: plugins"),
        ("SHOW PROCESSLIST", "processlist: processlist"),
        ("SHOW FULL PROCESSLIST", "processlist: processlist"),
        ("CALL p(1, (SELECT 1 FROM a))", "call: call shop.p, select shop.a"),
        ("CREATE FUNCTION f RETURNS STRING SONAME 'x.so'", "udf: udf"),
        ("LOAD DATA INFILE 'x' INTO TABLE a", "load: infile, load shop.a"),
        (
            "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE a FIELDS TERMINATED BY ',' (x, @y) SET z = 1",
            "load: load shop.a, local_infile, replace shop.a",
        ),
        ("EXPLAIN SELECT * FROM a", "explain: explain shop.a, select shop.a"),
        ("EXPLAIN FORMAT=JSON DELETE FROM a", "explain: delete shop.a, explain shop.a"),
        ("EXPLAIN ANALYZE SELECT * FROM a", "select: explain shop.a, select shop.a"),
        ("EXPLAIN EXTENDED SELECT * FROM a", "explain: explain shop.a, select shop.a"),
        ("DESCRIBE a", "show: show shop.a"),
        ("desc x.a b", "show: show x.a"),
    ]);
    assert_eq!(facts("LOAD DATA LOCAL INFILE 'x' INTO TABLE a").local_files, ["x"]);
    assert!(facts("LOAD DATA INFILE 'x' INTO TABLE a").local_files.is_empty());
    assert!(facts(r"LOAD DATA LOCAL INFILE 'a\tb' INTO TABLE a").has_unparsed());
}

#[test]
fn statements_of_one_text_follow_each_other() {
    check(&[
        ("SELECT 1; DELETE FROM a", "inspect: inspect; delete: delete shop.a"),
        ("SELECT ';' FROM a;", "select: select shop.a"),
        ("USE x; SELECT * FROM a", "use: use x; select: select x.a"),
        ("SELECT * FROM a; MERGE INTO x", "select: select shop.a; unparsed"),
    ]);
    assert_eq!(facts("USE x; SELECT 1").schema_after(), Some("x"));
    assert!(analyse(b"USE x", &Context { prepared: true, ..context() }).has_unparsed());
    assert_eq!(facts("SELECT 1").schema_after(), Some("shop"));
    let none = Context { default_schema: None, ..context() };
    assert_eq!(line(&analyse(b"SELECT * FROM a", &none)), "unparsed");
    assert_eq!(line(&analyse(b"SELECT * FROM x.a", &none)), "select: select x.a");
}

#[test]
fn what_servers_read_in_different_ways_is_unparsed() {
    for sql in [
        "SELECT 1 /* a /* b */ */",
        "SELECT 1 /* unclosed",
        "SELECT 'unclosed",
        "SELECT \"unclosed",
        "SELECT `unclosed",
        "SELECT (1",
        "SELECT 1)",
        "SELECT b\"\\\", password FROM users -- \"",
        "SELECT x\"41\"",
        "SELECT n\"41\"",
        "SELECT \\N",
        "SELECT $$x$$",
        "SELECT a[1] FROM t",
        "SELECT /*+ SET_VAR(sql_mode='ANSI_QUOTES') */ 1",
        "SELECT /*+ RESOURCE_GROUP(x) */ 1",
        "SELECT ``",
        "SELECT * FROM a.b.c",
        "SET NAMES gbk",
        "SET CHARACTER SET sjis",
        "SET some_new_variable = 1",
        "SET session_track_schema = 0",
        "SHOW anything at all here",
        "SHOW TABLES FROM x y",
        "BEGIN NOT ATOMIC SELECT 1; END",
        "CREATE TABLE a (b INT) ENGINE=FEDERATED CONNECTION='mysql://x'",
        "ALTER TABLE a ENGINE=FEDERATED",
        "SELECT a INTO b FROM c",
        "DELETE a FROM b",
        "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
        "COPY a FROM 'x'",
        "SELECT 1 WHERE (SELECT 1 FROM",
    ] {
        let facts = facts(sql);
        assert!(facts.has_unparsed(), "{sql}: {}", line(&facts));
        assert!(facts.statements.iter().any(|s| s.requests.iter().any(|r| r.action.as_str() == "unparsed")), "{sql}");
    }
}

#[test]
fn a_session_that_cannot_be_read_reads_nothing() {
    assert!(!analyse(b"SELECT 1\0", &context()).has_unparsed());
    assert!(analyse(b"SELECT 1\0\0", &context()).has_unparsed());
    let foreign = Context { unreadable: Some("the session reads statements as `gbk`"), ..context() };
    let facts = analyse(b"SELECT 1", &foreign);
    assert_eq!(facts.statements[0].unparsed.as_deref(), Some("the session reads statements as `gbk`"));
}

#[test]
fn the_connection_that_a_kill_names_is_told_when_the_kill_stands_alone() {
    assert_eq!(facts("KILL QUERY 5").kills, Some(5));
    assert_eq!(facts("KILL 18446744073709551615;").kills, Some(u64::MAX));
    for sql in
        ["KILL 5; KILL 6", "SELECT 1; KILL 5", "KILL 5; SELECT 1", "SELECT 5", "KILL 5.0", "KILL 99999999999999999999"]
    {
        assert_eq!(facts(sql).kills, None, "{sql}");
    }
}

#[test]
fn conditions_and_limits_are_noted() {
    let of = |sql: &str| facts(sql).statements.first().cloned().unwrap();
    let noted = |sql: &str| {
        let facts = of(sql);
        (facts.has_where, facts.where_is_constant, facts.has_limit)
    };
    assert_eq!(noted("DELETE FROM a"), (false, false, false));
    assert_eq!(noted("DELETE FROM a WHERE 1 = 1"), (true, true, false));
    assert_eq!(noted("DELETE FROM a WHERE (1) OR TRUE"), (true, true, false));
    assert_eq!(noted("DELETE FROM a WHERE id = 1 LIMIT 5"), (true, false, true));
    assert_eq!(noted("DELETE FROM a WHERE ? = 1"), (true, false, false));
    assert_eq!(noted("UPDATE a SET x = 1 WHERE id = 2"), (true, false, false));
    assert_eq!(noted("SELECT * FROM a LIMIT 1, 2"), (false, false, true));
    assert_eq!(noted("SELECT * FROM a WHERE id IN (SELECT 1 LIMIT 1)"), (true, false, false));
    assert!(of("SELECT * FROM a FOR UPDATE").locks_rows);
    assert!(of("SELECT * FROM a LOCK IN SHARE MODE").locks_rows);
    assert!(!of("SELECT * FROM a").locks_rows);
    let functions: Vec<_> = of("SELECT COUNT(*), Concat(a, 'x') FROM t").functions.into_iter().collect();
    assert_eq!(functions, ["concat", "count"]);
    assert_eq!(of("SELECT * FROM a, b, a x").tables, 2);
}

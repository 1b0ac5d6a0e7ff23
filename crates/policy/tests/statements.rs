//! What the forms ask for that are in no other database's grammar. `check` writes the requests of a text in one line.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod lines;

use portreeve_policy::{Context, Facts, Flavour, analyse};

fn facts(sql: &str) -> Facts {
    let context =
        Context { default_schema: Some("shop"), version: 101_114, ..Context::new("orders", Flavour::MariaDb) };
    analyse(sql.as_bytes(), &context)
}

fn check(cases: &[(&str, &str)]) {
    lines::check(cases, facts, |facts| lines::line(facts, lines::asked));
}

#[test]
fn every_table_is_found_wherever_the_grammar_has_one() {
    check(&[
        ("SELECT SQL_CACHE * FROM t", "select: select shop.t"),
        ("SELECT * FROM (a, b) JOIN c ON a.i = c.i", "select: select shop.a, select shop.b, select shop.c"),
        ("SELECT * FROM ((SELECT 1 FROM a) UNION (SELECT 2 FROM b)) x", "select: select shop.a, select shop.b"),
        ("SELECT * FROM ((SELECT 1 FROM a) x JOIN b)", "select: select shop.a, select shop.b"),
        ("SELECT ((SELECT 1 FROM a) + (SELECT 2 FROM b))", "select: select shop.a, select shop.b"),
        (
            "SELECT * FROM a WHERE (1, 2) IN ((SELECT 1, 2 FROM b) UNION SELECT 3, 4 FROM c)",
            "select: select shop.a, select shop.b, select shop.c",
        ),
        ("SELECT * FROM a JOIN b JOIN c ON 1 ON 2", "select: select shop.a, select shop.b, select shop.c"),
        ("SELECT * FROM a FOR SYSTEM_TIME AS OF (SELECT x FROM b)", "select: select shop.a, select shop.b"),
        ("SELECT NEXT VALUE FOR s, LASTVAL(x.s)", "select: insert shop.s, select shop.s, select x.s"),
        ("VALUES (1), ((SELECT 1 FROM a))", "select: select shop.a"),
        (
            "SELECT a MOD 2, !a, a SOUNDS LIKE b, CAST(a AS CHAR CHARACTER SET utf8), CHAR(1 USING utf8) FROM t",
            "select: select shop.t",
        ),
        (
            "SELECT GROUP_CONCAT(DISTINCT a ORDER BY (SELECT 1 FROM b) SEPARATOR ',' LIMIT 1) FROM t",
            "select: select shop.b, select shop.t",
        ),
        ("SELECT MATCH (a) AGAINST ((SELECT x FROM b) IN BOOLEAN MODE) FROM t", "select: select shop.b, select shop.t"),
        ("SELECT '1' + INTERVAL (SELECT 1 FROM a) DAY_SECOND", "select: select shop.a"),
        (
            "SELECT SUM(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY (SELECT 1 FROM c))",
            "select: select shop.c, select shop.t",
        ),
        ("SELECT * FROM t LIMIT 5 ROWS EXAMINED 10", "select: select shop.t"),
        ("SELECT .5 FROM t", "select: select shop.t"),
        ("SELECT 1 FROM t FOR UPDATE SKIP LOCKED", "select: select shop.t"),
        ("INSERT INTO a VALUES (1) RETURNING (SELECT 1 FROM b)", "insert: insert shop.a, select shop.a, select shop.b"),
        (
            "INSERT INTO a SELECT * FROM b ON DUPLICATE KEY UPDATE x = (SELECT 1 FROM c)",
            "insert: insert shop.a, select shop.b, select shop.c, update shop.a",
        ),
        ("INSERT INTO a (x) (WITH y AS (SELECT * FROM b) SELECT * FROM y)", "insert: insert shop.a, select shop.b"),
        (
            "DELETE FROM a FOR PORTION OF p FROM '1' TO '2' WHERE x = 1 RETURNING y",
            "delete: delete shop.a, select shop.a",
        ),
        ("UPDATE a PARTITION (p0, p1) SET x = 1", "update: update shop.a"),
        ("DELETE HISTORY FROM a BEFORE SYSTEM_TIME now()", "delete: delete shop.a"),
        ("UPDATE a, (SELECT * FROM b) x SET a.y = x.y", "update: select shop.a, select shop.b, update shop.a"),
    ]);
}

#[test]
fn statements_inside_statements_are_asked_about() {
    check(&[
        ("PREPARE s FROM 'DELETE FROM a WHERE x = \\'y\\''", "prepare: delete shop.a, prepare"),
        ("PREPARE s FROM CONCAT('DROP TABLE ', 'a')", "prepare: drop shop.a, prepare"),
        ("PREPARE s FROM @v", "unparsed: prepare, unparsed"),
        ("PREPARE s FROM 'SELECT 1; DROP TABLE a'", "unparsed: prepare, unparsed"),
        ("EXECUTE s USING @a, (SELECT 1 FROM b)", "prepare: prepare, select shop.b"),
        ("EXECUTE IMMEDIATE 'SELECT * FROM a'", "prepare: prepare, select shop.a"),
        ("EXECUTE IMMEDIATE CONCAT('SELECT * FROM ', @t)", "unparsed: prepare, unparsed"),
        ("DEALLOCATE PREPARE s", "prepare: prepare"),
        ("DO sleep(1), (SELECT 1 FROM a)", "select: select shop.a, sleep"),
        ("HANDLER a READ i >= (1) WHERE x IN (SELECT 1 FROM b) LIMIT 1", "select: select shop.a, select shop.b"),
        (
            "SET STATEMENT max_statement_time = (SELECT 1 FROM a) FOR DELETE FROM b",
            "delete: delete shop.b, select shop.a, set_session",
        ),
        ("SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR EXECUTE IMMEDIATE 'SELECT 1'", "unparsed: set_session, unparsed"),
        ("KILL (SELECT id FROM a)", "kill: kill, select shop.a"),
        ("ANALYZE FORMAT=JSON UPDATE a SET x = 1", "update: explain shop.a, update shop.a"),
        (
            "LOAD DATA INFILE 'f' INTO TABLE a (x, @y) SET z = (SELECT 1 FROM b)",
            "load: infile, load shop.a, select shop.b",
        ),
        (
            "CREATE TABLE a (b INT DEFAULT (f(1))) SELECT * FROM c",
            "create: create shop.a, execute, execute shop.f, select shop.c",
        ),
        (
            "CREATE OR REPLACE VIEW v (x) AS SELECT * FROM a WITH CHECK OPTION",
            "create: create shop.v, drop shop.v, select shop.a",
        ),
    ]);
}

#[test]
fn bodies_are_asked_about_on_every_way_through_them() {
    check(&[
        (
            "CREATE PROCEDURE x.p(IN a INT, OUT b INT) MODIFIES SQL DATA BEGIN DECLARE i INT DEFAULT (SELECT 1 FROM t1); \
             DECLARE c CURSOR FOR SELECT * FROM t2; DECLARE CONTINUE HANDLER FOR NOT FOUND, SQLSTATE '42000' BEGIN DELETE FROM t3; END; \
             l: LOOP FETCH c INTO i; IF i > (SELECT 1 FROM t4) THEN INSERT INTO t5 VALUES (i); ELSEIF i THEN LEAVE l; ELSE \
             CASE i WHEN 1 THEN UPDATE t6 SET y = 1; ELSE SET b = (SELECT 1 FROM t7); END CASE; END IF; END LOOP l; \
             WHILE i DO REPEAT DROP TABLE t8; UNTIL 1 END REPEAT; END WHILE; SELECT y INTO b FROM t9; END; SELECT * FROM after",
            "create_routine: create_routine x.p, delete x.t3, drop x.t8, insert x.t5, select x.t1, select x.t2, select x.t4, \
             select x.t7, select x.t9, update x.t6; unparsed: select shop.after, unparsed",
        ),
        (
            "CREATE FUNCTION f() RETURNS INT RETURN (SELECT 1 FROM a)",
            "create_routine: create_routine shop.f, select shop.a",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON x.a FOR EACH ROW SET NEW.b = (SELECT 1 FROM c)",
            "trigger: select x.c, trigger",
        ),
        (
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS (SELECT 1 FROM a) DO DELETE FROM b",
            "event: delete shop.b, event, select shop.a",
        ),
        ("ALTER EVENT e DISABLE", "event: event"),
        (
            "BEGIN NOT ATOMIC DELETE FROM a; SELECT 1; END; DROP TABLE b",
            "call: delete shop.a; unparsed: drop shop.b, unparsed",
        ),
        ("IF (SELECT 1 FROM a) THEN DELETE FROM b; END IF", "call: delete shop.b, select shop.a"),
        ("FOR i IN 1..3 DO INSERT INTO a VALUES (i); END FOR", "call: insert shop.a"),
        (
            "CREATE PROCEDURE p() BEGIN SET sql_log_bin = 0; PREPARE s FROM @x; END",
            "unparsed: create_routine shop.p, prepare, set_global, unparsed",
        ),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; DROP TABLE a", "unparsed: create_routine shop.p, drop shop.a, unparsed"),
        ("CREATE PROCEDURE p() BEGIN USE x; END", "unparsed: create_routine shop.p, unparsed, use x"),
    ]);
}

#[test]
fn maintenance_and_administration_have_an_action_each() {
    check(&[
        ("CHECK TABLE a, x.b QUICK", "select: select shop.a, select x.b"),
        ("CHECKSUM TABLE a EXTENDED", "select: select shop.a"),
        ("OPTIMIZE LOCAL TABLE a", "alter: alter shop.a"),
        ("ANALYZE TABLE a PERSISTENT FOR COLUMNS (x) INDEXES ALL", "alter: alter shop.a"),
        ("REPAIR TABLE a USE_FRM", "alter: alter shop.a"),
        ("CACHE INDEX a INDEX (i), b IN hot", "index: index shop.a, index shop.b"),
        ("LOAD INDEX INTO CACHE a", "index: index shop.a"),
        ("XA START 'x', 'y', 1", "transaction: lock_tables, transaction"),
        ("XA RECOVER", "show: show"),
        ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = (SELECT 1 FROM a)", "inspect: inspect, select shop.a"),
        ("GET DIAGNOSTICS CONDITION 1 @x = MESSAGE_TEXT", "inspect: inspect"),
        ("PURGE BINARY LOGS BEFORE now()", "replication: replication"),
        ("BINLOG 'x'", "replication: replication"),
        ("BACKUP STAGE START", "flush: flush"),
        ("BACKUP LOCK a", "lock_tables: lock_tables shop.a"),
        ("GRANT SELECT ON a TO b", "users: users"),
        ("SHOW GRANTS", "show: users"),
        ("SHOW CREATE PROCEDURE x.p", "show: show x"),
        ("SHOW PROCESSLIST", "processlist: processlist"),
        ("CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')", "plugins: plugins"),
        ("CREATE SEQUENCE s START WITH 1 CACHE 10", "create: create shop.s"),
        ("DROP SEQUENCE s", "drop: drop shop.s"),
        ("SET debug_dbug = 'd'", "set_session: debug, set_session"),
        ("SET GLOBAL a = 1, b = 2", "set_global: set_global"),
        ("SET gtid_seq_no = 1", "set_global: set_global"),
    ]);
}

#[test]
fn changes_of_tables_reach_every_table_that_they_name() {
    check(&[
        (
            "ALTER TABLE a ADD x INT REFERENCES b (y), ADD KEY (x(10)), DROP COLUMN z",
            "alter: alter shop.a, select shop.b",
        ),
        (
            "ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b",
            "alter: alter shop.a, alter shop.b, delete shop.a, delete shop.b, insert shop.a, insert shop.b, select shop.a, select shop.b",
        ),
        ("ALTER TABLE a DROP PARTITION p0, p1", "alter: alter shop.a, truncate shop.a"),
        ("ALTER TABLE a CONVERT PARTITION p TO TABLE b", "alter: alter shop.a, create shop.b"),
        ("ALTER TABLE a RENAME b, ALGORITHM=COPY", "alter: alter shop.a, rename shop.a, rename shop.b"),
        (
            "CREATE TABLE a (b INT) ENGINE=MERGE UNION=(x)",
            "create: create shop.a, delete shop.x, insert shop.x, select shop.x, update shop.x",
        ),
        ("CREATE TABLE a (b INT) DATA DIRECTORY='/tmp'", "create: create shop.a, outfile"),
        ("CREATE TABLE a (LIKE b)", "create: create shop.a, show shop.b"),
        (
            "CREATE TABLE a (b INT) PARTITION BY RANGE (b) (PARTITION p VALUES LESS THAN MAXVALUE ENGINE=FEDERATED)",
            "unparsed: create shop.a, unparsed",
        ),
        ("ALTER TABLE a ENGINE=CONNECT", "unparsed: alter shop.a, unparsed"),
        ("ALTER TABLE a CONNECTION='mysql://x'", "unparsed: alter shop.a, unparsed"),
        ("SET default_storage_engine = FEDERATED", "unparsed: unparsed"),
        ("RENAME TABLE IF EXISTS a WAIT 5 TO b", "rename: rename shop.a, rename shop.b"),
        ("LOCK TABLES a WRITE CONCURRENT, b READ WAIT 5", "lock_tables: lock_tables shop.a, lock_tables shop.b"),
    ]);
}

#[test]
fn a_condition_is_constant_when_it_is_the_same_for_every_row() {
    let constant = |condition: &str| {
        let facts = facts(&format!("DELETE FROM a WHERE {condition}"));
        assert!(facts.statements[0].has_where && !facts.has_unparsed(), "{condition}");
        facts.statements[0].where_is_constant
    };
    for condition in [
        "1",
        "1 = 1",
        "NOT 0",
        "id = id",
        "a.id <=> A.ID",
        "`id` = id AND 1",
        "1 IN (1)",
        "'a' LIKE 'a'",
        "(1 OR (2))",
        "abs(-1) = 1",
        "length('x')",
        "NULL IS NULL",
        "1 BETWEEN 0 AND 2",
        "id = id OR x = x",
    ] {
        assert!(constant(condition), "{condition}");
    }
    for condition in [
        "id",
        "id = 1",
        "id = x",
        "id = id + 1",
        "id + 1 = id",
        "b.id = c.id",
        "? = 1",
        "rand() < 1",
        "f(1)",
        "@x",
        "1 IN (SELECT 1)",
        "id = id = x",
        "EXISTS (SELECT 1)",
    ] {
        assert!(!constant(condition), "{condition}");
    }
}

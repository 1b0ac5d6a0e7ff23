//! Statements made from forms of expressions, tables and clauses: nearly all are read, and those that both readers read ask for
//! the same.

use super::second_reading;
use crate::{Catalogue, Context, Flavour, Request, analyse};

const EXPRESSIONS: [&str; 52] = [
    "1",
    "-1.5e3",
    "'a' 'b'",
    "x'41'",
    "_latin1'a'",
    "N'a'",
    "NULL",
    "TRUE",
    "?",
    "@v",
    "@@version",
    "@@session.sql_mode",
    "a",
    "t.a",
    "s.t.a",
    "`a b`",
    "(a)",
    "((a + 1) * 2)",
    "a + b - c / d % e",
    "a DIV 2",
    "a AND b OR NOT c",
    "a XOR b",
    "a || b",
    "a <=> b",
    "a IS NOT NULL",
    "a IS UNKNOWN",
    "a BETWEEN 1 AND 2",
    "a NOT BETWEEN b AND c + 1",
    "a IN (1, 2, (SELECT 3 FROM e1))",
    "a NOT IN (SELECT 1 FROM e1)",
    "(a, b) = (SELECT 1, 2 FROM e1)",
    "a LIKE 'x' ESCAPE '|'",
    "a REGEXP 'x'",
    "EXISTS (SELECT 1 FROM e1)",
    "(SELECT 1 FROM e1 UNION SELECT 2 FROM e2)",
    "a = ANY (SELECT 1 FROM e1)",
    "CASE a WHEN 1 THEN (SELECT 1 FROM e1) ELSE 2 END",
    "CASE WHEN a THEN b END",
    "COUNT(*)",
    "COUNT(DISTINCT a, b)",
    "concat(a, upper(b), (SELECT 1 FROM e1))",
    "f(1)",
    "s.f(a)",
    "CAST(a AS UNSIGNED)",
    "CONVERT(a USING utf8mb4)",
    "DATE_ADD(a, INTERVAL 1 DAY)",
    "EXTRACT(YEAR FROM a)",
    "TRIM(LEADING 'x' FROM a)",
    "SUBSTRING(a FROM 1 FOR 2)",
    "SUM(a) OVER (PARTITION BY b ORDER BY c)",
    "a COLLATE utf8mb4_bin",
    "a->'$.b'",
];
const SHELLS: [&str; 24] = [
    "SELECT {}",
    "SELECT {} FROM t",
    "SELECT {} AS x, a FROM t",
    "SELECT * FROM t WHERE {}",
    "SELECT a FROM t GROUP BY {}",
    "SELECT a FROM t GROUP BY a HAVING {}",
    "SELECT a FROM t ORDER BY {} DESC LIMIT 1",
    "SELECT * FROM t JOIN u ON {}",
    "SELECT * FROM t LEFT JOIN u ON {} WHERE 1",
    "SELECT * FROM (SELECT {} AS x) d",
    "SELECT 1 UNION ALL SELECT {} FROM u",
    "WITH w AS (SELECT {} AS x FROM v) SELECT * FROM w, t",
    "INSERT INTO t VALUES ({})",
    "INSERT INTO t (a) SELECT {} FROM u",
    "INSERT INTO t SET a = {}",
    "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = {}",
    "REPLACE INTO t (a, b) VALUES (1, {})",
    "UPDATE t SET a = {}",
    "UPDATE t SET a = 1 WHERE {} ORDER BY a LIMIT 1",
    "UPDATE t JOIN u ON {} SET t.a = 1",
    "DELETE FROM t WHERE {}",
    "DELETE t FROM t JOIN u WHERE {}",
    "CREATE TABLE n AS SELECT {} AS x FROM t",
    "CREATE VIEW n AS SELECT {} AS x FROM t",
];
const TABLES: [&str; 26] = [
    "t",
    "s.t",
    "t AS x",
    "t x, u y",
    "t, s.u, v",
    "t JOIN u",
    "t JOIN u USING (a)",
    "t NATURAL JOIN u",
    "t NATURAL LEFT JOIN u",
    "t STRAIGHT_JOIN u ON 1",
    "t LEFT OUTER JOIN u ON t.a = u.a",
    "t CROSS JOIN u CROSS JOIN v",
    "(t JOIN u ON 1)",
    "(t, u)",
    "((t))",
    "(t JOIN (u JOIN v ON 1) ON 2)",
    "(SELECT * FROM t) x",
    "(SELECT 1 FROM t UNION SELECT 2 FROM u) AS x",
    "((SELECT 1 FROM t) UNION (SELECT 2 FROM u)) x",
    "t PARTITION (p0) x",
    "t USE INDEX (i) IGNORE INDEX FOR JOIN (j)",
    "DUAL",
    "`t`",
    "t JOIN u JOIN v ON 1 ON 2",
    "t x JOIN LATERAL (SELECT * FROM u) y ON 1",
    "JSON_TABLE((SELECT j FROM t), '$[*]' COLUMNS (a INT PATH '$.a')) x",
];
const FROMS: [&str; 12] = [
    "SELECT * FROM {}",
    "SELECT a FROM {} WHERE a = 1 LIMIT 2",
    "SELECT (SELECT 1 FROM {})",
    "SELECT 1 IN (SELECT 1 FROM {})",
    "SELECT * FROM (SELECT 1 FROM {}) z",
    "SELECT 1 FROM o UNION SELECT 2 FROM {}",
    "WITH w AS (SELECT 1 FROM {}) SELECT * FROM w",
    "INSERT INTO o SELECT 1 FROM {}",
    "CREATE TABLE o SELECT 1 FROM {}",
    "SELECT * FROM {} FOR UPDATE",
    "UPDATE o SET a = (SELECT 1 FROM {})",
    "DELETE FROM o WHERE a IN (SELECT 1 FROM {})",
];
const CONDITIONS: [&str; 30] = [
    "",
    " WHERE a",
    " WHERE a = 1",
    " WHERE a = 1 AND b IN (SELECT 1 FROM e1)",
    " LIMIT 1",
    " LIMIT 1, 2",
    " LIMIT 1 OFFSET 2",
    " ORDER BY a",
    " ORDER BY a, b DESC LIMIT 3",
    " GROUP BY a",
    " GROUP BY a WITH ROLLUP",
    " GROUP BY a HAVING COUNT(*) > 1",
    " WHERE 1 GROUP BY a ORDER BY NULL",
    " FOR UPDATE",
    " LOCK IN SHARE MODE",
    " FOR SHARE",
    " INTO @x",
    " INTO OUTFILE '/tmp/x'",
    " UNION SELECT 1 FROM u",
    " UNION ALL (SELECT 1 FROM u) ORDER BY 1",
    " EXCEPT SELECT 1 FROM u",
    " INTERSECT SELECT 1 FROM u",
    " UNION SELECT 1 FROM u UNION SELECT 2 FROM v LIMIT 1",
    " WHERE NOT EXISTS (SELECT * FROM u WHERE u.a = t.a)",
    " PROCEDURE ANALYSE()",
    " LIMIT 2 ROWS EXAMINED 5",
    " WHERE a SOUNDS LIKE 'x'",
    " WHERE MATCH (a) AGAINST ('x')",
    " WHERE a > ALL (SELECT 1 FROM u)",
    " WINDOW w AS (PARTITION BY a)",
];

fn statements() -> Vec<String> {
    let fill = |shells: &[&str], forms: &[&str]| -> Vec<String> {
        shells.iter().flat_map(|shell| forms.iter().map(|form| shell.replace("{}", form))).collect()
    };
    let mut all = fill(&SHELLS, &EXPRESSIONS);
    all.extend(fill(&FROMS, &TABLES));
    all.extend(fill(
        &["SELECT a FROM t{}", "SELECT a FROM s.t x{}", "SELECT * FROM t, v{}", "EXPLAIN SELECT a FROM t{}"],
        &CONDITIONS,
    ));
    all.extend(fill(
        &["DO {}", "SET @x = {}", "CALL p({})", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {}"],
        &EXPRESSIONS,
    ));
    all.extend(fill(
        &["CREATE PROCEDURE p() BEGIN IF {} THEN SELECT 1; END IF; END", "CREATE FUNCTION g() RETURNS INT RETURN {}"],
        &EXPRESSIONS,
    ));
    all.extend(fill(
        &[
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = {}",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t WHERE {}",
        ],
        &EXPRESSIONS,
    ));
    all.extend(
        fill(&["PREPARE x FROM \"{}\"", "EXECUTE IMMEDIATE \"{}\"", "BEGIN NOT ATOMIC {}; END"], &SHELLS)
            .iter()
            .map(|shell| shell.replace("{}", "a")),
    );
    all
}

fn requests(requests: &[Request]) -> Vec<String> {
    let mut found: Vec<_> =
        requests.iter().map(|request| format!("{} {}", request.action, request.resource.id("o"))).collect();
    found.sort();
    found
}

#[test]
fn both_readers_find_the_same_in_statements_made_from_forms() {
    let context = Context {
        server: "orders",
        default_schema: Some("shop"),
        flavour: Flavour::MariaDb,
        version: 101_114,
        lower_case_table_names: 0,
        prepared: false,
        no_backslash_escapes: false,
        ansi_quotes: false,
        pipes_as_concat: false,
        ignore_space: false,
        high_not_precedence: false,
        utf8: true,
        unreadable: None,
        now_unix_ms: 0,

        catalogue: Catalogue::EMPTY,
    };
    let (mut unread, mut compared) = (Vec::new(), 0);
    let statements = statements();
    assert!(statements.len() > 2_000, "{}", statements.len());
    for sql in &statements {
        let facts = analyse(sql.as_bytes(), &context);
        if facts.has_unparsed() {
            let reason = facts.statements.iter().find_map(|statement| statement.unparsed.clone());
            unread.push(format!("{sql}: {}", reason.unwrap_or_default()));
        } else if let (Some(second), [ours]) = (second_reading(sql, &context), facts.statements.as_slice()) {
            compared += 1;
            assert_eq!(requests(&ours.requests), requests(&second.requests), "{sql}");
        }
    }
    assert!(unread.len() * 200 < statements.len(), "{}", unread.join("\n"));
    assert!(compared > 1_200, "{compared} of {}", statements.len());
}

//! Catalogue 5.2: statements inside statements, and expressions where nobody looks for them.

use crate::case::Case;

const LOUD: &str = "EXTRACTVALUE(1, CONCAT('~', (SELECT password FROM vault.users LIMIT 1)))";

pub(crate) fn cases() -> Vec<Case> {
    [prepared(), blocks(), values(), expressions(), explained()].concat()
}

fn prepared() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    let read = "'SELECT password FROM vault.users'";
    vec![
        leaks("a literal prepared", "B030", &[&format!("PREPARE s FROM {read}"), "EXECUTE s"]),
        leaks("a variable prepared", "B031", &[&format!("SET @q = {read}"), "PREPARE s FROM @q", "EXECUTE s"])
            .why("was not prepared"),
        leaks(
            "hexadecimal prepared",
            "B023",
            &[
                "SET @q = 0x53454C4543542070617373776F72642046524F4D207661756C742E7573657273",
                "PREPARE s FROM @q",
                "EXECUTE s",
            ],
        )
        .why("was not prepared"),
        leaks(
            "characters prepared",
            "B023",
            &[
                "SET @q = CONCAT(CHAR(83, 69, 76, 69, 67, 84), ' password FROM ', 'va', 'ult.users')",
                "PREPARE s FROM @q",
                "EXECUTE s",
            ],
        )
        .why("was not prepared"),
        leaks(
            "selected, then prepared",
            "B031",
            &["SELECT REPLACE('SELECT password FROM vault!users', '!', '.') INTO @q", "PREPARE s FROM @q", "EXECUTE s"],
        )
        .why("was not prepared"),
        leaks(
            "parameters that count",
            "B032",
            &["PREPARE s FROM 'SELECT password FROM vault.users WHERE id = ?'", "SET @id = 1", "EXECUTE s USING @id"],
        ),
        leaks("executed at once", "B033", &[&format!("EXECUTE IMMEDIATE {read}")]).mariadb(),
        leaks(
            "an expression executed",
            "B033",
            &["EXECUTE IMMEDIATE CONCAT('SELECT pass', 'word FROM vault.', 'users')"],
        )
        .mariadb(),
        leaks(
            "prepared in a comment",
            "B030",
            &["PREPARE s FROM 'SELECT /*! password FROM vault.*/users'", "EXECUTE s"],
        ),
        leaks(
            "prepared over another of its name",
            "B030",
            &[
                "PREPARE s FROM 'SELECT item FROM shop.orders'",
                "PREPARE s FROM 'SELECT password FROM vault.users'",
                "EXECUTE s",
            ],
        ),
    ]
}

fn blocks() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("a block", "B034", &["BEGIN NOT ATOMIC SELECT password FROM vault.users; END"]).mariadb(),
        leaks("a block with a condition", "B034", &["IF 1 THEN SELECT password FROM vault.users; END IF"]).mariadb(),
        leaks("a loop", "B034", &["FOR r IN (SELECT password FROM vault.users) DO SELECT r.password; END FOR"])
            .mariadb(),
        leaks(
            "a setting for a statement",
            "B046",
            &["SET STATEMENT max_statement_time = 100 FOR SELECT password FROM vault.users"],
        )
        .mariadb(),
        leaks(
            "settings with a query for a statement",
            "B046",
            &["SET STATEMENT sql_mode = (SELECT password FROM vault.users LIMIT 1) FOR SELECT 1"],
        )
        .mariadb()
        // It takes no queries.
        .not_directly(),
    ]
}

fn values() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("a variable", "B047", &["SET @x = (SELECT password FROM vault.users LIMIT 1)", "SELECT @x"]),
        leaks(
            "a variable among others",
            "B047",
            &["SET @y = 1, @x = (SELECT password FROM vault.users LIMIT 1)", "SELECT @x"],
        ),
        leaks("a variable in a query", "B047", &["SELECT @x := password FROM vault.users LIMIT 1"]),
        leaks("into a variable", "B067", &["SELECT password INTO @x FROM vault.users LIMIT 1", "SELECT @x"]),
        leaks("into a variable at the end", "B067", &["SELECT password FROM vault.users LIMIT 1 INTO @x", "SELECT @x"]),
        leaks(
            "a value that a mode cannot have",
            "B101",
            &["SET sql_mode = (SELECT password FROM vault.users LIMIT 1)"],
        ),
        leaks(
            "a value that a locale cannot have",
            "B101",
            &["SET lc_time_names = (SELECT password FROM vault.users LIMIT 1)"],
        ),
        leaks(
            "a value that is tracked",
            "B107",
            &[
                "SET session_track_system_variables = (SELECT password FROM vault.users LIMIT 1)",
                "SELECT @@session_track_system_variables",
            ],
        ),
        leaks("a time zone that is none", "B101", &["SET time_zone = (SELECT password FROM vault.users LIMIT 1)"]),
        leaks(
            "a character set that is none",
            "B101",
            &["SET character_set_results = (SELECT password FROM vault.users LIMIT 1)"],
        ),
        leaks(
            "a comment's variable",
            "B047",
            &["SET @x = /*! (SELECT password FROM vault.users LIMIT 1) */", "SELECT @x"],
        ),
    ]
}

fn expressions() -> Vec<Case> {
    let loud = |name: &'static str, text: &str| Case::leaks(name, "B047", &[text.replace("LOUD", LOUD)]);
    vec![
        loud("DO", "DO LOUD"),
        loud("DO with several", "DO 1, LOUD"),
        loud("SHOW TABLES", "SHOW TABLES FROM shop WHERE LOUD"),
        loud("SHOW VARIABLES", "SHOW VARIABLES WHERE LOUD"),
        loud("SHOW STATUS", "SHOW STATUS WHERE LOUD"),
        loud("SHOW COLLATION", "SHOW COLLATION WHERE LOUD"),
        loud("SHOW COLUMNS", "SHOW COLUMNS FROM shop.orders WHERE LOUD"),
        loud("SHOW INDEX", "SHOW INDEX FROM shop.orders WHERE LOUD"),
        loud("SHOW DATABASES", "SHOW DATABASES WHERE LOUD").why("shop-db"),
        loud("SHOW TABLE STATUS", "SHOW TABLE STATUS WHERE LOUD"),
        loud("SHOW CHARACTER SET", "SHOW CHARACTER SET WHERE LOUD"),
        loud("SHOW TRIGGERS", "SHOW TRIGGERS WHERE LOUD"),
        loud("ORDER BY", "SELECT item FROM orders ORDER BY LOUD"),
        loud("GROUP BY", "SELECT COUNT(*) FROM orders GROUP BY LOUD"),
        loud("HAVING", "SELECT COUNT(*) AS n FROM orders HAVING LOUD"),
        loud("ON", "SELECT a.item FROM orders a JOIN orders b ON LOUD"),
        loud("a case", "SELECT CASE WHEN LOUD THEN 1 END"),
        loud("an interval", "SELECT NOW() + INTERVAL LOUD DAY"),
        loud("a window", "SELECT SUM(id) OVER (PARTITION BY LOUD) FROM orders"),
        loud("EXISTS", "SELECT EXISTS (SELECT 1 FROM orders WHERE LOUD)"),
        loud("VALUES", "VALUES (LOUD)").mariadb(),
        loud("VALUES in rows", "VALUES ROW(LOUD)").mysql(),
        loud("an argument of CALL", "CALL shop.shout(LOUD)").why("shop-db"),
        Case::leaks(
            "an argument of CALL that is told",
            "B047",
            &["CALL shop.shout((SELECT password FROM vault.users LIMIT 1))"],
        )
        .why("shop-db"),
        loud("KILL", "KILL LOUD").not_directly(),
        loud("SIGNAL", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = LOUD").not_directly(),
        Case::leaks(
            "a signal",
            "B103",
            &["SELECT password INTO @x FROM vault.users LIMIT 1", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @x"],
        ),
    ]
}

fn explained() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    let loud = format!("SELECT * FROM vault.users WHERE {LOUD}");
    vec![
        leaks("EXPLAIN ANALYZE", "B048", &[&format!("EXPLAIN ANALYZE {loud}")]).mysql(),
        leaks("EXPLAIN ANALYZE of a tree", "B048", &[&format!("EXPLAIN ANALYZE FORMAT=TREE {loud}")]).mysql(),
        leaks("ANALYZE", "B048", &[&format!("ANALYZE {loud}")]).mariadb(),
        leaks("ANALYZE FORMAT=JSON", "B048", &[&format!("ANALYZE FORMAT=JSON {loud}")]).mariadb(),
        Case::changes(
            "ANALYZE of a DELETE",
            "B048",
            "SELECT COUNT(*) FROM vault.users",
            &["ANALYZE DELETE FROM vault.users"],
        )
        .mariadb(),
        Case::changes(
            "a DELETE behind WITH",
            "B049",
            "SELECT COUNT(*) FROM vault.users",
            &["WITH x AS (SELECT 1 AS id) DELETE FROM vault.users WHERE id IN (SELECT id FROM x)"],
        )
        .mysql(),
        Case::changes(
            "an UPDATE behind WITH",
            "B049",
            "SELECT item FROM shop.orders",
            &["WITH x AS (SELECT 1 AS id) UPDATE shop.orders SET item = 'changed' WHERE id IN (SELECT id FROM x)"],
        )
        .mysql()
        .why("`update` on `shop-db/shop.orders`"),
        leaks("EXPLAIN into a variable", "B084", &[
            "EXPLAIN FORMAT=JSON INTO @x SELECT * FROM vault.users WHERE hint = 'x' OR name = (SELECT MAX(word) FROM vault.plain)",
            "SELECT @x",
        ])
        .mysql()
        .not_directly(),
        leaks("HANDLER", "B047", &["HANDLER vault.users OPEN AS h", "HANDLER h READ FIRST"]),
        leaks(
            "HANDLER with a condition",
            "B047",
            &["HANDLER vault.users OPEN AS h", "HANDLER h READ `PRIMARY` = (1) WHERE pin > 0"],
        ),
    ]
}

//! Catalogue 5.2 and 5.3: a forbidden table by another name: views, routines, triggers, events, tables renamed.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [views(), routines(), later(), names()].concat()
}

fn views() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks(
            "a view made",
            "B041",
            &["CREATE VIEW shop.vv AS SELECT password AS nick FROM vault.users", "SELECT nick FROM shop.vv"],
        )
        .why("shop-db/"),
        leaks(
            "a view replaced",
            "B041",
            &[
                "CREATE OR REPLACE VIEW shop.items AS SELECT id, password AS item FROM vault.users",
                "SELECT item FROM shop.items",
            ],
        )
        .why("shop-db/"),
        leaks(
            "a view altered",
            "B041",
            &["ALTER VIEW shop.items AS SELECT id, password AS item FROM vault.users", "SELECT item FROM shop.items"],
        ),
        leaks("a view that is there", "B077", &["SELECT nick FROM shop.everyone"]),
        leaks("a view that is there, unqualified", "B077", &["SELECT * FROM everyone"]),
        leaks("a view in another case of its alias", "B077", &["SELECT E.nick FROM shop.everyone AS E WHERE E.id = 1"]),
        leaks("a view over a view", "B077", &["SELECT nick FROM shop.nearly_everyone"]),
        leaks("a view in a subquery", "B077", &["SELECT item, (SELECT MAX(nick) FROM everyone) FROM orders"]),
        leaks("a view in a CTE", "B077", &["WITH x AS (SELECT nick FROM everyone) SELECT * FROM x"]),
        leaks("a view in a comment", "B077", &["SELECT nick FROM /*! everyone */"]),
        leaks("a view as a table", "B077", &["TABLE shop.everyone"]).mysql(),
        leaks("a view over a function", "B077", &["SELECT nick FROM shop.by_function"]).why("`execute`"),
        leaks(
            "a view's error",
            "B077",
            &[
                "SELECT 1 FROM everyone WHERE EXTRACTVALUE(1, CONCAT('~', (SELECT MIN(nick) FROM everyone WHERE id = 1)))",
            ],
        ),
    ]
}

fn routines() -> Vec<Case> {
    let leaks = |name: &'static str, id: &'static str, texts: &[&str]| Case::leaks(name, id, texts).why("shop-db");
    vec![
        leaks("a procedure that is there", "B037", &["CALL shop.peek()"]),
        leaks("a procedure without parentheses", "B037", &["CALL shop.peek"]),
        leaks("a procedure, unqualified", "B037", &["CALL peek()"]),
        leaks("a function that is there", "B038", &["SELECT shop.word()"]),
        leaks("a function, unqualified", "B038", &["SELECT word()"]),
        leaks("a function in quotes", "B038", &["SELECT `shop`.`word`()"]),
        leaks(
            "a function in a condition",
            "B038",
            &["SELECT id FROM orders GROUP BY id, word() HAVING CAST(word() AS DATE) IS NULL", "SHOW WARNINGS"],
        ),
        leaks("a function in SET", "B038", &["SET @x = shop.word()", "SELECT @x"]),
        leaks("a function in DO", "B038", &["DO CAST(shop.word() AS DATE)", "SHOW WARNINGS"]),
        leaks(
            "a procedure made",
            "B035",
            &["CREATE PROCEDURE shop.mine() SELECT password FROM vault.users", "CALL shop.mine()"],
        ),
        leaks(
            "a procedure with a body",
            "B035",
            &[
                "CREATE PROCEDURE shop.mine() BEGIN DECLARE x INT; SELECT password FROM vault.users; END",
                "CALL shop.mine()",
            ],
        ),
        leaks(
            "a function made",
            "B038",
            &[
                "CREATE FUNCTION shop.mine() RETURNS TEXT READS SQL DATA RETURN (SELECT password FROM vault.users LIMIT 1)",
                "SELECT shop.mine()",
            ],
        ),
        Case::shows(
            "a mode set in a procedure",
            "B019",
            "NO_BACKSLASH_ESCAPES,",
            &[
                "CREATE PROCEDURE shop.quiet() SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'",
                "CALL shop.quiet()",
                "SELECT CONCAT(@@sql_mode, ',')",
            ],
        )
        .why("shop-db")
        .not_directly(),
    ]
}

/// What runs when somebody else does something, or by itself.
fn later() -> Vec<Case> {
    let triggers = "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = 'shop'";
    let events = "SELECT COUNT(*) FROM information_schema.events WHERE event_schema IN ('shop', 'vault')";
    vec![
        Case::changes("a trigger", "B039", triggers, &[
            "CREATE TRIGGER shop.spy BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.item = (SELECT password FROM vault.users LIMIT 1)",
        ])
        .why("`trigger`"),
        Case::changes("an event", "B039", events, &[
            "CREATE EVENT shop.spy ON SCHEDULE EVERY 1 DAY DO DELETE FROM vault.users",
        ])
        .why("`event`"),
        Case::changes("an event that is once", "B039", "SELECT COUNT(*) FROM vault.users", &[
            "CREATE EVENT shop.spy ON SCHEDULE AT NOW() DO DELETE FROM vault.users",
        ])
        .why("`event`")
        // It runs a moment later.
        .not_directly(),
        Case::runs("a loadable function", "B119", "`udf`", &["CREATE FUNCTION spy RETURNS STRING SONAME 'udf_example.so'"])
            .not_directly(),
    ]
}

fn names() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("a table renamed", "B043", &["RENAME TABLE vault.users TO shop.mine", "SELECT password FROM shop.mine"]),
        leaks("a table altered to another name", "B043", &[
            "ALTER TABLE vault.users RENAME TO shop.mine",
            "SELECT password FROM shop.mine",
        ]),
        leaks("two tables exchanged", "B043", &[
            "RENAME TABLE shop.users TO shop.aside, vault.users TO shop.users",
            "SELECT password FROM users",
        ])
        .why("shop-db/"),
        Case::changes("a column renamed", "B043", "SELECT * FROM vault.users LIMIT 1", &[
            "ALTER TABLE vault.users RENAME COLUMN password TO name2, RENAME COLUMN name TO password",
        ]),
        leaks("a table of tables", "B077", &[
            "CREATE TABLE shop.merged (id INT, word VARCHAR(40)) ENGINE = MERGE UNION = (vault.plain)",
            "SELECT word FROM shop.merged",
        ]),
        leaks("a table of tables altered", "B077", &[
            "CREATE TEMPORARY TABLE shop.merged (id INT, word VARCHAR(40)) ENGINE = MRG_MyISAM UNION = (shop.plain)",
            "ALTER TABLE shop.merged UNION = (vault.plain)",
            "SELECT word FROM shop.merged",
        ])
        .not_directly()
        .why("shop-db"),
        leaks("another default schema", "B077", &["USE vault", "SELECT password FROM users"]),
        leaks("another default schema, quoted", "B077", &["USE `vault`", "SELECT `password` FROM `users`"]),
        leaks("another default schema in a comment", "B077", &["USE /*! vault */", "SELECT password FROM users"]),
        leaks("a schema dropped, and another taken", "B077", &["USE vault", "TABLE users"]).mysql(),
        Case::runs("a foreign key", "B045", "shop-db/", &[
            "CREATE TABLE shop.keyed (id INT, FOREIGN KEY (id) REFERENCES vault.users (id))",
        ]),
        Case::runs("a table like another", "B045", "shop-db/", &["CREATE TABLE shop.alike LIKE vault.users"]),
        Case::runs("a partition exchanged", "B043", "shop-db/", &[
            "ALTER TABLE shop.orders EXCHANGE PARTITION p WITH TABLE vault.users",
        ])
        .not_directly(),
    ]
}

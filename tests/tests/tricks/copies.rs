//! Catalogue 5.3: copies of what may not be read, and changes where nothing may be changed.

use crate::case::Case;

const VAULT: &str = "SELECT COUNT(*), MAX(password), MIN(name) FROM vault.users";
const ORDERS: &str = "SELECT GROUP_CONCAT(item ORDER BY id), COUNT(*) FROM shop.orders";
const TABLES: &str = "SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema IN ('shop', 'vault')";

pub(crate) fn cases() -> Vec<Case> {
    [copied(), sequences(), changed(), made()].concat()
}

fn copied() -> Vec<Case> {
    let leaks = |name: &'static str, texts: &[&str]| Case::leaks(name, "B073", texts).why("shop-db/");
    let orders = |name: &'static str, text: &str| Case::changes(name, "B073", ORDERS, &[text]).why("shop-db/");
    vec![
        leaks(
            "a table made of it",
            &["CREATE TABLE shop.copy AS SELECT * FROM vault.users", "SELECT * FROM shop.copy"],
        ),
        leaks(
            "a temporary table made of it",
            &["CREATE TEMPORARY TABLE copy AS SELECT password FROM vault.users", "SELECT * FROM copy"],
        ),
        leaks(
            "a temporary table made of TABLE",
            &["CREATE TEMPORARY TABLE copy TABLE vault.users", "SELECT * FROM copy"],
        )
        .mysql(),
        leaks(
            "rows inserted",
            &["INSERT INTO orders (item) SELECT password FROM vault.users", "SELECT item FROM orders"],
        ),
        leaks(
            "rows replaced",
            &["REPLACE INTO orders SELECT id, 1, password FROM vault.users", "SELECT item FROM orders"],
        ),
        leaks(
            "a value inserted",
            &[
                "INSERT INTO orders (item) VALUES ((SELECT password FROM vault.users LIMIT 1))",
                "SELECT item FROM orders",
            ],
        ),
        leaks(
            "a value inserted by SET",
            &["INSERT INTO orders SET item = (SELECT password FROM vault.users LIMIT 1)", "SELECT item FROM orders"],
        ),
        leaks(
            "a row updated in place of an insert",
            &[
                "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE item = (SELECT password FROM vault.users LIMIT 1)",
                "SELECT item FROM orders",
            ],
        ),
        leaks(
            "rows updated",
            &["UPDATE orders SET item = (SELECT password FROM vault.users LIMIT 1)", "SELECT item FROM orders"],
        ),
        leaks(
            "rows updated by a join",
            &["UPDATE orders o, vault.users u SET o.item = u.password", "SELECT item FROM orders"],
        ),
        leaks("rows returned by a DELETE", &["DELETE FROM vault.users RETURNING password"]).mariadb(),
        leaks(
            "rows returned by an INSERT",
            &["INSERT INTO orders (item) VALUES ('x') RETURNING (SELECT password FROM vault.users LIMIT 1)"],
        )
        .mariadb(),
        orders("TABLE inserted", "INSERT INTO shop.users TABLE vault.plain").not_directly(),
    ]
}

/// MariaDB's sequences are tables, named where columns are.
fn sequences() -> Vec<Case> {
    let next = "SELECT next_not_cached_value FROM vault.numbers";
    let changes = |name: &'static str, text: &str| Case::changes(name, "-", next, &[text]).mariadb();
    vec![
        changes("a sequence's next value", "SELECT NEXT VALUE FOR vault.numbers"),
        changes("a sequence's next value by function", "SELECT NEXTVAL(vault.numbers)"),
        changes("a sequence set", "SELECT SETVAL(vault.numbers, 5000)"),
        changes("a sequence set in DO", "DO SETVAL(vault.numbers, 6000)"),
        changes("a sequence altered", "ALTER SEQUENCE vault.numbers RESTART 7000"),
    ]
}

fn changed() -> Vec<Case> {
    let vault = |name: &'static str, text: &str| Case::changes(name, "-", VAULT, &[text]);
    let orders = |name: &'static str, text: &str| Case::changes(name, "-", ORDERS, &[text]).why("shop-db/shop.orders");
    vec![
        vault("rows deleted", "DELETE FROM vault.users"),
        vault("rows deleted by a join", "DELETE u FROM vault.users u JOIN shop.orders o ON o.id = u.id"),
        vault("rows deleted by USING", "DELETE FROM u USING vault.users AS u, shop.orders AS o WHERE u.id = o.id"),
        vault("rows deleted, qualified", "DELETE vault.users FROM shop.orders JOIN vault.users"),
        vault("words updated", "UPDATE vault.users SET password = 'x'"),
        vault("rows updated over an alias", "UPDATE shop.orders a, vault.users b SET b.password = 'x'").why("shop-db/"),
        vault("rows updated, lowly", "UPDATE LOW_PRIORITY IGNORE vault.users SET password = 'x'"),
        vault("a table emptied", "TRUNCATE vault.users"),
        vault("a row inserted", "INSERT INTO vault.users (id, name, password) VALUES (3, 'aaa', 'zzz')"),
        vault("a row inserted late", "INSERT HIGH_PRIORITY INTO vault.users (id, name) VALUES (3, 'aaa')"),
        vault("a row replaced", "REPLACE vault.users (id, name, password) VALUES (1, 'aaa', 'zzz')"),
        vault("rows updated through a view", "UPDATE shop.everyone SET nick = 'zzz'").why("shop-db/"),
        vault("rows deleted through a view", "DELETE FROM shop.everyone").why("shop-db/"),
        orders("what may be read is deleted", "DELETE FROM orders WHERE id = 1"),
        orders("what may be read is deleted by a comment", "/*!50000 DELETE FROM orders WHERE */ id = 1")
            .not_directly(),
        orders("what may be read is updated", "UPDATE orders SET item = 'x' WHERE 1 = 1"),
        orders("what may be read is emptied", "TRUNCATE TABLE orders"),
        orders("an insert", "INSERT orders (item) VALUES ('x')"),
        orders("an insert of defaults", "INSERT INTO orders () VALUES ()"),
        orders("an insert in a comment", "INSERT /*! INTO orders (item) VALUES ('x') */"),
        Case::changes("a transaction around it", "-", ORDERS, &["BEGIN", "DELETE FROM orders", "COMMIT"])
            .why("shop-db/shop.orders"),
    ]
}

fn made() -> Vec<Case> {
    let tables = |name: &'static str, text: &str| Case::changes(name, "-", TABLES, &[text]).why("shop-db/");
    let schemas = "SELECT GROUP_CONCAT(schema_name) FROM information_schema.schemata";
    let columns = "SELECT GROUP_CONCAT(column_name) FROM information_schema.columns WHERE table_schema = 'shop'";
    vec![
        tables("a table made", "CREATE TABLE shop.made (id INT)"),
        tables("a table made if it is not there", "CREATE TABLE IF NOT EXISTS shop.made SELECT 1 AS one"),
        tables("a table replaced", "CREATE OR REPLACE TABLE shop.made (id INT)").mariadb(),
        tables("a sequence", "CREATE SEQUENCE shop.numbers").mariadb(),
        tables("a table dropped", "DROP TABLE vault.plain"),
        tables("a view dropped", "DROP VIEW shop.items"),
        tables("a table dropped with another", "DROP TABLE IF EXISTS shop.not_there, vault.plain"),
        tables("a schema dropped", "DROP DATABASE vault"),
        Case::changes("a schema made", "-", schemas, &["CREATE DATABASE stolen"]).why("`create`"),
        Case::changes("a schema of another word", "-", schemas, &["CREATE SCHEMA stolen"]).why("`create`"),
        Case::changes("a column added", "-", columns, &["ALTER TABLE shop.orders ADD spy INT"]).why("`alter`"),
        Case::runs("an index made", "-", "`index`", &["CREATE INDEX spy ON shop.orders (item)"]),
        Case::runs("an index dropped", "-", "`index`", &["DROP INDEX name ON vault.users"]),
        Case::runs("an ALTER that does nothing", "-", "`alter`", &["ALTER TABLE shop.orders"]),
        Case::runs("a table mended", "-", "shop-db", &["REPAIR TABLE shop.plain"]),
        Case::runs("a table optimised", "-", "shop-db", &["OPTIMIZE TABLE shop.orders"]),
        Case::runs("a table analysed", "-", "shop-db", &["ANALYZE TABLE vault.users"]),
    ]
}

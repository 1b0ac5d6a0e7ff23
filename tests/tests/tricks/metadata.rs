//! Catalogue 5.4: what servers tell about themselves and what is in them.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [plans(), definitions(), statements(), accounts(), server()].concat()
}

fn plans() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks(
            "a plan's warning",
            "B084",
            &["EXPLAIN FORMAT=TRADITIONAL SELECT * FROM vault.users WHERE id = 1", "SHOW WARNINGS"],
        )
        .mysql(),
        leaks(
            "an extended plan's warning",
            "B084",
            &["EXPLAIN EXTENDED SELECT * FROM vault.users WHERE id = 1", "SHOW WARNINGS"],
        )
        .mariadb(),
        Case::runs("a plan in JSON", "B085", "vault", &["EXPLAIN FORMAT=JSON SELECT * FROM vault.users"]),
        Case::runs("a plan of a DELETE", "B085", "vault", &["EXPLAIN DELETE FROM vault.users WHERE id = 1"]),
        Case::runs("another connection's plan", "B085", "shop-db", &["EXPLAIN FOR CONNECTION 1"]).not_directly(),
        leaks(
            "statistics of columns",
            "B087",
            &["ANALYZE TABLE vault.users PERSISTENT FOR ALL", "SELECT * FROM mysql.column_stats"],
        )
        .mariadb()
        .why("shop-db"),
        leaks(
            "histograms",
            "B087",
            &[
                "ANALYZE TABLE vault.users UPDATE HISTOGRAM ON pin WITH 8 BUCKETS",
                "SELECT histogram FROM information_schema.column_statistics",
            ],
        )
        .mysql()
        .why("shop-db"),
    ]
}

fn definitions() -> Vec<Case> {
    let leaks = |name: &'static str, text: &str| Case::leaks(name, "B089", &[text]).why("shop-db/");
    vec![
        leaks("a table's definition", "SHOW CREATE TABLE vault.users"),
        leaks("a table's columns", "SHOW COLUMNS FROM vault.users"),
        leaks("a table's fields", "SHOW FULL FIELDS IN users IN vault"),
        leaks("a table described", "DESCRIBE vault.users"),
        leaks("a table described shortly", "DESC vault.users hint"),
        leaks("a table explained", "EXPLAIN vault.users"),
        leaks("a table's state", "SHOW TABLE STATUS FROM vault"),
        leaks(
            "columns by a query",
            "SELECT column_default FROM information_schema.columns WHERE table_schema = 'vault'",
        ),
        leaks("columns by a query in another case", "SELECT COLUMN_DEFAULT FROM INFORMATION_SCHEMA.COLUMNS"),
        leaks("columns by a query in a comment", "SELECT column_default FROM /*!information_schema*/./*!columns*/"),
        leaks("comments by a query", "SELECT table_comment FROM information_schema.tables"),
        Case::leaks("columns after USE", "B089", &["USE information_schema", "SELECT column_default FROM columns"])
            .why("shop-db/"),
        Case::shows("a schema's tables", "B089", "plain", &["SHOW TABLES FROM vault"]),
        Case::shows("schemas", "B089", "vault", &["SHOW DATABASES"]).why("`show`"),
        Case::shows("schemas of another word", "B089", "vault", &["SHOW SCHEMAS LIKE 'va%'"]).why("`show`"),
        Case::runs("a schema's definition", "B089", "vault", &["SHOW CREATE DATABASE vault"]),
        Case::runs("a table's indexes", "B116", "vault", &["SHOW INDEX FROM vault.users"]),
        Case::runs("a table's keys", "B116", "vault", &["SHOW KEYS IN users FROM vault"]),
        Case::runs("a table's checksum", "B116", "vault", &["CHECKSUM TABLE vault.users"]),
        Case::runs("a schema's triggers", "B089", "vault", &["SHOW TRIGGERS FROM vault"]),
        Case::runs("a schema's events", "B089", "vault", &["SHOW EVENTS FROM vault"]),
        Case::runs("open tables", "B089", "vault", &["SHOW OPEN TABLES FROM vault"]),
        Case::shows(
            "a view's definition in a table's words",
            "B089",
            "shop`.`orders",
            &["SHOW CREATE TABLE shop.items"],
        )
        .harmless(),
    ]
}

const OTHERS: &str = "SELECT sql_text FROM performance_schema.events_statements_history_long";

fn statements() -> Vec<Case> {
    let leaks = |name: &'static str, id: &'static str, text: &str| Case::leaks(name, id, &[text]).why("shop-db");
    vec![
        leaks("statements of others", "B091", OTHERS).mysql(),
        // MariaDB keeps none unless it is told to while it runs.
        leaks("statements of others, if any", "B091", OTHERS).mariadb().not_directly(),
        leaks("the general log", "B093", "SELECT argument FROM mysql.general_log"),
        leaks("events of the binary log", "B095", "SHOW BINLOG EVENTS"),
        Case::runs("binary logs", "B095", "shop-db", &["SHOW BINARY LOGS"]),
        Case::runs("the sessions of others", "B091", "shop-db", &["SHOW FULL PROCESSLIST"]),
        Case::runs(
            "the sessions of others in a query",
            "B091",
            "shop-db",
            &["SELECT info FROM information_schema.processlist"],
        ),
        Case::runs("the state of InnoDB", "B091", "shop-db", &["SHOW ENGINE INNODB STATUS"]),
        Case::runs("a view of sys", "B091", "shop-db", &["SELECT * FROM sys.version"]),
    ]
}

fn accounts() -> Vec<Case> {
    vec![
        Case::shows("own rights", "B097", "GRANT ALL", &["SHOW GRANTS"]).why("shop-db").mariadb(),
        Case::runs("own rights of MySQL", "B097", "shop-db", &["SHOW GRANTS FOR CURRENT_USER()"]),
        Case::runs("an account's definition", "B097", "shop-db", &["SHOW CREATE USER CURRENT_USER()"]),
        Case::runs("hashes", "B097", "shop-db/mysql", &["SELECT authentication_string FROM mysql.user"]),
        Case::runs("hashes of MariaDB", "B097", "shop-db/mysql", &["SELECT Priv FROM mysql.global_priv"]).mariadb(),
        Case::runs("rights in a query", "B097", "shop-db", &["SELECT * FROM information_schema.user_privileges"]),
    ]
}

fn server() -> Vec<Case> {
    vec![
        Case::shows("where the data are", "B098", "{dir}/data", &["SELECT @@datadir"]).why("`show` on `shop-db`"),
        Case::shows("where the data are, global", "B098", "{dir}/data", &["SELECT @@GLOBAL.datadir AS x"])
            .why("`show` on `shop-db`"),
        Case::shows("where the socket is, concatenated", "B098", "{dir}/s", &["SELECT CONCAT('=', @@socket)"])
            .why("`show` on `shop-db`"),
        Case::shows("where the socket is, in a user variable", "B098", "{dir}/s", &["SET @x = @@socket", "SELECT @x"])
            .why("`show` on `shop-db`"),
        Case::runs("replication", "B095", "shop-db", &["SHOW REPLICA STATUS"]),
        Case::runs("plugins", "B091", "shop-db", &["SHOW PLUGINS"]),
        Case::runs("servers", "B091", "shop-db/mysql", &["SELECT * FROM mysql.servers"]),
    ]
}

//! Catalogue 5.6: accounts, variables of the server, locks, and the server's life.

use crate::case::Case;

const ACCOUNTS: &str = "SELECT GROUP_CONCAT(user ORDER BY user) FROM mysql.user";

pub(crate) fn cases() -> Vec<Case> {
    [accounts(), variables(), locks(), life()].concat()
}

fn accounts() -> Vec<Case> {
    let runs = |name: &'static str, text: &str| Case::runs(name, "B121", "shop-db", &[text]);
    let changes = |name: &'static str, text: &str| Case::changes(name, "B121", ACCOUNTS, &[text]).why("shop-db");
    vec![
        changes("an account made", "CREATE USER mallory IDENTIFIED BY 'x'"),
        changes("an account made in a comment", "/*!50000 CREATE USER mallory */"),
        changes("a role made", "CREATE ROLE intruders"),
        runs("an own password", "SET PASSWORD = 'x'").not_directly(),
        runs("a password of old", "SET PASSWORD FOR CURRENT_USER() = PASSWORD('x')").mariadb().not_directly(),
        runs("another's password", "ALTER USER root@localhost IDENTIFIED BY 'x'").not_directly(),
        runs("rights given", "GRANT SELECT ON vault.* TO CURRENT_USER()").not_directly(),
        runs("rights taken", "REVOKE ALL ON *.* FROM root@localhost").not_directly(),
        runs("an account dropped", "DROP USER root@localhost").not_directly(),
        runs("an account renamed", "RENAME USER root@localhost TO mallory@localhost").not_directly(),
        runs("a role taken", "SET ROLE NONE"),
        runs("a default role", "SET DEFAULT ROLE NONE FOR agent@'127.%'").mariadb(),
        runs("privileges read anew", "FLUSH PRIVILEGES"),
        Case::changes("an account in its table", "B121", ACCOUNTS, &[
            "INSERT INTO mysql.user (host, user, ssl_cipher, x509_issuer, x509_subject) VALUES ('%', 'mallory', '', '', '')",
        ])
        .why("shop-db/mysql")
        .mysql(),
    ]
}

fn variables() -> Vec<Case> {
    let global = "SELECT @@GLOBAL.max_connections, @@GLOBAL.sql_mode, @@GLOBAL.init_connect";
    let back =
        "SET GLOBAL max_connections = 3000; SET GLOBAL sql_mode = 'STRICT_TRANS_TABLES'; SET GLOBAL init_connect = ''";
    let changes =
        |name: &'static str, text: &str| Case::changes(name, "B020", global, &[text]).why("`set_global`").undo(back);
    let runs = |name: &'static str, id: &'static str, text: &str| Case::runs(name, id, "shop-db", &[text]);
    vec![
        changes("a variable of the server", "SET GLOBAL max_connections = 100"),
        changes("a variable of the server by signs", "SET @@GLOBAL.max_connections = 101"),
        changes("a variable of the server in a comment", "SET /*! GLOBAL */ max_connections = 102"),
        changes("a variable of the server among others", "SET autocommit = 1, GLOBAL max_connections = 103"),
        changes("what every connection begins with", "SET GLOBAL init_connect = 'SET NAMES gbk'"),
        changes("how every connection reads", "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'"),
        runs("a variable that stays", "B020", "SET PERSIST max_connections = 104")
            .mysql()
            .undo("RESET PERSIST; SET GLOBAL max_connections = 3000"),
        runs("a variable that stays, later", "B020", "SET PERSIST_ONLY max_connections = 105")
            .mysql()
            .undo("RESET PERSIST"),
        runs("no binary log", "B123", "SET sql_log_bin = 0"),
        runs("somebody else's thread", "B123", "SET pseudo_thread_id = 1"),
        runs("checks of keys", "B123", "SET GLOBAL foreign_key_checks = 0").undo("SET GLOBAL foreign_key_checks = 1"),
        runs("a server that cannot be written", "B123", "SET GLOBAL read_only = 1").undo("SET GLOBAL read_only = 0"),
        runs("isolation of everybody", "B123", "SET GLOBAL TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
            .undo("SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    ]
}

fn locks() -> Vec<Case> {
    let runs = |name: &'static str, text: &str| Case::runs(name, "B123", "shop-db", &[text]);
    vec![
        runs("tables locked", "LOCK TABLES vault.users WRITE"),
        runs("a table locked for reading", "LOCK TABLE shop.orders READ"),
        runs("an instance locked", "LOCK INSTANCE FOR BACKUP").mysql(),
        runs("a backup's stage", "BACKUP STAGE START").mariadb(),
        runs("a table locked by FLUSH", "FLUSH TABLES shop.orders WITH READ LOCK"),
        runs("all tables locked", "FLUSH TABLES WITH READ LOCK"),
        runs("a transaction left behind", "XA START 'left'"),
        Case::runs("transactions found", "B123", "shop-db", &["XA RECOVER"]),
    ]
}

fn life() -> Vec<Case> {
    let runs = |name: &'static str, text: &str| Case::runs(name, "B123", "shop-db", &[text]).not_directly();
    vec![
        runs("a shutdown", "SHUTDOWN"),
        runs("a shutdown in a comment", "/*! SHUTDOWN */"),
        runs("a restart", "RESTART").mysql(),
        runs("a connection killed", "KILL 1"),
        runs("a statement killed", "KILL QUERY 1"),
        runs("an account's connections killed", "KILL USER root").mariadb(),
        runs("binary logs reset", "RESET MASTER"),
        runs("binary logs purged", "PURGE BINARY LOGS BEFORE NOW()"),
        runs("logs flushed", "FLUSH LOGS"),
        runs("a key renewed", "ALTER INSTANCE ROTATE INNODB MASTER KEY").mysql(),
        runs("a group of resources", "CREATE RESOURCE GROUP intruders TYPE = USER").mysql(),
        runs("no undo", "ALTER UNDO TABLESPACE innodb_undo_001 SET INACTIVE").mysql(),
        runs("a cache", "CACHE INDEX shop.plain IN hot").mariadb(),
    ]
}

//! Catalogue 5.6: files of the server and of the client, other servers, plugins.

use crate::{case::Case, talk::FILE_ASKED};

pub(crate) fn cases() -> Vec<Case> {
    [read(), written(), others()].concat()
}

fn read() -> Vec<Case> {
    let leaks = |name: &'static str, texts: &[&str]| Case::leaks(name, "B117", texts).why("shop-db");
    let asks = |name: &'static str, text: &str| Case::shows(name, "B118", FILE_ASKED, &[text]).why("shop-db");
    vec![
        leaks("a file", &["SELECT LOAD_FILE('{dir}/secret.txt')"]),
        leaks("a file in a comment", &["SELECT /*! LOAD_FILE('{dir}/secret.txt') */"]),
        leaks("a file in a variable", &["SET @x = LOAD_FILE('{dir}/secret.txt')", "SELECT @x"]),
        leaks("a file by DO", &["DO EXTRACTVALUE(1, CONCAT('~', LOAD_FILE('{dir}/secret.txt')))"]),
        leaks("a file's name in hexadecimal", &["SELECT load_file (CONCAT('{dir}/', 0x7365637265742E747874))"]),
        leaks(
            "a file into a table",
            &["LOAD DATA INFILE '{dir}/secret.txt' INTO TABLE shop.plain (word)", "SELECT word FROM shop.plain"],
        ),
        leaks(
            "a file into a temporary table",
            &[
                "CREATE TEMPORARY TABLE loaded (word TEXT)",
                "LOAD DATA INFILE '{dir}/secret.txt' INTO TABLE loaded",
                "SELECT * FROM loaded",
            ],
        ),
        leaks(
            "a file's rows into a variable",
            &["LOAD DATA INFILE '{dir}/secret.txt' INTO TABLE shop.plain (@x)", "SELECT @x"],
        ),
        Case::runs("XML", "B117", "shop-db", &["LOAD XML INFILE '{dir}/secret.txt' INTO TABLE shop.plain"]),
        asks("the client's file", "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE shop.plain"),
        asks("the client's file in a comment", "LOAD DATA /*! LOCAL */ INFILE '/etc/hostname' INTO TABLE shop.plain"),
        asks("the client's XML", "LOAD XML LOCAL INFILE '/etc/hostname' INTO TABLE shop.plain"),
        asks(
            "the client's file for what may not be written",
            "LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' REPLACE INTO TABLE vault.plain",
        ),
    ]
}

fn written() -> Vec<Case> {
    let file = |name: &'static str, texts: &[&str]| Case::file(name, "B117", "written.txt", texts).why("shop-db");
    vec![
        file("a file written", &["SELECT 'x' INTO OUTFILE '{dir}/written.txt'"]),
        file("rows written", &["SELECT item FROM orders INTO OUTFILE '{dir}/written.txt'"]),
        file("rows written in the middle", &["SELECT item INTO OUTFILE '{dir}/written.txt' FROM orders"]),
        file(
            "rows written with a form",
            &[
                "SELECT item INTO OUTFILE '{dir}/written.txt' CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' LINES TERMINATED BY '\\n' FROM orders",
            ],
        ),
        file("bytes written", &["SELECT item FROM orders LIMIT 1 INTO DUMPFILE '{dir}/written.txt'"]),
        file("a union written", &["SELECT 1 UNION SELECT 2 INTO OUTFILE '{dir}/written.txt'"]),
        file("a file written in a comment", &["SELECT 'x' /*! INTO OUTFILE '{dir}/written.txt' */"]),
        file("TABLE written", &["TABLE shop.orders INTO OUTFILE '{dir}/written.txt'"]).mysql(),
        file(
            "a file written by a prepared text",
            &["PREPARE s FROM 'SELECT ''x'' INTO OUTFILE ''{dir}/written.txt'''", "EXECUTE s"],
        ),
        Case::runs("a log's file", "B117", "shop-db", &["SET GLOBAL general_log_file = '{dir}/general2.log'"])
            .undo("SET GLOBAL general_log_file = 'general.log'"),
        Case::runs("a slow log's file", "B117", "shop-db", &["SET GLOBAL slow_query_log_file = '{dir}/slow2.log'"])
            .undo("SET GLOBAL slow_query_log_file = 'slow.log'"),
        Case::runs(
            "a table somewhere else",
            "B117",
            "shop-db/",
            &["CREATE TABLE shop.elsewhere (id INT) ENGINE = MyISAM DATA DIRECTORY = '/tmp'"],
        )
        .not_directly(),
    ]
}

fn others() -> Vec<Case> {
    let runs = |name: &'static str, text: &str| Case::runs(name, "B119", "shop-db", &[text]);
    vec![
        runs("a server made", "CREATE SERVER away FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', DATABASE 'x')")
            .undo("DROP SERVER away"),
        runs(
            "a table of another server",
            "CREATE TABLE shop.away (id INT) ENGINE = FEDERATED CONNECTION = 'mysql://x@127.0.0.1/x/y'",
        )
        .not_directly(),
        runs("a table that is a file", "CREATE TABLE shop.away (id INT NOT NULL) ENGINE = CSV"),
        runs("a plugin by its file", "INSTALL SONAME 'ha_federatedx'").mariadb().not_directly(),
        runs("a plugin", "INSTALL PLUGIN federated SONAME 'ha_federated.so'").not_directly(),
        runs("a component", "INSTALL COMPONENT 'file://component_validate_password'").mysql().not_directly(),
        runs("a plugin taken out", "UNINSTALL PLUGIN binlog").not_directly(),
        runs("a table imported", "IMPORT TABLE FROM '/tmp/x.sdi'").mysql().not_directly(),
        runs("a tablespace imported", "ALTER TABLE shop.orders IMPORT TABLESPACE").not_directly(),
        runs("a server cloned", "CLONE LOCAL DATA DIRECTORY = '/tmp/cloned'").mysql().not_directly(),
        runs("replication begun", "CHANGE MASTER TO MASTER_HOST = '127.0.0.1'").mariadb().undo("RESET SLAVE ALL"),
        runs("replication begun in new words", "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1'")
            .mysql()
            .undo("RESET REPLICA ALL"),
        runs("an event of the binary log", "BINLOG 'AAAA'").not_directly(),
        runs("a tablespace", "CREATE TABLESPACE ts ADD DATAFILE 'ts.ibd'").mysql().undo("DROP TABLESPACE ts"),
    ]
}

//! What is replaced and what is not.

use super::*;

#[track_caller]
fn check(statement: &str, expected: &str) {
    let redacted = sql(statement.as_bytes(), Some(Quoting::default()));
    assert_eq!(String::from_utf8_lossy(&redacted), expected);
}

#[track_caller]
fn check_kept(statement: &str) {
    assert!(matches!(sql(statement.as_bytes(), Some(Quoting::default())), Cow::Borrowed(_)), "{statement} was changed");
}

#[test]
fn passwords_of_accounts_are_replaced_and_names_are_not() {
    check("CREATE USER 'a'@'%' IDENTIFIED BY 's3cret'", "CREATE USER 'a'@'%' IDENTIFIED BY '<redacted>'");
    check(
        "create user a identified by 'x', 'b'@'h' identified by \"y\" require x509",
        "create user a identified by '<redacted>', 'b'@'h' identified by '<redacted>' require x509",
    );
    check("GRANT ALL ON *.* TO 'a'@'%' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO 'a'@'%' IDENTIFIED BY '<redacted>'");
    check("ALTER USER a IDENTIFIED BY PASSWORD '*0F'", "ALTER USER a IDENTIFIED BY PASSWORD '<redacted>'");
    check(
        "ALTER USER a IDENTIFIED WITH 'caching_sha2_password' BY 'new' REPLACE 'old' RETAIN CURRENT PASSWORD",
        "ALTER USER a IDENTIFIED WITH 'caching_sha2_password' BY '<redacted>' REPLACE '<redacted>' RETAIN CURRENT PASSWORD",
    );
    check(
        "CREATE USER a IDENTIFIED WITH caching_sha2_password AS 0x24412430",
        "CREATE USER a IDENTIFIED WITH caching_sha2_password AS '<redacted>'",
    );
    check(
        "CREATE USER a IDENTIFIED WITH caching_sha2_password AS X'2441'",
        "CREATE USER a IDENTIFIED WITH caching_sha2_password AS '<redacted>'",
    );
    check(
        "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('x') OR unix_socket",
        "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('<redacted>') OR unix_socket",
    );
}

#[test]
fn set_password_and_options_are_replaced() {
    check("SET PASSWORD = 'x'", "SET PASSWORD = '<redacted>'");
    check(
        "SET PASSWORD FOR 'bob'@'%' = 'x' REPLACE 'y'",
        "SET PASSWORD FOR 'bob'@'%' = '<redacted>' REPLACE '<redacted>'",
    );
    check("SET PASSWORD FOR bob=OLD_PASSWORD('x')", "SET PASSWORD FOR bob=OLD_PASSWORD('<redacted>')");
    check("SET PASSWORD FOR 'bob'@'%' TO 'x'", "SET PASSWORD FOR 'bob'@'%' TO '<redacted>'");
    check(
        "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD = 'x', MASTER_PORT=3306",
        "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD = '<redacted>', MASTER_PORT=3306",
    );
    check(
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'x', PORT 1)",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD '<redacted>', PORT 1)",
    );
    check(
        "UPDATE mysql.user SET `Password` = 'x' WHERE User = 'a'",
        "UPDATE mysql.user SET `Password` = '<redacted>' WHERE User = 'a'",
    );
    check(
        "CHANGE REPLICATION SOURCE TO SOURCE_USER='r', SOURCE_PASSWORD='x', SOURCE_SSL_KEY='k.pem' FOR CHANNEL 'c'",
        "CHANGE REPLICATION SOURCE TO SOURCE_USER='r', SOURCE_PASSWORD='<redacted>', SOURCE_SSL_KEY='k.pem' FOR CHANNEL 'c'",
    );
    check("START REPLICA USER = 'r' PASSWORD = 'x'", "START REPLICA USER = 'r' PASSWORD = '<redacted>'");
    check("START GROUP_REPLICATION USER='r', PASSWORD='x'", "START GROUP_REPLICATION USER='r', PASSWORD='<redacted>'");
    check(
        "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY 'x'",
        "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY '<redacted>'",
    );
    check("ALTER SERVER s OPTIONS (PASSWORD 'x')", "ALTER SERVER s OPTIONS (PASSWORD '<redacted>')");
    check("SELECT PASSWORD(_utf8mb4'x')", "SELECT PASSWORD('<redacted>')");
}

#[test]
fn quotes_comments_and_cuts_do_not_hide_a_secret() {
    check(r"SET PASSWORD = 'a\'b''c'", "SET PASSWORD = '<redacted>'");
    check("SET PASSWORD = 'a' 'b'", "SET PASSWORD = '<redacted>' '<redacted>'");
    check("ALTER USER a IDENTIFIED /* ' */ BY -- '\n 'x'", "ALTER USER a IDENTIFIED /* ' */ BY -- '\n '<redacted>'");
    check("ALTER USER a IDENTIFIED # '\nBY 'x'", "ALTER USER a IDENTIFIED # '\nBY '<redacted>'");
    check("/*!50000 ALTER USER a IDENTIFIED BY 'x' */", "/*!50000 ALTER USER a IDENTIFIED BY '<redacted>' */");
    check("ALTER USER a IDENTIFIED BY 'unfinished", "ALTER USER a IDENTIFIED BY '<redacted>'");
    check("SELECT 1; SET PASSWORD = 'x'; SELECT 'y'", "SELECT 1; SET PASSWORD = '<redacted>'; SELECT 'y'");
    check(r"PREPARE p FROM 'ALTER USER a IDENTIFIED BY \'x\''", "PREPARE p FROM '<redacted>'");
    check("SET @s = 'SET PASSWORD = ''x'''", "SET @s = '<redacted>'");
}

#[test]
fn statements_without_secrets_are_borrowed_unchanged() {
    check_kept("SELECT * FROM orders WHERE state = 'open'");
    check_kept("SELECT 'identified by' AS phrase, name FROM users");
    check_kept("INSERT INTO notes VALUES ('my password is not here')");
    check_kept("SELECT password FROM users WHERE name = 'bob'");
    check_kept("SELECT `password` FROM `users` WHERE `name` = 'bob'");
    check_kept("");
}
#[test]
fn set_password_is_found_wherever_it_stands() {
    for before in [
        "CREATE PROCEDURE p() ",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO ",
        "CREATE PROCEDURE p() IF a = 'x' THEN ",
        "CREATE PROCEDURE p() BEGIN SELECT 'x' INTO y; ",
        "BEGIN NOT ATOMIC ",
        "label: LOOP ",
    ] {
        check(
            &format!("{before}SET PASSWORD FOR 'bob'@'%' = 'S'; END"),
            &format!("{before}SET PASSWORD FOR 'bob'@'%' = '<redacted>'; END"),
        );
        check(
            &format!("{before}SET PASSWORD = 'S' REPLACE 'T'"),
            &format!("{before}SET PASSWORD = '<redacted>' REPLACE '<redacted>'"),
        );
        check(
            &format!("{before}SET @s = 'ALTER USER a IDENTIFIED BY \"S\"'"),
            &format!("{before}SET @s = '<redacted>'"),
        );
        check(
            &format!("{before}EXECUTE IMMEDIATE 'SET PASSWORD = \"S\"'"),
            &format!("{before}EXECUTE IMMEDIATE '<redacted>'"),
        );
    }
    check(
        "UPDATE t SET password = 'S', name = 'bob' WHERE id = 'x'",
        "UPDATE t SET password = '<redacted>', name = 'bob' WHERE id = 'x'",
    );
}

#[test]
fn what_stands_between_a_secret_and_its_name_does_not_hide_it() {
    check("SELECT PASSWORD( _utf8 'S')", "SELECT PASSWORD( _utf8 '<redacted>')");
    check("ALTER USER a IDENTIFIED BY _utf8mb4 'S'", "ALTER USER a IDENTIFIED BY _utf8mb4 '<redacted>'");
    check("ALTER USER a IDENTIFIED BY _utf8mb4/**/'S'", "ALTER USER a IDENTIFIED BY _utf8mb4/**/'<redacted>'");
    check("ALTER USER a IDENTIFIED BY\x0b'S'", "ALTER USER a IDENTIFIED BY\x0b'<redacted>'");
    check("ALTER USER a IDENTIFIED --\x0b'\nBY 'S'", "ALTER USER a IDENTIFIED --\x0b'\nBY '<redacted>'");
    check("ALTER USER a IDENTIFIED BY /*!50000 */ 'S'", "ALTER USER a IDENTIFIED BY /*!50000 */ '<redacted>'");
    check(
        "SET PASSWORD = PASSWORD(CONCAT('S', lower('T'))), @x = 'y'",
        "SET PASSWORD = PASSWORD(CONCAT('<redacted>', lower('<redacted>'))), @x = '<redacted>'",
    );
    check(
        "SELECT 'a' FROM t WHERE password = SHA2('S', 256) AND b = lower('c')",
        "SELECT 'a' FROM t WHERE password = SHA2('<redacted>', 256) AND b = lower('c')",
    );
    check("SELECT 'a' FROM t WHERE password <=> 'S'", "SELECT 'a' FROM t WHERE password <=> '<redacted>'");
}

#[test]
fn secrets_of_tables_elsewhere_are_replaced() {
    check(
        "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:S@h/d/t'",
        "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='<redacted>'",
    );
    check(
        "CREATE TABLE t (a INT COMMENT 'of what') ENGINE=SPIDER COMMENT='wrapper \"mysql\", password \"S\"'",
        "CREATE TABLE t (a INT COMMENT 'of what') ENGINE=SPIDER COMMENT='<redacted>'",
    );
    check(
        "CREATE TABLE t ENGINE=CONNECT OPTION_LIST='user=u,password=S'",
        "CREATE TABLE t ENGINE=CONNECT OPTION_LIST='<redacted>'",
    );
    check(
        "EXECUTE IMMEDIATE 'CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION=\"mysql://u:S@h/d/t\"'",
        "EXECUTE IMMEDIATE '<redacted>'",
    );
}

#[test]
fn secrets_of_variables_and_functions_are_replaced() {
    for name in [
        "wsrep_sst_auth",
        "@@global.wsrep_sst_auth",
        "authentication_ldap_simple_bind_root_pwd",
        "s3_secret_key",
        "keyring_hashicorp_secret_id",
        "ssl_passphrase",
        "`authentication_string`",
    ] {
        check(&format!("SET GLOBAL {name}='u:S'"), &format!("SET GLOBAL {name}='<redacted>'"));
    }
    check("SELECT audit_log_encryption_password_set('S')", "SELECT audit_log_encryption_password_set('<redacted>')");
    check("UPDATE u SET authentication_string = 'S'", "UPDATE u SET authentication_string = '<redacted>'");
}

#[test]
fn a_literal_ends_where_the_session_has_it_end() {
    let statement = r"ALTER USER a IDENTIFIED BY 'x\', b IDENTIFIED BY 'S'";
    let of = |quoting| String::from_utf8(sql(statement.as_bytes(), quoting).into_owned()).unwrap();
    let literal = Some(Quoting { no_backslash_escapes: true, ansi_quotes: false });
    assert_eq!(of(literal), "ALTER USER a IDENTIFIED BY '<redacted>', b IDENTIFIED BY '<redacted>'");
    assert!(!of(None).contains('S') || !of(None).contains("'S'"), "{}", of(None));

    let statement = r#"UPDATE u SET "password" = 'S', "a\" = 'b'"#;
    let ansi = Some(Quoting { no_backslash_escapes: false, ansi_quotes: true });
    for quoting in [ansi, None] {
        let redacted = sql(statement.as_bytes(), quoting).into_owned();
        assert_eq!(String::from_utf8(redacted).unwrap(), r#"UPDATE u SET "password" = '<redacted>', "a\" = 'b'"#);
    }
}

/// An agent could have parts of what it runs left out otherwise.
#[test]
fn where_quotes_are_known_nothing_but_literals_is_replaced() {
    check_kept(r"DELETE FROM t WHERE a = 'it\'s a password' AND b = 'c'");
    let literal = Some(Quoting { no_backslash_escapes: true, ansi_quotes: false });
    let statement = br"DELETE FROM t WHERE a = 'password\' AND b = 'c'";
    assert!(matches!(sql(statement, literal), Cow::Borrowed(_)));
}

#[test]
fn a_comment_that_only_some_servers_run_hides_no_secret() {
    check(
        "/*!99999 ' */ ALTER USER a IDENTIFIED BY 'S' -- '",
        "/*!99999 ' */ ALTER USER a IDENTIFIED BY '<redacted>' -- '",
    );
    check("/*!50000 ALTER USER a IDENTIFIED BY 'S' -- */", "/*!50000 ALTER USER a IDENTIFIED BY '<redacted>' -- */");
    check(
        "/*M!100000 /* ' */ ' */ SET PASSWORD = 'S' -- '",
        "/*M!100000 /* ' */ ' */ SET PASSWORD = '<redacted>' -- '",
    );
}

#[test]
fn names_and_words_alone_are_kept() {
    check_kept("INSTALL PLUGIN x SONAME 'auth_secret.so'");
    check_kept("SHOW VARIABLES LIKE 'validate password%'");
    check_kept("REPLACE INTO notes VALUES ('my password is not here')");
    check_kept("SET character_set_connection = 'utf8mb4'");
    check_kept("SELECT CONNECTION_ID(), 'x'");
    check_kept("SELECT password FROM (SELECT 'x') AS t WHERE (a = 'y')");
    check_kept("SET GLOBAL default_authentication_plugin = 'mysql_native_password'");
}

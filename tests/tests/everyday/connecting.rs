//! What drivers say when they connect and in a day's work: the programs of the matrix, under a policy that permits what
//! they are written to do.

use crate::run::Work;
use anyhow::Result;
use portreeve_tests::{client::program, host, servers::Flavour};
use std::{fs, process::Command};

/// `several` is a procedure that the programs call, `FILE` a file of theirs that they load.
const POLICY: &str = r#"
@id("client-session") permit (principal, action in Action::"session", resource in Server::"shop-db");
@id("client-works")
permit (principal, action in [Action::"read", Action::"write"], resource in Schema::"shop-db/SCHEMA");
@id("client-looks-at-columns")
permit (principal, action == Action::"select", resource == Table::"shop-db/information_schema.columns");
@id("client-calls-and-loads")
permit (principal, action in [Action::"call", Action::"local_infile"], resource in Server::"shop-db");
"#;

/// Names of tests: the path of a program, and what follows FILE in its arguments.
macro_rules! clients {
    ($($name:ident: $path:literal $($argument:literal)?;)*) => {
        $(pub(crate) fn $name(flavour: Flavour) {
            check(flavour, stringify!($name), || program($path), &[$($argument)?]);
        })*
    };
}

clients! {
    pymysql: "python/with_pymysql.py";
    connector_pure: "python/with_connector.py" "pure";
    connector_c: "python/with_connector.py" "c";
    node_mysql2: "node/with_mysql2.js";
    node_mysql: "node/with_mysql.js";
    perl_mysql: "perl/dbi.pl" "mysql";
    perl_mariadb: "perl/dbi.pl" "MariaDB";
    php_mysqli: "php/with_mysqli.php";
    php_pdo: "php/with_pdo.php";
    ruby: "ruby/with_mysql2.rb";
    java: "java/Connector.java";
    sqlx: "rust/sqlx";
    mysql_async: "rust/mysql_async";
}

/// Debian's, for Debian's Python.
pub(crate) fn mysqlclient(flavour: Flavour) {
    fn debian() -> Result<Command> {
        let mut python = Command::new("/usr/bin/python3");
        python.args(program("python/with_mysqlclient.py")?.get_args());
        Ok(python)
    }
    check(flavour, "mysqlclient", debian, &[]);
}

fn check(flavour: Flavour, name: &str, program: fn() -> Result<Command>, more: &[&str]) {
    let work = Work::new(flavour, &format!("everyday_{name}"), POLICY);
    let clients = host::repo_root().join("tests/clients");
    let tables = fs::read_to_string(clients.join("schema.sql")).unwrap();
    let rows = clients.join("rows.tsv").display().to_string();
    let arguments: Vec<_> = std::iter::once(rows).chain(more.iter().map(|&word| word.to_owned())).collect();
    work.through(&tables, program, &arguments);
}

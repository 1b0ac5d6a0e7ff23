//! Web applications: an ORM's tables, migrations, queries and transactions (`tests/clients/python/app_*.py`).

use crate::run::Work;
use anyhow::{Context as _, Result};
use portreeve_tests::{client::program, host, servers::Flavour};
use std::{fs, process::Command};

/// Everything in one schema, and looking at what is there, as frameworks do when they migrate.
const APPLICATION: &str = r#"
@id("app-session") permit (principal, action in Action::"session", resource in Server::"shop-db");
@id("app-owns-its-schema")
permit (principal, action in [Action::"read", Action::"write", Action::"ddl"], resource in Schema::"shop-db/SCHEMA");
@id("app-looks-at-definitions")
permit (principal, action == Action::"select", resource in Schema::"shop-db/information_schema");
@id("app-lists-schemas")
permit (principal, action == Action::"show", resource == Server::"shop-db");
"#;

fn check(flavour: Flavour, name: &str, program: fn() -> Result<Command>, driver: &str) {
    Work::new(flavour, &format!("everyday_{name}"), APPLICATION).both_ways("", program, &[driver.to_owned()]);
}

fn django() -> Result<Command> {
    program("python/app_django.py")
}

pub(crate) fn django_on_pymysql(flavour: Flavour) {
    check(flavour, "django_pymysql", django, "pymysql");
}

/// mysqlclient is Debian's, for Debian's Python; Django and what else is pure comes from where the other clients are.
pub(crate) fn django_on_mysqlclient(flavour: Flavour) {
    fn debian() -> Result<Command> {
        let mut python = Command::new("/usr/bin/python3");
        python.args(django()?.get_args());
        // `python3.11` or another: the only folder there.
        let versions = fs::read_dir(host::provisioned().join("clients/python/lib"))?;
        let version =
            versions.flatten().next().context("no libraries of the Python clients: run `cargo xtask setup`")?;
        python.env("PYTHONPATH", version.path().join("site-packages"));
        Ok(python)
    }
    check(flavour, "django_mysqlclient", debian, "mysqlclient");
}

fn sqlalchemy() -> Result<Command> {
    program("python/app_sqlalchemy.py")
}

pub(crate) fn sqlalchemy_on_pymysql(flavour: Flavour) {
    check(flavour, "sqlalchemy_pymysql", sqlalchemy, "pymysql");
}

pub(crate) fn sqlalchemy_on_connector(flavour: Flavour) {
    check(flavour, "sqlalchemy_connector", sqlalchemy, "mysqlconnector");
}

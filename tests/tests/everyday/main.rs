//! No false alarms: what people run every day, under a policy written for it, with nothing denied and nothing unread. Each
//! program also runs on a direct connection, so that a failure is Portreeve's.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod applications;
mod connecting;
mod dumps;
mod run;
mod sysbench;

/// One test per program and server, so that a failure names both.
macro_rules! everyday {
    ($($module:ident::$program:ident)*) => {
        mod mariadb {
            $(#[test]
            fn $program() {
                crate::$module::$program(portreeve_tests::servers::Flavour::MariaDb);
            })*
        }
        mod mysql {
            $(#[test]
            fn $program() {
                crate::$module::$program(portreeve_tests::servers::Flavour::MySql);
            })*
        }
    };
}

everyday! {
    applications::django_on_pymysql applications::django_on_mysqlclient
    applications::sqlalchemy_on_pymysql applications::sqlalchemy_on_connector
    dumps::mariadb_dump dumps::mysqldump
    sysbench::oltp_read_write
    connecting::pymysql connecting::mysqlclient connecting::connector_pure connecting::connector_c
    connecting::node_mysql2 connecting::node_mysql connecting::perl_mysql connecting::perl_mariadb
    connecting::php_mysqli connecting::php_pdo connecting::ruby connecting::java connecting::sqlx connecting::mysql_async
}

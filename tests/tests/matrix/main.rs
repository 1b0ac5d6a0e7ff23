//! The client matrix: every client that people use, unmodified, does the same work directly and through Portreeve, on both
//! servers, and must say the same. `tests/clients/README.md` lists the steps; [`clients`] the clients.
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

mod clients;
mod compare;
mod steps;
mod sysbench;
mod work;

/// One test per client and server, so that a failure names both.
macro_rules! matrix {
    ($($client:ident)*) => {
        mod mariadb {
            $(#[test]
            fn $client() {
                crate::work::check(&crate::clients::$client(), portreeve_tests::servers::Flavour::MariaDb);
            })*

            #[test]
            fn sysbench() {
                crate::sysbench::check(portreeve_tests::servers::Flavour::MariaDb);
            }
        }
        mod mysql {
            $(#[test]
            fn $client() {
                crate::work::check(&crate::clients::$client(), portreeve_tests::servers::Flavour::MySql);
            })*

            #[test]
            fn sysbench() {
                crate::sysbench::check(portreeve_tests::servers::Flavour::MySql);
            }
        }
    };
}

matrix! {
    mariadb_cli mysql_cli mariadb_dump mysqldump
    pymysql mysqlclient connector_python_pure connector_python_c sqlalchemy
    node_mysql2 node_mysql perl_dbd_mysql perl_dbd_mariadb php_mysqli php_pdo ruby_mysql2 java_connector
    rust_sqlx rust_mysql_async python_mcp_server node_mcp_server
}

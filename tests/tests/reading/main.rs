//! Whether analysis reads what the server reads: each statement is run by an account that may touch exactly what analysis
//! found in it. When the server refuses that account, analysis has read too little, which must never happen. When it does
//! not miss a right that is taken away, analysis asked for too much, which is told.
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

mod columns;
mod facts;
mod trial;

use portreeve_tests::servers::Flavour;

#[test]
fn nothing_that_mariadb_reads_is_overlooked() {
    trial::check(Flavour::MariaDb);
}

#[test]
fn nothing_that_mysql_reads_is_overlooked() {
    trial::check(Flavour::MySql);
}

#[test]
fn no_column_that_mariadb_reads_is_overlooked() {
    columns::check(Flavour::MariaDb);
}

#[test]
fn no_column_that_mysql_reads_is_overlooked() {
    columns::check(Flavour::MySql);
}

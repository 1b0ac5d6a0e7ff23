//! Every trick of the catalogue, tried by an agent that may read one schema, on a real MariaDB and a real MySQL: what it is
//! after must not happen, and the recording must say why. Each trick is also sent to the server itself, where it must work:
//! a trick that no longer does shows nothing.
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

mod accounts;
mod case;
mod charsets;
mod check;
mod columns;
mod commands;

mod copies;
mod dynamic;
mod errors;
mod files;
mod indirect;
mod lexing;
mod metadata;
mod modes;
mod names;
mod queries;
mod stage;
mod talk;
mod transformed;

/// One test per family and server, so that a failure names both.
macro_rules! families {
    ($($family:ident)*) => {
        mod mariadb {
            $(#[test]
            fn $family() {
                crate::check::check(portreeve_tests::servers::Flavour::MariaDb, &crate::$family::cases());
            })*
        }
        mod mysql {
            $(#[test]
            fn $family() {
                crate::check::check(portreeve_tests::servers::Flavour::MySql, &crate::$family::cases());
            })*
        }
    };
}

families! { accounts charsets columns copies dynamic errors files indirect lexing metadata modes queries }

//! The same work directly and through Portreeve, with everything allowed: nobody could tell which is which.
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

mod bytes;
mod conversation;
mod steps;
mod suite;

use portreeve_tests::mysqltest;
use std::sync::OnceLock;

/// MariaDB's suite wants ports and paths of its own; all tests of this binary are in the same room.
fn room() {
    static ENTERED: OnceLock<()> = OnceLock::new();
    ENTERED.get_or_init(|| mysqltest::enter().unwrap());
}

//! What goes wrong, and what is then said and done: at the start, at the disk, at the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod broken;
mod disk;
mod server;
mod start;

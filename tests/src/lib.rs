//! The harness that the end-to-end tests, `cargo xtask demo` and `cargo xtask bench` share: real cgroups, real servers,
//! real clients and the real daemon, each gone when its value is dropped.
//!
//! Nothing here skips: where root, cgroup v2 or a program is missing, the caller gets an error that says what to do.
//! No tokio, so that `cargo xtask setup` builds quickly.
#![deny(unsafe_code)]
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

pub mod certificates;
pub mod cgroup;
pub mod client;
pub mod dial;
pub mod gateway;
pub mod host;
pub mod limits;
pub mod mysqltest;
pub mod netns;
pub mod privileges;
pub mod process;
pub mod relay;
pub mod scene;
pub mod servers;
pub mod service;
pub mod systemd;
pub mod wire;

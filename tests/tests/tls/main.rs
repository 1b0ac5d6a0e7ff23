//! TLS on both legs: clients that verify the gateway, servers that the gateway verifies, and everybody between them.
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
mod injection;
mod servers;

use portreeve_tests::scene::Scene;

/// Permitted by `REPORTING_WORKS`.
const QUERY: &str = "SELECT item FROM shop.orders WHERE id = 1";

/// Why sessions were closed, in order, once there are so many.
fn reasons(scene: &Scene, sessions: usize) -> Vec<String> {
    let records = scene.records_when_closed(sessions).unwrap();
    let closed = records.iter().filter(|record| record["record"] == "closed");
    closed.map(|closed| closed["reason"].as_str().unwrap().to_owned()).collect()
}

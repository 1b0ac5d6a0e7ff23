//! Nothing that a server says, and no port of it, leads a client round the gateway.
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

mod ports;
mod real_client;
mod redirects;
mod variables;

/// What is judged is not the matter here.
const EVERYTHING: &str = r#"@id("everything") permit (principal, action, resource);"#;
const QUERY: u8 = 0x03;

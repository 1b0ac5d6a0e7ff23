//! TLS on both legs: certificates of the gateway's own CA for clients, verification of servers as the configuration asks.
//!
//! The legs have nothing to do with each other: whether and how a client encrypts never decides how a server is spoken to.

mod authority;
mod certificates;
mod handshake;
mod servers;
#[cfg(test)]
mod tests;
mod verifier;

pub(crate) use authority::{Authority, Description};
pub(crate) use certificates::Certificates;
pub(crate) use handshake::{Facts, HANDSHAKE_MAX, HandshakeError, client_failure, facts_of_client, facts_of_server};
pub(crate) use servers::{ServerTls, ServersTls};

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
};

/// Older versions are broken, and rustls has none of them.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

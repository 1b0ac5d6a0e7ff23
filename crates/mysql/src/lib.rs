//! The MySQL wire protocol for a gateway in the middle: bytes in, packets and actions out.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: nonces and seeds are arguments. Packets borrow
//! from the caller's read buffer. What is unknown is an error that says whether the peer sent something [malformed],
//! [misbehaved], or asked for something the gateway does [not speak]; error texts never hold payload bytes.
//!
//! [malformed]: ProtocolError::Malformed
//! [misbehaved]: ProtocolError::Misbehaved
//! [not speak]: ProtocolError::Unsupported
#![forbid(unsafe_code)]
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

pub mod attributes;
pub mod bulk;
pub mod capabilities;
pub mod collation;
pub mod command;
pub mod compression;
pub mod conceal;
mod error;
pub mod execute;
pub mod greeting;
pub mod limits;
pub mod login;
pub mod outcome;
pub mod packet;
mod reader;
pub mod response;
pub mod row;
#[cfg(test)]
mod samples;
mod tracking;

pub use error::{Fault, Misbehaviour, ProtocolError, Unsupported};

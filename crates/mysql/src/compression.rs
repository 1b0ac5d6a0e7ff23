//! The compressed protocol: packets around pieces of the plain protocol's stream (manual, "Compression").
//!
//! A compressed packet has seven bytes of header: the length of its payload, a sequence id of its own, and the payload's
//! length when uncompressed, or 0 when it is not compressed. Its borders have nothing to do with those of packets inside.

mod compressor;
mod decompressor;
mod gathering;
mod numbering;

pub use compressor::Compressor;
pub use decompressor::{Decompressed, Decompressor};
pub use gathering::Gathering;

/// Bytes of a compressed packet's header.
const COMPRESSED_HEADER_LEN: usize = 7;

/// What payloads are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `CLIENT_COMPRESS`.
    Zlib,
    /// `CLIENT_ZSTD_COMPRESSION_ALGORITHM`.
    Zstd,
}

#[cfg(test)]
mod tests;

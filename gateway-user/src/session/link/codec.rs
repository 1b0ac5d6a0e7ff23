//! The compressed protocol around a link's bytes.

use std::io;

use portreeve_mysql::compression::{Algorithm, Compressor, Decompressor};

use super::stream::Stream;

/// One compressed leg, in both directions.
#[derive(Debug)]
pub(super) struct Codec {
    compressor: Compressor,
    decompressor: Decompressor,
    /// Compressed bytes that were read, from `used` on not yet taken apart.
    raw: Vec<u8>,
    used: usize,
    /// What was written last; kept for its memory.
    out: Vec<u8>,
}

impl Codec {
    /// `raw` is what was read behind the packet after which compression began.
    pub(super) fn new(algorithm: Algorithm, zstd_level: Option<u8>, raw: Vec<u8>) -> Self {
        let (compressor, decompressor) = (Compressor::new(algorithm, zstd_level), Decompressor::new(algorithm));
        Self { compressor, decompressor, raw, used: 0, out: Vec::new() }
    }

    /// Appends plain bytes to `inbox`, waiting for at least one. 0 is the end. Cancel safe: what was read and not taken
    /// apart waits here.
    pub(super) async fn read(&mut self, stream: &mut Stream, inbox: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let rest = self.raw.get(self.used..).unwrap_or_default();
            let step = self.decompressor.feed(rest, inbox);
            let step = step.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.used = self.used.saturating_add(step.consumed);
            if self.used >= self.raw.len() {
                self.raw.clear();
                self.used = 0;
            }
            if step.appended > 0 {
                return Ok(step.appended);
            }
            if step.consumed > 0 {
                continue;
            }
            self.raw.drain(..self.used);
            self.used = 0;
            if stream.read_buf(&mut self.raw).await? == 0 {
                return Ok(0);
            }
        }
    }

    pub(super) async fn write_all(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
        self.out.clear();
        self.compressor.compress(bytes, &mut self.out);
        stream.write_all(&self.out).await?;
        Ok(self.out.len())
    }

    /// What comes next are a client's commands.
    pub(super) fn expect_commands(&mut self) {
        self.decompressor.number_commands();
    }

    /// What comes next has ids from that one on.
    pub(super) fn expect_exchange(&mut self, first_sequence_id: u8) {
        self.decompressor.number_from(first_sequence_id);
    }

    /// What is written next is a command.
    pub(super) fn begin(&mut self) {
        self.compressor.begin();
    }

    /// What is written next goes on behind what was read last.
    pub(super) fn follow(&mut self) {
        self.compressor.follow(self.decompressor.last_sequence_id());
    }

    /// Gives memory back while nothing flows.
    pub(super) fn rest(&mut self) {
        self.compressor.rest();
        self.decompressor.rest();
        if self.raw.is_empty() {
            self.raw = Vec::new();
        }
        self.out = Vec::new();
    }
}

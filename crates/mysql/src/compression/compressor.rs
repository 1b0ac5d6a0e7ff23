use flate2::{Compress, Compression, FlushCompress};

use super::{Algorithm, COMPRESSED_HEADER_LEN};
use crate::limits::{COMPRESSED_CHUNK_MAX, COMPRESSED_LEN_MIN, PACKET_PAYLOAD_MAX};

/// Fast ones: a packet is compressed whole on a thread that other sessions share.
const ZLIB_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 3;

/// Writes one leg's compressed packets.
pub struct Compressor {
    algorithm: Algorithm,
    zstd_level: i32,
    next_sequence_id: u8,
    /// Made when something is first worth compressing: it takes a few hundred KiB.
    encoder: Option<Encoder>,
}

enum Encoder {
    Zlib(Box<Compress>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// `zstd_level` is the one that the client names in its login, 1 to 22. It is the sender's own affair, and no more than
    /// the servers' default of 3 is given: at 22, 8 MB take 5 s.
    #[must_use]
    pub fn new(algorithm: Algorithm, zstd_level: Option<u8>) -> Self {
        let zstd_level = zstd_level.map_or(ZSTD_LEVEL, |level| i32::from(level).clamp(1, ZSTD_LEVEL));
        Self { algorithm, zstd_level, next_sequence_id: 0, encoder: None }
    }

    /// Starts an exchange: a command towards a server.
    pub const fn begin(&mut self) {
        self.next_sequence_id = 0;
    }

    /// Goes on behind the peer's compressed packet of that id, as an answer does, and a client's part of an exchange.
    pub const fn follow(&mut self, last_sequence_id: u8) {
        self.next_sequence_id = last_sequence_id.wrapping_add(1);
    }

    /// Gives memory back while nothing is to be sent.
    pub fn rest(&mut self) {
        self.encoder = None;
    }

    /// Appends `plain`, as one compressed packet or several. The peer needs nothing more to read all of it.
    pub fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for chunk in plain.chunks(COMPRESSED_CHUNK_MAX) {
            self.chunk(chunk, out);
        }
    }

    /// Appends `chunk`, of at most 2^24-1 bytes, as one compressed packet.
    pub(super) fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let header_at = out.len();
        out.extend_from_slice(&[0; COMPRESSED_HEADER_LEN]);
        let body_at = out.len();
        // What does not get smaller goes as it is, as in the servers.
        let worth_it = chunk.len() >= COMPRESSED_LEN_MIN && self.encode(chunk, out);
        let compressed = worth_it && out.len().saturating_sub(body_at) < chunk.len();
        if !compressed {
            out.truncate(body_at);
            out.extend_from_slice(chunk);
        }
        let plain_len = if compressed { chunk.len() } else { 0 };
        let header = self.header(out.len().saturating_sub(body_at), plain_len);
        if let Some(place) = out.get_mut(header_at..body_at) {
            place.copy_from_slice(&header);
        }
    }

    fn header(&mut self, len: usize, plain_len: usize) -> [u8; COMPRESSED_HEADER_LEN] {
        let [low, middle, high, ..] = len.to_le_bytes();
        let [plain_low, plain_middle, plain_high, ..] = plain_len.to_le_bytes();
        let sequence_id = self.next_sequence_id;
        self.next_sequence_id = sequence_id.wrapping_add(1);
        [low, middle, high, sequence_id, plain_low, plain_middle, plain_high]
    }

    /// Appends the compressed chunk. `false` when that failed, for want of memory say: it can always go uncompressed.
    fn encode(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> bool {
        if self.encoder.is_none() {
            self.encoder = match self.algorithm {
                Algorithm::Zlib => Some(Encoder::Zlib(Box::new(Compress::new(Compression::new(ZLIB_LEVEL), true)))),
                Algorithm::Zstd => zstd::bulk::Compressor::new(self.zstd_level).ok().map(Encoder::Zstd),
            };
        }
        match &mut self.encoder {
            None => false,
            Some(Encoder::Zlib(encoder)) => {
                encoder.reset();
                // Whatever does not fit into as many bytes as the chunk has is not wanted.
                out.reserve(chunk.len());
                matches!(encoder.compress_vec(chunk, out, FlushCompress::Finish), Ok(flate2::Status::StreamEnd))
            }
            Some(Encoder::Zstd(encoder)) => {
                let body_at = out.len();
                out.resize(body_at.saturating_add(chunk.len()), 0);
                let place = out.get_mut(body_at..).unwrap_or_default();
                let written = encoder.compress_to_buffer(chunk, place);
                out.truncate(body_at.saturating_add(written.as_ref().copied().unwrap_or_default()));
                written.is_ok()
            }
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor")
            .field("algorithm", &self.algorithm)
            .field("next_sequence_id", &self.next_sequence_id)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(COMPRESSED_CHUNK_MAX <= PACKET_PAYLOAD_MAX);

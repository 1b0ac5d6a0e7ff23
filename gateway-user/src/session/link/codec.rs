//! The compressed protocol on one leg: which compressed packet answers which, and what was read and not yet decompressed.

use std::{collections::VecDeque, io};

use portreeve_mysql::{
    ProtocolError,
    compression::{Algorithm, Compressor, Decompressor, Gathering},
    limits::COMPRESSED_CHUNK_MAX,
};

use super::{BUFFER_BUSY, BUFFER_IDLE, stream::Stream};

/// Bytes of a compressed packet's header, of which the first three are the length behind it.
const HEADER_LEN: usize = 7;

/// Compressed packets whose ends are remembered; of more, which none but a hostile peer sends for one command, only the last.
const ENDS_MAX: usize = 16 * 1024;

/// Both directions of a leg.
#[derive(Debug)]
pub(super) struct Codec {
    compressor: Compressor,
    gathering: Gathering,
    decompressor: Decompressor,
    /// As read from the peer; unread from `used` on.
    raw: Vec<u8>,
    used: usize,
    /// Bytes of the compressed packet in hand that were not fed yet.
    packet_left: usize,
    /// Where compressed packets end, in plain bytes read so far, each with its sequence id.
    ends: VecDeque<(u64, u8)>,
    /// Plain bytes that were read, and of them those that were used.
    read: u64,
    consumed: u64,
    /// What `consumed` was when something was last sent.
    answered: u64,
    /// What was written last; kept for its memory.
    out: Vec<u8>,
}

impl Codec {
    /// `raw` is what was read behind the packet after which compression began.
    pub(super) fn new(algorithm: Algorithm, zstd_level: Option<u8>, raw: Vec<u8>) -> Self {
        Self {
            compressor: Compressor::new(algorithm, zstd_level),
            gathering: Gathering::default(),
            decompressor: Decompressor::new(algorithm),
            raw,
            used: 0,
            packet_left: 0,
            ends: VecDeque::new(),
            read: 0,
            consumed: 0,
            answered: 0,
            out: Vec::new(),
        }
    }

    /// Appends plain bytes to `inbox`, waiting for at least one. 0 is the end. Cancel safe: what was read and not taken
    /// apart waits here.
    pub(super) async fn read(&mut self, stream: &mut Stream, inbox: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let appended = self.decompress(inbox).map_err(io::Error::other)?;
            if appended > 0 {
                return Ok(appended);
            }
            // Left to itself, reading would make room for a few bytes at a time.
            if self.raw.capacity() == self.raw.len() {
                self.raw.reserve(if self.raw.capacity() == 0 { BUFFER_IDLE } else { BUFFER_BUSY });
            }
            if stream.read_buf(&mut self.raw).await? == 0 {
                let cut = self.is_within_packet();
                return if cut { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0) };
            }
        }
    }

    /// Writes what is whole of the packets up to here; the rest waits for its end. Returns the number of bytes written.
    ///
    /// A chunk at a time: of a long command there need not be a compressed copy as a whole.
    pub(super) async fn write_all(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
        self.go_on_behind_what_was_used();
        let mut written = 0_usize;
        for chunk in bytes.chunks(COMPRESSED_CHUNK_MAX) {
            self.out.clear();
            self.gathering.put(chunk, &mut self.compressor, &mut self.out);
            stream.write_all(&self.out).await?;
            written = written.saturating_add(self.out.len());
        }
        Ok(written)
    }

    /// What is sent answers what was used last, or goes on in the exchange behind it. What was read ahead is no part of it.
    fn go_on_behind_what_was_used(&mut self) {
        if self.answered == self.consumed {
            return;
        }
        self.answered = self.consumed;
        if let Some((_, id)) = self.ends.front() {
            self.compressor.follow(*id);
        }
    }

    /// Appends some of what was read to `plain`, and returns how much; 0 means that more must be read from the peer.
    fn decompress(&mut self, plain: &mut Vec<u8>) -> Result<usize, ProtocolError> {
        loop {
            // One compressed packet at a time: it must be known which one a command ended in. With nothing fed, what the
            // last one still holds is handed out.
            let raw = self.raw.get(self.used..).unwrap_or_default();
            let fed = raw.get(..self.packet_left).unwrap_or(raw);
            let step = self.decompressor.feed(fed, plain)?;
            self.used = self.used.saturating_add(step.consumed);
            self.packet_left = self.packet_left.saturating_sub(step.consumed);
            if step.appended > 0 {
                self.read = self.read.saturating_add(step.appended as u64);
                self.note_end();
                return Ok(step.appended);
            }
            if step.consumed == 0 && (self.packet_left > 0 || !self.begin_packet()) {
                break;
            }
        }
        self.raw.drain(..self.used.min(self.raw.len()));
        self.used = 0;
        Ok(0)
    }

    /// Looks at the next compressed packet's header. False where there is none yet.
    fn begin_packet(&mut self) -> bool {
        let raw = self.raw.get(self.used..).unwrap_or_default();
        let Some([low, middle, high, ..]) = raw.first_chunk::<HEADER_LEN>() else { return false };
        self.packet_left = HEADER_LEN + u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        true
    }

    fn note_end(&mut self) {
        let id = self.decompressor.last_sequence_id();
        let crowded = self.ends.len() >= ENDS_MAX;
        match self.ends.back_mut() {
            Some((end, last)) if crowded || *last == id => (*end, *last) = (self.read, id),
            Some(_) | None => self.ends.push_back((self.read, id)),
        }
    }

    /// Whether bytes are left that make no whole compressed packet.
    fn is_within_packet(&self) -> bool {
        self.packet_left > 0 || self.used < self.raw.len()
    }

    /// Plain bytes were used.
    pub(super) fn consume(&mut self, count: usize) {
        self.consumed = self.consumed.saturating_add(count as u64);
        // The packet that the last used byte was in stays: an answer goes on behind it.
        while self.ends.front().is_some_and(|(end, _)| *end < self.consumed) {
            self.ends.pop_front();
        }
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
        self.answered = self.consumed;
    }

    /// Gives back memory while nothing is to be read or sent.
    pub(super) fn rest(&mut self) {
        self.compressor.rest();
        self.out = Vec::new();
        if !self.is_within_packet() {
            self.decompressor.rest();
            self.raw = Vec::new();
            self.used = 0;
        }
    }
}

use crate::limits::{ERROR_MESSAGE_KEPT_MAX, HEADER_LEN, PACKET_PAYLOAD_MAX};
use crate::packet::header;
use crate::{Misbehaviour, ProtocolError};

use super::Expect;
use super::stage::Stage;

/// Finds the packets in a stream, keeping no more than the front of the current one.
#[derive(Debug)]
pub(super) struct Assembler {
    next_sequence_id: u8,
    header: [u8; HEADER_LEN],
    /// Bytes of `header` that are there.
    header_len: usize,
    place: Place,
    /// Bytes of the logical packet so far announced.
    packet_len: u64,
    head: [u8; ERROR_MESSAGE_KEPT_MAX],
    head_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the header of a logical packet's first physical packet.
    Header,
    /// In the header of a continuation.
    Continuation,
    /// That many bytes before the end of a physical packet's payload.
    Payload { left: usize, continued: bool },
}

/// A logical packet that just ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Bytes of payload.
    pub(super) len: u64,
    first: Option<u8>,
}

impl Ended {
    /// Whether the packet can be nothing but a row, so that the slow path need not look at it.
    pub(super) fn is_plain_row(self, stage: &Stage, expect: Expect) -> bool {
        *stage == Stage::Rows
            && match (expect, self.first) {
                (Expect::Execute, first) => first == Some(0),
                (_, first) => matches!(first, Some(0..=0xFD)),
            }
    }
}

impl Assembler {
    pub(super) const fn new(first_sequence_id: u8) -> Self {
        Self {
            next_sequence_id: first_sequence_id,
            header: [0; HEADER_LEN],
            header_len: 0,
            place: Place::Header,
            packet_len: 0,
            head: [0; ERROR_MESSAGE_KEPT_MAX],
            head_len: 0,
        }
    }

    pub(super) const fn next_sequence_id(&self) -> u8 {
        self.next_sequence_id
    }

    /// Goes on at a packet boundary with another sequence id.
    pub(super) const fn resume(&mut self, sequence_id: u8) {
        self.next_sequence_id = sequence_id;
    }

    /// The front of the packet that ended last.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(..self.head_len).unwrap_or_default()
    }

    /// Reads on to the end of the current packet, or of `bytes`: then `None`.
    ///
    /// `kept_max` says how many bytes of a packet to keep, by its first one; at least one is kept of what is not empty.
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        kept_max: impl Fn(usize, u8) -> usize,
    ) -> Result<Option<Ended>, ProtocolError> {
        loop {
            if let Place::Header | Place::Continuation = self.place {
                let Some(complete) = self.take_header(bytes) else { return Ok(None) };
                self.begin(complete)?;
            }
            let Place::Payload { left, continued } = self.place else { return Ok(None) };
            let (taken, rest) = bytes.split_at_checked(left).unwrap_or((bytes, &[]));
            self.keep(taken, &kept_max);
            *bytes = rest;
            let left = left.saturating_sub(taken.len());
            self.place = Place::Payload { left, continued };
            if left > 0 {
                return Ok(None);
            }
            if !continued {
                self.place = Place::Header;
                let first = if self.head_len == 0 { None } else { self.head.first().copied() };
                return Ok(Some(Ended { len: self.packet_len, first }));
            }
            self.place = Place::Continuation;
        }
    }

    fn take_header(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEADER_LEN]> {
        if self.header_len == 0
            && let Some((whole, rest)) = bytes.split_first_chunk::<HEADER_LEN>()
        {
            *bytes = rest;
            return Some(*whole);
        }
        while let Some(slot) = self.header.get_mut(self.header_len) {
            let (byte, rest) = bytes.split_first()?;
            *slot = *byte;
            *bytes = rest;
            self.header_len = self.header_len.saturating_add(1);
        }
        self.header_len = 0;
        Some(self.header)
    }

    fn begin(&mut self, complete: [u8; HEADER_LEN]) -> Result<(), ProtocolError> {
        let (len, got) = header(complete);
        let expected = self.next_sequence_id;
        if got != expected {
            return Err(Misbehaviour::SequenceId { expected, got }.into());
        }
        self.next_sequence_id = expected.wrapping_add(1);
        if self.place == Place::Header {
            self.packet_len = 0;
            self.head_len = 0;
        }
        self.packet_len = self.packet_len.saturating_add(u64::from(len));
        let left = len as usize;
        self.place = Place::Payload { left, continued: left == PACKET_PAYLOAD_MAX };
        Ok(())
    }

    fn keep(&mut self, taken: &[u8], kept_max: impl Fn(usize, u8) -> usize) {
        let Some(&first) = (if self.head_len == 0 { taken.first() } else { self.head.first() }) else { return };
        let max = kept_max(usize::try_from(self.packet_len).unwrap_or(usize::MAX), first).max(1);
        let room = self.head.get_mut(self.head_len..max).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(taken) {
            *to = *from;
        }
        self.head_len = self.head_len.saturating_add(room.len().min(taken.len()));
    }
}

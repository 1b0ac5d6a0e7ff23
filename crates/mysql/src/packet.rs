//! Framing: physical packets of at most 2^24-1 bytes, and the logical packets they make up.

use std::borrow::Cow;

use crate::limits::{HEADER_LEN, PACKET_PAYLOAD_MAX};
use crate::{Misbehaviour, ProtocolError};

/// What the front of a buffer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed<'a> {
    /// Not a whole packet yet; trying again is pointless before the buffer holds `wanted` bytes in total.
    Incomplete {
        wanted: usize,
    },
    Packet(Packet<'a>),
}

/// One logical packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Without headers; borrowed unless it had to be joined from several physical packets.
    pub payload: Cow<'a, [u8]>,
    pub first_sequence_id: u8,
    /// That of the last physical packet: the answer carries the next one.
    pub last_sequence_id: u8,
    /// Bytes of the buffer it took, headers included.
    pub wire_len: usize,
}

/// A physical packet's header: length of its payload in bytes, and sequence id.
pub(crate) fn header([low, middle, high, sequence_id]: [u8; HEADER_LEN]) -> (u32, u8) {
    (u32::from_le_bytes([low, middle, high, 0]), sequence_id)
}

/// Reads one logical packet of at most `logical_max` bytes of payload from the front of `buf`.
///
/// A packet of 2^24-1 bytes is continued by the next one, and ended by an empty one when the length is an exact multiple
/// (MySQL's internals manual, "Sending more than 16MB").
///
/// # Errors
/// `Misbehaved` as soon as a header says that the payload is too large, or skips a sequence id within the packet.
pub fn frame(buf: &[u8], logical_max: usize) -> Result<Framed<'_>, ProtocolError> {
    let Some(first) = buf.first_chunk::<HEADER_LEN>() else {
        return Ok(Framed::Incomplete { wanted: HEADER_LEN });
    };
    let (_, first_sequence_id) = header(*first);
    let mut sequence_id = first_sequence_id;
    let mut wire_len = 0;
    let mut payload_len = 0_usize;
    loop {
        let rest = buf.get(wire_len..).unwrap_or_default();
        let Some(head) = rest.first_chunk::<HEADER_LEN>() else {
            return Ok(Framed::Incomplete { wanted: wire_len.saturating_add(HEADER_LEN) });
        };
        let (len, got) = header(*head);
        if got != sequence_id {
            return Err(Misbehaviour::SequenceId { expected: sequence_id, got }.into());
        }
        let len = len as usize;
        payload_len = payload_len.saturating_add(len);
        if payload_len > logical_max {
            return Err(Misbehaviour::PacketTooLarge { len: payload_len, max: logical_max }.into());
        }
        wire_len = wire_len.saturating_add(HEADER_LEN).saturating_add(len);
        let continued = len == PACKET_PAYLOAD_MAX;
        if buf.len() < wire_len {
            let next_header = if continued { HEADER_LEN } else { 0 };
            return Ok(Framed::Incomplete { wanted: wire_len.saturating_add(next_header) });
        }
        if !continued {
            let wire = buf.get(..wire_len).unwrap_or_default();
            let payload = join(wire, payload_len);
            return Ok(Framed::Packet(Packet { payload, first_sequence_id, last_sequence_id: sequence_id, wire_len }));
        }
        sequence_id = sequence_id.wrapping_add(1);
    }
}

/// The payload of whole physical packets.
fn join(wire: &[u8], payload_len: usize) -> Cow<'_, [u8]> {
    if payload_len <= PACKET_PAYLOAD_MAX {
        // One packet, or one full packet and the empty one that ends it.
        return Cow::Borrowed(wire.get(HEADER_LEN..HEADER_LEN.saturating_add(payload_len)).unwrap_or_default());
    }
    let mut payload = Vec::with_capacity(payload_len);
    for physical in wire.chunks(HEADER_LEN + PACKET_PAYLOAD_MAX) {
        payload.extend_from_slice(physical.get(HEADER_LEN..).unwrap_or_default());
    }
    Cow::Owned(payload)
}

/// Appends `payload` as one logical packet, counting `sequence_id` up past every physical packet written.
pub fn write_packet(out: &mut Vec<u8>, sequence_id: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (chunk, after) = rest.split_at_checked(PACKET_PAYLOAD_MAX).unwrap_or((rest, &[]));
        let [low, middle, high, ..] = chunk.len().to_le_bytes();
        out.extend_from_slice(&[low, middle, high, *sequence_id]);
        out.extend_from_slice(chunk);
        *sequence_id = sequence_id.wrapping_add(1);
        if chunk.len() < PACKET_PAYLOAD_MAX {
            return;
        }
        rest = after;
    }
}

/// Follows packets in a stream that are passed on without being held: long data, the client's file.
#[derive(Debug, Clone)]
pub struct Passage {
    until: Until,
    next_sequence_id: u8,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    PacketEnd,
    EmptyPacket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In front of the header of a logical packet, or of its continuation.
    Header { continuation: bool },
    /// That many bytes before the end of a physical packet.
    Payload { left: usize, continued: bool },
    /// Behind everything.
    End,
}

/// How far [`Passage::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes at the front of those fed that may be passed on; the rest is fed again, with more behind it.
    pub consumed: usize,
    /// Whether the last byte of the passage was among them.
    pub ended: bool,
}

impl Passage {
    /// One logical packet, whose first physical one has that sequence id.
    #[must_use]
    pub const fn one_packet(first_sequence_id: u8) -> Self {
        let place = Place::Header { continuation: false };
        Self { until: Until::PacketEnd, next_sequence_id: first_sequence_id, place }
    }

    /// Logical packets up to an empty one, as LOCAL INFILE has them.
    #[must_use]
    pub const fn up_to_empty(first_sequence_id: u8) -> Self {
        Self { until: Until::EmptyPacket, ..Self::one_packet(first_sequence_id) }
    }

    /// The sequence id of the last packet so far; the peer's answer goes on behind that of the passage's last one.
    #[must_use]
    pub const fn last_sequence_id(&self) -> u8 {
        self.next_sequence_id.wrapping_sub(1)
    }

    /// Takes the next bytes. It stops in front of a header that is not whole, and behind the last byte of the passage.
    ///
    /// # Errors
    /// `Misbehaved` for sequence ids with gaps.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Passed, ProtocolError> {
        let mut rest = bytes;
        loop {
            match self.place {
                Place::End => break,
                Place::Header { continuation } => {
                    let Some((head, payload)) = rest.split_first_chunk::<HEADER_LEN>() else { break };
                    rest = payload;
                    self.place = self.behind_header(*head, continuation)?;
                }
                Place::Payload { left, continued } => {
                    let (taken, behind) = rest.split_at_checked(left).unwrap_or((rest, &[]));
                    rest = behind;
                    let left = left.saturating_sub(taken.len());
                    if left > 0 {
                        self.place = Place::Payload { left, continued };
                        break;
                    }
                    self.place = self.behind_payload(continued);
                }
            }
        }
        Ok(Passed { consumed: bytes.len().saturating_sub(rest.len()), ended: self.place == Place::End })
    }

    fn behind_header(&mut self, head: [u8; HEADER_LEN], continuation: bool) -> Result<Place, ProtocolError> {
        let (len, got) = header(head);
        let expected = self.next_sequence_id;
        if got != expected {
            return Err(Misbehaviour::SequenceId { expected, got }.into());
        }
        self.next_sequence_id = expected.wrapping_add(1);
        let left = len as usize;
        // An empty continuation ends a logical packet of a multiple of 2^24-1 bytes, and nothing else.
        if left == 0 && !continuation {
            return Ok(Place::End);
        }
        Ok(Place::Payload { left, continued: left == PACKET_PAYLOAD_MAX })
    }

    const fn behind_payload(&self, continued: bool) -> Place {
        match (continued, self.until) {
            (true, _) => Place::Header { continuation: true },
            (false, Until::EmptyPacket) => Place::Header { continuation: false },
            (false, Until::PacketEnd) => Place::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOGICAL_PACKET_MAX;

    /// Feeds in pieces of that length, keeping what was not consumed, as a connection's buffer does.
    fn pass(mut passage: Passage, wire: &[u8], piece: usize) -> (usize, bool, u8) {
        let (mut consumed, mut ended, mut have) = (0, false, 0);
        while have < wire.len() && !ended {
            have = wire.len().min(have + piece);
            let passed = passage.feed(&wire[consumed..have]).unwrap();
            consumed += passed.consumed;
            ended = passed.ended;
        }
        (consumed, ended, passage.last_sequence_id())
    }

    #[test]
    fn a_passage_of_one_packet_ends_with_it() {
        for len in [0, 1, 300, PACKET_PAYLOAD_MAX - 1, PACKET_PAYLOAD_MAX, PACKET_PAYLOAD_MAX + 1] {
            let (_, mut wire, next_sequence_id) = written(250, len);
            let end = wire.len();
            wire.extend_from_slice(b"behind");
            for piece in [7, 65_536, usize::MAX / 2] {
                if piece > 7 || len <= 300 {
                    let expected = (end, true, next_sequence_id.wrapping_sub(1));
                    assert_eq!(pass(Passage::one_packet(250), &wire, piece), expected, "{len} in {piece}");
                }
            }
        }
    }

    #[test]
    fn a_file_ends_with_the_empty_packet() {
        let (mut wire, mut sequence_id) = (Vec::new(), 2);
        for payload in [&b"1,one\n"[..], b"2,two\n", b""] {
            write_packet(&mut wire, &mut sequence_id, payload);
        }
        let end = wire.len();
        wire.extend_from_slice(b"\x01\0\0\0\x0e");
        for piece in 1..=wire.len() {
            assert_eq!(pass(Passage::up_to_empty(2), &wire, piece), (end, true, 4), "in pieces of {piece}");
        }
        assert!(!Passage::up_to_empty(2).feed(&wire[..end - 1]).unwrap().ended);
        let error = Passage::up_to_empty(3).feed(&wire).unwrap_err();
        assert_eq!(error, Misbehaviour::SequenceId { expected: 3, got: 2 }.into());
    }

    #[test]
    fn the_empty_end_of_a_full_packet_is_no_end_of_a_file() {
        let (_, mut wire, mut sequence_id) = written(2, PACKET_PAYLOAD_MAX);
        assert!(!Passage::up_to_empty(2).feed(&wire).unwrap().ended);
        write_packet(&mut wire, &mut sequence_id, b"");
        assert_eq!(pass(Passage::up_to_empty(2), &wire, 65_536), (wire.len(), true, 4));
    }

    fn written(first_sequence_id: u8, len: usize) -> (Vec<u8>, Vec<u8>, u8) {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let mut sequence_id = first_sequence_id;
        let mut wire = Vec::new();
        write_packet(&mut wire, &mut sequence_id, &payload);
        (payload, wire, sequence_id)
    }

    #[test]
    fn a_packet_is_incomplete_until_its_last_byte() {
        let (payload, mut wire, _) = written(7, 300);
        wire.extend_from_slice(b"next");
        for have in 0..304 {
            let wanted = if have < HEADER_LEN { HEADER_LEN } else { 304 };
            assert_eq!(frame(&wire[..have], 300), Ok(Framed::Incomplete { wanted }));
        }
        let expected =
            Packet { payload: Cow::Borrowed(&payload), first_sequence_id: 7, last_sequence_id: 7, wire_len: 304 };
        assert_eq!(frame(&wire, 300), Ok(Framed::Packet(expected)));
    }

    #[test]
    fn payloads_around_the_physical_maximum_survive_the_wire() {
        for (len, packets) in [
            (0, 1),
            (PACKET_PAYLOAD_MAX - 1, 1),
            (PACKET_PAYLOAD_MAX, 2),
            (PACKET_PAYLOAD_MAX + 1, 2),
            (2 * PACKET_PAYLOAD_MAX, 3),
        ] {
            let (payload, wire, next_sequence_id) = written(255, len);
            assert_eq!(wire.len(), len + packets * HEADER_LEN);
            assert_eq!(next_sequence_id, 255_u8.wrapping_add(packets as u8));
            let Ok(Framed::Packet(packet)) = frame(&wire, LOGICAL_PACKET_MAX) else { panic!("no packet of {len}") };
            assert!(*packet.payload == *payload, "payload of {len} changed");
            assert_eq!((packet.first_sequence_id, packet.wire_len), (255, wire.len()));
            assert_eq!(packet.last_sequence_id.wrapping_add(1), next_sequence_id);
            assert_eq!(matches!(packet.payload, Cow::Borrowed(_)), len <= PACKET_PAYLOAD_MAX);
            for have in [wire.len() - 1, wire.len().saturating_sub(HEADER_LEN), len / 2] {
                let Ok(Framed::Incomplete { wanted }) = frame(&wire[..have], LOGICAL_PACKET_MAX) else {
                    panic!("packet out of {have} bytes")
                };
                assert!(have < wanted && wanted <= wire.len());
            }
        }
    }

    #[test]
    fn the_limit_is_judged_by_the_header_alone() {
        let (_, wire, _) = written(0, 100);
        assert!(matches!(frame(&wire, 100), Ok(Framed::Packet(_))));
        let refusal = Err(Misbehaviour::PacketTooLarge { len: 100, max: 99 }.into());
        assert_eq!(frame(&wire[..HEADER_LEN], 99), refusal);
    }

    #[test]
    fn the_limit_counts_continuations() {
        let (_, wire, _) = written(0, PACKET_PAYLOAD_MAX + 2);
        let max = PACKET_PAYLOAD_MAX + 1;
        assert_eq!(frame(&wire, max), Err(Misbehaviour::PacketTooLarge { len: max + 1, max }.into()));
        assert!(matches!(frame(&wire, max + 1), Ok(Framed::Packet(_))));
    }

    #[test]
    fn a_continuation_out_of_sequence_is_refused() {
        let (_, mut wire, _) = written(3, PACKET_PAYLOAD_MAX);
        wire[HEADER_LEN + PACKET_PAYLOAD_MAX + 3] = 5;
        assert_eq!(frame(&wire, LOGICAL_PACKET_MAX), Err(Misbehaviour::SequenceId { expected: 4, got: 5 }.into()));
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOGICAL_PACKET_MAX;

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

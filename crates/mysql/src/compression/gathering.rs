use super::Compressor;
use crate::limits::{COMPRESSED_GATHERED_MAX, HEADER_LEN, PACKET_PAYLOAD_MAX};
use crate::packet::header;

/// Cuts a plain stream into compressed packets at the borders of its packets, as the servers do (`net_write_buff` in their
/// net_serv.cc): small packets together, a longer one whole in one compressed packet or two.
///
/// Any cut is right by the manual, but there is a connector that reads no more than two compressed packets for one packet,
/// and wants a packet's header whole in one of them (`_recv_compressed_pkt` in mysql-connector-python). The price is that a
/// packet is held until it is whole: 16 MiB at most.
#[derive(Debug, Default)]
pub struct Gathering {
    /// The beginning of a packet that is not whole.
    held: Vec<u8>,
}

impl Gathering {
    /// Compresses what is whole of the stream up to here; the beginning of a packet waits for its end.
    pub fn put(&mut self, plain: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let whole = compress_whole(plain, compressor, out);
            self.hold(plain.get(whole..).unwrap_or_default());
            return;
        }
        self.hold(plain);
        if first_packet(&self.held).is_none() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let whole = compress_whole(&held, compressor, out);
        self.hold(held.get(whole..).unwrap_or_default());
    }

    /// Room is made once, for what the packet's header announces: growing by doubling would take twice as much.
    fn hold(&mut self, plain: &[u8]) {
        self.held.extend_from_slice(plain);
        let wanted = announced(&self.held).unwrap_or_default();
        self.held.reserve_exact(wanted.saturating_sub(self.held.len()));
    }
}

/// Bytes of the first packet, header included; none where there is no whole header.
fn announced(plain: &[u8]) -> Option<usize> {
    let (len, _) = header(*plain.first_chunk::<HEADER_LEN>()?);
    Some(HEADER_LEN.saturating_add(len as usize))
}

/// Bytes of the first packet, header included; none when it is not whole.
fn first_packet(plain: &[u8]) -> Option<usize> {
    announced(plain).filter(|wire_len| plain.len() >= *wire_len)
}

/// Compresses the packets at the front, and returns the bytes that they take.
fn compress_whole(plain: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) -> usize {
    let (mut gathered_from, mut at) = (0, 0);
    while let Some(wire_len) = plain.get(at..).and_then(first_packet) {
        let end = at.saturating_add(wire_len);
        if end.saturating_sub(gathered_from) > COMPRESSED_GATHERED_MAX {
            compress(plain.get(gathered_from..at).unwrap_or_default(), compressor, out);
            gathered_from = at;
        }
        if wire_len > COMPRESSED_GATHERED_MAX {
            compress(plain.get(at..end).unwrap_or_default(), compressor, out);
            gathered_from = end;
        }
        at = end;
    }
    compress(plain.get(gathered_from..at).unwrap_or_default(), compressor, out);
    at
}

/// One compressed packet, or two when one cannot hold a packet and its header.
fn compress(plain: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) {
    if plain.is_empty() {
        return;
    }
    if plain.len() <= PACKET_PAYLOAD_MAX {
        return compressor.chunk(plain, out);
    }
    let (front, rest) = plain.split_at_checked(COMPRESSED_GATHERED_MAX).unwrap_or((plain, &[]));
    compressor.chunk(front, out);
    compressor.chunk(rest, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::{Algorithm, Decompressor};
    use crate::packet::write_packet;

    fn packets(lens: &[usize]) -> Vec<u8> {
        let mut wire = Vec::new();
        for len in lens {
            let payload: Vec<u8> = (0..*len).map(|at| (at * 7 % 251) as u8).collect();
            write_packet(&mut wire, &mut 0, &payload);
        }
        wire
    }

    fn plain_of(wire: &[u8]) -> Vec<u8> {
        let mut decompressor = Decompressor::new(Algorithm::Zlib);
        let (mut plain, mut at) = (Vec::new(), 0);
        loop {
            let step = decompressor.feed(&wire[at..], &mut plain).unwrap();
            at += step.consumed;
            if (step.consumed, step.appended) == (0, 0) {
                assert_eq!(at, wire.len());
                return plain;
            }
        }
    }

    /// The plain lengths of compressed packets.
    fn cuts(mut wire: &[u8]) -> Vec<usize> {
        let mut lens = Vec::new();
        while let [low, middle, high, _, plain_low, plain_middle, plain_high, rest @ ..] = wire {
            let len = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
            let plain = u32::from_le_bytes([*plain_low, *plain_middle, *plain_high, 0]) as usize;
            lens.push(if plain == 0 { len } else { plain });
            wire = &rest[len..];
        }
        lens
    }

    fn gathered(plain: &[u8], piece: usize) -> Vec<u8> {
        let (mut gathering, mut compressor) = (Gathering::default(), Compressor::new(Algorithm::Zlib, None));
        let mut wire = Vec::new();
        for piece in plain.chunks(piece) {
            gathering.put(piece, &mut compressor, &mut wire);
        }
        assert!(gathering.held.is_empty());
        wire
    }

    #[test]
    fn what_is_held_takes_no_more_than_its_packet() {
        let plain = packets(&[PACKET_PAYLOAD_MAX]);
        let (mut gathering, mut compressor) = (Gathering::default(), Compressor::new(Algorithm::Zlib, None));
        let mut wire = Vec::new();
        for piece in plain[..PACKET_PAYLOAD_MAX].chunks(64 * 1024) {
            gathering.put(piece, &mut compressor, &mut wire);
            assert!(gathering.held.capacity() <= PACKET_PAYLOAD_MAX + 2 * 64 * 1024);
        }
        assert!(wire.is_empty());
    }

    #[test]
    fn small_packets_go_together_and_a_long_one_alone() {
        const MAX: usize = COMPRESSED_GATHERED_MAX;
        let plain = packets(&[1, 20, MAX - 33, 5, MAX, 0, 1_200_000, 7]);
        assert_eq!(cuts(&gathered(&plain, plain.len())), [MAX, 9, MAX + 4, 4, 1_200_004, 11]);
    }

    #[test]
    fn a_packet_of_the_longest_kind_goes_in_two() {
        let plain = packets(&[PACKET_PAYLOAD_MAX]);
        let wire = gathered(&plain, plain.len());
        assert_eq!(cuts(&wire), [COMPRESSED_GATHERED_MAX, PACKET_PAYLOAD_MAX + 4 - COMPRESSED_GATHERED_MAX, 4]);
        assert!(plain_of(&wire) == plain);
    }

    #[test]
    fn no_cut_loses_a_byte_nor_parts_a_header() {
        let plain = packets(&[3, 0, 50, 300, 1, 20_000, 2]);
        for piece in [1, 2, 3, 5, 7, 64, 1000, 16_384, 20_400] {
            let wire = gathered(&plain, piece);
            assert!(plain_of(&wire) == plain, "pieces of {piece}");
            let mut at = 0;
            for cut in cuts(&wire) {
                assert!(first_packet(&plain[at..]).is_some(), "pieces of {piece}");
                at += cut;
            }
        }
    }
}

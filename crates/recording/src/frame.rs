//! The layout that the writer and the reader of frames share.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | payload length, u32 little-endian; zero: no frame here yet |
//! | 4..8 | CRC-32 (IEEE) of the length field and the payload |
//! | 8..40 | chain: BLAKE3 of the previous chain and the payload |
//! | 40..48 | zero |
//! | 48.. | payload, then zeros to a multiple of 16 |

use crate::limits::{FRAME_ALIGN, FRAME_HEADER_LEN};

/// State of the hash chain after a frame; before the first frame, the hash of the header.
pub(crate) type Chain = [u8; 32];

/// The chain before the first frame.
pub(crate) fn chain_start(header: &[u8]) -> Chain {
    *blake3::hash(header).as_bytes()
}

/// The chain after a frame with `payload`.
pub(crate) fn chain_next(previous: &Chain, payload: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(payload);
    *hasher.finalize().as_bytes()
}

/// The checksum finds a torn or damaged frame before its payload is looked at; the chain is what proves it.
pub(crate) fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Zero bytes that follow a payload of `payload_len` bytes.
pub(crate) fn padding_len(payload_len: usize) -> usize {
    payload_len.wrapping_neg() % FRAME_ALIGN
}

/// Bytes of a whole frame.
pub(crate) fn frame_len(payload_len: usize) -> usize {
    FRAME_HEADER_LEN + payload_len + padding_len(payload_len)
}

/// The fields before a payload.
pub(crate) struct FrameHeader {
    pub(crate) length: u32,
    pub(crate) checksum: u32,
    pub(crate) chain: Chain,
    pub(crate) reserved: [u8; 8],
}

impl FrameHeader {
    pub(crate) fn to_bytes(&self) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        let (length, checksum) = (self.length.to_le_bytes(), self.checksum.to_le_bytes());
        let fields: [&[u8]; 4] = [&length, &checksum, &self.chain, &self.reserved];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            let Some((to, after)) = rest.split_at_mut_checked(field.len()) else { break };
            to.copy_from_slice(field);
            rest = after;
        }
        bytes
    }

    /// `None` when there are fewer bytes than a frame header.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        let (reserved, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            checksum: u32::from_le_bytes(*checksum),
            chain: *chain,
            reserved: *reserved,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_the_next_may_begin() {
        for (payload, frame) in [(0, 48), (1, 64), (15, 64), (16, 64), (17, 80), (32, 80)] {
            assert_eq!(frame_len(payload), frame, "payload of {payload} bytes");
        }
    }
}

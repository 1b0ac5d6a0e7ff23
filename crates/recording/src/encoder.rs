//! Entries to frames.

use rkyv::api::serialize_using;
use rkyv::rancor;
use rkyv::ser::sharing::Unshare;
use rkyv::ser::{Positional, Serializer, Writer};
use rkyv::util::with_arena;

use crate::frame::{Chain, FrameHeader, chain_next, chain_start, checksum, padding_len};
use crate::header::Header;
use crate::limits::{
    CHECKPOINT_BYTES, CHECKPOINT_FRAMES, CHECKPOINT_NS, FRAME_HEADER_LEN, HEADER_LEN, PAYLOAD_LEN_MAX,
};
use crate::record::{Entry, Record, Signature};
use crate::seal::{Signed, SigningKey};

/// Makes the frames of one file, in order.
///
/// A clone is a bookmark: a caller that could not store a frame goes on from the clone it took before, and the chain
/// has no gap.
#[derive(Debug, Clone)]
pub struct Encoder {
    chain: Chain,
    session_id: [u8; 16],
    /// Frames so far.
    frames: u64,
    /// Of the last entry, in nanoseconds since 1970 UTC; of the file, before the first.
    last_unix_ns: u64,
    signed: LastSigned,
    /// Bytes of frames since the last signature.
    unsigned_bytes: u64,
}

/// Where the last signature is; before the first, the beginning of the file.
#[derive(Debug, Clone, Copy)]
struct LastSigned {
    frames: u64,
    at_unix_ns: u64,
}

/// Why an entry could not be made a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than a reader would accept.
    #[error("a record may have {PAYLOAD_LEN_MAX} bytes; shorten its texts with `Text` and `clip` before recording")]
    TooLong,
}

impl Encoder {
    /// An encoder for a new file, and the file's first bytes.
    #[must_use]
    pub fn new(header: &Header) -> (Self, [u8; HEADER_LEN]) {
        let bytes = header.to_bytes();
        let Header { session_id, created_unix_ns, .. } = *header;
        let encoder = Self {
            chain: chain_start(&bytes),
            session_id,
            frames: 0,
            last_unix_ns: created_unix_ns,
            signed: LastSigned { frames: 0, at_unix_ns: created_unix_ns },
            unsigned_bytes: 0,
        };
        (encoder, bytes)
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Of the last entry, in nanoseconds since 1970 UTC; of the file, before the first.
    #[must_use]
    pub fn last_unix_ns(&self) -> u64 {
        self.last_unix_ns
    }

    /// State of the hash chain after the frames.
    #[must_use]
    pub fn chain(&self) -> [u8; 32] {
        self.chain
    }

    /// Whether so much was recorded since the last signature, or so long ago, that a checkpoint should follow.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.frames - self.signed.frames >= CHECKPOINT_FRAMES
            || self.unsigned_bytes >= CHECKPOINT_BYTES
            || self.last_unix_ns.saturating_sub(self.signed.at_unix_ns) >= CHECKPOINT_NS
    }

    /// Whether something was recorded since the last signature, which is by now so long ago.
    #[must_use]
    pub fn is_checkpoint_overdue(&self, now_unix_ns: u64) -> bool {
        self.frames > self.signed.frames && now_unix_ns.saturating_sub(self.signed.at_unix_ns) >= CHECKPOINT_NS
    }

    /// Appends the frame of a checkpoint or a seal, which has the time of the entry before.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn sign(&mut self, signed: Signed, key: &SigningKey, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let at_unix_ns = self.last_unix_ns;
        let message = signed.message(&self.session_id, at_unix_ns, &self.chain);
        let signature = Signature { key: key.public().0, signature: key.sign(&message) };
        let record = match signed {
            Signed::Checkpoint => Record::Checkpoint(signature),
            Signed::Seal => Record::Sealed(signature),
        };
        self.encode(&Entry { at_unix_ns, record }, out)?;
        self.signed = LastSigned { frames: self.frames, at_unix_ns };
        self.unsigned_bytes = 0;
        Ok(())
    }

    /// Appends exactly one frame, padding included, to `out`; allocates only to grow `out`.
    ///
    /// # Errors
    /// When the payload would be longer than [`PAYLOAD_LEN_MAX`]; `out` and the chain are then as before.
    pub fn encode(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let encoded = self.encode_at(start, entry, out);
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    fn encode_at(&mut self, start: usize, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
        let payload_start = out.len();
        serialize(entry, Payload { out, start: payload_start })?;

        let payload = out.get(payload_start..).unwrap_or_default();
        let length = u32::try_from(payload.len()).map_err(|_| EncodeError::TooLong)?;
        let chain = chain_next(&self.chain, payload);
        let header = FrameHeader { length, checksum: checksum(length, payload), chain, reserved: [0; 8] };
        out.resize(out.len() + padding_len(length as usize), 0);
        if let Some(place) = out.get_mut(start..payload_start) {
            place.copy_from_slice(&header.to_bytes());
        }
        self.chain = chain;
        self.frames += 1;
        self.last_unix_ns = entry.at_unix_ns;
        self.unsigned_bytes += (out.len() - start) as u64;
        Ok(())
    }
}

fn serialize(entry: &Entry<'_>, payload: Payload<'_>) -> Result<(), EncodeError> {
    // The arena is the thread's and is reused: rkyv needs it for lists of strings.
    with_arena(|arena| {
        let mut serializer = Serializer::new(payload, arena.acquire(), Unshare);
        serialize_using::<_, rancor::Failure>(entry, &mut serializer)
    })
    .map(|_root| ())
    // The only thing that can fail is `Payload::write`.
    .map_err(|_| EncodeError::TooLong)
}

/// The end of a buffer as rkyv's output: positions count from the start of the payload, because that is what is aligned
/// in the file.
struct Payload<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl Positional for Payload<'_> {
    fn pos(&self) -> usize {
        self.out.len() - self.start
    }
}

impl<E: rancor::Source> Writer<E> for Payload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.pos() + bytes.len() > PAYLOAD_LEN_MAX {
            rancor::fail!(EncodeError::TooLong);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

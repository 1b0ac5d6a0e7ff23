//! Reading a long file from near its end.

use std::io::{self, Read, Seek, SeekFrom};

use rkyv::util::AlignedVec;

use super::Stream;
use crate::header::Header;
use crate::limits::{
    FIRST_SIGNATURE_WITHIN, FRAME_ALIGN, FRAME_HEADER_LEN, NEAR_END_CHECKED_MAX, NEAR_END_LEN, NEAR_END_SIGNATURES_MAX,
};
use crate::reader::{Position, Reader};
use crate::seal::PublicKey;

impl<F: Read + Seek> Stream<F> {
    /// Goes on with the last frames of a long file, at least so many, without reading what lies before; whether it did. Where it
    /// did not (a shorter file, one without signatures, fewer frames among its last [`NEAR_END_LEN`] bytes, damage), the stream
    /// stands where it stood.
    ///
    /// Frames say where they end, not where they begin: each multiple of 16 bytes is tried. A statement may hold bytes that look
    /// like frames, and are chained among themselves. So a place is believed only when an unbroken chain leads from it to a
    /// checkpoint of the key that signs at the file's beginning: its signature stands for all that is chained before it, and what
    /// comes behind it is the next frame. That the chain holds before is for reading from the start to say.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip_near_end(&mut self, frames: u64) -> io::Result<bool> {
        let len = self.file.seek(SeekFrom::End(0))?;
        let start = len.saturating_sub(NEAR_END_LEN as u64).next_multiple_of(FRAME_ALIGN as u64);
        if start <= self.position.offset {
            return Ok(false);
        }
        let Some(key) = self.first_signer()? else { return Ok(false) };
        let mut bytes = AlignedVec::<FRAME_ALIGN>::with_capacity(NEAR_END_LEN);
        self.file.seek(SeekFrom::Start(start))?;
        bytes.extend_from_reader(&mut self.file.by_ref().take(NEAR_END_LEN as u64))?;
        let mut search = Search { header: self.header, key, signatures_left: NEAR_END_SIGNATURES_MAX };
        let Some(position) = search.find(&bytes, start, frames) else { return Ok(false) };
        self.position = position;
        self.bytes = AlignedVec::new();
        self.consumed = 0;
        self.at_end = false;
        Ok(true)
    }

    /// Who signed the first checkpoint, read from the start: the daemon, as nobody else's bytes stand where a frame is expected.
    fn first_signer(&mut self) -> io::Result<Option<PublicKey>> {
        let Ok((header, position)) = Position::start(&self.header.to_bytes()) else { return Ok(None) };
        let bytes = AlignedVec::new();
        let mut stream = Stream { file: &mut self.file, header, position, bytes, consumed: 0, at_end: false };
        while stream.position.offset <= FIRST_SIGNATURE_WITHIN {
            let Ok(frame) = stream.next_frame()? else { return Ok(None) };
            if let Some(claim) = frame.claim() {
                return Ok(claim.verifies().then(|| claim.key()));
            }
        }
        Ok(None)
    }
}

/// For a place that a checkpoint of this key proves.
struct Search {
    header: Header,
    key: PublicKey,
    signatures_left: u32,
}

impl Search {
    /// The first place in `bytes`, which lie at `start`, that is proven and has at least so many frames behind it.
    fn find(&mut self, bytes: &[u8], start: u64, frames: u64) -> Option<Position> {
        let (mut at, mut checked) = (0, 0);
        while at + FRAME_HEADER_LEN <= bytes.len() && checked < NEAR_END_CHECKED_MAX {
            let rest = bytes.get(at..)?;
            match Position::after_unproven(self.header, rest, start + at as u64) {
                Err(looked_at) => checked += looked_at,
                Ok((position, frame_len)) => {
                    let (found, is_proven, chained) = self.follow(rest.get(frame_len..)?, position);
                    if is_proven {
                        // A frame further on would have fewer behind it.
                        return (found >= frames.max(1)).then_some(position);
                    }
                    checked = checked.saturating_add(frame_len).saturating_add(chained);
                }
            }
            at += FRAME_ALIGN;
        }
        None
    }

    /// The frames that are chained to a place, whether a checkpoint among them proves it, and their bytes.
    fn follow(&mut self, bytes: &[u8], position: Position) -> (u64, bool, usize) {
        let mut reader = Reader::resume(bytes, position);
        let (mut found, mut is_proven) = (0, false);
        while let Some(frame) = reader.next_frame() {
            found += 1;
            if is_proven || self.signatures_left == 0 {
                continue;
            }
            if let Some(claim) = frame.claim().filter(|claim| claim.key() == self.key) {
                self.signatures_left -= 1;
                is_proven = claim.verifies();
            }
        }
        let chained = reader.position().offset - position.offset;
        (found, is_proven, usize::try_from(chained).unwrap_or(usize::MAX))
    }
}

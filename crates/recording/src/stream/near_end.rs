//! Reading a long file from near its end.

use std::io::{self, Read, Seek, SeekFrom};

use rkyv::util::AlignedVec;

use super::Stream;
use crate::header::Header;
use crate::limits::{FRAME_ALIGN, FRAME_HEADER_LEN, NEAR_END_CHECKED_MAX, NEAR_END_LEN, NEARER_END_LEN};
use crate::reader::{End, Position, Reader};

impl<F: Read + Seek> Stream<F> {
    /// Goes on with the last frames of a long file, at least so many, without reading what lies before; whether it did. Where it
    /// did not (a shorter file, fewer frames among its last [`NEAR_END_LEN`] bytes, damage), the stream stands where it stood.
    ///
    /// Frames say where they end, not where they begin: each multiple of 16 bytes is tried. A statement may hold bytes that look
    /// like a frame, so one is believed only when an unbroken chain leads from it to the end of the file: the real frame behind a
    /// false one continues the chain of the real one around it, which holds the false one's bytes, so that nobody can make them
    /// fit. That the chain holds before is for reading from the start to say.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip_near_end(&mut self, frames: u64) -> io::Result<bool> {
        // A long one has zeros at its end while it is written: then only the second look finds something.
        Ok(self.skip_within(NEARER_END_LEN, frames)? || self.skip_within(NEAR_END_LEN, frames)?)
    }

    fn skip_within(&mut self, window_len: usize, frames: u64) -> io::Result<bool> {
        let len = self.file.seek(SeekFrom::End(0))?;
        let start = len.saturating_sub(window_len as u64).next_multiple_of(FRAME_ALIGN as u64);
        if start <= self.position.offset {
            return Ok(false);
        }
        let mut bytes = AlignedVec::<FRAME_ALIGN>::with_capacity(window_len);
        self.file.seek(SeekFrom::Start(start))?;
        bytes.extend_from_reader(&mut self.file.by_ref().take(window_len as u64))?;
        let Some(position) = find(self.header, &bytes, start, frames) else { return Ok(false) };
        self.position = position;
        self.bytes = AlignedVec::new();
        self.consumed = 0;
        self.at_end = false;
        Ok(true)
    }
}

/// The first place in `bytes`, which lie at `start`, from which an unbroken chain of at least so many frames leads to their end.
fn find(header: Header, bytes: &[u8], start: u64, frames: u64) -> Option<Position> {
    let (mut at, mut checked) = (0, 0);
    while at + FRAME_HEADER_LEN <= bytes.len() && checked < NEAR_END_CHECKED_MAX {
        let rest = bytes.get(at..)?;
        match Position::after_unproven(header, rest, start + at as u64) {
            Err(looked_at) => checked += looked_at,
            Ok((position, frame_len)) => {
                checked += frame_len;
                let mut reader = Reader::resume(rest.get(frame_len..)?, position);
                let mut found = 0;
                while reader.next_frame().is_some() {
                    found += 1;
                }
                let reached = reader.position().offset - position.offset;
                match reader.end() {
                    Some(End::Open { .. } | End::Closed) if found >= frames.max(1) => return Some(position),
                    // A frame further on would have fewer behind it.
                    Some(End::Open { .. } | End::Closed) if found > 0 => return None,
                    Some(End::Open { .. } | End::Closed | End::Torn { .. }) | None => {}
                }
                checked += usize::try_from(reached).unwrap_or(usize::MAX);
            }
        }
        at += FRAME_ALIGN;
    }
    None
}

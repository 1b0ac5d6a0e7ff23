//! Frames back to entries: checked, in order, in place.

use std::fmt;

use rkyv::api::low::access;
use rkyv::rancor;
use rkyv::util::AlignedVec;

use crate::frame::{Chain, FrameHeader, chain_next, chain_start, checksum, frame_len};
use crate::header::{Format, Header, ReadError};
use crate::limits::{FRAME_ALIGN, FRAME_HEADER_LEN, HEADER_LEN, PAYLOAD_LEN_MAX};
use crate::record::{ArchivedEntry, ArchivedRecord, Entry, Place};
use crate::seal::{Claim, Signed};

/// A place between two frames, from which reading can go on later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Of the next frame, in bytes from the start of the file.
    pub offset: u64,
    /// Of the next frame, counted from 0; after [`crate::Stream::skip_near_end`], from where that led to.
    pub index: u64,
    chain: Chain,
    header: Header,
    /// False for a reader that only wants to know what is in the file.
    pub(crate) checks_chain: bool,
    last: Place,
}

impl Position {
    /// After the file header, given its bytes; also the header.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn start(bytes: &[u8]) -> Result<(Header, Self), ReadError> {
        let header = Header::read(bytes)?;
        let chain = chain_start(&header.to_bytes());
        let offset = HEADER_LEN as u64;
        Ok((header, Self { offset, index: 0, chain, header, checks_chain: true, last: Place::Anywhere }))
    }

    /// The file's header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// State of the hash chain: it stands for the header and every frame before.
    #[must_use]
    pub fn chain(&self) -> [u8; 32] {
        self.chain
    }
}

impl Position {
    /// After the frame at the start of `bytes`, which lie at `offset`, taking its link of the chain for granted: the next frame
    /// then proves it, as the chain of that one continues it. Also the frame's bytes, or how many were looked at in vain.
    pub(crate) fn after_unproven(header: Header, bytes: &[u8], offset: u64) -> Result<(Self, usize), usize> {
        let plausible = |header: &FrameHeader| {
            header.length != 0 && header.length as usize <= PAYLOAD_LEN_MAX && header.reserved == [0; 8]
        };
        let frame = FrameHeader::read(bytes).filter(plausible).ok_or(FRAME_ALIGN)?;
        let frame_len = frame_len(frame.length as usize);
        let payload = bytes.get(FRAME_HEADER_LEN..).and_then(|rest| rest.get(..frame.length as usize));
        let payload = payload.filter(|_| frame_len <= bytes.len()).ok_or(FRAME_ALIGN)?;
        if checksum(frame.length, payload) != frame.checksum {
            return Err(frame_len);
        }
        let offset = offset + frame_len as u64;
        let chain = frame.chain;
        Ok((Self { offset, index: 0, chain, header, checks_chain: true, last: Place::Anywhere }, frame_len))
    }
}

/// One verified frame. The entry lies in the reader's bytes, or in its buffer where those were not aligned.
#[derive(Clone, Copy)]
pub struct Frame<'r> {
    /// Counted from 0 in the file.
    pub index: u64,
    /// Of the frame, in bytes from the start of the file.
    pub offset: u64,
    /// What it holds.
    pub entry: &'r ArchivedEntry<'static>,
    session_id: [u8; 16],
    chain_before: Chain,
}

impl Frame<'_> {
    /// State of the hash chain before it.
    #[must_use]
    pub fn chain_before(&self) -> [u8; 32] {
        self.chain_before
    }

    /// What the frame says to sign, if it is a checkpoint or a seal.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let (signed, signature) = match &self.entry.record {
            ArchivedRecord::Checkpoint(signature) => (Signed::Checkpoint, signature),
            ArchivedRecord::Sealed(signature) => (Signed::Seal, signature),
            ArchivedRecord::Opened(_)
            | ArchivedRecord::Login(_)
            | ArchivedRecord::Statement(_)
            | ArchivedRecord::Verdict(_)
            | ArchivedRecord::Response(_)
            | ArchivedRecord::Closed(_)
            | ArchivedRecord::Transport(_)
            | ArchivedRecord::Abandoned(_)
            | ArchivedRecord::Forwarded(_)
            | ArchivedRecord::Chosen(_)
            | ArchivedRecord::Facts(_)
            | ArchivedRecord::Rows(_)
            | ArchivedRecord::Host(_) => return None,
        };
        let (id, at_unix_ns, chain) = (&self.session_id, self.entry.at_unix_ns.to_native(), &self.chain_before);
        let messages = [signed.message(id, at_unix_ns, chain), signed.message_of(id, self.index, at_unix_ns, chain)];
        Some(Claim { signed, messages, key: signature.key, signature: signature.signature })
    }

    /// A copy of the entry that owns its texts.
    ///
    /// # Errors
    /// [`TornWhy::Record`] when rkyv cannot copy it; no entry that passed the reader's check is known to be one.
    pub fn to_entry(&self) -> Result<Entry<'static>, TornWhy> {
        rkyv::deserialize::<Entry<'static>, rancor::Failure>(self.entry).map_err(|_| TornWhy::Record)
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, offset, .. } = self;
        f.debug_struct("Frame").field("index", index).field("offset", offset).finish_non_exhaustive()
    }
}

/// Where and how the frames end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No more yet: a session that still runs, or whose daemon was killed. Frames may follow at `offset`.
    Open {
        /// Bytes from the start of the file.
        offset: u64,
    },
    /// The last record says that the session is closed, or seals the file.
    Closed,
    /// The bytes at `offset` are no frame of this file. What came before is sound.
    Torn {
        /// Bytes from the start of the file.
        offset: u64,
        /// What is wrong with them.
        why: TornWhy,
    },
}

/// What is wrong with the bytes after the last sound frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TornWhy {
    /// The bytes end inside the frame.
    #[error("the file ends inside a frame of {needed} bytes")]
    Cut {
        /// Bytes of the whole frame, or of its header when that is cut too.
        needed: usize,
    },
    /// The length is more than a writer would write.
    #[error("a frame claims {0} bytes, the limit is {PAYLOAD_LEN_MAX}")]
    TooLong(u32),
    /// Length or payload were changed, or never arrived whole.
    #[error("a frame's checksum does not fit its bytes")]
    Checksum,
    /// A frame was changed, removed, added or moved.
    #[error("a frame does not continue the hash chain: the file was altered")]
    Chain,
    /// Bytes that must be zero are not.
    #[error("bytes that must be zero are not")]
    NotZero,
    /// The payload is no entry.
    #[error("a frame holds no record that this version knows")]
    Record,
    /// There is a frame after the one that closed the session.
    #[error("there are bytes after the record that closed the session")]
    AfterClosed,
}

/// Walks the frames in a slice.
///
/// It never panics on any input, and allocates at most [`PAYLOAD_LEN_MAX`] bytes, and only when the slice is not aligned to
/// 16 bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: Position,
    end: Option<End>,
    aligned: AlignedVec<FRAME_ALIGN>,
}

impl<'a> Reader<'a> {
    /// A reader over a whole file.
    ///
    /// # Errors
    /// As [`Header::read`]. Damage after the header is not an error here: it is how the frames end.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let (_, position) = Position::start(bytes)?;
        Ok(Self::resume(bytes.get(HEADER_LEN..).unwrap_or_default(), position))
    }

    /// A reader that goes on from `position`, which is where `bytes` begin in the file.
    #[must_use]
    pub fn resume(bytes: &'a [u8], position: Position) -> Self {
        Self { bytes, position, end: None, aligned: AlignedVec::new() }
    }

    /// After the last frame that was returned.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// How the frames end; none before [`Self::next_frame`] has returned none.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The next frame; none at the end, then [`Self::end`] says how it ends.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.end.is_some() {
            return None;
        }
        match self.position.check(self.bytes).and_then(|checked| {
            let (frame, rest) = self.bytes.split_at_checked(checked.frame_len).unwrap_or_default();
            let payload = aligned(checked.payload(frame), &mut self.aligned);
            self.position.accept(&checked, payload).map(|frame| (frame, rest))
        }) {
            Ok((frame, rest)) => {
                self.bytes = rest;
                Some(frame)
            }
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}

/// `payload`, or a copy of it where it does not lie as rkyv needs it.
fn aligned<'a>(payload: &'a [u8], buffer: &'a mut AlignedVec<FRAME_ALIGN>) -> &'a [u8] {
    if payload.as_ptr().align_offset(FRAME_ALIGN) == 0 {
        return payload;
    }
    buffer.clear();
    buffer.extend_from_slice(payload);
    buffer.as_slice()
}

/// A frame whose checksum and chain are right.
pub(crate) struct Checked {
    pub(crate) frame_len: usize,
    payload_len: usize,
    chain: Chain,
}

impl Checked {
    /// The payload in the bytes that were checked.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(FRAME_HEADER_LEN..FRAME_HEADER_LEN + self.payload_len).unwrap_or_default()
    }
}

impl Position {
    /// Checks the frame that `bytes` begin with, all but its record.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<Checked, End> {
        let torn = |why| Err(End::Torn { offset: self.offset, why });
        let head = bytes.get(..bytes.len().min(4)).unwrap_or_default();
        // The length is written last: whatever follows a zero was not recorded.
        if head.iter().all(|&byte| byte == 0) {
            return Err(match self.last {
                Place::Anywhere => End::Open { offset: self.offset },
                Place::Closing | Place::Last => End::Closed,
            });
        }
        match (self.last, self.header.format) {
            (Place::Last, _) | (Place::Closing, Format::One) => return torn(TornWhy::AfterClosed),
            (Place::Anywhere, _) | (Place::Closing, Format::Two) => {}
        }
        let Some(header) = FrameHeader::read(bytes) else { return torn(TornWhy::Cut { needed: FRAME_HEADER_LEN }) };
        if header.length as usize > PAYLOAD_LEN_MAX {
            return torn(TornWhy::TooLong(header.length));
        }
        check_frame(bytes, &header, self.checks_chain.then_some(&self.chain)).or_else(torn)
    }

    /// Reads the record of a checked frame and steps over it. `payload` is the frame's, aligned.
    pub(crate) fn accept<'r>(&mut self, checked: &Checked, payload: &'r [u8]) -> Result<Frame<'r>, End> {
        let Self { offset, index, header, checks_chain, chain: chain_before, last } = *self;
        let entry = access::<ArchivedEntry<'static>, rancor::Failure>(payload)
            .map_err(|_| End::Torn { offset, why: TornWhy::Record })?;
        let place = entry.place();
        if last == Place::Closing && place != Place::Last {
            return Err(End::Torn { offset, why: TornWhy::AfterClosed });
        }
        let (offset_after, chain) = (offset + checked.frame_len as u64, checked.chain);
        *self = Self { offset: offset_after, index: index + 1, chain, header, checks_chain, last: place };
        Ok(Frame { index, offset, entry, session_id: header.session_id, chain_before })
    }
}

/// Checks what lies around the payload of the frame at the start of `bytes`, and that it continues the chain, if one is given.
fn check_frame(bytes: &[u8], header: &FrameHeader, previous: Option<&Chain>) -> Result<Checked, TornWhy> {
    let payload_len = header.length as usize;
    let frame_len = frame_len(payload_len);
    let (payload, padding) = bytes
        .get(FRAME_HEADER_LEN..frame_len)
        .and_then(|rest| rest.split_at_checked(payload_len))
        .ok_or(TornWhy::Cut { needed: frame_len })?;
    if checksum(header.length, payload) != header.checksum {
        return Err(TornWhy::Checksum);
    }
    // Neither checksum nor chain covers these, so a change there would go unseen otherwise.
    if header.reserved.iter().chain(padding).any(|&byte| byte != 0) {
        return Err(TornWhy::NotZero);
    }
    if previous.is_some_and(|previous| chain_next(previous, payload) != header.chain) {
        return Err(TornWhy::Chain);
    }
    Ok(Checked { frame_len, payload_len, chain: header.chain })
}

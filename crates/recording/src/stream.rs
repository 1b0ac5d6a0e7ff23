//! Frames of a file that may be longer than memory, and may still grow.

mod near_end;

use std::io::{self, Read, Seek, SeekFrom};

use rkyv::util::AlignedVec;

use crate::header::{Header, ReadError};
use crate::limits::{FRAME_ALIGN, FRAME_HEADER_LEN, HEADER_LEN, STREAM_CHUNK_LEN};
use crate::reader::{End, Frame, Position, TornWhy};

/// Reads frames from anything that can be read at a place, in chunks of [`STREAM_CHUNK_LEN`].
///
/// Reading, not mapping: a closing session cuts its file to length, and touching a mapped byte past the end kills the
/// reader. Memory is bounded by one frame of the greatest length.
#[derive(Debug)]
pub struct Stream<F> {
    file: F,
    header: Header,
    position: Position,
    /// Bytes of the file; those from `consumed` on lie at `position`. Frames in it are aligned, because both the buffer
    /// and every frame's length are.
    bytes: AlignedVec<FRAME_ALIGN>,
    consumed: usize,
    /// Whether the frames had ended when it was last asked: then a look at the next length is enough.
    at_end: bool,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Not a session file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<F: Read + Seek> Stream<F> {
    /// A stream from the first frame on.
    ///
    /// # Errors
    /// When the file cannot be read, or does not begin as a session file.
    pub fn open(mut file: F) -> Result<Self, StreamError> {
        let mut head = Vec::with_capacity(HEADER_LEN);
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(HEADER_LEN as u64).read_to_end(&mut head)?;
        let (header, position) = Position::start(&head)?;
        Ok(Self { file, header, position, bytes: AlignedVec::new(), consumed: 0, at_end: false })
    }

    /// The same without checking the hash chain, which is half of the time: for who counts what is in a file, and proves nothing.
    /// Damage is found all the same, by checksums.
    #[must_use]
    pub fn without_chain(mut self) -> Self {
        self.position.checks_chain = false;
        self
    }

    /// What the file's header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file.
    pub fn get_ref(&self) -> &F {
        &self.file
    }

    /// The file, for a reader that also changes it. Where it stands does not matter.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.file
    }

    /// After the last frame that was returned.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next frame, or how the frames end for now: it may be called again later and looks at the file anew.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Result<Frame<'_>, End>> {
        let mut read = 0;
        // An end may show only because bytes are missing, or are older than what the file now holds: believe it when it
        // shows in bytes just read.
        let checked = loop {
            let end = match self.position.check(self.pending()) {
                Ok(checked) => break checked,
                Err(end) => end,
            };
            let wanted = match end {
                End::Torn { why: TornWhy::Cut { needed }, .. } => needed.max(STREAM_CHUNK_LEN),
                _ if self.at_end => FRAME_HEADER_LEN,
                _ => STREAM_CHUNK_LEN,
            };
            if read >= wanted {
                self.at_end = true;
                self.bytes = AlignedVec::new();
                self.consumed = 0;
                return Ok(Err(end));
            }
            self.fill(wanted)?;
            read = wanted;
        };
        self.at_end = false;
        let payload = checked.payload(self.bytes.get(self.consumed..).unwrap_or_default());
        self.consumed += checked.frame_len;
        Ok(self.position.accept(&checked, payload))
    }

    /// Whether a frame is there, or bytes that are none: whether the frames do not end here any more.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_next(&mut self) -> io::Result<bool> {
        self.fill(FRAME_HEADER_LEN)?;
        Ok(self.pending().iter().take(4).any(|&byte| byte != 0))
    }

    /// Whether nothing but zeros lies behind the frames, as a writer leaves it. A frame that is just being written shows as well.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ends_in_zeros(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(self.position.offset))?;
        let mut bytes = vec![0; STREAM_CHUNK_LEN];
        loop {
            match self.file.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Ok(read) if bytes.get(..read).is_some_and(|read| read.iter().any(|&byte| byte != 0)) => {
                    return Ok(false);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn pending(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// Replaces the buffer by up to `wanted` bytes of the file at the position.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.position.offset))?;
        self.consumed = 0;
        self.bytes.resize(wanted, 0);
        let mut filled = 0;
        while let Some(free) = self.bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
            match self.file.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.resize(filled, 0);
        Ok(())
    }
}

//! A recording being written, through a mapping: what was appended is in the kernel's hands, and survives the death of the
//! daemon, without a system call per record.
//!
//! Space is allocated before it is mapped. A full disk is thus an error of [`RecordFile::append`], never a SIGBUS in the
//! middle of a copy. (On a file system that copies on write, such as btrfs, allocated space is no promise; see
//! `docs/recordings.md`.)

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use portreeve_recording::limits::HEADER_LEN;
use portreeve_recording::{Encoder, Entry, Header, Host, Record, Signed, SigningKey};

use super::explain;

/// Bytes that a file is first given; each further piece is twice the one before.
pub(super) const CHUNK_LEN_MIN: u64 = 64 * 1024;
/// Bytes of the largest piece.
const CHUNK_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Allocation is rounded up to this many bytes.
pub(super) const PAGE_LEN: u64 = 4096;
/// Bytes that a thread keeps for encoding; a longer record's buffer is given back.
const SCRATCH_KEPT_LEN: usize = 256 * 1024;

thread_local! {
    /// A record is encoded here and then copied into the mapping, so that an idle session owns no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A recording, locked (flock) while it is open, so that a reader can tell one that is written from one whose daemon was killed.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    file: File,
    encoder: Encoder,
    key: Arc<SigningKey>,
    /// The file from `window_start` to `allocated`. What lies before is complete and no longer mapped.
    window: MmapMut,
    window_start: u64,
    /// Where the next frame goes.
    position: u64,
    allocated: u64,
    chunk_len: u64,
}

impl RecordFile {
    /// A new file at `path` (mode 0600) that must not exist yet.
    ///
    /// # Errors
    /// With the path and what to do.
    pub(super) fn create(path: PathBuf, header: &Header, key: Arc<SigningKey>) -> io::Result<Self> {
        let (encoder, header) = Encoder::new(header);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(|e| explain(e, "create", &path))?;
        let window = begin(&mut file, &header).map_err(|error| {
            // Nothing is in it, and it would stand there as an unreadable session.
            let _ = fs::remove_file(&path);
            explain(error, "create", &path)
        })?;
        let window_start = HEADER_LEN as u64;
        Ok(Self {
            path,
            file,
            encoder,
            key,
            window,
            window_start,
            position: window_start,
            allocated: CHUNK_LEN_MIN,
            chunk_len: CHUNK_LEN_MIN,
        })
    }

    /// Appends one record, with a checkpoint where one is due, and with the seal where nothing more follows. When this returns,
    /// they survive `kill -9` of the daemon.
    ///
    /// # Errors
    /// With the path and what to do, when the record is too long or the disk is full; the file is then as before, and a
    /// shorter record, or one after space was freed, can still be appended.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|frames| {
            frames.clear();
            let before = self.encoder.clone();
            let stored = self.encode(entry, frames).and_then(|()| self.store(frames));
            frames.shrink_to(SCRATCH_KEPT_LEN);
            stored.map_err(|error| {
                self.encoder = before;
                explain(error, "append to", &self.path)
            })
        })
    }

    fn encode(&mut self, entry: &Entry<'_>, frames: &mut Vec<u8>) -> io::Result<()> {
        self.encoder.encode(entry, frames).map_err(io::Error::other)?;
        let signed = match () {
            // In one piece with it: a file that was closed without a seal was altered.
            () if is_last(&entry.record) => Signed::Seal,
            () if self.encoder.is_checkpoint_due() => Signed::Checkpoint,
            () => return Ok(()),
        };
        self.encoder.sign(signed, &self.key, frames).map_err(io::Error::other)
    }

    /// Cuts the file to its real length and unlocks it. Append the record that closes it first.
    ///
    /// # Errors
    /// With the path, when the file cannot be cut; readers then find zeros after the last record, which do no harm.
    pub(super) fn close(self) -> io::Result<()> {
        let Self { path, file, window, position, .. } = self;
        drop(window);
        file.set_len(position).map_err(|e| explain(e, "close", &path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Frames so far, and the chain after them.
    pub(super) fn state(&self) -> (u64, [u8; 32]) {
        (self.encoder.frames(), self.encoder.chain())
    }

    /// Of the last record, in nanoseconds since 1970 UTC.
    pub(super) fn last_unix_ns(&self) -> u64 {
        self.encoder.last_unix_ns()
    }

    /// Bytes of header and frames.
    pub(super) fn length(&self) -> u64 {
        self.position
    }

    fn store(&mut self, frame: &[u8]) -> io::Result<()> {
        let end = self.position + frame.len() as u64;
        if end > self.allocated {
            self.grow(end)?;
        }
        let start = to_index(self.position - self.window_start)?;
        let place = self.window.get_mut(start..).and_then(|rest| rest.get_mut(..frame.len()));
        let Some((place, frame)) = place.and_then(<[u8]>::split_first_chunk_mut).zip(frame.split_first_chunk()) else {
            return Err(io::Error::other("the mapping ends before the allocated space; please report this"));
        };
        let ((place_of_length, place), (length, rest)) = (place, frame);
        place.copy_from_slice(rest);
        publish(place_of_length, *length)?;
        self.position = end;
        Ok(())
    }

    /// Allocates and maps space up to `end` at least, and unmaps what is complete.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        let needed = end.next_multiple_of(PAGE_LEN);
        let chunk_len = (self.chunk_len * 2).min(CHUNK_LEN_MAX);
        let wanted = needed.max(self.allocated + chunk_len);
        let allocated = match allocate(&self.file, self.allocated, wanted) {
            Ok(()) => wanted,
            // The last pages of a disk are still good for this record.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && needed < wanted => {
                allocate(&self.file, self.allocated, needed)?;
                needed
            }
            Err(error) => return Err(error),
        };
        self.window = map(&self.file, self.position, allocated)?;
        self.window_start = self.position;
        self.allocated = allocated;
        self.chunk_len = chunk_len;
        Ok(())
    }
}

/// Whether nothing but the seal follows.
fn is_last(record: &Record<'_>) -> bool {
    match record {
        Record::Closed(_) => true,
        Record::Host(host) => matches!(**host, Host::Stopped(_)),
        Record::Opened(_)
        | Record::Login(_)
        | Record::Statement(_)
        | Record::Verdict(_)
        | Record::Response(_)
        | Record::Transport(_)
        | Record::Abandoned(_)
        | Record::Forwarded(_)
        | Record::Chosen(_)
        | Record::Checkpoint(_)
        | Record::Sealed(_)
        | Record::Facts(_)
        | Record::Rows(_) => false,
    }
}

/// Locks a new file, gives it its first piece of disk and its header, and maps what follows the header.
fn begin(file: &mut File, header: &[u8; HEADER_LEN]) -> io::Result<MmapMut> {
    file.lock()?;
    allocate(file, 0, CHUNK_LEN_MIN)?;
    file.write_all(header)?;
    map(file, HEADER_LEN as u64, CHUNK_LEN_MIN)
}

/// Makes a frame visible by its length field: all else of the frame is written before it (release).
fn publish(place: &mut [u8; 4], length: [u8; 4]) -> io::Result<()> {
    let place = place.as_mut_ptr().cast::<u32>();
    if !place.is_aligned() {
        return Err(io::Error::other("a frame does not begin at a multiple of 16; please report this"));
    }
    // SAFETY: `place` comes from a mutable reference to four bytes, so it is valid for reads and writes and nothing else
    // in this process touches it meanwhile; it was just found aligned. Other processes read the file, by system calls.
    let place = unsafe { AtomicU32::from_ptr(place) };
    place.store(u32::from_ne_bytes(length), Ordering::Release);
    Ok(())
}

/// Allocates `from..to` of the file; the bytes read as zero.
fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    let (offset, length) = (i64::try_from(from), i64::try_from(to - from));
    let (Ok(offset), Ok(length)) = (offset, length) else { return Err(io::ErrorKind::FileTooLarge.into()) };
    loop {
        match posix_fallocate(file, offset, length) {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Maps `from..to` of the file, which must be allocated.
fn map(file: &File, from: u64, to: u64) -> io::Result<MmapMut> {
    let length = to_index(to - from)?;
    // SAFETY: a mapping is sound while nobody cuts the file below it and nobody else changes the mapped bytes. The file
    // was made by this process (`create_new`), with mode 0600 in a directory of mode 0700, and is locked; it is cut only in
    // `close`, after the mapping is gone. Readers read it, they do not write.
    unsafe { MmapOptions::new().offset(from).len(length).map_mut(file) }
}

fn to_index(length: u64) -> io::Result<usize> {
    usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

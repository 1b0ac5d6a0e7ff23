//! Session files, written through a mapping: what was appended is in the kernel's hands, and survives the death of the
//! daemon, without a system call per record.
//!
//! Space is allocated before it is mapped. A full disk is thus an error of [`SessionFile::append`], never a SIGBUS in the
//! middle of a copy. (On a file system that copies on write, such as btrfs, allocated space is no promise; see
//! `docs/recordings.md`.)

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use portreeve_recording::limits::HEADER_LEN;
use portreeve_recording::{Encoder, Entry, Header, Kind};
use uuid::Uuid;

pub(crate) mod directory;
#[cfg(test)]
mod tests;

/// Bytes that a session file is first given; each further piece is twice the one before.
const CHUNK_LEN_MIN: u64 = 64 * 1024;
/// Bytes of the largest piece.
const CHUNK_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Allocation is rounded up to this many bytes.
const PAGE_LEN: u64 = 4096;
/// Bytes that a thread keeps for encoding; a longer record's buffer is given back.
const SCRATCH_KEPT_LEN: usize = 256 * 1024;

thread_local! {
    /// A record is encoded here and then copied into the mapping, so that an idle session owns no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes session files below a state directory.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    state_dir: PathBuf,
}

impl Recorder {
    /// For files in `<state_dir>/sessions/<date>/`.
    pub(crate) fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into() }
    }

    /// Makes the file of a new session, with its header; the directory of its UTC day is made too (mode 0700).
    ///
    /// # Errors
    /// With the path and what to do, when the directory or file cannot be made or the disk is full.
    pub(crate) fn create(&self, session_id: Uuid, now_unix_ns: u64) -> io::Result<SessionFile> {
        let directory = directory::of_day(&self.state_dir, &utc_day(now_unix_ns)?);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(|e| explain(e, "make", &directory))?;
        SessionFile::create(directory.join(format!("{session_id}.{}", directory::EXTENSION)), session_id, now_unix_ns)
    }
}

/// The file of one session, locked (flock) while it is open, so that a reader can tell a running session from one whose
/// daemon was killed.
#[derive(Debug)]
pub(crate) struct SessionFile {
    path: PathBuf,
    file: File,
    encoder: Encoder,
    /// The file from `window_start` to `allocated`. What lies before is complete and no longer mapped.
    window: MmapMut,
    window_start: u64,
    /// Where the next frame goes.
    position: u64,
    allocated: u64,
    chunk_len: u64,
}

impl SessionFile {
    /// A new file at `path` (mode 0600) that must not exist yet.
    fn create(path: PathBuf, session_id: Uuid, now_unix_ns: u64) -> io::Result<Self> {
        let header = Header::new(Kind::Session, session_id.into_bytes(), now_unix_ns);
        let (encoder, header) = Encoder::new(&header);
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
            window,
            window_start,
            position: window_start,
            allocated: CHUNK_LEN_MIN,
            chunk_len: CHUNK_LEN_MIN,
        })
    }

    /// Appends one record. When this returns, the record survives `kill -9` of the daemon.
    ///
    /// # Errors
    /// With the path and what to do, when the record is too long or the disk is full; the file is then as before, and a
    /// shorter record, or one after space was freed, can still be appended.
    pub(crate) fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|frame| {
            frame.clear();
            let before = self.encoder.clone();
            let encoded = self.encoder.encode(entry, frame).map_err(io::Error::other);
            let stored = encoded.and_then(|()| self.store(frame));
            frame.shrink_to(SCRATCH_KEPT_LEN);
            stored.map_err(|error| {
                self.encoder = before;
                explain(error, "append to", &self.path)
            })
        })
    }

    /// Cuts the file to its real length and unlocks it. Append [`portreeve_recording::Closed`] first.
    ///
    /// # Errors
    /// With the path, when the file cannot be cut; readers then find zeros after the last record, which do no harm.
    pub(crate) fn close(self) -> io::Result<()> {
        let Self { path, file, window, position, .. } = self;
        drop(window);
        file.set_len(position).map_err(|e| explain(e, "close", &path))
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

/// The UTC day of a time, as the directory of its sessions is called.
fn utc_day(unix_ns: u64) -> io::Result<String> {
    let time = Timestamp::from_nanosecond(i128::from(unix_ns)).map_err(io::Error::other)?;
    Ok(time.to_zoned(TimeZone::UTC).date().to_string())
}

/// The error with the path, and with what the operator can do.
fn explain(error: io::Error, doing: &str, path: &Path) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space below `state_dir`",
        io::ErrorKind::PermissionDenied => "the daemon must own `state_dir`",
        io::ErrorKind::ReadOnlyFilesystem => "`state_dir` must be on a disk that can be written",
        io::ErrorKind::AlreadyExists => "a session id was used twice; please report this",
        _ => "look for disk errors in the kernel's log",
    };
    io::Error::new(error.kind(), format!("cannot {doing} `{}`: {error}; {advice}", path.display()))
}

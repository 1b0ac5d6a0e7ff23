//! A recording being written, through a mapping: what was appended is in the kernel's hands, and survives the death of the
//! daemon, without a system call per record.
//!
//! Space is allocated before it is mapped: a full disk is found there, and leaves room for the records that are still needed.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use portreeve_recording::limits::HEADER_LEN;
use portreeve_recording::{Encoder, Entry, Header, Host, Record, Signed, SigningKey};

use super::durable::{self, Syncable};
use super::mapping::Mapping;
use super::{explain, make_directory};

/// Bytes that a file is first given; each further piece is twice the one before.
pub(crate) const CHUNK_LEN_MIN: u64 = 64 * 1024;
/// Bytes of the largest piece.
const CHUNK_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Allocation is rounded up to this many bytes.
pub(super) const PAGE_LEN: u64 = 4096;
/// Bytes that a thread keeps for encoding; a longer record's buffer is given back.
const SCRATCH_KEPT_LEN: usize = 256 * 1024;
/// How often a file is made that somebody removes before it is locked.
const MAKE_ATTEMPTS_MAX: u32 = 16;

thread_local! {
    /// A record is encoded here and then copied into the mapping, so that an idle session owns no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A recording, locked (flock) while it is open, so that a reader can tell one that is written from one whose daemon was killed.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    file: Arc<Syncable>,
    /// Its name may not be on the disk yet.
    is_new: bool,
    encoder: Encoder,
    key: Arc<SigningKey>,
    /// The file from `window_start` to `allocated`. What lies before is complete and no longer mapped.
    window: Mapping,
    /// Where the next frame goes.
    position: u64,
    allocated: u64,
    chunk_len: u64,
}

impl RecordFile {
    /// A new file at `path` (mode 0600) that must not exist yet; its folders are made too (mode 0700).
    ///
    /// # Errors
    /// With the path and what to do.
    pub(super) fn create(path: PathBuf, header: &Header, key: Arc<SigningKey>) -> io::Result<Self> {
        let (encoder, header) = Encoder::new(header);
        let (file, window) = make(&path, &header)?;
        Ok(Self {
            path,
            file: Arc::new(Syncable::new(file)),
            is_new: true,
            encoder,
            key,
            window,
            position: HEADER_LEN as u64,
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
        self.append_frames(|this, frames| this.encode(entry, frames))
    }

    fn append_frames(&mut self, encode: impl FnOnce(&mut Self, &mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|frames| {
            frames.clear();
            let before = self.encoder.clone();
            let stored = encode(self, frames).and_then(|()| self.store(frames));
            frames.shrink_to(SCRATCH_KEPT_LEN);
            stored.map_err(|error| {
                self.encoder = before;
                explain(error, "append to", &self.path)
            })
        })
    }

    /// Appends a checkpoint behind what is not signed yet.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn sign(&mut self) -> io::Result<()> {
        self.append_frames(|this, frames| this.sign_in(Signed::Checkpoint, frames))
    }

    /// Whether what was appended should have been signed by now.
    pub(super) fn is_checkpoint_overdue(&self, now_unix_ns: u64) -> bool {
        self.encoder.is_checkpoint_overdue(now_unix_ns)
    }

    /// Ready when everything that was appended is on the disk.
    ///
    /// # Errors
    /// With the path, the disk's.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        let new_at = self.is_new.then_some(self.path.as_path());
        durable::sync(&self.file, new_at).await.map_err(|error| explain(error, "sync", &self.path))?;
        self.is_new = false;
        Ok(())
    }

    /// Brings what was appended to the disk, and waits for it: not for a thread that serves sessions.
    ///
    /// # Errors
    /// With the path, the disk's.
    pub(super) fn sync_now(&mut self) -> io::Result<()> {
        let new_at = self.is_new.then_some(self.path.as_path());
        self.file.sync_now(new_at).map_err(|error| explain(error, "sync", &self.path))?;
        self.is_new = false;
        Ok(())
    }

    /// Whether the kernel could not take something that was appended: it should go on in another file.
    pub(super) fn has_failed(&self) -> bool {
        self.file.has_failed() || self.window.is_lost()
    }

    /// For whoever waits until it is on the disk.
    pub(super) fn handle(&self) -> Arc<Syncable> {
        Arc::clone(&self.file)
    }

    fn encode(&mut self, entry: &Entry<'_>, frames: &mut Vec<u8>) -> io::Result<()> {
        self.encoder.encode(entry, frames).map_err(io::Error::other)?;
        let signed = match () {
            // In one piece with it: a file that was closed without a seal was altered.
            () if is_last(&entry.record) => Signed::Seal,
            // Whoever removes a file could else add why to the ledger of a killed daemon.
            () if is_removal(&entry.record) || self.encoder.is_checkpoint_due() => Signed::Checkpoint,
            () => return Ok(()),
        };
        self.sign_in(signed, frames)
    }

    fn sign_in(&mut self, signed: Signed, frames: &mut Vec<u8>) -> io::Result<()> {
        self.encoder.sign(signed, &self.key, frames).map_err(io::Error::other)
    }

    /// Cuts the file to its real length and unlocks it. Append the record that closes it first.
    ///
    /// # Errors
    /// With the path, when the file cannot be cut; readers then find zeros after the last record, which do no harm.
    pub(super) fn close(self) -> io::Result<()> {
        let Self { path, file, window, position, .. } = self;
        drop(window);
        file.file.set_len(position).map_err(|e| explain(e, "close", &path))
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
        if self.window.is_lost() {
            self.window = Mapping::new(&self.file.file, self.position, self.allocated)?;
        }
        self.window.write(self.position, frame)?;
        self.position = end;
        Ok(())
    }

    /// Allocates and maps space up to `end` at least, and unmaps what is complete.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        let needed = end.next_multiple_of(PAGE_LEN);
        let chunk_len = (self.chunk_len * 2).min(CHUNK_LEN_MAX);
        let wanted = needed.max(self.allocated + chunk_len);
        let allocated = match allocate(&self.file.file, self.allocated, wanted) {
            Ok(()) => wanted,
            // The last pages of a disk are still good for this record.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && needed < wanted => {
                allocate(&self.file.file, self.allocated, needed)?;
                needed
            }
            Err(error) => return Err(error),
        };
        self.window = Mapping::new(&self.file.file, self.position, allocated)?;
        self.allocated = allocated;
        self.chunk_len = chunk_len;
        Ok(())
    }
}

fn is_removal(record: &Record<'_>) -> bool {
    matches!(record, Record::Host(host) if matches!(**host, Host::Removed(_)))
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

/// A new file with its header. Retention may take an empty folder, and a file that is not locked yet: then both are made anew.
fn make(path: &Path, header: &[u8; HEADER_LEN]) -> io::Result<(File, Mapping)> {
    for _ in 0..MAKE_ATTEMPTS_MAX {
        if let Some(folder) = path.parent() {
            make_directory(folder)?;
        }
        let mut file = match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| explain(error, "create", path))?,
        };
        match begin(&mut file, header) {
            Ok(Some(window)) => return Ok((file, window)),
            Ok(None) => {}
            Err(error) => {
                // Nothing is in it, and it would stand there as an unreadable session.
                let _ = fs::remove_file(path);
                return Err(explain(error, "create", path));
            }
        }
    }
    Err(explain(io::Error::other("somebody removes it again and again"), "create", path))
}

/// Locks a new file, gives it its first piece of disk and its header, and maps what follows the header. None for a file that
/// was removed before it was locked.
fn begin(file: &mut File, header: &[u8; HEADER_LEN]) -> io::Result<Option<Mapping>> {
    file.lock()?;
    if file.metadata()?.nlink() == 0 {
        return Ok(None);
    }
    allocate(file, 0, CHUNK_LEN_MIN)?;
    file.write_all(header)?;
    Mapping::new(file, HEADER_LEN as u64, CHUNK_LEN_MIN).map(Some)
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

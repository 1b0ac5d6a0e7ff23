//! `durability = "fsync"`: what is recorded is on the disk before anything is forwarded.
//!
//! Each runtime thread has one thread beside it that syncs for all its sessions: what arrives while a round is under way goes
//! together in the next one.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use tokio::sync::oneshot;

/// When what is recorded counts as recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is in the kernel's hands: it survives the death of the daemon.
    #[default]
    Kernel,
    /// It is on the disk: it survives the loss of power.
    Fsync,
}

thread_local! {
    /// Ends with its runtime thread.
    static SYNCER: OnceCell<Sender<Wanted>> = const { OnceCell::new() };
}

/// A file that may have to be on the disk.
#[derive(Debug)]
pub(super) struct Syncable {
    pub(super) file: File,
    /// A sync failed. The kernel says so once, and forgets what it could not write (fsync(2)): the next would look like a success.
    has_failed: AtomicBool,
    /// Of two threads that sync at once, one would hear of the error and the other of a success.
    syncing: Mutex<()>,
}

impl Syncable {
    pub(super) const fn new(file: File) -> Self {
        Self { file, has_failed: AtomicBool::new(false), syncing: Mutex::new(()) }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Returns when everything that was written to the file is on the disk, and its name too where `new_at` says where it lies.
    ///
    /// # Errors
    /// The disk's, also that of an earlier call.
    pub(super) fn sync_now(&self, new_at: Option<&Path>) -> io::Result<()> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_failed() {
            return Err(io::Error::from(Errno::EIO));
        }
        on_disk(&self.file, new_at).inspect_err(|_| self.has_failed.store(true, Ordering::Relaxed))
    }
}

/// A file that a session waits for.
struct Wanted {
    file: Arc<Syncable>,
    /// Where it lies, as long as its name may not be on the disk.
    new_at: Option<PathBuf>,
    done: oneshot::Sender<Result<(), Errno>>,
}

/// Ready when everything that was written to the file is on the disk, and its name too where `new_at` says where it lies.
///
/// # Errors
/// The disk's.
pub(super) async fn sync(file: &Arc<Syncable>, new_at: Option<&Path>) -> io::Result<()> {
    let (done, is_done) = oneshot::channel();
    let wanted = Wanted { file: Arc::clone(file), new_at: new_at.map(Path::to_owned), done };
    SYNCER.with(|syncer| {
        let sender = match syncer.get() {
            Some(sender) => sender,
            None => {
                let started = start()?;
                syncer.get_or_init(|| started)
            }
        };
        sender.send(wanted).map_err(|_| io::Error::other("the thread that syncs has ended"))
    })?;
    Ok(is_done.await.map_err(|_| io::Error::other("the thread that syncs has ended"))??)
}

fn start() -> io::Result<Sender<Wanted>> {
    let (sender, wanted) = channel();
    thread::Builder::new().name("sync".to_owned()).spawn(move || serve(&wanted))?;
    Ok(sender)
}

fn serve(wanted: &Receiver<Wanted>) {
    while let Ok(first) = wanted.recv() {
        let mut round: Vec<_> = std::iter::once(first).chain(wanted.try_iter()).collect();
        // The ledger is waited for by many sessions at once.
        round.sort_by_key(|wanted| Arc::as_ptr(&wanted.file));
        let mut round = round.into_iter().peekable();
        while let Some(Wanted { file, mut new_at, done }) = round.next() {
            let mut waiting = vec![done];
            while let Some(same) = round.next_if(|next| Arc::ptr_eq(&next.file, &file)) {
                new_at = new_at.or(same.new_at);
                waiting.push(same.done);
            }
            let synced = file.sync_now(new_at.as_deref());
            let synced = synced.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw));
            for done in waiting {
                // Who no longer waits has left.
                let _ = done.send(synced);
            }
        }
    }
}

fn on_disk(file: &File, new_at: Option<&Path>) -> io::Result<()> {
    // Pages that were written through the mapping go as well: `fdatasync(2)` writes the file's dirty pages, whoever dirtied them.
    file.sync_data()?;
    // The folder of its day, the one that this lies in, and `state_dir`.
    for folder in new_at.into_iter().flat_map(|path| path.ancestors().skip(1).take(3)) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

//! `durability = "fsync"`: what is recorded is on the disk before anything is forwarded.
//!
//! Each runtime thread has one thread beside it that syncs for all its sessions: what arrives while a round is under way goes
//! together in the next one.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

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

/// A file that a session waits for.
struct Wanted {
    file: Arc<File>,
    /// Where it lies, as long as its name may not be on the disk.
    new_at: Option<PathBuf>,
    done: oneshot::Sender<io::Result<()>>,
}

/// Ready when everything that was written to the file is on the disk, and its name too where `new_at` says where it lies.
///
/// # Errors
/// The disk's.
pub(super) async fn sync(file: &Arc<File>, new_at: Option<&Path>) -> io::Result<()> {
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
    is_done.await.map_err(|_| io::Error::other("the thread that syncs has ended"))?
}

fn start() -> io::Result<Sender<Wanted>> {
    let (sender, wanted) = channel();
    thread::Builder::new().name("sync".to_owned()).spawn(move || serve(&wanted))?;
    Ok(sender)
}

fn serve(wanted: &Receiver<Wanted>) {
    while let Ok(first) = wanted.recv() {
        let round: Vec<_> = std::iter::once(first).chain(wanted.try_iter()).collect();
        for Wanted { file, new_at, done } in round {
            // Who no longer waits has left.
            let _ = done.send(on_disk(&file, new_at.as_deref()));
        }
    }
}

fn on_disk(file: &File, new_at: Option<&Path>) -> io::Result<()> {
    // Pages that were written through the mapping go as well: `fdatasync(2)` writes the file's dirty pages, whoever dirtied them.
    file.sync_data()?;
    // The folder of its day, and the one that this lies in.
    for folder in new_at.into_iter().flat_map(|path| path.ancestors().skip(1).take(2)) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

//! From one daemon to the next, without a moment in which nobody accepts.
//!
//! The running daemon starts its successor as a process that inherits the listeners and the instance's lock, and waits until it
//! serves. Both then hold the same listening sockets: the kernel sees no change, and a connection that waits is accepted by
//! whichever is there. The old one stops accepting, keeps its sessions to their end, and leaves.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError, TryLockError, mpsc},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    fcntl::{F_SETFD, FdFlag, OFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::watch;

use crate::{
    admin::Lock,
    interception::{HANDED_OVER, Inherited, Listeners, SYSTEMD},
    limits::SUCCESSOR_START_MAX,
};

/// What the descriptors beside the listeners are called.
const LOCK: &str = "lock";
const READY: &str = "ready";
/// Set for the process that starts the successor and ends at once.
const LAUNCH: &str = "PORTREEVE_LAUNCH";
/// What a successor says when it serves.
const SERVES: &str = "serves";

/// What a daemon hands to its successor, and how it is told that it did.
#[derive(Debug)]
pub(crate) struct Estate {
    /// As this process was started: the file there may be another by now.
    binary: PathBuf,
    arguments: Vec<OsString>,
    /// None once they were handed over.
    descriptors: Mutex<Option<Vec<(&'static str, OwnedFd)>>>,
    handed_over: watch::Sender<Option<u32>>,
}

impl Estate {
    /// # Errors
    /// A descriptor cannot be duplicated, or this process's own binary not be named.
    pub(crate) fn new(listeners: &Listeners, lock: &Lock) -> Result<Self> {
        let all = listeners.named().chain([(LOCK, lock.as_fd())]);
        let own = |(name, fd): (&'static str, std::os::fd::BorrowedFd<'_>)| Ok((name, fd.try_clone_to_owned()?));
        let descriptors = all.map(own).collect::<std::io::Result<_>>().context("a descriptor cannot be shared")?;
        Ok(Self {
            binary: std::env::current_exe().context("the path of this binary is not known")?,
            arguments: std::env::args_os().skip(1).collect(),
            descriptors: Mutex::new(Some(descriptors)),
            handed_over: watch::Sender::new(None),
        })
    }

    /// Starts `binary`, or what is at this process's own path now, and returns its process id once it serves. Blocks for as long
    /// as that takes.
    ///
    /// # Errors
    /// Why it did not come to serve; this daemon then goes on as it was.
    pub(crate) fn hand_over(&self, binary: Option<&Path>) -> Result<u32> {
        let mut held = match self.descriptors.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => bail!("an upgrade is under way: wait for its end"),
        };
        let Some(descriptors) = held.as_ref() else { bail!("this daemon has handed over already, and only drains") };
        let binary = binary.unwrap_or(&self.binary);
        let pid = start(binary, &self.arguments, descriptors)
            .with_context(|| format!("`{}` did not take over, this daemon goes on", binary.display()))?;
        // Both before the lock is let go of: from here on the descriptors are the successor's alone.
        *held = None;
        self.handed_over.send_replace(Some(pid));
        Ok(pid)
    }

    /// Ready with the successor's process id once there is one.
    pub(crate) async fn handed_over(&self) -> u32 {
        let mut receiver = self.handed_over.subscribe();
        match receiver.wait_for(Option::is_some).await.map(|pid| *pid) {
            Ok(Some(pid)) => pid,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    pub(crate) fn successor(&self) -> Option<u32> {
        *self.handed_over.borrow()
    }

    /// Nobody can become a successor any more, as this daemon stops. Returns the one that has: an upgrade that is under way is waited for,
    /// since two who both leave would leave nobody. Blocks for as long as that takes.
    pub(crate) fn close(&self) -> Option<u32> {
        *self.descriptors.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.successor()
    }
}

fn start(binary: &Path, arguments: &[OsString], descriptors: &[(&'static str, OwnedFd)]) -> Result<u32> {
    let (said, ready) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("no pipe can be made")?;
    let ready = [(READY, ready)];
    // Copies, which alone are not closed by exec: nothing else is started in this process.
    let copies = descriptors.iter().chain(&ready).map(|(name, fd)| {
        let copy = fd.try_clone()?;
        fcntl(copy.as_fd(), F_SETFD(FdFlag::empty()))?;
        Ok((*name, copy))
    });
    let copies: Vec<_> = copies.collect::<std::io::Result<_>>().context("a descriptor cannot be handed over")?;
    let list: Vec<_> = copies.iter().map(|(name, copy)| format!("{name}={}", copy.as_raw_fd())).collect();
    let mut command = Command::new(binary);
    command.args(arguments).env(HANDED_OVER, list.join(",")).env(LAUNCH, "1");
    for variable in SYSTEMD {
        command.env_remove(variable);
    }
    let mut launcher = command.spawn().context("it cannot be started")?;
    drop((copies, ready));
    let heard = heard(said);
    // It has ended by itself, unless it is no portreeve.
    let _ = launcher.kill();
    let _ = launcher.wait();
    heard
}

/// Starts this process's program once more and lets go of it, if a daemon wants that: the successor must be the child of the service
/// manager, not of a daemon that drains, or nobody would see it end. Says whether it did; then there is nothing else to do here.
///
/// # Errors
/// It cannot be started.
pub(crate) fn launch() -> Result<bool> {
    if std::env::var_os(LAUNCH).is_none() {
        return Ok(false);
    }
    let binary = std::env::current_exe().context("the path of this binary is not known")?;
    let mut command = Command::new(binary);
    command.args(std::env::args_os().skip(1)).env_remove(LAUNCH);
    // What is to be handed over is inherited once more: nothing has been marked to be closed.
    command.spawn().context("the successor cannot be started")?;
    Ok(true)
}

/// The successor's process id, once it serves.
///
/// # Errors
/// It said why it does not, or said nothing in time, and was ended.
fn heard(said: OwnedFd) -> Result<u32> {
    let (sender, words) = mpsc::channel();
    thread::spawn(move || -> std::io::Result<()> {
        let mut said = BufReader::new(File::from(said));
        let (mut pid, mut word) = (String::new(), String::new());
        said.read_line(&mut pid)?;
        // Nobody waits any more: it was too late.
        let _ = sender.send(pid);
        said.read_to_string(&mut word)?;
        let _ = sender.send(word);
        Ok(())
    });
    let start = Instant::now();
    let next = || words.recv_timeout(SUCCESSOR_START_MAX.saturating_sub(start.elapsed()));
    let silent = || format!("it did not serve within {} s: look at the log", SUCCESSOR_START_MAX.as_secs());
    let pid =
        next().ok().with_context(silent)?.trim().parse().ok().context("it ended without a reason: look at the log")?;
    match next() {
        Ok(word) if word == SERVES => Ok(pid),
        Ok(word) if word.is_empty() => bail!("it ended without a reason: look at the log"),
        Ok(word) => bail!("{word}"),
        Err(_) => {
            end(pid);
            bail!(silent())
        }
    }
}

/// Its end of the pipe is open still, so that the number is its own.
fn end(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// The successor's side: its predecessor waits for its word.
#[derive(Debug)]
pub(crate) struct Predecessor(File);

impl Predecessor {
    /// The daemon that started this process as its successor, if one did, and the lock that it left.
    pub(crate) fn take(inherited: &mut Inherited) -> Option<(Self, OwnedFd)> {
        let ready = inherited.take(READY)?;
        let predecessor = Self(File::from(ready));
        predecessor.say(&format!("{}\n", std::process::id()));
        Some((predecessor, inherited.take(LOCK)?))
    }

    /// This process serves: the predecessor may stop accepting.
    pub(crate) fn serves(self) {
        self.say(SERVES);
    }

    /// This process does not serve, and why.
    pub(crate) fn failed(self, error: &anyhow::Error) {
        self.say(&format!("{error:#}"));
    }

    fn say(&self, text: &str) {
        if let Err(error) = (&self.0).write_all(text.as_bytes()) {
            tracing::warn!("the daemon before was not told `{text}`: {error}");
        }
    }
}

//! SIGINT and SIGTERM for commands that must end in order.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Takes over the signals that end a command, from when it is made.
#[derive(Debug)]
pub(in crate::cli) struct Ending(SignalFd);

impl Ending {
    /// # Errors
    /// When the system refuses that.
    pub(in crate::cli) fn new() -> anyhow::Result<Self> {
        let mut ending = SigSet::empty();
        ending.add(Signal::SIGINT);
        ending.add(Signal::SIGTERM);
        ending.thread_block().context("cannot take over SIGINT")?;
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        Ok(Self(signals.context("cannot take over SIGINT")?))
    }

    /// Whether the command was told to end.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::cli) fn is_asked(&self) -> anyhow::Result<bool> {
        Ok(self.0.read_signal().context("cannot read signals")?.is_some())
    }

    /// What to wait on, besides for something else.
    pub(in crate::cli) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

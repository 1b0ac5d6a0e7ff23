//! Open descriptors that this process was started with: the listeners that systemd kept while there was no daemon
//! (`sd_listen_fds(3)`), or those that a running daemon hands to its successor.

use std::{
    fmt,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result};
use nix::fcntl::{F_GETFD, F_SETFD, FdFlag, fcntl};

/// Where a daemon tells its successor which descriptor is what: `lock=5,listener-v4=6`.
pub(crate) const HANDED_OVER: &str = "PORTREEVE_HANDED_OVER";
/// What systemd sets (`sd_listen_fds(3)`).
pub(crate) const SYSTEMD: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;

/// Descriptors by name; those that nobody takes are closed.
#[derive(Default)]
pub(crate) struct Inherited(Vec<(String, OwnedFd)>);

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Inherited {
    /// Reads what the environment says of this process. To be called once, before anything is opened.
    ///
    /// # Errors
    /// The environment names a descriptor that is not open.
    pub(crate) fn from_environment() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let named = match std::env::var(HANDED_OVER) {
            Ok(text) => handed_over(&text)?,
            Err(_) => {
                let [pid, count, names] = SYSTEMD.map(variable);
                from_systemd(&pid, &count, &names, std::process::id())
            }
        };
        let owned = named.into_iter().map(|(name, fd)| Ok((name.clone(), own(fd).context(name)?)));
        Ok(Self(owned.collect::<Result<_>>().context("a descriptor that this process should have been given")?))
    }

    /// The first of that name.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

fn handed_over(text: &str) -> Result<Vec<(String, RawFd)>> {
    let one = |part: &str| {
        let (name, fd) = part.split_once('=')?;
        Some((name.to_owned(), fd.parse().ok()?))
    };
    let all: Option<_> = text.split(',').map(one).collect();
    all.with_context(|| {
        format!("{HANDED_OVER} is `{text}`: it is set by a daemon for its successor, and by nobody else")
    })
}

/// Nothing when the variables are not for this process: children inherit them.
fn from_systemd(pid: &str, count: &str, names: &str, own_pid: u32) -> Vec<(String, RawFd)> {
    if pid.parse() != Ok(own_pid) {
        return Vec::new();
    }
    let count: RawFd = count.parse().unwrap_or(0);
    names.split(':').map(str::to_owned).zip(FIRST..FIRST.saturating_add(count)).collect()
}

/// The descriptor, not to be inherited any further.
fn own(fd: RawFd) -> nix::Result<OwnedFd> {
    if fd < FIRST {
        return Err(nix::errno::Errno::EBADF);
    }
    // SAFETY: only asked about: one that is not open is an error of the call, and nothing was opened by us before.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, F_GETFD)?;
    fcntl(borrowed, F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and whoever started us left it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_kept_is_named_in_its_order() {
        let check = |pid: &str, count: &str, names: &str, expected: &[(&str, RawFd)]| {
            let expected: Vec<_> = expected.iter().map(|(name, fd)| ((*name).to_owned(), *fd)).collect();
            assert_eq!(from_systemd(pid, count, names, 7), expected);
        };
        check("7", "2", "listener-v4:listener-v6", &[("listener-v4", 3), ("listener-v6", 4)]);
        check("7", "1", "listener-v4:listener-v6", &[("listener-v4", 3)]);
        check("8", "2", "listener-v4:listener-v6", &[]);
        check("", "", "", &[]);
        check("7", "x", "listener-v4", &[]);
    }

    #[test]
    fn a_predecessors_list_is_read_whole_or_not_at_all() {
        assert_eq!(handed_over("lock=5,ready=6").unwrap(), [("lock".to_owned(), 5), ("ready".to_owned(), 6)]);
        for text in ["", "lock", "lock=", "lock=x", "lock=5,"] {
            assert!(handed_over(text).is_err(), "{text}");
        }
        assert!(own(1).is_err());
        assert!(own(1_000_000).is_err());
    }
}

//! What the daemon tells the service manager that started it (`sd_notify(3)`), and the listeners that it asks it to keep.
//!
//! A message is one datagram to the Unix socket in `NOTIFY_SOCKET`; descriptors go beside it.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket};

/// Where the service manager listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The service manager; nobody when the daemon was started by hand.
#[derive(Debug)]
pub(crate) struct Notifier(Option<UnixAddr>);

impl Notifier {
    /// # Errors
    /// `NOTIFY_SOCKET` is no address of a Unix socket.
    pub(crate) fn from_environment() -> Result<Self> {
        let Ok(name) = std::env::var(SOCKET) else { return Ok(Self(None)) };
        let address = address(&name).with_context(|| format!("{SOCKET} is `{name}`, which is no Unix socket"))?;
        Ok(Self(Some(address)))
    }

    /// This process is the service's main process and serves. The predecessor's number counted until now.
    pub(crate) fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()), &[]);
    }

    /// This process stops once its sessions have ended.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining sessions", &[]);
    }

    /// Asks for each listener to be kept while no daemon runs, in place of what was kept under its name. Says whether somebody
    /// took the request: a manager that keeps nothing (`FileDescriptorStoreMax=0`) closes them, and connects are refused.
    pub(crate) fn keep<'s>(&self, listeners: impl Iterator<Item = (&'static str, BorrowedFd<'s>)>, anew: bool) -> bool {
        let kept = |(name, listener): (&str, BorrowedFd<'_>)| {
            if anew {
                self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
            }
            self.tell(&format!("FDSTORE=1\nFDNAME={name}"), &[listener])
        };
        // Each is sent, also behind one that failed.
        listeners.map(kept).fold(true, |all, one| all & one)
    }

    /// Says whether it was sent. A manager that cannot be told is no reason to stop serving.
    fn tell(&self, message: &str, descriptors: &[BorrowedFd<'_>]) -> bool {
        let Some(address) = &self.0 else { return false };
        let send = || -> nix::Result<usize> {
            let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
            let numbers: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
            let beside = [ControlMessage::ScmRights(&numbers)];
            let beside = if numbers.is_empty() { &[][..] } else { &beside[..] };
            let text = [IoSlice::new(message.as_bytes())];
            sendmsg(socket.as_raw_fd(), &text, beside, MsgFlags::MSG_NOSIGNAL, Some(address))
        };
        let sent = send();
        if let Err(error) = &sent {
            tracing::warn!("the service manager was not told `{}`: {error}", message.replace('\n', " "));
        }
        sent.is_ok()
    }
}

/// A path, or a name in the abstract namespace behind `@`.
fn address(name: &str) -> nix::Result<UnixAddr> {
    match name.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn manager() -> (UnixDatagram, Notifier, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("portreeve-notify-{}", uuid::Uuid::new_v4()));
        let manager = UnixDatagram::bind(&path).unwrap();
        (manager, Notifier(Some(address(path.to_str().unwrap()).unwrap())), path)
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_the_main_process_and_each_listener() {
        let (manager, notifier, path) = manager();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        notifier.ready();
        assert_eq!(heard(&manager), format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()));
        let one = || std::iter::once(("listener-v4", std::os::fd::AsFd::as_fd(&listener)));
        assert!(notifier.keep(one(), false));
        assert_eq!(heard(&manager), "FDSTORE=1\nFDNAME=listener-v4");
        assert!(notifier.keep(one(), true));
        assert_eq!(heard(&manager), "FDSTOREREMOVE=1\nFDNAME=listener-v4");
        assert_eq!(heard(&manager), "FDSTORE=1\nFDNAME=listener-v4");
        drop(manager);
        std::fs::remove_file(path).unwrap();
        assert!(!notifier.keep(one(), false), "nobody listens");
        assert!(!Notifier(None).keep(one(), false), "nobody is there");
    }
}

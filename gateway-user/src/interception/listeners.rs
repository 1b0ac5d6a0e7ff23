//! The loopback listeners that redirected connections arrive at: one for IPv4, one for IPv6, shared by all runtime
//! threads (each accepts for itself).
//!
//! `SO_REUSEPORT` is deliberately absent: a group could be joined by another process of root, and then the listener
//! that the kernel program checked is not sure to be the one that gets the connection.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};

use super::Inherited;

/// Attempts to find a port that is free on both loopback addresses.
const PORT_ATTEMPTS_MAX: usize = 64;
/// Connections that may wait for accept, per listener. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// What the listeners are called while they are handed from one daemon to the next.
const V4: &str = "listener-v4";
const V6: &str = "listener-v6";

/// What is done to a socket that is bound and does not listen yet.
type Mark<'m> = &'m dyn Fn(BorrowedFd<'_>) -> io::Result<()>;

/// The daemon's listeners in one network namespace. IPv6 is missing where the kernel has none; such connects are then refused.
#[derive(Debug)]
pub(crate) struct Listeners {
    v4: TcpListener,
    v6: Option<TcpListener>,
    port: u16,
    netns_cookie: u64,
    inherited: bool,
}

impl Listeners {
    /// The listeners of the daemon before, with the connections that wait there; new ones, as by [`Listeners::bind`], where none
    /// were inherited or the port is not the wanted one.
    ///
    /// # Errors
    /// As [`Listeners::bind`].
    pub(crate) fn inherit_or_bind(
        inherited: &mut Inherited,
        port: u16,
        has_rule: impl Fn(u16) -> bool,
    ) -> Result<Self> {
        let v4 = inherited.take(V4).and_then(|socket| listening(socket, Ipv4Addr::LOCALHOST));
        let v6 = inherited.take(V6).and_then(|socket| listening(socket, Ipv6Addr::LOCALHOST));
        let Some((v4, found)) = v4 else { return Self::bind(port, has_rule) };
        if (port != 0 && port != found) || has_rule(found) {
            tracing::info!("the inherited listeners have port {found}, which is not the wanted one");
            return Self::bind(port, has_rule);
        }
        let v6 = v6.filter(|(_, port)| *port == found).map(|(listener, _)| listener);
        let netns_cookie = super::evidence::netns_cookie(v4.as_fd())?;
        tracing::info!("goes on listening on port {found}, with the connections that wait there");
        Ok(Self { v4, v6, port: found, netns_cookie, inherited: true })
    }

    /// Listens on one port of both loopback addresses; `port` 0 takes any that is free on both and has no rule of its own:
    /// behind a refused port, or an intercepted one, nobody would be reached.
    ///
    /// # Errors
    /// The port is in use, with what to do.
    pub(crate) fn bind(port: u16, has_rule: impl Fn(u16) -> bool) -> Result<Self> {
        // They are marked before any connect is led to them.
        let unmarked = |_: BorrowedFd<'_>| Ok(());
        if port != 0 {
            return Self::try_bind(port, &unmarked).with_context(|| {
                format!(
                    "cannot listen on port {port} of the loopback addresses; choose another \
                     `interception.listen_port`, or leave it out and the kernel chooses"
                )
            });
        }
        Self::bind_any(has_rule, &unmarked)
    }

    fn bind_any(has_rule: impl Fn(u16) -> bool, mark: Mark<'_>) -> Result<Self> {
        for _ in 0..PORT_ATTEMPTS_MAX {
            match Self::try_bind(0, mark) {
                Ok(bound) if has_rule(bound.port) => {}
                // Free for IPv4, taken for IPv6: try another.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound.context("cannot listen on the loopback addresses"),
            }
        }
        bail!("no port is free on both loopback addresses")
    }

    /// Listens in the network namespace that the calling thread is in: on this port if it is free there, else on any other that has
    /// no rule. The loopback interface may be down as yet. Each socket is given to `mark` before it listens: connects may come
    /// that very moment.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn bind_elsewhere(
        port: u16,
        has_rule: impl Fn(u16) -> bool,
        mark: impl Fn(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<Self> {
        match Self::try_bind(port, &mark) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Self::bind_any(has_rule, &mark),
            bound => bound.context("nobody can listen on the loopback addresses there"),
        }
    }

    fn try_bind(port: u16, mark: Mark<'_>) -> io::Result<Self> {
        let v4 = listen((Ipv4Addr::LOCALHOST, port).into(), mark)?;
        let port = v4.local_addr()?.port();
        let v6 = match listen((Ipv6Addr::LOCALHOST, port).into(), mark) {
            Ok(listener) => Some(listener),
            Err(error) if has_no_ipv6(&error) => None,
            Err(error) => return Err(error),
        };
        let netns_cookie = super::evidence::netns_cookie(v4.as_fd())?;
        Ok(Self { v4, v6, port, netns_cookie, inherited: false })
    }

    /// Whether a daemon before had these very sockets.
    pub(crate) fn are_inherited(&self) -> bool {
        self.inherited
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cookie of the network namespace the listeners are in.
    pub(crate) fn netns_cookie(&self) -> u64 {
        self.netns_cookie
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let v6 = self.v6.as_ref().map(|_| SocketAddr::from((Ipv6Addr::LOCALHOST, self.port)));
        std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).chain(v6).collect()
    }

    /// Each listener by the name under which the next daemon finds it.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        std::iter::once((V4, self.v4.as_fd())).chain(self.v6.as_ref().map(|listener| (V6, listener.as_fd())))
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.v4.as_fd()).chain(self.v6.as_ref().map(|listener| listener.as_fd()))
    }

    /// The same listening sockets under descriptors of their own, for one more thread to accept from.
    pub(crate) fn try_clone(&self) -> io::Result<Vec<TcpListener>> {
        let mut sockets = vec![self.v4.try_clone()?];
        if let Some(v6) = &self.v6 {
            sockets.push(v6.try_clone()?);
        }
        Ok(sockets)
    }
}

/// An inherited descriptor and its port, when it is what it should be.
fn listening(socket: OwnedFd, address: impl Into<std::net::IpAddr>) -> Option<(TcpListener, u16)> {
    let listens = socket::getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    let listener = TcpListener::from(socket);
    let local = listener.local_addr().ok()?;
    let usable = listens && local.ip() == address.into() && listener.set_nonblocking(true).is_ok();
    usable.then(|| (listener, local.port()))
}

fn has_no_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn listen(address: SocketAddr, mark: Mark<'_>) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let listener = socket::socket(family, SockType::Stream, flags, None)?;
    socket::setsockopt(&listener, sockopt::ReuseAddr, &true)?;
    // `::1` is nobody's while the loopback interface is down, which in a new network namespace it may be.
    socket::setsockopt(&listener, sockopt::IpFreebind, &true)?;
    socket::bind(listener.as_raw_fd(), &SockaddrStorage::from(address))?;
    mark(listener.as_fd())?;
    socket::listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(listener))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_port_that_has_a_rule_is_not_chosen() {
        let seen = RefCell::new(Vec::new());
        let listeners = Listeners::bind(0, |port| {
            seen.borrow_mut().push(port);
            seen.borrow().len() < 3
        });
        assert_eq!(Some(&listeners.unwrap().port()), seen.borrow().last());
        assert_eq!(seen.borrow().len(), 3);
        let none = Listeners::bind(0, |_| true).unwrap_err();
        assert!(none.to_string().contains("no port is free"), "{none}");
    }
}

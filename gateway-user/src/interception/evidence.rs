//! Turning sockets into the kernel's keys, and the kernel's records into words.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd as _, BorrowedFd},
};

use portreeve_abi::{Flow, Origin};

/// The flow of an accepted connection as its client sees it: our peer is its local end.
pub(crate) fn flow(netns_cookie: u64, peer: SocketAddr, local: SocketAddr) -> Flow {
    Flow {
        netns_cookie,
        local_address: octets(peer.ip()),
        remote_address: octets(local.ip()),
        local_port: peer.port(),
        remote_port: local.port(),
        reserved: 0,
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Where the client wanted to go; v4-mapped addresses as IPv4.
///
/// The kernel reads the unspecified address as the local host (`ip_route_connect`, `tcp_v6_connect`), and so do we.
pub(crate) fn destination(origin: &Origin) -> SocketAddr {
    let ip = match Ipv6Addr::from(origin.destination).to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, origin.destination_port)
}

/// The caller's command name, without the padding; what is not UTF-8 is replaced.
pub(crate) fn comm(origin: &Origin) -> String {
    let name = origin.comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

pub(super) fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as nix::libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes, which is the size of `cookie`; both outlive the call.
    let result = unsafe {
        nix::libc::getsockopt(
            socket.as_raw_fd(),
            nix::libc::SOL_SOCKET,
            nix::libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_destination(ip: [u8; 16], expected: &str) {
        let origin = Origin { destination: ip, destination_port: 3306, ..Origin::default() };
        assert_eq!(destination(&origin).to_string(), expected);
    }

    #[test]
    fn destinations_read_as_the_kernel_reads_them() {
        check_destination(portreeve_abi::mapped([10, 0, 0, 5]), "10.0.0.5:3306");
        check_destination(portreeve_abi::mapped([0, 0, 0, 0]), "127.0.0.1:3306");
        check_destination(Ipv6Addr::UNSPECIFIED.octets(), "[::1]:3306");
        check_destination("fd00::1".parse::<Ipv6Addr>().unwrap().octets(), "[fd00::1]:3306");
    }

    #[test]
    fn a_flow_is_keyed_from_the_clients_side() {
        let flow = flow(7, "127.0.0.1:40000".parse().unwrap(), "127.0.0.1:13306".parse().unwrap());
        assert_eq!((flow.local_port, flow.remote_port, flow.netns_cookie), (40000, 13306, 7));
        assert_eq!(flow.local_address, portreeve_abi::mapped([127, 0, 0, 1]));
    }

    #[test]
    fn a_command_name_ends_at_its_padding() {
        let origin = Origin { comm: *b"mariadb\0garbage!", ..Origin::default() };
        assert_eq!(comm(&origin), "mariadb");
    }
}

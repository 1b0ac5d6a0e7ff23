//! Whether somebody still holds the other end of a client's connection.
//!
//! A client that closed its socket and one that only ended its sending side (`shutdown`, which a script's pipe does) look
//! the same on the wire until something is written. Both ends are on this host, so the kernel's table of sockets tells:
//! a socket that no process holds any more has no inode.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::arrival::Place;

/// Columns of `/proc/net/tcp` (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`).
const LOCAL: usize = 1;
const REMOTE: usize = 2;
const INODE: usize = 9;

/// Whether no process holds the socket that is `peer` towards `local`, the gateway's own end, in the network namespace of both.
///
/// # Errors
/// The tables cannot be read.
pub(super) fn is_gone(place: &Place, peer: SocketAddr, local: SocketAddr) -> io::Result<bool> {
    let tables = match place {
        Place::Here => own_tables()?,
        Place::There(namespace) => namespace.tcp_tables()?,
    };
    Ok(!tables.iter().any(|table| holder(table, peer, local) == Some(true)))
}

fn own_tables() -> io::Result<Vec<String>> {
    let mut tables = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => tables.push(text),
            // A host without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tables)
}

/// Whether a process holds the socket; none when the table does not list it.
fn holder(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<bool> {
    let (peer, local) = (forms(peer), forms(local));
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = |column: usize| columns.get(column).copied().unwrap_or_default();
        let is_it = peer.iter().zip(&local).any(|(peer, local)| at(LOCAL) == peer && at(REMOTE) == local);
        is_it.then(|| at(INODE) != "0")
    })
}

/// An address as the tables write it: 32-bit words in the machine's order, in hexadecimal; an IPv4 address also as the
/// v4-mapped one that a dual-stack client's socket has.
fn forms(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let words = |octets: &[u8]| -> String {
        let word = |word: &[u8]| word.try_into().map(u32::from_ne_bytes).unwrap_or_default();
        octets.chunks(size_of::<u32>()).map(|octets| format!("{:08X}", word(octets))).collect()
    };
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let plain = words(&ip.octets());
            let mapped = words(&Ipv4Addr::to_ipv6_mapped(&ip).octets());
            vec![format!("{plain}:{port:04X}"), format!("{mapped}:{port:04X}")]
        }
        IpAddr::V6(ip) => vec![format!("{}:{port:04X}", words(&ip.octets()))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener, TcpStream};

    fn check(listen: &str, connect: impl Fn(SocketAddr) -> SocketAddr) {
        let listener = TcpListener::bind(listen).unwrap();
        let client = TcpStream::connect(connect(listener.local_addr().unwrap())).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let local = server.local_addr().unwrap();
        assert!(!is_gone(&Place::Here, peer, local).unwrap());
        client.shutdown(Shutdown::Write).unwrap();
        assert!(!is_gone(&Place::Here, peer, local).unwrap(), "half-closed is not gone");
        drop(client);
        assert!(is_gone(&Place::Here, peer, local).unwrap());
    }

    #[test]
    fn a_closed_client_is_told_from_one_that_ended_its_sending_side() {
        check("127.0.0.1:0", |address| address);
        check("[::1]:0", |address| address);
        // A dual-stack client's socket towards an IPv4 listener.
        check("127.0.0.1:0", |address| format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap());
    }

    #[test]
    fn a_socket_that_is_not_listed_has_no_holder() {
        let address: SocketAddr = "127.0.0.1:3306".parse().unwrap();
        assert_eq!(holder("  sl  local_address rem_address\n", address, address), None);
        assert_eq!(holder("", address, address), None);
    }
}

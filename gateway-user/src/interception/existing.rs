//! Connections that a cgroup had before it was tagged: found and ended through `sock_diag(7)`, in every network namespace
//! that the cgroup's processes are in.
//!
//! A socket belongs to the cgroup that made it (`INET_DIAG_CGROUP_ID`, Linux 5.8); its end sees a reset, as after
//! `ss --kill`.

use std::{
    collections::HashSet,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    libc,
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

use super::tree::Tree;

/// `linux/sock_diag.h`, `linux/inet_diag.h`: numbers of the interface, none of which libc has.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const INET_DIAG_CGROUP_ID: u16 = 21;
const NLMSG_HEADER_BYTES: usize = 16;
/// `inet_diag_sockid`: ports, addresses, interface, cookie.
const SOCKID_BYTES: usize = 48;
/// Family, state, timer and retransmits before the id; four words and the inode after it.
const MESSAGE_BYTES: usize = 4 + SOCKID_BYTES + 20;
/// Every TCP state but `TCP_TIME_WAIT`, `TCP_CLOSE` and `TCP_LISTEN` (`net/tcp_states.h`).
const STATES: u32 = !((1 << 6) | (1 << 7) | (1 << 10)) & 0xfff;
/// The kernel sends at most 32 KiB at once (`netlink_dump`).
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Ends TCP connections to `ports` that were made in the cgroup (a path) or below it. Returns how many.
///
/// # Errors
/// The kernel does not say whose sockets are whose, or does not end them (`CONFIG_INET_DIAG_DESTROY`).
pub(super) fn end_connections(cgroup: &Path, ports: &[u16]) -> Result<usize> {
    let tree = Tree::of([cgroup.to_owned()])?;
    let mut ended = end_here(&tree.ids, ports)?;
    for namespace in tree.namespaces.values() {
        // A network namespace is a thread's own: this one ends with what it was sent for.
        let joined = thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET).context("a network namespace cannot be entered")?;
                end_here(&tree.ids, ports)
            });
            there.join()
        });
        match joined {
            Ok(result) => ended += result?,
            Err(_) => bail!("the thread for another network namespace panicked"),
        }
    }
    Ok(ended)
}

/// In this thread's network namespace.
fn end_here(cgroups: &HashSet<u64>, ports: &[u16]) -> Result<usize> {
    let mut ended = 0;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).context("an address family does not fit")?;
        for id in found(family, cgroups, ports)? {
            ended += usize::from(end(family, &id)?);
        }
    }
    Ok(ended)
}

type SocketId = [u8; SOCKID_BYTES];

fn found(family: u8, cgroups: &HashSet<u64>, ports: &[u16]) -> Result<Vec<SocketId>> {
    let diag = open()?;
    // Without attribute to ask for: the cgroup's id is in every answer.
    ask(&diag, SOCK_DIAG_BY_FAMILY, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, &request(family, &[0; SOCKID_BYTES]))?;
    let mut ids = Vec::new();
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let length = recv(diag.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("sock_diag does not answer")?;
        for (kind, payload) in messages(buffer.get(..length).unwrap_or_default()) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(ids),
                libc::NLMSG_ERROR => check(payload).context("sockets cannot be listed")?,
                _ => {
                    let found = Found::read(payload).context("sock_diag says something else than was asked")?;
                    let cgroup = found.cgroup.context("sock_diag does not say whose a socket is")?;
                    if ports.contains(&found.port) && cgroups.contains(&cgroup) {
                        ids.push(found.id);
                    }
                }
            }
        }
    }
}

/// False when the connection ended by itself meanwhile.
fn end(family: u8, id: &SocketId) -> Result<bool> {
    let diag = open()?;
    ask(&diag, SOCK_DESTROY, libc::NLM_F_REQUEST | libc::NLM_F_ACK, &request(family, id))?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    let length = recv(diag.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("sock_diag does not answer")?;
    let answers = messages(buffer.get(..length).unwrap_or_default());
    let (_, payload) = answers.first().context("sock_diag answers without a message")?;
    match errno(payload) {
        Some(0) => Ok(true),
        Some(libc::ENOENT) => Ok(false),
        _ => check(payload).context("a connection cannot be ended").map(|()| true),
    }
}

fn open() -> Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkSockDiag;
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).context("no sock_diag socket")
}

/// `inet_diag_req_v2`.
fn request(family: u8, id: &SocketId) -> Vec<u8> {
    const TCP: u8 = libc::IPPROTO_TCP as u8;
    let mut request = vec![family, TCP, 0, 0];
    request.extend(STATES.to_ne_bytes());
    request.extend(id);
    request
}

/// `nlmsghdr` and payload.
fn ask(diag: &OwnedFd, kind: u16, flags: i32, payload: &[u8]) -> Result<()> {
    let length = u32::try_from(NLMSG_HEADER_BYTES + payload.len()).context("a request does not fit")?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(u16::try_from(flags).context("flags do not fit")?.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(payload);
    send(diag.as_raw_fd(), &message, MsgFlags::empty()).context("sock_diag does not take a request")?;
    Ok(())
}

/// Kind and payload of each netlink message; what is cut short is left out.
fn messages(bytes: &[u8]) -> Vec<(u16, &[u8])> {
    parts(bytes, NLMSG_HEADER_BYTES, |head| {
        Some((usize::try_from(u32::from_ne_bytes(take(head, 0)?)).ok()?, u16::from_ne_bytes(take(head, 4)?)))
    })
}

/// Kind and payload of each attribute (`nlattr`).
fn attributes(bytes: &[u8]) -> Vec<(u16, &[u8])> {
    parts(bytes, 4, |head| Some((usize::from(u16::from_ne_bytes(take(head, 0)?)), u16::from_ne_bytes(take(head, 2)?))))
}

/// Splits what has its length, header included, and its kind in its header, and is aligned to 4 bytes.
fn parts(bytes: &[u8], header: usize, read: impl Fn(&[u8]) -> Option<(usize, u16)>) -> Vec<(u16, &[u8])> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some((length, kind)) = read(rest) {
        let Some(payload) = rest.get(header..length) else { break };
        parts.push((kind, payload));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    parts
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The number in an `nlmsgerr`, positive; 0 is an acknowledgement.
fn errno(payload: &[u8]) -> Option<i32> {
    take(payload, 0).map(i32::from_ne_bytes).map(i32::wrapping_neg)
}

fn check(payload: &[u8]) -> Result<()> {
    match errno(payload) {
        Some(0) => Ok(()),
        Some(errno) => Err(std::io::Error::from_raw_os_error(errno).into()),
        None => bail!("sock_diag answers with an error it does not name"),
    }
}

/// What matters of an `inet_diag_msg`.
struct Found {
    id: SocketId,
    /// Of the other side, in host order.
    port: u16,
    cgroup: Option<u64>,
}

impl Found {
    fn read(payload: &[u8]) -> Option<Self> {
        let id: SocketId = take(payload, 4)?;
        let port = u16::from_be_bytes(take(&id, 2)?);
        let attributes = attributes(payload.get(MESSAGE_BYTES..)?);
        let cgroup = attributes.into_iter().find(|(kind, _)| *kind == INET_DIAG_CGROUP_ID);
        Some(Self { id, port, cgroup: cgroup.and_then(|(_, value)| take(value, 0)).map(u64::from_ne_bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_at_their_aligned_lengths() {
        let mut bytes = Vec::new();
        for (kind, payload) in [(20_u16, &b"abcde"[..]), (3, b"")] {
            bytes.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        assert_eq!(messages(&bytes), [(20, &b"abcde"[..]), (3, b"")]);
        assert!(messages(&bytes[..18]).is_empty(), "cut short");
    }

    #[test]
    fn a_socket_is_read_with_its_cgroup() {
        let mut payload = vec![0; MESSAGE_BYTES];
        payload[4 + 2..4 + 4].copy_from_slice(&3306_u16.to_be_bytes());
        payload.extend(12_u16.to_ne_bytes());
        payload.extend(INET_DIAG_CGROUP_ID.to_ne_bytes());
        payload.extend(77_u64.to_ne_bytes());
        let found = Found::read(&payload).unwrap();
        assert_eq!((found.port, found.cgroup), (3306, Some(77)));
        assert!(Found::read(&payload[..40]).is_none());
    }
}

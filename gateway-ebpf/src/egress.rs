//! Listed egress at connect and sendmsg, and the packets that no other program saw.
//!
//! `cgroup_skb/egress` runs behind the network namespace's own NAT and sees the destination that counts. It knows a
//! packet's socket by the cgroup that made it, not who sends.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_fullsock},
    maps::lpm_trie::Key,
    programs::{SkBuffContext, SockAddrContext},
};
use core::ptr::{addr_of, read_volatile};
use portreeve_abi::{EgressKey, PortRule, Refusal, limits};

use crate::{
    ALLOW, REFUSE,
    context::{self, Address, is_mapped},
    events,
    listener::{self, Found, Loopback},
    maps::{EGRESS, ORIGINS, PORTS, SETTINGS},
    scope,
};

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_UDPLITE: u8 = 136;
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_DESTINATION_OPTIONS: u8 = 60;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
const TCP_ACK: u8 = 0x10;
/// Where ports begin that systems give to clients (Linux's default; RFC 6335 has 49152). What goes there may be an answer.
const EPHEMERAL_PORT_MIN: u16 = 32_768;

#[inline(always)]
pub fn sendmsg4(ctx: &SockAddrContext) -> i32 {
    check(ctx, &context::address4(ctx))
}

#[inline(always)]
pub fn sendmsg6(ctx: &SockAddrContext) -> i32 {
    check(ctx, &context::address6(ctx))
}

/// Refuses a destination that the caller's workload may not have. The first question is for everyone, so the cheapest.
#[inline(always)]
pub fn check(ctx: &SockAddrContext, destination: &Address) -> i32 {
    if !anything_is_listed() {
        return ALLOW;
    }
    let scope = scope::of_caller();
    if !scope.is_tagged() || !scope.is_listed() || is_on_list(scope.id, destination) {
        return ALLOW;
    }
    events::refused(ctx, scope.id, destination, Refusal::Egress);
    REFUSE
}

#[inline(always)]
fn anything_is_listed() -> bool {
    SETTINGS.get(0).is_some_and(|settings| settings.egress_is_listed != 0)
}

#[inline(always)]
fn is_on_list(tagged_cgroup_id: u64, destination: &Address) -> bool {
    let key = EgressKey::new(tagged_cgroup_id, destination.ip, destination.port);
    EGRESS.get(Key::new(EgressKey::FIXED_BITS + 128, key)).is_some()
}

const NOWHERE: Address = Address { ip: [0; 16], port: 0 };

/// What a packet's headers say.
struct Head {
    kind: Kind,
    /// Left out (zero) but for TCP.
    source: Address,
    destination: Address,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The first packet of a connection.
    TcpSyn,
    Tcp,
    /// The end of a connection, without data: the server is to know of one that was ended by a tag.
    TcpReset,
    Udp,
    /// Another protocol: nothing with ports that the daemon knows of.
    Other,
    /// Fragments, routing headers and the like, which nobody's ordinary socket sends.
    Unreadable,
}

#[inline(always)]
pub fn packet(ctx: &SkBuffContext) -> i32 {
    let head = head(ctx);
    match towards_gateway(ctx, &head) {
        Way::Elsewhere => {}
        Way::Free => return ALLOW,
        Way::Held => return REFUSE,
        Way::Barred(refusal) => {
            events::dropped(ctx, scope::of_packet(ctx.skb.skb).id, &head.destination, refusal);
            return REFUSE;
        }
    }
    let refusal = match head.kind {
        Kind::TcpSyn | Kind::Tcp if is_guarded(&head) => Refusal::Unredirected,
        Kind::Unreadable => Refusal::Unredirected,
        Kind::TcpSyn | Kind::Udp | Kind::Other if anything_is_listed() => Refusal::Egress,
        Kind::TcpSyn | Kind::Tcp | Kind::TcpReset | Kind::Udp | Kind::Other => return ALLOW,
    };
    let scope = scope::of_packet(ctx.skb.skb);
    if !scope.is_tagged() {
        return ALLOW;
    }
    if refusal == Refusal::Egress && (!scope.is_listed() || may_leave(scope.id, &head)) {
        return ALLOW;
    }
    events::dropped(ctx, scope.id, &head.destination, refusal);
    REFUSE
}

/// How a packet stands to the gateway's listener.
enum Way {
    /// It goes somewhere else, or belongs to a connection that is there.
    Elsewhere,
    Free,
    /// Nobody listens yet: it will be sent again.
    Held,
    Barred(Refusal),
}

/// The SYN of a redirected connect reaches our listener or nobody: whatever came to that port since the connect, and wherever NAT
/// would have it go. And nobody's SYN reaches our listener as another's, whose record may lie there.
#[inline(always)]
fn towards_gateway(ctx: &SkBuffContext, head: &Head) -> Way {
    if head.kind != Kind::TcpSyn {
        return Way::Elsewhere;
    }
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // SAFETY: a map value checked for null; only this socket's own calls write it.
    let redirected = unsafe { ORIGINS.get(cookie) }.map(|state| &state.published);
    let is_loopback =
        head.destination.ip == context::LOOPBACK6 || head.destination.ip == portreeve_abi::mapped(context::LOOPBACK4);
    if redirected.is_none() && !is_loopback {
        return Way::Elsewhere;
    }
    let ends = socket_ends(ctx, head);
    // An earlier connect of the same socket may have been redirected, and this one not.
    let redirected = redirected.filter(|flow| (flow.local_port, flow.remote_port) == ends.ports);
    let is_translated = !ends.has_source || ends.ports != (head.source.port, head.destination.port);
    // Rules of routing may lead even a loopback address to a wire.
    // SAFETY: the kernel passes a valid context for the program's life; `ifindex` is a readable field.
    let device = unsafe { read_volatile(addr_of!((*ctx.skb.skb).ifindex)) };
    let leads_elsewhere =
        redirected.is_some_and(|flow| flow.remote_address != head.destination.ip || device != context::LOOPBACK_DEVICE);
    if redirected.is_some() && (is_translated || leads_elsewhere) {
        return Way::Barred(Refusal::Unredirected);
    }
    if !is_loopback {
        return Way::Elsewhere;
    }
    let listener = if head.destination.ip == context::LOOPBACK6 { Loopback::V6 } else { Loopback::V4 };
    let tag = SETTINGS.get(0).copied().unwrap_or_default().listener_tag;
    // SAFETY: the program's own context, which may look sockets up.
    let found = unsafe { listener::find(ctx.as_ptr(), listener, head.destination.port, tag) };
    match (found, redirected.is_some()) {
        (Found::Ours, true) => Way::Free,
        (Found::Ours, false) if is_translated => Way::Barred(Refusal::Unredirected),
        // Dialled directly: what lay under this four-tuple was removed (`publish::before_syn`).
        (Found::Ours, false) => Way::Elsewhere,
        (Found::Foreign, true) => Way::Barred(Refusal::ForeignListener),
        (Found::Nobody, true) => Way::Held,
        (Found::Foreign | Found::Nobody, false) => Way::Elsewhere,
    }
}

/// What the packet's socket knows of its connection; all zero where there is no whole socket.
struct Ends {
    /// Its own port and the other's, in host order.
    ports: (u16, u16),
    /// Whether its address is the packet's source.
    has_source: bool,
}

#[inline(always)]
fn socket_ends(ctx: &SkBuffContext, head: &Head) -> Ends {
    let unknown = Ends { ports: (0, 0), has_source: false };
    let skb = ctx.skb.skb;
    // SAFETY: the kernel passes a valid context for the program's life; `sk` is a readable field, and what the helper gives is
    // null or a whole socket.
    unsafe {
        let sk = read_volatile(addr_of!((*skb).__bindgen_anon_2.sk));
        if sk.is_null() {
            return unknown;
        }
        let sk = bpf_sk_fullsock(sk);
        if sk.is_null() {
            return unknown;
        }
        let ports =
            (read_volatile(addr_of!((*sk).src_port)) as u16, u16::from_be(read_volatile(addr_of!((*sk).dst_port))));
        // Both are read before either is looked at: loads that a branch chooses between are merged into one through a computed
        // pointer, which the verifier rejects.
        let (ip4, ip6) = (read_volatile(addr_of!((*sk).src_ip4)), context::words(addr_of!((*sk).src_ip6).cast()));
        let ip = if is_mapped(&head.source.ip) { portreeve_abi::mapped(ip4.to_ne_bytes()) } else { ip6 };
        let has_source = ip == head.source.ip;
        Ends { ports, has_source }
    }
}

/// Whether a port has a rule that a redirected packet would not meet: those go to the gateway's port. Whatever goes to a
/// port for clients counts only if it begins a connection.
#[inline(always)]
fn is_guarded(head: &Head) -> bool {
    let port = head.destination.port;
    let Some(rule) = PORTS.get_ptr(u32::from(port)) else { return false };
    // SAFETY: an aligned u32 in the map, read at once; the daemon only ever stores whole values.
    let redirected = unsafe { rule.read_volatile() } == PortRule::Redirect as u32;
    head.kind == Kind::TcpSyn || (redirected && port < EPHEMERAL_PORT_MIN)
}

/// Listed destinations: the gateway was seen to before.
#[inline(always)]
fn may_leave(tagged_cgroup_id: u64, head: &Head) -> bool {
    head.kind != Kind::Other && is_on_list(tagged_cgroup_id, &head.destination)
}

#[inline(always)]
fn head(ctx: &SkBuffContext) -> Head {
    let unreadable = Head { kind: Kind::Unreadable, source: NOWHERE, destination: NOWHERE };
    // In cgroup programs the packet begins with its network header.
    let Ok(first) = ctx.load::<u8>(0) else { return unreadable };
    let read = match first >> 4 {
        4 => head4(ctx, first),
        6 => head6(ctx),
        _ => None,
    };
    read.unwrap_or(unreadable)
}

#[inline(always)]
fn head4(ctx: &SkBuffContext, first: u8) -> Option<Head> {
    let header = ctx.load::<[u8; 20]>(0).ok()?;
    // Fragment offset (13 bits): what follows the first fragment has no ports. Packets are cut behind this program.
    if u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0 {
        return None;
    }
    let source = portreeve_abi::mapped([header[12], header[13], header[14], header[15]]);
    let ip = portreeve_abi::mapped([header[16], header[17], header[18], header[19]]);
    transport(ctx, usize::from(first & 0xf) * 4, header[9], source, ip)
}

#[inline(always)]
fn head6(ctx: &SkBuffContext) -> Option<Head> {
    let mut next = ctx.load::<u8>(6).ok()?;
    let source = ctx.load::<[u8; 16]>(8).ok()?;
    let ip = ctx.load::<[u8; 16]>(24).ok()?;
    let mut offset = 40;
    for _ in 0..limits::EXTENSION_HEADERS_MAX {
        if next != IPV6_HOP_BY_HOP && next != IPV6_DESTINATION_OPTIONS {
            break;
        }
        let extension = ctx.load::<[u8; 2]>(offset).ok()?;
        next = extension[0];
        offset += (usize::from(extension[1]) + 1) * 8;
    }
    transport(ctx, offset, next, source, ip)
}

#[inline(always)]
fn transport(ctx: &SkBuffContext, offset: usize, protocol: u8, source: [u8; 16], ip: [u8; 16]) -> Option<Head> {
    /// Headers that only forward or cut: what they carry is not looked into.
    const IPV6_ROUTING: u8 = 43;
    const IPV6_FRAGMENT: u8 = 44;
    match protocol {
        IPPROTO_TCP => {
            let header = ctx.load::<[u8; 14]>(offset).ok()?;
            let kind = match header[13] & (TCP_SYN | TCP_ACK | TCP_RST) {
                TCP_SYN => Kind::TcpSyn,
                flags if flags & (TCP_SYN | TCP_RST) == TCP_RST => Kind::TcpReset,
                _ => Kind::Tcp,
            };
            let source = Address { ip: source, port: u16::from_be_bytes([header[0], header[1]]) };
            Some(Head { kind, source, destination: Address { ip, port: u16::from_be_bytes([header[2], header[3]]) } })
        }
        IPPROTO_UDP | IPPROTO_UDPLITE => {
            let ports = ctx.load::<[u8; 4]>(offset).ok()?;
            let destination = Address { ip, port: u16::from_be_bytes([ports[2], ports[3]]) };
            Some(Head { kind: Kind::Udp, source: NOWHERE, destination })
        }
        IPV6_HOP_BY_HOP | IPV6_DESTINATION_OPTIONS | IPV6_ROUTING | IPV6_FRAGMENT => None,
        _ => Some(Head { kind: Kind::Other, source: NOWHERE, destination: Address { ip, port: 0 } }),
    }
}

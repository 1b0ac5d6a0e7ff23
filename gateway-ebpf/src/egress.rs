//! Listed egress at connect and sendmsg, and the packets that no other program saw.
//!
//! `cgroup_skb/egress` runs behind the network namespace's own NAT and sees the destination that counts. It knows a
//! packet's socket by the cgroup that made it, not who sends.

use aya_ebpf::{
    maps::lpm_trie::Key,
    programs::{SkBuffContext, SockAddrContext},
};
use portreeve_abi::{EgressKey, PortRule, Refusal, Settings, limits};

use crate::{
    ALLOW, REFUSE,
    context::{self, Address},
    events,
    maps::{EGRESS, PORTS, SETTINGS},
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

/// What a packet's headers say.
struct Head {
    kind: Kind,
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

/// Listed destinations, and the gateway.
#[inline(always)]
fn may_leave(tagged_cgroup_id: u64, head: &Head) -> bool {
    let settings = SETTINGS.get(0).copied().unwrap_or_default();
    is_gateway(head, &settings) || (head.kind != Kind::Other && is_on_list(tagged_cgroup_id, &head.destination))
}

#[inline(always)]
fn is_gateway(head: &Head, settings: &Settings) -> bool {
    let ip = &head.destination.ip;
    head.kind == Kind::TcpSyn
        && settings.proxy_port != 0
        && head.destination.port == settings.proxy_port
        && (*ip == portreeve_abi::mapped(context::LOOPBACK4) || *ip == context::LOOPBACK6)
}

#[inline(always)]
fn head(ctx: &SkBuffContext) -> Head {
    let unreadable = Head { kind: Kind::Unreadable, destination: Address { ip: [0; 16], port: 0 } };
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
    let ip = portreeve_abi::mapped([header[16], header[17], header[18], header[19]]);
    transport(ctx, usize::from(first & 0xf) * 4, header[9], ip)
}

#[inline(always)]
fn head6(ctx: &SkBuffContext) -> Option<Head> {
    let mut next = ctx.load::<u8>(6).ok()?;
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
    transport(ctx, offset, next, ip)
}

#[inline(always)]
fn transport(ctx: &SkBuffContext, offset: usize, protocol: u8, ip: [u8; 16]) -> Option<Head> {
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
            Some(Head { kind, destination: Address { ip, port: u16::from_be_bytes([header[2], header[3]]) } })
        }
        IPPROTO_UDP | IPPROTO_UDPLITE => {
            let ports = ctx.load::<[u8; 4]>(offset).ok()?;
            Some(Head { kind: Kind::Udp, destination: Address { ip, port: u16::from_be_bytes([ports[2], ports[3]]) } })
        }
        IPV6_HOP_BY_HOP | IPV6_DESTINATION_OPTIONS | IPV6_ROUTING | IPV6_FRAGMENT => None,
        _ => Some(Head { kind: Kind::Other, destination: Address { ip, port: 0 } }),
    }
}

//! `sock_create`: who made a socket, and which kinds a tagged workload may not make. `post_bind4`, `post_bind6`: the
//! gateway's port is the daemon's.
//!
//! `sock_create` sees `AF_INET` and `AF_INET6` alone (`inet_create`, `inet6_create`): packet sockets are not among them.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_set_retval, bpf_sk_storage_get},
    programs::SockContext,
};
use core::ptr::{self, addr_of, read_volatile};
use portreeve_abi::Refusal;

use crate::{
    ALLOW, REFUSE,
    context::{Address, SOCK_STREAM},
    events, listener,
    maps::{CREATORS, SETTINGS},
    scope,
};

const SOCK_DGRAM: u32 = 2;
const IPPROTO_ICMP: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_ICMPV6: u32 = 58;
const IPPROTO_UDPLITE: u32 = 136;
const IPPROTO_MPTCP: u32 = 262;
const EPROTONOSUPPORT: i32 = 93;

#[inline(always)]
pub fn made(ctx: &SockContext) -> i32 {
    let scope = scope::of_caller();
    if !scope.is_tagged() {
        return ALLOW;
    }
    let sock = ctx.sock;
    // SAFETY: the kernel passes a valid context for the program's life; both are readable fields.
    let (kind, protocol) =
        unsafe { (read_volatile(addr_of!((*sock).type_)), read_volatile(addr_of!((*sock).protocol))) };
    if !is_seen_by_connect(kind, protocol) {
        let nowhere = Address { ip: [0; 16], port: 0 };
        // SAFETY: a program that runs in the caller's process.
        unsafe { events::refused_call(ctx.as_ptr(), scope.id, &nowhere, Refusal::Protocol) };
        if protocol == IPPROTO_MPTCP {
            // Programs fall back to TCP by this error.
            // SAFETY: a helper without pointers.
            unsafe { bpf_set_retval(-EPROTONOSUPPORT) };
        }
        return REFUSE;
    }
    let mut id = scope.id;
    // Where there is no memory for it, the socket counts as made by nobody, and its connects are refused.
    // SAFETY: the program's own context, and a value on this stack that the helper copies.
    unsafe {
        bpf_sk_storage_get(
            ptr::from_ref(&CREATORS).cast_mut().cast(),
            sock.cast(),
            ptr::from_mut(&mut id).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        );
    }
    ALLOW
}

/// Kinds of which the connect, sendmsg and egress programs see every destination.
#[inline(always)]
fn is_seen_by_connect(kind: u32, protocol: u32) -> bool {
    match kind {
        SOCK_STREAM => protocol == IPPROTO_TCP,
        SOCK_DGRAM => matches!(protocol, IPPROTO_UDP | IPPROTO_UDPLITE | IPPROTO_ICMP | IPPROTO_ICMPV6),
        _ => false,
    }
}

/// Who squats on the port of a daemon that died would keep the next one from starting. Connects are not led to a squatter
/// in any case: root outside of the tagged cgroups may bind (the next daemon does), and its listener has no tag.
#[inline(always)]
pub fn bound(ctx: &SockContext) -> i32 {
    let Some(settings) = SETTINGS.get(0) else { return ALLOW };
    let sock: *mut bpf_sock = ctx.sock;
    // SAFETY: the kernel passes a valid context for the program's life; both are readable fields of a bound socket, the port
    // in host order.
    let (port, kind) = unsafe { (read_volatile(addr_of!((*sock).src_port)), read_volatile(addr_of!((*sock).type_))) };
    if settings.proxy_port == 0 || kind != SOCK_STREAM {
        return ALLOW;
    }
    // SAFETY: helpers on the program's own context, or without pointers.
    let (netns_cookie, uid) = unsafe { (bpf_get_netns_cookie(ctx.as_ptr()), bpf_get_current_uid_gid() as u32) };
    let port = port as u16;
    let is_known = port == listener::known_port(netns_cookie, settings);
    if !is_known && port != settings.proxy_port {
        return ALLOW;
    }
    let scope = scope::of_caller();
    // Where the daemon does not listen, the port is everybody's but the agents', to whom it may come yet.
    if !scope.is_tagged() && (uid == 0 || !is_known) {
        return ALLOW;
    }
    let here = Address { ip: [0; 16], port };
    // SAFETY: a program that runs in the caller's process.
    unsafe { events::refused_call(ctx.as_ptr(), scope.id, &here, Refusal::GatewayPort) };
    REFUSE
}

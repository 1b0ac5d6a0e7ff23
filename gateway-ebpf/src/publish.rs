//! `sock_ops`: publish the record of a redirected connect before its SYN leaves.
//!
//! `TCP_CONNECT_CB` runs with the source port known and the SYN not yet sent, so the record is there whenever the
//! daemon accepts, TCP Fast Open included. A connect that waits for a listener (`egress::towards_gateway` drops its SYN) sends
//! it again soon, and not for ever.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TIMEOUT_INIT, bpf_sock_ops},
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_setsockopt},
    programs::SockOpsContext,
};
use core::{
    mem::size_of,
    ptr::{self, addr_of},
};
use portreeve_abi::{Flow, Settings, limits, mapped};

use crate::{
    context, listener,
    maps::{ORIGINS, RECORDS, SETTINGS},
};

const AF_INET: u32 = 2;
const IPPROTO_TCP: i32 = 6;
/// `linux/tcp.h`: how often a SYN is sent again.
const TCP_SYNCNT: i32 = 7;

/// One look at the operation for every other one.
#[inline(always)]
pub fn before_syn(ctx: &SockOpsContext) {
    let op = ctx.op();
    if op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_TIMEOUT_INIT {
        return;
    }
    let Some(settings) = SETTINGS.get(0) else { return };
    // In network order within the upper half on little-endian machines (`bpf_sock_ops_convert_ctx_access`).
    let remote_port = u32::from_be(ctx.remote_port()) as u16;
    if op == BPF_SOCK_OPS_TIMEOUT_INIT {
        return hasten(ctx, settings, remote_port);
    }
    // SAFETY: helpers on the program's own context.
    let (cookie, netns_cookie) = unsafe { (bpf_get_socket_cookie(ctx.as_ptr()), bpf_get_netns_cookie(ctx.as_ptr())) };
    if !listener::is_port(remote_port, netns_cookie, settings) {
        return;
    }
    if listener::known_port(netns_cookie, settings) == 0 {
        limit_syns(ctx);
    }
    let flow = flow(ctx, netns_cookie, remote_port);
    match ORIGINS.get_ptr_mut(cookie) {
        // SAFETY: a map value checked for null; only this socket's own calls write it, under its lock.
        Some(state) if unsafe { !(*state).is_published() } => {
            // A full map drops the record, and the gateway closes what has none.
            // SAFETY: a map value checked for null; only this socket's own calls write it, under its lock.
            unsafe {
                (*state).published = flow;
                let _ = RECORDS.insert(&(*state).published, &(*state).origin, 0);
            }
        }
        // Somebody dials the gateway directly: whatever an earlier socket left under this four-tuple is not theirs, nor
        // is what the same socket's earlier connect left: each redirected connect starts unpublished.
        _ => {
            let _ = RECORDS.remove(&flow);
        }
    }
}

/// The kernel asks for the first pause before a SYN is sent again, after `TCP_CONNECT_CB`, for connections that are accepted too:
/// those have no origin.
#[inline(always)]
fn hasten(ctx: &SockOpsContext, settings: &Settings, remote_port: u16) {
    if remote_port != settings.proxy_port || settings.hold_jiffies == 0 {
        return;
    }
    // SAFETY: helpers on the program's own context.
    let (cookie, netns_cookie) = unsafe { (bpf_get_socket_cookie(ctx.as_ptr()), bpf_get_netns_cookie(ctx.as_ptr())) };
    if ORIGINS.get_ptr(cookie).is_some() && listener::known_port(netns_cookie, settings) == 0 {
        ctx.set_reply(u32::from(settings.hold_jiffies));
    }
}

/// A connect that waits for a listener does not wait for ever.
#[inline(always)]
fn limit_syns(ctx: &SockOpsContext) {
    let mut syns = limits::HELD_SYNS_MAX;
    let length = size_of::<u32>() as i32;
    // Where it fails the connect waits longer, as the system's own settings say.
    // SAFETY: the program's own context, and four bytes of this stack.
    unsafe { bpf_setsockopt(ctx.as_ptr(), IPPROTO_TCP, TCP_SYNCNT, ptr::from_mut(&mut syns).cast(), length) };
}

#[inline(always)]
fn flow(ctx: &SockOpsContext, netns_cookie: u64, remote_port: u16) -> Flow {
    let (local_address, remote_address) = if ctx.family() == AF_INET {
        (mapped(ctx.local_ip4().to_ne_bytes()), mapped(ctx.remote_ip4().to_ne_bytes()))
    } else {
        // SAFETY: the context is valid for the program's life; both are arrays of four readable words.
        unsafe {
            let ops: *mut bpf_sock_ops = ctx.ops;
            (context::words(addr_of!((*ops).local_ip6).cast()), context::words(addr_of!((*ops).remote_ip6).cast()))
        }
    };
    Flow { netns_cookie, local_address, remote_address, local_port: ctx.local_port() as u16, remote_port, reserved: 0 }
}

//! `sock_ops`: publish the record of a redirected connect before its SYN leaves.
//!
//! `TCP_CONNECT_CB` runs with the source port known and the SYN not yet sent, so the record is there whenever the
//! daemon accepts, TCP Fast Open included.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_TCP_CONNECT_CB, bpf_sock_ops},
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::SockOpsContext,
};
use core::ptr::{addr_of, read_volatile};
use portreeve_abi::{Flow, mapped};

use crate::maps::{ORIGINS, RECORDS, SETTINGS};

const AF_INET: u32 = 2;

#[inline(always)]
pub fn before_syn(ctx: &SockOpsContext) {
    if ctx.op() != BPF_SOCK_OPS_TCP_CONNECT_CB {
        return;
    }
    let Some(settings) = SETTINGS.get(0) else { return };
    // In network order within the upper half on little-endian machines (`bpf_sock_ops_convert_ctx_access`).
    let remote_port = u32::from_be(ctx.remote_port()) as u16;
    if remote_port != settings.proxy_port {
        return;
    }
    // SAFETY: helpers on the program's own context.
    let (cookie, netns_cookie) = unsafe { (bpf_get_socket_cookie(ctx.as_ptr()), bpf_get_netns_cookie(ctx.as_ptr())) };
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

#[inline(always)]
fn flow(ctx: &SockOpsContext, netns_cookie: u64, remote_port: u16) -> Flow {
    let (local_address, remote_address) = if ctx.family() == AF_INET {
        (mapped(ctx.local_ip4().to_ne_bytes()), mapped(ctx.remote_ip4().to_ne_bytes()))
    } else {
        // SAFETY: the context is valid for the program's life; both are arrays of four readable words.
        unsafe {
            let ops: *mut bpf_sock_ops = ctx.ops;
            (words(addr_of!((*ops).local_ip6).cast()), words(addr_of!((*ops).remote_ip6).cast()))
        }
    };
    Flow { netns_cookie, local_address, remote_address, local_port: ctx.local_port() as u16, remote_port, reserved: 0 }
}

/// Four context words as 16 bytes, read one at a time: the verifier rejects wider loads.
///
/// # Safety
/// `first` must be the first of four readable words of the program's context.
#[inline(always)]
unsafe fn words(first: *const u32) -> [u8; 16] {
    // SAFETY: as the caller promises.
    let [a, b, c, d] = unsafe {
        [
            read_volatile(first).to_ne_bytes(),
            read_volatile(first.add(1)).to_ne_bytes(),
            read_volatile(first.add(2)).to_ne_bytes(),
            read_volatile(first.add(3)).to_ne_bytes(),
        ]
    };
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
}

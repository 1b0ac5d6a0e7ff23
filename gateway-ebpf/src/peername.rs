//! `getpeername4`, `getpeername6`: a redirected client still sees the server it asked for.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_get_socket_cookie, programs::SockAddrContext};
use portreeve_abi::Origin;

use crate::{ALLOW, context, maps::ORIGINS};

#[inline(always)]
pub fn v4(ctx: &SockAddrContext) -> i32 {
    if let Some(origin) = redirected(ctx) {
        let ip = origin.destination;
        context::set_address4(ctx, [ip[12], ip[13], ip[14], ip[15]], origin.destination_port);
    }
    ALLOW
}

#[inline(always)]
pub fn v6(ctx: &SockAddrContext) -> i32 {
    if let Some(origin) = redirected(ctx) {
        context::set_address6(ctx, origin.destination, origin.destination_port);
    }
    ALLOW
}

/// The origin of this socket while it is connected to the gateway. A socket that was redirected once and has since
/// been connected elsewhere has another peer port, and keeps its true peer.
#[inline(always)]
fn redirected(ctx: &SockAddrContext) -> Option<&'static Origin> {
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // SAFETY: a map value checked for null; only this socket's own calls write it.
    let state = unsafe { ORIGINS.get(cookie) }?;
    (state.published.remote_port == context::port(ctx)).then_some(&state.origin)
}

//! Portreeve's kernel programs, attached at the cgroup v2 root (`packet`: to each tagged cgroup).
//!
//! Nothing here decides who may do what: it redirects, notes who called, and refuses when the gateway could not know.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))] // for `origin::add`

mod connect;
mod context;
mod egress;
mod events;
mod listener;
mod maps;
mod origin;
mod peername;
mod publish;
mod scope;
mod sockets;

use aya_ebpf::{
    macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext},
};

/// Values a cgroup program returns: let the call go on, or fail it with `EPERM`.
const ALLOW: i32 = 1;
const REFUSE: i32 = 0;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect::v4(&ctx)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect::v6(&ctx)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    egress::sendmsg4(&ctx)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    egress::sendmsg6(&ctx)
}

#[cgroup_skb(egress)]
pub fn packet(ctx: SkBuffContext) -> i32 {
    egress::packet(&ctx)
}

#[cgroup_sock(sock_create)]
pub fn made(ctx: SockContext) -> i32 {
    sockets::made(&ctx)
}

#[cgroup_sock(post_bind4)]
pub fn bound4(ctx: SockContext) -> i32 {
    sockets::bound(&ctx)
}

#[cgroup_sock(post_bind6)]
pub fn bound6(ctx: SockContext) -> i32 {
    sockets::bound(&ctx)
}

#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    peername::v4(&ctx)
}

#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    peername::v6(&ctx)
}

#[sock_ops]
pub fn publish_record(ctx: SockOpsContext) -> u32 {
    publish::before_syn(&ctx);
    1
}

#[cgroup_sock(sock_release)]
pub fn release(ctx: SockContext) -> i32 {
    origin::forget(ctx.sock.cast());
    ALLOW
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {} // The verifier rejects a program that could reach this.
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

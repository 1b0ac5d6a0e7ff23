//! `connect4`, `connect6`: redirect a tagged workload's connect to the gateway, or refuse it.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
    },
    helpers::generated::{bpf_get_current_uid_gid, bpf_sk_lookup_tcp, bpf_sk_release, bpf_sk_storage_get},
    programs::SockAddrContext,
};
use core::{mem::size_of, ptr};
use portreeve_abi::{PortRule, Refusal, Settings};

use crate::{
    ALLOW, REFUSE,
    context::{self, Address, LOOPBACK4, LOOPBACK6, SOCK_STREAM},
    egress, events,
    maps::{LISTENERS, PORTS, SETTINGS, UIDS},
    origin, scope,
};

/// `BPF_F_CURRENT_NETNS`: look in the namespace of the calling socket.
const CURRENT_NETNS: u64 = u64::MAX;
/// Index of `lo` in every network namespace (`net/core/dev.c`: it is the first device registered).
const LOOPBACK_DEVICE: u32 = 1;

/// The loopback listener that serves a destination: IPv4 and v4-mapped IPv6 go to `127.0.0.1`, the rest to `::1`.
#[derive(Clone, Copy, PartialEq)]
enum Loopback {
    V4,
    V6,
}

#[inline(always)]
pub fn v4(ctx: &SockAddrContext) -> i32 {
    let destination = context::address4(ctx);
    let Some(rule) = guarded(ctx) else { return egress::check(ctx, &destination) };
    match redirect(ctx, rule, &destination, Loopback::V4) {
        Outcome::OutOfScope => ALLOW,
        Outcome::Refused => REFUSE,
        Outcome::To(port) => {
            context::set_address4(ctx, LOOPBACK4, port);
            ALLOW
        }
    }
}

#[inline(always)]
pub fn v6(ctx: &SockAddrContext) -> i32 {
    let destination = context::address6(ctx);
    let Some(rule) = guarded(ctx) else { return egress::check(ctx, &destination) };
    let listener = if is_mapped(&destination.ip) { Loopback::V4 } else { Loopback::V6 };
    match redirect(ctx, rule, &destination, listener) {
        Outcome::OutOfScope => ALLOW,
        Outcome::Refused => REFUSE,
        Outcome::To(port) => {
            let ip = if listener == Loopback::V4 { portreeve_abi::mapped(LOOPBACK4) } else { LOOPBACK6 };
            context::set_address6(ctx, ip, port);
            ALLOW
        }
    }
}

/// The first question of every connect on the host, so the cheapest: is it a stream to a port that has a rule?
#[inline(always)]
fn guarded(ctx: &SockAddrContext) -> Option<u32> {
    if context::socket_type(ctx) != SOCK_STREAM {
        return None;
    }
    // SAFETY: an aligned u32 in the map, read at once; the daemon only ever stores whole values.
    PORTS.get_ptr(u32::from(context::port(ctx))).map(|rule| unsafe { rule.read_volatile() })
}

#[inline(always)]
fn is_mapped(ip: &[u8; 16]) -> bool {
    u64::from_ne_bytes([ip[0], ip[1], ip[2], ip[3], ip[4], ip[5], ip[6], ip[7]]) == 0
        && u32::from_be_bytes([ip[8], ip[9], ip[10], ip[11]]) == 0xffff
}

enum Outcome {
    OutOfScope,
    Refused,
    /// Redirect to the gateway's port, in host order.
    To(u16),
}

#[inline(always)]
fn redirect(ctx: &SockAddrContext, rule: u32, destination: &Address, listener: Loopback) -> Outcome {
    let (caller, creator) = (scope::of_caller().id, context::creator(ctx));
    if caller == 0 && creator == 0 && !has_uid_of_a_workload() {
        return Outcome::OutOfScope;
    }
    match try_redirect(ctx, rule, caller, creator, destination, listener) {
        Ok(port) => {
            events::redirected(ctx, caller, destination);
            Outcome::To(port)
        }
        Err(refusal) => {
            events::refused(ctx, if caller == 0 { creator } else { caller }, destination, refusal);
            Outcome::Refused
        }
    }
}

#[inline(always)]
fn has_uid_of_a_workload() -> bool {
    // SAFETY: a helper without pointers.
    let uid = unsafe { bpf_get_current_uid_gid() } as u32;
    UIDS.get_ptr(uid).is_some()
}

#[inline(always)]
fn try_redirect(
    ctx: &SockAddrContext,
    rule: u32,
    caller: u64,
    creator: u64,
    destination: &Address,
    listener: Loopback,
) -> Result<u16, Refusal> {
    // A socket that was handed over, or a process that was moved: whose connection it is cannot be said.
    if caller != creator {
        return Err(Refusal::OtherCreator);
    }
    if caller == 0 {
        return Err(Refusal::UidOutside);
    }
    if rule != PortRule::Redirect as u32 {
        return Err(Refusal::RefusedPort);
    }
    let settings = SETTINGS.get(0).copied().unwrap_or_default();
    if settings.proxy_port == 0 {
        return Err(Refusal::NotReady);
    }
    let device = context::bound_device(ctx);
    if device != 0 && device != LOOPBACK_DEVICE {
        return Err(Refusal::BoundToDevice);
    }
    check_listener(ctx, listener, &settings)?;
    origin::remember(ctx, caller, destination, &settings)?;
    Ok(settings.proxy_port)
}

/// Our listener must be there, in the caller's network namespace: an agent must get neither a hanging connect nor
/// whoever took the port first.
#[inline(always)]
fn check_listener(ctx: &SockAddrContext, listener: Loopback, settings: &Settings) -> Result<(), Refusal> {
    // SAFETY: all zero is a valid value of this union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let port = settings.proxy_port.to_be();
    let size = match listener {
        Loopback::V4 => {
            let ip = u32::from_ne_bytes(LOOPBACK4);
            tuple.__bindgen_anon_1.ipv4 =
                bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 { saddr: ip, daddr: ip, sport: 0, dport: port };
            size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1>()
        }
        Loopback::V6 => {
            let ip = [0, 0, 0, 1u32.to_be()];
            tuple.__bindgen_anon_1.ipv6 =
                bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 { saddr: ip, daddr: ip, sport: 0, dport: port };
            size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2>()
        }
    };
    // SAFETY: the tuple lives on this stack and `size` is that of the variant written.
    let sk = unsafe { bpf_sk_lookup_tcp(ctx.as_ptr(), &mut tuple, size as u32, CURRENT_NETNS, 0) };
    if sk.is_null() {
        return Err(Refusal::NoListener);
    }
    // SAFETY: `sk` is a referenced socket until the release below, which every path reaches; the storage value, if any,
    // is a u64 that the daemon wrote by the listener's descriptor.
    unsafe {
        let tag = bpf_sk_storage_get(ptr::from_ref(&LISTENERS).cast_mut().cast(), sk.cast(), ptr::null_mut(), 0);
        let ours = !tag.is_null() && *tag.cast::<u64>() == settings.listener_tag;
        bpf_sk_release(sk.cast());
        if ours { Ok(()) } else { Err(Refusal::ForeignListener) }
    }
}

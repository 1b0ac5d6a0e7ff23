//! `connect4`, `connect6`: redirect a tagged workload's connect to the gateway, or refuse it.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_current_uid_gid, bpf_get_netns_cookie},
    programs::SockAddrContext,
};
use portreeve_abi::{PortRule, Refusal};

use crate::{
    ALLOW, REFUSE,
    context::{self, Address, LOOPBACK4, LOOPBACK6, SOCK_STREAM, is_mapped},
    egress, events,
    listener::{self, Found, Loopback},
    maps::{PORTS, SETTINGS, UIDS},
    origin, scope,
};

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
        Ok(gateway) => {
            events::redirected(ctx, caller, destination, gateway.is_late);
            Outcome::To(gateway.port)
        }
        Err(refusal) => {
            events::refused(ctx, if caller == 0 { creator } else { caller }, destination, refusal);
            Outcome::Refused
        }
    }
}

/// Where a connect goes to.
struct Gateway {
    port: u16,
    /// The daemon has yet to listen there: until then the SYN is dropped (`egress::towards_gateway`) and sent again.
    is_late: bool,
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
) -> Result<Gateway, Refusal> {
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
    if device != 0 && device != context::LOOPBACK_DEVICE {
        return Err(Refusal::BoundToDevice);
    }
    // SAFETY: a helper on the program's own context.
    let netns_cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    let known = listener::known_port(netns_cookie, &settings);
    let port = if known == 0 { settings.proxy_port } else { known };
    // An agent must get neither a hanging connect nor whoever took the port first.
    // SAFETY: the program's own context.
    let is_late = match unsafe { listener::find(ctx.as_ptr(), listener, port, settings.listener_tag) } {
        Found::Ours => false,
        Found::Foreign => return Err(Refusal::ForeignListener),
        Found::Nobody if known == 0 => true,
        Found::Nobody => return Err(Refusal::NoListener),
    };
    origin::remember(ctx, caller, destination, &settings)?;
    Ok(Gateway { port, is_late })
}

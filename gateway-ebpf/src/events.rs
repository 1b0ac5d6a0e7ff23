//! Telling the daemon of refused and redirected calls.

use aya_ebpf::{
    EbpfContext as _,
    bindings::__sk_buff,
    helpers::generated::{bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_skb_cgroup_id},
    maps::ring_buf::RingBufEntry,
    programs::{SkBuffContext, SockAddrContext},
};
use aya_log_ebpf::debug;
use core::{ffi::c_void, ptr::addr_of_mut};
use portreeve_abi::{ConnectEvent, Origin, Refusal, Tally};

use crate::{
    context::Address,
    maps::{EVENTS, REFUSALS, TALLY},
    origin,
};

/// The daemon reads now and then by itself: to be woken by each event would cost every connect some microseconds.
const DO_NOT_WAKE: u64 = aya_ebpf::bindings::BPF_RB_NO_WAKEUP as u64;
const WAKE: u64 = aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP as u64;

/// A connect that is refused.
#[inline(always)]
pub fn refused(ctx: &SockAddrContext, tagged_cgroup_id: u64, destination: &Address, refusal: Refusal) {
    // SAFETY: the context of a program that runs in the caller's process.
    unsafe { refused_call(ctx.as_ptr(), tagged_cgroup_id, destination, refusal) };
    debug!(ctx, "refused a connect to port {}: refusal {}", destination.port, refusal as u32);
}

/// Counts the refusal and sends it. When the ring is full the event is lost, the count is not.
///
/// # Safety
/// `ctx` must be the context of a program that runs in the caller's process.
#[inline(always)]
pub unsafe fn refused_call(ctx: *mut c_void, tagged_cgroup_id: u64, destination: &Address, refusal: Refusal) {
    count(refusal);
    let Some(mut entry) = reserve(refusal as u32) else { return };
    // SAFETY: reserved memory of the event's size; the context is as the caller promises.
    unsafe { origin::write(addr_of_mut!((*entry.as_mut_ptr()).origin), ctx, tagged_cgroup_id, destination) };
    // Whoever has the port there, the daemon can take another.
    entry.submit(if refusal as u32 == Refusal::ForeignListener as u32 { WAKE } else { DO_NOT_WAKE });
}

/// Sends that a connect goes to the gateway, and counts it. One that is held waits for the daemon: it is woken.
#[inline(always)]
pub fn redirected(ctx: &SockAddrContext, tagged_cgroup_id: u64, destination: &Address, is_held: bool) {
    tally(Tally::Redirected);
    if is_held {
        tally(Tally::Held);
    }
    let outcome = if is_held { ConnectEvent::HELD } else { ConnectEvent::REDIRECTED };
    let Some(mut entry) = reserve(outcome) else { return };
    // SAFETY: reserved memory of the event's size, and a program that runs in the caller's process.
    unsafe { origin::write(addr_of_mut!((*entry.as_mut_ptr()).origin), ctx.as_ptr(), tagged_cgroup_id, destination) };
    entry.submit(if is_held { WAKE } else { DO_NOT_WAKE });
}

/// A packet that is dropped: who sent it is not known any more, only by whose socket.
#[inline(always)]
pub fn dropped(ctx: &SkBuffContext, tagged_cgroup_id: u64, destination: &Address, refusal: Refusal) {
    count(refusal);
    let Some(mut entry) = reserve(refusal as u32) else { return };
    let skb: *mut __sk_buff = ctx.skb.skb;
    let event = entry.as_mut_ptr();
    // SAFETY: reserved memory of the event's size, written whole; helpers on the program's own context.
    unsafe {
        (*event).origin = Origin {
            socket_cookie: bpf_get_socket_cookie(skb.cast()),
            netns_cookie: 0,
            cgroup_id: bpf_skb_cgroup_id(skb),
            tagged_cgroup_id,
            connected_boot_ns: bpf_ktime_get_boot_ns(),
            destination: destination.ip,
            comm: [0; 16],
            destination_port: destination.port,
            reserved: 0,
            pid: 0,
            uid: 0,
            gid: 0,
        };
    }
    entry.submit(DO_NOT_WAKE);
}

/// Room for an event, with everything but its origin written.
#[inline(always)]
fn reserve(outcome: u32) -> Option<RingBufEntry<ConnectEvent>> {
    let Some(mut entry) = EVENTS.reserve::<ConnectEvent>(0) else {
        tally(Tally::EventsLost);
        return None;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: reserved memory of the event's size.
    unsafe {
        (*event).outcome = outcome;
        (*event).reserved = 0;
    }
    Some(entry)
}

#[inline(always)]
fn count(refusal: Refusal) {
    if let Some(count) = REFUSALS.get_ptr_mut(refusal as u32) {
        // SAFETY: a per-CPU value checked for null. A preempting program may lose one count, never more.
        unsafe { *count += 1 };
    }
}

#[inline(always)]
fn tally(what: Tally) {
    if let Some(count) = TALLY.get_ptr_mut(what as u32) {
        // SAFETY: as in `count`.
        unsafe { *count += 1 };
    }
}

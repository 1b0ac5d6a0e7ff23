//! Telling the daemon of refused connects.

use aya_ebpf::programs::SockAddrContext;
use aya_log_ebpf::debug;
use core::ptr::addr_of_mut;
use portreeve_abi::{Refusal, RefusedConnect};

use crate::{
    context::Address,
    maps::{EVENTS, REFUSALS},
    origin,
};

/// Counts the refusal and sends it. When the ring is full the event is lost, the count is not.
#[inline(always)]
pub fn refused(ctx: &SockAddrContext, tagged_cgroup_id: u64, destination: &Address, refusal: Refusal) {
    if let Some(count) = REFUSALS.get_ptr_mut(refusal as u32) {
        // SAFETY: a per-CPU value checked for null. A preempting program may lose one count, never more.
        unsafe { *count += 1 };
    }
    if let Some(mut entry) = EVENTS.reserve::<RefusedConnect>(0) {
        let event = entry.as_mut_ptr();
        // SAFETY: reserved memory of the event's size, written whole before it is submitted.
        unsafe {
            origin::write(addr_of_mut!((*event).origin), ctx, tagged_cgroup_id, destination);
            (*event).refusal = refusal as u32;
            (*event).reserved = 0;
        }
        entry.submit(0);
    }
    debug!(ctx, "refused a connect to port {}: refusal {}", destination.port, refusal as u32);
}

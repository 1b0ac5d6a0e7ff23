//! The origin of a redirected socket: written at connect, dropped at release.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_boot_ns,
    },
    programs::SockAddrContext,
};
use core::{arch::asm, ffi::c_void, mem::size_of, ptr::addr_of_mut};
use portreeve_abi::{Origin, OriginState, Refusal, Settings};

use crate::{
    context::Address,
    maps::{EMPTY_ORIGIN, OPEN, ORIGINS, RECORDS},
};

/// Writes who is calling, and where to, into `origin`.
///
/// It is written in place, in the map or the ring: 88 bytes thrice over would not fit the 512-byte stack, and a
/// per-CPU scratch value is not safe here (cgroup programs can be preempted by another connect on the same CPU).
///
/// # Safety
/// `origin` must point to memory of that size which the verifier lets this program write; `ctx` must be the context of a
/// program that runs in the caller's process.
#[inline(always)]
pub unsafe fn write(origin: *mut Origin, ctx: *mut c_void, tagged_cgroup_id: u64, destination: &Address) {
    // SAFETY: the pointers are good, as the caller promises; the other helpers take none.
    unsafe {
        (*origin).socket_cookie = bpf_get_socket_cookie(ctx);
        (*origin).netns_cookie = bpf_get_netns_cookie(ctx);
        (*origin).cgroup_id = bpf_get_current_cgroup_id();
        (*origin).tagged_cgroup_id = tagged_cgroup_id;
        (*origin).connected_boot_ns = bpf_ktime_get_boot_ns();
        (*origin).destination = destination.ip;
        (*origin).destination_port = destination.port;
        (*origin).reserved = 0;
        (*origin).pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        let uid_gid = bpf_get_current_uid_gid();
        (*origin).uid = uid_gid as u32;
        (*origin).gid = (uid_gid >> 32) as u32;
        bpf_get_current_comm(addr_of_mut!((*origin).comm).cast(), size_of::<[u8; 16]>() as u32);
    }
}

/// Remembers the origin of this connect; an earlier one of the same socket is overwritten, with the record it left:
/// a second connect must never be taken for the first.
///
/// The kernel holds the socket's lock around connect, so no other program sees the value half written.
///
/// # Errors
/// The map is full, or the workload has as many open sockets as it may.
#[inline(always)]
pub fn remember(
    ctx: &SockAddrContext,
    tagged_cgroup_id: u64,
    destination: &Address,
    settings: &Settings,
) -> Result<(), Refusal> {
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    drop_origin(cookie);
    let open = open_sockets(tagged_cgroup_id).ok_or(Refusal::OriginsFull)?;
    // Several processors may pass at once: the bound can be exceeded by as many, which is no way round.
    // SAFETY: an aligned u64 in the map, read at once.
    if unsafe { open.read_volatile() } >= u64::from(settings.origins_per_workload) {
        return Err(Refusal::WorkloadFull);
    }
    let empty = EMPTY_ORIGIN.get(0).ok_or(Refusal::OriginsFull)?;
    if ORIGINS.insert(cookie, empty, 0).is_err() {
        return Err(Refusal::OriginsFull);
    }
    let state = ORIGINS.get_ptr_mut(cookie).ok_or(Refusal::OriginsFull)?;
    // SAFETY: a map value checked for null; a connect program runs in the caller's process.
    unsafe { write(addr_of_mut!((*state).origin), ctx.as_ptr(), tagged_cgroup_id, destination) };
    // SAFETY: an aligned u64 in the map.
    unsafe { add(open, 1) };
    Ok(())
}

/// How many origins a tagged cgroup has; made at its first.
#[inline(always)]
fn open_sockets(tagged_cgroup_id: u64) -> Option<*mut u64> {
    if OPEN.get_ptr(tagged_cgroup_id).is_none() {
        // Another processor may have made it meanwhile, and then this fails and must not reset it.
        const NO_EXIST: u64 = aya_ebpf::bindings::BPF_NOEXIST as u64;
        let _ = OPEN.insert(tagged_cgroup_id, 0, NO_EXIST);
    }
    OPEN.get_ptr_mut(tagged_cgroup_id)
}

/// Adds in one step. `core` has no such operation for a target without compare-and-swap in its base instruction set.
///
/// # Safety
/// `count` must point to an aligned u64 in a map.
#[inline(always)]
unsafe fn add(count: *mut u64, amount: i64) {
    // SAFETY: as the caller promises.
    unsafe { asm!("lock *(u64 *)({count} + 0) += {amount}", count = in(reg) count, amount = in(reg) amount) };
}

/// Drops what is known of a socket that is being released, and the record nobody accepted.
#[inline(always)]
pub fn forget(ctx: *mut c_void) {
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    drop_origin(cookie);
}

/// One look-up for every other socket of the host, each of which is released some day.
#[inline(always)]
fn drop_origin(cookie: u64) {
    // SAFETY: a map value checked for null; only this socket's own calls write it.
    let Some(state) = (unsafe { ORIGINS.get(cookie) }) else { return };
    unpublish(state, cookie);
    let open = OPEN.get_ptr_mut(state.origin.tagged_cgroup_id);
    if ORIGINS.remove(cookie).is_ok()
        && let Some(open) = open
    {
        // SAFETY: an aligned u64 in the map.
        unsafe { add(open, -1) };
    }
}

#[inline(always)]
fn unpublish(state: &OriginState, cookie: u64) {
    if state.published.remote_port == 0 {
        return;
    }
    // SAFETY: a map value checked for null; the daemon takes it, and nobody writes it.
    if let Some(record) = unsafe { RECORDS.get(&state.published) } {
        // The same four-tuple may have been published since by another socket: that record is not ours to remove.
        if record.socket_cookie == cookie {
            let _ = RECORDS.remove(&state.published);
        }
    }
}

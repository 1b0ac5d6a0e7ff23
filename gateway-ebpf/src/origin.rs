//! The origin of a redirected socket: written at connect, dropped at release.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_boot_ns,
    },
    programs::SockAddrContext,
};
use core::{ffi::c_void, mem::size_of, ptr::addr_of_mut};
use portreeve_abi::Origin;

use crate::{
    context::Address,
    maps::{EMPTY_ORIGIN, ORIGINS, RECORDS},
};

/// Writes who is calling, and where to, into `origin`.
///
/// It is written in place, in the map or the ring: 88 bytes thrice over would not fit the 512-byte stack, and a
/// per-CPU scratch value is not safe here (cgroup programs can be preempted by another connect on the same CPU).
///
/// # Safety
/// `origin` must point to memory of that size which the verifier lets this program write.
#[inline(always)]
pub unsafe fn write(origin: *mut Origin, ctx: &SockAddrContext, tagged_cgroup_id: u64, destination: &Address) {
    // SAFETY: the pointer is good, as the caller promises; helpers act on the program's own context or take no pointer.
    unsafe {
        (*origin).socket_cookie = bpf_get_socket_cookie(ctx.as_ptr());
        (*origin).netns_cookie = bpf_get_netns_cookie(ctx.as_ptr());
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
/// a second connect must never be taken for the first. False when the map is full.
///
/// The kernel holds the socket's lock around connect, so no other program sees the value half written.
#[inline(always)]
pub fn remember(ctx: &SockAddrContext, tagged_cgroup_id: u64, destination: &Address) -> bool {
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    unpublish(cookie);
    let Some(empty) = EMPTY_ORIGIN.get(0) else { return false };
    if ORIGINS.insert(cookie, empty, 0).is_err() {
        return false;
    }
    let Some(state) = ORIGINS.get_ptr_mut(cookie) else { return false };
    // SAFETY: a map value checked for null.
    unsafe { write(addr_of_mut!((*state).origin), ctx, tagged_cgroup_id, destination) };
    true
}

/// Drops what is known of a socket that is being released, and the record nobody accepted.
#[inline(always)]
pub fn forget(ctx: *mut c_void) {
    // SAFETY: a helper on the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    unpublish(cookie);
    let _ = ORIGINS.remove(cookie);
}

#[inline(always)]
fn unpublish(cookie: u64) {
    // SAFETY: a map value checked for null; only this socket's own calls write it.
    let Some(state) = (unsafe { ORIGINS.get(cookie) }) else { return };
    if state.published.remote_port == 0 {
        return;
    }
    // SAFETY: as above.
    if let Some(record) = unsafe { RECORDS.get(&state.published) } {
        // The same four-tuple may have been published since by another socket: that record is not ours to remove.
        if record.socket_cookie == cookie {
            let _ = RECORDS.remove(&state.published);
        }
    }
}

//! How the allocator gives memory back.

/// Bytes from which an allocation is a mapping of its own, which is gone when it is freed.
const MAPPED_FROM: nix::libc::c_int = 1024 * 1024;

/// Has glibc keep that bound. Left alone it raises it to the largest block that was ever freed (32 MiB): buffers of long
/// packets then come from the heap, and what a session leaves there stays with the process.
pub(crate) fn give_back_large_blocks() {
    // SAFETY: no other thread runs yet, and the call only sets a number in the allocator.
    let set = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
    if set == 0 {
        tracing::warn!("the allocator takes no bound for large blocks: memory may stay with the daemon after a burst");
    }
}

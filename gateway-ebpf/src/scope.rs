//! Which tagged cgroup a call belongs to.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use portreeve_abi::limits::TAG_LEVEL_MAX;

use crate::maps::WORKLOADS;

/// The nearest tagged cgroup at or above the caller's, by id; `None` when the caller is out of scope.
///
/// The walk goes down from the root, so the last hit is the nearest. Ids come from the kernel's own ancestor table:
/// a cgroup made deeper by a workload stays below its tag.
#[inline(always)]
pub fn tagged_cgroup() -> Option<u64> {
    // 0 is no cgroup's id. (An `Option` here leaves its payload unset on one path, which the verifier rejects.)
    let mut nearest = 0;
    for level in 0..TAG_LEVEL_MAX {
        // SAFETY: a helper without pointers; it answers 0 below the caller's own level.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
        if id == 0 {
            break;
        }
        if WORKLOADS.get_ptr(id).is_some() {
            nearest = id;
        }
    }
    (nearest != 0).then_some(nearest)
}

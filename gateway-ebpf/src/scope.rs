//! Which tagged cgroup a call or a packet belongs to.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_get_current_ancestor_cgroup_id, bpf_skb_ancestor_cgroup_id},
};
use portreeve_abi::{Egress, limits::TAG_LEVEL_MAX};

use crate::maps::WORKLOADS;

/// The nearest tagged cgroup. (An `Option` of this leaves its payload unset on one path, which the verifier rejects.)
#[derive(Clone, Copy)]
pub struct Scope {
    /// 0, which is no cgroup's id, when it is out of scope.
    pub id: u64,
    /// An [`Egress`] as its number.
    egress: u32,
}

impl Scope {
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        self.id != 0
    }

    /// What is not said to be open is listed.
    #[inline(always)]
    pub fn is_listed(&self) -> bool {
        self.egress != Egress::Open as u32
    }
}

/// The nearest tagged cgroup at or above the caller's.
#[inline(always)]
pub fn of_caller() -> Scope {
    // SAFETY: a helper without pointers; it answers 0 below the caller's own level.
    nearest(|level| unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) })
}

/// The nearest tagged cgroup at or above that in which the packet's socket was made.
#[inline(always)]
pub fn of_packet(skb: *mut __sk_buff) -> Scope {
    // SAFETY: the kernel passes a valid context for the program's life; 0 comes below the socket's own level, and always
    // for a packet without a socket.
    nearest(|level| unsafe { bpf_skb_ancestor_cgroup_id(skb, level as i32) })
}

/// Whether a cgroup is tagged still: a socket may outlive the tag it was made under.
#[inline(always)]
pub fn is_tagged(id: u64) -> bool {
    WORKLOADS.get_ptr(id).is_some()
}

/// The walk goes down from below the root, so the last hit is the nearest. Ids come from the kernel's own ancestor table:
/// a cgroup made deeper by a workload stays below its tag.
#[inline(always)]
fn nearest(ancestor: impl Fn(u32) -> u64) -> Scope {
    let mut nearest = Scope { id: 0, egress: 0 };
    // Level 0 is the tree's root, which nobody can tag: the daemon runs below it.
    for level in 1..TAG_LEVEL_MAX {
        let id = ancestor(level);
        if id == 0 {
            break;
        }
        if let Some(egress) = WORKLOADS.get_ptr(id) {
            // SAFETY: an aligned u32 in the map, read at once; the daemon only ever stores whole values.
            nearest = Scope { id, egress: unsafe { egress.read_volatile() } };
        }
    }
    nearest
}

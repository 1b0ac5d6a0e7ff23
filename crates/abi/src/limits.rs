//! Sizes of the kernel maps. All are bounds: when one is reached, the connect is refused.

/// Ports with a rule, redirected and refused together.
pub const PORTS_MAX: u32 = 32;
/// Tagged cgroups of one instance.
pub const WORKLOADS_MAX: u32 = 16_384;
/// Open redirected client sockets.
pub const ORIGINS_MAX: u32 = 65_536;
/// Connections published and not yet accepted. As many as there can be open sockets, so that it is never the
/// record that is missing while the origin is there.
pub const RECORDS_MAX: u32 = ORIGINS_MAX;
/// Open redirected client sockets of one tagged cgroup, unless configured: no workload can use up `ORIGINS` alone.
pub const ORIGINS_PER_WORKLOAD: u32 = ORIGINS_MAX / 4;
/// Network namespaces other than the daemon's that have a listener.
pub const NAMESPACES_MAX: u32 = 1_024;
/// How often the SYN of a held connect is sent again (`TCP_SYNCNT`): with the first pause of `Settings::hold_jiffies`, each then
/// twice as long but for the kernel's own linear ones (`tcp_syn_linear_timeouts`, Linux 6.5).
pub const HELD_SYNS_MAX: u32 = 5;
/// Uids that are a workload's.
pub const UIDS_MAX: u32 = 16_384;
/// Listed destinations of all tagged cgroups together.
pub const EGRESS_MAX: u32 = 65_536;
/// Extension headers of an IPv6 packet that are skipped on the way to its port; more are refused to tagged workloads.
pub const EXTENSION_HEADERS_MAX: u32 = 4;
/// Ring buffer of refused and redirected connects, in bytes (a power of two and a multiple of the page size).
pub const EVENTS_BYTES: u32 = 256 * 1024;
/// Levels of the cgroup tree that are searched for a tag, the root being level 0. A deeper cgroup cannot be tagged;
/// what lies below a tagged one belongs to it at any depth.
pub const TAG_LEVEL_MAX: u32 = 32;

const _: () = {
    assert!(EVENTS_BYTES.is_power_of_two() && EVENTS_BYTES.is_multiple_of(4096));
    assert!(RECORDS_MAX >= ORIGINS_MAX);
    assert!(ORIGINS_PER_WORKLOAD < ORIGINS_MAX);
};

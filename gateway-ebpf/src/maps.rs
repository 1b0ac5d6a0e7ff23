//! Every map of the kernel programs. Sizes are named in `portreeve_abi::limits`; none is LRU, since identity rests
//! on what they hold: a full map refuses, it does not forget.

use aya_ebpf::{
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf},
};
use portreeve_abi::{EgressKey, Flow, Origin, OriginState, Refusal, Settings, Tally, limits};

/// Index 0: the daemon's port and listener tag.
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// Network namespaces besides the daemon's own in which it listens, by cookie, and the port there, in host order.
#[map]
pub static NAMESPACES: HashMap<u64, u32> = HashMap::with_max_entries(limits::NAMESPACES_MAX, 0);

/// Destination ports that have a rule, in host order, and a `portreeve_abi::PortRule` as its number.
#[map]
pub static PORTS: HashMap<u32, u32> = HashMap::with_max_entries(limits::PORTS_MAX, 0);

/// Tagged cgroups, by full 64-bit id, and a `portreeve_abi::Egress` as its number. What else a tag means is the daemon's
/// to know.
#[map]
pub static WORKLOADS: HashMap<u64, u32> = HashMap::with_max_entries(limits::WORKLOADS_MAX, 0);

/// By client socket cookie: where the socket was going and who asked, until the socket is released.
#[map]
pub static ORIGINS: HashMap<u64, OriginState> = HashMap::with_max_entries(limits::ORIGINS_MAX, 0);

/// Index 0: all zero, the value a new entry of `ORIGINS` starts from. Never written.
#[map]
pub static EMPTY_ORIGIN: Array<OriginState> = Array::with_max_entries(1, 0);

/// By flow: published before the SYN, taken by the daemon on accept.
#[map]
pub static RECORDS: HashMap<Flow, Origin> = HashMap::with_max_entries(limits::RECORDS_MAX, 0);

/// On each of the daemon's listening sockets: `Settings::listener_tag`.
#[btf_map]
pub static LISTENERS: SkStorage<u64> = SkStorage::new();

/// By tagged cgroup: how many entries of `ORIGINS` are its. Made at its first connect; the daemon removes those that are
/// zero once the tag is gone.
#[map]
pub static OPEN: HashMap<u64, u64> = HashMap::with_max_entries(limits::WORKLOADS_MAX, 0);

/// Uids that are a workload's. The value is unused.
#[map]
pub static UIDS: HashMap<u32, u32> = HashMap::with_max_entries(limits::UIDS_MAX, 0);

/// Where tagged cgroups with listed egress may connect to. The value is unused.
#[map]
pub static EGRESS: LpmTrie<EgressKey, u32> = LpmTrie::with_max_entries(limits::EGRESS_MAX, 0);

/// On each socket that a tagged workload made: the id of its tagged cgroup.
#[btf_map]
pub static CREATORS: SkStorage<u64> = SkStorage::new();

/// Refused and redirected connects, for the log and `portreeve tail --connects`.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(limits::EVENTS_BYTES, 0);

/// What was refused, counted by `Refusal`: exact even when `EVENTS` overflows.
#[map]
pub static REFUSALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Refusal::ALL.len() as u32, 0);

/// Counts by `Tally`.
#[map]
pub static TALLY: PerCpuArray<u64> = PerCpuArray::with_max_entries(Tally::COUNT, 0);

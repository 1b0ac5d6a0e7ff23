//! Records shared between Portreeve's kernel programs and its daemon.
//!
//! Every type is `repr(C)`, has no implicit padding, and has its size asserted below: the kernel copies map
//! keys and values byte for byte, so a padding byte in a key would make equal keys differ.
//!
//! Addresses are 16 bytes in network order; IPv4 is written v4-mapped (`::ffff:a.b.c.d`). Ports are in host order.
#![no_std]
#![forbid(unsafe_code)]

pub mod limits;

/// Marks a type as a plain sequence of bytes: `repr(C)`, any bit pattern valid, no padding.
///
/// The daemon implements aya's `Pod` for a wrapper bounded by this trait, so that the crates below it need no aya.
pub trait Plain: Copy + 'static {}

/// One TCP connection as the *client* socket sees it, in one network namespace.
///
/// Key of `RECORDS`. The daemon builds the same key from an accepted socket by swapping local and remote.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// `SO_NETNS_COOKIE` of the namespace both sockets are in.
    pub netns_cookie: u64,
    pub local_address: [u8; 16],
    pub remote_address: [u8; 16],
    pub local_port: u16,
    pub remote_port: u16,
    /// Always zero: written out so that the key has no padding.
    pub reserved: u32,
}

/// Where a redirected connection was going, and who asked for it: the kernel's evidence of identity.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Cookie of the client socket: unique for the life of the machine's boot.
    pub socket_cookie: u64,
    pub netns_cookie: u64,
    /// The caller's own cgroup at connect time (full 64-bit kernfs id: never truncated, not reused within a boot).
    pub cgroup_id: u64,
    /// The nearest tagged cgroup at or above `cgroup_id`: what made this connection ours.
    pub tagged_cgroup_id: u64,
    /// `bpf_ktime_get_boot_ns` at connect time, in nanoseconds.
    pub connected_boot_ns: u64,
    /// The destination the caller asked for.
    pub destination: [u8; 16],
    /// The caller's command name, NUL padded: a hint for people, never evidence.
    pub comm: [u8; 16],
    pub destination_port: u16,
    /// Always zero.
    pub reserved: u16,
    /// Thread group id, as the initial pid namespace numbers it.
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Value of `ORIGINS`: an origin and, once the source port is known, the flow it was published under.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginState {
    pub origin: Origin,
    /// All zero until `sock_ops` publishes.
    pub published: Flow,
}

impl OriginState {
    /// True once `sock_ops` has put a record under `published`.
    pub const fn is_published(&self) -> bool {
        self.published.remote_port != 0
    }
}

/// Value of `SETTINGS[0]`: what the kernel programs need to know of the running daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the daemon wrote on its listeners' socket storage; another value is somebody else's socket.
    pub listener_tag: u64,
    /// `SO_NETNS_COOKIE` of the daemon's own network namespace. The ports in others are in `NAMESPACES`.
    pub netns_cookie: u64,
    /// Open redirected sockets that one tagged cgroup may have.
    pub origins_per_workload: u32,
    /// 1 when some tagged cgroup has listed egress, so that every destination must be looked at; else 0.
    pub egress_is_listed: u32,
    /// The gateway's port on both loopback addresses of the daemon's own network namespace; 0 while no daemon is ready, and
    /// then every connect is refused.
    pub proxy_port: u16,
    /// Timer ticks until the SYN of a held connect is sent for the second time; 0 is the kernel's own second.
    pub hold_jiffies: u16,
    /// Always zero.
    pub reserved: [u16; 2],
}

/// Value of `WORKLOADS`: where a tagged cgroup may connect to, apart from guarded ports. Any other number is `Listed`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Egress {
    #[default]
    Open = 0,
    /// Only where `EGRESS` says.
    Listed = 1,
}

/// What `EGRESS` matches after its prefix length: a tagged cgroup, a port, and as much of the address as the prefix says.
///
/// All in network order, since a trie compares from the first bit on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EgressKey {
    pub tagged_cgroup_id: [u8; 8],
    pub port: [u8; 2],
    /// Always zero.
    pub reserved: [u8; 6],
    /// IPv4 is v4-mapped.
    pub address: [u8; 16],
}

impl EgressKey {
    /// Bits before the address: they always match whole.
    pub const FIXED_BITS: u32 = 128;

    #[inline(always)]
    pub const fn new(tagged_cgroup_id: u64, address: [u8; 16], port: u16) -> Self {
        Self { tagged_cgroup_id: tagged_cgroup_id.to_be_bytes(), port: port.to_be_bytes(), reserved: [0; 6], address }
    }
}

/// What happens to a tagged workload's connect to a port. Value of `PORTS`, as its number; any other number refuses.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortRule {
    /// It goes to the gateway.
    Redirect = 0,
    /// It fails: the port speaks a protocol that the gateway does not (X protocol, group replication).
    Refuse = 1,
}

/// Why a call of a tagged workload was refused. The number is the index in `REFUSALS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No daemon has announced a port.
    NotReady = 0,
    /// Nothing listens on the gateway's port in the caller's network namespace, where it did.
    NoListener = 1,
    /// Somebody else listens there.
    ForeignListener = 2,
    /// The socket is bound to a device other than loopback: the redirected SYN would never be answered.
    BoundToDevice = 3,
    /// `ORIGINS` is full.
    OriginsFull = 4,
    /// The port's rule says so.
    RefusedPort = 5,
    /// The workload has as many open redirected sockets as it may.
    WorkloadFull = 6,
    /// The socket was made by another workload than the caller, or by none: one of them is not who it seems.
    OtherCreator = 7,
    /// The caller's uid is a workload's, and the caller is in no tagged cgroup.
    UidOutside = 8,
    /// A tagged workload asked for a socket of a protocol that could pass the connect programs by (MPTCP, SCTP, raw).
    Protocol = 9,
    /// A caller that cannot be the daemon bound the gateway's port.
    GatewayPort = 10,
    /// A packet to a guarded port was about to leave that no connect program had seen or redirected.
    Unredirected = 11,
    /// The workload's egress is listed, and the destination is not on the list.
    Egress = 12,
}

impl Refusal {
    pub const ALL: [Self; 13] = [
        Self::NotReady,
        Self::NoListener,
        Self::ForeignListener,
        Self::BoundToDevice,
        Self::OriginsFull,
        Self::RefusedPort,
        Self::WorkloadFull,
        Self::OtherCreator,
        Self::UidOutside,
        Self::Protocol,
        Self::GatewayPort,
        Self::Unredirected,
        Self::Egress,
    ];

    /// The word used in logs, events and `portreeve status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::NoListener => "no-listener",
            Self::ForeignListener => "foreign-listener",
            Self::BoundToDevice => "bound-to-device",
            Self::OriginsFull => "origins-full",
            Self::RefusedPort => "refused-port",
            Self::WorkloadFull => "workload-full",
            Self::OtherCreator => "other-creator",
            Self::UidOutside => "uid-outside",
            Self::Protocol => "protocol",
            Self::GatewayPort => "gateway-port",
            Self::Unredirected => "unredirected",
            Self::Egress => "egress",
        }
    }

    /// The refusal with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| *refusal as u32 == number)
    }
}

/// One refused or redirected call, as sent through the `EVENTS` ring buffer.
///
/// What the kernel does not know at that hook is zero: the destination of a socket that is only being made, the process
/// behind a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectEvent {
    pub origin: Origin,
    /// A [`Refusal`] as its number, [`ConnectEvent::REDIRECTED`] or [`ConnectEvent::HELD`].
    pub outcome: u32,
    /// Always zero.
    pub reserved: u32,
}

impl ConnectEvent {
    /// The call went to the gateway.
    pub const REDIRECTED: u32 = u32::MAX;
    /// The call goes to the gateway once that listens in the caller's network namespace.
    pub const HELD: u32 = u32::MAX - 1;
}

/// Index in `TALLY`, which counts what no refusal is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Connects that went to the gateway.
    Redirected = 0,
    /// Events that found no room in `EVENTS`.
    EventsLost = 1,
    /// Connects that had to wait for a listener in their network namespace; they are among those redirected.
    Held = 2,
}

impl Tally {
    pub const COUNT: u32 = 3;
}

impl Plain for Flow {}
impl Plain for Origin {}
impl Plain for OriginState {}
impl Plain for Settings {}
impl Plain for ConnectEvent {}
impl Plain for EgressKey {}

const _: () = {
    assert!(size_of::<Flow>() == 8 + 16 + 16 + 2 + 2 + 4);
    assert!(size_of::<Origin>() == 5 * 8 + 16 + 16 + 2 + 2 + 3 * 4);
    assert!(size_of::<OriginState>() == size_of::<Origin>() + size_of::<Flow>());
    assert!(size_of::<Settings>() == 8 + 8 + 4 + 4 + 2 + 2 + 4);
    assert!(size_of::<ConnectEvent>() == size_of::<Origin>() + 8);
    assert!(size_of::<EgressKey>() * 8 == EgressKey::FIXED_BITS as usize + 128);
    assert!(align_of::<Flow>() == 8 && align_of::<Origin>() == 8 && align_of::<Settings>() == 8);
};

/// The v4-mapped form (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2) of an IPv4 address in network order.
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_numbered_by_their_place() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
            assert_eq!(Refusal::from_number(refusal as u32), Some(refusal));
        }
        assert_eq!(Refusal::from_number(Refusal::ALL.len() as u32), None);
    }

    #[test]
    fn ipv4_is_written_v4_mapped() {
        let address = core::net::Ipv6Addr::from(mapped([127, 0, 0, 1]));
        assert_eq!(address.to_ipv4_mapped(), Some(core::net::Ipv4Addr::LOCALHOST));
    }
}

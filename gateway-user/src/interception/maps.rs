//! The kernel maps of an instance, opened from their pins.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{
        Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf, SkStorage,
        lpm_trie::{Key, LpmTrie},
    },
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portreeve_abi::{ConnectEvent, EgressKey, Flow, Origin, Plain, Refusal, Settings, Tally};

use crate::config::Match;

/// Every map that outlives the process which loaded it.
pub(super) const PINNED: [&str; 15] = [
    "SETTINGS",
    "NAMESPACES",
    "PORTS",
    "WORKLOADS",
    "ORIGINS",
    "EMPTY_ORIGIN",
    "RECORDS",
    "LISTENERS",
    "CREATORS",
    "OPEN",
    "UIDS",
    "EGRESS",
    "EVENTS",
    "REFUSALS",
    "TALLY",
];

/// A shared record as aya reads and writes it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wire<T: Plain>(T);

// SAFETY: `Plain` promises repr(C), no padding and that every bit pattern is valid; the wrapper is transparent.
unsafe impl<T: Plain> Pod for Wire<T> {}

/// The maps the admin side writes. One handle, one owner.
pub(super) struct Maps {
    pub(super) ports: HashMap<MapData, u32, u32>,
    pub(super) workloads: HashMap<MapData, u64, u32>,
    namespaces: HashMap<MapData, u64, u32>,
    settings: Array<MapData, Wire<Settings>>,
    listeners: Arc<Mutex<SkStorage<MapData, u64>>>,
    refusals: PerCpuArray<MapData, u64>,
    tally: PerCpuArray<MapData, u64>,
    pub(super) uids: HashMap<MapData, u32, u32>,
    open: HashMap<MapData, u64, u64>,
    egress: LpmTrie<MapData, Wire<EgressKey>, u32>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").finish_non_exhaustive()
    }
}

/// Makes sockets ours to the kernel programs.
pub(super) struct Marker {
    listeners: Arc<Mutex<SkStorage<MapData, u64>>>,
    tag: u64,
}

impl Marker {
    pub(super) fn mark(&self, socket: impl AsFd) -> io::Result<()> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let marked = listeners.insert(&socket.as_fd().as_raw_fd(), self.tag, 0);
        marked.map_err(|error| io::Error::other(format!("the listener cannot be marked as ours: {error}")))
    }
}

fn open(dir: &Path, name: &str) -> Result<Map> {
    Map::from_map_data(MapData::from_pin(dir.join(name))?).with_context(|| format!("pinned map {name}"))
}

impl Maps {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Ok(Self {
            ports: open(dir, "PORTS")?.try_into()?,
            workloads: open(dir, "WORKLOADS")?.try_into()?,
            namespaces: open(dir, "NAMESPACES")?.try_into()?,
            settings: open(dir, "SETTINGS")?.try_into()?,
            listeners: Arc::new(Mutex::new(open(dir, "LISTENERS")?.try_into()?)),
            refusals: open(dir, "REFUSALS")?.try_into()?,
            tally: open(dir, "TALLY")?.try_into()?,
            uids: open(dir, "UIDS")?.try_into()?,
            open: open(dir, "OPEN")?.try_into()?,
            egress: open(dir, "EGRESS")?.try_into()?,
        })
    }

    pub(super) fn set_settings(&mut self, settings: Settings) -> Result<()> {
        self.settings.set(0, Wire(settings), 0).context("the kernel programs cannot be told of the listener")
    }

    pub(super) fn settings(&self) -> Result<Settings> {
        Ok(self.settings.get(&0, 0).context("the kernel programs' settings cannot be read")?.0)
    }

    /// Says on which port of a network namespace we listen.
    pub(super) fn add_namespace(&mut self, cookie: u64, port: u16) -> Result<()> {
        self.namespaces.insert(cookie, u32::from(port), 0).with_context(|| {
            format!(
                "the kernel programs take no more network namespaces (at most {} can be)",
                portreeve_abi::limits::NAMESPACES_MAX
            )
        })
    }

    /// Takes that back, unless another daemon has said another port since.
    pub(super) fn remove_namespace(&mut self, cookie: u64, port: u16) -> Result<()> {
        match self.namespaces.get(&cookie, 0) {
            Ok(now) if now == u32::from(port) => Ok(self.namespaces.remove(&cookie)?),
            Ok(_) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets the network namespaces of an earlier daemon.
    pub(super) fn clear_namespaces(&mut self) -> Result<()> {
        for cookie in self.namespaces.keys().collect::<Result<Vec<u64>, _>>()? {
            self.namespaces.remove(&cookie)?;
        }
        Ok(())
    }

    /// Makes a tagged cgroup's list exactly this one.
    pub(super) fn list_egress(&mut self, cgroup_id: u64, allowed: &[Match]) -> Result<()> {
        let wanted: Vec<_> = allowed.iter().map(|destination| egress_key(cgroup_id, destination)).collect();
        for key in &wanted {
            self.egress.insert(key, 0, 0).with_context(|| {
                format!("a destination cannot be listed (at most {} can)", portreeve_abi::limits::EGRESS_MAX)
            })?;
        }
        let of_this = |key: &Key<Wire<EgressKey>>| key.data().0.tagged_cgroup_id == cgroup_id.to_be_bytes();
        let is_wanted = |key: &Key<Wire<EgressKey>>| {
            wanted.iter().any(|wanted| wanted.prefix_len() == key.prefix_len() && wanted.data() == key.data())
        };
        let keys = self.egress.keys().collect::<Result<Vec<_>, _>>()?;
        for key in keys.iter().filter(|key| of_this(key) && !is_wanted(key)) {
            self.egress.remove(key)?;
        }
        Ok(())
    }

    /// Forgets the counts of cgroups that are tagged no more and have nothing open.
    pub(super) fn sweep_open(&mut self) -> Result<()> {
        let counts = self.open.iter().collect::<Result<Vec<(u64, u64)>, _>>()?;
        for (id, open) in counts {
            // Nobody can begin a connection under a tag that is gone.
            if open == 0 && self.workloads.get(&id, 0).is_err() {
                self.open.remove(&id)?;
            }
        }
        Ok(())
    }

    pub(super) fn tally(&self, what: Tally) -> Result<u64> {
        Ok(self.tally.get(&(what as u32), 0)?.iter().sum())
    }

    /// Marks sockets with this tag, on whatever thread.
    pub(super) fn marker(&self, tag: u64) -> Marker {
        Marker { listeners: Arc::clone(&self.listeners), tag }
    }

    /// Whether a socket is marked so already.
    pub(super) fn is_marked(&self, socket: &impl AsFd, tag: u64) -> bool {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.get(&socket.as_fd().as_raw_fd(), 0).is_ok_and(|found| found == tag)
    }

    pub(super) fn refusals(&self) -> Result<Vec<(Refusal, u64)>> {
        Refusal::ALL
            .into_iter()
            .map(|refusal| Ok((refusal, self.refusals.get(&(refusal as u32), 0)?.iter().sum())))
            .collect()
    }
}

fn egress_key(cgroup_id: u64, destination: &Match) -> Key<Wire<EgressKey>> {
    /// Bits before the IPv4 address in a v4-mapped one.
    const MAPPED_BITS: u32 = 96;
    let (address, prefix) = match destination.net {
        ipnet::IpNet::V4(net) => (net.network().to_ipv6_mapped(), MAPPED_BITS + u32::from(net.prefix_len())),
        ipnet::IpNet::V6(net) => (net.network(), u32::from(net.prefix_len())),
    };
    let key = EgressKey::new(cgroup_id, address.octets(), destination.port);
    Key::new(EgressKey::FIXED_BITS + prefix, Wire(key))
}

/// Records of connections on their way to the gateway. One handle per runtime thread.
pub(crate) struct Records(HashMap<MapData, Wire<Flow>, Wire<Origin>>);

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Ok(Self(open(dir, "RECORDS")?.try_into()?))
    }

    /// Takes the kernel's record of one connection: it can be taken once. `None` when the kernel made none, which
    /// means that nobody we tagged opened this connection.
    ///
    /// # Errors
    /// The map cannot be read or the record not removed: then it must not be used, as it could be used again.
    pub(crate) fn take(&mut self, flow: Flow) -> Result<Option<Origin>> {
        match self.0.get(&Wire(flow), 0) {
            Ok(Wire(origin)) => {
                self.0.remove(&Wire(flow))?;
                Ok(Some(origin))
            }
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refused and redirected connects as the kernel programs report them.
pub(crate) struct Events(RingBuf<MapData>);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Ok(Self(open(dir, "EVENTS")?.try_into()?))
    }

    /// Waits until the kernel programs want to be heard at once, or events lie there, or the time is over.
    pub(crate) fn wait(&self, at_most: Duration) {
        let milliseconds = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        // A signal ends the wait early, which does no harm.
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], milliseconds);
    }

    /// The next event, if one is there. Does not wait.
    pub(crate) fn next(&mut self) -> Option<ConnectEvent> {
        let item = self.0.next()?;
        // SAFETY: the kernel program submits whole `ConnectEvent`s; the length is checked, the read unaligned.
        (item.len() == size_of::<ConnectEvent>())
            .then(|| unsafe { item.as_ptr().cast::<ConnectEvent>().read_unaligned() })
    }
}

//! The kernel maps of an instance, opened from their pins.

use std::{fmt, os::fd::AsFd, path::Path};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf, SkStorage},
};
use portreeve_abi::{Flow, Origin, Plain, Refusal, RefusedConnect, Settings};

/// Every map that outlives the process which loaded it.
pub(super) const PINNED: [&str; 9] =
    ["SETTINGS", "PORTS", "WORKLOADS", "ORIGINS", "EMPTY_ORIGIN", "RECORDS", "LISTENERS", "EVENTS", "REFUSALS"];

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
    settings: Array<MapData, Wire<Settings>>,
    listeners: SkStorage<MapData, u64>,
    refusals: PerCpuArray<MapData, u64>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").finish_non_exhaustive()
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
            settings: open(dir, "SETTINGS")?.try_into()?,
            listeners: open(dir, "LISTENERS")?.try_into()?,
            refusals: open(dir, "REFUSALS")?.try_into()?,
        })
    }

    pub(super) fn set_settings(&mut self, settings: Settings) -> Result<()> {
        self.settings.set(0, Wire(settings), 0).context("the kernel programs cannot be told of the listener")
    }

    pub(super) fn mark_listener(&mut self, socket: &impl AsFd, tag: u64) -> Result<()> {
        use std::os::fd::AsRawFd as _;
        self.listeners.insert(&socket.as_fd().as_raw_fd(), tag, 0).context("the listener cannot be marked as ours")
    }

    pub(super) fn refusals(&self) -> Result<Vec<(Refusal, u64)>> {
        Refusal::ALL
            .into_iter()
            .map(|refusal| Ok((refusal, self.refusals.get(&(refusal as u32), 0)?.iter().sum())))
            .collect()
    }
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

/// Refused connects as the kernel programs report them.
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

    /// The next event, if one is there. Does not wait.
    pub(crate) fn next(&mut self) -> Option<RefusedConnect> {
        let item = self.0.next()?;
        // SAFETY: the kernel program submits whole `RefusedConnect`s; the length is checked, the read unaligned.
        (item.len() == size_of::<RefusedConnect>())
            .then(|| unsafe { item.as_ptr().cast::<RefusedConnect>().read_unaligned() })
    }
}

//! The kernel half of Portreeve as the daemon sees it: load or take over the programs, tag cgroups, listen where the
//! redirected connections arrive, and take the kernel's record of each.
//!
//! Everything the kernel holds is pinned: when the daemon dies, programs and maps stay, find no listener, and refuse.

pub(crate) mod detach;
mod evidence;
mod exchange;
mod existing;
mod inherited;
mod listeners;
mod maps;
mod namespaces;
pub(crate) mod pins;
mod programs;
mod tree;

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya::programs::links::FdLink;
use nix::time::{ClockId, clock_getres};
use portreeve_abi::{ConnectEvent, PortRule, Refusal, Settings, Tally, limits};

use crate::{config::Egress, host, limits::HELD_SYN_AGAIN};

pub(crate) use evidence::{comm, destination, flow};
pub(crate) use inherited::{HANDED_OVER, Inherited, SYSTEMD};
pub(crate) use listeners::Listeners;
pub(crate) use maps::{Events, Records};
pub(crate) use namespaces::{Namespace, Namespaces, Overview};

/// The programs and maps of this instance, in force in the kernel.
#[derive(Debug)]
pub(crate) struct Interception {
    pins: PathBuf,
    maps: maps::Maps,
    /// Never used, only held.
    _links: Vec<FdLink>,
    /// The tags that this process put in force, by cgroup id.
    tags: HashMap<u64, Tagged>,
    ports: Vec<u16>,
    cgroup_mount: PathBuf,
    /// Pins of this instance with another layout: they refuse until [`Interception::announce`] has put us in charge.
    previous: Vec<PathBuf>,
    /// This build's programs, where those in force are another's.
    fresh: Option<exchange::Fresh>,
    /// True until something was announced under pins that this process made.
    withdraw_on_drop: bool,
}

/// What is in force for one tagged cgroup.
#[derive(Debug)]
struct Tagged {
    egress: Egress,
    /// Of the program that looks at its packets. Never used, only held.
    _packets: FdLink,
}

impl Interception {
    /// Takes over the pinned maps with what is in force there, or loads and attaches the programs at the cgroup v2 root.
    ///
    /// Afterwards every guarded connect of a cgroup that is tagged in the kernel is refused, until `announce`; or redirected
    /// still, to listeners that were inherited.
    ///
    /// # Errors
    /// No cgroup v2 root, no bpffs, missing privileges, or a program the verifier rejects (with its log).
    pub(crate) fn engage(cgroup_mount: &Path, bpffs: &Path, run_dir: &Path, ports: &[(u16, PortRule)]) -> Result<Self> {
        check_is_root_cgroup(cgroup_mount)?;
        let instance = pins::instance_dir(bpffs, run_dir);
        let version_dir = instance.join(pins::layout());
        pins::remove_staging(&instance)?;
        let adopted = version_dir.exists();
        if !adopted {
            programs::load_and_pin(cgroup_mount, &instance, &version_dir)?;
        }
        let fresh =
            if pins::are_of_this_build(&version_dir) { None } else { Some(exchange::Fresh::load(&version_dir)?) };
        let previous = pins::other_layouts(&instance, &version_dir)?;
        let maps = maps::Maps::open(&version_dir)
            .with_context(|| format!("pinned maps in {} cannot be opened", version_dir.display()))?;
        let mut interception = Self {
            _links: programs::hold(&version_dir)?,
            pins: version_dir,
            maps,
            tags: HashMap::new(),
            ports: ports.iter().map(|(port, _)| *port).collect(),
            cgroup_mount: cgroup_mount.to_owned(),
            withdraw_on_drop: !adopted,
            previous,
            fresh,
        };
        interception.rule_ports(ports)?;
        tracing::info!(
            pins = %interception.pins.display(),
            "{}",
            if adopted { "took over the pinned kernel programs" } else { "loaded and attached the kernel programs" }
        );
        Ok(interception)
    }

    fn rule_ports(&mut self, rules: &[(u16, PortRule)]) -> Result<()> {
        for (port, rule) in rules {
            let inserted = self.maps.ports.insert(u32::from(*port), *rule as u32, 0);
            inserted.with_context(|| format!("port {port} cannot be guarded"))?;
        }
        for port in self.maps.ports.keys().collect::<Result<Vec<u32>, _>>()? {
            if !rules.iter().any(|(ruled, _)| u32::from(*ruled) == port) {
                self.maps.ports.remove(&port)?;
            }
        }
        Ok(())
    }

    /// Tags a cgroup (path below the cgroup v2 mount) and returns its id. Its connects are in scope from here on, and what
    /// it had open to guarded ports before is ended. Again with the same egress, nothing is done.
    ///
    /// # Errors
    /// The cgroup is not there, lies too deep to be found by the kernel program, or holds the daemon itself.
    pub(crate) fn tag(&mut self, cgroup: &Path, egress: &Egress) -> Result<u64> {
        let id = self.cgroup_id(cgroup)?;
        if self.is_tagged(id, egress) {
            return Ok(id);
        }
        let was_tagged = self.maps.workloads.get(&id, 0).is_ok();
        self.mark(cgroup, egress)?;
        // Attaching waits for the kernel's readers, tens of milliseconds: connects are redirected meanwhile.
        let packets = programs::guard_packets(&self.pins, &self.cgroup_mount.join(cgroup), id)
            .with_context(|| format!("the packets of cgroup `{}` cannot be looked at", cgroup.display()));
        let packets = match packets {
            Ok(packets) => packets,
            Err(error) => {
                // What was marked, or an earlier daemon tagged, stays refused.
                if !was_tagged {
                    self.maps.workloads.remove(&id)?;
                }
                return Err(error);
            }
        };
        self.tags.insert(id, Tagged { egress: egress.clone(), _packets: packets });
        self.end_existing(cgroup);
        Ok(id)
    }

    /// Whether a cgroup was tagged whole by this process.
    pub(crate) fn has_tagged(&self, id: u64) -> bool {
        self.tags.contains_key(&id)
    }

    fn is_tagged(&self, id: u64, egress: &Egress) -> bool {
        self.tags.get(&id).is_some_and(|tagged| tagged.egress == *egress)
    }

    /// The first part of [`Interception::tag`], which takes no time: connects are in scope from here on. Where many are to be
    /// tagged, this goes first for all, so that none waits for another.
    ///
    /// # Errors
    /// As [`Interception::tag`].
    pub(crate) fn mark(&mut self, cgroup: &Path, egress: &Egress) -> Result<u64> {
        let id = self.cgroup_id(cgroup)?;
        if self.is_tagged(id, egress) {
            return Ok(id);
        }
        // The list is there before it counts.
        let number = match egress {
            Egress::Open => portreeve_abi::Egress::Open,
            Egress::Listed(allowed) => {
                self.maps.list_egress(id, allowed)?;
                self.maps.set_settings(Settings { egress_is_listed: 1, ..self.maps.settings()? })?;
                portreeve_abi::Egress::Listed
            }
        };
        self.maps.workloads.insert(id, number as u32, 0).with_context(|| {
            format!("cgroup `{}` cannot be tagged (at most {} can)", cgroup.display(), limits::WORKLOADS_MAX)
        })?;
        Ok(id)
    }

    /// Failing at it opens nothing: the packet program drops what such a connection sends.
    fn end_existing(&self, cgroup: &Path) {
        match existing::end_connections(&self.cgroup_mount.join(cgroup), &self.ports) {
            Ok(0) => {}
            Ok(ended) => {
                tracing::warn!(cgroup = %cgroup.display(), "ended {ended} connections to guarded ports that were there before the tag");
            }
            Err(error) => {
                tracing::warn!(cgroup = %cgroup.display(), "connections that were there before the tag may stand still instead of ending: {error:#}");
            }
        }
    }

    /// Uids that are a workload's: no others are, from here on.
    pub(crate) fn own_uids(&mut self, uids: &[u32]) -> Result<()> {
        for uid in uids {
            self.maps.uids.insert(uid, 0, 0).with_context(|| format!("uid {uid} cannot be guarded"))?;
        }
        for uid in self.maps.uids.keys().collect::<Result<Vec<u32>, _>>()? {
            if !uids.contains(&uid) {
                self.maps.uids.remove(&uid)?;
            }
        }
        Ok(())
    }

    /// The id of a cgroup that may be tagged. It is the kernfs node's inode number (`kernfs_ino`).
    fn cgroup_id(&self, cgroup: &Path) -> Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.cgroup_mount.join(cgroup);
        let metadata = fs::metadata(&path).with_context(|| format!("cgroup `{}` is not there", path.display()))?;
        let level = cgroup.components().count();
        if level == 0 {
            bail!("the root cgroup cannot be tagged: the daemon itself runs below it");
        }
        if level >= limits::TAG_LEVEL_MAX as usize {
            bail!(
                "cgroup `{}` lies {level} levels deep; at most {} can be tagged",
                path.display(),
                limits::TAG_LEVEL_MAX - 1
            );
        }
        if own_cgroup(&self.cgroup_mount)?.starts_with(&path) {
            bail!(
                "cgroup `{}` holds the portreeve daemon itself; tag a cgroup that holds only the workload",
                path.display()
            );
        }
        Ok(metadata.ino())
    }

    /// Ends the tag of a cgroup id; unknown ids are fine.
    pub(crate) fn untag(&mut self, cgroup_id: u64) -> Result<()> {
        self.tags.remove(&cgroup_id);
        match self.maps.workloads.remove(&cgroup_id) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => {}
            Err(error) => return Err(error).context("the tag cannot be removed from the kernel's map"),
        }
        programs::release_packets(&self.pins, cgroup_id)?;
        self.maps.list_egress(cgroup_id, &[])?;
        let egress_is_listed = self.egress_is_listed();
        self.maps.set_settings(Settings { egress_is_listed, ..self.maps.settings()? })?;
        self.maps.sweep_open()
    }

    fn egress_is_listed(&self) -> u32 {
        u32::from(self.tags.values().any(|tagged| tagged.egress != Egress::Open))
    }

    /// Every tagged cgroup id, those of an earlier daemon included.
    pub(crate) fn tagged(&self) -> Result<Vec<u64>> {
        Ok(self.maps.workloads.keys().collect::<Result<_, _>>()?)
    }

    /// Marks the listeners as ours and tells the kernel programs their port: from here on connects are redirected.
    /// `connections_per_workload` bounds what one tagged cgroup may have open.
    ///
    /// Another build's programs over the same maps are exchanged first. Listeners that are marked already stay in force
    /// throughout.
    pub(crate) fn announce(&mut self, listeners: &Listeners, connections_per_workload: u32) -> Result<()> {
        self.exchange_programs()?;
        let tag = self.listener_tag(listeners)?;
        let marker = self.maps.marker(tag);
        for socket in listeners.sockets() {
            // Marking anew would do, but a mark that is right is best left alone.
            if !self.maps.is_marked(&socket, tag) {
                marker.mark(socket)?;
            }
        }
        let settings = Settings {
            listener_tag: tag,
            netns_cookie: listeners.netns_cookie(),
            origins_per_workload: connections_per_workload,
            egress_is_listed: self.egress_is_listed(),
            proxy_port: listeners.port(),
            hold_jiffies: hold_jiffies(),
            reserved: [0; 2],
        };
        // Those that an earlier daemon knew; ours are told of after this.
        self.maps.clear_namespaces()?;
        self.maps.set_settings(settings)?;
        self.withdraw_on_drop = false;
        for dir in std::mem::take(&mut self.previous) {
            pins::remove(&dir).with_context(|| format!("pins of another layout in {} remain", dir.display()))?;
            tracing::info!(pins = %dir.display(), "retired kernel programs whose maps are laid out otherwise");
        }
        Ok(())
    }

    /// What marks listeners of other network namespaces before they listen: one that listens unmarked is a stranger's.
    fn marker(&self) -> Result<maps::Marker> {
        Ok(self.maps.marker(self.maps.settings()?.listener_tag))
    }

    /// Tells where the listeners of another network namespace are: from here on connects there are redirected, and held ones go on.
    pub(crate) fn announce_in(&mut self, netns_cookie: u64, listeners: &Listeners) -> Result<()> {
        self.maps.add_namespace(netns_cookie, listeners.port())
    }

    /// Connects from a network namespace are held again, if there are any.
    pub(crate) fn retreat_from(&mut self, netns_cookie: u64, port: u16) -> Result<()> {
        self.maps.remove_namespace(netns_cookie, port)
    }

    /// Puts this build's programs in force where another's are.
    fn exchange_programs(&mut self) -> Result<()> {
        let Some(fresh) = self.fresh.take() else { return Ok(()) };
        fresh.put_in_force(&self.pins)?;
        tracing::info!(build = pins::version(), "exchanged the kernel programs of another build");
        Ok(())
    }

    /// The tag that is in force when the listeners have it, so that no connect meets a half-changed one; else a new one.
    fn listener_tag(&self, listeners: &Listeners) -> Result<u64> {
        let now = self.maps.settings()?;
        let stays = now.listener_tag != 0
            && now.proxy_port == listeners.port()
            && listeners.sockets().next().is_some_and(|socket| self.maps.is_marked(&socket, now.listener_tag));
        Ok(if stays { now.listener_tag } else { uuid::Uuid::new_v4().as_u64_pair().0 })
    }

    /// What is in force now and what is tagged from here on stays without this process, refusing.
    pub(crate) fn stay(&mut self) {
        self.withdraw_on_drop = false;
    }

    /// Leaves this build's programs in force, where another's were, for the daemon that comes.
    ///
    /// # Errors
    /// They cannot be exchanged.
    pub(crate) fn into_pins(mut self) -> Result<PathBuf> {
        self.exchange_programs()?;
        Ok(self.pins.clone())
    }

    /// Whether the maps in force are ones that this build reads: else what they know cannot be taken over.
    pub(crate) fn reads_what_is_in_force(bpffs: &Path, run_dir: &Path) -> bool {
        pins::instance_dir(bpffs, run_dir).join(pins::layout()).exists()
    }

    /// Tells the kernel programs that nobody listens any more: connects are refused without a look-up.
    pub(crate) fn retreat(&mut self) -> Result<()> {
        self.maps.set_settings(Settings { egress_is_listed: self.egress_is_listed(), ..Settings::default() })
    }

    /// A handle for one thread to take records with.
    pub(crate) fn records(&self) -> Result<Records> {
        Records::open(&self.pins)
    }

    /// The stream of refused and redirected connects.
    pub(crate) fn events(&self) -> Result<Events> {
        Events::open(&self.pins)
    }

    /// Hands the kernel programs' own log to the daemon's, each time it is called.
    pub(crate) fn kernel_log(&self) -> Result<impl FnMut() + Send + use<>> {
        programs::log_reader(&self.pins)
    }

    /// Refused connects so far, by reason.
    pub(crate) fn refusals(&self) -> Result<Vec<(Refusal, u64)>> {
        self.maps.refusals()
    }

    /// Whether what this daemon leaves in force when it dies is there still.
    pub(crate) fn is_pinned(&self) -> bool {
        programs::are_pinned(&self.pins)
    }

    /// Counts of what no refusal is.
    pub(crate) fn tally(&self, what: Tally) -> Result<u64> {
        self.maps.tally(what)
    }

    pub(crate) fn pins(&self) -> &Path {
        &self.pins
    }
}

impl Drop for Interception {
    /// A start that failed leaves nothing of its own attached; an earlier daemon's programs stay in force.
    fn drop(&mut self) {
        if self.withdraw_on_drop
            && let Err(error) = pins::remove_instance_of(&self.pins)
        {
            tracing::error!("pins of a failed start remain in {}: {error:#}", self.pins.display());
        }
    }
}

/// Attaching anywhere but at the root would miss sockets created outside and used inside.
fn check_is_root_cgroup(mount: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    /// `cgroup_init` makes the root first: it has kernfs id 1.
    const ROOT_CGROUP_ID: u64 = 1;
    let id = fs::metadata(mount).with_context(|| format!("{} cannot be read", mount.display()))?.ino();
    if id != ROOT_CGROUP_ID {
        bail!(
            "{} is not the root of the cgroup v2 tree: run portreeve in the host's cgroup namespace",
            mount.display()
        );
    }
    Ok(())
}

/// The cgroup this process is in, as a path under the mount.
fn own_cgroup(mount: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup cannot be read")?;
    Ok(mount.join(host::cgroup2_path(&text).context("this process is in no cgroup v2")?))
}

fn open_dir(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("{} cannot be opened", path.display()))
}

/// The pause after which a held SYN is sent again, in ticks of the kernel's timer: the coarse clocks have its resolution.
/// 0, the kernel's own pause, where that is not known.
fn hold_jiffies() -> u16 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map(std::time::Duration::from).unwrap_or_default();
    let ticks = HELD_SYN_AGAIN.as_nanos().checked_div(tick.as_nanos()).unwrap_or_default();
    u16::try_from(ticks).unwrap_or_default()
}

/// Whether a call waits for a listener, or could be led to one on another port.
pub(crate) fn wants_listener(event: &ConnectEvent) -> bool {
    event.outcome == ConnectEvent::HELD || event.outcome == Refusal::ForeignListener as u32
}

/// Why a connect was refused, in a word; none when it goes to the gateway.
pub(crate) fn refusal(event: &ConnectEvent) -> Option<&'static str> {
    if event.outcome == ConnectEvent::REDIRECTED || event.outcome == ConnectEvent::HELD {
        return None;
    }
    Some(Refusal::from_number(event.outcome).map_or("unknown", Refusal::name))
}

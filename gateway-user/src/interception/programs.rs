//! Loading, attaching and pinning the kernel programs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, Program, SockOps,
        links::{FdLink, PinnedLink},
    },
};

use super::{maps, open_dir, pins};

/// The kernel programs, as built by `build.rs`.
pub(super) const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portreeve-ebpf"));

/// A link is never exclusive, whatever the mode says.
const MODE: CgroupAttachMode = CgroupAttachMode::Single;

/// A program that logs; all of them share one ring.
const LOGGING: &str = "connect4";

/// The order matters on attaching: what publishes and forgets records is there before what redirects.
pub(super) const PROGRAMS: [&str; 11] = [
    "release",
    "publish_record",
    "getpeername4",
    "getpeername6",
    "made",
    "bound4",
    "bound6",
    "sendmsg4",
    "sendmsg6",
    "connect4",
    "connect6",
];

/// Attached to each tagged cgroup by itself: at the root it would look at every packet of the host.
pub(super) const PACKET: &str = "packet";

/// Loads every program, attaches it at the cgroup root and pins links and maps, all or nothing: the pins are made in a
/// staging directory and appear under their name by one rename.
pub(super) fn load_and_pin(cgroup_mount: &Path, instance: &Path, version_dir: &Path) -> Result<()> {
    let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(explain_load)?;
    let staging = pins::staging_dir(instance);
    fs::create_dir_all(&staging).with_context(|| format!("{} cannot be created", staging.display()))?;
    let made = attach_and_pin(&mut ebpf, cgroup_mount, &staging)
        .and_then(|()| fs::rename(&staging, version_dir).context("the pins cannot be put in place"));
    if made.is_err() {
        // The first error is the one to show.
        let _ = pins::remove_instance_of(&staging);
    }
    made
}

fn attach_and_pin(ebpf: &mut Ebpf, cgroup_mount: &Path, staging: &Path) -> Result<()> {
    for name in maps::PINNED {
        let map = ebpf.map(name).ok_or_else(|| anyhow!("the kernel object has no map {name}"))?;
        map.pin(staging.join(name)).with_context(|| format!("map {name} cannot be pinned"))?;
    }
    for name in PROGRAMS {
        let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the kernel object has no program {name}"))?;
        let link = attach(program, cgroup_mount).with_context(|| format!("kernel program {name}"))?;
        link.pin(link_pin(staging, name)).with_context(|| format!("link of {name} cannot be pinned"))?;
    }
    pin_packet(ebpf, staging).with_context(|| format!("kernel program {PACKET}"))?;
    pins::sign(staging)
}

fn pin_packet(ebpf: &mut Ebpf, staging: &Path) -> Result<()> {
    let program = ebpf.program_mut(PACKET).ok_or_else(|| anyhow!("the kernel object does not have it"))?;
    load(program)?;
    program.pin(packet_program_pin(staging)).context("cannot be pinned")
}

/// Looks at the packets of sockets that were made in a cgroup or below it, from here on. The link is pinned and, as returned,
/// held.
///
/// Below one tagged cgroup another may be tagged: then two programs run, which say the same and both count.
pub(super) fn guard_packets(version_dir: &Path, cgroup: &Path, cgroup_id: u64) -> Result<FdLink> {
    let pin = packet_pin(version_dir, cgroup_id);
    if pin.exists() {
        return Ok(PinnedLink::from_pin(&pin).context("the pinned link cannot be opened")?.into());
    }
    let mut program = CgroupSkb::from_pin(packet_program_pin(version_dir), CgroupSkbAttachType::Egress)
        .context("pinned kernel program")?;
    let id = program.attach(open_dir(cgroup)?, CgroupSkbAttachType::Egress, MODE).context("cannot be attached")?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    Ok(link.pin(&pin).context("the link cannot be pinned")?.into())
}

/// Ends [`guard_packets`], once nobody holds the link.
pub(super) fn release_packets(version_dir: &Path, cgroup_id: u64) -> Result<()> {
    match fs::remove_file(packet_pin(version_dir, cgroup_id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("the packet program's pin remains"),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn packet_pin(version_dir: &Path, cgroup_id: u64) -> PathBuf {
    version_dir.join(format!("{PACKET}_{cgroup_id}"))
}

/// Where a program's link at the cgroup root is pinned.
pub(super) fn link_pin(version_dir: &Path, name: &str) -> PathBuf {
    version_dir.join(format!("link_{name}"))
}

/// Where the program is pinned that each newly tagged cgroup gets.
pub(super) fn packet_program_pin(version_dir: &Path) -> PathBuf {
    version_dir.join(format!("program_{PACKET}"))
}

/// The pinned links of [`guard_packets`], one per tagged cgroup.
pub(super) fn packet_pins(version_dir: &Path) -> Result<Vec<PathBuf>> {
    let is_one = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&format!("{PACKET}_")))
    };
    Ok(pins::entries(version_dir)?.into_iter().filter(is_one).collect())
}

/// The pinned links, held open: somebody who removes the pins does not detach the programs while this process lives.
pub(super) fn hold(version_dir: &Path) -> Result<Vec<FdLink>> {
    let held = PROGRAMS.iter().map(|name| {
        let link = PinnedLink::from_pin(link_pin(version_dir, name));
        link.map(FdLink::from).with_context(|| format!("pinned link of {name} cannot be opened"))
    });
    held.collect()
}

/// Whether every link is pinned still.
pub(super) fn are_pinned(version_dir: &Path) -> bool {
    PROGRAMS.iter().all(|name| link_pin(version_dir, name).exists())
}

/// # Errors
/// The kernel rejects it, with the verifier's log; or it is of a kind that is not ours.
pub(super) fn load(program: &mut Program) -> Result<()> {
    match program {
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => bail!("is of a kind that is not ours"),
    }
    .map_err(explain_verifier)
}

fn attach(program: &mut Program, cgroup_mount: &Path) -> Result<FdLink> {
    load(program)?;
    let cgroup = open_dir(cgroup_mount)?;
    let attaching = "cannot be attached at the cgroup root";
    match program {
        Program::CgroupSockAddr(program) => {
            let id = CgroupSockAddr::attach(program, cgroup, MODE).context(attaching)?;
            Ok(program.take_link(id)?.try_into()?)
        }
        Program::CgroupSock(program) => {
            let id = CgroupSock::attach(program, cgroup, MODE).context(attaching)?;
            Ok(program.take_link(id)?.try_into()?)
        }
        Program::SockOps(program) => {
            let id = SockOps::attach(program, cgroup, MODE).context(attaching)?;
            Ok(program.take_link(id)?.try_into()?)
        }
        _ => Err(anyhow!("is of a kind that is not ours")),
    }
}

/// A verifier rejection is shown with its log, whole: it is the only way to tell what this kernel lacks.
fn explain_verifier(error: aya::programs::ProgramError) -> anyhow::Error {
    match &error {
        aya::programs::ProgramError::LoadError { io_error, verifier_log } => {
            anyhow!("the kernel rejected it: {io_error}\nverifier log:\n{verifier_log}")
        }
        _ => anyhow!(error),
    }
}

pub(super) fn explain_load(error: aya::EbpfError) -> anyhow::Error {
    anyhow!(error).context(
        "the kernel maps cannot be created: CAP_BPF and CAP_NET_ADMIN (or root) are needed; `portreeve doctor` says more",
    )
}

/// Reads what the kernel programs log (`aya-log`, level debug) and hands it to the daemon's log. Call it now and then.
///
/// # Errors
/// The pinned programs cannot be found; the log is a help, not a need.
pub(super) fn log_reader(version_dir: &Path) -> Result<impl FnMut() + Send + use<>> {
    let link = PinnedLink::from_pin(link_pin(version_dir, LOGGING))?;
    let program_id = FdLink::from(link).info()?.program_id();
    // By the program's id, so that pins taken over from an earlier daemon are heard as well.
    let mut logger = aya_log::EbpfLogger::init_from_id(program_id)?;
    Ok(move || logger.flush())
}

//! Removes what daemons left in the kernel, and looks whether it is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::programs::{
    ProgramInfo,
    links::{FdLink, PinnedLink},
    loaded_programs,
};
use serde::Serialize;

use super::{maps, pins, programs};

/// The kernel frees a program some time after its last holder has gone (a grace period of RCU's, on a busy machine).
const FREE_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What an instance has in the kernel, of every build, half-made pins included.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Remains {
    /// Folders of pins, one for each layout of the maps.
    #[serde(rename = "removed")]
    pub(crate) folders: Vec<PathBuf>,
    /// Names of the programs, each once.
    pub(crate) programs: BTreeSet<String>,
    /// Links: at the cgroup root, and one at each tagged cgroup.
    pub(crate) links: usize,
    /// Names of the maps, each once.
    pub(crate) maps: BTreeSet<String>,
    #[serde(skip)]
    ids: BTreeSet<u32>,
}

impl Remains {
    /// # Errors
    /// The pins cannot be read.
    pub(crate) fn of(instance: &Path) -> Result<Self> {
        let mut remains = Self { folders: pins::entries(instance)?, ..Self::default() };
        for folder in remains.folders.clone() {
            for pin in pins::entries(&folder)? {
                remains.note(&pin);
            }
        }
        remains.programs =
            names()?.into_iter().filter(|(id, _)| remains.ids.contains(id)).map(|(_, name)| name).collect();
        Ok(remains)
    }

    /// A pin that cannot be opened is removed all the same.
    fn note(&mut self, pin: &Path) {
        let name = pin.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if maps::PINNED.contains(&name) {
            self.maps.insert(name.to_owned());
        } else if pin.is_dir() {
            // The signature.
        } else if let Ok(link) = PinnedLink::from_pin(pin) {
            self.links += 1;
            self.ids.extend(FdLink::from(link).info().map(|info| info.program_id()));
        } else if pin == programs::packet_program_pin(pin.parent().unwrap_or(pin)) {
            self.ids.extend(ProgramInfo::from_pin(pin).map(|info| info.id()));
        }
    }

    /// Removes the pins; the programs detach, and tagged workloads connect directly again. Returns the names of programs that are
    /// loaded still, since somebody else holds them.
    ///
    /// # Errors
    /// A folder cannot be removed.
    pub(crate) fn remove(&self, bpffs: &Path, instance: &Path) -> Result<Vec<String>> {
        for folder in &self.folders {
            pins::remove(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        // They stay while there is something else in them.
        let _ = fs::remove_dir(instance);
        let _ = fs::remove_dir(bpffs.join("portreeve"));
        let start = Instant::now();
        loop {
            let left: Vec<_> = names()?.into_iter().filter(|(id, _)| self.ids.contains(id)).collect();
            if left.is_empty() || start.elapsed() > FREE_MAX {
                return Ok(left.into_iter().map(|(_, name)| name).collect());
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Every program of the kernel's, by id.
fn names() -> Result<BTreeMap<u32, String>> {
    let named = |info: ProgramInfo| (info.id(), info.name_as_str().unwrap_or_default().to_owned());
    // One that is freed while they are listed is not loaded.
    Ok(loaded_programs().filter_map(|info| info.ok().map(named)).collect())
}

/// The `run_dir` of every instance that has pins.
///
/// # Errors
/// The pins cannot be read.
pub(crate) fn run_dirs(bpffs: &Path) -> Result<Vec<PathBuf>> {
    let instances = pins::entries(&bpffs.join("portreeve"))?;
    Ok(instances.iter().filter_map(|path| pins::run_dir_of(path.file_name()?)).collect())
}

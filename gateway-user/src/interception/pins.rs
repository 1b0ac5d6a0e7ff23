//! Where an instance's links and maps are pinned: `<bpffs>/portreeve/<instance>/<version>/`.
//!
//! The instance is named by its `run_dir`, so that several on one host do not meet; the version is that of the kernel
//! object, so that a daemon takes over only programs it was built with.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::programs::OBJECT;

/// Names that begin so are half-made pins of a start that was killed.
const STAGING: &str = "staging-";

/// The directory of all pins of the instance that `run_dir` names.
pub(crate) fn instance_dir(bpffs: &Path, run_dir: &Path) -> PathBuf {
    bpffs.join("portreeve").join(escape(run_dir))
}

/// `/` becomes `-`; whatever is neither letter nor digit becomes `_xx`. bpffs refuses names with a dot.
fn escape(path: &Path) -> String {
    let mut name = String::new();
    let bytes = path.as_os_str().as_bytes();
    for byte in bytes.strip_prefix(b"/").unwrap_or(bytes) {
        match byte {
            b'/' => name.push('-'),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            byte => {
                // Writing to a String cannot fail.
                let _ = write!(name, "_{byte:02x}");
            }
        }
    }
    name
}

/// The embedded kernel object's version: the first 16 hexadecimal digits of its BLAKE3 hash.
pub(crate) fn version() -> String {
    blake3::hash(OBJECT).to_hex().chars().take(16).collect()
}

pub(super) fn staging_dir(instance: &Path) -> PathBuf {
    instance.join(format!("{STAGING}{}", version()))
}

pub(super) fn remove_staging(instance: &Path) -> Result<()> {
    for dir in entries(instance)? {
        if is_staging(&dir) {
            remove(&dir).with_context(|| format!("half-made pins in {} cannot be removed", dir.display()))?;
        }
    }
    Ok(())
}

fn is_staging(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.as_bytes().starts_with(STAGING.as_bytes()))
}

/// Pins of the same instance by other builds.
pub(super) fn other_versions(instance: &Path, ours: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(instance)?.into_iter().filter(|dir| dir != ours && !is_staging(dir)).collect())
}

fn entries(instance: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(instance) {
        Ok(dir) => Ok(dir.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", instance.display())),
    }
}

/// Removes one version's pins; the links among them detach when nobody holds them open.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir)
}

/// Removes the pins and the then empty directories of the instance.
pub(super) fn remove_instance_of(version_dir: &Path) -> Result<()> {
    remove(version_dir)?;
    for parent in version_dir.ancestors().skip(1).take(2) {
        if parent.file_name() == Some(OsStr::new("bpf")) || fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes every pin of the instance: its kernel programs detach, and tagged workloads connect directly again.
///
/// Returns what was removed. Nothing there is not an error.
pub(crate) fn detach(bpffs: &Path, run_dir: &Path) -> Result<Vec<PathBuf>> {
    let instance = instance_dir(bpffs, run_dir);
    let dirs = entries(&instance)?;
    for dir in &dirs {
        remove(dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
    }
    let _ = fs::remove_dir(&instance);
    let _ = fs::remove_dir(bpffs.join("portreeve"));
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_dirs_that_differ_have_pins_that_differ() {
        let check = |run_dir: &str, name: &str| assert_eq!(escape(Path::new(run_dir)), name);
        check("/run/portreeve", "run-portreeve");
        check("/run/port-reeve", "run-port_2dreeve");
        check("/run/port/reeve", "run-port-reeve");
        check("/run/portreeve.d", "run-portreeve_2ed");
        check("relative", "relative");
    }
}

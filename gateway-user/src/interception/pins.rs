//! Where an instance's links and maps are pinned: `<bpffs>/portreeve/<instance>/<layout>/`.
//!
//! The instance is named by its `run_dir`, so that several on one host do not meet. The layout is that of the maps: a daemon
//! takes over maps that it reads as they were written, whichever build made them, and puts its own programs over them. An empty
//! folder `build_<version>` among the pins says whose programs are in force.

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
/// The folder that says which build's programs are in force.
const BUILD: &str = "build_";

/// What the maps hold, and how it is laid out, is said here and nowhere else. A comment that changes makes another layout too,
/// which costs an upgrade the hand-over and nothing else.
const LAYOUT: [&str; 3] = [
    include_str!("../../../crates/abi/src/lib.rs"),
    include_str!("../../../crates/abi/src/limits.rs"),
    include_str!("../../../gateway-ebpf/src/maps.rs"),
];

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

/// The `run_dir` that an instance's folder is named after; none when it is not of this naming.
pub(super) fn run_dir_of(name: &OsStr) -> Option<PathBuf> {
    let mut path = vec![b'/'];
    let mut bytes = name.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'-' => path.push(b'/'),
            b'_' => {
                let digits = [bytes.next()?, bytes.next()?];
                path.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => path.push(byte),
        }
    }
    Some(PathBuf::from(OsStr::from_bytes(&path)))
}

/// The embedded kernel object's version: the first 16 hexadecimal digits of its BLAKE3 hash.
pub(crate) fn version() -> String {
    short(&blake3::hash(OBJECT))
}

/// The version of the maps' layout, written the same way.
pub(super) fn layout() -> String {
    let mut hasher = blake3::Hasher::new();
    for source in LAYOUT {
        hasher.update(source.as_bytes());
    }
    short(&hasher.finalize())
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(16).collect()
}

/// Whether the programs in force are this build's.
pub(super) fn are_of_this_build(dir: &Path) -> bool {
    dir.join(format!("{BUILD}{}", version())).exists()
}

/// Says that the programs in force are this build's. By a rename, so that no crash leaves two answers.
pub(super) fn sign(dir: &Path) -> Result<()> {
    let ours = dir.join(format!("{BUILD}{}", version()));
    let signed = entries(dir)?.into_iter().find(|entry| has_prefix(entry, BUILD));
    match signed {
        Some(other) if other != ours => fs::rename(&other, &ours),
        Some(_) => Ok(()),
        None => fs::create_dir(&ours),
    }
    .with_context(|| format!("the pins in {} cannot be signed", dir.display()))
}

pub(super) fn staging_dir(instance: &Path) -> PathBuf {
    instance.join(format!("{STAGING}{}", layout()))
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
    has_prefix(dir, STAGING)
}

fn has_prefix(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()))
}

/// Pins of the same instance with another layout.
pub(super) fn other_layouts(instance: &Path, ours: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(instance)?.into_iter().filter(|dir| dir != ours && !is_staging(dir)).collect())
}

pub(super) fn entries(instance: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(instance) {
        Ok(dir) => Ok(dir.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", instance.display())),
    }
}

/// Removes one layout's pins; the links among them detach when nobody holds them open.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir)
}

/// Removes the pins and the then empty directories of the instance.
pub(super) fn remove_instance_of(pins: &Path) -> Result<()> {
    remove(pins)?;
    for parent in pins.ancestors().skip(1).take(2) {
        if parent.file_name() == Some(OsStr::new("bpf")) || fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
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

    #[test]
    fn a_folder_of_pins_names_its_run_dir() {
        for run_dir in ["/run/portreeve", "/run/port-reeve", "/a_b/c.d/\u{e9}"] {
            let name = escape(Path::new(run_dir));
            assert_eq!(run_dir_of(OsStr::new(&name)), Some(PathBuf::from(run_dir)));
        }
        assert_eq!(run_dir_of(OsStr::new("run_2")), None);
    }
}

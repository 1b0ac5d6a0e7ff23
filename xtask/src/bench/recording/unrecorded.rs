//! The daemon that records nothing. There is none: no option and no build of it. What is compared with is a copy of the very binary
//! in which one function, by which everything of a session is recorded, returns at once.

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use portreeve_tests::host;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// `portreeve::session::journal::write`, as the compiler writes its name.
const FUNCTION: &str = "_ZN9portreeve7session7journal5write17h";

/// Returns `Ok(())`, which is a 0 in the register of results.
const RETURN_OK: &[u8] = if cfg!(target_arch = "x86_64") {
    // xor eax, eax; ret
    &[0x31, 0xC0, 0xC3]
} else if cfg!(target_arch = "aarch64") {
    // mov x0, #0; ret
    &[0x00, 0x00, 0x80, 0xD2, 0xC0, 0x03, 0x5F, 0xD6]
} else {
    &[]
};

/// Below `dir`, which must go when all is measured.
///
/// # Errors
/// The daemon was not built, has no such function (any more), or this is a processor that nobody wrote the instructions for.
pub(super) fn binary(dir: &Path) -> Result<PathBuf> {
    if RETURN_OK.is_empty() {
        bail!("write the instructions that return 0 on this processor first");
    }
    let mut bytes = fs::read(host::portreeve_binary()?).context("cannot read the daemon's binary")?;
    let place = place_of(&bytes).with_context(|| format!("`{FUNCTION}…` in the daemon's binary"))?;
    let place = place..place.saturating_add(RETURN_OK.len());
    bytes.get_mut(place).context("the function lies outside of the binary")?.copy_from_slice(RETURN_OK);
    let path = dir.join("portreeve-unrecorded");
    fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("cannot make it executable")?;
    Ok(path)
}

/// Where in the file the function begins.
fn place_of(bytes: &[u8]) -> Result<usize> {
    let file = object::File::parse(bytes).context("cannot be read")?;
    let mut found = file.symbols().filter(|symbol| symbol.name().is_ok_and(|name| name.starts_with(FUNCTION)));
    let (Some(symbol), None) = (found.next(), found.next()) else { bail!("is not there exactly once") };
    let section = symbol.section_index().context("is in no section")?;
    let section = file.section_by_index(section).context("is in a section that is not there")?;
    let (start, _) = section.file_range().context("is in a section that is not in the file")?;
    let within = symbol.address().checked_sub(section.address()).context("lies before its section")?;
    usize::try_from(start.saturating_add(within)).context("lies too far behind")
}

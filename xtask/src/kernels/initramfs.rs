//! What a kernel begins with: busybox, the modules that its root file system needs, and `init.sh`.

use super::archive::Kernel;
use crate::chore;
use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const INIT: &str = include_str!("init.sh");
const BUSYBOX: &str = "/bin/busybox";
/// Once the root is there, the others are loaded by name.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Writes the archive and returns its path; `job` is what the kernel's first process becomes in the end, a shell script.
///
/// # Errors
/// A module is not among the kernel's, or a file cannot be written.
pub(super) fn make(kernel: &Kernel, job: &Path) -> Result<PathBuf> {
    let folder = kernel.folder().join("initramfs");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the last initramfs")?;
    }
    fs::create_dir_all(folder.join("bin")).context("cannot create an initramfs")?;
    let init = folder.join("init");
    fs::write(&init, INIT).context("cannot write init")?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("cannot make init executable")?;
    fs::write(folder.join("job"), job.as_os_str().as_encoded_bytes()).context("cannot write the job's name")?;
    fs::copy(BUSYBOX, folder.join("bin/busybox")).with_context(|| format!("cannot copy `{BUSYBOX}`"))?;
    for (number, module) in modules(kernel)?.iter().enumerate() {
        // By number: they are loaded in this order.
        unpack(module, &folder.join(format!("{number:02}.ko")))?;
    }
    archive(&folder)
}

/// The modules that are not built in, with what they need, in the order in which they load.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for name in MODULES {
        let root = kernel.root().display().to_string();
        let args = ["--dirname", &root, "--set-version", &kernel.version, "--show-depends", name];
        // A name that modprobe does not know is built in: Debian's packages since 7.0 do not list what is. Where it is missing after
        // all, the machine finds no files, and says so.
        let Some(said) = chore::answer("modprobe", &args) else { continue };
        for path in insmods(&said) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// modprobe(8): a line `insmod <path>` each, or `builtin <name>`.
fn insmods(said: &str) -> impl Iterator<Item = PathBuf> {
    said.lines().filter_map(|line| Some(PathBuf::from(line.strip_prefix("insmod ")?.trim())))
}

/// busybox's insmod reads no compressed modules.
fn unpack(module: &Path, to: &Path) -> Result<()> {
    let program = match module.extension().and_then(|end| end.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("ko") => "cat",
        _ => bail!("`{}` is compressed in a way that is not known here", module.display()),
    };
    let file = File::create(to).with_context(|| format!("cannot create `{}`", to.display()))?;
    let mut command = Command::new(program);
    if program != "cat" {
        command.args(["--decompress", "--stdout"]);
    }
    let status = command.arg(module).stdout(file).status().with_context(|| format!("cannot run `{program}`"))?;
    if !status.success() {
        bail!("`{program}` cannot unpack `{}`", module.display());
    }
    Ok(())
}

fn archive(folder: &Path) -> Result<PathBuf> {
    let path = folder.with_extension("cpio");
    let names = Command::new("find").arg(".").current_dir(folder).output().context("cannot run find")?;
    let list = folder.with_extension("list");
    fs::write(&list, names.stdout).context("cannot write the list of files")?;
    let mut command = Command::new("cpio");
    command.args(["--create", "--format=newc", "--quiet"]).current_dir(folder);
    command.stdin(Stdio::from(File::open(&list).context("cannot read the list of files")?));
    command.stdout(File::create(&path).context("cannot create the initramfs")?);
    if !command.status().context("cannot run cpio")?.success() {
        bail!("cpio cannot write `{}`", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let said = "builtin virtio\ninsmod /k/net/9p/9pnet.ko.xz \ninsmod /k/fs/9p/9p.ko.xz \n";
        let expected = [PathBuf::from("/k/net/9p/9pnet.ko.xz"), PathBuf::from("/k/fs/9p/9p.ko.xz")];
        assert_eq!(insmods(said).collect::<Vec<_>>(), expected);
    }
}

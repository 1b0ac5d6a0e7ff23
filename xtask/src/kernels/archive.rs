//! Kernels from Debian's archive, by apt with lists and folders of its own: this machine's packages stay as they are.

use crate::chore;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::host;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian publishes a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Suite {
    #[value(alias = "6.1")]
    Bookworm,
    BookwormBackports,
    #[value(alias = "6.12")]
    Trixie,
    TrixieBackports,
    Sid,
}

impl Suite {
    pub(super) const ALL: [Self; 5] =
        [Self::Bookworm, Self::BookwormBackports, Self::Trixie, Self::TrixieBackports, Self::Sid];

    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::BookwormBackports => "bookworm-backports",
            Self::Trixie => "trixie",
            Self::TrixieBackports => "trixie-backports",
            Self::Sid => "sid",
        }
    }

    fn folder(self) -> PathBuf {
        host::provisioned().join("kernels").join(self.name())
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A kernel with its modules, unpacked. The cloud flavour would be smaller, and has no 9p to share files by.
pub(super) struct Kernel {
    pub(super) suite: Suite,
    /// As `uname -r` says it.
    pub(super) version: String,
}

const META_PACKAGE: &str = "linux-image-amd64";
/// Signs suites that are older and newer than this machine as well.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR: &str = "http://deb.debian.org/debian";

impl Kernel {
    /// The one that was fetched before, or the newest of the suite.
    ///
    /// # Errors
    /// The archive cannot be reached, or has nothing of the kind.
    pub(super) fn obtain(suite: Suite, refresh: bool) -> Result<Self> {
        if !refresh && let Ok(version) = fs::read_to_string(suite.folder().join("version")) {
            return Ok(Self { suite, version });
        }
        let mut progress = |text: &str| println!("      {text}");
        chore::retried(&mut progress, |progress| fetch(suite, progress))
            .with_context(|| format!("the kernel of {suite}"))?;
        let version = fs::read_to_string(suite.folder().join("version")).context("a kernel without version")?;
        Ok(Self { suite, version })
    }

    /// Where everything about it is.
    pub(super) fn folder(&self) -> PathBuf {
        self.suite.folder()
    }

    /// What its packages contain, from `/` on.
    pub(super) fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    pub(super) fn image(&self) -> PathBuf {
        let boot = self.root().join(format!("boot/vmlinuz-{}", self.version));
        // Where packages have it since 7.0.
        if boot.exists() { boot } else { self.modules().join("vmlinuz") }
    }

    pub(super) fn modules(&self) -> PathBuf {
        self.root().join("lib/modules").join(&self.version)
    }
}

/// The folder appears under its name when it is complete.
fn fetch(suite: Suite, mut progress: impl FnMut(&str)) -> Result<()> {
    let fresh = suite.folder().with_extension("new");
    remove(&fresh)?;
    let apt = Apt::new(suite, fresh.join("apt"))?;
    apt.run("update", &[], &mut progress)?;
    let image = apt.depends(META_PACKAGE, &["linux-image-"])?;
    let image = image.first().with_context(|| format!("`{META_PACKAGE}` of {suite} depends on no kernel"))?;
    let mut packages = vec![image.clone()];
    // Since 7.0 the image is but a name for these.
    packages.extend(apt.depends(image, &["linux-binary-", "linux-modules-"])?);
    progress(&format!("fetching {}", packages.join(" ")));
    apt.run("download", &packages, &mut progress)?;
    let root = fresh.join("root");
    for package in files(&apt.dir, "deb")? {
        let mut command = Command::new("dpkg-deb");
        command.arg("--extract").arg(package).arg(&root);
        chore::logged("kernels", command, &mut progress)?;
    }
    if !root.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).context("cannot link lib to usr/lib")?;
    }
    let version = image.trim_start_matches("linux-image-");
    let mut depmod = Command::new("depmod");
    depmod.arg("--basedir").arg(&root).arg(version);
    chore::logged("kernels", depmod, &mut progress)?;
    remove(&apt.dir)?;
    fs::write(fresh.join("version"), version).context("cannot write the version")?;
    remove(&suite.folder())?;
    fs::rename(&fresh, suite.folder()).context("cannot put the kernel into its place")
}

/// apt with nothing of this machine's but its programs and its mirror.
struct Apt {
    dir: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(suite: Suite, dir: PathBuf) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(folder)).with_context(|| format!("cannot create `{}`", dir.display()))?;
        }
        let sources = dir.join("sources.list");
        fs::write(&sources, format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()))
            .with_context(|| format!("cannot write `{}`", sources.display()))?;
        let at = |name: &str| dir.join(name).display().to_string();
        let options = [
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "Dir::Etc::PreferencesParts=/dev/null".into(),
            format!("Dir::State::Lists={}", at("lists")),
            "Dir::State::Status=/dev/null".into(),
            format!("Dir::Cache={}", at("cache")),
            "Acquire::Languages=none".into(),
            "APT::Architecture=amd64".into(),
            // Its own user cannot write to where this tree may be.
            "APT::Sandbox::User=root".into(),
        ];
        Ok(Self { options: options.into_iter().flat_map(|option| ["--option".into(), option]).collect(), dir })
    }

    fn run(&self, action: &str, packages: &[String], progress: impl FnMut(&str)) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.current_dir(&self.dir).args(&self.options).arg("--quiet").arg(action).args(packages);
        chore::logged("kernels", command, progress)
    }

    /// What a package depends on, of those names.
    fn depends(&self, package: &str, prefixes: &[&str]) -> Result<Vec<String>> {
        let mut args: Vec<&str> = self.options.iter().map(String::as_str).collect();
        args.extend(["depends", package]);
        let said = chore::answer("apt-cache", &args).with_context(|| format!("apt does not know `{package}`"))?;
        Ok(dependencies(&said, prefixes))
    }
}

/// `apt-cache depends` prints `  Depends: name`, with `<name>` for what is not there.
fn dependencies(said: &str, prefixes: &[&str]) -> Vec<String> {
    let names = said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned).collect()
}

/// The one that this machine fetches Debian's packages from.
fn mirror() -> String {
    let sites = chore::answer("apt-get", &["indextargets", "--format", "$(SITE)"]).unwrap_or_default();
    let own = sites.lines().find(|site| site.trim_end_matches('/').ends_with("/debian"));
    own.unwrap_or(MIRROR).to_owned()
}

fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read `{}`", dir.display()))? {
        let path = entry.with_context(|| format!("cannot read `{}`", dir.display()))?.path();
        if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("apt downloaded nothing into `{}`", dir.display());
    }
    Ok(found)
}

fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).with_context(|| format!("cannot remove `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_fetched_counts() {
        let said = "linux-image-7.2-amd64\n  PreDepends: linux-base\n |Depends: <dracut>\n  Depends: <linux-modules-7.1-amd64>\n  \
                    Depends: linux-binary-7.2-amd64\n  Depends: linux-modules-7.2-amd64\n  Breaks: <fwupdate>\n";
        let expected = ["linux-binary-7.2-amd64", "linux-modules-7.2-amd64"];
        assert_eq!(dependencies(said, &["linux-binary-", "linux-modules-"]), expected);
        assert_eq!(dependencies(said, &["linux-image-"]), Vec::<String>::new());
    }
}

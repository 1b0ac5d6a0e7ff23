//! Which machine this is.

use anyhow::{Context as _, Result, bail};
use std::{fmt, fs};

/// The distribution and who we are on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) distribution: Distribution,
    name: String,
    pub(super) root: bool,
}

/// Where package names differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    /// Debian 12: the one that CI runs on.
    Debian,
    /// Ubuntu 22.04.
    UbuntuJammy,
    /// Ubuntu 24.04 and later.
    Ubuntu,
}

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string("/etc/os-release")
            .context("cannot read /etc/os-release: this needs Linux, see vagrant/")?;
        Self::parse(&text, nix::unistd::geteuid().is_root())
    }

    /// os-release(5).
    fn parse(os_release: &str, root: bool) -> Result<Self> {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let name = value("PRETTY_NAME");
        let distribution = match (value("ID").as_str(), value("VERSION_ID").as_str()) {
            ("debian", _) => Distribution::Debian,
            ("ubuntu", "22.04") => Distribution::UbuntuJammy,
            ("ubuntu", _) => Distribution::Ubuntu,
            _ => bail!(
                "`{name}` is neither Debian nor Ubuntu: use the machine in vagrant/, or install docs/install.md's list by hand"
            ),
        };
        Ok(Self { distribution, name, root })
    }

    /// Errors unless root, with what needs it.
    pub(super) fn require_root(&self, what: &str) -> Result<()> {
        if self.root {
            return Ok(());
        }
        bail!("{what} needs root: run `sudo -E env PATH=$PATH cargo xtask setup`")
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, if self.root { "as root" } else { "not as root" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Distribution>) {
        assert_eq!(Machine::parse(text, true).ok().map(|machine| machine.distribution), expected, "{text}");
    }

    #[test]
    fn distributions_are_told_apart() {
        check(
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n",
            Some(Distribution::Debian),
        );
        check("NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\n", Some(Distribution::UbuntuJammy));
        check("VERSION_ID=\"24.04\"\nID=ubuntu\n", Some(Distribution::Ubuntu));
        check("ID=fedora\nVERSION_ID=43\n", None);
        check("", None);
    }
}

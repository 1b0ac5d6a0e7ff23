//! `cargo xtask tidy`: the rules of the tree that no other tool knows. It is a unit test as well.

mod docs;
mod manifests;
mod sources;

use crate::chore;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::host;
use std::{fmt, fs, path::Path, process::Command};

/// Check the tree: sizes, unfinished code, unsafe, dependencies between crates, links, licences, white space.
#[derive(clap::Args, Default)]
#[command(
    after_help = "Examples:\n  cargo xtask tidy           the quick rules\n  cargo xtask tidy --deny    advisories, licences and bans of dependencies too (builds cargo-deny once: minutes)"
)]
pub(crate) struct Args {
    /// Run cargo-deny as well, by deny.toml.
    #[arg(long)]
    deny: bool,
}

/// The text files of the tree, by path from its root.
struct Tree {
    files: Vec<(String, String)>,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    /// From 1; none when it is about the whole file.
    line: Option<usize>,
    what: String,
}

type Rule = fn(&Tree) -> Vec<Problem>;

const RULES: [Rule; 10] = [
    sources::size,
    sources::unfinished,
    sources::forbids_unsafe,
    sources::white_space,
    manifests::pure_crates,
    manifests::workspace_versions,
    docs::links,
    docs::architecture,
    docs::changelog,
    docs::licences,
];

/// Errors with the number of problems, after printing each.
pub(crate) fn run(args: &Args) -> Result<()> {
    let problems = check(&Tree::read(&host::repo_root())?);
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} places are not tidy", problems.len());
    }
    println!("tidy: {} rules hold", RULES.len());
    if args.deny { deny() } else { Ok(()) }
}

fn check(tree: &Tree) -> Vec<Problem> {
    RULES.iter().flat_map(|rule| rule(tree)).collect()
}

fn deny() -> Result<()> {
    let path = crate::setup::denier()?;
    let mut command = Command::new(path);
    command.args(["deny", "check"]).current_dir(host::repo_root());
    if chore::watched(command, |_| ())? {
        return Ok(());
    }
    bail!("cargo-deny found something, see above; the rules are in deny.toml")
}

impl Tree {
    /// What git tracks, and what it would: build output is none of tidy's business.
    fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            // CI may have checked the tree out as somebody else.
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            bail!("git cannot list the files: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let read = |path: &str| {
            // Binary files and files just deleted have no text to check.
            fs::read_to_string(root.join(path)).ok().map(|text| (path.to_owned(), text))
        };
        Ok(Self { files: listed.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect() })
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str())
    }

    /// Whether there is such a file or folder.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.iter().any(|(name, _)| name == path || name.starts_with(&folder))
    }
}

impl Problem {
    fn file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, what: what.into() }
    }

    /// `index` counts from 0.
    fn line(path: &str, index: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line: Some(index + 1), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let problems = check(&Tree::read(&host::repo_root()).unwrap());
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "\n{}", shown.join("\n"));
    }
}

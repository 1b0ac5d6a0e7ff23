//! MariaDB's own test suite, run by its own runner: `mysql-test-run.pl` starts the servers that each test wants, and a
//! script of ours stands where it looks for `mysqltest`, so that a test's connections come from a tagged cgroup or not,
//! all go by TCP, and what the test printed is kept.
//!
//! Both lanes are the same in everything else: the same paths, the same port, a server in the same state.

mod logins;
mod output;
mod room;
mod run;
mod through;
mod trial;

use crate::{cgroup::Cgroup, host};
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub use output::{Output, first_difference};
pub use room::enter;
pub use run::{Report, Run};
pub use through::{Denial, Through};
pub use trial::{Class, Trial, Verdict};

/// The first port of the runner's servers; further servers of a test listen on the ports behind it.
pub const PORT: u16 = 28000;
/// Ports that are guarded: more than any test of `main` has servers.
pub const PORTS: u16 = 6;
/// `--port-base` of the runner: `MTR_BUILD_THREAD` is a tenth of it less 1000, and thirty ports belong to each.
const PORT_BASE: u16 = ((PORT - 10_000) / 30 + 1000) * 10;

const _: () = assert!((PORT - 10_000).is_multiple_of(30));

/// Whose connections a run's tests make.
#[derive(Clone, Copy, Debug)]
pub enum Lane<'a> {
    /// Nobody's: straight to the server.
    Direct,
    /// Those of a tagged cgroup.
    Through(&'a Cgroup),
}

/// One suite of the installed ones, such as `main`.
#[derive(Clone, Debug)]
pub struct Suite {
    root: PathBuf,
    name: String,
}

impl Suite {
    /// The suite of that name in what `cargo xtask setup` put into `target/mariadb-test`.
    pub fn find(name: &str) -> Result<Self> {
        let root = host::provisioned().join("mariadb-test");
        if !root.join("usr/bin/mariadb-test").is_file() {
            bail!("`{}` is not there: run `cargo xtask setup`", root.display());
        }
        let suite = Self { root, name: name.into() };
        if !suite.folder().is_dir() {
            bail!("there is no suite `{name}`: no folder `{}`", suite.folder().display());
        }
        Ok(suite)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its tests, sorted.
    pub fn tests(&self) -> Result<Vec<String>> {
        let folder = self.folder();
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let name = entry.context("cannot read a suite's folder")?.file_name();
            names.extend(name.to_string_lossy().strip_suffix(".test").map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The text of a test.
    pub fn text(&self, test: &str) -> Result<String> {
        let path = self.folder().join(format!("{test}.test"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `main` lies beside the runner; the tests of other suites lie in `t/`, if they have one.
    fn folder(&self) -> PathBuf {
        let runner = self.runner();
        if self.name == "main" {
            return runner.join("main");
        }
        let suite = runner.join("suite").join(&self.name);
        let tests = suite.join("t");
        if tests.is_dir() { tests } else { suite }
    }

    /// The folder of `mysql-test-run.pl`.
    fn runner(&self) -> PathBuf {
        self.root.join("usr/share/mysql/mysql-test")
    }
}

/// Where servers of the runner keep their data: the same path in every run, because tests print it.
fn scratch() -> PathBuf {
    host::provisioned().join("conformance").join("var")
}

/// A file of this harness that stands in the tree.
fn part(name: &str) -> PathBuf {
    host::repo_root().join("tests/src/mysqltest").join(Path::new(name))
}

//! One call of `mysql-test-run.pl`, and what it says of each test.

use super::{Lane, Output, PORT_BASE, Suite, part, scratch};
use crate::{
    limits::{POLL_EVERY, TEST_MINUTES_MAX},
    process,
};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

/// Where Debian's packages have their libraries.
const LIBRARIES: &str =
    if cfg!(target_arch = "aarch64") { "usr/lib/aarch64-linux-gnu" } else { "usr/lib/x86_64-linux-gnu" };

/// Tests of a suite, run one after the other in one lane.
#[derive(Debug)]
pub struct Run<'a> {
    /// Where they come from.
    pub suite: &'a Suite,
    /// Their names.
    pub tests: &'a [String],
    /// More arguments for the runner, such as `--ps-protocol`.
    pub options: &'a [String],
    /// Where their connections come from.
    pub lane: Lane<'a>,
    /// Gets a folder per test; made when it is missing.
    pub out: PathBuf,
    /// Whether every login in them becomes one of `root` without a password, and a test goes on where it fails.
    pub as_root: bool,
}

/// What the runner said of a test. A test with combinations has one report for each: `innodb_ext_key.off`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The test, and its combination if it has some.
    pub name: String,
    /// `pass`, `fail`, `skipped` or `disabled`.
    pub word: String,
    /// Milliseconds when it passed, a reason when it was left out.
    pub comment: String,
}

impl Run<'_> {
    /// Runs them; `said` sees each report as it comes. Returns what every test that was truly run left behind, and the
    /// reports of all. An interrupt is an error.
    pub fn run(&self, mut said: impl FnMut(&Report)) -> Result<(BTreeMap<String, Output>, Vec<Report>)> {
        fs::create_dir_all(&self.out).with_context(|| format!("cannot create `{}`", self.out.display()))?;
        self.forget()?;
        let log = File::options().create(true).append(true).open(self.out.join("runner.log"));
        let mut log = log.context("cannot open the runner's log")?;
        let mut command = self.command();
        let complaints = log.try_clone().context("cannot share the runner's log")?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints);
        let mut child = process::spawn(command)?;
        let lines = lines(child.stdout.take().context("the runner has no output")?);
        let mut reports = Vec::new();
        let followed = follow(&lines, |line| {
            // A log that cannot be written is no reason to stop: it is for a person who wonders.
            let _ = writeln!(log, "{line}");
            if let Some(report) = Report::parse(line) {
                said(&report);
                reports.push(report);
            }
        });
        // However it ended, its servers end with it. Its status tells nothing: one is for tests that failed, and for tests
        // that were all left out.
        let ended = process::terminate(&mut child);
        followed.and(ended.map(drop))?;
        let mut outputs = BTreeMap::new();
        for name in self.left()? {
            outputs.insert(name.clone(), Output::read(&self.out.join(name))?);
        }
        Ok((outputs, reports))
    }

    /// The folders of these tests in `out`, by name.
    fn left(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.out).with_context(|| format!("cannot read `{}`", self.out.display()))? {
            let entry = entry.context("cannot read a folder of outputs")?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && self.tests.iter().any(|wanted| wanted == test_of(&name)) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes what an earlier run left of these tests.
    fn forget(&self) -> Result<()> {
        for name in self.left()? {
            let folder = self.out.join(name);
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let root = &self.suite.root;
        let mut command = Command::new("nice");
        command.arg("perl").arg("mysql-test-run.pl").current_dir(self.suite.runner());
        command
            .env("LD_LIBRARY_PATH", root.join(LIBRARIES))
            .env("MYSQL_TEST", part("stand-in.sh"))
            .env("PORTREEVE_MYSQLTEST", root.join("usr/bin/mariadb-test"))
            .env("PORTREEVE_OUT", &self.out)
            // Some tests print it, or want it to be there.
            .env("USER", "root")
            .env_remove("PORTREEVE_CGROUP")
            .env_remove("PORTREEVE_AS_ROOT");
        if self.as_root {
            command.env("PORTREEVE_AS_ROOT", "1");
        }
        if let Lane::Through(cgroup) = self.lane {
            command.env("PORTREEVE_CGROUP", cgroup.path());
        }
        command
            .arg(format!("--vardir={}", scratch().join("run").display()))
            .arg(format!("--defaults-extra-file={}", part("client.cnf").display()))
            .arg(format!("--port-base={PORT_BASE}"))
            .arg(format!("--testcase-timeout={TEST_MINUTES_MAX}"))
            // A test that fails is a result like any other; what the servers' logs say is not compared.
            .args(["--force", "--retry=0", "--max-test-fail=0", "--nowarnings", "--skip-not-found"])
            .args(["--fast", "--max-save-core=0", "--max-save-datadir=0"])
            .arg(format!("--suite={}", self.suite.name))
            .args(self.options)
            .args(self.tests);
        command
    }
}

impl Report {
    /// `main.innodb_ext_key 'off' [ pass ]     12` and the like.
    fn parse(line: &str) -> Option<Self> {
        let (test, rest) = line.split_once(" [ ")?;
        let (word, comment) = rest.split_once(" ]")?;
        let (_, name) = test.trim().split_once('.')?;
        let name = match name.split_once(' ') {
            Some((name, combination)) => format!("{name}.{}", in_order(combination.trim().trim_matches('\''))),
            None => name.to_owned(),
        };
        Some(Self { name, word: word.trim().into(), comment: comment.trim().into() })
    }

    /// The test without its combination.
    pub fn test(&self) -> &str {
        test_of(&self.name)
    }

    /// Whether the runner left it out.
    pub fn was_not_run(&self) -> bool {
        ["skipped", "disabled"].contains(&self.word.as_str())
    }
}

/// The test in the name of an output or report, without its combination.
pub(super) fn test_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(test, _)| test)
}

/// The parts of a combination by name, as in the names of outputs: the runner's order differs from one place to another.
fn in_order(combination: &str) -> String {
    let mut parts: Vec<_> = combination.split(',').collect();
    parts.sort_unstable();
    parts.join(",")
}

fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

fn follow(lines: &Receiver<String>, mut line: impl FnMut(&str)) -> Result<()> {
    loop {
        match lines.recv_timeout(POLL_EVERY * 20) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Timeout) => process::check_interrupt()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, &str, &str)>) {
        let report = Report::parse(line);
        let found = report.as_ref().map(|r| (r.name.as_str(), r.word.as_str(), r.comment.as_str()));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn reports_are_read() {
        check("main.ps                                  [ pass ]    838", Some(("ps", "pass", "838")));
        check("main.1st                                 [ pass ]       ", Some(("1st", "pass", "")));
        check(
            "main.create_or_replace2 'row'            [ skipped ]  Requires debug build",
            Some(("create_or_replace2.row", "skipped", "Requires debug build")),
        );
        check("main.innodb_ext_key 'off,covering' [ pass ]  605", Some(("innodb_ext_key.covering,off", "pass", "605")));
        check(
            "main.a 'innodb,on' w1 [ fail ]  timeout after 120 seconds",
            Some(("a.innodb,on' w1", "fail", "timeout after 120 seconds")),
        );
        check("Spent 15.444 of 20 seconds executing testcases", None);
    }
}

//! `portreeve doctor`: what this host has, what it lacks, what is lost without it, and what to do.

mod enforcement;
mod leaving;
mod namespaces;
mod paths;
mod ways_round;

use super::{NO, print_json};
use crate::config::Config;
use clap::Args;
use serde::Serialize;
use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print the findings as a JSON array
    #[arg(long)]
    json: bool,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What is lost as it is; `None` when all is well.
    lost: Option<String>,
    /// What to do about it; `None` when all is well.
    todo: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// Portreeve works, but not with everything, or not against everything.
    Warning,
    /// Portreeve cannot run without it.
    Missing,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Ok, found: found.into(), lost: None, todo: None }
    }

    fn warning(what: &'static str, found: impl Into<String>, lost: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what, state: State::Warning, found: found.into(), lost: Some(lost.into()), todo: Some(todo.into()) }
    }

    fn missing(what: &'static str, found: impl Into<String>, lost: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { state: State::Missing, ..Self::warning(what, found, lost, todo) }
    }
}

pub(super) fn run(args: &DoctorArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let findings = findings(config);
    if args.json {
        print_json(out, &findings)?
    } else {
        print(&findings, out)?
    }
    let lacking = findings.iter().any(|finding| finding.state == State::Missing);
    Ok(if lacking { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn findings(path: &Path) -> Vec<Finding> {
    let mut findings = enforcement::findings();
    match Config::read(path) {
        Ok(config) => {
            findings.push(Finding::ok("configuration", config.path.display().to_string()));
            findings.extend(paths::findings(&config));
            findings.extend(leaving::findings(&config));
            findings.extend(namespaces::findings(&config));
        }
        Err(problems) => findings.push(Finding::missing(
            "configuration",
            problems.to_string(),
            "the daemon does not start, and nothing about its folders and workloads can be said here",
            "correct it until `portreeve check` is content, or name another file with `--config`",
        )),
    }
    findings.extend(ways_round::findings());
    findings
}

fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let word = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Missing => "missing",
        };
        writeln!(out, "{word:<8} {}: {}", finding.what, finding.found)?;
        if let Some(lost) = &finding.lost {
            writeln!(out, "         lost: {lost}")?;
        }
        if let Some(todo) = &finding.todo {
            writeln!(out, "         do:   {todo}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_what_is_lost_and_what_to_do() {
        let findings = [Finding::ok("kernel", "6.18"), Finding::missing("BTF", "not there", "much", "boot another")];
        let mut out = Vec::new();
        print(&findings, &mut out).unwrap();
        let expected = "\
ok       kernel: 6.18
missing  BTF: not there
         lost: much
         do:   boot another
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_configuration_that_is_not_there_is_a_finding_not_an_end() {
        let findings = findings(Path::new("/nonexistent/portreeve.toml"));
        let of = |what| findings.iter().find(|finding| finding.what == what).unwrap();
        assert_eq!(of("configuration").state, State::Missing);
        assert_eq!(of("kernel").what, "kernel");
        assert!(findings.iter().all(|finding| (finding.state == State::Ok) == finding.todo.is_none()), "{findings:?}");
    }
}

//! What `portreeve doctor` says on each kernel, as docs/kernel.md has it: written by this command, and compared with each run.

use super::outcome::Outcome;
use anyhow::{Context as _, Result};
use portreeve_tests::host;
use std::{fmt::Write as _, fs, path::PathBuf};

/// The heading of the section; what follows, up to the next heading of that rank, is ours.
const HEADING: &str = "## What doctor says on each kernel\n";

fn file() -> PathBuf {
    host::repo_root().join("docs/kernel.md")
}

fn read() -> Result<String> {
    fs::read_to_string(file()).context("cannot read docs/kernel.md")
}

/// Adds a problem where the documentation says something else.
///
/// # Errors
/// It cannot be read.
pub(super) fn compare(outcome: &mut Outcome) -> Result<()> {
    let text = read()?;
    let documented = block(section(&text), &outcome.suite.to_string()).map(lasting);
    if documented.as_deref() != Some(lasting(&outcome.doctor).as_str()) {
        outcome.problems.push("doctor says something else than docs/kernel.md: see `--write-docs`".into());
    }
    Ok(())
}

/// Kernels that did not run keep what they have.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn write(outcomes: &[Outcome]) -> Result<()> {
    let text = read()?;
    let mut section = section(&text).to_owned();
    for outcome in outcomes {
        let suite = outcome.suite.to_string();
        let mut fresh = String::new();
        let _ =
            write!(fresh, "### {suite}\nLinux {}:\n\n```text\n{}\n```\n\n", outcome.version, outcome.doctor.trim_end());
        section = match (part(&section, &suite), section.is_empty()) {
            (Some(old), _) => section.replace(old, &fresh),
            (None, _) => section + &fresh,
        };
    }
    let (before, after) = around(&text);
    let text =
        format!("{before}{HEADING}{}{}{after}", section.trim_end(), if after.is_empty() { "\n" } else { "\n\n" });
    fs::write(file(), text).context("cannot write docs/kernel.md")
}

/// What stands before the section, and after it.
fn around(text: &str) -> (&str, &str) {
    let Some((before, rest)) = text.split_once(HEADING) else { return (text, "") };
    (before, rest.find("\n## ").and_then(|at| rest.get(at + 1..)).unwrap_or_default())
}

fn section(text: &str) -> &str {
    let Some((_, rest)) = text.split_once(HEADING) else { return "" };
    rest.find("\n## ").map_or(rest, |at| rest.get(..=at).unwrap_or(rest))
}

/// From a suite's heading to the next.
fn part<'a>(section: &'a str, suite: &str) -> Option<&'a str> {
    let start = section.find(&format!("### {suite}\n"))?;
    let rest = section.get(start..)?;
    Some(rest.get(1..)?.find("\n### ").map_or(rest, |end| rest.get(..end + 2).unwrap_or(rest)))
}

/// What is between the fences of a suite's part.
fn block<'a>(section: &'a str, suite: &str) -> Option<&'a str> {
    part(section, suite)?.split_once("```text\n")?.1.split_once("\n```").map(|(block, _)| block)
}

/// All but the kernel's version, which grows in some suites.
fn lasting(doctor: &str) -> String {
    let lines = doctor.trim_end().lines().filter(|line| !line.contains(" kernel: "));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Kernel\n\n## What doctor says on each kernel\nIntro.\n\n### bookworm\nLinux 6.1:\n\n```text\n\
        ok       kernel: 6.1\nok       BTF: there\n```\n\n### bookworm-backports\nLinux 6.12:\n\n```text\nok       BTF: here\n```\n\n## Next\nMore.\n";

    #[test]
    fn each_kernel_has_its_block() {
        let section = section(TEXT);
        assert_eq!(block(section, "bookworm"), Some("ok       kernel: 6.1\nok       BTF: there"));
        assert_eq!(block(section, "bookworm-backports"), Some("ok       BTF: here"));
        assert_eq!(block(section, "sid"), None);
        assert_eq!(around(TEXT), ("# Kernel\n\n", "## Next\nMore.\n"));
        assert_eq!(lasting("ok       kernel: 6.1\nok       BTF: there\n"), "ok       BTF: there");
    }

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let part = part(section(TEXT), "bookworm").unwrap();
        assert!(part.starts_with("### bookworm\n") && part.ends_with("```\n\n"), "{part:?}");
    }
}

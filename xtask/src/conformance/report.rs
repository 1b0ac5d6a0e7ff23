//! The verdicts of a suite, counted and listed.

use anyhow::{Context as _, Result};
use portreeve_tests::mysqltest::{Class, Verdict};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};

/// One JSON object per line, in the order in which tests were judged; a later one counts.
pub(super) const VERDICTS: &str = "verdicts.jsonl";

/// The latest verdict of each test.
pub(super) struct Report {
    verdicts: BTreeMap<String, Verdict>,
}

impl Report {
    /// What is known so far of these tests.
    pub(super) fn read(folder: &Path, tests: &[String]) -> Result<Self> {
        let tests: BTreeSet<_> = tests.iter().map(String::as_str).collect();
        let mut verdicts = read(folder)?;
        verdicts.retain(|_, verdict| tests.contains(verdict.test()));
        Ok(Self { verdicts })
    }

    pub(super) fn count(&self, class: Class) -> usize {
        self.of(class).count()
    }

    /// Those of the tests that have no verdict.
    pub(super) fn missing<'a>(&self, tests: &'a [String]) -> Vec<&'a str> {
        let judged: BTreeSet<_> = self.verdicts.values().map(Verdict::test).collect();
        tests.iter().map(String::as_str).filter(|test| !judged.contains(test)).collect()
    }

    /// Counts and verdicts.
    pub(super) fn json(&self) -> Result<String> {
        let counts: BTreeMap<_, _> = Class::ALL.iter().map(|class| (class.name(), self.count(*class))).collect();
        let verdicts: Vec<_> = self.verdicts.values().collect();
        serde_json::to_string_pretty(&json!({ "counts": counts, "tests": verdicts })).context("cannot write JSON")
    }

    /// Puts `report.txt` and `report.json` beside the verdicts.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        fs::write(folder.join("report.json"), self.json()?).context("cannot write report.json")?;
        fs::write(folder.join("report.txt"), self.to_string()).context("cannot write report.txt")
    }

    fn of(&self, class: Class) -> impl Iterator<Item = &Verdict> {
        self.verdicts.values().filter(move |verdict| verdict.class == class)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in Class::ALL.iter().filter(|class| !matches!(class, Class::Same)) {
            for verdict in self.of(*class) {
                writeln!(f, "{:<18} {:<40} {}", class.name(), verdict.name, verdict.why)?;
                if !verdict.accounts.is_empty() {
                    writeln!(f, "{:<18} accounts: {}", "", verdict.accounts.join(", "))?;
                }
                for denial in &verdict.denials {
                    writeln!(f, "{:<18} denied: {}: {:?}", "", denial.reason, denial.sql)?;
                }
            }
        }
        let counts: Vec<_> =
            Class::ALL.iter().map(|class| format!("{} {}", self.count(*class), class.name())).collect();
        writeln!(f, "{} tests: {}", self.verdicts.len(), counts.join(", "))
    }
}

fn read(folder: &Path) -> Result<BTreeMap<String, Verdict>> {
    let text = match fs::read_to_string(folder.join(VERDICTS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.context("cannot read the verdicts")?,
    };
    let mut verdicts = BTreeMap::new();
    for line in text.lines() {
        let verdict: Verdict = serde_json::from_str(line).with_context(|| format!("no verdict: `{line}`"))?;
        verdicts.insert(verdict.name.clone(), verdict);
    }
    Ok(verdicts)
}

/// The tests whose verdict is of that class.
pub(super) fn tests_of(folder: &Path, class: &str) -> Result<BTreeSet<String>> {
    let verdicts = read(folder)?;
    Ok(verdicts.values().filter(|verdict| verdict.class.name() == class).map(|verdict| verdict.test().into()).collect())
}

/// Removes the verdicts of these tests.
pub(super) fn forget(folder: &Path, tests: &[String]) -> Result<()> {
    let mut verdicts = read(folder)?;
    verdicts.retain(|_, verdict| !tests.iter().any(|test| test == verdict.test()));
    let mut lines = String::new();
    for verdict in verdicts.values() {
        lines.push_str(&serde_json::to_string(verdict)?);
        lines.push('\n');
    }
    if folder.exists() { fs::write(folder.join(VERDICTS), lines).context("cannot write the verdicts") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, class: Class) -> Verdict {
        Verdict { name: name.into(), class, why: String::new(), accounts: vec![], denials: vec![] }
    }

    #[test]
    fn a_test_is_missing_until_one_of_its_combinations_is_judged() {
        let verdicts = ["a", "b.on"].map(|name| (name.to_owned(), verdict(name, Class::Same)));
        let report = Report { verdicts: verdicts.into() };
        assert_eq!(report.missing(&["a".into(), "b".into(), "c".into()]), ["c"]);
        assert!(report.to_string().starts_with("2 tests: 2 same, 0 differs"), "{report}");
        assert!(report.json().unwrap().contains("\"same\": 2"));
    }
}

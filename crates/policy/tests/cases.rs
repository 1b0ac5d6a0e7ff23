//! Runs `policies/cases/*.toml`: each text must get its verdict from the policies named beside it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use portreeve_policy::{Case, Policies, Source};

fn load(root: &Path, files: &[String]) -> Policies {
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(root.join(file)).unwrap()).collect();
    let sources: Vec<_> = files.iter().zip(&texts).map(|(name, text)| Source { name, text }).collect();
    Policies::load(&sources).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn every_case_gets_its_verdict() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let (mut cases, mut wrong, mut sets) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for entry in std::fs::read_dir(root.join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let read = Case::read_all(&name, &std::fs::read_to_string(&path).unwrap());
        for case in read.unwrap_or_else(|problem| panic!("{problem}")) {
            *cases.entry(name.clone()).or_insert(0) += 1;
            let policies = sets.entry(case.policies.clone()).or_insert_with(|| load(&root, &case.policies));
            wrong.extend(case.check(policies).err().map(|failure| format!("{name}: {failure:#?}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let few: Vec<_> = cases.iter().filter(|(_, count)| **count < 9).collect();
    assert!(cases.len() >= 4 && few.is_empty(), "{cases:?}");
}

#[test]
fn what_is_wrong_in_a_file_of_cases_is_told_with_its_place() {
    let check = |text: &str, line: usize, says: &str| {
        let problem = Case::read_all("a.toml", text).unwrap_err();
        assert_eq!(problem.line, Some(line), "{problem}");
        assert!(problem.to_string().contains(says), "no `{says}` in: {problem}");
    };
    let head = "workload = \"w\"\nserver = \"s\"\n";
    check(&format!("{head}[[case]]\nsql = \"SELECT 1\"\n"), 3, "`expect` is missing");
    check(&format!("{head}[[case]]\nsql = \"SELECT 1\"\nexpect = \"maybe\"\n"), 5, "maybe");
    check(&format!("{head}[[case]]\nsql = \"SELECT 1\"\nexpects = \"deny\"\n"), 5, "expects");
    check("server = \"s\"\n[[case]]\nsql = \"SELECT 1\"\nexpect = \"deny\"\n", 2, "`workload` is missing");
    check(&format!("now = 2026-11-24\n{head}[[case]]\nsql = \"SELECT 1\"\nexpect = \"deny\"\n"), 4, "is no moment");
    check("workload = ", 1, "");
    assert!(Case::read_all("a.toml", "").unwrap().is_empty());
}

#[test]
fn a_case_that_does_not_hold_says_what_was_expected_and_what_was_found() {
    let text =
        "workload = \"w\"\nserver = \"s\"\nschema = \"a\"\n\n[[case]]\nsql = \"SELECT * FROM t\"\nexpect = \"allow\"\n";
    let cases = Case::read_all("a.toml", text).unwrap();
    let failure = cases[0].check(&Policies::load(&[]).unwrap()).unwrap_err();
    assert_eq!((failure.line, failure.sql.as_str()), (6, "SELECT * FROM t"));
    assert_eq!(failure.found.reason.as_deref(), Some("no policy permits `select` on `s/a.t`"));
}

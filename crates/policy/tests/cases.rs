//! Runs `policies/cases/*.toml`: each text must get its verdict from the policies named beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::path::Path;

use portreeve_policy::{Context, Decision, Flavour, Policies, Source, Subject, analyse};
use toml::{Table, Value};

/// A setting of the case, else of the file.
fn setting<'a>(case: &'a Table, file: &'a Table, key: &str) -> Option<&'a Value> {
    case.get(key).or_else(|| file.get(key))
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).unwrap_or_else(|| panic!("a list of strings is missing"));
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn load(root: &Path, files: &[String]) -> Policies {
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(root.join(file)).unwrap()).collect();
    let sources: Vec<_> = files.iter().zip(&texts).map(|(name, text)| Source { name, text }).collect();
    Policies::load(&sources).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What is wrong with the answer to one case, if anything.
fn check(root: &Path, file: &Table, case: &Table) -> Option<String> {
    let text = |key| setting(case, file, key).and_then(Value::as_str);
    let sql = text("sql").unwrap();
    let subject =
        Subject { spiffe_id: text("workload").unwrap().to_owned(), groups: strings(setting(case, file, "groups")) };
    let context = Context {
        default_schema: text("schema"),
        version: 90_704,
        ..Context::new(text("server").unwrap(), Flavour::MySql)
    };
    let policies = load(root, &strings(setting(case, file, "policies")));
    let verdict = policies.judge(&subject, &analyse(sql.as_bytes(), &context), &context);
    let expected = match text("expect").unwrap() {
        "allow" => Decision::Allow,
        "deny" => Decision::Deny,
        other => panic!("`{other}` is neither allow nor deny"),
    };
    let same_reason = text("reason").is_none_or(|reason| reason == verdict.reason);
    let same = verdict.decision == expected && verdict.policies == strings(case.get("ids")) && same_reason;
    (!same).then(|| format!("{sql}\n  {:?} by {:?}: {}", verdict.decision, verdict.policies, verdict.reason))
}

#[test]
fn every_case_gets_its_verdict() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(root.join("cases")).unwrap() {
        let file: Table = std::fs::read_to_string(entry.unwrap().path()).unwrap().parse().unwrap();
        for case in file.get("case").and_then(Value::as_array).unwrap() {
            cases += 1;
            wrong.extend(check(&root, &file, case.as_table().unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 20, "only {cases} cases were found");
}

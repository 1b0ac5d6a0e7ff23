//! What became of a kernel.

use super::{
    TestBinary,
    archive::{Kernel, Suite},
    job,
    machine::Ran,
};
use crate::suite::Counts;
use std::fmt::Write as _;

/// One kernel's row.
#[derive(Debug, serde::Serialize)]
pub(super) struct Outcome {
    pub(super) suite: Suite,
    pub(super) version: String,
    /// Kernel programs that were loaded, attached and pinned.
    pub(super) programs: Vec<String>,
    /// What `portreeve doctor` printed.
    pub(super) doctor: String,
    pub(super) passed: u32,
    /// Test binary and test.
    pub(super) failed: Vec<String>,
    pub(super) seconds: u64,
    /// What is wrong, if anything.
    pub(super) problems: Vec<String>,
}

impl Outcome {
    pub(super) fn of(kernel: &Kernel, ran: &Ran, tests: &[TestBinary]) -> Self {
        let mut problems: Vec<String> = ran.broken.iter().cloned().collect();
        let mut step = |name: &str| {
            let Some(job::Said { lines, ended }) = job::said(&ran.log, name) else {
                problems.push(format!("{name} was not reached"));
                return String::new();
            };
            let status = ended.map(|(status, _)| status);
            if status != Some(0) {
                let end = lines.iter().rev().find(|line| !line.is_empty()).unwrap_or(&"nothing was printed");
                let how = status.map_or("did not end".to_owned(), |status| format!("ended with {status}"));
                problems.push(format!("{name} {how}: {end}"));
            }
            lines.join("\n")
        };
        let (doctor, programs) = (step(job::DOCTOR), step(job::PROGRAMS));
        let tests: Vec<_> = tests.iter().map(|binary| (&binary.name, step(&binary.name))).collect();
        let programs = loaded(&programs);
        if programs.is_empty() {
            problems.push("no program is loaded".into());
        }
        // One test binary, one closing line.
        let counts = tests.iter().filter_map(|(_, said)| said.lines().find_map(Counts::parse));
        let passed = counts.map(|counts| counts.passed).sum();
        if passed == 0 {
            problems.push("no test passed".into());
        }
        let failed_of = |(name, said): &(&String, String)| {
            let failed = said.lines().filter_map(failed_test);
            failed.map(|test| format!("{name} {test}")).collect::<Vec<_>>()
        };
        let failed: Vec<_> = tests.iter().flat_map(failed_of).collect();
        Self {
            suite: kernel.suite,
            version: kernel.version.clone(),
            programs,
            doctor,
            passed,
            failed,
            seconds: ran.took.as_secs(),
            problems,
        }
    }

    /// For a reader who does not see the table.
    pub(super) fn named_problems(&self) -> impl Iterator<Item = String> {
        let tests = self.failed.iter().map(|test| format!("failed: {test}"));
        self.problems.iter().cloned().chain(tests).map(|problem| format!("{}: {problem}", self.suite))
    }
}

/// The key `programs` of `portreeve detach --dry-run --json`, which stands among what else the step printed.
fn loaded(said: &str) -> Vec<String> {
    let json = said.find('{').and_then(|start| {
        let values = serde_json::Deserializer::from_str(said.get(start..)?).into_iter::<serde_json::Value>();
        values.flatten().next()
    });
    let programs = json.as_ref().and_then(|json| json.get("programs")?.as_array());
    programs.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// libtest: `test name ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// A table of fixed width.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text =
        format!("{:<20}{:<26}{:>9}{:>9}{:>9}{:>9}\n", "suite", "Linux", "programs", "passed", "failed", "seconds");
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "{:<20}{:<26}{:>9}{:>9}{:>9}{:>9}{}",
            outcome.suite,
            outcome.version,
            outcome.programs.len(),
            outcome.passed,
            outcome.failed.len(),
            outcome.seconds,
            if outcome.problems.is_empty() { "" } else { "  see above" }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(log: &str, broken: Option<&str>) -> Outcome {
        let kernel = Kernel { suite: Suite::Bookworm, version: "6.1.0-50-amd64".into() };
        let ran = Ran { log: log.into(), took: Duration::from_secs(90), broken: broken.map(str::to_owned) };
        let tests = ["interception", "namespaces"].map(|name| TestBinary { name: name.into(), path: name.into() });
        Outcome::of(&kernel, &ran, &tests)
    }

    const GOOD: &str = "== doctor …\nok       kernel: 6.1\n== doctor ended with 0 after 1 s\n\
        == programs …\nrefused until a daemon serves: 1\n{\"programs\": [\"connect4\", \"packet\"]}\n== programs ended with 0 after 2 s\n\
        == interception …\ntest a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n== interception ended with 0 after 9 s\n\
        == namespaces …\ntest b ... ok\ntest c ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n\
        == namespaces ended with 0 after 9 s\n== done\n";

    #[test]
    fn a_good_kernel_has_no_problem() {
        let outcome = outcome(GOOD, None);
        assert_eq!(outcome.programs, ["connect4", "packet"]);
        assert_eq!((outcome.passed, outcome.named_problems().count()), (3, 0), "{outcome:?}");
        assert!(table(&[outcome]).ends_with("6.1.0-50-amd64                    2        3        0       90\n"));
    }

    #[test]
    fn what_fails_or_is_missing_is_a_problem() {
        let log = GOOD
            .replace("test a ... ok", "test a ... FAILED")
            .replace("interception ended with 0", "interception ended with 101");
        let problems: Vec<_> = outcome(&log, None).named_problems().collect();
        assert!(problems.iter().any(|problem| problem == "bookworm: failed: interception a"), "{problems:?}");
        let rejected = GOOD
            .replace("{\"programs\": [\"connect4\", \"packet\"]}", "the kernel rejected it")
            .replace("programs ended with 0", "programs ended with 1");
        let problems = outcome(&rejected, None).problems;
        assert_eq!(problems, ["programs ended with 1: the kernel rejected it", "no program is loaded"]);
        let problems = outcome("", Some("QEMU ended")).problems;
        assert!(problems.len() == 7 && problems[0] == "QEMU ended", "{problems:?}");
    }
}

//! The same tests twice directly and once through a daemon, and what is to be said of each.

use super::{Denial, Lane, Output, Report, Run, Suite, Through, first_difference, logins, room, run::test_of, through};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// What became of a test.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Through the daemon it gave what it gave twice directly.
    Same,
    /// It gave something else.
    Differs,
    /// It gave something else among other tests, and the same when it was run alone.
    SameAlone,
    /// It gave something else because the daemon's connection to the server was not encrypted, which a client may ask the
    /// server about; with TLS on that leg it gave the same.
    WithTls,
    /// It gave something else, and logs in as another account than the held one: the daemon logs in as the held one whatever
    /// the client says, so the difference is what Portreeve is for. With its logins rewritten to the held account, it gives
    /// the same.
    OtherAccounts,
    /// It gave something else for a reason that stands in `by-design.list`.
    ByDesign,
    /// Two direct runs differ, also when it is run alone, or one took too long: nothing to compare with.
    NotDeterministic,
    /// It found directly, and through the daemon as well, that it cannot run on such a server.
    Skipped,
    /// The runner left it out: it wants another build, another system or another user.
    LeftOut,
}

/// One test, or one combination of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verdict {
    /// `alias`, `innodb_ext_key.off`
    pub name: String,
    /// What became of it.
    pub class: Class,
    /// Where it differs, or why it was left out.
    pub why: String,
    /// Other accounts that it names at login.
    pub accounts: Vec<String>,
    /// What did not reach the server; empty unless the test differs.
    pub denials: Vec<Denial>,
}

impl Verdict {
    /// The test without its combination.
    pub fn test(&self) -> &str {
        test_of(&self.name)
    }
}

/// Tests of one suite with one set of options, and where their outputs are kept.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// For the runner.
    pub options: &'a [String],
    /// Gets `direct-1`, `direct-2`, `through`, and the same with `alone-` in front.
    pub folder: PathBuf,
    /// Direct runs of an earlier trial will do, where there are some.
    pub keep_direct: bool,
}

/// Why a test is not compared that was killed when it was run directly.
const TOO_LONG: &str = "it takes too long directly";

/// How tests are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Manner {
    /// Every login is one of the held account.
    as_root: bool,
    /// The daemon's connections to the server are encrypted.
    tls: bool,
}

/// What one lane gave.
#[derive(Debug, Default)]
struct Given {
    outputs: BTreeMap<String, Output>,
    reports: Vec<Report>,
}

impl Class {
    /// All, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::Same,
        Self::Differs,
        Self::SameAlone,
        Self::WithTls,
        Self::OtherAccounts,
        Self::ByDesign,
        Self::NotDeterministic,
        Self::Skipped,
        Self::LeftOut,
    ];

    /// As it is written in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::SameAlone => "same-alone",
            Self::WithTls => "with-tls",
            Self::OtherAccounts => "other-accounts",
            Self::ByDesign => "by-design",
            Self::NotDeterministic => "not-deterministic",
            Self::Skipped => "skipped",
            Self::LeftOut => "left-out",
        }
    }
}

impl Trial<'_> {
    /// Runs the tests; those that differ are run once more, each alone, before they are judged. `said` gets lines of
    /// progress.
    pub fn judge(&self, tests: &[String], said: &mut dyn FnMut(&str)) -> Result<Vec<Verdict>> {
        let mut one = self.direct("direct-1", tests, Manner::default(), said)?;
        // A test that takes too long would take as long twice more.
        let timed_out = |(name, output): (&String, &Output)| {
            output.timed_out().then(|| verdict(name, Class::NotDeterministic, TOO_LONG.into()))
        };
        let late: Vec<_> = one.outputs.iter().filter_map(timed_out).collect();
        let is_late = |test: &str| late.iter().any(|verdict| verdict.test() == test);
        let left: Vec<_> = tests.iter().filter(|test| !is_late(test)).cloned().collect();
        one.outputs.retain(|name, _| !is_late(test_of(name)));
        one.reports.retain(|report| !is_late(report.test()));
        let other = self.direct("direct-2", &left, Manner::default(), said)?;
        let mut verdicts = self.judge_against([&one, &other], &left, said)?;
        verdicts.extend(late);
        Ok(verdicts)
    }

    /// The same for tests that are known to be deterministic: one direct run will do, unless one differs.
    pub fn judge_quickly(&self, tests: &[String], said: &mut dyn FnMut(&str)) -> Result<Vec<Verdict>> {
        let direct = self.direct("direct-1", tests, Manner::default(), said)?;
        self.judge_against([&direct, &direct], tests, said)
    }

    fn judge_against(&self, direct: [&Given; 2], tests: &[String], said: &mut dyn FnMut(&str)) -> Result<Vec<Verdict>> {
        let [one, other] = direct;
        let (passed, _) = self.through("through", tests, Manner::default(), said)?;
        let mut verdicts = Vec::new();
        let mut differing = BTreeSet::new();
        let mut wavering = BTreeSet::new();
        for name in names([one, other, &passed]) {
            let verdict = compare(&name, [one, other], &passed);
            match verdict.class {
                Class::Differs => drop(differing.insert(verdict.test().to_owned())),
                // What a test before it left behind may be to blame.
                Class::NotDeterministic if verdict.why != TOO_LONG => drop(wavering.insert(verdict.test().to_owned())),
                Class::Same
                | Class::SameAlone
                | Class::WithTls
                | Class::OtherAccounts
                | Class::ByDesign
                | Class::NotDeterministic
                | Class::Skipped
                | Class::LeftOut => {}
            }
            verdicts.push(verdict);
        }
        verdicts.retain(|verdict| !differing.contains(verdict.test()) && !wavering.contains(verdict.test()));
        for test in differing.union(&wavering) {
            let mut alone = self.judge_alone(test, said)?;
            for verdict in alone.iter_mut().filter(|verdict| verdict.class == Class::Same && differing.contains(test)) {
                verdict.class = Class::SameAlone;
            }
            verdicts.extend(alone);
        }
        Ok(verdicts)
    }

    fn judge_alone(&self, test: &str, said: &mut dyn FnMut(&str)) -> Result<Vec<Verdict>> {
        let (mut verdicts, records) = self.alone(test, Manner::default(), said)?;
        let text = self.suite.text(test)?;
        let mut accounts = through::other_accounts(&records);
        accounts.extend(logins::in_text(&text));
        let denials = through::denials(&records);
        for verdict in &mut verdicts {
            verdict.accounts = accounts.iter().cloned().collect();
            verdict.denials = denials.iter().cloned().collect();
        }
        let ssl = ["ssl", "secure_transport"].iter().any(|word| text.to_ascii_lowercase().contains(word));
        for manner in Manner::others(!accounts.is_empty(), ssl) {
            if verdicts.iter().all(|verdict| verdict.class != Class::Differs) {
                break;
            }
            let (otherwise, _) = self.alone(test, manner, said)?;
            for verdict in &mut verdicts {
                reconsider(verdict, manner, otherwise.iter().find(|other| other.name == verdict.name));
            }
        }
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.class == Class::Differs) {
            if let Some(reason) = by_design(test) {
                verdict.class = Class::ByDesign;
                verdict.why = format!("{reason} ({})", verdict.why);
            }
        }
        Ok(verdicts)
    }

    /// One test by itself: twice directly, once through.
    fn alone(&self, test: &str, manner: Manner, said: &mut dyn FnMut(&str)) -> Result<(Vec<Verdict>, Vec<Value>)> {
        let tests = [test.to_owned()];
        // The connections to the server are the daemon's affair.
        let kind = Manner { tls: false, ..manner }.name();
        let mut one = self.direct(&format!("{kind}-direct-1"), &tests, manner, said)?;
        let mut other = self.direct(&format!("{kind}-direct-2"), &tests, manner, said)?;
        let (mut passed, records) = self.through(&format!("{}-through", manner.name()), &tests, manner, said)?;
        if !manner.as_root {
            return Ok((compare_all([&one, &other], &passed), records));
        }
        for given in [&mut one, &mut other, &mut passed] {
            given.rewrite(Output::with_refusals_alike);
        }
        let verdicts = compare_all([&one, &other], &passed);
        let times_differ = verdicts.iter().any(|verdict| verdict.class == Class::NotDeterministic);
        if times_differ {
            // As root some tests read when something was made: it is enough that nothing else differs.
            for given in [&mut one, &mut other, &mut passed] {
                given.rewrite(Output::without_times);
            }
        }
        let verdicts = compare_all([&one, &other], &passed);
        if verdicts.iter().all(|verdict| verdict.class != Class::Differs) {
            return Ok((verdicts, records));
        }
        // Nobody wrote these tests to be run as root, so that two equal runs may be luck.
        other = self.direct(&format!("{kind}-direct-3"), &tests, manner, said)?;
        other.rewrite(Output::with_refusals_alike);
        if times_differ {
            other.rewrite(Output::without_times);
        }
        Ok((compare_all([&one, &other], &passed), records))
    }

    /// A direct run, or what is kept of one.
    fn direct(&self, run: &str, tests: &[String], manner: Manner, said: &mut dyn FnMut(&str)) -> Result<Given> {
        let mut given = Given::default();
        let mut wanted = Vec::new();
        for test in tests {
            match self.kept(run, test)? {
                Some(reports) if self.keep_direct => {
                    for report in &reports {
                        let folder = self.folder.join(run).join(&report.name);
                        if folder.exists() {
                            given.outputs.insert(report.name.clone(), Output::read(&folder)?);
                        }
                    }
                    given.reports.extend(reports);
                }
                _ => wanted.push(test.clone()),
            }
        }
        if wanted.is_empty() {
            return Ok(given);
        }
        room::trust(None)?;
        let new = self.run(run, Lane::Direct, &wanted, manner, said)?;
        for test in &wanted {
            let reports: Vec<_> = new.reports.iter().filter(|report| report.test() == test).collect();
            fs::create_dir_all(self.reports(run)).context("cannot create a folder of reports")?;
            fs::write(self.reports(run).join(test), serde_json::to_string(&reports)?).context("cannot keep reports")?;
        }
        given.outputs.extend(new.outputs);
        given.reports.extend(new.reports);
        Ok(given)
    }

    fn kept(&self, run: &str, test: &str) -> Result<Option<Vec<Report>>> {
        match fs::read(self.reports(run).join(test)) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("cannot read a kept report").map(Some),
            Err(_) => Ok(None),
        }
    }

    fn reports(&self, run: &str) -> PathBuf {
        self.folder.join("reports").join(run)
    }

    /// A run through a new daemon, and its records if it was of a single test.
    fn through(
        &self,
        run: &str,
        tests: &[String],
        manner: Manner,
        said: &mut dyn FnMut(&str),
    ) -> Result<(Given, Vec<Value>)> {
        let through = Through::start(manner.tls)?;
        room::trust(Some(&through.authority()))?;
        let given = self.run(run, Lane::Through(through.cgroup()), tests, manner, said)?;
        let sessions = through.sessions()?;
        let connected = given.outputs.values().filter(|output| !output.timed_out()).count();
        ensure!(
            sessions >= connected,
            "{connected} tests ran and {sessions} sessions were recorded: their connections went another way"
        );
        let records = if tests.len() == 1 { through.records()? } else { vec![] };
        Ok((given, records))
    }

    fn run(
        &self,
        name: &str,
        lane: Lane,
        tests: &[String],
        manner: Manner,
        said: &mut dyn FnMut(&str),
    ) -> Result<Given> {
        let out = self.folder.join(name);
        let run = Run { suite: self.suite, tests, options: self.options, lane, out, as_root: manner.as_root };
        let (outputs, reports) =
            run.run(|report| said(&format!("{name} {}: {} {}", report.name, report.word, report.comment)))?;
        Ok(Given { outputs, reports })
    }
}

impl Given {
    fn rewrite(&mut self, with: impl Fn(Output) -> Output) {
        let outputs = std::mem::take(&mut self.outputs);
        self.outputs = outputs.into_iter().map(|(name, output)| (name, with(output))).collect();
    }
}

impl Manner {
    /// How else a test that differs is run, the lesser change first.
    fn others(accounts: bool, ssl: bool) -> impl Iterator<Item = Self> {
        let all = [
            (ssl, Self { as_root: false, tls: true }),
            (accounts, Self { as_root: true, tls: false }),
            (accounts && ssl, Self { as_root: true, tls: true }),
        ];
        all.into_iter().filter_map(|(fits, manner)| fits.then_some(manner))
    }

    /// The beginning of the names of its folders.
    fn name(self) -> &'static str {
        match (self.as_root, self.tls) {
            (false, false) => "alone",
            (false, true) => "tls",
            (true, false) => "as-root",
            (true, true) => "tls-as-root",
        }
    }
}

/// A test that differs as it is, seen in the light of what it gave otherwise.
fn reconsider(verdict: &mut Verdict, manner: Manner, otherwise: Option<&Verdict>) {
    let Some(otherwise) = otherwise.filter(|_| verdict.class == Class::Differs) else { return };
    match otherwise.class {
        Class::Differs => verdict.why = format!("{}; {}: {}", verdict.why, manner.name(), otherwise.why),
        Class::NotDeterministic => {
            let why = format!("{}; {}: direct runs differ: {}", verdict.why, manner.name(), otherwise.why);
            verdict.why = why;
            if manner.as_root {
                verdict.class = Class::OtherAccounts;
            }
        }
        // What did not run otherwise says nothing of how it is.
        Class::Skipped | Class::LeftOut => {
            verdict.why = format!("{}; {}: {}: {}", verdict.why, manner.name(), otherwise.class.name(), otherwise.why);
        }
        Class::Same | Class::SameAlone | Class::WithTls | Class::OtherAccounts | Class::ByDesign => {
            verdict.class = if manner.as_root { Class::OtherAccounts } else { Class::WithTls };
        }
    }
}

/// Why a test of `main` must differ; none when it must not.
fn by_design(test: &str) -> Option<&'static str> {
    let lines = include_str!("by-design.list").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).find_map(|(name, reason)| (name == test).then_some(reason))
}

fn compare_all(direct: [&Given; 2], through: &Given) -> Vec<Verdict> {
    let [one, other] = direct;
    names([one, other, through]).iter().map(|name| compare(name, direct, through)).collect()
}

fn names(given: [&Given; 3]) -> BTreeSet<String> {
    let reported = given.iter().flat_map(|given| given.reports.iter().map(|report| report.name.clone()));
    reported.chain(given.iter().flat_map(|given| given.outputs.keys().cloned())).collect()
}

/// Left out, unless the runner says that it was run.
fn without_outputs(name: &str, given: [&Given; 3]) -> Verdict {
    let reports = given.iter().flat_map(|given| given.reports.iter().filter(|report| report.name == name));
    let run = reports.clone().find(|report| !report.was_not_run());
    let why = run.or(reports.last()).map_or_else(String::new, |report| format!("{}: {}", report.word, report.comment));
    match run {
        Some(_) => verdict(name, Class::Differs, format!("it was run, and left nothing to compare: {why}")),
        None => verdict(name, Class::LeftOut, why),
    }
}

fn verdict(name: &str, class: Class, why: String) -> Verdict {
    Verdict { name: name.into(), class, why, accounts: vec![], denials: vec![] }
}

fn compare(name: &str, direct: [&Given; 2], through: &Given) -> Verdict {
    let verdict = |class, why| verdict(name, class, why);
    let [one, other] = direct.map(|given| given.outputs.get(name));
    let passed = through.outputs.get(name);
    let (one, other, passed) = match (one, other, passed) {
        (None, None, None) => return without_outputs(name, [direct[0], direct[1], through]),
        (Some(one), Some(other), Some(passed)) => (one, other, passed),
        (Some(_), Some(_), None) => return verdict(Class::Differs, "it was not run through the daemon".into()),
        _ => return verdict(Class::NotDeterministic, "it was not run in every direct run".into()),
    };
    if one.timed_out() || other.timed_out() {
        return verdict(Class::NotDeterministic, TOO_LONG.into());
    }
    if let Some(difference) = first_difference(one, other) {
        return verdict(Class::NotDeterministic, difference);
    }
    match first_difference(one, passed) {
        Some(difference) => verdict(Class::Differs, difference),
        None if one.skipped_itself() => verdict(Class::Skipped, reason(one)),
        None => verdict(Class::Same, String::new()),
    }
}

/// Why a test skipped itself: `reason: …` in its output, else what it printed last.
fn reason(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.complaints).into_owned() + &String::from_utf8_lossy(&output.text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    text.lines().find_map(|line| line.strip_prefix("reason: ")).or(last).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, word: &str) -> Given {
        let report = Report { name: name.into(), word: word.into(), comment: "7".into() };
        Given { outputs: BTreeMap::new(), reports: vec![report] }
    }

    #[test]
    fn what_left_no_output_is_left_out_only_when_the_runner_left_it_out() {
        let class = |words: [&str; 3]| {
            let [one, other, through] = words.map(|word| lane("a.on", word));
            compare("a.on", [&one, &other], &through).class
        };
        assert_eq!(class(["skipped"; 3]), Class::LeftOut);
        assert_eq!(class(["disabled"; 3]), Class::LeftOut);
        assert_eq!(class(["pass"; 3]), Class::Differs);
        assert_eq!(class(["skipped", "skipped", "fail"]), Class::Differs);
    }

    #[test]
    fn a_repeat_that_did_not_run_leaves_a_test_differing() {
        let after = |class| {
            let mut first = verdict("a", Class::Differs, "line 1".into());
            reconsider(&mut first, Manner { as_root: true, tls: false }, Some(&verdict("a", class, String::new())));
            first.class
        };
        assert_eq!(after(Class::Skipped), Class::Differs);
        assert_eq!(after(Class::LeftOut), Class::Differs);
        assert_eq!(after(Class::Same), Class::OtherAccounts);
    }
}

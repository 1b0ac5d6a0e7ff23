//! Every trick of a family: through Portreeve as text, prepared and among other statements, then directly.

use crate::{
    case::{Case, Effect, PIN, SECRET},
    stage::{MULTI_STATEMENTS, Stage},
    talk::Talk,
};
use anyhow::{Result, bail, ensure};
use portreeve_tests::{
    servers::Flavour,
    wire::{CAPABILITIES, Hello},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, time::Instant};

/// How the statements of a trick are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Each as a text, by a client that cannot send several.
    Text,
    /// Each prepared and executed.
    Prepared,
    /// All in one text, behind a harmless one.
    Joined,
}

const WAYS: [Way; 3] = [Way::Text, Way::Prepared, Way::Joined];

/// Panics with everything that was wrong.
pub(crate) fn check(flavour: Flavour, cases: &[Case]) {
    let stage = Stage::new(flavour).unwrap();
    let (mut wrong, mut failed) = (Vec::new(), BTreeSet::new());
    let cases: Vec<_> = cases.iter().filter(|case| case.on.is_none_or(|on| on == flavour)).collect();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two tricks have one name");
    for case in &cases {
        if let Err(error) = attempt(&stage, case) {
            wrong.push(format!("{} ({}): {error:#}", case.name, case.id));
            failed.insert(case.name);
            stage.reset().unwrap();
        }
    }
    let records = stage.scene.gateway.records(&[]).unwrap();
    // Before a panic: the daemon's log would hide what matters.
    drop(stage);
    for case in cases.iter().filter(|case| case.denied && !failed.contains(case.name)) {
        for way in WAYS {
            if let Err(error) = explained(&records, case, way) {
                wrong.push(format!("{} ({}), {way:?}: {error:#}", case.name, case.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{} problems with {} tricks:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn attempt(stage: &Stage, case: &Case) -> Result<()> {
    let mut session = None;
    for way in WAYS {
        // What is joined needs a client that can send several statements.
        let kept = session.take().filter(|_| way != Way::Joined);
        let Some(mut agent) = kept.or_else(|| stage.agent(&hello(case, way)).ok()) else {
            // Being let in not at all is as good as a denial.
            continue;
        };
        if let Some(happened) = through(stage, &mut agent, case, way)? {
            bail!("it works, {way:?}: {happened}");
        }
        session = Some(agent);
    }
    drop(session);
    if case.direct { directly(stage, case) } else { Ok(()) }
}

/// It works at the server itself.
fn directly(stage: &Stage, case: &Case) -> Result<()> {
    let mut session = stage.direct(&hello(case, Way::Text))?;
    let happened = match (&case.effect, case.changes_rows_only()) {
        (Effect::Changes(query), true) => {
            // Undone with the session: making both schemas anew takes longer than all the rest.
            session.query(b"BEGIN")?;
            let seen = session.look(query)?;
            play(stage, &mut session, case, Way::Text)?;
            (session.look(query)? != seen).then(String::new)
        }
        _ => {
            if case.changes_rows_only() {
                session.query(b"BEGIN")?;
            }
            let seen = stage.look_before(case)?;
            let elapsed = play(stage, &mut session, case, Way::Text)?;
            happened(stage, &session, case, &seen, elapsed)?
        }
    };
    let said = session.error.clone();
    drop(session);
    stage.tidy(case)?;
    ensure!(happened.is_some(), "it does not work directly, and shows nothing: {said:?}");
    Ok(())
}

/// What happened, if the effect did.
fn through(stage: &Stage, agent: &mut Talk, case: &Case, way: Way) -> Result<Option<String>> {
    let seen = stage.look_before(case)?;
    agent.query(mark(case, way).as_bytes())?;
    let elapsed = play(stage, agent, case, way)?;
    happened(stage, agent, case, &seen, elapsed)
}

fn hello(case: &Case, way: Way) -> Hello<'static> {
    let capabilities = if way == Way::Joined { CAPABILITIES } else { CAPABILITIES & !MULTI_STATEMENTS };
    Hello { schema: "shop", capabilities, collation: case.collation, ..Hello::default() }
}

/// The statement behind which a way begins in the recording.
fn mark(case: &Case, way: Way) -> String {
    format!("SELECT '{} {way:?}'", case.name)
}

/// Milliseconds that it took.
fn play(stage: &Stage, session: &mut Talk, case: &Case, way: Way) -> Result<u128> {
    let statements: Vec<_> = case.statements.iter().map(|text| stage.filled(text)).collect();
    let start = Instant::now();
    match way {
        Way::Joined => {
            let joined = [&[b"SELECT 1".to_vec()], statements.as_slice()].concat().join(&b";\n"[..]);
            session.query(&joined)?;
        }
        Way::Text => statements.iter().try_for_each(|text| session.query(text))?,
        Way::Prepared => statements.iter().try_for_each(|text| session.prepared(text))?,
    }
    Ok(start.elapsed().as_millis())
}

fn happened(stage: &Stage, session: &Talk, case: &Case, seen: &str, elapsed: u128) -> Result<Option<String>> {
    Ok(match case.effect {
        Effect::Leaks => {
            [SECRET, PIN].iter().flat_map(|secret| forms(secret)).find(|form| holds(&session.bytes, form)).map(shown)
        }
        Effect::Shows(text) => {
            let text = stage.filled(text.as_bytes());
            holds(&session.bytes, &text).then(|| shown(text))
        }
        Effect::Changes(query) => {
            let now = stage.look(query)?;
            (now != seen).then(|| format!("`{query}` gave {seen:?}, and now {now:?}"))
        }
        Effect::Runs => session.error.is_none().then(|| "it ran".to_owned()),
        Effect::Waits(ms) => (session.error.is_none() && elapsed >= ms).then(|| format!("{elapsed} ms")),
        Effect::File(file) => stage.dir().join(file).exists().then(|| format!("there is a file `{file}`")),
    })
}

/// A secret as it may be disguised.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    let wide: Vec<u8> = secret.bytes().flat_map(|byte| [0, byte]).collect();
    vec![
        secret.as_bytes().to_vec(),
        secret.to_uppercase().into_bytes(),
        hex.to_lowercase().into_bytes(),
        hex.into_bytes(),
        wide,
        secret.chars().rev().collect::<String>().into_bytes(),
        base64(secret.as_bytes()).into_bytes(),
    ]
}

/// Of the whole groups of three bytes; what follows them depends on what follows the secret.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    groups.collect()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn shown(bytes: Vec<u8>) -> String {
    format!("the agent read `{}`", String::from_utf8_lossy(&bytes))
}

/// Between a way's mark and the next, a denial is recorded, with a reason that names what is not permitted.
fn explained(records: &[Value], case: &Case, way: Way) -> Result<()> {
    let text = |record: &Value| record.pointer("/sql/text").and_then(Value::as_str).map(str::to_owned);
    let number = |record: &Value| record["number"].as_u64().unwrap_or_default();
    let marked = records.iter().find(|record| text(record) == Some(mark(case, way)));
    let Some(marked) = marked else {
        // Not let in: the login says why.
        let refused = records.iter().any(|record| record["record"] == "login" && record["accepted"] == false);
        ensure!(refused, "no session of it was recorded");
        return Ok(());
    };
    let of_session = || records.iter().filter(|record| record["session"] == marked["session"]);
    let marks = of_session().filter(|record| WAYS.iter().any(|way| text(record) == Some(mark(case, *way))));
    let end = marks.map(number).filter(|&other| other > number(marked)).min().unwrap_or(u64::MAX);
    let denied = of_session().filter(|record| record["record"] == "verdict" && record["decision"] == "deny");
    let denied = denied.filter(|verdict| (number(marked)..end).contains(&number(verdict)));
    let reasons: Vec<_> = denied.map(|verdict| verdict["reason"].to_string()).collect();
    ensure!(!reasons.is_empty(), "nothing was denied");
    let told = reasons.iter().any(|reason| reason.contains("`unparsed`") || reason.contains(case.why));
    ensure!(told, "no reason names `{}`: {reasons:?}", case.why);
    Ok(())
}

impl Stage {
    /// What the effect is compared with.
    fn look_before(&self, case: &Case) -> Result<String> {
        match case.effect {
            Effect::Changes(query) => self.look(query),
            Effect::Leaks | Effect::Shows(_) | Effect::Runs | Effect::Waits(_) | Effect::File(_) => Ok(String::new()),
        }
    }

    /// Undoes what a trick that worked has done.
    fn tidy(&self, case: &Case) -> Result<()> {
        if let Effect::File(file) = case.effect {
            fs::remove_file(self.dir().join(file))?;
        }
        if !case.undo.is_empty() {
            self.look(case.undo)?;
        }
        if case.leaves_something() { self.reset() } else { Ok(()) }
    }
}

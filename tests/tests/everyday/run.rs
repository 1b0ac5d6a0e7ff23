//! A program directly, then through Portreeve; what was denied there, and why.

use anyhow::Result;
use portreeve_tests::{
    client::{self, Answer, Login},
    host,
    scene::{REPORTING_PASSWORD, Scene, shared, shop_with},
    servers::{Flavour, Server},
};
use serde_json::Value;
use std::{collections::BTreeMap, process::Command, time::Duration};

/// For one run; generous, as two run at a time on two cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// As an installed server has them: Django asks for dates in its own zone, here without daylight saving.
const ZONES: &str = "
    INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (1, 'N'), (2, 'N');
    INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('UTC', 1), ('America/Chicago', 2);
    INSERT INTO mysql.time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation)
      VALUES (1, 0, 0, 0, 'UTC'), (2, 0, -21600, 0, 'CST')";

const UNREAD: &str = r#"@id("what-was-not-read") permit (principal, action == Action::"unparsed", resource);"#;

/// Starts the server that the programs share.
fn start(flavour: Flavour) -> Result<Server> {
    let arguments = [
        "--local-infile=ON",
        "--log-bin-trust-function-creators=ON",
        // Nobody reads these data after a crash.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
    ]
    .map(str::to_owned);
    let server = shop_with(flavour, host::free_address()?, &arguments)?;
    server.sql(ZONES)?;
    // The first login over TLS fills MySQL's cache of passwords: not every client can fill it without.
    let login =
        Login { user: "shop_reporting".into(), password: REPORTING_PASSWORD.into(), ..Login::agent(server.address()) };
    client::mysql(None, &login, "SELECT 1")?;
    Ok(server)
}

/// A server, a daemon with the policy, and a schema of the name in which the program works.
pub(crate) struct Work {
    pub(crate) scene: Scene,
    schema: String,
    policy: String,
}

impl Work {
    /// `SCHEMA` in the policy stands for the schema.
    pub(crate) fn new(flavour: Flavour, schema: &str, policy: &str) -> Self {
        let policy = policy.replace("SCHEMA", schema);
        let scene = Scene::with(shared(flavour, || start(flavour)).unwrap(), &policy, |_| ()).unwrap();
        Self { scene, schema: schema.to_owned(), policy }
    }

    /// Makes the schema anew.
    pub(crate) fn fresh(&self, tables: &str) {
        let schema = &self.schema;
        let make =
            format!("DROP DATABASE IF EXISTS {schema}; CREATE DATABASE {schema} CHARACTER SET utf8mb4; USE {schema};");
        self.scene.server.sql(&format!("{make}\n{tables}")).unwrap();
    }

    /// With the account that Portreeve holds.
    pub(crate) fn direct_login(&self) -> Login {
        let account =
            Login { user: "shop_reporting".into(), password: REPORTING_PASSWORD.into(), ..self.scene.login() };
        account.schema(&self.schema)
    }

    pub(crate) fn login(&self) -> Login {
        self.scene.login().schema(&self.schema)
    }

    /// Runs the program, with host, user, password and schema behind what it has, both ways.
    pub(crate) fn both_ways(&self, tables: &str, program: impl Fn() -> Result<Command>, arguments: &[String]) {
        self.fresh(tables);
        let direct = client::run_script(None, program().unwrap(), &self.direct_login(), arguments, PATIENCE).unwrap();
        assert!(direct.ok(), "directly: {}", shown(&direct));
        self.through(tables, program, arguments);
    }

    /// [`Work::both_ways`] of a program that other tests run directly.
    pub(crate) fn through(&self, tables: &str, program: impl Fn() -> Result<Command>, arguments: &[String]) {
        self.fresh(tables);
        let through = self.run(&self.scene, program().unwrap(), arguments);
        let unread = if through.ok() { String::new() } else { self.unread(tables, program().unwrap(), arguments) };
        let checked = self.verdict(&[&through]);
        assert!(checked.is_ok(), "{}\nNot read in all of it:\n{unread}", checked.unwrap_err());
    }

    fn run(&self, scene: &Scene, program: Command, arguments: &[String]) -> Answer {
        client::run_script(Some(&scene.reporting), program, &self.login(), arguments, PATIENCE).unwrap()
    }

    /// A program ends at the first denial: what else was not read shows when that is permitted.
    fn unread(&self, tables: &str, program: Command, arguments: &[String]) -> String {
        let policy = format!("{}\n{UNREAD}", self.policy);
        let scene = Scene::with(self.scene.server.clone(), &policy, |_| ()).unwrap();
        self.fresh(tables);
        let answer = self.run(&scene, program, arguments);
        let records = scene.gateway.records(&[]).unwrap();
        let unread = texts(&records, |verdict| verdict["policies"].to_string().contains("what-was-not-read"));
        let ended = if answer.ok() { String::new() } else { format!("and still: {}", shown(&answer)) };
        format!("{}\n{ended}", told(&unread))
    }

    /// Nothing was denied, and the programs ended well.
    pub(crate) fn check(&self, answers: &[&Answer]) {
        let checked = self.verdict(answers);
        assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }

    fn verdict(&self, answers: &[&Answer]) -> std::result::Result<(), String> {
        let records = self.scene.gateway.records(&[]).unwrap();
        let judged = records.iter().filter(|record| record["record"] == "verdict").count();
        let denied = texts(&records, |verdict| verdict["decision"] == "deny");
        let failed: Vec<_> = answers.iter().filter(|answer| !answer.ok()).map(|answer| shown(answer)).collect();
        self.scene.server.sql(&format!("DROP DATABASE IF EXISTS {}", self.schema)).unwrap();
        if denied.is_empty() && failed.is_empty() && judged > 0 {
            return Ok(());
        }
        let count: usize = denied.values().sum();
        Err(format!("denied {count} of {judged} verdicts:\n{}\n{}", told(&denied), failed.join("\n")))
    }
}

fn told(texts: &BTreeMap<String, usize>) -> String {
    texts.iter().map(|(what, times)| format!("{times} x {what}\n")).collect()
}

/// Reason and text of each verdict of the kind, and how often.
fn texts(records: &[Value], kind: impl Fn(&Value) -> bool) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    for verdict in records.iter().filter(|record| record["record"] == "verdict" && kind(record)) {
        let of_verdict = |record: &&Value| {
            record["record"] == "statement"
                && record["session"] == verdict["session"]
                && record["number"] == verdict["number"]
        };
        let text = records.iter().find(of_verdict).map_or(&Value::Null, |statement| &statement["sql"]["text"]);
        let text: String = text.as_str().unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(300).collect();
        *texts.entry(format!("{}: {text}", verdict["reason"].as_str().unwrap_or("?"))).or_insert(0) += 1;
    }
    texts
}

/// How it ended and the last that it said.
pub(crate) fn shown(answer: &Answer) -> String {
    let last = |text: &str, count: usize| {
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    };
    format!("{}: {}\n{}\n{}", answer.command, answer.status, last(&answer.stdout, 3), last(&answer.stderr, 12))
}

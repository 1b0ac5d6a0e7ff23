//! One step: a client asks, something comes back, something is recorded, and all three are checked.

use super::stage::Stage;
use anyhow::{Result, bail};
use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    limits::POLL_EVERY,
    process,
};
use serde_json::Value;
use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

/// A session's last record is written when the daemon sees the connection close, a moment after the client ended.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Step<'a> {
    /// Empty when it was printed before.
    pub(super) title: &'a str,
    /// None: outside every tagged cgroup.
    pub(super) cgroup: Option<&'a Cgroup>,
    pub(super) host: Ipv4Addr,
    pub(super) sql: &'a str,
    pub(super) expected: Expected<'a>,
    /// Parts that the new records must have, as compact JSON; none means that nothing may be recorded.
    pub(super) recorded: &'a [&'a str],
}

pub(super) enum Expected<'a> {
    /// Exit 0, and these in what is printed.
    Answer(&'a [&'a str]),
    /// Another exit, and these in the error.
    Refused(&'a [&'a str]),
}

impl Step<'_> {
    /// Asks, then shows and checks what was recorded.
    pub(super) fn run(&self, stage: &Stage) -> Result<()> {
        if !self.title.is_empty() {
            println!("\n── {}", self.title);
        }
        let before = stage.gateway.records(&[])?.len();
        self.ask()?;
        let records = self.new_records(stage, before)?;
        self.check_records(&records)?;
        let session = records.first().and_then(|record| record.get("session")?.as_str());
        let Some(session) = session else {
            println!("recorded: nothing");
            return Ok(());
        };
        println!("recorded:");
        for line in stage.portreeve(&["tail", session, "--lines", "0"])?.lines() {
            println!("  {line}");
        }
        Ok(())
    }

    /// Runs the client, shows and checks what came back.
    pub(super) fn ask(&self) -> Result<()> {
        let place = self.cgroup.map_or("outside".into(), |cgroup| format!("in {}", cgroup.relative().display()));
        let answer = client::mariadb(self.cgroup, &Login::agent(self.host), self.sql)?;
        println!("{place}$ {}", answer.command);
        print!("{}{}", answer.stdout, answer.stderr);
        self.check_answer(&answer)
    }

    fn check_answer(&self, answer: &Answer) -> Result<()> {
        let (success, text, parts) = match self.expected {
            Expected::Answer(parts) => (true, &answer.stdout, parts),
            Expected::Refused(parts) => (false, &answer.stderr, parts),
        };
        if answer.ok() != success {
            bail!(
                "the client should have {}, it ended with {}",
                if success { "succeeded" } else { "failed" },
                answer.status
            );
        }
        match parts.iter().find(|part| !text.contains(**part)) {
            Some(part) => bail!("`{part}` is missing in what the client printed"),
            None => Ok(()),
        }
    }

    fn new_records(&self, stage: &Stage, before: usize) -> Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let mut records = stage.gateway.records(&[])?;
            let new = records.split_off(before.min(records.len()));
            let closed = new.iter().any(|record| record.get("record").is_some_and(|kind| kind == "closed"));
            if closed || self.recorded.is_empty() || start.elapsed() > RECORDED_WITHIN {
                return Ok(new);
            }
            process::check_interrupt()?;
            thread::sleep(POLL_EVERY);
        }
    }

    fn check_records(&self, records: &[Value]) -> Result<()> {
        let text: Vec<_> = records.iter().map(Value::to_string).collect();
        let text = text.join("\n");
        if self.recorded.is_empty() && !records.is_empty() {
            bail!("nothing should have been recorded, but there is: {text}");
        }
        match self.recorded.iter().find(|part| !text.contains(**part)) {
            Some(part) => bail!("`{part}` is missing in what was recorded: {text}"),
            None => Ok(()),
        }
    }
}

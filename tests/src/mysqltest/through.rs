//! A daemon that allows everything and records it, in front of the runner's servers.

use super::{PORT, PORTS};
use crate::{
    cgroup::Cgroup,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    thread,
    time::Instant,
};

/// The account of the suite, which has no password; also the one that the daemon holds.
const ACCOUNT: &str = "root";
/// Characters of a denied statement that are kept.
const SHOWN_CHARS: usize = 200;
const POLICY: &str = "@id(\"everything\")\npermit (principal, action, resource);\n";

/// The daemon, and the tagged cgroup for [`super::Lane::Through`].
#[derive(Debug)]
pub struct Through {
    gateway: Gateway,
    cgroup: Cgroup,
}

/// A statement or command that did not reach the server, whatever the policy allows.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Denial {
    /// Why.
    pub reason: String,
    /// The statement, or empty.
    pub sql: String,
}

impl Through {
    /// Starts it, with TLS to the servers or without; its recordings are empty.
    pub fn start(tls: bool) -> Result<Self> {
        let cgroup = Cgroup::create("mysqltest")?;
        let config = GatewayConfig {
            ports: (PORT..PORT + PORTS).collect(),
            workloads: vec![Workload {
                name: "suite".into(),
                cgroup: cgroup.relative().into(),
                groups: vec!["suite".into()],
            }],
            servers: vec![Upstream {
                name: "mariadb".into(),
                matches: (PORT..PORT + PORTS)
                    .flat_map(|port| [format!("127.0.0.1:{port}"), format!("[::1]:{port}")])
                    .collect(),
                credentials: vec![Credential { for_: vec!["*".into()], user: ACCOUNT.into(), password: String::new() }],
                tls: if tls { "required" } else { "disabled" }.into(),
                ..Upstream::default()
            }],
            policies: vec![Policy { file: "everything.cedar".into(), text: POLICY.into() }],
            ..GatewayConfig::default()
        };
        Ok(Self { gateway: Gateway::start(&config)?, cgroup })
    }

    /// The tagged cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The daemon.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The certificate of the daemon's own authority.
    pub(super) fn authority(&self) -> PathBuf {
        self.gateway.dir().join("state/ca/ca.pem")
    }

    /// How many sessions there were so far.
    pub fn sessions(&self) -> Result<usize> {
        let output = self.gateway.cli(&["status", "--json"])?;
        let status: Value =
            serde_json::from_slice(&output.stdout).context("`portreeve status --json` printed no JSON")?;
        let total = status.get("sessions_total").and_then(Value::as_u64).context("a status has `sessions_total`")?;
        usize::try_from(total).context("more sessions than can be counted")
    }

    /// Every record so far, once every session is closed or a moment has passed: the daemon learns of a client's end after
    /// the client.
    pub fn records(&self) -> Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let records = self.gateway.records(&[])?;
            if of(&records, "opened").count() == of(&records, "closed").count() || start.elapsed() > CLIENT_RUN_MAX / 10
            {
                return Ok(records);
            }
            thread::sleep(POLL_EVERY * 20);
        }
    }
}

fn of<'a>(records: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| text(record, "record") == kind)
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Accounts that clients named at login or to change to, other than the held one.
pub(super) fn other_accounts(records: &[Value]) -> BTreeSet<String> {
    let users = records.iter().filter_map(|record| record.get("user").and_then(Value::as_str));
    users.filter(|user| *user != ACCOUNT).map(str::to_owned).collect()
}

/// What was denied, each once.
pub(super) fn denials(records: &[Value]) -> BTreeSet<Denial> {
    let key = |record: &Value| (text(record, "session").to_owned(), record.get("number").and_then(Value::as_u64));
    let mut denials = BTreeSet::new();
    let mut last = BTreeMap::new();
    for record in records {
        match text(record, "record") {
            "statement" => {
                let sql = record.get("sql").map(|sql| text(sql, "text")).unwrap_or_default();
                last.insert(key(record), sql.chars().take(SHOWN_CHARS).collect::<String>());
            }
            "verdict" if text(record, "decision") == "deny" => {
                let sql = last.get(&key(record)).cloned().unwrap_or_default();
                denials.insert(Denial { reason: text(record, "reason").into(), sql });
            }
            _ => {}
        }
    }
    denials
}

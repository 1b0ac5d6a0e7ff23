//! What analysis finds, asked of `portreeve policy explain --json`.

use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    gateway::{Gateway, GatewayConfig, Policy, Upstream, Workload},
    privileges::{LOCKS_ROWS, On, Request},
    servers::Flavour,
};
use serde_json::Value;
use std::path::Path;

/// Statements of one call: a text may hold 64.
const AT_ONCE: usize = 40;

/// The requests of one statement, or why it was not read.
pub(crate) type Reading = std::result::Result<Vec<Request>, String>;

/// Configuration and policy for `explain`; no daemon runs.
pub(crate) fn reader() -> Result<Gateway> {
    Gateway::prepare(&GatewayConfig {
        workloads: vec![Workload { name: "reader".into(), cgroup: "none".into(), groups: vec![] }],
        servers: vec![Upstream {
            name: "s".into(),
            matches: vec!["127.0.0.9:3306".into()],
            credentials: vec![portreeve_tests::gateway::Credential {
                for_: vec!["*".into()],
                user: "x".into(),
                password: "x".into(),
            }],
            ..Upstream::default()
        }],
        policies: vec![Policy {
            file: "all.cedar".into(),
            text: "@id(\"all\") permit (principal, action, resource);".into(),
        }],
        ..GatewayConfig::default()
    })
}

/// One reading per statement.
pub(crate) fn read(reader: &Gateway, flavour: Flavour, schema: &str, statements: &[&str]) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for batch in statements.chunks(AT_ONCE) {
        let together = explain(reader, flavour, schema, &batch.join(";\n"))?;
        // One that is not read, or ends elsewhere, takes the others with it.
        if together.len() == batch.len() && together.iter().all(Result::is_ok) {
            readings.extend(together);
            continue;
        }
        for statement in batch {
            let mut alone = explain(reader, flavour, schema, statement)?;
            readings.push(if alone.len() == 1 { alone.remove(0) } else { Err(format!("{} statements", alone.len())) });
        }
    }
    Ok(readings)
}

/// The facts of one statement, of tables with the columns that a file says.
pub(crate) fn alone(reader: &Gateway, flavour: Flavour, schema: &str, text: &str, tables: &Path) -> Result<Value> {
    let mut statements = explained(reader, flavour, schema, text, Some(tables))?;
    if statements.len() != 1 {
        bail!("{} statements in `{text}`", statements.len());
    }
    Ok(statements.remove(0))
}

fn explain(reader: &Gateway, flavour: Flavour, schema: &str, text: &str) -> Result<Vec<Reading>> {
    explained(reader, flavour, schema, text, None)?.iter().map(statement).collect()
}

fn explained(
    reader: &Gateway,
    flavour: Flavour,
    schema: &str,
    text: &str,
    tables: Option<&Path>,
) -> Result<Vec<Value>> {
    let tables = tables.map(|tables| tables.display().to_string());
    let tables = tables.as_ref().map(|tables| ["--tables", tables.as_str()]);
    let arguments = [
        "policy",
        "explain",
        "--workload",
        "reader",
        "--server",
        "s",
        "--schema",
        schema,
        "--flavour",
        flavour.name(),
        "--json",
        text,
    ];
    let output =
        reader.cli(&[arguments.as_slice(), tables.as_ref().map_or(&[], |tables| tables.as_slice())].concat())?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no JSON for `{text}`: {}", String::from_utf8_lossy(&output.stderr)))?;
    said.pointer("/facts/statements").and_then(Value::as_array).cloned().context("no statements in the facts")
}

pub(crate) fn statement(facts: &Value) -> Result<Reading> {
    if let Some(why) = facts["unparsed"].as_str() {
        return Ok(Err(why.to_owned()));
    }
    let requests = facts["requests"].as_array().context("no requests")?;
    let mut requests = requests.iter().map(request).collect::<Result<Vec<_>>>()?;
    if facts["locks_rows"] == true {
        let locks = requests.iter().filter(|request| request.action == "select");
        let locks: Vec<_> =
            locks.map(|request| Request { action: LOCKS_ROWS.into(), on: request.on.clone() }).collect();
        requests.extend(locks);
    }
    Ok(Ok(requests))
}

fn request(request: &Value) -> Result<Request> {
    let action = request["action"].as_str().context("an action")?.to_owned();
    let resource = &request["resource"];
    let name = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let on = if resource == "server" {
        On::Server
    } else if let (Some(schema), Some(table)) = (name("/table/schema"), name("/table/table")) {
        On::Table(schema, table)
    } else if let (Some(schema), Some(routine)) = (name("/routine/schema"), name("/routine/name")) {
        On::Routine(schema, routine)
    } else if let Some(schema) = name("/schema") {
        On::Schema(schema)
    } else {
        bail!("a resource of another kind: {resource}")
    };
    Ok(Request { action, on })
}

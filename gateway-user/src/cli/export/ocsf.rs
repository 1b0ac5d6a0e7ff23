//! A statement as an event of the Open Cybersecurity Schema Framework, version 1.3: class Datastore Activity (6005), category
//! Application Activity (6), with the profile Security Control. `docs/recordings.md` says where each field comes from.

pub(super) mod network;

use std::net::SocketAddr;

use portreeve_recording::Decision;
use serde_json::{Map, Value, json};

use crate::cli::recorded::Row;
use crate::cli::render::{text, workload_name};

const CLASS_UID: u64 = 6005;
const CATEGORY_UID: u64 = 6;

pub(super) fn event(row: &Row<'_>) -> Value {
    let (activity_id, activity_name) = activity(row);
    let mut event = json!({
        "category_uid": CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "Datastore Activity",
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": CLASS_UID * 100 + activity_id,
        "type_name": format!("Datastore Activity: {activity_name}"),
        "time": row.exchange.at_unix_ns / 1_000_000,
        "metadata": {
            "version": "1.3.0",
            "profiles": ["security_control"],
            "uid": format!("{}:{}", row.about.id, row.exchange.statement.number),
            "product": product(),
        },
        "actor": actor(row),
        "src_endpoint": endpoint(&row.about.client_address),
        "dst_endpoint": endpoint(&row.about.original_destination),
        "type_id": 1,
        "type": "Database",
        "database": { "name": row.exchange.statement.schema.as_deref().or(row.about.server.as_deref()).unwrap_or_default() },
        "query_info": {
            "query_string": String::from_utf8_lossy(row.exchange.text().kept()),
            "uid": row.exchange.statement.number.to_string(),
            "query_time": row.exchange.at_unix_ns / 1_000_000,
        },
    });
    if let Some(event) = event.as_object_mut() {
        event.extend(verdict(row));
        event.extend(answer(row));
        if let (Some(Value::Object(to)), Some(server)) = (event.get_mut("dst_endpoint"), &row.about.server) {
            to.insert("name".to_owned(), json!(server));
        }
        let tables = row.tables();
        if let (1, Some(table)) = (tables.len(), tables.first()) {
            event.insert("table".to_owned(), json!({ "name": table }));
        }
    }
    event
}

fn product() -> Value {
    json!({ "name": "Portreeve", "vendor_name": "Portreeve", "version": env!("CARGO_PKG_VERSION") })
}

/// The activity that names the statement's class best.
fn activity<'a>(row: &'a Row<'_>) -> (u64, &'a str) {
    let class = row.exchange.verdict.as_ref().map(|verdict| &*verdict.class);
    match class {
        Some("select") => (4, "Query"),
        Some("show" | "explain" | "inspect") => (1, "Read"),
        Some("insert" | "replace" | "load") => (5, "Write"),
        Some("update" | "alter" | "rename" | "index") => (2, "Update"),
        Some("delete" | "truncate" | "drop") => (7, "Delete"),
        Some("create") => (6, "Create"),
        Some(class) => (99, class),
        None => (99, "command"),
    }
}

fn actor(row: &Row<'_>) -> Value {
    let about = row.about;
    let workload = about.workload.as_deref().unwrap_or_default();
    let groups: Vec<_> = about.groups.iter().map(|group| json!({ "name": group })).collect();
    json!({
        "user": { "name": workload_name(workload), "uid": workload, "type_id": 3, "type": "System", "groups": groups },
        "process": { "pid": about.pid, "name": about.comm, "user": { "uid": about.uid.to_string() } },
        "session": { "uid": about.id.to_string() },
        // As the client sent it, which proves nothing.
        "app_name": about.user.as_deref().unwrap_or_default(),
    })
}

fn endpoint(address: &str) -> Value {
    match address.parse::<SocketAddr>() {
        Ok(address) => json!({ "ip": address.ip().to_string(), "port": address.port() }),
        Err(_) => json!({ "name": address }),
    }
}

/// The fields of the profile.
fn verdict(row: &Row<'_>) -> Map<String, Value> {
    let Some(verdict) = &row.exchange.verdict else {
        return fields([("severity_id", json!(1)), ("severity", json!("Informational"))]);
    };
    let (action, disposition, severity) = match verdict.decision {
        Decision::Allow => ((1, "Allowed"), (1, "Allowed"), (1, "Informational")),
        Decision::Deny => ((2, "Denied"), (2, "Blocked"), (3, "Medium")),
        Decision::WouldDeny => ((1, "Allowed"), (15, "Detected"), (3, "Medium")),
    };
    fields([
        ("action_id", json!(action.0)),
        ("action", json!(action.1)),
        ("disposition_id", json!(disposition.0)),
        ("disposition", json!(disposition.1)),
        ("severity_id", json!(severity.0)),
        ("severity", json!(severity.1)),
        ("message", json!(verdict.reason)),
        ("policy", json!({ "name": verdict.policies.join(", "), "desc": text::decision(verdict.decision) })),
    ])
}

/// What came of it: a failure is a denial or the server's error.
fn answer(row: &Row<'_>) -> Map<String, Value> {
    let mut answer = Map::new();
    let is_denied = row.exchange.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Deny);
    let status = match (&row.exchange.response, row.error()) {
        (_, Some(_)) => (2, "Failure"),
        (None, None) if is_denied => (2, "Failure"),
        (Some(_), None) => (1, "Success"),
        (None, None) => (0, "Unknown"),
    };
    answer.extend(fields([("status_id", json!(status.0)), ("status", json!(status.1))]));
    if let Some(error) = row.error() {
        let detail = [("status_code", json!(error.code.to_string())), ("status_detail", json!(error.message))];
        answer.extend(fields(detail));
    }
    if let Some(response) = &row.exchange.response {
        answer.insert("duration".to_owned(), json!(response.duration_ns / 1_000_000));
        let unmapped = json!({
            "rows": response.rows,
            "affected_rows": response.affected_rows,
            "warnings": response.warnings,
            "bytes": response.bytes,
            "credential": row.about.credential,
        });
        answer.insert("unmapped".to_owned(), unmapped);
    }
    answer
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

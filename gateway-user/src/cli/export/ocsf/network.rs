//! A connect as an event of the Open Cybersecurity Schema Framework, version 1.3: class Network Activity (4001), category Network Activity
//! (4), with the profiles Security Control and Host. `docs/recordings.md` says where each field comes from.

use portreeve_recording::Connects;
use serde_json::{Map, Value, json};

use super::{endpoint, fields, product};

const CLASS_UID: u64 = 4001;
const CATEGORY_UID: u64 = 4;

/// `frame` is the connect's in the host recording `recording`.
pub(in crate::cli::export) fn event(recording: &str, frame: u64, at_unix_ns: u64, connects: &Connects<'_>) -> Value {
    let (activity_id, activity_name) = if connects.refused.is_some() { (5, "Refuse") } else { (1, "Open") };
    let mut event = json!({
        "category_uid": CATEGORY_UID,
        "category_name": "Network Activity",
        "class_uid": CLASS_UID,
        "class_name": "Network Activity",
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": CLASS_UID * 100 + activity_id,
        "type_name": format!("Network Activity: {activity_name}"),
        "time": at_unix_ns / 1_000_000,
        "start_time": connects.first_unix_ns / 1_000_000,
        "end_time": connects.last_unix_ns / 1_000_000,
        "count": connects.count,
        "metadata": {
            "version": "1.3.0",
            "profiles": ["security_control", "host"],
            "uid": format!("{recording}:{frame}"),
            "product": product(),
        },
        "actor": actor(connects),
        "device": { "type_id": 1, "type": "Server" },
        "dst_endpoint": connects.destination.as_deref().map_or_else(|| json!({ "name": "unknown" }), endpoint),
        "connection_info": { "direction_id": 2, "direction": "Outbound", "protocol_name": "tcp", "protocol_num": 6 },
        "unmapped": { "cgroup_id": connects.cgroup_id, "netns_cookie": connects.netns_cookie },
    });
    if let Some(event) = event.as_object_mut() {
        event.extend(outcome(connects.refused.as_deref()));
    }
    event
}

/// What the kernel knew of the first caller.
fn actor(connects: &Connects<'_>) -> Value {
    let workload = connects.workload.as_deref().unwrap_or_default();
    let uid = connects.uid.map(|uid| uid.to_string()).unwrap_or_default();
    json!({
        "user": { "name": workload, "type_id": 3, "type": "System" },
        "process": { "pid": connects.pid, "name": connects.comm, "user": { "uid": uid } },
    })
}

fn outcome(refused: Option<&str>) -> Map<String, Value> {
    let (action, disposition, severity, status) = match refused {
        None => ((1, "Allowed"), (1, "Allowed"), (1, "Informational"), (1, "Success")),
        Some(_) => ((2, "Denied"), (2, "Blocked"), (3, "Medium"), (2, "Failure")),
    };
    let mut outcome = fields([
        ("action_id", json!(action.0)),
        ("action", json!(action.1)),
        ("disposition_id", json!(disposition.0)),
        ("disposition", json!(disposition.1)),
        ("severity_id", json!(severity.0)),
        ("severity", json!(severity.1)),
        ("status_id", json!(status.0)),
        ("status", json!(status.1)),
    ]);
    outcome.extend(refused.map(|reason| ("status_detail".to_owned(), json!(reason))));
    outcome
}

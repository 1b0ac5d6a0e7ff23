//! Records as JSON: one object per line, keys as in `docs/recordings.md`, which promises that they stay.

use std::borrow::Cow;

use portreeve_recording::{Entry, ErrorText, Evidence, Record, Rows, Signature};
use serde::Serialize;

use super::{host, is_unsafe, text, time};
use crate::hex::hex;

/// What every object begins with.
#[derive(Debug, Serialize)]
struct Object<'a> {
    at: String,
    session: &'a str,
    workload: Option<&'a str>,
    #[serde(flatten)]
    record: Fields<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Fields<'a> {
    Opened {
        groups: &'a [String],
        server: Option<&'a str>,
        credential: Option<&'a str>,
        original_destination: &'a str,
        client_address: &'a str,
        evidence: EvidenceFields<'a>,
        gateway_version: &'a str,
    },
    Login {
        user: &'a str,
        schema: Option<&'a str>,
        accepted: bool,
        server_version: &'a str,
        server_connection_id: u32,
        client_attributes: Vec<Attribute<'a>>,
        error: Option<ErrorFields<'a>>,
    },
    Statement {
        number: u64,
        command: Cow<'static, str>,
        prepared: Option<u64>,
        schema: Option<&'a str>,
        sql: TextFields<'a>,
        parameters: Vec<TextFields<'a>>,
    },
    Verdict {
        number: u64,
        decision: &'static str,
        class: &'a str,
        policies: &'a [String],
        reason: &'a str,
    },
    Response {
        number: u64,
        rows: u64,
        result_sets: u32,
        bytes: u64,
        affected_rows: u64,
        last_insert_id: u64,
        warnings: u32,
        error: Option<ErrorFields<'a>>,
        first_byte_ns: u64,
        duration_ns: u64,
    },
    Closed {
        reason: &'a str,
        statements: u64,
        bytes_to_client: u64,
        bytes_to_server: u64,
    },
    Transport {
        client_tls: Option<&'a str>,
        server_tls: Option<&'a str>,
        client_compression: Option<&'a str>,
        server_compression: Option<&'a str>,
    },
    Abandoned {
        number: u64,
        killed: bool,
        detail: &'a str,
    },
    Forwarded {
        number: u64,
        sql: TextFields<'a>,
    },
    Chosen {
        selector: &'a str,
        unit: Option<&'a str>,
        container: Option<&'a str>,
        pod: Option<&'a str>,
        exe: Option<&'a str>,
        sha256: Option<&'a str>,
    },
    Checkpoint(SignatureFields),
    Sealed(SignatureFields),
    Facts {
        number: u64,
        actions: &'a [String],
        resources: &'a [String],
    },
    Rows {
        number: u64,
        result_set: u32,
        first: u64,
        columns: &'a [String],
        /// Row by row.
        rows: Vec<Vec<Option<TextFields<'a>>>>,
        truncated: bool,
    },
    Host(host::Fields<'a>),
}

/// In hexadecimal.
#[derive(Debug, Serialize)]
struct SignatureFields {
    key: String,
    signature: String,
}

#[derive(Debug, Serialize)]
struct EvidenceFields<'a> {
    cgroup_id: u64,
    tagged_cgroup_id: u64,
    cgroup_path: Option<&'a str>,
    uid: u32,
    gid: u32,
    pid: u32,
    comm: &'a str,
    netns_cookie: u64,
    socket_cookie: u64,
}

/// Not a map: a client may send one name twice.
#[derive(Debug, Serialize)]
struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct ErrorFields<'a> {
    code: u16,
    sqlstate: &'a str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct TextFields<'a> {
    text: Cow<'a, str>,
    /// All kept bytes, where they are no UTF-8 and `text` is thus not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    length: u64,
    truncated: bool,
    redacted: bool,
}

/// One line for a record of `session`, without the line end.
///
/// # Errors
/// None are known; serde_json's signature has them.
pub(crate) fn object(session: &str, workload: Option<&str>, entry: &Entry<'_>) -> serde_json::Result<String> {
    let object = Object { at: time(entry.at_unix_ns, 9), session, workload, record: fields(&entry.record) };
    line(&object)
}

/// Any value as a line of JSON that is also harmless on a terminal.
///
/// # Errors
/// As [`object`].
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    if !json.contains(is_unsafe) {
        return Ok(json);
    }
    // serde_json escapes only C0. The others can stand only in strings, where this is another way to write them.
    let mut safe = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if is_unsafe(char) {
            safe.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            safe.push(char);
        }
    }
    Ok(safe)
}

fn fields<'a>(record: &'a Record<'_>) -> Fields<'a> {
    match record {
        Record::Opened(opened) => Fields::Opened {
            groups: &opened.groups,
            server: opened.server.as_deref(),
            credential: opened.credential.as_deref(),
            original_destination: &opened.original_destination,
            client_address: &opened.client_address,
            evidence: evidence(&opened.evidence),
            gateway_version: &opened.gateway_version,
        },
        Record::Login(login) => Fields::Login {
            user: &login.user,
            schema: login.schema.as_deref(),
            accepted: login.accepted,
            server_version: &login.server_version,
            server_connection_id: login.server_connection_id,
            client_attributes: login.client_attributes.iter().map(|(name, value)| Attribute { name, value }).collect(),
            error: login.error.as_ref().map(error),
        },
        Record::Statement(statement) => Fields::Statement {
            number: statement.number,
            command: text::command(statement.command),
            prepared: statement.prepared,
            schema: statement.schema.as_deref(),
            sql: text_fields(&statement.sql),
            parameters: statement.parameters.iter().map(text_fields).collect(),
        },
        Record::Verdict(verdict) => Fields::Verdict {
            number: verdict.number,
            decision: text::decision(verdict.decision),
            class: &verdict.class,
            policies: &verdict.policies,
            reason: &verdict.reason,
        },
        Record::Response(response) => Fields::Response {
            number: response.number,
            rows: response.rows,
            result_sets: response.result_sets,
            bytes: response.bytes,
            affected_rows: response.affected_rows,
            last_insert_id: response.last_insert_id,
            warnings: response.warnings,
            error: response.error.as_ref().map(error),
            first_byte_ns: response.first_byte_ns,
            duration_ns: response.duration_ns,
        },
        Record::Closed(closed) => Fields::Closed {
            reason: &closed.reason,
            statements: closed.statements,
            bytes_to_client: closed.bytes_to_client,
            bytes_to_server: closed.bytes_to_server,
        },
        Record::Transport(transport) => Fields::Transport {
            client_tls: transport.client_tls.as_deref(),
            server_tls: transport.server_tls.as_deref(),
            client_compression: transport.client_compression.as_deref(),
            server_compression: transport.server_compression.as_deref(),
        },
        Record::Abandoned(abandoned) => {
            Fields::Abandoned { number: abandoned.number, killed: abandoned.killed, detail: &abandoned.detail }
        }
        Record::Forwarded(forwarded) => {
            Fields::Forwarded { number: forwarded.number, sql: text_fields(&forwarded.sql) }
        }
        Record::Chosen(chosen) => Fields::Chosen {
            selector: &chosen.selector,
            unit: chosen.unit.as_deref(),
            container: chosen.container.as_deref(),
            pod: chosen.pod.as_deref(),
            exe: chosen.exe.as_deref(),
            sha256: chosen.sha256.as_deref(),
        },
        Record::Checkpoint(signature) => Fields::Checkpoint(self::signature(signature)),
        Record::Sealed(signature) => Fields::Sealed(self::signature(signature)),
        Record::Facts(facts) => {
            Fields::Facts { number: facts.number, actions: &facts.actions, resources: &facts.resources }
        }
        Record::Rows(rows) => Fields::Rows {
            number: rows.number,
            result_set: rows.result_set,
            first: rows.first,
            columns: &rows.columns,
            rows: table(rows),
            truncated: rows.truncated,
        },
        Record::Host(host) => Fields::Host(host::fields(host)),
    }
}

fn signature(signature: &Signature) -> SignatureFields {
    SignatureFields { key: hex(&signature.key), signature: hex(&signature.signature) }
}

fn table<'a>(rows: &'a Rows<'_>) -> Vec<Vec<Option<TextFields<'a>>>> {
    let value = |value: &'a Option<portreeve_recording::Text<'_>>| value.as_ref().map(text_fields);
    rows.values.chunks(rows.columns.len().max(1)).map(|row| row.iter().map(value).collect()).collect()
}

fn evidence<'a>(evidence: &'a Evidence<'_>) -> EvidenceFields<'a> {
    EvidenceFields {
        cgroup_id: evidence.cgroup_id,
        tagged_cgroup_id: evidence.tagged_cgroup_id,
        cgroup_path: evidence.cgroup_path.as_deref(),
        uid: evidence.uid,
        gid: evidence.gid,
        pid: evidence.pid,
        comm: &evidence.comm,
        netns_cookie: evidence.netns_cookie,
        socket_cookie: evidence.socket_cookie,
    }
}

fn error<'a>(error: &'a ErrorText<'_>) -> ErrorFields<'a> {
    ErrorFields { code: error.code, sqlstate: &error.sqlstate, message: &error.message }
}

fn text_fields<'a>(text: &'a portreeve_recording::Text<'_>) -> TextFields<'a> {
    let kept = String::from_utf8_lossy(text.kept());
    let exact = matches!(kept, Cow::Borrowed(_));
    TextFields {
        text: kept,
        hex: (!exact).then(|| hex(text.kept())),
        length: text.length,
        truncated: text.truncated,
        redacted: text.redacted,
    }
}

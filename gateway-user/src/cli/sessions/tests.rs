//! `sessions` over state directories that the recorder itself wrote.

use std::fs;
use std::path::PathBuf;

use portreeve_recording::{Closed, Command, Entry, Evidence, Login, Opened, Record, Statement, Text};
use uuid::Uuid;

use super::*;
use crate::recorder::{Recorder, SessionFile};

const START_NS: u64 = 1_795_231_554_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

fn state_dir(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("portreeve-sessions-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A session that opened on day `number` with one denied statement; `accepted` is none before the login.
fn session(state_dir: &Path, number: u64, workload: Option<&'static str>, accepted: Option<bool>) -> SessionFile {
    let opened_ns = START_NS + number * 86_400 * SECOND_NS;
    let mut file = Recorder::new(state_dir).create(Uuid::from_u128(u128::from(number)), opened_ns).unwrap();
    let opened = Opened {
        session_id: "".into(),
        workload: workload.map(Into::into),
        groups: (&[]).into(),
        evidence: Evidence {
            cgroup_id: 1,
            tagged_cgroup_id: 1,
            cgroup_path: None,
            uid: 0,
            gid: 0,
            pid: 1,
            comm: "".into(),
            netns_cookie: 1,
            socket_cookie: 2,
        },
        original_destination: "".into(),
        client_address: "".into(),
        server: workload.map(|_| "orders".into()),
        credential: None,
        gateway_version: "".into(),
    };
    let mut append = |record| file.append(&Entry { at_unix_ns: opened_ns + SECOND_NS, record }).unwrap();
    append(Record::Opened(Box::new(opened)));
    if let Some(accepted) = accepted {
        append(Record::Login(Box::new(Login {
            user: "app".into(),
            schema: None,
            client_attributes: (&[]).into(),
            server_version: "".into(),
            server_connection_id: 1,
            accepted,
            error: None,
        })));
    }
    if accepted == Some(true) {
        append(Record::Statement(Statement {
            number: 1,
            command: Command::Query,
            prepared: None,
            sql: Text::of_sql(b"DROP TABLE x", None),
            schema: None,
            parameters: (&[]).into(),
        }));
        append(Record::Verdict(portreeve_recording::Verdict {
            number: 1,
            decision: portreeve_recording::Decision::Deny,
            class: "drop".into(),
            policies: (&[]).into(),
            reason: "".into(),
        }));
    }
    file
}

fn close(mut file: SessionFile, number: u64) {
    let at_unix_ns = START_NS + number * 86_400 * SECOND_NS + 2 * SECOND_NS;
    let closed = Closed { reason: "client quit".into(), statements: 1, bytes_to_client: 0, bytes_to_server: 0 };
    file.append(&Entry { at_unix_ns, record: Record::Closed(closed) }).unwrap();
    file.close().unwrap();
}

fn all_states(state_dir: &Path) -> SessionFile {
    const REPORTING: Option<&str> = Some("spiffe://example.org/reporting");
    close(session(state_dir, 1, REPORTING, Some(true)), 1);
    close(session(state_dir, 2, None, None), 2);
    close(session(state_dir, 3, REPORTING, Some(false)), 3);
    // Dropped without a close, as when the daemon is killed.
    drop(session(state_dir, 4, Some("spiffe://example.org/ing\x1b[2Jest"), Some(true)));
    let running = session(state_dir, 5, REPORTING, Some(true));
    let day = state_dir.join("sessions/2026-11-21");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join(format!("{}.prs", Uuid::from_u128(0))), "garbage").unwrap();
    running
}

/// What is told of [`all_states`], of which the oldest is no recording: the exit code says so where files are read as far back.
fn output(args: &SessionsArgs, state_dir: &Path) -> String {
    let mut out = Vec::new();
    let code = if args.limit == 2 { ExitCode::SUCCESS } else { ExitCode::from(crate::cli::UNREAD) };
    assert_eq!(run(args, state_dir, &mut out).unwrap(), code);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_is_newest_first_and_has_every_state() {
    let state_dir = state_dir("table");
    let _running = all_states(&state_dir);
    let args = SessionsArgs::default();
    let table = output(&args, &state_dir);
    let cells = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = table.lines().map(cells).collect();
    assert_eq!(rows[0], HEADINGS);
    // Of a session that runs, the duration is up to now.
    rows[1].remove(2);
    assert_eq!(
        rows[1],
        ["00000000-0000-0000-0000-000000000005", "2026-11-26T03:25:54Z", "reporting", "orders", "1", "1", "open"]
    );
    assert_eq!(rows[2][1..], ["2026-11-25T03:25:54Z", "1.0 s", r"ing\u{1b}[2Jest", "orders", "1", "1", "torn"]);
    assert_eq!(rows[3][1..], ["2026-11-24T03:25:54Z", "2.0 s", "reporting", "orders", "0", "0", "refused"]);
    assert_eq!(rows[4][1..], ["2026-11-23T03:25:54Z", "2.0 s", "-", "-", "0", "0", "refused"]);
    assert_eq!(rows[5][1..], ["2026-11-22T03:25:54Z", "2.0 s", "reporting", "orders", "1", "1", "closed"]);
    assert_eq!(rows.len(), 6);
    let reporting = SessionsArgs { workload: Some("reporting".to_owned()), limit: 2, ..SessionsArgs::default() };
    let states: Vec<_> = output(&reporting, &state_dir).lines().skip(1).filter_map(|line| cells(line).pop()).collect();
    assert_eq!(states, ["open", "refused"]);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn json_has_one_object_per_session() {
    let state_dir = state_dir("json");
    let _running = all_states(&state_dir);
    let torn = state_dir.join(format!("sessions/2026-11-22/{}.prs", Uuid::from_u128(1)));
    let mut bytes = fs::read(&torn).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&torn, bytes).unwrap();
    let json = output(&SessionsArgs { json: true, ..SessionsArgs::default() }, &state_dir);
    let objects: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<_> = objects.iter().map(|object| object["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["open", "torn", "refused", "refused", "torn"]);
    assert_eq!(objects[3]["workload"], serde_json::Value::Null);
    assert_eq!(objects[2]["reason"], "client quit");
    assert_eq!(objects[2]["duration_ns"], 2 * SECOND_NS);
    assert!(objects[4]["damage"].as_str().unwrap().contains("ends inside a frame"), "{}", objects[4]);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn filters_leave_the_sessions_that_all_of_them_fit() {
    let state_dir = state_dir("filters");
    let _running = all_states(&state_dir);
    let check = |args: SessionsArgs, expected: &[&str]| {
        let json = output(&SessionsArgs { json: true, ..args.clone() }, &state_dir);
        let states: Vec<_> = json
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(states, expected, "{args:?}");
    };
    let all = SessionsArgs::default;
    check(SessionsArgs { states: vec![State::Refused], ..all() }, &["refused", "refused"]);
    check(SessionsArgs { states: vec![State::Open, State::Torn], ..all() }, &["open", "torn"]);
    check(SessionsArgs { denied: true, ..all() }, &["open", "torn", "closed"]);
    check(SessionsArgs { server: Some("orders".to_owned()), ..all() }, &["open", "torn", "refused", "closed"]);
    check(SessionsArgs { server: Some("stock".to_owned()), ..all() }, &[]);
    check(SessionsArgs { since: Some("2026-11-25".to_owned()), ..all() }, &["open", "torn"]);
    fs::remove_dir_all(state_dir).unwrap();
}

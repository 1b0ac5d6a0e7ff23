//! `tail` over state directories that the recorder itself wrote.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use portreeve_recording::{
    Closed, Command, Decision, Entry, ErrorText, Evidence, Opened, Record, Response, Statement, Text, Verdict,
};
use uuid::{NoContext, Timestamp, Uuid};

use super::*;
use crate::recorder::{Recorder, SessionFile};

const START_S: u64 = 1_795_231_554;
const START_NS: u64 = START_S * 1_000_000_000;

/// An empty state directory of this test alone.
fn state_dir(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("portreeve-tail-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn id(number: u8) -> Uuid {
    let time = Timestamp::from_unix(NoContext, START_S + u64::from(number), 0);
    let mut bytes = Uuid::new_v7(time).into_bytes();
    // What is random otherwise.
    bytes[7..].fill(number);
    (bytes[6], bytes[8]) = (0x70, 0x80);
    Uuid::from_bytes(bytes)
}

/// A session that opened `number` seconds after the start.
fn session(state_dir: &Path, number: u8, workload: &str) -> SessionFile {
    let at = START_NS + u64::from(number) * 1_000_000_000;
    let mut file = Recorder::new(state_dir).create(id(number), at).unwrap();
    let opened = Opened {
        session_id: id(number).to_string().into(),
        workload: Some(format!("spiffe://example.org/{workload}").into()),
        groups: (&[]).into(),
        evidence: Evidence {
            cgroup_id: 1,
            tagged_cgroup_id: 1,
            cgroup_path: None,
            uid: 1000,
            gid: 1000,
            pid: 4242,
            comm: "mysql".into(),
            netns_cookie: 1,
            socket_cookie: 2,
        },
        original_destination: "10.0.0.5:3306".into(),
        client_address: "10.0.0.9:50000".into(),
        server: Some("orders".into()),
        credential: Some("orders_ro".into()),
        gateway_version: "0.1.0".into(),
    };
    append(&mut file, u64::from(number) * 1000, Record::Opened(Box::new(opened)));
    file
}

fn append(file: &mut SessionFile, at_ms: u64, record: Record<'_>) {
    file.append(&Entry { at_unix_ns: START_NS + at_ms * 1_000_000, record }).unwrap();
}

fn statement(number: u64, sql: &[u8]) -> Record<'_> {
    Record::Statement(Statement {
        number,
        command: Command::Query,
        prepared: None,
        sql: Text::of_sql(sql),
        schema: None,
        parameters: (&[]).into(),
    })
}

fn verdict(number: u64, decision: Decision) -> Record<'static> {
    Record::Verdict(Verdict {
        number,
        decision,
        class: "select".into(),
        policies: vec!["reporting-read".to_owned()].into(),
        reason: "`drop` on `orders/shop.orders` is forbidden".into(),
    })
}

fn response(number: u64, error: Option<ErrorText<'static>>) -> Record<'static> {
    Record::Response(Response {
        number,
        rows: 2,
        result_sets: 1,
        bytes: 100,
        affected_rows: 0,
        last_insert_id: 0,
        warnings: 0,
        error,
        duration_ns: 400_000,
        first_byte_ns: 300_000,
    })
}

fn closed() -> Record<'static> {
    Record::Closed(Closed { reason: "client quit".into(), statements: 1, bytes_to_client: 7, bytes_to_server: 8 })
}

fn args(change: impl FnOnce(&mut TailArgs)) -> TailArgs {
    let mut args =
        TailArgs { session: None, follow: false, workload: None, lines: 0, connects: false, host: false, json: false };
    change(&mut args);
    args
}

fn lines(args: &TailArgs, state_dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    assert_eq!(run(args, state_dir, &mut out).unwrap(), ExitCode::SUCCESS);
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

/// Two sessions whose records alternate; the first is closed, the second still runs.
fn two_sessions(state_dir: &Path) -> SessionFile {
    let mut first = session(state_dir, 1, "reporting");
    let mut second = session(state_dir, 2, "ingest");
    append(&mut second, 3000, statement(1, b"DROP TABLE orders"));
    append(&mut second, 3001, verdict(1, Decision::Deny));
    append(&mut first, 4000, statement(1, b"SELECT id\nFROM orders -- \x1b[2J"));
    append(&mut first, 4001, verdict(1, Decision::Allow));
    append(&mut first, 4002, response(1, None));
    append(&mut first, 5000, closed());
    first.close().unwrap();
    append(&mut second, 6000, statement(2, b"SELECT SLEEP(100)"));
    second
}

#[test]
fn sessions_are_merged_by_time_and_a_statement_stands_with_its_verdict() {
    let state_dir = state_dir("merge");
    let _running = two_sessions(&state_dir);
    let expected = [
        "2026-11-21T03:25:55.000Z  01010101  reporting     opened orders as orders_ro, 10.0.0.9:50000 -> 10.0.0.5:3306, mysql (pid 4242, uid 1000)",
        "2026-11-21T03:25:56.000Z  02020202  ingest        opened orders as orders_ro, 10.0.0.9:50000 -> 10.0.0.5:3306, mysql (pid 4242, uid 1000)",
        "2026-11-21T03:25:57.001Z  02020202  ingest        deny   select   DROP TABLE orders  (`drop` on `orders/shop.orders` is forbidden)  [reporting-read]",
        r"2026-11-21T03:25:58.001Z  01010101  reporting     allow  select   SELECT id\nFROM orders -- \u{1b}[2J  [reporting-read]",
        "2026-11-21T03:25:58.002Z  01010101  reporting            rows=2 400 µs",
        "2026-11-21T03:25:59.000Z  01010101  reporting     closed client quit; 1 statement, 7 bytes to client, 8 to server",
        "2026-11-21T03:26:00.000Z  02020202  ingest        query  SELECT SLEEP(100)",
    ];
    assert_eq!(lines(&args(|_| ()), &state_dir), expected);
    assert_eq!(lines(&args(|args| args.lines = 2), &state_dir), expected[5..]);
    let only_ingest = [expected[1], expected[2], expected[6]];
    assert_eq!(lines(&args(|args| args.workload = Some("ingest".to_owned())), &state_dir), only_ingest);
    let by_spiffe_id = args(|args| args.workload = Some("spiffe://example.org/ingest".to_owned()));
    assert_eq!(lines(&by_spiffe_id, &state_dir), only_ingest);
    assert_eq!(lines(&args(|args| args.session = Some("02020202".to_owned())), &state_dir), only_ingest);
    assert_eq!(lines(&args(|args| args.session = Some(id(2).to_string())), &state_dir), only_ingest);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn json_has_every_record_with_its_keys() {
    let state_dir = state_dir("json");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 2000, statement(1, "SELECT 'caf\u{e9}' \u{9b}".as_bytes()));
    append(&mut file, 2001, verdict(1, Decision::Deny));
    append(&mut file, 2002, statement(2, b"SELECT '\xff'"));
    let gone = ErrorText { code: 2013, sqlstate: "HY000".into(), message: "server is gone".into() };
    append(&mut file, 2003, response(2, Some(gone)));
    append(&mut file, 2004, closed());
    let lines = lines(&args(|args| args.json = true), &state_dir);
    assert!(lines[1].contains(r"\u009b"), "a control character is in {}", lines[1]);
    let objects: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        objects.iter().map(|object| object["record"].as_str().unwrap()).collect::<Vec<_>>(),
        ["opened", "statement", "verdict", "statement", "response", "closed", "sealed"]
    );
    for object in &objects {
        assert_eq!(object["session"], id(1).to_string());
        assert_eq!(object["workload"], "spiffe://example.org/reporting");
    }
    assert_eq!(objects[0]["at"], "2026-11-21T03:25:55.000000000Z");
    assert_eq!(objects[0]["evidence"]["pid"], 4242);
    let sql = serde_json::json!({
        "text": "SELECT 'caf\u{e9}' \u{9b}", "length": 17, "truncated": false, "redacted": false
    });
    assert_eq!(objects[1]["sql"], sql);
    assert_eq!(objects[2]["decision"], "deny");
    assert_eq!(objects[2]["policies"], serde_json::json!(["reporting-read"]));
    assert_eq!(objects[3]["sql"]["hex"], "53454c4543542027ff27");
    assert_eq!(objects[4]["error"]["code"], 2013);
    assert_eq!(objects[5]["reason"], "client quit");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_damaged_file_does_not_hide_the_others() {
    let state_dir = state_dir("damage");
    let _running = two_sessions(&state_dir);
    let day = state_dir.join("sessions/2026-11-21");
    fs::write(day.join(format!("{}.prs", id(3))), "no recording at all").unwrap();
    fs::write(day.join("notes.txt"), "not ours").unwrap();
    let first = day.join(format!("{}.prs", id(1)));
    let mut bytes = fs::read(&first).unwrap();
    let last = bytes.windows(11).rposition(|part| part == b"client quit").unwrap();
    bytes[last] ^= 1;
    fs::write(&first, bytes).unwrap();
    let shown = lines(&args(|_| ()), &state_dir);
    assert_eq!(shown.len(), 6, "{shown:#?}");
    assert!(!shown.iter().any(|line| line.contains("closed")), "{shown:#?}");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_session_that_is_not_there_or_not_one_is_said() {
    let state_dir = state_dir("select");
    let _running = two_sessions(&state_dir);
    let wanted = |session: &str| args(|args| args.session = Some(session.to_owned()));
    let mut out = Vec::new();
    assert_eq!(run(&wanted("ffff"), &state_dir, &mut out).unwrap(), ExitCode::from(1));
    let error = run(&wanted("01a"), &state_dir, &mut out).unwrap_err().to_string();
    assert!(error.contains(&id(1).to_string()) && error.contains(&id(2).to_string()), "{error}");
    assert!(out.is_empty());
    assert_eq!(lines(&args(|_| ()), &state_dir.join("nothing-recorded-yet")), [""; 0]);
    fs::remove_dir_all(state_dir).unwrap();
}

/// Sends each line on, and interrupts the program when it is told to by a line.
struct Lines {
    lines: mpsc::Sender<(String, Instant)>,
    until: &'static str,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).unwrap();
        if !text.trim().is_empty() {
            self.lines.send((text.trim().to_owned(), Instant::now())).unwrap();
        }
        if text.contains(self.until) {
            raise(Signal::SIGINT).unwrap();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn following_shows_new_records_and_new_sessions_soon_and_ends_on_sigint() {
    let state_dir = state_dir("follow");
    let mut running = two_sessions(&state_dir);
    let (sender, received) = mpsc::channel();
    let follower = {
        let state_dir = state_dir.clone();
        thread::spawn(move || {
            // `writeln!` hands over pieces; whole lines come out of this.
            let mut out = io::LineWriter::new(Lines { lines: sender, until: "that is all" });
            run(&args(|args| (args.follow, args.lines) = (true, 1)), &state_dir, &mut out).unwrap()
        })
    };
    let next = |what: &str| {
        let (line, at) = received.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(line.contains(what), "{line}");
        at
    };
    next("closed client quit");
    next("SELECT SLEEP(100)");
    let mut delays = Vec::new();
    for number in 3..8 {
        append(&mut running, 7000 + number, statement(number, b"SELECT 'new'"));
        append(&mut running, 7000 + number, verdict(number, Decision::Allow));
        let appended = Instant::now();
        delays.push(next("allow  select   SELECT 'new'") - appended);
    }
    let mut third = session(&state_dir, 9, "reporting");
    next("09090909  reporting     opened");
    append(&mut third, 9500, statement(1, b"SELECT 'that is all'"));
    next("that is all");
    assert_eq!(follower.join().unwrap(), ExitCode::SUCCESS);
    // The machines that run the tests are busy; alone, it is under 100 ms.
    assert!(delays.iter().all(|delay| *delay < Duration::from_secs(5)), "{delays:?}");
    fs::remove_dir_all(state_dir).unwrap();
}

struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let state_dir = state_dir("pipe");
    let _running = two_sessions(&state_dir);
    assert_eq!(run(&args(|_| ()), &state_dir, &mut Gone).unwrap(), ExitCode::SUCCESS);
    fs::remove_dir_all(state_dir).unwrap();
}

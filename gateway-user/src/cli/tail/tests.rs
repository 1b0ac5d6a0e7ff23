//! `tail` over state directories that the recorder itself wrote.

use std::fs;
use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use portreeve_recording::{Connects, Decision, ErrorText, Host, Tagged};

use super::*;
use crate::cli::recorded::testing::*;
use crate::recorder::SessionFile;

fn args(change: impl FnOnce(&mut TailArgs)) -> TailArgs {
    let mut args = TailArgs { lines: Some(0), ..TailArgs::default() };
    change(&mut args);
    args
}

fn lines(args: &TailArgs, state_dir: &Path) -> Vec<String> {
    lines_until(args, state_dir, ExitCode::SUCCESS)
}

fn lines_until(args: &TailArgs, state_dir: &Path, code: ExitCode) -> Vec<String> {
    let mut out = Vec::new();
    assert_eq!(run(args, state_dir, &mut out).unwrap(), code);
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
    assert_eq!(lines(&args(|args| args.lines = Some(2)), &state_dir), expected[5..]);
    let only_ingest = [expected[1], expected[2], expected[6]];
    assert_eq!(lines(&args(|args| args.filter.workload = Some("ingest".to_owned())), &state_dir), only_ingest);
    let by_spiffe_id = args(|args| args.filter.workload = Some("spiffe://example.org/ingest".to_owned()));
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
    let shown = lines_until(&args(|_| ()), &state_dir, ExitCode::from(crate::cli::UNREAD));
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
            run(&args(|args| (args.follow, args.lines) = (true, Some(1))), &state_dir, &mut out).unwrap()
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
    for number in 3..24 {
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
    // The machines that run the tests are busy: the usual delay counts, not the longest.
    delays.sort();
    assert!(delays[delays.len() / 2] < Duration::from_millis(100), "{delays:?}");
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

#[test]
fn filters_show_the_records_of_wanted_statements_alone() {
    let state_dir = state_dir("filtered");
    busy_session(&state_dir, 1);
    let _running = two_sessions_after(&state_dir);
    let shown = |change: &dyn Fn(&mut TailArgs)| -> Vec<String> {
        let lines = lines(&args(|args| change(args)), &state_dir);
        lines.iter().map(|line| line[50..].to_owned()).collect()
    };
    let insert = "INSERT INTO orders VALUES (?)  [reporting-read]";
    assert_eq!(
        shown(&|args| args.filter.grep = Some("^INSERT".to_owned())),
        [
            format!("allow  insert   {insert}").as_str(),
            "       rows=2 400 µs",
            "allow  insert     prepared by #3  [reporting-read]",
            "error  1062 (23000) Duplicate entry 400 µs",
        ]
    );
    let denied = shown(&|args| args.filter.verdicts = vec![crate::cli::recorded::VerdictName::Deny]);
    assert!(denied.len() == 2 && denied[0].contains("DELETE") && denied[1].contains("DROP"), "{denied:#?}");
    assert_eq!(shown(&|args| args.filter.tables = vec!["customers".to_owned()]).len(), 1);
    let since = "2026-11-21T03:26:10Z".to_owned();
    let lines = lines(&args(|args| (args.filter.since, args.lines) = (Some(since.clone()), None)), &state_dir);
    assert!(lines.len() == 5 && lines.iter().all(|line| line[..20] >= since[..]), "{lines:#?}");
    fs::remove_dir_all(state_dir).unwrap();
}

/// A session that still runs, twenty seconds after the start.
fn two_sessions_after(state_dir: &Path) -> SessionFile {
    let mut file = session(state_dir, 20, "ingest");
    append(&mut file, 21_000, statement(1, b"DROP TABLE orders"));
    append(&mut file, 21_001, verdict_on(1, Decision::Deny, "drop"));
    append(&mut file, 22_000, statement(2, b"SELECT 1"));
    append(&mut file, 22_001, verdict(2, Decision::Allow));
    append(&mut file, 22_002, response(2, None));
    append(&mut file, 23_000, statement(3, b"SELECT SLEEP(100)"));
    file
}

#[test]
fn the_last_lines_of_a_long_file_are_shown_without_reading_it_all() {
    let state_dir = state_dir("long");
    let mut file = session(&state_dir, 1, "reporting");
    let sql = format!("SELECT '{}'", "x".repeat(500_000));
    for number in 1..200 {
        append(&mut file, 2000 + number, statement(number, sql.as_bytes()));
        append(&mut file, 2000 + number, verdict(number, Decision::Allow));
    }
    append(&mut file, 3000, statement(200, b"SELECT 'the last'"));
    append(&mut file, 3000, verdict(200, Decision::Allow));
    let whole = lines(&args(|_| ()), &state_dir);
    assert_eq!(lines(&args(|args| args.lines = Some(3)), &state_dir), whole[whole.len() - 3..]);
    // Damage far before the end, and behind the first signature, is not looked at.
    let path = directory::sessions(&state_dir, "2026-11-21").unwrap().remove(0).path;
    let at = 20_000_000;
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(lines(&args(|args| args.lines = Some(3)), &state_dir), whole[whole.len() - 3..]);
    assert!(lines_until(&args(|_| ()), &state_dir, ExitCode::from(crate::cli::UNREAD)).len() < whole.len() / 2);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_filter_waits_for_what_the_policies_were_asked() {
    let state_dir = state_dir("asked");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1002, statement(1, b"SELECT * FROM a_view"));
    append(&mut file, 1003, verdict(1, Decision::Deny));
    append(&mut file, 1003, facts(1, &["select"], &["orders/shop.orders"]));
    append(&mut file, 1004, statement(2, b"SELECT * FROM other_view"));
    append(&mut file, 1005, verdict(2, Decision::Deny));
    let full = full_of_tables();
    append(&mut file, 1005, facts(2, &["select"], &full.iter().map(String::as_str).collect::<Vec<_>>()));
    append(&mut file, 1005, facts(2, &["select"], &["orders/shop.customers"]));
    let of_customers = lines(&args(|args| args.filter.tables = vec!["customers".to_owned()]), &state_dir);
    assert!(of_customers.len() == 1 && of_customers[0].contains("other_view"), "{of_customers:#?}");
    let shown = lines(&args(|args| args.filter.tables = vec!["orders".to_owned()]), &state_dir);
    assert!(shown.len() == 1 && shown[0].contains("a_view"), "{shown:#?}");
    // The last one is not held back for more.
    assert_eq!(
        lines(&args(|args| args.filter.verdicts = vec![crate::cli::recorded::VerdictName::Deny]), &state_dir).len(),
        2
    );
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn the_host_is_filtered_by_time_and_by_workload_whichever_way_it_is_named() {
    let state_dir = state_dir("host-filtered");
    let id = "spiffe://example.org/team/etl";
    let recorder = crate::recorder::Recorder::new(&state_dir);
    let tag = Tagged {
        cgroup: "agents/etl".into(),
        cgroup_id: 7,
        workload: "etl".into(),
        spiffe_id: id.into(),
        groups: (&[]).into(),
        by: "command".into(),
    };
    let connect = Connects {
        refused: Some("other-creator".into()),
        workload: Some("etl".into()),
        destination: None,
        uid: None,
        pid: None,
        comm: None,
        cgroup_id: 7,
        netns_cookie: None,
        count: 1,
        first_unix_ns: START_NS,
        last_unix_ns: START_NS,
    };
    let of_other = Connects { workload: Some("other".into()), ..connect.clone() };
    let now_ns = crate::recorder::now_unix_ns();
    for host in [Host::Tagged(Box::new(tag)), Host::Connects(Box::new(connect)), Host::Connects(Box::new(of_other))] {
        recorder.host().record(now_ns, host).unwrap();
    }
    let shown = |change: &dyn Fn(&mut TailArgs)| {
        let mut out = Vec::new();
        assert_eq!(host::run(&args(|args| change(args)), &state_dir, &[], &mut out).unwrap(), ExitCode::SUCCESS);
        String::from_utf8(out).unwrap().lines().count()
    };
    // With its start, on the day of the other tests.
    assert_eq!(shown(&|_| ()), 4);
    for name in ["etl", id] {
        assert_eq!(shown(&|args| args.filter.workload = Some(name.to_owned())), 2, "{name}");
    }
    assert_eq!(shown(&|args| args.filter.since = Some("2100-01-01".to_owned())), 0);
    assert_eq!(shown(&|args| (args.lines, args.filter.since) = (None, Some("1h".to_owned()))), 3);
    fs::remove_dir_all(state_dir).unwrap();
}

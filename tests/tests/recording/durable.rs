//! `[recording]`: on the disk before anything is forwarded, and no more kept than was asked for.

use super::of_kind;
use portreeve_tests::{
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    scene::{REPORTING_WORKS, Scene, server},
    servers::Flavour,
    wire::Wire,
};
use std::{
    fs::{self, File},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn scene(recording: &str) -> Scene {
    let recording = format!("recording = {{ {recording} }}");
    let server = server(Flavour::MariaDb).unwrap();
    Scene::with(server, REPORTING_WORKS, |config| config.extra = recording).unwrap()
}

/// `strace` sees what the daemon asks of the kernel: the sync of the statement's record comes before its way to the server.
#[test]
fn under_fsync_a_statement_is_on_the_disk_before_it_is_forwarded() {
    let scene = scene("durability = \"fsync\"");
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(wire.query("SELECT 1").is_ok());
    let trace = scene.gateway.dir().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "200", "-e", "trace=fdatasync,fsync,sendto,write,writev", "-o"]).arg(&trace);
    command.args(["-p", &scene.gateway.pid().unwrap().to_string()]);
    let mut strace = process::spawn(command).unwrap();
    let start = Instant::now();
    let traced = loop {
        assert!(wire.query("SELECT 'to-be-synced', item FROM orders").is_ok());
        let traced = fs::read_to_string(&trace).unwrap_or_default();
        if traced.matches("SELECT 'to-be-synced'").count() > 3 {
            break traced;
        }
        assert!(start.elapsed() < CLIENT_RUN_MAX, "strace sees nothing: {traced}");
        thread::sleep(POLL_EVERY);
    };
    process::terminate(&mut strace).unwrap();
    let lines: Vec<_> =
        traced.lines().filter(|line| line.contains("fdatasync") || line.contains("to-be-synced")).collect();
    // Answers carry the name of the column: what goes to the server is the command, with SELECT in it.
    let sent: Vec<_> =
        lines.iter().enumerate().filter(|(_, line)| line.contains("SELECT 'to-be-synced'")).skip(1).collect();
    assert!(!sent.is_empty(), "{traced}");
    for (at, _) in sent {
        assert!(lines[at - 1].contains("fdatasync"), "no sync before line {at} of {lines:#?}");
    }
    drop(wire);
    assert_eq!(of_kind(&scene.records_when_closed(1).unwrap(), "sealed").len(), 1);
}

/// The sync of the ledger, which says that a session began, comes before anything of the session's is forwarded.
#[test]
fn under_fsync_the_ledger_is_on_the_disk_before_a_session_s_first_statement_is_forwarded() {
    let scene = scene("durability = \"fsync\"");
    let trace = scene.gateway.dir().join("trace");
    let pid = scene.gateway.pid().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "200", "-e", "trace=fdatasync,sendto,write,writev", "-o"]).arg(&trace);
    command.args(["-p", &pid.to_string()]);
    let mut strace = process::spawn(command).unwrap();
    let start = Instant::now();
    let traced = loop {
        let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
        assert!(wire.query("SELECT 'first-of-it', item FROM orders").is_ok());
        let traced = fs::read_to_string(&trace).unwrap_or_default();
        if traced.matches("SELECT 'first-of-it'").count() > 3 {
            break traced;
        }
        assert!(start.elapsed() < CLIENT_RUN_MAX, "strace sees nothing: {traced}");
        thread::sleep(POLL_EVERY);
    };
    // The thread that looks after recordings syncs the ledger twice a second: that is not what is meant.
    let by_others: Vec<String> = fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|thread| thread.unwrap().path())
        .filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "recordings"))
        .map(|thread| format!("{} ", thread.file_name().unwrap().to_str().unwrap()))
        .collect();
    assert_eq!(by_others.len(), 1);
    process::terminate(&mut strace).unwrap();
    let lines: Vec<_> = traced.lines().filter(|line| !line.starts_with(&by_others[0])).collect();
    let sent: Vec<_> = (0..lines.len()).filter(|at| lines[*at].contains("SELECT 'first-of-it'")).collect();
    for between in sent.windows(2) {
        let before = &lines[between[0]..between[1]];
        let is_ledger = |line: &&&str| line.contains("fdatasync") && line.contains("/state/host/");
        assert!(before.iter().any(|line| is_ledger(&line)), "no sync of the ledger in {before:#?}");
    }
}

/// 2026-01-01, in seconds since 1970 UTC.
const JANUARY_1_UNIX_S: u64 = 1_767_225_600;

#[test]
fn what_is_older_than_keep_days_goes_and_the_ledger_says_so() {
    let mut scene = scene("keep_days = 30, keep_bytes = 10000000000");
    assert!(scene.report("SELECT 1").unwrap().ok());
    scene.records_when_closed(1).unwrap();
    scene.gateway.terminate().unwrap();
    // As if it had lain there for months.
    let sessions = scene.gateway.dir().join("state/sessions");
    let today = fs::read_dir(&sessions).unwrap().next().unwrap().unwrap().path();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(JANUARY_1_UNIX_S);
    for session in fs::read_dir(&today).unwrap() {
        File::options().write(true).open(session.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
    fs::rename(&today, sessions.join("2026-01-01")).unwrap();
    scene.gateway.restart().unwrap();
    let start = Instant::now();
    while sessions.join("2026-01-01").exists() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{}", scene.gateway.log());
        thread::sleep(POLL_EVERY);
    }
    let events = scene.portreeve(&["tail", "--host", "--lines", "0"]).unwrap();
    assert!(events.contains("removed session ") && events.contains("older than 30 days"), "{events}");
    assert!(scene.portreeve(&["verify", "--all"]).is_ok(), "a removal that is in the ledger is none that is missing");
}

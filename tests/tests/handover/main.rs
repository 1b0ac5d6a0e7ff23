//! From one daemon to the next, and what holds while there is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod detach;
mod drain;
mod guard;
mod killed;
mod load;
mod systemd;

use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Login},
    gateway::Gateway,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    scene::Scene,
};
use serde_json::Value;
use std::{
    io::Read as _,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Patience for what takes a moment, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "not in {SOON:?}: {what}");
        thread::sleep(POLL_EVERY);
    }
}

fn json(gateway: &Gateway, args: &[&str]) -> Value {
    gateway.json(args).unwrap()
}

fn status(gateway: &Gateway) -> Value {
    json(gateway, &["status", "--json"])
}

fn check_refused(scene: &Scene, cgroup: &Cgroup) {
    let dialled = scene.dial(cgroup).unwrap();
    assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
}

fn is_intercepted(scene: &Scene, cgroup: &Cgroup) -> bool {
    scene.is_intercepted(cgroup).unwrap()
}

fn check_works(scene: &Scene) {
    let answer = scene.report("SELECT item FROM orders WHERE id = 1").unwrap();
    assert!(answer.ok() && answer.stdout.contains("teapot"), "{answer:?}");
}

/// `steady.py`: clients of a workload that count what goes wrong.
struct Steady(Child);

impl Steady {
    fn start(scene: &Scene, clients: usize) -> Self {
        let login: Login = scene.login();
        let mut program = client::program("python/steady.py").unwrap();
        program.args([login.host.to_string(), login.user, login.password, String::new(), clients.to_string()]);
        let mut command = scene.reporting.command(program.get_program()).unwrap();
        command.args(program.get_args()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self(process::spawn(command).unwrap())
    }

    /// Lets every client end its session, and returns what was counted.
    fn end(mut self) -> Value {
        drop(self.0.stdin.take());
        let ended = process::wait(&mut self.0, CLIENT_RUN_MAX).unwrap();
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// Nothing of a client came to the server but through the gateway: it would have shown an account that the server does not know.
fn check_nothing_direct(scene: &Scene) {
    let denied = scene.server.sql("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'").unwrap();
    assert_eq!(denied.split_whitespace().last(), Some("0"), "{denied}");
    let agent = scene.login().user;
    let log = scene.server.general_log();
    let direct = log.lines().find(|line| line.contains("Connect") && line.contains(&format!("{agent}@")));
    assert_eq!(direct, None);
}

/// The marks of statements that a log or a recording holds.
fn marks(text: &str) -> std::collections::BTreeSet<String> {
    let after = text.split("steady-").skip(1);
    after.filter_map(|rest| rest.split_once('.')).map(|(mark, _)| mark.to_owned()).collect()
}

/// What the server did is what is recorded.
fn check_all_recorded(scene: &Scene) {
    let reached = marks(&scene.server.general_log());
    let records = scene.gateway.records(&[]).unwrap();
    let statements = records.iter().filter(|record| record["record"] == "statement");
    let recorded = statements.flat_map(|record| marks(record["sql"]["text"].as_str().unwrap())).collect();
    let unrecorded: Vec<_> = reached.difference(&recorded).collect();
    assert!(!reached.is_empty() && unrecorded.is_empty(), "reached the server unrecorded: {unrecorded:?}");
}

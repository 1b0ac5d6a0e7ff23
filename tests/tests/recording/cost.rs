//! What recording costs while statements pass: memory that is mapped already.

use portreeve_tests::{
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};
use std::{collections::BTreeMap, fs, process::Command, thread, time::Instant};

const STATEMENTS: usize = 2000;
/// What passing statements and answers takes, with or without a recording.
const OF_THE_RELAY: [&str; 5] = ["recvfrom", "sendto", "epoll_wait", "epoll_pwait", "epoll_ctl"];
/// Pieces that the file grows by meanwhile, each a call to allocate, one to map and one to unmap. They double up to 4 MiB.
const PIECES_MAX: usize = 8;

/// Calls of the thread that serves the session, by name, between two statements.
fn calls_between(traced: &str, first: &str, last: &str) -> BTreeMap<String, usize> {
    let lines: Vec<_> = traced.lines().collect();
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    let (from, to) = (at(first), at(last));
    let thread = lines[from].split(' ').next().unwrap();
    let mut calls = BTreeMap::new();
    for line in &lines[from..to] {
        // `4711  recvfrom(12, …`, and where another thread came between: `4711  <... recvfrom resumed>…`, which is no call more.
        let Some((who, call)) = line.split_once(' ') else { continue };
        if let (true, Some((name, _))) = (who == thread, call.trim_start().split_once('('))
            && !name.starts_with('<')
        {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

#[test]
fn a_statement_is_recorded_without_a_system_call() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let trace = scene.gateway.dir().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "64", "-o"]).arg(&trace);
    command.args(["-p", &scene.gateway.pid().unwrap().to_string()]);
    let mut strace = process::spawn(command).unwrap();
    let start = Instant::now();
    while !fs::read_to_string(&trace).is_ok_and(|traced| traced.contains("SELECT 'traced'")) {
        assert!(wire.query("SELECT 'traced'").is_ok());
        assert!(start.elapsed() < CLIENT_RUN_MAX, "strace sees nothing");
        thread::sleep(POLL_EVERY);
    }
    wire.query("SELECT 'first'").unwrap();
    for number in 0..STATEMENTS {
        wire.query(&format!("SELECT item, amount FROM orders WHERE id = {number}")).unwrap();
    }
    wire.query("SELECT 'last'").unwrap();
    process::terminate(&mut strace).unwrap();
    let calls = calls_between(&fs::read_to_string(&trace).unwrap(), "SELECT 'first'", "SELECT 'last'");
    let of_relay = |name: &&str| calls.get(*name).copied().unwrap_or_default();
    assert!(of_relay(&"sendto") >= 2 * STATEMENTS, "is everything seen? {calls:?}");
    let more: BTreeMap<_, _> = calls.iter().filter(|(name, _)| !OF_THE_RELAY.contains(&name.as_str())).collect();
    let pieces = more.get(&"fallocate".to_owned()).copied().copied().unwrap_or_default();
    assert!((1..=PIECES_MAX).contains(&pieces), "the file grew {pieces} times: {calls:?}");
    let others: usize = more.values().copied().sum();
    assert!(others <= 3 * pieces, "more than the relay's calls and the file's growth: {more:?}");
    println!("{STATEMENTS} statements: {calls:?}");
}

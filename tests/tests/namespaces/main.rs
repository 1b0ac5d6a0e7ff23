//! Agents in other network namespaces than the daemon's. The daemon runs in one of this binary's own, in place of the host's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod containers;
mod egress;
mod held;
mod hostile;
mod life;
mod upstream;

use portreeve_tests::{
    certificates::Authority,
    cgroup::Cgroup,
    client::{self, Answer},
    dial::{Dialled, dial_once, dial_once_in, opened_by},
    gateway::Gateway,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    netns::{HOST, Netns, own_network},
    process,
    scene::{REPORTING_WORKS, Scene, shared, shop_with},
    servers::{Flavour, PORT, Server},
};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Instant,
};

/// A statement and a word of its answer.
const QUERY: &str = "SELECT item FROM shop.orders";
const WORD: &str = "teapot";

/// Its certificate is for `db.example.org`; who signed it is [`ca`].
fn server() -> Arc<Server> {
    own_network().unwrap();
    shared(Flavour::MariaDb, || {
        // The server reads its files when it starts.
        let authority = Authority::create()?;
        let pair = authority.server("shop-server", &["DNS:db.example.org"])?;
        let server = shop_with(Flavour::MariaDb, HOST, &pair.server_arguments(&authority.ca()))?;
        fs::copy(authority.ca(), ca(&server))?;
        server.sql(
            "CREATE USER shop_reporting@'10.%' IDENTIFIED BY 'held-by-portreeve-1'; GRANT ALL ON *.* TO shop_reporting@'10.%'",
        )?;
        Ok(server)
    })
    .unwrap()
}

/// Among the server's files, so that it goes with them.
fn ca(server: &Server) -> PathBuf {
    server.data().join("signed-by.pem")
}

fn scene() -> Scene {
    scene_with(|_| ())
}

fn scene_with(change: impl FnOnce(&mut portreeve_tests::gateway::GatewayConfig)) -> Scene {
    Scene::with(server(), REPORTING_WORKS, change).unwrap()
}

fn status(gateway: &Gateway) -> Value {
    serde_json::from_slice(&gateway.cli(&["status", "--json"]).unwrap().stdout).unwrap()
}

fn refused(gateway: &Gateway, reason: &str) -> u64 {
    status(gateway)["refused_connections"][reason].as_u64().unwrap()
}

fn gateway_port(gateway: &Gateway) -> String {
    status(gateway)["listen"][0].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// The namespaces that the daemon listens in, or should.
fn namespaces(gateway: &Gateway) -> Vec<Value> {
    status(gateway)["namespaces"].as_array().unwrap().clone()
}

/// Waits until something about the namespaces is so.
fn wait_for(gateway: &Gateway, what: &str, is_so: impl Fn(&[Value]) -> bool) {
    until(|| is_so(&namespaces(gateway)), || format!("{what}: {:?}\n{}", namespaces(gateway), gateway.log()));
}

fn until(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{}", what());
        thread::sleep(POLL_EVERY * 10);
    }
}

fn is_listening(namespaces: &[Value]) -> bool {
    namespaces.iter().any(|namespace| namespace["netns_cookie"].is_u64())
}

/// A process of the workload that stays in a namespace as long as this value.
struct Stay(Child);

impl Drop for Stay {
    fn drop(&mut self) {
        // It may have ended with its cgroup.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stay(scene: &Scene, netns: &Netns) -> Stay {
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    let inner = netns.command(&sleep);
    let mut command = scene.reporting.command(inner.get_program()).unwrap();
    command.args(inner.get_args()).stdin(Stdio::null());
    Stay(process::spawn(command).unwrap())
}

fn dialled(scene: &Scene, netns: &Netns, way: &str, more: &[&str]) -> Dialled {
    dial_once_in(netns, Some(&scene.reporting), way, &HOST.to_string(), PORT, more).unwrap()
}

/// The same by a process that goes to the namespaces itself, without a moment there before it connects.
fn dialled_from_here(scene: &Scene, way: &str, more: &[&str]) -> Dialled {
    dial_once(Some(&scene.reporting), way, &HOST.to_string(), PORT, more).unwrap()
}

/// The `mariadb` client of the workload, within the namespace.
fn ask(cgroup: &Cgroup, netns: &Netns, host: &str, sql: &str) -> Answer {
    client::run(Some(cgroup), netns.command(&mariadb(host, sql))).unwrap()
}

fn mariadb(host: &str, sql: &str) -> Command {
    let mut command = Command::new("/usr/bin/mariadb");
    command.args(["--no-defaults", "-h", host, "-uagent", "-panything", "-e", sql]);
    command
}

/// The client reached the real server, and one session is recorded with the namespace of its socket.
fn check_intercepted(scene: &Scene, dialled: &Dialled) {
    let (version, peer) = dialled.greeting().unwrap_or_else(|| panic!("{dialled:?}\n{}", scene.gateway.log()));
    assert!(version.contains("MariaDB"), "{dialled:?}");
    assert_eq!(peer, format!("{HOST} {PORT}"), "getpeername");
    assert_eq!(dialled.recorded_destinations(&scene.gateway).unwrap(), [format!("{HOST}:{PORT}")]);
    let opened = opened_by(&scene.gateway, dialled.pid).unwrap();
    assert_eq!(opened[0]["workload"], "spiffe://example.org/reporting");
}

#[test]
fn an_agent_with_nothing_but_loopback_is_served_however_it_connects() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    // Nobody there, and it would be left in the end.
    let _stays = stay(&scene, &netns);
    let first = dialled(&scene, &netns, "with_cookie", &[]);
    check_intercepted(&scene, &first);
    let opened = opened_by(&scene.gateway, first.pid).unwrap();
    let known = namespaces(&scene.gateway);
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(opened[0]["evidence"]["netns_cookie"].as_u64(), first.netns_cookie());
    assert_eq!(known[0]["netns_cookie"].as_u64(), first.netns_cookie());
    for way in ["plain", "nonblocking", "fastopen", "fastopen_connect", "io_uring", "io_uring_polled", "unprivileged"] {
        check_intercepted(&scene, &dialled(&scene, &netns, way, &[]));
    }
    let mapped = format!("::ffff:{HOST}");
    let by_mapped = dial_once_in(&netns, Some(&scene.reporting), "plain", &mapped, PORT, &[]).unwrap();
    assert_eq!(by_mapped.recorded_destinations(&scene.gateway).unwrap(), [format!("{HOST}:{PORT}")]);
    // No server is configured there: the gateway itself answers, by its IPv6 listener.
    let by_v6 = dial_once_in(&netns, Some(&scene.reporting), "plain", "fd00::5", PORT, &[]).unwrap();
    assert!(by_v6.greeting().unwrap().0.contains("portreeve"), "{by_v6:?}");
    let answer = ask(&scene.reporting, &netns, &HOST.to_string(), QUERY);
    assert!(answer.ok() && answer.stdout.contains(WORD), "{answer:?}");
}

#[test]
fn an_agent_with_routes_of_its_own_is_served_and_others_there_are_left_alone() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    netns.attach().unwrap();
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
    let outside = dial_once_in(&netns, None, "plain", &HOST.to_string(), PORT, &[]).unwrap();
    assert!(outside.greeting().is_some(), "{outside:?}");
    assert!(outside.recorded_destinations(&scene.gateway).unwrap().is_empty());
}

#[test]
fn the_host_s_loopback_is_not_another_namespace_s() {
    let scene = scene_with(|config| config.servers[0].matches.push("127.0.0.0/8:3306".into()));
    let netns = Netns::create().unwrap();
    let answer = ask(&scene.reporting, &netns, "127.0.0.1", QUERY);
    assert!(!answer.ok() && answer.stderr.contains("this network namespace's own, not the host's"), "{answer:?}");
}

#[test]
fn a_workload_s_quota_holds_over_its_namespaces() {
    let scene = scene_with(|config| config.interception = "connections_per_workload = 2".into());
    let netns = Netns::create().unwrap();
    let all = portreeve_tests::dial::dial_in(&netns, Some(&scene.reporting), "many", &HOST.to_string(), PORT, &["3"])
        .unwrap();
    assert!(all[0].greeting().is_some() && all[1].greeting().is_some(), "{all:?}");
    assert_eq!(all[2].errno(), Some("EPERM"), "{all:?}");
    assert_eq!(refused(&scene.gateway, "workload-full"), 1);
}

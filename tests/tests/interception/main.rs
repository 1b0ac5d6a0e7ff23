//! Which connections are intercepted, which are refused, and which are left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod egress;
mod events;
mod existing;
mod selectors;
mod ways;

use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Login},
    dial::{Dialled, dial, dial_in_new_netns, dial_once, opened_by},
    gateway::Gateway,
    limits::CLIENT_RUN_MAX,
    relay::Relay,
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
};
use serde_json::Value;
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
};

fn scene() -> Scene {
    Scene::mariadb(REPORTING_WORKS).unwrap()
}

fn status(gateway: &Gateway) -> Value {
    serde_json::from_slice(&gateway.cli(&["status", "--json"]).unwrap().stdout).unwrap()
}

/// Connections refused for a reason, as `portreeve status` counts them.
fn refused(gateway: &Gateway, reason: &str) -> u64 {
    let status = status(gateway);
    status["refused_connections"][reason].as_u64().unwrap_or_else(|| panic!("no count of {reason} in {status}"))
}

/// The gateway's own listener for IPv4.
fn listener(gateway: &Gateway) -> SocketAddr {
    status(gateway)["listen"][0].as_str().unwrap().parse().unwrap()
}

/// Intercepted: the client sees the server's greeting and address, and one session is recorded for it.
fn check_intercepted(gateway: &Gateway, dialled: &Dialled, peer: &str, destination: &str) {
    let (version, seen) = dialled.greeting().unwrap_or_else(|| panic!("{dialled:?}"));
    assert!(version.contains("MariaDB"), "{dialled:?}");
    assert_eq!(seen, peer, "getpeername");
    assert_eq!(dialled.recorded_destinations(gateway).unwrap(), [destination], "{dialled:?}");
}

/// Left alone: the client reaches the server, and nothing is recorded.
fn check_untouched(gateway: &Gateway, dialled: &Dialled, peer: &str) {
    assert_eq!(dialled.greeting().unwrap_or_else(|| panic!("{dialled:?}")).1, peer);
    assert!(dialled.recorded_destinations(gateway).unwrap().is_empty(), "{dialled:?}");
}

/// Nowhere to go on to: the greeting is the gateway's own, for the client to read why after its login.
fn check_met_by_the_gateway(dialled: &Dialled) {
    let (version, _) = dialled.greeting().unwrap_or_else(|| panic!("{dialled:?}"));
    assert!(version.contains("portreeve"), "{dialled:?}");
}

#[test]
fn a_client_outside_every_tagged_cgroup_is_not_touched() {
    let scene = scene();
    let (server, host) = (&scene.server, scene.server.address());
    server.sql("CREATE OR REPLACE USER direct@'%' IDENTIFIED BY 'its own'").unwrap();
    let login = Login { user: "direct".into(), password: "its own".into(), ..Login::agent(host) };
    let untagged = Cgroup::create("untagged").unwrap();
    for cgroup in [None, Some(&untagged)] {
        let answer = client::mariadb(cgroup, &login, "SELECT CURRENT_USER()").unwrap();
        assert!(answer.ok() && answer.stdout.contains("direct@%"), "{answer:?}");
        let dialled = dial_once(cgroup, "plain", &host.to_string(), PORT, &[]).unwrap();
        check_untouched(&scene.gateway, &dialled, &format!("{host} {PORT}"));
    }
    assert_eq!(scene.gateway.records(&[]).unwrap(), Vec::<Value>::new());
    assert_eq!(status(&scene.gateway)["sessions_total"], 0);
}

#[test]
fn a_tagged_client_is_intercepted_however_it_connects() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let (peer, destination) = (format!("{host} {PORT}"), format!("{host}:{PORT}"));
    let ways = ["plain", "nonblocking", "fastopen", "fastopen_connect", "io_uring", "io_uring_polled", "after_failure"];
    for way in ways {
        let unprivileged = dial_once(Some(&scene.reporting), "unprivileged", &host, PORT, &[way]).unwrap();
        check_intercepted(&scene.gateway, &unprivileged, &peer, &destination);
        let opened = opened_by(&scene.gateway, unprivileged.pid).unwrap();
        assert_eq!(opened[0]["workload"], "spiffe://example.org/reporting", "{way}");
        assert_eq!(opened[0]["evidence"]["uid"], 65534, "{way}");
    }
    for way in ["plain", "unprivileged"] {
        let dialled = dial_once(Some(&scene.reporting), way, &host, PORT, &[]).unwrap();
        check_intercepted(&scene.gateway, &dialled, &peer, &destination);
        let opened = opened_by(&scene.gateway, dialled.pid).unwrap();
        assert_eq!(opened[0]["workload"], "spiffe://example.org/reporting", "{way}");
        assert_eq!(opened[0]["evidence"]["uid"], if way == "unprivileged" { 65534 } else { 0 }, "{way}");
    }
    // A forked child, then its parent: each under its own process id.
    let family = dial(Some(&scene.reporting), "child", &host, PORT, &[]).unwrap();
    assert!(family.len() == 2 && family[0].pid != family[1].pid, "{family:?}");
    for dialled in &family {
        check_intercepted(&scene.gateway, dialled, &peer, &destination);
    }
}

#[test]
fn a_tagged_client_is_intercepted_by_any_form_of_the_address() {
    let relay_at: SocketAddr = "[::1]:3306".parse().unwrap();
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.servers[0].matches.push("[::1]:3306".into());
    })
    .unwrap();
    let host = scene.server.address();
    let relay = Relay::start(relay_at, (host, PORT).into(), None).unwrap();

    let mapped = format!("::ffff:{host}");
    let dialled = dial_once(Some(&scene.reporting), "plain", &mapped, PORT, &[]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &format!("{mapped} {PORT}"), &format!("{host}:{PORT}"));

    let dialled = dial_once(Some(&scene.reporting), "plain", "::1", PORT, &[]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &format!("::1 {PORT}"), "[::1]:3306");
    assert_eq!(relay.accepted(), 1, "the daemon reaches an IPv6 server");
    // `::` is `::1` to the kernel.
    let dialled = dial_once(Some(&scene.reporting), "plain", "::", PORT, &[]).unwrap();
    assert!(dialled.greeting().is_some(), "{dialled:?}");
    assert_eq!(dialled.recorded_destinations(&scene.gateway).unwrap(), ["[::1]:3306"]);

    // 0.0.0.0 is 127.0.0.1 to the kernel, where no server is configured.
    let dialled = dial_once(Some(&scene.reporting), "plain", "0.0.0.0", PORT, &[]).unwrap();
    check_met_by_the_gateway(&dialled);
    assert_eq!(dialled.recorded_destinations(&scene.gateway).unwrap(), ["127.0.0.1:3306"]);
}

#[test]
fn a_cgroup_below_a_tagged_one_is_in_scope() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let outer = scene.reporting.child("outer").unwrap();
    let inner = outer.child("inner").unwrap();
    let dialled = dial_once(Some(&inner), "plain", &host, PORT, &[]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
    let opened = opened_by(&scene.gateway, dialled.pid).unwrap();
    assert_eq!(opened[0]["workload"], "spiffe://example.org/reporting");
    assert_ne!(opened[0]["evidence"]["cgroup_id"], opened[0]["evidence"]["tagged_cgroup_id"]);
}

#[test]
fn the_cgroup_at_the_time_of_the_connect_counts() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let outside = Cgroup::create("outside").unwrap();
    let procs = |cgroup: &Cgroup| cgroup.path().join("cgroup.procs").display().to_string();
    let moves = [procs(&scene.reporting), procs(&outside)];
    let moves: Vec<&str> = moves.iter().map(String::as_str).collect();
    let all = dial(Some(&outside), "moving", &host, PORT, &moves).unwrap();
    assert!(all.len() == 3 && all.iter().all(|dialled| dialled.greeting().is_some()), "{all:?}");
    // Outside, inside, outside: only the middle one is a session.
    assert_eq!(all[0].recorded_destinations(&scene.gateway).unwrap(), [format!("{host}:{PORT}")]);
}

#[test]
fn a_socket_that_is_connected_again_is_a_session_of_its_own() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let all = dial(Some(&scene.reporting), "redial", &host, PORT, &["127.0.0.9"]).unwrap();
    check_met_by_the_gateway(&all[0]);
    assert_eq!(all[1].greeting().unwrap_or_else(|| panic!("{all:?}")).1, format!("{host} {PORT}"));
    let destinations = all[1].recorded_destinations(&scene.gateway).unwrap();
    assert_eq!(destinations, [format!("127.0.0.9:{PORT}"), format!("{host}:{PORT}")]);
}

#[test]
fn a_redirected_socket_that_dials_the_gateway_itself_has_no_identity_left() {
    let scene = scene();
    let (host, gateway) = (scene.server.address().to_string(), listener(&scene.gateway));
    let first = [host.as_str(), &PORT.to_string()];
    let all = dial(Some(&scene.reporting), "redial", &gateway.ip().to_string(), gateway.port(), &first).unwrap();
    assert_eq!(all[0].greeting().unwrap_or_else(|| panic!("{all:?}")).1, format!("{host} {PORT}"));
    assert_eq!(all[1].closed_after(), Some(0), "{all:?}");
    assert_eq!(all[1].recorded_destinations(&scene.gateway).unwrap(), [format!("{host}:{PORT}")]);
    assert_eq!(refused(&scene.gateway, "no-record"), 1);
}

#[test]
fn dialling_the_gateway_itself_ends_without_a_byte() {
    let scene = scene();
    let gateway = listener(&scene.gateway);
    for (number, cgroup) in [None, Some(&scene.reporting)].into_iter().enumerate() {
        let dialled = dial_once(cgroup, "plain", &gateway.ip().to_string(), gateway.port(), &[]).unwrap();
        assert_eq!(dialled.closed_after(), Some(0), "{dialled:?}");
        assert_eq!(refused(&scene.gateway, "no-record"), number as u64 + 1);
    }
    assert_eq!(scene.gateway.records(&[]).unwrap(), Vec::<Value>::new());
}

#[test]
fn an_identity_is_not_left_behind_with_a_source_port() {
    let scene = scene();
    let (host, gateway) = (scene.server.address().to_string(), listener(&scene.gateway));
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let source = free.local_addr().unwrap().port().to_string();
    drop(free);
    let agent = dial_once(Some(&scene.reporting), "from_port", &host, PORT, &[&source]).unwrap();
    check_intercepted(&scene.gateway, &agent, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
    // The same four-tuple, by somebody who is no workload.
    let gateway = (gateway.ip().to_string(), gateway.port());
    let stranger = dial_once(None, "from_port", &gateway.0, gateway.1, &[&source]).unwrap();
    assert_eq!(stranger.closed_after(), Some(0), "{stranger:?}");
    assert!(stranger.recorded_destinations(&scene.gateway).unwrap().is_empty());
    assert_eq!(refused(&scene.gateway, "no-record"), 1);
}

#[test]
fn a_squatter_on_the_port_of_a_dead_daemon_gets_nobody() {
    let mut scene = scene();
    let host = scene.server.address().to_string();
    let gateway = listener(&scene.gateway);
    scene.gateway.kill9().unwrap();
    let squatter = TcpListener::bind(gateway).unwrap();
    squatter.set_nonblocking(true).unwrap();
    for address in [host.clone(), format!("::ffff:{host}")] {
        let dialled = dial_once(Some(&scene.reporting), "plain", &address, PORT, &[]).unwrap();
        assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
    }
    assert_eq!(squatter.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody came");
    drop(squatter);
    scene.gateway.restart().unwrap();
    assert_eq!(refused(&scene.gateway, "foreign-listener"), 2);
}

#[test]
fn a_socket_bound_to_a_device_is_refused() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let names = std::fs::read_dir("/sys/class/net").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.filter(|name| name != "lo").min().expect("a network device besides lo");
    let dialled = dial_once(Some(&scene.reporting), "device", &host, PORT, &[&name]).unwrap();
    assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
    assert_eq!(refused(&scene.gateway, "bound-to-device"), 1);
    // Bound to the device that the gateway listens at, nothing is lost.
    let dialled = dial_once(Some(&scene.reporting), "device", &host, PORT, &["lo"]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
}

#[test]
fn other_protocols_and_ports_are_left_alone() {
    let scene = scene();
    let host = scene.server.address();
    let echo = UdpSocket::bind((host, PORT)).unwrap();
    echo.set_read_timeout(Some(CLIENT_RUN_MAX)).unwrap();
    let echo = thread::spawn(move || {
        let mut datagram = [0; 16];
        let (length, from) = echo.recv_from(&mut datagram).unwrap();
        echo.send_to(&datagram[..length], from).unwrap();
    });
    let dialled = dial_once(Some(&scene.reporting), "datagram", &host.to_string(), PORT, &[]).unwrap();
    assert_eq!(dialled.greeting(), Some(("ping".into(), format!("{host} {PORT}"))), "{dialled:?}");
    echo.join().unwrap();

    let other = Relay::start((host, 0).into(), (host, PORT).into(), None).unwrap();
    let port = other.address().port();
    let dialled = dial_once(Some(&scene.reporting), "plain", &host.to_string(), port, &[]).unwrap();
    check_untouched(&scene.gateway, &dialled, &format!("{host} {port}"));
    assert_eq!(scene.gateway.records(&[]).unwrap(), Vec::<Value>::new());
}

#[test]
fn from_another_network_namespace_nothing_goes_past_the_gateway() {
    let scene = scene();
    let outside = dial_in_new_netns(None, "plain", "127.0.0.1", PORT, &[]).unwrap();
    assert_eq!(outside.errno(), Some("ECONNREFUSED"), "an untagged client is not touched there: {outside:?}");
    // First a listener at the guarded port, which must not be reached; then one at the gateway's own port.
    let gateway = listener(&scene.gateway).port();
    let agent = |at: u16| {
        let at = at.to_string();
        dial_in_new_netns(Some(&scene.reporting), "listening", "127.0.0.1", PORT, &[&at]).unwrap()
    };
    let met = agent(PORT);
    check_met_by_the_gateway(&met);
    assert_eq!(met.recorded_destinations(&scene.gateway).unwrap(), [format!("127.0.0.1:{PORT}")]);
    // On a slow machine the gateway itself may have been there first; then its port is taken.
    let squatting = agent(gateway);
    let by_hook = match squatting.errno() {
        Some("EPERM") => 1,
        Some("EADDRINUSE") => 0,
        other => panic!("{other:?}: {squatting:?}"),
    };
    assert_eq!(refused(&scene.gateway, "gateway-port"), by_hook);
    assert_eq!(status(&scene.gateway)["sessions_total"], 1);
}

#[test]
fn two_daemons_side_by_side_do_not_meet() {
    let (mut one, two) = (scene(), scene());
    let host = one.server.address().to_string();
    let (peer, destination) = (format!("{host} {PORT}"), format!("{host}:{PORT}"));
    let of_one = dial_once(Some(&one.reporting), "plain", &host, PORT, &[]).unwrap();
    let of_two = dial_once(Some(&two.reporting), "plain", &host, PORT, &[]).unwrap();
    check_intercepted(&one.gateway, &of_one, &peer, &destination);
    check_intercepted(&two.gateway, &of_two, &peer, &destination);
    assert!(of_one.recorded_destinations(&two.gateway).unwrap().is_empty());
    assert!(of_two.recorded_destinations(&one.gateway).unwrap().is_empty());
    assert_ne!(status(&one.gateway)["pins_dir"], status(&two.gateway)["pins_dir"]);
    // One dies: its agents are refused, and nobody else is.
    one.gateway.kill9().unwrap();
    let refused = dial_once(Some(&one.reporting), "plain", &host, PORT, &[]).unwrap();
    assert_eq!(refused.errno(), Some("EPERM"), "{refused:?}");
    let of_two = dial_once(Some(&two.reporting), "plain", &host, PORT, &[]).unwrap();
    check_intercepted(&two.gateway, &of_two, &peer, &destination);
    drop(one);
    let of_two = dial_once(Some(&two.reporting), "plain", &host, PORT, &[]).unwrap();
    check_intercepted(&two.gateway, &of_two, &peer, &destination);
}

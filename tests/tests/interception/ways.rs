//! Ways round interception: each is tried as an agent would try it, and is refused.

use super::{check_intercepted, check_untouched, listener, refused, scene};
use portreeve_tests::{
    cgroup::Cgroup,
    dial::{dial, dial_once},
    gateway::Gateway,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
};
use std::{process::Command, thread, time::Instant};

/// Numbers of `socket(2)`, as arguments of the way `of_protocol`.
const STREAM: &str = "1";
const RAW: &str = "3";
/// A user of its own: the programs look at all of the host, and other tests run beside this one as nobody.
const OWNER: &str = "65321";

fn procs(cgroup: &Cgroup) -> String {
    cgroup.path().join("cgroup.procs").display().to_string()
}

/// Nothing at all was recorded for the refused call.
fn check_refused(gateway: &Gateway, dialled: &portreeve_tests::dial::Dialled, errno: &str, reason: &str, count: u64) {
    assert_eq!(dialled.errno(), Some(errno), "{dialled:?}");
    assert!(dialled.recorded_destinations(gateway).unwrap().is_empty(), "{dialled:?}");
    assert_eq!(refused(gateway, reason), count, "{reason}");
}

#[test]
fn a_socket_that_was_made_outside_is_refused_inside() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let outside = Cgroup::create("outside").unwrap();
    let inside = procs(&scene.reporting);
    for (number, way) in ["created_elsewhere", "handed_over"].into_iter().enumerate() {
        let dialled = dial_once(Some(&outside), way, &host, PORT, &[&inside]).unwrap();
        check_refused(&scene.gateway, &dialled, "EPERM", "other-creator", number as u64 + 1);
    }
    // The same in v6's program.
    let dialled = dial_once(Some(&outside), "handed_over", &format!("::ffff:{host}"), PORT, &[&inside]).unwrap();
    check_refused(&scene.gateway, &dialled, "EPERM", "other-creator", 3);
}

#[test]
fn a_socket_that_was_made_inside_is_refused_outside_and_in_another_workload() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let outside = Cgroup::create("outside").unwrap();
    for (number, to) in [&outside, &scene.ingest].into_iter().enumerate() {
        let dialled = dial_once(Some(&scene.reporting), "handed_over", &host, PORT, &[&procs(to)]).unwrap();
        check_refused(&scene.gateway, &dialled, "EPERM", "other-creator", number as u64 + 1);
    }
}

#[test]
fn mptcp_is_refused_so_that_programs_fall_back_to_tcp() {
    let scene = scene();
    let host = scene.server.address().to_string();
    for (number, address) in [host.clone(), "::1".into()].iter().enumerate() {
        let arguments = ["of_protocol", STREAM, "262"];
        let dialled = dial_once(Some(&scene.reporting), "unprivileged", address, PORT, &arguments).unwrap();
        check_refused(&scene.gateway, &dialled, "EPROTONOSUPPORT", "protocol", number as u64 + 1);
    }
    let dialled = dial_once(None, "unprivileged", &host, PORT, &["of_protocol", STREAM, "262"]).unwrap();
    check_untouched(&scene.gateway, &dialled, &format!("{host} {PORT}"));
}

#[test]
fn raw_sockets_are_refused_even_to_root() {
    let scene = scene();
    let host = scene.server.address().to_string();
    // Raw TCP, raw IP, and ICMP.
    for (number, protocol) in ["6", "255", "1"].iter().enumerate() {
        let dialled = dial_once(Some(&scene.reporting), "of_protocol", &host, PORT, &[RAW, protocol]).unwrap();
        check_refused(&scene.gateway, &dialled, "EPERM", "protocol", number as u64 + 1);
    }
    // Without privileges, the kernel refuses before we do.
    let arguments = ["of_protocol", RAW, "6"];
    let dialled = dial_once(Some(&scene.reporting), "unprivileged", &host, PORT, &arguments).unwrap();
    check_refused(&scene.gateway, &dialled, "EPERM", "protocol", 3);
}

#[test]
fn the_gateways_port_is_nobody_elses_to_bind() {
    let mut scene = scene();
    let gateway = listener(&scene.gateway);
    let (address, port) = (gateway.ip().to_string(), gateway.port());
    scene.gateway.kill9().unwrap();
    let other = Cgroup::create("other").unwrap();
    let tries = [
        (Some(&scene.reporting), "squatting"),
        (Some(&scene.reporting), "unprivileged"),
        (Some(&other), "unprivileged"),
    ];
    for (cgroup, way) in tries {
        let arguments: &[&str] = if way == "squatting" { &[] } else { &["squatting"] };
        for address in [address.as_str(), "127.0.0.77", "::1"] {
            let dialled = dial_once(cgroup, way, address, port, arguments).unwrap();
            assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
        }
    }
    let beside = dial_once(Some(&other), "unprivileged", &address, port ^ 1, &["squatting"]).unwrap();
    assert_ne!(beside.errno(), Some("EPERM"), "{beside:?}");
    scene.gateway.restart().unwrap();
    assert_eq!(refused(&scene.gateway, "gateway-port"), 9);
}

#[test]
fn translation_in_a_namespace_of_the_agents_own_leads_nowhere() {
    let scene = scene();
    // The way works where nobody is tagged, so that the test can fail.
    let other = Cgroup::create("other").unwrap();
    let dialled = dial_once(Some(&other), "unprivileged", "127.0.0.1", PORT, &["translated", "9999"]).unwrap();
    assert_eq!(dialled.greeting().unwrap_or_else(|| panic!("{dialled:?}")).0, "TRAP");
    let dialled =
        dial_once(Some(&scene.reporting), "unprivileged", "127.0.0.1", PORT, &["translated", "9999"]).unwrap();
    assert!(dialled.greeting().is_none() && dialled.errno().is_some(), "{dialled:?}");
    assert!(refused(&scene.gateway, "unredirected") > 0);
    assert!(dialled.recorded_destinations(&scene.gateway).unwrap().is_empty());
}

#[test]
fn the_programs_stay_while_the_daemon_lives_though_their_pins_are_removed() {
    let scene = scene();
    let host = scene.server.address().to_string();
    let pins = super::status(&scene.gateway)["pins_dir"].as_str().unwrap().to_owned();
    let mut remove = Command::new("rm");
    remove.args(["-r", &pins]);
    assert!(process::output(remove, CLIENT_RUN_MAX).unwrap().status.success());
    let dialled = dial_once(Some(&scene.reporting), "unprivileged", &host, PORT, &[]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
    let start = Instant::now();
    while !scene.gateway.log().contains("somebody removed pins") {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "the daemon does not say so");
        thread::sleep(POLL_EVERY);
    }
}

#[test]
fn one_workload_cannot_use_up_the_room_of_all() {
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.interception.push_str("connections_per_workload = 3\n");
    })
    .unwrap();
    let host = scene.server.address().to_string();
    let (peer, destination) = (format!("{host} {PORT}"), format!("{host}:{PORT}"));
    // Twice: what was closed is open again for others.
    for round in 1..=2 {
        let all = dial(Some(&scene.reporting), "unprivileged", &host, PORT, &["many", "5"]).unwrap();
        let outcomes: Vec<_> = all.iter().map(|dialled| dialled.errno()).collect();
        assert_eq!(outcomes, [None, None, None, Some("EPERM"), Some("EPERM")], "{all:?}");
        assert_eq!(refused(&scene.gateway, "workload-full"), round * 2);
        let other = dial_once(Some(&scene.ingest), "plain", &host, PORT, &[]).unwrap();
        check_intercepted(&scene.gateway, &other, &peer, &destination);
    }
}

#[test]
fn a_workloads_uid_outside_of_its_cgroup_is_refused() {
    let agents = Cgroup::create("owner").unwrap();
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        let cgroup = agents.relative().display().to_string();
        config.extra = format!("[[workload]]\nname = \"owner\"\ncgroup = {cgroup:?}\nuids = [{OWNER}]\n");
    })
    .unwrap();
    let host = scene.server.address().to_string();
    let (peer, destination) = (format!("{host} {PORT}"), format!("{host}:{PORT}"));
    // As from `systemd-run --user`, cron, or any other cgroup.
    let other = Cgroup::create("other").unwrap();
    for (number, cgroup) in [None, Some(&other)].into_iter().enumerate() {
        let dialled = dial_once(cgroup, "as_user", &host, PORT, &[OWNER]).unwrap();
        check_refused(&scene.gateway, &dialled, "EPERM", "uid-outside", number as u64 + 1);
    }
    let dialled = dial_once(Some(&other), "plain", &host, PORT, &[]).unwrap();
    check_untouched(&scene.gateway, &dialled, &peer);
    let dialled = dial_once(Some(&scene.reporting), "as_user", &host, PORT, &[OWNER]).unwrap();
    check_intercepted(&scene.gateway, &dialled, &peer, &destination);
}

//! A workload whose egress is listed reaches the gateway and what is on its list, by TCP and UDP.

use super::{check_intercepted, check_untouched, refused};
use portreeve_tests::{
    cgroup::Cgroup,
    dial::{Dialled, dial_once},
    relay::Relay,
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
};

/// A daemon with one more workload, `lister`, whose cgroup is given and whose list is this one.
fn scene_with(lister: &Cgroup, allow: &[String]) -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        let cgroup = lister.relative().display().to_string();
        config.extra = format!(
            "[[workload]]\nname = \"lister\"\ncgroup = {cgroup:?}\ngroups = [\"reporting\"]\negress = \"listed\"\negress_allow = {allow:?}\n"
        );
    })
    .unwrap()
}

/// Answers every datagram, until the test process ends.
fn echo(ip: IpAddr) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 16];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..length], from);
        }
    });
    address
}

fn unprivileged(cgroup: &Cgroup, way: &str, to: SocketAddr) -> Dialled {
    dial_once(Some(cgroup), "unprivileged", &to.ip().to_string(), to.port(), &[way]).unwrap()
}

#[test]
fn what_is_not_on_the_list_is_refused_and_what_is_is_left_alone() {
    let lister = Cgroup::create("lister").unwrap();
    let server = server(Flavour::MariaDb).unwrap();
    let host = server.address();
    for ip in [IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap()] {
        let relays = [0, 1].map(|_| Relay::start((ip, 0).into(), (host, PORT).into(), None).unwrap());
        let [listed, other] = [relays[0].address(), relays[1].address()];
        let [listed_udp, other_udp] = [echo(ip), echo(ip)];
        let scene = scene_with(&lister, &[listed.to_string(), listed_udp.to_string()]);

        let dialled = unprivileged(&lister, "plain", listed);
        check_untouched(&scene.gateway, &dialled, &format!("{ip} {}", listed.port()));
        let dialled = unprivileged(&lister, "plain", other);
        assert_eq!(dialled.errno(), Some("EPERM"), "{dialled:?}");
        for (number, way) in ["datagram", "datagram_to"].into_iter().enumerate() {
            let dialled = unprivileged(&lister, way, listed_udp);
            assert_eq!(dialled.greeting(), Some(("ping".into(), format!("{ip} {}", listed_udp.port()))), "{dialled:?}");
            let dialled = unprivileged(&lister, way, other_udp);
            assert_eq!(dialled.errno(), Some("EPERM"), "{way} {dialled:?}");
            assert_eq!(refused(&scene.gateway, "egress"), number as u64 + 2);
        }
        // Others are not touched.
        let dialled = unprivileged(&scene.ingest, "plain", other);
        check_untouched(&scene.gateway, &dialled, &format!("{ip} {}", other.port()));
        let dialled = unprivileged(&scene.ingest, "datagram_to", other_udp);
        assert!(dialled.greeting().is_some(), "{dialled:?}");
    }
}

#[test]
fn guarded_ports_go_to_the_gateway_without_being_listed() {
    let lister = Cgroup::create("lister").unwrap();
    let scene = scene_with(&lister, &[]);
    let host = scene.server.address().to_string();
    for address in [host.clone(), format!("::ffff:{host}")] {
        let dialled = dial_once(Some(&lister), "unprivileged", &address, PORT, &[]).unwrap();
        check_intercepted(&scene.gateway, &dialled, &format!("{address} {PORT}"), &format!("{host}:{PORT}"));
    }
}

#[test]
fn a_network_is_listed_with_its_port_only() {
    let lister = Cgroup::create("lister").unwrap();
    let server = server(Flavour::MariaDb).unwrap();
    let host = server.address();
    let relays = [0, 1].map(|_| Relay::start(([127, 0, 0, 1], 0).into(), (host, PORT).into(), None).unwrap());
    let [listed, other] = [relays[0].address(), relays[1].address()];
    let scene = scene_with(&lister, &[format!("127.0.0.0/8:{}", listed.port())]);
    assert!(unprivileged(&lister, "plain", listed).greeting().is_some());
    assert_eq!(unprivileged(&lister, "plain", other).errno(), Some("EPERM"));
    // By its v4-mapped name as well.
    let mapped = dial_once(Some(&lister), "unprivileged", "::ffff:127.0.0.1", listed.port(), &["plain"]).unwrap();
    assert!(mapped.greeting().is_some(), "{mapped:?}");
    drop(scene);
}

#[test]
fn translation_does_not_lead_off_the_list() {
    let lister = Cgroup::create("lister").unwrap();
    let scene = scene_with(&lister, &["127.0.0.1:9999".into()]);
    // 9999 is listed, but the packet goes to 9998.
    let dialled = dial_once(Some(&lister), "unprivileged", "127.0.0.1", 9998, &["translated", "9999"]).unwrap();
    assert!(dialled.greeting().is_none() && dialled.errno().is_some(), "{dialled:?}");
    assert!(refused(&scene.gateway, "egress") > 0);
}

//! A workload whose egress is listed, in a network namespace of its own.

use super::{scene_with, server};
use portreeve_tests::{
    cgroup::Cgroup,
    dial::{Dialled, dial_once_in},
    netns::{HOST, Netns},
    process,
    relay::Relay,
    scene::Scene,
    servers::PORT,
};
use std::net::SocketAddr;

fn scene(lister: &Cgroup, allow: SocketAddr) -> Scene {
    scene_with(|config| {
        let cgroup = lister.relative().display().to_string();
        config.extra = format!(
            "[[workload]]\nname = \"lister\"\ncgroup = {cgroup:?}\ngroups = [\"reporting\"]\negress = \"listed\"\negress_allow = [\"{allow}\"]\n"
        );
    })
}

fn dialled(lister: &Cgroup, netns: &Netns, to: SocketAddr) -> Dialled {
    dial_once_in(netns, Some(lister), "unprivileged", &to.ip().to_string(), to.port(), &["plain"]).unwrap()
}

#[test]
fn the_list_holds_in_every_namespace_and_behind_its_nat() {
    let _server = server();
    let lister = Cgroup::create("lister").unwrap();
    // Their threads are where the one is that makes them.
    let relay = || process::on_keeper(|| Relay::start((HOST, 0).into(), (HOST, PORT).into(), None)).unwrap().unwrap();
    let relays = [relay(), relay()];
    let [listed, other] = [relays[0].address(), relays[1].address()];
    let scene = scene(&lister, listed);
    let netns = Netns::create().unwrap();
    netns.attach().unwrap();

    let reached = dialled(&lister, &netns, listed);
    assert!(reached.greeting().is_some(), "{reached:?}");
    let refused = dialled(&lister, &netns, other);
    assert_eq!(refused.errno(), Some("EPERM"), "{refused:?}");
    let server = dialled(&lister, &netns, (HOST, PORT).into());
    assert_eq!(server.recorded_destinations(&scene.gateway).unwrap().len(), 1, "{server:?}");

    // What is on the list is led to what is not.
    netns.run("nft", "add table ip t").unwrap();
    netns.run("nft", "add chain ip t o { type nat hook output priority -100; }").unwrap();
    netns.run("nft", &format!("add rule ip t o ip daddr {HOST} tcp dport {} dnat to {other}", listed.port())).unwrap();
    let led = dialled(&lister, &netns, listed);
    assert!(led.greeting().is_none(), "{led:?}");
}

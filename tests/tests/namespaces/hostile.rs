//! Agents that rule their own network namespace.

use super::{
    QUERY, WORD, ask, check_intercepted, dialled_from_here, gateway_port, is_listening, refused, scene, stay, wait_for,
};
use portreeve_tests::{
    dial::{dial, dial_in, dial_once},
    netns::{HOST, Netns},
    servers::PORT,
};

#[test]
fn a_server_of_the_agent_s_own_at_the_server_s_address_is_not_what_is_dialled() {
    let scene = scene();
    let agent = dial_once(Some(&scene.reporting), "unprivileged", &HOST.to_string(), PORT, &["impostor"]).unwrap();
    check_intercepted(&scene, &agent);
    let netns = Netns::create().unwrap();
    netns.run("ip", &format!("addr add {HOST}/32 dev lo")).unwrap();
    let answer = ask(&scene.reporting, &netns, &HOST.to_string(), QUERY);
    assert!(answer.ok() && answer.stdout.contains(WORD), "{answer:?}");
}

#[test]
fn the_gateway_s_port_cannot_be_taken_before_the_gateway_comes() {
    let scene = scene();
    let port = gateway_port(&scene.gateway);
    let arguments = ["squatting_there", port.as_str()];
    let agent = dial_once(Some(&scene.reporting), "unprivileged", &HOST.to_string(), PORT, &arguments).unwrap();
    assert_eq!(agent.errno(), Some("EPERM"), "{agent:?}");
    assert_eq!(refused(&scene.gateway, "gateway-port"), 1);
}

#[test]
fn neither_nat_nor_routes_lead_a_redirected_connect_elsewhere_or_give_it_another_source() {
    let scene = scene();
    let port = gateway_port(&scene.gateway);
    for way in ["misled", "disguised", "routed_away"] {
        let before = refused(&scene.gateway, "unredirected");
        let arguments = [way, port.as_str()];
        let agent = dial_once(Some(&scene.reporting), "unprivileged", &HOST.to_string(), PORT, &arguments).unwrap();
        assert!(agent.greeting().is_none() && agent.closed_after().is_none(), "{agent:?}");
        assert!(refused(&scene.gateway, "unredirected") > before, "{way}");
        assert!(agent.recorded_destinations(&scene.gateway).unwrap().is_empty());
    }
}

#[test]
fn without_its_loopback_interface_an_agent_reaches_nobody() {
    let scene = scene();
    let both = dial(Some(&scene.reporting), "unprivileged", &HOST.to_string(), PORT, &["loopback_down"]).unwrap();
    assert!(both[0].greeting().is_some(), "{both:?}");
    assert!(both[1].greeting().is_none() && both[1].errno().is_some(), "{both:?}");
}

#[test]
fn a_socket_belongs_to_the_namespace_that_it_was_made_in() {
    let scene = scene();
    let (one, other) = (Netns::create().unwrap(), Netns::create().unwrap());
    let (here, there) = (one.path().display().to_string(), other.path().display().to_string());
    // The process is not where its socket is, so that the daemon finds no way there.
    let lost = dialled_from_here(&scene, "socket_from", &[&here, &there]);
    assert_eq!(lost.errno(), Some("ETIMEDOUT"), "{lost:?}");
    let _stays = stay(&scene, &one);
    wait_for(&scene.gateway, "somebody else is there", is_listening);
    check_intercepted(&scene, &dialled_from_here(&scene, "socket_from", &[&here, &there]));
}

#[test]
fn a_thread_that_went_to_a_namespace_alone_is_served_there() {
    let scene = scene();
    let (one, other) = (Netns::create().unwrap(), Netns::create().unwrap());
    let there = other.path().display().to_string();
    let agent = dial_in(&one, Some(&scene.reporting), "thread_elsewhere", &HOST.to_string(), PORT, &[&there]).unwrap();
    check_intercepted(&scene, &agent[0]);
}

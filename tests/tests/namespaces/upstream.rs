//! Where the server is dialled from.

use super::{QUERY, WORD, ask, ca, namespaces, scene_with, server, stay};
use portreeve_tests::{
    dial::dial_once_in,
    netns::{HOST, Netns},
    scene::Scene,
    servers::PORT,
};

/// Means nothing but in the agents' own namespace.
const THERE: &str = "192.0.2.5";

fn scene(namespace: &str) -> Scene {
    let server = server();
    let ca = ca(&server);
    scene_with(|config| {
        config.servers[0].matches = vec![format!("{THERE}:{PORT}")];
        config.servers[0].tls = "verify-identity".into();
        config.servers[0].extra =
            format!("ca_file = \"{}\"\nhosts = [\"db.example.org\"]\nnamespace = \"{namespace}\"\n", ca.display());
    })
}

/// A namespace whose NAT leads the address to the server.
fn translating() -> Netns {
    let netns = Netns::create().unwrap();
    netns.attach().unwrap();
    netns.run("nft", "add table ip t").unwrap();
    netns.run("nft", "add chain ip t o { type nat hook output priority -100; }").unwrap();
    netns.run("nft", &format!("add rule ip t o ip daddr {THERE} tcp dport {PORT} dnat to {HOST}:{PORT}")).unwrap();
    netns.run("nft", "add chain ip t p { type nat hook postrouting priority 100; }").unwrap();
    netns.run("nft", "add rule ip t p oifname eth0 masquerade").unwrap();
    netns
}

#[test]
fn a_server_of_the_workload_s_namespace_is_dialled_there_through_its_nat() {
    let scene = scene("workload");
    let netns = translating();
    let _stays = stay(&scene, &netns);
    let answer = ask(&scene.reporting, &netns, THERE, QUERY);
    assert!(answer.ok() && answer.stdout.contains(WORD), "{answer:?}\n{}", scene.gateway.log());
    assert_eq!(namespaces(&scene.gateway).len(), 1);
}

#[test]
fn a_server_of_the_host_s_is_not_dialled_from_the_workload_s_namespace() {
    let scene = scene("host");
    let answer = ask(&scene.reporting, &translating(), THERE, QUERY);
    assert!(!answer.ok() && !answer.stdout.contains(WORD), "{answer:?}");
}

#[test]
fn an_impostor_in_the_workload_s_namespace_gets_no_credential() {
    let scene = scene("workload");
    let netns = Netns::create().unwrap();
    // A real MariaDB without a certificate of that name would do no better: the name is what is asked for.
    let agent = dial_once_in(&netns, Some(&scene.reporting), "impostor", THERE, PORT, &[]).unwrap();
    assert!(!agent.greeting().is_some_and(|(version, _)| version.contains("TRAP")), "{agent:?}");
    let log = scene.gateway.log();
    assert!(!log.contains("held-by-portreeve"), "{log}");
}

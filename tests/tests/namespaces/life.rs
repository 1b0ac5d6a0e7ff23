//! Namespaces that come and go.

use super::{QUERY, WORD, ask, check_intercepted, dialled, is_listening, namespaces, scene, status, stay, wait_for};
use portreeve_tests::netns::{HOST, Netns};
use std::fs;

#[test]
fn a_namespace_without_agents_is_left_and_not_kept_alive() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let mut stays = stay(&scene, &netns);
    wait_for(&scene.gateway, "an agent is there", is_listening);
    let inode = namespaces(&scene.gateway)[0]["inode"].as_u64().unwrap();
    assert_eq!(holds(scene.gateway.pid().unwrap(), inode), 1);
    stays.kill().unwrap();
    stays.wait().unwrap();
    wait_for(&scene.gateway, "no agent is there", <[_]>::is_empty);
    assert_eq!(status(&scene.gateway)["namespaces_ended_total"], 1);
    assert_eq!(holds(scene.gateway.pid().unwrap(), inode), 0);
    // It is served again when somebody comes.
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
}

/// Descriptors of a process that are this network namespace.
fn holds(pid: u32, inode: u64) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy() == format!("net:[{inode}]")).count()
}

#[test]
fn a_loopback_interface_that_is_down_is_told_and_served_once_it_is_up() {
    let scene = scene();
    let netns = Netns::create_down().unwrap();
    let _stays = stay(&scene, &netns);
    let says_so = |text: &str| text.contains("loopback interface is down");
    wait_for(&scene.gateway, "it is told", |all| all.iter().any(|one| says_so(one["problem"].as_str().unwrap_or(""))));
    assert!(says_so(&scene.portreeve(&["status"]).unwrap()));
    let doctor = scene.gateway.cli(&["doctor"]).unwrap();
    assert!(says_so(&String::from_utf8_lossy(&doctor.stdout)), "{doctor:?}");
    let agent = dialled(&scene, &netns, "plain", &[]);
    assert!(matches!(agent.errno(), Some("ENETUNREACH" | "EADDRNOTAVAIL")), "{agent:?}");
    netns.run("ip", "link set lo up").unwrap();
    let answer = ask(&scene.reporting, &netns, &HOST.to_string(), QUERY);
    assert!(answer.ok() && answer.stdout.contains(WORD), "{answer:?}");
}

#[test]
fn a_port_that_is_taken_there_is_another_one() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let port = super::gateway_port(&scene.gateway);
    let mut squatter = std::process::Command::new("python3");
    let program = "import socket,sys,time\ns=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns.settimeout(60)\ntry:\n s.accept()\n open(sys.argv[2],'w')\nexcept OSError: pass";
    let met = scene.gateway.dir().join("somebody-came");
    squatter.args(["-c", program, &port]).arg(&met);
    let mut squatter = portreeve_tests::process::spawn(netns.command(&squatter)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let _stays = stay(&scene, &netns);
    wait_for(&scene.gateway, "it listens on another port", is_listening);
    let listen = namespaces(&scene.gateway)[0]["listen"][0].as_str().unwrap().to_owned();
    assert!(!listen.ends_with(&format!(":{port}")), "{listen}");
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
    assert!(!met.exists());
    squatter.kill().unwrap();
    squatter.wait().unwrap();
}

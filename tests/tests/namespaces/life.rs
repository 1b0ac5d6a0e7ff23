//! Namespaces that come and go, and agents in them that do.

use super::{
    QUERY, WORD, ask, check_intercepted, dialled, is_listening, mariadb, namespaces, scene, server, status, stay,
    until, wait_for,
};
use portreeve_tests::{
    client,
    netns::{HOST, Netns},
    process,
    scene::Scene,
};
use std::{
    fs,
    process::{Command, Stdio},
};

/// Whether a client still waits is read from the tables of its own namespace.
#[test]
fn a_client_that_leaves_has_its_statement_killed_and_one_that_waits_has_its_answer() {
    // Without this, `sleep` is denied.
    let scene = Scene::with(server(), "@id(\"all\") permit (principal, action, resource);", |_| ()).unwrap();
    let netns = Netns::create().unwrap();
    let mut half = client::program("python/half_closed.py").unwrap();
    half.args([&HOST.to_string(), "agent", "anything", ""]);
    let answer = client::run(Some(&scene.reporting), netns.command(&half)).unwrap();
    assert!(answer.ok() && answer.stdout == "waited\n", "{answer:?}");

    let long = netns.command(&mariadb(&HOST.to_string(), "SELECT SLEEP(25)"));
    let mut leaving = scene.reporting.command(long.get_program()).unwrap();
    leaving.args(long.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut leaving = process::spawn(leaving).unwrap();
    let running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(25)'";
    until(|| scene.server.sql(running).unwrap().trim() == "1", || "the statement does not run".into());
    leaving.kill().unwrap();
    leaving.wait().unwrap();
    let records = scene.records_when_closed(2).unwrap();
    let abandoned: Vec<_> = records.iter().filter(|record| record["record"] == "abandoned").collect();
    assert_eq!(abandoned.len(), 1, "{records:?}");
    assert_eq!(abandoned[0]["killed"], true, "{abandoned:?}");
}

#[test]
fn a_namespace_without_agents_is_left_and_not_kept_alive() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let stays = stay(&scene, &netns);
    wait_for(&scene.gateway, "an agent is there", is_listening);
    let inode = namespaces(&scene.gateway)[0]["inode"].as_u64().unwrap();
    assert_eq!(holds(scene.gateway.pid().unwrap(), inode), 1);
    drop(stays);
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
    let mut squatter = Command::new("python3");
    let program = "import socket,sys,time\ns=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns.settimeout(60)\nopen(sys.argv[3],'w')\ntry:\n s.accept()\n open(sys.argv[2],'w')\nexcept OSError: pass";
    let (met, there) = (scene.gateway.dir().join("somebody-came"), scene.gateway.dir().join("it-listens"));
    squatter.args(["-c", program, &port]).arg(&met).arg(&there);
    let mut squatter = process::spawn(netns.command(&squatter)).unwrap();
    until(|| there.exists(), || "the squatter does not listen".into());
    let _stays = stay(&scene, &netns);
    wait_for(&scene.gateway, "it listens on another port", is_listening);
    let listen = namespaces(&scene.gateway)[0]["listen"][0].as_str().unwrap().to_owned();
    assert!(!listen.ends_with(&format!(":{port}")), "{listen}");
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
    assert!(!met.exists());
    squatter.kill().unwrap();
    squatter.wait().unwrap();
}

//! A server's other ports: X protocol, group replication, administration.

use super::EVERYTHING;
use portreeve_tests::{
    dial::dial_once,
    scene::{Scene, server},
    servers::Flavour,
    wire::framed,
};
use std::{io::Write as _, net::TcpListener, thread};

const OTHERS: [u16; 3] = [33060, 33061, 33062];

/// Greets everybody, at every one of the ports, until the process ends.
fn listen(scene: &Scene) {
    for port in OTHERS {
        let listener = TcpListener::bind((scene.server.address(), port)).unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A client may have gone.
                let _ = stream.write_all(&framed(0, b"\x0Aanother way\0"));
            }
        });
    }
}

#[test]
fn the_other_ports_are_refused_to_workloads_and_open_to_others() {
    let scene = Scene::mariadb(EVERYTHING).unwrap();
    listen(&scene);
    let address = scene.server.address().to_string();
    for port in OTHERS {
        for way in ["plain", "nonblocking"] {
            let refused = dial_once(Some(&scene.reporting), way, &address, port, &[]).unwrap();
            assert_eq!(refused.errno(), Some("EPERM"), "{port}: {refused:?}");
            let served = dial_once(None, way, &address, port, &[]).unwrap();
            assert_eq!(served.greeting().unwrap().0, "another way", "{port}");
        }
    }
    // At any address, listened at or not.
    let elsewhere = dial_once(Some(&scene.ingest), "plain", "192.0.2.1", 33060, &[]).unwrap();
    assert_eq!(elsewhere.errno(), Some("EPERM"), "{elsewhere:?}");
    let v6 = dial_once(Some(&scene.ingest), "plain", "::1", 33060, &[]).unwrap();
    assert_eq!(v6.errno(), Some("EPERM"), "{v6:?}");
    let status = scene.portreeve(&["status"]).unwrap();
    let refused = status.lines().find(|line| line.starts_with("refused")).unwrap();
    assert!(refused.contains("refused-port 8") || refused.contains("refused port 8"), "{status}");
}

#[test]
fn the_configuration_may_open_them() {
    let server = server(Flavour::MariaDb).unwrap();
    let scene = Scene::with(server, EVERYTHING, |config| config.interception = "refused_ports = []".into()).unwrap();
    let address = scene.server.address().to_string();
    // Nobody listens: the kernel's own answer, not the gateway's.
    let free = portreeve_tests::host::free_address().unwrap().to_string();
    for port in OTHERS {
        let answer = dial_once(Some(&scene.reporting), "plain", &free, port, &[]).unwrap();
        assert_eq!(answer.errno(), Some("ECONNREFUSED"), "{port}: {answer:?}");
    }
    let greeted = dial_once(Some(&scene.reporting), "plain", &address, 3306, &[]).unwrap();
    assert!(greeted.greeting().is_some(), "{greeted:?}");
}

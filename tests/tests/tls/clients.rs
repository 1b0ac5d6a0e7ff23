//! Clients that demand TLS of the gateway, whatever the server behind it has.

use super::{QUERY, reasons};
use portreeve_tests::{
    certificates::Authority,
    client::{self, Answer},
    scene::{REPORTING_WORKS, Scene},
    servers::Flavour,
};
use std::{fs, path::Path};

/// What a client is told of TLS. Each demands more than the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Demand {
    Required,
    VerifyCa,
    VerifyIdentity,
}

const DEMANDS: [Demand; 3] = [Demand::Required, Demand::VerifyCa, Demand::VerifyIdentity];

/// A command line client that says which cipher it has, then asks.
fn cli(scene: &Scene, flavour: Flavour, demand: Demand, ca: &Path) -> Answer {
    let login = scene.login();
    let mut command = flavour.client().unwrap();
    // `--commands`: for `\s`, which MySQL's client no longer takes unasked.
    let options: &[&str] = match (flavour, demand) {
        (Flavour::MariaDb, Demand::Required | Demand::VerifyCa) => &["--ssl"],
        (Flavour::MariaDb, Demand::VerifyIdentity) => &["--ssl", "--ssl-verify-server-cert"],
        (Flavour::MySql, Demand::Required) => &["--commands", "--ssl-mode=REQUIRED"],
        (Flavour::MySql, Demand::VerifyCa) => &["--commands", "--ssl-mode=VERIFY_CA"],
        (Flavour::MySql, Demand::VerifyIdentity) => &["--commands", "--ssl-mode=VERIFY_IDENTITY"],
    };
    command.args(options);
    if demand != Demand::Required {
        command.arg(format!("--ssl-ca={}", ca.display()));
    }
    command.arg(format!("-h{}", login.host)).args(["-uagent", "-panything", "-e", &format!("\\s\n{QUERY}")]);
    client::run(Some(&scene.reporting), command).unwrap()
}

fn pymysql(scene: &Scene, ca: &Path, name: &str) -> Answer {
    let ca = ca.to_string_lossy();
    client::python(Some(&scene.reporting), &scene.login(), "tls.py", &[&ca, name]).unwrap()
}

fn check_clients(scene: &Scene) {
    let ca = scene.gateway.dir().join("state/ca/ca.pem");
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        for demand in DEMANDS {
            let answer = cli(scene, flavour, demand, &ca);
            assert!(answer.ok() && answer.stdout.contains("teapot"), "{demand:?}: {answer:?}");
            assert!(answer.stdout.contains("Cipher in use is TLS_"), "{demand:?}: {answer:?}");
        }
    }
    let address = scene.server.address().to_string();
    for name in ["", &address, "localhost", "a-name-of-the-clients.example"] {
        let answer = pymysql(scene, &ca, name);
        assert!(answer.ok() && answer.stdout.contains("teapot"), "{name}: {answer:?}");
        assert!(answer.stdout.contains(r#""version": "TLSv1.3""#), "{name}: {answer:?}");
    }
}

#[test]
fn clients_that_trust_the_ca_verify_the_gateway_before_either_server() {
    check_clients(&Scene::mariadb(REPORTING_WORKS).unwrap());
    check_clients(&Scene::mysql(REPORTING_WORKS).unwrap());
}

#[test]
fn a_server_is_called_by_its_configured_names() {
    let scene = Scene::with(portreeve_tests::scene::server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.servers[0].extra = r#"hosts = ["db.example.org", "192.0.2.7"]"#.into();
    })
    .unwrap();
    let ca = scene.gateway.dir().join("state/ca/ca.pem");
    for name in ["db.example.org", "192.0.2.7"] {
        let answer = pymysql(&scene, &ca, name);
        assert!(answer.ok() && answer.stdout.contains("teapot"), "{name}: {answer:?}");
    }
    let answer = pymysql(&scene, &ca, "192.0.2.8");
    assert!(!answer.ok() && answer.stdout.contains("mismatch"), "{answer:?}");
}

#[test]
fn a_client_that_trusts_another_ca_refuses_and_the_operator_reads_why() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let other = Authority::create().unwrap();
    let mut refused = 0;
    for (flavour, demand) in [
        (Flavour::MariaDb, Demand::VerifyCa),
        (Flavour::MariaDb, Demand::VerifyIdentity),
        (Flavour::MySql, Demand::VerifyCa),
        (Flavour::MySql, Demand::VerifyIdentity),
    ] {
        let answer = cli(&scene, flavour, demand, &other.ca());
        assert!(!answer.ok() && !answer.stdout.contains("teapot"), "{demand:?}: {answer:?}");
        assert!(answer.stderr.contains("certificate") || answer.stderr.contains("TLS/SSL"), "{demand:?}: {answer:?}");
        refused += 1;
    }
    let answer = pymysql(&scene, &other.ca(), "");
    assert!(!answer.ok() && answer.stdout.contains("CERTIFICATE_VERIFY_FAILED"), "{answer:?}");
    refused += 1;
    let reasons = reasons(&scene, refused);
    assert!(reasons.iter().all(|reason| reason.starts_with("client ")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("it needs the CA that `portreeve ca` prints")), "{reasons:?}");
}

#[test]
fn the_ca_outlives_a_restart_and_a_renewed_one_replaces_it_at_the_next() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let (ca, first) = (scene.gateway.dir().join("state/ca/ca.pem"), scene.gateway.dir().join("first.pem"));
    fs::copy(&ca, &first).unwrap();
    let works = |scene: &Scene, ca: &Path| pymysql(scene, ca, "").ok();
    assert!(works(&scene, &first));
    scene.gateway.restart().unwrap();
    assert!(works(&scene, &first));
    let said = scene.portreeve(&["ca", "renew"]).unwrap();
    assert!(said.contains("ca.pem.1") && said.contains("restart the daemon"), "{said}");
    assert!(works(&scene, &first) && !works(&scene, &ca));
    scene.gateway.restart().unwrap();
    assert!(!works(&scene, &first) && works(&scene, &ca));
    assert!(scene.portreeve(&["ca"]).unwrap().ends_with(&fs::read_to_string(&ca).unwrap()));
}

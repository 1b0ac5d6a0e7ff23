//! Servers that the gateway speaks TLS to, and servers that it must not speak to.

use super::{QUERY, reasons};
use portreeve_tests::{
    certificates::Authority,
    client::Answer,
    gateway::{Credential, Upstream},
    host,
    scene::{REPORTING_WORKS, Scene, server, shop_with},
    servers::{Flavour, Server},
    wire::{CAPABILITIES, framed},
};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

const FLAVOURS: [Flavour; 2] = [Flavour::MariaDb, Flavour::MySql];

/// A server with a certificate of `authority` for its address and `db.example.org`, whose accounts demand TLS.
fn serving(flavour: Flavour, authority: &Authority) -> Arc<Server> {
    let address = host::free_address().unwrap();
    let pair = authority.server("shop-server", &["DNS:db.example.org", &format!("IP:{address}")]).unwrap();
    let server = shop_with(flavour, address, &pair.server_arguments(&authority.ca())).unwrap();
    server.sql("ALTER USER shop_reporting@'127.%' REQUIRE SSL").unwrap();
    Arc::new(server)
}

fn scene(server: &Arc<Server>, tls: &str, extra: &str) -> Scene {
    Scene::with(Arc::clone(server), REPORTING_WORKS, |config| {
        config.servers[0].tls = tls.into();
        config.servers[0].extra = extra.into();
    })
    .unwrap()
}

fn ca_file(path: &Path) -> String {
    format!("ca_file = \"{}\"\n", path.display())
}

fn ask(scene: &Scene) -> Answer {
    scene.report(QUERY).unwrap()
}

fn check_works(scene: &Scene) {
    let answer = ask(scene);
    assert!(answer.ok() && answer.stdout.contains("teapot"), "{answer:?}\n{}", scene.gateway.log());
}

/// The client reads an error of the gateway's, the recording and the log say what was wrong, and the server saw no login.
fn check_refused(scene: &Scene, why: &str) {
    scene.server.log_statements().unwrap();
    let before = scene.server.general_log().len();
    let answer = ask(scene);
    assert!(!answer.ok() && answer.stderr.contains("ERROR 1"), "{answer:?}");
    assert!(!answer.stderr.contains("shop_reporting"), "{answer:?}");
    let reasons = reasons(scene, 1);
    assert!(reasons[0].contains(why), "no `{why}` in {reasons:?}");
    assert!(scene.gateway.log().contains(why), "{}", scene.gateway.log());
    let seen = scene.server.general_log().split_off(before);
    assert!(!seen.contains("shop_reporting"), "{seen}");
}

#[test]
fn each_mode_works_with_a_server_that_is_who_it_should_be() {
    let authority = Authority::create().unwrap();
    let ca = ca_file(&authority.ca());
    for flavour in FLAVOURS {
        let server = serving(flavour, &authority);
        check_works(&scene(&server, "required", ""));
        check_works(&scene(&server, "verify-ca", &format!("{ca}hosts = [\"another.example\"]")));
        check_works(&scene(&server, "verify-identity", &ca));
        let named = scene(&server, "verify-identity", &format!("{ca}hosts = [\"db.example.org\"]"));
        // Again, with what the first session left to resume.
        (0..3).for_each(|_| check_works(&named));
        // The accounts demand TLS: those above had it.
        let answer = ask(&scene(&server, "disabled", ""));
        assert!(!answer.ok() && answer.stderr.contains("1045"), "{answer:?}");
    }
}

#[test]
fn a_server_of_another_ca_or_name_is_refused_before_the_login() {
    let (authority, other) = (Authority::create().unwrap(), Authority::create().unwrap());
    let (ca, wrong) = (ca_file(&authority.ca()), ca_file(&other.ca()));
    for flavour in FLAVOURS {
        let server = serving(flavour, &authority);
        for tls in ["verify-ca", "verify-identity"] {
            check_refused(&scene(&server, tls, &wrong), "is not signed by a CA in `");
        }
        check_refused(
            &scene(&server, "verify-identity", &format!("{ca}hosts = [\"other.example\", \"db.example.org\"]")),
            &format!("its certificate is for `db.example.org`, `{}`, not for `other.example`", server.address()),
        );
    }
}

#[test]
fn the_certificates_that_mysql_makes_itself_pass_for_verify_ca() {
    let server = server(Flavour::MySql).unwrap();
    let ca = ca_file(&server.data().join("ca.pem"));
    check_works(&scene(&server, "required", ""));
    check_works(&scene(&server, "verify-ca", &ca));
    check_refused(&scene(&server, "verify-identity", &ca), "its certificate has no names");
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_the_configured_one() {
    let authority = Authority::create().unwrap();
    let client = authority.client("portreeve").unwrap();
    let shown = format!(
        "{}client_cert_file = \"{}\"\nclient_key_file = \"{}\"",
        ca_file(&authority.ca()),
        client.certificate.display(),
        client.key.display()
    );
    for flavour in FLAVOURS {
        let server = serving(flavour, &authority);
        server.sql("ALTER USER shop_reporting@'127.%' REQUIRE SUBJECT '/CN=portreeve'").unwrap();
        let with = scene(&server, "verify-identity", &shown);
        (0..3).for_each(|_| check_works(&with));
        let without = ask(&scene(&server, "verify-identity", &ca_file(&authority.ca())));
        assert!(!without.ok() && without.stderr.contains("1045"), "{without:?}");
    }
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_demanded() {
    for (flavour, arguments) in [(Flavour::MariaDb, ""), (Flavour::MySql, "--tls-version=")] {
        let arguments: Vec<_> = arguments.split_terminator(' ').map(str::to_owned).collect();
        let server = Arc::new(shop_with(flavour, host::free_address().unwrap(), &arguments).unwrap());
        for tls in ["required", "verify-ca", "verify-identity"] {
            check_refused(&scene(&server, tls, ""), "does not offer TLS");
        }
        check_works(&scene(&server, "disabled", ""));
    }
}

/// Somebody between takes the offer of TLS out of the greeting: not a byte of a login follows.
#[test]
fn a_taken_out_offer_gets_nothing() {
    let address = host::free_address().unwrap();
    let listener = TcpListener::bind((address, 3306)).unwrap();
    let between = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let [low, second, third, high] = CAPABILITIES.to_le_bytes();
        let mut greeting = b"\x0A8.0.36-fake\0\x07\0\0\0abcdefgh\0".to_vec();
        greeting.extend([low, second, 45, 2, 0, third, high, 21]);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
        stream.write_all(&framed(0, &greeting)).unwrap();
        let mut after = Vec::new();
        stream.read_to_end(&mut after).unwrap();
        after
    });
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.servers.push(Upstream {
            name: "fake".into(),
            matches: vec![format!("{address}:3306")],
            credentials: vec![Credential { for_: vec!["*".into()], user: "held".into(), password: "secret".into() }],
            tls: "required".into(),
            ..Upstream::default()
        });
    })
    .unwrap();
    let login = portreeve_tests::client::Login::agent(address);
    let answer = portreeve_tests::client::mariadb(Some(&scene.reporting), &login, QUERY).unwrap();
    assert!(!answer.ok() && answer.stderr.contains("ERROR 1045"), "{answer:?}");
    let reasons = reasons(&scene, 1);
    assert!(reasons[0].contains("does not offer TLS, which `tls = \"required\"` demands"), "{reasons:?}");
    assert_eq!(between.join().unwrap(), b"");
}

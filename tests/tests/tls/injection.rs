//! What is said in clear text behind a request for TLS is nobody's word.

use super::reasons;
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::{CAPABILITIES, COLLATION, Wire, framed, handshake_response},
};

const SSL: u32 = 0x800;

/// An `SSLRequest`: the first 32 bytes of a login.
fn request() -> Vec<u8> {
    let mut request = handshake_response(CAPABILITIES | SSL, COLLATION, "");
    request.truncate(32);
    framed(1, &request)
}

fn check(scene: &Scene, behind: &[u8]) {
    let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
    wire.packet().unwrap();
    wire.send(&[request(), behind.to_vec()].concat()).unwrap();
    wire.finish();
    // No more than TLS's own alert: 7 bytes, which are no packet either.
    let rest = wire.rest();
    assert!(rest.as_ref().is_err() || rest.as_ref().is_ok_and(Vec::is_empty), "{rest:?}");
}

#[test]
fn a_login_and_commands_in_clear_text_behind_the_request_for_tls_are_never_heard() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    scene.server.log_statements().unwrap();
    let login = framed(2, &handshake_response(CAPABILITIES, COLLATION, "shop"));
    let command = framed(0, b"\x03SELECT 'injected in clear text'");
    check(&scene, &login);
    check(&scene, &[login, command.clone()].concat());
    check(&scene, &command);
    check(&scene, &[0x16, 3, 1]);
    let reasons = reasons(&scene, 4);
    assert!(reasons.iter().all(|reason| reason.starts_with("client TLS failed: ")), "{reasons:?}");
    assert!(!scene.server.general_log().contains("injected"));
    let records = scene.gateway.records(&[]).unwrap();
    assert!(
        !records.iter().any(|record| record["record"] == "login" || record["record"] == "statement"),
        "{records:?}"
    );
}

#[test]
fn a_client_that_asks_for_tls_and_falls_silent_is_let_go() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
    wire.packet().unwrap();
    wire.send(&request()).unwrap();
    assert_eq!(wire.rest().unwrap(), []);
    assert_eq!(reasons(&scene, 1), ["client TLS failed: no handshake within 10 s"]);
}

//! The client's login, well and badly said.

use super::{check_usable, reasons, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::{CAPABILITIES, COLLATION, Wire, handshake_response},
};

/// COMPRESS, SSL, QUERY_ATTRIBUTES (bit 27) and ZSTD (bit 26): what Portreeve does not honour.
const MASKED: u32 = 0x0C00_0820;

#[test]
fn the_greeting_is_the_servers_own_without_what_cannot_be_honoured() {
    for scene in [scene(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        let version = scene.server.sql("SELECT VERSION()").unwrap();
        let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
        let greeting = wire.packet().unwrap().payload;
        let end = greeting.iter().position(|&byte| byte == 0).unwrap();
        // MariaDB writes a version of MySQL's before its own, for old clients.
        let shown = String::from_utf8(greeting[1..end].to_vec()).unwrap();
        assert_eq!(shown.trim_start_matches("5.5.5-"), version.trim());
        let fixed = &greeting[end + 1..];
        let id = u32::from_le_bytes(fixed[..4].try_into().unwrap());
        let capabilities = u32::from_le_bytes([fixed[13], fixed[14], fixed[18], fixed[19]]);
        assert_eq!(capabilities & MASKED, 0, "{capabilities:#x}");
        assert_eq!(capabilities & CAPABILITIES & !1, CAPABILITIES & !1, "{capabilities:#x}");

        // MySQL greets with `caching_sha2_password`: this client has to be asked again for its plugin.
        let answer = wire.answer_greeting(&handshake_response(CAPABILITIES, COLLATION, "shop")).unwrap();
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(wire.query("SELECT CONNECTION_ID()").unwrap(), [[Some(id.to_string().into_bytes())]]);
    }
}

fn check_refused(scene: &Scene, response: &[u8], code: u16, text: &str) {
    let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
    wire.packet().unwrap();
    wire.send_packet(1, response).unwrap();
    let rest = wire.rest().unwrap();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((rest[0].error_code(), rest[0].id), (Some(code), 2), "{}", rest[0].text());
    assert!(rest[0].text().contains(text), "no `{text}` in {}", rest[0].text());
}

#[test]
fn a_login_that_cannot_be_honoured_is_refused_with_its_reason() {
    let scene = scene();
    let mut other = session(&scene);
    let good = handshake_response(CAPABILITIES, COLLATION, "shop");
    let tls = (CAPABILITIES | 0x800).to_le_bytes();
    check_refused(&scene, &[&tls, &good[4..32]].concat(), 1105, "TLS");
    // HandshakeResponse320: two bytes of capabilities, three of the packet size, the user.
    check_refused(&scene, b"\x85\x24\0\0\x40agent\0password", 1105, "4.1");
    check_refused(&scene, &handshake_response(CAPABILITIES, 28, "shop"), 1115, "collation 28");
    check_refused(&scene, &good[..20], 1105, "handshake response");
    check_usable(&mut other);
    assert_eq!(reasons(&scene, 4).len(), 4);
}

#[test]
fn garbage_in_place_of_a_login_ends_that_connection_only() {
    let scene = scene();
    let mut other = session(&scene);
    for garbage in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], &[0xFF; 200], &[0; 200], b""] {
        let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
        wire.packet().unwrap();
        wire.send(garbage).unwrap();
        wire.finish();
        let rest = wire.rest().unwrap();
        assert!(rest.iter().all(|packet| packet.error_code().is_some()), "{rest:?}");
        check_usable(&mut other);
    }
    assert_eq!(reasons(&scene, 4).len(), 4);
}

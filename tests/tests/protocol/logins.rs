//! The client's login, well and badly said.

use super::{check_usable, one, reasons, records, scene, session};
use portreeve_tests::{
    host,
    scene::{REPORTING_WORKS, Scene, server, shop_with},
    servers::Flavour,
    wire::{CAPABILITIES, COLLATION, Wire, handshake_response},
};
use serde_json::json;
use std::sync::Arc;

/// NO_SCHEMA, MULTI_FACTOR_AUTHENTICATION (bit 28), and MariaDB's old progress reports (bit 29): what no gateway can honour,
/// or not with one held credential.
const MASKED: u32 = 0x3000_0010;
/// COMPRESS, SSL, CAN_HANDLE_EXPIRED_PASSWORDS, SESSION_TRACK and DEPRECATE_EOF.
const OFFERED: u32 = 0x01C0_0820;
/// OPTIONAL_RESULTSET_METADATA, ZSTD and QUERY_ATTRIBUTES.
const OFFERED_BY_MYSQL: u32 = 0x0E00_0000;
/// PROGRESS, STMT_BULK_OPERATIONS, EXTENDED_METADATA and CACHE_METADATA, which 10.11 has.
const OFFERED_BY_MARIADB: u32 = 0x1D;

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
        assert_eq!(capabilities & OFFERED, OFFERED, "{capabilities:#x}");
        let extended = u32::from_le_bytes(fixed[27..31].try_into().unwrap());
        let (of_mysql, of_mariadb) = match scene.server.flavour() {
            Flavour::MariaDb => (0, OFFERED_BY_MARIADB),
            Flavour::MySql => (OFFERED_BY_MYSQL, 0),
        };
        assert_eq!(capabilities & OFFERED_BY_MYSQL, of_mysql, "{capabilities:#x}");
        assert_eq!(extended, of_mariadb, "{extended:#x}");

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
    // A whole login that says TLS comes next, and a request for TLS that is cut.
    check_refused(&scene, &handshake_response(CAPABILITIES | 0x800, COLLATION, "shop"), 1105, "SSL request");
    check_refused(&scene, &handshake_response(CAPABILITIES | 0x800, COLLATION, "")[..31], 1105, "SSL request");
    // HandshakeResponse320: two bytes of capabilities, three of the packet size, the user.
    check_refused(&scene, b"\x85\x24\0\0\x40agent\0password", 1105, "4.1");
    check_refused(&scene, &handshake_response(CAPABILITIES, 28, "shop"), 1115, "collation 28");
    check_refused(&scene, &good[..20], 1105, "handshake response");
    check_usable(&mut other);
    assert_eq!(reasons(&scene, 5).len(), 5);
}

/// The attributes that the server has of the session with that connection id, as `name=value`.
fn attributes(scene: &Scene, id: &str) -> String {
    let sql = format!(
        "SELECT GROUP_CONCAT(CONCAT(attr_name, '=', attr_value) ORDER BY ordinal_position) \
         FROM performance_schema.session_connect_attrs WHERE processlist_id = {id}"
    );
    scene.server.sql(&sql).unwrap().trim().to_owned()
}

#[test]
fn the_servers_see_the_clients_attributes_and_behind_them_who_it_is() {
    // MariaDB has the performance schema only when asked for.
    let arguments = ["--performance-schema=ON".to_owned()];
    let mariadb = shop_with(Flavour::MariaDb, host::free_address().unwrap(), &arguments).unwrap();
    for server in [Arc::new(mariadb), server(Flavour::MySql).unwrap()] {
        let scene = Scene::with(server, REPORTING_WORKS, |_| ()).unwrap();
        let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
        wire.packet().unwrap();
        // CONNECT_ATTRS. The client may say of itself what it likes, in the gateway's words too.
        let mut response = handshake_response(CAPABILITIES | 1 << 20, COLLATION, "shop");
        let said: Vec<u8> = [("program", "a b"), ("portreeve_workload", "somebody else's")]
            .iter()
            .flat_map(|pair| [pair.0, pair.1])
            .flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat())
            .collect();
        response.push(said.len() as u8);
        response.extend(said);
        assert!(wire.answer_greeting(&response).unwrap().is_ok());
        let shown = attributes(&scene, &one(&mut wire, "SELECT CONNECTION_ID()"));
        let session = records(&scene, "opened")[0]["session"].as_str().unwrap().to_owned();
        let own = format!(
            "portreeve_version=0.1.0,portreeve_workload=spiffe://example.org/reporting,portreeve_session={session}"
        );
        assert!(shown.starts_with("program=a b,") && shown.ends_with(&own), "{shown}");
        let login = &records(&scene, "login")[0];
        assert_eq!(login["client_attributes"][0], json!({"name": "program", "value": "a b"}));
    }
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

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

use super::opening::{CHOSEN, LOGIN_ONLY, NEEDED};
use super::*;
use crate::capabilities::{Capabilities, GATEWAY, GATEWAY_MARIADB};
use crate::greeting::{self, ServerHello};
use crate::login::{ChangeUser, ClientLogin, ClientStep, HandshakeResponse};
use crate::outcome::{error_payload, ok_payload};
use crate::samples::{self, NONCE, PUBLIC_KEY};

const SWITCH_NONCE: &[u8; 20] = b"ABCDEFGHIJKLMNOPQRST";
const PASSWORD: &[u8] = b"s3cret";
const SEED: [u8; LOGIN_SEED_LEN] = [3; LOGIN_SEED_LEN];
const ALL: Negotiated = Negotiated { standard: GATEWAY, mariadb: GATEWAY_MARIADB };

fn sent(payload: impl Into<Vec<u8>>) -> Result<ServerStep<'static>, ProtocolError> {
    Ok(ServerStep::Send(Zeroizing::new(payload.into())))
}

fn greeting(payload: &[u8]) -> Greeting<'_> {
    match greeting::parse(payload) {
        Ok(ServerHello::Greeting(greeting)) => greeting,
        other => panic!("no greeting: {other:?}"),
    }
}

fn login(payload: &[u8]) -> ServerLogin {
    ServerLogin::new(&greeting(payload), PASSWORD, false, SEED)
}

fn request() -> LoginRequest<'static> {
    LoginRequest {
        capabilities: ALL,
        max_packet_size: 1 << 24,
        collation: 45,
        user: b"orders_ro",
        schema: Some(b"shop"),
        connect_attrs: vec![(b"program_name", b"portreeve")],
        zstd_level: None,
    }
}

fn ok() -> Vec<u8> {
    let mut payload = Vec::new();
    ok_payload(&OkPacket { affected_rows: 0, last_insert_id: 0, status: 2, warnings: 0 }, &mut payload);
    payload
}

fn switch_to(plugin: &str) -> Vec<u8> {
    [b"\xfe", plugin.as_bytes(), b"\0", &SWITCH_NONCE[..], b"\0"].concat()
}

#[test]
fn the_response_answers_the_greetings_plugin() {
    for (sample, plugin, scramble) in [
        (samples::MARIADB_GREETING, "mysql_native_password", scramble_native(NONCE, PASSWORD).unwrap().to_vec()),
        (samples::MYSQL_GREETING, "caching_sha2_password", scramble_sha256(NONCE, PASSWORD).unwrap().to_vec()),
    ] {
        let mut out = Vec::new();
        let in_force = login(sample).handshake_response(&request(), &mut out).unwrap();
        let response = HandshakeResponse::parse(&out, ALL).unwrap();
        assert_eq!(response.capabilities, in_force);
        let mut expected = offered(greeting(sample).capabilities);
        expected.standard.remove(Capabilities::CLIENT_SSL);
        assert_eq!(response.capabilities, expected);
        assert_eq!((response.auth_plugin, response.auth_response), (Some(plugin.as_bytes()), &scramble[..]));
        assert_eq!((response.user, response.schema), (&b"orders_ro"[..], Some(&b"shop"[..])));
        assert_eq!(response.connect_attrs, request().connect_attrs);
    }
}

#[test]
fn the_scrambles_are_those_of_the_manual() {
    // SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))), computed with another implementation.
    assert_eq!(scramble_native(NONCE, PASSWORD).unwrap(), samples::NATIVE_SCRAMBLE);
    assert_eq!(scramble_sha256(NONCE, PASSWORD).unwrap(), samples::CACHING_SHA2_SCRAMBLE);
}

#[test]
fn what_the_client_cannot_do_is_not_asked_of_the_server() {
    let mut request = request();
    request.capabilities = (Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_SSL).into();
    request.schema = None;
    let mut out = Vec::new();
    let in_force = login(samples::MYSQL_GREETING).handshake_response(&request, &mut out).unwrap();
    assert_eq!(in_force, LOGIN_ONLY.into());
}

#[test]
fn a_plain_answer_ends_the_login() {
    assert_eq!(login(samples::MARIADB_GREETING).answer(&ok()), Ok(ServerStep::Done));
    let mut denied = Vec::new();
    error_payload(1045, b"28000", "Access denied", true, &mut denied);
    let error = ErrorPacket { code: 1045, sqlstate: Some(*b"28000"), message: b"Access denied" };
    assert_eq!(login(samples::MARIADB_GREETING).answer(&denied), Ok(ServerStep::Denied(error)));
}

#[test]
fn a_switch_is_answered_over_the_new_nonce() {
    for (plugin, scramble) in [
        ("mysql_native_password", scramble_native(SWITCH_NONCE, PASSWORD).unwrap().to_vec()),
        ("caching_sha2_password", scramble_sha256(SWITCH_NONCE, PASSWORD).unwrap().to_vec()),
    ] {
        let mut server = login(samples::MARIADB_GREETING);
        assert_eq!(server.answer(&switch_to(plugin)), sent(scramble));
        assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
    }
}

#[test]
fn the_fast_path_waits_for_ok() {
    let mut server = login(samples::MYSQL_GREETING);
    assert_eq!(server.answer(&[1, 3]), Ok(ServerStep::Wait));
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
}

/// The public key was asked for, and comes.
fn sends_the_password_encrypted(server: &mut ServerLogin) {
    let Ok(ServerStep::Send(encrypted)) = server.answer(&[b"\x01", PUBLIC_KEY].concat()) else {
        panic!("nothing sent")
    };
    let nonce = SWITCH_NONCE.iter().cycle();
    let message: Vec<u8> = samples::decrypt(&encrypted).iter().zip(nonce).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(message, b"s3cret\0");
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
}

#[test]
fn the_full_path_sends_the_password_encrypted_only() {
    let mut server = login(samples::MARIADB_GREETING);
    assert!(matches!(server.answer(&switch_to("caching_sha2_password")), Ok(ServerStep::Send(_))));
    assert_eq!(server.answer(&[1, 4]), sent([2]));
    sends_the_password_encrypted(&mut server);
}

#[test]
fn what_would_give_the_password_away_or_is_unknown_is_refused_by_name() {
    for (plugin, name) in [
        ("mysql_old_password", "mysql_old_password"),
        ("dialog", "dialog"),
        ("auth_gssapi_client\x1b[31m", "auth_gssapi_client?[31m"),
    ] {
        let refusal = Unsupported::AuthPlugin { name: name.to_owned() };
        assert_eq!(login(samples::MYSQL_GREETING).answer(&switch_to(plugin)), Err(refusal.into()));
    }
    assert_eq!(login(samples::MYSQL_GREETING).answer(&[0xFE]), Err(Unsupported::OldPassword.into()));
    assert_eq!(login(samples::MYSQL_GREETING).answer(b"\x02x\0"), Err(Unsupported::SecondFactor.into()));
}

#[test]
fn packets_out_of_turn_are_refused() {
    for (before, packet) in [
        (vec![], b"\x01\x05".to_vec()),
        (vec![], b"\x01".to_vec()),
        (vec![], vec![]),
        (vec![], b"\x03".to_vec()),
        (vec![b"\x01\x03".to_vec()], b"\x01\x04".to_vec()),
        (vec![b"\x01\x03".to_vec()], switch_to("mysql_native_password")),
        (vec![b"\x01\x04".to_vec()], ok()),
        (vec![b"\x01\x04".to_vec()], b"\x01no key".to_vec()),
        (vec![switch_to("mysql_native_password")], b"\x01\x04".to_vec()),
        (vec![], b"\xfecaching_sha2_password\0short".to_vec()),
        (vec![], [switch_to("caching_sha2_password"), b"x".to_vec()].concat()),
        (vec![ok()], ok()),
    ] {
        let mut server = login(samples::MYSQL_GREETING);
        for packet in &before {
            assert!(server.answer(packet).is_ok());
        }
        assert!(server.answer(&packet).is_err(), "{packet:?} after {before:?}");
        assert!(server.answer(&ok()).is_err(), "the login went on after {packet:?}");
        assert!(server.password.is_empty());
    }
}

#[test]
fn switches_end_at_their_limit() {
    let mut server = login(samples::MYSQL_GREETING);
    for _ in 0..AUTH_SWITCHES_MAX {
        assert!(server.answer(&switch_to("caching_sha2_password")).is_ok());
    }
    let refusal = Misbehaviour::TooManyAuthSwitches { max: AUTH_SWITCHES_MAX };
    assert_eq!(server.answer(&switch_to("caching_sha2_password")), Err(refusal.into()));
}

#[test]
fn the_password_is_not_in_the_debug_text() {
    assert!(!format!("{:?}", login(samples::MYSQL_GREETING)).contains("s3cret"));
    assert!(!format!("{:?}", login(samples::MYSQL_GREETING)).contains("115"));
}

fn tls_login(payload: &[u8]) -> ServerLogin {
    ServerLogin::new(&greeting(payload), PASSWORD, true, SEED).verified(true)
}

fn long_switch_to(plugin: &str) -> Vec<u8> {
    [b"\xfe", plugin.as_bytes(), b"\0", &LONG_NONCE[..]].concat()
}

const LONG_NONCE: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
const SALT: &[u8] = b"P\0eighteen bytes of ";

#[test]
fn over_tls_the_full_path_sends_the_password_as_it_is() {
    let mut server = tls_login(samples::MYSQL_GREETING);
    assert_eq!(server.answer(&[1, 4]), sent(*b"s3cret\0"));
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
}

#[test]
fn sha256_password_goes_over_tls_or_encrypted() {
    let mut server = tls_login(samples::MYSQL_GREETING);
    assert_eq!(server.answer(&switch_to("sha256_password")), sent(*b"s3cret\0"));
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));

    let mut server = login(samples::MYSQL_GREETING);
    assert_eq!(server.answer(&switch_to("sha256_password")), sent([1]));
    sends_the_password_encrypted(&mut server);
}

#[test]
fn an_empty_sha256_password_is_one_nul() {
    for tls in [false, true] {
        let mut server = ServerLogin::new(&greeting(samples::MYSQL_GREETING), b"", tls, SEED);
        assert_eq!(server.answer(&switch_to("sha256_password")), sent([0]));
        assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
    }
}

#[test]
fn the_clear_password_goes_over_tls_to_a_verified_server_only() {
    for switch in [&b"\xfemysql_clear_password"[..], b"\xfemysql_clear_password\0", &switch_to("mysql_clear_password")]
    {
        let mut server = tls_login(samples::MARIADB_GREETING);
        assert_eq!(server.answer(switch), sent(*b"s3cret\0"));
        assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
        for mut server in [login(samples::MARIADB_GREETING), tls_login(samples::MARIADB_GREETING).verified(false)] {
            let refusal = Unsupported::CleartextWithoutTls { name: "mysql_clear_password" };
            assert_eq!(server.answer(switch), Err(refusal.into()));
            assert!(server.password.is_empty());
        }
    }
}

#[test]
fn a_server_that_greets_with_a_plugin_that_wants_the_password_does_not_get_it_unasked() {
    for plugin in ["mysql_clear_password", "sha256_password"] {
        let mut greeting = greeting(samples::MYSQL_GREETING);
        greeting.auth_plugin = plugin.as_bytes();
        let mut out = Vec::new();
        ServerLogin::new(&greeting, PASSWORD, true, SEED).handshake_response(&request(), &mut out).unwrap();
        let response = HandshakeResponse::parse(&out, ALL).unwrap();
        assert_eq!(response.auth_plugin, Some(&b"caching_sha2_password"[..]));
        assert_eq!(response.auth_response, samples::CACHING_SHA2_SCRAMBLE);
    }
}

#[test]
fn ed25519_signs_the_nonce() {
    let mut server = login(samples::MARIADB_GREETING);
    assert_eq!(server.answer(&long_switch_to("client_ed25519")), sent(plugin::ed25519(PASSWORD, LONG_NONCE).unwrap()));
    assert_eq!(server.plugin(), "client_ed25519");
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
}

#[test]
fn parsec_asks_for_the_salt_and_signs_both_nonces() {
    let signed = plugin::parsec(PASSWORD, LONG_NONCE, &[3; 32], SALT).unwrap();
    // MariaDB 11.8 sends the byte in front; other servers may leave it out.
    for salt in [[b"\x01", SALT].concat(), SALT.to_vec()] {
        let mut server = login(samples::MARIADB_GREETING);
        assert_eq!(server.answer(&long_switch_to("parsec")), sent([]));
        assert_eq!(server.answer(&salt), sent(signed.clone()));
        assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
    }
}

#[test]
fn the_alternatives_of_an_account_are_tried_in_turn() {
    // IDENTIFIED VIA parsec … OR ed25519 … OR pam … OR mysql_native_password …
    let mut server = tls_login(samples::MARIADB_GREETING);
    assert_eq!(server.answer(&long_switch_to("parsec")), sent([]));
    assert!(matches!(server.answer(&[b"\x01", SALT].concat()), Ok(ServerStep::Send(_))));
    assert!(matches!(server.answer(&long_switch_to("client_ed25519")), Ok(ServerStep::Send(_))));
    assert!(matches!(server.answer(b"\xfemysql_clear_password\0"), Ok(ServerStep::Send(_))));
    let native = scramble_native(SWITCH_NONCE, PASSWORD).unwrap();
    assert_eq!(server.answer(&switch_to("mysql_native_password")), sent(native));
    assert_eq!(server.answer(&ok()), Ok(ServerStep::Done));
}

#[test]
fn what_a_plugin_does_not_expect_ends_the_login() {
    let key = [b"\x01", PUBLIC_KEY].concat();
    let salt = [b"\x01", SALT].concat();
    for (tls, switch, packet) in [
        (false, switch_to("client_ed25519"), None),
        (false, switch_to("parsec"), None),
        (false, long_switch_to("sha256_password"), None),
        (false, long_switch_to("mysql_native_password"), None),
        (false, b"\xfesha256_password\0".to_vec(), None),
        (false, b"\xfeparsec".to_vec(), None),
        (true, switch_to("sha256_password"), Some(key.clone())),
        (true, switch_to("mysql_clear_password"), Some(b"\x01\x04".to_vec())),
        (false, switch_to("sha256_password"), Some(ok())),
        (false, switch_to("sha256_password"), Some(b"\x01\x04".to_vec())),
        (false, switch_to("sha256_password"), Some(switch_to("mysql_native_password"))),
        (false, long_switch_to("client_ed25519"), Some(salt.clone())),
        (false, long_switch_to("parsec"), Some(ok())),
        (false, long_switch_to("parsec"), Some(switch_to("mysql_native_password"))),
        (false, long_switch_to("parsec"), Some(key)),
        (false, long_switch_to("parsec"), Some(b"\x01".to_vec())),
        (false, long_switch_to("parsec"), Some(salt[..salt.len() - 1].to_vec())),
    ] {
        let mut server = ServerLogin::new(&greeting(samples::MARIADB_GREETING), PASSWORD, tls, SEED).verified(tls);
        let switched = server.answer(&switch);
        let result = match &packet {
            None => switched,
            Some(packet) => {
                assert!(switched.is_ok(), "{switch:?}");
                server.answer(packet)
            }
        };
        assert!(result.is_err(), "{packet:?} after {switch:?}");
        assert!(server.password.is_empty());
    }
}

#[test]
fn no_step_shows_what_it_sends() {
    let mut server = tls_login(samples::MYSQL_GREETING);
    assert_eq!(format!("{:?}", server.answer(&switch_to("sha256_password"))), "Ok(Send(7 bytes))");
}

#[test]
fn a_request_for_tls_says_what_the_login_will_say() {
    let mut server = greeting(samples::MARIADB_GREETING);
    server.capabilities.standard.insert(Capabilities::CLIENT_SSL);
    let login = ServerLogin::new(&server, PASSWORD, true, SEED);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    login.ssl_request(&request(), &mut first).unwrap();
    let in_force = login.handshake_response(&request(), &mut second).unwrap();
    assert!(in_force.has(Capabilities::CLIENT_SSL));
    assert_eq!(in_force.mariadb, offered(server.capabilities).mariadb);
    assert_eq!(first, second[..32]);
}

#[test]
fn a_server_without_tls_is_not_logged_in_to_as_if_it_had() {
    let mut server = greeting(samples::MYSQL_GREETING);
    server.capabilities.standard.remove(Capabilities::CLIENT_SSL);
    let login = ServerLogin::new(&server, PASSWORD, true, SEED);
    let mut out = Vec::new();
    assert_eq!(login.ssl_request(&request(), &mut out), Err(Unsupported::ServerTls.into()));
    assert_eq!(login.handshake_response(&request(), &mut out), Err(Unsupported::ServerTls.into()));
    assert!(out.is_empty());
}

#[test]
fn compression_is_asked_for_as_the_caller_says() {
    for (bits, level) in [
        (Capabilities::empty(), None),
        (Capabilities::CLIENT_COMPRESS, None),
        (Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM, Some(7)),
    ] {
        let mut request = request();
        request.capabilities.standard = GATEWAY.difference(CHOSEN).union(bits);
        request.zstd_level = Some(7);
        let mut out = Vec::new();
        let in_force = login(samples::MYSQL_GREETING).handshake_response(&request, &mut out).unwrap();
        assert_eq!(in_force.standard.intersection(CHOSEN), bits);
        assert_eq!(HandshakeResponse::parse(&out, ALL).unwrap().zstd_level, level);
    }
}

fn leg(capabilities: Capabilities) -> ServerLeg {
    ServerLeg { capabilities: capabilities.into(), nonce: *NONCE, tls: false, verified: false }
}

fn change() -> ChangeUserRequest<'static> {
    ChangeUserRequest {
        user: b"orders_ro",
        schema: Some(b"shop"),
        collation: 255,
        connect_attrs: vec![(b"program_name", b"portreeve")],
    }
}

#[test]
fn a_change_of_user_waits_for_the_servers_nonce() {
    let mut login = ServerLogin::change_user(&leg(GATEWAY), PASSWORD, SEED);
    let mut out = Vec::new();
    login.change_user_request(&change(), &mut out).unwrap();
    assert_eq!(out[0], 0x11);
    let read = ChangeUser::parse(&out[1..], GATEWAY.into()).unwrap();
    assert_eq!((read.user, read.auth_response), (&b"orders_ro"[..], &b""[..]));
    assert_eq!((read.schema, read.collation), (Some(&b"shop"[..]), Some(255)));
    assert_eq!(read.connect_attrs, change().connect_attrs);
    assert_eq!(read.auth_plugin.and_then(Plugin::from_name), None);
    let scramble = scramble_sha256(SWITCH_NONCE, PASSWORD).unwrap();
    assert_eq!(login.answer(&switch_to("caching_sha2_password")), sent(scramble));
    assert_eq!(login.answer(&[1, 3]), Ok(ServerStep::Wait));
    assert_eq!(login.answer(&ok()), Ok(ServerStep::Done));
    assert!(login.password.is_empty());
}

#[test]
fn without_plugins_a_change_of_user_answers_the_greetings_nonce() {
    let mut login = ServerLogin::change_user(&leg(NEEDED), PASSWORD, SEED);
    let mut out = Vec::new();
    login.change_user_request(&ChangeUserRequest { schema: None, ..change() }, &mut out).unwrap();
    let expected = [b"\x11orders_ro\0\x14", &samples::NATIVE_SCRAMBLE[..], b"\0\xff\0"].concat();
    assert_eq!(out, expected);
    assert_eq!(login.answer(&ok()), Ok(ServerStep::Done));
}

#[test]
fn a_name_with_a_nul_is_no_change_of_user() {
    let login = ServerLogin::change_user(&leg(GATEWAY), PASSWORD, SEED);
    for request in
        [ChangeUserRequest { user: b"a\0b", ..change() }, ChangeUserRequest { schema: Some(b"a\0b"), ..change() }]
    {
        assert!(login.change_user_request(&request, &mut Vec::new()).is_err());
    }
}

/// Runs the two legs against each other: the gateway as client, and the gateway as server.
fn check_round_trip(sample: &[u8], greeted: ClientPlugin, password: &[u8], steps: &[&str]) {
    let mut mirrored = Vec::new();
    greeting::mirror(&greeting(sample), ALL, greeted, NONCE, &mut mirrored);
    let mirrored = greeting(&mirrored);
    let mut theirs = ServerLogin::new(&mirrored, password, false, SEED);
    let mut ours = ClientLogin::new(greeted, *SWITCH_NONCE, false);
    let mut out = Vec::new();
    theirs.handshake_response(&request(), &mut out).unwrap();
    let mut step = ours.start(&HandshakeResponse::parse(&out, mirrored.capabilities).unwrap()).unwrap();
    let mut seen = Vec::new();
    while let ClientStep::Send(payload) = &step {
        seen.push("switch");
        let Ok(ServerStep::Send(mut answer)) = theirs.answer(payload) else { panic!("no answer") };
        step = ours.answer(&mut answer).unwrap();
    }
    if let ClientStep::Accept { first: Some(first) } = &step {
        seen.push("fast");
        assert_eq!(theirs.answer(first), Ok(ServerStep::Wait));
    }
    assert_eq!(theirs.answer(&ok()), Ok(ServerStep::Done));
    assert_eq!(seen, steps);
}

#[test]
fn the_two_legs_understand_each_other() {
    for sample in [samples::MARIADB_GREETING, samples::MYSQL_GREETING] {
        check_round_trip(sample, ClientPlugin::Native, PASSWORD, &[]);
        check_round_trip(sample, ClientPlugin::Native, b"", &[]);
        check_round_trip(sample, ClientPlugin::CachingSha2, PASSWORD, &["fast"]);
        check_round_trip(sample, ClientPlugin::CachingSha2, b"", &[]);
    }
}

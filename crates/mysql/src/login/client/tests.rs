use super::ClientPlugin::{CachingSha2, Native};
use super::*;
use crate::capabilities::GATEWAY;
use crate::samples::NONCE;

const PLUGIN_AUTH: Capabilities = Capabilities::CLIENT_PLUGIN_AUTH;

fn login<'a>(capabilities: Capabilities, plugin: &'a str, auth_response: &'a [u8]) -> HandshakeResponse<'a> {
    HandshakeResponse {
        capabilities: capabilities.into(),
        max_packet_size: 0,
        collation: 45,
        user: b"anyone",
        auth_response,
        schema: None,
        auth_plugin: Some(plugin.as_bytes()),
        connect_attrs: Vec::new(),
        zstd_level: None,
    }
}

const AT_ONCE: ClientStep = ClientStep::Accept { first: None };

fn fast() -> ClientStep {
    ClientStep::Accept { first: Some(vec![1, 3]) }
}

#[test]
fn a_client_of_the_greetings_plugin_is_taken_at_once() {
    for (greeted, response, step) in [
        (Native, &[1; 20][..], AT_ONCE),
        (Native, &[], AT_ONCE),
        (CachingSha2, &[1; 32], fast()),
        (CachingSha2, &[], AT_ONCE),
        (CachingSha2, &[0], AT_ONCE),
    ] {
        let login = login(PLUGIN_AUTH, greeted.name(), response);
        assert_eq!(ClientLogin::new(greeted, *NONCE, false).start(&login), Ok(step), "{greeted:?} {response:?}");
    }
}

#[test]
fn a_client_of_another_plugin_is_switched() {
    for (greeted, announced, target, answer, step) in [
        // MySQL 9 towards MariaDB's greeting.
        (Native, "caching_sha2_password", CachingSha2, &[1; 32][..], fast()),
        (Native, "caching_sha2_password", CachingSha2, &[], AT_ONCE),
        (CachingSha2, "mysql_native_password", Native, &[1; 20], AT_ONCE),
        (CachingSha2, "mysql_clear_password", CachingSha2, &[1; 32], fast()),
        (Native, "client_ed25519", Native, &[], AT_ONCE),
        (CachingSha2, "", CachingSha2, &[1; 32], fast()),
    ] {
        let mut client = ClientLogin::new(greeted, *NONCE, false);
        let switch = [b"\xfe", target.name().as_bytes(), b"\0", &NONCE[..], b"\0"].concat();
        assert_eq!(client.start(&login(GATEWAY, announced, &[])), Ok(ClientStep::Send(switch)), "{announced}");
        assert_eq!(client.answer(&mut answer.to_vec()), Ok(step), "{announced}");
    }
}

#[test]
fn a_client_without_plugins_speaks_native() {
    let login = login(Capabilities::CLIENT_PROTOCOL_41, "caching_sha2_password", &[1; 20]);
    assert_eq!(ClientLogin::new(CachingSha2, *NONCE, false).start(&login), Ok(AT_ONCE));
}

#[test]
fn a_response_of_another_length_is_refused() {
    for (greeted, len) in [(Native, 19), (Native, 21), (CachingSha2, 31), (CachingSha2, 33), (CachingSha2, 20)] {
        let response = vec![1; len];
        let login = login(PLUGIN_AUTH, greeted.name(), &response);
        assert!(ClientLogin::new(greeted, *NONCE, false).start(&login).is_err(), "{greeted:?} {len}");
    }
}

#[test]
fn an_unasked_answer_is_refused() {
    let mut client = ClientLogin::new(Native, *NONCE, false);
    assert!(client.answer(&mut []).is_err());
    assert_eq!(client.start(&login(PLUGIN_AUTH, "mysql_native_password", &[])), Ok(AT_ONCE));
    assert!(client.answer(&mut []).is_err());
    assert!(client.start(&login(PLUGIN_AUTH, "mysql_native_password", &[])).is_err());
}

fn over_tls(greeted: ClientPlugin) -> ClientLogin {
    ClientLogin::new(greeted, *NONCE, true)
}

fn switch_to(plugin: ClientPlugin) -> ClientStep {
    ClientStep::Send([b"\xfe", plugin.name().as_bytes(), b"\0", &NONCE[..], b"\0"].concat())
}

#[test]
fn over_tls_a_password_sent_unasked_is_taken() {
    for greeted in [Native, CachingSha2] {
        for (plugin, response) in [
            ("mysql_clear_password", &b"s3cret\0"[..]),
            ("mysql_clear_password", b"\0"),
            ("mysql_clear_password", b""),
            ("sha256_password", b"s3cret\0"),
            ("sha256_password", b"\0"),
        ] {
            let login = login(PLUGIN_AUTH, plugin, response);
            assert_eq!(over_tls(greeted).start(&login), Ok(AT_ONCE), "{plugin} {response:?}");
            // Without TLS anyone could read along: the client is led to a plugin that hashes, as it is by a server.
            let plain = ClientLogin::new(greeted, *NONCE, false).start(&login);
            assert_eq!(plain, Ok(switch_to(greeted)), "{plugin} {response:?}");
        }
    }
}

#[test]
fn a_client_that_waits_for_a_nonce_is_not_asked_for_its_password() {
    // libmysql's sha256_password wants the server's nonce before it says anything.
    for plugin in ["sha256_password", "client_ed25519", "parsec", "dialog", "auth_gssapi_client"] {
        let mut client = over_tls(CachingSha2);
        assert_eq!(client.start(&login(PLUGIN_AUTH, plugin, b"")), Ok(switch_to(CachingSha2)), "{plugin}");
        assert_eq!(client.answer(&mut [1; 32]), Ok(fast()), "{plugin}");
    }
}

#[test]
fn over_tls_a_response_that_is_no_hash_leads_to_the_full_exchange() {
    for response in [&b"s3cret\0"[..], &[1; 31], &[1; 33], b"\x01", b"x"] {
        let mut client = over_tls(CachingSha2);
        let login = login(PLUGIN_AUTH, "caching_sha2_password", response);
        assert_eq!(client.start(&login), Ok(ClientStep::Send(vec![1, 4])), "{response:?}");
        let mut password = b"s3cret\0".to_vec();
        assert_eq!(client.answer(&mut password), Ok(AT_ONCE), "{response:?}");
        assert_eq!(password, [0; 7]);
        assert!(client.answer(&mut []).is_err());
    }
    // Also after a switch.
    let mut client = over_tls(Native);
    assert_eq!(client.start(&login(PLUGIN_AUTH, "caching_sha2_password", b"")), Ok(switch_to(CachingSha2)));
    assert_eq!(client.answer(&mut b"s3cret\0".to_vec()), Ok(ClientStep::Send(vec![1, 4])));
    assert_eq!(client.answer(&mut []), Ok(AT_ONCE));
    // A native response has no such way.
    assert!(over_tls(Native).start(&login(PLUGIN_AUTH, "mysql_native_password", b"s3cret\0")).is_err());
}

#[test]
fn every_answer_is_zeroed() {
    for (greeted, mut answer) in [(Native, vec![1; 20]), (Native, vec![1; 21]), (CachingSha2, vec![1; 32])] {
        let mut client = ClientLogin::new(greeted, *NONCE, false);
        assert!(client.start(&login(PLUGIN_AUTH, "dialog", b"")).is_ok());
        let _ = client.answer(&mut answer);
        assert!(answer.iter().all(|byte| *byte == 0));
    }
    let mut unasked = [1; 20];
    assert!(ClientLogin::new(Native, *NONCE, false).answer(&mut unasked).is_err());
    assert_eq!(unasked, [0; 20]);
}

fn change<'a>(plugin: Option<&'a str>, auth_response: &'a [u8]) -> ChangeUser<'a> {
    ChangeUser {
        user: b"anyone",
        auth_response,
        schema: None,
        collation: None,
        auth_plugin: plugin.map(str::as_bytes),
        connect_attrs: Vec::new(),
    }
}

#[test]
fn a_change_of_user_is_answered_as_the_servers_do() {
    let without = Capabilities::CLIENT_PROTOCOL_41;
    for (tls, negotiated, plugin, response, expected) in [
        // Native answers the greeting's nonce; npm's mysql speaks nothing else.
        (false, without, None, &[1; 20][..], AT_ONCE),
        (false, without, None, &[], AT_ONCE),
        (false, PLUGIN_AUTH, Some("mysql_native_password"), &[1; 20], AT_ONCE),
        (false, PLUGIN_AUTH, Some("mysql_native_password"), &[], AT_ONCE),
        // MySQL sends a new nonce for the others, whatever came.
        (false, PLUGIN_AUTH, Some("caching_sha2_password"), &[], switch_to(CachingSha2)),
        (true, PLUGIN_AUTH, Some("caching_sha2_password"), &[1; 32], switch_to(CachingSha2)),
        (true, PLUGIN_AUTH, Some("sha256_password"), &[], switch_to(CachingSha2)),
        (false, PLUGIN_AUTH, Some("client_ed25519"), &[], switch_to(CachingSha2)),
        (false, PLUGIN_AUTH, None, &[], switch_to(CachingSha2)),
        (false, PLUGIN_AUTH, Some("mysql_clear_password"), b"s3cret\0", switch_to(CachingSha2)),
        (true, PLUGIN_AUTH, Some("mysql_clear_password"), b"s3cret\0", AT_ONCE),
        (true, PLUGIN_AUTH, Some("sha256_password"), b"s3cret\0", AT_ONCE),
    ] {
        let mut client = ClientLogin::new(CachingSha2, *NONCE, tls);
        let step = client.start_change(&change(plugin, response), negotiated.into());
        assert_eq!(step, Ok(expected), "{tls} {plugin:?} {response:?}");
        if let Ok(ClientStep::Send(_)) = step {
            assert_eq!(client.answer(&mut [1; 32]), Ok(fast()));
        }
        assert!(client.start_change(&change(plugin, response), negotiated.into()).is_err());
    }
}

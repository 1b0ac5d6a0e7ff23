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

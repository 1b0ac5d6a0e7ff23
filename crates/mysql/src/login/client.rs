use super::{
    AUTH_MORE_DATA, AUTH_SWITCH, CACHING_SHA2_RESPONSE_LEN, ClientPlugin, FAST_AUTH_OK, HandshakeResponse,
    NATIVE_RESPONSE_LEN,
};
use crate::capabilities::Capabilities;
use crate::limits::NONCE_LEN;
use crate::{Fault, ProtocolError};

/// What to do next on the client's leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Send this payload, then hand the client's answer to [`ClientLogin::answer`].
    Send(Vec<u8>),
    /// The login is over: send `first`, where there is one, and then OK or ERR.
    Accept { first: Option<Vec<u8>> },
}

/// The server's side of a login that takes any user and password.
///
/// A client is asked for a hash over a nonce only, never for the password: what it was configured with stays with it.
#[derive(Debug)]
pub struct ClientLogin {
    greeted: ClientPlugin,
    switch_nonce: [u8; NONCE_LEN],
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeted,
    Switched(ClientPlugin),
    Accepted,
}

impl ClientLogin {
    /// `greeted` is the plugin named in the mirrored greeting; `switch_nonce` is used when the client has to change it,
    /// made by [`nonce_from_random`](crate::greeting::nonce_from_random) like the greeting's.
    #[must_use]
    pub const fn new(greeted: ClientPlugin, switch_nonce: [u8; NONCE_LEN]) -> Self {
        Self { greeted, switch_nonce, state: State::Greeted }
    }

    /// Judges the client's login.
    ///
    /// A client that names another plugin than the greeting's did not compute a hash with it: MySQL 9's has no native
    /// plugin and answers a native greeting with an empty `caching_sha2_password` response, waiting for the switch.
    ///
    /// # Errors
    /// `Malformed` for a response that no password gives.
    pub fn start(&mut self, login: &HandshakeResponse<'_>) -> Result<ClientStep, ProtocolError> {
        if self.state != State::Greeted {
            return Err(ProtocolError::unexpected("after the client's login was taken"));
        }
        if !login.capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            return self.accept(ClientPlugin::Native, login.auth_response);
        }
        let announced = login.auth_plugin.and_then(ClientPlugin::from_name);
        if announced == Some(self.greeted) {
            return self.accept(self.greeted, login.auth_response);
        }
        let plugin = announced.unwrap_or(self.greeted);
        self.state = State::Switched(plugin);
        Ok(ClientStep::Send(auth_switch(plugin, &self.switch_nonce)))
    }

    /// Judges the client's answer to what [`ClientLogin::start`] had sent.
    ///
    /// # Errors
    /// `Malformed` for a response that no password gives; `Misbehaved` when nothing was asked.
    pub fn answer(&mut self, payload: &[u8]) -> Result<ClientStep, ProtocolError> {
        match self.state {
            State::Switched(plugin) => self.accept(plugin, payload),
            State::Greeted | State::Accepted => Err(ProtocolError::unexpected("while nothing was asked of the client")),
        }
    }

    fn accept(&mut self, plugin: ClientPlugin, response: &[u8]) -> Result<ClientStep, ProtocolError> {
        // An account without password: nothing, or the empty C string of libmysql.
        let empty = matches!(response, [] | [0]);
        let full_len = match plugin {
            ClientPlugin::Native => NATIVE_RESPONSE_LEN,
            ClientPlugin::CachingSha2 => CACHING_SHA2_RESPONSE_LEN,
        };
        if !empty && response.len() != full_len {
            return Err(ProtocolError::malformed("login", "authentication response", Fault::Invalid));
        }
        self.state = State::Accepted;
        let fast = !empty && plugin == ClientPlugin::CachingSha2;
        Ok(ClientStep::Accept { first: fast.then(|| vec![AUTH_MORE_DATA, FAST_AUTH_OK]) })
    }
}

fn auth_switch(plugin: ClientPlugin, nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
    let mut payload = vec![AUTH_SWITCH];
    payload.extend_from_slice(plugin.name().as_bytes());
    payload.push(0);
    payload.extend_from_slice(nonce);
    payload.push(0);
    payload
}

#[cfg(test)]
mod tests {
    use super::ClientPlugin::{CachingSha2, Native};
    use super::*;
    use crate::capabilities::GATEWAY;
    use crate::samples::NONCE;

    const PLUGIN_AUTH: Capabilities = Capabilities::CLIENT_PLUGIN_AUTH;

    fn login<'a>(capabilities: Capabilities, plugin: &'a str, auth_response: &'a [u8]) -> HandshakeResponse<'a> {
        HandshakeResponse {
            capabilities,
            max_packet_size: 0,
            collation: 45,
            user: b"anyone",
            auth_response,
            schema: None,
            auth_plugin: Some(plugin.as_bytes()),
            connect_attrs: Vec::new(),
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
            assert_eq!(ClientLogin::new(greeted, *NONCE).start(&login), Ok(step), "{greeted:?} {response:?}");
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
            let mut client = ClientLogin::new(greeted, *NONCE);
            let switch = [b"\xfe", target.name().as_bytes(), b"\0", &NONCE[..], b"\0"].concat();
            assert_eq!(client.start(&login(GATEWAY, announced, &[])), Ok(ClientStep::Send(switch)), "{announced}");
            assert_eq!(client.answer(answer), Ok(step), "{announced}");
        }
    }

    #[test]
    fn a_client_without_plugins_speaks_native() {
        let login = login(Capabilities::CLIENT_PROTOCOL_41, "caching_sha2_password", &[1; 20]);
        assert_eq!(ClientLogin::new(CachingSha2, *NONCE).start(&login), Ok(AT_ONCE));
    }

    #[test]
    fn a_response_of_another_length_is_refused() {
        for (greeted, len) in [(Native, 19), (Native, 21), (CachingSha2, 31), (CachingSha2, 33), (CachingSha2, 20)] {
            let response = vec![1; len];
            let login = login(PLUGIN_AUTH, greeted.name(), &response);
            assert!(ClientLogin::new(greeted, *NONCE).start(&login).is_err(), "{greeted:?} {len}");
        }
    }

    #[test]
    fn an_unasked_answer_is_refused() {
        let mut client = ClientLogin::new(Native, *NONCE);
        assert!(client.answer(&[]).is_err());
        assert_eq!(client.start(&login(PLUGIN_AUTH, "mysql_native_password", &[])), Ok(AT_ONCE));
        assert!(client.answer(&[]).is_err());
        assert!(client.start(&login(PLUGIN_AUTH, "mysql_native_password", &[])).is_err());
    }
}

use zeroize::Zeroize;

use super::plugin::Plugin;
use super::{
    AUTH_MORE_DATA, AUTH_SWITCH, CACHING_SHA2_RESPONSE_LEN, ChangeUser, ClientPlugin, FAST_AUTH_OK, FULL_AUTH,
    HandshakeResponse, NATIVE_RESPONSE_LEN,
};
use crate::capabilities::{Capabilities, Negotiated};
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

/// The server's side of a login, or of a change of user, that takes any user and password.
///
/// A client is asked for a hash over a nonce, not for the password: what it was configured with stays with it. Over TLS the
/// ones that insist get their way: a client that sends its password unasked (`mysql_clear_password`, `sha256_password`) is
/// taken by it, and one whose `caching_sha2_password` response is no hash is asked for the password that it would send next
/// to a server. What arrives is judged by nothing, and zeroed. The packet with the first response is the caller's to zero.
#[derive(Debug)]
pub struct ClientLogin {
    greeted: ClientPlugin,
    switch_nonce: [u8; NONCE_LEN],
    tls: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeted,
    Switched(ClientPlugin),
    AskedForAll,
    Accepted,
}

impl ClientLogin {
    /// `greeted` is the plugin named in the mirrored greeting; `switch_nonce` is used when the client has to change it, made
    /// by [`nonce_from_random`](crate::greeting::nonce_from_random) like the greeting's; `tls` says that the client's leg
    /// has TLS.
    #[must_use]
    pub const fn new(greeted: ClientPlugin, switch_nonce: [u8; NONCE_LEN], tls: bool) -> Self {
        Self { greeted, switch_nonce, tls, state: State::Greeted }
    }

    /// Judges the client's login.
    ///
    /// A client that names another plugin than the greeting's did not compute a hash with it: MySQL 9's has no native
    /// plugin and answers a native greeting with an empty `caching_sha2_password` response, waiting for the switch.
    ///
    /// # Errors
    /// `Malformed` for a response that no password gives; `Misbehaved` when the login was begun before.
    pub fn start(&mut self, login: &HandshakeResponse<'_>) -> Result<ClientStep, ProtocolError> {
        self.begin(login.capabilities, login.auth_plugin, login.auth_response, self.greeted)
    }

    /// Judges a change of user, on a leg with these capabilities.
    ///
    /// Only `mysql_native_password` answers the greeting's nonce here. Clients of every other plugin wait for a switch with
    /// a new nonce, for MySQL always sends one; libmysql takes an OK in its place for a broken nonce.
    ///
    /// # Errors
    /// See [`ClientLogin::start`].
    pub fn start_change(
        &mut self,
        change: &ChangeUser<'_>,
        negotiated: Negotiated,
    ) -> Result<ClientStep, ProtocolError> {
        self.begin(negotiated, change.auth_plugin, change.auth_response, ClientPlugin::Native)
    }

    /// `answered` is the plugin whose response is one to the greeting.
    fn begin(
        &mut self,
        negotiated: Negotiated,
        announced: Option<&[u8]>,
        response: &[u8],
        answered: ClientPlugin,
    ) -> Result<ClientStep, ProtocolError> {
        if self.state != State::Greeted {
            return Err(ProtocolError::unexpected("after the client's login was taken"));
        }
        if !negotiated.has(Capabilities::CLIENT_PLUGIN_AUTH) {
            return self.accept(ClientPlugin::Native, response);
        }
        let plugin = match announced.and_then(Plugin::from_name) {
            Some(Plugin::Native) => ClientPlugin::Native,
            Some(Plugin::CachingSha2) => ClientPlugin::CachingSha2,
            // The password is here already. One that waits for a switch sent nothing: it is led to a plugin that hashes.
            Some(Plugin::Clear) if self.tls => return Ok(self.taken(None)),
            Some(Plugin::Sha256) if self.tls && !response.is_empty() => return Ok(self.taken(None)),
            Some(Plugin::Clear | Plugin::Sha256 | Plugin::Ed25519 | Plugin::Parsec) | None => {
                return Ok(self.switch(self.greeted));
            }
        };
        if plugin == answered { self.accept(plugin, response) } else { Ok(self.switch(plugin)) }
    }

    fn switch(&mut self, plugin: ClientPlugin) -> ClientStep {
        self.state = State::Switched(plugin);
        ClientStep::Send(auth_switch(plugin, &self.switch_nonce))
    }

    /// Judges the client's answer to what was sent, and zeroes it.
    ///
    /// # Errors
    /// `Malformed` for a response that no password gives; `Misbehaved` when nothing was asked.
    pub fn answer(&mut self, payload: &mut [u8]) -> Result<ClientStep, ProtocolError> {
        let step = match self.state {
            State::Switched(plugin) => self.accept(plugin, payload),
            State::AskedForAll => Ok(self.taken(None)),
            State::Greeted | State::Accepted => Err(ProtocolError::unexpected("while nothing was asked of the client")),
        };
        payload.zeroize();
        step
    }

    fn accept(&mut self, plugin: ClientPlugin, response: &[u8]) -> Result<ClientStep, ProtocolError> {
        // An account without password: nothing, or the empty C string of libmysql.
        let empty = matches!(response, [] | [0]);
        match (plugin, response.len()) {
            _ if empty => Ok(self.taken(None)),
            (ClientPlugin::Native, NATIVE_RESPONSE_LEN) => Ok(self.taken(None)),
            (ClientPlugin::CachingSha2, CACHING_SHA2_RESPONSE_LEN) => {
                Ok(self.taken(Some(vec![AUTH_MORE_DATA, FAST_AUTH_OK])))
            }
            (ClientPlugin::CachingSha2, _) if self.tls => {
                self.state = State::AskedForAll;
                Ok(ClientStep::Send(vec![AUTH_MORE_DATA, FULL_AUTH]))
            }
            (ClientPlugin::Native | ClientPlugin::CachingSha2, _) => {
                Err(ProtocolError::malformed(plugin.name(), "authentication response", Fault::Invalid))
            }
        }
    }

    fn taken(&mut self, first: Option<Vec<u8>>) -> ClientStep {
        self.state = State::Accepted;
        ClientStep::Accept { first }
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
mod tests;

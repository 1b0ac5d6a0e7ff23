use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use zeroize::Zeroizing;

use super::{
    AUTH_MORE_DATA, AUTH_NEXT_FACTOR, AUTH_SWITCH, ClientPlugin, ConnectAttr, FAST_AUTH_OK, FULL_AUTH,
    HandshakeResponse, public_key, shown,
};
use crate::capabilities::{Capabilities, offered};
use crate::greeting::{Flavour, Greeting};
use crate::limits::{AUTH_SWITCHES_MAX, NONCE_LEN};
use crate::outcome::{ERR, ErrorPacket, OK, OkPacket};
use crate::reader::Reader;
use crate::{Fault, Misbehaviour, ProtocolError, Unsupported};

/// The request for the server's RSA key, of `caching_sha2_password`.
const PUBLIC_KEY_REQUEST: u8 = 0x02;

/// Capabilities without which the gateway does not log in to a server.
const NEEDED: Capabilities = Capabilities::CLIENT_PROTOCOL_41.union(Capabilities::CLIENT_SECURE_CONNECTION);
/// Capabilities of the login itself: the server leg's own business, whatever the client can.
const LOGIN_ONLY: Capabilities = NEEDED
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_CONNECT_ATTRS);

/// What a login asks for besides the credential.
#[derive(Debug, Clone)]
pub struct LoginRequest<'a> {
    /// Those in force towards the client; the login's own are added, and what the server lacks is taken away.
    pub capabilities: Capabilities,
    /// Bytes.
    pub max_packet_size: u32,
    pub collation: u8,
    pub user: &'a [u8],
    pub schema: Option<&'a [u8]>,
    pub connect_attrs: Vec<ConnectAttr<'a>>,
}

/// What to do after a packet of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStep<'a> {
    /// Send this payload; the server's answer is the next packet.
    Send(Vec<u8>),
    /// Nothing to send; the server's next packet decides.
    Wait,
    /// Logged in; the packet given was the OK packet.
    Done,
    Denied(ErrorPacket<'a>),
}

/// The client's side of a login with a credential that the gateway holds.
///
/// The password is zeroed when the login is over or dropped.
pub struct ServerLogin {
    greeting_nonce: [u8; NONCE_LEN],
    greeting_plugin: ClientPlugin,
    server: Capabilities,
    password: Zeroizing<Vec<u8>>,
    oaep_seed: [u8; public_key::SEED_LEN],
    state: State,
    auth_switches: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A response by `plugin` over `nonce` is on its way.
    Answered {
        plugin: ClientPlugin,
        nonce: [u8; NONCE_LEN],
    },
    /// The server's RSA key was asked for.
    AwaitingKey {
        nonce: [u8; NONCE_LEN],
    },
    /// Everything was sent.
    AwaitingVerdict,
    Over,
}

/// Leaves the password out.
impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLogin").field("greeting_plugin", &self.greeting_plugin).finish_non_exhaustive()
    }
}

impl ServerLogin {
    /// Prepares the answer to `greeting`. `oaep_seed` is random, and used at most once: to encrypt the password for the
    /// server's RSA key.
    #[must_use]
    pub fn new(greeting: &Greeting<'_>, password: &[u8], oaep_seed: [u8; 20]) -> Self {
        let greeting_plugin = if greeting.capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            // A server whose default is none of ours switches to the account's plugin, whatever the first answer is.
            ClientPlugin::from_name(greeting.auth_plugin).unwrap_or(match greeting.flavour {
                Flavour::MariaDb => ClientPlugin::Native,
                Flavour::MySql => ClientPlugin::CachingSha2,
            })
        } else {
            ClientPlugin::Native
        };
        Self {
            greeting_nonce: greeting.nonce,
            greeting_plugin,
            server: offered(greeting.capabilities),
            password: Zeroizing::new(password.to_vec()),
            oaep_seed,
            state: State::Answered { plugin: greeting_plugin, nonce: greeting.nonce },
            auth_switches: 0,
        }
    }

    /// Appends the payload that answers the greeting, and returns the capabilities then in force on the server's leg.
    ///
    /// # Errors
    /// `Malformed` when a name or the attributes of `request` cannot be written.
    pub fn handshake_response(
        &self,
        request: &LoginRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Capabilities, ProtocolError> {
        let mut capabilities = self.server.intersection(request.capabilities.union(LOGIN_ONLY)).union(NEEDED);
        let with_schema = request.schema.is_some() && self.server.contains(Capabilities::CLIENT_CONNECT_WITH_DB);
        capabilities.set(Capabilities::CLIENT_CONNECT_WITH_DB, with_schema);
        let response = HandshakeResponse {
            capabilities,
            max_packet_size: request.max_packet_size,
            collation: request.collation,
            user: request.user,
            auth_response: &self.scramble(self.greeting_plugin, &self.greeting_nonce),
            schema: request.schema,
            auth_plugin: Some(self.greeting_plugin.name().as_bytes()),
            connect_attrs: request.connect_attrs.clone(),
        };
        response.write(out)?;
        Ok(capabilities)
    }

    /// Takes the server's next packet.
    ///
    /// # Errors
    /// `Unsupported` for what the gateway does not speak, `mysql_clear_password` among it: it would send the password as
    /// it is; `Malformed`; `Misbehaved` for packets out of turn.
    pub fn answer<'a>(&mut self, payload: &'a [u8]) -> Result<ServerStep<'a>, ProtocolError> {
        let step = self.step(payload);
        if !matches!(step, Ok(ServerStep::Send(_) | ServerStep::Wait)) {
            self.state = State::Over;
            self.password = Zeroizing::default();
        }
        step
    }

    fn step<'a>(&mut self, payload: &'a [u8]) -> Result<ServerStep<'a>, ProtocolError> {
        if self.state == State::Over {
            return Err(ProtocolError::unexpected("after the login was over"));
        }
        let Some((&header, rest)) = payload.split_first() else {
            return Err(ProtocolError::malformed("login answer", "header", Fault::Truncated));
        };
        match (header, self.state) {
            (ERR, _) => ErrorPacket::parse(payload).map(ServerStep::Denied),
            (OK, State::Answered { .. } | State::AwaitingVerdict) => {
                OkPacket::parse(payload)?;
                Ok(ServerStep::Done)
            }
            (AUTH_SWITCH, State::Answered { .. }) => self.switch(rest),
            (AUTH_MORE_DATA, State::Answered { plugin: ClientPlugin::CachingSha2, nonce }) => self.caching(rest, nonce),
            (AUTH_MORE_DATA, State::AwaitingKey { nonce }) => {
                self.state = State::AwaitingVerdict;
                let message = self.obscured(&nonce);
                public_key::encrypt(rest, &message, self.oaep_seed).map(ServerStep::Send)
            }
            (AUTH_NEXT_FACTOR, _) => Err(Unsupported::SecondFactor.into()),
            _ => Err(ProtocolError::unexpected("at this point of the login")),
        }
    }

    fn switch(&mut self, rest: &[u8]) -> Result<ServerStep<'static>, ProtocolError> {
        if rest.is_empty() {
            return Err(Unsupported::OldPassword.into());
        }
        self.auth_switches = self.auth_switches.saturating_add(1);
        if self.auth_switches > AUTH_SWITCHES_MAX {
            return Err(Misbehaviour::TooManyAuthSwitches { max: AUTH_SWITCHES_MAX }.into());
        }
        let mut reader = Reader::new("authentication switch", rest);
        let name = reader.until_nul_or_end("plugin")?;
        let Some(plugin) = ClientPlugin::from_name(name) else {
            return Err(Unsupported::AuthPlugin { name: shown(name) }.into());
        };
        let nonce = reader.array::<NONCE_LEN>("nonce")?;
        if !reader.is_empty() && reader.u8("nonce")? != 0 {
            return Err(reader.fail("nonce", Fault::Invalid));
        }
        reader.end("nonce")?;
        self.state = State::Answered { plugin, nonce };
        Ok(ServerStep::Send(self.scramble(plugin, &nonce)))
    }

    fn caching(&mut self, rest: &[u8], nonce: [u8; NONCE_LEN]) -> Result<ServerStep<'static>, ProtocolError> {
        match rest {
            [FAST_AUTH_OK] => {
                self.state = State::AwaitingVerdict;
                Ok(ServerStep::Wait)
            }
            [FULL_AUTH] => {
                self.state = State::AwaitingKey { nonce };
                Ok(ServerStep::Send(vec![PUBLIC_KEY_REQUEST]))
            }
            _ => Err(ProtocolError::malformed("caching_sha2_password answer", "status", Fault::Invalid)),
        }
    }

    /// The response for a nonce; empty for an empty password.
    fn scramble(&self, plugin: ClientPlugin, nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        match plugin {
            ClientPlugin::Native => scramble_native(nonce, &self.password).map(Vec::from),
            ClientPlugin::CachingSha2 => scramble_sha256(nonce, &self.password).map(Vec::from),
        }
        .unwrap_or_default()
    }

    /// The password as a C string, XORed with the nonce over and over.
    fn obscured(&self, nonce: &[u8; NONCE_LEN]) -> Zeroizing<Vec<u8>> {
        // Filled in one go: a vector that grew would leave copies behind.
        let mut message = Zeroizing::new(Vec::with_capacity(self.password.len().saturating_add(1)));
        message.extend(self.password.iter().chain(&[0]).zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        message
    }
}

#[cfg(test)]
mod tests;

mod opening;

use zeroize::Zeroizing;

use super::plugin::{self, Plugin};
use super::{AUTH_MORE_DATA, AUTH_NEXT_FACTOR, AUTH_SWITCH, ClientPlugin, FAST_AUTH_OK, FULL_AUTH, public_key, shown};
use crate::capabilities::{Negotiated, offered};
use crate::greeting::Greeting;
use crate::limits::{AUTH_SWITCHES_MAX, LOGIN_SEED_LEN, LONG_NONCE_LEN, NONCE_LEN};
use crate::outcome::{ERR, ErrorPacket, OK, OkPacket};
use crate::reader::Reader;
use crate::{Fault, Misbehaviour, ProtocolError, Unsupported};

pub use opening::{ChangeUserRequest, LoginRequest};

/// The request for the server's RSA key, of `caching_sha2_password` and of `sha256_password`.
const CACHING_SHA2_KEY_REQUEST: u8 = 0x02;
const SHA256_KEY_REQUEST: u8 = 0x01;

/// What a later COM_CHANGE_USER must know of the server's leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLeg {
    /// As [`ServerLogin::handshake_response`] returned them.
    pub capabilities: Negotiated,
    /// The greeting's nonce: what a server without plugins hashes over for good.
    pub nonce: [u8; NONCE_LEN],
    pub tls: bool,
    /// Whether it is known who is behind TLS.
    pub verified: bool,
}

/// What to do after a packet of the server.
#[derive(Clone, PartialEq, Eq)]
pub enum ServerStep<'a> {
    /// Send this payload, which may be the password as it is (over TLS); the server's answer is the next packet.
    Send(Zeroizing<Vec<u8>>),
    /// Nothing to send; the server's next packet decides.
    Wait,
    /// Logged in; the packet given was the OK packet.
    Done,
    Denied(ErrorPacket<'a>),
}

/// Leaves the payload out.
impl std::fmt::Debug for ServerStep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Send(payload) => write!(f, "Send({} bytes)", payload.len()),
            Self::Wait => f.write_str("Wait"),
            Self::Done => f.write_str("Done"),
            Self::Denied(error) => f.debug_tuple("Denied").field(error).finish(),
        }
    }
}

/// The client's side of a login with a credential that the gateway holds, or of a change of user.
///
/// The password is zeroed when the login is over or dropped.
pub struct ServerLogin {
    nonce: [u8; NONCE_LEN],
    first_plugin: ClientPlugin,
    /// Of the server, as far as the gateway honours them.
    server: Negotiated,
    tls: bool,
    verified: bool,
    password: Zeroizing<Vec<u8>>,
    /// The first 20 bytes are the OAEP seed, which must stay secret; the rest is the client's nonce of `parsec`.
    seed: Zeroizing<[u8; LOGIN_SEED_LEN]>,
    /// The plugin spoken last.
    plugin: Plugin,
    state: State,
    auth_switches: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The plugin has said all it has to say, unless the server wants another one.
    Answered,
    /// A scramble of `caching_sha2_password` over `nonce` is on its way.
    Scrambled {
        nonce: [u8; NONCE_LEN],
    },
    /// The server's RSA key was asked for.
    AwaitingKey {
        nonce: [u8; NONCE_LEN],
    },
    /// The account's salt was asked for, of `parsec`.
    AwaitingSalt {
        nonce: [u8; LONG_NONCE_LEN],
    },
    /// The server has what it needs.
    AwaitingVerdict,
    Over,
}

/// Leaves the password out.
impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLogin").field("plugin", &self.plugin).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl ServerLogin {
    /// Prepares the answer to `greeting`; `tls` says that the leg has TLS, or will before the answer is sent.
    ///
    /// Whether the server's certificate was verified is the caller's business: over TLS the password itself is sent where
    /// the account's plugin wants it. `seed` is random, secret, and for this login alone.
    #[must_use]
    pub fn new(greeting: &Greeting<'_>, password: &[u8], tls: bool, seed: [u8; LOGIN_SEED_LEN]) -> Self {
        let first_plugin = ClientPlugin::of_greeting(greeting);
        Self {
            nonce: greeting.nonce,
            first_plugin,
            server: offered(greeting.capabilities),
            tls,
            verified: false,
            password: Zeroizing::new(password.to_vec()),
            seed: Zeroizing::new(seed),
            plugin: first_plugin.into(),
            state: match first_plugin {
                ClientPlugin::Native => State::Answered,
                ClientPlugin::CachingSha2 => State::Scrambled { nonce: greeting.nonce },
            },
            auth_switches: 0,
        }
    }

    /// Says whether the server's certificate was verified: only then does it get the password by `mysql_clear_password`,
    /// which any server may ask for.
    #[must_use]
    pub const fn verified(mut self, verified: bool) -> Self {
        self.verified = verified;
        self
    }

    /// Prepares a change of user on `leg`, to be begun by [`ServerLogin::change_user_request`].
    #[must_use]
    pub fn change_user(leg: &ServerLeg, password: &[u8], seed: [u8; LOGIN_SEED_LEN]) -> Self {
        Self {
            nonce: leg.nonce,
            first_plugin: ClientPlugin::Native,
            server: leg.capabilities,
            tls: leg.tls,
            verified: leg.verified,
            password: Zeroizing::new(password.to_vec()),
            seed: Zeroizing::new(seed),
            plugin: Plugin::Native,
            state: State::Answered,
            auth_switches: 0,
        }
    }

    /// The name of the plugin spoken last, for the log.
    #[must_use]
    pub const fn plugin(&self) -> &'static str {
        self.plugin.name()
    }

    /// Takes the server's next packet.
    ///
    /// # Errors
    /// `Unsupported` for what the gateway does not speak, and for `mysql_clear_password` without TLS: it would send the
    /// password as it is; `Malformed`; `Misbehaved` for packets out of turn. Each names the plugin where one is at fault.
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
            (OK, State::Answered | State::Scrambled { .. } | State::AwaitingVerdict) => {
                OkPacket::parse(payload)?;
                Ok(ServerStep::Done)
            }
            (AUTH_SWITCH, State::Answered | State::Scrambled { .. }) => self.switch(rest),
            (AUTH_MORE_DATA, State::Scrambled { nonce }) => self.caching(rest, nonce),
            (AUTH_MORE_DATA, State::AwaitingKey { nonce }) => self.encrypt(rest, &nonce),
            // MariaDB puts the byte in front only of data that would be mistaken for another packet.
            (AUTH_MORE_DATA, State::AwaitingSalt { nonce }) => self.sign(rest, &nonce),
            (_, State::AwaitingSalt { nonce }) if !matches!(header, OK | AUTH_SWITCH | AUTH_NEXT_FACTOR) => {
                self.sign(payload, &nonce)
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
        let Some(plugin) = Plugin::from_name(name) else {
            return Err(Unsupported::AuthPlugin { name: shown(name) }.into());
        };
        self.plugin = plugin;
        let (state, payload) = self.respond(plugin, reader.take_rest())?;
        self.state = state;
        Ok(ServerStep::Send(payload))
    }

    /// A plugin's first response to the data that came with the switch to it.
    fn respond(&self, plugin: Plugin, data: &[u8]) -> Result<(State, Zeroizing<Vec<u8>>), ProtocolError> {
        let hash = |by, nonce| Zeroizing::new(plugin::scramble(by, &self.password, nonce));
        Ok(match plugin {
            Plugin::Native => (State::Answered, hash(ClientPlugin::Native, &plugin.nonce(data)?)),
            Plugin::CachingSha2 => {
                let nonce = plugin.nonce(data)?;
                (State::Scrambled { nonce }, hash(ClientPlugin::CachingSha2, &nonce))
            }
            Plugin::Sha256 => {
                let nonce = plugin.nonce(data)?;
                // An empty password is one NUL, encrypted or not (MySQL's sha256_password_auth_client).
                if self.tls || self.password.is_empty() {
                    (State::Answered, plugin::c_string(&self.password))
                } else {
                    (State::AwaitingKey { nonce }, Zeroizing::new(vec![SHA256_KEY_REQUEST]))
                }
            }
            Plugin::Ed25519 => {
                (State::Answered, Zeroizing::new(plugin::ed25519(&self.password, &plugin.nonce(data)?)?))
            }
            // The empty packet asks for the account's salt.
            Plugin::Parsec => (State::AwaitingSalt { nonce: plugin.nonce(data)? }, Zeroizing::default()),
            // Whatever nonce came with it is not used.
            Plugin::Clear if self.tls && self.verified => (State::Answered, plugin::c_string(&self.password)),
            Plugin::Clear => return Err(Unsupported::CleartextWithoutTls { name: plugin.name() }.into()),
        })
    }

    fn caching(&mut self, rest: &[u8], nonce: [u8; NONCE_LEN]) -> Result<ServerStep<'static>, ProtocolError> {
        let (state, step) = match rest {
            [FAST_AUTH_OK] => (State::AwaitingVerdict, ServerStep::Wait),
            [FULL_AUTH] if self.tls => (State::AwaitingVerdict, ServerStep::Send(plugin::c_string(&self.password))),
            [FULL_AUTH] => {
                let request = Zeroizing::new(vec![CACHING_SHA2_KEY_REQUEST]);
                (State::AwaitingKey { nonce }, ServerStep::Send(request))
            }
            _ => return Err(ProtocolError::malformed(self.plugin(), "status", Fault::Invalid)),
        };
        self.state = state;
        Ok(step)
    }

    fn encrypt(&mut self, pem: &[u8], nonce: &[u8; NONCE_LEN]) -> Result<ServerStep<'static>, ProtocolError> {
        let (oaep_seed, _) = self.seeds();
        let encrypted = public_key::encrypt(pem, &plugin::obscured(&self.password, nonce), oaep_seed)?;
        self.state = State::AwaitingVerdict;
        Ok(ServerStep::Send(Zeroizing::new(encrypted)))
    }

    fn sign(&mut self, salt: &[u8], nonce: &[u8; LONG_NONCE_LEN]) -> Result<ServerStep<'static>, ProtocolError> {
        let (_, client_nonce) = self.seeds();
        let response = plugin::parsec(&self.password, nonce, &client_nonce, salt)?;
        self.state = State::Answered;
        Ok(ServerStep::Send(Zeroizing::new(response)))
    }

    /// The OAEP seed, and the client's nonce of `parsec`.
    fn seeds(&self) -> ([u8; public_key::SEED_LEN], [u8; LONG_NONCE_LEN]) {
        const _: () = assert!(LOGIN_SEED_LEN == public_key::SEED_LEN + LONG_NONCE_LEN);
        let mut oaep_seed = [0; public_key::SEED_LEN];
        let mut client_nonce = [0; LONG_NONCE_LEN];
        for (to, from) in oaep_seed.iter_mut().chain(&mut client_nonce).zip(*self.seed) {
            *to = from;
        }
        (oaep_seed, client_nonce)
    }
}

#[cfg(test)]
mod tests;

//! The login, on both legs.
//!
//! Towards the client the gateway plays a server that takes any user and password ([`ClientLogin`]): they prove nothing
//! here, the kernel's record does. Towards the server it plays a client with the credential it holds ([`ServerLogin`]).

mod change_user;
mod client;
mod fields;
mod handshake;
mod plugin;
mod public_key;
mod server;

use crate::capabilities::Capabilities;
use crate::greeting::{Flavour, Greeting};
use crate::limits::PLUGIN_NAME_SHOWN_MAX;

pub use change_user::ChangeUser;
pub use client::{ClientLogin, ClientStep};
pub use fields::ConnectAttr;
pub use handshake::{FirstPacket, HandshakeResponse, SslRequest};
pub use server::{ChangeUserRequest, LoginRequest, ServerLeg, ServerLogin, ServerStep};

const AUTH_SWITCH: u8 = 0xFE;
const AUTH_MORE_DATA: u8 = 0x01;
const AUTH_NEXT_FACTOR: u8 = 0x02;
/// `caching_sha2_password`: the scramble was right.
const FAST_AUTH_OK: u8 = 0x03;
/// `caching_sha2_password`: the server has no cached hash and wants the password itself.
const FULL_AUTH: u8 = 0x04;

const NATIVE_RESPONSE_LEN: usize = 20;
const CACHING_SHA2_RESPONSE_LEN: usize = 32;

/// An authentication plugin that a greeting may name: one whose first response is a hash over the greeting's nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPlugin {
    Native,
    CachingSha2,
}

impl ClientPlugin {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
        }
    }

    /// The plugin that is spoken first after `greeting`: the one it names, else the default of its kind of server. A server
    /// whose account has another one switches, whatever the first response is.
    #[must_use]
    pub fn of_greeting(greeting: &Greeting<'_>) -> Self {
        if !greeting.capabilities.has(Capabilities::CLIENT_PLUGIN_AUTH) {
            return Self::Native;
        }
        Self::from_name(greeting.auth_plugin).unwrap_or(match greeting.flavour {
            Flavour::MariaDb => Self::Native,
            Flavour::MySql => Self::CachingSha2,
        })
    }

    /// The plugin of that name, if it is one of these.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Native, Self::CachingSha2].into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }
}

/// A plugin's name for an error text: printable ASCII, cut.
fn shown(name: &[u8]) -> String {
    let printable = |byte: &u8| if byte.is_ascii_graphic() && *byte != b'`' { char::from(*byte) } else { '?' };
    name.iter().take(PLUGIN_NAME_SHOWN_MAX).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_cut_and_printable() {
        assert_eq!(shown(b"client_ed25519"), "client_ed25519");
        assert_eq!(shown(b"a`b\n\xff"), "a?b??");
        assert_eq!(shown(&[b'x'; PLUGIN_NAME_SHOWN_MAX]).len(), PLUGIN_NAME_SHOWN_MAX);
        assert_eq!(shown(&[b'x'; PLUGIN_NAME_SHOWN_MAX + 1]).len(), PLUGIN_NAME_SHOWN_MAX);
    }
}

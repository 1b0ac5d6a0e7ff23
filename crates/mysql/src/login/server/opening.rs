//! What opens an exchange with a server.

use super::ServerLogin;
use crate::capabilities::{Capabilities, LEG_ONLY, Negotiated};
use crate::login::fields::{self, ConnectAttr};
use crate::login::{HandshakeResponse, SslRequest, plugin};
use crate::{ProtocolError, Unsupported};

const COM_CHANGE_USER: u8 = 0x11;
/// The plugin that the gateway's COM_CHANGE_USER names: no account has it, so that every server switches to the account's
/// own with a new nonce. Naming that one at once would depend on the nonce of an earlier exchange, which the servers
/// remember differently (MySQL's `caching_sha2_password` switches in any case).
const NO_PLUGIN: &str = "portreeve_switch";

/// Capabilities without which the gateway does not log in to a server.
pub(super) const NEEDED: Capabilities = Capabilities::CLIENT_PROTOCOL_41.union(Capabilities::CLIENT_SECURE_CONNECTION);
/// Capabilities of the login itself: the server leg's own business, whatever the client can.
pub(super) const LOGIN_ONLY: Capabilities = NEEDED
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_CONNECT_ATTRS);
/// What of [`LEG_ONLY`] the caller chooses.
pub(super) const CHOSEN: Capabilities =
    Capabilities::CLIENT_COMPRESS.union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);

/// What a login asks for besides the credential.
#[derive(Debug, Clone)]
pub struct LoginRequest<'a> {
    /// Those in force towards the client, with COMPRESS and ZSTD as this leg shall have them. The login's own are added, and
    /// what the server lacks is taken away.
    pub capabilities: Negotiated,
    /// Bytes.
    pub max_packet_size: u32,
    pub collation: u8,
    pub user: &'a [u8],
    pub schema: Option<&'a [u8]>,
    pub connect_attrs: Vec<ConnectAttr<'a>>,
    /// 1 to 22, under `ZSTD_COMPRESSION_ALGORITHM`; `None` for the usual one.
    pub zstd_level: Option<u8>,
}

/// What a COM_CHANGE_USER asks for besides the credential.
#[derive(Debug, Clone)]
pub struct ChangeUserRequest<'a> {
    pub user: &'a [u8],
    pub schema: Option<&'a [u8]>,
    /// What the client named, else the greeting's.
    pub collation: u16,
    pub connect_attrs: Vec<ConnectAttr<'a>>,
}

impl ServerLogin {
    /// Appends the payload of the request for TLS: the first packet of a leg that shall have it.
    ///
    /// # Errors
    /// `Unsupported` when the server does not offer TLS.
    pub fn ssl_request(&self, request: &LoginRequest<'_>, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let mut capabilities = self.capabilities(request)?;
        if !self.server.has(Capabilities::CLIENT_SSL) {
            return Err(Unsupported::ServerTls.into());
        }
        capabilities.standard.insert(Capabilities::CLIENT_SSL);
        let LoginRequest { max_packet_size, collation, .. } = *request;
        SslRequest { capabilities, max_packet_size, collation }.write(out);
        Ok(())
    }

    /// Appends the payload that answers the greeting, and returns the capabilities then in force on the server's leg.
    ///
    /// # Errors
    /// `Malformed` when a name or the attributes of `request` cannot be written; `Unsupported` when the leg has TLS and the
    /// server never offered it.
    pub fn handshake_response(
        &self,
        request: &LoginRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Negotiated, ProtocolError> {
        let capabilities = self.capabilities(request)?;
        let response = HandshakeResponse {
            capabilities,
            max_packet_size: request.max_packet_size,
            collation: request.collation,
            user: request.user,
            auth_response: &plugin::scramble(self.first_plugin, &self.password, &self.nonce),
            schema: request.schema,
            auth_plugin: Some(self.first_plugin.name().as_bytes()),
            connect_attrs: request.connect_attrs.clone(),
            zstd_level: request.zstd_level,
        };
        response.write(out)?;
        Ok(capabilities)
    }

    fn capabilities(&self, request: &LoginRequest<'_>) -> Result<Negotiated, ProtocolError> {
        let asked = request.capabilities.standard;
        let asked = asked.difference(LEG_ONLY).union(asked.intersection(CHOSEN)).union(LOGIN_ONLY);
        let mut capabilities =
            self.server.intersection(Negotiated { standard: asked, mariadb: request.capabilities.mariadb });
        capabilities.standard.insert(NEEDED);
        let with_schema = request.schema.is_some() && self.server.has(Capabilities::CLIENT_CONNECT_WITH_DB);
        capabilities.standard.set(Capabilities::CLIENT_CONNECT_WITH_DB, with_schema);
        if self.tls && !self.server.has(Capabilities::CLIENT_SSL) {
            return Err(Unsupported::ServerTls.into());
        }
        capabilities.standard.set(Capabilities::CLIENT_SSL, self.tls);
        Ok(capabilities)
    }

    /// Appends the payload of a COM_CHANGE_USER for the held credential, command byte included. What the server answers goes
    /// to [`ServerLogin::answer`].
    ///
    /// # Errors
    /// `Malformed` when a name or the attributes of `request` cannot be written.
    pub fn change_user_request(&self, request: &ChangeUserRequest<'_>, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        const PACKET: &str = "COM_CHANGE_USER";
        let plugins = self.server.has(Capabilities::CLIENT_PLUGIN_AUTH);
        let response =
            if plugins { Vec::new() } else { plugin::scramble(self.first_plugin, &self.password, &self.nonce) };
        out.push(COM_CHANGE_USER);
        fields::write_name(PACKET, request.user, "user", out)?;
        fields::write_short(PACKET, &response, "authentication response", out)?;
        fields::write_name(PACKET, request.schema.unwrap_or_default(), "schema", out)?;
        out.extend_from_slice(&request.collation.to_le_bytes());
        if plugins {
            fields::write_name(PACKET, NO_PLUGIN.as_bytes(), "authentication plugin", out)?;
        }
        if self.server.has(Capabilities::CLIENT_CONNECT_ATTRS) {
            fields::write_attrs(PACKET, &request.connect_attrs, out)?;
        }
        Ok(())
    }
}

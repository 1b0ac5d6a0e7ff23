use super::fields::{self, ConnectAttr};
use crate::capabilities::{Capabilities, Negotiated, effective};
use crate::greeting::mariadb;
use crate::reader::Reader;
use crate::{Misbehaviour, ProtocolError, Unsupported};

const PACKET: &str = "handshake response";
/// Behind them are four more, in which clients of MariaDB have their extended capabilities.
const RESERVED_LEN: usize = 19;
/// Where an SSLRequest ends and a handshake response goes on with the user.
const SSL_REQUEST_LEN: usize = 32;
/// What MySQL's own client asks for unless told otherwise.
const ZSTD_LEVEL_DEFAULT: u8 = 3;
/// What must not change once a leg is encrypted. SSL is not among them: MySqlConnector sets it in the request for TLS only,
/// and a leg that has TLS does not lose it again.
const FIXED_BY_SSL_REQUEST: Capabilities = Capabilities::CLIENT_PROTOCOL_41
    .union(Capabilities::CLIENT_SECURE_CONNECTION)
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_COMPRESS)
    .union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);

/// What a client answers a greeting with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstPacket<'a> {
    /// TLS comes next, and in it a [`HandshakeResponse`].
    SslRequest(SslRequest),
    /// The client stays without TLS, offered or not.
    Response(HandshakeResponse<'a>),
}

impl<'a> FirstPacket<'a> {
    /// Reads what a client sends first; `offered` are the capabilities of the greeting that it answers.
    ///
    /// # Errors
    /// `Unsupported` for TLS that was not offered and for the protocol before 4.1; `Malformed`, also for a request for TLS
    /// with anything behind its 32 bytes.
    pub fn parse(payload: &'a [u8], offered: Negotiated) -> Result<Self, ProtocolError> {
        let claimed = claimed(&mut Reader::new(PACKET, payload))?;
        if offered.has(Capabilities::CLIENT_SSL) && claimed.contains(Capabilities::CLIENT_SSL) {
            return SslRequest::parse(payload, offered).map(Self::SslRequest);
        }
        HandshakeResponse::parse(payload, offered).map(Self::Response)
    }
}

/// The request for TLS: the beginning of a handshake response, up to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    /// Only those in force, like [`HandshakeResponse::capabilities`].
    pub capabilities: Negotiated,
    /// Bytes.
    pub max_packet_size: u32,
    pub collation: u8,
}

impl SslRequest {
    fn parse(payload: &[u8], offered: Negotiated) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new("SSL request", payload);
        let head = Self::read(&mut reader, offered)?;
        reader.end("reserved bytes")?;
        Ok(head)
    }

    fn read(reader: &mut Reader<'_>, offered: Negotiated) -> Result<Self, ProtocolError> {
        let standard = claimed(reader)?;
        let max_packet_size = reader.u32("maximum packet size")?;
        let collation = reader.u8("collation")?;
        reader.take(RESERVED_LEN, "reserved bytes")?;
        let mariadb = mariadb(standard, reader.u32("extended capabilities")?);
        let capabilities = effective(offered, Negotiated { standard, mariadb });
        Ok(Self { capabilities, max_packet_size, collation })
    }

    /// Appends the payload for a server.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capabilities.standard.bits().to_le_bytes());
        out.extend_from_slice(&self.max_packet_size.to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&[0; RESERVED_LEN]);
        out.extend_from_slice(&self.extended().to_le_bytes());
    }

    fn extended(&self) -> u32 {
        let theirs = !self.capabilities.has(Capabilities::CLIENT_LONG_PASSWORD);
        if theirs { self.capabilities.mariadb.bits() } else { 0 }
    }

    /// Checks the login that came inside TLS against the request for TLS, which anyone on the way could have written.
    ///
    /// # Errors
    /// `Misbehaved` when the two differ in what decides how the login is read or carried.
    pub fn check(&self, response: &HandshakeResponse<'_>) -> Result<(), ProtocolError> {
        let changed = self.capabilities.standard.symmetric_difference(response.capabilities.standard);
        if changed.intersects(FIXED_BY_SSL_REQUEST) {
            return Err(Misbehaviour::ChangedCapabilities.into());
        }
        Ok(())
    }
}

/// The capabilities that a client claims.
fn claimed(reader: &mut Reader<'_>) -> Result<Capabilities, ProtocolError> {
    // The old response has two bytes of capabilities and another layout behind them: judge before reading on.
    let low = Capabilities::from_bits_retain(u32::from(reader.clone().u16("capabilities")?));
    if !low.contains(Capabilities::CLIENT_PROTOCOL_41) {
        return Err(Unsupported::OldProtocol.into());
    }
    reader.u32("capabilities").map(Capabilities::from_bits_retain)
}

/// A login as a client sends it (HandshakeResponse41).
#[derive(Clone, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// Only those in force: what the client set without an offer is already taken away.
    pub capabilities: Negotiated,
    /// Bytes; what the client says it can take, 0 from some.
    pub max_packet_size: u32,
    pub collation: u8,
    pub user: &'a [u8],
    pub auth_response: &'a [u8],
    /// `None` also when the client sent an empty name.
    pub schema: Option<&'a [u8]>,
    /// `None` also when the client sent an empty name.
    pub auth_plugin: Option<&'a [u8]>,
    /// In the order sent, duplicates kept.
    pub connect_attrs: Vec<ConnectAttr<'a>>,
    /// 1 to 22 from a sane client; only under `ZSTD_COMPRESSION_ALGORITHM`. Where COMPRESS is in force too, the servers
    /// take zlib.
    pub zstd_level: Option<u8>,
}

/// Leaves the authentication response out: it may be a token.
impl std::fmt::Debug for HandshakeResponse<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeResponse")
            .field("capabilities", &self.capabilities)
            .field("user", &String::from_utf8_lossy(self.user))
            .field("schema", &self.schema.map(String::from_utf8_lossy))
            .field("auth_plugin", &self.auth_plugin.map(String::from_utf8_lossy))
            .finish_non_exhaustive()
    }
}

impl<'a> HandshakeResponse<'a> {
    /// Reads a client's login; `offered` are the capabilities of the greeting that it answers.
    ///
    /// As tolerant as the servers are: the last field's NUL, the schema, the plugin and the attributes may be missing.
    ///
    /// # Errors
    /// `Unsupported` for TLS that was not offered and for the protocol before 4.1; `Malformed`.
    pub fn parse(payload: &'a [u8], offered: Negotiated) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(PACKET, payload);
        let claimed = claimed(&mut reader.clone())?;
        let has = |flag| claimed.contains(flag);
        if has(Capabilities::CLIENT_SSL) && !offered.has(Capabilities::CLIENT_SSL) && payload.len() <= SSL_REQUEST_LEN {
            return Err(Unsupported::Tls.into());
        }
        let SslRequest { capabilities, max_packet_size, collation } = SslRequest::read(&mut reader, offered)?;
        let user = reader.until_nul("user")?;
        let auth_response = auth_response(&mut reader, capabilities)?;
        let schema = optional_name(&mut reader, capabilities, Capabilities::CLIENT_CONNECT_WITH_DB, "schema")?;
        let auth_plugin =
            optional_name(&mut reader, capabilities, Capabilities::CLIENT_PLUGIN_AUTH, "authentication plugin")?;
        let connect_attrs = fields::read_attrs(&mut reader, capabilities)?;
        let mut zstd_level = None;
        // A client that was not offered zstd may send its level all the same.
        if has(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) && !reader.is_empty() {
            let level = reader.u8("zstd level")?;
            zstd_level = capabilities.has(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM).then_some(level);
        }
        reader.end("connection attributes")?;
        Ok(Self {
            capabilities,
            max_packet_size,
            collation,
            user,
            auth_response,
            schema,
            auth_plugin,
            connect_attrs,
            zstd_level,
        })
    }

    /// Appends the payload for a server. A field whose capability is not set is left out.
    ///
    /// # Errors
    /// `Malformed` when a field cannot be written in the layout that the capabilities say: a NUL in a name, an
    /// authentication response of more than 255 bytes without `PLUGIN_AUTH_LENENC_CLIENT_DATA`, too many attributes.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let has = |flag| self.capabilities.has(flag);
        let Self { capabilities, max_packet_size, collation, .. } = *self;
        SslRequest { capabilities, max_packet_size, collation }.write(out);
        fields::write_name(PACKET, self.user, "user", out)?;
        if has(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            fields::write_lenenc(self.auth_response, out);
        } else {
            fields::write_short(PACKET, self.auth_response, "authentication response", out)?;
        }
        if has(Capabilities::CLIENT_CONNECT_WITH_DB) {
            fields::write_name(PACKET, self.schema.unwrap_or_default(), "schema", out)?;
        }
        if has(Capabilities::CLIENT_PLUGIN_AUTH) {
            fields::write_name(PACKET, self.auth_plugin.unwrap_or_default(), "authentication plugin", out)?;
        }
        if has(Capabilities::CLIENT_CONNECT_ATTRS) {
            fields::write_attrs(PACKET, &self.connect_attrs, out)?;
        }
        if has(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) {
            out.push(self.zstd_level.unwrap_or(ZSTD_LEVEL_DEFAULT));
        }
        Ok(())
    }
}

fn auth_response<'a>(reader: &mut Reader<'a>, capabilities: Negotiated) -> Result<&'a [u8], ProtocolError> {
    const FIELD: &str = "authentication response";
    if capabilities.has(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.lenenc_bytes(FIELD)
    } else if capabilities.has(Capabilities::CLIENT_SECURE_CONNECTION) {
        let len = reader.u8(FIELD)?;
        reader.take(usize::from(len), FIELD)
    } else {
        reader.until_nul_or_end(FIELD)
    }
}

fn optional_name<'a>(
    reader: &mut Reader<'a>,
    capabilities: Negotiated,
    flag: Capabilities,
    field: &'static str,
) -> Result<Option<&'a [u8]>, ProtocolError> {
    if !capabilities.has(flag) {
        return Ok(None);
    }
    let name = reader.until_nul_or_end(field)?;
    Ok(if name.is_empty() { None } else { Some(name) })
}

#[cfg(test)]
mod tests;

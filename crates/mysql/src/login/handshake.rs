use mysql_common::io::BufMutExt;

use crate::capabilities::{Capabilities, effective};
use crate::limits::CONNECT_ATTRS_LEN_MAX;
use crate::reader::Reader;
use crate::{Fault, ProtocolError, Unsupported};

const PACKET: &str = "handshake response";
const RESERVED_LEN: usize = 23;
/// Where an SSLRequest ends and a handshake response goes on with the user.
const SSL_REQUEST_LEN: usize = 32;

/// Name and value of one connection attribute.
pub type ConnectAttr<'a> = (&'a [u8], &'a [u8]);

/// A login as a client sends it (HandshakeResponse41).
#[derive(Clone, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// Only those in force: what the client set without an offer is already taken away.
    pub capabilities: Capabilities,
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
    /// `Unsupported` for a TLS request and for the protocol before 4.1; `Malformed`.
    pub fn parse(payload: &'a [u8], offered: Capabilities) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(PACKET, payload);
        // The old response has two bytes of capabilities and another layout behind them: judge before reading on.
        let low = Capabilities::from_bits_retain(u32::from(reader.clone().u16("capabilities")?));
        if !low.contains(Capabilities::CLIENT_PROTOCOL_41) {
            return Err(Unsupported::OldProtocol.into());
        }
        let claimed = Capabilities::from_bits_retain(reader.u32("capabilities")?);
        if claimed.contains(Capabilities::CLIENT_SSL) && payload.len() <= SSL_REQUEST_LEN {
            return Err(Unsupported::Tls.into());
        }
        let capabilities = effective(offered, claimed);
        let max_packet_size = reader.u32("maximum packet size")?;
        let collation = reader.u8("collation")?;
        reader.take(RESERVED_LEN, "reserved bytes")?;
        let user = reader.until_nul("user")?;
        let auth_response = auth_response(&mut reader, capabilities)?;
        let schema = optional_name(&mut reader, capabilities, Capabilities::CLIENT_CONNECT_WITH_DB, "schema")?;
        let auth_plugin =
            optional_name(&mut reader, capabilities, Capabilities::CLIENT_PLUGIN_AUTH, "authentication plugin")?;
        let connect_attrs = connect_attrs(&mut reader, capabilities)?;
        if claimed.contains(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) && !reader.is_empty() {
            reader.u8("zstd level")?;
        }
        reader.end("connection attributes")?;
        Ok(Self { capabilities, max_packet_size, collation, user, auth_response, schema, auth_plugin, connect_attrs })
    }

    /// Appends the payload for a server. A field whose capability is not set is left out.
    ///
    /// # Errors
    /// `Malformed` when a field cannot be written in the layout that the capabilities say: a NUL in a name, an
    /// authentication response of more than 255 bytes without `PLUGIN_AUTH_LENENC_CLIENT_DATA`, too many attributes.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let has = |flag| self.capabilities.contains(flag);
        out.extend_from_slice(&self.capabilities.bits().to_le_bytes());
        out.extend_from_slice(&self.max_packet_size.to_le_bytes());
        out.push(self.collation);
        // All zero: towards MariaDB the last four would be extended capabilities.
        out.extend_from_slice(&[0; RESERVED_LEN]);
        write_name(self.user, "user", out)?;
        if has(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            write_lenenc(self.auth_response, out);
        } else {
            out.push(u8::try_from(self.auth_response.len()).map_err(|_| {
                let len = self.auth_response.len() as u64;
                ProtocolError::malformed(PACKET, "authentication response", Fault::TooLong { len, max: 255 })
            })?);
            out.extend_from_slice(self.auth_response);
        }
        if has(Capabilities::CLIENT_CONNECT_WITH_DB) {
            write_name(self.schema.unwrap_or_default(), "schema", out)?;
        }
        if has(Capabilities::CLIENT_PLUGIN_AUTH) {
            write_name(self.auth_plugin.unwrap_or_default(), "authentication plugin", out)?;
        }
        if has(Capabilities::CLIENT_CONNECT_ATTRS) {
            self.write_connect_attrs(out)?;
        }
        Ok(())
    }

    fn write_connect_attrs(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let mut attrs = Vec::new();
        for (name, value) in &self.connect_attrs {
            write_lenenc(name, &mut attrs);
            write_lenenc(value, &mut attrs);
        }
        check_attrs_len(attrs.len() as u64)?;
        write_lenenc(&attrs, out);
        Ok(())
    }
}

fn auth_response<'a>(reader: &mut Reader<'a>, capabilities: Capabilities) -> Result<&'a [u8], ProtocolError> {
    const FIELD: &str = "authentication response";
    if capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.lenenc_bytes(FIELD)
    } else if capabilities.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
        let len = reader.u8(FIELD)?;
        reader.take(usize::from(len), FIELD)
    } else {
        reader.until_nul_or_end(FIELD)
    }
}

fn optional_name<'a>(
    reader: &mut Reader<'a>,
    capabilities: Capabilities,
    flag: Capabilities,
    field: &'static str,
) -> Result<Option<&'a [u8]>, ProtocolError> {
    if !capabilities.contains(flag) {
        return Ok(None);
    }
    let name = reader.until_nul_or_end(field)?;
    Ok(if name.is_empty() { None } else { Some(name) })
}

fn connect_attrs<'a>(
    reader: &mut Reader<'a>,
    capabilities: Capabilities,
) -> Result<Vec<ConnectAttr<'a>>, ProtocolError> {
    const FIELD: &str = "connection attributes";
    let mut attrs = Vec::new();
    if !capabilities.contains(Capabilities::CLIENT_CONNECT_ATTRS) || reader.is_empty() {
        return Ok(attrs);
    }
    let len = reader.lenenc_int(FIELD)?;
    check_attrs_len(len)?;
    let mut pairs = Reader::new(PACKET, reader.take(usize::try_from(len).unwrap_or(usize::MAX), FIELD)?);
    while !pairs.is_empty() {
        attrs.push((pairs.lenenc_bytes(FIELD)?, pairs.lenenc_bytes(FIELD)?));
    }
    Ok(attrs)
}

fn check_attrs_len(len: u64) -> Result<(), ProtocolError> {
    let max = CONNECT_ATTRS_LEN_MAX as u64;
    if len > max {
        return Err(ProtocolError::malformed(PACKET, "connection attributes", Fault::TooLong { len, max }));
    }
    Ok(())
}

fn write_name(name: &[u8], field: &'static str, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    // A NUL would let the rest of the name be read as the next field.
    if name.contains(&0) {
        return Err(ProtocolError::malformed(PACKET, field, Fault::Invalid));
    }
    out.extend_from_slice(name);
    out.push(0);
    Ok(())
}

fn write_lenenc(bytes: &[u8], out: &mut Vec<u8>) {
    out.put_lenenc_int(bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;

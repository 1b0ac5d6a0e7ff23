use super::fields::{self, ConnectAttr};
use crate::ProtocolError;
use crate::capabilities::{Capabilities, Negotiated};
use crate::reader::Reader;

/// A COM_CHANGE_USER as a client sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    pub user: &'a [u8],
    pub auth_response: &'a [u8],
    /// `None` also when the client sent an empty name: no schema is the default then.
    pub schema: Option<&'a [u8]>,
    /// `None` from clients that end in front of it: the server's default holds then.
    pub collation: Option<u16>,
    /// `None` also when the client sent an empty name.
    pub auth_plugin: Option<&'a [u8]>,
    /// In the order sent, duplicates kept.
    pub connect_attrs: Vec<ConnectAttr<'a>>,
}

/// Leaves the authentication response out: it may be a token.
impl std::fmt::Debug for ChangeUser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeUser")
            .field("user", &String::from_utf8_lossy(self.user))
            .field("schema", &self.schema.map(String::from_utf8_lossy))
            .field("collation", &self.collation)
            .field("auth_plugin", &self.auth_plugin.map(String::from_utf8_lossy))
            .finish_non_exhaustive()
    }
}

impl<'a> ChangeUser<'a> {
    /// Reads what follows the command byte on a leg with these capabilities.
    ///
    /// As tolerant as the servers are: everything behind the schema may be missing (npm's mysql ends behind the collation),
    /// and what the capabilities do not announce is left unread (PHP's mysqlnd names its plugin unasked). It goes nowhere:
    /// the gateway writes a COM_CHANGE_USER of its own.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(payload: &'a [u8], negotiated: Negotiated) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new("COM_CHANGE_USER", payload);
        let user = reader.until_nul("user")?;
        let auth_response = if negotiated.has(Capabilities::CLIENT_SECURE_CONNECTION) {
            // One byte of length even where a login's response has a length-encoded one.
            let len = reader.u8("authentication response")?;
            reader.take(usize::from(len), "authentication response")?
        } else {
            reader.until_nul("authentication response")?
        };
        if reader.is_empty() {
            // The servers answer 1047 to this.
            return Err(reader.fail("schema", crate::Fault::Truncated));
        }
        let schema = named(reader.until_nul_or_end("schema")?);
        let collation = reader.u16("collation").ok();
        if collation.is_none() {
            // MySQL overlooks a single byte here as well.
            reader.take_rest();
        }
        let mut auth_plugin = None;
        if negotiated.has(Capabilities::CLIENT_PLUGIN_AUTH) {
            auth_plugin = named(reader.until_nul_or_end("authentication plugin")?);
        }
        let connect_attrs = fields::read_attrs(&mut reader, negotiated)?;
        Ok(Self { user, auth_response, schema, collation, auth_plugin, connect_attrs })
    }
}

fn named(name: &[u8]) -> Option<&[u8]> {
    if name.is_empty() { None } else { Some(name) }
}

#[cfg(test)]
mod tests;

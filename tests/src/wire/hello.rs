//! What a client says of itself, at its login and when it changes its user.

use super::{CAPABILITIES, COLLATION, NATIVE_RESPONSE_LEN};

/// PLUGIN_AUTH: the name of a plugin follows.
pub const PLUGIN_AUTH: u32 = 1 << 19;
/// LONG_PASSWORD: clear, it says that the client knows MariaDB's extended capabilities.
const LONG_PASSWORD: u32 = 1;

/// What a client says of itself; [`Hello::default`] is [`Wire::login`](super::Wire::login)'s without a schema.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The schema; empty for none.
    pub schema: &'a str,
    /// The capabilities, [`COMPRESS`](super::COMPRESS) among them if wanted and offered.
    pub capabilities: u32,
    /// MariaDB's extended capabilities; 0 of a client that does not know them.
    pub mariadb: u32,
    /// A collation's id.
    pub collation: u16,
    /// The plugin that `auth` is of; empty for none named.
    pub plugin: &'a str,
    /// The answer to the greeting's nonce.
    pub auth: &'a [u8],
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self {
            user: "agent",
            schema: "",
            capabilities: CAPABILITIES,
            mariadb: 0,
            collation: COLLATION.into(),
            plugin: "mysql_native_password",
            auth: &[7; NATIVE_RESPONSE_LEN],
        }
    }
}

impl<'a> Hello<'a> {
    /// With a schema, and capabilities on top of [`CAPABILITIES`].
    pub fn with(schema: &'a str, more: u32) -> Self {
        Self { schema, capabilities: CAPABILITIES | more, ..Self::default() }
    }

    /// A HandshakeResponse41; of the collation it has room for the lower byte.
    pub fn response(&self) -> Vec<u8> {
        let capabilities = if self.mariadb == 0 { self.capabilities } else { self.capabilities & !LONG_PASSWORD };
        let mut payload = capabilities.to_le_bytes().to_vec();
        payload.extend((1_u32 << 30).to_le_bytes());
        payload.extend(self.collation.to_le_bytes().first());
        payload.extend([0; 19]);
        payload.extend(self.mariadb.to_le_bytes());
        self.push_account(&mut payload);
        if capabilities & PLUGIN_AUTH != 0 {
            payload.extend(self.plugin.as_bytes());
            payload.push(0);
        }
        payload
    }

    /// The argument of a COM_CHANGE_USER, with collation and plugin.
    pub fn change(&self) -> Vec<u8> {
        let mut argument = Vec::new();
        self.push_account(&mut argument);
        argument.extend(self.collation.to_le_bytes());
        argument.extend(self.plugin.as_bytes());
        argument.push(0);
        argument
    }

    fn push_account(&self, payload: &mut Vec<u8>) {
        payload.extend(self.user.as_bytes());
        payload.push(0);
        // No test's answer is longer than a byte can say.
        payload.push(u8::try_from(self.auth.len()).unwrap_or(u8::MAX));
        payload.extend(self.auth);
        payload.extend(self.schema.as_bytes());
        payload.push(0);
    }
}

//! What a session's texts are read by: asked of the server, as the gateway does.

use anyhow::{Context as _, Result};
use portreeve_policy::{Context, Flavour, Modes, is_known_charset, is_utf8_charset};
use portreeve_tests::wire::Connection;

/// The state of a session.
#[derive(Debug, Default)]
pub(crate) struct State {
    version: u32,
    schema: Option<String>,
    modes: Modes,
    utf8: bool,
    unreadable: Option<String>,
}

impl State {
    pub(crate) fn ask(session: &mut Connection, version: u32) -> Result<Self> {
        let rows = session.rows("SELECT @@session.sql_mode, @@session.character_set_client, DATABASE() LIMIT 1")?;
        let mut cells = rows.into_iter().next().context("no state")?.into_iter();
        let mut cell = || cells.next().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (sql_mode, character_set, schema) = (cell().unwrap_or_default(), cell().unwrap_or_default(), cell());
        let (modes, unreadable) = match Modes::parse(&sql_mode) {
            Ok(modes) => (modes, None),
            Err(mode) => (Modes::default(), Some(format!("sql_mode {mode}"))),
        };
        let utf8 = is_utf8_charset(&character_set);
        let known = is_known_charset(&character_set);
        let unreadable = unreadable.or_else(|| (!known).then(|| format!("character set {character_set}")));
        Ok(Self { version, schema, modes, utf8, unreadable })
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// What texts are analysed in: without a catalogue, so that names are what they say.
    pub(crate) fn context(&self, flavour: Flavour) -> Context<'_> {
        Context {
            default_schema: self.schema.as_deref(),
            version: self.version,
            utf8: self.utf8,
            unreadable: self.unreadable.as_deref(),
            ..Context::new("corpus", flavour)
        }
        .with_modes(self.modes)
    }
}

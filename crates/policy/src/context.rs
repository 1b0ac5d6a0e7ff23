//! What is known of the session when a statement arrives.

use crate::catalogue::Catalogue;
use crate::cursor::check_name;
use crate::facts::Resource;
use crate::reading::Modes;
use crate::token::Unread;

/// Which family the server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    MySql,
    MariaDb,
}

impl Flavour {
    /// A version of today, as in executable comments, for when no server is there to ask.
    pub const fn version_of_today(self) -> u32 {
        match self {
            Self::MySql => 90_700,
            Self::MariaDb => 101_100,
        }
    }
}

/// The session's state as the gateway knows it from the server.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The server's name in the configuration.
    pub server: &'a str,
    /// The default schema before the text runs.
    pub default_schema: Option<&'a str>,
    pub flavour: Flavour,
    /// The text is prepared by the protocol (`COM_STMT_PREPARE`).
    pub prepared: bool,
    /// The server's version as executable comments write it: 101114 for MariaDB 10.11.14, 90704 for MySQL 9.7.4. 0 when it is
    /// not known: what depends on it is not read then.
    pub version: u32,
    /// `NO_BACKSLASH_ESCAPES` is in the session's `sql_mode`: a backslash in a string is data.
    pub no_backslash_escapes: bool,
    /// `ANSI_QUOTES` is in the session's `sql_mode`: what is in double quotes is a name.
    pub ansi_quotes: bool,
    /// `PIPES_AS_CONCAT` is in the session's `sql_mode`.
    pub pipes_as_concat: bool,
    /// `IGNORE_SPACE` is in the session's `sql_mode`: `COUNT (*)` calls the function, else it is a name.
    pub ignore_space: bool,
    /// `HIGH_NOT_PRECEDENCE` is in the session's `sql_mode`.
    pub high_not_precedence: bool,
    /// The session's `character_set_client` is `utf8mb4` or `utf8mb3`: letters outside ASCII may stand in names without quotes.
    pub utf8: bool,
    /// Why no text of this session can be read as the server reads it: its character set, or a mode with another grammar.
    /// Everything is `unparsed` then.
    pub unreadable: Option<&'a str>,
    /// When the statement arrives, in milliseconds since 1970 UTC. Analysis does not look at it; a verdict that policies
    /// make depend on it says so ([`Verdict::cacheable`](crate::Verdict::cacheable)).
    pub now_unix_ms: i64,
    /// The server's variable: 0 where the case of schemas' and tables' names counts, or where it is not known; 1 and 2 where it
    /// does not.
    pub lower_case_table_names: u8,
    /// What the server's views and routines are made of.
    pub catalogue: &'a Catalogue,
}

impl<'a> Context<'a> {
    /// A session of which no more is known: no default schema, no mode, UTF-8, an unknown version, an empty catalogue.
    pub const fn new(server: &'a str, flavour: Flavour) -> Self {
        Self {
            server,
            default_schema: None,
            flavour,
            prepared: false,
            version: 0,
            no_backslash_escapes: false,
            ansi_quotes: false,
            pipes_as_concat: false,
            ignore_space: false,
            high_not_precedence: false,
            utf8: true,
            unreadable: None,
            now_unix_ms: 0,
            lower_case_table_names: 0,
            catalogue: Catalogue::EMPTY,
        }
    }

    /// The same session in other modes: what [`Modes`] were read from its `sql_mode`.
    #[must_use]
    pub const fn with_modes(self, modes: Modes) -> Self {
        let Modes { no_backslash_escapes, ansi_quotes, pipes_as_concat, ignore_space, high_not_precedence } = modes;
        Self { no_backslash_escapes, ansi_quotes, pipes_as_concat, ignore_space, high_not_precedence, ..self }
    }
}

/// Completes and normalises names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) default_schema: Option<&'a str>,
    /// The text is UTF-8 to the server.
    pub(crate) utf8: bool,
}

/// Both servers compare this schema's name, and the names in it, without case whatever `lower_case_table_names` says.
const INFORMATION_SCHEMA: &str = "information_schema";

impl<'a> Names<'a> {
    /// Those of a text in `context`.
    pub(crate) fn of(context: &Context<'a>) -> Self {
        Self { default_schema: context.default_schema, utf8: context.utf8 }
    }

    /// The table that a name in a statement means.
    ///
    /// # Errors
    /// When the name has no schema and the session has none either.
    pub(crate) fn table(&self, schema: Option<String>, table: String) -> Result<Resource, Unread> {
        let schema = self.schema_name(schema)?;
        check_name(&table, self.utf8)?;
        Ok(match schema == INFORMATION_SCHEMA {
            true => Resource::Table { schema, table: table.to_ascii_lowercase() },
            false => Resource::Table { schema, table },
        })
    }

    /// The schema that a name in a statement means; the default schema for `None`.
    pub(crate) fn schema(&self, schema: Option<String>) -> Result<Resource, Unread> {
        Ok(Resource::Schema(self.schema_name(schema)?))
    }

    /// The routine that a name in a statement means; the servers compare these names without case.
    ///
    /// # Errors
    /// As [`Names::table`].
    pub(crate) fn routine(&self, schema: Option<String>, name: &str) -> Result<Resource, Unread> {
        let schema = self.schema_name(schema)?;
        check_name(name, false)?;
        Ok(Resource::Routine { schema, name: name.to_ascii_lowercase() })
    }

    fn schema_name(&self, schema: Option<String>) -> Result<String, Unread> {
        let name = schema.or_else(|| self.default_schema.map(str::to_owned)).ok_or_else(|| {
            Unread::new("no default schema is selected (write the name as `schema.table`, or select one first)")
        })?;
        check_name(&name, self.utf8)?;
        Ok(match name.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
            true => INFORMATION_SCHEMA.to_owned(),
            false => name,
        })
    }
}

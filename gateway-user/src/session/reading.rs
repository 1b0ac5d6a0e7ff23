//! How the server reads text in this session, asked before the client's first statement.
//!
//! `init_connect`, the server's defaults and its configuration files decide it as much as the login does, and MySQL says
//! of `ANSI_QUOTES` nowhere else. A statement is judged as it is read, so this must be known, not assumed.

use portreeve_mysql::{
    Misbehaviour, ProtocolError,
    capabilities::{Capabilities, Negotiated},
    outcome::{ERR, ErrorPacket, Tracked},
    packet, row,
};

use super::{Ended, link::Link, login::from_server, server_fault, verdicts::ScopeKey};

const COM_QUERY: u8 = 0x03;
/// What stands before a text under `QUERY_ATTRIBUTES`: none, in one set.
const NO_ATTRIBUTES: &[u8] = &[0, 1];
const QUESTION: &[u8] = b"SELECT @@session.sql_mode, @@session.character_set_client, DATABASE()";
const COLUMNS: usize = 3;
/// Modes whose grammar is not the one that analysis knows.
const FOREIGN_MODES: [&str; 6] = ["ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "ANSI"];

/// The session's way of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) no_backslash_escapes: bool,
    pub(super) ansi_quotes: bool,
    /// The default schema: `init_connect` may have chosen another than the login.
    pub(super) schema: Option<String>,
    /// What analysis cannot follow at all: the session may not be.
    pub(super) unreadable: Option<String>,
}

impl Reading {
    /// The key with what the server said. What cannot be read for another reason stays so.
    pub(super) fn applied_to(self, key: ScopeKey) -> ScopeKey {
        ScopeKey {
            schema: self.schema,
            no_backslash_escapes: self.no_backslash_escapes,
            ansi_quotes: self.ansi_quotes,
            unreadable: self.unreadable.or(key.unreadable),
            ..key
        }
    }

    fn of(sql_mode: &str, character_set: &str, schema: Option<&[u8]>) -> Self {
        let has = |mode: &str| sql_mode.split(',').any(|set| set.eq_ignore_ascii_case(mode));
        let foreign = FOREIGN_MODES.into_iter().find(|mode| has(mode));
        let schema = schema.map(|name| std::str::from_utf8(name).map(str::to_owned));
        let unreadable = match foreign {
            None if matches!(schema, Some(Err(_))) => Some("the default schema's name is not UTF-8".to_owned()),
            Some(mode) => Some(format!("the server's sql_mode is `{mode}`, whose grammar portreeve does not read")),
            None if !portreeve_policy::is_known_charset(character_set) => {
                Some(format!("the server reads statements as `{character_set}`, which portreeve does not"))
            }
            None => None,
        };
        Self {
            no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
            ansi_quotes: has("ANSI_QUOTES"),
            schema: schema.and_then(Result::ok),
            unreadable,
        }
    }
}

/// The key after a statement that changed how the server reads texts, as far as session tracking said so. What it said
/// nothing of stays as it was.
pub(super) fn follow(key: &ScopeKey, tracked: &Tracked) -> ScopeKey {
    let mut key = key.clone();
    if let Some(sql_mode) = &tracked.sql_mode {
        let of_mode = Reading::of(&String::from_utf8_lossy(sql_mode), "utf8mb4", None);
        key.no_backslash_escapes = of_mode.no_backslash_escapes;
        key.ansi_quotes = of_mode.ansi_quotes;
        key.unreadable = of_mode.unreadable.or(key.unreadable);
    }
    if let Some(character_set) = &tracked.character_set_client {
        let of_set = Reading::of("", &String::from_utf8_lossy(character_set), None);
        key.unreadable = of_set.unreadable.or(key.unreadable);
    }
    if let Some(schema) = &tracked.schema {
        match std::str::from_utf8(schema) {
            Ok(schema) => key.schema = Some(schema.to_owned()).filter(|schema| !schema.is_empty()),
            Err(_) => key.unreadable = Some("the default schema's name is not UTF-8".to_owned()),
        }
    }
    key
}

/// Asks the server, on a session that is logged in and idle.
pub(super) async fn ask(upstream: &mut Link, capabilities: Negotiated) -> Result<Reading, Ended> {
    let mut wire = Vec::new();
    let attributes = if capabilities.has(Capabilities::CLIENT_QUERY_ATTRIBUTES) { NO_ATTRIBUTES } else { &[] };
    packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], attributes, QUESTION].concat());
    upstream.begin_exchange(1);
    upstream.send(&wire).await.map_err(Ended::Server)?;
    let (count, _) = from_server(upstream).await?;
    if count.first() == Some(&ERR) {
        let code = ErrorPacket::parse(&count).map_err(server_fault)?.code;
        return Err(Ended::Refused(format!("the server does not say how it reads statements: error {code}")));
    }
    // A byte behind the number says that definitions follow, where a session can go without (MySQL's
    // OPTIONAL_RESULTSET_METADATA, MariaDB's CACHE_METADATA): they always do in answer to a text.
    if !matches!(count.as_slice(), [columns] | [columns, 1] if usize::from(*columns) == COLUMNS) {
        return Err(unexpected());
    }
    // Column definitions, and the EOF behind them where the session still has it.
    let eof = usize::from(!capabilities.has(Capabilities::CLIENT_DEPRECATE_EOF));
    for _ in 0..COLUMNS + eof {
        from_server(upstream).await?;
    }
    let (values, _) = from_server(upstream).await?;
    let reading = match row::text(&values, COLUMNS).map_err(server_fault)?.as_slice() {
        [Some(sql_mode), Some(character_set), schema] => {
            Reading::of(&String::from_utf8_lossy(sql_mode), &String::from_utf8_lossy(character_set), *schema)
        }
        _ => return Err(unexpected()),
    };
    from_server(upstream).await?;
    if upstream.unread().is_empty() { Ok(reading) } else { Err(unexpected()) }
}

fn unexpected() -> Ended {
    server_fault(ProtocolError::from(Misbehaviour::UnexpectedPacket("in answer to the gateway's own question")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql_mode: &str, character_set: &str, no_backslash_escapes: bool, ansi_quotes: bool, readable: bool) {
        let reading = Reading::of(sql_mode, character_set, Some(b"shop"));
        assert_eq!(reading.schema.as_deref(), Some("shop"));
        assert_eq!(reading.no_backslash_escapes, no_backslash_escapes, "{sql_mode}");
        assert_eq!(reading.ansi_quotes, ansi_quotes, "{sql_mode}");
        assert_eq!(reading.unreadable.is_none(), readable, "{sql_mode} {character_set}");
    }

    #[test]
    fn what_session_tracking_says_is_followed() {
        let key = ScopeKey {
            spiffe_id: String::new(),
            groups: Vec::new(),
            server: String::new(),
            schema: Some("shop".to_owned()),
            flavour: portreeve_policy::Flavour::MySql,
            no_backslash_escapes: true,
            ansi_quotes: false,
            unreadable: None,
            catalogue: crate::catalogue::Snapshot::none(),
        };
        assert_eq!(follow(&key, &Tracked::default()), key);
        let said = Tracked { sql_mode: Some(b"ANSI_QUOTES".to_vec()), ..Tracked::default() };
        let followed = follow(&key, &said);
        assert_eq!((followed.no_backslash_escapes, followed.ansi_quotes), (false, true));
        let said = Tracked { character_set_client: Some(b"gbk".to_vec()), ..Tracked::default() };
        assert!(follow(&key, &said).unreadable.unwrap().contains("gbk"));
        for (schema, known) in [(&b"vault"[..], Some("vault")), (b"", None)] {
            let said = Tracked { schema: Some(schema.to_vec()), ..Tracked::default() };
            assert_eq!(follow(&key, &said).schema.as_deref(), known);
        }
    }

    #[test]
    fn modes_and_character_sets_are_known_or_refused() {
        check("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", "utf8mb4", false, false, true);
        check("", "latin1", false, false, true);
        check("ANSI_QUOTES,STRICT_TRANS_TABLES", "utf8mb3", false, true, true);
        check("NO_BACKSLASH_ESCAPES", "utf8mb4", true, false, true);
        check("REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI", "utf8mb4", false, true, false);
        check("PIPES_AS_CONCAT,ANSI_QUOTES,ORACLE", "utf8mb4", false, true, false);
        check("", "gbk", false, false, false);
    }
}

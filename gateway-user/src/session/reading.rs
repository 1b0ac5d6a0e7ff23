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
use portreeve_policy::{Modes, is_known_charset, is_utf8_charset};

use super::{Ended, link::Link, login::from_server, server_fault, verdicts::ScopeKey};

const COM_QUERY: u8 = 0x03;
/// What stands before a text under `QUERY_ATTRIBUTES`: none, in one set.
const NO_ATTRIBUTES: &[u8] = &[0, 1];
const COLUMNS: usize = 5;

/// The session's way of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// As in executable comments; 0 when the server is another than it says.
    pub(super) version: u32,
    pub(super) modes: Modes,
    pub(super) utf8: bool,
    /// The default schema: `init_connect` may have chosen another than the login.
    pub(super) schema: Option<String>,
    /// What analysis cannot follow at all: the session may not be.
    pub(super) unreadable: Option<String>,
}

impl Reading {
    /// The key with what the server said. What cannot be read for another reason stays so.
    pub(super) fn applied_to(self, key: ScopeKey) -> ScopeKey {
        let Self { version, modes, utf8, schema, unreadable } = self;
        ScopeKey { version, modes, utf8, schema, unreadable: unreadable.or(key.unreadable), unasked: false, ..key }
    }

    fn of(version: u32, sql_mode: &str, character_set: &str, schema: Option<&[u8]>) -> Self {
        let modes = Modes::parse(sql_mode);
        let schema = schema.map(|name| std::str::from_utf8(name).map(str::to_owned));
        let unreadable = match modes {
            Err(mode) => Some(format!("the server's sql_mode has `{mode}`, whose grammar portreeve does not read")),
            Ok(_) if matches!(schema, Some(Err(_))) => Some("the default schema's name is not UTF-8".to_owned()),
            Ok(_) if !is_known_charset(character_set) => {
                Some(format!("the server reads statements as `{character_set}`, which portreeve does not"))
            }
            Ok(_) => None,
        };
        Self {
            version,
            modes: modes.unwrap_or_default(),
            utf8: is_utf8_charset(character_set),
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
        let of_mode = Reading::of(key.version, &String::from_utf8_lossy(sql_mode), "utf8mb4", None);
        key.modes = of_mode.modes;
        key.unreadable = of_mode.unreadable.or(key.unreadable);
    }
    if let Some(character_set) = &tracked.character_set_client {
        let of_set = Reading::of(key.version, "", &String::from_utf8_lossy(character_set), None);
        key.utf8 = of_set.utf8;
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

/// The question. Executable comments of the version that the server says it has, and of the next, tell whether it is true:
/// a configuration may have it say anything (`--version`). The `LIMIT` is there for sessions with an `sql_select_limit` of 0.
fn question(version: u32) -> String {
    let proof = |version: u32| format!("0 /*!{version:05} + 1 */");
    format!(
        "SELECT @@session.sql_mode, @@session.character_set_client, DATABASE(), {}, {} LIMIT 1",
        proof(version),
        proof(version.saturating_add(1))
    )
}

/// Asks the server, on a session that is logged in and idle. `version` is what it says of itself. The inner error is the
/// code of the server's.
pub(super) async fn ask(
    upstream: &mut Link,
    capabilities: Negotiated,
    version: u32,
) -> Result<Result<Reading, u16>, Ended> {
    let mut wire = Vec::new();
    let attributes = if capabilities.has(Capabilities::CLIENT_QUERY_ATTRIBUTES) { NO_ATTRIBUTES } else { &[] };
    packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], attributes, question(version).as_bytes()].concat());
    upstream.begin_exchange(1);
    upstream.send(&wire).await.map_err(Ended::Server)?;
    let (count, _) = from_server(upstream).await?;
    if count.first() == Some(&ERR) {
        return Ok(Err(ErrorPacket::parse(&count).map_err(server_fault)?.code));
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
        [Some(sql_mode), Some(character_set), schema, this, next] => {
            let proven = *this == Some(b"1") && *next == Some(b"0");
            let version = if proven { version } else { 0 };
            Reading::of(version, &String::from_utf8_lossy(sql_mode), &String::from_utf8_lossy(character_set), *schema)
        }
        _ => return Err(unexpected()),
    };
    from_server(upstream).await?;
    if upstream.unread().is_empty() { Ok(Ok(reading)) } else { Err(unexpected()) }
}

fn unexpected() -> Ended {
    server_fault(ProtocolError::from(Misbehaviour::UnexpectedPacket("in answer to the gateway's own question")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql_mode: &str, character_set: &str, modes: Modes, readable: bool) {
        let reading = Reading::of(90_704, sql_mode, character_set, Some(b"shop"));
        assert_eq!(reading.schema.as_deref(), Some("shop"));
        assert_eq!(reading.modes, modes, "{sql_mode}");
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
            version: 90_704,
            modes: Modes { no_backslash_escapes: true, ..Modes::default() },
            utf8: true,
            unreadable: None,
            catalogue: crate::catalogue::Snapshot::none(),
            unasked: false,
        };
        assert_eq!(follow(&key, &Tracked::default()), key);
        let said = Tracked { sql_mode: Some(b"ANSI_QUOTES".to_vec()), ..Tracked::default() };
        assert_eq!(follow(&key, &said).modes, Modes { ansi_quotes: true, ..Modes::default() });
        let said = Tracked { character_set_client: Some(b"latin1".to_vec()), ..Tracked::default() };
        assert_eq!((follow(&key, &said).utf8, follow(&key, &said).unreadable), (false, None));
        let said = Tracked { character_set_client: Some(b"gbk".to_vec()), ..Tracked::default() };
        assert!(follow(&key, &said).unreadable.unwrap().contains("gbk"));
        for (schema, known) in [(&b"vault"[..], Some("vault")), (b"", None)] {
            let said = Tracked { schema: Some(schema.to_vec()), ..Tracked::default() };
            assert_eq!(follow(&key, &said).schema.as_deref(), known);
        }
    }

    #[test]
    fn modes_and_character_sets_are_known_or_refused() {
        let none = Modes::default();
        let ansi_quotes = Modes { ansi_quotes: true, ..none };
        check("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", "utf8mb4", none, true);
        check("", "latin1", none, true);
        check("ANSI_QUOTES,STRICT_TRANS_TABLES", "utf8mb3", ansi_quotes, true);
        check("NO_BACKSLASH_ESCAPES", "utf8mb4", Modes { no_backslash_escapes: true, ..none }, true);
        let ansi = Modes { pipes_as_concat: true, ignore_space: true, ..ansi_quotes };
        check("REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI", "utf8mb4", ansi, true);
        check("PIPES_AS_CONCAT,ANSI_QUOTES,ORACLE", "utf8mb4", none, false);
        check("", "gbk", none, false);
    }

    #[test]
    fn a_server_is_asked_to_prove_its_version() {
        assert!(question(101_114).ends_with("0 /*!101114 + 1 */, 0 /*!101115 + 1 */ LIMIT 1"));
        assert!(question(90_704).ends_with("0 /*!90704 + 1 */, 0 /*!90705 + 1 */ LIMIT 1"));
        // Of no server that is known, both run or none.
        assert!(question(0).ends_with("0 /*!00000 + 1 */, 0 /*!00001 + 1 */ LIMIT 1"));
    }
}

//! Options of tables and partitions.

use super::Walk;
use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::token::{Kind, Unread};

/// Engines that keep their rows in the server, without reaching for other servers or for files of the statement's choosing.
const ENGINES: [&str; 16] = [
    "INNODB",
    "MYISAM",
    "ARIA",
    "MARIA",
    "EXAMPLE",
    "PERFORMANCE_SCHEMA",
    "MEMORY",
    "HEAP",
    "ROCKSDB",
    "CSV",
    "ARCHIVE",
    "BLACKHOLE",
    "MERGE",
    "MRG_MYISAM",
    "SEQUENCE",
    "NDBCLUSTER",
];

/// Options that only say how rows are stored.
const OPTIONS: [&str; 37] = [
    "AUTOEXTEND_SIZE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "COMPRESSION",
    "DELAY_KEY_WRITE",
    "ENCRYPTED",
    "ENCRYPTION",
    "ENCRYPTION_KEY_ID",
    "ENGINE_ATTRIBUTE",
    "FETCH_MODE",
    "IETF_QUOTES",
    "INSERT_METHOD",
    "ITEF_QUOTES",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "NODEGROUP",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL",
    "PASSWORD",
    "ROW_FORMAT",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "SEQUENCE",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "START",
    "TABLESPACE",
    "TABLE_CHECKSUM",
    "TRANSACTIONAL",
    "VERSIONING",
    "COMMENT",
    "COLLATE",
    "CHARSET",
];

impl Walk<'_, '_> {
    /// Options of a table, with commas between them or not.
    pub(crate) fn table_options(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            let mut ahead = *cursor;
            ahead.symbol(",");
            if !self.table_option(&mut ahead)? {
                return Ok(());
            }
            *cursor = ahead;
        }
    }

    /// One option; false when none stands here.
    pub(crate) fn table_option(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if cursor.is_one_of_at(0, &["ENGINE", "TYPE"]) {
            return self.engine(cursor).map(|()| true);
        }
        if cursor.is_one_of_at(0, &["DATA", "INDEX"]) && cursor.is_word_at(1, "DIRECTORY") {
            cursor.next();
            cursor.next();
            cursor.symbol("=");
            cursor.any_string()?;
            // The server writes files where the statement says.
            self.reader.facts.request(Action::Outfile, Resource::Server);
            return Ok(true);
        }
        if cursor.is_word("UNION") && (cursor.is_symbol_at(1, "=") || cursor.is_symbol_at(1, "(")) {
            return self.merged(cursor).map(|()| true);
        }
        let before = *cursor;
        cursor.word("DEFAULT");
        if cursor.words(&["CHARACTER", "SET"])
            || cursor.words(&["CHAR", "SET"])
            || cursor.one_of(&["CHARSET", "COLLATE"]).is_some()
        {
            cursor.symbol("=");
            self.charset_name(cursor)?;
            return Ok(true);
        }
        *cursor = before;
        if cursor.words(&["WITH", "SYSTEM", "VERSIONING"])
            || cursor.words(&["STORAGE", "DISK"])
            || cursor.words(&["STORAGE", "MEMORY"])
        {
            return Ok(true);
        }
        self.attribute(cursor, &OPTIONS)
    }

    /// `name [=] value` for one of `known`, and `name = value` for any name: an attribute that an engine may know.
    pub(super) fn attribute(&mut self, cursor: &mut Cursor<'_, '_>, known: &[&str]) -> Result<bool, Unread> {
        let listed = cursor.is_one_of_at(0, known);
        let any = self.is_name(cursor) && cursor.is_symbol_at(1, "=");
        if cursor.is_one_of_at(0, &["CONNECTION", "SECONDARY_ENGINE"]) {
            return Err(Unread::new("a table on another server"));
        }
        if !listed && !any {
            return Ok(false);
        }
        cursor.next();
        cursor.symbol("=");
        cursor.symbol("-");
        let kinds =
            [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString, Kind::Number, Kind::Hex, Kind::Placeholder];
        cursor.need_kind(&kinds, "a value")?;
        Ok(true)
    }

    /// `ENGINE [=] name`
    fn engine(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.next();
        cursor.symbol("=");
        let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
        let name = cursor.need_kind(&kinds, "an engine")?;
        match is_engine(name.text.trim_matches(['\'', '"', '`'])) {
            true => Ok(()),
            false => Err(Unread::new("an engine that may reach beyond the server")),
        }
    }

    /// `UNION = (table, …)`: whoever may use the table may then read and change those behind it.
    fn merged(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.next();
        cursor.symbol("=");
        cursor.need("(")?;
        if cursor.symbol(")") {
            return Ok(());
        }
        loop {
            let name = self.table_name(cursor)?;
            for action in [Action::Select, Action::Insert, Action::Update, Action::Delete] {
                self.reader.table(action, name.clone())?;
            }
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }
}

/// Whether the engine keeps its rows in the server.
pub(crate) fn is_engine(name: &str) -> bool {
    ENGINES.iter().any(|engine| engine.eq_ignore_ascii_case(name))
}

//! Statements about a table's storage, about errors and about the server, and `HANDLER`, `DO` and `XA`.

use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};
use crate::walk::Walk;

impl Reader<'_> {
    /// What follows `CHECK`, `REPAIR`, `OPTIMIZE`, `ANALYZE`, `CHECKSUM`: tables, and options that are words. What only reads
    /// the rows is a `select`, what writes the table or its statistics anew an `alter`.
    pub(crate) fn maintain(&mut self, verb: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let action = if matches!(verb, "CHECK" | "CHECKSUM") { Action::Select } else { Action::Alter };
        cursor.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if cursor.one_of(&["TABLE", "TABLES", "VIEW"]).is_none() {
            return Err(cursor.unexpected("`TABLE`"));
        }
        self.facts.class = action;
        self.walked(cursor, |walk, cursor| {
            loop {
                let name = walk.table_name(cursor)?;
                walk.reader.table(action, name)?;
                walk.persistent(cursor)?;
                if !cursor.symbol(",") {
                    break;
                }
            }
            let plain = |token: &Token<'_>| {
                matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Number) && !token.is_word("SELECT")
                    || token.is_symbol(",")
            };
            while cursor.next_if(plain).is_some() {}
            if cursor.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString)).is_some() {
                return Ok(());
            }
            Ok(())
        })
    }

    /// What follows `DO`: expressions.
    pub(crate) fn do_expressions(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Select;
        self.walked(cursor, |walk, cursor| walk.expressions(cursor))?;
        self.inspect_without_tables();
        Ok(())
    }

    /// What follows `HANDLER`: `table {OPEN [[AS] alias] | CLOSE | READ …}`. An alias is asked for as if it were the table.
    pub(crate) fn handler(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Select;
        self.walked(cursor, |walk, cursor| {
            let name = walk.table_name(cursor)?;
            walk.reader.table(Action::Select, name)?;
            walk.handled(cursor)
        })
    }

    /// What follows `XA`: words and texts.
    pub(crate) fn xa(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let verbs = ["START", "BEGIN", "END", "PREPARE", "COMMIT", "ROLLBACK", "RECOVER"];
        let verb = cursor.one_of(&verbs).ok_or_else(|| cursor.unexpected("what to do"))?;
        let words =
            ["ONE", "PHASE", "SUSPEND", "FOR", "MIGRATE", "JOIN", "RESUME", "FORMAT", "CONVERT", "XID", "SQL", "RAW"];
        let plain = |token: &Token<'_>| {
            let kinds = [Kind::String, Kind::DoubleString, Kind::Hex, Kind::Number];
            kinds.contains(&token.kind)
                || token.is_symbol(",")
                || token.is_symbol("=")
                || words.iter().any(|word| token.is_word(word))
        };
        while cursor.next_if(plain).is_some() {}
        cursor.end()?;
        if verb == "RECOVER" {
            // Everybody's.
            return self.whole(Action::Show);
        }
        // What is prepared outlives its session, and so do its locks.
        self.facts.request(Action::LockTables, Resource::Server);
        self.whole(Action::Transaction)
    }

    /// What follows `SIGNAL`, `RESIGNAL`: `[condition] [SET item = value, …]`
    pub(crate) fn signal(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Inspect)?;
        if cursor.word("SQLSTATE") {
            cursor.word("VALUE");
            cursor.any_string()?;
        } else if !cursor.is_word("SET") {
            cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
        }
        match cursor.word("SET") {
            true => self.walked(cursor, |walk, cursor| walk.assignments(cursor).map(drop)),
            false => cursor.end(),
        }
    }

    /// What follows `GET`: `[CURRENT|STACKED] DIAGNOSTICS [CONDITION n] target = item, …`
    pub(crate) fn diagnostics(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Inspect)?;
        cursor.one_of(&["CURRENT", "STACKED"]);
        cursor.need_word("DIAGNOSTICS")?;
        if cursor.word("CONDITION") {
            self.counted(&mut cursor, |walk, cursor| walk.operand(cursor))?;
        }
        loop {
            let kinds = [Kind::Word, Kind::Quoted, Kind::UserVariable];
            cursor.need_kind(&kinds, "a variable")?;
            while cursor.symbol(".") {
                cursor.name()?;
            }
            cursor.need("=")?;
            cursor.need_kind(&[Kind::Word], "an item")?;
            if !cursor.symbol(",") {
                return cursor.end();
            }
        }
    }

    /// What follows `CACHE` or `LOAD`: `INDEX table …`, or `INDEX INTO CACHE table …`
    pub(crate) fn cache_index(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need_word("INDEX")?;
        cursor.words(&["INTO", "CACHE"]);
        self.facts.class = Action::Index;
        self.walked(cursor, |walk, cursor| {
            loop {
                let name = walk.table_name(cursor)?;
                walk.reader.table(Action::Index, name)?;
                if cursor.word("PARTITION") {
                    walk.labels(cursor)?;
                }
                if cursor.one_of(&["INDEX", "KEY"]).is_some() || cursor.is_symbol_at(0, "(") {
                    walk.labels(cursor)?;
                }
                cursor.words(&["IGNORE", "LEAVES"]);
                if !cursor.symbol(",") {
                    break;
                }
            }
            if cursor.word("IN") {
                cursor.need_kind(&[Kind::Word, Kind::Quoted], "a key cache")?;
            }
            Ok(())
        })
    }

    /// What follows `PURGE`: `{BINARY|MASTER} LOGS {TO 'name' | BEFORE moment}`
    pub(crate) fn purge(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Replication)?;
        cursor.one_of(&["BINARY", "MASTER"]).ok_or_else(|| cursor.unexpected("`BINARY`"))?;
        cursor.need_word("LOGS")?;
        cursor.one_of(&["TO", "BEFORE"]).ok_or_else(|| cursor.unexpected("`TO` or `BEFORE`"))?;
        self.expression_tokens(cursor.rest())
    }

    /// What follows `BACKUP`: `STAGE x`, `LOCK table`, `UNLOCK`
    pub(crate) fn backup(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        match cursor.one_of(&["STAGE", "LOCK", "UNLOCK"]) {
            Some("STAGE") => {
                cursor.need_kind(&[Kind::Word], "a stage")?;
                cursor.end()?;
                self.whole(Action::Flush)
            }
            Some("LOCK") => {
                let name = cursor.qualified_name()?;
                cursor.end()?;
                self.facts.class = Action::LockTables;
                self.table(Action::LockTables, name)
            }
            Some(_) => {
                cursor.end()?;
                self.whole(Action::LockTables)
            }
            None => Err(cursor.unexpected("`STAGE` or `LOCK`")),
        }
    }

    /// `HELP 'topic'`: the server's own manual.
    pub(crate) fn help(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
        cursor.need_kind(&kinds, "a topic")?;
        cursor.end()?;
        self.whole(Action::Inspect)
    }

    /// A statement that is one action on the server and whose rest is one string.
    pub(crate) fn whole_text(&mut self, action: Action, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.any_string()?;
        while cursor.symbol(",") {
            cursor.any_string()?;
        }
        cursor.end()?;
        self.whole(action)
    }

    /// A statement that is one word and one action on the server.
    pub(crate) fn whole_word(&mut self, action: Action, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["WAIT", "FOR"]) {
            cursor.word("ALL");
            cursor.one_of(&["SLAVES", "REPLICAS"]);
        }
        cursor.end()?;
        self.whole(action)
    }
}

impl Walk<'_, '_> {
    /// `PERSISTENT FOR {ALL | COLUMNS (…) INDEXES (…)}`, MySQL's `UPDATE HISTOGRAM ON …`
    fn persistent(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["PERSISTENT", "FOR"]) && !cursor.word("ALL") {
            for word in ["COLUMNS", "INDEXES"] {
                cursor.need_word(word)?;
                if !cursor.word("ALL") {
                    self.labels(cursor)?;
                }
            }
        }
        Ok(())
    }

    /// What follows the table's name in a `HANDLER`.
    fn handled(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        match cursor.one_of(&["OPEN", "CLOSE", "READ"]) {
            Some("OPEN") => self.table_alias(cursor).map(drop),
            Some("CLOSE") => Ok(()),
            Some(_) => {
                // An index's name, unless the place follows at once.
                let places = ["FIRST", "NEXT", "PREV", "LAST"];
                if !cursor.is_one_of_at(0, &places) || cursor.is_one_of_at(1, &places) {
                    cursor.need_kind(&[Kind::Word, Kind::Quoted], "an index")?;
                }
                if cursor.one_of(&places).is_none() {
                    let compared = ["=", "<", ">", "<=", ">="].iter().any(|symbol| cursor.symbol(symbol));
                    if !compared {
                        return Err(cursor.unexpected("which row"));
                    }
                    cursor.need("(")?;
                    self.expressions(cursor)?;
                    cursor.need(")")?;
                }
                if cursor.word("WHERE") {
                    self.filter(cursor, true)?;
                }
                if cursor.word("LIMIT") {
                    self.reader.facts.has_limit = true;
                    self.limit(cursor)?;
                }
                Ok(())
            }
            None => Err(cursor.unexpected("`OPEN`, `READ` or `CLOSE`")),
        }
    }

    /// What follows `ON SCHEDULE` of an event.
    pub(crate) fn schedule(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("AT") {
            return self.expression(cursor);
        }
        cursor.need_word("EVERY")?;
        self.expression(cursor)?;
        cursor.need_kind(&[Kind::Word], "a unit of time")?;
        while cursor.one_of(&["STARTS", "ENDS"]).is_some() {
            self.expression(cursor)?;
        }
        Ok(())
    }
}

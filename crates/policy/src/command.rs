//! Statements with small grammars: definitions without expressions, locks, kills, files, replication.

use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

impl Reader<'_> {
    /// `TRUNCATE [TABLE] name`
    pub(crate) fn truncate(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.word("TABLE");
        let name = cursor.qualified_name()?;
        cursor.end()?;
        self.facts.class = Action::Truncate;
        self.table(Action::Truncate, name)
    }

    /// `DROP …`
    pub(crate) fn drop(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let temporary = cursor.word("TEMPORARY");
        let kinds = [
            "TABLE",
            "TABLES",
            "VIEW",
            "DATABASE",
            "SCHEMA",
            "INDEX",
            "USER",
            "ROLE",
            "PROCEDURE",
            "FUNCTION",
            "TRIGGER",
            "EVENT",
        ];
        let Some(kind) = cursor.one_of(&kinds) else { return Err(cursor.unexpected("what to drop")) };
        if temporary && !kind.starts_with("TABLE") {
            return Err(cursor.unexpected("`TABLE`"));
        }
        cursor.words(&["IF", "EXISTS"]);
        match kind {
            "TABLE" | "TABLES" | "VIEW" => {
                self.drop_tables(cursor)?;
                self.facts.changes_definitions &= !temporary;
                Ok(())
            }
            "DATABASE" | "SCHEMA" => {
                let schema = cursor.name()?;
                cursor.end()?;
                self.facts.class = Action::Drop;
                let resource = self.names.schema(Some(schema))?;
                self.facts.request(Action::Drop, resource);
                Ok(())
            }
            "INDEX" => {
                cursor.name()?;
                self.index_on(cursor)
            }
            "USER" | "ROLE" => self.whole(Action::Users),
            "TRIGGER" => self.whole(Action::Trigger),
            "EVENT" => self.whole(Action::Event),
            _ => {
                self.routine_named(&mut cursor)?;
                cursor.end()
            }
        }
    }

    fn drop_tables(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Drop;
        loop {
            let name = cursor.qualified_name()?;
            self.table(Action::Drop, name)?;
            if !cursor.symbol(",") {
                break;
            }
        }
        cursor.one_of(&["RESTRICT", "CASCADE"]);
        cursor.end()
    }

    /// `… ON table …` of an index; what follows are columns and options, where no subquery may stand.
    pub(crate) fn index_on(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.word("ON") {
            return Err(cursor.unexpected("`ON`"));
        }
        self.facts.class = Action::Index;
        let name = cursor.qualified_name()?;
        self.table(Action::Index, name)
    }

    /// `RENAME TABLE a TO b, …`, `RENAME USER …`
    pub(crate) fn rename(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("USER") {
            return self.whole(Action::Users);
        }
        if cursor.one_of(&["TABLE", "TABLES"]).is_none() {
            return Err(cursor.unexpected("`TABLE`"));
        }
        self.facts.class = Action::Rename;
        loop {
            let old = cursor.qualified_name()?;
            if !cursor.word("TO") {
                return Err(cursor.unexpected("`TO`"));
            }
            let new = cursor.qualified_name()?;
            self.table(Action::Rename, old)?;
            self.table(Action::Rename, new)?;
            if !cursor.symbol(",") {
                return cursor.end();
            }
        }
    }

    /// `LOCK TABLES t [[AS] a] {READ [LOCAL] | [LOW_PRIORITY] WRITE}, …`
    pub(crate) fn lock_tables(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["TABLES", "TABLE"]).is_none() {
            return Err(cursor.unexpected("`TABLES`"));
        }
        self.facts.class = Action::LockTables;
        loop {
            let name = cursor.qualified_name()?;
            self.table(Action::LockTables, name)?;
            if cursor.word("AS") || !cursor.peek().is_some_and(is_lock_word) {
                cursor.name()?;
            }
            cursor.word("LOW_PRIORITY");
            match cursor.one_of(&["READ", "WRITE"]) {
                Some("READ") => drop(cursor.word("LOCAL")),
                Some(_) => {}
                None => return Err(cursor.unexpected("`READ` or `WRITE`")),
            }
            if !cursor.symbol(",") {
                return cursor.end();
            }
        }
    }

    /// `UNLOCK TABLES`
    pub(crate) fn unlock_tables(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["TABLES", "TABLE"]).is_none() {
            return Err(cursor.unexpected("`TABLES`"));
        }
        cursor.end()?;
        self.whole(Action::LockTables)
    }

    /// `KILL [HARD|SOFT] [CONNECTION|QUERY] number`
    pub(crate) fn kill(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.one_of(&["HARD", "SOFT"]);
        cursor.one_of(&["CONNECTION", "QUERY"]);
        let id = cursor
            .next_if(|token| token.kind == Kind::Number)
            .ok_or_else(|| Unread::new("`KILL` of other than a number"))?;
        cursor.end()?;
        self.killed = id.text.parse().ok();
        self.whole(Action::Kill)
    }

    /// What follows `START`, `STOP`, `CHANGE`, `RESET`.
    pub(crate) fn replication(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let words = ["SLAVE", "REPLICA", "MASTER", "REPLICATION", "GROUP_REPLICATION", "ALL", "BINARY"];
        match cursor.one_of(&words) {
            Some(_) => self.whole(Action::Replication),
            None => Err(cursor.unexpected("replication")),
        }
    }

    /// `LOAD DATA [LOCAL] INFILE 'file' [REPLACE|IGNORE] INTO TABLE name …`. What follows the name is columns, options and
    /// expressions without subqueries (the caller saw to that); a function call in them is not read.
    pub(crate) fn load(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.word("DATA") {
            return Err(cursor.unexpected("`DATA`"));
        }
        cursor.one_of(&["LOW_PRIORITY", "CONCURRENT"]);
        let local = cursor.word("LOCAL");
        if !cursor.word("INFILE") {
            return Err(cursor.unexpected("`INFILE`"));
        }
        let action = if local { Action::LocalInfile } else { Action::Infile };
        self.facts.request(action, Resource::Server);
        // Without escapes, so that it is the name that the server will ask for.
        let file = cursor.string()?;
        self.local_file = local.then(|| file.to_owned());
        let replaces = cursor.one_of(&["REPLACE", "IGNORE"]) == Some("REPLACE");
        if !cursor.words(&["INTO", "TABLE"]) {
            return Err(cursor.unexpected("`INTO TABLE`"));
        }
        let name = cursor.qualified_name()?;
        self.facts.class = Action::Load;
        self.table(Action::Load, name.clone())?;
        if replaces {
            self.table(Action::Replace, name)?;
        }
        match calls_a_function(cursor.rest()) {
            true => Err(Unread::new("a function call in `LOAD DATA`")),
            false => Ok(()),
        }
    }
}

fn is_lock_word(token: &Token<'_>) -> bool {
    ["READ", "WRITE", "LOW_PRIORITY"].iter().any(|word| token.is_word(word))
}

/// Whether a name is followed by a parenthesis, other than in `PARTITION (…)` and the list of columns, which follows the
/// table's name or an option's value.
fn calls_a_function(tokens: &[Token<'_>]) -> bool {
    let set = tokens.iter().position(|token| token.is_word("SET"));
    let expressions = set.and_then(|at| tokens.get(at..)).unwrap_or_default();
    expressions.windows(2).any(|two| match two {
        [name, parenthesis] => parenthesis.is_symbol("(") && matches!(name.kind, Kind::Word | Kind::Quoted),
        _ => false,
    })
}

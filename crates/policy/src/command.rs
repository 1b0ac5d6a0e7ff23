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
        self.wait(&mut cursor)?;
        cursor.end()?;
        self.facts.class = Action::Truncate;
        self.table(Action::Truncate, name)
    }

    /// `WAIT n`, `NOWAIT`
    fn wait(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.counted(cursor, |walk, cursor| walk.wait(cursor))
    }

    /// What follows `DROP`.
    pub(crate) fn drop(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.is_word("PREPARE") {
            return self.deallocate(cursor);
        }
        let temporary = cursor.word("TEMPORARY");
        if cursor.one_of(&["TABLE", "TABLES", "SEQUENCE"]).is_some() || !temporary && cursor.word("VIEW") {
            self.drop_tables(cursor)?;
            self.facts.changes_definitions &= !temporary;
            return Ok(());
        }
        if temporary {
            return Err(cursor.unexpected("`TABLE`"));
        }
        if cursor.words(&["UNDO", "TABLESPACE"]) || cursor.one_of(&["TABLESPACE", "LOGFILE"]).is_some() {
            return self.whole(Action::Outfile);
        }
        let kinds = [
            "DATABASE",
            "SCHEMA",
            "INDEX",
            "USER",
            "ROLE",
            "SERVER",
            "PROCEDURE",
            "FUNCTION",
            "TRIGGER",
            "EVENT",
            "PACKAGE",
        ];
        let Some(kind) = cursor.one_of(&kinds) else { return Err(cursor.unexpected("what to drop")) };
        if kind == "PACKAGE" {
            cursor.word("BODY");
        }
        cursor.words(&["IF", "EXISTS"]);
        match kind {
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
            "SERVER" => self.whole(Action::Plugins),
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
        cursor.words(&["IF", "EXISTS"]);
        loop {
            let name = cursor.qualified_name()?;
            self.table(Action::Drop, name)?;
            if !cursor.symbol(",") {
                break;
            }
        }
        self.wait(&mut cursor)?;
        cursor.one_of(&["RESTRICT", "CASCADE"]);
        cursor.end()
    }

    /// `ON table` of an index, and options.
    pub(crate) fn index_on(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.word("ON") {
            return Err(cursor.unexpected("`ON`"));
        }
        self.facts.class = Action::Index;
        let name = cursor.qualified_name()?;
        self.table(Action::Index, name)?;
        self.index_end(cursor)
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
        cursor.words(&["IF", "EXISTS"]);
        loop {
            let old = cursor.qualified_name()?;
            self.wait(&mut cursor)?;
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
        if cursor.words(&["INSTANCE", "FOR", "BACKUP"]) {
            cursor.end()?;
            return self.whole(Action::Flush);
        }
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
                Some(_) => drop(cursor.word("CONCURRENT")),
                None => return Err(cursor.unexpected("`READ` or `WRITE`")),
            }
            if !cursor.symbol(",") {
                self.wait(&mut cursor)?;
                return cursor.end();
            }
        }
    }

    /// What follows `FLUSH`. `TABLES a, b WITH READ LOCK` and `… FOR EXPORT` lock as `LOCK TABLES` does, all tables when none is
    /// named; of anything else nothing but the verb counts.
    pub(crate) fn flush(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Flush)?;
        cursor.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if cursor.one_of(&["TABLES", "TABLE"]).is_none() {
            return Ok(());
        }
        let locks = cursor.rest().iter().any(|token| token.is_word("LOCK") || token.is_word("EXPORT"));
        if !locks {
            return Ok(());
        }
        if cursor.is_one_of_at(0, &["WITH", "FOR"]) {
            self.facts.request(Action::LockTables, Resource::Server);
            return Ok(());
        }
        loop {
            let name = cursor.qualified_name()?;
            self.table(Action::LockTables, name)?;
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// `UNLOCK TABLES`
    pub(crate) fn unlock_tables(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["TABLES", "TABLE", "INSTANCE"]).is_none() {
            return Err(cursor.unexpected("`TABLES`"));
        }
        cursor.end()?;
        self.whole(Action::LockTables)
    }

    /// What follows `KILL`: `[HARD|SOFT] [CONNECTION|QUERY [ID]] number`, `… USER name`. The number may be an expression.
    pub(crate) fn kill(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.one_of(&["HARD", "SOFT"]);
        if cursor.one_of(&["CONNECTION", "QUERY"]) == Some("QUERY") {
            cursor.word("ID");
        }
        if is_own_connection(&cursor) {
            return self.whole(Action::KillOwn);
        }
        self.whole(Action::Kill)?;
        if cursor.word("USER") {
            let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
            cursor.need_kind(&kinds, "a user")?;
            if cursor.symbol("(") {
                cursor.need(")")?;
            }
            cursor.next_if(|token| token.kind == Kind::UserVariable);
            return cursor.end();
        }
        if let [id] = cursor.rest()
            && id.kind == Kind::Number
        {
            self.killed = id.text.parse().ok();
            return Ok(());
        }
        self.expression_tokens(cursor.rest())
    }

    /// What follows `START`, `STOP`, `CHANGE`, `RESET`: words, texts and numbers, none of which is a table's.
    pub(crate) fn replication(&mut self, verb: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if verb == "RESET" && cursor.words(&["QUERY", "CACHE"]) {
            cursor.end()?;
            return self.whole(Action::Flush);
        }
        if verb == "RESET" && cursor.word("PERSIST") {
            return self.whole(Action::SetGlobal);
        }
        let words = ["SLAVE", "REPLICA", "MASTER", "REPLICATION", "GROUP_REPLICATION", "ALL", "BINARY"];
        match cursor.one_of(&words) {
            Some(_) => self.whole(Action::Replication),
            None => Err(cursor.unexpected("replication")),
        }
    }

    /// What follows `LOAD`: `{DATA|XML} [LOCAL] INFILE 'file' [REPLACE|IGNORE] INTO TABLE name …`
    pub(crate) fn load(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.is_word("INDEX") {
            return self.cache_index(cursor);
        }
        cursor.one_of(&["DATA", "XML"]).ok_or_else(|| cursor.unexpected("`DATA` or `XML`"))?;
        cursor.one_of(&["LOW_PRIORITY", "CONCURRENT"]);
        let local = cursor.word("LOCAL");
        cursor.need_word("INFILE")?;
        let action = if local { Action::LocalInfile } else { Action::Infile };
        self.facts.request(action, Resource::Server);
        // Without escapes, so that it is the name that the server will ask for.
        let file = if local { cursor.string()? } else { cursor.any_string()?.text };
        self.local_file = local.then(|| file.to_owned());
        let replaces = cursor.one_of(&["REPLACE", "IGNORE"]) == Some("REPLACE");
        if !cursor.words(&["INTO", "TABLE"]) {
            return Err(cursor.unexpected("`INTO TABLE`"));
        }
        let name = cursor.qualified_name()?;
        self.facts.class = Action::Load;
        self.table_in_columns(Action::Load, name.clone())?;
        if replaces {
            self.table(Action::Replace, name.clone())?;
        }
        self.walked(cursor, |walk, cursor| walk.load_options(cursor, &name))
    }
}

fn is_lock_word(token: &Token<'_>) -> bool {
    ["READ", "WRITE", "LOW_PRIORITY"].iter().any(|word| token.is_word(word))
}

/// `CONNECTION_ID()`, and nothing behind it: the session itself, whoever asks.
fn is_own_connection(cursor: &Cursor<'_, '_>) -> bool {
    match cursor.rest() {
        [function, open, close] => function.is_word("CONNECTION_ID") && open.is_symbol("(") && close.is_symbol(")"),
        _ => false,
    }
}

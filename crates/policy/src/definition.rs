//! Definitions: CREATE, ALTER and DROP.

use crate::action::Action;
use crate::cursor::Cursor;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

impl Reader<'_> {
    /// What follows `CREATE`.
    pub(crate) fn create(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let replace = cursor.words(&["OR", "REPLACE"]);
        if cursor.one_of(&["DATABASE", "SCHEMA"]).is_some() {
            return self.create_schema(cursor, replace);
        }
        if cursor.one_of(&["USER", "ROLE"]).is_some() {
            return self.whole(Action::Users);
        }
        if cursor.word("SERVER") {
            return self.whole(Action::Plugins);
        }
        if cursor.words(&["UNDO", "TABLESPACE"]) || cursor.one_of(&["TABLESPACE", "LOGFILE"]).is_some() {
            return self.whole(Action::Outfile);
        }
        let temporary = cursor.word("TEMPORARY");
        if cursor.word("TABLE") {
            return self.walked(cursor, |walk, cursor| walk.create_table(cursor, replace, temporary));
        }
        if cursor.word("SEQUENCE") {
            return self.sequence(cursor, Action::Create, replace);
        }
        let mut ahead = cursor;
        ahead.one_of(&["ONLINE", "OFFLINE"]);
        ahead.one_of(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
        if ahead.word("INDEX") {
            return self.create_index(ahead);
        }
        self.create_stored(cursor, replace)
    }

    /// What may have a definer.
    fn create_stored(&mut self, mut cursor: Cursor<'_, '_>, replace: bool) -> Result<(), Unread> {
        stored_options(&mut cursor)?;
        if cursor.word("VIEW") {
            cursor.words(&["IF", "NOT", "EXISTS"]);
            return self.view_definition(cursor, Action::Create, replace);
        }
        let aggregate = cursor.word("AGGREGATE");
        if cursor.is_word("FUNCTION") && cursor.rest().iter().any(|token| token.is_word("SONAME")) {
            return self.loadable(cursor);
        }
        match aggregate && !cursor.is_word("FUNCTION") {
            true => Err(cursor.unexpected("`FUNCTION`")),
            false => Err(cursor.unexpected("what to create")),
        }
    }

    /// `FUNCTION [IF NOT EXISTS] name RETURNS type SONAME 'library'`
    fn loadable(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let word = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::Quoted);
        while cursor.next_if(|token| word(token) && !token.is_word("SONAME")).is_some() {}
        cursor.need_word("SONAME")?;
        cursor.any_string()?;
        cursor.end()?;
        self.whole(Action::Udf)
    }

    /// What follows `ALTER`.
    pub(crate) fn alter(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["USER", "ROLE"]).is_some() {
            return self.whole(Action::Users);
        }
        if cursor.one_of(&["SERVER"]).is_some() {
            return self.whole(Action::Plugins);
        }
        if cursor.words(&["UNDO", "TABLESPACE"]) || cursor.one_of(&["TABLESPACE", "LOGFILE"]).is_some() {
            return self.whole(Action::Outfile);
        }
        if cursor.word("INSTANCE") {
            return self.whole(Action::SetGlobal);
        }
        if cursor.one_of(&["DATABASE", "SCHEMA"]).is_some() {
            return self.alter_schema(cursor);
        }
        if cursor.word("SEQUENCE") {
            return self.sequence(cursor, Action::Alter, false);
        }
        while cursor.one_of(&["ONLINE", "OFFLINE", "IGNORE"]).is_some() {}
        if cursor.word("TABLE") {
            return self.walked(cursor, |walk, cursor| walk.alter_table(cursor));
        }
        stored_options(&mut cursor)?;
        if cursor.word("VIEW") {
            return self.view_definition(cursor, Action::Alter, false);
        }
        if cursor.one_of(&["PROCEDURE", "FUNCTION"]).is_some() {
            self.routine_named(&mut cursor)?;
            // `COMMENT 'text'`, `SQL SECURITY INVOKER` and the like.
            while cursor.next_if(is_characteristic).is_some() {}
            return cursor.end();
        }
        Err(cursor.unexpected("what to alter"))
    }

    /// The name of a routine that is made, changed or dropped.
    pub(crate) fn routine_named(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<String, Unread> {
        let (schema, name) = cursor.qualified_name()?;
        self.facts.class = Action::CreateRoutine;
        let resource = self.names.routine(schema.clone(), &name)?;
        self.facts.request(Action::CreateRoutine, resource);
        let default = self.names.default_schema.map(str::to_owned);
        schema.or(default).ok_or_else(|| Unread::new("no default schema is selected"))
    }

    /// `[IF NOT EXISTS] name [[DEFAULT] CHARACTER SET x] …`: words and plain values only.
    fn create_schema(&mut self, mut cursor: Cursor<'_, '_>, replace: bool) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let resource = self.names.schema(Some(cursor.name()?))?;
        self.facts.class = Action::Create;
        self.facts.request(Action::Create, resource.clone());
        if replace {
            self.facts.request(Action::Drop, resource);
        }
        schema_options(&mut cursor)
    }

    /// `[name] options`; without a name it is the default schema.
    fn alter_schema(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let options = ["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "ENCRYPTION", "READ", "UPGRADE"];
        let named = !(cursor.is_one_of_at(0, &options) && cursor.peek_at(1).is_some());
        let schema = if named { Some(cursor.name()?) } else { None };
        let resource = self.names.schema(schema)?;
        self.facts.class = Action::Alter;
        self.facts.request(Action::Alter, resource);
        schema_options(&mut cursor)
    }

    fn create_index(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.name()?;
        self.counted(&mut cursor, |walk, cursor| {
            walk.key_options(cursor)?;
            cursor.need_word("ON")?;
            let name = walk.table_name(cursor)?;
            walk.reader.facts.class = Action::Index;
            walk.reader.table(Action::Index, name)?;
            walk.key_columns(cursor)?;
            walk.key_options(cursor)
        })?;
        self.index_end(cursor)
    }

    /// `[WAIT n] [ALGORITHM = x] [LOCK = x]` behind an index.
    pub(crate) fn index_end(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.counted(&mut cursor, |walk, cursor| walk.wait(cursor))?;
        while cursor.one_of(&["ALGORITHM", "LOCK"]).is_some() {
            cursor.symbol("=");
            cursor.need_kind(&[Kind::Word], "a word")?;
        }
        self.counted(&mut cursor, |walk, cursor| walk.wait(cursor))?;
        cursor.end()
    }

    /// `name [(columns)] AS query [WITH CHECK OPTION]`
    fn view_definition(&mut self, cursor: Cursor<'_, '_>, action: Action, replace: bool) -> Result<(), Unread> {
        self.facts.class = action;
        self.makes_view = true;
        self.walked(cursor, |walk, cursor| {
            let name = walk.table_name(cursor)?;
            walk.reader.table(action, name.clone())?;
            if replace {
                walk.reader.table(Action::Drop, name)?;
            }
            if cursor.is_symbol_at(0, "(") {
                walk.labels(cursor)?;
            }
            cursor.need_word("AS")?;
            walk.query(cursor, false)?;
            if cursor.word("WITH") {
                cursor.one_of(&["CASCADED", "LOCAL"]);
                cursor.need_word("CHECK")?;
                cursor.need_word("OPTION")?;
            }
            Ok(())
        })
    }

    /// `[IF [NOT] EXISTS] name options` of a sequence: words and numbers, and the table's options.
    fn sequence(&mut self, mut cursor: Cursor<'_, '_>, action: Action, replace: bool) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.words(&["IF", "EXISTS"]);
        let words = [
            "INCREMENT",
            "MINVALUE",
            "MAXVALUE",
            "START",
            "RESTART",
            "CACHE",
            "BY",
            "WITH",
            "NO",
            "NOCACHE",
            "NOMINVALUE",
        ];
        let more = ["NOMAXVALUE", "CYCLE", "NOCYCLE", "NOTIFY", "AS"];
        self.facts.class = action;
        self.walked(cursor, |walk, cursor| {
            let name = walk.table_name(cursor)?;
            walk.reader.table(action, name.clone())?;
            if replace {
                walk.reader.table(Action::Drop, name)?;
            }
            loop {
                let option = cursor.one_of(&words).is_some()
                    || cursor.one_of(&more).is_some()
                    || cursor.symbol("=")
                    || cursor.symbol("-")
                    || cursor.symbol("+")
                    || cursor.next_if(|token| token.kind == Kind::Number).is_some()
                    || cursor
                        .one_of(&["BIGINT", "INT", "INTEGER", "SMALLINT", "TINYINT", "MEDIUMINT", "UNSIGNED", "SIGNED"])
                        .is_some();
                if !option && !walk.table_option(cursor)? {
                    return Ok(());
                }
            }
        })
    }
}

/// `ALGORITHM = x DEFINER = user SQL SECURITY x`
pub(crate) fn stored_options(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    loop {
        if cursor.word("ALGORITHM") {
            cursor.need("=")?;
            cursor.need_kind(&[Kind::Word], "a word")?;
        } else if cursor.word("DEFINER") {
            cursor.need("=")?;
            user(cursor)?;
        } else if cursor.words(&["SQL", "SECURITY"]) {
            cursor.one_of(&["DEFINER", "INVOKER"]).ok_or_else(|| cursor.unexpected("`DEFINER`"))?;
        } else {
            return Ok(());
        }
    }
}

/// `name@host`, `CURRENT_USER`
fn user(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
    cursor.need_kind(&kinds, "a user")?;
    if cursor.symbol("(") {
        return cursor.need(")");
    }
    cursor.next_if(|token| token.kind == Kind::UserVariable);
    Ok(())
}

pub(crate) fn is_characteristic(token: &Token<'_>) -> bool {
    let words = ["LANGUAGE", "SQL", "NOT", "DETERMINISTIC", "CONTAINS", "NO", "READS", "MODIFIES", "DATA", "SECURITY"];
    let more = ["DEFINER", "INVOKER", "COMMENT"];
    matches!(token.kind, Kind::String | Kind::DoubleString) || words.iter().chain(&more).any(|word| token.is_word(word))
}

fn schema_options(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    let plain = |token: &Token<'_>| {
        let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString, Kind::Number];
        kinds.contains(&token.kind) && !token.is_word("SELECT") || token.is_symbol("=")
    };
    while cursor.next_if(plain).is_some() {}
    cursor.end()
}

//! What a table is made of: columns, keys, constraints.

use super::Walk;
use crate::action::Action;
use crate::cursor::Cursor;
use crate::token::{Kind, Unread};

impl Walk<'_, '_> {
    /// What follows `CREATE … TABLE`.
    pub(crate) fn create_table(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        replace: bool,
        temporary: bool,
    ) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = self.table_name(cursor)?;
        let made = self.reader.names.table(name.0.clone(), name.1.clone())?;
        self.reader.facts.class = Action::Create;
        self.reader.table(Action::Create, name.clone())?;
        if replace {
            self.reader.table(Action::Drop, name)?;
        }
        // A session's own table changes nothing for others.
        self.reader.facts.changes_definitions &= !temporary;
        if temporary {
            self.reader.check_shadow(&made)?;
        }
        self.reader.makes_table(&made);
        if self.like(cursor)? {
            return Ok(());
        }
        if cursor.is_symbol_at(0, "(") && !self.query_in_parentheses(cursor) {
            self.definitions(cursor)?;
        }
        self.table_options(cursor)?;
        if cursor.words(&["PARTITION", "BY"]) {
            self.partition_by(cursor)?;
        }
        cursor.one_of(&["IGNORE", "REPLACE"]);
        cursor.word("AS");
        match cursor.is_at_end() {
            true => Ok(()),
            false => self.query(cursor, false),
        }
    }

    /// `LIKE table`, in parentheses or not.
    fn like(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        let mut ahead = *cursor;
        let parenthesis = ahead.symbol("(");
        if !ahead.word("LIKE") {
            return Ok(false);
        }
        *cursor = ahead;
        let name = self.table_name(cursor)?;
        self.reader.table(Action::Show, name)?;
        if parenthesis {
            cursor.need(")")?;
        }
        Ok(true)
    }

    /// `(column …, key …, …)`
    pub(super) fn definitions(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        loop {
            self.definition(cursor)?;
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    /// A column, key, constraint or period.
    pub(super) fn definition(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if self.key(cursor)? {
            return Ok(());
        }
        if cursor.words(&["PERIOD", "FOR"]) || cursor.words(&["PERIOD", "IF", "NOT", "EXISTS", "FOR"]) {
            self.label(cursor)?;
            return self.labels(cursor);
        }
        self.column(cursor)
    }

    /// A key or constraint, if one stands here.
    pub(super) fn key(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        let constraint = cursor.word("CONSTRAINT");
        if constraint {
            cursor.words(&["IF", "NOT", "EXISTS"]);
            if !cursor.is_one_of_at(0, &["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
                self.label(cursor)?;
            }
        }
        if cursor.word("CHECK") {
            self.check(cursor)?;
        } else if cursor.words(&["FOREIGN", "KEY"]) {
            self.foreign_key(cursor)?;
        } else if cursor.words(&["PRIMARY", "KEY"]) {
            self.key_parts(cursor)?;
        } else if cursor.one_of(&["UNIQUE", "FULLTEXT", "SPATIAL"]).is_some() {
            cursor.one_of(&["INDEX", "KEY"]);
            self.key_parts(cursor)?;
        } else if cursor.one_of(&["INDEX", "KEY"]).is_some() {
            self.key_parts(cursor)?;
        } else {
            return if constraint { Err(cursor.unexpected("a constraint")) } else { Ok(false) };
        }
        Ok(true)
    }

    /// `(condition) [[NOT] ENFORCED]`
    fn check(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.need("(")?;
        self.expression(cursor)?;
        cursor.need(")")?;
        if !cursor.words(&["NOT", "ENFORCED"]) {
            cursor.word("ENFORCED");
        }
        Ok(())
    }

    fn foreign_key(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        if !cursor.is_symbol_at(0, "(") {
            self.label(cursor)?;
        }
        self.labels(cursor)?;
        cursor.need_word("REFERENCES")?;
        self.references(cursor)
    }

    /// What follows `REFERENCES`. A foreign key tells which values the other table has: as good as reading it.
    fn references(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let name = self.table_name(cursor)?;
        self.reader.table(Action::Select, name)?;
        if cursor.is_symbol_at(0, "(") {
            self.labels(cursor)?;
        }
        loop {
            if cursor.word("MATCH") {
                cursor.one_of(&["FULL", "PARTIAL", "SIMPLE"]).ok_or_else(|| cursor.unexpected("`FULL`"))?;
            } else if cursor.is_word("ON") && cursor.is_one_of_at(1, &["DELETE", "UPDATE"]) {
                cursor.next();
                cursor.next();
                let known = cursor.one_of(&["RESTRICT", "CASCADE"]).is_some()
                    || cursor.words(&["SET", "NULL"])
                    || cursor.words(&["SET", "DEFAULT"])
                    || cursor.words(&["NO", "ACTION"]);
                if !known {
                    return Err(cursor.unexpected("what to do"));
                }
            } else {
                return Ok(());
            }
        }
    }

    /// `[IF NOT EXISTS] [name] [USING type] (part, …) options`
    pub(crate) fn key_parts(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        if !cursor.is_symbol_at(0, "(") && !cursor.is_one_of_at(0, &["USING", "TYPE"]) {
            cursor.need_kind(&[Kind::Word, Kind::Quoted], "a key's name")?;
        }
        if cursor.one_of(&["USING", "TYPE"]).is_some() {
            self.label(cursor)?;
        }
        self.key_columns(cursor)?;
        self.key_options(cursor)
    }

    /// `(column [(length)] [ASC|DESC], (expression), …)`
    pub(crate) fn key_columns(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        loop {
            if cursor.symbol("(") {
                self.expression(cursor)?;
                cursor.need(")")?;
            } else {
                self.column_name(cursor)?;
                if cursor.symbol("(") {
                    cursor.need_kind(&[Kind::Number], "a length")?;
                    cursor.need(")")?;
                }
            }
            cursor.one_of(&["ASC", "DESC"]);
            cursor.words(&["WITHOUT", "OVERLAPS"]);
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    pub(crate) fn key_options(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            if cursor.one_of(&["USING", "TYPE"]).is_some() || cursor.words(&["WITH", "PARSER"]) {
                self.label(cursor)?;
            } else if cursor.word("COMMENT") {
                cursor.any_string()?;
            } else if cursor.words(&["NOT", "IGNORED"])
                || cursor.one_of(&["VISIBLE", "INVISIBLE", "IGNORED"]).is_some()
                || self.attribute(cursor, &["KEY_BLOCK_SIZE", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"])?
            {
            } else {
                return Ok(());
            }
        }
    }

    /// `name type attributes`
    pub(super) fn column(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.column_name(cursor)?;
        self.data_type(cursor)?;
        while self.column_attribute(cursor)? {}
        Ok(())
    }

    /// One attribute of a column; false when none follows.
    fn column_attribute(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if cursor.word("DEFAULT") || cursor.words(&["ON", "UPDATE"]) {
            self.expression(cursor)?;
        } else if cursor.words(&["GENERATED", "ALWAYS", "AS"]) || cursor.word("AS") {
            if !cursor.words(&["ROW", "START"]) && !cursor.words(&["ROW", "END"]) {
                cursor.need("(")?;
                self.expression(cursor)?;
                cursor.need(")")?;
            }
        } else if cursor.word("CONSTRAINT") {
            if !cursor.is_word("CHECK") {
                self.label(cursor)?;
            }
        } else if cursor.word("CHECK") {
            self.check(cursor)?;
        } else if cursor.word("REFERENCES") {
            self.references(cursor)?;
        } else if cursor.word("COMMENT") {
            cursor.symbol("=");
            cursor.any_string()?;
        } else if cursor.words(&["CHARACTER", "SET"]) || cursor.one_of(&["CHARSET", "COLLATE"]).is_some() {
            self.charset_name(cursor)?;
        } else if cursor.one_of(&["COLUMN_FORMAT", "STORAGE"]).is_some() {
            cursor.need_kind(&[Kind::Word], "a word")?;
        } else if cursor.word("SRID") {
            cursor.need_kind(&[Kind::Number], "a number")?;
        } else {
            return Ok(plain_attribute(cursor) || self.attribute(cursor, &["COMPRESSED", "REF_SYSTEM_ID"])?);
        }
        Ok(true)
    }
}

fn plain_attribute(cursor: &mut Cursor<'_, '_>) -> bool {
    let several: [&[&str]; 7] = [
        &["NOT", "NULL"],
        &["PRIMARY", "KEY"],
        &["UNIQUE", "KEY"],
        &["SERIAL", "DEFAULT", "VALUE"],
        &["WITH", "SYSTEM", "VERSIONING"],
        &["WITHOUT", "SYSTEM", "VERSIONING"],
        &["NOT", "SECONDARY"],
    ];
    let single = ["NULL", "AUTO_INCREMENT", "KEY", "UNIQUE", "VIRTUAL", "STORED", "PERSISTENT", "INVISIBLE", "VISIBLE"];
    let compressed = cursor.is_word("COMPRESSED") && !cursor.is_symbol_at(1, "=");
    several.iter().any(|words| cursor.words(words))
        || cursor.one_of(&single).is_some()
        || compressed && cursor.next().is_some()
}

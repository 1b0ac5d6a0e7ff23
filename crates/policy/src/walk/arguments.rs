//! Calls of functions, with the forms that some of them have between their parentheses, and windows.

use super::Walk;
use super::expression::UNITS;
use crate::action::Action;
use crate::builtins::{function_action, needs_parenthesis};
use crate::catalogue::RoutineKind;
use crate::cursor::{Cursor, name_of, name_text};
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

/// Reserved words that are functions before a parenthesis.
const FUNCTION_WORDS: [&str; 38] = [
    "CHAR",
    "CONVERT",
    "CUME_DIST",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DATABASE",
    "DEFAULT",
    "DENSE_RANK",
    "FIRST_VALUE",
    "GROUPING",
    "IF",
    "INSERT",
    "INTERVAL",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "LEFT",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "MOD",
    "NTH_VALUE",
    "NTILE",
    "PERCENT_RANK",
    "RANK",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "ROW",
    "ROW_NUMBER",
    "SCHEMA",
    "TRUNCATE",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "VALUES",
];

impl Walk<'_, '_> {
    /// What follows a function's name.
    pub(super) fn call(&mut self, name: &Token<'_>, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if self.is_reserved(name) && !FUNCTION_WORDS.iter().any(|word| name.is_word(word)) {
            return Err(Unread::new("a keyword where a function is read"));
        }
        let of_sequence = |word: &&str| name.is_word(word);
        if ["NEXTVAL", "LASTVAL", "SETVAL"].iter().any(of_sequence) {
            return self.sequence_call(!name.is_word("LASTVAL"), cursor);
        }
        let function = match name.kind {
            Kind::Quoted => name_text(name),
            _ => name.text.to_owned(),
        };
        // In backticks or before white space these are names of stored functions.
        if name.kind == Kind::Quoted && needs_parenthesis(&function, self.reader.flavour) {
            self.reader.facts.request(Action::Execute, Resource::Server);
        }
        if !name.is_word("ROW") {
            self.reader.called(&function)?;
        }
        cursor.need("(")?;
        take_unit(name, cursor);
        match name.is_word("CONVERT") {
            true => self.convert(cursor)?,
            false => self.nested(|walk| walk.arguments(cursor))?,
        }
        self.after_call(cursor)
    }

    /// A function with a schema is always a stored one.
    pub(super) fn call_of_schema(
        &mut self,
        schema: &Token<'_>,
        name: &Token<'_>,
        cursor: &mut Cursor<'_, '_>,
    ) -> Result<(), Unread> {
        let (schema, name) = (name_of(schema)?, name_of(name)?);
        self.reader.facts.functions.insert(format!("{schema}.{name}").to_ascii_lowercase());
        self.reader.routine(Action::Execute, RoutineKind::Function, Some(schema), &name)?;
        cursor.need("(")?;
        self.nested(|walk| walk.arguments(cursor))
    }

    /// `NEXTVAL(sequence)` and its like. A value that is taken changes the sequence.
    fn sequence_call(&mut self, changes: bool, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        self.sequence(cursor, changes)?;
        while cursor.symbol(",") {
            self.expression(cursor)?;
        }
        cursor.need(")")
    }

    /// The name of a sequence: reading its value is a select, taking the next one an insert, as the privileges are.
    pub(super) fn sequence(&mut self, cursor: &mut Cursor<'_, '_>, changes: bool) -> Result<(), Unread> {
        let name = self.table_name(cursor)?;
        self.reader.table(Action::Select, name.clone())?;
        if changes {
            self.reader.table(Action::Insert, name)?;
        }
        Ok(())
    }

    /// `CONVERT(x, type)`, `CONVERT(x USING charset)`
    fn convert(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.expression(cursor)?;
        if cursor.word("USING") {
            self.charset_name(cursor)?;
        } else {
            cursor.need(",")?;
            self.data_type(cursor)?;
        }
        cursor.need(")")
    }

    pub(super) fn arguments(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.symbol(")") {
            return Ok(());
        }
        if self.starts_query(cursor) {
            self.query(cursor, false)?;
            return cursor.need(")");
        }
        cursor.one_of(&["DISTINCT", "ALL", "BOTH", "LEADING", "TRAILING"]);
        loop {
            if !cursor.symbol("*") && !cursor.is_word("FROM") {
                self.expression(cursor)?;
            }
            while self.argument_clause(cursor)? {}
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    /// What may follow an argument; false when nothing does.
    fn argument_clause(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if cursor.word("AS") {
            // A loadable function's argument may have a name.
            if cursor.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString)).is_none() {
                self.data_type(cursor)?;
            }
        } else if cursor.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString)).is_some() {
        } else if cursor.one_of(&["FROM", "FOR"]).is_some() {
            self.expression(cursor)?;
        } else if cursor.word("USING") {
            self.charset_name(cursor)?;
        } else if cursor.words(&["ORDER", "BY"]) {
            self.ordered(cursor)?;
        } else if cursor.word("SEPARATOR") {
            cursor.any_string()?;
        } else if cursor.word("LIMIT") {
            self.limit(cursor)?;
        } else if cursor.word("RETURNING") {
            self.data_type(cursor)?;
        } else if cursor.word("LEVEL") {
            let level = |token: &Token<'_>| token.kind == Kind::Number || token.is_symbol("-") || token.is_symbol(",");
            while cursor.next_if(level).is_some() || cursor.one_of(&["ASC", "DESC", "REVERSE"]).is_some() {}
        } else {
            return Ok(self.on_empty(cursor)? || self.alias(cursor, false)?.is_some());
        }
        Ok(true)
    }

    /// `{NULL|ERROR|DEFAULT value} ON {EMPTY|ERROR}` of `JSON_VALUE`, `{NULL|ABSENT} ON NULL`.
    fn on_empty(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if cursor.is_one_of_at(0, &["NULL", "ERROR", "ABSENT"]) && cursor.is_word_at(1, "ON") {
            cursor.next();
        } else if cursor.word("DEFAULT") {
            self.expression(cursor)?;
        } else {
            return Ok(false);
        }
        cursor.need_word("ON")?;
        cursor.one_of(&["EMPTY", "ERROR", "NULL"]).map(|_| true).ok_or_else(|| cursor.unexpected("`EMPTY` or `ERROR`"))
    }

    /// `WITHIN GROUP (ORDER BY …)`, `IGNORE NULLS`, `OVER window`
    fn after_call(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["WITHIN", "GROUP"]) {
            cursor.need("(")?;
            cursor.need_word("ORDER")?;
            cursor.need_word("BY")?;
            self.ordered(cursor)?;
            cursor.need(")")?;
        }
        if !cursor.words(&["FROM", "FIRST"]) && cursor.is_word("FROM") && cursor.is_word_at(2, "OVER") {
            cursor.words(&["FROM", "LAST"]);
        }
        if !cursor.words(&["RESPECT", "NULLS"]) {
            cursor.words(&["IGNORE", "NULLS"]);
        }
        if !cursor.word("OVER") {
            return Ok(());
        }
        match cursor.is_symbol_at(0, "(") {
            true => self.nested(|walk| walk.window(cursor)),
            false => self.label(cursor),
        }
    }

    /// `([name] [PARTITION BY …] [ORDER BY …] [frame])`
    pub(super) fn window(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        if self.is_name(cursor) {
            self.label(cursor)?;
        }
        if cursor.words(&["PARTITION", "BY"]) {
            self.expressions(cursor)?;
        }
        if cursor.words(&["ORDER", "BY"]) {
            self.ordered(cursor)?;
        }
        if cursor.one_of(&["ROWS", "RANGE", "GROUPS"]).is_some() {
            if cursor.word("BETWEEN") {
                self.frame_bound(cursor)?;
                cursor.need_word("AND")?;
            }
            self.frame_bound(cursor)?;
            if cursor.word("EXCLUDE") && !cursor.words(&["NO", "OTHERS"]) && !cursor.words(&["CURRENT", "ROW"]) {
                cursor.one_of(&["GROUP", "TIES"]);
            }
        }
        cursor.need(")")
    }

    fn frame_bound(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["CURRENT", "ROW"]) {
            return Ok(());
        }
        if !cursor.word("UNBOUNDED") {
            self.expression(cursor)?;
        }
        let bound = cursor.one_of(&["PRECEDING", "FOLLOWING"]);
        bound.map(drop).ok_or_else(|| cursor.unexpected("`PRECEDING` or `FOLLOWING`"))
    }
}

/// Takes the first argument of the functions where it is a word of the grammar, not a column.
fn take_unit(function: &Token<'_>, cursor: &mut Cursor<'_, '_>) {
    let is = |names: &[&str]| names.iter().any(|name| function.is_word(name));
    let is_unit = cursor.peek().is_some_and(|token| {
        let tsi = token.text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("SQL_TSI_"));
        token.kind == Kind::Word && tsi || UNITS.iter().any(|unit| token.is_word(unit))
    });
    let is_format = cursor.is_one_of_at(0, &["DATE", "TIME", "DATETIME", "TIMESTAMP"]);
    if is(&["EXTRACT"]) && is_unit && cursor.is_word_at(1, "FROM") {
        cursor.next();
    } else if cursor.is_symbol_at(1, ",")
        && (is(&["TIMESTAMPADD", "TIMESTAMPDIFF"]) && is_unit || is(&["GET_FORMAT"]) && is_format)
    {
        cursor.next();
        cursor.next();
    }
}

impl Reader<'_> {
    /// Notes a function without a schema, and asks for what it needs.
    pub(crate) fn called(&mut self, name: &str) -> Result<(), Unread> {
        let name = name.to_ascii_lowercase();
        let action = function_action(&name);
        self.facts.functions.insert(name.clone());
        match action {
            Some(Action::Execute) => {
                // A loadable function is in no schema. One that is not a stored function may be that.
                if !self.has_function(&name) {
                    self.facts.request(Action::Execute, Resource::Server);
                }
                match self.names.default_schema {
                    Some(_) => self.routine(Action::Execute, RoutineKind::Function, None, &name),
                    None => Ok(()),
                }
            }
            Some(_) | None => {
                action.into_iter().for_each(|action| self.facts.request(action, Resource::Server));
                // What one family of servers builds in may be a stored function at the other.
                match self.has_function(&name) {
                    true => self.routine(Action::Execute, RoutineKind::Function, None, &name),
                    false => Ok(()),
                }
            }
        }
    }
}

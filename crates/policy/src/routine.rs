//! Statements that hold others: bodies of routines, triggers and events, MariaDB's compound statements.
//!
//! Whatever a body may do, on whichever way through it, is asked for when it is made.

use crate::action::Action;
use crate::context::{Context, Flavour};
use crate::cursor::Cursor;
use crate::definition::{is_characteristic, stored_options};
use crate::facts::Resource;
use crate::limits::BLOCKS_MAX;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

/// What a statement that holds others is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Procedure,
    Function,
    Trigger,
    Event,
    AlteredEvent,
    /// `BEGIN NOT ATOMIC` and its like: it runs at once.
    Compound,
}

/// Whether the first statement of `tokens` may hold others, so that a semicolon does not end it.
pub(crate) fn holds_statements(tokens: &[Token<'_>], flavour: Flavour) -> bool {
    holder(&mut Cursor::new(tokens), flavour).is_some()
}

/// Which one it is; the cursor is then behind the word that says so.
fn holder(cursor: &mut Cursor<'_, '_>, flavour: Flavour) -> Option<Holder> {
    let alters = cursor.word("ALTER");
    if alters || cursor.word("CREATE") {
        cursor.words(&["OR", "REPLACE"]);
        stored_options(cursor).ok()?;
        if alters {
            return cursor.word("EVENT").then_some(Holder::AlteredEvent);
        }
        cursor.word("AGGREGATE");
        let loadable = cursor.is_word("FUNCTION") && is_loadable(cursor);
        return match cursor.one_of(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"])? {
            "PROCEDURE" => Some(Holder::Procedure),
            "TRIGGER" => Some(Holder::Trigger),
            "EVENT" => Some(Holder::Event),
            _ => (!loadable).then_some(Holder::Function),
        };
    }
    let words = ["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];
    let compound = cursor.are_words(&["BEGIN", "NOT"]) || cursor.is_one_of_at(0, &words) || cursor.is_symbol_at(1, ":");
    (flavour == Flavour::MariaDb && compound).then_some(Holder::Compound)
}

/// `FUNCTION name RETURNS type SONAME …`: no parenthesis before the word.
fn is_loadable(cursor: &Cursor<'_, '_>) -> bool {
    let mut words = cursor.rest().iter().take_while(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
    words.any(|token| token.is_word("SONAME"))
}

impl Reader<'_> {
    /// Reads a statement that holds others; gives what follows it.
    pub(crate) fn holding<'t, 'a>(&mut self, tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], Unread> {
        let mut cursor = Cursor::new(tokens);
        match holder(&mut cursor, self.flavour) {
            Some(kind @ (Holder::Procedure | Holder::Function)) => self.create_routine(kind, &mut cursor)?,
            Some(Holder::Trigger) => self.create_trigger(&mut cursor)?,
            Some(kind @ (Holder::Event | Holder::AlteredEvent)) => self.event(kind, &mut cursor)?,
            Some(Holder::Compound) => self.compound(&mut cursor)?,
            None => return Err(Unread::new("a statement that holds no others")),
        }
        if cursor.peek().is_some_and(|token| token.kind != Kind::Semicolon) {
            return Err(cursor.unexpected("the end of the statement"));
        }
        Ok(cursor.rest())
    }

    fn create_routine(&mut self, kind: Holder, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let schema = self.routine_named(cursor)?;
        let mut variables = Vec::new();
        self.parameters(cursor, &mut variables)?;
        if kind == Holder::Function {
            cursor.need_word("RETURNS")?;
            self.variable_type(cursor)?;
        }
        while cursor.next_if(is_characteristic).is_some() {}
        self.stored_body(Some(&schema), variables, cursor)
    }

    /// `([IN|OUT|INOUT] name type, …)`
    fn parameters(&mut self, cursor: &mut Cursor<'_, '_>, variables: &mut Vec<String>) -> Result<(), Unread> {
        cursor.need("(")?;
        if cursor.symbol(")") {
            return Ok(());
        }
        loop {
            if cursor.peek_at(1).is_some_and(|next| matches!(next.kind, Kind::Word | Kind::Quoted)) {
                cursor.one_of(&["IN", "OUT", "INOUT"]);
            }
            variables.push(cursor.name()?.to_ascii_lowercase());
            self.variable_type(cursor)?;
            if cursor.word("DEFAULT") {
                self.counted(cursor, |walk, cursor| walk.expression(cursor))?;
            }
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    /// A type, also `TYPE OF table.column`, `ROW TYPE OF table`, `ROW (name type, …)`.
    fn variable_type(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["ROW", "TYPE", "OF"]) {
            let name = cursor.qualified_name()?;
            // A cursor of that name is no table: one too many is asked for rather than one too few.
            return self.table(Action::Show, name);
        }
        if cursor.words(&["TYPE", "OF"]) {
            let (first, second) = cursor.qualified_name()?;
            let third = if cursor.symbol(".") { Some(cursor.name()?) } else { None };
            return match (first, third) {
                (None, _) => Ok(()),
                (Some(table), None) => self.table(Action::Show, (None, table)),
                (Some(schema), Some(_)) => self.table(Action::Show, (Some(schema), second)),
            };
        }
        if cursor.is_word("ROW") && cursor.is_symbol_at(1, "(") {
            cursor.next();
            return self.parameters(cursor, &mut Vec::new());
        }
        self.counted(cursor, |walk, cursor| walk.data_type(cursor))
    }

    /// `[IF NOT EXISTS] name {BEFORE|AFTER} change ON table FOR EACH ROW [{FOLLOWS|PRECEDES} other] body`
    fn create_trigger(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Trigger)?;
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.qualified_name()?;
        cursor.one_of(&["BEFORE", "AFTER"]).ok_or_else(|| cursor.unexpected("`BEFORE` or `AFTER`"))?;
        cursor.one_of(&["INSERT", "UPDATE", "DELETE"]).ok_or_else(|| cursor.unexpected("a change"))?;
        cursor.need_word("ON")?;
        let (schema, table) = cursor.qualified_name()?;
        let default = self.names.default_schema.map(str::to_owned);
        let schema = schema.or(default);
        self.names.table(schema.clone(), table)?;
        if !cursor.words(&["FOR", "EACH", "ROW"]) {
            return Err(cursor.unexpected("`FOR EACH ROW`"));
        }
        if cursor.one_of(&["FOLLOWS", "PRECEDES"]).is_some() {
            cursor.name()?;
        }
        self.stored_body(schema.as_deref(), vec!["new".to_owned(), "old".to_owned()], cursor)
    }

    /// `name ON SCHEDULE … DO body`, any part of which may be missing from an ALTER.
    fn event(&mut self, kind: Holder, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Event)?;
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let (schema, _) = cursor.qualified_name()?;
        let default = self.names.default_schema.map(str::to_owned);
        if cursor.words(&["ON", "SCHEDULE"]) {
            self.counted(cursor, |walk, cursor| walk.schedule(cursor))?;
        } else if kind == Holder::Event {
            return Err(cursor.unexpected("`ON SCHEDULE`"));
        }
        if cursor.words(&["ON", "COMPLETION"]) {
            cursor.word("NOT");
            cursor.need_word("PRESERVE")?;
        }
        if cursor.words(&["RENAME", "TO"]) {
            cursor.qualified_name()?;
        }
        if cursor.word("DISABLE") {
            if cursor.word("ON") {
                cursor.one_of(&["SLAVE", "REPLICA"]).ok_or_else(|| cursor.unexpected("`SLAVE`"))?;
            }
        } else {
            cursor.word("ENABLE");
        }
        if cursor.word("COMMENT") {
            cursor.any_string()?;
        }
        match cursor.word("DO") {
            true => self.stored_body(schema.or(default).as_deref(), Vec::new(), cursor),
            false if kind == Holder::AlteredEvent => Ok(()),
            false => Err(cursor.unexpected("`DO`")),
        }
    }

    /// A compound statement that runs at once.
    fn compound(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Call;
        self.reading_set.unknown = true;
        let schema = self.names.default_schema.map(str::to_owned);
        self.stored_body(schema.as_deref(), Vec::new(), cursor)?;
        if self.facts.requests.is_empty() {
            self.facts.request(Action::Inspect, Resource::Server);
        }
        Ok(())
    }

    /// A body, in a schema of its own: what it may do is asked for.
    fn stored_body(
        &mut self,
        schema: Option<&str>,
        variables: Vec<String>,
        cursor: &mut Cursor<'_, '_>,
    ) -> Result<(), Unread> {
        let context = Context { default_schema: schema, ..self.context };
        let (class, blocks) = (self.facts.class, self.blocks);
        self.nested(context, |inner| {
            inner.in_routine = true;
            inner.blocks = blocks + 1;
            inner.variables = variables;
            let read = inner.body_statement(cursor);
            inner.finish(read);
        })?;
        self.facts.class = class;
        Ok(())
    }

    /// The body of a routine that is known to the server.
    ///
    /// # Errors
    /// Why it was not read.
    pub(crate) fn known_body(
        &mut self,
        context: Context<'_>,
        variables: Vec<String>,
        tokens: &[Token<'_>],
    ) -> Result<(), Unread> {
        self.nested(context, |inner| {
            inner.in_routine = true;
            inner.variables = variables;
            let mut cursor = Cursor::new(tokens);
            let read = inner.body_statement(&mut cursor).and_then(|()| {
                cursor.next_if(|token| token.kind == Kind::Semicolon);
                cursor.end()
            });
            inner.finish(read);
        })
        .map(drop)
    }

    /// One statement of a body, without its semicolon.
    fn body_statement(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if self.blocks >= BLOCKS_MAX {
            return Err(Unread::new(format!("blocks are more than {BLOCKS_MAX} deep")));
        }
        self.blocks += 1;
        if cursor.is_symbol_at(1, ":") {
            cursor.next();
            cursor.next();
        }
        let words = ["BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];
        match cursor.one_of(&words) {
            Some("BEGIN") => {
                cursor.words(&["NOT", "ATOMIC"]);
                self.until(cursor, &["END"])?;
                self.ended(cursor, None)?;
            }
            Some("IF") => self.branches(cursor, "ELSEIF", "IF")?,
            Some("CASE") => self.case(cursor)?,
            Some("LOOP") => {
                self.until(cursor, &["END"])?;
                self.ended(cursor, Some("LOOP"))?;
            }
            Some("WHILE") => {
                self.condition(cursor)?;
                cursor.need_word("DO")?;
                self.until(cursor, &["END"])?;
                self.ended(cursor, Some("WHILE"))?;
            }
            Some("REPEAT") => {
                self.until(cursor, &["UNTIL"])?;
                cursor.need_word("UNTIL")?;
                self.condition(cursor)?;
                self.ended(cursor, Some("REPEAT"))?;
            }
            Some(_) => self.for_loop(cursor)?,
            None => self.simple(cursor)?,
        }
        self.blocks -= 1;
        Ok(())
    }

    /// Statements up to one of `ends`, which is not taken.
    fn until(&mut self, cursor: &mut Cursor<'_, '_>, ends: &[&str]) -> Result<(), Unread> {
        while !cursor.is_one_of_at(0, ends) {
            self.body_statement(cursor)?;
            let semicolon = cursor.next_if(|token| token.kind == Kind::Semicolon);
            semicolon.ok_or_else(|| cursor.unexpected("`;`"))?;
        }
        Ok(())
    }

    /// `END [what] [label]`
    fn ended(&mut self, cursor: &mut Cursor<'_, '_>, what: Option<&str>) -> Result<(), Unread> {
        cursor.need_word("END")?;
        if let Some(what) = what {
            cursor.need_word(what)?;
        }
        // A label, or nothing: a semicolon or the end of the text follows either.
        cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
        Ok(())
    }

    fn condition(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.counted(cursor, |walk, cursor| walk.expression(cursor))
    }

    /// `condition THEN statements {more condition THEN statements} [ELSE statements] END what`
    fn branches(&mut self, cursor: &mut Cursor<'_, '_>, more: &str, what: &str) -> Result<(), Unread> {
        loop {
            self.condition(cursor)?;
            cursor.need_word("THEN")?;
            self.until(cursor, &[more, "ELSE", "END"])?;
            if !cursor.word(more) {
                break;
            }
        }
        if cursor.word("ELSE") {
            self.until(cursor, &["END"])?;
        }
        cursor.need_word("END")?;
        cursor.need_word(what)
    }

    fn case(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.is_word("WHEN") {
            self.condition(cursor)?;
        }
        cursor.need_word("WHEN")?;
        self.branches(cursor, "WHEN", "CASE")
    }

    /// What follows `FOR`: `name IN {(query) | cursor [(…)]} DO statements END FOR`
    fn for_loop(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let variable = cursor.name()?;
        self.variables.push(variable.to_ascii_lowercase());
        cursor.need_word("IN")?;
        cursor.word("REVERSE");
        if cursor.is_symbol_at(0, "(") {
            self.counted(cursor, |walk, cursor| walk.subquery(cursor))?;
        } else if cursor.is_symbol_at(1, "..") {
            // From one number to another.
            cursor.next();
            cursor.next();
            self.condition(cursor)?;
        } else {
            // A cursor with parameters reads like a call: its name is none of a function.
            let named = cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
            named.ok_or_else(|| cursor.unexpected("a cursor"))?;
            self.cursor_arguments(cursor)?;
        }
        cursor.need_word("DO")?;
        self.until(cursor, &["END"])?;
        self.ended(cursor, Some("FOR"))
    }

    fn cursor_arguments(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.symbol("(") && !cursor.symbol(")") {
            self.counted(cursor, |walk, cursor| walk.expressions(cursor))?;
            cursor.need(")")?;
        }
        Ok(())
    }

    /// A statement without others in it.
    fn simple(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        match cursor.one_of(&["DECLARE", "RETURN", "LEAVE", "ITERATE", "OPEN", "CLOSE", "FETCH"]) {
            Some("DECLARE") => self.declare(cursor),
            Some("RETURN") => self.condition(cursor),
            Some("OPEN") => {
                cursor.name()?;
                self.cursor_arguments(cursor)
            }
            Some("FETCH") => self.fetch(cursor),
            Some(_) => cursor.name().map(drop),
            None => {
                let rest = cursor.rest();
                if holds_statements(rest, self.flavour) {
                    *cursor = Cursor::new(self.holding(rest)?);
                    return Ok(());
                }
                let end = rest.iter().position(|token| token.kind == Kind::Semicolon).unwrap_or(rest.len());
                let (statement, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                *cursor = Cursor::new(after);
                self.dispatch(statement)
            }
        }
    }

    /// What follows `FETCH`: `[[NEXT] FROM] cursor INTO variable, …`, `GROUP NEXT ROW`
    fn fetch(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["GROUP", "NEXT", "ROW"]) {
            return Ok(());
        }
        if !cursor.words(&["NEXT", "FROM"]) {
            cursor.word("FROM");
        }
        cursor.name()?;
        cursor.need_word("INTO")?;
        loop {
            cursor.need_kind(&[Kind::Word, Kind::Quoted, Kind::UserVariable], "a variable")?;
            while cursor.symbol(".") {
                cursor.name()?;
            }
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// What follows `DECLARE`: a handler, a condition, a cursor, variables.
    fn declare(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.is_word_at(1, "HANDLER") && cursor.one_of(&["CONTINUE", "EXIT", "UNDO"]).is_some() {
            cursor.next();
            cursor.need_word("FOR")?;
            conditions(cursor)?;
            return self.body_statement(cursor);
        }
        let first = cursor.name()?;
        if cursor.words(&["CONDITION", "FOR"]) {
            return conditions(cursor);
        }
        if cursor.word("CURSOR") {
            if cursor.is_symbol_at(0, "(") {
                let mut variables = std::mem::take(&mut self.variables);
                self.parameters(cursor, &mut variables)?;
                self.variables = variables;
            }
            cursor.need_word("FOR")?;
            // A statement that was prepared, by its name.
            if cursor.peek_at(1).is_some_and(|next| next.kind == Kind::Semicolon) {
                return cursor.name().map(drop);
            }
            return self.counted(cursor, |walk, cursor| walk.query(cursor, false));
        }
        self.variables.push(first.to_ascii_lowercase());
        while cursor.symbol(",") {
            self.variables.push(cursor.name()?.to_ascii_lowercase());
        }
        self.variable_type(cursor)?;
        match cursor.word("DEFAULT") || cursor.symbol(":=") {
            true => self.condition(cursor),
            false => Ok(()),
        }
    }
}

/// `SQLSTATE [VALUE] 'x'`, `NOT FOUND`, numbers and names, with commas between.
fn conditions(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    loop {
        if cursor.word("SQLSTATE") {
            cursor.word("VALUE");
            cursor.any_string()?;
        } else if !cursor.words(&["NOT", "FOUND"]) {
            cursor.need_kind(&[Kind::Word, Kind::Quoted, Kind::Number], "a condition")?;
        }
        if !cursor.symbol(",") {
            return Ok(());
        }
    }
}

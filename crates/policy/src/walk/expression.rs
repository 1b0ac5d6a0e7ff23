//! Expressions: operands with operators between them. Which binds tighter does not matter for what is touched.

use super::Walk;
use crate::action::Action;
use crate::builtins::{SCOPES_GLOBAL, SCOPES_SESSION, is_introducer};
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::token::{Kind, Unread};
use crate::variables::is_harmless_variable;

/// What comes after an operator.
enum Follows {
    Operand,
    Nothing,
    /// There was no operator.
    End,
}

const OPERATORS: [&str; 22] = [
    "+", "-", "*", "/", "%", "=", "<=>", "<", ">", "<=", ">=", "<>", "!=", "&", "|", "^", "<<", ">>", "&&", "||", ":=",
    "->",
];

/// Reserved words that are values, or stand where one does: in `EXTRACT(day_hour FROM …)`.
const VALUES: [&str; 26] = [
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "NULL",
    "TRUE",
    "FALSE",
    "DEFAULT",
    "MAXVALUE",
    "DAY_HOUR",
    "DAY_MICROSECOND",
    "SECOND_MICROSECOND",
    "DAY_MINUTE",
    "DAY_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_MINUTE",
    "HOUR_SECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "YEAR_MONTH",
];

/// Values that are functions without parentheses: the first of [`VALUES`].
const VALUE_FUNCTIONS: usize = 10;

/// What an `INTERVAL` is counted in.
pub(super) const UNITS: [&str; 21] = [
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "SECOND_MICROSECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_SECOND",
    "HOUR_MINUTE",
    "DAY_MICROSECOND",
    "DAY_SECOND",
    "DAY_MINUTE",
    "DAY_HOUR",
    "YEAR_MONTH",
    "FRAC_SECOND",
];

impl Walk<'_, '_> {
    /// An expression, up to the first token that can be none of it.
    pub(crate) fn expression(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        // What is selected in an expression is not what a change through a view reaches.
        self.reader.expressions += 1;
        self.operand(cursor)?;
        self.operators(cursor)?;
        self.reader.expressions -= 1;
        Ok(())
    }

    /// Operators and their operands, after the first one.
    fn operators(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            match self.operator(cursor)? {
                Follows::Operand => self.operand(cursor)?,
                Follows::Nothing => {}
                Follows::End => return Ok(()),
            }
        }
    }

    /// An expression that ends where an `AND` follows.
    pub(super) fn expression_before_and(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.operand(cursor)?;
        while !cursor.is_word("AND") {
            match self.operator(cursor)? {
                Follows::Operand => self.operand(cursor)?,
                Follows::Nothing => {}
                Follows::End => return Ok(()),
            }
        }
        Ok(())
    }

    /// Expressions between commas.
    pub(crate) fn expressions(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.expression(cursor)?;
        while cursor.symbol(",") {
            self.expression(cursor)?;
        }
        Ok(())
    }

    fn operator(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Follows, Unread> {
        if let Some(token) = cursor.next_if(|token| token.kind == Kind::Symbol && is_operator(token.text)) {
            let quantified = token.text != ":=" && cursor.is_symbol_at(1, "(");
            if quantified && cursor.is_one_of_at(0, &["ANY", "SOME", "ALL"]) {
                cursor.next();
            }
            return Ok(Follows::Operand);
        }
        if cursor.peek().is_none_or(|token| token.kind != Kind::Word) {
            return Ok(Follows::End);
        }
        self.word_operator(cursor)
    }

    fn word_operator(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Follows, Unread> {
        // `MATCH (a) AGAINST ('x' IN BOOLEAN MODE)`
        if cursor.is_word("IN") && cursor.is_one_of_at(1, &["BOOLEAN", "NATURAL"]) {
            return Ok(Follows::End);
        }
        let plain = ["AND", "OR", "XOR", "DIV", "MOD", "LIKE", "RLIKE", "REGEXP", "BETWEEN", "IN"];
        if cursor.one_of(&plain).is_some() {
            return Ok(Follows::Operand);
        }
        if cursor.is_word("NOT") && cursor.is_one_of_at(1, &["LIKE", "RLIKE", "REGEXP", "BETWEEN", "IN"]) {
            cursor.next();
            cursor.next();
            return Ok(Follows::Operand);
        }
        if cursor.words(&["SOUNDS", "LIKE"]) || cursor.words(&["MEMBER", "OF"]) || cursor.words(&["AT", "TIME", "ZONE"])
        {
            cursor.word("INTERVAL");
            return Ok(Follows::Operand);
        }
        if cursor.word("COLLATE") {
            self.charset_name(cursor)?;
            return Ok(Follows::Nothing);
        }
        if cursor.word("IS") {
            cursor.word("NOT");
            let known = cursor.one_of(&["NULL", "TRUE", "FALSE", "UNKNOWN"]);
            return known.map(|_| Follows::Nothing).ok_or_else(|| cursor.unexpected("what it is"));
        }
        if cursor.is_word("ESCAPE") && self.is_escape(cursor) {
            cursor.next();
            return Ok(Follows::Operand);
        }
        Ok(Follows::End)
    }

    /// Whether an `ESCAPE` is the operator. It may be an alias, too, but no value follows an alias.
    fn is_escape(&self, cursor: &Cursor<'_, '_>) -> bool {
        let Some(next) = cursor.peek_at(1) else { return false };
        let before = |kind: Kind| cursor.peek_at(2).is_some_and(|after| after.kind == kind);
        match next.kind {
            Kind::Word if self.is_reserved(next) => false,
            Kind::Word => {
                cursor.is_symbol_at(2, "(") || before(Kind::Hex) || before(Kind::String) || before(Kind::DoubleString)
            }
            Kind::Symbol => next.text == "(",
            Kind::Quoted | Kind::Semicolon => false,
            Kind::String | Kind::DoubleString | Kind::Number | Kind::Hex => true,
            Kind::UserVariable | Kind::SystemVariable | Kind::Placeholder => true,
        }
    }

    pub(crate) fn operand(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let is_prefix = |token: &crate::token::Token<'_>| {
            ["-", "+", "!", "~"].iter().any(|symbol| token.is_symbol(symbol))
                || (token.is_word("NOT") || token.is_word("BINARY"))
        };
        while cursor.next_if(is_prefix).is_some() {}
        let Some(token) = cursor.peek() else { return Err(cursor.unexpected("a value")) };
        match token.kind {
            Kind::String | Kind::DoubleString => {
                strings(cursor);
                Ok(())
            }
            Kind::Number | Kind::Hex | Kind::Placeholder | Kind::UserVariable => {
                cursor.next();
                Ok(())
            }
            Kind::SystemVariable => self.system_variable(cursor),
            Kind::Symbol if cursor.symbol("(") => self.nested(|walk| walk.parenthesised(cursor)).map(drop),
            Kind::Quoted => self.name_or_call(cursor),
            Kind::Word => self.nested(|walk| walk.word(cursor)),
            Kind::Symbol | Kind::Semicolon => Err(cursor.unexpected("a value")),
        }
    }

    /// What follows `(`, with the `)`: a query, a row, an expression. Says whether it was a query.
    pub(super) fn parenthesised(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if self.starts_query(cursor) {
            self.query(cursor, false)?;
            cursor.need(")")?;
            return Ok(true);
        }
        if cursor.symbol("(") {
            let query = self.nested(|walk| walk.parenthesised(cursor))?;
            if query && cursor.symbol(")") {
                return Ok(true);
            }
            if query && self.continues_query(cursor) {
                self.rest_of_query(cursor)?;
                cursor.need(")")?;
                return Ok(true);
            }
            self.operators(cursor)?;
        } else {
            self.expression(cursor)?;
        }
        while cursor.symbol(",") {
            self.expression(cursor)?;
        }
        // `(VALUES (1), (2) UNION SELECT …)`: its rows were read as values.
        let query = self.continues_query(cursor);
        if query {
            self.rest_of_query(cursor)?;
        }
        cursor.need(")")?;
        Ok(query)
    }

    /// An operand that starts with a word.
    fn word(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let Some(token) = cursor.peek() else { return Err(cursor.unexpected("a value")) };
        let next = cursor.peek_at(1).map(|next| next.kind);
        let before_string = matches!(next, Some(Kind::String | Kind::DoubleString));
        if token.text.starts_with('_') && (before_string || next == Some(Kind::Hex)) {
            return introduced(cursor);
        }
        if before_string && cursor.one_of(&["DATE", "TIME", "TIMESTAMP"]).is_some() {
            cursor.next();
            return Ok(());
        }
        if cursor.word("CASE") {
            return self.case(cursor);
        }
        if cursor.is_word("EXISTS") && cursor.is_symbol_at(1, "(") {
            cursor.next();
            return self.subquery(cursor);
        }
        if cursor.word("INTERVAL") {
            self.expression(cursor)?;
            cursor.one_of(&UNITS);
            return Ok(());
        }
        if cursor.word("MATCH") {
            return self.match_against(cursor);
        }
        if cursor.is_one_of_at(0, &["NEXT", "PREVIOUS"]) && cursor.is_word_at(1, "VALUE") && cursor.is_word_at(2, "FOR")
        {
            let changes = cursor.is_word("NEXT");
            cursor.next();
            cursor.next();
            cursor.next();
            return self.sequence(cursor, changes);
        }
        self.name_or_call(cursor)
    }

    /// A column, a variable of a routine, or a call.
    fn name_or_call(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let Some(token) = cursor.next() else { return Err(cursor.unexpected("a value")) };
        if cursor.is_symbol_at(0, "(") {
            return self.call(token, cursor);
        }
        if self.is_reserved(token) {
            let Some(at) = VALUES.iter().position(|word| token.is_word(word)) else {
                return Err(Unread::new(format!("`{}` where a value is read", clip(token.text))));
            };
            if at < VALUE_FUNCTIONS {
                self.reader.called(token.text)?;
            }
            return Ok(());
        }
        let mut parts = vec![token];
        while cursor.symbol(".") {
            if cursor.symbol("*") {
                self.reader.columns.name(&parts, true);
                return Ok(());
            }
            parts.push(cursor.need_kind(&[Kind::Word, Kind::Quoted], "a name")?);
        }
        if !cursor.is_symbol_at(0, "(") {
            if parts.len() > 3 {
                return Err(Unread::new("a column's name with more than three parts"));
            }
            self.reader.columns.name(&parts, false);
            return Ok(());
        }
        match parts.as_slice() {
            [schema, name] => self.call_of_schema(schema, name, cursor),
            _ => Err(Unread::new("a function's name with more than two parts")),
        }
    }

    fn case(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.is_word("WHEN") {
            self.expression(cursor)?;
        }
        while cursor.word("WHEN") {
            self.expression(cursor)?;
            cursor.need_word("THEN")?;
            self.expression(cursor)?;
        }
        if cursor.word("ELSE") {
            self.expression(cursor)?;
        }
        cursor.need_word("END")
    }

    /// `(query)`
    pub(crate) fn subquery(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        match self.nested(|walk| walk.parenthesised(cursor))? {
            true => Ok(()),
            false => Err(Unread::new("an expression where a query is read")),
        }
    }

    /// `MATCH (a, b) AGAINST ('x' IN BOOLEAN MODE)`
    fn match_against(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let parenthesis = cursor.symbol("(");
        loop {
            self.read_column(cursor)?;
            if !cursor.symbol(",") {
                break;
            }
        }
        if parenthesis {
            cursor.need(")")?;
        }
        cursor.need_word("AGAINST")?;
        cursor.need("(")?;
        self.expression(cursor)?;
        if cursor.words(&["IN", "BOOLEAN", "MODE"]) {
            return cursor.need(")");
        }
        cursor.words(&["IN", "NATURAL", "LANGUAGE", "MODE"]);
        cursor.words(&["WITH", "QUERY", "EXPANSION"]);
        cursor.need(")")
    }

    /// `@@name`, `@@scope.name`, `@@cache.name` of a key cache, `@@scope.cache.name`: not everybody may read each.
    pub(crate) fn system_variable(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let Some(token) = cursor.next() else { return Err(cursor.unexpected("a variable")) };
        let first = token.text.trim_start_matches('@').to_ascii_lowercase();
        let scoped = SCOPES_GLOBAL.contains(&first.as_str()) || SCOPES_SESSION.contains(&first.as_str());
        // What every connection of Rust's `mysql_async` asks, to leave by it.
        let hidden = self.reader.lists_variables && first == "socket";
        let mut harmless = !scoped && is_harmless_variable(&first) || hidden;
        let mut parts = usize::from(scoped);
        while cursor.symbol(".") {
            let name = cursor.need_kind(&[Kind::Word, Kind::Quoted], "a variable's name")?;
            harmless = scoped && parts == 1 && is_harmless_variable(&name.text.to_ascii_lowercase());
            parts += 1;
        }
        if !harmless {
            self.reader.facts.request(Action::Show, Resource::Server);
        }
        Ok(())
    }

    /// A character set or collation: a word or a string.
    pub(crate) fn charset_name(&self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
        cursor.need_kind(&kinds, "a character set or collation").map(drop)
    }
}

/// Strings next to each other are one.
fn strings(cursor: &mut Cursor<'_, '_>) {
    while cursor.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString)).is_some() {}
}

/// `_utf8mb4'text'`, `_ucs2 x'0041'`
fn introduced(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    let Some(word) = cursor.next() else { return Err(cursor.unexpected("a character set")) };
    if !is_introducer(word.text) {
        return Err(Unread::new("an unknown character set before a string"));
    }
    cursor.next();
    strings(cursor);
    Ok(())
}

fn is_operator(symbol: &str) -> bool {
    OPERATORS.contains(&symbol) || symbol == "->>"
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

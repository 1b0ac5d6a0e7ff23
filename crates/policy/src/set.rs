//! `SET …`: variables known by name with values that cannot change how later text is read.
//!
//! A session variable that is not listed is not read, even with a literal: new versions add ones that change parsing.

use crate::action::Action;
use crate::builtins::{SCOPES_GLOBAL, SCOPES_SESSION, is_known_charset, is_text_charset};
use crate::cursor::{Cursor, name_of, plain_string};
use crate::facts::Resource;
use crate::reader::Reader;
use crate::reading::{Modes, is_utf8_charset};
use crate::token::{Kind, Token, Unread};
use crate::variables::{
    is_debug_variable, is_engine_variable, is_replication_variable, is_server_variable, is_session_variable,
    is_text_variable,
};
use crate::walk::is_engine;

impl Reader<'_> {
    /// What follows `SET`.
    pub(crate) fn set(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["PASSWORD", "ROLE"]).is_some() || cursor.words(&["DEFAULT", "ROLE"]) {
            refuse_subquery(cursor.rest())?;
            return self.whole(Action::Users);
        }
        if let Some(read) = self.set_transaction(cursor) {
            return read;
        }
        if cursor.is_word("STATEMENT") && cursor.peek_at(1).is_some_and(|next| next.kind == Kind::Word) {
            cursor.next();
            return self.set_for_statement(cursor);
        }
        self.facts.class = Action::SetSession;
        self.set_parts(cursor.rest())
    }

    /// Assignments. The scope of one counts for those after it that have none (manual, "SET Syntax for Variable Assignment").
    fn set_parts(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let mut global = false;
        for part in split_top_level(tokens) {
            let cursor = Cursor::new(part);
            if cursor.is_one_of_at(0, &["GLOBAL", "PERSIST", "PERSIST_ONLY"]) {
                global = true;
            } else if cursor.is_one_of_at(0, &["SESSION", "LOCAL"]) {
                global = false;
            }
            self.set_part(cursor, global)?;
        }
        Ok(())
    }

    /// What follows `SET STATEMENT`: `variable = value, … FOR statement`
    fn set_for_statement(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let tokens = cursor.rest();
        let at = end_of_assignments(tokens).ok_or_else(|| Unread::new("`SET STATEMENT` without `FOR`"))?;
        let (assignments, statement) = tokens.split_at_checked(at).unwrap_or((tokens, &[]));
        let before = self.reading_set;
        self.set_parts(assignments)?;
        let statement = statement.get(1..).unwrap_or_default();
        // The text was read before its modes are set (seen on MariaDB 10.11); what is read later would be read in them.
        if self.reading_set.changes(&self.context) && !is_of_rows(statement) {
            return Err(Unread::new("a statement that is read in a mode of its own"));
        }
        self.reading_set = before;
        self.dispatch(statement)
    }

    /// `SET [GLOBAL|SESSION|LOCAL] TRANSACTION …`
    fn set_transaction(&mut self, mut cursor: Cursor<'_, '_>) -> Option<Result<(), Unread>> {
        let scope = cursor.one_of(&["GLOBAL", "SESSION", "LOCAL"]);
        if !cursor.word("TRANSACTION") {
            return None;
        }
        let action = if scope == Some("GLOBAL") { Action::SetGlobal } else { Action::SetSession };
        Some(transaction_characteristics(&mut cursor).and_then(|()| cursor.end()).and_then(|()| self.whole(action)))
    }

    /// One assignment of the list.
    fn set_part(&mut self, mut cursor: Cursor<'_, '_>, global_before: bool) -> Result<(), Unread> {
        if cursor.word("NAMES") {
            return self.set_names(cursor);
        }
        if cursor.words(&["CHARACTER", "SET"]) || cursor.word("CHARSET") {
            match character_set(cursor)? {
                Some(name) => self.reading_set.utf8 = Some(is_utf8_charset(&name)),
                None => self.reading_set.unknown = true,
            }
            return self.session();
        }
        if cursor.next_if(|token| token.kind == Kind::UserVariable).is_some() {
            assign(&mut cursor)?;
            self.any_value(cursor)?;
            return self.session();
        }
        if self.is_own_variable(&cursor) {
            cursor.next();
            while cursor.symbol(".") {
                cursor.name()?;
            }
            assign(&mut cursor)?;
            return self.any_value(cursor);
        }
        let bare = cursor.peek().is_some_and(|token| token.kind == Kind::Word);
        let (global, name) = variable(&mut cursor)?;
        assign(&mut cursor)?;
        if !global && global_before && bare && matches!(name.as_str(), "sql_mode" | "character_set_client") {
            // Whichever the server takes it for.
            self.reading_set.unknown = true;
        }
        if global || global_before && bare || is_replication_variable(&name) || is_server_variable(&name) {
            self.facts.class = Action::SetGlobal;
            self.any_value(cursor)?;
            return self.whole(Action::SetGlobal);
        }
        self.session_variable(&name, cursor)?;
        self.session()
    }

    /// Whether a variable or row of the routine is set.
    fn is_own_variable(&self, cursor: &Cursor<'_, '_>) -> bool {
        let name = cursor.peek().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
        name.and_then(|token| name_of(token).ok())
            .is_some_and(|name| self.in_routine && self.variables.contains(&name.to_ascii_lowercase()))
    }

    fn session_variable(&mut self, name: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        match name {
            "sql_mode" => self.sql_mode(cursor),
            // A number, or what only the server knows.
            "character_set_client" if !is_spelt(&cursor) => {
                self.reading_set.unknown = true;
                self.any_value(cursor)
            }
            "character_set_results" if !is_spelt(&cursor) => self.any_value(cursor),
            "character_set_client" => {
                match character_set(cursor)? {
                    Some(name) => self.reading_set.utf8 = Some(is_utf8_charset(&name)),
                    None => self.reading_set.unknown = true,
                }
                Ok(())
            }
            _ if is_text_variable(name) => check_text(name, cursor),
            _ if is_engine_variable(name) => {
                // What the server was configured with.
                if cursor.peek().is_some_and(|token| token.kind == Kind::SystemVariable) {
                    let (global, name) = variable(&mut cursor)?;
                    if global && is_engine_variable(&name) {
                        return cursor.end();
                    }
                }
                let engine = word_or_string(&mut cursor)?;
                if !is_engine(&engine) && !matches!(engine.as_str(), "default" | "null") {
                    return Err(Unread::new("an engine that may reach beyond the server"));
                }
                cursor.end()
            }
            _ if is_debug_variable(name) => {
                self.facts.request(Action::Debug, Resource::Server);
                self.any_value(cursor)
            }
            _ if is_session_variable(name) => self.any_value(cursor),
            _ => Err(Unread::new(format!("setting the variable `{}` is not read", clip(name)))),
        }
    }

    /// Modes that are spelt out, or a value that only the server knows: it is asked afterwards.
    fn sql_mode(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if is_spelt(&cursor) && !cursor.is_word("DEFAULT") {
            self.reading_set.modes = Some(known_modes(&word_or_string(&mut cursor.clone())?)?);
            return Ok(());
        }
        self.reading_set.unknown = true;
        self.any_value(cursor)
    }

    /// `NAMES charset [COLLATE collation]`
    fn set_names(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("DEFAULT") {
            self.reading_set.unknown = true;
            if cursor.word("COLLATE") {
                word_or_string(&mut cursor)?;
            }
            cursor.end()?;
            return self.session();
        }
        let name = charset(&mut cursor)?;
        self.reading_set.utf8 = Some(is_utf8_charset(&name));
        if cursor.word("COLLATE") {
            let collation = word_or_string(&mut cursor)?;
            let own = collation == name || collation.starts_with(&format!("{name}_"));
            if !own && collation != "default" && collation != "binary" && !collation.starts_with("uca") {
                return Err(Unread::new(format!("a collation of another character set than `{name}`")));
            }
        }
        cursor.end()?;
        self.session()
    }

    /// A value that decides nothing about reading: whatever it does is asked for.
    fn any_value(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let mut plain = cursor;
        // What may be seen of a variable is what a SELECT of it may see.
        let of_variable = cursor.rest().iter().any(|token| token.kind == Kind::SystemVariable);
        if !of_variable && simple_value(&mut plain).is_ok() && plain.is_at_end() {
            return Ok(());
        }
        self.expression_tokens(cursor.rest())
    }

    fn session(&mut self) -> Result<(), Unread> {
        self.facts.request(Action::SetSession, Resource::Server);
        Ok(())
    }
}

fn transaction_characteristics(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    loop {
        let known = [
            &["READ", "ONLY"][..],
            &["READ", "WRITE"],
            &["ISOLATION", "LEVEL", "READ", "COMMITTED"],
            &["ISOLATION", "LEVEL", "READ", "UNCOMMITTED"],
            &["ISOLATION", "LEVEL", "REPEATABLE", "READ"],
            &["ISOLATION", "LEVEL", "SERIALIZABLE"],
        ];
        if !known.iter().any(|words| cursor.words(words)) {
            return Err(cursor.unexpected("a transaction characteristic"));
        }
        if !cursor.symbol(",") {
            return Ok(());
        }
    }
}

/// The variable, in lower case, and whether it is set for everybody: `[scope] name`, `@@name`, `@@scope.name`.
fn variable(cursor: &mut Cursor<'_, '_>) -> Result<(bool, String), Unread> {
    if let Some(token) = cursor.next_if(|token| token.kind == Kind::SystemVariable) {
        let first = token.text.trim_start_matches('@').to_ascii_lowercase();
        if !cursor.symbol(".") {
            return Ok((false, first));
        }
        let global = match first.as_str() {
            scope if SCOPES_GLOBAL.contains(&scope) => true,
            scope if SCOPES_SESSION.contains(&scope) => false,
            // A key cache of that name; all share those.
            _ => {
                cursor.name()?;
                return Ok((true, first));
            }
        };
        let name = cursor.name()?.to_ascii_lowercase();
        if cursor.symbol(".") {
            cursor.name()?;
            return Ok((true, name));
        }
        return Ok((global, name));
    }
    let global = cursor.one_of(&["GLOBAL", "PERSIST", "PERSIST_ONLY"]).is_some();
    if !global {
        cursor.one_of(&["SESSION", "LOCAL"]);
    }
    let name = cursor.name()?.to_ascii_lowercase();
    if cursor.symbol(".") {
        cursor.name()?;
        return Ok((true, name));
    }
    Ok((global, name))
}

fn assign(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    match cursor.symbol("=") || cursor.symbol(":=") {
        true => Ok(()),
        false => Err(cursor.unexpected("`=`")),
    }
}

/// Whether the value is one word or string.
fn is_spelt(cursor: &Cursor<'_, '_>) -> bool {
    let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
    matches!(cursor.rest(), [only] if kinds.contains(&only.kind))
}

fn check_text(name: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
    let nullable = name == "character_set_results";
    if !(takes_elsewhere(&mut cursor) || nullable && cursor.word("NULL")) {
        text_value(&mut cursor)?;
        return cursor.end();
    }
    Ok(())
}

/// Whether the statement holds no text that is read when it runs.
fn is_of_rows(statement: &[Token<'_>]) -> bool {
    let verbs = ["SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE"];
    statement.first().is_some_and(|first| verbs.iter().any(|verb| first.is_word(verb)))
}

/// Where the `FOR` of a `SET STATEMENT` stands.
fn end_of_assignments(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().position(|token| {
        depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        depth == 0 && token.is_word("FOR")
    })
}

/// A literal, a word, or another variable.
fn simple_value(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    if cursor.symbol("-") || cursor.symbol("+") {
        let number = cursor.next_if(|token| token.kind == Kind::Number);
        return number.map(drop).ok_or_else(|| cursor.unexpected("a number"));
    }
    let Some(token) = cursor.next() else { return Err(cursor.unexpected("a value")) };
    match token.kind {
        Kind::SystemVariable if cursor.symbol(".") => cursor.name().map(drop),
        Kind::Symbol | Kind::Semicolon => Err(Unread::new("a value that is not plain")),
        Kind::Word | Kind::Quoted | Kind::String | Kind::DoubleString | Kind::Number | Kind::Hex => Ok(()),
        Kind::UserVariable | Kind::SystemVariable | Kind::Placeholder => Ok(()),
    }
}

/// A value that names a character set or collation by its literal.
fn text_value(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    let value = word_or_string(cursor)?;
    let charset = value.split('_').next().unwrap_or_default();
    match is_text_charset(charset) {
        true => Ok(()),
        false => Err(Unread::new(format!("the character set `{charset}` changes how text is read"))),
    }
}

/// A character set by its name; `None` for one that only the server knows (`@saved`, `DEFAULT`).
fn character_set(mut cursor: Cursor<'_, '_>) -> Result<Option<String>, Unread> {
    if takes_elsewhere(&mut cursor) {
        return Ok(None);
    }
    let name = charset(&mut cursor)?;
    cursor.end()?;
    Ok(Some(name))
}

/// Whether the value is all that is left, and none that the text spells: what it is, the server is asked afterwards.
fn takes_elsewhere(cursor: &mut Cursor<'_, '_>) -> bool {
    let mut rest = *cursor;
    let is_of_text = |name: &str| matches!(name, "sql_mode" | "character_set_client") || is_text_variable(name);
    let taken = rest.word("DEFAULT")
        || rest.next_if(|token| token.kind == Kind::UserVariable).is_some()
        || variable(&mut rest).is_ok_and(|(_, name)| is_of_text(&name));
    if taken && rest.is_at_end() {
        *cursor = rest;
        return true;
    }
    false
}

fn known_modes(list: &str) -> Result<Modes, Unread> {
    Modes::parse(list).map_err(|mode| Unread::new(format!("the sql_mode `{}` may change how text is read", clip(mode))))
}

fn charset(cursor: &mut Cursor<'_, '_>) -> Result<String, Unread> {
    let name = word_or_string(cursor)?;
    match is_known_charset(&name) {
        true => Ok(name),
        false => Err(Unread::new(format!("the character set `{}` changes how text is read", clip(&name)))),
    }
}

/// In lower case.
fn word_or_string(cursor: &mut Cursor<'_, '_>) -> Result<String, Unread> {
    let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString];
    let token = cursor.need_kind(&kinds, "a word or a string")?;
    let text = match token.kind {
        Kind::Word => Some(token.text),
        Kind::Quoted => Some(token.text.trim_matches('`')),
        _ => plain_string(token),
    };
    Ok(text.ok_or_else(|| Unread::new("a string with escapes where a word is read"))?.to_ascii_lowercase())
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

fn refuse_subquery(tokens: &[Token<'_>]) -> Result<(), Unread> {
    match tokens.iter().any(|token| token.is_word("SELECT")) {
        true => Err(Unread::new("a subquery in `SET`")),
        false => Ok(()),
    }
}

/// The parts between the commas that are in no parenthesis.
fn split_top_level<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_i32;
    tokens
        .split(|token| {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
            depth == 0 && token.is_symbol(",")
        })
        .collect()
}

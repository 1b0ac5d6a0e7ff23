//! `SET …`: variables known by name with values that cannot change how later text is read.
//!
//! A session variable that is not listed is not read, even with a literal: new versions add ones that change parsing.

use crate::action::Action;
use crate::builtins::{SCOPES_GLOBAL, SCOPES_SESSION, is_known_charset, is_session_variable, is_text_variable};
use crate::cursor::{Cursor, plain_string};
use crate::reader::Reader;
use crate::reading::{Modes, is_utf8_charset};
use crate::token::{Kind, Token, Unread};

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
        for word in ["STATEMENT", "RESOURCE"] {
            if cursor.word(word) && cursor.peek().is_some_and(|token| token.kind == Kind::Word) {
                return Err(Unread::new(format!("`SET {word}` is not read")));
            }
        }
        self.facts.class = Action::SetSession;
        for part in split_top_level(cursor.rest()) {
            self.set_part(Cursor::new(part))?;
        }
        Ok(())
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
    fn set_part(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("NAMES") {
            return self.set_names(cursor);
        }
        if cursor.words(&["CHARACTER", "SET"]) || cursor.word("CHARSET") {
            let name = charset(&mut cursor)?;
            self.reading_set.utf8 = Some(is_utf8_charset(&name));
            cursor.end()?;
            return self.session();
        }
        if cursor.next_if(|token| token.kind == Kind::UserVariable).is_some() {
            assign(&mut cursor)?;
            self.any_value(cursor)?;
            return self.session();
        }
        let (global, name) = variable(&mut cursor)?;
        assign(&mut cursor)?;
        if global || name == "sql_log_bin" {
            self.facts.class = Action::SetGlobal;
            self.any_value(cursor)?;
            return self.whole(Action::SetGlobal);
        }
        match name.as_str() {
            "sql_mode" => match sql_mode(cursor)? {
                Some(modes) => self.reading_set.modes = Some(modes),
                None => self.reading_set.unknown = true,
            },
            "character_set_client" => match character_set(cursor)? {
                Some(name) => self.reading_set.utf8 = Some(is_utf8_charset(&name)),
                None => self.reading_set.unknown = true,
            },
            _ => check_value(&name, cursor)?,
        }
        self.session()
    }

    /// `NAMES charset [COLLATE collation]`
    fn set_names(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let name = charset(&mut cursor)?;
        self.reading_set.utf8 = Some(is_utf8_charset(&name));
        if cursor.word("COLLATE") {
            let collation = word_or_string(&mut cursor)?;
            if collation != name && !collation.starts_with(&format!("{name}_")) {
                return Err(Unread::new(format!("a collation of another character set than `{name}`")));
            }
        }
        cursor.end()?;
        self.session()
    }

    /// A value that decides nothing about reading: whatever it does is asked for.
    fn any_value(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let mut plain = cursor;
        if simple_value(&mut plain).is_ok() && plain.is_at_end() {
            return Ok(());
        }
        self.expression_tokens(cursor.rest())
    }

    fn session(&mut self) -> Result<(), Unread> {
        self.facts.request(Action::SetSession, crate::facts::Resource::Server);
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
            _ => return Err(Unread::new(format!("`@@{first}.` is not a scope"))),
        };
        return Ok((global, cursor.name()?.to_ascii_lowercase()));
    }
    let global = cursor.one_of(&["GLOBAL", "PERSIST", "PERSIST_ONLY"]).is_some();
    if !global {
        cursor.one_of(&["SESSION", "LOCAL"]);
    }
    Ok((global, cursor.name()?.to_ascii_lowercase()))
}

fn assign(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    match cursor.symbol("=") || cursor.symbol(":=") {
        true => Ok(()),
        false => Err(cursor.unexpected("`=`")),
    }
}

fn check_value(name: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
    if is_text_variable(name) {
        let nullable = name == "character_set_results";
        // A saved one decides nothing about reading, as little as one by name.
        if !(takes_elsewhere(&mut cursor) || nullable && cursor.word("NULL")) {
            text_value(&mut cursor)?;
        }
        return cursor.end();
    }
    if !is_session_variable(name) {
        return Err(Unread::new(format!("setting the variable `{name}` is not read")));
    }
    simple_value(&mut cursor)?;
    cursor.end()
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
    match is_known_charset(charset) {
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

/// Literal modes; `CONCAT(@@sql_mode, ',MODE')`, as connectors write it; the same in a FROM-less subquery; a value that
/// only the server knows. `None` where the text does not say what comes of it.
fn sql_mode(mut cursor: Cursor<'_, '_>) -> Result<Option<Modes>, Unread> {
    if takes_elsewhere(&mut cursor) {
        return Ok(None);
    }
    let mut inner = cursor;
    let subquery = inner.symbol("(") && inner.word("SELECT");
    let mut cursor = if subquery { inner } else { cursor };
    let set = match cursor.word("CONCAT") {
        true => {
            concatenated_modes(&mut cursor)?;
            None
        }
        false => Some(known_modes(&word_or_string(&mut cursor)?)?),
    };
    if subquery && !cursor.symbol(")") {
        return Err(cursor.unexpected("`)`"));
    }
    cursor.end()?;
    Ok(set)
}

/// What comes of it, the server knows.
fn concatenated_modes(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    if !cursor.symbol("(") {
        return Err(cursor.unexpected("`(`"));
    }
    loop {
        if cursor.peek().is_some_and(|token| token.kind == Kind::SystemVariable) {
            let (global, name) = variable(cursor)?;
            if global || name != "sql_mode" {
                return Err(Unread::new("a `sql_mode` made from another variable"));
            }
        } else {
            known_modes(&word_or_string(cursor)?)?;
        }
        if !cursor.symbol(",") {
            break;
        }
    }
    match cursor.symbol(")") {
        true => Ok(()),
        false => Err(cursor.unexpected("`)`")),
    }
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
    let wanted = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::String | Kind::DoubleString);
    let token = cursor.next_if(wanted).ok_or_else(|| cursor.unexpected("a word or a string"))?;
    let text = match token.kind {
        Kind::Word => Some(token.text),
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

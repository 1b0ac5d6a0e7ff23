//! Statements inside strings: PREPARE, EXECUTE, EXECUTE IMMEDIATE. What a string would do is asked for where it is handed over.

use crate::action::Action;
use crate::analysis::tokens_of;
use crate::builtins::is_known_charset;
use crate::context::Context;
use crate::cursor::{Cursor, name_of};
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};
use crate::walk::Walk;

/// The name of a prepared statement; servers compare these without case.
fn prepared_name(cursor: &mut Cursor<'_, '_>) -> Result<String, Unread> {
    let token = cursor.need_kind(&[Kind::Word, Kind::Quoted], "a name")?;
    name_of(token).map(|name| name.to_ascii_lowercase())
}

impl Reader<'_> {
    /// What follows `PREPARE`: `name FROM 'statement'`. A statement that is not spelt out is not read.
    pub(crate) fn prepare(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.whole(Action::Prepare)?;
        let name = prepared_name(&mut cursor)?;
        cursor.need_word("FROM")?;
        self.text(&mut cursor)?;
        self.facts.prepares.insert(name);
        cursor.end()
    }

    /// What follows `EXECUTE`: `name [USING …]`, or `IMMEDIATE 'statement' [USING …]`. What a name stands for was asked for
    /// when it was prepared.
    pub(crate) fn execute(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        // It may hold a `SET`.
        self.reading_set.unknown = true;
        self.whole(Action::Prepare)?;
        let immediate = cursor.is_word("IMMEDIATE") && cursor.peek_at(1).is_some_and(|next| !next.is_word("USING"));
        let name = prepared_name(&mut cursor)?;
        match immediate {
            true => self.text(&mut cursor)?,
            false => {
                self.facts.executes.insert(name);
                // Whether what was asked for then still is all that it does.
                self.facts.asks_catalogue = true;
            }
        }
        match cursor.word("USING") {
            true => self.walked(cursor, |walk, cursor| walk.parameters(cursor)),
            false => cursor.end(),
        }
    }

    /// What follows `DEALLOCATE` or `DROP`: `PREPARE name`
    pub(crate) fn deallocate(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need_word("PREPARE")?;
        cursor.need_kind(&[Kind::Word, Kind::Quoted], "a name")?;
        cursor.end()?;
        self.whole(Action::Prepare)
    }

    /// A string literal that holds a statement: everything that it would ask for is asked for.
    fn text(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let text = self.literal(cursor)?;
        let context = self.context;
        let names = self.names.default_schema.map(str::to_owned);
        let context = Context { default_schema: names.as_deref(), ..context };
        let tokens = tokens_of(&text, &context)?;
        let tokens = match tokens.split_last() {
            Some((last, before)) if last.kind == Kind::Semicolon => before,
            _ => &tokens,
        };
        // A text may go through another character set on its way, which need not have all letters of a name.
        if !tokens.iter().all(|token| token.text.is_ascii() || !matches!(token.kind, Kind::Word | Kind::Quoted)) {
            return Err(Unread::new("a name with characters outside ASCII in a text to prepare"));
        }
        if tokens.is_empty() {
            return Err(Unread::new("the text to prepare holds no statement"));
        }
        let mut left = 0;
        self.prepared(context, tokens, &mut left)?;
        match left {
            0 => Ok(()),
            _ => Err(Unread::new("the text to prepare holds several statements")),
        }
    }

    fn prepared(&mut self, context: Context<'_>, tokens: &[Token<'_>], left: &mut usize) -> Result<(), Unread> {
        if tokens.first().is_some_and(|first| ["PREPARE", "EXECUTE"].iter().any(|word| first.is_word(word))) {
            // The servers refuse these in a prepared statement.
            return Err(Unread::new("a prepared statement in a prepared statement"));
        }
        let blocks = self.blocks;
        self.nested(context, |inner| {
            inner.blocks = blocks + 1;
            *left = inner.first(tokens).len();
        })
        .map(drop)
    }

    /// One or more strings next to each other, as the server reads them, or a `CONCAT` of such.
    fn literal(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<String, Unread> {
        let mut text = String::new();
        let concatenated = cursor.is_word("CONCAT") && cursor.is_symbol_at(1, "(");
        if concatenated {
            cursor.next();
            cursor.next();
        }
        let is_text = |token: &Token<'_>| matches!(token.kind, Kind::String | Kind::DoubleString);
        // In these, ASCII is ASCII; names are no more than that.
        let is_plain = |token: &Token<'_>| token.text.strip_prefix('_').is_some_and(is_known_charset);
        loop {
            if cursor.peek_at(1).is_some_and(is_text) {
                cursor.next_if(|token| token.kind == Kind::Word && is_plain(token));
            }
            if !cursor.peek().is_some_and(is_text) {
                return Err(Unread::new("a statement that is not spelt out as a string"));
            }
            while let Some(token) = cursor.next_if(is_text) {
                text.push_str(&spelt(token, !self.context.no_backslash_escapes)?);
            }
            if !(concatenated && cursor.symbol(",")) {
                break;
            }
        }
        if concatenated {
            cursor.need(")")?;
        }
        Ok(text)
    }
}

impl Walk<'_, '_> {
    /// Values for placeholders; MariaDB takes DEFAULT and IGNORE, too.
    fn parameters(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            if !cursor.word("IGNORE") {
                self.expression(cursor)?;
            }
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }
}

/// What a string literal spells (`get_text` in sql_lex.cc).
fn spelt(token: &Token<'_>, escapes: bool) -> Result<String, Unread> {
    let quote = if token.kind == Kind::String { '\'' } else { '"' };
    let inside = token.text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    let mut characters = inside.ok_or_else(|| Unread::new("a string with a prefix"))?.chars();
    let mut text = String::with_capacity(token.text.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' if escapes => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('b') => text.push('\u{8}'),
                Some('0') => text.push('\0'),
                Some('Z') => text.push('\u{1a}'),
                Some(kept @ ('%' | '_')) => text.extend(['\\', kept]),
                Some(other) => text.push(other),
                None => return Err(Unread::new("a string that ends in an escape")),
            },
            character => {
                text.push(character);
                if character == quote {
                    characters.next();
                }
            }
        }
    }
    Ok(text)
}

//! From our tokens to the parser's tree. The parser never sees the text: its own tokenizer reads some of it otherwise
//! than the servers do. Forms that the servers take and the parser does not are rewritten to ones with the same tables.

use sqlparser::ast::Statement;
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token as Parsed;

use crate::action::Action;
use crate::builtins::is_introducer;
use crate::cursor::{Cursor, name_text};
use crate::token::{Kind, Token, Unread};
use crate::walk::count;

/// A statement made ready for the parser.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    tokens: Vec<Token<'a>>,
    /// `LOCK IN SHARE MODE` was at the end.
    pub(crate) locks_rows: bool,
    /// `INTO OUTFILE` or `INTO DUMPFILE` was in it.
    pub(crate) file: Option<Action>,
    /// How many `SELECT`s and `TABLE`s a walk of the tree must meet.
    pub(crate) selects: usize,
    pub(crate) tables: usize,
}

const STAR: Token<'static> = Token { kind: Kind::Symbol, text: "*" };
const SELECT: Token<'static> = Token { kind: Kind::Word, text: "SELECT" };
const FROM: Token<'static> = Token { kind: Kind::Word, text: "FROM" };
const CROSS: Token<'static> = Token { kind: Kind::Word, text: "CROSS" };
const JOIN: Token<'static> = Token { kind: Kind::Word, text: "JOIN" };

impl<'a> Prepared<'a> {
    /// Rewrites what the parser does not take.
    ///
    /// # Errors
    /// When an `INTO OUTFILE` has a form that is not known.
    pub(crate) fn new(tokens: &[Token<'a>]) -> Result<Self, Unread> {
        let mut prepared = Self { tokens: tokens.to_vec(), locks_rows: false, file: None, selects: 0, tables: 0 };
        let is = |word| tokens.first().is_some_and(|token| token.is_word(word));
        if is("UPDATE") {
            prepared.rewrite_update();
        } else if is("DELETE") {
            prepared.drop_modifiers(&["LOW_PRIORITY", "QUICK", "IGNORE"]);
        } else if is("TABLE") {
            prepared.tokens.splice(..1, [SELECT, STAR, FROM]);
        }
        if !is("INSERT") && !is("REPLACE") && !is("UPDATE") && !is("DELETE") {
            prepared.take_lock();
            prepared.take_into()?;
            prepared.take_lock();
        }
        prepared.selects = count(&prepared.tokens, "SELECT");
        prepared.tables = count(&prepared.tokens, "TABLE");
        Ok(prepared)
    }

    /// The tree of the one statement.
    ///
    /// # Errors
    /// When the parser does not take it, or takes it for other than one statement.
    pub(crate) fn statement(&self) -> Result<Statement, Unread> {
        let dialect = MySqlDialect {};
        let mut parser = Parser::new(&dialect).with_tokens(convert(&self.tokens)?);
        let mut statements = parser.parse_statements().map_err(|error| syntax(&error))?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Ok(statement),
            _ => Err(Unread::new("the parser sees another number of statements than there are")),
        }
    }

    fn rewrite_update(&mut self) {
        self.drop_modifiers(&["LOW_PRIORITY", "IGNORE"]);
        let mut depth = 0_i32;
        let mut tables = true;
        let mut rewritten = Vec::with_capacity(self.tokens.len() + 8);
        for token in &self.tokens {
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
            tables &= !token.is_word("SET");
            match tables && depth == 0 && token.is_symbol(",") {
                true => rewritten.extend([CROSS, JOIN]),
                false => rewritten.push(*token),
            }
        }
        self.tokens = rewritten;
    }

    /// Drops the modifiers right after the verb.
    fn drop_modifiers(&mut self, modifiers: &[&str]) {
        let is_modifier = |token: &&Token<'_>| modifiers.iter().any(|word| token.is_word(word));
        let number = self.tokens.iter().skip(1).take_while(is_modifier).count();
        self.tokens.drain(1..=number);
    }

    /// `LOCK IN SHARE MODE` at the end.
    fn take_lock(&mut self) {
        let words = ["LOCK", "IN", "SHARE", "MODE"];
        let Some(start) = self.tokens.len().checked_sub(words.len()) else { return };
        let end = self.tokens.get(start..).unwrap_or_default();
        if start > 0 && end.iter().zip(words).all(|(token, word)| token.is_word(word)) {
            self.tokens.truncate(start);
            self.locks_rows = true;
        }
    }

    /// `INTO @a, …`, `INTO OUTFILE 'file' …`, `INTO DUMPFILE 'file'`: whatever is written there, the tables read are in
    /// the rest. Other targets stay, and are not read.
    fn take_into(&mut self) -> Result<(), Unread> {
        let mut rest = Vec::with_capacity(self.tokens.len());
        let mut cursor = Cursor::new(&self.tokens);
        while let Some(token) = cursor.peek() {
            let mut into = cursor;
            let is_clause = rest.last().is_none_or(|last: &Token<'_>| !last.is_symbol("."));
            if is_clause
                && into.word("INTO")
                && let Some(file) = into_target(&mut into)?
            {
                self.file = self.file.or(file);
                cursor = into;
                continue;
            }
            rest.push(*token);
            cursor.next();
        }
        self.tokens = rest;
        Ok(())
    }
}

/// `None` when it is no target that is read here; the inner `None` for variables.
fn into_target(cursor: &mut Cursor<'_, '_>) -> Result<Option<Option<Action>>, Unread> {
    if cursor.word("OUTFILE") {
        take_text(cursor)?;
        export_options(cursor)?;
        return Ok(Some(Some(Action::Outfile)));
    }
    if cursor.word("DUMPFILE") {
        take_text(cursor)?;
        return Ok(Some(Some(Action::Dumpfile)));
    }
    if cursor.next_if(|token| token.kind == Kind::UserVariable).is_none() {
        return Ok(None);
    }
    loop {
        let mut more = *cursor;
        if !(more.symbol(",") && more.next_if(|token| token.kind == Kind::UserVariable).is_some()) {
            return Ok(Some(None));
        }
        *cursor = more;
    }
}

fn export_options(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    if cursor.words(&["CHARACTER", "SET"]) || cursor.word("CHARSET") {
        cursor.name()?;
    }
    if cursor.one_of(&["FIELDS", "COLUMNS"]).is_some() {
        loop {
            cursor.word("OPTIONALLY");
            if cursor.one_of(&["TERMINATED", "ENCLOSED", "ESCAPED"]).is_none() {
                break;
            }
            by_text(cursor)?;
        }
    }
    if cursor.word("LINES") {
        while cursor.one_of(&["STARTING", "TERMINATED"]).is_some() {
            by_text(cursor)?;
        }
    }
    Ok(())
}

fn by_text(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    if !cursor.word("BY") {
        return Err(cursor.unexpected("`BY`"));
    }
    take_text(cursor)
}

fn take_text(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    let text = |token: &Token<'_>| matches!(token.kind, Kind::String | Kind::DoubleString | Kind::Hex);
    cursor.next_if(text).map(drop).ok_or_else(|| cursor.unexpected("a string"))
}

/// Says that the parser gave up; its own message would quote the statement.
fn syntax(error: &ParserError) -> Unread {
    match error {
        ParserError::RecursionLimitExceeded => Unread::new("the statement is nested too deeply"),
        ParserError::ParserError(_) | ParserError::TokenizerError(_) => {
            Unread::new("the statement's syntax is not read by this version")
        }
    }
}

fn convert(tokens: &[Token<'_>]) -> Result<Vec<Parsed>, Unread> {
    let mut parsed = Vec::with_capacity(tokens.len() + 1);
    let mut after_period = false;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map(|next| next.kind);
        let before_text = matches!(next, Some(Kind::String | Kind::DoubleString | Kind::Hex));
        if token.kind == Kind::Word && token.text.starts_with('_') && before_text {
            match is_introducer(token.text) {
                true => continue,
                false => return Err(Unread::new("an unknown character set before a string")),
            }
        }
        parsed.push(match token.kind {
            // The parser clones the left side at every `DIV`.
            Kind::Word if !after_period && token.is_word("DIV") => Parsed::Div,
            Kind::Word | Kind::UserVariable | Kind::SystemVariable => Parsed::make_word(word_text(token), None),
            Kind::Quoted => Parsed::make_word(&name_text(token), Some('`')),
            // What strings hold decides nothing: the tree stays small and no value can reach a message.
            Kind::String => Parsed::SingleQuotedString(String::new()),
            Kind::DoubleString => Parsed::DoubleQuotedString(String::new()),
            Kind::Hex => Parsed::HexStringLiteral(String::new()),
            Kind::Number => Parsed::Number(token.text.to_owned(), false),
            Kind::Placeholder => Parsed::Placeholder("?".to_owned()),
            Kind::Semicolon => Parsed::SemiColon,
            Kind::Symbol => symbol(token.text)?,
        });
        after_period = token.is_symbol(".");
    }
    Ok(parsed)
}

/// Quoted variables lose their name: no rule looks at it, and it could be taken for something else.
fn word_text<'a>(token: &Token<'a>) -> &'a str {
    match token.kind == Kind::UserVariable && token.text.contains(['\'', '`']) {
        true => "@quoted",
        false => token.text,
    }
}

fn symbol(text: &str) -> Result<Parsed, Unread> {
    Ok(match text {
        "," => Parsed::Comma,
        "." => Parsed::Period,
        "(" => Parsed::LParen,
        ")" => Parsed::RParen,
        "+" => Parsed::Plus,
        "-" => Parsed::Minus,
        "*" => Parsed::Mul,
        "/" => Parsed::Div,
        "%" => Parsed::Mod,
        "=" => Parsed::Eq,
        "<" => Parsed::Lt,
        ">" => Parsed::Gt,
        "<=" => Parsed::LtEq,
        ">=" => Parsed::GtEq,
        "<>" | "!=" => Parsed::Neq,
        "<=>" => Parsed::Spaceship,
        "!" => Parsed::ExclamationMark,
        "~" => Parsed::Tilde,
        "^" => Parsed::Caret,
        "&" => Parsed::Ampersand,
        "|" => Parsed::Pipe,
        "&&" => Parsed::Overlap,
        "||" => Parsed::StringConcat,
        "<<" => Parsed::ShiftLeft,
        ">>" => Parsed::ShiftRight,
        ":=" => Parsed::Assignment,
        "->" => Parsed::Arrow,
        "->>" => Parsed::LongArrow,
        _ => return Err(Unread::new("an unknown operator")),
    })
}

//! A strict lexer for MySQL and MariaDB text: it reads a text as one server does, of a family and version, in a session's
//! modes and character set. What is not certain is refused (control characters, names that a server may read as quotes,
//! nested executable comments).
//!
//! It follows `sql/sql_lex.cc` of both servers. The parser is given these tokens, not the text, so there is no second
//! lexer to disagree with.

mod canonical;
mod comment;
mod name;
mod number;

use std::borrow::Cow;

use crate::context::Flavour;
use crate::limits::PARENTHESES_DEPTH_MAX;
use crate::reading::Reading;
use crate::token::{Kind, Token, Unread};

/// What stands for a byte outside ASCII where the text is not UTF-8 ([`crate::analyse`]): data in quotes and comments,
/// refused elsewhere like the control character that it is.
pub(crate) const MASK: u8 = 0x7f;

/// Yields the tokens of a text; comments and white space are dropped.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Which of the open parentheses are braces (`{fn …}`), by bits; the innermost is the lowest.
    braces: u64,
    reading: Reading,
    /// The token before, where it is a word or a quoted name.
    last_name: Option<Token<'a>>,
    /// Where the last word ended: a period right there is followed by a name, digits or not.
    word_end: usize,
    /// Where a period before a name ended: what is there is no keyword, string or number.
    name_at: usize,
    /// Inside an executable comment.
    executable: bool,
    /// What the text is written anew without, in order.
    edits: Vec<Edit>,
    /// Whether something was read that other servers, or this one in another mode, read otherwise.
    rewritten: bool,
}

/// Bytes of the text, and what stands there in the canonical text.
#[derive(Debug)]
struct Edit {
    from: usize,
    to: usize,
    with: Cow<'static, str>,
}

/// Operators of more than one character, longest first.
const LONG_SYMBOLS: [&str; 13] = ["->>", "<=>", "->", "<=", ">=", "<>", "!=", "<<", ">>", ":=", "&&", "||", "=="];

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub(crate) fn new(text: &'a str, reading: Reading) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            braces: 0,
            reading,
            last_name: None,
            word_end: usize::MAX,
            name_at: usize::MAX,
            executable: false,
            edits: Vec::new(),
            rewritten: false,
        }
    }

    /// The next token; `None` at the end of the text.
    ///
    /// # Errors
    /// When it is not certain how the server reads what comes next.
    pub(crate) fn token(&mut self) -> Result<Option<Token<'a>>, Unread> {
        self.skip_blank()?;
        let start = self.at;
        let Some(first) = self.byte(0) else {
            return match self.depth {
                0 => Ok(None),
                _ => Err(Unread::new("a parenthesis is not closed")),
            };
        };
        let kind = if self.name_at == start { self.plain_name()? } else { self.scan(first)? };
        let text = self.text.get(start..self.at).ok_or_else(|| Unread::new("a token ends inside a character"))?;
        self.last_name = matches!(kind, Kind::Word | Kind::Quoted).then_some(Token { kind, text });
        if matches!(kind, Kind::Word | Kind::SystemVariable) {
            self.word_end = self.at;
        }
        let text = match first {
            b'{' => "(",
            b'}' => ")",
            b'\\' => "NULL",
            _ => text,
        };
        Ok(Some(Token { kind, text }))
    }

    /// Where in the text the last token ended, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn scan(&mut self, first: u8) -> Result<Kind, Unread> {
        match first {
            b'\'' => self.quoted(b'\'', Kind::String),
            b'"' if self.reading.ansi_quotes => self.ansi_name(),
            b'"' => self.quoted(b'"', Kind::DoubleString),
            b'`' => self.delimited(b'`'),
            b'0'..=b'9' => self.number(),
            b'.' => self.period(),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => self.word(first),
            b'$' => Err(Unread::new("a name that starts with `$` may be a quoted text")),
            b'@' => self.variable(),
            b'?' => self.take(1, Kind::Placeholder),
            b';' if self.depth > 0 => Err(Unread::new("a statement ends inside parentheses")),
            b';' => self.take(1, Kind::Semicolon),
            b'\\' => self.null(),
            b'{' => self.open_brace(),
            b'}' => self.close(true),
            0x80.. => self.plain_name(),
            _ => self.symbol(first),
        }
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Result<Kind, Unread> {
        self.at += bytes;
        Ok(kind)
    }

    fn symbol(&mut self, first: u8) -> Result<Kind, Unread> {
        if let Some(long) = LONG_SYMBOLS.iter().find(|symbol| self.rest().starts_with(symbol.as_bytes())) {
            return match *long {
                "==" => Err(Unread::new("`==` is not an operator")),
                _ => self.take(long.len(), Kind::Symbol),
            };
        }
        match first {
            b'(' => self.open(false),
            b')' => self.close(false),
            b',' | b'+' | b'-' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'!' | b'~' | b'^' | b'&' | b'|' | b':' => {
                self.take(1, Kind::Symbol)
            }
            other => Err(Unread::new(format!("`{}` is not read outside quotes", char::from(other)))),
        }
    }

    fn open(&mut self, brace: bool) -> Result<Kind, Unread> {
        self.depth += 1;
        if self.depth > PARENTHESES_DEPTH_MAX {
            return Err(Unread::new(format!("parentheses are deeper than {PARENTHESES_DEPTH_MAX}")));
        }
        self.braces = self.braces << 1 | u64::from(brace);
        self.take(1, Kind::Symbol)
    }

    fn close(&mut self, brace: bool) -> Result<Kind, Unread> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| Unread::new("a parenthesis closes nothing"))?;
        if self.braces & 1 != u64::from(brace) {
            return Err(Unread::new("a brace and a parenthesis do not match"));
        }
        self.braces >>= 1;
        self.take(1, Kind::Symbol)
    }

    /// ODBC's `{fn …}`, `{d '…'}`, `{oj …}`: the servers take any word, and what follows it as if it were in parentheses.
    fn open_brace(&mut self) -> Result<Kind, Unread> {
        self.open(true)?;
        self.skip_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
        let word = self.at;
        self.skip_while(|b| b.is_ascii_alphabetic());
        match self.byte(0) {
            Some(b' ' | b'\t' | b'\n' | b'\r' | b'\'' | b'(' | b'`') if self.at > word => Ok(Kind::Symbol),
            _ => Err(Unread::new("a brace is not followed by a word")),
        }
    }

    /// `\N`, which MySQL 8.0 no longer has.
    fn null(&mut self) -> Result<Kind, Unread> {
        let follows = self.byte(2).is_none_or(|b| !is_name_byte(b) && b.is_ascii());
        match self.reading.flavour {
            Flavour::MariaDb if self.byte(1) == Some(b'N') && follows => self.take(2, Kind::Word),
            Flavour::MariaDb | Flavour::MySql => Err(Unread::new("a backslash outside a string")),
        }
    }

    fn quoted(&mut self, quote: u8, kind: Kind) -> Result<Kind, Unread> {
        let escapes = self.reading.backslash_escapes;
        let bytes = self.rest();
        let mut at = 1;
        loop {
            let ends = |b: &u8| *b == quote || (escapes && *b == b'\\');
            let step = bytes.get(at..).unwrap_or_default().iter().position(ends);
            at += step.ok_or_else(|| Unread::new("an unclosed string"))?;
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'\\'), _) => at += 2,
                (_, Some(next)) if *next == quote => at += 2,
                _ => break,
            }
        }
        self.take(at + 1, kind)
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&keep) {
            self.at += 1;
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

#[cfg(test)]
mod tests;

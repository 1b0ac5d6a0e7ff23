//! A strict lexer for MySQL and MariaDB text: what it accepts, every server version reads the same way; what any of
//! them might read differently is refused (executable comments, control characters, backslashes,
//! letters outside ASCII where the connection's character set decides what they are).
//!
//! It follows `sql/sql_lex.cc` of both servers. The parser is given these tokens, not the text, so there is no second
//! lexer to disagree with.

use crate::limits::PARENTHESES_DEPTH_MAX;
use crate::token::{Kind, Token, Unread};

/// Yields the tokens of a text; comments and white space are dropped.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    double_quotes: bool,
    after_name: bool,
}

/// Operators of more than one character, longest first.
const LONG_SYMBOLS: [&str; 13] = ["->>", "<=>", "->", "<=", ">=", "<>", "!=", "<<", ">>", ":=", "&&", "||", "=="];

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`. `double_quotes` is false where `"x"` would be an identifier (`ANSI_QUOTES`).
    pub(crate) fn new(text: &'a str, double_quotes: bool) -> Self {
        Self { text, at: 0, depth: 0, double_quotes, after_name: false }
    }

    /// The next token; `None` at the end of the text.
    ///
    /// # Errors
    /// When what comes next is not read the same way by every server.
    pub(crate) fn token(&mut self) -> Result<Option<Token<'a>>, Unread> {
        self.skip_blank()?;
        let start = self.at;
        let Some(first) = self.byte(0) else {
            return match self.depth {
                0 => Ok(None),
                _ => Err(Unread::new("a parenthesis is not closed")),
            };
        };
        let kind = self.scan(first)?;
        let text = self.text.get(start..self.at).ok_or_else(|| Unread::new("a token ends inside a character"))?;
        self.after_name = matches!(kind, Kind::Word | Kind::Quoted);
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
            b'"' if self.double_quotes => self.quoted(b'"', Kind::DoubleString),
            b'"' => Err(Unread::new("double quotes mean an identifier under ANSI_QUOTES")),
            b'`' => self.backticks(),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.fraction(),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => self.word(first),
            b'$' => Err(Unread::new("a name that starts with `$` may be a quoted text")),
            b'@' => self.variable(),
            b'?' => self.take(1, Kind::Placeholder),
            b';' if self.depth > 0 => Err(Unread::new("a statement ends inside parentheses")),
            b';' => self.take(1, Kind::Semicolon),
            b'\\' => Err(Unread::new("a backslash outside a string")),
            0x80.. => Err(Unread::new("a character outside ASCII is neither in quotes nor in a comment")),
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
            b'(' => {
                self.depth += 1;
                if self.depth > PARENTHESES_DEPTH_MAX {
                    return Err(Unread::new(format!("parentheses are deeper than {PARENTHESES_DEPTH_MAX}")));
                }
            }
            b')' => {
                self.depth = self.depth.checked_sub(1).ok_or_else(|| Unread::new("a parenthesis closes nothing"))?;
            }
            b',' | b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'!' | b'~' | b'^' | b'&' | b'|' => {}
            other => return Err(Unread::new(format!("`{}` is not read outside quotes", char::from(other)))),
        }
        self.take(1, Kind::Symbol)
    }

    fn skip_blank(&mut self) -> Result<(), Unread> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r'), _) => self.at += 1,
                (Some(b'#'), _) => self.skip_line()?,
                (Some(b'-'), Some(b'-')) if self.dashes_start_comment() => self.skip_line()?,
                (Some(b'/'), Some(b'*')) => self.skip_block()?,
                (Some(b'*'), Some(b'/')) => return Err(Unread::new("a comment closes that was not opened")),
                (Some(control), _) if control.is_ascii_control() => {
                    return Err(Unread::new(format!("a control character (0x{control:02x})")));
                }
                _ => return Ok(()),
            }
        }
    }

    /// `--` starts a comment only before white space, a control character or the end (manual, "Comments"). White space
    /// of Unicode is none here: the servers look at one byte.
    fn dashes_start_comment(&self) -> bool {
        self.byte(2).is_none_or(|after| after == b' ' || after.is_ascii_control())
    }

    fn skip_line(&mut self) -> Result<(), Unread> {
        let line = self.rest();
        let end = line.iter().position(|b| *b == b'\n').unwrap_or(line.len());
        let comment = line.get(..end).unwrap_or_default();
        if comment.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r')) {
            return Err(Unread::new("a control character in a comment"));
        }
        self.at += end;
        Ok(())
    }

    fn skip_block(&mut self) -> Result<(), Unread> {
        let inside = self.rest().get(2..).unwrap_or_default();
        if inside.starts_with(b"!") || inside.starts_with(b"M!") {
            return Err(Unread::new("an executable comment (`/*!` or `/*M!`)"));
        }
        let length =
            inside.windows(2).position(|two| two == b"*/").ok_or_else(|| Unread::new("an unclosed comment"))?;
        let comment = inside.get(..length).unwrap_or_default();
        if comment.windows(2).any(|two| two == b"/*") {
            return Err(Unread::new("a comment inside a comment"));
        }
        if comment.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\n' | b'\r')) {
            return Err(Unread::new("a control character in a comment"));
        }
        refuse_hint(comment)?;
        self.at += 2 + length + 2;
        Ok(())
    }

    fn quoted(&mut self, quote: u8, kind: Kind) -> Result<Kind, Unread> {
        let bytes = self.rest();
        let mut at = 1;
        loop {
            let step = bytes.get(at..).unwrap_or_default().iter().position(|b| *b == quote || *b == b'\\' || *b == 0);
            at += step.ok_or_else(|| Unread::new("an unclosed string"))?;
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(0), _) => return Err(Unread::new("a zero byte in a string")),
                (Some(b'\\'), _) => at += 2,
                (_, Some(next)) if *next == quote => at += 2,
                _ => break,
            }
        }
        self.take(at + 1, kind)
    }

    fn backticks(&mut self) -> Result<Kind, Unread> {
        let bytes = self.rest();
        let mut at = 1;
        loop {
            let step = bytes.get(at..).unwrap_or_default().iter().position(|b| *b == b'`' || b.is_ascii_control());
            at += step.ok_or_else(|| Unread::new("an unclosed name in backticks"))?;
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'`'), Some(b'`')) => at += 2,
                (Some(b'`'), _) => break,
                _ => return Err(Unread::new("a control character in a name")),
            }
        }
        if at == 1 {
            return Err(Unread::new("an empty name in backticks"));
        }
        self.take(at + 1, Kind::Quoted)
    }

    /// Digits, a fraction, an exponent. The servers let a name start with digits and let a number end where a name
    /// starts (`1e0password`): neither is read.
    fn number(&mut self) -> Result<Kind, Unread> {
        if let (Some(b'0'), Some(base @ (b'x' | b'b'))) = (self.byte(0), self.byte(1)) {
            return self.based(base);
        }
        self.skip_while(|b| b.is_ascii_digit());
        if self.byte(0) == Some(b'.') {
            self.at += 1;
            self.skip_while(|b| b.is_ascii_digit());
        }
        self.exponent()
    }

    fn based(&mut self, base: u8) -> Result<Kind, Unread> {
        self.at += 2;
        let digits = self.at;
        match base {
            b'x' => self.skip_while(|b| b.is_ascii_hexdigit()),
            _ => self.skip_while(|b| matches!(b, b'0' | b'1')),
        }
        match self.at {
            end if end == digits => Err(Unread::new("a name that starts with a digit (put it in backticks)")),
            _ => self.number_ends(Kind::Hex),
        }
    }

    fn fraction(&mut self) -> Result<Kind, Unread> {
        if self.after_name {
            return Err(Unread::new("a name that starts with a digit (put it in backticks)"));
        }
        self.at += 1;
        self.skip_while(|b| b.is_ascii_digit());
        self.exponent()
    }

    fn exponent(&mut self) -> Result<Kind, Unread> {
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            self.at += if matches!(self.byte(1), Some(b'+' | b'-')) { 2 } else { 1 };
            if !self.byte(0).is_some_and(|b| b.is_ascii_digit()) {
                return Err(Unread::new("a number with an empty exponent"));
            }
            self.skip_while(|b| b.is_ascii_digit());
        }
        self.number_ends(Kind::Number)
    }

    fn number_ends(&mut self, kind: Kind) -> Result<Kind, Unread> {
        match self.byte(0) {
            Some(b) if is_name_byte(b) || b == b'.' => {
                Err(Unread::new("a name that starts with a digit (put it in backticks)"))
            }
            _ => Ok(kind),
        }
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&keep) {
            self.at += 1;
        }
    }

    fn word(&mut self, first: u8) -> Result<Kind, Unread> {
        let next = self.byte(1);
        if next == Some(b'"') && matches!(first | 0x20, b'b' | b'x' | b'n') {
            return Err(Unread::new("a string in double quotes right after `b`, `n` or `x`"));
        }
        if next == Some(b'\'') && matches!(first | 0x20, b'b' | b'x') {
            return self.hex_string();
        }
        if next == Some(b'\'') && first | 0x20 == b'n' {
            self.at += 1;
            return self.quoted(b'\'', Kind::String);
        }
        self.skip_while(is_name_byte);
        match self.byte(0) {
            Some(0x80..) => Err(Unread::new("a name has a character outside ASCII (put it in backticks)")),
            _ => Ok(Kind::Word),
        }
    }

    fn hex_string(&mut self) -> Result<Kind, Unread> {
        self.at += 2;
        self.skip_while(|b| b.is_ascii_hexdigit());
        match self.byte(0) {
            Some(b'\'') => self.take(1, Kind::Hex),
            _ => Err(Unread::new("a hexadecimal or bit string with other characters in it")),
        }
    }

    /// `@name`, ``@`name` ``, `@'name'`, `@@name`. In `@name` periods belong to the name (manual, "User-Defined
    /// Variables").
    fn variable(&mut self) -> Result<Kind, Unread> {
        self.at += 1;
        match self.byte(0) {
            Some(b'@') => {
                self.at += 1;
                match self.byte(0) {
                    Some(b'A'..=b'Z' | b'a'..=b'z' | b'_') => self.skip_while(is_name_byte),
                    _ => return Err(Unread::new("`@@` is not followed by a name")),
                }
                Ok(Kind::SystemVariable)
            }
            Some(b'\'') => self.quoted(b'\'', Kind::UserVariable),
            Some(b'`') => self.backticks().map(|_| Kind::UserVariable),
            Some(b) if is_name_byte(b) || b == b'.' => {
                self.skip_while(|b| is_name_byte(b) || b == b'.');
                match self.byte(0) {
                    Some(0x80..) => Err(Unread::new("a variable's name has a character outside ASCII")),
                    _ => Ok(Kind::UserVariable),
                }
            }
            _ => Err(Unread::new("`@` is not followed by a name")),
        }
    }
}

/// An optimizer hint is dropped like a comment, as it cannot name a table that the statement does not; these two
/// change session state for the statement (manual, "Optimizer Hints").
fn refuse_hint(comment: &[u8]) -> Result<(), Unread> {
    if !comment.starts_with(b"+") {
        return Ok(());
    }
    let hint = comment.to_ascii_uppercase();
    for word in ["SET_VAR", "RESOURCE_GROUP"] {
        if hint.windows(word.len()).any(|part| part == word.as_bytes()) {
            return Err(Unread::new(format!("an optimizer hint with {word}")));
        }
    }
    Ok(())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::{Lexer, PARENTHESES_DEPTH_MAX};

    fn check(text: &str, expected: &[&str]) {
        let mut lexer = Lexer::new(text, true);
        let mut found = Vec::new();
        while let Some(token) = lexer.token().unwrap_or_else(|error| panic!("{text}: {error}")) {
            found.push(token.text);
        }
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn tokens_are_those_of_the_server() {
        check("SELECT-1e0", &["SELECT", "-", "1e0"]);
        check("a.b, .5 1.5e-3 1.", &["a", ".", "b", ",", ".5", "1.5e-3", "1."]);
        check("5--3", &["5", "-", "-", "3"]);
        check("1--", &["1"]);
        check("1-- x\n2#y\n3/*z*/4", &["1", "2", "3", "4"]);
        check("1 --\tx\r still\n2", &["1", "2"]);
        check("'a''b' 'a\\'b' \"a\\\"b\" `a``b`", &["'a''b'", "'a\\'b'", "\"a\\\"b\"", "`a``b`"]);
        check("a->>'$.b'<=>c:=1", &["a", "->>", "'$.b'", "<=>", "c", ":=", "1"]);
        check("@a.b$ @@x.y @'q' @`q`", &["@a.b$", "@@x", ".", "y", "@'q'", "@`q`"]);
        check("x'41' B'01' N'é' 0x41 0b01", &["x'41'", "B'01'", "N'é'", "0x41", "0b01"]);
    }

    #[test]
    fn parentheses_are_read_to_their_limit() {
        let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        let reads = |text: &str| {
            let mut lexer = Lexer::new(text, true);
            while lexer.token()?.is_some() {}
            Ok::<(), super::Unread>(())
        };
        assert!(reads(&nested(PARENTHESES_DEPTH_MAX)).is_ok());
        assert!(reads(&nested(PARENTHESES_DEPTH_MAX + 1)).is_err());
    }
}

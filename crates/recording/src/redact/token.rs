//! Just enough of MySQL's lexical rules to know what is quoted.
//! Source: MySQL 9 manual, 11.1.1 "String Literals" and 11.7 "Comments".

use std::ops::Range;

use super::Quoting;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) quoting: Quoting,
    /// `/*! … */` is a comment like others, as to servers of another version or maker.
    pub(super) skips_executable: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keyword, name, or a name in quotes.
    Word,
    /// String, with its introducer (`_utf8mb4'…'`, `N'…'`, `X'…'`), or a hexadecimal number.
    Literal,
    /// Any other byte.
    Mark,
}

/// The tokens of a text, without space and comments.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    reading: Reading,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], reading: Reading) -> Self {
        Self { text, at: 0, reading }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The first place from `from` on where `stop` holds, or the end.
    fn skip_until(&self, from: usize, stop: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.iter().position(|&byte| stop(byte)).map_or(self.text.len(), |offset| from + offset)
    }

    fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    /// Where the token ends that begins with the quote at `from`; an unfinished one ends with the text. Backslash escapes in strings
    /// only.
    fn quoted_end(&self, from: usize) -> usize {
        let Some(quote) = self.byte(from) else { return from };
        let escapes = !self.reading.quoting.no_backslash_escapes && !self.quotes_name(quote);
        let mut at = from + 1;
        while let Some(byte) = self.byte(at) {
            at += 1;
            if byte == b'\\' && escapes {
                at += 1;
            } else if byte == quote {
                if self.byte(at) != Some(quote) {
                    return at;
                }
                at += 1;
            }
        }
        self.text.len()
    }

    fn quotes_name(&self, quote: u8) -> bool {
        quote == b'`' || (quote == b'"' && self.reading.quoting.ansi_quotes)
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let before = self.at;
            self.at = self.skip_until(self.at, |byte| !is_space(byte));
            let is_executable = self.starts_with(b"/*!") || self.starts_with(b"/*M!");
            if self.starts_with(b"#") || self.starts_line_comment() {
                self.at = self.skip_until(self.at, |byte| byte == b'\n');
            } else if is_executable && !self.reading.skips_executable {
                self.at = self.skip_until(self.at + 3, |byte| !(byte.is_ascii_digit() || byte == b'!'));
            } else if self.starts_with(b"/*") {
                self.at = self.comment_end(self.at + 2, is_executable);
            }
            if self.at == before {
                return;
            }
        }
    }

    /// `--` counts with a space or control character behind it.
    fn starts_line_comment(&self) -> bool {
        self.starts_with(b"--") && self.byte(self.at + 2).is_none_or(is_space)
    }

    /// Behind the `*/` of a comment whose inside begins at `from`. An executable one may hold another.
    fn comment_end(&self, from: usize, may_hold_another: bool) -> usize {
        let (mut at, mut in_another) = (from, false);
        loop {
            at = self.skip_until(at, |byte| matches!(byte, b'*' | b'/'));
            match (self.byte(at), self.byte(at + 1)) {
                (None, _) => return self.text.len(),
                (Some(b'*'), Some(b'/')) if !in_another => return at + 2,
                (Some(b'*'), Some(b'/')) => (at, in_another) = (at + 2, false),
                (Some(b'/'), Some(b'*')) if may_hold_another && !in_another => (at, in_another) = (at + 2, true),
                (Some(_), _) => at += 1,
            }
        }
    }
}

/// Space to servers, and what they take for it.
fn is_space(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || !byte.is_ascii()
}

fn is_hexadecimal(word: &[u8]) -> bool {
    matches!(word, [b'0', b'x' | b'X', ..])
}

impl Iterator for Tokens<'_> {
    type Item = (Kind, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_space_and_comments();
        let start = self.at;
        let kind = match self.byte(start)? {
            quote @ (b'\'' | b'"' | b'`') => {
                self.at = self.quoted_end(start);
                if self.quotes_name(quote) { Kind::Word } else { Kind::Literal }
            }
            byte if is_word(byte) => self.word(start),
            _ => {
                self.at += 1;
                Kind::Mark
            }
        };
        Some((kind, start..self.at))
    }
}

impl Tokens<'_> {
    fn word(&mut self, start: usize) -> Kind {
        self.at = self.skip_until(start, |byte| !is_word(byte));
        let word = self.text.get(start..self.at).unwrap_or_default();
        let introduces = word.starts_with(b"_") || matches!(word, [b'n' | b'N' | b'x' | b'X' | b'b' | b'B']);
        let begins_string = |quote: u8| matches!(quote, b'\'' | b'"') && !self.quotes_name(quote);
        if introduces && self.byte(self.at).is_some_and(begins_string) {
            self.at = self.quoted_end(self.at);
            Kind::Literal
        } else if is_hexadecimal(word) {
            Kind::Literal
        } else {
            Kind::Word
        }
    }
}

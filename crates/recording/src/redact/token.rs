//! Just enough of MySQL's lexical rules to know what is quoted.
//! Source: MySQL 9 manual, 11.1.1 "String Literals" and 11.7 "Comments".

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keyword, name, or a name in backticks.
    Word,
    /// String, with its introducer (`_utf8mb4'…'`, `N'…'`, `X'…'`), or a hexadecimal number.
    Literal,
    /// Any other byte.
    Mark,
}

/// The tokens of a text, without space and comments. The content of `/*! … */` counts: servers run it.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
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

    /// Where the token ends that begins with the quote at `from`. Backslash escapes except in backticks; an unfinished one
    /// ends with the text.
    fn quoted_end(&self, from: usize) -> usize {
        let Some(quote) = self.byte(from) else { return from };
        let mut at = from + 1;
        while let Some(byte) = self.byte(at) {
            at += 1;
            if byte == b'\\' && quote != b'`' {
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

    fn skip_space_and_comments(&mut self) {
        loop {
            let before = self.at;
            self.at = self.skip_until(self.at, |byte| !byte.is_ascii_whitespace());
            if self.starts_with(b"#")
                || self.starts_with(b"-- ")
                || self.starts_with(b"--\t")
                || self.starts_with(b"--\n")
            {
                self.at = self.skip_until(self.at, |byte| byte == b'\n');
            } else if self.starts_with(b"/*!") || self.starts_with(b"/*M!") {
                self.at = self.skip_until(self.at + 3, |byte| !(byte.is_ascii_digit() || byte == b'!'));
            } else if self.starts_with(b"/*") {
                let body = self.text.get(self.at + 2..).unwrap_or_default();
                let end = body.windows(2).position(|pair| pair == b"*/");
                self.at = end.map_or(self.text.len(), |end| self.at + 2 + end + 2);
            }
            if self.at == before {
                return;
            }
        }
    }
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
            b'\'' | b'"' => {
                self.at = self.quoted_end(start);
                Kind::Literal
            }
            b'`' => {
                self.at = self.quoted_end(start);
                Kind::Word
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
        if introduces && matches!(self.byte(self.at), Some(b'\'' | b'"')) {
            self.at = self.quoted_end(self.at);
            Kind::Literal
        } else if is_hexadecimal(word) {
            Kind::Literal
        } else {
            Kind::Word
        }
    }
}

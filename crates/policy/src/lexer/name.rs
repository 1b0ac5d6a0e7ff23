//! Words, names with and without quotes, and variables.

use std::borrow::Cow;

use super::{Lexer, is_name_byte};
use crate::builtins::needs_parenthesis;
use crate::token::{Kind, Unread};

impl Lexer<'_> {
    /// The rest of a name without quotes.
    fn name_rest(&mut self) -> Result<(), Unread> {
        loop {
            self.skip_while(is_name_byte);
            match self.byte(0) {
                Some(0x80..) if !self.reading.utf8 => {
                    return Err(Unread::new("a name has a character outside ASCII (put it in backticks)"));
                }
                // Four bytes are a character to `utf8mb4` only.
                Some(0xf0..) => return Err(Unread::new("a name has a character of four bytes (put it in backticks)")),
                Some(0x80..) => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.chars().next().map_or(1, char::len_utf8);
                }
                _ => return Ok(()),
            }
        }
    }

    /// A name that is no keyword, whatever it spells, and has no quotes: behind a period, or starting with a digit.
    pub(super) fn plain_name(&mut self) -> Result<Kind, Unread> {
        self.name_rest()?;
        Ok(Kind::Word)
    }

    pub(super) fn word(&mut self, first: u8) -> Result<Kind, Unread> {
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
        let start = self.at;
        self.name_rest()?;
        let word = self.text.get(start..self.at).unwrap_or_default();
        if self.byte(0) != Some(b'(') && needs_parenthesis(word, self.reading.flavour) {
            return self.spaced(word);
        }
        Ok(Kind::Word)
    }

    /// These are functions only where the parenthesis follows at once, or after white space under `IGNORE_SPACE`; else
    /// they are names, also of stored functions (manual, "Function Name Parsing and Resolution").
    fn spaced(&self, word: &str) -> Result<Kind, Unread> {
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        let rest = self.rest();
        let next = rest.iter().position(|b| !blank(b)).and_then(|at| rest.get(at..)).unwrap_or_default();
        let comment = [&b"/*"[..], b"#", b"--", b"*/"].iter().any(|start| next.starts_with(start));
        match self.reading.ignore_space {
            true if comment => {
                Err(Unread::new(format!("a comment between `{word}` and what follows, under IGNORE_SPACE")))
            }
            false if comment || next.starts_with(b"(") => Ok(Kind::Quoted),
            true | false => Ok(Kind::Word),
        }
    }

    pub(super) fn hex_string(&mut self) -> Result<Kind, Unread> {
        self.at += 2;
        self.skip_while(|b| b.is_ascii_hexdigit());
        match self.byte(0) {
            Some(b'\'') => self.take(1, Kind::Hex),
            _ => Err(Unread::new("a hexadecimal or bit string with other characters in it")),
        }
    }

    /// `"name"` under `ANSI_QUOTES`; in the canonical text it has backticks, which mean the same in every mode.
    pub(super) fn ansi_name(&mut self) -> Result<Kind, Unread> {
        let start = self.at;
        let kind = self.delimited(b'"')?;
        let inside = self.text.get(start + 1..self.at.saturating_sub(1)).unwrap_or_default();
        let name = inside.replace("\"\"", "\"").replace('`', "``");
        self.replace(start, self.at, Cow::Owned(format!("`{name}`")));
        self.rewritten = true;
        Ok(kind)
    }

    pub(super) fn delimited(&mut self, quote: u8) -> Result<Kind, Unread> {
        let bytes = self.rest();
        let mut at = 1;
        loop {
            let step = bytes.get(at..).unwrap_or_default().iter().position(|b| *b == quote || b.is_ascii_control());
            at += step.ok_or_else(|| Unread::new("an unclosed name in quotes"))?;
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b), _) if *b != quote => return Err(Unread::new("a control character in a name")),
                (_, Some(next)) if *next == quote => at += 2,
                _ => break,
            }
        }
        if at == 1 {
            return Err(Unread::new("an empty name in quotes"));
        }
        self.take(at + 1, Kind::Quoted)
    }

    /// `@name`, ``@`name` ``, `@'name'`, `@@name`. In `@name` periods belong to the name (manual, "User-Defined
    /// Variables").
    pub(super) fn variable(&mut self) -> Result<Kind, Unread> {
        self.at += 1;
        match self.byte(0) {
            Some(b'@') => {
                self.at += 1;
                match self.byte(0) {
                    Some(b'A'..=b'Z' | b'a'..=b'z' | b'_') => self.skip_while(is_name_byte),
                    _ => return Err(Unread::new("`@@` is not followed by a name")),
                }
                match self.byte(0) {
                    Some(0x80..) => Err(Unread::new("a variable's name has a character outside ASCII")),
                    _ => Ok(Kind::SystemVariable),
                }
            }
            Some(b'\'') => self.quoted(b'\'', Kind::UserVariable),
            Some(b'`') => self.delimited(b'`').map(|_| Kind::UserVariable),
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

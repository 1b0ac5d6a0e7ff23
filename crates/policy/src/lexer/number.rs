//! Numbers, and what starts like one: `1e0`, `0x41`, the names `1a` and `0xg`, and periods.

use super::{Lexer, is_name_byte};
use crate::token::{Kind, Unread};

impl Lexer<'_> {
    /// Digits first: a number, or a name where a letter follows that is no part of one (`MY_LEX_NUMBER_IDENT`).
    pub(super) fn number(&mut self) -> Result<Kind, Unread> {
        if self.byte(0) == Some(b'0')
            && let Some(base @ (b'x' | b'b')) = self.byte(1)
        {
            return self.based(base);
        }
        self.skip_while(|b| b.is_ascii_digit());
        match self.byte(0) {
            Some(b'.') => {
                self.at += 1;
                self.fraction_ends()
            }
            Some(b'e' | b'E') if self.exponent_digits(1).is_some() => self.exponent(),
            Some(b) if is_name_byte(b) || !b.is_ascii() => self.plain_name(),
            _ => Ok(Kind::Number),
        }
    }

    /// `0x` and `0b` in lower case; with other letters behind it is a name.
    fn based(&mut self, base: u8) -> Result<Kind, Unread> {
        self.at += 2;
        let digits = self.at;
        match base {
            b'x' => self.skip_while(|b| b.is_ascii_hexdigit()),
            _ => self.skip_while(|b| matches!(b, b'0' | b'1')),
        }
        let has_digits = self.at > digits;
        match self.byte(0) {
            Some(b) if is_name_byte(b) || !b.is_ascii() => self.plain_name(),
            Some(b'.') => Err(Unread::new("a period right after a hexadecimal or bit literal")),
            _ if has_digits => Ok(Kind::Hex),
            _ => Ok(Kind::Word),
        }
    }

    /// A period: before a name, where what follows is no keyword; of a number; or an operator.
    pub(super) fn period(&mut self) -> Result<Kind, Unread> {
        let behind_word = self.word_end == self.at;
        match self.byte(1) {
            Some(b'0'..=b'9') if !behind_word => self.fraction(),
            Some(b) if is_name_byte(b) || !b.is_ascii() => {
                self.at += 1;
                self.name_at = self.at;
                Ok(Kind::Symbol)
            }
            _ => self.take(1, Kind::Symbol),
        }
    }

    fn fraction(&mut self) -> Result<Kind, Unread> {
        if self.after_name {
            return Err(Unread::new("a number that starts with a period, right after a name"));
        }
        self.at += 1;
        self.fraction_ends()
    }

    /// What follows the period of a number (`MY_LEX_REAL`).
    fn fraction_ends(&mut self) -> Result<Kind, Unread> {
        self.skip_while(|b| b.is_ascii_digit());
        match self.byte(0) {
            Some(b'e' | b'E') => match self.exponent_digits(1) {
                Some(_) => self.exponent(),
                None => Err(Unread::new("a number with an empty exponent")),
            },
            Some(b'.') => Err(Unread::new("a number with two periods")),
            _ => Ok(Kind::Number),
        }
    }

    /// How far ahead the digits of an exponent begin, its `e` being before `ahead`.
    fn exponent_digits(&self, ahead: usize) -> Option<usize> {
        let signed = matches!(self.byte(ahead), Some(b'+' | b'-'));
        let digits = ahead + usize::from(signed);
        self.byte(digits).is_some_and(|b| b.is_ascii_digit()).then_some(digits)
    }

    /// Whatever follows the exponent's digits is another token: `1e0UNION` is two.
    fn exponent(&mut self) -> Result<Kind, Unread> {
        self.at += self.exponent_digits(1).unwrap_or(1);
        self.skip_while(|b| b.is_ascii_digit());
        match self.byte(0) {
            Some(b'.') => Err(Unread::new("a period right after an exponent")),
            _ => Ok(Kind::Number),
        }
    }
}

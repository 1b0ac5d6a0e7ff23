//! Numbers, and what starts like one: `1e0`, `0x41`, the names `1a` and `0xg`, and periods.

use super::{Lexer, is_name_byte};
use crate::context::Flavour;
use crate::token::{Kind, Unread};
use crate::words::is_reserved;

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
            // `FOR i IN 1..3`
            Some(b'.') if self.is_range() => Ok(Kind::Number),
            Some(b'.') => {
                self.at += 1;
                self.fraction_ends()
            }
            Some(b'e' | b'E') if self.exponent_digits(1).is_some() => self.exponent(),
            Some(b) if is_name_byte(b) || !b.is_ascii() => self.plain_name(),
            _ => Ok(Kind::Number),
        }
    }

    /// Two periods are one word to MariaDB (`DOT_DOT_SYM`).
    fn is_range(&self) -> bool {
        self.reading.flavour == Flavour::MariaDb && self.rest().starts_with(b"..")
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
        if self.is_range() {
            return self.take(2, Kind::Symbol);
        }
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
        // Behind a keyword it cannot be a part of a name.
        if self.last_name.is_some_and(|last| !is_reserved(&last, self.reading.flavour)) {
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

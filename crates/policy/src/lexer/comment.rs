//! White space, comments, and the code that servers read in comments.

use super::{Lexer, MASK};
use crate::context::Flavour;
use crate::token::Unread;

/// MySQL since this version reads a sixth digit where white space follows it; before, five, always.
const MYSQL_SIX_DIGITS_SINCE: u32 = 80_400;
/// Versions of MySQL's that MariaDB does not take for its own (its sql_lex.cc, "MySQL-5.7 has new features").
const MARIADB_SKIPS: std::ops::RangeInclusive<u32> = 50_700..=99_999;
/// MariaDB with Galera runs comments of this version, whatever its own (`wsrep_consistency_check`).
const MARIADB_GALERA: u32 = 99_997;

/// What a server makes of an executable comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Its inside is code, from behind so many digits on.
    Code { digits: usize },
    /// It is a comment.
    Comment,
}

impl Lexer<'_> {
    pub(super) fn skip_blank(&mut self) -> Result<(), Unread> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c), _) => self.at += 1,
                (Some(b'#'), _) => self.skip_line()?,
                (Some(b'-'), Some(b'-')) if self.dashes_start_comment() => self.skip_line()?,
                (Some(b'/'), Some(b'*')) => self.open_block()?,
                (Some(b'*'), Some(b'/')) if self.executable => {
                    self.executable = false;
                    self.drop_text(2);
                }
                // `*/* x */` is an operator before a comment.
                (Some(b'*'), Some(b'/')) if self.byte(2) == Some(b'*') => return Ok(()),
                (Some(b'*'), Some(b'/')) => return Err(Unread::new("a comment closes that was not opened")),
                (None, _) if self.executable => return Err(Unread::new("an unclosed executable comment")),
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

    /// Within an executable comment a line comment is one all the same: it swallows a `*/`.
    fn skip_line(&mut self) -> Result<(), Unread> {
        let line = self.rest();
        let end = line.iter().position(|b| *b == b'\n').unwrap_or(line.len());
        refuse_control(line.get(..end).unwrap_or_default())?;
        self.drop_text(end);
        Ok(())
    }

    fn open_block(&mut self) -> Result<(), Unread> {
        let inside = self.rest().get(2..).unwrap_or_default();
        let mariadb_only = inside.starts_with(b"M!");
        match (mariadb_only, self.reading.flavour) {
            (true, Flavour::MariaDb) => self.open_executable(4, true),
            (false, _) if inside.starts_with(b"!") => self.open_executable(3, false),
            // A plain comment, but only there: MariaDB would run it.
            (true, Flavour::MySql) => {
                self.rewritten = true;
                self.skip_block(0)
            }
            (false, _) => self.skip_block(0),
        }
    }

    /// `marker` is the length of `/*!` or `/*M!`.
    fn open_executable(&mut self, marker: usize, mariadb_only: bool) -> Result<(), Unread> {
        if self.reading.version == 0 {
            return Err(Unread::new("an executable comment, and the server's version is not known"));
        }
        self.rewritten = true;
        let body = self.rest().get(marker..).unwrap_or_default();
        if body.starts_with(b"!") {
            return Err(Unread::new("an executable comment with its version turned round"));
        }
        let gate = match self.reading.flavour {
            Flavour::MariaDb => mariadb_gate(body, mariadb_only, self.reading.version)?,
            Flavour::MySql => mysql_gate(body, self.reading.version)?,
        };
        match gate {
            // The inner `*/` ends both in the servers, and the outer one is a `*` and a `/`.
            Gate::Code { .. } if self.executable => Err(Unread::new("an executable comment inside another")),
            Gate::Code { digits } => {
                self.drop_text(marker + digits);
                self.executable = true;
                Ok(())
            }
            Gate::Comment => self.skip_block(1),
        }
    }

    /// Skips `/*` up to the `*/` that closes it, in which `nested` levels of `/* … */` may be (`consume_comment`).
    fn skip_block(&mut self, nested: usize) -> Result<(), Unread> {
        let block = self.rest();
        let length = block_length(block, nested)?;
        let comment = block.get(..length).unwrap_or_default();
        refuse_control(comment)?;
        let inside = comment.get(2..).unwrap_or_default();
        if inside.starts_with(b"+") {
            refuse_hint(inside)?;
            // It stays in the text that is forwarded.
            self.at += length;
            return Ok(());
        }
        // Where the comment ends is certain to the servers, not to what else may stand between.
        self.rewritten |= inside.windows(2).any(|two| two == b"/*");
        self.drop_text(length);
        Ok(())
    }
}

/// Bytes of a comment from its `/*` to behind its `*/`.
fn block_length(block: &[u8], nested: usize) -> Result<usize, Unread> {
    let mut depth = 0;
    let mut at = 2;
    loop {
        match (block.get(at), block.get(at + 1)) {
            (Some(b'*'), Some(b'/')) if depth == 0 => return Ok(at + 2),
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                at += 2;
            }
            (Some(b'/'), Some(b'*')) if depth < nested => {
                depth += 1;
                at += 2;
            }
            (Some(_), _) => at += 1,
            (None, _) => return Err(Unread::new("an unclosed comment")),
        }
    }
}

/// The number that the first `count` bytes spell; `None` when not all are digits.
fn digits(body: &[u8], count: usize) -> Option<u32> {
    let digits = body.get(..count)?;
    digits.iter().try_fold(0_u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// Five digits or six; without, there is no version.
fn mariadb_gate(body: &[u8], mariadb_only: bool, server: u32) -> Result<Gate, Unread> {
    let six = digits(body, 6).map(|version| (version, 6));
    let Some((version, length)) = six.or_else(|| digits(body, 5).map(|version| (version, 5))) else {
        return Ok(Gate::Code { digits: 0 });
    };
    if version == MARIADB_GALERA {
        return Err(Unread::new("an executable comment that depends on Galera"));
    }
    let skipped = MARIADB_SKIPS.contains(&version) && !mariadb_only;
    Ok(if version <= server && !skipped { Gate::Code { digits: length } } else { Gate::Comment })
}

/// Five digits; six, where white space follows them.
fn mysql_gate(body: &[u8], server: u32) -> Result<Gate, Unread> {
    let Some(five) = digits(body, 5) else { return Ok(Gate::Code { digits: 0 }) };
    let (version, length) = match (digits(body, 6), body.get(6)) {
        // What of it is white space, the character set says.
        (Some(_), Some(0x80..)) => return Err(Unread::new("a version of six digits before a character outside ASCII")),
        (Some(six), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)) if server >= MYSQL_SIX_DIGITS_SINCE => (six, 6),
        (Some(_), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)) => {
            return Err(Unread::new("a version of six digits that not every MySQL 8.0 reads as such"));
        }
        _ => (five, 5),
    };
    Ok(if version <= server { Gate::Code { digits: length } } else { Gate::Comment })
}

fn refuse_control(comment: &[u8]) -> Result<(), Unread> {
    let refused = |b: &u8| b.is_ascii_control() && !matches!(*b, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | MASK);
    match comment.iter().any(refused) {
        true => Err(Unread::new("a control character in a comment")),
        false => Ok(()),
    }
}

/// An optimizer hint is dropped like a comment, as it cannot name a table that the statement does not; these two
/// change session state for the statement (manual, "Optimizer Hints").
fn refuse_hint(hint: &[u8]) -> Result<(), Unread> {
    if hint.windows(2).any(|two| two == b"/*") {
        return Err(Unread::new("a comment inside an optimizer hint"));
    }
    let hint = hint.to_ascii_uppercase();
    for word in ["SET_VAR", "RESOURCE_GROUP"] {
        if hint.windows(word.len()).any(|part| part == word.as_bytes()) {
            return Err(Unread::new(format!("an optimizer hint with {word}")));
        }
    }
    Ok(())
}

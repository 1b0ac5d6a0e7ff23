//! Secrets that SQL statements carry, replaced before they are recorded.
//!
//! A scan over tokens, not a parser: it must work on statements that no parser reads, and rather replaces a literal too
//! many than one too few. Replaced by `'<redacted>'` are literals (quoted or hexadecimal)
//!
//! - that follow a name of a secret: a word that holds `password`, `passphrase` or `secret`, or ends in `pwd` or `_auth`, or is
//!   `authentication_string` or `connection`; over `=`, `:=`, `(` and other marks, and all in the parentheses of a function behind
//!   one: `PASSWORD('…')`, `MASTER_PASSWORD = '…'`, the option `PASSWORD '…'` of `CREATE SERVER`, `CONNECTION='mysql://…'`,
//!   and a comparison `password = '…'` too;
//! - that follow `BY`, `AS`, `USING` or `REPLACE` after `IDENTIFIED` (every form of `CREATE USER`, `ALTER USER`, `GRANT`);
//! - that follow `=`, `TO` or `REPLACE` after `SET PASSWORD`, wherever in a routine or block that is;
//! - that say one of these words themselves, in a statement that is about no rows: SQL text (`PREPARE … FROM '…'`, `EXECUTE
//!   IMMEDIATE '…'`, `SET @x = '…'`), and the options of tables on other servers (`COMMENT`, `OPTION_LIST`).
//!
//! Not seen: a secret in a prepared statement's parameter, in data (`INSERT … VALUES ('…')`), in what a query makes a text of
//! (`SELECT '…' INTO @x`), put together of pieces (`CONCAT('…', '…')`) or as the argument of a function whose name does not say so.

use std::borrow::Cow;
use std::ops::Range;

mod scan;
#[cfg(test)]
mod tests;
mod token;

use scan::Scan;
use token::{Reading, Tokens};

const REDACTED: &[u8] = b"'<redacted>'";

/// How a server reads quotes: what of `sql_mode` decides where a literal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quoting {
    /// `NO_BACKSLASH_ESCAPES`
    pub no_backslash_escapes: bool,
    /// `ANSI_QUOTES`
    pub ansi_quotes: bool,
}

/// `sql` with its secrets replaced; borrowed when there are none. Where nobody knows how the server reads quotes, what is a secret
/// in any reading is replaced.
#[must_use]
pub fn sql(sql: &[u8], quoting: Option<Quoting>) -> Cow<'_, [u8]> {
    // Most statements end here, so it must be quick.
    if !names_secret(sql) {
        return Cow::Borrowed(sql);
    }
    let secrets = secrets(sql, quoting);
    if secrets.is_empty() {
        return Cow::Borrowed(sql);
    }
    let mut kept = Vec::with_capacity(sql.len());
    let mut from = 0;
    for secret in secrets {
        kept.extend_from_slice(sql.get(from..secret.start).unwrap_or_default());
        kept.extend_from_slice(REDACTED);
        from = secret.end;
    }
    kept.extend_from_slice(sql.get(from..).unwrap_or_default());
    Cow::Owned(kept)
}

/// Whether a word that announces a secret is in the text, in any case.
fn names_secret(text: &[u8]) -> bool {
    let is_at = |at: usize, word: &[u8]| {
        text.get(at..).and_then(|rest| rest.get(..word.len())).is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    text.iter().enumerate().any(|(at, &byte)| match byte {
        b'p' | b'P' => is_at(at, b"password") || is_at(at, b"pwd") || is_at(at, b"passphrase"),
        b'i' | b'I' => is_at(at, b"identified"),
        b's' | b'S' => is_at(at, b"secret"),
        b'c' | b'C' => is_at(at, b"connection"),
        b'a' | b'A' => is_at(at, b"authentication_string"),
        b'_' => is_at(at, b"_auth"),
        _ => false,
    })
}

/// Where secrets are, in order and apart from each other.
fn secrets(sql: &[u8], quoting: Option<Quoting>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for reading in readings(sql, quoting) {
        let mut scan = Scan::default();
        for (kind, range) in Tokens::new(sql, reading) {
            if scan.take(kind, sql.get(range.clone()).unwrap_or_default()) {
                found.push(range);
            }
        }
    }
    found.sort_unstable_by_key(|range| range.start);
    found.dedup_by(|next, before| {
        let overlaps = next.start < before.end;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
    found
}

/// The ways in which a server may read a text. Whether it runs what is in `/*! … */` depends on its version.
fn readings(sql: &[u8], quoting: Option<Quoting>) -> impl Iterator<Item = Reading> {
    let has = |part: &[u8]| sql.windows(part.len()).any(|found| found == part);
    let either = |known: Option<bool>, matters: bool| match known {
        Some(known) => (known, known),
        None => (false, matters),
    };
    let escapes = either(quoting.map(|quoting| quoting.no_backslash_escapes), has(b"\\"));
    let quotes = either(quoting.map(|quoting| quoting.ansi_quotes), has(b"\""));
    let skips = (false, has(b"/*!") || has(b"/*M!"));
    both(escapes).flat_map(move |no_backslash_escapes| {
        both(quotes).flat_map(move |ansi_quotes| {
            let quoting = Quoting { no_backslash_escapes, ansi_quotes };
            both(skips).map(move |skips_executable| Reading { quoting, skips_executable })
        })
    })
}

/// The two, or the one that both are.
fn both((one, other): (bool, bool)) -> impl Iterator<Item = bool> {
    std::iter::once(one).chain((other != one).then_some(other))
}

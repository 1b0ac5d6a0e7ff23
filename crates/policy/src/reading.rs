//! What decides how the server reads a text: its family and version, and the modes of the session.

use crate::builtins::{is_known_charset, is_safe_sql_mode};
use crate::context::{Context, Flavour};

/// How the lexer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) flavour: Flavour,
    /// As in executable comments; 0 when it is not known.
    pub(crate) version: u32,
    pub(crate) ansi_quotes: bool,
    pub(crate) backslash_escapes: bool,
    pub(crate) ignore_space: bool,
    /// The text is `utf8mb4` or `utf8mb3` to the server.
    pub(crate) utf8: bool,
}

impl Reading {
    pub(crate) fn of(context: &Context<'_>) -> Self {
        Self {
            flavour: context.flavour,
            version: context.version,
            ansi_quotes: context.ansi_quotes,
            backslash_escapes: !context.no_backslash_escapes,
            ignore_space: context.ignore_space,
            utf8: context.utf8,
        }
    }
}

/// The modes of an `sql_mode` that decide how text is read; all others leave it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modes {
    pub no_backslash_escapes: bool,
    pub ansi_quotes: bool,
    pub pipes_as_concat: bool,
    pub ignore_space: bool,
    pub high_not_precedence: bool,
}

/// What a statement sets of how later texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReadingSet {
    pub(crate) modes: Option<Modes>,
    /// Whether later texts are UTF-8 to the server.
    pub(crate) utf8: Option<bool>,
    /// It sets something that only the server knows.
    pub(crate) unknown: bool,
}

impl ReadingSet {
    /// Whether texts may read otherwise afterwards.
    pub(crate) fn changes(&self, context: &Context<'_>) -> bool {
        self.unknown
            || self.modes.is_some_and(|modes| modes != Modes::of(context))
            || self.utf8.is_some_and(|utf8| utf8 != context.utf8)
    }
}

impl Modes {
    pub(crate) fn of(context: &Context<'_>) -> Self {
        Self {
            no_backslash_escapes: context.no_backslash_escapes,
            ansi_quotes: context.ansi_quotes,
            pipes_as_concat: context.pipes_as_concat,
            ignore_space: context.ignore_space,
            high_not_precedence: context.high_not_precedence,
        }
    }

    /// Reads the value of `sql_mode`, as the server prints it or a statement writes it: names separated by commas, in any case.
    ///
    /// # Errors
    /// The first mode that is not known to leave the grammar as analysis knows it (`ORACLE`, `MSSQL`, one of a newer server).
    pub fn parse(sql_mode: &str) -> Result<Self, &str> {
        let mut modes = Self::default();
        for mode in sql_mode.split(',').filter(|mode| !mode.is_empty()) {
            match mode.to_ascii_uppercase().as_str() {
                "NO_BACKSLASH_ESCAPES" => modes.no_backslash_escapes = true,
                "ANSI_QUOTES" => modes.ansi_quotes = true,
                "PIPES_AS_CONCAT" => modes.pipes_as_concat = true,
                "IGNORE_SPACE" => modes.ignore_space = true,
                "HIGH_NOT_PRECEDENCE" => modes.high_not_precedence = true,
                // The name for these three; what else it does is not about reading (manual, "Combination SQL Modes").
                "ANSI" => {
                    modes.pipes_as_concat = true;
                    modes.ansi_quotes = true;
                    modes.ignore_space = true;
                }
                _ if is_safe_sql_mode(mode) => {}
                _ => return Err(mode),
            }
        }
        Ok(modes)
    }
}

/// The version in a server's greeting as executable comments write it: `10.11.14-MariaDB` is 101114, `9.7.0` is 90700.
/// MariaDB 10 puts `5.5.5-` in front.
///
/// A configuration may have the server say another than it is: only an answer to an executable comment proves it.
pub fn version_number(version: &str, flavour: Flavour) -> Option<u32> {
    let version = match flavour {
        Flavour::MariaDb => version.strip_prefix("5.5.5-").unwrap_or(version),
        Flavour::MySql => version,
    };
    let mut parts = version.splitn(3, '.');
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: u32 = parts.next()?.parse().ok()?;
    let last = parts.next()?;
    let end = last.find(|c: char| !c.is_ascii_digit()).unwrap_or(last.len());
    let patch: u32 = last.get(..end)?.parse().ok()?;
    (major < 100 && minor < 100 && patch < 100).then_some(major * 10_000 + minor * 100 + patch)
}

/// Whether a character set is UTF-8 to the server.
pub fn is_utf8_charset(name: &str) -> bool {
    is_known_charset(name) && name.starts_with("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_executable_comments() {
        for (version, flavour, number) in [
            ("5.5.5-10.11.14-MariaDB-0+deb12u2", Flavour::MariaDb, Some(101_114)),
            ("11.4.2-MariaDB", Flavour::MariaDb, Some(110_402)),
            ("9.7.4-2", Flavour::MySql, Some(90_704)),
            ("8.0.36", Flavour::MySql, Some(80_036)),
            ("5.7.100", Flavour::MySql, None),
            ("8.0", Flavour::MySql, None),
            ("proxy", Flavour::MySql, None),
        ] {
            assert_eq!(version_number(version, flavour), number, "{version}");
        }
    }

    #[test]
    fn modes_are_known_or_refused() {
        assert_eq!(Modes::parse("STRICT_TRANS_TABLES,NO_ZERO_DATE"), Ok(Modes::default()));
        assert_eq!(Modes::parse(""), Ok(Modes::default()));
        assert!(Modes::parse("ansi_quotes").unwrap().ansi_quotes);
        assert!(Modes::parse("REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI").unwrap().ignore_space);
        assert_eq!(Modes::parse("ANSI_QUOTES,ORACLE"), Err("ORACLE"));
        assert_eq!(Modes::parse("NEXT_YEARS_MODE"), Err("NEXT_YEARS_MODE"));
    }
}

//! Secrets that SQL statements carry, replaced before they are recorded.
//!
//! A scan over tokens, not a parser: it must work on statements that no parser reads, and rather replaces a literal too
//! many than one too few. Replaced by `'<redacted>'` are literals (quoted or hexadecimal)
//!
//! - that follow a word ending in `PASSWORD`, over `=`, `:=` and `(`: `PASSWORD('…')`, `MASTER_PASSWORD = '…'`, the option
//!   `PASSWORD '…'` of `CREATE SERVER`, and a comparison `password = '…'` too;
//! - that follow `BY`, `AS`, `USING` or `REPLACE` after `IDENTIFIED` (every form of `CREATE USER`, `ALTER USER`, `GRANT`);
//! - that follow `=`, `TO` or `REPLACE` after `SET PASSWORD`;
//! - that are SQL text themselves (`PREPARE … FROM '…'`, `EXECUTE IMMEDIATE '…'`, `SET @x = '…'`) and say `identified` or
//!   `password`.
//!
//! Not seen: a secret in a prepared statement's parameter or in data (`INSERT … VALUES ('…')`).

use std::borrow::Cow;
use std::ops::Range;

mod token;

use token::{Kind, Tokens};

const REDACTED: &[u8] = b"'<redacted>'";

/// `sql` with its secrets replaced; borrowed when there are none.
#[must_use]
pub fn sql(sql: &[u8]) -> Cow<'_, [u8]> {
    // Most statements end here, so it must be quick.
    if !mentions_secret(sql) {
        return Cow::Borrowed(sql);
    }
    let secrets = secrets(sql);
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

/// Whether one of the two words that announce a secret is in the text.
fn mentions_secret(text: &[u8]) -> bool {
    contains_word(text, b"password") || contains_word(text, b"identified")
}

/// Whether `word`, given in lower case, is in the text in any case.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let Some(&first) = word.first() else { return false };
    text.iter().enumerate().any(|(at, &byte)| {
        byte | 0x20 == first && text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

fn without_backticks(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"`").and_then(|word| word.strip_suffix(b"`")).unwrap_or(word)
}

/// What the tokens so far say about a literal that would come next.
#[derive(Default)]
struct Scan {
    first: Word,
    previous: Word,
    /// The literal that comes next is a secret.
    expected: bool,
    identified: bool,
    set_password: bool,
}

/// The words that matter.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    #[default]
    None,
    Set,
    SqlTextFollows,
    Identified,
    /// Ends in `password`.
    Password,
    /// `BY`, `AS`, `USING`, `REPLACE`, `TO`: what follows may be a secret, if the statement is about one.
    Announces,
    Other,
}

impl Word {
    fn of(text: &[u8]) -> Self {
        let is = |words: &[&[u8]]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        let ends_in_password = text
            .len()
            .checked_sub(8)
            .and_then(|at| text.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(b"password"));
        match text {
            _ if ends_in_password => Self::Password,
            _ if is(&[b"identified"]) => Self::Identified,
            _ if is(&[b"by", b"as", b"using", b"replace", b"to"]) => Self::Announces,
            _ if is(&[b"set"]) => Self::Set,
            _ if is(&[b"prepare", b"execute"]) => Self::SqlTextFollows,
            _ => Self::Other,
        }
    }
}

fn secrets(sql: &[u8]) -> Vec<Range<usize>> {
    let mut scan = Scan::default();
    let mut found = Vec::new();
    for (kind, range) in Tokens::new(sql) {
        let text = sql.get(range.clone()).unwrap_or_default();
        if scan.take(kind, text) {
            found.push(range);
        }
    }
    found
}

impl Scan {
    /// Takes the next token; whether it is a secret.
    fn take(&mut self, kind: Kind, text: &[u8]) -> bool {
        match kind {
            Kind::Word => {
                self.word(Word::of(without_backticks(text)));
                false
            }
            // `'a' 'b'` is one literal: what follows a secret literal is still part of it.
            Kind::Literal => self.expected || (self.holds_sql() && mentions_secret(text)),
            Kind::Mark => {
                self.mark(text);
                false
            }
        }
    }

    fn word(&mut self, word: Word) {
        if self.first == Word::None {
            self.first = word;
        }
        match word {
            Word::Identified => self.identified = true,
            Word::Password => self.set_password |= self.previous == Word::Set && self.first == Word::Set,
            _ => {}
        }
        self.expected = match word {
            Word::Password => true,
            Word::Announces => self.identified || self.set_password,
            _ => false,
        };
        self.previous = word;
    }

    fn mark(&mut self, text: &[u8]) {
        match text {
            b";" => *self = Self::default(),
            b"=" if self.set_password => self.expected = true,
            b"=" | b":" | b"(" => {}
            _ => self.expected = false,
        }
    }

    /// Whether a literal in this statement may be SQL text.
    fn holds_sql(&self) -> bool {
        matches!(self.first, Word::Set | Word::SqlTextFollows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statement: &str, expected: &str) {
        let redacted = sql(statement.as_bytes());
        assert_eq!(String::from_utf8_lossy(&redacted), expected);
    }

    #[track_caller]
    fn check_kept(statement: &str) {
        assert!(matches!(sql(statement.as_bytes()), Cow::Borrowed(_)), "{statement} was changed");
    }

    #[test]
    fn passwords_of_accounts_are_replaced_and_names_are_not() {
        check("CREATE USER 'a'@'%' IDENTIFIED BY 's3cret'", "CREATE USER 'a'@'%' IDENTIFIED BY '<redacted>'");
        check(
            "create user a identified by 'x', 'b'@'h' identified by \"y\" require x509",
            "create user a identified by '<redacted>', 'b'@'h' identified by '<redacted>' require x509",
        );
        check(
            "GRANT ALL ON *.* TO 'a'@'%' IDENTIFIED BY 'x'",
            "GRANT ALL ON *.* TO 'a'@'%' IDENTIFIED BY '<redacted>'",
        );
        check("ALTER USER a IDENTIFIED BY PASSWORD '*0F'", "ALTER USER a IDENTIFIED BY PASSWORD '<redacted>'");
        check(
            "ALTER USER a IDENTIFIED WITH 'caching_sha2_password' BY 'new' REPLACE 'old' RETAIN CURRENT PASSWORD",
            "ALTER USER a IDENTIFIED WITH 'caching_sha2_password' BY '<redacted>' REPLACE '<redacted>' RETAIN CURRENT PASSWORD",
        );
        check(
            "CREATE USER a IDENTIFIED WITH caching_sha2_password AS 0x24412430",
            "CREATE USER a IDENTIFIED WITH caching_sha2_password AS '<redacted>'",
        );
        check(
            "CREATE USER a IDENTIFIED WITH caching_sha2_password AS X'2441'",
            "CREATE USER a IDENTIFIED WITH caching_sha2_password AS '<redacted>'",
        );
        check(
            "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('x') OR unix_socket",
            "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('<redacted>') OR unix_socket",
        );
    }

    #[test]
    fn set_password_and_options_are_replaced() {
        check("SET PASSWORD = 'x'", "SET PASSWORD = '<redacted>'");
        check(
            "SET PASSWORD FOR 'bob'@'%' = 'x' REPLACE 'y'",
            "SET PASSWORD FOR 'bob'@'%' = '<redacted>' REPLACE '<redacted>'",
        );
        check("SET PASSWORD FOR bob=OLD_PASSWORD('x')", "SET PASSWORD FOR bob=OLD_PASSWORD('<redacted>')");
        check("SET PASSWORD FOR 'bob'@'%' TO 'x'", "SET PASSWORD FOR 'bob'@'%' TO '<redacted>'");
        check(
            "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD = 'x', MASTER_PORT=3306",
            "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD = '<redacted>', MASTER_PORT=3306",
        );
        check(
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'x', PORT 1)",
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD '<redacted>', PORT 1)",
        );
        check(
            "UPDATE mysql.user SET `Password` = 'x' WHERE User = 'a'",
            "UPDATE mysql.user SET `Password` = '<redacted>' WHERE User = 'a'",
        );
        check(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='r', SOURCE_PASSWORD='x', SOURCE_SSL_KEY='k.pem' FOR CHANNEL 'c'",
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='r', SOURCE_PASSWORD='<redacted>', SOURCE_SSL_KEY='k.pem' FOR CHANNEL 'c'",
        );
        check("START REPLICA USER = 'r' PASSWORD = 'x'", "START REPLICA USER = 'r' PASSWORD = '<redacted>'");
        check(
            "START GROUP_REPLICATION USER='r', PASSWORD='x'",
            "START GROUP_REPLICATION USER='r', PASSWORD='<redacted>'",
        );
        check(
            "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY 'x'",
            "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY '<redacted>'",
        );
        check("ALTER SERVER s OPTIONS (PASSWORD 'x')", "ALTER SERVER s OPTIONS (PASSWORD '<redacted>')");
        check("SELECT PASSWORD(_utf8mb4'x')", "SELECT PASSWORD('<redacted>')");
    }

    #[test]
    fn quotes_comments_and_cuts_do_not_hide_a_secret() {
        check(r"SET PASSWORD = 'a\'b''c'", "SET PASSWORD = '<redacted>'");
        check("SET PASSWORD = 'a' 'b'", "SET PASSWORD = '<redacted>' '<redacted>'");
        check(
            "ALTER USER a IDENTIFIED /* ' */ BY -- '\n 'x'",
            "ALTER USER a IDENTIFIED /* ' */ BY -- '\n '<redacted>'",
        );
        check("ALTER USER a IDENTIFIED # '\nBY 'x'", "ALTER USER a IDENTIFIED # '\nBY '<redacted>'");
        check("/*!50000 ALTER USER a IDENTIFIED BY 'x' */", "/*!50000 ALTER USER a IDENTIFIED BY '<redacted>' */");
        check("ALTER USER a IDENTIFIED BY 'unfinished", "ALTER USER a IDENTIFIED BY '<redacted>'");
        check("SELECT 1; SET PASSWORD = 'x'; SELECT 'y'", "SELECT 1; SET PASSWORD = '<redacted>'; SELECT 'y'");
        check(r"PREPARE p FROM 'ALTER USER a IDENTIFIED BY \'x\''", "PREPARE p FROM '<redacted>'");
        check("SET @s = 'SET PASSWORD = ''x'''", "SET @s = '<redacted>'");
    }

    #[test]
    fn statements_without_secrets_are_borrowed_unchanged() {
        check_kept("SELECT * FROM orders WHERE state = 'open'");
        check_kept("SELECT 'identified by' AS phrase, name FROM users");
        check_kept("INSERT INTO notes VALUES ('my password is not here')");
        check_kept("SELECT password FROM users WHERE name = 'bob'");
        check_kept("SELECT `password` FROM `users` WHERE `name` = 'bob'");
        check_kept("");
    }
}

//! Which errors of the server may quote secrets that were replaced in the statements: a syntax error quotes the text from the error on,
//! a duplicate key its value.

use std::collections::BTreeSet;

use portreeve_recording::Command;

use super::Arrived;
use crate::limits::PREPARED_MAX;

/// `ER_PARSE_ERROR`
const PARSE_ERROR: u16 = 1064;

/// What a session's statements had of secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Some statement so far had one: it may be part of a text that is run later (`PREPARE … FROM @x`, a routine).
    any: bool,
    /// The last one, or what it executes, has.
    last: bool,
    /// The last one is to be prepared.
    prepares: bool,
    /// Numbers of those that were prepared and have. What the server forgot without a word has lower ones than what it holds.
    prepared: BTreeSet<u64>,
}

impl Secrets {
    /// Takes note of a command.
    pub(super) fn arrived(&mut self, arrived: &Arrived<'_>) {
        let Self { any, last, prepares, prepared } = self;
        *prepares = arrived.command == Command::Prepare;
        *last = arrived.text.redacted || arrived.prepared.is_some_and(|number| prepared.contains(&number));
        *any |= arrived.text.redacted;
        if arrived.command == Command::Close
            && let Some(number) = arrived.prepared
        {
            prepared.remove(&number);
        }
    }

    /// Whether the message of the answer to statement `number` is not to be recorded; `error` is its code, if it is one.
    pub(super) fn answered(&mut self, number: u64, error: Option<u16>) -> bool {
        if self.last && self.prepares && error.is_none() {
            self.prepared.insert(number);
            if self.prepared.len() > PREPARED_MAX {
                self.prepared.pop_first();
            }
        }
        self.last || (self.any && error == Some(PARSE_ERROR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_recording::Text;

    const DUPLICATE: Option<u16> = Some(1062);

    fn arrive(secrets: &mut Secrets, command: Command, sql: &[u8], prepared: Option<u64>) {
        secrets.arrived(&Arrived { command, prepared, text: Text::of_sql(sql, None), schema: None, parameters: &[] });
    }

    #[test]
    fn messages_of_a_statement_with_a_secret_are_hidden_and_syntax_errors_from_then_on() {
        let mut secrets = Secrets::default();
        arrive(&mut secrets, Command::Query, b"SELECT nonsense", None);
        assert!(!secrets.answered(1, Some(PARSE_ERROR)));
        arrive(&mut secrets, Command::Query, b"SET @s = 'ALTER USER a IDENTIFIED BY \"S\"'", None);
        assert!(secrets.answered(2, DUPLICATE));
        arrive(&mut secrets, Command::Query, b"PREPARE p FROM @s", None);
        assert!(secrets.answered(3, Some(PARSE_ERROR)) && !secrets.answered(3, DUPLICATE));
    }

    #[test]
    fn messages_of_executions_are_hidden_as_those_of_what_they_execute() {
        let mut secrets = Secrets::default();
        for (number, sql, error) in [
            (1, b"UPDATE t SET password = 'S'".as_slice(), None),
            (2, b"UPDATE t SET a = 'S'", None),
            (3, b"UPDATE t SET password = 'S'", DUPLICATE),
        ] {
            arrive(&mut secrets, Command::Prepare, sql, None);
            secrets.answered(number, error);
        }
        for (number, is_hidden) in [(1, true), (2, false), (3, false)] {
            arrive(&mut secrets, Command::Execute, b"", Some(number));
            assert_eq!(secrets.answered(9, DUPLICATE), is_hidden, "{number}");
        }
        arrive(&mut secrets, Command::Close, b"", Some(1));
        assert!(secrets.prepared.is_empty());
    }

    #[test]
    fn no_more_are_kept_than_a_session_can_have() {
        let mut secrets = Secrets::default();
        for number in 0..=PREPARED_MAX as u64 {
            arrive(&mut secrets, Command::Prepare, b"SET PASSWORD = 'S'", None);
            secrets.answered(number, None);
        }
        assert!(secrets.prepared.len() == PREPARED_MAX && !secrets.prepared.contains(&0));
    }
}

//! Reads the body of a stored routine.

use crate::context::Context;
use crate::cursor::Cursor;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

/// Asks for everything that a routine with this body may do, whichever way it takes through it: a single statement, or plain
/// statements between `BEGIN` and `END`. Declarations, conditions, loops and dynamic SQL are not read.
///
/// # Errors
/// Why it was not read.
pub(crate) fn routine_body(reader: &mut Reader<'_>, context: Context<'_>, tokens: &[Token<'_>]) -> Result<(), Unread> {
    let tokens = match tokens.split_last() {
        Some((last, before)) if last.kind == Kind::Semicolon => before,
        _ => tokens,
    };
    let statements = match tokens {
        [first, inside @ .., last] if first.is_word("BEGIN") && last.is_word("END") => inside,
        _ => tokens,
    };
    for statement in statements.split(|token| token.kind == Kind::Semicolon).filter(|part| !part.is_empty()) {
        let mut cursor = Cursor::new(statement);
        if cursor.word("RETURN") {
            reader.nested(context, |inner| inner.returned(cursor.rest()))?;
        } else {
            reader.nested(context, |inner| inner.statement(statement))?;
        }
    }
    Ok(())
}

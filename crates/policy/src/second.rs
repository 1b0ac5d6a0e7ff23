//! A second reader, by sqlparser: no verdict depends on it. Tests and `cargo xtask corpus` hold what the walk finds against what
//! this one finds, so that neither can pass a table by unnoticed.

#[cfg(test)]
mod agreement;
mod data;
mod definition;
mod expression;
mod parse;
mod query;
mod source;

use crate::analysis::tokens_of;
use crate::context::{Context, Names};
use crate::facts::StatementFacts;
use crate::reader::Reader;
use crate::through::Through;
use crate::token::{Kind, Token, Unread};

/// The facts of a text that is one statement of rows or one definition; `None` where the parser does not read it.
#[cfg_attr(not(feature = "second-reader"), allow(unreachable_pub, reason = "public where xtask asks for it"))]
pub fn second_reading(text: &str, context: &Context<'_>) -> Option<StatementFacts> {
    let tokens = tokens_of(text, context).ok()?;
    let tokens = match tokens.split_last() {
        Some((last, before)) if last.kind == Kind::Semicolon => before,
        _ => &tokens,
    };
    if tokens.iter().any(|token| token.kind == Kind::Semicolon) {
        return None;
    }
    let names = Names::of(context);
    let mut reader = Reader::new(names, *context, Through::default());
    let read = stacker::grow(crate::limits::STACK_BYTES, || reader.second(tokens));
    read.ok().map(|()| reader.facts)
}

impl Reader<'_> {
    /// Reads a statement of rows or a definition by the parser.
    ///
    /// # Errors
    /// It is another statement, or one that the parser does not take.
    pub(crate) fn second(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        match tokens.first().is_some_and(|first| first.is_word("CREATE") || first.is_word("ALTER")) {
            true => self.defined_by_parser(tokens),
            false => self.by_parser(tokens),
        }
    }
}

//! From a text to its facts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::action::Action;
use crate::bulk;
use crate::catalogue::{Known, Relation, is_system_schema};
use crate::context::{Context, Names};
use crate::facts::{Facts, Resource, StatementFacts};
use crate::lexer::Lexer;
use crate::limits::{BULK_BYTES_MIN, PARSED_BYTES_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX, TOKENS_MAX};
use crate::reader::Reader;
use crate::through::{Settled, Through};
use crate::token::{Kind, Token, Unread};

/// Finds out what a text does, as the server that `context` describes would read it.
///
/// Never fails and never panics: what cannot be read is a statement with `unparsed`, which asks for the action of that
/// name. Pure: the same text in the same context has the same facts.
pub fn analyse(sql: &[u8], context: &Context<'_>) -> Facts {
    let read = catch_unwind(AssertUnwindSafe(|| read(sql, context)));
    read.unwrap_or_else(|_| Err(Unread::new("analysis failed"))).unwrap_or_else(|Unread(reason)| Facts {
        statements: vec![StatementFacts::unread(reason)],
        schema_after: context.default_schema.map(str::to_owned),
        local_files: Vec::new(),
        kills: None,
    })
}

/// The whole text is unread when any of it cannot be split into statements.
fn read(sql: &[u8], context: &Context<'_>) -> Result<Facts, Unread> {
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Unread::new(format!("longer than {TEXT_BYTES_MAX} bytes")));
    }
    if let Some(why) = context.unreadable {
        return Err(Unread::new(why));
    }
    if context.no_backslash_escapes {
        return Err(Unread::new("the session has NO_BACKSLASH_ESCAPES, which changes where strings end"));
    }
    // Some clients count the terminating zero of a C string.
    let sql = sql.strip_suffix(b"\0").unwrap_or(sql);
    let text = std::str::from_utf8(sql).map_err(|_| Unread::new("the text is not UTF-8"))?;
    if let Some(facts) = read_bulk(text, context).or_else(|| dollar_question(text)) {
        return Ok(Facts {
            statements: vec![facts],
            schema_after: context.default_schema.map(str::to_owned),
            local_files: Vec::new(),
            kills: None,
        });
    }
    if text.len() > PARSED_BYTES_MAX {
        return Err(Unread::new(format!("longer than {PARSED_BYTES_MAX} bytes, and not an INSERT of plain values")));
    }
    statements(&tokens(text, context)?, context)
}

/// What MySQL's own client asks at connect, to learn whether the server takes `$$` for a name (`client/mysql.cc`). The
/// server answers with an error, whichever.
fn dollar_question(text: &str) -> Option<StatementFacts> {
    text.eq_ignore_ascii_case("select $$").then(|| {
        let mut facts = StatementFacts::new(Action::Inspect);
        facts.request(Action::Inspect, Resource::Server);
        facts
    })
}

fn read_bulk(text: &str, context: &Context<'_>) -> Option<StatementFacts> {
    if text.len() < BULK_BYTES_MIN {
        return None;
    }
    let mut facts = bulk::read(text, !context.ansi_quotes, Names { default_schema: context.default_schema })?;
    for request in &facts.requests {
        let Resource::Table { schema, table } = &request.resource else { continue };
        match context.catalogue.relation(schema, table) {
            _ if is_system_schema(schema) => {}
            Known::As(Relation::Table) => {}
            Known::Nothing => facts.has_unknown_names = true,
            // There is more to ask for, which the parser's way does.
            Known::As(Relation::View(_)) | Known::Unknown(_) => return None,
        }
    }
    Some(facts)
}

/// What a statement leaves of the catalogue for those after it in the same text, which are judged before it runs.
fn settled_after(statement: &StatementFacts, makes_view: bool) -> Settled {
    let changes = |action| statement.requests.iter().any(|request| request.action == action);
    let calls = statement.class == Action::Call && statement.changes_definitions;
    match [Action::Rename, Action::CreateRoutine, Action::Unparsed].into_iter().any(changes) || calls {
        true => Settled::NamesChanged,
        false if makes_view => Settled::ViewsMade,
        false => Settled::Unchanged,
    }
}

pub(crate) fn tokens<'a>(text: &'a str, context: &Context<'_>) -> Result<Vec<Token<'a>>, Unread> {
    let mut lexer = Lexer::new(text, !context.ansi_quotes);
    let mut tokens = Vec::with_capacity(64);
    while let Some(token) = lexer.token()? {
        tokens.push(token);
        if tokens.len() > TOKENS_MAX {
            return Err(Unread::new(format!("more than {TOKENS_MAX} tokens")));
        }
    }
    Ok(tokens)
}

fn statements(tokens: &[Token<'_>], context: &Context<'_>) -> Result<Facts, Unread> {
    let parts = tokens.split(|token| token.kind == Kind::Semicolon).filter(|part| !part.is_empty());
    let mut facts = Facts {
        statements: Vec::new(),
        schema_after: context.default_schema.map(str::to_owned),
        local_files: Vec::new(),
        kills: None,
    };
    let mut settled = Settled::Unchanged;
    for part in parts {
        if facts.statements.len() == STATEMENTS_MAX {
            return Err(Unread::new(format!("more than {STATEMENTS_MAX} statements")));
        }
        let names = Names { default_schema: facts.schema_after.as_deref() };
        let mut reader = Reader::new(names, *context, Through::after(settled));
        reader.statement(part);
        let Reader { facts: statement, schema_used, local_file, killed, makes_view, .. } = reader;
        settled = settled.max(settled_after(&statement, makes_view));
        if schema_used.is_some() && context.prepared {
            // MariaDB prepares it, and what an execution leaves selected depends on what was selected before.
            return Err(Unread::new("`USE` in a prepared statement"));
        }
        facts.statements.push(statement);
        facts.local_files.extend(local_file);
        facts.kills = killed;
        if schema_used.is_some() {
            facts.schema_after = schema_used;
        }
    }
    if facts.statements.len() != 1 {
        facts.kills = None;
    }
    if facts.statements.is_empty() {
        return Err(Unread::new("the text holds no statement"));
    }
    Ok(facts)
}

//! From a text to its facts.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::action::Action;
use crate::bulk;
use crate::catalogue::{Known, Relation, is_system_schema};
use crate::context::{Context, Flavour, Names};
use crate::cursor::{Cursor, name_text};
use crate::facts::{Facts, Resource, StatementFacts};
use crate::lexer::{Lexer, MASK};
use crate::limits::{BULK_BYTES_MIN, PARSED_BYTES_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX, TOKENS_MAX};
use crate::reader::Reader;
use crate::reading::Reading;
use crate::through::{Settled, Through};
use crate::token::{Kind, Token, Unread};

/// Finds out what a text does, as the server that `context` describes would read it.
///
/// Never fails and never panics: what cannot be read is a statement with `unparsed`, which asks for the action of that
/// name. Pure: the same text in the same context has the same facts.
pub fn analyse(sql: &[u8], context: &Context<'_>) -> Facts {
    let read = catch_unwind(AssertUnwindSafe(|| read(sql, context)));
    let read = read.unwrap_or_else(|_| Err(Unread::new("analysis failed")));
    read.unwrap_or_else(|Unread(reason)| {
        // What it does to the session, nobody knows.
        Facts { changes_reading: true, ..facts(vec![StatementFacts::unread(reason)], context) }
    })
}

fn facts(statements: Vec<StatementFacts>, context: &Context<'_>) -> Facts {
    Facts {
        statements,
        schema_after: context.default_schema.map(str::to_owned),
        local_files: Vec::new(),
        kills: None,
        canonical: None,
        changes_reading: false,
    }
}

/// The whole text is unread when any of it cannot be split into statements.
fn read(sql: &[u8], context: &Context<'_>) -> Result<Facts, Unread> {
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Unread::new(format!("longer than {TEXT_BYTES_MAX} bytes")));
    }
    if let Some(why) = context.unreadable {
        return Err(Unread::new(why));
    }
    // Some clients count the terminating zero of a C string.
    let sql = sql.strip_suffix(b"\0").unwrap_or(sql);
    let text = text_of(sql)?;
    if let Some(statement) = read_bulk(&text, context).or_else(|| dollar_question(&text)) {
        return Ok(facts(vec![statement], context));
    }
    if text.len() > PARSED_BYTES_MAX {
        return Err(Unread::new(format!("longer than {PARSED_BYTES_MAX} bytes, and not an INSERT of plain values")));
    }
    let reading = Reading::of(context);
    let mut lexer = Lexer::new(&text, reading);
    let tokens = tokens(&mut lexer)?;
    let is_masked = matches!(text, Cow::Owned(_));
    let canonical = canonical(&lexer, &tokens, reading, is_masked)?;
    let read = statements(&tokens, context)?;
    // Of what was not split into statements nothing is written anew.
    Ok(Facts { canonical: canonical.filter(|_| !read.is_partial), ..read.facts })
}

/// The text as the lexer takes it. Where it is not UTF-8, bytes outside ASCII are masked: in every character set that is
/// read, none of them is a quote, a backslash or part of an escape, so that in quotes and comments they are data. What is the
/// mask by itself is read likewise: a control character, data in the same places.
fn text_of(sql: &[u8]) -> Result<Cow<'_, str>, Unread> {
    if let Ok(text) = std::str::from_utf8(sql) {
        return Ok(Cow::Borrowed(text));
    }
    let masked = sql.iter().map(|byte| if byte.is_ascii() { *byte } else { MASK }).collect();
    String::from_utf8(masked).map(Cow::Owned).map_err(|_| Unread::new("the text is not UTF-8"))
}

/// What MySQL's own client asks at connect, to learn whether the server takes `$$` for a name (`client/mysql.cc`). The
/// server answers with an error, whichever.
fn dollar_question(text: &str) -> Option<StatementFacts> {
    text.eq_ignore_ascii_case("select $$")
        .then(|| StatementFacts::of(Action::Inspect, Action::Inspect, Resource::Server))
}

fn read_bulk(text: &str, context: &Context<'_>) -> Option<StatementFacts> {
    // It keeps no names of columns: what is too long for the parser's way is written in every one.
    let names_columns = context.catalogue.knows_columns() && text.len() <= PARSED_BYTES_MAX;
    if text.len() < BULK_BYTES_MIN || names_columns {
        return None;
    }
    let mut facts = bulk::read(text, Reading::of(context), Names::of(context))?;
    for request in &facts.requests {
        let Resource::Table { schema, table } = &request.resource else { continue };
        if is_system_schema(schema) {
            continue;
        }
        facts.asks_catalogue = true;
        match context.catalogue.relation(schema, table) {
            Known::As(Relation::Table) => {}
            Known::Nothing => facts.has_unknown_names = true,
            // There is more to ask for, which the parser's way does.
            Known::As(Relation::View(_)) | Known::Unknown(_) => return None,
        }
    }
    let changes = facts.requests.clone();
    let mut reader = Reader::new(Names::of(context), *context, Through::default());
    reader.facts = facts;
    let read = changes.iter().try_for_each(|change| reader.behind_changes(change.action, &change.resource));
    reader.finish(read);
    Some(reader.facts)
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

/// The tokens of a text that is one of the server's own: a definition, a string that is prepared.
pub(crate) fn tokens_of<'a>(text: &'a str, context: &Context<'_>) -> Result<Vec<Token<'a>>, Unread> {
    tokens(&mut Lexer::new(text, Reading::of(context)))
}

fn tokens<'a>(lexer: &mut Lexer<'a>) -> Result<Vec<Token<'a>>, Unread> {
    let mut tokens = Vec::with_capacity(64);
    while let Some(token) = lexer.token()? {
        tokens.push(token);
        if tokens.len() > TOKENS_MAX {
            return Err(Unread::new(format!("more than {TOKENS_MAX} tokens")));
        }
    }
    Ok(tokens)
}

/// The text to forward in place of the client's. It is read once more: it must be the same statements, and need no other.
fn canonical(
    lexer: &Lexer<'_>,
    tokens: &[Token<'_>],
    reading: Reading,
    is_masked: bool,
) -> Result<Option<String>, Unread> {
    let Some(canonical) = lexer.canonical() else { return Ok(None) };
    if reading.version == 0 {
        return Err(Unread::new("how it reads depends on the server, whose version is not known"));
    }
    if is_masked {
        return Err(Unread::new("the text is not UTF-8, and would have to be written anew"));
    }
    let mut again = Lexer::new(&canonical, reading);
    let read = self::tokens(&mut again)?;
    let same = read.len() == tokens.len() && read.iter().zip(tokens).all(|(ours, theirs)| is_same(ours, theirs));
    match same && !again.is_rewritten() {
        true => Ok(Some(canonical)),
        false => Err(Unread::new("the text reads otherwise when it is written anew")),
    }
}

fn is_same(ours: &Token<'_>, theirs: &Token<'_>) -> bool {
    ours.kind == theirs.kind
        && match ours.kind {
            Kind::Quoted => name_text(ours) == name_text(theirs),
            Kind::Word
            | Kind::String
            | Kind::DoubleString
            | Kind::Number
            | Kind::Hex
            | Kind::UserVariable
            | Kind::SystemVariable
            | Kind::Placeholder
            | Kind::Symbol
            | Kind::Semicolon => ours.text == theirs.text,
        }
}

/// Facts, and whether a part of the text was not split into statements.
struct Read {
    facts: Facts,
    is_partial: bool,
}

fn statements(tokens: &[Token<'_>], context: &Context<'_>) -> Result<Read, Unread> {
    let mut read = Read { facts: facts(Vec::new(), context), is_partial: false };
    let facts = &mut read.facts;
    let mut rest = tokens;
    let mut settled = Settled::Unchanged;
    while let Some(first) = rest.first() {
        if first.kind == Kind::Semicolon {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if facts.statements.len() == STATEMENTS_MAX {
            return Err(Unread::new(format!("more than {STATEMENTS_MAX} statements")));
        }
        // The server reads the rest of the text only when it has run what is before: where statements end may differ.
        read.is_partial |= facts.changes_reading;
        rest = statement(rest, context, facts, &mut settled)?;
        if read.is_partial
            && let Some(last) = facts.statements.last_mut()
        {
            last.unread_for("a statement before it in the text may change how it is read");
        }
    }
    if facts.statements.len() != 1 {
        facts.kills = None;
    }
    if facts.statements.is_empty() {
        // The servers run nothing, and say OK where there was a comment, else that it is empty (1065).
        facts.statements.push(StatementFacts::of(Action::Inspect, Action::Inspect, Resource::Server));
    }
    Ok(read)
}

/// The first statement of `tokens`; gives what follows it.
fn statement<'t, 'a>(
    tokens: &'t [Token<'a>],
    context: &Context<'_>,
    facts: &mut Facts,
    settled: &mut Settled,
) -> Result<&'t [Token<'a>], Unread> {
    let names = Names { default_schema: facts.schema_after.as_deref(), utf8: context.utf8 };
    let mut reader = Reader::new(names, *context, Through::after(*settled));
    reader.through.columns_changed = facts.changes_definitions();
    reader.lists_variables = is_list_of_variables(tokens);
    let rest = reader.first(tokens);
    let Reader { facts: statement, schema_used, local_file, killed, reading_set, makes_view, .. } = reader;
    *settled = (*settled).max(settled_after(&statement, makes_view));
    if schema_used.is_some() && context.prepared {
        // MariaDB prepares it, and what an execution leaves selected depends on what was selected before.
        return Err(Unread::new("`USE` in a prepared statement"));
    }
    let changes = reading_set.changes(context) || statement.unparsed.is_some() || runs_a_text(tokens);
    facts.changes_reading |= changes;
    facts.statements.push(statement);
    if context.flavour == Flavour::MySql
        && prepares_by_mode(tokens)
        && let Some(last) = facts.statements.last_mut()
    {
        last.unread_for("a text to prepare that reads otherwise in another sql_mode");
    }
    facts.local_files.extend(local_file);
    facts.kills = killed;
    if schema_used.is_some() {
        facts.schema_after = schema_used;
    }
    Ok(rest)
}

/// `SELECT @@name, @@name, …` and nothing else: no alias, no expression, no other query's column names.
fn is_list_of_variables(tokens: &[Token<'_>]) -> bool {
    let statement = tokens.split(|token| token.kind == Kind::Semicolon).next().unwrap_or_default();
    let mut cursor = Cursor::new(statement);
    let mut before = cursor.word("SELECT");
    while before && cursor.next_if(|token| token.kind == Kind::SystemVariable).is_some() {
        if cursor.is_at_end() {
            return true;
        }
        before = cursor.symbol(",");
    }
    false
}

/// Whether `PREPARE` is given a text with quotes or backslashes in it. MySQL prepares it anew when a table of its has changed,
/// by the modes of that moment (seen on 9.7): a string becomes a subquery. MariaDB keeps the modes.
fn prepares_by_mode(tokens: &[Token<'_>]) -> bool {
    let statement = tokens.split(|token| token.kind == Kind::Semicolon).next().unwrap_or_default();
    let depends = |token: &Token<'_>| match token.kind {
        Kind::String => token.text.contains(['"', '\\']),
        Kind::DoubleString => token.text.contains('\\') || token.text.contains("\"\""),
        Kind::Word
        | Kind::Quoted
        | Kind::Number
        | Kind::Hex
        | Kind::UserVariable
        | Kind::SystemVariable
        | Kind::Placeholder
        | Kind::Symbol
        | Kind::Semicolon => false,
    };
    statement.first().is_some_and(|first| first.is_word("PREPARE")) && statement.iter().any(depends)
}

/// `EXECUTE …` and `BEGIN NOT ATOMIC …` may hold a `SET`. Routines and triggers may, too, but servers restore modes and
/// character set behind them (seen on MariaDB 10.11 and MySQL 9.7).
fn runs_a_text(part: &[Token<'_>]) -> bool {
    let is = |at: usize, word| part.get(at).is_some_and(|token| token.is_word(word));
    is(0, "EXECUTE") || (is(0, "BEGIN") && is(1, "NOT"))
}

//! Statements about the session: `USE`, transactions, `EXPLAIN`.

use crate::action::Action;
use crate::context::Flavour;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

impl Reader<'_> {
    /// `USE schema`
    pub(crate) fn use_schema(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let schema = cursor.name()?;
        cursor.end()?;
        let resource = self.names.schema(Some(schema.clone()))?;
        self.facts.class = Action::Use;
        self.facts.request(Action::Use, resource);
        self.schema_used = Some(schema);
        Ok(())
    }

    /// `BEGIN`, `START TRANSACTION`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, `RELEASE SAVEPOINT`; `START SLAVE` and its like.
    pub(crate) fn transaction(&mut self, verb: &str, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        match verb {
            "BEGIN" => {
                cursor.word("WORK");
            }
            "START" if cursor.word("TRANSACTION") => start_modes(&mut cursor)?,
            "START" => return self.replication(verb, cursor),
            "SAVEPOINT" => drop(cursor.name()?),
            "RELEASE" => {
                if !cursor.word("SAVEPOINT") {
                    return Err(cursor.unexpected("`SAVEPOINT`"));
                }
                cursor.name()?;
            }
            _ => {
                cursor.word("WORK");
                if verb == "ROLLBACK" && cursor.word("TO") {
                    cursor.word("SAVEPOINT");
                    cursor.name()?;
                } else {
                    completion(&mut cursor);
                }
            }
        }
        cursor.end()?;
        self.whole(Action::Transaction)
    }

    /// What follows `EXPLAIN`, `DESCRIBE`, `DESC`. A plan is asked for on every table, and everything that the explained
    /// statement itself would ask: servers run parts of it to plan it, and show row values of constant tables.
    pub(crate) fn explain(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let analyze = cursor.word("ANALYZE");
        let options = explain_options(&mut cursor)?;
        if starts_data(cursor.peek()) {
            return self.explained(analyze, cursor.rest());
        }
        if cursor.words(&["FOR", "CONNECTION"]) {
            cursor.need_kind(&[Kind::Number], "a connection")?;
            cursor.end()?;
            return self.whole(Action::Processlist);
        }
        if analyze || options {
            return Err(cursor.unexpected("the statement to explain"));
        }
        let name = cursor.qualified_name()?;
        cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted | Kind::String | Kind::DoubleString));
        cursor.end()?;
        self.facts.class = Action::Show;
        self.table(Action::Show, name)
    }

    /// What follows `ANALYZE`: MariaDB's `[FORMAT=JSON] statement`, which runs it; `TABLE t`, which gathers statistics.
    pub(crate) fn analyze(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let table = cursor.is_one_of_at(0, &["TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"]);
        if table || self.flavour == Flavour::MySql {
            return self.maintain("ANALYZE", cursor);
        }
        explain_options(&mut cursor)?;
        if !starts_data(cursor.peek()) {
            return Err(cursor.unexpected("the statement to analyze"));
        }
        self.explained(true, cursor.rest())
    }

    fn explained(&mut self, runs: bool, statement: &[Token<'_>]) -> Result<(), Unread> {
        self.rows(statement)?;
        let mut resources: Vec<_> = self.facts.requests.iter().map(|request| request.resource.clone()).collect();
        if resources.iter().any(|resource| matches!(resource, Resource::Table { .. })) {
            resources.retain(|resource| matches!(resource, Resource::Table { .. }));
        }
        for resource in resources {
            let resource = match resource {
                Resource::Server | Resource::Table { .. } => resource,
                Resource::Schema(_) | Resource::Routine { .. } | Resource::Column { .. } => Resource::Server,
            };
            self.facts.request(Action::Explain, resource);
        }
        if !runs {
            self.facts.class = Action::Explain;
        }
        Ok(())
    }
}

fn start_modes(cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
    while !cursor.is_at_end() {
        let mode = cursor.words(&["WITH", "CONSISTENT", "SNAPSHOT"])
            || cursor.words(&["READ", "ONLY"])
            || cursor.words(&["READ", "WRITE"]);
        if !mode {
            return Err(cursor.unexpected("a transaction mode"));
        }
        if !cursor.symbol(",") {
            break;
        }
    }
    Ok(())
}

/// `[AND [NO] CHAIN] [[NO] RELEASE]`
fn completion(cursor: &mut Cursor<'_, '_>) {
    if !cursor.words(&["AND", "NO", "CHAIN"]) {
        cursor.words(&["AND", "CHAIN"]);
    }
    if !cursor.words(&["NO", "RELEASE"]) {
        cursor.word("RELEASE");
    }
}

/// Whether there were any.
fn explain_options(cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
    let mut any = false;
    loop {
        let format = *cursor;
        if cursor.word("FORMAT") {
            let equals = cursor.symbol("=");
            if !equals && !starts_data(format.rest().get(2)) {
                // `DESCRIBE format`: a table of that name.
                *cursor = format;
                return Ok(any);
            }
            if cursor.one_of(&["TRADITIONAL", "JSON", "TREE"]).is_none() {
                cursor.string()?;
            }
        } else if !(starts_data(cursor.rest().get(1)) && cursor.one_of(&["EXTENDED", "PARTITIONS"]).is_some()) {
            return Ok(any);
        }
        any = true;
    }
}

fn starts_data(token: Option<&Token<'_>>) -> bool {
    const VERBS: [&str; 8] = ["SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"];
    token.is_some_and(|token| token.is_symbol("(") || VERBS.iter().any(|verb| token.is_word(verb)))
}

//! A statement as a row: the columns that exports have, and JSON for a statement.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use portreeve_policy::{Facts, Resource};
use portreeve_recording::ErrorText;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{About, Analyses, Asks, Exchange, filter::schema_and_name};
use crate::cli::render::{text, time};

/// A statement with all that is known of it.
#[derive(Debug)]
pub(in crate::cli) struct Row<'a> {
    pub(in crate::cli) about: &'a About,
    pub(in crate::cli) exchange: &'a Exchange,
    facts: Option<Rc<Facts>>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Text,
    Number,
    Flag,
    /// Nanoseconds since 1970 UTC.
    Time,
    List,
}

/// A value. What it may be is its column's kind.
#[derive(Debug)]
pub(in crate::cli) enum Cell<'a> {
    None,
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    Time(u64),
    List(Vec<Cow<'a, str>>),
}

/// One column.
#[derive(Debug)]
pub(in crate::cli) struct Column {
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) kind: Kind,
    pub(in crate::cli) of: for<'a> fn(&'a Row<'_>) -> Cell<'a>,
}

const fn column(name: &'static str, kind: Kind, of: for<'a> fn(&'a Row<'_>) -> Cell<'a>) -> Column {
    Column { name, kind, of }
}

/// The columns, in order; `docs/recordings.md` promises that they stay.
pub(in crate::cli) const COLUMNS: &[Column] = &[
    column("at", Kind::Time, |row| Cell::Time(row.exchange.at_unix_ns)),
    column("session", Kind::Text, |row| Cell::Text(row.about.id.to_string().into())),
    column("workload", Kind::Text, |row| maybe(row.about.workload.as_deref())),
    column("groups", Kind::List, |row| list(&row.about.groups)),
    column("server", Kind::Text, |row| maybe(row.about.server.as_deref())),
    column("credential", Kind::Text, |row| maybe(row.about.credential.as_deref())),
    column("user", Kind::Text, |row| maybe(row.about.user.as_deref())),
    column("client_address", Kind::Text, |row| Cell::Text(row.about.client_address.as_str().into())),
    column("original_destination", Kind::Text, |row| Cell::Text(row.about.original_destination.as_str().into())),
    column("pid", Kind::Number, |row| Cell::Number(row.about.pid.into())),
    column("uid", Kind::Number, |row| Cell::Number(row.about.uid.into())),
    column("comm", Kind::Text, |row| Cell::Text(row.about.comm.as_str().into())),
    column("number", Kind::Number, |row| Cell::Number(row.exchange.statement.number)),
    column("command", Kind::Text, |row| Cell::Text(text::command(row.exchange.statement.command))),
    column("schema", Kind::Text, |row| maybe(row.exchange.statement.schema.as_deref())),
    column("sql", Kind::Text, |row| Cell::Text(String::from_utf8_lossy(row.exchange.text().kept()))),
    column("sql_length", Kind::Number, |row| Cell::Number(row.exchange.text().length)),
    column("truncated", Kind::Flag, |row| Cell::Flag(row.exchange.text().truncated)),
    column("redacted", Kind::Flag, |row| Cell::Flag(row.exchange.text().redacted)),
    column("parameters", Kind::List, |row| {
        let parameters = row.exchange.statement.parameters.iter();
        Cell::List(parameters.map(|text| String::from_utf8_lossy(text.kept())).collect())
    }),
    column("decision", Kind::Text, |row| {
        maybe(row.exchange.verdict.as_ref().map(|verdict| text::decision(verdict.decision)))
    }),
    column("class", Kind::Text, |row| maybe(row.exchange.verdict.as_ref().map(|verdict| &*verdict.class))),
    column("policies", Kind::List, |row| row.exchange.verdict.as_ref().map_or(Cell::None, |of| list(&of.policies))),
    column("reason", Kind::Text, |row| maybe(row.exchange.verdict.as_ref().map(|verdict| &*verdict.reason))),
    column("tables", Kind::List, |row| Cell::List(row.tables().into_iter().map(Cow::Owned).collect())),
    column("forwarded", Kind::Text, |row| {
        row.exchange.forwarded.as_ref().map_or(Cell::None, |text| Cell::Text(String::from_utf8_lossy(text.kept())))
    }),
    column("rows", Kind::Number, |row| number(row, |response| response.rows)),
    column("affected_rows", Kind::Number, |row| number(row, |response| response.affected_rows)),
    column("last_insert_id", Kind::Number, |row| number(row, |response| response.last_insert_id)),
    column("warnings", Kind::Number, |row| number(row, |response| response.warnings.into())),
    column("bytes", Kind::Number, |row| number(row, |response| response.bytes)),
    column("error_code", Kind::Number, |row| row.error().map_or(Cell::None, |error| Cell::Number(error.code.into()))),
    column("error_sqlstate", Kind::Text, |row| maybe(row.error().map(|error| &*error.sqlstate))),
    column("error_message", Kind::Text, |row| maybe(row.error().map(|error| &*error.message))),
    column("first_byte_ns", Kind::Number, |row| number(row, |response| response.first_byte_ns)),
    column("duration_ns", Kind::Number, |row| number(row, |response| response.duration_ns)),
    column("abandoned", Kind::Text, |row| maybe(row.exchange.abandoned.as_ref().map(|left| &*left.detail))),
];

impl<'a> Row<'a> {
    pub(in crate::cli) fn new(about: &'a About, exchange: &'a Exchange, analyses: &mut Analyses) -> Self {
        let facts = match exchange.asks() {
            // What is recorded is more: it was found with the server's catalogue.
            _ if exchange.facts.is_some() => None,
            Asks::Text { sql, schema, prepared } => analyses.of(about, sql, schema, prepared).ok(),
            Asks::Command(..) | Asks::Unknown(_) | Asks::Nothing => None,
        };
        Self { about, exchange, facts }
    }

    /// `schema.table` of each table (or routine) that the policies were asked about; where that is not recorded, of each table that
    /// the text names, as far as it was read.
    pub(in crate::cli) fn tables(&self) -> BTreeSet<String> {
        if let Some(facts) = &self.exchange.facts {
            let named = facts.resources.iter().filter_map(|id| schema_and_name(id));
            return named.map(|(schema, name)| format!("{schema}.{name}")).collect();
        }
        let statements = self.facts.iter().flat_map(|facts| &facts.statements);
        let tables =
            statements.flat_map(|statement| &statement.requests).filter_map(|request| match &request.resource {
                Resource::Table { schema, table } => Some(format!("{schema}.{table}")),
                Resource::Server | Resource::Schema(_) | Resource::Routine { .. } | Resource::Column { .. } => None,
            });
        tables.collect()
    }

    pub(in crate::cli) fn error(&self) -> Option<&ErrorText<'static>> {
        self.exchange.response.as_ref().and_then(|response| response.error.as_ref())
    }
}

fn maybe(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::None, |text| Cell::Text(text.into()))
}

fn list(names: &[String]) -> Cell<'_> {
    Cell::List(names.iter().map(|name| name.as_str().into()).collect())
}

fn number<'a>(row: &'a Row<'_>, of: impl FnOnce(&portreeve_recording::Response<'_>) -> u64) -> Cell<'a> {
    row.exchange.response.as_ref().map_or(Cell::None, |response| Cell::Number(of(response)))
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COLUMNS.len()))?;
        for column in COLUMNS {
            map.serialize_entry(column.name, &(column.of)(self))?;
        }
        map.end()
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Time(unix_ns) => serializer.serialize_str(&time(*unix_ns, 9)),
            Self::List(texts) => serializer.collect_seq(texts),
        }
    }
}

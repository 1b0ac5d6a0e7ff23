//! Which columns of a table a statement reads or writes.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Resource, StatementFacts};
use crate::action::Action;

/// The columns of one table that are read (`select`) or written (`insert`, `replace`, `load`, `update`).
///
/// What an `UPDATE` or `DELETE` reads is here without a request to select: on tables, that is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnsOf {
    pub action: Action,
    pub schema: String,
    pub table: String,
    pub columns: Columns,
}

/// Some columns, or every one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// These, in lower case, and no others.
    Named(BTreeSet<String>),
    /// Every column, or it is not known which: why.
    Every(&'static str),
}

/// One column, or every one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Named(String),
    Every(&'static str),
}

/// Whether something is done so to columns.
pub(crate) const fn is_of_columns(action: Action) -> bool {
    matches!(action, Action::Select | Action::Insert | Action::Update | Action::Replace | Action::Load)
}

pub(super) fn find<'c>(
    all: &'c mut [ColumnsOf],
    action: Action,
    schema: &str,
    table: &str,
) -> Option<&'c mut ColumnsOf> {
    all.iter_mut().find(|of| of.action == action && of.schema == schema && of.table == table)
}

impl StatementFacts {
    /// Asks for one thing more, of which the columns are told by [`column`](Self::column): none until then, unless it was asked
    /// for in every column before.
    pub(crate) fn request_columns(&mut self, action: Action, resource: Resource) {
        let is_asked = self.requests.iter().any(|request| request.action == action && request.resource == resource);
        if let (Resource::Table { schema, table }, true, false) = (&resource, is_of_columns(action), is_asked)
            && find(&mut self.columns, action, schema, table).is_none()
        {
            let (schema, table) = (schema.clone(), table.clone());
            self.columns.push(ColumnsOf { action, schema, table, columns: Columns::Named(BTreeSet::new()) });
        }
        self.ask(action, resource);
    }

    /// Notes that a column of a table is read or written.
    pub(crate) fn column(&mut self, action: Action, schema: &str, table: &str, column: &Column) {
        let Some(of) = find(&mut self.columns, action, schema, table) else {
            let is_asked = |asked: &super::Request| match &asked.resource {
                Resource::Table { schema: of, table: name } => asked.action == action && of == schema && name == table,
                Resource::Server | Resource::Schema(_) | Resource::Routine { .. } | Resource::Column { .. } => false,
            };
            // What is asked for without a list is asked for in every column.
            if !self.requests.iter().any(is_asked) {
                let columns = match column {
                    Column::Named(name) => Columns::Named([name.clone()].into()),
                    Column::Every(why) => Columns::Every(why),
                };
                self.columns.push(ColumnsOf { action, schema: schema.to_owned(), table: table.to_owned(), columns });
            }
            return;
        };
        match (&mut of.columns, column) {
            (Columns::Named(names), Column::Named(name)) if names.contains(name) => {}
            (Columns::Named(names), Column::Named(name)) => {
                names.insert(name.clone());
            }
            (Columns::Named(_), Column::Every(why)) => of.columns = Columns::Every(why),
            (Columns::Every(_), Column::Named(_) | Column::Every(_)) => {}
        }
    }

    /// The columns that a request on a table is about; none where it is every one, for no other reason than that it says so.
    pub(crate) fn columns_of(&self, action: Action, schema: &str, table: &str) -> Option<&Columns> {
        let of = self.columns.iter().find(|of| of.action == action && of.schema == schema && of.table == table);
        of.map(|of| &of.columns)
    }

    /// Takes over what a definition reads and writes, and asks for `requests` of it.
    pub(crate) fn take<'r>(&mut self, inner: &StatementFacts, requests: impl Iterator<Item = &'r super::Request>) {
        for of in &inner.columns {
            match &of.columns {
                Columns::Named(names) => names.iter().for_each(|name| {
                    self.column(of.action, &of.schema, &of.table, &Column::Named(name.clone()));
                }),
                Columns::Every(why) => self.column(of.action, &of.schema, &of.table, &Column::Every(why)),
            }
        }
        for request in requests {
            let is_listed = match &request.resource {
                Resource::Table { schema, table } => inner.columns_of(request.action, schema, table).is_some(),
                Resource::Server | Resource::Schema(_) | Resource::Routine { .. } | Resource::Column { .. } => false,
            };
            match is_listed {
                true => self.request_columns(request.action, request.resource.clone()),
                false => self.request(request.action, request.resource.clone()),
            }
        }
    }
}

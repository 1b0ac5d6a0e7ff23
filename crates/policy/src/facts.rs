//! What analysis finds in a text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::action::{Action, StatementClass};

mod columns;

pub(crate) use columns::{Column, is_of_columns};
pub use columns::{Columns, ColumnsOf};

/// The facts of one text, which may hold several statements. Never empty: a text without a statement has one that is
/// `unparsed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// In the order of the text.
    pub statements: Vec<StatementFacts>,
    /// The default schema after the text ran: what a `USE` in it changed it to, else what it was.
    pub schema_after: Option<String>,
    /// The files that `LOAD DATA LOCAL` in it names: the server will ask the client for these, and for no other.
    pub local_files: Vec<String>,
    /// The connection id of a text that is one `KILL`: whose session that is, only the gateway knows
    /// ([`Policies::judge_kill`](crate::Policies::judge_kill)).
    pub kills: Option<u64>,
    /// The text to forward in place of the client's own bytes: these tokens and no others, without comments and without what
    /// depends on the server's version or the session's modes. `None` when the client's bytes hold nothing whose reading
    /// could differ.
    pub canonical: Option<String>,
    /// The text may change how the server reads later ones (`SET sql_mode`, `CALL`, what was not read): whoever goes on
    /// must find out how.
    pub changes_reading: bool,
}

impl Facts {
    /// The default schema after the text ran.
    pub fn schema_after(&self) -> Option<&str> {
        self.schema_after.as_deref()
    }

    /// The facts of the text when it is run so many times at once, for different parameters.
    #[must_use]
    pub fn times(&self, runs: u64) -> Self {
        let mut facts = self.clone();
        for statement in &mut facts.statements {
            statement.rows_changed_max = statement.rows_changed_max.and_then(|rows| rows.checked_mul(runs));
        }
        facts
    }

    /// Whether running it may change what views and routines are made of, or what names mean.
    pub fn changes_definitions(&self) -> bool {
        self.statements.iter().any(|statement| statement.changes_definitions)
    }

    /// Whether what was found depends on the catalogue.
    pub fn asks_catalogue(&self) -> bool {
        self.statements.iter().any(|statement| statement.asks_catalogue)
    }

    /// Whether it names a table or routine that the catalogue does not have.
    pub fn has_unknown_names(&self) -> bool {
        self.statements.iter().any(|statement| statement.has_unknown_names)
    }

    /// The class that is recorded of it: its statement's, or `multi` for several.
    pub fn class(&self) -> &'static str {
        match self.statements.as_slice() {
            [one] => one.class.as_str(),
            _ => "multi",
        }
    }

    /// Whether any of the text was not read.
    pub fn has_unparsed(&self) -> bool {
        self.statements.iter().any(|statement| statement.unparsed.is_some())
    }
}

/// The facts of one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementFacts {
    pub class: StatementClass,
    /// What must be permitted, each once, in the order found.
    pub requests: Vec<Request>,
    /// The columns of tables that it reads or writes, where they were looked for. A table that is asked for and is not among
    /// these is read or written in every column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnsOf>,
    /// Whether the outermost statement has a `WHERE`.
    pub has_where: bool,
    /// Whether that `WHERE` names no column, placeholder, function or subquery (`WHERE 1=1`). False when unknown.
    pub where_is_constant: bool,
    /// Whether the outermost statement has a `LIMIT`.
    pub has_limit: bool,
    /// Whether rows are locked (`FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`).
    pub locks_rows: bool,
    /// Functions called, in lower case.
    pub functions: BTreeSet<String>,
    /// Number of different tables.
    pub tables: usize,
    /// Names, in lower case, of the statements that it prepares by a text, and of those that it executes: what these do was asked
    /// for when they were prepared, by what was known then.
    #[serde(skip)]
    pub prepares: BTreeSet<String>,
    #[serde(skip)]
    pub executes: BTreeSet<String>,
    /// Whether it may change what views and routines are made of, or what names mean.
    #[serde(skip)]
    pub changes_definitions: bool,
    /// Whether anything in it was looked up in the catalogue: by another one, the facts may be others.
    #[serde(skip)]
    pub asks_catalogue: bool,
    /// Whether it names a table or routine that the catalogue does not have: it may have been made since.
    #[serde(skip)]
    pub has_unknown_names: bool,
    /// Why the statement was not read, if it was not. Its requests then hold `unparsed`, and whatever was found.
    pub unparsed: Option<String>,
    /// How many rows the statement can change at most, as its text says: the rows of an `INSERT … VALUES`, the literal
    /// `LIMIT` of an `UPDATE` or `DELETE` of one table. `None` when unknown. Rows that triggers and foreign keys change
    /// besides are not counted.
    pub rows_changed_max: Option<u64>,
}

impl StatementFacts {
    /// A statement of which nothing was found yet.
    pub(crate) fn new(class: StatementClass) -> Self {
        Self {
            class,
            requests: Vec::new(),
            columns: Vec::new(),
            has_where: false,
            where_is_constant: false,
            has_limit: false,
            locks_rows: false,
            functions: BTreeSet::new(),
            tables: 0,
            prepares: BTreeSet::new(),
            executes: BTreeSet::new(),
            changes_definitions: false,
            asks_catalogue: false,
            has_unknown_names: false,
            unparsed: None,
            rows_changed_max: None,
        }
    }

    /// [`rows_changed_max`](Self::rows_changed_max) as far as it can be relied on. What was not read, and functions that may
    /// change rows themselves, could change more; a statement that holds others is of another class.
    pub(crate) fn rows_at_most(&self) -> Option<u64> {
        let changes = matches!(self.class, Action::Insert | Action::Update | Action::Delete);
        let certain = |request: &Request| !matches!(request.action, Action::Unparsed | Action::Execute | Action::Call);
        let whole = changes && self.unparsed.is_none() && self.requests.iter().all(certain);
        self.rows_changed_max.filter(|_| whole)
    }

    /// A statement that asks for one thing.
    pub(crate) fn of(class: StatementClass, action: Action, resource: Resource) -> Self {
        let mut facts = Self::new(class);
        facts.request(action, resource);
        facts
    }

    /// A statement that was not read.
    pub(crate) fn unread(reason: impl Into<String>) -> Self {
        let mut facts = Self::of(Action::Unparsed, Action::Unparsed, Resource::Server);
        facts.unparsed = Some(reason.into());
        facts
    }

    /// Not read after all: what was found is kept.
    pub(crate) fn unread_for(&mut self, reason: impl Into<String>) {
        self.class = Action::Unparsed;
        // Some of them may not have been met.
        self.columns.clear();
        self.request(Action::Unparsed, Resource::Server);
        self.unparsed = Some(reason.into());
    }

    /// Asks for one thing more: of a table, in every column.
    pub(crate) fn request(&mut self, action: Action, resource: Resource) {
        if let Resource::Table { schema, table } = &resource
            && let Some(of) = columns::find(&mut self.columns, action, schema, table)
        {
            of.columns = Columns::Every("it is not looked at which");
        }
        self.ask(action, resource);
    }

    fn ask(&mut self, action: Action, resource: Resource) {
        let request = Request { action, resource };
        if self.requests.contains(&request) {
            return;
        }
        if let Resource::Table { .. } = request.resource
            && !self.requests.iter().any(|other| other.resource == request.resource)
        {
            self.tables += 1;
        }
        self.changes_definitions |= changes_definitions(action);
        self.requests.push(request);
    }
}

/// Whether what is done so may change what a later statement means. `users`: which definitions the account may see.
fn changes_definitions(action: Action) -> bool {
    matches!(
        action,
        Action::Create
            | Action::Alter
            | Action::Drop
            | Action::Rename
            | Action::CreateRoutine
            | Action::Trigger
            | Action::Udf
            | Action::Plugins
            | Action::Users
            | Action::Unparsed
    )
}

/// One thing that must be permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    pub action: Action,
    pub resource: Resource,
}

/// What a request is about, as the statement names it. The server is the session's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Server,
    Schema(String),
    Table {
        schema: String,
        table: String,
    },
    /// A stored procedure or function, its name in lower case.
    Routine {
        schema: String,
        name: String,
    },
    /// A column, its name in lower case. Statements ask for tables; answers name columns where policies do.
    Column {
        schema: String,
        table: String,
        column: String,
    },
}

impl Resource {
    /// The resource's entity id on `server`: `orders`, `orders/shop`, `orders/shop.users`.
    pub fn id(&self, server: &str) -> String {
        let mut id = String::new();
        self.push_id(server, &mut id);
        id
    }

    /// Appends the same to `id`, for a caller that has the room already.
    pub fn push_id(&self, server: &str, id: &mut String) {
        id.push_str(&escape(server));
        let (schema, names) = match self {
            Self::Server => return,
            Self::Schema(schema) => (schema, [None, None]),
            Self::Table { schema, table: name } | Self::Routine { schema, name } => (schema, [Some(name), None]),
            Self::Column { schema, table, column } => (schema, [Some(table), Some(column)]),
        };
        id.push('/');
        id.push_str(&escape(schema));
        for name in names.into_iter().flatten() {
            id.push('.');
            id.push_str(&escape(name));
        }
    }
}

/// Writes the separators of an id inside a name as `%2E`, `%2F` and `%25`, so that no name can look like another id: a
/// schema `a.b` is `orders/a%2Eb`, never the table `b` of `a`.
pub(crate) fn escape(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '.', '/']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace('%', "%25").replace('.', "%2E").replace('/', "%2F"))
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Resource::Server => write!(f, "`{}` on the server", self.action),
            Resource::Schema(schema) => write!(f, "`{}` on `{}`", self.action, escape(schema)),
            Resource::Table { schema, table: name } | Resource::Routine { schema, name } => {
                write!(f, "`{}` on `{}.{}`", self.action, escape(schema), escape(name))
            }
            Resource::Column { schema, table, column } => {
                write!(f, "`{}` on `{}.{}.{}`", self.action, escape(schema), escape(table), escape(column))
            }
        }
    }
}

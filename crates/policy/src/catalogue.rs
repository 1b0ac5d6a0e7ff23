//! What a server says of its views, routines, triggers and foreign keys: a snapshot, made once and then only read.
//!
//! It holds the names of all tables as well: a name that a definition mentions and the snapshot does not know is hidden from
//! the account, and what is behind it cannot be judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::sight::Sight;

/// Views and routines of one server as one account sees them. Schemas of the system are not in it: see [`is_system_schema`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    lower_case_table_names: u8,
    schemas: BTreeMap<String, Schema>,
    unreadable: Option<String>,
    /// By schema and table, in lower case. None where nobody asks for columns: analysis does not look for them then.
    columns: Option<BTreeMap<(String, String), BTreeSet<String>>>,
    /// None where every trigger and foreign key that there is, is here.
    sight: Option<Sight>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Schema {
    relations: BTreeMap<String, Relation>,
    /// By their names in lower case.
    procedures: BTreeMap<String, Routine>,
    functions: BTreeMap<String, Routine>,
    packages: BTreeMap<String, ()>,
    /// By the tables that they belong to.
    triggers: BTreeMap<String, Vec<Trigger>>,
    /// By the tables that they refer to.
    cascades: BTreeMap<String, Vec<Cascade>>,
    /// A routine's name has characters outside ASCII. Servers compare these names without accents
    /// (`utf8mb3_general_ci`), so that an ASCII name may mean it.
    has_accents: bool,
}

/// What a table's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// Rows of its own.
    Table,
    View(View),
}

/// A view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its query as `information_schema.VIEWS` has it, every name qualified; `None` where the account may not see it.
    pub definition: Option<String>,
    pub security: Security,
}

/// With whose privileges a view or routine does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Definer,
    Invoker,
}

/// What kind of routine a name means: procedures and functions have names of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutineKind {
    Procedure,
    Function,
    /// MariaDB's `CREATE PACKAGE`: `CALL a.b` may mean the routine `b` of the package `a`.
    Package,
}

/// A stored procedure or function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routine {
    /// The text from behind the characteristics on; `None` where the account may not see it, or where it is not SQL.
    pub body: Option<String>,
    pub security: Security,
    /// The mode that it was made with, and in which it is read: names separated by commas.
    pub sql_mode: String,
    /// The character set that it was made in.
    pub character_set: String,
}

/// What may happen to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowChange {
    Insert,
    Update,
    Delete,
}

/// A trigger. It has its definer's privileges, and the table's schema is its default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    pub name: String,
    /// What fires it, before or after.
    pub events: Vec<RowChange>,
    /// `None` where the server does not show it.
    pub text: Option<TriggerText>,
    /// The mode that it was made with, and in which it is read: names separated by commas.
    pub sql_mode: String,
    /// The character set that it was made in.
    pub character_set: String,
}

/// Where the body of a trigger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerText {
    /// By itself.
    Body(String),
    /// In the statement that makes it, behind `FOR EACH ROW`.
    Statement(String),
}

/// What a foreign key makes the server do to the referring table, without asking for privileges there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// The referring table.
    pub schema: String,
    pub table: String,
    /// What happens to its rows when a row that they refer to is updated: `None` where the server refuses that.
    pub on_update: Option<RowChange>,
    /// The same, when that row is deleted.
    pub on_delete: Option<RowChange>,
}

/// What the snapshot says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known<'c, T> {
    /// It is this.
    As(&'c T),
    /// There is no such thing that the account may see.
    Nothing,
    /// It cannot be said what it means, and why.
    Unknown(&'c str),
}

impl Catalogue {
    /// Where there is no server to ask: names are what they say.
    pub const EMPTY: &'static Self =
        &Self { lower_case_table_names: 0, schemas: BTreeMap::new(), unreadable: None, columns: None, sight: None };

    /// The same, where columns are looked for: a name without a table before it may then be of any table beside it.
    pub const EMPTY_WITH_COLUMNS: &'static Self = &Self {
        lower_case_table_names: 0,
        schemas: BTreeMap::new(),
        unreadable: None,
        columns: Some(BTreeMap::new()),
        sight: None,
    };

    /// One without a name, of a server with that `lower_case_table_names`.
    pub fn new(lower_case_table_names: u8) -> Self {
        Self { lower_case_table_names, ..Self::default() }
    }

    /// Of a server that did not say what it holds: every statement that names a table or a routine is `unparsed`.
    pub fn unreadable(why: String) -> Self {
        Self { unreadable: Some(why), ..Self::default() }
    }

    /// Why nothing is known.
    pub fn why_unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// The server's variable: 0 where the case of table names counts, 1 and 2 where it does not.
    pub fn lower_case_table_names(&self) -> u8 {
        self.lower_case_table_names
    }

    /// Adds a table or view. A view counts where both were said.
    pub fn add_relation(&mut self, schema: &str, name: &str, relation: Relation) {
        let name = self.folded(name);
        let relations = &mut self.schema_mut(schema).relations;
        match (relations.get(&name), &relation) {
            (Some(Relation::View(_)), Relation::Table) => {}
            (Some(_) | None, Relation::Table | Relation::View(_)) => drop(relations.insert(name, relation)),
        }
    }

    /// One in which columns are looked for.
    #[must_use]
    pub fn with_columns(self) -> Self {
        Self { columns: Some(self.columns.unwrap_or_default()), ..self }
    }

    /// Whether analysis looks for columns.
    pub fn knows_columns(&self) -> bool {
        self.columns.is_some()
    }

    /// Adds a column of a table or view. Nothing where columns are not looked for.
    pub fn add_column(&mut self, schema: &str, table: &str, column: &str) {
        let key = self.key(schema, table);
        if let Some(columns) = &mut self.columns {
            columns.entry(key).or_default().insert(column.to_ascii_lowercase());
        }
    }

    /// Forgets which columns tables have, where there are too many to keep: names may then be of any table.
    pub fn forget_columns(&mut self) {
        self.columns = self.columns.take().map(|_| BTreeMap::new());
    }

    /// The columns that the account sees of a table, in lower case; none where they are not known.
    pub(crate) fn columns(&self, schema: &str, table: &str) -> Option<&BTreeSet<String>> {
        self.columns.as_ref()?.get(&self.key(schema, table))
    }

    /// Adds a routine.
    pub fn add_routine(&mut self, schema: &str, name: &str, kind: RoutineKind, routine: Routine) {
        let name = name.to_ascii_lowercase();
        let schema = self.schema_mut(schema);
        schema.has_accents |= !name.is_ascii();
        match kind {
            RoutineKind::Procedure => drop(schema.procedures.insert(name, routine)),
            RoutineKind::Function => drop(schema.functions.insert(name, routine)),
            RoutineKind::Package => drop(schema.packages.insert(name, ())),
        }
    }

    /// Adds a trigger of a table.
    pub fn add_trigger(&mut self, schema: &str, table: &str, trigger: Trigger) {
        let table = self.folded(table);
        self.schema_mut(schema).triggers.entry(table).or_default().push(trigger);
    }

    /// Adds what a foreign key does when rows of the table that it refers to change.
    pub fn add_cascade(&mut self, schema: &str, table: &str, cascade: Cascade) {
        let table = self.folded(table);
        self.schema_mut(schema).cascades.entry(table).or_default().push(cascade);
    }

    /// Says that it was asked for with these privileges, so that triggers and foreign keys may be missing.
    pub fn limit_sight(&mut self, sight: Sight) {
        self.sight = Some(sight);
    }

    /// Whether a table may have triggers that are not here.
    pub(crate) fn hides_triggers(&self, schema: &str, table: &str) -> bool {
        self.sight.as_ref().is_some_and(|sight| !sight.shows_triggers(schema, table, |name| self.folded(name)))
    }

    /// Whether there may be foreign keys that are not here.
    pub(crate) fn hides_keys(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| !sight.shows_keys())
    }

    fn schema_mut(&mut self, schema: &str) -> &mut Schema {
        let schema = self.folded(schema);
        self.schemas.entry(schema).or_default()
    }

    /// The form in which names of schemas and tables are compared.
    fn folded(&self, name: &str) -> String {
        match self.lower_case_table_names {
            0 => name.to_owned(),
            // Letter by letter, as servers do.
            _ => name.chars().flat_map(char::to_lowercase).collect(),
        }
    }

    /// The form of a table's name that is the same for every way of writing it.
    pub(crate) fn key(&self, schema: &str, name: &str) -> (String, String) {
        (self.folded(schema), self.folded(name))
    }

    pub(crate) fn relation(&self, schema: &str, name: &str) -> Known<'_, Relation> {
        if let Some(why) = &self.unreadable {
            return Known::Unknown(why);
        }
        let names_ascii = schema.is_ascii() && name.is_ascii();
        let schema = self.schemas.get(&self.folded(schema));
        match schema.and_then(|schema| schema.relations.get(&self.folded(name))) {
            Some(relation) => Known::As(relation),
            // Only ASCII is folded here as the servers do it.
            None if self.lower_case_table_names != 0 && !names_ascii => {
                Known::Unknown("the server folds the case of its letters outside ASCII")
            }
            None => Known::Nothing,
        }
    }

    pub(crate) fn routine(&self, kind: RoutineKind, schema: &str, name: &str) -> Known<'_, Routine> {
        if let Some(why) = &self.unreadable {
            return Known::Unknown(why);
        }
        let Some(schema) = self.schemas.get(&self.folded(schema)) else { return Known::Nothing };
        let routines = match kind {
            RoutineKind::Procedure => &schema.procedures,
            RoutineKind::Function => &schema.functions,
            RoutineKind::Package => return Known::Unknown("a package is not called itself"),
        };
        match routines.get(&name.to_ascii_lowercase()) {
            Some(routine) => Known::As(routine),
            None if !name.is_ascii() => Known::Unknown(
                "its name has characters outside ASCII, and may mean a routine that is written without accents",
            ),
            None if schema.has_accents => {
                Known::Unknown("a routine of the schema has a name with characters outside ASCII, which this may mean")
            }
            None => Known::Nothing,
        }
    }

    /// The triggers of a table.
    pub(crate) fn triggers(&self, schema: &str, table: &str) -> &[Trigger] {
        let schema = self.schemas.get(&self.folded(schema));
        schema.and_then(|schema| schema.triggers.get(&self.folded(table))).map_or(&[], Vec::as_slice)
    }

    /// The foreign keys that refer to a table.
    pub(crate) fn cascades(&self, schema: &str, table: &str) -> &[Cascade] {
        let schema = self.schemas.get(&self.folded(schema));
        schema.and_then(|schema| schema.cascades.get(&self.folded(table))).map_or(&[], Vec::as_slice)
    }

    /// Whether a package of that name is in the schema.
    pub(crate) fn has_package(&self, schema: &str, name: &str) -> bool {
        let schema = self.schemas.get(&self.folded(schema));
        schema.is_some_and(|schema| schema.packages.contains_key(&name.to_ascii_lowercase()))
    }
}

/// Whether the schema is the server's own. What its views and routines do is not looked into: they are resources by name.
pub fn is_system_schema(schema: &str) -> bool {
    matches!(schema, "information_schema" | "mysql" | "performance_schema" | "sys")
}

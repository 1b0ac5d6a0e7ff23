//! A session's view of the server's catalogue, and how it is read: on a connection of the gateway's own, before a statement is
//! judged.

mod routine;
mod trigger;

use std::{sync::Arc, time::Instant};

use portreeve_policy::{Catalogue, Facts, Relation, RoutineKind, Security, Sight, View};

use super::{arrival::Route, aside::Aside, relay::Session, verdicts::ScopeKey};
use crate::{
    catalogue::{Changes, Changing, Shelf, Snapshot},
    config::HiddenTriggers,
    gateway::Gateway,
    limits::{CATALOGUE_BYTES_MAX, CATALOGUE_COLUMNS_MAX, CATALOGUE_NAMES_MAX, CATALOGUE_ROUTINES_MAX},
    tls::ServersTls,
};
use routine::Listed;

/// `utf8mb4_general_ci`, which both families have: names and texts come as they are.
pub(super) const UTF8MB4: u8 = 45;
/// `init_connect` may have set otherwise.
const SETTINGS: &str = "SET SESSION sql_mode = '', sql_quote_show_create = 1, NAMES utf8mb4";
const CASE: &str = "SELECT @@lower_case_table_names";
/// Compared as bytes: a schema `SYS` is a user's where case counts. What of the system is missing here is judged by name.
macro_rules! of_users {
    ($column:literal) => {
        concat!(" WHERE CAST(", $column, " AS BINARY) NOT IN ('information_schema','mysql','performance_schema','sys')")
    };
}
const TABLES: &str =
    concat!("SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES", of_users!("TABLE_SCHEMA"));
/// A text that is too long is replaced by one that is no query.
const VIEWS: &str = concat!(
    "SELECT TABLE_SCHEMA, TABLE_NAME, IF(LENGTH(VIEW_DEFINITION) > 1048576, '(too long)', VIEW_DEFINITION), ",
    "SECURITY_TYPE FROM information_schema.VIEWS",
    of_users!("TABLE_SCHEMA")
);
/// Asked where policies speak of columns. The account sees those that it has any privilege on.
const COLUMNS: &str =
    concat!("SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS", of_users!("TABLE_SCHEMA"));
const ROUTINES: &str = concat!(
    "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, SECURITY_TYPE, SQL_MODE, CHARACTER_SET_CLIENT, ROUTINE_BODY, ",
    "IF(LENGTH(ROUTINE_DEFINITION) > 1048576, '(too long)', ROUTINE_DEFINITION) FROM information_schema.ROUTINES",
    of_users!("ROUTINE_SCHEMA")
);
const TRIGGERS: &str = concat!(
    "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, SQL_MODE, CHARACTER_SET_CLIENT, ",
    "IF(LENGTH(ACTION_STATEMENT) > 1048576, '(too long)', ACTION_STATEMENT) FROM information_schema.TRIGGERS",
    of_users!("TRIGGER_SCHEMA")
);
const CASCADES: &str = concat!(
    "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE ",
    "FROM information_schema.REFERENTIAL_CONSTRAINTS",
    of_users!("CONSTRAINT_SCHEMA")
);

const GRANTS: &str = "SHOW GRANTS";
/// MySQL's: names in grants have no wildcards then.
const PARTIAL_REVOKES: &str = "SHOW VARIABLES LIKE 'partial_revokes'";

/// What a session knows of the server's views and routines.
#[derive(Debug)]
pub(super) struct Definitions {
    changes: Arc<Changes>,
    shelf: Arc<Shelf>,
    /// False where policy permits everything: nothing is read then.
    pub(super) matter: bool,
    /// Policies speak of columns: those of tables are read as well.
    pub(super) with_columns: bool,
}

impl Definitions {
    pub(super) fn new(gateway: &Gateway, route: &Route<'_>, key: &ScopeKey) -> Self {
        let name = &route.server.name;
        let policies = gateway.policies.current();
        Self {
            changes: gateway.catalogues.changes(name),
            shelf: gateway.catalogues.shelf(name, route.destination, &route.of_reader().account.user),
            matter: !policies.policies.permits_everything(&key.subject(), &key.server),
            with_columns: policies.policies.look_at_columns(),
        }
    }

    /// What was known last, old as it may be: it says whether the case of names counts.
    pub(super) fn newest(&self) -> Arc<Snapshot> {
        let newest = self.matter.then(|| self.shelf.newest()).flatten();
        newest.unwrap_or_else(Snapshot::none)
    }

    /// Says that a definition may change until what is given is dropped.
    pub(super) fn begin_change(&self) -> Changing {
        self.changes.begin()
    }

    /// Whether to look at the server before a text with these facts, found by `known`, is judged.
    pub(super) fn must_look(&self, known: &Snapshot, facts: &Facts) -> bool {
        if !self.matter {
            return false;
        }
        // Where nothing was ever read, the case of names is not known either.
        let asks = facts.asks_catalogue() || known.is_none();
        (asks && (!self.shelf.is_fresh(known) || self.lacks_columns(known)))
            || (facts.has_unknown_names() && self.shelf.may_look_again())
    }
}

impl Definitions {
    /// Whether a snapshot was read when no policy spoke of columns. One that could not be read is as good as any.
    fn lacks_columns(&self, known: &Snapshot) -> bool {
        self.with_columns && !known.catalogue.knows_columns() && known.catalogue.why_unreadable().is_none()
    }
}

impl Session<'_> {
    /// Takes over what the server says now, or said a moment ago.
    pub(super) async fn look(&mut self, gateway: &Gateway) {
        let Self { route, arrival, commands, .. } = self;
        let shelf = &commands.definitions.shelf;
        // What is fresh was not enough: names in the command may be newer.
        let known = &commands.key().catalogue;
        let since = (shelf.is_fresh(known) || commands.definitions.lacks_columns(known)).then(Instant::now);
        let with_columns = commands.definitions.with_columns;
        let snapshot = shelf.look(since, read(&gateway.servers_tls, route, &arrival.id, with_columns)).await;
        commands.see_for_command(snapshot);
    }
}

/// Reads the catalogue as the server's `catalogue` account sees it, or where there is none, the session's own.
pub(super) async fn read(
    servers_tls: &ServersTls,
    route: &Route<'_>,
    session: &str,
    with_columns: bool,
) -> Result<Catalogue, String> {
    let route = route.of_reader();
    let mut aside = Aside::open_with(servers_tls, &route, session, Some(UTF8MB4)).await?;
    let catalogue = Reading::default().read(&mut aside, with_columns).await;
    let catalogue = match catalogue {
        Ok(catalogue) => within_sight(&mut aside, &route, catalogue).await,
        Err(why) => Err(why),
    };
    aside.close().await;
    catalogue
}

/// With what the account may not be shown of it.
///
/// # Errors
/// The server's `catalogue` account does not see everything: what it misses, a session's account may still use.
async fn within_sight(aside: &mut Aside, route: &Route<'_>, mut catalogue: Catalogue) -> Result<Catalogue, String> {
    let is_own = route.server.catalogue.is_none();
    if is_own && route.server.hidden_triggers == HiddenTriggers::Ignore {
        return Ok(catalogue);
    }
    let mut has_wildcards = true;
    let partial_revokes = aside.rows(PARTIAL_REVOKES, |row| {
        has_wildcards = !matches!(texts(row)?, [_, "ON"]);
        Ok(())
    });
    partial_revokes.await?;
    let mut sight = Sight::new(has_wildcards);
    let grants = aside.rows(GRANTS, |row| {
        let [line] = texts(row)?;
        sight.add(line);
        Ok(())
    });
    grants.await?;
    if is_own {
        catalogue.limit_sight(sight);
    } else if let Some(lacking) = sight.lacks() {
        let (account, all) = (&route.account.user, Sight::FULL.join(", "));
        return Err(format!("the `catalogue` account `{account}` needs {all} on *.*, and lacks {lacking}"));
    }
    Ok(catalogue)
}

/// What was taken so far.
#[derive(Debug, Default)]
struct Reading {
    names: usize,
    bytes: usize,
}

impl Reading {
    async fn read(mut self, aside: &mut Aside, with_columns: bool) -> Result<Catalogue, String> {
        aside.rows(SETTINGS, |_| Ok(())).await?;
        let case = aside.value(CASE).await?;
        let case = case.and_then(|case| String::from_utf8(case).ok()?.parse().ok());
        let mut catalogue = Catalogue::new(case.ok_or("`lower_case_table_names` is not told")?);
        aside.rows(TABLES, |row| self.table(&mut catalogue, row)).await?;
        if with_columns {
            catalogue = catalogue.with_columns();
            columns(aside, &mut catalogue).await?;
        }
        aside.rows(VIEWS, |row| self.view(&mut catalogue, row)).await?;
        let mut routines = Vec::new();
        aside
            .rows(ROUTINES, |row| {
                let routine = Listed::of(row)?;
                self.take(row)?;
                routines.push(routine);
                Ok(())
            })
            .await?;
        self.routines(aside, routines, &mut catalogue).await?;
        self.behind_changes(aside, &mut catalogue).await?;
        Ok(catalogue)
    }

    fn take(&mut self, row: &[Option<&[u8]>]) -> Result<(), String> {
        self.names += 1;
        self.bytes += row.iter().flatten().map(|value| value.len()).sum::<usize>();
        if self.names > CATALOGUE_NAMES_MAX || self.bytes > CATALOGUE_BYTES_MAX {
            return Err(format!(
                "it has more than {CATALOGUE_NAMES_MAX} names, or {CATALOGUE_BYTES_MAX} bytes of definitions"
            ));
        }
        Ok(())
    }

    fn table(&mut self, catalogue: &mut Catalogue, row: &[Option<&[u8]>]) -> Result<(), String> {
        self.take(row)?;
        let [schema, name, kind] = texts(row)?;
        let relation = match kind {
            // Its text is to follow.
            "VIEW" | "SYSTEM VIEW" => Relation::View(View { definition: None, security: Security::Definer }),
            _ => Relation::Table,
        };
        catalogue.add_relation(schema, name, relation);
        Ok(())
    }

    fn view(&mut self, catalogue: &mut Catalogue, row: &[Option<&[u8]>]) -> Result<(), String> {
        self.take(row)?;
        let [schema, name, definition, kind] = texts(row)?;
        // Empty where the account may not see it.
        let definition = Some(definition).filter(|text| !text.is_empty()).map(str::to_owned);
        catalogue.add_relation(schema, name, Relation::View(View { definition, security: security(kind) }));
        Ok(())
    }

    async fn routines(
        &mut self,
        aside: &mut Aside,
        routines: Vec<Listed>,
        catalogue: &mut Catalogue,
    ) -> Result<(), String> {
        let mut asked = 0;
        for listed in routines {
            let text = match listed.question() {
                Some(_) if asked == CATALOGUE_ROUTINES_MAX => None,
                Some(question) => {
                    asked += 1;
                    made_as(aside, &question).await?
                }
                None => None,
            };
            let (schema, name, kind) = (listed.schema.clone(), listed.name.clone(), listed.kind);
            let routine = listed.routine(text.as_deref());
            self.bytes += routine.body.as_ref().map_or(0, String::len);
            catalogue.add_routine(&schema, &name, kind, routine);
        }
        match self.bytes > CATALOGUE_BYTES_MAX {
            true => Err(format!("its routines have more than {CATALOGUE_BYTES_MAX} bytes")),
            false => Ok(()),
        }
    }
}

impl Reading {
    /// What a change of rows does besides: triggers and foreign keys.
    async fn behind_changes(&mut self, aside: &mut Aside, catalogue: &mut Catalogue) -> Result<(), String> {
        let mut triggers = Vec::new();
        aside
            .rows(TRIGGERS, |row| {
                self.take(row)?;
                triggers.push(trigger::Listed::of(row)?);
                Ok(())
            })
            .await?;
        let mut asked = 0;
        for listed in triggers {
            let made_as = match listed.question() {
                Some(question) if asked < CATALOGUE_ROUTINES_MAX => {
                    asked += 1;
                    made_as(aside, &question).await?
                }
                Some(_) | None => None,
            };
            self.bytes += made_as.as_ref().map_or(0, String::len);
            let (schema, table) = (listed.schema.clone(), listed.table.clone());
            catalogue.add_trigger(&schema, &table, listed.trigger(made_as));
            if self.bytes > CATALOGUE_BYTES_MAX {
                return Err(format!("its triggers have more than {CATALOGUE_BYTES_MAX} bytes"));
            }
        }
        aside
            .rows(CASCADES, |row| {
                self.take(row)?;
                let (schema, table, cascade) = trigger::cascade(row)?;
                catalogue.add_cascade(schema, table, cascade);
                Ok(())
            })
            .await
    }
}

/// The columns of all tables, or of none where there are too many.
async fn columns(aside: &mut Aside, catalogue: &mut Catalogue) -> Result<(), String> {
    let mut read = 0;
    let rows = aside.rows(COLUMNS, |row| {
        read += 1;
        if read <= CATALOGUE_COLUMNS_MAX {
            let [schema, table, column] = texts(row)?;
            catalogue.add_column(schema, table, column);
        }
        Ok(())
    });
    rows.await?;
    if read > CATALOGUE_COLUMNS_MAX {
        tracing::warn!("a server has more than {CATALOGUE_COLUMNS_MAX} columns: names in joins may be of any table");
        catalogue.forget_columns();
    }
    Ok(())
}

/// The statement that makes a routine or trigger, from `SHOW CREATE`; none where the account may not see it, or where it is gone.
async fn made_as(aside: &mut Aside, question: &str) -> Result<Option<String>, String> {
    const TEXT_AT: usize = 2;
    let mut text = None;
    let asked = aside.rows(question, |row| {
        let value = row.get(TEXT_AT).copied().flatten();
        text = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
        Ok(())
    });
    match asked.await {
        Ok(()) => Ok(text),
        Err(why) if why.starts_with("error ") => Ok(None),
        Err(why) => Err(why),
    }
}

/// The values of a row as text, empty where they are NULL.
fn texts<'r, const COLUMNS: usize>(row: &[Option<&'r [u8]>]) -> Result<[&'r str; COLUMNS], String> {
    let mut texts = [""; COLUMNS];
    if row.len() != COLUMNS {
        return Err(format!("{} columns where {COLUMNS} were asked for", row.len()));
    }
    for (text, value) in texts.iter_mut().zip(row) {
        *text = std::str::from_utf8(value.unwrap_or_default()).map_err(|_| "a name or definition is not UTF-8")?;
    }
    Ok(texts)
}

/// What is not said to be the invoker's is the definer's: more is asked for then.
fn security(kind: &str) -> Security {
    match kind {
        "INVOKER" => Security::Invoker,
        _ => Security::Definer,
    }
}

fn kind_of(kind: &str) -> Option<RoutineKind> {
    match kind {
        "PROCEDURE" => Some(RoutineKind::Procedure),
        "FUNCTION" => Some(RoutineKind::Function),
        "PACKAGE" | "PACKAGE BODY" => Some(RoutineKind::Package),
        _ => None,
    }
}

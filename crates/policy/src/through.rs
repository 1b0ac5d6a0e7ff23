//! Looks through views and routines: what a statement names is asked for, and what is behind the name as well. A definition is
//! read like any statement, with the default schema, mode and character set that the server reads it with.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::analysis::tokens_of;
use crate::builtins::is_known_charset;
use crate::catalogue::{Known, Relation, Routine, RoutineKind, RowChange, Security, View, is_system_schema};
use crate::context::{Context, Names};
use crate::facts::{Resource, escape};
use crate::limits::{
    CASCADES_DEPTH_MAX, DEFINITION_STACK_BYTES_MIN, DEFINITIONS_BYTES_MAX, DEFINITIONS_DEPTH_MAX, DEFINITIONS_MAX,
    STACK_BYTES,
};
use crate::reader::Reader;
use crate::reading::Modes;
use crate::token::{Token, Unread};

/// What was looked through so far, for one statement.
#[derive(Debug, Default)]
pub(crate) struct Through {
    /// Views and routines being read, outermost first.
    path: Vec<String>,
    /// Views read, with the tables that a change through them may reach.
    views: BTreeMap<(String, String), Vec<Resource>>,
    /// Routines read or being read: a procedure may call itself, and does nothing new then.
    routines: BTreeSet<String>,
    /// Tables that a routine makes for itself.
    made: BTreeSet<(String, String)>,
    /// What was asked for behind changes of rows: the change, whether triggers fire by it, the table.
    pub(crate) changed: BTreeSet<(RowChange, bool, (String, String))>,
    /// How many foreign keys led here.
    pub(crate) cascades: usize,
    /// Read in all.
    definitions: usize,
    bytes: usize,
    /// Something on the path has its definer's privileges: it reaches what the account may not see.
    pub(crate) as_definer: bool,
    /// Columns may be others than the catalogue says, after what was done before.
    pub(crate) columns_changed: bool,
    /// Whether names mean what the catalogue says, after the text's earlier statements.
    pub(crate) settled: Settled,
}

/// What the earlier statements of a text leave of the catalogue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Settled {
    #[default]
    Unchanged,
    /// Views were made. What they select was asked for then, in the same text; what is changed through them was not.
    ViewsMade,
    /// Any name may mean something else.
    NamesChanged,
}

impl Through {
    /// Of the statement after others in a text.
    pub(crate) fn after(settled: Settled) -> Self {
        Self { settled, ..Self::default() }
    }

    /// Follows one foreign key more.
    pub(crate) fn follow(&mut self) -> Result<(), Unread> {
        self.cascades += 1;
        match self.cascades > CASCADES_DEPTH_MAX {
            true => Err(Unread::new(format!("foreign keys lead more than {CASCADES_DEPTH_MAX} tables on"))),
            false => Ok(()),
        }
    }

    fn enter(&mut self, what: &str, bytes: usize) -> Result<(), Unread> {
        self.definitions += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.path.iter().any(|outer| outer == what) {
            return Err(Unread::new("it is defined by itself"));
        }
        if self.path.len() >= DEFINITIONS_DEPTH_MAX {
            return Err(Unread::new(format!(
                "views, routines and triggers are more than {DEFINITIONS_DEPTH_MAX} deep"
            )));
        }
        if self.definitions > DEFINITIONS_MAX || self.bytes > DEFINITIONS_BYTES_MAX {
            return Err(Unread::new("too many views, routines and triggers are behind it"));
        }
        self.path.push(what.to_owned());
        Ok(())
    }
}

impl Reader<'_> {
    /// Asks for what is behind a table's name. Gives the tables with rows of their own that a change through it may reach.
    ///
    /// # Errors
    /// What is behind it cannot be known.
    pub(crate) fn look_through(&mut self, action: Action, resource: &Resource) -> Result<Vec<Resource>, Unread> {
        let Resource::Table { schema, table } = resource else { return Ok(Vec::new()) };
        if is_system_schema(schema) {
            return Ok(vec![resource.clone()]);
        }
        self.facts.asks_catalogue = true;
        self.check_settled(action)?;
        let catalogue = self.context.catalogue;
        match catalogue.relation(schema, table) {
            Known::As(Relation::Table) => {
                self.behind_changes(action, resource)?;
                Ok(vec![resource.clone()])
            }
            Known::As(Relation::View(view)) => {
                let sources = self.view(schema, table, view)?;
                if action != Action::Select {
                    for source in &sources {
                        self.facts.request(action, source.clone());
                        self.behind_changes(action, source)?;
                    }
                }
                Ok(sources)
            }
            Known::Nothing => {
                if !self.through.made.contains(&catalogue.key(schema, table)) {
                    self.unknown(schema, table)?;
                }
                Ok(vec![resource.clone()])
            }
            Known::Unknown(why) => Err(unknown("table", schema, table, why)),
        }
    }

    fn check_settled(&self, action: Action) -> Result<(), Unread> {
        match self.through.settled {
            Settled::Unchanged => Ok(()),
            Settled::ViewsMade if action == Action::Select => Ok(()),
            Settled::ViewsMade | Settled::NamesChanged => Err(Unread::new(
                "an earlier statement of the text may change what its names mean (send them one by one)",
            )),
        }
    }

    /// A name that the catalogue does not have: in the statement itself it is a temporary table or nothing that the account
    /// reaches, but a definer may reach what the account does not see.
    fn unknown(&mut self, schema: &str, name: &str) -> Result<(), Unread> {
        self.facts.has_unknown_names = true;
        match self.through.as_definer {
            false => Ok(()),
            true => {
                let name = named(schema, name);
                Err(Unread::new(format!(
                    "{name} is nothing that the account at the server may see (grant it SHOW VIEW there)"
                )))
            }
        }
    }

    /// Notes that a table of the statement's own making is no view.
    pub(crate) fn makes_table(&mut self, resource: &Resource) {
        if let Resource::Table { schema, table } = resource {
            let key = self.context.catalogue.key(schema, table);
            self.through.made.insert(key);
        }
    }

    fn view(&mut self, schema: &str, name: &str, view: &View) -> Result<Vec<Resource>, Unread> {
        let key = self.context.catalogue.key(schema, name);
        if let Some(sources) = self.through.views.get(&key) {
            return Ok(sources.clone());
        }
        let what = format!("the view {}", named(&key.0, &key.1));
        let Some(text) = &view.definition else {
            let why = "is hidden from the account at the server (it needs SELECT and SHOW VIEW)";
            return Err(Unread::new(format!("the definition of {what} {why}")));
        };
        // The servers read a view's text without the modes that change how text is read.
        let context = definition_context(&self.context, None, "")?;
        let mut sources = Vec::new();
        self.definition(&what, text, view.security, &context, |outer, tokens| {
            sources = outer.nested(context, |inner| inner.statement(tokens))?;
            Ok(())
        })?;
        self.through.views.insert(key, sources.clone());
        Ok(sources)
    }

    /// Asks for `action` on a routine, and for what it does. No schema is the default one.
    ///
    /// # Errors
    /// There is no default schema, or it cannot be known what the routine does.
    pub(crate) fn routine(
        &mut self,
        action: Action,
        kind: RoutineKind,
        schema: Option<String>,
        name: &str,
    ) -> Result<(), Unread> {
        let catalogue = self.context.catalogue;
        if let (Some(package), Some(default)) = (&schema, self.names.default_schema)
            && catalogue.has_package(default, package)
        {
            self.facts.asks_catalogue = true;
            return Err(Unread::new("a routine of a package"));
        }
        let resource = self.names.routine(schema, name)?;
        self.facts.request(action, resource.clone());
        let Resource::Routine { schema, name } = &resource else { return Ok(()) };
        // Functions cannot define anything.
        let may_define = kind == RoutineKind::Procedure;
        if is_system_schema(schema) {
            self.facts.changes_definitions |= may_define;
            return Ok(());
        }
        self.facts.asks_catalogue = true;
        if self.through.settled == Settled::NamesChanged {
            self.check_settled(action)?;
        }
        match catalogue.routine(kind, schema, name) {
            Known::As(routine) => self.stored(kind, schema, name, routine),
            Known::Nothing => {
                self.facts.changes_definitions |= may_define;
                self.unknown(schema, name)
            }
            Known::Unknown(why) => Err(unknown("routine", schema, name, why)),
        }
    }

    /// Whether the default schema has a stored function of that name.
    pub(crate) fn has_function(&mut self, name: &str) -> bool {
        self.facts.asks_catalogue |= self.names.default_schema.is_some();
        self.names.default_schema.is_some_and(|schema| {
            matches!(self.context.catalogue.routine(RoutineKind::Function, schema, name), Known::As(_))
        })
    }

    fn stored(&mut self, kind: RoutineKind, schema: &str, name: &str, routine: &Routine) -> Result<(), Unread> {
        let kind = match kind {
            RoutineKind::Procedure => "procedure",
            RoutineKind::Function => "function",
            RoutineKind::Package => "package",
        };
        let what = format!("the {kind} {}", named(schema, name));
        if !self.through.routines.insert(what.clone()) {
            return Ok(());
        }
        let Some(text) = &routine.body else {
            let why = "is hidden from the account at the server, or is not SQL (MySQL: grant it SHOW_ROUTINE; MariaDB: \
                       SELECT on mysql.proc)";
            return Err(Unread::new(format!("the body of {what} {why}")));
        };
        if !is_known_charset(&routine.character_set) {
            return Err(Unread::new(format!("{what} is not read: it was made in `{}`", routine.character_set)));
        }
        let context = definition_context(&self.context, Some(schema), &routine.sql_mode);
        let context = context.map_err(|Unread(why)| Unread::new(format!("{what} is not read: {why}")))?;
        self.definition(&what, text, routine.security, &context, |outer, tokens| {
            outer.known_body(context, Vec::new(), tokens)
        })
    }

    /// Reads a text by `read`, unless it is over a limit.
    pub(crate) fn definition(
        &mut self,
        what: &str,
        text: &str,
        security: Security,
        context: &Context<'_>,
        read: impl FnOnce(&mut Self, &[Token<'_>]) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        let as_definer = self.through.as_definer;
        let read = self.through.enter(what, text.len()).and_then(|()| {
            self.through.as_definer |= security == Security::Definer;
            let read = tokens_of(text, context).and_then(|tokens| {
                stacker::maybe_grow(DEFINITION_STACK_BYTES_MIN, STACK_BYTES, || read(self, &tokens))
            });
            self.through.path.pop();
            read
        });
        self.through.as_definer = as_definer;
        read.map_err(|Unread(why)| Unread::new(format!("{what} is not read: {why}")))
    }

    /// Reads a part of a definition by a reader of its own, and asks for whatever that finds. Gives the tables that a change
    /// through it may reach.
    ///
    /// # Errors
    /// Why it was not read; what was found is asked for.
    pub(crate) fn nested<'s>(
        &mut self,
        context: Context<'s>,
        read: impl FnOnce(&mut Reader<'s>),
    ) -> Result<Vec<Resource>, Unread> {
        let names = Names::of(&context);
        self.through.columns_changed |= self.facts.changes_definitions;
        let mut inner = Reader::new(names, context, std::mem::take(&mut self.through));
        read(&mut inner);
        let Reader { facts, through, sources, schema_used, .. } = inner;
        self.through = through;
        let asked = facts.requests.iter();
        // Harmless by definition, and what a view without a table would ask for.
        self.facts.take(&facts, asked.filter(|asked| !matches!(asked.action, Action::Unparsed | Action::Inspect)));
        self.facts.functions.extend(facts.functions);
        self.facts.locks_rows |= facts.locks_rows;
        self.facts.prepares.extend(facts.prepares);
        self.facts.executes.extend(facts.executes);
        self.facts.changes_definitions |= facts.changes_definitions;
        self.facts.asks_catalogue |= facts.asks_catalogue;
        self.facts.has_unknown_names |= facts.has_unknown_names;
        match (facts.unparsed, schema_used) {
            (Some(why), _) => Err(Unread(why)),
            (None, Some(_)) => Err(Unread::new("`USE` in a definition")),
            (None, None) => Ok(sources),
        }
    }
}

/// How the server reads a definition: `sql_mode` is the one that it was made with.
pub(crate) fn definition_context<'s>(
    outer: &Context<'s>,
    default_schema: Option<&'s str>,
    sql_mode: &str,
) -> Result<Context<'s>, Unread> {
    let modes =
        Modes::parse(sql_mode).map_err(|mode| Unread::new(format!("it was made with the sql_mode `{mode}`")))?;
    Ok(Context { default_schema, prepared: false, utf8: true, unreadable: None, ..*outer }.with_modes(modes))
}

pub(crate) fn named(schema: &str, name: &str) -> String {
    format!("`{}.{}`", escape(schema), escape(name))
}

fn unknown(kind: &str, schema: &str, name: &str, why: &str) -> Unread {
    Unread::new(format!("what the {kind} {} is cannot be known: {why}", named(schema, name)))
}

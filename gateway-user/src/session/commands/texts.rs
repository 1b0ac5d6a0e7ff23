//! Statements that texts prepare (`PREPARE s FROM '…'`). What one does was judged then, by the policies and definitions of then;
//! the server runs it by what its names mean when it is executed.

use std::{collections::HashMap, sync::Arc};

use portreeve_policy::{Facts, Modes};

use crate::{catalogue::Snapshot, session::verdicts::ScopeKey};

/// Names that one session may have; more are not remembered, so that they cannot be executed.
const NAMES_MAX: usize = 1024;

/// What a judgement of a text depends on, beside its default schema, which the server keeps with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Under {
    catalogue: Arc<Snapshot>,
    modes: Modes,
    utf8: bool,
    policies: u64,
}

/// The statements of a session, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<String, Prepared>);

#[derive(Debug)]
struct Prepared {
    under: Under,
    /// It may change what views and routines are made of.
    defines: bool,
}

impl Texts {
    /// A name that the text executes and that was not prepared under what holds now, if there is one. Names that a statement
    /// prepares count for the statements behind it: within one, nobody knows what runs first.
    pub(super) fn outdated<'f>(&self, facts: &'f Facts, key: &ScopeKey, policies: u64) -> Option<&'f str> {
        // Nearly every text executes none: what holds now is put together for those that do.
        if facts.statements.iter().all(|statement| statement.executes.is_empty()) {
            return None;
        }
        let now = under(key, policies);
        let holds = |name: &String| self.0.get(name).is_some_and(|prepared| prepared.under == now);
        let mut anew: Vec<&String> = Vec::new();
        for statement in &facts.statements {
            let outdated = statement.executes.iter().find(|name| !anew.contains(name) && !holds(name));
            if outdated.is_some() {
                return outdated.map(String::as_str);
            }
            anew.extend(&statement.prepares);
        }
        None
    }

    /// Notes what a text that may run prepares.
    pub(super) fn prepare(&mut self, facts: &Facts, key: &ScopeKey, policies: u64) {
        let defines = facts.changes_definitions();
        for name in facts.statements.iter().flat_map(|statement| &statement.prepares) {
            if self.0.len() < NAMES_MAX || self.0.contains_key(name) {
                self.0.insert(name.clone(), Prepared { under: under(key, policies), defines });
            }
        }
    }

    /// Whether what a text executes may change what views and routines are made of.
    pub(super) fn define(&self, facts: &Facts) -> bool {
        let mut executed = facts.statements.iter().flat_map(|statement| &statement.executes);
        executed.any(|name| self.0.get(name).is_none_or(|prepared| prepared.defines))
    }

    /// After a reset there are none.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn under(key: &ScopeKey, policies: u64) -> Under {
    Under { catalogue: Arc::clone(&key.catalogue), modes: key.modes, utf8: key.utf8, policies }
}

//! Verdicts already found, so that a statement asked again costs one look-up.
//!
//! Per runtime thread, so that there is no lock. A verdict depends on who asks, where, in which schema, and how the
//! server reads text: those choose the [`Scope`], the text chooses within.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use portreeve_mysql::conceal;
use portreeve_policy::{Context, Facts, Flavour, Modes, Policies, Subject, Verdict, analyse};

use crate::catalogue::Snapshot;

/// Scopes one thread remembers.
const SCOPES_MAX: usize = 1024;
/// Statements one scope remembers.
const STATEMENTS_MAX: usize = 2048;
/// Longer statements are analysed each time: they are rarely asked twice, and would fill the memory.
const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// What analysis and policy said of one text.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) facts: Facts,
    pub(super) verdict: Verdict,
    /// Statement class, or `multi` for several.
    pub(super) class: &'static str,
    /// Whether the text names what a server may tell of ways round the gateway: its answer is looked through then.
    pub(super) conceals: bool,
}

/// Everything but the text that a verdict depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ScopeKey {
    pub(super) spiffe_id: String,
    pub(super) groups: Vec<String>,
    pub(super) server: String,
    pub(super) schema: Option<String>,
    pub(super) flavour: Flavour,
    /// As in executable comments; 0 when the server did not prove it.
    pub(super) version: u32,
    /// What of `sql_mode` decides how text is read.
    pub(super) modes: Modes,
    /// Whether the server reads texts as UTF-8.
    pub(super) utf8: bool,
    /// Why no text of the session can be read.
    pub(super) unreadable: Option<String>,
    /// What the server's views and routines are made of.
    pub(super) catalogue: Arc<Snapshot>,
}

impl ScopeKey {
    pub(super) fn context(&self, prepared: bool) -> Context<'_> {
        Context {
            server: &self.server,
            default_schema: self.schema.as_deref(),
            flavour: self.flavour,
            prepared,
            version: self.version,
            no_backslash_escapes: self.modes.no_backslash_escapes,
            ansi_quotes: self.modes.ansi_quotes,
            pipes_as_concat: self.modes.pipes_as_concat,
            ignore_space: self.modes.ignore_space,
            high_not_precedence: self.modes.high_not_precedence,
            utf8: self.utf8,
            unreadable: self.unreadable.as_deref(),
            lower_case_table_names: self.catalogue.catalogue.lower_case_table_names(),
            catalogue: &self.catalogue.catalogue,
        }
    }

    pub(super) fn subject(&self) -> Subject {
        Subject { spiffe_id: self.spiffe_id.clone(), groups: self.groups.clone() }
    }
}

/// The verdicts of one scope.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) key: ScopeKey,
    subject: Subject,
    /// By text: as a query, and as a statement to prepare (the context tells policy which).
    asked: RefCell<HashMap<Box<[u8]>, Rc<Judgement>>>,
    prepared: RefCell<HashMap<Box<[u8]>, Rc<Judgement>>>,
}

impl Scope {
    /// The judgement of a text, found or made; `facts` are its facts where they were found aside.
    pub(super) fn judge(&self, policies: &Policies, sql: &[u8], prepared: bool, facts: Option<Facts>) -> Rc<Judgement> {
        let known = if prepared { &self.prepared } else { &self.asked };
        if let Some(judgement) = known.borrow().get(sql) {
            return Rc::clone(judgement);
        }
        let context = self.key.context(prepared);
        let facts = facts.unwrap_or_else(|| analyse(sql, &context));
        let verdict = policies.judge(&self.subject, &facts, &context);
        let class = class_of(&facts);
        let conceals = conceal::is_mentioned(sql);
        let judgement = Rc::new(Judgement { facts, verdict, class, conceals });
        if sql.len() <= STATEMENT_BYTES_MAX {
            let mut known = known.borrow_mut();
            if known.len() >= STATEMENTS_MAX {
                // Statements with their values written in fill this quickly; starting anew is simple and bounded.
                known.clear();
            }
            known.insert(sql.into(), Rc::clone(&judgement));
        }
        judgement
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }
}

fn class_of(facts: &Facts) -> &'static str {
    match facts.statements.as_slice() {
        [one] => one.class.as_str(),
        _ => "multi",
    }
}

/// The scopes of one runtime thread. A scope lives as long as a session uses it, or room is left.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    scopes: RefCell<HashMap<ScopeKey, Rc<Scope>>>,
}

impl Verdicts {
    pub(super) fn scope(&self, key: ScopeKey) -> Rc<Scope> {
        let mut scopes = self.scopes.borrow_mut();
        if let Some(scope) = scopes.get(&key) {
            return Rc::clone(scope);
        }
        // Verdicts by an older catalogue are only kept where a session still has to catch up.
        scopes.retain(|key, scope| Rc::strong_count(scope) > 1 || !key.catalogue.is_superseded());
        if scopes.len() >= SCOPES_MAX {
            scopes.retain(|_, scope| Rc::strong_count(scope) > 1);
        }
        let scope = Rc::new(Scope {
            subject: key.subject(),
            key: key.clone(),
            asked: RefCell::default(),
            prepared: RefCell::default(),
        });
        if scopes.len() < SCOPES_MAX {
            scopes.insert(key, Rc::clone(&scope));
        }
        scope
    }
}

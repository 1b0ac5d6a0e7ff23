//! Verdicts already found, so that a statement asked again costs one look-up.
//!
//! Per runtime thread, so that there is no lock. A verdict depends on who asks, where, in which schema, and how the
//! server reads text: those choose the [`Scope`], the text chooses within. One found under other policies is found anew.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use portreeve_mysql::conceal;
use portreeve_policy::{Context, Facts, Flavour, Judgement, Modes, Question, Remembered, Subject, analyse};

use crate::{catalogue::Snapshot, policies::Loaded};

/// Scopes one thread remembers.
const SCOPES_MAX: usize = 1024;

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
    /// The server was not asked how it reads texts, as no verdict depended on it: all of the above but who and where is a guess.
    pub(super) unasked: bool,
}

impl ScopeKey {
    pub(super) fn context(&self, prepared: bool) -> Context<'_> {
        Context {
            server: &self.server,
            default_schema: self.schema.as_deref(),
            flavour: self.flavour,
            prepared,
            // Nothing is written anew for who is permitted everything: those texts are forwarded byte for byte.
            version: if self.unasked { 0 } else { self.version },
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
    remembered: RefCell<Remembered>,
}

impl Scope {
    /// The judgement of a text, found or made; `facts` are its facts where they were found aside.
    pub(super) fn judge(&self, policies: &Loaded, sql: &[u8], prepared: bool, facts: Option<Facts>) -> Rc<Judgement> {
        self.remembered.borrow_mut().judge(Question { facts, ..self.question(policies, sql, prepared) })
    }

    /// The judgement of a statement prepared in this scope, as it is under these policies.
    pub(super) fn renewed(&self, policies: &Loaded, judgement: &Rc<Judgement>) -> Rc<Judgement> {
        let question = self.question(policies, &[], true);
        if judgement.generation == policies.generation || !self.must_ask(policies) {
            return question.renewed(judgement);
        }
        let unread = Judgement { facts: Rc::new(self.unread()), verdict: judgement.verdict.clone(), ..**judgement };
        question.renewed(&Rc::new(unread))
    }

    /// Whether the server was not asked how it reads texts, and verdicts depend on it now.
    pub(super) fn must_ask(&self, policies: &Loaded) -> bool {
        self.key.unasked && !policies.policies.permits_everything(&self.subject, &self.key.server)
    }

    /// In place of facts that were guessed while nothing depended on them.
    fn unread(&self) -> Facts {
        let why = "it was prepared when policy permitted everything, and how the server read it was not asked";
        analyse(&[], &Context { unreadable: Some(why), ..self.key.context(true) })
    }

    fn question<'q>(&'q self, policies: &'q Loaded, sql: &'q [u8], prepared: bool) -> Question<'q> {
        Question {
            policies: &policies.policies,
            generation: policies.generation,
            subject: &self.subject,
            context: self.key.context(prepared),
            sql,
            facts: None,
            is_marked: conceal::is_mentioned,
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
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
        let scope = Rc::new(Scope { subject: key.subject(), key: key.clone(), remembered: RefCell::default() });
        if scopes.len() < SCOPES_MAX {
            scopes.insert(key, Rc::clone(&scope));
        }
        scope
    }
}

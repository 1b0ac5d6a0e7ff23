//! Verdicts already found, so that a statement asked again costs one look-up.
//!
//! Per runtime thread, so that there is no lock. A verdict depends on who asks, where, in which schema, and how the
//! server reads text: those choose the [`Scope`], the text chooses within. One found under other policies is found anew.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use portreeve_mysql::conceal;
use portreeve_policy::{Context, Facts, Flavour, Judgement, Modes, Question, Remembered, Subject, Verdict, analyse};
use portreeve_recording::redact::Quoting;

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
        self.context_at(prepared, now_unix_ms())
    }

    fn context_at(&self, prepared: bool, now_unix_ms: i64) -> Context<'_> {
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
            now_unix_ms,
            lower_case_table_names: self.catalogue.catalogue.lower_case_table_names(),
            catalogue: &self.catalogue.catalogue,
        }
    }

    /// How the server reads quotes; none where it was not asked.
    pub(super) fn quoting(&self) -> Option<Quoting> {
        let Modes { no_backslash_escapes, ansi_quotes, .. } = self.modes;
        let is_known = !self.unasked && self.unreadable.is_none();
        is_known.then_some(Quoting { no_backslash_escapes, ansi_quotes })
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
    /// What [`Scope::must_ask`] said last, and of which generation of policies.
    guess: Cell<Option<(u64, bool)>>,
}

impl Scope {
    /// The judgement of a text, found or made; `facts` are its facts where they were found aside.
    pub(super) fn judge(&self, policies: &Loaded, sql: &[u8], prepared: bool, facts: Option<Facts>) -> Rc<Judgement> {
        let question = self.question(policies, sql, prepared);
        match self.must_ask(policies) {
            true => question.judged(self.unread(prepared), conceal::is_mentioned(sql)),
            false => self.remembered.borrow_mut().judge(Question { facts, ..question }),
        }
    }

    /// The judgement of a statement prepared in this scope, as it is under these policies.
    pub(super) fn renewed(&self, policies: &Loaded, judgement: &Rc<Judgement>) -> Rc<Judgement> {
        let question = self.question(policies, &[], true);
        match !judgement.holds(policies.generation) && self.must_ask(policies) {
            true => question.judged(self.unread(true), judgement.marked),
            false => question.renewed(judgement),
        }
    }

    /// Whether no verdict on the subject depends on what it asks.
    pub(super) fn permits_everything(&self, policies: &Loaded) -> bool {
        policies.policies.permits_everything(&self.subject, &self.key.server)
    }

    /// Whether verdicts depend on how texts are read, and that is not known.
    pub(super) fn must_ask(&self, policies: &Loaded) -> bool {
        if !self.key.unasked {
            return false;
        }
        let known = self.guess.get().filter(|(generation, _)| *generation == policies.generation);
        let (_, is_guess) = known.unwrap_or_else(|| (policies.generation, !self.permits_everything(policies)));
        self.guess.set(Some((policies.generation, is_guess)));
        is_guess
    }

    /// In place of facts that would be guessed.
    fn unread(&self, prepared: bool) -> Rc<Facts> {
        let why = "how the server reads it was not asked, as policy permitted everything then";
        Rc::new(analyse(&[], &Context { unreadable: Some(why), ..self.key.context(prepared) }))
    }

    fn question<'q>(&'q self, policies: &'q Loaded, sql: &'q [u8], prepared: bool) -> Question<'q> {
        // Not asked for on the way of every statement.
        let now_unix_ms = if policies.policies.look_at_time() { now_unix_ms() } else { 0 };
        Question {
            policies: &policies.policies,
            generation: policies.generation,
            subject: &self.subject,
            context: self.key.context_at(prepared, now_unix_ms),
            sql,
            facts: None,
            is_marked: conceal::is_mentioned,
        }
    }

    /// The verdict on so many executions at once of a statement prepared here, where policies looked at how many rows it
    /// changes.
    pub(super) fn judge_times(&self, policies: &Loaded, judgement: &Judgement, times: u64) -> Option<Verdict> {
        let counts = times > 1 && !judgement.verdict.lifted.is_empty();
        let facts = counts.then(|| judgement.facts.times(times))?;
        Some(policies.policies.judge(&self.subject, &facts, &self.key.context(true)))
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// For policies that look at the time. A clock before 1970 is 1970: what a policy then says is as wrong as the clock.
fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
            remembered: RefCell::default(),
            guess: Cell::default(),
        });
        if scopes.len() < SCOPES_MAX {
            scopes.insert(key, Rc::clone(&scope));
        }
        scope
    }
}

//! Verdicts already found, so that a text asked again costs one look-up, and one that differs only in its values costs
//! little more.
//!
//! Pure and without a lock: a [`Remembered`] belongs to one thread. It holds what was found for one subject in one
//! context; whoever keeps it has another for each.

use std::collections::HashMap;
use std::rc::Rc;

use crate::analysis::analyse;
use crate::context::Context;
use crate::facts::{Facts, StatementFacts};
use crate::judge::Subject;
use crate::limits::{REMEMBERED_BYTES_MAX, REMEMBERED_MAX};
use crate::normal;
use crate::policies::Policies;
use crate::verdict::Verdict;

/// What analysis and policy said of one text.
#[derive(Debug)]
pub struct Judgement {
    /// Shared with the judgements of the same text under other policies.
    pub facts: Rc<Facts>,
    pub verdict: Verdict,
    /// Statement class, or `multi` for several.
    pub class: &'static str,
    /// What [`Question::is_marked`] said of the text.
    pub marked: bool,
    /// Of the policies that it was found under.
    pub generation: u64,
}

impl Judgement {
    /// Whether it still is what the policies of that generation say. A verdict that depends on more than text, context and
    /// policies does not outlast the moment: that is to be said here.
    pub fn holds(&self, generation: u64) -> bool {
        self.generation == generation && self.verdict.cacheable()
    }
}

/// One text to be judged.
#[derive(Debug)]
pub struct Question<'q> {
    pub policies: &'q Policies,
    /// Another number for each set of policies: a verdict found under another is found anew, from the same facts.
    pub generation: u64,
    pub subject: &'q Subject,
    pub context: Context<'q>,
    pub sql: &'q [u8],
    /// Of the text, where they were found aside.
    pub facts: Option<Facts>,
    /// Something else that depends on the text alone, kept with the judgement: texts of which it is true share nothing.
    pub is_marked: fn(&[u8]) -> bool,
}

impl Question<'_> {
    /// The judgement by these facts, whatever the text.
    pub fn judged(&self, facts: Rc<Facts>, marked: bool) -> Rc<Judgement> {
        let verdict = self.policies.judge(self.subject, &facts, &self.context);
        let class = facts.class();
        Rc::new(Judgement { facts, verdict, class, marked, generation: self.generation })
    }

    /// The same judgement, or one anew from its facts where the policies are others, or look at the time. The question's text
    /// does not count.
    pub fn renewed(&self, found: &Rc<Judgement>) -> Rc<Judgement> {
        match found.holds(self.generation) {
            true => Rc::clone(found),
            false => self.judged(Rc::clone(&found.facts), found.marked),
        }
    }
}

/// The judgements of one subject in one context, bounded by
/// [`REMEMBERED_MAX`](crate::limits::REMEMBERED_MAX).
#[derive(Debug, Default)]
pub struct Remembered {
    /// As a query, and as a statement to prepare: the context tells policy which.
    asked: Texts,
    prepared: Texts,
    /// Room for a normal form, so that none is allocated.
    form: Vec<u8>,
}

#[derive(Debug, Default)]
struct Texts {
    exact: Judgements,
    /// By normal form.
    alike: Judgements,
}

type Judgements = HashMap<Box<[u8]>, Rc<Judgement>>;

impl Remembered {
    /// The judgement of a text, found or made. Allocates nothing for a text that was judged before under the same policies,
    /// nor for one whose normal form was.
    ///
    /// The context must be the same in each call, but for `prepared` and the time, and so must the subject.
    pub fn judge(&mut self, question: Question<'_>) -> Rc<Judgement> {
        let sql = question.sql;
        if sql.len() > REMEMBERED_BYTES_MAX {
            return made(question);
        }
        let texts = if question.context.prepared { &mut self.prepared } else { &mut self.asked };
        if let Some(judgement) = find(&mut texts.exact, sql, &question) {
            return judgement;
        }
        let form = &mut self.form;
        let has_form = normal::write(sql, &question.context, form) && !(question.is_marked)(sql);
        if has_form && let Some(judgement) = find(&mut texts.alike, form, &question) {
            return judgement;
        }
        let judgement = made(question);
        if has_form && is_shared(&judgement.facts) {
            remember(&mut texts.alike, form, &judgement);
        }
        remember(&mut texts.exact, sql, &judgement);
        judgement
    }
}

fn made(mut question: Question<'_>) -> Rc<Judgement> {
    let facts = question.facts.take().unwrap_or_else(|| analyse(question.sql, &question.context));
    question.judged(Rc::new(facts), (question.is_marked)(question.sql))
}

fn find(known: &mut Judgements, key: &[u8], question: &Question<'_>) -> Option<Rc<Judgement>> {
    let found = known.get_mut(key)?;
    if !found.holds(question.generation) {
        *found = question.renewed(found);
    }
    Some(Rc::clone(found))
}

fn remember(known: &mut Judgements, key: &[u8], judgement: &Rc<Judgement>) {
    if known.len() >= REMEMBERED_MAX {
        // Texts without a normal form, their values written in, fill this quickly; starting anew is simple and bounded.
        known.clear();
    }
    known.insert(key.into(), Rc::clone(judgement));
}

/// Whether facts hold for every text of one normal form. Not when a reason was found in the text, nor when they hold
/// something of it. Whoever adds a fact decides here.
fn is_shared(facts: &Facts) -> bool {
    let Facts { statements, schema_after: _, local_files, kills, canonical, changes_reading: _ } = facts;
    let is_read = |statement: &StatementFacts| statement.unparsed.is_none();
    statements.iter().all(is_read) && local_files.is_empty() && kills.is_none() && canonical.is_none()
}

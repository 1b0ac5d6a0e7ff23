//! Which records of a session are shown.

use std::collections::BTreeSet;

use portreeve_recording::{Command, Entry, Facts, Record};

use crate::cli::recorded::{About, Analyses, Filter, PreparedTexts, Question};
use crate::limits::RECORDED_PENDING_MAX;

/// Passes the records of wanted statements. A statement is held until it can be said whether it is wanted: its verdict is recorded with
/// it, and what the policies were asked right behind that.
#[derive(Debug, Default)]
pub(in crate::cli) struct Selection {
    texts: PreparedTexts,
    /// The statement, then its verdict, then what the policies were asked.
    held: Vec<Entry<'static>>,
    /// Wanted statements that more may be recorded about.
    chosen: BTreeSet<u64>,
}

/// What a choice is made by.
#[derive(Debug)]
pub(in crate::cli) struct Choosing<'a> {
    pub(in crate::cli) about: &'a About,
    pub(in crate::cli) filter: &'a Filter,
    pub(in crate::cli) analyses: &'a mut Analyses,
}

impl Selection {
    /// Takes a record, and hands over those that are to be shown now.
    pub(in crate::cli) fn take(
        &mut self,
        entry: Entry<'static>,
        by: &mut Choosing<'_>,
        show: &mut impl FnMut(&Entry<'static>),
    ) {
        if !by.filter.is_about_statements() {
            if by.filter.is_time(entry.at_unix_ns) {
                show(&entry);
            }
            return;
        }
        match &entry.record {
            Record::Statement(statement) => {
                self.release(by, show);
                self.texts.learn(statement);
                self.held.push(entry);
            }
            Record::Verdict(verdict) if self.holds(verdict.number) => self.held.push(entry),
            Record::Verdict(verdict) => self.pass(verdict.number, &entry, show),
            Record::Facts(facts) if self.is_judged(facts.number) => {
                let is_followed = facts.is_followed();
                self.held.push(entry);
                if !is_followed {
                    self.release(by, show);
                }
            }
            Record::Facts(facts) => self.pass(facts.number, &entry, show),
            Record::Response(response) => {
                let number = response.number;
                self.release(by, show);
                self.pass(number, &entry, show);
                self.chosen.remove(&number);
            }
            Record::Forwarded(forwarded) => {
                self.release(by, show);
                self.pass(forwarded.number, &entry, show);
            }
            Record::Rows(rows) => {
                self.release(by, show);
                self.pass(rows.number, &entry, show);
            }
            Record::Abandoned(abandoned) => {
                self.release(by, show);
                self.pass(abandoned.number, &entry, show);
            }
            // It may stand between a statement and its verdict.
            Record::Checkpoint(_) => {}
            Record::Opened(_)
            | Record::Login(_)
            | Record::Closed(_)
            | Record::Transport(_)
            | Record::Chosen(_)
            | Record::Sealed(_)
            | Record::Host(_) => self.release(by, show),
        }
    }

    fn holds(&self, number: u64) -> bool {
        let Some(Record::Statement(statement)) = self.held.first().map(|entry| &entry.record) else { return false };
        statement.number == number && self.held.len() == 1
    }

    /// Whether the statement is held with its verdict.
    fn is_judged(&self, number: u64) -> bool {
        let Some(Record::Verdict(verdict)) = self.held.get(1).map(|entry| &entry.record) else { return false };
        verdict.number == number
    }

    fn pass(&self, number: u64, entry: &Entry<'static>, show: &mut impl FnMut(&Entry<'static>)) {
        if self.chosen.contains(&number) {
            show(entry);
        }
    }

    /// Shows the statement that is held, if it is wanted, now that all came that is recorded with it.
    pub(in crate::cli) fn release(&mut self, by: &mut Choosing<'_>, show: &mut impl FnMut(&Entry<'static>)) {
        let held = std::mem::take(&mut self.held);
        let Some((Record::Statement(statement), at_unix_ns)) =
            held.first().map(|entry| (&entry.record, entry.at_unix_ns))
        else {
            return;
        };
        let verdict = match held.get(1).map(|entry| &entry.record) {
            Some(Record::Verdict(verdict)) => Some(verdict),
            Some(_) | None => None,
        };
        let prepared = self.texts.of(statement);
        let facts = merged(&held);
        let question = Question { statement, prepared: prepared.as_deref(), verdict, facts: facts.as_ref() };
        if !by.filter.is_time(at_unix_ns) || !by.filter.is_statement(by.about, question, by.analyses) {
            return;
        }
        if statement.command != Command::Close {
            self.chosen.insert(statement.number);
        }
        if self.chosen.len() > RECORDED_PENDING_MAX {
            self.chosen.pop_first();
        }
        held.iter().for_each(show);
    }
}

/// What the policies were asked, of all records that are held.
fn merged(held: &[Entry<'static>]) -> Option<Facts<'static>> {
    let parts =
        held.iter().filter_map(|entry| if let Record::Facts(facts) = &entry.record { Some(facts) } else { None });
    parts.cloned().reduce(|mut facts, more| {
        facts.actions.to_mut().extend(more.actions.into_owned());
        facts.resources.to_mut().extend(more.resources.into_owned());
        facts
    })
}

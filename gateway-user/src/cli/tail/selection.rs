//! Which records of a session are shown.

use std::collections::BTreeSet;

use portreeve_recording::{Command, Entry, Record};

use crate::cli::recorded::{About, Analyses, Filter, PreparedTexts, Question};
use crate::limits::RECORDED_PENDING_MAX;

/// Passes the records of wanted statements. A statement is held until its verdict says whether it is wanted, which is recorded with
/// it.
#[derive(Debug, Default)]
pub(in crate::cli) struct Selection {
    texts: PreparedTexts,
    held: Option<Entry<'static>>,
    /// Wanted statements that more may be recorded about.
    chosen: BTreeSet<u64>,
}

impl Selection {
    /// Takes a record, and hands over those that are to be shown now.
    pub(in crate::cli) fn take(
        &mut self,
        entry: Entry<'static>,
        about: &About,
        filter: &Filter,
        analyses: &mut Analyses,
        show: &mut impl FnMut(&Entry<'static>),
    ) {
        if !filter.is_about_statements() {
            if filter.is_time(entry.at_unix_ns) {
                show(&entry);
            }
            return;
        }
        match &entry.record {
            Record::Statement(statement) => {
                self.release(None, about, filter, analyses, show);
                self.texts.learn(statement);
                self.held = Some(entry);
            }
            Record::Verdict(verdict) => {
                let number = verdict.number;
                self.release(Some(&entry), about, filter, analyses, show);
                self.pass(number, &entry, show);
            }
            Record::Response(response) => {
                let number = response.number;
                self.release(None, about, filter, analyses, show);
                self.pass(number, &entry, show);
                self.chosen.remove(&number);
            }
            Record::Forwarded(forwarded) => self.pass(forwarded.number, &entry, show),
            Record::Abandoned(abandoned) => self.pass(abandoned.number, &entry, show),
            Record::Facts(facts) => self.pass(facts.number, &entry, show),
            Record::Rows(rows) => self.pass(rows.number, &entry, show),
            // It may stand between a statement and its verdict.
            Record::Checkpoint(_) => {}
            Record::Opened(_)
            | Record::Login(_)
            | Record::Closed(_)
            | Record::Transport(_)
            | Record::Chosen(_)
            | Record::Sealed(_)
            | Record::Host(_) => {
                self.release(None, about, filter, analyses, show);
            }
        }
    }

    fn pass(&self, number: u64, entry: &Entry<'static>, show: &mut impl FnMut(&Entry<'static>)) {
        if self.chosen.contains(&number) {
            show(entry);
        }
    }

    /// Shows the statement that is held, if it is wanted, now that its verdict came or none will.
    fn release(
        &mut self,
        verdict: Option<&Entry<'static>>,
        about: &About,
        filter: &Filter,
        analyses: &mut Analyses,
        show: &mut impl FnMut(&Entry<'static>),
    ) {
        let Some(held) = self.held.take() else { return };
        let Record::Statement(statement) = &held.record else { return };
        let verdict = match verdict.map(|entry| &entry.record) {
            Some(Record::Verdict(verdict)) if verdict.number == statement.number => Some(verdict),
            Some(_) | None => None,
        };
        let prepared = self.texts.of(statement);
        let question = Question { statement, prepared: prepared.as_deref(), verdict };
        if filter.is_time(held.at_unix_ns) && filter.is_statement(about, question, analyses) {
            if statement.command != Command::Close {
                self.chosen.insert(statement.number);
            }
            if self.chosen.len() > RECORDED_PENDING_MAX {
                self.chosen.pop_first();
            }
            show(&held);
        }
    }
}

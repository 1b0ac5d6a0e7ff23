//! What session files say that workloads did.

use super::Wanted;
use crate::cli::recorded::{About, Analyses, Asks, Event, Exchange, Recording};
use portreeve_policy::{Action, Resource, Suggested, Suggestion};
use portreeve_recording::{Decision, Entry, Record, Text, Verdict};
use std::{collections::BTreeMap, path::Path};

/// Gathers what was seen, by workload.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_column: bool,
    suggestions: BTreeMap<String, Suggestion>,
    analyses: Analyses,
}

impl Seen {
    pub(super) fn new(by_column: bool) -> Self {
        Self { by_column, ..Self::default() }
    }

    /// Takes in a session file.
    ///
    /// # Errors
    /// When it cannot be read, or not to its end.
    pub(super) fn read(&mut self, path: &Path, wanted: &Wanted<'_>) -> anyhow::Result<()> {
        let mut recording = Recording::open(path)?;
        while let Some(event) = recording.next()? {
            let about = recording.about();
            let (Some(workload), Some(_)) = (about.workload.as_deref(), &about.server) else { return Ok(()) };
            if !wanted.is_workload(workload) {
                return Ok(());
            }
            match event {
                Event::Record(entry) if entry.at_unix_ns >= wanted.since_unix_ns => self.record(about, *entry, wanted),
                Event::Exchange(exchange) if exchange.at_unix_ns >= wanted.since_unix_ns => {
                    self.exchange(about, &exchange, wanted);
                }
                Event::Record(_) | Event::Exchange(_) => {}
            }
        }
        Ok(())
    }

    /// What is suggested to each workload.
    pub(super) fn finish(self) -> BTreeMap<String, Suggested> {
        self.suggestions.into_iter().map(|(workload, suggestion)| (workload, suggestion.finish())).collect()
    }

    fn record(&mut self, about: &About, entry: Entry<'static>, wanted: &Wanted<'_>) {
        let Record::Login(login) = entry.record else { return };
        let denied = u64::from(!login.accepted);
        if let Some(schema) = login.schema.filter(|_| denied == 0 || !wanted.forwarded) {
            self.command(about, Action::Use, Resource::Schema(schema.into_owned()), denied);
        }
    }

    fn exchange(&mut self, about: &About, exchange: &Exchange, wanted: &Wanted<'_>) {
        // Commands that nobody judges have no verdict.
        let Some(verdict) = &exchange.verdict else { return };
        let is_denied = is_denied(verdict);
        if is_denied && wanted.forwarded {
            return;
        }
        let denied = u64::from(is_denied);
        match exchange.asks() {
            Asks::Text { sql, schema, prepared } => self.text(about, sql, schema, prepared, verdict, denied),
            Asks::Command(action, resource) => self.command(about, action, resource, denied),
            Asks::Unknown(why) => {
                let text = &exchange.statement.sql;
                let command = crate::cli::render::text::command(exchange.statement.command);
                let what = format!("{command} {}", String::from_utf8_lossy(text.kept()));
                self.of(about).leave_out(what.trim_end(), why, 1);
            }
            Asks::Nothing => {}
        }
    }

    fn command(&mut self, about: &About, action: Action, resource: Resource, denied: u64) {
        let Some(server) = &about.server else { return };
        self.of(about).command(server, action, resource, 1, denied);
    }

    fn text(
        &mut self,
        about: &About,
        sql: &Text<'_>,
        schema: Option<&str>,
        prepared: bool,
        verdict: &Verdict<'_>,
        denied: u64,
    ) {
        let Some(server) = &about.server else { return };
        let shown = String::from_utf8_lossy(sql.kept());
        let facts = match self.analyses.of(about, sql, schema, prepared) {
            // The session may have been read in a way of its own, which is not recorded.
            Ok(_) if verdict.class == Action::Unparsed.as_str() => {
                return self.of(about).leave_out(&shown, "it was not read when it was seen", 1);
            }
            Ok(facts) => facts,
            Err(why) => return self.of(about).leave_out(&shown, why, 1),
        };
        self.of(about).text(server, &shown, &facts, 1, denied);
    }

    fn of(&mut self, about: &About) -> &mut Suggestion {
        let by_column = self.by_column;
        let workload = about.workload.as_deref().unwrap_or_default();
        let new = || Suggestion::new(workload).by_column(by_column);
        self.suggestions.entry(workload.to_owned()).or_insert_with(new)
    }
}

fn is_denied(verdict: &Verdict<'_>) -> bool {
    match verdict.decision {
        Decision::Allow | Decision::WouldDeny => false,
        Decision::Deny => true,
    }
}

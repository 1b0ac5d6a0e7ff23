//! One recorded statement, judged anew.

use crate::cli::recorded::{About, Analyses, Asks, Exchange};
use portreeve_policy::{Action, Decision, Facts, Policies, Resource, Subject, Verdict};
use portreeve_recording::{Command, Decision as Recorded, Entry, Record, Text};
use std::collections::BTreeSet;

/// Judges by policies.
#[derive(Debug)]
pub(super) struct Judging<'p> {
    pub(super) policies: &'p Policies,
    pub(super) analyses: Analyses,
}

/// A statement with what was decided and what would be.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) at_unix_ns: u64,
    /// None for the schema of a login.
    pub(super) number: Option<u64>,
    pub(super) text: String,
    pub(super) was_permitted: bool,
    pub(super) was_policies: Vec<String>,
    /// Or why it cannot be said.
    pub(super) now: Result<Verdict, &'static str>,
}

impl Judging<'_> {
    /// None for what no policy was asked about.
    pub(super) fn exchange(&mut self, about: &About, exchange: &Exchange) -> Option<Judged> {
        let was = exchange.verdict.as_ref()?;
        let was_permitted = match was.decision {
            Recorded::Allow => true,
            Recorded::Deny | Recorded::WouldDeny => false,
        };
        let now = match exchange.asks() {
            Asks::Nothing => return None,
            Asks::Unknown(why) => Err(why),
            // The gateway's own limits, and what it does not speak, are denied whatever the policies are.
            Asks::Text { .. } if was.class == "command" && was.policies.is_empty() => return None,
            Asks::Text { sql, schema, prepared } => self.text(about, sql, schema, prepared, exchange, &was.class),
            Asks::Command(action, resource) => self.command(about, action, resource, exchange.at_unix_ns),
        };
        Some(Judged {
            at_unix_ns: exchange.at_unix_ns,
            number: Some(exchange.statement.number),
            text: text(exchange),
            was_permitted,
            was_policies: was.policies.to_vec(),
            now,
        })
    }

    /// The schema that a login selects.
    pub(super) fn record(&self, about: &About, entry: &Entry<'_>) -> Option<Judged> {
        let Record::Login(login) = &entry.record else { return None };
        // Of one that was not accepted it is not said why.
        let schema = login.schema.as_deref().filter(|_| login.accepted)?;
        Some(Judged {
            at_unix_ns: entry.at_unix_ns,
            number: None,
            text: format!("login with the schema `{schema}`"),
            was_permitted: true,
            was_policies: Vec::new(),
            now: self.command(about, Action::Use, Resource::Schema(schema.to_owned()), entry.at_unix_ns),
        })
    }

    fn text(
        &mut self,
        about: &About,
        sql: &Text<'_>,
        schema: Option<&str>,
        prepared: bool,
        exchange: &Exchange,
        was_class: &str,
    ) -> Result<Verdict, &'static str> {
        let facts = self.analyses.of(about, sql, schema, prepared)?;
        if facts.kills.is_some() {
            return Err("whose session it ends is not recorded");
        }
        if facts.class() != was_class {
            return Err(
                "the daemon read it otherwise: in another `sql_mode`, by views or routines, or as another version",
            );
        }
        let mut context = self.analyses.context(about, schema, prepared)?;
        if !exchange.facts_are_whole {
            return Err("what it reaches is recorded in part");
        }
        if exchange.facts.as_ref().is_some_and(|recorded| reaches_more(recorded, &facts, context.server)) {
            return Err("it reaches what only the server could tell: behind views, routines, triggers or foreign keys");
        }
        let runs = runs(exchange);
        let facts = if runs == 1 { facts } else { facts.times(runs).into() };
        context.now_unix_ms = ms(exchange.at_unix_ns);
        Ok(self.policies.judge(&subject(about)?, &facts, &context))
    }

    fn command(
        &self,
        about: &About,
        action: Action,
        resource: Resource,
        at_unix_ns: u64,
    ) -> Result<Verdict, &'static str> {
        let mut context = self.analyses.context(about, None, false)?;
        context.now_unix_ms = ms(at_unix_ns);
        Ok(self.policies.judge_command(&subject(about)?, action, resource, &context))
    }
}

impl Judged {
    /// Whether it would be permitted, where that can be said.
    pub(super) fn is_permitted(&self) -> Option<bool> {
        self.now.as_ref().ok().map(|verdict| match verdict.decision {
            Decision::Allow => true,
            Decision::Deny => false,
        })
    }
}

fn subject(about: &About) -> Result<Subject, &'static str> {
    let spiffe_id = about.workload.clone().ok_or("whose session it was is not recorded")?;
    Ok(Subject { spiffe_id, groups: about.groups.clone() })
}

/// Whether the policies were asked about more than the text shows.
fn reaches_more(recorded: &portreeve_recording::Facts<'_>, facts: &Facts, server: &str) -> bool {
    let requests = facts.statements.iter().flat_map(|statement| &statement.requests);
    let shown: BTreeSet<String> = requests.map(|request| request.resource.id(server)).collect();
    // Of a column, its table: which columns are asked about depends on what the policies speak of.
    let table = |id: &str| id.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    recorded.resources.iter().any(|id| !shown.contains(&table(id)))
}

/// How many times at once the text runs: of a bulk execution each row is recorded as one parameter.
fn runs(exchange: &Exchange) -> u64 {
    match exchange.statement.command {
        Command::BulkExecute => (exchange.statement.parameters.len() as u64).max(1),
        _ => 1,
    }
}

fn text(exchange: &Exchange) -> String {
    let text = String::from_utf8_lossy(exchange.text().kept()).into_owned();
    if exchange.statement.command == Command::Query {
        return text;
    }
    let command = crate::cli::render::text::command(exchange.statement.command);
    format!("{command} {text}").trim_end().to_owned()
}

fn ms(unix_ns: u64) -> i64 {
    i64::try_from(unix_ns / 1_000_000).unwrap_or(i64::MAX)
}

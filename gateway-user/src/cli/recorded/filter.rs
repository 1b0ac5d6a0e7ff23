//! Which sessions and statements are wanted.

use clap::{Args, ValueEnum};
use portreeve_policy::{Action, Facts, Request, Resource};
use portreeve_recording::{Decision, Statement, Verdict};
use regex::bytes::Regex;

use super::{About, Analyses, Asks, Exchange, PreparedText, asks, since};
use crate::cli::{Usage, render};

/// Filters that the commands which read recordings share. All that are given must hold; of one that is given several times, any.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(in crate::cli) struct FilterArgs {
    /// Only sessions of this workload: its name or SPIFFE ID
    #[arg(short, long, value_name = "WORKLOAD")]
    pub(in crate::cli) workload: Option<String>,
    /// Only sessions with this server
    #[arg(long, value_name = "SERVER")]
    pub(in crate::cli) server: Option<String>,
    /// Only what was recorded since: a time such as 2026-11-24T03:00:00Z, a day, or so long ago (10m, 24h, 7d)
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Only statements with this verdict; may be given several times
    #[arg(long = "verdict", value_enum, value_name = "VERDICT")]
    pub(in crate::cli) verdicts: Vec<VerdictName>,
    /// Only statements of this class, such as `select`, as the verdict has it; may be given several times
    #[arg(long = "class", value_name = "CLASS")]
    pub(in crate::cli) classes: Vec<String>,
    /// Only statements that ask for this action, or one of this group, such as `delete` or `write`, whatever their class; may be
    /// given several times
    #[arg(long = "action", value_name = "ACTION")]
    pub(in crate::cli) actions: Vec<String>,
    /// Only statements about this table, its name in any case; may be given several times
    #[arg(long = "table", value_name = "[SCHEMA.]TABLE")]
    pub(in crate::cli) tables: Vec<String>,
    /// Only statements whose text, or one of whose parameters, has a match of this regular expression
    #[arg(long, value_name = "REGEX")]
    pub(in crate::cli) grep: Option<String>,
}

/// A verdict on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum VerdictName {
    Allow,
    Deny,
    WouldDeny,
}

impl VerdictName {
    fn is(self, decision: Decision) -> bool {
        match decision {
            Decision::Allow => self == Self::Allow,
            Decision::Deny => self == Self::Deny,
            Decision::WouldDeny => self == Self::WouldDeny,
        }
    }
}

/// The filters, read.
#[derive(Debug, Default)]
pub(in crate::cli) struct Filter {
    workload: Option<String>,
    server: Option<String>,
    /// 0 when all times are wanted.
    pub(in crate::cli) since_unix_ns: u64,
    verdicts: Vec<VerdictName>,
    classes: Vec<String>,
    actions: Vec<String>,
    /// Schema, where it was given, and table.
    tables: Vec<(Option<String>, String)>,
    grep: Option<Regex>,
}

/// A statement that may be wanted.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Question<'a> {
    pub(in crate::cli) statement: &'a Statement<'static>,
    /// What it executes.
    pub(in crate::cli) prepared: Option<&'a PreparedText>,
    pub(in crate::cli) verdict: Option<&'a Verdict<'static>>,
    /// What the policies were asked, where that is recorded.
    pub(in crate::cli) facts: Option<&'a portreeve_recording::Facts<'static>>,
}

impl<'a> From<&'a Exchange> for Question<'a> {
    fn from(exchange: &'a Exchange) -> Self {
        let Exchange { statement, prepared, verdict, facts, .. } = exchange;
        Self { statement, prepared: prepared.as_deref(), verdict: verdict.as_ref(), facts: facts.as_ref() }
    }
}

impl Filter {
    /// # Errors
    /// What in the arguments is no time, action or regular expression.
    pub(in crate::cli) fn new(args: &FilterArgs) -> anyhow::Result<Self> {
        for class in &args.classes {
            // What no policy was asked about is `command`, and several statements in one text are `multi`.
            if class != "command" && class != "multi" && !Action::ALL.iter().any(|action| action.as_str() == class) {
                return Err(Usage(unknown("class", class)).into());
            }
        }
        for wanted in &args.actions {
            if !Action::ALL.iter().any(|action| is_action(wanted, *action)) {
                return Err(Usage(unknown("action", wanted)).into());
            }
        }
        let table = |name: &String| match name.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
            None => (None, name.clone()),
        };
        Ok(Self {
            workload: args.workload.clone(),
            server: args.server.clone(),
            since_unix_ns: args.since.as_deref().map_or(Ok(0), since)?,
            verdicts: args.verdicts.clone(),
            classes: args.classes.clone(),
            actions: args.actions.clone(),
            tables: args.tables.iter().map(table).collect(),
            grep: args.grep.as_deref().map(regex).transpose()?,
        })
    }

    /// Whether only some statements are wanted; then no record is that is about none.
    pub(in crate::cli) fn is_about_statements(&self) -> bool {
        let Self { workload: _, server: _, since_unix_ns: _, verdicts, classes, actions, tables, grep } = self;
        let lists = [verdicts.is_empty(), classes.is_empty(), actions.is_empty(), tables.is_empty(), grep.is_none()];
        !lists.iter().all(|is_empty| *is_empty)
    }

    /// Whether every session is wanted, and every record of it.
    pub(in crate::cli) fn is_every_session(&self) -> bool {
        self.workload.is_none() && self.server.is_none() && !self.is_about_statements()
    }

    /// Whether a session is wanted; known after its first record.
    pub(in crate::cli) fn is_session(&self, about: &About) -> bool {
        self.is_session_of(about.workload.as_deref(), about.server.as_deref())
    }

    /// Whether a session of this workload and server is wanted.
    pub(in crate::cli) fn is_session_of(&self, workload: Option<&str>, server: Option<&str>) -> bool {
        let is_server = self.server.as_deref().is_none_or(|wanted| server == Some(wanted));
        is_server && self.workload.as_deref().is_none_or(|wanted| render::is_workload(wanted, workload))
    }

    /// Whether a moment is wanted.
    pub(in crate::cli) fn is_time(&self, at_unix_ns: u64) -> bool {
        at_unix_ns >= self.since_unix_ns
    }

    /// Whether a statement is wanted. One whose tables and actions cannot be found has none.
    pub(in crate::cli) fn is_statement(&self, about: &About, asked: Question<'_>, analyses: &mut Analyses) -> bool {
        let Question { statement, prepared, verdict, facts: recorded } = asked;
        let is_verdict = |wanted: &VerdictName| verdict.is_some_and(|verdict| wanted.is(verdict.decision));
        let is_class = |wanted: &String| verdict.is_some_and(|verdict| verdict.class == *wanted);
        if !any_or_none(&self.verdicts, is_verdict) || !any_or_none(&self.classes, is_class) {
            return false;
        }
        if let Some(grep) = &self.grep
            && !texts(statement, prepared).any(|text| grep.is_match(text))
        {
            return false;
        }
        if self.actions.is_empty() && self.tables.is_empty() {
            return true;
        }
        let is_found = match asks(statement, prepared) {
            Asks::Text { sql, schema, prepared } => {
                analyses.of(about, sql, schema, prepared).is_ok_and(|facts| self.are_facts(&facts))
            }
            Asks::Command(action, resource) => self.is_request(&Request { action, resource }),
            Asks::Unknown(_) | Asks::Nothing => false,
        };
        is_found || recorded.is_some_and(|facts| self.are_recorded(facts))
    }

    /// Whether what the policies were asked has the action and the table. Which action was asked of which table is not recorded.
    fn are_recorded(&self, facts: &portreeve_recording::Facts<'_>) -> bool {
        let has_action = |wanted: &String| {
            facts.actions.iter().any(|name| Action::ALL.iter().any(|of| of.as_str() == name && is_action(wanted, *of)))
        };
        let has_table = |wanted: &(Option<String>, String)| facts.resources.iter().any(|id| is_table_id(id, wanted));
        any_or_none(&self.actions, has_action) && any_or_none(&self.tables, has_table)
    }

    fn are_facts(&self, facts: &Facts) -> bool {
        facts.statements.iter().flat_map(|statement| &statement.requests).any(|request| self.is_request(request))
    }

    /// Whether a request has the action and is about the table; both, where both are asked for.
    fn is_request(&self, request: &Request) -> bool {
        any_or_none(&self.actions, |wanted| is_action(wanted, request.action))
            && any_or_none(&self.tables, |(schema, table)| match &request.resource {
                Resource::Table { schema: of, table: name } | Resource::Column { schema: of, table: name, .. } => {
                    name.eq_ignore_ascii_case(table)
                        && schema.as_ref().is_none_or(|schema| of.eq_ignore_ascii_case(schema))
                }
                Resource::Server | Resource::Schema(_) | Resource::Routine { .. } => false,
            })
    }
}

/// The texts of a statement that are looked through.
pub(in crate::cli) fn texts<'a>(
    statement: &'a Statement<'_>,
    prepared: Option<&'a PreparedText>,
) -> impl Iterator<Item = &'a [u8]> {
    let own = std::iter::once(&statement.sql).chain(statement.parameters.iter()).map(|text| text.kept());
    own.chain(prepared.map(|prepared| prepared.sql.kept()))
}

/// # Errors
/// What is wrong with it.
pub(in crate::cli) fn regex(text: &str) -> anyhow::Result<Regex> {
    Regex::new(text).map_err(|error| Usage(format!("`{text}` is no regular expression: {error}")).into())
}

fn any_or_none<T>(wanted: &[T], is: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is)
}

/// Whether a resource as policy calls it (`orders/shop.users`, a column `orders/shop.users.card`) is of a table.
fn is_table_id(id: &str, (schema, table): &(Option<String>, String)) -> bool {
    let Some((of, name)) = schema_and_name(id) else { return false };
    name.eq_ignore_ascii_case(table) && schema.as_ref().is_none_or(|schema| of.eq_ignore_ascii_case(schema))
}

/// The schema and name of a table or routine (of a column: of its table) that policy calls `id`; none of anything else.
pub(super) fn schema_and_name(id: &str) -> Option<(String, String)> {
    let (_, names) = id.split_once('/')?;
    // Its own separators are escaped in names, as `%2E`.
    let mut parts = names.split('.').map(|part| part.replace("%2E", ".").replace("%2F", "/").replace("%25", "%"));
    Some((parts.next()?, parts.next()?))
}

fn is_action(wanted: &str, action: Action) -> bool {
    wanted == action.as_str() || wanted == action.group()
}

fn unknown(what: &str, given: &str) -> String {
    let names: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let near = names.iter().filter(|name| strsim::jaro_winkler(name, given) > 0.8).copied().collect::<Vec<_>>();
    let near = if near.is_empty() { names } else { near };
    format!("there is no {what} `{given}`: perhaps {}", near.join(", "))
}

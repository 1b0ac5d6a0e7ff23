//! How a statement is tried without harm, by what analysis says of it and by its first word.

use crate::corpus;
use portreeve_policy::{Action, Facts, Resource};
use serde::Serialize;

/// How the account that has just the privileges found is asked whether it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It has the statement prepared: the server checks tables and columns then. The test's own session runs it.
    Prepared,
    /// It runs it; nothing changes by that.
    Run,
    /// It runs it, in the place of the test's own session.
    Instead,
    /// It runs it, and the test's own session as well: session state.
    Both,
    /// A view: made by it, then made anew by the test's own session, whose privileges it is to have.
    View,
    /// The test's own session runs it: the server checks nothing of what is compared (transactions, bodies of routines).
    Unchecked,
    /// Nobody runs it: it would end the trial, or change accounts, the server or its system schemas.
    Dangerous,
    /// Analysis has not read it. The test's own session runs it.
    Unparsed,
}

/// Actions of statements that nobody runs.
const DANGEROUS: &[Action] = &[
    Action::Users,
    Action::SetGlobal,
    Action::Kill,
    Action::KillOwn,
    Action::Flush,
    Action::Plugins,
    Action::Replication,
    Action::Shutdown,
    Action::Debug,
    Action::Udf,
    Action::Event,
];

/// What the test's own session must not run either, once it is compared: waits and files.
const ONLY_PREPARED: &[Action] =
    &[Action::Sleep, Action::Benchmark, Action::Outfile, Action::Dumpfile, Action::LocalInfile];

impl Kind {
    pub(crate) fn of(text: &[u8], facts: &Facts) -> Self {
        let words = words(text);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let asks = |actions: &[Action]| {
            facts
                .statements
                .iter()
                .flat_map(|statement| &statement.requests)
                .any(|request| actions.contains(&request.action))
        };
        if asks(DANGEROUS) || changes_system(facts) {
            return Self::Dangerous;
        }
        if facts.has_unparsed() {
            return if matches!(
                words.first(),
                Some(&("GRANT" | "REVOKE" | "SET" | "SHUTDOWN" | "KILL" | "FLUSH" | "INSTALL"))
            ) {
                Self::Dangerous
            } else {
                Self::Unparsed
            };
        }
        if facts.statements.len() != 1 || asks(&[Action::CreateRoutine, Action::Trigger]) {
            return Self::Unchecked;
        }
        match words.as_slice() {
            ["SELECT" | "WITH" | "VALUES" | "TABLE" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "DO", ..] => {
                Self::Prepared
            }
            ["ANALYZE", "TABLE" | "LOCAL" | "NO_WRITE_TO_BINLOG", ..]
            | ["SHOW" | "CHECK" | "CHECKSUM" | "HELP", ..] => Self::Run,
            ["EXPLAIN" | "DESCRIBE" | "DESC" | "ANALYZE", ..] => Self::Prepared,
            ["CREATE" | "ALTER", rest @ ..] if rest.iter().take(VIEW_WITHIN).any(|word| *word == "VIEW") => Self::View,
            ["CREATE", "TEMPORARY", ..] | ["CREATE", "OR", "REPLACE", "TEMPORARY", ..] => Self::Both,
            ["CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" | "OPTIMIZE" | "REPAIR" | "LOAD" | "CALL", ..] => {
                Self::Instead
            }
            ["SET" | "USE" | "PREPARE" | "HANDLER", ..] => Self::Both,
            ["LOCK" | "XA" | "BACKUP", ..] => Self::Dangerous,
            _ => Self::Unchecked,
        }
    }
}

/// Whether the test's own session may run it.
pub(crate) fn may_run(facts: &Facts) -> bool {
    let mut requests = facts.statements.iter().flat_map(|statement| &statement.requests);
    !requests.any(|request| ONLY_PREPARED.contains(&request.action))
}

/// How far behind the first word `VIEW` may stand: `OR REPLACE ALGORITHM = MERGE DEFINER = a@b SQL SECURITY INVOKER`.
const VIEW_WITHIN: usize = 12;

fn changes_system(facts: &Facts) -> bool {
    facts.statements.iter().flat_map(|statement| &statement.requests).any(|request| {
        let schema = match &request.resource {
            Resource::Server => return false,
            Resource::Schema(schema)
            | Resource::Table { schema, .. }
            | Resource::Column { schema, .. }
            | Resource::Routine { schema, .. } => schema,
        };
        let reads =
            matches!(request.action, Action::Select | Action::Show | Action::Use | Action::Explain | Action::Execute);
        !reads && ["mysql", "sys", "performance_schema"].iter().any(|system| system.eq_ignore_ascii_case(schema))
    })
}

/// The first words in upper case, behind comments and parentheses.
fn words(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let words =
        corpus::behind_comments(&text).split(|character: char| !character.is_alphanumeric() && character != '_');
    words.filter(|word| !word.is_empty()).take(WORDS_MAX).map(str::to_uppercase).collect()
}

const WORDS_MAX: usize = 16;

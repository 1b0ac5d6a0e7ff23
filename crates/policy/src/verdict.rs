//! What was decided, and why.

use serde::Serialize;

use crate::facts::Request;

/// Yes or no. There is no default: it is always somebody's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allow,
    Deny,
}

/// The decision about a text, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub decision: Decision,
    /// The `@id`s of the policies that decided, sorted: the permits that were used, or the forbids that denied. Empty
    /// when nothing permits.
    pub policies: Vec<String>,
    /// One line for the client: names of policies, actions and tables, never values.
    pub reason: String,
    /// What was asked, and the answer to each.
    pub answers: Vec<Answer>,
}

impl Verdict {
    /// Whether the text may run.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub request: Request,
    pub allowed: bool,
    /// The `@id`s of the policies that decided.
    pub policies: Vec<String>,
    /// Why not, when it is denied.
    pub reason: Option<String>,
}

//! What was decided, and why.

use serde::{Deserialize, Serialize};

use crate::facts::Request;

/// Yes or no. There is no default: it is always somebody's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The `@id`s of the forbids that would have denied, had the statement not met their condition; sorted.
    pub lifted: Vec<String>,
    /// Whose approval would let the text run: empty unless nothing but that is missing.
    pub approvals: Vec<Approval>,
    /// Whether the same text may get another verdict at another time.
    pub depends_on_time: bool,
}

impl Verdict {
    /// Whether the text may run.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }

    /// Whether the verdict may be remembered: the same arguments give the same verdict, whatever the time.
    pub fn cacheable(&self) -> bool {
        !self.depends_on_time
    }
}

/// An approval that a forbid asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Approval {
    /// The group one of whose members must agree.
    pub group: String,
    /// The `@id` of the forbid.
    pub policy: String,
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
    /// The forbids that this request met the condition of.
    pub lifted: Vec<String>,
    /// The approvals without which it is denied; then nothing else is missing.
    pub approvals: Vec<Approval>,
    /// Whether policies that look at the time have a say.
    pub depends_on_time: bool,
}

impl Answer {
    /// Whether a member of a group would have to agree, and nothing else is missing.
    pub(crate) fn needs_approval(&self) -> bool {
        !self.approvals.is_empty()
    }
}

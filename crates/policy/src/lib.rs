//! SQL to facts to verdict.
//!
//! [`analyse`] reads a text as the server would and says what it does ([`Facts`]); [`Policies::judge`] asks Cedar about
//! each request in them and says whether the text may run, and why ([`Verdict`]). Both are pure: no IO, no clock, no
//! state but the policies.
//!
//! What is not read with certainty is `unparsed`, an action of its own that nothing else permits.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod action;
mod analysis;
mod builtins;
mod bulk;
mod cases;
mod catalogue;
mod columns;
mod command;
mod context;
mod cursor;
mod definition;
mod entities;
mod facts;
mod fires;
mod guardrails;
mod judge;
mod lexer;
mod lifting;
pub mod limits;
mod maintenance;
mod moment;
mod names;
mod nearest;
mod normal;
mod pattern;
mod permit;
mod policies;
mod prepared;
mod problem;
mod reader;
mod reading;
mod remembered;
mod routine;
#[cfg(any(test, feature = "second-reader"))]
mod second;
mod session;
mod set;
mod show;
mod sight;
mod suggest;
mod through;
mod token;
mod unconditional;
mod variables;
mod verdict;
mod walk;
mod words;

pub use action::{Action, StatementClass};
pub use analysis::analyse;
pub use builtins::is_known_charset;
pub use cases::{Case, Failure, Outcome};
pub use catalogue::{
    Cascade, Catalogue, Relation, Routine, RoutineKind, RowChange, Security, Trigger, TriggerText, View,
    is_system_schema,
};
pub use context::{Context, Flavour};
pub use facts::{Columns, ColumnsOf, Facts, Request, Resource, StatementFacts};
pub use guardrails::{ImportScope, Imported, NoGuardrails, Note, import_guardrails};
pub use judge::Subject;
pub use nearest::{Failing, Lacking, Nearest, Part};
pub use policies::{Policies, SCHEMA, Source};
pub use problem::PolicyProblem;
pub use reading::{Modes, is_utf8_charset, version_number};
pub use remembered::{Judgement, Question, Remembered};
#[cfg(feature = "second-reader")]
pub use second::second_reading;
pub use sight::Sight;
pub use suggest::{NotCovered, Suggested, SuggestedPolicy, Suggestion};
pub use verdict::{Answer, Approval, Decision, Verdict};

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
mod body;
mod builtins;
mod bulk;
mod catalogue;
mod command;
mod context;
mod cursor;
mod data;
mod definition;
mod entities;
mod expression;
mod facts;
mod judge;
mod lexer;
pub mod limits;
mod names;
mod normal;
mod parse;
mod policies;
mod problem;
mod query;
mod reader;
mod reading;
mod remembered;
mod session;
mod set;
mod show;
mod source;
mod through;
mod token;
mod unconditional;
mod verdict;

pub use action::{Action, StatementClass};
pub use analysis::analyse;
pub use builtins::is_known_charset;
pub use catalogue::{Catalogue, Relation, Routine, RoutineKind, Security, View, is_system_schema};
pub use context::{Context, Flavour};
pub use facts::{Facts, Request, Resource, StatementFacts};
pub use judge::Subject;
pub use policies::{Policies, SCHEMA, Source};
pub use problem::PolicyProblem;
pub use reading::{Modes, is_utf8_charset, version_number};
pub use remembered::{Judgement, Question, Remembered};
pub use verdict::{Answer, Decision, Verdict};

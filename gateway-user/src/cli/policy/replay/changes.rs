//! What would change, gathered by the policies that would decide.

use super::judging::Judged;
use crate::{
    cli::{recorded::About, render},
    limits::CHANGES_KEPT_MAX,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts, and the statements whose verdict would change.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) sessions: u64,
    /// Recordings that could not be read to their end.
    pub(super) unread: u64,
    statements: u64,
    unchanged: u64,
    denied: u64,
    permitted: u64,
    groups: BTreeMap<Key, Group>,
    /// Statements that are shown.
    kept: usize,
    left_out: u64,
    not_judged: BTreeMap<&'static str, (u64, u64)>,
}

/// The policies that would decide, and where none would, those that did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    was_permitted: bool,
    policies: Vec<String>,
    was_policies: Vec<String>,
}

#[derive(Debug, Default)]
struct Group {
    times: u64,
    /// By workload, text and reason.
    statements: BTreeMap<(String, String, String), Seen>,
}

/// Where a text was seen first.
#[derive(Debug)]
struct Seen {
    session: String,
    number: Option<u64>,
    at: String,
    times: u64,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) sessions: u64,
    pub(super) sessions_unread: u64,
    pub(super) statements: u64,
    pub(super) unchanged: u64,
    pub(super) would_be_denied: u64,
    pub(super) would_be_permitted: u64,
    pub(super) changes: Vec<FoundGroup>,
    pub(super) changes_left_out: u64,
    pub(super) not_judged: Vec<NotJudged>,
}

#[derive(Debug, Serialize)]
pub(super) struct FoundGroup {
    pub(super) was: &'static str,
    pub(super) now: &'static str,
    pub(super) policies: Vec<String>,
    pub(super) was_policies: Vec<String>,
    pub(super) times: u64,
    pub(super) statements: Vec<Change>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) workload: String,
    pub(super) sql: String,
    pub(super) reason: String,
    pub(super) times: u64,
    pub(super) session: String,
    pub(super) number: Option<u64>,
    pub(super) at: String,
}

#[derive(Debug, Serialize)]
pub(super) struct NotJudged {
    pub(super) reason: &'static str,
    pub(super) times: u64,
    /// Those of them that had been permitted.
    pub(super) permitted: u64,
}

impl Changes {
    pub(super) fn add(&mut self, about: &About, judged: Judged) {
        self.statements += 1;
        let is_permitted = judged.is_permitted();
        let now = match judged.now {
            Ok(_) if is_permitted == Some(judged.was_permitted) => {
                self.unchanged += 1;
                return;
            }
            Ok(now) => now,
            Err(why) => {
                let (times, permitted) = self.not_judged.entry(why).or_default();
                *times += 1;
                *permitted += u64::from(judged.was_permitted);
                return;
            }
        };
        *(if judged.was_permitted { &mut self.denied } else { &mut self.permitted }) += 1;
        let was_policies = if now.policies.is_empty() { judged.was_policies } else { Vec::new() };
        let key = Key { was_permitted: judged.was_permitted, policies: now.policies, was_policies };
        let group = self.groups.entry(key).or_default();
        group.times += 1;
        let text = (about.workload.clone().unwrap_or_default(), judged.text, now.reason);
        if let Some(seen) = group.statements.get_mut(&text) {
            seen.times += 1;
        } else if self.kept < CHANGES_KEPT_MAX {
            self.kept += 1;
            let (session, at) = (about.id.to_string(), render::time(judged.at_unix_ns, 3));
            group.statements.insert(text, Seen { session, number: judged.number, at, times: 1 });
        } else {
            self.left_out += 1;
        }
    }

    /// What was found: first what would be denied.
    pub(super) fn finish(self) -> Found {
        let changes = self.groups.into_iter().rev().map(|(key, group)| {
            let (was, now) = if key.was_permitted { ("allow", "deny") } else { ("deny", "allow") };
            let statements = group.statements.into_iter().map(|((workload, sql, reason), seen)| {
                let Seen { session, number, at, times } = seen;
                Change { workload, sql, reason, times, session, number, at }
            });
            let Key { policies, was_policies, .. } = key;
            FoundGroup { was, now, policies, was_policies, times: group.times, statements: statements.collect() }
        });
        let not_judged = self.not_judged.into_iter();
        Found {
            sessions: self.sessions,
            sessions_unread: self.unread,
            statements: self.statements,
            unchanged: self.unchanged,
            would_be_denied: self.denied,
            would_be_permitted: self.permitted,
            changes: changes.collect(),
            changes_left_out: self.left_out,
            not_judged: not_judged.map(|(reason, (times, permitted))| NotJudged { reason, times, permitted }).collect(),
        }
    }
}

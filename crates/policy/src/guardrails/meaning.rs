//! What the words of a guardrail do.

use std::collections::BTreeSet;

use crate::action::Action;
use crate::pattern::Words;

/// What a rule forbids: actions on resources of one kind, under a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forbidden {
    pub(super) actions: BTreeSet<Action>,
    /// `Table` or `Schema`; any when there is none.
    pub(super) kind: Option<&'static str>,
    pub(super) unless: Option<&'static str>,
    pub(super) when: Option<&'static str>,
    /// In lower case: a forbid counts for every case. All when there are none.
    pub(super) tables: Vec<String>,
}

const FILTERED: &str = "context.has_where && !context.where_is_constant";
const CHANGES: &str = "[\"update\", \"delete\"].contains(context.statement_class)";
const SELECTS: &str = "context.statement_class == \"select\"";

/// What words do, and what is to be said about them; `None` when they are about more than what a statement does.
pub(super) fn meaning(words: &Words) -> Option<(Vec<Forbidden>, Vec<&'static str>)> {
    let (verbs, rest) = words.places.split_first()?;
    let (mut objects, mut tables, mut before) = (Vec::new(), Vec::new(), "");
    for place in rest {
        let known = |word: &String| is_filler(word) || is_object(word);
        if place.iter().all(known) {
            objects.extend(place.iter().filter(|word| !is_filler(word)));
        } else if ["FROM", "INTO", "JOIN", "UPDATE", "TABLE"].contains(&before) && !place.iter().any(known) {
            tables.extend(place.iter().map(|word| word.to_ascii_lowercase()));
        } else {
            return None;
        }
        before = place.first().map_or("", String::as_str);
    }
    let mut found: Vec<Forbidden> = verbs.iter().flat_map(|verb| acts(verb, &objects)).collect();
    let without = |word: &str| words.lacking.iter().any(|lacking| lacking == word);
    let (without_where, without_limit) = (without("WHERE"), without("LIMIT"));
    for one in &mut found {
        let changes = one.actions.iter().all(|action| matches!(action, Action::Update | Action::Delete));
        let selects = one.actions.iter().all(|action| *action == Action::Select);
        (one.when, one.unless) = match (changes, selects) {
            (true, _) if without_where || words.ends => (Some(CHANGES), Some(FILTERED)),
            (true, _) if without_limit => (Some(CHANGES), Some("context.has_limit")),
            (_, true) if without_limit => (Some(SELECTS), Some("context.has_limit")),
            (_, true) if without_where || words.ends => (Some(SELECTS), Some(FILTERED)),
            _ => (None, None),
        };
        one.tables.clone_from(&tables);
    }
    // An exception that is not kept would forbid what the rule lets pass.
    let excepted = !words.lacking.is_empty() && found.iter().any(|one| one.unless.is_none());
    if found.is_empty() || words.symbols || excepted {
        return None;
    }
    let mut remarks = Vec::new();
    if verbs.iter().any(|verb| acts(verb, &objects).is_empty()) {
        remarks.push("some of its words are not about what a statement does, and are left out");
    }
    if verbs.iter().any(|verb| verb == "DROP") && objects.is_empty() {
        remarks.push(
            "`ALTER TABLE … DROP COLUMN` is `alter`, and `DROP USER` is `users`: forbid these too if they are meant",
        );
    }
    Some((merged(found), remarks))
}

/// One forbid for all actions on the same kind of resource under the same condition.
fn merged(found: Vec<Forbidden>) -> Vec<Forbidden> {
    let mut merged: Vec<Forbidden> = Vec::new();
    for one in found {
        let same = |other: &&mut Forbidden| {
            (other.kind, other.when, other.unless, &other.tables) == (one.kind, one.when, one.unless, &one.tables)
        };
        match merged.iter_mut().find(same) {
            Some(other) => other.actions.extend(one.actions),
            None => merged.push(one),
        }
    }
    merged
}

fn is_filler(word: &str) -> bool {
    [
        "FROM",
        "INTO",
        "SET",
        "IF",
        "EXISTS",
        "NOT",
        "OR",
        "REPLACE",
        "ALL",
        "PRIVILEGES",
        "ON",
        "TO",
        "TEMPORARY",
        "TABLES",
        "JOIN",
    ]
    .contains(&word)
}

fn is_object(word: &str) -> bool {
    OBJECTS.iter().any(|(name, _)| *name == word) || SERVER_OBJECTS.iter().any(|(name, _)| *name == word)
}

/// Kinds of things that the DDL verbs are about, by the entity that policies ask on.
const OBJECTS: [(&str, &str); 4] =
    [("TABLE", "Table"), ("VIEW", "Table"), ("DATABASE", "Schema"), ("SCHEMA", "Schema")];

/// Things that have an action of their own, whatever is done with them.
const SERVER_OBJECTS: [(&str, Action); 9] = [
    ("INDEX", Action::Index),
    ("USER", Action::Users),
    ("ROLE", Action::Users),
    ("PROCEDURE", Action::CreateRoutine),
    ("FUNCTION", Action::CreateRoutine),
    ("TRIGGER", Action::Trigger),
    ("EVENT", Action::Event),
    ("COLUMN", Action::Alter),
    ("GLOBAL", Action::SetGlobal),
];

/// What a verb does to objects; to anything when none are given.
fn acts(verb: &str, objects: &[&String]) -> Vec<Forbidden> {
    let forbidden = |actions: &[Action], kind| Forbidden {
        actions: actions.iter().copied().collect(),
        kind,
        unless: None,
        when: None,
        tables: Vec::new(),
    };
    let actions: &[Action] = match verb {
        "CREATE" => &[Action::Create],
        "ALTER" => &[Action::Alter],
        "DROP" => &[Action::Drop],
        _ => return plain(verb).map(|actions| forbidden(actions, None)).into_iter().collect(),
    };
    let mut found = Vec::new();
    for object in objects {
        let kind = OBJECTS.iter().find(|(name, _)| name == object).map(|(_, kind)| *kind);
        let own = SERVER_OBJECTS.iter().find(|(name, _)| name == object).map(|(_, action)| *action);
        found.extend(kind.map(|kind| forbidden(actions, Some(kind))));
        found.extend(own.map(|action| forbidden(&[action], None)));
    }
    if found.is_empty() {
        found.push(forbidden(actions, None));
        found.push(forbidden(&[Action::Index], None));
    }
    found
}

/// The actions of the verbs that mean one thing whatever they are about.
fn plain(verb: &str) -> Option<&'static [Action]> {
    Some(match verb {
        "SELECT" => &[Action::Select],
        "INSERT" => &[Action::Insert],
        "UPDATE" => &[Action::Update],
        "DELETE" => &[Action::Delete],
        "REPLACE" => &[Action::Replace],
        "LOAD" => &[Action::Load],
        "TRUNCATE" => &[Action::Truncate],
        "RENAME" => &[Action::Rename],
        "GRANT" | "REVOKE" => &[Action::Users],
        "CALL" => &[Action::Call],
        "EXECUTE" | "EXEC" => &[Action::Execute, Action::Call],
        "SHOW" | "DESCRIBE" | "DESC" => &[Action::Show],
        "EXPLAIN" => &[Action::Explain],
        "LOCK" => &[Action::LockTables],
        "FLUSH" => &[Action::Flush],
        "KILL" => &[Action::Kill, Action::KillOwn],
        "SHUTDOWN" => &[Action::Shutdown],
        "OUTFILE" => &[Action::Outfile],
        "DUMPFILE" => &[Action::Dumpfile],
        "INFILE" => &[Action::Infile, Action::LocalInfile],
        "LOAD_FILE" => &[Action::LoadFile],
        "SLEEP" => &[Action::Sleep],
        "BENCHMARK" => &[Action::Benchmark],
        "GET_LOCK" => &[Action::GetLock],
        _ => return None,
    })
}

//! What a denied request lacks: the permit that comes nearest, or the one to add.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use serde::Serialize;
use serde_json::{Value, json};

use crate::action::Action;
use crate::context::Context;
use crate::facts::{Facts, Request};
use crate::judge::{Asking, Subject};
use crate::permit::{self, Permit};
use crate::policies::Policies;

/// One part of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Principal,
    Action,
    Resource,
    /// Its `when` and `unless`.
    Condition,
}

const PARTS: [Part; 4] = [Part::Principal, Part::Action, Part::Resource, Part::Condition];

impl Part {
    /// How far a policy is from a request in which only this part fails: another's policy is farthest.
    const fn distance(self) -> u32 {
        match self {
            Self::Principal => 5,
            Self::Action => 3,
            Self::Resource => 2,
            Self::Condition => 1,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::Condition => "condition",
        }
    }
}

/// Farther permits have nothing to do with the request: at this distance action and resource fail, or the principal.
const DISTANCE_MAX: u32 = 5;

/// The permit that would have given a request, but for some of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nearest {
    pub policy: String,
    /// What does not hold.
    pub fails: Vec<Failing>,
}

/// A part of a policy that does not hold for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    pub part: Part,
    /// As the policy has it.
    pub text: String,
}

/// What one request lacks that no policy permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lacking {
    pub request: Request,
    pub nearest: Option<Nearest>,
    /// The smallest policy that would permit it; none for what was not read.
    pub add: Option<String>,
}

impl Policies {
    /// What each request lacks that is denied because no policy permits it, each once. Costly: for a person who asks why.
    pub fn lacking(&self, subject: &Subject, facts: &Facts, context: &Context<'_>) -> Vec<Lacking> {
        let candidates: Vec<Candidate> =
            self.set.policies().filter(|policy| policy.effect() == Effect::Permit).filter_map(Candidate::new).collect();
        let mut lacking: Vec<Lacking> = Vec::new();
        for asked in self.asked(facts, context) {
            let Ok(asking) = self.asking(subject, context.server, &asked) else { continue };
            let mut answers = Vec::new();
            for request in &asked.statement.requests {
                answers.push(asking.answer(request));
            }
            answers.extend(asking.reads_besides());
            for answer in answers {
                // A column, where policies permit some of a table.
                let request = answer.request;
                let without_permit = !answer.allowed && answer.policies.is_empty();
                if without_permit && !lacking.iter().any(|known| known.request == request) {
                    let nearest = nearest(&candidates, &asking, &request);
                    let add = smallest(subject, context.server, &request);
                    lacking.push(Lacking { request, nearest, add });
                }
            }
        }
        lacking
    }
}

/// A permit taken apart: a set in which each part is a permit of its own.
struct Candidate {
    policy: Policy,
    parts: PolicySet,
}

impl Candidate {
    fn new(policy: &Policy) -> Option<Self> {
        let whole = policy.to_json().ok()?;
        let mut parts = PolicySet::new();
        for part in PARTS {
            let only = Policy::from_json(Some(PolicyId::new(part.as_str())), alone(&whole, part)).ok()?;
            parts.add(only).ok()?;
        }
        Some(Self { policy: policy.clone(), parts })
    }

    fn failing(&self, asking: &Asking<'_>, request: &Request) -> Option<Vec<Part>> {
        let holding: BTreeSet<String> = asking.holding(request, &self.parts).ok()?;
        Some(PARTS.into_iter().filter(|part| !holding.contains(part.as_str())).collect())
    }
}

/// A policy in Cedar's JSON form with one part left.
fn alone(whole: &Value, part: Part) -> Value {
    let mut policy = json!({ "effect": "permit", "conditions": [] });
    let any = json!({ "op": "All" });
    if let Some(policy) = policy.as_object_mut() {
        for (of, key) in [(Part::Principal, "principal"), (Part::Action, "action"), (Part::Resource, "resource")] {
            let constraint = whole.get(key).filter(|_| of == part).unwrap_or(&any);
            policy.insert(key.to_owned(), constraint.clone());
        }
        if let (Part::Condition, Some(conditions)) = (part, whole.get("conditions")) {
            policy.insert("conditions".to_owned(), conditions.clone());
        }
    }
    policy
}

fn nearest(candidates: &[Candidate], asking: &Asking<'_>, request: &Request) -> Option<Nearest> {
    let measured = candidates.iter().filter_map(|candidate| {
        let failing = candidate.failing(asking, request)?;
        let distance: u32 = failing.iter().map(|part| part.distance()).sum();
        (distance <= DISTANCE_MAX).then_some((distance, candidate, failing))
    });
    // Of several that are as near, the first by name: the same answer each time.
    let (_, candidate, failing) =
        measured.min_by_key(|(distance, candidate, _)| (*distance, candidate.policy.id().to_string()))?;
    let text = candidate.policy.to_cedar().unwrap_or_default();
    let fails = failing.into_iter().map(|part| Failing { part, text: written(&text, part) }).collect();
    Some(Nearest { policy: candidate.policy.id().to_string(), fails })
}

fn smallest(subject: &Subject, server: &str, request: &Request) -> Option<String> {
    if request.action == Action::Unparsed {
        return None;
    }
    let id =
        permit::id(&[permit::short_name(&subject.spiffe_id), request.action.as_str(), &request.resource.id(server)]);
    let permit = Permit {
        remarks: Vec::new(),
        id,
        principal: permit::named("Workload", &subject.spiffe_id),
        actions: [request.action].into(),
        server: server.to_owned(),
        resources: vec![request.resource.clone()],
        filtered: false,
    };
    Some(permit.text())
}

/// A part of a policy as its text has it, in one line.
fn written(policy: &str, part: Part) -> String {
    let (scope, conditions) = split(policy);
    let text = match part {
        Part::Principal => scope.first(),
        Part::Action => scope.get(1),
        Part::Resource => scope.get(2),
        Part::Condition => Some(&conditions),
    };
    text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// The three constraints of the scope, and what comes behind it. Strings and comments may hold anything.
fn split(policy: &str) -> (Vec<String>, String) {
    let (mut scope, mut rest) = (vec![String::new()], String::new());
    let (mut depth, mut in_annotation, mut done) = (0_usize, false, false);
    let mut chars = policy.chars().peekable();
    while let Some(char) = chars.next() {
        let mut piece = char.to_string();
        match char {
            '"' => {
                while let Some(next) = chars.next() {
                    piece.push(next);
                    match next {
                        '\\' => piece.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => {
                while chars.next_if(|next| *next != '\n').is_some() {}
                continue;
            }
            '@' if depth == 0 && !done => in_annotation = true,
            '(' | '[' if !done => {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            }
            ')' | ']' if !done => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    done = !in_annotation;
                    in_annotation = false;
                    continue;
                }
            }
            ',' if depth == 1 && !in_annotation && !done => {
                scope.push(String::new());
                continue;
            }
            _ => {}
        }
        if done {
            rest.push_str(&piece);
        } else if depth > 0
            && !in_annotation
            && let Some(last) = scope.last_mut()
        {
            last.push_str(&piece);
        }
    }
    (scope, rest.trim().trim_end_matches(';').trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_shown_as_they_are_written() {
        let text = "@id(\"a, (b)\") // a comment, with (\npermit (\n  principal in Group::\"g,)\",\n  action in \
                    [Action::\"select\", Action::\"show\"], resource\n)\nwhen { context.has_where } // why\nunless { 1 == (2) };";
        let shown = PARTS.map(|part| written(text, part));
        let expected = [
            "principal in Group::\"g,)\"",
            "action in [Action::\"select\", Action::\"show\"]",
            "resource",
            "when { context.has_where } unless { 1 == (2) }",
        ];
        assert_eq!(shown, expected);
    }
}

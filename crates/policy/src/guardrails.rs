//! Guardrails of hoop.dev as policies.
//!
//! A guardrail is a list of words or of regular expressions that may not occur in the text of a statement (`input`) or in
//! what comes back (`output`): <https://hoop.dev/docs/setup/configuration/guardrails-configuration>, and the API's
//! `GuardRailRuleRequest`. What a rule is about becomes a forbid on the actions that its words stand for, which holds
//! however the statement is written and leaves the same words in values and comments alone. What is about anything else
//! becomes a note.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::action::Action;
use crate::facts::Resource;
use crate::limits::GUARDRAIL_RULES_MAX;
use crate::pattern::{self, Words};
use crate::permit::{self, comment};
use crate::policies::{Policies, Source};

mod meaning;

use meaning::{Forbidden, meaning};

/// Whom and what imported policies are for.
#[derive(Debug, Clone, Default)]
pub struct ImportScope<'a> {
    /// Name of a group; nobody in particular when there is none, and then nothing is permitted.
    pub group: Option<&'a str>,
    /// Name of a server; all of them when there is none.
    pub server: Option<&'a str>,
    /// The schema that tables are in which rules name; such rules are not carried over when there is none.
    pub schema: Option<&'a str>,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The Cedar text; it loads.
    pub cedar: String,
    /// The `@id`s in it.
    pub policies: Vec<String>,
    /// What could not be carried over exactly.
    pub notes: Vec<Note>,
}

/// What an operator must know about one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    pub guardrail: String,
    /// Which rule: `input rule 1`.
    pub rule: String,
    pub note: String,
}

/// The file is no list of guardrails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoGuardrails(String);

/// Turns a file of guardrails (JSON, as hoop.dev's API gives and takes them: one, or a list) into policies.
///
/// # Errors
/// When the text is not JSON, or holds no guardrail.
pub fn import_guardrails(text: &str, scope: &ImportScope<'_>) -> Result<Imported, NoGuardrails> {
    let document: Value = serde_json::from_str(text).map_err(|error| NoGuardrails(format!("not JSON: {error}")))?;
    let guardrails = guardrails(&document).ok_or_else(|| {
        NoGuardrails("no guardrail is in it: expected an object with `input` or `output`, or a list of such".to_owned())
    })?;
    let mut importing = Importing { scope, taken: BTreeSet::new(), text: String::new(), notes: Vec::new() };
    importing.head();
    for (index, guardrail) in guardrails.iter().enumerate() {
        importing.guardrail(index + 1, guardrail);
    }
    importing.rest();
    Ok(Imported { cedar: importing.text, policies: importing.taken.into_iter().collect(), notes: importing.notes })
}

fn guardrails(document: &Value) -> Option<Vec<&Value>> {
    let is_guardrail =
        |value: &Value| ["input", "output", "input_rules", "output_rules"].iter().any(|key| value.get(key).is_some());
    match document {
        Value::Array(items) if !items.is_empty() && items.iter().all(is_guardrail) => Some(items.iter().collect()),
        Value::Object(_) if is_guardrail(document) => Some(vec![document]),
        Value::Object(object) => ["guardrails", "items", "data"].iter().find_map(|key| guardrails(object.get(*key)?)),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

struct Importing<'s> {
    scope: &'s ImportScope<'s>,
    taken: BTreeSet<String>,
    text: String,
    notes: Vec<Note>,
}

/// Where a rule stands.
struct Place {
    guardrail: String,
    rule: String,
}

impl Importing<'_> {
    fn head(&mut self) {
        self.text.push_str(&comment("Made from guardrails of hoop.dev. They look for words in the text; these policies forbid what the words do,"));
        self.text.push_str(&comment("however it is written. Portreeve denies what nothing permits, so that a rule matters where a permit is wider."));
    }

    fn guardrail(&mut self, number: usize, guardrail: &Value) {
        let name =
            guardrail.get("name").and_then(Value::as_str).map_or_else(|| format!("guardrail {number}"), str::to_owned);
        let place = |rule: &str| Place { guardrail: name.clone(), rule: rule.to_owned() };
        self.text.push('\n');
        let description = guardrail.get("description").and_then(Value::as_str).filter(|text| !text.is_empty());
        self.text
            .push_str(&comment(&format!("{name}{}", description.map(|text| format!(": {text}")).unwrap_or_default())));
        for (index, rule) in rules(guardrail, "input").into_iter().enumerate() {
            self.input(&place(&format!("input rule {}", index + 1)), rule);
        }
        for (index, _) in rules(guardrail, "output").into_iter().enumerate() {
            let place = place(&format!("output rule {}", index + 1));
            self.note(
                &place,
                "not carried over: it looks at the rows that come back, which is masking's part, not policy's",
            );
        }
    }

    fn input(&mut self, place: &Place, rule: &Value) {
        if self.taken.len() >= GUARDRAIL_RULES_MAX {
            return self.note(place, &format!("not carried over: more than {GUARDRAIL_RULES_MAX} policies"));
        }
        match rule.get("type").and_then(Value::as_str) {
            Some("deny_words_list") => {
                let words = rule.get("words").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let words: Vec<&str> =
                    words.iter().filter_map(Value::as_str).filter(|word| !word.trim().is_empty()).collect();
                if words.is_empty() {
                    self.note(place, "not carried over: it lists no words, and denies nothing at hoop.dev either");
                }
                words.into_iter().for_each(|word| self.word(place, word));
            }
            Some("pattern_match") => match rule.get("pattern_regex").and_then(Value::as_str).unwrap_or_default() {
                "" => self.note(place, "not carried over: it has no pattern, and denies nothing at hoop.dev either"),
                pattern => self.pattern(place, pattern),
            },
            Some(other) => self.note(place, &format!("not carried over: rules of type `{other}` are not known")),
            None => self.note(place, "not carried over: it has no `type`"),
        }
        for key in ["action", "severity", "message"] {
            if let Some(value) =
                rule.get(key).and_then(Value::as_str).filter(|value| !value.eq_ignore_ascii_case("block"))
            {
                self.note(
                    place,
                    &format!("its `{key}` is `{value}`: policies deny, or ask for approval by `@approval(\"group\")`"),
                );
            }
        }
    }

    fn word(&mut self, place: &Place, word: &str) {
        let mut words = Words::default();
        for word in word.split_whitespace() {
            if !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return self.not_about_actions(place, word);
            }
            words.places.push(vec![word.to_ascii_uppercase()]);
        }
        self.words(place, word, &words);
    }

    fn pattern(&mut self, place: &Place, pattern: &str) {
        match pattern::read(pattern) {
            Some(words) => self.words(place, pattern, &words),
            None => self.not_about_actions(place, pattern),
        }
    }

    fn not_about_actions(&mut self, place: &Place, what: &str) {
        self.note(place, &format!("not carried over: `{what}` is not about what a statement does; if it names a table, forbid that table, if a function, forbid `context.functions.contains(\"…\")`, if a column or value, wait for masking"));
    }

    fn words(&mut self, place: &Place, what: &str, words: &Words) {
        let Some((forbidden, remarks)) = meaning(words) else { return self.not_about_actions(place, what) };
        let names_tables = forbidden.iter().any(|one| !one.tables.is_empty());
        if names_tables && (self.scope.server.is_none() || self.scope.schema.is_none()) {
            return self.note(place, &format!("not carried over: `{what}` names tables; import with `--server` and `--schema`, which say where they are"));
        }
        let mut loaded = false;
        for one in &forbidden {
            loaded |= self.forbid(place, what, one);
        }
        if !loaded {
            self.note(place, &format!("not carried over: no policy that loads says `{what}`"));
        }
        for remark in remarks {
            self.note(place, &format!("`{what}`: {remark}"));
        }
    }

    /// Writes a forbid; false when it would not load.
    fn forbid(&mut self, place: &Place, what: &str, forbidden: &Forbidden) -> bool {
        let id = permit::id(&["hoop", &place.guardrail, &place.rule]);
        let id = permit::unused(id, &mut self.taken);
        let text = self.policy(&id, what, forbidden);
        if Policies::load(&[Source { name: "import", text: &text }]).is_err() {
            self.taken.remove(&id);
            return false;
        }
        self.text.push_str(&text);
        true
    }

    fn policy(&self, id: &str, what: &str, forbidden: &Forbidden) -> String {
        let actions: Vec<String> = forbidden.actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
        let resource = match (forbidden.kind, self.server()) {
            (Some(kind), Some(server)) => format!("resource is {kind} in {server}"),
            (Some(kind), None) => format!("resource is {kind}"),
            (None, Some(server)) => format!("resource in {server}"),
            (None, None) => "resource".to_owned(),
        };
        let principal = self.principal();
        let clause = |word: &str, condition: Option<&str>| {
            condition.map(|text| format!(" {word} {{ {text} }}")).unwrap_or_default()
        };
        let tables = self.tables(forbidden);
        let (when, unless) = (clause("when", forbidden.when), clause("unless", forbidden.unless));
        let when = format!("{}{when}", clause("when", tables.as_deref()));
        format!(
            "{}@id(\"{id}\")\nforbid ({principal}, action in [{}], {resource}){when}{unless};\n",
            comment(&format!("denies: {what}")),
            actions.join(", "),
        )
    }

    fn tables(&self, forbidden: &Forbidden) -> Option<String> {
        let (server, schema) = (self.scope.server?, self.scope.schema?);
        let tables: Vec<String> = forbidden
            .tables
            .iter()
            .map(|table| Resource::Table { schema: schema.to_owned(), table: table.clone() })
            .map(|table| permit::entity(&table, server))
            .collect();
        (!tables.is_empty()).then(|| format!("resource in [{}]", tables.join(", ")))
    }

    fn principal(&self) -> String {
        self.scope
            .group
            .map_or("principal".to_owned(), |group| format!("principal in {}", permit::named("Group", group)))
    }

    fn server(&self) -> Option<String> {
        self.scope.server.map(|server| permit::named("Server", server))
    }

    /// What no rule matches passes at hoop.dev.
    fn rest(&mut self) {
        let resource = self.server().map_or("resource".to_owned(), |server| format!("resource in {server}"));
        let groups: BTreeSet<&str> =
            Action::ALL.iter().map(|action| action.group()).filter(|group| !group.is_empty()).collect();
        let groups: Vec<String> = groups.iter().map(|group| format!("Action::\"{group}\"")).collect();
        let policy = format!(
            "@id(\"hoop-rest\")\npermit ({}, action in [{}], {resource});\n",
            self.principal(),
            groups.join(", ")
        );
        self.text.push('\n');
        self.text.push_str(&comment("hoop.dev lets pass what no rule matches. This does so too, but for what Portreeve cannot read (`unparsed`)."));
        if self.scope.group.is_some() {
            self.taken.insert("hoop-rest".to_owned());
            self.text.push_str(&policy);
        } else {
            self.text.push_str(&comment(
                "It is a comment, as nobody said whom it is for: import with `--group`, or permit less by hand.",
            ));
            policy.lines().for_each(|line| self.text.push_str(&comment(line)));
        }
    }

    fn note(&mut self, place: &Place, note: &str) {
        self.text.push_str(&comment(&format!("note on {}: {note}", place.rule)));
        self.notes.push(Note { guardrail: place.guardrail.clone(), rule: place.rule.clone(), note: note.to_owned() });
    }
}

/// The rules of a direction: `{"rules": […]}`, or in the form in which agents get them a list of rules or of such objects.
fn rules<'v>(guardrail: &'v Value, direction: &str) -> Vec<&'v Value> {
    let of = |value: &'v Value| -> Vec<&'v Value> {
        match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(_) => value.get("rules").and_then(Value::as_array).into_iter().flatten().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    };
    let listed = guardrail.get(direction).or_else(|| guardrail.get(format!("{direction}_rules"))).map(of);
    let nested = |rule: &'v Value| if rule.get("rules").is_some() { of(rule) } else { vec![rule] };
    listed.into_iter().flatten().flat_map(nested).collect()
}

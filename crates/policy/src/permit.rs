//! Writes permits: the text of a policy for one workload, certain actions and certain resources.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::action::Action;
use crate::facts::Resource;

/// One permit to be written. Never a wildcard: actions and resources are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permit {
    /// What stands above it, a line each.
    pub(crate) remarks: Vec<String>,
    pub(crate) id: String,
    /// As Cedar writes it: `Workload::"…"`.
    pub(crate) principal: String,
    pub(crate) actions: BTreeSet<Action>,
    pub(crate) server: String,
    /// All of one kind, tables and routines all of one schema, columns all of one table; never empty.
    pub(crate) resources: Vec<Resource>,
    /// Only statements with a WHERE that says something.
    pub(crate) filtered: bool,
}

impl Permit {
    /// The policy's text, ending in a newline.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for remark in &self.remarks {
            text.push_str(&comment(remark));
        }
        let actions: Vec<String> = self.actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
        let action = match actions.as_slice() {
            [only] => format!("action == {only}"),
            _ => format!("action in [{}]", actions.join(", ")),
        };
        let (scope, listed) = self.resource();
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "@id(\"{}\")\npermit (\n  principal == {},\n  {action},\n  {scope}\n)",
            self.id, self.principal
        );
        let conditions: Vec<&str> =
            listed.iter().map(String::as_str).chain(self.filtered.then_some(FILTERED)).collect();
        if !conditions.is_empty() {
            let _ = write!(text, " when {{\n  {}\n}}", conditions.join(" &&\n  "));
        }
        text.push_str(";\n");
        text
    }

    /// What the scope says, and the condition that lists several resources (a scope takes one entity).
    fn resource(&self) -> (String, Option<String>) {
        let named: Vec<String> = self.resources.iter().map(|resource| entity(resource, &self.server)).collect();
        if let [only] = named.as_slice() {
            return (format!("resource == {only}"), None);
        }
        let above = match self.resources.first() {
            Some(Resource::Table { schema, .. } | Resource::Routine { schema, .. }) => Resource::Schema(schema.clone()),
            Some(Resource::Column { schema, table, .. }) => {
                Resource::Table { schema: schema.clone(), table: table.clone() }
            }
            Some(Resource::Schema(_) | Resource::Server) | None => Resource::Server,
        };
        let list = format!("resource in [\n    {}\n  ]", named.join(",\n    "));
        (format!("resource in {}", entity(&above, &self.server)), Some(list))
    }
}

const FILTERED: &str = "context.has_where && !context.where_is_constant";

/// The resource as Cedar writes it: `Table::"orders/shop.users"`.
pub(crate) fn entity(resource: &Resource, server: &str) -> String {
    let kind = match resource {
        Resource::Server => "Server",
        Resource::Schema(_) => "Schema",
        Resource::Table { .. } => "Table",
        Resource::Routine { .. } => "Routine",
        Resource::Column { .. } => "Column",
    };
    named(kind, &resource.id(server))
}

/// An entity as Cedar writes it, whatever is in its id.
pub(crate) fn named(kind: &str, id: &str) -> String {
    match kind.parse::<EntityTypeName>() {
        Ok(kind) => EntityUid::from_type_name_and_id(kind, EntityId::new(id)).to_string(),
        Err(_) => format!("{kind}::\"{}\"", id.escape_debug()),
    }
}

/// A comment line. What is in it cannot end the line.
pub(crate) fn comment(remark: &str) -> String {
    let mut line = "// ".to_owned();
    for char in remark.chars() {
        match char {
            // Direction marks turn around what a reader sees; line separators end a line for some.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(char.escape_unicode());
            }
            char if char.is_control() => line.extend(char.escape_default()),
            char => line.push(char),
        }
    }
    line.push('\n');
    line
}

/// Something that can stand in an `@id`: words of letters and digits with `-` between them.
pub(crate) fn id(parts: &[&str]) -> String {
    let mut id = String::new();
    for char in parts.join("-").chars().take(ID_CHARS_MAX) {
        match char {
            char if char.is_ascii_alphanumeric() => id.push(char.to_ascii_lowercase()),
            _ if id.ends_with('-') || id.is_empty() => {}
            _ => id.push('-'),
        }
    }
    id.trim_end_matches('-').to_owned()
}

/// Longer ids are cut: names of tables may be long, and an id is for reading.
const ID_CHARS_MAX: usize = 80;

/// The id, or the id with a number behind it when it was given before.
pub(crate) fn unused(id: String, taken: &mut BTreeSet<String>) -> String {
    let mut candidate = id.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{id}-{number}");
        number += 1;
    }
    candidate
}

/// A workload's short name: the path of its SPIFFE ID.
pub(crate) fn short_name(spiffe_id: &str) -> &str {
    spiffe_id.strip_prefix("spiffe://").and_then(|id| id.split_once('/')).map_or(spiffe_id, |(_, path)| path)
}

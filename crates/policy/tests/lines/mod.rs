//! What texts ask for, in one line each.

use portreeve_policy::{Facts, Resource, StatementFacts};

/// `class: action resource, …`
pub(crate) fn asked(statement: &StatementFacts) -> String {
    let requests = statement.requests.iter().map(|request| match &request.resource {
        Resource::Server => request.action.to_string(),
        Resource::Schema(schema) => format!("{} {schema}", request.action),
        Resource::Table { schema, table: name } | Resource::Routine { schema, name } => {
            format!("{} {schema}.{name}", request.action)
        }
        Resource::Column { schema, table, column } => format!("{} {schema}.{table}.{column}", request.action),
    });
    let mut requests: Vec<_> = requests.collect();
    requests.sort();
    format!("{}: {}", statement.class, requests.join(", "))
}

/// Each statement's line, separated by `; `.
pub(crate) fn line(facts: &Facts, of: impl Fn(&StatementFacts) -> String) -> String {
    facts.statements.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Holds every text against its line, and says all that differ.
pub(crate) fn check(cases: &[(&str, &str)], facts: impl Fn(&str) -> Facts, line: impl Fn(&Facts) -> String) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(sql, expected)| (sql, expected, facts(sql)))
        .filter(|(_, expected, facts)| line(facts) != **expected)
        .map(|(sql, expected, facts)| {
            let reasons: Vec<_> = facts.statements.iter().filter_map(|s| s.unparsed.clone()).collect();
            format!("{sql}\n  expected {expected}\n  found    {} {reasons:?}", line(&facts))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! The policies that speak of columns: only these are asked about columns, so that all others say of tables what they always
//! said.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet};
use serde_json::Value;

use crate::lifting::Condition;
use crate::moment;
use crate::policies;

/// A set of policies in the forms in which it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sets<'p> {
    pub(crate) all: &'p PolicySet,
    /// Without the forbids that something lifts.
    pub(crate) unconditioned: &'p PolicySet,
    /// What of it depends on time.
    pub(crate) timed: &'p PolicySet,
}

/// The policies that name a column, or ask whether something is one, with the names of columns in lower case.
#[derive(Debug, Clone)]
pub(crate) struct ColumnPolicies {
    all: PolicySet,
    unconditioned: PolicySet,
    timed: PolicySet,
    /// The columns that they name, by the lower-case id of the table.
    named: BTreeMap<String, BTreeSet<String>>,
}

impl ColumnPolicies {
    /// Those of a set; none where no policy speaks of columns.
    ///
    /// # Errors
    /// When a policy cannot be taken apart, with its id.
    pub(crate) fn new(set: &PolicySet, conditions: &BTreeMap<String, Condition>) -> Result<Option<Self>, String> {
        let (mut all, mut named) = (PolicySet::new(), BTreeMap::new());
        for policy in set.policies() {
            let failed = |error: &dyn std::fmt::Display| format!("policy `{}`: {error}", policy.id());
            let mut json = policy.to_json().map_err(|error| failed(&error))?;
            if !fold(&mut json, &mut named) {
                continue;
            }
            let id = PolicyId::from_str(policy.id().as_ref()).map_err(|error| failed(&error))?;
            let folded = Policy::from_json(Some(id), json).map_err(|error| failed(&error))?;
            all.add(folded).map_err(|error| failed(&error))?;
        }
        if all.is_empty() {
            return Ok(None);
        }
        let unconditioned = policies::without(&all, conditions)?;
        let timed = moment::timed(&all)?;
        Ok(Some(Self { all, unconditioned, timed, named }))
    }

    pub(crate) fn sets(&self) -> Sets<'_> {
        Sets { all: &self.all, unconditioned: &self.unconditioned, timed: &self.timed }
    }

    /// The columns that policies name of a table, by its id in whatever case.
    pub(crate) fn named(&self, table_id: &str) -> impl Iterator<Item = &str> {
        self.named.get(&table_id.to_lowercase()).into_iter().flatten().map(String::as_str)
    }
}

/// Whether a policy in Cedar's JSON form speaks of columns. The columns' names in it are folded, and gathered.
fn fold(policy: &mut Value, named: &mut BTreeMap<String, BTreeSet<String>>) -> bool {
    match policy {
        Value::Object(object) => {
            let is_entity = object.get("type").and_then(Value::as_str) == Some("Column");
            if is_entity && let Some(Value::String(id)) = object.get_mut("id") {
                if let Some((table, column)) = id.rsplit_once('.') {
                    let column = column.to_ascii_lowercase();
                    // Ids are escaped, facts are not.
                    let plain = column.replace("%2e", ".").replace("%2f", "/").replace("%25", "%");
                    named.entry(table.to_lowercase()).or_default().insert(plain.clone());
                    *id = format!("{table}.{}", crate::facts::escape(&plain));
                }
                return true;
            }
            // `resource is Column`, in a scope and in a condition.
            let is_type = object.get("entity_type").and_then(Value::as_str) == Some("Column");
            // All of them: each may hold names.
            let mut found = is_type;
            object.values_mut().for_each(|value| found |= fold(value, named));
            found
        }
        Value::Array(items) => {
            let mut found = false;
            items.iter_mut().for_each(|item| found |= fold(item, named));
            found
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_speak_of_columns_are_found_however_they_do() {
        let speaks = |text: &str| {
            let set = PolicySet::from_str(text).unwrap();
            ColumnPolicies::new(&set, &BTreeMap::new()).unwrap().is_some()
        };
        for text in [
            r#"permit (principal, action, resource == Column::"s/a.t.c");"#,
            r#"permit (principal, action, resource in Column::"s/a.t.c");"#,
            r#"permit (principal, action, resource is Column);"#,
            r#"permit (principal, action, resource is Column in Table::"s/a.t");"#,
            r#"permit (principal, action, resource) when { resource in [Column::"s/a.t.c", Column::"s/a.t.d"] };"#,
            r#"forbid (principal, action, resource) unless { !(resource is Column) };"#,
            r#"forbid (principal, action, resource) when { context.has_where && resource == Column::"s/a.t.c" };"#,
        ] {
            assert!(speaks(text), "{text}");
        }
        for text in [
            r#"permit (principal, action, resource);"#,
            r#"permit (principal, action, resource is Table);"#,
            r#"permit (principal, action, resource == Table::"Column");"#,
            r#"permit (principal, action, resource) when { context.statement_class == "Column" };"#,
        ] {
            assert!(!speaks(text), "{text}");
        }
    }
}

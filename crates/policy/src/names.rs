//! Names of schemas and tables in whatever case.
//!
//! Whether `Users` and `users` are one table depends on the server's `lower_case_table_names`, which is not known here.
//! So a *permit* counts only for the name as the statement writes it, and a *forbid* counts for every way of writing it:
//! the lower-case form, and each form that a policy names.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityUid, PolicySet};

/// The ids of schemas and tables that policies name, by their lower-case form.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedResources {
    forms: BTreeMap<String, BTreeSet<String>>,
}

impl NamedResources {
    /// Collects them from the text of the policies.
    pub(crate) fn new(set: &PolicySet) -> Self {
        let mut forms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for policy in set.policies() {
            for uid in policy.entity_literals() {
                if let Some(id) = resource_id(&uid) {
                    forms.entry(lower(&id)).or_default().insert(id);
                }
            }
        }
        forms.retain(|lower, forms| forms.iter().any(|form| form != lower));
        Self { forms }
    }

    /// Every other way to write `id` that a forbid may be written in.
    pub(crate) fn others(&self, id: &str) -> BTreeSet<String> {
        let lower = lower(id);
        let mut others = self.forms.get(&lower).cloned().unwrap_or_default();
        others.insert(lower);
        others.remove(id);
        others
    }
}

impl NamedResources {
    /// Whether the id, or that of the schema it lies in, may have another form. Allocates nothing: most have none.
    pub(crate) fn has_others(&self, id: &str) -> bool {
        let Some((_, inside)) = id.split_once('/') else { return false };
        let is_known = |id: &str| self.forms.contains_key(id);
        let schema = inside.split_once('.').and_then(|(_, item)| id.strip_suffix(item)?.strip_suffix('.'));
        inside.bytes().any(|byte| byte.is_ascii_uppercase()) || is_known(id) || schema.is_some_and(is_known)
    }
}

fn resource_id(uid: &EntityUid) -> Option<String> {
    let id: &str = uid.id().unescaped();
    match uid.type_name().to_string().as_str() {
        "Schema" | "Table" | "Routine" => Some(id.to_owned()),
        // The case of a column's own name never counts.
        "Column" => id.rsplit_once('.').map(|(table, _)| table.to_owned()),
        _ => None,
    }
}

/// The id with its schema and table in lower case; the server's name is the configuration's and stays.
fn lower(id: &str) -> String {
    match id.split_once('/') {
        // Letter by letter: what stands beside a letter decides nothing for the servers.
        Some((server, rest)) => {
            let lower: String = rest.chars().flat_map(char::to_lowercase).collect();
            format!("{server}/{lower}")
        }
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    #[test]
    fn an_id_has_others_when_one_is_found_for_it_or_its_schema() {
        let policies = r#"
            permit (principal, action, resource == Table::"s/shop.Users");
            permit (principal, action, resource in Schema::"s/Vault");
            permit (principal, action, resource in Schema::"s/plain");
            permit (principal, action, resource in Schema::"s/a%2Eb");
        "#;
        let named = NamedResources::new(&PolicySet::from_str(policies).unwrap());
        for (id, schema, has_others) in [
            ("s/shop.users", "s/shop", true),
            ("s/shop.Users", "s/shop", true),
            ("s/shop.orders", "s/shop", false),
            ("s/vault.keys", "s/vault", true),
            ("s/vault", "s/vault", true),
            ("s/plain.t", "s/plain", false),
            ("s/Plain.t", "s/Plain", true),
            ("s/plain.T", "s/plain", true),
            ("s/a%2Eb.t", "s/a%2Eb", true),
            ("s", "s", false),
        ] {
            let found = !named.others(id).is_empty() || !named.others(schema).is_empty();
            assert_eq!((named.has_others(id), found), (has_others, has_others), "{id}");
        }
    }
}

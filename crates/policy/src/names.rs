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

fn resource_id(uid: &EntityUid) -> Option<String> {
    let kind = uid.type_name().to_string();
    matches!(kind.as_str(), "Schema" | "Table" | "Routine").then(|| uid.id().unescaped().to_owned())
}

/// The id with its schema and table in lower case; the server's name is the configuration's and stays.
fn lower(id: &str) -> String {
    match id.split_once('/') {
        Some((server, rest)) => format!("{server}/{}", rest.to_ascii_lowercase()),
        None => id.to_owned(),
    }
}

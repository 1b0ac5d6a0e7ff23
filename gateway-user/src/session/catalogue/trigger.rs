//! Triggers as `information_schema.TRIGGERS` lists them, and foreign keys as `REFERENTIAL_CONSTRAINTS` does.
//!
//! `ACTION_STATEMENT` is kept like `ROUTINE_DEFINITION` (see [`routine`](super::routine)): a body with a string in it is taken from
//! `SHOW CREATE TRIGGER`, which has the whole statement. Its head is the client's own text, so that the analysis must find where
//! the body begins.

use portreeve_policy::{Cascade, RowChange, Trigger, TriggerText};

use super::texts;

/// A trigger in the list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) schema: String,
    pub(super) table: String,
    name: String,
    events: Vec<RowChange>,
    sql_mode: String,
    character_set: String,
    /// Without the escapes of its strings.
    definition: String,
}

impl Listed {
    pub(super) fn of(row: &[Option<&[u8]>]) -> Result<Self, String> {
        let [schema, name, table, events, sql_mode, character_set, definition] = texts(row)?;
        Ok(Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
            events: fired_by(events),
            sql_mode: sql_mode.to_owned(),
            character_set: character_set.to_owned(),
            definition: definition.to_owned(),
        })
    }

    /// What to ask for its body, where the list does not have it.
    pub(super) fn question(&self) -> Option<String> {
        let quoted = |name: &str| name.replace('`', "``");
        let has_strings = self.definition.contains(['\'', '"']);
        has_strings.then(|| format!("SHOW CREATE TRIGGER `{}`.`{}`", quoted(&self.schema), quoted(&self.name)))
    }

    /// With its body; `made_as` is the answer to the question.
    pub(super) fn trigger(self, made_as: Option<String>) -> Trigger {
        let text = match self.question() {
            Some(_) => made_as.map(TriggerText::Statement),
            None => Some(self.definition).filter(|body| !body.is_empty()).map(TriggerText::Body),
        };
        let Self { name, events, sql_mode, character_set, .. } = self;
        Trigger { name, events, text, sql_mode, character_set }
    }
}

/// One event, or several with commas between. What is none that is known fires the trigger by all.
fn fired_by(events: &str) -> Vec<RowChange> {
    let known = events.split(',').map(|event| match event.trim() {
        "INSERT" => Some(RowChange::Insert),
        "UPDATE" => Some(RowChange::Update),
        "DELETE" => Some(RowChange::Delete),
        _ => None,
    });
    known.collect::<Option<_>>().unwrap_or_else(|| vec![RowChange::Insert, RowChange::Update, RowChange::Delete])
}

/// The schema and table that a foreign key refers to, and what it does.
pub(super) fn cascade<'r>(row: &[Option<&'r [u8]>]) -> Result<(&'r str, &'r str, Cascade), String> {
    let [schema, table, parent_schema, parent, on_update, on_delete] = texts(row)?;
    let cascade = Cascade {
        schema: schema.to_owned(),
        table: table.to_owned(),
        on_update: done_by(on_update, RowChange::Update),
        on_delete: done_by(on_delete, RowChange::Delete),
    };
    Ok((parent_schema, parent, cascade))
}

/// What a rule does to the referring rows. What is no rule that is known counts as `CASCADE`.
fn done_by(rule: &str, change: RowChange) -> Option<RowChange> {
    match rule {
        "NO ACTION" | "RESTRICT" => None,
        "SET NULL" | "SET DEFAULT" => Some(RowChange::Update),
        _ => Some(change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(events: &str, definition: &str) -> Listed {
        let row = ["shop", "a`b", "orders", events, "", "utf8mb4", definition];
        let row: Vec<_> = row.iter().map(|value| Some(value.as_bytes())).collect();
        Listed::of(&row).unwrap()
    }

    #[test]
    fn a_body_with_strings_is_asked_for() {
        assert_eq!(listed("INSERT", "SET @a = 1").question(), None);
        let body = Some(TriggerText::Body("SET @a = 1".to_owned()));
        assert_eq!(listed("INSERT", "SET @a = 1").trigger(None).text, body);
        let asked = listed("INSERT", "SET @a = 'it's'");
        assert_eq!(asked.question().as_deref(), Some("SHOW CREATE TRIGGER `shop`.`a``b`"));
        assert_eq!(asked.trigger(None).text, None);
        assert_eq!(listed("INSERT", "").trigger(None).text, None);
    }

    #[test]
    fn an_unknown_event_is_every_event() {
        assert_eq!(listed("DELETE", "").events, [RowChange::Delete]);
        assert_eq!(listed("INSERT,UPDATE", "").events, [RowChange::Insert, RowChange::Update]);
        assert_eq!(listed("MERGE", "").events.len(), 3);
    }

    #[test]
    fn a_rule_says_what_happens_to_the_referring_rows() {
        for (rule, expected) in [
            ("NO ACTION", None),
            ("RESTRICT", None),
            ("SET NULL", Some(RowChange::Update)),
            ("SET DEFAULT", Some(RowChange::Update)),
            ("CASCADE", Some(RowChange::Delete)),
            ("", Some(RowChange::Delete)),
        ] {
            assert_eq!(done_by(rule, RowChange::Delete), expected, "{rule}");
        }
    }
}

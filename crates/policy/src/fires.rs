//! What a change of rows does behind the table: triggers that it fires, and rows of other tables that foreign keys change.
//! The server asks nobody for privileges there, so all of it is asked for.

use crate::action::Action;
use crate::builtins::is_known_charset;
use crate::catalogue::{Cascade, Known, Relation, RowChange, Security, Trigger, TriggerText};
use crate::context::Flavour;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::limits::{DEFINITION_STACK_BYTES_MIN, STACK_BYTES};
use crate::reader::Reader;
use crate::through::{definition_context, named};
use crate::token::{Token, Unread};

/// What happens to rows when something is done to their table. A `REPLACE` deletes what is in its way. `LOAD DATA … REPLACE`
/// asks for `replace` besides.
const ROW_CHANGES: [(Action, &[RowChange]); 5] = [
    (Action::Insert, &[RowChange::Insert]),
    (Action::Update, &[RowChange::Update]),
    (Action::Delete, &[RowChange::Delete]),
    (Action::Replace, &[RowChange::Insert, RowChange::Delete]),
    (Action::Load, &[RowChange::Insert]),
];

impl Reader<'_> {
    /// Asks for what happens behind a table with rows of its own when `action` is done to it.
    ///
    /// # Errors
    /// What one of its triggers does cannot be known.
    pub(crate) fn behind_changes(&mut self, action: Action, table: &Resource) -> Result<(), Unread> {
        let Resource::Table { schema, table } = table else { return Ok(()) };
        let changes = ROW_CHANGES.iter().filter(|(changing, _)| *changing == action).flat_map(|(_, changes)| *changes);
        changes.copied().try_for_each(|change| self.behind_change(change, schema, table, true))
    }

    fn behind_change(
        &mut self,
        change: RowChange,
        schema: &str,
        table: &str,
        fires_triggers: bool,
    ) -> Result<(), Unread> {
        let catalogue = self.context.catalogue;
        // Keys and triggers may lead back to where they began.
        if !self.through.changed.insert((change, fires_triggers, catalogue.key(schema, table))) {
            return Ok(());
        }
        self.is_all_shown(change, schema, table, fires_triggers)?;
        if fires_triggers {
            let mut fired = catalogue.triggers(schema, table).iter().filter(|trigger| trigger.events.contains(&change));
            fired.try_for_each(|trigger| self.trigger(schema, trigger))?;
        }
        catalogue.cascades(schema, table).iter().try_for_each(|cascade| self.cascade(change, cascade))
    }

    /// What is behind a table of the catalogue must all be in it. A table that is not there is temporary, or nobody's.
    fn is_all_shown(&self, change: RowChange, schema: &str, table: &str, fires_triggers: bool) -> Result<(), Unread> {
        let catalogue = self.context.catalogue;
        let (Known::As(Relation::Table | Relation::View(_)) | Known::Unknown(_)) = catalogue.relation(schema, table)
        else {
            return Ok(());
        };
        let name = named(schema, table);
        if fires_triggers && catalogue.hides_triggers(schema, table) {
            return Err(Unread::new(format!(
                "triggers of {name} may be hidden from the account at the server: it needs TRIGGER there, or the server a `catalogue` account"
            )));
        }
        if change != RowChange::Insert && catalogue.hides_keys() {
            return Err(Unread::new(format!(
                "foreign keys to {name} may be hidden from the account at the server: it needs TRIGGER on *.*, or the server a `catalogue` account"
            )));
        }
        Ok(())
    }

    fn cascade(&mut self, change: RowChange, cascade: &Cascade) -> Result<(), Unread> {
        let done = match change {
            RowChange::Insert => None,
            RowChange::Update => cascade.on_update,
            RowChange::Delete => cascade.on_delete,
        };
        let Some(done) = done else { return Ok(()) };
        let action = match done {
            RowChange::Insert => Action::Insert,
            RowChange::Update => Action::Update,
            RowChange::Delete => Action::Delete,
        };
        let (schema, table) = (cascade.schema.clone(), cascade.table.clone());
        self.facts.request(action, Resource::Table { schema, table });
        // MariaDB fires no triggers by foreign keys. MySQL does since its 9.x: one too many is asked for before.
        let fires_triggers = self.flavour == Flavour::MySql;
        self.through.follow()?;
        let read = stacker::maybe_grow(DEFINITION_STACK_BYTES_MIN, STACK_BYTES, || {
            self.behind_change(done, &cascade.schema, &cascade.table, fires_triggers)
        });
        self.through.cascades = self.through.cascades.saturating_sub(1);
        read
    }

    fn trigger(&mut self, schema: &str, trigger: &Trigger) -> Result<(), Unread> {
        let what = format!("the trigger {}", named(schema, &trigger.name));
        let Some(text) = &trigger.text else {
            return Err(Unread::new(format!("the body of {what} is not shown to the account at the server")));
        };
        if !is_known_charset(&trigger.character_set) {
            return Err(Unread::new(format!("{what} is not read: it was made in `{}`", trigger.character_set)));
        }
        let context = definition_context(&self.context, Some(schema), &trigger.sql_mode)
            .map_err(|Unread(why)| Unread::new(format!("{what} is not read: {why}")))?;
        let (TriggerText::Body(sql) | TriggerText::Statement(sql)) = text;
        self.definition(&what, sql, Security::Definer, &context, |outer, tokens| {
            let body = match text {
                TriggerText::Body(_) => tokens,
                TriggerText::Statement(_) => body_of(tokens)?,
            };
            outer.known_body(context, vec!["new".to_owned(), "old".to_owned()], body)
        })
    }
}

/// What stands behind `FOR EACH ROW [{FOLLOWS|PRECEDES} other]`. Names in quotes are no words, and unquoted ones cannot be
/// `FOR`.
fn body_of<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], Unread> {
    let mut cursor = Cursor::new(tokens);
    while !cursor.words(&["FOR", "EACH", "ROW"]) {
        cursor.next().ok_or_else(|| Unread::new("no `FOR EACH ROW` in it"))?;
    }
    if cursor.one_of(&["FOLLOWS", "PRECEDES"]).is_some() {
        cursor.name()?;
    }
    Ok(cursor.rest())
}

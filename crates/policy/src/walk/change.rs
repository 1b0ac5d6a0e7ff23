//! Statements that change rows: INSERT, REPLACE, UPDATE, DELETE.

use super::{Target, Walk, column_of};
use crate::action::Action;
use crate::cursor::{Cursor, name_of};
use crate::facts::{Column, Resource};
use crate::token::{Kind, Token, Unread};

/// `name` or `schema.name`, as a statement writes it.
type TableName = (Option<String>, String);

/// A column that is given a value.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// What it is qualified with.
    table: Option<TableName>,
    column: Column,
}

const ALL_WRITTEN: &str = "there is no list of columns";
const PORTION: &str = "of a portion of a period";

impl Walk<'_, '_> {
    /// A query, INSERT, REPLACE, UPDATE or DELETE, with a WITH before it or without.
    pub(crate) fn data(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let mut ahead = *cursor;
        if !ahead.word("WITH") {
            return self.data_behind_with(cursor);
        }
        let scope = self.reader.scope.len();
        let selects = (self.reader.selects_walked, self.reader.tables_walked);
        self.with(&mut ahead)?;
        if ahead.is_one_of_at(0, &["UPDATE", "DELETE", "INSERT", "REPLACE"]) {
            *cursor = ahead;
            self.data_behind_with(cursor)?;
            self.reader.scope.truncate(scope);
            return Ok(());
        }
        // Read again from the start, as a query with all that may follow it.
        self.reader.scope.truncate(scope);
        (self.reader.selects_walked, self.reader.tables_walked) = selects;
        self.data_behind_with(cursor)
    }

    fn data_behind_with(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let Some(verb) = cursor.one_of(&["INSERT", "REPLACE", "UPDATE", "DELETE"]) else {
            self.reader.facts.class = Action::Select;
            return self.query(cursor, true);
        };
        self.reader.columns.open();
        match verb {
            "INSERT" => self.insert(Action::Insert, cursor),
            "REPLACE" => self.insert(Action::Replace, cursor),
            "UPDATE" => self.update(cursor),
            _ => self.delete(cursor),
        }?;
        self.reader.close_block();
        Ok(())
    }

    fn insert(&mut self, action: Action, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        while cursor.one_of(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]).is_some() {}
        cursor.word("INTO");
        let name = self.table_name(cursor)?;
        self.reader.facts.class = action;
        self.reader.table_in_columns(action, name.clone())?;
        self.reader.source(None, (name.0.as_ref(), &name.1))?;
        if cursor.word("PARTITION") {
            self.labels(cursor)?;
        }
        let mut named: Vec<Column> = Vec::new();
        if cursor.is_symbol_at(0, "(") && !self.query_in_parentheses(cursor) {
            named = self.column_list(cursor)?.into_iter().map(|token| self.column_written(token)).collect();
        }
        let (rows, assigned) = self.inserted(cursor)?;
        named.extend(assigned.into_iter().map(|assigned| assigned.column));
        if named.is_empty() {
            named.push(Column::Every(ALL_WRITTEN));
        }
        self.written(action, &name, &named)?;
        // MySQL's names for the new row.
        if cursor.word("AS") {
            let alias = self.table_alias(cursor)?;
            if cursor.is_symbol_at(0, "(") {
                let columns = self.output_names(cursor)?;
                self.derived(alias, columns);
            } else {
                // What is not inserted has a default of the table's.
                self.reader.source(alias.as_ref(), (name.0.as_ref(), &name.1))?;
            }
        }
        if cursor.words(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
            // It may name what the query reads.
            self.reader.columns.join_closed();
            self.reader.table_in_columns(Action::Update, name.clone())?;
            let assigned = self.assignments(cursor)?;
            let columns: Vec<Column> = assigned.into_iter().map(|assigned| assigned.column).collect();
            self.written(Action::Update, &name, &columns)?;
        }
        if cursor.word("RETURNING") {
            self.reader.table_in_columns(Action::Select, name)?;
            self.select_items(cursor)?;
        }
        self.reader.facts.class = action;
        // A REPLACE also deletes what has one of its keys.
        self.reader.facts.rows_changed_max = rows.filter(|_| action == Action::Insert);
        Ok(())
    }

    /// What is written of a table.
    fn written(&mut self, action: Action, name: &TableName, columns: &[Column]) -> Result<(), Unread> {
        if !self.reader.columns.are_looked_for() {
            return Ok(());
        }
        if let Resource::Table { schema, table } = self.reader.names.table(name.0.clone(), name.1.clone())? {
            columns.iter().for_each(|column| self.reader.facts.column(action, &schema, &table, column));
        }
        Ok(())
    }

    /// What is inserted: rows, assignments, a query. Gives how many rows, where the text says.
    fn inserted(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(Option<u64>, Vec<Assigned>), Unread> {
        if cursor.word("SET") {
            return Ok((Some(1), self.assignments(cursor)?));
        }
        // `VALUES (1), (2) UNION SELECT …` is a query, but reads the same.
        if cursor.one_of(&["VALUES", "VALUE"]).is_some() {
            let rows = self.rows(cursor)?;
            let before = *cursor;
            self.rest_of_query(cursor)?;
            return Ok((before.up_to(cursor).is_empty().then_some(rows), Vec::new()));
        }
        self.query(cursor, false)?;
        Ok((None, Vec::new()))
    }

    /// Whether what stands in the parentheses here is a query, not a list of columns.
    pub(super) fn query_in_parentheses(&self, cursor: &Cursor<'_, '_>) -> bool {
        let mut ahead = *cursor;
        while ahead.symbol("(") {}
        self.starts_query(&ahead) || ahead.is_word("VALUES")
    }

    /// `column = value, …`
    pub(crate) fn assignments(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<Assigned>, Unread> {
        let mut assigned = Vec::new();
        loop {
            assigned.push(self.assigned(cursor)?);
            if !cursor.symbol("=") && !cursor.symbol(":=") {
                return Err(cursor.unexpected("`=`"));
            }
            if !cursor.word("IGNORE") {
                self.expression(cursor)?;
            }
            if !cursor.symbol(",") {
                return Ok(assigned);
            }
        }
    }

    /// Takes `column`, `table.column` or `schema.table.column` that is given a value.
    fn assigned(&self, cursor: &mut Cursor<'_, '_>) -> Result<Assigned, Unread> {
        let parts = self.column_parts(cursor)?;
        let (table, column) = match parts.as_slice() {
            [column] => (None, column),
            [table, column] => (Some((None, name_of(table)?)), column),
            [schema, table, column] => (Some((Some(name_of(schema)?), name_of(table)?)), column),
            _ => return Err(Unread::new("a column's name with more than three parts")),
        };
        Ok(Assigned { table, column: self.column_written(column) })
    }

    /// Where columns are not looked for, any will do.
    fn column_written(&self, token: &Token<'_>) -> Column {
        match self.reader.columns.are_looked_for() {
            true => column_of(token),
            false => Column::Every(ALL_WRITTEN),
        }
    }

    /// What follows the table's name in a LOAD.
    pub(crate) fn load_options(&mut self, cursor: &mut Cursor<'_, '_>, name: &TableName) -> Result<(), Unread> {
        self.reader.columns.open();
        self.reader.source(None, (name.0.as_ref(), &name.1))?;
        if cursor.word("PARTITION") {
            self.labels(cursor)?;
        }
        self.export_options(cursor)?;
        if cursor.words(&["ROWS", "IDENTIFIED", "BY"]) {
            cursor.any_string()?;
        }
        self.export_options(cursor)?;
        if cursor.word("IGNORE") {
            cursor.need_kind(&[Kind::Number], "a number")?;
            cursor.one_of(&["LINES", "ROWS"]).ok_or_else(|| cursor.unexpected("`LINES`"))?;
        }
        let mut columns = self.loaded(cursor)?;
        if cursor.word("SET") {
            columns.extend(self.assignments(cursor)?.into_iter().map(|assigned| assigned.column));
        }
        self.written(Action::Load, name, &columns)?;
        self.reader.close_block();
        Ok(())
    }

    /// `(column, @variable, …)`; every column where there is no list.
    fn loaded(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<Column>, Unread> {
        let mut columns = Vec::new();
        if !cursor.symbol("(") || cursor.symbol(")") {
            return Ok(vec![Column::Every(ALL_WRITTEN)]);
        }
        loop {
            if cursor.next_if(|token| token.kind == Kind::UserVariable).is_none() {
                let token = self.last_part(cursor)?;
                columns.push(self.column_written(token));
            }
            if !cursor.symbol(",") {
                cursor.need(")")?;
                return Ok(columns);
            }
        }
    }

    fn update(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        while cursor.one_of(&["LOW_PRIORITY", "IGNORE"]).is_some() {}
        self.reader.facts.class = Action::Update;
        let before = *cursor;
        let found = self.portioned_targets(cursor)?;
        let single = is_single(&found, before.up_to(cursor));
        cursor.need_word("SET")?;
        let assigned = self.assignments(cursor)?;
        match (found.as_slice(), single) {
            ([only], true) => {
                self.change(Action::Update, only)?;
                assigned.iter().try_for_each(|assigned| self.written_to(only, &assigned.column))?;
            }
            _ => {
                self.read_targets(&found)?;
                self.update_targets(&found, &assigned)?;
            }
        }
        let limit = self.end_of_change(cursor)?;
        // Where a portion of a period changes, rows are also added for the rest of it.
        let is_portion = before.up_to(cursor).iter().any(is_portion);
        self.reader.facts.rows_changed_max = limit.filter(|_| single && !is_portion);
        if is_portion {
            found.iter().try_for_each(|target| self.written_to(target, &Column::Every(PORTION)))?;
        }
        if cursor.word("RETURNING") {
            found.iter().try_for_each(|target| self.change(Action::Select, target))?;
            self.select_items(cursor)?;
        }
        Ok(())
    }

    /// The tables of a change; behind a single one also `FOR PORTION OF period FROM x TO y`.
    fn portioned_targets(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<Target>, Unread> {
        let mut found = self.targets(cursor)?;
        if cursor.words(&["FOR", "PORTION", "OF"]) {
            self.portion(cursor)?;
            found.iter().try_for_each(|target| self.reader.adds_rows((target.schema.clone(), target.table.clone())))?;
            if let ([only], Some(alias)) = (found.as_mut_slice(), self.table_alias(cursor)?) {
                only.alias = Some(alias);
            }
        }
        Ok(found)
    }

    /// `period FROM x TO y`
    fn portion(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.label(cursor)?;
        cursor.need_word("FROM")?;
        self.expression(cursor)?;
        cursor.need_word("TO")?;
        self.expression(cursor)
    }

    /// Gives the LIMIT, where it is a number.
    fn end_of_change(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Option<u64>, Unread> {
        if cursor.word("WHERE") {
            self.filter(cursor, true)?;
        }
        if cursor.words(&["ORDER", "BY"]) {
            self.ordered(cursor)?;
        }
        if cursor.word("LIMIT") {
            self.reader.facts.has_limit = true;
            let before = *cursor;
            self.limit(cursor)?;
            return Ok(match before.up_to(cursor) {
                [only] if only.kind == Kind::Number => only.text.parse().ok(),
                _ => None,
            });
        }
        Ok(None)
    }

    fn read_targets(&mut self, found: &[Target]) -> Result<(), Unread> {
        found.iter().try_for_each(|target| self.reader.read_table(target.schema.clone(), target.table.clone()))
    }

    /// The tables that a multi-table UPDATE changes: those that the assigned columns are qualified with, or all of them.
    fn update_targets(&mut self, found: &[Target], assigned: &[Assigned]) -> Result<(), Unread> {
        for Assigned { table, column } in assigned {
            let Some(name) = table else {
                for target in found {
                    if target.schema.is_some() || self.reader.common_table(&target.table).is_none() {
                        self.change(Action::Update, target)?;
                        self.written_if_there(target, column)?;
                    }
                }
                continue;
            };
            self.named_targets(Action::Update, found, name, Some(column))?;
        }
        Ok(())
    }

    /// The tables among those of the statement that `name` means; of an UPDATE, with the column.
    fn named_targets(
        &mut self,
        action: Action,
        found: &[Target],
        name: &TableName,
        column: Option<&Column>,
    ) -> Result<(), Unread> {
        let mut any = false;
        for target in found.iter().filter(|target| target.is_named(name.0.as_deref(), &name.1)) {
            any = true;
            self.change(action, target)?;
            column.map_or(Ok(()), |column| self.written_to(target, column))?;
        }
        match any {
            true => Ok(()),
            false => Err(Unread::new("the table to change is not among those of the statement")),
        }
    }

    fn change(&mut self, action: Action, target: &Target) -> Result<(), Unread> {
        self.reader.table_in_columns(action, (target.schema.clone(), target.table.clone()))
    }

    fn written_to(&mut self, target: &Target, column: &Column) -> Result<(), Unread> {
        let name = (target.schema.clone(), target.table.clone());
        self.written(Action::Update, &name, std::slice::from_ref(column))
    }

    /// A column without a table's name: of each that may have it.
    fn written_if_there(&mut self, target: &Target, column: &Column) -> Result<(), Unread> {
        let lacks = match column {
            Column::Named(name) => self.reader.lacks_column(target.schema.clone(), target.table.clone(), name)?,
            Column::Every(_) => false,
        };
        if lacks { Ok(()) } else { self.written_to(target, column) }
    }

    fn delete(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        while cursor.one_of(&["LOW_PRIORITY", "QUICK", "IGNORE", "HISTORY"]).is_some() {}
        self.reader.facts.class = Action::Delete;
        if !cursor.word("FROM") {
            let names = self.delete_list(cursor)?;
            cursor.need_word("FROM")?;
            return self.delete_named(cursor, &names);
        }
        let mut ahead = *cursor;
        if let Ok(names) = self.delete_list(&mut ahead)
            && ahead.word("USING")
        {
            *cursor = ahead;
            return self.delete_named(cursor, &names);
        }
        self.delete_single(cursor)
    }

    /// `DELETE FROM table …`
    fn delete_single(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let before = *cursor;
        let name = self.table_name(cursor)?;
        if cursor.words(&["FOR", "PORTION", "OF"]) {
            self.portion(cursor)?;
            self.reader.adds_rows(name.clone())?;
        }
        let alias = self.table_clauses(cursor)?;
        self.reader.source(alias.as_ref(), (name.0.as_ref(), &name.1))?;
        if cursor.words(&["BEFORE", "SYSTEM_TIME"]) {
            if cursor.peek_at(1).is_some_and(|next| !next.is_symbol("(") && !next.is_symbol(".")) {
                cursor.one_of(&["TIMESTAMP", "TRANSACTION"]);
            }
            self.expression(cursor)?;
        }
        self.reader.table(Action::Delete, name.clone())?;
        let limit = self.end_of_change(cursor)?;
        self.reader.facts.rows_changed_max = limit.filter(|_| !before.up_to(cursor).iter().any(is_portion));
        if cursor.word("RETURNING") {
            self.reader.table_in_columns(Action::Select, name)?;
            self.select_items(cursor)?;
        }
        Ok(())
    }

    /// `a, b.*, s.c` of a multi-table DELETE.
    fn delete_list(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<TableName>, Unread> {
        let mut names = Vec::new();
        loop {
            names.push(self.table_name(cursor)?);
            if cursor.symbol(".") {
                cursor.need("*")?;
            }
            if !cursor.symbol(",") {
                return Ok(names);
            }
        }
    }

    fn delete_named(&mut self, cursor: &mut Cursor<'_, '_>, names: &[TableName]) -> Result<(), Unread> {
        let found = self.targets(cursor)?;
        self.read_targets(&found)?;
        for name in names {
            self.named_targets(Action::Delete, &found, name, None)?;
        }
        self.end_of_change(cursor).map(drop)
    }
}

/// A word of `FOR PORTION OF`: one column of that name too many costs a limit, no more.
fn is_portion(token: &Token<'_>) -> bool {
    token.is_word("PORTION")
}

/// Whether it is one table without joins: its clauses may have parentheses, but no derived table stands beside it.
fn is_single(found: &[Target], tokens: &[Token<'_>]) -> bool {
    let joins = ["JOIN", "STRAIGHT_JOIN", "SELECT", "VALUES", "JSON_TABLE"];
    let mut depth = 0_usize;
    let mut joined = false;
    for token in tokens {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        joined |= depth == 0 && token.is_symbol(",") || joins.iter().any(|word| token.is_word(word));
    }
    found.len() == 1 && !joined
}

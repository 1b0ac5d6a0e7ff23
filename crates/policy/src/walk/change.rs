//! Statements that change rows: INSERT, REPLACE, UPDATE, DELETE.

use super::{Target, Walk};
use crate::action::Action;
use crate::cursor::{Cursor, name_of};
use crate::token::{Kind, Token, Unread};

/// `name` or `schema.name`, as a statement writes it.
type TableName = (Option<String>, String);

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
        match cursor.one_of(&["INSERT", "REPLACE", "UPDATE", "DELETE"]) {
            Some("INSERT") => self.insert(Action::Insert, cursor),
            Some("REPLACE") => self.insert(Action::Replace, cursor),
            Some("UPDATE") => self.update(cursor),
            Some(_) => self.delete(cursor),
            None => {
                self.reader.facts.class = Action::Select;
                self.query(cursor, true)
            }
        }
    }

    fn insert(&mut self, action: Action, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        while cursor.one_of(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]).is_some() {}
        cursor.word("INTO");
        let name = self.table_name(cursor)?;
        self.reader.facts.class = action;
        self.reader.table(action, name.clone())?;
        if cursor.word("PARTITION") {
            self.labels(cursor)?;
        }
        if cursor.is_symbol_at(0, "(") && !self.query_in_parentheses(cursor) {
            self.labels(cursor)?;
        }
        let rows = self.inserted(cursor)?;
        // MySQL's names for the new row.
        if cursor.word("AS") {
            self.label(cursor)?;
            if cursor.is_symbol_at(0, "(") {
                self.labels(cursor)?;
            }
        }
        if cursor.words(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
            self.reader.table(Action::Update, name.clone())?;
            self.assignments(cursor)?;
        }
        if cursor.word("RETURNING") {
            self.reader.table(Action::Select, name)?;
            self.select_items(cursor)?;
        }
        self.reader.facts.class = action;
        // A REPLACE also deletes what has one of its keys.
        self.reader.facts.rows_changed_max = rows.filter(|_| action == Action::Insert);
        Ok(())
    }

    /// What is inserted: rows, assignments, a query. Gives how many rows, where the text says.
    fn inserted(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Option<u64>, Unread> {
        if cursor.word("SET") {
            return self.assignments(cursor).map(|_| Some(1));
        }
        // `VALUES (1), (2) UNION SELECT …` is a query, but reads the same.
        if cursor.one_of(&["VALUES", "VALUE"]).is_some() {
            let rows = self.rows(cursor)?;
            let before = *cursor;
            self.query_rest(cursor, false)?;
            return Ok(before.up_to(cursor).is_empty().then_some(rows));
        }
        self.query(cursor, false).map(|()| None)
    }

    /// Whether what stands in the parentheses here is a query, not a list of columns.
    pub(super) fn query_in_parentheses(&self, cursor: &Cursor<'_, '_>) -> bool {
        let mut ahead = *cursor;
        while ahead.symbol("(") {}
        self.starts_query(&ahead) || ahead.is_word("VALUES")
    }

    /// `column = value, …`; gives what the columns are qualified with.
    pub(crate) fn assignments(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<Option<TableName>>, Unread> {
        let mut qualifiers = Vec::new();
        loop {
            qualifiers.push(column_qualifier(cursor)?);
            if !cursor.symbol("=") && !cursor.symbol(":=") {
                return Err(cursor.unexpected("`=`"));
            }
            if !cursor.word("IGNORE") {
                self.expression(cursor)?;
            }
            if !cursor.symbol(",") {
                return Ok(qualifiers);
            }
        }
    }

    /// What follows the table's name in a LOAD.
    pub(crate) fn load_options(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
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
        if cursor.symbol("(") && !cursor.symbol(")") {
            loop {
                if cursor.next_if(|token| token.kind == Kind::UserVariable).is_none() {
                    self.column_name(cursor)?;
                }
                if !cursor.symbol(",") {
                    break;
                }
            }
            cursor.need(")")?;
        }
        match cursor.word("SET") {
            true => self.assignments(cursor).map(drop),
            false => Ok(()),
        }
    }

    fn update(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        while cursor.one_of(&["LOW_PRIORITY", "IGNORE"]).is_some() {}
        self.reader.facts.class = Action::Update;
        let before = *cursor;
        let found = self.portioned_targets(cursor)?;
        let single = is_single(&found, before.up_to(cursor));
        cursor.need_word("SET")?;
        let qualifiers = self.assignments(cursor)?;
        match (found.as_slice(), single) {
            ([only], true) => self.change(Action::Update, only)?,
            _ => {
                self.read_targets(&found)?;
                self.update_targets(&found, &qualifiers)?;
            }
        }
        let limit = self.end_of_change(cursor)?;
        // Where a portion of a period changes, rows are also added for the rest of it.
        self.reader.facts.rows_changed_max = limit.filter(|_| single && !before.up_to(cursor).iter().any(is_portion));
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
    fn update_targets(&mut self, found: &[Target], qualifiers: &[Option<TableName>]) -> Result<(), Unread> {
        for qualifier in qualifiers {
            match qualifier {
                None => found
                    .iter()
                    .filter(|target| target.schema.is_some() || !self.reader.scope.contains(&target.table))
                    .cloned()
                    .collect::<Vec<_>>()
                    .iter()
                    .try_for_each(|target| self.change(Action::Update, target))?,
                Some(name) => self.named_targets(Action::Update, found, name)?,
            }
        }
        Ok(())
    }

    /// The tables among those of the statement that `name` means.
    fn named_targets(&mut self, action: Action, found: &[Target], name: &TableName) -> Result<(), Unread> {
        let mut any = false;
        for target in found.iter().filter(|target| target.is_named(name.0.as_deref(), &name.1)) {
            any = true;
            self.change(action, target)?;
        }
        match any {
            true => Ok(()),
            false => Err(Unread::new("the table to change is not among those of the statement")),
        }
    }

    fn change(&mut self, action: Action, target: &Target) -> Result<(), Unread> {
        self.reader.table(action, (target.schema.clone(), target.table.clone()))
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
        self.table_clauses(cursor)?;
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
            self.reader.table(Action::Select, name)?;
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
            self.named_targets(Action::Delete, &found, name)?;
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

/// Takes `column`, `table.column` or `schema.table.column`; gives what stands before the column.
fn column_qualifier(cursor: &mut Cursor<'_, '_>) -> Result<Option<TableName>, Unread> {
    let mut parts = vec![cursor.need_kind(&[Kind::Word, Kind::Quoted], "a column's name")?];
    while cursor.symbol(".") {
        parts.push(cursor.need_kind(&[Kind::Word, Kind::Quoted], "a column's name")?);
    }
    match parts.as_slice() {
        [_] => Ok(None),
        [table, _] => Ok(Some((None, name_of(table)?))),
        [schema, table, _] => Ok(Some((Some(name_of(schema)?), name_of(table)?))),
        _ => Err(Unread::new("a column's name with more than three parts")),
    }
}

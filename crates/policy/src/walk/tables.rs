//! What stands in a FROM: tables, derived tables, joins.

use std::collections::BTreeSet;

use super::columns::Source;
use super::{Output, Target, Walk, column_of};
use crate::cursor::{Cursor, name_text};
use crate::facts::Column;
use crate::token::{Kind, Unread};

impl Walk<'_, '_> {
    /// The tables of a FROM inside a query: each is read.
    pub(super) fn from(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let outer = self.targets.take();
        let read = self.table_references(cursor);
        self.targets = outer;
        read
    }

    /// The tables of an UPDATE or DELETE: nothing is asked about those that it may change.
    pub(super) fn targets(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Vec<Target>, Unread> {
        self.targets = Some(Vec::new());
        self.table_references(cursor)?;
        Ok(self.targets.take().unwrap_or_default())
    }

    fn table_references(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            self.joined(cursor)?;
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// A table and what is joined to it.
    fn joined(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.factor(cursor)?;
        self.joins(cursor)
    }

    fn joins(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            // `INSERT … SELECT … FROM a ON DUPLICATE KEY UPDATE …` joins nothing.
            if cursor.is_word("ON") && !cursor.are_words(&["ON", "DUPLICATE", "KEY"]) {
                cursor.next();
                // A subquery in the condition has tables of its own.
                let targets = self.targets.take();
                let read = self.expression(cursor);
                self.targets = targets;
                read?;
            } else if cursor.word("USING") {
                // Of both sides: the tables of the block that have it.
                for name in self.column_list(cursor)? {
                    self.reader.columns.name(&[name], false);
                }
            } else if let Some(natural) = join_words(cursor) {
                if natural {
                    self.reader.columns.natural();
                }
                self.factor(cursor)?;
            } else {
                return Ok(());
            }
        }
    }

    fn factor(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.is_word("LATERAL") && cursor.is_symbol_at(1, "(") {
            cursor.next();
        }
        if cursor.symbol("(") {
            let query = self.nested(|walk| walk.parenthesised_tables(cursor))?;
            return self.derived_alias(cursor, query);
        }
        if cursor.is_word("JSON_TABLE") && cursor.is_symbol_at(1, "(") {
            cursor.next();
            self.reader.facts.functions.insert("json_table".to_owned());
            let columns = self.json_table(cursor)?;
            let alias = self.table_alias(cursor)?;
            self.derived(alias, columns);
            return Ok(());
        }
        self.plain_table(cursor)
    }

    /// What follows `(`, with the `)`: a query, or tables. Says whether it was a query.
    fn parenthesised_tables(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if self.starts_query(cursor) || cursor.is_word("VALUES") {
            let targets = self.targets.take();
            let read = self.query(cursor, false);
            self.targets = targets;
            read?;
            cursor.need(")")?;
            return Ok(true);
        }
        if cursor.symbol("(") {
            let query = self.nested(|walk| walk.parenthesised_tables(cursor))?;
            if query && cursor.symbol(")") {
                return Ok(true);
            }
            if query && self.continues_query(cursor) && !cursor.are_words(&["FOR", "SYSTEM_TIME"]) {
                self.rest_of_query(cursor)?;
                cursor.need(")")?;
                return Ok(true);
            }
            self.derived_alias(cursor, query)?;
            self.joins(cursor)?;
        } else {
            self.joined(cursor)?;
        }
        while cursor.symbol(",") {
            self.joined(cursor)?;
        }
        cursor.need(")")?;
        Ok(false)
    }

    /// `[AS] name [(column, …)]`
    fn derived_alias(&mut self, cursor: &mut Cursor<'_, '_>, query: bool) -> Result<(), Unread> {
        let mut columns = self.reader.columns.output();
        self.system_time(cursor)?;
        let alias = self.table_alias(cursor)?;
        if alias.is_some() && cursor.is_symbol_at(0, "(") {
            columns = self.output_names(cursor)?;
        }
        if query {
            self.derived(alias, columns);
        }
        Ok(())
    }

    /// Notes a table that has no columns of another's name.
    pub(super) fn derived(&mut self, alias: Option<String>, columns: Output) {
        let name = String::new();
        self.reader.columns.source(Source { alias, schema: None, name, table: None, columns });
    }

    /// The alias of a table, if it has one.
    pub(crate) fn table_alias(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Option<String>, Unread> {
        // `WINDOW w AS (…)` is a clause.
        let window = cursor.is_word("WINDOW") && cursor.is_word_at(2, "AS");
        if window || cursor.are_words(&["QUALIFY"]) {
            return Ok(None);
        }
        // An alias is compared with names of the statement only.
        match self.alias(cursor, false)? {
            Some(token) if token.kind == Kind::Quoted => Ok(Some(name_text(token))),
            Some(token) => Ok(Some(token.text.to_owned())),
            None => Ok(None),
        }
    }

    /// `name [PARTITION (…)] [FOR SYSTEM_TIME …] [[AS] alias] [index hints]`
    fn plain_table(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        // `DUAL` stands for no table, unless it is in backticks or qualified (manual, "SELECT Statement").
        if cursor.is_word("DUAL") && !cursor.is_symbol_at(1, ".") {
            cursor.next();
            return Ok(());
        }
        let (schema, table) = self.table_name(cursor)?;
        let targets = self.targets.take();
        let alias = self.table_clauses(cursor);
        self.targets = targets;
        let alias = alias?;
        self.reader.source(alias.as_ref(), (schema.as_ref(), &table))?;
        match &mut self.targets {
            Some(targets) => {
                targets.push(Target { alias, schema, table });
                Ok(())
            }
            None => self.reader.read_table(schema, table),
        }
    }

    /// What follows a table's name; gives its alias.
    pub(super) fn table_clauses(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Option<String>, Unread> {
        if cursor.word("PARTITION") {
            self.labels(cursor)?;
        }
        self.system_time(cursor)?;
        let alias = self.table_alias(cursor)?;
        self.system_time(cursor)?;
        while cursor.is_one_of_at(0, &["USE", "FORCE", "IGNORE"]) && cursor.is_one_of_at(1, &["INDEX", "KEY"]) {
            cursor.next();
            cursor.next();
            if cursor.word("FOR") && !cursor.word("JOIN") {
                cursor.one_of(&["ORDER", "GROUP"]).ok_or_else(|| cursor.unexpected("`ORDER` or `GROUP`"))?;
                cursor.need_word("BY")?;
            }
            self.labels(cursor)?;
        }
        Ok(alias)
    }

    /// `FOR SYSTEM_TIME {ALL | AS OF x | BETWEEN x AND y | FROM x TO y}`: rows of the same table, of another time.
    fn system_time(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.words(&["FOR", "SYSTEM_TIME"]) || cursor.word("ALL") {
            return Ok(());
        }
        let point = |cursor: &mut Cursor<'_, '_>| {
            if cursor.peek_at(1).is_some_and(|next| !next.is_symbol("(") && !next.is_symbol(".")) {
                cursor.one_of(&["TIMESTAMP", "TRANSACTION"]);
            }
        };
        if cursor.words(&["AS", "OF"]) {
            point(cursor);
            return self.expression(cursor);
        }
        if cursor.word("FROM") {
            point(cursor);
            self.expression(cursor)?;
            cursor.need_word("TO")?;
            point(cursor);
            return self.expression(cursor);
        }
        cursor.need_word("BETWEEN")?;
        point(cursor);
        self.expression_before_and(cursor)?;
        cursor.need_word("AND")?;
        point(cursor);
        self.expression(cursor)
    }

    /// `JSON_TABLE(expression, path COLUMNS (…))`: the columns are names, types and strings.
    fn json_table(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Output, Unread> {
        cursor.need("(")?;
        // MySQL reads no columns of the statement's targets here that are not asked for already.
        let targets = self.targets.take();
        let read = self.expression(cursor);
        self.targets = targets;
        read?;
        cursor.need(",")?;
        self.expression(cursor)?;
        cursor.need_word("COLUMNS")?;
        let mut columns = Some(BTreeSet::new());
        self.json_columns(cursor, &mut columns)?;
        cursor.need(")")?;
        Ok(columns)
    }

    fn json_columns(&mut self, cursor: &mut Cursor<'_, '_>, columns: &mut Output) -> Result<(), Unread> {
        cursor.need("(")?;
        loop {
            if cursor.word("NESTED") {
                cursor.word("PATH");
                cursor.any_string()?;
                cursor.need_word("COLUMNS")?;
                self.nested(|walk| walk.json_columns(cursor, columns))?;
            } else {
                self.json_column(cursor, columns)?;
            }
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    fn json_column(&mut self, cursor: &mut Cursor<'_, '_>, columns: &mut Output) -> Result<(), Unread> {
        let name = cursor.peek().map(column_of);
        self.label(cursor)?;
        match (name, columns.as_mut()) {
            (Some(Column::Named(name)), Some(names)) => drop(names.insert(name)),
            (Some(Column::Named(_)) | None, _) | (Some(Column::Every(_)), None) => {}
            (Some(Column::Every(_)), Some(_)) => *columns = None,
        }
        if cursor.words(&["FOR", "ORDINALITY"]) {
            return Ok(());
        }
        self.data_type(cursor)?;
        cursor.word("EXISTS");
        cursor.need_word("PATH")?;
        cursor.any_string()?;
        loop {
            if cursor.word("DEFAULT") {
                self.expression(cursor)?;
            } else if cursor.one_of(&["NULL", "ERROR"]).is_none() {
                return Ok(());
            }
            cursor.need_word("ON")?;
            cursor.one_of(&["EMPTY", "ERROR"]).ok_or_else(|| cursor.unexpected("`EMPTY` or `ERROR`"))?;
        }
    }
}

/// Takes the words of a join, if there are any; says whether it is a natural one.
fn join_words(cursor: &mut Cursor<'_, '_>) -> Option<bool> {
    let mut ahead = *cursor;
    let natural = ahead.word("NATURAL");
    let side = ahead.one_of(&["LEFT", "RIGHT", "INNER", "CROSS", "FULL"]);
    if matches!(side, Some("LEFT" | "RIGHT" | "FULL")) {
        ahead.word("OUTER");
    }
    let joins = ahead.word("JOIN") || side.is_none() && ahead.word("STRAIGHT_JOIN");
    if joins {
        *cursor = ahead;
    }
    joins.then_some(natural)
}

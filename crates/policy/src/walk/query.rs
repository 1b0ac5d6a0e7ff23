//! Queries: SELECT, TABLE, VALUES, set operations, WITH, and what follows them.

use super::columns::Source;
use super::{CommonTable, Output, Walk, is_constant};
use crate::action::Action;
use crate::cursor::{Cursor, name_of};
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

const SELECT_OPTIONS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

impl Walk<'_, '_> {
    /// Whether a query starts here. `VALUES (` is none: between parentheses it is read as values, which it may be.
    pub(super) fn starts_query(&self, cursor: &Cursor<'_, '_>) -> bool {
        cursor.is_one_of_at(0, &["SELECT", "WITH", "TABLE"]) || cursor.are_words(&["VALUES", "ROW"])
    }

    /// Whether what was read so far is a query that goes on here.
    pub(super) fn continues_query(&self, cursor: &Cursor<'_, '_>) -> bool {
        let words = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "FETCH", "FOR", "LOCK", "INTO", "PROCEDURE"];
        cursor.is_one_of_at(0, &words) || cursor.is_word("OFFSET") && cursor.is_one_of_at(2, &["ROW", "ROWS"])
    }

    /// A query with its own scope for the names that its `WITH` defines. `outer` when it is the statement itself.
    pub(crate) fn query(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<(), Unread> {
        self.nested(|walk| {
            let scope = walk.reader.scope.len();
            if cursor.word("WITH") {
                walk.with(cursor)?;
            }
            walk.reader.columns.open();
            walk.query_primary(cursor, outer)?;
            walk.query_rest(cursor, outer)?;
            walk.reader.close_block();
            walk.reader.scope.truncate(scope);
            Ok(())
        })
    }

    /// What follows `WITH`. A name is in scope after its definition, and inside it only where the WITH is recursive: in
    /// `WITH t AS (SELECT * FROM t)` the inner `t` is a table.
    pub(crate) fn with(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let recursive = cursor.word("RECURSIVE");
        loop {
            let token = cursor.peek().filter(|_| self.is_name(cursor)).ok_or_else(|| cursor.unexpected("a name"))?;
            cursor.next();
            let name = name_of(token)?;
            let named = if cursor.is_symbol_at(0, "(") { self.output_names(cursor)? } else { None };
            cursor.need_word("AS")?;
            let at = self.reader.scope.len();
            if recursive {
                self.reader.scope.push(CommonTable { name: name.clone(), columns: named.clone() });
            }
            self.defined_query(cursor)?;
            let columns = named.or_else(|| self.reader.columns.output());
            self.reader.scope.truncate(at);
            self.reader.scope.push(CommonTable { name, columns });
            if cursor.word("CYCLE") {
                self.column_name(cursor)?;
                while cursor.symbol(",") {
                    self.column_name(cursor)?;
                }
                cursor.need_word("RESTRICT")?;
            }
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// `(query)` where no expression may stand.
    pub(super) fn defined_query(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        self.query(cursor, false)?;
        cursor.need(")")
    }

    fn query_primary(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<(), Unread> {
        if cursor.is_word("SELECT") {
            return self.select(cursor, outer);
        }
        if cursor.word("TABLE") {
            self.reader.tables_walked += 1;
            let (schema, table) = self.table_name(cursor)?;
            self.reader.source(None, (schema.as_ref(), &table))?;
            self.reader.columns.star();
            return self.reader.read_table(schema, table);
        }
        if cursor.word("VALUES") {
            return self.rows(cursor).map(drop);
        }
        cursor.need("(")?;
        self.query(cursor, outer)?;
        self.reader.columns.take_closed();
        cursor.need(")")
    }

    /// What follows a query in parentheses, or rows that were read as values.
    pub(super) fn rest_of_query(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.reader.columns.reopen();
        self.query_rest(cursor, false)?;
        self.reader.close_block();
        Ok(())
    }

    /// `(1, 2), ROW(3, 4)`
    pub(super) fn rows(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<u64, Unread> {
        let mut rows = 0;
        loop {
            rows += 1;
            cursor.word("ROW");
            cursor.need("(")?;
            if !cursor.symbol(")") {
                loop {
                    // MariaDB takes IGNORE for a value.
                    if !cursor.word("IGNORE") {
                        self.expression(cursor)?;
                    }
                    if !cursor.symbol(",") {
                        break;
                    }
                }
                cursor.need(")")?;
            }
            if !cursor.symbol(",") {
                return Ok(rows);
            }
        }
    }

    /// Set operations and the clauses at the end.
    pub(super) fn query_rest(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<(), Unread> {
        loop {
            if cursor.one_of(&["UNION", "EXCEPT", "INTERSECT"]).is_some() {
                cursor.one_of(&["ALL", "DISTINCT"]);
                if outer {
                    self.reader.facts.has_where = false;
                    self.reader.facts.where_is_constant = false;
                    self.reader.facts.has_limit = false;
                }
                self.reader.columns.next(&mut self.reader.facts);
                self.query_primary(cursor, false)?;
            } else if !self.last_clause(cursor, outer)? {
                return Ok(());
            }
        }
    }

    /// ORDER BY, LIMIT, FETCH, INTO, locks; false when there is none.
    fn last_clause(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<bool, Unread> {
        if cursor.words(&["ORDER", "BY"]) {
            self.ordered(cursor)?;
        } else if cursor.word("LIMIT") {
            self.reader.facts.has_limit |= outer;
            self.limit(cursor)?;
        } else if cursor.is_word("OFFSET") && cursor.is_one_of_at(2, &["ROW", "ROWS"]) {
            cursor.next();
            self.expression(cursor)?;
            cursor.one_of(&["ROW", "ROWS"]);
        } else if cursor.word("FETCH") {
            self.reader.facts.has_limit |= outer;
            self.fetch(cursor)?;
        } else if cursor.is_word("INTO") {
            self.into(cursor)?;
        } else if cursor.words(&["PROCEDURE", "ANALYSE"]) {
            // What the rows hold, in other words.
            self.reader.facts.functions.insert("analyse".to_owned());
            cursor.need("(")?;
            self.arguments(cursor)?;
        } else if cursor.words(&["LOCK", "IN", "SHARE", "MODE"]) {
            self.lock_options(cursor)?;
        } else if cursor.words(&["FOR", "UPDATE"]) || cursor.words(&["FOR", "SHARE"]) {
            if cursor.word("OF") {
                // They name tables of the FROM, which are asked for already.
                self.column_name(cursor)?;
                while cursor.symbol(",") {
                    self.column_name(cursor)?;
                }
            }
            self.lock_options(cursor)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn lock_options(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.reader.facts.locks_rows = true;
        if cursor.word("WAIT") {
            return self.expression(cursor);
        }
        if !cursor.word("NOWAIT") {
            cursor.words(&["SKIP", "LOCKED"]);
        }
        Ok(())
    }

    /// What follows `LIMIT`: `n`, `n, m`, `n OFFSET m`, `[n] ROWS EXAMINED m`
    pub(crate) fn limit(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.is_word("ROWS") {
            self.expression(cursor)?;
            if cursor.symbol(",") || cursor.word("OFFSET") {
                self.expression(cursor)?;
            }
        }
        if cursor.words(&["ROWS", "EXAMINED"]) {
            self.expression(cursor)?;
        }
        Ok(())
    }

    /// What follows `FETCH`: `{FIRST|NEXT} [n] {ROW|ROWS} {ONLY|WITH TIES}`
    fn fetch(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.one_of(&["FIRST", "NEXT"]).ok_or_else(|| cursor.unexpected("`FIRST`"))?;
        if !cursor.is_one_of_at(0, &["ROW", "ROWS"]) {
            self.expression(cursor)?;
        }
        cursor.one_of(&["ROW", "ROWS"]).ok_or_else(|| cursor.unexpected("`ROWS`"))?;
        match cursor.word("ONLY") || cursor.words(&["WITH", "TIES"]) {
            true => Ok(()),
            false => Err(cursor.unexpected("`ONLY`")),
        }
    }

    /// `INTO @a, …`, `INTO OUTFILE 'file' …`, `INTO DUMPFILE 'file'`; in a routine also `INTO variable`.
    fn into(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need_word("INTO")?;
        if cursor.word("OUTFILE") {
            self.reader.facts.request(Action::Outfile, Resource::Server);
            cursor.any_string()?;
            return self.export_options(cursor);
        }
        if cursor.word("DUMPFILE") {
            self.reader.facts.request(Action::Dumpfile, Resource::Server);
            return cursor.any_string().map(drop);
        }
        loop {
            if cursor.next_if(|token| matches!(token.kind, Kind::UserVariable | Kind::Placeholder)).is_none() {
                if !self.reader.in_routine {
                    return Err(Unread::new("`INTO` other than variables or a file"));
                }
                self.column_name(cursor)?;
            }
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// `CHARACTER SET …`, `FIELDS …`, `LINES …` of a file.
    pub(crate) fn export_options(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["CHARACTER", "SET"]) || cursor.word("CHARSET") {
            self.charset_name(cursor)?;
        }
        let clauses = ["OPTIONALLY", "TERMINATED", "ENCLOSED", "ESCAPED", "STARTING"];
        while cursor.one_of(&["FIELDS", "COLUMNS", "LINES"]).is_some() {
            while let Some(clause) = cursor.one_of(&clauses) {
                if clause == "OPTIONALLY" {
                    cursor.need_word("ENCLOSED")?;
                }
                cursor.need_word("BY")?;
                cursor.any_string()?;
            }
        }
        Ok(())
    }

    fn select(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<(), Unread> {
        cursor.need_word("SELECT")?;
        self.reader.selects_walked += 1;
        while cursor.one_of(&SELECT_OPTIONS).is_some() {}
        self.select_items(cursor)?;
        if cursor.is_word("INTO") {
            self.into(cursor)?;
        }
        if cursor.word("FROM") {
            self.from(cursor)?;
        }
        if cursor.word("WHERE") {
            self.filter(cursor, outer)?;
        }
        if cursor.words(&["GROUP", "BY"]) {
            self.ordered(cursor)?;
            if !cursor.words(&["WITH", "ROLLUP"]) {
                cursor.words(&["WITH", "CUBE"]);
            }
        }
        if cursor.word("HAVING") {
            self.expression(cursor)?;
        }
        if cursor.is_word("WINDOW") && cursor.is_word_at(2, "AS") {
            cursor.next();
            self.named_windows(cursor)?;
        }
        if cursor.word("QUALIFY") {
            self.expression(cursor)?;
        }
        Ok(())
    }

    /// What follows the outermost `WHERE`, or another one.
    pub(crate) fn filter(&mut self, cursor: &mut Cursor<'_, '_>, outer: bool) -> Result<(), Unread> {
        let before = *cursor;
        self.expression(cursor)?;
        if outer {
            self.reader.facts.has_where = true;
            self.reader.facts.where_is_constant = is_constant(before.up_to(cursor));
        }
        Ok(())
    }

    fn named_windows(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            self.label(cursor)?;
            cursor.need_word("AS")?;
            self.window(cursor)?;
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    pub(super) fn select_items(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            let before = *cursor;
            if cursor.symbol("*") {
                self.reader.columns.star();
            } else {
                self.expression(cursor)?;
                let written = before.up_to(cursor);
                let alias = self.alias(cursor, true)?;
                self.reader.columns.selected(written, alias);
            }
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }

    /// `[AS] name`, which may be a string where `text`. Gives the token.
    pub(super) fn alias<'t, 'a>(
        &self,
        cursor: &mut Cursor<'t, 'a>,
        text: bool,
    ) -> Result<Option<&'t Token<'a>>, Unread> {
        let must = cursor.word("AS");
        let string = text && cursor.peek().is_some_and(|token| matches!(token.kind, Kind::String | Kind::DoubleString));
        if string || self.is_name(cursor) {
            return Ok(cursor.next());
        }
        if must { Err(cursor.unexpected("an alias")) } else { Ok(None) }
    }

    /// Expressions with a direction, as ORDER BY and GROUP BY have them.
    pub(crate) fn ordered(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            self.expression(cursor)?;
            cursor.one_of(&["ASC", "DESC"]);
            if !cursor.symbol(",") {
                return Ok(());
            }
        }
    }
}

impl Reader<'_> {
    /// Asks to select from a table, unless the name is a common table expression's. Names of those are compared with
    /// case, so that where servers fold it, a table too many is asked for rather than one too few.
    pub(crate) fn read_table(&mut self, schema: Option<String>, table: String) -> Result<(), Unread> {
        if schema.is_none() && self.common_table(&table).is_some() {
            return Ok(());
        }
        self.table_in_columns(Action::Select, (schema, table))
    }

    /// The common table expression in scope of that name.
    pub(crate) fn common_table(&self, name: &str) -> Option<&CommonTable> {
        self.scope.iter().rev().find(|table| table.name == name)
    }

    /// Notes a table of a FROM, or of a change, for the names of columns.
    pub(crate) fn source(&mut self, alias: Option<&String>, name: (Option<&String>, &str)) -> Result<(), Unread> {
        if !self.columns.are_looked_for() {
            return Ok(());
        }
        let (alias, schema, name) = (alias.cloned(), name.0.cloned(), name.1.to_owned());
        if schema.is_none()
            && let Some(common) = self.common_table(&name)
        {
            let columns = common.columns.clone();
            self.columns.source(Source { alias, schema, name, table: None, columns });
            return Ok(());
        }
        let Resource::Table { schema: of, table } = self.names.table(schema.clone(), name.clone())? else {
            return Err(Unread::new("a table that is none"));
        };
        let columns = self.known_columns(&of, &table);
        self.columns.source(Source { alias, schema, name, table: Some((of, table)), columns });
        Ok(())
    }

    /// Whether a table is known not to have a column.
    pub(crate) fn lacks_column(&self, schema: Option<String>, table: String, column: &str) -> Result<bool, Unread> {
        let Resource::Table { schema, table } = self.names.table(schema, table)? else { return Ok(false) };
        let known = self.known_columns(&schema, &table);
        Ok(known.is_some_and(|columns| !columns.contains(column)))
    }

    /// A temporary table in place of another has other columns than those by which names are resolved from then on.
    pub(crate) fn check_shadow(&self, made: &Resource) -> Result<(), Unread> {
        match made {
            Resource::Table { schema, table } if self.context.catalogue.columns(schema, table).is_some() => {
                Err(Unread::new(
                    "a temporary table of the name of one that is there, where policies speak of columns (give it another name)",
                ))
            }
            Resource::Table { .. }
            | Resource::Server
            | Resource::Schema(_)
            | Resource::Routine { .. }
            | Resource::Column { .. } => Ok(()),
        }
    }

    /// The columns of a table, as far as they are certain: a definer may have some that the account does not see, and what
    /// was changed just before is not in the catalogue.
    fn known_columns(&self, schema: &str, table: &str) -> Output {
        let is_certain = !self.through.as_definer && !self.through.columns_changed && !self.facts.changes_definitions;
        is_certain.then(|| self.context.catalogue.columns(schema, table).cloned()).flatten()
    }

    /// Ends the innermost block.
    pub(crate) fn close_block(&mut self) {
        self.columns.close(&mut self.facts);
    }
}

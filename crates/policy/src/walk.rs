//! Reads statements token by token, as the servers' grammar (`sql_yacc.yy`) does, and asks for what they touch on the way.
//!
//! No tree is built: what a statement does is found where it stands. A walk takes every token of what it reads; a place where
//! the grammar has something else ends it. It takes more than the servers do in places (clauses in another order, say): the
//! servers refuse that, so nothing comes of it.

mod alter;
mod arguments;
mod change;
mod columns;
mod constant;
mod expression;
mod options;
mod partitions;
mod query;
mod table;
mod tables;
mod target;
mod types;

use crate::action::Action;
use crate::catalogue::RoutineKind;
use crate::cursor::{Cursor, name_of};
use crate::facts::{Column, Resource};
use crate::limits::NESTING_MAX;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};
use crate::words::is_reserved;

pub(crate) use columns::{Blocks, CommonTable, Output, column_of};
pub(crate) use constant::is_constant;
pub(crate) use options::is_engine;
pub(crate) use target::Target;

/// A walk of one statement.
#[derive(Debug)]
pub(crate) struct Walk<'r, 'n> {
    pub(crate) reader: &'r mut Reader<'n>,
    depth: usize,
    /// The tables of an UPDATE's or DELETE's outermost FROM: what is asked about them is known only after it.
    targets: Option<Vec<Target>>,
}

impl<'r, 'n> Walk<'r, 'n> {
    pub(crate) fn new(reader: &'r mut Reader<'n>) -> Self {
        Self { reader, depth: 0, targets: None }
    }

    /// One level deeper, where the walk calls itself.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Unread>) -> Result<T, Unread> {
        if self.depth >= NESTING_MAX {
            return Err(Unread::new("the statement is nested too deeply"));
        }
        self.depth += 1;
        let read = inner(self);
        self.depth -= 1;
        read
    }

    fn is_reserved(&self, token: &Token<'_>) -> bool {
        is_reserved(token, self.reader.flavour)
    }

    /// Whether a name may come next: in quotes, or a word that is not reserved.
    pub(crate) fn is_name(&self, cursor: &Cursor<'_, '_>) -> bool {
        cursor.peek().is_some_and(|token| match token.kind {
            Kind::Quoted => true,
            Kind::Word => !self.is_reserved(token),
            _ => false,
        })
    }

    /// Takes a name that policy does not compare: a column's, an alias, an index's.
    pub(crate) fn label(&self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        match self.is_name(cursor) {
            true => {
                cursor.next();
                Ok(())
            }
            false => Err(cursor.unexpected("a name")),
        }
    }

    /// Takes `name` or `schema.name` of a table.
    pub(crate) fn table_name(&self, cursor: &mut Cursor<'_, '_>) -> Result<(Option<String>, String), Unread> {
        let token =
            cursor.peek().filter(|_| self.is_name(cursor)).ok_or_else(|| cursor.unexpected("a table's name"))?;
        cursor.next();
        let first = name_of(token)?;
        if !cursor.is_symbol_at(0, ".") || cursor.is_symbol_at(1, "*") {
            return Ok((None, first));
        }
        cursor.next();
        let second = cursor.name()?;
        match cursor.is_symbol_at(0, ".") && !cursor.is_symbol_at(1, "*") {
            true => Err(Unread::new("a table's name with more than two parts")),
            false => Ok((Some(first), second)),
        }
    }

    /// Takes `(name, …)` of columns, indexes or partitions: nothing that policy compares.
    pub(crate) fn labels(&self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        if cursor.symbol(")") {
            return Ok(());
        }
        loop {
            self.column_name(cursor)?;
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    /// Takes `column`, `table.column` or `schema.table.column`.
    pub(crate) fn column_name(&self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.last_part(cursor).map(drop)
    }

    /// The same; gives the last part, which is the column.
    pub(crate) fn last_part<'t, 'a>(&self, cursor: &mut Cursor<'t, 'a>) -> Result<&'t Token<'a>, Unread> {
        let first = cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
        let mut last = first.ok_or_else(|| cursor.unexpected("a column's name"))?;
        while cursor.symbol(".") {
            last = cursor.need_kind(&[Kind::Word, Kind::Quoted], "a column's name")?;
        }
        Ok(last)
    }

    /// The same; gives all parts.
    pub(crate) fn column_parts<'t, 'a>(&self, cursor: &mut Cursor<'t, 'a>) -> Result<Vec<&'t Token<'a>>, Unread> {
        let first = cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
        let mut parts = vec![first.ok_or_else(|| cursor.unexpected("a column's name"))?];
        while cursor.symbol(".") {
            parts.push(cursor.need_kind(&[Kind::Word, Kind::Quoted], "a column's name")?);
        }
        Ok(parts)
    }

    /// Takes the name of a column that is read.
    pub(crate) fn read_column(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let parts = self.column_parts(cursor)?;
        self.reader.columns.name(&parts, false);
        Ok(())
    }

    /// Takes `(column, …)`; gives the columns' names, empty for `()`.
    pub(crate) fn column_list<'t, 'a>(&self, cursor: &mut Cursor<'t, 'a>) -> Result<Vec<&'t Token<'a>>, Unread> {
        cursor.need("(")?;
        let mut names = Vec::new();
        if cursor.symbol(")") {
            return Ok(names);
        }
        loop {
            names.push(self.last_part(cursor)?);
            if !cursor.symbol(",") {
                cursor.need(")")?;
                return Ok(names);
            }
        }
    }

    /// Takes `(column, …)` that give a query's columns names.
    pub(crate) fn output_names(&self, cursor: &mut Cursor<'_, '_>) -> Result<Output, Unread> {
        let names = self.column_list(cursor)?;
        let named = names.into_iter().map(|token| match column_of(token) {
            Column::Named(name) => Some(name),
            Column::Every(_) => None,
        });
        Ok(named.collect())
    }
}

impl Reader<'_> {
    /// Reads a query or a change of rows.
    pub(crate) fn rows(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        self.walked(Cursor::new(tokens), |walk, cursor| walk.data(cursor))?;
        self.inspect_without_tables();
        Ok(())
    }

    /// A query that reads no table asks to `inspect`.
    pub(crate) fn inspect_without_tables(&mut self) {
        if self.facts.class == Action::Select && self.facts.tables == 0 {
            self.facts.class = Action::Inspect;
            self.facts.request(Action::Inspect, Resource::Server);
        }
    }

    /// What follows `CALL`: `name [(argument, …)]`
    pub(crate) fn call(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Call;
        let (schema, name) = cursor.qualified_name()?;
        self.routine(Action::Call, RoutineKind::Procedure, schema, &name)?;
        self.facts.class = Action::Call;
        if cursor.symbol("(") && !cursor.symbol(")") {
            self.counted(&mut cursor, |walk, cursor| walk.expressions(cursor))?;
            cursor.need(")")?;
        }
        cursor.end()
    }

    /// Walks tokens that are one expression.
    pub(crate) fn expression_tokens(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        self.walked(Cursor::new(tokens), |walk, cursor| walk.expression(cursor))
    }

    /// Walks all that is left of a statement.
    pub(crate) fn walked(
        &mut self,
        mut cursor: Cursor<'_, '_>,
        walk: impl FnOnce(&mut Walk<'_, '_>, &mut Cursor<'_, '_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        self.counted(&mut cursor, walk)?;
        cursor.end()
    }

    /// Walks some of what is left of a statement. No `SELECT` or `TABLE` in it may be passed by: each must have been met as
    /// the start of a query.
    pub(crate) fn counted<T>(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        walk: impl FnOnce(&mut Walk<'_, '_>, &mut Cursor<'_, '_>) -> Result<T, Unread>,
    ) -> Result<T, Unread> {
        let before = *cursor;
        let met = (self.selects_walked, self.tables_walked);
        let read = walk(&mut Walk::new(self), cursor)?;
        let tokens = before.up_to(cursor);
        let counted = (count(tokens, "SELECT"), count(tokens, "TABLE"));
        match (self.selects_walked - met.0, self.tables_walked - met.1) == counted {
            true => Ok(read),
            false => Err(Unread::new("a subquery was lost on the way")),
        }
    }
}

/// How often the keyword `word` occurs: not as a name in backticks, nor after a period.
pub(crate) fn count(tokens: &[Token<'_>], word: &str) -> usize {
    let mut after_period = false;
    let mut number = 0;
    for token in tokens {
        number += usize::from(!after_period && token.is_word(word));
        after_period = token.is_symbol(".");
    }
    number
}

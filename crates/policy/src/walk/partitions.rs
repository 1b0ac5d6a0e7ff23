//! `PARTITION BY …` and lists of partitions.

use super::Walk;
use crate::cursor::Cursor;
use crate::token::{Kind, Unread};

impl Walk<'_, '_> {
    /// What follows `PARTITION BY`.
    pub(super) fn partition_by(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        self.method(cursor)?;
        if cursor.word("PARTITIONS") {
            cursor.need_kind(&[Kind::Number], "a number")?;
        }
        if cursor.words(&["SUBPARTITION", "BY"]) {
            self.method(cursor)?;
            if cursor.word("SUBPARTITIONS") {
                cursor.need_kind(&[Kind::Number], "a number")?;
            }
        }
        match cursor.is_symbol_at(0, "(") && !self.query_in_parentheses(cursor) {
            true => self.partitions(cursor),
            false => Ok(()),
        }
    }

    /// `[LINEAR] HASH (…)`, `KEY (…)`, `RANGE …`, `LIST …`, `SYSTEM_TIME …`
    fn method(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.word("LINEAR");
        match cursor.one_of(&["HASH", "KEY", "RANGE", "LIST", "SYSTEM_TIME"]) {
            Some("KEY") => {
                if cursor.word("ALGORITHM") {
                    cursor.symbol("=");
                    cursor.need_kind(&[Kind::Number], "a number")?;
                }
                self.labels(cursor)
            }
            Some("SYSTEM_TIME") => self.by_time(cursor),
            Some(_) => {
                if cursor.one_of(&["COLUMNS", "COLUMN"]).is_some() {
                    return self.labels(cursor);
                }
                cursor.need("(")?;
                self.expressions(cursor)?;
                cursor.need(")")
            }
            None => Err(cursor.unexpected("how to partition")),
        }
    }

    /// What follows `SYSTEM_TIME`: `INTERVAL n unit [STARTS x] [AUTO]`, `LIMIT n [AUTO]`
    fn by_time(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            if cursor.is_word("INTERVAL") || cursor.word("STARTS") || cursor.word("LIMIT") {
                if cursor.peek_at(1).is_some_and(|next| !next.is_symbol("(")) {
                    cursor.word("TIMESTAMP");
                }
                self.expression(cursor)?;
            } else if !cursor.word("AUTO") {
                return Ok(());
            }
        }
    }

    /// `(PARTITION name VALUES … options, …)`
    pub(super) fn partitions(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need("(")?;
        loop {
            cursor.one_of(&["PARTITION", "SUBPARTITION"]).ok_or_else(|| cursor.unexpected("`PARTITION`"))?;
            self.partition(cursor)?;
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    /// `name [VALUES …] options [(SUBPARTITION …)]`
    pub(super) fn partition(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need_kind(&[Kind::Word, Kind::Quoted, Kind::String], "a partition's name")?;
        self.partition_values(cursor)?;
        while self.table_option(cursor)? {}
        match cursor.is_symbol_at(0, "(") {
            true => self.nested(|walk| walk.partitions(cursor)),
            false => Ok(()),
        }
    }

    fn partition_values(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("DEFAULT") || cursor.one_of(&["HISTORY", "CURRENT"]).is_some() || !cursor.word("VALUES") {
            return Ok(());
        }
        if cursor.words(&["LESS", "THAN"]) {
            if cursor.word("MAXVALUE") {
                return Ok(());
            }
        } else {
            cursor.need_word("IN")?;
        }
        cursor.need("(")?;
        self.expressions(cursor)?;
        cursor.need(")")
    }
}

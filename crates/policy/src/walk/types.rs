//! Types of columns, variables and casts.

use super::Walk;
use crate::cursor::Cursor;
use crate::token::{Kind, Unread};

impl Walk<'_, '_> {
    /// A type with all that belongs to it: `DECIMAL(10,2) UNSIGNED`, `ENUM('a','b') CHARACTER SET latin1`, `DOUBLE PRECISION`.
    pub(crate) fn data_type(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let name = cursor.need_kind(&[Kind::Word, Kind::Quoted], "a type")?;
        if (name.is_word("NATIONAL") || name.is_word("LONG")) && !cursor.is_word_at(1, "SET") {
            cursor.one_of(&["CHARACTER", "CHAR", "VARCHAR", "VARCHARACTER", "VARBINARY"]);
        }
        if name.is_word("DOUBLE") {
            cursor.word("PRECISION");
        }
        if name.is_word("SIGNED") || name.is_word("UNSIGNED") {
            cursor.one_of(&["INTEGER", "INT"]);
        }
        cursor.word("VARYING");
        if name.is_word("INTERVAL") {
            cursor.need_kind(&[Kind::Word], "a unit of time")?;
        }
        // A type of a plugin in a schema: `mysql.json`.
        if cursor.symbol(".") {
            cursor.need_kind(&[Kind::Word, Kind::Quoted], "a type")?;
        }
        if cursor.symbol("(") {
            self.type_arguments(cursor)?;
        }
        self.type_attributes(cursor)
    }

    fn type_arguments(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            if cursor.peek().is_some_and(|token| token.kind == Kind::Word && token.text.starts_with('_')) {
                cursor.next();
            }
            let kinds = [Kind::Number, Kind::String, Kind::DoubleString, Kind::Hex, Kind::Placeholder, Kind::Word];
            cursor.need_kind(&kinds, "a length or value of a type")?;
            while cursor.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString)).is_some() {}
            if !cursor.symbol(",") {
                return cursor.need(")");
            }
        }
    }

    fn type_attributes(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        loop {
            if cursor.words(&["CHARACTER", "SET"])
                || cursor.words(&["CHAR", "SET"])
                || cursor.one_of(&["CHARSET", "COLLATE"]).is_some()
            {
                self.charset_name(cursor)?;
                continue;
            }
            let flags = ["UNSIGNED", "SIGNED", "ZEROFILL", "BINARY", "ASCII", "UNICODE", "BYTE", "ARRAY"];
            if cursor.one_of(&flags).is_none() {
                return Ok(());
            }
        }
    }
}

//! What ALTER TABLE changes.

use super::Walk;
use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::token::{Kind, Unread};

type TableName = (Option<String>, String);

impl Walk<'_, '_> {
    /// What follows `ALTER TABLE`.
    pub(crate) fn alter_table(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "EXISTS"]);
        let name = self.table_name(cursor)?;
        self.reader.facts.class = Action::Alter;
        self.reader.table(Action::Alter, name.clone())?;
        self.wait(cursor)?;
        loop {
            if cursor.is_at_end() {
                return Ok(());
            }
            self.change_of_table(&name, cursor)?;
            // Options may follow each other, and partitions what was before, without a comma.
            cursor.symbol(",");
        }
    }

    /// `WAIT n`, `NOWAIT`
    pub(crate) fn wait(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.is_word("WAIT") && cursor.peek_at(1).is_some_and(|next| next.kind == Kind::Number) {
            cursor.next();
            cursor.next();
        } else {
            cursor.word("NOWAIT");
        }
        Ok(())
    }

    fn change_of_table(&mut self, name: &TableName, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if self.change_of_partitions(name, cursor)? {
            return Ok(());
        }
        let words = ["ADD", "CHANGE", "MODIFY", "DROP", "ALTER", "RENAME", "CONVERT", "ORDER", "DISCARD", "IMPORT"];
        match cursor.one_of(&words) {
            Some("ADD") => self.added(cursor),
            Some(word @ ("CHANGE" | "MODIFY")) => {
                cursor.word("COLUMN");
                cursor.words(&["IF", "EXISTS"]);
                if word == "CHANGE" {
                    self.column_name(cursor)?;
                }
                self.column(cursor)?;
                self.place(cursor)
            }
            Some("DROP") => self.dropped(cursor),
            Some("ALTER") => self.altered(cursor),
            Some("RENAME") => self.renamed(name, cursor),
            Some("CONVERT") => self.converted(cursor),
            Some("ORDER") => {
                cursor.need_word("BY")?;
                self.ordered(cursor)
            }
            Some(word) => {
                cursor.need_word("TABLESPACE")?;
                if word == "IMPORT" {
                    // Rows come from a file that somebody put there.
                    self.reader.facts.request(Action::Infile, Resource::Server);
                }
                Ok(())
            }
            None => self.other_change(cursor),
        }
    }

    fn other_change(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let known = cursor.words(&["ENABLE", "KEYS"])
            || cursor.words(&["DISABLE", "KEYS"])
            || cursor.words(&["WITH", "VALIDATION"])
            || cursor.words(&["WITHOUT", "VALIDATION"])
            || cursor.word("FORCE");
        if known {
            return Ok(());
        }
        if cursor.one_of(&["ALGORITHM", "LOCK"]).is_some() {
            cursor.symbol("=");
            return cursor.need_kind(&[Kind::Word], "a word").map(drop);
        }
        let before = *cursor;
        self.table_options(cursor)?;
        match before.up_to(cursor).is_empty() {
            true => Err(cursor.unexpected("a change of the table")),
            false => Ok(()),
        }
    }

    /// What follows `ADD`.
    fn added(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["SYSTEM", "VERSIONING"]) || self.key(cursor)? {
            return Ok(());
        }
        if cursor.is_word("PERIOD") {
            return self.definition(cursor);
        }
        cursor.word("COLUMN");
        cursor.words(&["IF", "NOT", "EXISTS"]);
        if cursor.is_symbol_at(0, "(") {
            return self.definitions(cursor);
        }
        self.column(cursor)?;
        self.place(cursor)
    }

    /// `FIRST`, `AFTER column`
    fn place(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if !cursor.word("FIRST") && cursor.word("AFTER") {
            self.column_name(cursor)?;
        }
        Ok(())
    }

    /// What follows `DROP`.
    fn dropped(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.are_words(&["CONSTRAINT", "PRIMARY", "KEY"]) {
            cursor.next();
        }
        if cursor.words(&["PRIMARY", "KEY"]) || cursor.words(&["SYSTEM", "VERSIONING"]) {
            return Ok(());
        }
        if cursor.words(&["PERIOD", "IF", "EXISTS", "FOR"]) {
            return self.column_name(cursor);
        }
        if !cursor.words(&["FOREIGN", "KEY"]) && !cursor.words(&["PERIOD", "FOR"]) {
            cursor.one_of(&["COLUMN", "INDEX", "KEY", "CONSTRAINT", "CHECK"]);
        }
        cursor.words(&["IF", "EXISTS"]);
        self.column_name(cursor)?;
        cursor.one_of(&["RESTRICT", "CASCADE"]);
        Ok(())
    }

    /// What follows `ALTER`: a column's default, whether an index or constraint counts.
    fn altered(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.one_of(&["COLUMN", "INDEX", "KEY", "CHECK", "CONSTRAINT"]);
        cursor.words(&["IF", "EXISTS"]);
        self.column_name(cursor)?;
        if cursor.words(&["SET", "DEFAULT"]) {
            return self.expression(cursor);
        }
        cursor.word("SET");
        let known = cursor.words(&["DROP", "DEFAULT"])
            || cursor.words(&["NOT", "ENFORCED"])
            || cursor.words(&["NOT", "IGNORED"])
            || cursor.one_of(&["VISIBLE", "INVISIBLE", "IGNORED", "ENFORCED"]).is_some();
        if known { Ok(()) } else { Err(cursor.unexpected("a change of a column or index")) }
    }

    /// What follows `RENAME`.
    fn renamed(&mut self, name: &TableName, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["COLUMN", "INDEX", "KEY"]).is_some() {
            cursor.words(&["IF", "EXISTS"]);
            self.column_name(cursor)?;
            cursor.need_word("TO")?;
            return self.column_name(cursor);
        }
        if cursor.one_of(&["TO", "AS"]).is_none() {
            cursor.symbol("=");
        }
        let new = self.table_name(cursor)?;
        self.reader.table(Action::Rename, name.clone())?;
        self.reader.table(Action::Rename, new)
    }

    /// What follows `CONVERT`: a character set, or a partition that becomes a table or was one.
    fn converted(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("PARTITION") {
            self.label(cursor)?;
            cursor.need_word("TO")?;
            let made = self.other_table(cursor)?;
            return self.reader.table(Action::Create, made);
        }
        if cursor.is_word("TABLE") {
            let gone = self.other_table(cursor)?;
            self.reader.table(Action::Select, gone.clone())?;
            self.reader.table(Action::Drop, gone)?;
            cursor.need_word("TO")?;
            cursor.need_word("PARTITION")?;
            self.partition(cursor)?;
            if !cursor.words(&["WITH", "VALIDATION"]) {
                cursor.words(&["WITHOUT", "VALIDATION"]);
            }
            return Ok(());
        }
        cursor.need_word("TO")?;
        if !cursor.words(&["CHARACTER", "SET"]) && !cursor.words(&["CHAR", "SET"]) && !cursor.word("CHARSET") {
            return Err(cursor.unexpected("`CHARACTER SET`"));
        }
        self.charset_name(cursor)?;
        match cursor.word("COLLATE") {
            true => self.charset_name(cursor),
            false => Ok(()),
        }
    }

    /// `TABLE name`, another one than that which is changed.
    fn other_table(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<TableName, Unread> {
        cursor.need_word("TABLE")?;
        self.reader.tables_walked += 1;
        self.table_name(cursor)
    }

    /// A change of partitions, if one stands here.
    fn change_of_partitions(&mut self, name: &TableName, cursor: &mut Cursor<'_, '_>) -> Result<bool, Unread> {
        if cursor.words(&["PARTITION", "BY"]) {
            self.partition_by(cursor)?;
            return Ok(true);
        }
        if cursor.words(&["REMOVE", "PARTITIONING"]) {
            return Ok(true);
        }
        if !cursor.is_word_at(1, "PARTITION") {
            return Ok(false);
        }
        let words = [
            "ADD",
            "DROP",
            "TRUNCATE",
            "COALESCE",
            "REORGANIZE",
            "REBUILD",
            "OPTIMIZE",
            "ANALYZE",
            "CHECK",
            "REPAIR",
            "EXCHANGE",
            "DISCARD",
            "IMPORT",
        ];
        let Some(word) = cursor.one_of(&words) else { return Ok(false) };
        cursor.next();
        self.partition_change(word, name, cursor).map(|()| true)
    }

    fn partition_change(&mut self, word: &str, name: &TableName, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.words(&["IF", "EXISTS"]);
        cursor.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        match word {
            "ADD" if cursor.is_symbol_at(0, "(") => return self.partitions(cursor),
            "ADD" | "COALESCE" => {
                cursor.word("PARTITIONS");
                return cursor.need_kind(&[Kind::Number], "a number").map(drop);
            }
            // Their rows are gone.
            "DROP" | "TRUNCATE" => self.reader.table(Action::Truncate, name.clone())?,
            "IMPORT" => self.reader.facts.request(Action::Infile, Resource::Server),
            _ => {}
        }
        if word == "REORGANIZE" && cursor.is_at_end() {
            return Ok(());
        }
        self.partition_names(cursor)?;
        match word {
            "REORGANIZE" => {
                cursor.need_word("INTO")?;
                self.partitions(cursor)
            }
            "EXCHANGE" => self.exchanged(name, cursor),
            "DISCARD" | "IMPORT" => cursor.need_word("TABLESPACE"),
            _ => {
                cursor.words(&["FOR", "UPGRADE"]);
                while cursor.one_of(&["QUICK", "FAST", "MEDIUM", "EXTENDED", "CHANGED", "USE_FRM"]).is_some() {}
                Ok(())
            }
        }
    }

    fn partition_names(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("ALL") {
            return Ok(());
        }
        loop {
            self.column_name(cursor)?;
            if !cursor.is_symbol_at(0, ",") || cursor.is_one_of_at(1, &["ALGORITHM", "LOCK"]) {
                return Ok(());
            }
            cursor.next();
        }
    }

    /// `WITH TABLE other [{WITH|WITHOUT} VALIDATION]`: rows of each become the other's.
    fn exchanged(&mut self, name: &TableName, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.need_word("WITH")?;
        let other = self.other_table(cursor)?;
        self.reader.table(Action::Alter, other.clone())?;
        for action in [Action::Select, Action::Insert, Action::Delete] {
            self.reader.table(action, name.clone())?;
            self.reader.table(action, other.clone())?;
        }
        Ok(())
    }
}

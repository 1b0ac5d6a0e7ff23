//! `SHOW …`: only forms known word by word. The parser takes any words after `SHOW`.

use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Unread};

impl Reader<'_> {
    /// What follows `SHOW`.
    pub(crate) fn show(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Show;
        if cursor.word("CREATE") {
            return self.show_create(cursor);
        }
        let before = cursor;
        let scoped = cursor.one_of(&["GLOBAL", "SESSION", "LOCAL"]).is_some();
        if cursor.one_of(&["VARIABLES", "STATUS"]).is_some() {
            return self.inspect_list(cursor);
        }
        if scoped {
            return Err(cursor.unexpected("`VARIABLES` or `STATUS`"));
        }
        cursor = before;
        self.show_diagnostics(cursor).or_else(|| self.show_lists(cursor)).unwrap_or_else(|| self.show_objects(cursor))
    }

    /// `SHOW {WARNINGS|ERRORS} [LIMIT n[, m]]`, `SHOW COUNT(*) {WARNINGS|ERRORS}`
    fn show_diagnostics(&mut self, mut cursor: Cursor<'_, '_>) -> Option<Result<(), Unread>> {
        let counted = cursor.word("COUNT") && cursor.symbol("(") && cursor.symbol("*") && cursor.symbol(")");
        cursor.one_of(&["WARNINGS", "ERRORS"])?;
        if !counted && cursor.word("LIMIT") {
            while cursor.next_if(|token| token.kind == Kind::Number).is_some() && cursor.symbol(",") {}
        }
        Some(cursor.end().and_then(|()| self.inspects()))
    }

    /// Lists that say nothing of anyone's data.
    fn show_lists(&mut self, mut cursor: Cursor<'_, '_>) -> Option<Result<(), Unread>> {
        let list = cursor.one_of(&["COLLATION", "CHARSET", "ENGINES", "PRIVILEGES"]).is_some()
            || cursor.words(&["CHARACTER", "SET"])
            || cursor.words(&["STORAGE", "ENGINES"]);
        list.then(|| self.inspect_list(cursor))
    }

    fn show_objects(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["DATABASES", "SCHEMAS", "PLUGINS"]).is_some()
            || cursor.words(&["PROCEDURE", "STATUS"])
            || cursor.words(&["FUNCTION", "STATUS"])
        {
            self.facts.request(Action::Show, Resource::Server);
            return self.filter(cursor);
        }
        cursor.word("EXTENDED");
        let full = cursor.word("FULL");
        if cursor.word("PROCESSLIST") {
            cursor.end()?;
            return self.whole(Action::Processlist);
        }
        if cursor.one_of(&["COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"]).is_some() {
            return self.show_table(cursor);
        }
        let of_schema = cursor.word("TABLES")
            || (!full && (cursor.words(&["TABLE", "STATUS"]) || cursor.words(&["OPEN", "TABLES"])))
            || (!full && cursor.one_of(&["TRIGGERS", "EVENTS"]).is_some());
        match of_schema {
            true => self.show_schema(cursor),
            false => Err(cursor.unexpected("a known form of `SHOW`")),
        }
    }

    /// `SHOW TABLES [{FROM|IN} schema] [LIKE …|WHERE …]` and its like.
    fn show_schema(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let schema = match cursor.one_of(&["FROM", "IN"]) {
            Some(_) => Some(cursor.name()?),
            None => None,
        };
        let resource = self.names.schema(schema)?;
        self.facts.request(Action::Show, resource);
        self.filter(cursor)
    }

    /// `SHOW COLUMNS {FROM|IN} table [{FROM|IN} schema] [LIKE …|WHERE …]` and its like.
    fn show_table(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["FROM", "IN"]).is_none() {
            return Err(cursor.unexpected("`FROM`"));
        }
        let (mut schema, table) = cursor.qualified_name()?;
        if cursor.one_of(&["FROM", "IN"]).is_some() {
            // The second name wins over a qualifier (sql_yacc.yy, show_columns_stmt).
            schema = Some(cursor.name()?);
        }
        self.table(Action::Show, (schema, table))?;
        self.filter(cursor)
    }

    fn show_create(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.one_of(&["TABLE", "VIEW"]).is_some() {
            let name = cursor.qualified_name()?;
            cursor.end()?;
            return self.table(Action::Show, name);
        }
        if cursor.one_of(&["DATABASE", "SCHEMA"]).is_some() {
            cursor.words(&["IF", "NOT", "EXISTS"]);
            let resource = self.names.schema(Some(cursor.name()?))?;
            cursor.end()?;
            self.facts.request(Action::Show, resource);
            return Ok(());
        }
        Err(cursor.unexpected("`TABLE`, `VIEW` or `DATABASE`"))
    }

    fn inspects(&mut self) -> Result<(), Unread> {
        self.whole(Action::Inspect)
    }

    fn inspect_list(&mut self, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.inspects()?;
        self.filter(cursor)
    }

    /// `[LIKE 'pattern' | WHERE expression]`, and nothing after it.
    fn filter(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.word("LIKE") {
            let text = |kind| matches!(kind, Kind::String | Kind::DoubleString);
            cursor.next_if(|token| text(token.kind)).ok_or_else(|| Unread::new("`LIKE` without a string"))?;
        } else if cursor.word("WHERE") {
            return self.expression_tokens(cursor.rest());
        }
        cursor.end()
    }
}

//! `SHOW …`: only forms known word by word. The parser takes any words after `SHOW`.

use crate::action::Action;
use crate::cursor::Cursor;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::token::{Kind, Token, Unread};

/// Forms of `SHOW` about the server, by their first words, and the action that each is.
const SERVER_FORMS: [(&[&str], Action); 19] = [
    (&["GRANTS"], Action::Users),
    (&["CREATE", "USER"], Action::Users),
    (&["CREATE", "SERVER"], Action::Plugins),
    (&["BINARY", "LOGS"], Action::Replication),
    (&["BINARY", "LOG", "STATUS"], Action::Replication),
    (&["MASTER", "LOGS"], Action::Replication),
    (&["MASTER", "STATUS"], Action::Replication),
    (&["BINLOG"], Action::Replication),
    (&["RELAYLOG"], Action::Replication),
    (&["SLAVE"], Action::Replication),
    (&["REPLICA"], Action::Replication),
    (&["REPLICAS"], Action::Replication),
    (&["ALL", "SLAVES"], Action::Replication),
    (&["ALL", "REPLICAS"], Action::Replication),
    (&["ENGINE"], Action::Processlist),
    (&["USER_STATISTICS"], Action::Processlist),
    (&["CLIENT_STATISTICS"], Action::Processlist),
    (&["INDEX_STATISTICS"], Action::Processlist),
    (&["TABLE_STATISTICS"], Action::Processlist),
];

impl Reader<'_> {
    /// What follows `SHOW`.
    pub(crate) fn show(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        self.facts.class = Action::Show;
        if let Some(read) = self.show_server(cursor) {
            return read;
        }
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
        if cursor.word("PROFILE") {
            return Some(self.show_profile(cursor));
        }
        let lists = ["COLLATION", "CHARSET", "ENGINES", "PRIVILEGES", "AUTHORS", "CONTRIBUTORS", "PROFILES"];
        let list = cursor.one_of(&lists).is_some()
            || cursor.words(&["CHARACTER", "SET"])
            || cursor.words(&["STORAGE", "ENGINES"]);
        list.then(|| self.inspect_list(cursor))
    }

    /// `PROFILE [type, …] [FOR QUERY n] [LIMIT …]`: how long the session's own statements took.
    fn show_profile(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let plain = |token: &Token<'_>| {
            matches!(token.kind, Kind::Word | Kind::Number) && !token.is_word("SELECT") || token.is_symbol(",")
        };
        while cursor.next_if(plain).is_some() {}
        cursor.end()?;
        self.inspects()
    }

    /// Forms on accounts, replication, other sessions.
    fn show_server(&mut self, mut cursor: Cursor<'_, '_>) -> Option<Result<(), Unread>> {
        // Of another session, by its id.
        if cursor.is_one_of_at(0, &["EXPLAIN", "ANALYZE"]) {
            return Some(self.show_plan(cursor));
        }
        let (_, action) = SERVER_FORMS.iter().find(|(words, _)| cursor.words(words))?;
        Some(self.show_whole(*action, cursor))
    }

    /// `{EXPLAIN|ANALYZE} [FORMAT = x] FOR connection`
    fn show_plan(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.next();
        if cursor.word("FORMAT") {
            cursor.symbol("=");
            cursor.need_kind(&[Kind::Word, Kind::String, Kind::DoubleString], "a format")?;
        }
        cursor.need_word("FOR")?;
        self.facts.request(Action::Processlist, Resource::Server);
        self.expression_tokens(cursor.rest())
    }

    /// What is left are words, names, texts and numbers: none of a table.
    fn show_whole(&mut self, action: Action, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let plain = |token: &Token<'_>| {
            let kinds = [Kind::Word, Kind::Quoted, Kind::String, Kind::DoubleString, Kind::Number, Kind::UserVariable];
            kinds.contains(&token.kind) && !token.is_word("SELECT")
                || [",", "(", ")", "="].iter().any(|symbol| token.is_symbol(symbol))
        };
        while cursor.next_if(plain).is_some() {}
        cursor.end()?;
        self.facts.request(action, Resource::Server);
        Ok(())
    }

    fn show_objects(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        if cursor.words(&["PLUGINS", "SONAME"]) {
            return self.show_whole(Action::Show, cursor);
        }
        if cursor.words(&["PROCEDURE", "CODE"]) || cursor.words(&["FUNCTION", "CODE"]) {
            return self.show_stored(cursor);
        }
        if cursor.one_of(&["DATABASES", "SCHEMAS", "PLUGINS"]).is_some()
            || cursor.words(&["PROCEDURE", "STATUS"])
            || cursor.words(&["FUNCTION", "STATUS"])
            || cursor.words(&["PACKAGE", "STATUS"])
            || cursor.words(&["PACKAGE", "BODY", "STATUS"])
        {
            self.facts.request(Action::Show, Resource::Server);
            return self.filter(cursor);
        }
        cursor.word("EXTENDED");
        let full = cursor.word("FULL");
        if cursor.word("PROCESSLIST") {
            self.whole(Action::Processlist)?;
            return self.filter(cursor);
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
        if cursor.one_of(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"]).is_some() {
            cursor.word("BODY");
            return self.show_stored(cursor);
        }
        if cursor.one_of(&["TABLE", "VIEW", "SEQUENCE"]).is_some() {
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

    /// The definition of a routine, trigger or event: `show` on its schema.
    fn show_stored(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        let (schema, _) = cursor.qualified_name()?;
        cursor.end()?;
        let resource = self.names.schema(schema)?;
        self.facts.request(Action::Show, resource);
        Ok(())
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

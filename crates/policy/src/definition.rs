//! Definitions: CREATE and ALTER.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, CheckConstraint, ColumnDef, ColumnOption, CreateTable,
    CreateTableLikeKind, CreateTableOptions, CreateView, ForeignKeyConstraint, IndexColumn, RenameTableNameKind,
    SqlOption, Statement, TableConstraint,
};

use crate::action::Action;
use crate::cursor::Cursor;
use crate::parse::{self, Prepared};
use crate::query::foreign;
use crate::reader::Reader;
use crate::source::table_name;
use crate::token::{Kind, Token, Unread};

impl Reader<'_> {
    /// What follows `CREATE`; `tokens` is the whole statement.
    pub(crate) fn create(&mut self, mut cursor: Cursor<'_, '_>, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let replace = cursor.words(&["OR", "REPLACE"]);
        if !replace && cursor.one_of(&["DATABASE", "SCHEMA"]).is_some() {
            return self.create_schema(cursor);
        }
        if cursor.one_of(&["USER", "ROLE"]).is_some() {
            return self.whole(Action::Users);
        }
        cursor.one_of(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
        if cursor.word("INDEX") {
            return self.create_index(cursor, tokens);
        }
        match routine(tokens) {
            Some(Action::Udf) => self.whole(Action::Udf),
            Some(Action::CreateRoutine) => {
                self.create_routine(tokens)?;
                Err(Unread::new("the body of a stored routine is not read"))
            }
            Some(action) => {
                self.whole(action)?;
                Err(Unread::new("the body of a stored routine is not read"))
            }
            None => self.defined(tokens),
        }
    }

    /// What follows `ALTER`; `tokens` is the whole statement.
    pub(crate) fn alter(&mut self, mut cursor: Cursor<'_, '_>, tokens: &[Token<'_>]) -> Result<(), Unread> {
        if cursor.one_of(&["USER", "ROLE"]).is_some() {
            return self.whole(Action::Users);
        }
        if cursor.one_of(&["PROCEDURE", "FUNCTION"]).is_some() {
            self.routine_named(&mut cursor)?;
            // `COMMENT 'text'`, `SQL SECURITY INVOKER` and the like.
            while cursor.next_if(|token| matches!(token.kind, Kind::Word | Kind::String)).is_some() {}
            return cursor.end();
        }
        self.defined(tokens)
    }

    /// `CREATE … {PROCEDURE|FUNCTION} [IF NOT EXISTS] name …` as far as its name.
    fn create_routine(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let mut cursor = Cursor::new(tokens);
        while cursor.one_of(&["PROCEDURE", "FUNCTION"]).is_none() {
            cursor.next().ok_or_else(|| Unread::new("a routine without a name"))?;
        }
        cursor.words(&["IF", "NOT", "EXISTS"]);
        self.routine_named(&mut cursor)
    }

    /// The name of a routine that is made, changed or dropped.
    pub(crate) fn routine_named(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<(), Unread> {
        let (schema, name) = cursor.qualified_name()?;
        self.facts.class = Action::CreateRoutine;
        let resource = self.names.routine(schema, &name)?;
        self.facts.request(Action::CreateRoutine, resource);
        Ok(())
    }

    fn defined(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let prepared = Prepared::new(tokens)?;
        let statement = prepared.statement()?;
        // The word after CREATE or ALTER stands for no query.
        let heads = usize::from(!matches!(statement, Statement::CreateView(_)));
        match &statement {
            Statement::CreateTable(create) => self.create_table(create)?,
            Statement::CreateView(create) => self.create_view(create)?,
            Statement::AlterTable(alter) => self.alter_table(alter)?,
            // Everything else has a recogniser of its own, or is not read.
            _ => return Err(Unread::new("this definition is not read")),
        }
        let selects = self.selects_walked == parse::count(tokens, "SELECT");
        let tables = self.tables_walked + heads == parse::count(tokens, "TABLE");
        match selects && tables && prepared.file.is_none() {
            true => Ok(()),
            false => Err(Unread::new("a subquery was lost on the way")),
        }
    }

    /// `CREATE DATABASE [IF NOT EXISTS] name [[DEFAULT] CHARACTER SET x] …`: words and plain values only.
    fn create_schema(&mut self, mut cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let resource = self.names.schema(Some(cursor.name()?))?;
        self.facts.class = Action::Create;
        self.facts.request(Action::Create, resource);
        let plain = |token: &Token<'_>| {
            matches!(token.kind, Kind::Word | Kind::String | Kind::DoubleString) || token.is_symbol("=")
        };
        while cursor.next_if(plain).is_some() {}
        cursor.end()
    }

    fn create_index(&mut self, mut cursor: Cursor<'_, '_>, tokens: &[Token<'_>]) -> Result<(), Unread> {
        if tokens.iter().any(|token| token.is_word("SELECT")) {
            return Err(Unread::new("a subquery in `CREATE INDEX`"));
        }
        cursor.words(&["IF", "NOT", "EXISTS"]);
        cursor.name()?;
        if cursor.word("USING") {
            cursor.name()?;
        }
        self.index_on(cursor)
    }

    fn create_table(&mut self, create: &CreateTable) -> Result<(), Unread> {
        only_what_is_read(create)?;
        self.facts.class = Action::Create;
        self.table(Action::Create, table_name(&create.name)?)?;
        if create.or_replace {
            self.table(Action::Drop, table_name(&create.name)?)?;
        }
        // A session's own table changes nothing for others.
        self.facts.changes_definitions &= !create.temporary;
        let (schema, table) = table_name(&create.name)?;
        let made = self.names.table(schema, table)?;
        self.makes_table(&made);
        create.columns.iter().try_for_each(|column| self.column(column))?;
        create.constraints.iter().try_for_each(|constraint| self.constraint(constraint))?;
        table_options(&create.table_options)?;
        if let Some(CreateTableLikeKind::Parenthesized(like) | CreateTableLikeKind::Plain(like)) = &create.like {
            self.table(Action::Show, table_name(&like.name)?)?;
        }
        match &create.query {
            Some(query) => self.query(query),
            None => Ok(()),
        }
    }

    fn create_view(&mut self, create: &CreateView) -> Result<(), Unread> {
        let known = CreateView {
            or_alter: false,
            materialized: false,
            secure: false,
            options: CreateTableOptions::None,
            cluster_by: Vec::new(),
            comment: None,
            with_no_schema_binding: false,
            temporary: false,
            copy_grants: false,
            to: None,
            ..create.clone()
        };
        if known != *create {
            return Err(foreign("this CREATE VIEW"));
        }
        self.facts.class = Action::Create;
        self.makes_view = true;
        self.table(Action::Create, table_name(&create.name)?)?;
        if create.or_replace {
            self.table(Action::Drop, table_name(&create.name)?)?;
        }
        self.query(&create.query)
    }

    fn alter_table(&mut self, alter: &AlterTable) -> Result<(), Unread> {
        let AlterTable { name, if_exists: _, only, operations, location, on_cluster, table_type, end_token: _ } = alter;
        if *only || location.is_some() || on_cluster.is_some() || table_type.is_some() {
            return Err(foreign("this ALTER TABLE"));
        }
        self.facts.class = Action::Alter;
        self.table(Action::Alter, table_name(name)?)?;
        for operation in operations {
            if let AlterTableOperation::RenameTable { table_name: new } = operation {
                let (RenameTableNameKind::As(new) | RenameTableNameKind::To(new)) = new;
                self.table(Action::Rename, table_name(name)?)?;
                self.table(Action::Rename, table_name(new)?)?;
            } else {
                self.alter_operation(operation)?;
            }
        }
        Ok(())
    }

    fn alter_operation(&mut self, operation: &AlterTableOperation) -> Result<(), Unread> {
        match operation {
            AlterTableOperation::AddConstraint { constraint, not_valid: false } => self.constraint(constraint),
            AlterTableOperation::AddColumn { column_def, .. } => self.column(column_def),
            AlterTableOperation::ChangeColumn { options, .. } | AlterTableOperation::ModifyColumn { options, .. } => {
                options.iter().try_for_each(|option| self.column_option(option))
            }
            AlterTableOperation::AlterColumn { op: AlterColumnOperation::SetDefault { value }, .. } => {
                self.expression(value)
            }
            AlterTableOperation::AlterColumn { op: AlterColumnOperation::DropDefault, .. }
            | AlterTableOperation::DropColumn { .. }
            | AlterTableOperation::DropConstraint { .. }
            | AlterTableOperation::DropPrimaryKey { .. }
            | AlterTableOperation::DropForeignKey { .. }
            | AlterTableOperation::DropIndex { .. }
            | AlterTableOperation::RenameColumn { .. }
            | AlterTableOperation::Algorithm { .. }
            | AlterTableOperation::Lock { .. }
            | AlterTableOperation::AutoIncrement { .. } => Ok(()),
            // Partitions may exchange rows with another table; the rest are other databases'.
            _ => Err(Unread::new("this change of a table is not read")),
        }
    }

    fn column(&mut self, column: &ColumnDef) -> Result<(), Unread> {
        let ColumnDef { name: _, data_type: _, options } = column;
        options.iter().try_for_each(|option| self.column_option(&option.option))
    }

    fn column_option(&mut self, option: &ColumnOption) -> Result<(), Unread> {
        match option {
            ColumnOption::Default(expression) | ColumnOption::OnUpdate(expression) => self.expression(expression),
            ColumnOption::Check(CheckConstraint { expr, .. }) => self.expression(expr),
            ColumnOption::Generated { generation_expr, sequence_options: None, .. } => {
                generation_expr.iter().try_for_each(|expression| self.expression(expression))
            }
            ColumnOption::ForeignKey(key) => self.foreign_key(key),
            ColumnOption::Null
            | ColumnOption::NotNull
            | ColumnOption::PrimaryKey(_)
            | ColumnOption::Unique(_)
            | ColumnOption::DialectSpecific(_)
            | ColumnOption::CharacterSet(_)
            | ColumnOption::Collation(_)
            | ColumnOption::Comment(_)
            | ColumnOption::Srid(_)
            | ColumnOption::Invisible => Ok(()),
            _ => Err(foreign("this option of a column")),
        }
    }

    fn constraint(&mut self, constraint: &TableConstraint) -> Result<(), Unread> {
        match constraint {
            TableConstraint::Unique(unique) => self.index_columns(&unique.columns),
            TableConstraint::PrimaryKey(key) => self.index_columns(&key.columns),
            TableConstraint::Index(index) => self.index_columns(&index.columns),
            TableConstraint::FulltextOrSpatial(index) => self.index_columns(&index.columns),
            TableConstraint::Check(CheckConstraint { expr, .. }) => self.expression(expr),
            TableConstraint::ForeignKey(key) => self.foreign_key(key),
            TableConstraint::PrimaryKeyUsingIndex(_)
            | TableConstraint::UniqueUsingIndex(_)
            | TableConstraint::Exclude(_) => Err(foreign("this constraint")),
        }
    }

    fn index_columns(&mut self, columns: &[IndexColumn]) -> Result<(), Unread> {
        columns.iter().try_for_each(|column| self.expression(&column.column.expr))
    }

    /// A foreign key tells which values the other table has: as good as reading it.
    fn foreign_key(&mut self, key: &ForeignKeyConstraint) -> Result<(), Unread> {
        self.table(Action::Select, table_name(&key.foreign_table)?)
    }
}

/// Which of routine, trigger, event or loadable function a CREATE makes, if any.
fn routine(tokens: &[Token<'_>]) -> Option<Action> {
    let kinds = [
        ("PROCEDURE", Action::CreateRoutine),
        ("FUNCTION", Action::CreateRoutine),
        ("TRIGGER", Action::Trigger),
        ("EVENT", Action::Event),
    ];
    // `CREATE [OR REPLACE] [DEFINER = user@host] [AGGREGATE] kind`: before the name of a table or view.
    let mut head = tokens.iter().take(12).take_while(|token| !token.is_word("TABLE") && !token.is_word("VIEW"));
    let (_, action) = head.find_map(|token| kinds.iter().find(|(kind, _)| token.is_word(kind)))?;
    let loaded = tokens.iter().any(|token| token.is_word("SONAME"));
    Some(if loaded { Action::Udf } else { *action })
}

/// Builds the statement again from the parts that are read here: anything else in it makes the two differ.
fn only_what_is_read(create: &CreateTable) -> Result<(), Unread> {
    let built = CreateTableBuilder::new(create.name.clone())
        .or_replace(create.or_replace)
        .temporary(create.temporary)
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .constraints(create.constraints.clone())
        .table_options(create.table_options.clone())
        .like(create.like.clone())
        .query(create.query.clone())
        .build();
    if built != *create {
        return Err(Unread::new("an option of `CREATE TABLE` is not read"));
    }
    Ok(())
}

/// Engines that keep their rows in the server, without reaching for files or other servers.
const ENGINES: [&str; 5] = ["INNODB", "MYISAM", "ARIA", "MEMORY", "ROCKSDB"];

/// Options that only say how rows are stored.
const TABLE_OPTIONS: [&str; 22] = [
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHARACTER SET",
    "CHARSET",
    "CHECKSUM",
    "COLLATE",
    "DEFAULT CHARACTER SET",
    "DEFAULT CHARSET",
    "DEFAULT COLLATE",
    "DELAY_KEY_WRITE",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TRANSACTIONAL",
    "COMMENT",
    "COMPRESSION",
];

fn table_options(options: &CreateTableOptions) -> Result<(), Unread> {
    let options = match options {
        CreateTableOptions::None => return Ok(()),
        CreateTableOptions::Plain(options) => options,
        CreateTableOptions::With(_) | CreateTableOptions::Options(_) | CreateTableOptions::TableProperties(_) => {
            return Err(foreign("this option of a table"));
        }
    };
    options.iter().try_for_each(table_option)
}

fn table_option(option: &SqlOption) -> Result<(), Unread> {
    let upper = |ident: &sqlparser::ast::Ident| ident.value.to_ascii_uppercase();
    let known = match option {
        SqlOption::Comment(_) => true,
        SqlOption::KeyValue { key, value: _ } => TABLE_OPTIONS.contains(&upper(key).as_str()),
        SqlOption::NamedParenthesizedList(list) => {
            let engine = list.name.as_ref().map(upper).unwrap_or_default();
            upper(&list.key) == "ENGINE" && list.values.is_empty() && ENGINES.contains(&engine.as_str())
        }
        SqlOption::Clustered(_) | SqlOption::Ident(_) | SqlOption::Partition { .. } | SqlOption::TableSpace(_) => false,
    };
    if known { Ok(()) } else { Err(Unread::new("an option or engine of `CREATE TABLE` is not read")) }
}

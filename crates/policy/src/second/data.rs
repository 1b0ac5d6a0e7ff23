//! Statements that the parser reads: queries, INSERT, REPLACE, UPDATE, DELETE, CALL.

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Function, FunctionArguments, Insert, LimitClause,
    ObjectName, OnInsert, Query, SetExpr, Statement, TableObject, TableWithJoins, Update, Value, ValueWithSpan,
};

use crate::action::Action;
use crate::catalogue::RoutineKind;
use crate::facts::Resource;
use crate::reader::Reader;
use crate::second::expression::is_constant;
use crate::second::parse::Prepared;
use crate::second::query::{absent, foreign};
use crate::second::source::{table_name, targets};
use crate::token::{Token, Unread};
use crate::walk::Target;

impl Reader<'_> {
    /// Reads a statement by the parser, and holds what was walked against the words of the text.
    pub(crate) fn by_parser(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let prepared = Prepared::new(tokens)?;
        let statement = prepared.statement()?;
        self.data(&statement)?;
        self.facts.locks_rows |= prepared.locks_rows;
        if self.selects_walked != prepared.selects || self.tables_walked != prepared.tables {
            return Err(Unread::new("a subquery was lost on the way"));
        }
        self.inspect_without_tables();
        if let Some(file) = prepared.file {
            self.facts.request(file, Resource::Server);
        }
        Ok(())
    }

    pub(crate) fn data(&mut self, statement: &Statement) -> Result<(), Unread> {
        match statement {
            Statement::Query(query) => self.outer_query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Call(function) => self.call_by_parser(function),
            // Everything else has a recogniser of its own, or is not read.
            _ => Err(Unread::new("the parser takes it for another statement")),
        }
    }

    fn outer_query(&mut self, query: &Query) -> Result<(), Unread> {
        self.facts.class = Action::Select;
        if let SetExpr::Select(select) = &*query.body {
            self.filtered(select.selection.as_ref());
        }
        self.facts.has_limit = has_limit(query.limit_clause.as_ref());
        self.query(query)
    }

    fn filtered(&mut self, condition: Option<&Expr>) {
        self.facts.has_where = condition.is_some();
        self.facts.where_is_constant = condition.is_some_and(is_constant);
    }

    fn call_by_parser(&mut self, function: &Function) -> Result<(), Unread> {
        self.facts.class = Action::Call;
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        absent(!uses_odbc_syntax && matches!(parameters, FunctionArguments::None), "this CALL")?;
        absent(within_group.is_empty() && filter.is_none() && null_treatment.is_none() && over.is_none(), "this CALL")?;
        let mut arguments = Vec::new();
        self.arguments(args, &mut arguments)?;
        arguments.into_iter().try_for_each(|argument| self.expression(argument))?;
        let (schema, name) = table_name(name)?;
        self.routine(Action::Call, RoutineKind::Procedure, schema, &name)
    }

    fn insert(&mut self, insert: &Insert) -> Result<(), Unread> {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore: _,
            into: _,
            table,
            table_alias,
            columns: _,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority: _,
            insert_alias: _,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        absent(optimizer_hints.is_empty() && or.is_none() && !overwrite && table_alias.is_none(), "this INSERT")?;
        absent(after_columns.is_empty() && !has_table_keyword && output.is_none(), "this INSERT")?;
        absent(settings.is_none() && format_clause.is_none() && multi_table_insert_type.is_none(), "this INSERT")?;
        absent(multi_table_into_clauses.is_empty() && multi_table_when_clauses.is_empty(), "this INSERT")?;
        absent(multi_table_else_clause.is_none(), "this INSERT")?;
        let TableObject::TableName(name) = table else { return Err(foreign("INSERT into other than a table")) };
        let action = if *replace_into { Action::Replace } else { Action::Insert };
        self.facts.class = action;
        self.table(action, table_name(name)?)?;
        for partition in partitioned.iter().flatten() {
            self.expression(partition)?;
        }
        self.assignments(assignments)?;
        if let Some(source) = source {
            self.query(source)?;
            self.facts.class = action;
        }
        // A REPLACE also deletes what has one of its keys.
        self.facts.rows_changed_max = rows_inserted(source.as_deref(), assignments).filter(|_| !replace_into);
        match on {
            None => {}
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
                self.table(Action::Update, table_name(name)?)?;
                self.assignments(assignments)?;
            }
            Some(_) => return Err(foreign("ON CONFLICT")),
        }
        if let Some(items) = returning {
            self.table(Action::Select, table_name(name)?)?;
            self.select_items(items)?;
        }
        Ok(())
    }

    fn assignments(&mut self, assignments: &[Assignment]) -> Result<(), Unread> {
        for Assignment { target, value } in assignments {
            if let AssignmentTarget::Tuple(_) = target {
                return Err(foreign("an assignment to a tuple"));
            }
            self.expression(value)?;
        }
        Ok(())
    }

    fn update(&mut self, update: &Update) -> Result<(), Unread> {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        absent(optimizer_hints.is_empty() && from.is_none() && output.is_none() && or.is_none(), "this UPDATE")?;
        absent(returning.is_none(), "UPDATE … RETURNING")?;
        self.facts.class = Action::Update;
        self.filtered(selection.as_ref());
        self.facts.has_limit = limit.is_some();
        let from = std::slice::from_ref(table);
        let found = targets(from)?;
        if let [only] = found.as_slice()
            && table.joins.is_empty()
        {
            self.change(Action::Update, only)?;
            self.facts.rows_changed_max = limit.as_ref().and_then(literal);
        } else {
            self.joined(from)?;
            self.update_targets(&found, assignments)?;
        }
        self.assignments(assignments)?;
        self.conditions(selection.iter().chain(limit))?;
        self.ordered(order_by)
    }

    /// The tables that a multi-table UPDATE changes: those that the assigned columns are qualified with, or all of them.
    fn update_targets(&mut self, found: &[Target], assignments: &[Assignment]) -> Result<(), Unread> {
        for Assignment { target, value: _ } in assignments {
            let AssignmentTarget::ColumnName(ObjectName(parts)) = target else {
                return Err(foreign("an assignment to a tuple"));
            };
            let qualifier = parts.split_last().map(|(_, qualifier)| qualifier.to_vec()).unwrap_or_default();
            if qualifier.is_empty() {
                found.iter().try_for_each(|target| self.change(Action::Update, target))?;
            } else {
                self.named_targets(Action::Update, found, &ObjectName(qualifier))?;
            }
        }
        Ok(())
    }

    fn named_targets(&mut self, action: Action, found: &[Target], name: &ObjectName) -> Result<(), Unread> {
        let (schema, table) = table_name(name)?;
        let mut any = false;
        for target in found.iter().filter(|target| target.is_named(schema.as_deref(), &table)) {
            any = true;
            self.change(action, target)?;
        }
        match any {
            true => Ok(()),
            false => Err(Unread::new("the table to change is not among those of the statement")),
        }
    }

    fn change(&mut self, action: Action, target: &Target) -> Result<(), Unread> {
        self.table(action, (target.schema.clone(), target.table.clone()))
    }

    fn delete(&mut self, delete: &Delete) -> Result<(), Unread> {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        absent(optimizer_hints.is_empty() && output.is_none(), "this DELETE")?;
        let FromTable::WithFromKeyword(from) = from else { return Err(foreign("DELETE without FROM")) };
        self.facts.class = Action::Delete;
        self.filtered(selection.as_ref());
        self.facts.has_limit = limit.is_some();
        match (tables.as_slice(), using) {
            ([], None) => {
                self.delete_single(from)?;
                self.facts.rows_changed_max = limit.as_ref().and_then(literal);
            }
            ([], Some(using)) => {
                let names: Vec<_> = targets(from)?;
                let found = targets(using)?;
                self.joined(using)?;
                for name in names {
                    self.delete_named(&found, &name)?;
                }
            }
            (tables, None) => {
                let found = targets(from)?;
                self.joined(from)?;
                for table in tables {
                    self.named_targets(Action::Delete, &found, table)?;
                }
            }
            _ => return Err(foreign("DELETE with two lists of tables")),
        }
        if let Some(items) = returning {
            targets(from)?.iter().try_for_each(|target| self.change(Action::Select, target))?;
            self.select_items(items)?;
        }
        self.conditions(selection.iter().chain(limit))?;
        self.ordered(order_by)
    }

    fn delete_single(&mut self, from: &[TableWithJoins]) -> Result<(), Unread> {
        match (from, targets(from)?.as_slice()) {
            ([table], [only]) if table.joins.is_empty() => self.change(Action::Delete, only),
            _ => Err(Unread::new("DELETE from several tables without saying which")),
        }
    }

    fn delete_named(&mut self, found: &[Target], name: &Target) -> Result<(), Unread> {
        let mut any = false;
        for target in found.iter().filter(|target| target.is_named(name.schema.as_deref(), &name.table)) {
            any = true;
            self.change(Action::Delete, target)?;
        }
        if any { Ok(()) } else { Err(Unread::new("the table to change is not among those of the statement")) }
    }

    fn conditions<'e>(&mut self, expressions: impl Iterator<Item = &'e Expr>) -> Result<(), Unread> {
        for expression in expressions {
            self.expression(expression)?;
        }
        Ok(())
    }
}

/// The rows of an `INSERT … VALUES` or `INSERT … SET`; `None` for those that a query gives.
fn rows_inserted(source: Option<&Query>, assignments: &[Assignment]) -> Option<u64> {
    match source {
        None => (!assignments.is_empty()).then_some(1),
        Some(source) => match &*source.body {
            SetExpr::Values(values) => u64::try_from(values.rows.len()).ok(),
            SetExpr::Select(_)
            | SetExpr::Query(_)
            | SetExpr::SetOperation { .. }
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => None,
        },
    }
}

fn literal(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.to_string().parse().ok(),
        _ => None,
    }
}

fn has_limit(limit: Option<&LimitClause>) -> bool {
    match limit {
        Some(LimitClause::LimitOffset { limit, .. }) => limit.is_some(),
        Some(LimitClause::OffsetCommaLimit { .. }) => true,
        None => false,
    }
}

//! Walks what stands in a FROM: tables, derived tables, joins.

use sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableAlias, TableFactor, TableWithJoins,
};

use crate::reader::Reader;
use crate::second::query::{absent, foreign};
use crate::token::Unread;
use crate::walk::Target;

impl Reader<'_> {
    /// The tables of a FROM, and the conditions between them.
    pub(crate) fn joined(&mut self, from: &[TableWithJoins]) -> Result<(), Unread> {
        for TableWithJoins { relation, joins } in from {
            self.factor(relation)?;
            for Join { relation, global, join_operator } in joins {
                absent(!global, "GLOBAL JOIN")?;
                self.factor(relation)?;
                self.join(join_operator)?;
            }
        }
        Ok(())
    }

    fn join(&mut self, operator: &JoinOperator) -> Result<(), Unread> {
        let constraint = match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::CrossJoin(constraint)
            | JoinOperator::StraightJoin(constraint) => constraint,
            JoinOperator::FullOuter(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => return Err(foreign("this kind of join")),
        };
        match constraint {
            JoinConstraint::On(condition) => self.expression(condition),
            JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<(), Unread> {
        match factor {
            TableFactor::Table { name, .. } => {
                plain_table(factor)?;
                if is_dual(name) {
                    return Ok(());
                }
                let (schema, table) = table_name(name)?;
                self.read_table(schema, table)
            }
            TableFactor::Derived { lateral: _, subquery, alias: _, sample } => {
                absent(sample.is_none(), "TABLESAMPLE")?;
                self.query(subquery)
            }
            TableFactor::NestedJoin { table_with_joins, alias: _ } => {
                self.joined(std::slice::from_ref(&**table_with_joins))
            }
            TableFactor::JsonTable { json_expr, json_path: _, columns: _, alias: _ } => {
                self.facts.functions.insert("json_table".to_owned());
                self.expression(json_expr)
            }
            TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => Err(foreign("this kind of table")),
        }
    }
}

fn plain_table(factor: &TableFactor) -> Result<(), Unread> {
    let TableFactor::Table {
        name: _,
        alias: _,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions: _,
        json_path,
        sample,
        index_hints: _,
    } = factor
    else {
        return Err(foreign("this kind of table"));
    };
    absent(args.is_none() && with_hints.is_empty(), "a table with arguments or hints")?;
    if version.is_some() {
        return Err(Unread::new("a table at a point in time"));
    }
    absent(!with_ordinality && json_path.is_none() && sample.is_none(), "ORDINALITY or TABLESAMPLE")
}

/// `DUAL` stands for no table, unless it is in backticks or qualified (manual, "SELECT Statement").
fn is_dual(name: &ObjectName) -> bool {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(Ident { value, quote_style: None, .. })] => value.eq_ignore_ascii_case("dual"),
        _ => false,
    }
}

/// `table` or `schema.table`.
///
/// # Errors
/// For more parts, for parts that are no names to the servers (strings, variables).
pub(crate) fn table_name(name: &ObjectName) -> Result<(Option<String>, String), Unread> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => identifier(ident),
        ObjectNamePart::Function(_) => Err(foreign("a function as a name")),
    };
    match name.0.as_slice() {
        [table] => Ok((None, part(table)?)),
        [schema, table] => Ok((Some(part(schema)?), part(table)?)),
        _ => Err(Unread::new("a table's name with more than two parts")),
    }
}

fn identifier(ident: &Ident) -> Result<String, Unread> {
    match ident.quote_style {
        Some('`') => Ok(ident.value.clone()),
        None if !ident.value.starts_with('@') => Ok(ident.value.clone()),
        _ => Err(Unread::new("a string or variable as a table's name")),
    }
}

/// The plain tables of a FROM, whatever common table expressions are in scope: those cannot be changed.
///
/// # Errors
/// For names that are no tables' names.
pub(crate) fn targets(from: &[TableWithJoins]) -> Result<Vec<Target>, Unread> {
    let mut found = Vec::new();
    let mut todo: Vec<&TableFactor> = Vec::new();
    for joined in from {
        todo.push(&joined.relation);
        todo.extend(joined.joins.iter().map(|join| &join.relation));
    }
    while let Some(factor) = todo.pop() {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let (schema, table) = table_name(name)?;
                found.push(Target { alias: alias.as_ref().map(alias_name), schema, table });
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                todo.push(&table_with_joins.relation);
                todo.extend(table_with_joins.joins.iter().map(|join| &join.relation));
            }
            // Nothing else can be changed through.
            _ => {}
        }
    }
    Ok(found)
}

fn alias_name(alias: &TableAlias) -> String {
    alias.name.value.clone()
}

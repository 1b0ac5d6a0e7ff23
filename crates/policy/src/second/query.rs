//! Walks queries: every table factor, every subquery, every clause. Structs are taken apart without `..` and enums
//! without `_` where a table could hide, so that a new version of the parser does not compile until it is looked at.

use sqlparser::ast::{
    Cte, Distinct, GroupByExpr, GroupByWithModifier, LimitClause, LockClause, NamedWindowDefinition, NamedWindowExpr,
    Offset, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Values, WildcardAdditionalOptions, With,
};

use crate::reader::Reader;
use crate::token::Unread;
use crate::walk::CommonTable;

/// Syntax of other databases, which no server here takes: refused rather than walked.
pub(crate) fn foreign(what: &str) -> Unread {
    Unread::new(format!("{what} is not MySQL's"))
}

/// Refuses a clause that is there.
pub(crate) fn absent(is_absent: bool, what: &str) -> Result<(), Unread> {
    if is_absent { Ok(()) } else { Err(foreign(what)) }
}

impl Reader<'_> {
    /// A query with its own scope for the names that its `WITH` defines.
    pub(crate) fn query(&mut self, query: &Query) -> Result<(), Unread> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        absent(fetch.is_none() && for_clause.is_none(), "FETCH or FOR")?;
        absent(settings.is_none() && format_clause.is_none() && pipe_operators.is_empty(), "SETTINGS, FORMAT or |>")?;
        let outer = self.scope.len();
        if let Some(with) = with {
            self.with(with)?;
        }
        self.body(body)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit)?;
        }
        for lock in locks {
            // `OF` names tables of the FROM: they are asked for already.
            let LockClause { lock_type: _, of: _, nonblock: _ } = lock;
            self.facts.locks_rows = true;
        }
        self.scope.truncate(outer);
        Ok(())
    }

    /// A name is in scope after its definition, and inside it only where the WITH is recursive: in
    /// `WITH t AS (SELECT * FROM t)` the inner `t` is a table.
    fn with(&mut self, with: &With) -> Result<(), Unread> {
        let With { with_token: _, recursive, cte_tables } = with;
        for cte in cte_tables {
            let Cte { alias, query, from, materialized, closing_paren_token: _ } = cte;
            absent(from.is_none() && materialized.is_none(), "FROM or MATERIALIZED in WITH")?;
            let name = alias.name.value.clone();
            if *recursive {
                self.scope.push(CommonTable { name, columns: None });
                self.query(query)?;
            } else {
                self.query(query)?;
                self.scope.push(CommonTable { name, columns: None });
            }
        }
        Ok(())
    }

    /// Set operations chain to the left, so they are taken off a stack of our own.
    fn body(&mut self, body: &SetExpr) -> Result<(), Unread> {
        let mut todo = vec![body];
        while let Some(body) = todo.pop() {
            match body {
                SetExpr::Select(select) => self.select(select)?,
                SetExpr::Query(query) => self.query(query)?,
                SetExpr::SetOperation { left, op: _, set_quantifier: _, right } => todo.extend([&**right, &**left]),
                SetExpr::Values(values) => self.values(values)?,
                SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => {
                    self.data(statement)?;
                }
                SetExpr::Merge(_) => return Err(foreign("MERGE")),
                SetExpr::Table(table) => {
                    self.tables_walked += 1;
                    let name = table.table_name.clone().ok_or_else(|| Unread::new("`TABLE` without a name"))?;
                    self.read_table(table.schema_name.clone(), name)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn values(&mut self, values: &Values) -> Result<(), Unread> {
        let Values { explicit_row: _, value_keyword: _, rows } = values;
        for row in rows {
            for expression in &row.content {
                self.expression(expression)?;
            }
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<(), Unread> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers: _,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        self.selects_walked += 1;
        absent(optimizer_hints.is_empty() && top.is_none() && exclude.is_none(), "TOP or EXCLUDE")?;
        absent(lateral_views.is_empty() && prewhere.is_none() && connect_by.is_empty(), "LATERAL VIEW or PREWHERE")?;
        absent(cluster_by.is_empty() && distribute_by.is_empty() && sort_by.is_empty(), "CLUSTER BY or SORT BY")?;
        absent(qualify.is_none() && value_table_mode.is_none(), "QUALIFY or AS STRUCT")?;
        absent(*flavor == sqlparser::ast::SelectFlavor::Standard, "FROM before SELECT")?;
        if into.is_some() {
            return Err(Unread::new("`INTO` other than variables or a file"));
        }
        if let Some(Distinct::On(_)) = distinct {
            return Err(foreign("DISTINCT ON"));
        }
        self.select_items(projection)?;
        self.joined(from)?;
        for condition in [selection, having].into_iter().flatten() {
            self.expression(condition)?;
        }
        self.group_by(group_by)?;
        self.named_windows(named_window)
    }

    pub(crate) fn select_items(&mut self, items: &[SelectItem]) -> Result<(), Unread> {
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, alias: _ } => {
                    self.expression(expression)?;
                }
                SelectItem::ExprWithAliases { .. } => return Err(foreign("a list of aliases")),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options)
                | SelectItem::Wildcard(options) => plain_wildcard(options)?,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    return Err(foreign("`.*` after an expression"));
                }
            }
        }
        Ok(())
    }

    fn group_by(&mut self, group_by: &GroupByExpr) -> Result<(), Unread> {
        let (expressions, modifiers) = match group_by {
            GroupByExpr::All(_) => return Err(foreign("GROUP BY ALL")),
            GroupByExpr::Expressions(expressions, modifiers) => (expressions, modifiers),
        };
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::Rollup => {}
                GroupByWithModifier::Cube | GroupByWithModifier::Totals | GroupByWithModifier::GroupingSets(_) => {
                    return Err(foreign("GROUP BY with CUBE, TOTALS or GROUPING SETS"));
                }
            }
        }
        expressions.iter().try_for_each(|expression| self.expression(expression))
    }

    fn named_windows(&mut self, windows: &[NamedWindowDefinition]) -> Result<(), Unread> {
        for NamedWindowDefinition(_, window) in windows {
            match window {
                NamedWindowExpr::NamedWindow(_) => {}
                NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
            }
        }
        Ok(())
    }

    fn order_by(&mut self, order_by: &OrderBy) -> Result<(), Unread> {
        let OrderBy { kind, interpolate } = order_by;
        absent(interpolate.is_none(), "INTERPOLATE")?;
        match kind {
            OrderByKind::All(_) => Err(foreign("ORDER BY ALL")),
            OrderByKind::Expressions(expressions) => self.ordered(expressions),
        }
    }

    pub(crate) fn ordered(&mut self, expressions: &[OrderByExpr]) -> Result<(), Unread> {
        for OrderByExpr { expr, options: _, with_fill } in expressions {
            absent(with_fill.is_none(), "WITH FILL")?;
            self.expression(expr)?;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &LimitClause) -> Result<(), Unread> {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                absent(limit_by.is_empty(), "LIMIT BY")?;
                if let Some(limit) = limit {
                    self.expression(limit)?;
                }
                match offset {
                    Some(Offset { value, rows: _ }) => self.expression(value),
                    None => Ok(()),
                }
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.expression(offset)?;
                self.expression(limit)
            }
        }
    }
}

fn plain_wildcard(options: &WildcardAdditionalOptions) -> Result<(), Unread> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    absent(opt_ilike.is_none() && opt_exclude.is_none() && opt_except.is_none(), "EXCLUDE or EXCEPT after `*`")?;
    absent(opt_replace.is_none() && opt_rename.is_none() && opt_alias.is_none(), "REPLACE or RENAME after `*`")
}

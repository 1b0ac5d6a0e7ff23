//! Walks expressions: every operand, every subquery, every function. Chains are as long as a statement may be, so the walk
//! keeps a stack of its own; only subqueries recurse, and parentheses limit those.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    Ident, Interval, ListAggOnOverflow, MemberOf, ObjectNamePart, TypedString, WindowFrame, WindowFrameBound,
    WindowSpec, WindowType,
};

use crate::action::Action;
use crate::builtins::{
    SCOPES_GLOBAL, SCOPES_SESSION, function_action, is_harmless_variable, needs_parenthesis, takes_a_table,
};
use crate::catalogue::RoutineKind;
use crate::facts::Resource;
use crate::parse;
use crate::query::{absent, foreign};
use crate::reader::Reader;
use crate::token::{Token, Unread};

impl Reader<'_> {
    /// Parses and walks tokens that are one expression.
    pub(crate) fn expression_tokens(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let walked = self.selects_walked;
        let expression = parse::expression(tokens)?;
        self.expression(&expression)?;
        match self.selects_walked - walked == parse::count(tokens, "SELECT") {
            true => Ok(()),
            false => Err(Unread::new("a subquery was lost on the way")),
        }
    }

    pub(crate) fn expression(&mut self, root: &Expr) -> Result<(), Unread> {
        self.expressions += 1;
        let mut todo = vec![root];
        while let Some(expression) = todo.pop() {
            self.step(expression, &mut todo)?;
        }
        self.expressions -= 1;
        Ok(())
    }

    /// Looks at one node and puts what is below it on the stack.
    fn step<'e>(&mut self, expression: &'e Expr, todo: &mut Vec<&'e Expr>) -> Result<(), Unread> {
        match expression {
            Expr::Identifier(name) => self.name(name, None),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [scope, name] => self.name(scope, Some(name)),
                [scope, ..] if scope.value.starts_with("@@") && scope.quote_style.is_none() => {
                    Err(Unread::new("a system variable's name with more than two parts"))
                }
                _ => Ok(()),
            },
            Expr::Value(_) | Expr::TypedString(TypedString { .. }) => Ok(()),
            Expr::MatchAgainst { .. } => Ok(()),
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner)
            | Expr::UnaryOp { op: _, expr: inner }
            | Expr::Prefixed { prefix: _, value: inner }
            | Expr::Collate { expr: inner, collation: _ }
            | Expr::Interval(Interval { value: inner, .. })
            | Expr::Extract { expr: inner, .. }
            | Expr::Ceil { expr: inner, field: _ }
            | Expr::Floor { expr: inner, field: _ } => push(todo, [inner]),
            Expr::BinaryOp { left, op: _, right }
            | Expr::AnyOp { left, right, .. }
            | Expr::AllOp { left, right, .. }
            | Expr::MemberOf(MemberOf { value: left, array: right })
            | Expr::RLike { expr: left, pattern: right, .. }
            | Expr::Position { expr: left, r#in: right } => push(todo, [left, right]),
            Expr::Between { expr, negated: _, low, high } => push(todo, [expr, low, high]),
            Expr::Like { expr, pattern, escape_char, .. } => {
                push(todo, [expr, pattern])?;
                push(todo, escape_char)
            }
            Expr::InList { expr, list, negated: _ } => {
                todo.extend(list);
                push(todo, [expr])
            }
            Expr::Tuple(list) => {
                todo.extend(list);
                Ok(())
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                push(todo, [expr])?;
                self.query(subquery)
            }
            Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => self.query(subquery),
            Expr::Case { operand, conditions, else_result, .. } => {
                push(todo, operand)?;
                push(todo, else_result)?;
                todo.extend(conditions.iter().flat_map(|when| [&when.condition, &when.result]));
                Ok(())
            }
            Expr::Convert { expr, styles, .. } => {
                todo.extend(styles);
                push(todo, [expr])
            }
            Expr::Cast { expr, format, .. } => {
                absent(format.is_none(), "CAST with FORMAT")?;
                push(todo, [expr])
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                push(todo, [expr])?;
                push(todo, substring_from)?;
                push(todo, substring_for)
            }
            Expr::Trim { expr, trim_what, trim_characters, .. } => {
                todo.extend(trim_characters.iter().flatten());
                push(todo, trim_what)?;
                push(todo, [expr])
            }
            Expr::Function(function) => self.function(function, todo),
            Expr::CompoundFieldAccess { .. }
            | Expr::JsonAccess { .. }
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::IsJson { .. }
            | Expr::IsNormalized { .. }
            | Expr::InUnnest { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Overlay { .. }
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::Array(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_) => Err(foreign("this kind of expression")),
        }
    }

    /// A column, a user variable, or a system variable, which not everybody may read.
    fn name(&mut self, first: &Ident, second: Option<&Ident>) -> Result<(), Unread> {
        let Some(variable) = first.value.strip_prefix("@@").filter(|_| first.quote_style.is_none()) else {
            return Ok(());
        };
        let variable = variable.to_ascii_lowercase();
        let scoped = SCOPES_GLOBAL.contains(&variable.as_str()) || SCOPES_SESSION.contains(&variable.as_str());
        let name = match second {
            Some(name) if scoped => name.value.to_ascii_lowercase(),
            Some(_) => return Err(Unread::new(format!("`@@{variable}.` is not a scope"))),
            None => variable,
        };
        if !is_harmless_variable(&name) {
            self.facts.request(Action::Show, Resource::Server);
        }
        Ok(())
    }

    pub(crate) fn function<'e>(&mut self, function: &'e Function, todo: &mut Vec<&'e Expr>) -> Result<(), Unread> {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment: _, over } =
            function;
        absent(!uses_odbc_syntax && matches!(parameters, FunctionArguments::None), "a function with parameters")?;
        absent(within_group.is_empty() && filter.is_none(), "WITHIN GROUP or FILTER")?;
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => {
                // In backticks or before white space these are names of stored functions.
                if name.quote_style.is_some() && needs_parenthesis(&name.value, self.flavour) {
                    self.facts.request(Action::Execute, Resource::Server);
                }
                self.called(&name.value)?;
            }
            [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(name)] => {
                // A name with a schema is always a stored function's.
                self.facts.functions.insert(format!("{}.{}", schema.value, name.value).to_ascii_lowercase());
                self.routine(Action::Execute, RoutineKind::Function, Some(schema.value.clone()), &name.value)?;
            }
            _ => return Err(Unread::new("a function's name with more than two parts")),
        }
        self.arguments(args, todo)?;
        match over {
            Some(WindowType::WindowSpec(spec)) => self.window(spec),
            Some(WindowType::NamedWindow(_)) | None => Ok(()),
        }
    }

    fn called(&mut self, name: &str) -> Result<(), Unread> {
        let name = name.to_ascii_lowercase();
        if takes_a_table(&name) {
            return Err(Unread::new("a sequence"));
        }
        let action = function_action(&name);
        self.facts.functions.insert(name.clone());
        match action {
            // A loadable function has no schema, and comes before a stored one of its name.
            Some(Action::Execute) if self.names.default_schema.is_none() => {
                self.facts.request(Action::Execute, Resource::Server);
                Ok(())
            }
            Some(Action::Execute) => self.routine(Action::Execute, RoutineKind::Function, None, &name),
            Some(_) | None => {
                action.into_iter().for_each(|action| self.facts.request(action, Resource::Server));
                // What one family of servers builds in may be a stored function at the other.
                match self.has_function(&name) {
                    true => self.routine(Action::Execute, RoutineKind::Function, None, &name),
                    false => Ok(()),
                }
            }
        }
    }

    pub(crate) fn arguments<'e>(
        &mut self,
        arguments: &'e FunctionArguments,
        todo: &mut Vec<&'e Expr>,
    ) -> Result<(), Unread> {
        let FunctionArgumentList { duplicate_treatment: _, args, clauses } = match arguments {
            FunctionArguments::None => return Ok(()),
            FunctionArguments::Subquery(query) => return self.query(query),
            FunctionArguments::List(list) => list,
        };
        for argument in args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => todo.push(expression),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
                FunctionArg::Unnamed(
                    FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_),
                )
                | FunctionArg::Named { .. }
                | FunctionArg::ExprNamed { .. } => return Err(foreign("this kind of argument")),
            }
        }
        clauses.iter().try_for_each(|clause| self.clause(clause, todo))
    }

    fn clause<'e>(&mut self, clause: &'e FunctionArgumentClause, todo: &mut Vec<&'e Expr>) -> Result<(), Unread> {
        match clause {
            FunctionArgumentClause::OrderBy(order) => self.ordered(order),
            FunctionArgumentClause::Limit(expression) => {
                todo.push(expression);
                Ok(())
            }
            FunctionArgumentClause::Separator(_)
            | FunctionArgumentClause::IgnoreOrRespectNulls(_)
            | FunctionArgumentClause::JsonNullClause(_)
            | FunctionArgumentClause::JsonReturningClause(_)
            | FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Error) => Ok(()),
            FunctionArgumentClause::Where(_)
            | FunctionArgumentClause::Having(_)
            | FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Truncate { .. }) => {
                Err(foreign("this clause of a function"))
            }
        }
    }

    pub(crate) fn window(&mut self, window: &WindowSpec) -> Result<(), Unread> {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = window;
        partition_by.iter().try_for_each(|expression| self.expression(expression))?;
        self.ordered(order_by)?;
        let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame else { return Ok(()) };
        for bound in std::iter::once(start_bound).chain(end_bound) {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => {
                    if let Some(offset) = offset {
                        self.expression(offset)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn push<'e, E: std::ops::Deref<Target = Expr> + 'e>(
    todo: &mut Vec<&'e Expr>,
    expressions: impl IntoIterator<Item = &'e E>,
) -> Result<(), Unread> {
    todo.extend(expressions.into_iter().map(|expression| &**expression));
    Ok(())
}

/// Whether a condition is the same for every row as far as can be seen: literals and operators only.
pub(crate) fn is_constant(root: &Expr) -> bool {
    let mut todo = vec![root];
    while let Some(expression) = todo.pop() {
        match expression {
            Expr::Value(value) if !matches!(value.value, sqlparser::ast::Value::Placeholder(_)) => {}
            Expr::Identifier(name) if name.value.eq_ignore_ascii_case("true") && name.quote_style.is_none() => {}
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => todo.push(inner),
            Expr::BinaryOp { left, right, .. } => todo.extend([&**left, &**right]),
            _ => return false,
        }
    }
    true
}

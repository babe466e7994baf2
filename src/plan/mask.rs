//! Subqueries in masks. A mask is evaluated in a projection, where the engine has scalar subqueries only: others are written as
//! such. Each is evaluated once for a statement, so none may refer to the row.

use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, VisitMut, VisitorMut};

use super::exists_within;
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::pg::ARRAY_SUBQUERY;
use crate::statement::parse_expression;

/// All that a query gives; there is an array also if it gives nothing.
const ARRAY: &str = "coalesce((SELECT array_agg(e.v) FROM (SELECT 1) AS e(v)), '{}')";
/// Whether a query gives something.
const COUNTED: &str = "(SELECT count(*) > 0 FROM (SELECT 1) AS e)";

/// `x IN (query)` and `x = ANY (query)` become `x = ANY (array)`, `EXISTS (query)` whether it has a row to count.
pub(super) fn as_scalars(mask: &mut ast::Expr) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { depth: 0 };
    match VisitMut::visit(mask, &mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// `0A000` for a subquery that refers to the mask's arguments, and for one that is no scalar.
pub(super) fn refuse_others(bound: &Expr) -> Result<(), SqlError> {
    // An argument has no table's name; what a query refers to in one around it has.
    let refers = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if column.relation.is_none());
    if exists_within(bound, &mut |expr| refers(expr)).map_err(SqlError::from_engine)? {
        let refusal = unsupported("a correlated subquery in a masking policy");
        return Err(refusal.hint("Compare an argument with a subquery's result: argument IN (SELECT …).").into());
    }
    let other = bound.exists(|expr| {
        Ok(match expr {
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => true,
            Expr::ScalarFunction(function) => function.name() == ARRAY_SUBQUERY,
            _ => false,
        })
    });
    if other.map_err(SqlError::from_engine)? {
        let refusal = unsupported("this kind of subquery in a masking policy");
        return Err(refusal.hint("There are EXISTS, IN, = ANY, <> ALL and subqueries of one value.").into());
    }
    Ok(())
}

struct Rewriter {
    /// How many queries the visited syntax is in.
    depth: usize,
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<SqlError> {
        if self.depth == 0 {
            match scalar(expr) {
                Ok(Some(scalar)) => *expr = scalar,
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

fn scalar(expr: &ast::Expr) -> Result<Option<ast::Expr>, SqlError> {
    Ok(Some(match expr {
        ast::Expr::InSubquery { expr, subquery, negated } => not_if(*negated, any_of(expr, subquery)?),
        ast::Expr::Exists { subquery, negated } => not_if(*negated, around(COUNTED, subquery, Some(1))?),
        ast::Expr::AnyOp { left, compare_op: ast::BinaryOperator::Eq, right, .. } => match right.as_ref() {
            ast::Expr::Subquery(query) => any_of(left, query)?,
            _ => return Ok(None),
        },
        ast::Expr::AllOp { left, compare_op: ast::BinaryOperator::NotEq, right } => match right.as_ref() {
            ast::Expr::Subquery(query) => not_if(true, any_of(left, query)?),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn any_of(left: &ast::Expr, query: &ast::Query) -> Result<ast::Expr, SqlError> {
    let columns = match query.body.as_ref() {
        ast::SetExpr::Select(select) => select.projection.len(),
        _ => 1,
    };
    if columns > 1 || matches!(left, ast::Expr::Tuple(_)) {
        return Err(Plain::new(SqlState::SYNTAX_ERROR, "subquery has too many columns").into());
    }
    Ok(ast::Expr::AnyOp {
        left: Box::new(left.clone()),
        compare_op: ast::BinaryOperator::Eq,
        right: Box::new(around(ARRAY, query, None)?),
        is_some: false,
    })
}

fn not_if(negated: bool, expr: ast::Expr) -> ast::Expr {
    let nested = Box::new(ast::Expr::Nested(Box::new(expr)));
    if negated { ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: nested } } else { *nested }
}

/// A template with a query in the place of its innermost. `limit`: how many of its rows are enough.
fn around(template: &str, query: &ast::Query, limit: Option<u64>) -> Result<ast::Expr, SqlError> {
    struct Put<'a>(usize, &'a ast::Query);
    impl VisitorMut for Put<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 == 2 {
                *query = self.1.clone();
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let mut query = query.clone();
    if let Some(limit) = limit
        && query.limit_clause.is_none()
    {
        let limit = ast::Expr::value(ast::Value::Number(limit.to_string(), false));
        query.limit_clause = Some(ast::LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: vec![] });
    }
    let mut expr = parse_expression(template)?;
    let _found = VisitMut::visit(&mut expr, &mut Put(0, &query));
    Ok(expr)
}

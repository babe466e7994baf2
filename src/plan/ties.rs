//! `FETCH FIRST n ROWS WITH TIES`: by rank, the engine has limits only.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_window::expr_fn::{rank, row_number};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, cast, lit,
};
use datafusion::prelude::col;

use arrow::datatypes::DataType;

/// Around the number of rows of a limit that keeps rows which are in order alike to the last one. No statement can spell it.
pub(super) const WITH_TIES: &str = "with\u{1}ties";

/// A limit, or what keeps ties.
pub(super) fn kept(limit: Limit) -> Result<LogicalPlan> {
    let Some(count) = limit.fetch.as_deref().and_then(counted) else { return Ok(LogicalPlan::Limit(limit)) };
    let skip = limit.skip.as_deref().map_or_else(|| lit(0_i64), |skip| coalesce(vec![big(skip.clone()), lit(0_i64)]));
    match Arc::unwrap_or_clone(limit.input) {
        LogicalPlan::Sort(sort) => first(sort, big(count), skip),
        // It hides what is ordered by and not shown.
        LogicalPlan::Projection(Projection { expr, input, .. }) => match Arc::unwrap_or_clone(input) {
            LogicalPlan::Sort(sort) => LogicalPlanBuilder::from(first(sort, big(count), skip)?).project(expr)?.build(),
            other => plan_err!("WITH TIES of rows without an order: {}", other.display()),
        },
        other => plan_err!("WITH TIES of rows without an order: {}", other.display()),
    }
}

/// The number of rows, if ties are to be kept.
fn counted(fetch: &Expr) -> Option<Expr> {
    match fetch {
        Expr::ScalarFunction(function) if function.func.name() == WITH_TIES => function.args.first().cloned(),
        _ => None,
    }
}

fn big(count: Expr) -> Expr {
    cast(count, DataType::Int64)
}

/// The rows of an order from one to another one, and those that are alike to it.
fn first(sort: Sort, count: Expr, skip: Expr) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let ordered =
        |function: Expr, name| function.order_by(sort.expr.clone()).build().map(|function| function.alias(name));
    let [place, ranked] = ["place\u{1}", "rank\u{1}"];
    LogicalPlanBuilder::from(sort.input.as_ref().clone())
        .window([ordered(row_number(), place)?, ordered(rank(), ranked)?])?
        .filter(big(col(place)).gt(skip.clone()).and(count.clone().is_null().or(big(col(ranked)).lt_eq(count + skip))))?
        .project(shown)?
        .sort(sort.expr)?
        .build()
}

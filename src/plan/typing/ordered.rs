//! `SELECT array_agg(x) FROM (SELECT … ORDER BY …)`: the engine drops the order of a subquery, in which PostgreSQL collects its
//! rows, so the aggregates are told to collect in it. What is ordered by and not shown goes along in columns that no statement
//! can spell.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection, SortExpr, SubqueryAlias};

/// Aggregates whose results show in which order they saw their arguments.
const COLLECT: &[&str] = &["array_agg", "string_agg"];

/// A plan whose aggregates collect in the order that their rows come in.
pub(super) fn collecting(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(plan) };
    if !aggregate.aggr_expr.iter().any(collects) {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let Some((input, keys)) = in_order(&aggregate.input)? else { return Ok(LogicalPlan::Aggregate(aggregate)) };
    let aggregates = aggregate.aggr_expr.into_iter().map(|expr| match expr {
        Expr::AggregateFunction(mut function) if is_without_order(&function) => {
            let name = Expr::AggregateFunction(function.clone()).schema_name().to_string();
            function.params.order_by.clone_from(&keys);
            Expr::AggregateFunction(function).alias(name)
        }
        other => other,
    });
    Aggregate::try_new(Arc::new(input), aggregate.group_expr, aggregates.collect()).map(LogicalPlan::Aggregate)
}

/// A plan without the orders of subqueries in FROM, which nothing sees but what [`collecting`] told, and limits.
pub(super) fn without_orders(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::SubqueryAlias(alias) = &node else { return Ok(Transformed::no(node)) };
        let Some(input) = without_order(&alias.input)? else { return Ok(Transformed::no(node)) };
        let renamed = SubqueryAlias::try_new(input, alias.alias.clone())?;
        Ok(Transformed::yes(LogicalPlan::SubqueryAlias(renamed)))
    });
    Ok(plan?.data)
}

/// The same rows in any order; `None`: they are in none.
fn without_order(plan: &LogicalPlan) -> Result<Option<Arc<LogicalPlan>>> {
    Ok(match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Some(Arc::clone(&sort.input)),
        LogicalPlan::Projection(projection) => match without_order(&projection.input)? {
            Some(input) => {
                let projected = Projection::try_new(projection.expr.clone(), input)?;
                Some(Arc::new(LogicalPlan::Projection(projected)))
            }
            None => None,
        },
        _ => None,
    })
}

fn collects(expr: &Expr) -> bool {
    matches!(expr, Expr::AggregateFunction(function) if is_without_order(function))
}

fn is_without_order(function: &AggregateFunction) -> bool {
    COLLECT.contains(&function.func.name()) && function.params.order_by.is_empty() && !function.params.distinct
}

/// A query with columns for what its rows are ordered by, and the order over its columns. `None`: they have none, or it is kept.
fn in_order(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<SortExpr>)>> {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok(Some((sort.input.as_ref().clone(), sort.expr.clone()))),
        LogicalPlan::Filter(filter) => {
            let Some((input, keys)) = in_order(&filter.input)? else { return Ok(None) };
            let filtered = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
            Ok(Some((LogicalPlan::Filter(filtered), keys)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some((input, keys)) = in_order(&alias.input)? else { return Ok(None) };
            let known = input.schema().columns();
            let renamed = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            let columns = renamed.schema.columns();
            let keys = keys.into_iter().map(|key| {
                let expr = key.expr.transform(|expr| {
                    let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
                    let place = known.iter().position(|known| known == column);
                    let seen = place.and_then(|place| columns.get(place)).cloned();
                    Ok(seen.map_or(Transformed::no(expr), |seen| Transformed::yes(Expr::Column(seen))))
                });
                Ok(SortExpr { expr: expr?.data, ..key })
            });
            let keys = keys.collect::<Result<_>>()?;
            Ok(Some((LogicalPlan::SubqueryAlias(renamed), keys)))
        }
        LogicalPlan::Projection(projection) => {
            let Some((input, keys)) = in_order(&projection.input)? else { return Ok(None) };
            let mut exprs = projection.expr.clone();
            let depth = exprs.len();
            let mut shown = Vec::new();
            for (index, key) in keys.into_iter().enumerate() {
                let name = format!("\u{2}order{depth}_{index}");
                exprs.push(key.expr.alias(&name));
                shown.push(SortExpr { expr: Expr::Column(Column::new_unqualified(name)), ..key });
            }
            Ok(Some((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?), shown)))
        }
        _ => Ok(None),
    }
}

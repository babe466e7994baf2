//! UNION, INTERSECT and EXCEPT: all rows are of one type in each column, and with ALL they are counted.

use std::sync::Arc;

use datafusion::common::{NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Union,
};
use datafusion::prelude::col;

use super::common::{Common, Place, brought_to, common};
use super::results::selected_literal;
use crate::plan::Scope;

/// UNION. `42804`, `42846`.
pub(super) fn unite(scope: &Scope, union: Union) -> Result<LogicalPlan> {
    let commons = commons(Place("UNION", "UNION"), &union.inputs)?;
    let inputs = union.inputs.into_iter().map(|input| with_columns_as(scope, input, &commons));
    // The engine does not recompute a union's schema.
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs.collect::<Result<_>>()?)?))
}

/// Whether a join is what the engine's planner makes of INTERSECT or EXCEPT.
pub(super) fn is_intersection(join: &Join) -> bool {
    let all_columns = join.on.len() == join.left.schema().fields().len() && join.filter.is_none();
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && all_columns
}

/// INTERSECT or EXCEPT. The engine's joins keep or drop all rows that are alike: with ALL, the first of them on one side is the
/// first on the other one, and so on. `42804`, `42846`.
pub(super) fn intersected(scope: &Scope, join: Join) -> Result<LogicalPlan> {
    let place = if join.join_type == JoinType::LeftSemi { "INTERSECT" } else { "EXCEPT" };
    let shown = Arc::clone(join.left.schema());
    let (left, all) = match Arc::unwrap_or_clone(join.left) {
        LogicalPlan::Distinct(Distinct::All(rows)) => (rows, false),
        rows => (Arc::new(rows), true),
    };
    let inputs = [left, join.right].map(without_alias);
    let commons = commons(Place(place, place), &inputs)?;
    let [left, right] = inputs;
    let left = keyed(with_columns_as(scope, left, &commons)?, "left", all)?;
    let right = keyed(with_columns_as(scope, right, &commons)?, "right", all)?;
    let left = if all { left } else { LogicalPlanBuilder::from(left).distinct()?.build()? };
    let keys = |side: &LogicalPlan| side.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
    let (on, by) = (keys(&left).into_iter().zip(keys(&right)).collect(), JoinConstraint::On);
    let (left, right) = (Arc::new(left), Arc::new(right));
    let joined = Join::try_new(left, right, on, None, join.join_type, by, NullEquality::NullEqualsNull, false)?;
    let columns = shown
        .iter()
        .enumerate()
        .map(|(index, (qualifier, field))| col(key("left", index)).alias_qualified(qualifier.cloned(), field.name()));
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns.collect::<Vec<_>>())?.build()
}

/// The rows that the engine has told from others of the same name.
fn without_alias(rows: Arc<LogicalPlan>) -> Arc<LogicalPlan> {
    match rows.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => without_alias(Arc::clone(&alias.input)),
        _ => rows,
    }
}

/// What a column is called while rows are compared.
fn key(side: &str, index: usize) -> String {
    format!("\u{2}{side}{index}")
}

/// Rows under names of their own, with the number of each among those that are alike.
fn keyed(rows: Arc<LogicalPlan>, side: &str, numbered: bool) -> Result<LogicalPlan> {
    let columns = rows.schema().columns();
    let keys = columns.into_iter().enumerate().map(|(index, column)| Expr::Column(column).alias(key(side, index)));
    let keys: Vec<Expr> = keys.collect();
    let names: Vec<Expr> = (0..keys.len()).map(|index| col(key(side, index))).collect();
    let rows = LogicalPlanBuilder::from(Arc::unwrap_or_clone(rows)).project(keys)?;
    if !numbered || names.is_empty() {
        return rows.build();
    }
    let number = row_number().partition_by(names).build()?.alias(format!("\u{2}{side}"));
    rows.window([number])?.build()
}

/// The type of each column that inputs have in common.
fn commons(place: Place<'_>, inputs: &[Arc<LogicalPlan>]) -> Result<Vec<Option<Common>>> {
    let columns = inputs.first().map_or(0, |input| input.schema().fields().len());
    let of_column = |column| {
        let known = inputs.iter().filter(|input| selected_literal(input, column).is_none());
        common(place, known.filter_map(|input| input.schema().fields().get(column).cloned()))
    };
    (0..columns).map(of_column).collect()
}

/// The rows of a query with each column brought to a type, where there is one.
pub(super) fn with_columns_as(
    scope: &Scope,
    input: Arc<LogicalPlan>,
    commons: &[Option<Common>],
) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema();
    let own = schema.columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
    let mut exprs = own.clone();
    for (column, (expr, common)) in exprs.iter_mut().zip(commons).enumerate() {
        let Some(common) = common else { continue };
        let value = selected_literal(&input, column).unwrap_or(expr).clone();
        let brought = brought_to(scope, common, value, schema)?;
        if brought != *expr {
            *expr = brought.alias(schema.field(column).name());
        }
    }
    if exprs == own {
        return Ok(input);
    }
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, input)?)))
}

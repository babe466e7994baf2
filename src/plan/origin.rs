//! Where a query's output columns come from: RowDescription names the table and column of those that are passed on
//! unchanged, and a type's modifier only where the query or a table says it.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, TableScan};

use super::Scope;
use crate::catalog::Relation;
use crate::guard::{OpenTable, SecureTable, ViewTable};
use crate::name::ObjectId;
use crate::pg::{FromText, SystemTable};
use crate::types::Origin;

/// The output columns of a bound query, each with its origin.
pub(super) fn with_origins(scope: &Scope, plan: &LogicalPlan, fields: Vec<FieldRef>) -> Vec<FieldRef> {
    let traced = fields.into_iter().enumerate();
    traced.map(|(index, field)| Arc::new(origin(scope, plan, index).note(field.as_ref().clone())) as FieldRef).collect()
}

fn origin(scope: &Scope, plan: &LogicalPlan, index: usize) -> Origin {
    let named = |expr: &Expr, input: &LogicalPlan| match unaliased(expr) {
        Expr::Column(column) => match input.schema().maybe_index_of_column(column) {
            Some(index) => origin(scope, input, index),
            None => Origin::Computed,
        },
        Expr::Cast(_) | Expr::TryCast(_) => Origin::Typed,
        Expr::ScalarSubquery(subquery) => match origin(scope, &subquery.subquery, 0) {
            Origin::Computed => Origin::Computed,
            Origin::Column { .. } | Origin::Typed => Origin::Typed,
        },
        // The modifier of a literal numeric is only its own form.
        Expr::Literal(value, _) if !value.data_type().is_decimal() => Origin::Typed,
        Expr::ScalarFunction(function) if function.func.inner().is::<FromText>() => Origin::Typed,
        _ => Origin::Computed,
    };
    match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(index).map_or(Origin::Computed, |expr| named(expr, &projection.input))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            on.select_expr.get(index).map_or(Origin::Computed, |expr| named(expr, &on.input))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => origin(scope, input, index),
        LogicalPlan::SubqueryAlias(alias) => origin(scope, &alias.input, index),
        LogicalPlan::Filter(filter) => origin(scope, &filter.input, index),
        LogicalPlan::Sort(sort) => origin(scope, &sort.input, index),
        LogicalPlan::Limit(limit) => origin(scope, &limit.input, index),
        LogicalPlan::Subquery(subquery) => origin(scope, &subquery.subquery, index),
        LogicalPlan::Window(window) if index < window.input.schema().fields().len() => {
            origin(scope, &window.input, index)
        }
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(index) {
            Some(expr) => named(expr, &aggregate.input),
            None => Origin::Computed,
        },
        LogicalPlan::Union(union) => {
            let typed = |input: &Arc<LogicalPlan>| origin(scope, input, index) != Origin::Computed;
            if union.inputs.iter().all(typed) { Origin::Typed } else { Origin::Computed }
        }
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full) =>
        {
            let left = join.left.schema().fields().len();
            if index < left { origin(scope, &join.left, index) } else { origin(scope, &join.right, index - left) }
        }
        LogicalPlan::TableScan(scan) => column(scope, scan, index),
        _ => Origin::Computed,
    }
}

/// Where a column of RETURNING comes from.
pub(super) fn of_returned(id: ObjectId, relation: &Relation, expr: &Expr) -> Origin {
    match unaliased(expr) {
        Expr::Column(named) => match relation.columns.iter().find(|column| column.name == named.name) {
            Some(column) => Origin::Column { table: id.oid(), number: i16::try_from(column.id).unwrap_or(0) },
            None => Origin::Computed,
        },
        Expr::Cast(_) => Origin::Typed,
        _ => Origin::Computed,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn column(scope: &Scope, scan: &TableScan, index: usize) -> Origin {
    let index = scan.projection.as_ref().map_or(Some(index), |columns| columns.get(index).copied());
    let (Ok(provider), Some(index)) = (source_as_provider(&scan.source), index) else { return Origin::Computed };
    if let Some(table) = provider.downcast_ref::<SystemTable>() {
        return Origin::Column { table: table.relation().oid, number: i16::try_from(index + 1).unwrap_or(0) };
    }
    let relation: Option<ObjectId> = provider
        .downcast_ref::<SecureTable>()
        .map(SecureTable::relation)
        .or_else(|| provider.downcast_ref::<OpenTable>().map(OpenTable::relation))
        .or_else(|| provider.downcast_ref::<ViewTable>().and_then(|view| view.relation));
    let column = relation.and_then(|id| scope.catalog().relation(id)?.columns.get(index));
    match (relation, column) {
        (Some(id), Some(column)) => Origin::Column { table: id.oid(), number: i16::try_from(column.id).unwrap_or(0) },
        _ => Origin::Computed,
    }
}

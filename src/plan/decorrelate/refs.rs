//! References to columns of outer queries: which there are, and how they are bound to other columns.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

/// Columns of outer queries by the names a subquery uses for them, and what carries their values instead.
pub(super) type Carried = Vec<(Column, Column)>;

/// The columns that a plan takes from outer queries, each once.
pub(super) fn free(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    collect(plan, &mut found)?;
    Ok(found)
}

fn add(found: &mut Vec<Column>, column: &Column) {
    if !found.contains(column) {
        found.push(column.clone());
    }
}

fn collect(plan: &LogicalPlan, found: &mut Vec<Column>) -> Result<()> {
    for (index, child) in plan.inputs().into_iter().enumerate() {
        let left = lateral_left(plan).filter(|_| index == 1);
        for column in free(child)? {
            // The right side of a lateral join sees the left.
            if !left.is_some_and(|left| has(left.schema(), &column)) {
                add(found, &column);
            }
        }
    }
    let own = merge_schema(&plan.inputs());
    let mut failed = None;
    plan.apply_expressions(|expr| {
        if let Err(error) = collect_expression(expr, &own, found) {
            failed.get_or_insert(error);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    failed.map_or(Ok(()), Err)
}

fn collect_expression(expr: &Expr, own: &DFSchema, found: &mut Vec<Column>) -> Result<()> {
    expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr {
            add(found, column);
        }
        if let Some(subquery) = subquery_of(expr) {
            for column in free(&subquery.subquery)? {
                if !has(own, &column) {
                    add(found, &column);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The left side of a join whose right side may refer to it.
pub fn lateral_left(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Join(join) if is_lateral(&join.right) => Some(&join.left),
        _ => None,
    }
}

fn is_lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        _ => false,
    }
}

pub(super) fn has(schema: &DFSchema, column: &Column) -> bool {
    schema.maybe_index_of_column(column).is_some()
}

/// The subquery that an expression is, if it is one.
pub(super) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}

/// An expression over an input that has the carried columns: references to outer columns become references to them.
pub(super) fn bind(expr: Expr, carried: &Carried, own: &DFSchema) -> Result<Expr> {
    expr.transform_down(|expr| match expr {
        Expr::OuterReferenceColumn(field, column) => Ok(match lookup(carried, &column) {
            Some(other) => Transformed::yes(Expr::Column(other.clone())),
            None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
        }),
        other => rebind_subquery(other, carried, own),
    })
    .map(|transformed| transformed.data)
}

fn lookup<'a>(carried: &'a Carried, column: &Column) -> Option<&'a Column> {
    carried.iter().find(|(from, _)| from == column).map(|(_, to)| to)
}

/// Renames outer references in a subquery: what used to be further out is now in its own query's input. Columns that
/// hide the carried ones stay.
fn rebind_subquery(expr: Expr, carried: &Carried, own: &DFSchema) -> Result<Transformed<Expr>> {
    let Some(subquery) = subquery_of(&expr) else { return Ok(Transformed::no(expr)) };
    let seen: Carried = carried.iter().filter(|(from, _)| !has(own, from)).cloned().collect();
    let plan = rename(subquery.subquery.as_ref().clone(), &seen)?;
    Ok(Transformed::yes(with_subquery(expr, &plan)))
}

/// The expression with another plan for its subquery.
pub(super) fn with_subquery(expr: Expr, plan: &LogicalPlan) -> Expr {
    let renewed = |old: &Subquery| {
        let outer_ref_columns = plan.all_out_ref_exprs();
        Subquery { subquery: Arc::new(plan.clone()), outer_ref_columns, spans: old.spans.clone() }
    };
    match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(renewed(&subquery)),
        Expr::Exists(exists) => Expr::Exists(Exists::new(renewed(&exists.subquery), exists.negated)),
        Expr::InSubquery(within) => {
            let subquery = renewed(&within.subquery);
            Expr::InSubquery(InSubquery::new(within.expr, subquery, within.negated))
        }
        Expr::SetComparison(comparison) => {
            let subquery = renewed(&comparison.subquery);
            Expr::SetComparison(SetComparison::new(comparison.expr, subquery, comparison.op, comparison.quantifier))
        }
        other => other,
    }
}

fn rename(plan: LogicalPlan, carried: &Carried) -> Result<LogicalPlan> {
    if carried.is_empty() {
        return Ok(plan);
    }
    let left = lateral_left(&plan).map(|left| Arc::clone(left.schema()));
    let mut index = 0;
    let renamed = plan.map_children(|child| {
        let hidden = left.as_ref().filter(|_| index == 1);
        index += 1;
        let seen: Carried = match hidden {
            Some(schema) => carried.iter().filter(|(from, _)| !has(schema, from)).cloned().collect(),
            None => carried.clone(),
        };
        Ok(Transformed::yes(rename(child, &seen)?))
    })?;
    let own = merge_schema(&renamed.data.inputs());
    let names = NamePreserver::new(&renamed.data);
    renamed
        .data
        .map_expressions(|expr| {
            let name = names.save(&expr);
            let renamed = expr.transform_down(|expr| match expr {
                Expr::OuterReferenceColumn(field, column) => Ok(match lookup(carried, &column) {
                    Some(other) => Transformed::yes(Expr::OuterReferenceColumn(field, other.clone())),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                }),
                other => rebind_subquery(other, carried, &own),
            })?;
            Ok(renamed.update_data(|expr| name.restore(expr)))
        })
        .map(|transformed| transformed.data)
}

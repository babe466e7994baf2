//! Types of parameters that the engine does not infer.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::common::{Place, common, is_open};
use super::pg_type;
use crate::pg::{ANY_EQUAL, Unified};
use crate::types::{PgType, of_field};

/// Types of parameters: in `value = ANY ($1)` that of an array of the value's type, among the results of CASE, COALESCE and
/// their like that of the others, else what the engine infers somewhere; `text` where nothing tells.
pub(in crate::plan) fn suggest(plan: &LogicalPlan, types: &mut Vec<Option<PgType>>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::ScalarFunction(function) if function.func.name() == ANY_EQUAL => {
                        let [array, value] = function.args.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
                        if let Some(pg) = pg_type(value, &schema).filter(|pg| pg.element().is_none()) {
                            suggest_one(array, &PgType::Array(Box::new(pg)), types);
                        }
                        if let Some(pg) = pg_type(array, &schema).filter(|pg| pg.element().is_some()) {
                            suggest_one(value, pg.base(), types);
                        }
                    }
                    Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
                        suggest_alike(&function.args.iter().collect::<Vec<_>>(), &schema, types);
                    }
                    Expr::Case(case) => {
                        let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                        let results = results.chain(case.else_expr.as_deref()).collect::<Vec<_>>();
                        suggest_alike(&results, &schema, types);
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let each = |found: &mut dyn FnMut(&Placeholder, &Expr)| {
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::Placeholder(placeholder) = expr {
                        found(placeholder, expr);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })
    };
    each(&mut |placeholder, expr| {
        if let Some(field) = &placeholder.field {
            suggest_one(expr, &of_field(field), types);
        }
    })?;
    each(&mut |_, expr| suggest_one(expr, &PgType::Text, types))?;
    Ok(())
}

pub(super) fn suggest_alike(exprs: &[&Expr], schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
    let others = || exprs.iter().copied().filter(|expr| !matches!(expr, Expr::Placeholder(_)));
    let fields = others().filter(|expr| !is_open(expr)).filter_map(|expr| Some(expr.to_field(schema).ok()?.1));
    // What does not agree is refused when it is brought together.
    let common = common(Place("", ""), fields).unwrap_or_default().map(|common| common.pg);
    let first = || others().find_map(|expr| pg_type(expr, schema));
    if let Some(pg) = common.or_else(first) {
        for expr in exprs {
            suggest_one(expr, &pg, types);
        }
    }
}

/// A type for a parameter that has none; nothing for any other expression.
pub(super) fn suggest_one(expr: &Expr, pg: &PgType, types: &mut Vec<Option<PgType>>) {
    let Expr::Placeholder(placeholder) = expr else { return };
    let number = placeholder.id.strip_prefix('$').and_then(|id| id.parse::<usize>().ok());
    let Some(index) = number.and_then(|number| number.checked_sub(1)) else { return };
    if types.len() <= index {
        types.resize(index + 1, None);
    }
    if let Some(slot) = types.get_mut(index) {
        slot.get_or_insert_with(|| pg.clone());
    }
}

//! Where functions that wait may stand: in the select list of a statement's outermost query. Elsewhere the engine would call them for
//! rows that PostgreSQL does not (it merges conditions, and drops columns that nobody reads), and some take locks.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::{SqlError, unsupported};

/// `0A000` for one elsewhere. `outermost`: the plan is all of a statement's query.
pub(super) fn refuse(plan: &LogicalPlan, outermost: bool) -> Result<()> {
    let list = if outermost { select_list(plan) } else { None };
    plan.apply_with_subqueries(|node| {
        if !list.is_some_and(|list| std::ptr::eq(list, node)) && has_one(node)? {
            return refused().map(|()| TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// `0A000` for one in an expression that is no query's.
pub(super) fn refuse_in(expr: &Expr) -> Result<()> {
    if expr.exists(|expr| Ok(waits(expr)))? { refused() } else { Ok(()) }
}

/// Whether a function waits.
pub(super) fn waits(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.func.as_async().is_some())
}

fn refused() -> Result<()> {
    let refusal = unsupported("a function that waits elsewhere than in the select list of the outermost query");
    Err(SqlError::from(refusal).into())
}

fn has_one(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|expr| Ok(waits(expr)))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The select list of a query, which is evaluated for each of its rows and for no others.
fn select_list(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let (mut node, mut sorted, mut limited) = (plan, false, false);
    loop {
        node = match node {
            // What the rows are sorted by is dropped above.
            LogicalPlan::Projection(shown) if matches!(shown.input.as_ref(), LogicalPlan::Sort(_)) => &shown.input,
            LogicalPlan::Projection(_) => return Some(node).filter(|_| !(sorted && limited)),
            LogicalPlan::Sort(sort) => {
                (sorted, limited) = (true, limited || sort.fetch.is_some());
                &sort.input
            }
            LogicalPlan::Limit(limit) => {
                limited = true;
                &limit.input
            }
            _ => return None,
        };
    }
}

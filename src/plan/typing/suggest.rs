//! Types of parameters that the engine does not infer.

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::call::{chosen, engine_operator, open_call};
use super::common::{Place, common, is_open};
use super::pg_type;
use crate::pg::function::{Overload, overloads};
use crate::pg::{ANY_EQUAL, Unified};
use crate::plan::arrays;
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
                    Expr::ScalarFunction(function) if let Some(open) = open_call(function) => {
                        if let (Some(op), [left, right]) = (engine_operator(&open), function.args.as_slice()) {
                            suggest_operands(left, op, right, &schema, types);
                        }
                        // What does not fit is refused when it is typed.
                        let place = chosen(&open, &function.args, &schema).ok();
                        let overload = place.and_then(|place| overloads(open.name()).get(place));
                        for (argument, pg) in function.args.iter().zip(overload.map_or(&[][..], Overload::arguments)) {
                            suggest_one(argument, pg, types);
                        }
                    }
                    Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                        suggest_operands(left, *op, right, &schema, types);
                    }
                    Expr::ScalarFunction(function) if function.func.name().starts_with("interval_") => {
                        if let [_, factor] = function.args.as_slice() {
                            suggest_one(factor, &PgType::Float8, types);
                        }
                    }
                    // Beside an array, in what compares arrays: an array.
                    Expr::ScalarFunction(function) if arrays::compares(function.func.name()) => {
                        suggest_array(&function.args.iter().collect::<Vec<_>>(), &schema, types);
                    }
                    // What is put into an array is one of its items.
                    Expr::ScalarFunction(function) if function.func.name().starts_with("array_") => {
                        let arrays = function.args.iter().filter(|expr| !is_open(expr));
                        let array = arrays.filter_map(|expr| pg_type(expr, &schema)).find(|pg| pg.element().is_some());
                        if let Some(item) = array.as_ref().and_then(PgType::element)
                            && arrays::takes_items(function.func.name())
                        {
                            for expr in &function.args {
                                suggest_one(expr, item, types);
                            }
                        }
                    }
                    Expr::ScalarFunction(function) if let Some(wanted) = arguments_of(function, &schema) => {
                        for (argument, pg) in function.args.iter().zip(&wanted) {
                            suggest_one(argument, pg, types);
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

fn suggest_operands(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
    for (operand, other) in [(left, right), (right, left)] {
        if let Some(pg) = pg_type(other, schema).and_then(|pg| beside(op, &pg)) {
            suggest_one(operand, &pg, types);
        }
    }
}

/// The types of the arguments of one of the engine's functions, of which some are parameters: the first that it names for
/// such arguments.
fn arguments_of(function: &ScalarFunction, schema: &DFSchema) -> Option<Vec<PgType>> {
    let is_parameter = |expr: &Expr| matches!(expr, Expr::Placeholder(placeholder) if placeholder.field.is_none());
    if Unified::applies_to(function.func.name()) || !function.args.iter().any(is_parameter) {
        return None;
    }
    let given: Vec<Option<DataType>> =
        function.args.iter().map(|expr| (!is_parameter(expr)).then(|| expr.get_type(schema).ok()).flatten()).collect();
    let fits = |wanted: &DataType, given: &Option<DataType>| match given {
        None => true,
        Some(given) => {
            wanted == given
                || wanted.is_integer() && given.is_integer()
                || wanted.is_floating() && given.is_numeric()
                || wanted.is_string() && given.is_string()
        }
    };
    let mut known = function.func.signature().type_signature.get_example_types().into_iter();
    let wanted = known.find(|types| {
        types.len() == given.len() && types.iter().zip(&given).all(|(wanted, given)| fits(wanted, given))
    })?;
    Some(
        wanted
            .into_iter()
            .map(|data_type| match of_field(&Field::new("", data_type, true)) {
                // Numbers of rows and places, which PostgreSQL counts in integers.
                PgType::Int8 | PgType::Oid => PgType::Int4,
                pg => pg,
            })
            .collect(),
    )
}

/// The type of an operand that says none, by the other one: PostgreSQL looks for an operator of two of the same type first.
fn beside(op: Operator, other: &PgType) -> Option<PgType> {
    let same = || match other {
        PgType::Varchar(_) => PgType::Text,
        other => other.without_modifier(),
    };
    let number = |pg: &PgType| pg.category() == 'N' && pg.element().is_none();
    let is_known = !matches!(other, PgType::Unknown | PgType::Named(_));
    match op {
        Operator::StringConcat | Operator::AtArrow | Operator::ArrowAt => other.element().map(|_| other.clone()),
        Operator::Multiply | Operator::Divide if *other == PgType::Interval => Some(PgType::Float8),
        Operator::Plus | Operator::Minus if *other == PgType::Interval => Some(PgType::Interval),
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            number(other).then(same)
        }
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom
            if is_known =>
        {
            Some(same())
        }
        _ => None,
    }
}

/// The type of the array that a parameter stands beside.
fn suggest_array(exprs: &[&Expr], schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
    let known = exprs.iter().filter(|expr| !is_open(expr)).filter_map(|expr| pg_type(expr, schema));
    if let Some(array) = known.into_iter().find(|pg| pg.element().is_some()) {
        for expr in exprs {
            suggest_one(expr, &array, types);
        }
    }
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

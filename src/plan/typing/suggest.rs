//! Types of parameters that the engine does not infer.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Between, InList, Placeholder, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::call::{chosen, engine_operator, open_call};
use super::common::{Place, common, is_open};
use super::{integer_literal, pg_type};
use crate::pg::function::{Overload, overloads};
use crate::pg::system::argument_types;
use crate::pg::{ANY_EQUAL, ARRAY_OF, SORTED_INTERPOLATION, SORTED_PERCENTILE, Unified, advisory_arguments};
use crate::plan::arrays;
use crate::types::{PgType, of_field};

/// Types of the parameters in one node of a plan, whose inputs have theirs: each takes that of what it stands beside.
pub(super) fn suggest(node: &LogicalPlan, schema: &DFSchema, types: &mut Vec<Option<PgType>>) -> Result<()> {
    match node {
        LogicalPlan::Values(values) => {
            let width = values.values.first().map_or(0, Vec::len);
            for column in 0..width {
                let exprs: Vec<Expr> = values
                    .values
                    .iter()
                    .filter_map(|row| row.get(column))
                    .cloned()
                    .map(|value| narrowed(without_cast(value)))
                    .collect();
                suggest_alike(&exprs.iter().collect::<Vec<_>>(), schema, types);
            }
        }
        LogicalPlan::Union(union) => {
            for column in 0..union.schema.fields().len() {
                suggest_united(&union.inputs, column, types);
            }
        }
        _ => {}
    }
    node.apply_expressions(|expr| {
        narrowed(expr.clone()).apply(|expr| {
            suggest_within(expr, schema, types);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

/// Types of parameters that nothing told: what the engine infers somewhere, else `text`.
pub(in crate::plan) fn suggest_rest(plan: &LogicalPlan, types: &mut Vec<Option<PgType>>) -> Result<()> {
    each_parameter(plan, &mut |placeholder, expr| {
        if let Some(field) = &placeholder.field {
            suggest_one(expr, &of_field(field), types);
        }
    })?;
    each_parameter(plan, &mut |_, expr| suggest_one(expr, &PgType::Text, types))
}

/// Whether there is a parameter of whose type nothing is known.
pub(in crate::plan) fn has_open(plan: &LogicalPlan, types: &[Option<PgType>]) -> Result<bool> {
    let mut found = false;
    each_parameter(plan, &mut |placeholder, _| {
        found |= place_of(placeholder).is_some_and(|place| types.get(place).is_none_or(Option::is_none));
    })?;
    Ok(found)
}

fn each_parameter(plan: &LogicalPlan, found: &mut dyn FnMut(&Placeholder, &Expr)) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    found(placeholder, expr);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// The index of `$n`, from 0.
fn place_of(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

/// Integer literals have their types.
fn narrowed(expr: Expr) -> Expr {
    let narrow = |expr: Expr| match integer_literal(&expr) {
        Some(literal) => Ok(Transformed::yes(literal)),
        None => Ok(Transformed::no(expr)),
    };
    expr.clone().transform_up(narrow).map_or(expr, |narrowed| narrowed.data)
}

/// A parameter that is an output column of a query takes the type of that column in the others.
fn suggest_united(inputs: &[Arc<LogicalPlan>], column: usize, types: &mut Vec<Option<PgType>>) {
    let shown = |input: &Arc<LogicalPlan>| match input.as_ref() {
        LogicalPlan::Projection(projection) => projection.expr.get(column).cloned(),
        _ => None,
    };
    let shown: Vec<Option<Expr>> =
        inputs.iter().map(|input| shown(input).map(|expr| without_cast(expr.unalias()))).collect();
    let is_open = |expr: &Option<Expr>| expr.as_ref().is_some_and(is_open);
    let known = inputs.iter().zip(&shown).find(|(_, expr)| !is_open(expr));
    if let Some(pg) = known.map(|(input, _)| of_field(input.schema().field(column))) {
        shown.iter().flatten().for_each(|expr| suggest_one(expr, &pg, types));
    }
}

/// What the engine casts to bring it to the type of others.
fn without_cast(expr: Expr) -> Expr {
    match expr {
        Expr::Cast(cast) if is_open(&cast.expr) => *cast.expr,
        other => other,
    }
}

fn suggest_within(expr: &Expr, schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
    match expr {
        Expr::ScalarFunction(function) if function.func.name() == ANY_EQUAL => {
            let [array, value] = function.args.as_slice() else { return };
            if let Some(pg) = pg_type(value, schema).filter(|pg| pg.element().is_none()) {
                suggest_one(array, &PgType::Array(Box::new(pg)), types);
            }
            if let Some(pg) = pg_type(array, schema).filter(|pg| pg.element().is_some()) {
                suggest_one(value, pg.base(), types);
            }
        }
        Expr::ScalarFunction(function) if let Some(open) = open_call(function) => {
            if let (Some(op), [left, right]) = (engine_operator(&open), function.args.as_slice()) {
                suggest_operands(left, op, right, schema, types);
            }
            // What does not fit is refused when it is typed.
            let place = chosen(&open, &function.args, schema).ok();
            let overload = place.and_then(|place| overloads(open.name()).get(place));
            for (argument, pg) in function.args.iter().zip(overload.map_or(&[][..], Overload::arguments)) {
                suggest_one(argument, pg, types);
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => suggest_operands(left, *op, right, schema, types),
        Expr::Between(Between { expr, low, high, .. }) => {
            for bound in [low, high] {
                suggest_operands(expr, Operator::GtEq, bound, schema, types);
            }
        }
        Expr::InList(InList { expr, list, .. }) => {
            for item in list {
                suggest_operands(expr, Operator::Eq, item, schema, types);
            }
        }
        Expr::WindowFunction(window) => {
            // Numbers of rows and groups.
            let counts = match window.fun.name() {
                "ntile" => window.params.args.get(..1),
                "lag" | "lead" | "nth_value" => window.params.args.get(1..2),
                _ => None,
            };
            counts.into_iter().flatten().for_each(|count| suggest_one(count, &PgType::Int4, types));
            if let ("lag" | "lead", [value, _, default]) = (window.fun.name(), window.params.args.as_slice()) {
                suggest_alike(&[value, default], schema, types);
            }
        }
        Expr::ScalarFunction(function) if [SORTED_PERCENTILE, SORTED_INTERPOLATION].contains(&function.func.name()) => {
            function.args.iter().skip(1).for_each(|fraction| suggest_one(fraction, &PgType::Float8, types));
        }
        Expr::ScalarFunction(function) if function.func.name().starts_with("interval_") => {
            if let [_, factor] = function.args.as_slice() {
                suggest_one(factor, &PgType::Float8, types);
            }
        }
        // Beside an array, in what compares or joins arrays: an array.
        Expr::ScalarFunction(function)
            if arrays::compares(function.func.name()) || function.func.name() == "array_concat" =>
        {
            suggest_array(&function.args.iter().collect::<Vec<_>>(), schema, types);
        }
        Expr::ScalarFunction(function) if function.func.name() == ARRAY_OF => {
            suggest_alike(&function.args.iter().collect::<Vec<_>>(), schema, types);
        }
        // What is put into an array is one of its items.
        Expr::ScalarFunction(function) if function.func.name().starts_with("array_") => {
            let arrays = function.args.iter().filter(|expr| !is_open(expr));
            let array = arrays.filter_map(|expr| pg_type(expr, schema)).find(|pg| pg.element().is_some());
            let takes_items = arrays::takes_items(function.func.name());
            if let Some(item) = array.as_ref().and_then(PgType::element).filter(|_| takes_items) {
                for expr in &function.args {
                    suggest_one(expr, item, types);
                }
            }
            if let (true, None, [first, second, ..]) = (takes_items, &array, function.args.as_slice()) {
                let prepended = function.func.name() == "array_prepend";
                let (array, item) = if prepended { (second, first) } else { (first, second) };
                if let Some(item) = pg_type(item, schema).filter(|_| !is_open(item)) {
                    suggest_one(array, &PgType::Array(Box::new(item)), types);
                }
            }
        }
        Expr::ScalarFunction(function)
            if let Some(wanted) = argument_types(function.func.name(), function.args.len())
                .or_else(|| advisory_arguments(function.func.name(), function.args.len()))
                .or_else(|| arguments_of(function, schema)) =>
        {
            for (argument, pg) in function.args.iter().zip(&wanted) {
                suggest_one(argument, pg, types);
            }
        }
        Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
            suggest_alike(&function.args.iter().collect::<Vec<_>>(), schema, types);
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let results = results.chain(case.else_expr.as_deref()).collect::<Vec<_>>();
            suggest_alike(&results, schema, types);
        }
        _ => {}
    }
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

fn suggest_alike(exprs: &[&Expr], schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
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
fn suggest_one(expr: &Expr, pg: &PgType, types: &mut Vec<Option<PgType>>) {
    let Expr::Placeholder(placeholder) = expr else { return };
    let Some(index) = place_of(placeholder) else { return };
    if types.len() <= index {
        types.resize(index + 1, None);
    }
    if let Some(slot) = types.get_mut(index) {
        slot.get_or_insert_with(|| pg.clone());
    }
}

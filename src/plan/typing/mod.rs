//! PostgreSQL's typing rules on a freshly bound plan: integer literals, untyped string literals, casts from and to text,
//! integer overflow. Runs before the engine's own coercion.

mod alike;
mod bound;
mod call;
mod cast;
mod common;
mod ordered;
mod results;
mod sets;
mod suggest;
mod walk;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Exists, InList, InSubquery, SetComparison, WindowFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, Subquery, lit};

use self::alike::{any_of, binary, case, is_constant, unified};
pub(super) use self::alike::{beside, is_unknown, ordered, types_comparable, untyped, with_type};
use self::bound::{enum_function, sequence_function};
pub(super) use self::bound::{next_value_of, undefined_function};
pub(super) use self::call::call;
use self::call::{call_of, chosen, engine_operator, open_call};
pub(super) use self::cast::{cast, exact_numeric, known_as, literal, remembering};
use self::cast::{explicit_cast, output_text, type_of};
pub(super) use self::common::{Place, alike};
pub(super) use self::results::is_values_list;
use self::suggest::suggest;
pub(super) use self::suggest::{has_open, suggest_rest};
use self::walk::Walk;
use crate::error::{SqlError, unsupported};
use crate::pg::{OUTPUT_TEXT, TOLD_APART, TYPE_OF, Unified, is_unbound};
use crate::plan::{Scope, arrays, domain, records, waiting};
use crate::types::{PgType, arrow_type, of_field};

/// Applies the rules to a plan and to its subqueries.
pub(super) fn apply(scope: &Scope, plan: LogicalPlan) -> Result<LogicalPlan> {
    ordered::without_orders(Walk::new(scope).plan(plan)?)
}

/// Notes types of parameters of a plan that have none yet: at least of one. Then the plan is to be made again.
pub(super) fn note_parameters(scope: &Scope, plan: &LogicalPlan, types: &mut Vec<Option<PgType>>) -> Result<()> {
    let known = types.clone();
    let mut walk = Walk::noting(scope, std::mem::take(types));
    // What is wrong without the types is looked at again with them.
    let _typed = walk.plan(plan.clone());
    *types = walk.into_types();
    if *types == known {
        plan.apply_with_subqueries(|node| {
            suggest(node, &merge_schema(&node.inputs()), types)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if *types == known { suggest_rest(plan, types) } else { Ok(()) }
}

/// Applies the rules to one expression over a schema.
pub(super) fn expression(scope: &Scope, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    waiting::refuse_in(&expr)?;
    expr.transform_up(|expr| rule(scope, expr, schema))
}

/// The same for one that may have subqueries: they are plans of their own.
pub(super) fn expression_with_subqueries(scope: &Scope, expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let typed = |subquery: Subquery| -> Result<Subquery> {
        let plan = apply(scope, Arc::unwrap_or_clone(subquery.subquery))?;
        Ok(Subquery { subquery: Arc::new(plan), ..subquery })
    };
    let inner = expr.transform_up(|expr| {
        Ok(Transformed::yes(match expr {
            Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(typed(subquery)?),
            Expr::Exists(exists) => Expr::Exists(Exists { subquery: typed(exists.subquery)?, ..exists }),
            Expr::InSubquery(within) => Expr::InSubquery(InSubquery { subquery: typed(within.subquery)?, ..within }),
            Expr::SetComparison(compared) => {
                Expr::SetComparison(SetComparison { subquery: typed(compared.subquery)?, ..compared })
            }
            other => return Ok(Transformed::no(other)),
        }))
    })?;
    expression(scope, inner.data, schema).map(|transformed| transformed.data)
}

fn rule(scope: &Scope, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    refuse_conditional_waits(&expr)?;
    Ok(match expr {
        expr if let Some(literal) = integer_literal(&expr) => Transformed::yes(literal),
        Expr::Cast(cast) => match domain::of_cast(&cast.field) {
            Some((id, field)) => {
                let pg = of_field(&field);
                let value = self::cast(scope, Cast::new_from_field(cast.expr, field), schema)?.data;
                Transformed::yes(domain::held(scope, value, id, &pg)?)
            }
            None => explicit_cast(scope, cast, schema)?,
        },
        Expr::BinaryExpr(binary) => self::binary(scope, binary, schema)?,
        Expr::Between(Between { expr, negated, low, high }) => {
            let target = pg_type(&expr, schema);
            let (low, high) = (untyped(scope, *low, target.as_ref())?, untyped(scope, *high, target.as_ref())?);
            let low = beside(scope, low, target.as_ref(), schema)?;
            let high = beside(scope, high, target.as_ref(), schema)?;
            let expr = beside(scope, *expr, pg_type(&low, schema).as_ref(), schema)?;
            let expr = Box::new(ordered(scope, expr, schema)?);
            let (low, high) = (ordered(scope, low, schema)?, ordered(scope, high, schema)?);
            Transformed::yes(Expr::Between(Between::new(expr, negated, Box::new(low), Box::new(high))))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let target = pg_type(&expr, schema);
            let list = with_type(scope, list, target.as_ref())?;
            let list = list.into_iter().map(|item| beside(scope, item, target.as_ref(), schema));
            let list = list.collect::<Result<Vec<_>>>()?;
            let other = list.first().and_then(|item| pg_type(item, schema));
            let expr = Box::new(beside(scope, *expr, other.as_ref(), schema)?);
            if list.iter().all(is_constant) || expr.is_volatile() {
                Transformed::yes(Expr::InList(InList::new(expr, list, negated)))
            } else {
                any_of(scope, &expr, list, negated, schema)?
            }
        }
        Expr::ScalarFunction(function) if let Some(open) = open_call(&function) => {
            match (chosen(&open, &function.args, schema), engine_operator(&open)) {
                (Err(_), Some(op)) if let [left, right] = function.args.as_slice() => {
                    let plain = BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone()));
                    Transformed::yes(binary(scope, plain, schema)?.data)
                }
                (place, _) => Transformed::yes(call_of(scope, &open, place?, function.args, schema)?),
            }
        }
        Expr::AggregateFunction(aggregate) if matches!(aggregate.func.name(), "min" | "max") => {
            records::refuse_extreme(aggregate.func.name(), &aggregate.params.args, schema)?;
            Transformed::no(Expr::AggregateFunction(aggregate))
        }
        // A sum of bigint is numeric: it does not wrap around.
        Expr::AggregateFunction(mut aggregate) if aggregate.func.name() == "sum" => {
            let widened = widen_bigint(&mut aggregate.params.args, schema)?;
            let expr = Expr::AggregateFunction(aggregate);
            if widened { Transformed::yes(expr) } else { Transformed::no(expr) }
        }
        Expr::WindowFunction(window) => over_window(scope, window, schema)?,
        Expr::ScalarFunction(function) if arrays::applies_to(function.func.name()) => {
            arrays::function(scope, function, schema)?
        }
        Expr::InSubquery(mut inside) => {
            let pg = inside.subquery.subquery.schema().fields().first().map(|value| of_field(value));
            inside.expr = Box::new(untyped(scope, *inside.expr, pg.as_ref())?);
            if let (Some(own), Some(pg)) = (pg_type(&inside.expr, schema), pg)
                && !is_unknown(&inside.expr)
            {
                types_comparable(Operator::Eq, &own, &pg)?;
            }
            Transformed::yes(Expr::InSubquery(inside))
        }
        Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
            unified(scope, function, schema)?
        }
        Expr::IsNull(value) => Transformed::yes(records::null_test(*value, true, schema)),
        Expr::IsNotNull(value) => Transformed::yes(records::null_test(*value, false, schema)),
        Expr::ScalarFunction(function) if function.func.name() == "get_field" => {
            Transformed::yes(records::named_column(function, schema))
        }
        Expr::ScalarFunction(function) if records::changes_row(&function) => {
            Transformed::yes(records::with_value(scope, function, schema)?)
        }
        Expr::Case(of) => case(scope, of, schema)?,
        Expr::ScalarFunction(function) if function.func.name() == OUTPUT_TEXT => {
            Transformed::yes(output_text(scope, function, schema))
        }
        Expr::ScalarFunction(mut function) if function.func.name() == TOLD_APART && !function.args.is_empty() => {
            Transformed::yes(function.args.swap_remove(0))
        }
        Expr::ScalarFunction(function) if function.func.name() == TYPE_OF => {
            Transformed::yes(type_of(scope, function.args.first(), schema)?)
        }
        Expr::ScalarFunction(function) if is_unbound(&function.func) => {
            Transformed::yes(if function.func.name().starts_with("enum_") {
                enum_function(scope, &function, schema)?
            } else {
                sequence_function(scope, function)?
            })
        }
        other => Transformed::no(other),
    })
}

/// Functions that wait are called first, whatever decides on their values. `0A000`
fn refuse_conditional_waits(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Case(of) => {
            let conditions = of.when_then_expr.iter().skip(1).map(|(when, _)| when.as_ref());
            let results = of.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(of.else_expr.as_deref());
            refuse_waiting(conditions.chain(results))
        }
        Expr::BinaryExpr(binary) if binary.op.is_logic_operator() => {
            refuse_waiting([binary.left.as_ref(), binary.right.as_ref()].into_iter())
        }
        Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
            refuse_waiting(function.args.iter())
        }
        _ => Ok(()),
    }
}

fn refuse_waiting<'e>(mut conditional: impl Iterator<Item = &'e Expr>) -> Result<()> {
    let waits = |expr: &Expr| Ok(waiting::waits(expr));
    let is_logic = |expr: &Expr| matches!(expr, Expr::BinaryExpr(binary) if binary.op.is_logic_operator());
    if conditional.any(|expr| !is_logic(expr) && expr.exists(waits).unwrap_or(true)) {
        return Err(SqlError::from(unsupported("a function that waits where a condition decides on it")).into());
    }
    Ok(())
}

/// An integer literal as PostgreSQL has it: of 32 bits, if it fits.
fn integer_literal(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Int64(Some(value)), metadata) = expr else { return None };
    let value = i32::try_from(*value).ok()?;
    Some(Expr::Literal(ScalarValue::Int32(Some(value)), metadata.clone()))
}

fn over_window(scope: &Scope, mut window: Box<WindowFunction>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    records::refuse_ranges(&window, schema)?;
    let mut changed = window.fun.name() == "sum" && widen_bigint(&mut window.params.args, schema)?;
    for sort in &mut window.params.order_by {
        if pg_type(&sort.expr, schema) == Some(PgType::Jsonb) {
            sort.expr = ordered(scope, sort.expr.clone(), schema)?;
        }
        changed |= make_comparable(&mut sort.expr, schema)?;
    }
    let expr = Expr::WindowFunction(window);
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// The engine has no ranges of bytes: their digits are in the same order. Tells whether it changed it.
fn make_comparable(key: &mut Expr, schema: &DFSchema) -> Result<bool> {
    if !matches!(key.get_type(schema)?, DataType::FixedSizeBinary(_) | DataType::BinaryView) {
        return Ok(false);
    }
    let inner = std::mem::replace(key, Expr::Literal(ScalarValue::Null, None));
    let bytes = Expr::Cast(Cast::new(Box::new(inner), DataType::Binary));
    *key = datafusion::functions::expr_fn::encode(bytes, lit("hex"));
    Ok(true)
}

/// Makes a bigint argument a decimal. Tells whether there was one.
fn widen_bigint(arguments: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let Some(argument) = arguments.first_mut() else { return Ok(false) };
    if argument.get_type(schema)? != DataType::Int64 {
        return Ok(false);
    }
    let inner = std::mem::replace(argument, Expr::Literal(ScalarValue::Null, None));
    *argument = Expr::Cast(Cast::new(Box::new(inner), DataType::Decimal128(19, 0)));
    Ok(true)
}

/// The PostgreSQL type of an expression, if it can be told.
pub(super) fn pg_type(expr: &Expr, schema: &DFSchema) -> Option<PgType> {
    if let Expr::Column(column) = expr
        && let Ok(field) = schema.field_from_column(column)
    {
        return Some(of_field(field));
    }
    expr.to_field(schema).ok().map(|(_, field)| of_field(&field))
}

/// Whether two types are the same to the engine.
pub(super) fn same_arrow(pg: &PgType, data_type: &DataType) -> bool {
    arrow_type(pg) == *data_type
}

//! Calls of functions that are defined by the types of their arguments: one overload is chosen, and the arguments are cast to
//! its types.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator, ScalarUDF};

use super::cast::{cast, literal, without_scale};
use super::pg_type;
use crate::pg::function::{Asked, NoChoice, Overload, PgFunction, choose, overloads};
use crate::plan::Scope;
use crate::types::{PgType, arrow_type, field, of_field};

/// A call of which no overload is chosen yet.
pub(super) fn open_call(function: &ScalarFunction) -> Option<PgFunction> {
    function.func.inner().downcast_ref::<PgFunction>().filter(|function| !function.is_chosen()).cloned()
}

/// The engine's operator of a name, for what turns out to have operands of other types than it was bound with.
pub(super) fn engine_operator(function: &PgFunction) -> Option<Operator> {
    Some(match function.name() {
        "+" => Operator::Plus,
        "-" => Operator::Minus,
        "/" => Operator::Divide,
        "||" => Operator::StringConcat,
        "@>" => Operator::AtArrow,
        "<@" => Operator::ArrowAt,
        "=" => Operator::Eq,
        "<>" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

/// The place of the overload that fits. `42883`, `42725`
pub(super) fn chosen(function: &PgFunction, args: &[Expr], schema: &DFSchema) -> Result<usize> {
    let fields = args.iter().map(|argument| Ok(argument.to_field(schema)?.1)).collect::<Result<Vec<_>>>()?;
    let asked: Vec<Asked<'_>> = args
        .iter()
        .zip(&fields)
        .map(|(argument, field)| {
            let value = if let Expr::Literal(value, _) = argument { Some(value) } else { None };
            let mut asked = Asked::new(&of_field(field), field, value);
            if matches!(argument, Expr::Placeholder(placeholder) if placeholder.field.is_none()) {
                asked.pg = PgType::Unknown;
            }
            asked
        })
        .collect();
    let none = |none: NoChoice| none.error(function.name(), &asked).into();
    choose(overloads(function.name()), &asked).map_err(none)
}

/// The call of the overload that fits. `42883`, `42725`
pub(in crate::plan) fn call(scope: &Scope, function: &PgFunction, args: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let place = chosen(function, &args, schema)?;
    call_of(scope, function, place, args, schema)
}

/// The call of one overload, with its arguments cast to its types.
pub(super) fn call_of(
    scope: &Scope,
    function: &PgFunction,
    place: usize,
    args: Vec<Expr>,
    schema: &DFSchema,
) -> Result<Expr> {
    let wanted = overloads(function.name()).get(place).map(Overload::arguments).unwrap_or_default();
    let args = args.into_iter().zip(wanted).map(|(argument, pg)| as_argument(scope, argument, pg, schema));
    let args = args.collect::<Result<Vec<_>>>()?;
    let chosen = ScalarUDF::new_from_impl(function.chosen(place, scope.ctx.settings.time_zone()));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(chosen), args)))
}

/// A value as an argument of a type.
fn as_argument(scope: &Scope, argument: Expr, pg: &PgType, schema: &DFSchema) -> Result<Expr> {
    match &argument {
        Expr::Literal(value, _) if value.is_null() => {
            return Ok(Expr::Literal(ScalarValue::try_from(&arrow_type(pg))?, None));
        }
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) if !pg.is_text() => {
            return literal(scope, pg, text);
        }
        _ => {}
    }
    let own = pg_type(&argument, schema);
    if own.as_ref() == Some(pg) {
        return Ok(argument);
    }
    match (&own, pg) {
        (Some(PgType::Numeric(_)), PgType::Numeric(None)) => Ok(without_scale(argument, schema)),
        (Some(PgType::Int2 | PgType::Int4 | PgType::Int8), PgType::Numeric(None)) => {
            let whole = field("", &PgType::Numeric(Some((20, 0))), true);
            Ok(cast(scope, Cast::new_from_field(Box::new(argument), Arc::new(whole)), schema)?.data)
        }
        _ => {
            let target = Arc::new(field("", pg, true));
            Ok(cast(scope, Cast::new_from_field(Box::new(argument), target), schema)?.data)
        }
    }
}

//! Casts, and how a literal or a result is given its PostgreSQL type.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF};

use super::pg_type;
use crate::error::{Plain, SqlError, SqlState};
use crate::pg::{ExactNumeric, FromText, KnownAs, Objects, ToInteger, ToText};
use crate::plan::{Scope, arrays, records};
use crate::types::{PgType, TYPE_KEY, arrow_type, field, of_field};

/// A value, which stays as it is, as one of a PostgreSQL type. A cast to the type that it has would be left out, and not
/// everywhere.
pub(in crate::plan) fn known_as(value: Expr, pg: PgType) -> Expr {
    let function = ScalarUDF::new_from_impl(KnownAs::new(pg));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
}

/// An expression of which the engine forgets what PostgreSQL type it has, with that type.
pub(in crate::plan) fn remembering(expr: Expr, pg: Option<PgType>, schema: &DFSchema) -> Expr {
    match (pg, pg_type(&expr, schema)) {
        (Some(pg), Some(shown))
            if pg != shown && expr.get_type(schema).is_ok_and(|data_type| data_type == arrow_type(&pg)) =>
        {
            known_as(expr, pg)
        }
        _ => expr,
    }
}

/// A decimal as a `numeric` without a scale.
pub(super) fn without_scale(expr: Expr, schema: &DFSchema) -> Expr {
    let Ok(data_type) = expr.get_type(schema) else { return expr };
    if pg_type(&expr, schema) == Some(PgType::Numeric(None)) {
        return expr;
    }
    let field = field("", &PgType::Numeric(None), true).with_data_type(data_type);
    Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(field)))
}

/// A decimal as a value of a column of type `numeric`. `0A000` for one that has more digits.
pub(in crate::plan) fn exact_numeric(value: Expr) -> Expr {
    let DataType::Decimal128(precision, scale) = arrow_type(&PgType::Numeric(None)) else { return value };
    let function = ScalarUDF::new_from_impl(ExactNumeric::new(precision, scale));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
}

/// Reads a literal as a type. A type without precision takes that of the text.
pub(in crate::plan) fn literal(scope: &Scope, pg: &PgType, text: &str) -> Result<Expr> {
    // Its padding means nothing.
    let text = if matches!(pg, PgType::Char(_)) { text.trim_end_matches(' ') } else { text };
    let declared = pg;
    let pg = match pg {
        PgType::Numeric(_) => {
            let scale = crate::encode::parse_numeric(text).map_or(0, |numeric| numeric.scale.max(0));
            match pg {
                PgType::Numeric(Some(fixed)) => PgType::Numeric(Some(*fixed)),
                _ => PgType::Numeric(Some((38, scale))),
            }
        }
        other => other.clone(),
    };
    let value =
        FromText::new(pg.clone(), Objects::style(&scope.ctx)).scalar(text).map_err(|error| error.of_literal(text))?;
    if *declared == PgType::Numeric(None) {
        let field = field("", declared, true).with_data_type(value.data_type());
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(Expr::Literal(value, None)), Arc::new(field))));
    }
    let field = field("", &pg, true);
    let metadata = (!field.metadata().is_empty())
        .then(|| datafusion::common::metadata::FieldMetadata::from(field.metadata().clone()));
    Ok(Expr::Literal(value, metadata))
}

pub(in crate::plan) fn cast(scope: &Scope, cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let target = of_field(&cast.field);
    if let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) = cast.expr.as_ref()
        && !matches!(target, PgType::Text | PgType::Varchar(_) | PgType::Name | PgType::Unknown)
    {
        // Beside an item of an array, whose type was not known yet when it was bound.
        let of_item = target == PgType::Bytea && matches!(cast.field.data_type(), DataType::FixedSizeBinary(_));
        let target = match crate::encode::text_dimensions(text).filter(|_| target.dimensions() > 0) {
            Some(dimensions) => target.with_dimensions(dimensions),
            None => target,
        };
        return Ok(Transformed::yes(if of_item { *cast.expr } else { literal(scope, &target, text)? }));
    }
    // What is an array already keeps its dimensions.
    let target_field = Arc::clone(&cast.field);
    let source = pg_type(&cast.expr, schema);
    let (target, cast) = match &source {
        Some(source)
            if target.dimensions() > 0 && source.dimensions() > 0 && source.dimensions() != target.dimensions() =>
        {
            let target = target.with_dimensions(source.dimensions());
            let field = Arc::new(field(target_field.name(), &target, true));
            (target, Cast::new_from_field(cast.expr, field))
        }
        _ => (target, cast),
    };
    // Exactly, not by dividing.
    if let Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) = cast.expr.as_ref()
        && matches!(target, PgType::Float4 | PgType::Float8)
    {
        return Ok(Transformed::yes(literal(scope, &target, &format!("{value}e{}", -i32::from(*scale)))?));
    }
    let Some(source) = source else { return Ok(Transformed::no(Expr::Cast(cast))) };
    // A numeric without a scale has that of what it is made of.
    if target == PgType::Numeric(None) && matches!(cast.expr.get_type(schema), Ok(DataType::Decimal128(..))) {
        return Ok(Transformed::yes(without_scale(*cast.expr, schema)));
    }
    // What the client declared is cast like any other value; without a declaration it is of the type at once.
    if matches!(cast.expr.as_ref(), Expr::Placeholder(_)) && source == target {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    let function =
        |udf: ScalarUDF, argument: Expr| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), vec![argument]));
    let null = matches!(cast.expr.as_ref(), Expr::Placeholder(_))
        || matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null());
    let text = |pg: &PgType| pg.base().is_text();
    if records::casts(&source, &target) && !null {
        return Ok(Transformed::yes(records::cast(scope, &cast.expr, &source, &target, schema)?));
    }
    if let (PgType::Array(from), PgType::Array(to)) = (&source, &target)
        && records::casts(from, to)
        && let Some(array) = arrays::of_rows(scope, &cast.expr, to, schema)?
    {
        return Ok(Transformed::yes(array));
    }
    if target == PgType::Record(None) && source.attributes().is_some() {
        return Ok(Transformed::yes(*cast.expr));
    }
    let of_rows = source.attributes().or(target.attributes()).is_some();
    let made = source.is_made() || target.is_made() || of_rows;
    if made && source != target && !null && !text(&source) && !text(&target) {
        let error = Plain::new(SqlState::CANNOT_COERCE, format!("cannot cast type {source} to {target}"));
        return Err(SqlError::from(error).into());
    }
    if goes_through_text(&source, &target) {
        let text = function(ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx))), *cast.expr);
        let read = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
        return Ok(Transformed::yes(function(read, text)));
    }
    let zoned = |pg: &PgType| *pg == PgType::Timestamptz;
    let calendar = |pg: &PgType| matches!(pg, PgType::Date | PgType::Timestamp);
    let elsewhere = scope.ctx.settings.time_zone() != crate::setting::Zone::UTC;
    if elsewhere && ((zoned(&source) && calendar(&target)) || (calendar(&source) && zoned(&target))) {
        return Ok(Transformed::yes(by_session_zone(scope, *cast.expr, source, target)));
    }
    Ok(match (source.is_text(), target.is_text()) {
        (true, false) => {
            let udf = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        (false, true) if !matches!(cast.expr.as_ref(), Expr::Literal(ScalarValue::Null, _)) => {
            let udf = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        _ => match (cast.expr.get_type(schema), cast.field.data_type()) {
            (Ok(given), wanted) if let Some(rounding) = ToInteger::new(&given, wanted) => {
                Transformed::yes(function(ScalarUDF::new_from_impl(rounding), *cast.expr))
            }
            // To another type of the same form: it is said, or the type of what is cast would show through.
            (Ok(given), wanted) if given == *wanted && source != target => {
                let mut metadata = cast.field.metadata().clone();
                metadata.insert(TYPE_KEY.to_owned(), target.to_string());
                // The engine's physical cast is as nullable as its field, whatever is cast.
                let nullable = cast.expr.nullable(schema)?;
                let field = Arc::new(cast.field.as_ref().clone().with_metadata(metadata).with_nullable(nullable));
                Transformed::yes(Expr::Cast(Cast::new_from_field(cast.expr, field)))
            }
            _ => Transformed::no(Expr::Cast(cast)),
        },
    })
}

/// Whether a cast is that of the value's text: of arrays whose elements are cast so, and of times with offsets.
pub(super) fn goes_through_text(source: &PgType, target: &PgType) -> bool {
    let of_offsets = |pg: &PgType| matches!(pg, PgType::Time | PgType::Timetz | PgType::Timestamptz);
    match (source, target) {
        (PgType::Array(from), PgType::Array(to)) => {
            let texts = from.base().is_text() != to.base().is_text();
            texts || from != to && !to.is_made() && goes_through_text(from, to)
        }
        // Digits that binary fractions cannot say are not values of theirs.
        (PgType::Float4 | PgType::Float8, PgType::Numeric(None)) => true,
        (from, to) if *from == PgType::Timetz || *to == PgType::Timetz => {
            from != to && of_offsets(from) && of_offsets(to)
        }
        _ => false,
    }
}

/// A value as its type's output function gives it.
pub(super) fn output_text(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Expr {
    let value = function.args.pop().unwrap_or(Expr::Literal(ScalarValue::Null, None));
    match pg_type(&value, schema) {
        Some(pg) if !pg.is_text() || matches!(pg, PgType::Char(_)) => {
            let function = ScalarUDF::new_from_impl(ToText::output(pg, Objects::style(&scope.ctx)));
            Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
        }
        _ => value,
    }
}

/// A cast between local and absolute time, by the session's time zone: through the text, which has it.
pub(super) fn by_session_zone(scope: &Scope, expr: Expr, source: PgType, target: PgType) -> Expr {
    let to_text = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
    let from_text = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
    let text = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(to_text), vec![expr]));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(from_text), vec![text]))
}

/// `date_part` and `date_trunc` see the session's local time.
pub(super) fn local_time(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let Some(moment) =
        function.args.get_mut(1).filter(|argument| pg_type(argument, schema) == Some(PgType::Timestamptz))
    else {
        return Transformed::no(Expr::ScalarFunction(function));
    };
    let inner = std::mem::replace(moment, Expr::Literal(ScalarValue::Null, None));
    *moment = by_session_zone(scope, inner, PgType::Timestamptz, PgType::Timestamp);
    let truncates = function.func.name() == "date_trunc";
    let expr = Expr::ScalarFunction(function);
    Transformed::yes(if truncates {
        by_session_zone(scope, expr, PgType::Timestamp, PgType::Timestamptz)
    } else {
        expr
    })
}

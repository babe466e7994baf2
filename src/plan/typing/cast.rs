//! Casts, and how a literal or a result is given its PostgreSQL type.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF, lit};

use super::call::call;
use super::common::is_open;
use super::pg_type;
use crate::encode::DAY_US;
use crate::error::{Plain, SqlError, SqlState};
use crate::pg::function::PgFunction;
use crate::pg::{ExactNumeric, Fitted, FromText, KnownAs, Objects, ToInteger, ToText};
use crate::plan::{Scope, arrays, records};
use crate::setting::Zone;
use crate::types::{CHAR_LENGTH_MAX, PgType, TYPE_KEY, arrow_type, field, of_field};

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
    // The engine's physical cast is as nullable as its field, whatever is cast.
    let nullable = expr.nullable(schema).unwrap_or(true);
    let field = field("", &PgType::Numeric(None), nullable).with_data_type(data_type);
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
    if let Some(now) = named_moment(scope, pg, text) {
        return literal(scope, pg, &now);
    }
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

/// What `now`, `today`, `tomorrow` and `yesterday` mean in this transaction, as the text of a date or time.
fn named_moment(scope: &Scope, pg: &PgType, text: &str) -> Option<String> {
    if !matches!(pg, PgType::Date | PgType::Timestamp(_) | PgType::Timestamptz(_)) {
        return None;
    }
    let text = text.trim();
    let days = [("yesterday", -1), ("today", 0), ("tomorrow", 1)];
    let day = days.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, days)| *days);
    if day.is_none() && !text.eq_ignore_ascii_case("now") {
        return None;
    }
    scope.note_moment();
    let micros = scope.ctx.transaction_start_us;
    let offset = scope.ctx.settings.time_zone().offset_at(micros);
    let local = micros + i64::from(offset) * 1_000_000;
    let shown = match day {
        Some(days) => (local.div_euclid(DAY_US) + days) * DAY_US,
        None => local,
    };
    let shown = crate::encode::timestamp_text(shown, None);
    // The hour that clocks show twice is told by its offset.
    Some(if day.is_none() && matches!(pg, PgType::Timestamptz(_)) {
        format!("{shown} {}", Zone::Fixed(offset))
    } else {
        shown
    })
}

/// A cast that a statement says: it cuts texts that are longer than those of the type.
pub(super) fn explicit_cast(scope: &Scope, mut cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let target = of_field(&cast.field);
    let is_limited = matches!(target.base(), PgType::Varchar(Some(_)) | PgType::Char(1..CHAR_LENGTH_MAX));
    if !is_limited {
        return self::cast(scope, cast, schema);
    }
    cast.field = Arc::new(field(cast.field.name(), &target.unbounded(), true));
    let value = self::cast(scope, cast, schema)?.data;
    Ok(Transformed::yes(fitted(value, target)))
}

fn fitted(value: Expr, target: PgType) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(Fitted::new(target)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
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
    if target.base().second_digits().is_some() && source != target {
        let plain = target.without_modifier();
        let value = if source.without_modifier() == plain {
            *cast.expr
        } else {
            let field = field(cast.field.name(), &plain, true);
            self::cast(scope, Cast::new_from_field(cast.expr, Arc::new(field)), schema)?.data
        };
        return Ok(Transformed::yes(fitted(value, target)));
    }
    // What the client declared is cast like any other value; without a declaration it is of the type at once.
    if matches!(cast.expr.as_ref(), Expr::Placeholder(_)) && source == target {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    if source == PgType::Jsonb
        && is_scalar(&target)
        && !matches!(cast.expr.as_ref(), Expr::Literal(..))
        && let Some(open) = PgFunction::named("jsonb_scalar")
    {
        return Ok(Transformed::yes(of_jsonb(scope, &open, cast, target, schema)?));
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
    if (source.is_network() || target.is_network())
        && !null
        && let Some(value) = of_network(scope, &cast, &source, &target, schema)?
    {
        return Ok(Transformed::yes(value));
    }
    if goes_through_text(&source, &target) {
        let text = function(ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx))), *cast.expr);
        let read = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
        return Ok(Transformed::yes(function(read, text)));
    }
    if let Some(value) = of_clocks(scope, &cast, &source, &target, schema)? {
        return Ok(Transformed::yes(value));
    }
    Ok(match (source.is_text(), target.is_text() && !becomes_json(&source, &target)) {
        (true, false) => {
            let udf = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        (false, true) if !matches!(cast.expr.as_ref(), Expr::Literal(ScalarValue::Null, _)) => {
            let udf = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        _ => engine_cast(cast, &source, &target, schema)?,
    })
}

/// A cast of addresses of networks and hardware to others, or to text. `None`: it is one like others. `42846`
fn of_network(scope: &Scope, cast: &Cast, source: &PgType, target: &PgType, schema: &DFSchema) -> Result<Option<Expr>> {
    let name = match (source, target) {
        (PgType::Inet, PgType::Cidr) => "cidr",
        (PgType::Macaddr, PgType::Macaddr8) => "macaddr8",
        (PgType::Macaddr8, PgType::Macaddr) => "macaddr",
        // Other than what is printed, it has always the bits of the network.
        (PgType::Inet, PgType::Text | PgType::Varchar(_) | PgType::Char(_)) => "text",
        (PgType::Cidr, PgType::Inet) => return Ok(None),
        (from, to) if from == to || from.base().is_text() || to.base().is_text() => return Ok(None),
        _ => {
            let error = Plain::new(SqlState::CANNOT_COERCE, format!("cannot cast type {source} to {target}"));
            return Err(SqlError::from(error).into());
        }
    };
    let Some(function) = PgFunction::named(name) else { return Ok(None) };
    let value = call(scope, &function, vec![cast.expr.as_ref().clone()], schema)?;
    if pg_type(&value, schema).as_ref() == Some(target) {
        return Ok(Some(value));
    }
    let value = Cast::new_from_field(Box::new(value), Arc::clone(&cast.field));
    Ok(Some(self::cast(scope, value, schema)?.data))
}

/// A cast between what clocks show and what it stands for.
fn of_clocks(scope: &Scope, cast: &Cast, source: &PgType, target: &PgType, schema: &DFSchema) -> Result<Option<Expr>> {
    let value = || cast.expr.as_ref().clone();
    let infinite = match cast.expr.as_ref() {
        Expr::Literal(ScalarValue::Date32(Some(i32::MAX)), _) => Some("infinity"),
        Expr::Literal(ScalarValue::Date32(Some(i32::MIN)), _) => Some("-infinity"),
        _ => None,
    };
    if let Some(text) = infinite
        && matches!(target, PgType::Timestamp(_) | PgType::Timestamptz(_))
    {
        return literal(scope, &target.without_modifier(), text).map(Some);
    }
    if *source == PgType::Interval
        && matches!(target, PgType::Time(_))
        && let Some(plus) = PgFunction::named("+")
    {
        // The time of a day that begins with midnight.
        let midnight = literal(scope, &PgType::Timestamp(None), "2000-01-01")?;
        let later = call(scope, &plus, vec![midnight, value()], schema)?;
        let of_day = Cast::new_from_field(Box::new(later), Arc::clone(&cast.field));
        return Ok(Some(self::cast(scope, of_day, schema)?.data));
    }
    let zoned = |pg: &PgType| matches!(pg, PgType::Timestamptz(_));
    let calendar = |pg: &PgType| matches!(pg, PgType::Date | PgType::Timestamp(_));
    let elsewhere = scope.ctx.settings.time_zone() != Zone::UTC;
    let by_zone = elsewhere && (zoned(source) && calendar(target) || calendar(source) && zoned(target));
    Ok(by_zone.then(|| by_session_zone(scope, value(), source.clone(), target.clone())))
}

/// A cast that the engine does, or one between types that are the same to it.
fn engine_cast(cast: Cast, source: &PgType, target: &PgType, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let given = cast.expr.get_type(schema);
    if let Ok(given) = &given
        && let Some(rounding) = ToInteger::new(given, cast.field.data_type())
    {
        let rounding = Arc::new(ScalarUDF::new_from_impl(rounding));
        return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(rounding, vec![*cast.expr]))));
    }
    let mut metadata = cast.field.metadata().clone();
    // To another type of the same form, or from a numeric without a scale: it is said, or the type of what is cast would show
    // through.
    if (given.is_ok_and(|given| given == *cast.field.data_type()) || *source == PgType::Numeric(None))
        && source != target
    {
        metadata.insert(TYPE_KEY.to_owned(), target.to_string());
    } else if metadata.is_empty() {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    // The engine's physical cast is as nullable as its field, whatever is cast.
    let nullable = cast.expr.nullable(schema)?;
    let field = cast.field.as_ref().clone().with_metadata(metadata).with_nullable(nullable);
    Ok(Transformed::yes(Expr::Cast(Cast::new_from_field(cast.expr, Arc::new(field)))))
}

/// Whether a text is to be JSON, or JSON in normal form, and is not so yet.
fn becomes_json(source: &PgType, target: &PgType) -> bool {
    let to_json = matches!(target, PgType::Json | PgType::Jsonb) && source.is_text();
    to_json && source != target && *source != PgType::Jsonb
}

/// Whether a type is one of those that JSON has, beside texts.
fn is_scalar(pg: &PgType) -> bool {
    matches!(pg, PgType::Bool | PgType::Float4 | PgType::Float8 | PgType::Numeric(_)) || is_whole(pg)
}

fn is_whole(pg: &PgType) -> bool {
    matches!(pg, PgType::Int2 | PgType::Int4 | PgType::Int8)
}

/// The number or boolean that a jsonb value is. A number is rounded where it is to be whole.
fn of_jsonb(scope: &Scope, open: &PgFunction, cast: Cast, target: PgType, schema: &DFSchema) -> Result<Expr> {
    let text = call(scope, open, vec![*cast.expr, lit(target.without_modifier().to_string())], schema)?;
    let whole = is_whole(&target);
    let number = if whole { PgType::Numeric(None) } else { target };
    let read = ScalarUDF::new_from_impl(FromText::new(number, Objects::style(&scope.ctx)));
    let value = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(read), vec![text]));
    if !whole {
        return Ok(value);
    }
    Ok(self::cast(scope, Cast::new_from_field(Box::new(value), cast.field), schema)?.data)
}

/// Whether a cast is that of the value's text: of arrays whose elements are cast so, and of times with offsets.
pub(super) fn goes_through_text(source: &PgType, target: &PgType) -> bool {
    let of_offsets = |pg: &PgType| matches!(pg, PgType::Time(_) | PgType::Timetz(_) | PgType::Timestamptz(_));
    match (source, target) {
        (PgType::Array(from), PgType::Array(to)) => {
            let texts = from.base().is_text() != to.base().is_text();
            let zones = matches!((from.base(), to.base()), (PgType::Timestamptz(_), to) | (to, PgType::Timestamptz(_)) if is_local(to));
            texts || zones || from != to && !to.is_made() && goes_through_text(from, to)
        }
        (PgType::Timestamptz(_), PgType::Time(_)) => true,
        // Digits that binary fractions cannot say are not values of theirs.
        (PgType::Float4 | PgType::Float8, PgType::Numeric(None)) => true,
        (PgType::Time(_), PgType::Interval) => true,
        (from, to) if [from, to].iter().any(|pg| matches!(pg, PgType::Timetz(_))) => {
            from != to && of_offsets(from) && of_offsets(to)
        }
        _ => false,
    }
}

/// Whether it says a time or a day somewhere.
fn is_local(pg: &PgType) -> bool {
    matches!(pg, PgType::Date | PgType::Timestamp(_) | PgType::Time(_))
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

/// The type of a value, as a `regtype`.
pub(super) fn type_of(scope: &Scope, value: Option<&Expr>, schema: &DFSchema) -> Result<Expr> {
    let known = value.filter(|value| !is_open(value)).and_then(|value| pg_type(value, schema));
    literal(scope, &PgType::Regtype, &known.unwrap_or(PgType::Unknown).without_modifier().to_string())
}

/// A cast between local and absolute time, by the session's time zone: through the text, which has it.
pub(super) fn by_session_zone(scope: &Scope, expr: Expr, source: PgType, target: PgType) -> Expr {
    let to_text = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
    let from_text = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
    let text = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(to_text), vec![expr]));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(from_text), vec![text]))
}

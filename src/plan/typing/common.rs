//! Bringing values to one type where they stand for each other: the branches of CASE, the arguments of COALESCE and its like,
//! the items of ARRAY, the rows of VALUES and of UNION. After PostgreSQL's "UNION, CASE, and Related Constructs"
//! (<https://www.postgresql.org/docs/18/typeconv-union-case.html>).

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

use super::cast::{cast, without_scale};
use super::untyped;
use crate::error::{Plain, SqlError, SqlState};
use crate::pg::function::{is_implicit, is_preferred};
use crate::plan::Scope;
use crate::types::{NUMERIC_PRECISION_MAX, PgType, arrow_type, field, of_field};

/// What PostgreSQL calls the place where types differ in kind, and where one does not become the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Place<'a>(pub &'a str, pub &'a str);

/// The type that some values are brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Common {
    /// What PostgreSQL knows of it.
    pub pg: PgType,
    /// Of decimals that differ: how many digits all of them have after the point.
    scale: Option<i8>,
}

impl Common {
    /// Exactly a type.
    pub(super) fn exactly(pg: PgType) -> Self {
        Self { pg, scale: None }
    }
}

/// Brings expressions to their common type, which is `None` if none of them has one of its own. `42804`, `42846`.
pub(in crate::plan) fn alike(
    scope: &Scope,
    place: Place<'_>,
    exprs: Vec<Expr>,
    schema: &DFSchema,
) -> Result<(Vec<Expr>, Option<PgType>)> {
    let known = exprs.iter().filter(|expr| !is_open(expr)).filter_map(|expr| expr.to_field(schema).ok());
    let Some(mut common) = common(place, known.map(|(_, field)| field))? else { return Ok((exprs, None)) };
    // A literal has no modifier.
    if common.scale.is_none() && !matches!(common.pg.base(), PgType::Numeric(_)) && exprs.iter().any(is_open) {
        common.pg = common.pg.without_modifier();
    }
    let exprs = exprs.into_iter().map(|expr| brought_to(scope, &common, expr, schema)).collect::<Result<_>>()?;
    Ok((exprs, Some(common.pg)))
}

/// Whether an expression takes its type from what it stands beside: a literal or a parameter without one.
pub(super) fn is_open(expr: &Expr) -> bool {
    match expr {
        Expr::Placeholder(placeholder) => placeholder.field.is_none(),
        Expr::Literal(value, metadata) => {
            let is_text = matches!(value, ScalarValue::Utf8(_) | ScalarValue::Utf8View(_));
            value.is_null() || is_text && metadata.as_ref().is_none_or(FieldMetadata::is_empty)
        }
        _ => false,
    }
}

/// The common type of values of these types. `42804`, `42846`.
pub(super) fn common(place: Place<'_>, fields: impl Iterator<Item = FieldRef>) -> Result<Option<Common>> {
    let known = fields.map(|field| (of_field(&field), field));
    let known: Vec<(PgType, FieldRef)> =
        known.filter(|(pg, field)| *pg != PgType::Unknown && !field.data_type().is_null()).collect();
    let mut types = known.iter().map(|(pg, _)| pg);
    let Some(first) = types.next() else { return Ok(None) };
    let mut candidate = first.clone();
    for pg in types {
        if same_kind(pg) != same_kind(first) {
            let message = format!("{} types {first} and {pg} cannot be matched", place.0);
            return Err(SqlError::from(Plain::new(SqlState::DATATYPE_MISMATCH, message)).into());
        }
        if *pg != candidate && pg.without_modifier() == candidate.without_modifier() {
            candidate = candidate.without_modifier();
        } else if !is_preferred(&candidate) && is_implicit(&candidate, pg) && !is_implicit(pg, &candidate) {
            candidate = pg.clone();
        }
    }
    for (pg, _) in &known {
        let is_same = pg.without_modifier() == candidate.without_modifier();
        // Arrays have the dimensions of their values.
        let differ_in_dimensions = pg.dimensions() != candidate.dimensions() && pg.base() == candidate.base();
        let rows = pg.attributes().is_some() && candidate.attributes().is_some() && !pg.is_made();
        if !is_same && !differ_in_dimensions && !rows && !is_implicit(pg, &candidate) {
            let message = format!("{} could not convert type {pg} to {candidate}", place.1);
            return Err(SqlError::from(Plain::new(SqlState::CANNOT_COERCE, message)).into());
        }
    }
    Ok(Some(of_decimals(candidate, &known)))
}

/// Types of one kind may become each other.
fn same_kind(pg: &PgType) -> (char, bool) {
    (pg.category(), pg.element().is_some())
}

/// A common type with the scale that decimals of different scales need.
fn of_decimals(pg: PgType, known: &[(PgType, FieldRef)]) -> Common {
    let is_alike =
        known.windows(2).all(|pair| matches!(pair, [(a, x), (b, y)] if a == b && x.data_type() == y.data_type()));
    if is_alike || !matches!(pg, PgType::Numeric(_)) {
        return Common::exactly(pg);
    }
    let scales = known.iter().map(|(_, field)| match field.data_type() {
        DataType::Decimal128(_, scale) => Some(*scale),
        other if other.is_integer() => Some(0),
        _ => None,
    });
    let Some(scale) = scales.collect::<Option<Vec<i8>>>().and_then(|scales| scales.into_iter().max()) else {
        return Common::exactly(pg);
    };
    let shortest = known.iter().any(|(pg, _)| *pg == PgType::Numeric(None));
    let pg = if shortest { PgType::Numeric(None) } else { PgType::Numeric(Some((NUMERIC_PRECISION_MAX, scale))) };
    Common { pg, scale: Some(scale) }
}

/// A value as one of the common type.
pub(super) fn brought_to(scope: &Scope, common: &Common, expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let target = match common.scale {
        Some(scale) => PgType::Numeric(Some((NUMERIC_PRECISION_MAX, scale))),
        None => common.pg.clone(),
    };
    if matches!(&expr, Expr::Literal(value, _) if value.is_null()) {
        return Ok(Expr::Literal(ScalarValue::try_from(&arrow_type(&target))?, None));
    }
    let is_placeholder = matches!(&expr, Expr::Placeholder(placeholder) if placeholder.field.is_none());
    let expr = if is_open(&expr) { untyped(scope, expr, Some(&common.pg))? } else { expr };
    if is_placeholder || is_open(&expr) {
        return Ok(expr);
    }
    let (_, own) = expr.to_field(schema)?;
    let pg = of_field(&own);
    let is_alike = match common.scale {
        Some(_) => pg == common.pg && *own.data_type() == arrow_type(&target),
        None => pg == common.pg || pg.dimensions() != common.pg.dimensions() || pg.attributes().is_some(),
    };
    if is_alike {
        return Ok(expr);
    }
    let wanted = Cast::new_from_field(Box::new(expr), Arc::new(field("", &target, true)));
    let value = cast(scope, wanted, schema)?.data;
    Ok(if common.pg == PgType::Numeric(None) { without_scale(value, schema) } else { value })
}

//! Operators over values that are bytes of a fixed length to the engine (uuid, enumerations, times with offsets), arrays or
//! rows: it does not know how to bring them together with text.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use sqlparser::ast::BinaryOperator;

use super::record::rows_comparable;
use crate::error::SqlError;
use crate::types::{PgType, of_field};

/// Gives literals beside such values their type, and makes text of them for `||`, while a query is bound.
#[derive(Debug)]
pub struct BytesPlanner;

impl ExprPlanner for BytesPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let joins = expr.op == BinaryOperator::StringConcat;
        let is_bytes = |expr: &Expr| match expr.get_type(schema) {
            Ok(DataType::FixedSizeBinary(_) | DataType::Struct(_)) => true,
            Ok(DataType::List(_)) => !joins,
            _ => false,
        };
        let (left, right) = (is_bytes(&expr.left), is_bytes(&expr.right));
        if compares(&expr.op) && !is_unknown(&expr.left) && !is_unknown(&expr.right) {
            let (a, b) = (pg_type(&expr.left, schema)?, pg_type(&expr.right, schema)?);
            // Rows of one width are for the types to bring together.
            let width = |pg: &PgType| pg.attributes().map(<[_]>::len);
            if width(&a) != width(&b) {
                rows_comparable(&expr.op, &a, &b).map_err(SqlError::from)?;
            }
        }
        let is_list = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::List(_)));
        if joins && is_list(&expr.left) != is_list(&expr.right) {
            return joined(expr, schema);
        }
        if left == right {
            return Ok(PlannerResult::Original(expr));
        }
        let RawBinaryExpr { op, left: a, right: b } = expr;
        let (a, b) = match op {
            BinaryOperator::StringConcat if left => (text(a), b),
            BinaryOperator::StringConcat => (a, text(b)),
            _ if left => {
                let b = alike(b, &a, schema)?;
                (a, b)
            }
            _ => (alike(a, &b, schema)?, b),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left: a, right: b }))
    }
}

/// `array || value`: what has no type of its own is an array, too.
fn joined(expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let RawBinaryExpr { op, left, right } = expr;
    let null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
    if null(&left) || null(&right) {
        return Ok(PlannerResult::Planned(if null(&left) { right } else { left }));
    }
    let (left, right) = (alike(left.clone(), &right, schema)?, alike(right, &left, schema)?);
    Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq)
}

/// Whether an expression takes its type from what it stands beside.
fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Placeholder(_) => true,
        Expr::Literal(value, _) => value.is_null() || matches!(value, ScalarValue::Utf8(_) | ScalarValue::Utf8View(_)),
        _ => false,
    }
}

fn pg_type(expr: &Expr, schema: &DFSchema) -> Result<PgType> {
    Ok(match expr {
        // The engine's literals are wider than PostgreSQL's.
        Expr::Literal(ScalarValue::Int64(Some(value)), _) if i32::try_from(*value).is_ok() => PgType::Int4,
        other => of_field(&other.to_field(schema)?.1),
    })
}

fn text(expr: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), DataType::Utf8View))
}

/// A string literal as a value of another expression's type.
fn alike(literal: Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    if !matches!(&literal, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), _)) {
        return Ok(literal);
    }
    let (_, field) = other.to_field(schema)?;
    Ok(Expr::Cast(Cast::new_from_field(Box::new(literal), Arc::clone(&field))))
}

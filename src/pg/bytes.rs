//! Operators over values that are bytes of a fixed length to the engine (uuid, enumerations, times with offsets), which it does
//! not know how to bring together with text.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use sqlparser::ast::BinaryOperator;

/// Gives literals beside such values their type, and makes text of them for `||`, while a query is bound.
#[derive(Debug)]
pub struct BytesPlanner;

impl ExprPlanner for BytesPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_bytes = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::FixedSizeBinary(_)));
        let (left, right) = (is_bytes(&expr.left), is_bytes(&expr.right));
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

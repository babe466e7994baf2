//! Which expressions cannot reveal a row they reject: no error, no side effect. An allow-list; anything else is not.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

/// Whether `expr` is made of comparisons between unmasked columns and literals of one type.
pub(super) fn leakproof(expr: &Expr, schema: &DFSchema, unmasked: &dyn Fn(&str) -> bool) -> bool {
    let go = |inner: &Expr| leakproof(inner, schema, unmasked);
    match expr {
        Expr::Column(column) => unmasked(&column.name),
        Expr::Literal(..) => true,
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner) => go(inner),
        Expr::BinaryExpr(binary) => {
            let logic = matches!(binary.op, Operator::And | Operator::Or);
            let compares = matches!(
                binary.op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            (logic || (compares && same_type(&binary.left, &binary.right, schema)))
                && go(&binary.left)
                && go(&binary.right)
        }
        Expr::Between(between) => {
            same_type(&between.expr, &between.low, schema)
                && same_type(&between.expr, &between.high, schema)
                && go(&between.expr)
                && go(&between.low)
                && go(&between.high)
        }
        Expr::InList(list) => {
            list.list.iter().all(|item| matches!(item, Expr::Literal(..)) && same_type(&list.expr, item, schema))
                && go(&list.expr)
        }
        _ => false,
    }
}

fn same_type(a: &Expr, b: &Expr, schema: &DFSchema) -> bool {
    let data_type = |expr: &Expr| unqualified(expr.clone()).and_then(|expr| expr.get_type(schema));
    matches!((data_type(a), data_type(b)), (Ok(a), Ok(b)) if a == b && is_plain(&a))
}

fn is_plain(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Interval(_)
            | DataType::FixedSizeBinary(_)
    )
}

/// Filters reach a provider without qualifiers; this makes sure.
pub(super) fn unqualified(expr: Expr) -> Result<Expr> {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}

//! NOT binds less tightly than IS, IN, LIKE and the comparisons.

use sqlparser::ast::{BinaryOperator, CastKind, Expr, UnaryOperator, Value};

/// Puts a NOT above an expression, whose first operand the parser took for the operand of the NOT: it reads
/// `NOT EXISTS (…)` as one, whatever follows. The expression's parts are right already.
pub(super) fn raise_not(expr: &mut Expr) {
    let Some(first) = first_operand(expr) else { return };
    match first {
        Expr::Exists { negated: negated @ true, .. } => *negated = false,
        // An explicit NOT takes in what follows, so that this one was raised.
        Expr::UnaryOp { op: UnaryOperator::Not, expr: operand } => *first = take(operand),
        _ => return,
    }
    let positive = take(expr);
    *expr = Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(positive) };
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// The operand that stands before an operator which binds more tightly than NOT.
fn first_operand(expr: &mut Expr) -> Option<&mut Expr> {
    use BinaryOperator as O;
    match expr {
        Expr::BinaryOp { op: O::And | O::Or | O::Xor, .. } => None,
        Expr::BinaryOp { left: first, .. }
        | Expr::IsNull(first)
        | Expr::IsNotNull(first)
        | Expr::IsTrue(first)
        | Expr::IsNotTrue(first)
        | Expr::IsFalse(first)
        | Expr::IsNotFalse(first)
        | Expr::IsUnknown(first)
        | Expr::IsNotUnknown(first)
        | Expr::IsDistinctFrom(first, _)
        | Expr::IsNotDistinctFrom(first, _)
        | Expr::InList { expr: first, .. }
        | Expr::InSubquery { expr: first, .. }
        | Expr::Between { expr: first, .. }
        | Expr::Like { expr: first, .. }
        | Expr::ILike { expr: first, .. }
        | Expr::SimilarTo { expr: first, .. }
        | Expr::AnyOp { left: first, .. }
        | Expr::AllOp { left: first, .. }
        | Expr::Cast { kind: CastKind::DoubleColon, expr: first, .. } => Some(first),
        _ => None,
    }
}

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

/// `x AND a IS DISTINCT FROM b OR c`: the parser takes all that follows for the last operand. What was in parentheses
/// still is, so that an operator which binds less tightly cannot be an operand by itself.
pub(super) fn lower_distinct(expr: &mut Expr) {
    use BinaryOperator as O;
    let weaker: fn(&O) -> bool = match expr {
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) | Expr::UnaryOp { op: UnaryOperator::Not, .. } => {
            |op| matches!(op, O::And | O::Or | O::Xor)
        }
        Expr::BinaryOp { op: O::And, .. } => |op| matches!(op, O::Or | O::Xor),
        _ => return,
    };
    let Some(operand) = last_operand(expr) else { return };
    if !matches!(operand, Expr::BinaryOp { op, .. } if weaker(op)) {
        return;
    }
    let mut whole = take(operand);
    let lowest = first_below(&mut whole, weaker);
    std::mem::swap(operand, lowest);
    std::mem::swap(expr, lowest);
    *expr = whole;
}

/// The first operand of some operators.
fn first_below(expr: &mut Expr, of: fn(&BinaryOperator) -> bool) -> &mut Expr {
    if !matches!(expr, Expr::BinaryOp { op, .. } if of(op)) {
        return expr;
    }
    match expr {
        Expr::BinaryOp { left, .. } => first_below(left, of),
        other => other,
    }
}

fn last_operand(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::IsDistinctFrom(_, last)
        | Expr::IsNotDistinctFrom(_, last)
        | Expr::UnaryOp { expr: last, .. }
        | Expr::BinaryOp { right: last, .. } => Some(last),
        _ => None,
    }
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

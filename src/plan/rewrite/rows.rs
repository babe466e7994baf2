//! Comparisons of rows, as comparisons of their columns: so NULL in one of them counts as PostgreSQL counts it.

use sqlparser::ast::{BinaryOperator as B, Expr, ObjectName, UnaryOperator};

use super::syntax::arguments;

/// `(a, b) op (c, d)`; `None`: not both are rows of one width.
pub(super) fn comparison(left: &Expr, op: &B, right: &Expr) -> Option<Expr> {
    let (left, right) = (row(left)?, row(right)?);
    if left.len() != right.len() || left.is_empty() {
        return None;
    }
    let pairs: Vec<(Expr, Expr)> = left.into_iter().zip(right).collect();
    match op {
        B::Eq => equal(&pairs),
        B::NotEq => Some(not(equal(&pairs)?)),
        B::Lt | B::LtEq | B::Gt | B::GtEq => ordered(&pairs, op),
        _ => None,
    }
}

/// `(a, b) [NOT] IN ((c, d), …)`; `None`: not all are rows of one width.
pub(super) fn in_list(expr: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let mut any: Option<Expr> = None;
    for item in list {
        let same = nested(comparison(expr, &B::Eq, item)?);
        any = Some(match any {
            None => same,
            Some(any) => binary(any, B::Or, same),
        });
    }
    let any = nested(any?);
    Some(if negated { not(any) } else { any })
}

/// `(a, b) [NOT] BETWEEN (c, d) AND (e, f)`; `None`: not all are rows of one width.
pub(super) fn between(expr: &Expr, low: &Expr, high: &Expr, negated: bool) -> Option<Expr> {
    let inside = binary(nested(comparison(expr, &B::GtEq, low)?), B::And, nested(comparison(expr, &B::LtEq, high)?));
    Some(if negated { not(inside) } else { nested(inside) })
}

/// `(a, b) IS [NOT] DISTINCT FROM (c, d)`; `None`: not both are rows of one width.
pub(super) fn distinct(left: &Expr, right: &Expr, distinct: bool) -> Option<Expr> {
    let (left, right) = (row(left)?, row(right)?);
    if left.len() != right.len() {
        return None;
    }
    let same = left
        .into_iter()
        .zip(right)
        .map(|(left, right)| nested(Expr::IsNotDistinctFrom(Box::new(nested(left)), Box::new(nested(right)))));
    let same = nested(same.reduce(|all, next| binary(all, B::And, next))?);
    Some(if distinct { not(same) } else { same })
}

/// The columns of a row constructor.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(columns) => Some(columns.clone()),
        Expr::Nested(inner) => row(inner),
        Expr::Function(function) if is_row(&function.name) => Some(arguments(function)),
        _ => None,
    }
}

/// Whether a function is ROW.
pub(super) fn is_row(name: &ObjectName) -> bool {
    name.to_string().eq_ignore_ascii_case("row")
}

fn equal(pairs: &[(Expr, Expr)]) -> Option<Expr> {
    let equal = pairs.iter().map(|(left, right)| compared(left, B::Eq, right));
    equal.reduce(|all, next| binary(all, B::And, next)).map(nested)
}

fn not(expr: Expr) -> Expr {
    nested(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) })
}

/// By the first columns that differ.
fn ordered(pairs: &[(Expr, Expr)], op: &B) -> Option<Expr> {
    let ((left, right), rest) = pairs.split_first()?;
    if rest.is_empty() {
        return Some(compared(left, op.clone(), right));
    }
    let strict = match op {
        B::LtEq => B::Lt,
        B::GtEq => B::Gt,
        other => other.clone(),
    };
    let later = binary(compared(left, B::Eq, right), B::And, nested(ordered(rest, op)?));
    Some(nested(binary(compared(left, strict, right), B::Or, nested(later))))
}

fn compared(left: &Expr, op: B, right: &Expr) -> Expr {
    binary(nested(left.clone()), op, nested(right.clone()))
}

fn binary(left: Expr, op: B, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

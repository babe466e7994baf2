//! VALUES lists: the engine looks at their values one by one.

use std::mem::discriminant;

use sqlparser::ast::{self, Expr, SetExpr, Value};

use super::from::{derived, named};
use super::is_independent;
use super::syntax::{cast, inside, plain_query, select_from, select_of, string};
use crate::error::{Plain, SqlError, SqlState};
use crate::pg::function::is_implicit;
use crate::types::{PgType, from_sql};

/// Literals of a VALUES list have the type that the other values of their column say, and what says another type is cast to
/// the one that holds all.
/// `42804`.
pub(super) fn alike(body: &mut SetExpr) -> Result<(), SqlError> {
    let SetExpr::Values(values) = body else { return Ok(()) };
    let width = values.rows.first().map_or(0, |row| row.content.len());
    for index in 0..width {
        let column = || values.rows.iter().filter_map(|row| row.content.get(index));
        let said: Vec<PgType> = column().filter_map(said_type).collect();
        let is_wider = |pg: &PgType, common: &PgType| is_implicit(common, pg) && !is_implicit(pg, common);
        let wider = |common: PgType, pg: &PgType| if is_wider(pg, &common) { pg.clone() } else { common };
        let Some(first) = said.first() else { continue };
        if differ_in_digits(&said) {
            continue;
        }
        if let Some(other) = said.iter().find(|pg| are_other(pg, first)) {
            let message = format!("VALUES types {first} and {other} cannot be matched");
            return Err(Plain::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
        let common = said.iter().fold(first.clone(), wider);
        let is_null = |value: &Expr| matches!(value, Expr::Value(literal) if literal.value == Value::Null);
        // The engine knows how to bring numbers together.
        let is_numeric = |pg: &PgType| matches!(pg, PgType::Numeric(_));
        let is_alike = said.iter().all(|pg| *pg == common || is_numeric(pg) && is_numeric(&common));
        if column().all(|value| is_number(value) || is_null(value))
            || is_alike && column().all(|value| said_type(value).is_some() && !is_number(value))
        {
            continue;
        }
        let says_common = |value: &Expr| said_type(value).as_ref() == Some(&common) || is_null(value);
        let target = if column().all(says_common) { common } else { common.without_modifier() };
        let becomes = |pg: &PgType| is_implicit(pg, &target) || pg.without_modifier() == target.without_modifier();
        for value in values.rows.iter_mut().filter_map(|row| row.content.get_mut(index)) {
            let wanted = match said_type(value) {
                Some(said) => becomes(&said) && (said != target || is_number(value)),
                None => is_untyped(value, &target) && !(is_numeric(&target) && is_null(value)),
            };
            if wanted {
                *value = cast(std::mem::replace(value, string("")), &target.typname());
            }
        }
    }
    Ok(())
}

/// Whether types are times of which some keep fewer digits of a second than others.
fn differ_in_digits(said: &[PgType]) -> bool {
    said.iter().any(|pg| pg.second_digits().is_some()) && said.windows(2).any(|pair| matches!(pair, [a, b] if a != b))
}

/// Whether types are known to be of different kinds.
fn are_other(a: &PgType, b: &PgType) -> bool {
    let kind = |pg: &PgType| (pg.category(), pg.element().is_some());
    kind(a) != kind(b) && ![a, b].iter().any(|pg| matches!(pg, PgType::Named(_) | PgType::Unknown))
}

/// Whether a value is a literal that takes its type from what it stands beside. A modifier is not one for all.
fn is_untyped(value: &Expr, beside: &PgType) -> bool {
    let Expr::Value(literal) = value else { return false };
    let is_plain = *beside == beside.without_modifier() && !matches!(beside, PgType::Char(_));
    matches!(literal.value, Value::Null | Value::SingleQuotedString(_)) && is_plain
}

fn is_number(value: &Expr) -> bool {
    matches!(value, Expr::Value(literal) if matches!(literal.value, Value::Number(..)))
}

/// The type that a cast or a literal says.
fn said_type(value: &Expr) -> Option<PgType> {
    match value {
        Expr::Nested(inner) | Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: inner }
            if is_number(inside(inner)) =>
        {
            said_type(inner)
        }
        Expr::Cast { data_type, .. } => from_sql(data_type).ok(),
        Expr::TypedString(typed) => from_sql(&typed.data_type).ok(),
        Expr::Value(literal) => match &literal.value {
            Value::Number(digits, _) if digits.parse::<i32>().is_ok() => Some(PgType::Int4),
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => Some(PgType::Int8),
            Value::Number(..) => Some(PgType::Numeric(None)),
            Value::Boolean(_) => Some(PgType::Bool),
            _ => None,
        },
        _ => None,
    }
}

/// How many rows of a VALUES list may become a UNION.
const UNITED: usize = 100;

/// VALUES with columns of other relations in them as a UNION: the engine takes constants only, and types each row by itself. So
/// do a few rows with something computed beside what says a type. Its rows are in the order of the list, but for those within a
/// query whose columns they may name.
pub(super) fn as_union(body: &mut SetExpr, is_outermost: bool) {
    let SetExpr::Values(values) = body else { return };
    let is_computed = |value: &Expr| said_type(value).is_none() && !matches!(inside(value), Expr::Value(_));
    let width = values.rows.first().map_or(0, |row| row.content.len());
    let has_several_forms = |index: usize| {
        let column = || values.rows.iter().filter_map(|row| row.content.get(index));
        let mut forms = column().map(|value| discriminant(inside(value)));
        let first = forms.next();
        let is_timed = |value: &Expr| said_type(value).is_some_and(|pg| pg.second_digits().is_some());
        let said: Vec<PgType> = column().filter_map(said_type).collect();
        let with_literals = column().any(is_timed) && said.len() < column().count();
        column().any(is_computed) && forms.any(|form| Some(form) != first) || differ_in_digits(&said) || with_literals
    };
    let is_mixed = (2..=UNITED).contains(&values.rows.len()) && (0..width).any(has_several_forms);
    if !is_mixed && is_independent(values) {
        return;
    }
    let is_ordered = is_outermost || is_independent(values);
    let rows = std::mem::take(&mut values.rows);
    let column = |index: usize| ast::Ident::new(format!("column{}", index + 1));
    let place = ast::Ident::with_quote('"', "place\u{1}");
    let row = |(number, row): (usize, ast::Parens<Vec<Expr>>)| {
        let named = row.content.into_iter().enumerate().map(|(index, expr)| (expr, column(index)));
        let placed = is_ordered.then(|| (Expr::value(Value::Number(number.to_string(), false)), place.clone()));
        select_of(named.chain(placed).map(|(expr, alias)| ast::SelectItem::ExprWithAlias { expr, alias }).collect())
    };
    let union = |left: SetExpr, right: SetExpr| SetExpr::SetOperation {
        op: ast::SetOperator::Union,
        set_quantifier: ast::SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    };
    let Some(all) = rows.into_iter().enumerate().map(row).reduce(union) else { return };
    if !is_ordered {
        *body = all;
        return;
    }
    let shown = (0..width).map(|index| ast::SelectItem::UnnamedExpr(Expr::Identifier(column(index))));
    let mut ordered = plain_query(select_from(shown.collect(), derived(all, named("values"))));
    ordered.order_by = Some(ast::OrderBy {
        kind: ast::OrderByKind::Expressions(vec![ast::OrderByExpr {
            expr: Expr::Identifier(place),
            options: ast::OrderByOptions { asc: None, nulls_first: None },
            with_fill: None,
        }]),
        interpolate: None,
    });
    *body = SetExpr::Query(Box::new(ordered));
}

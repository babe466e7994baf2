//! Casts of one value to several types in one SELECT: the engine gives a cast the name of what it casts, so that keys of groups
//! and aggregates over such casts would have the same name.

use std::collections::{HashMap, HashSet};

use sqlparser::ast::{self, Expr, GroupByExpr, Ident, Select, SelectItem, SetExpr, SetOperator, Value, With};

use super::function_name;
use super::syntax::{call, inside, null, outside_subqueries, string};
use crate::pg::TOLD_APART;

/// Values that a SELECT casts to several types, or shows both cast and as they are.
pub(super) fn repeated(select: &mut Select) -> HashSet<String> {
    // How often each value is cast to each type, and how often each column is there, cast or not.
    let mut casts: HashMap<String, HashMap<String, usize>> = HashMap::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    each_expression(select, &mut |expr| {
        if let Some((value, data_type)) = cast_of(expr) {
            *casts.entry(value).or_default().entry(data_type).or_default() += 1;
        } else if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            *seen.entry(expr.to_string()).or_default() += 1;
        }
    });
    // What ROLLUP and its like compute becomes a column beside the one that is cast.
    let by_sets = has_grouping_sets(&select.group_by);
    let is_repeated = |(value, types): (String, HashMap<String, usize>)| {
        let cast = types.values().sum::<usize>();
        (by_sets || types.len() > 1 || seen.get(&value).is_some_and(|seen| *seen > cast)).then_some(value)
    };
    casts.into_iter().filter_map(is_repeated).collect()
}

fn has_grouping_sets(group_by: &GroupByExpr) -> bool {
    let GroupByExpr::Expressions(keys, _) = group_by else { return false };
    keys.iter().any(|key| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)))
}

/// Gives the casts of some values names of their own.
pub(super) fn tell_apart(select: &mut Select, repeated: &HashSet<String>) {
    if !repeated.is_empty() {
        each_expression(select, &mut |expr| name(expr, repeated));
    }
}

/// The same in the ORDER BY of the SELECT.
pub(super) fn tell_apart_in_order(order_by: &mut ast::OrderBy, repeated: &HashSet<String>) {
    if !repeated.is_empty() {
        outside_subqueries(order_by, &mut |expr| name(expr, repeated));
    }
}

/// What may have casts by which the engine names columns, groups and aggregates.
fn each_expression(select: &mut Select, visit: &mut impl FnMut(&mut Expr)) {
    outside_subqueries(&mut select.distinct, visit);
    outside_subqueries(&mut select.projection, visit);
    outside_subqueries(&mut select.group_by, visit);
    outside_subqueries(&mut select.having, visit);
}

/// Marks what the recursive terms of WITH RECURSIVE compute: the engine casts it to the types of the first terms, and such a
/// cast is not to be taken for one that is written there. A NULL in a first term is a text.
pub(super) fn mark_recursive_terms(with: &mut With) {
    for table in &mut with.cte_tables {
        let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = table.query.body.as_mut() else {
            continue;
        };
        for expr in computed(left).filter(|expr| matches!(expr, Expr::Value(value) if value.value == Value::Null)) {
            *expr = null("text");
        }
        for expr in computed(right) {
            let written = std::mem::replace(expr, string(""));
            *expr = call(Ident::new(TOLD_APART), vec![written, string("written")]);
        }
    }
}

/// What a SELECT shows besides columns.
fn computed(query: &mut SetExpr) -> impl Iterator<Item = &mut Expr> {
    let items = match query {
        SetExpr::Select(select) => select.projection.as_mut_slice(),
        _ => &mut [],
    };
    items.iter_mut().filter_map(|item| match item {
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => {
            (!matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))).then_some(expr)
        }
        _ => None,
    })
}

fn name(expr: &mut Expr, repeated: &HashSet<String>) {
    if let Some((value, data_type)) = cast_of(expr)
        && (repeated.contains(&value) || is_told_apart(expr))
    {
        let cast = std::mem::replace(expr, string(""));
        *expr = call(Ident::new(TOLD_APART), vec![cast, string(&data_type)]);
    }
}

/// The value and the type of a cast of what is computed from rows.
fn cast_of(expr: &Expr) -> Option<(String, String)> {
    match expr {
        Expr::Cast { expr, data_type, .. } if !matches!(inside(expr), Expr::Value(_)) => {
            Some((inside(expr).to_string(), data_type.to_string()))
        }
        _ => None,
    }
}

/// Whether what is cast is a cast that has a name of its own already.
fn is_told_apart(expr: &Expr) -> bool {
    let Expr::Cast { expr, .. } = expr else { return false };
    matches!(inside(expr), Expr::Function(function) if function_name(function).as_deref() == Some(TOLD_APART))
}

//! Casts of one value to several types in one SELECT: the engine gives a cast the name of what it casts, so that keys of groups
//! and aggregates over such casts would have the same name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, Ident, Query, Select, VisitMut, VisitorMut};

use super::function_name;
use super::syntax::{call, inside, string};
use crate::pg::TOLD_APART;

/// Values that a SELECT casts to several types, or shows both cast and as they are.
pub(super) fn repeated(select: &mut Select) -> HashSet<String> {
    let mut found = Found::default();
    let _flow = VisitMut::visit(&mut select.distinct, &mut found);
    let _flow = VisitMut::visit(&mut select.projection, &mut found);
    let _flow = VisitMut::visit(&mut select.group_by, &mut found);
    let _flow = VisitMut::visit(&mut select.having, &mut found);
    let Found { casts, seen, .. } = found;
    let is_repeated = |(value, types): (String, HashMap<String, usize>)| {
        let cast = types.values().sum::<usize>();
        (types.len() > 1 || seen.get(&value).is_some_and(|seen| *seen > cast)).then_some(value)
    };
    casts.into_iter().filter_map(is_repeated).collect()
}

/// Gives the casts of some values names of their own.
pub(super) fn tell_apart(select: &mut Select, repeated: HashSet<String>) {
    if repeated.is_empty() {
        return;
    }
    let mut names = Named { repeated, depth: 0 };
    let _flow = VisitMut::visit(&mut select.distinct, &mut names);
    let _flow = VisitMut::visit(&mut select.projection, &mut names);
    let _flow = VisitMut::visit(&mut select.group_by, &mut names);
    let _flow = VisitMut::visit(&mut select.having, &mut names);
}

/// The same in the ORDER BY of the SELECT.
pub(super) fn tell_apart_in_order(order_by: &mut ast::OrderBy, repeated: HashSet<String>) {
    if !repeated.is_empty() {
        let _flow = VisitMut::visit(order_by, &mut Named { repeated, depth: 0 });
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

#[derive(Default)]
struct Found {
    /// How often each value is cast to each type.
    casts: HashMap<String, HashMap<String, usize>>,
    /// How often each column is there, cast or not.
    seen: HashMap<String, usize>,
    /// Subqueries around the current expression.
    depth: usize,
}

impl VisitorMut for Found {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Some((value, data_type)) = cast_of(expr) {
            *self.casts.entry(value).or_default().entry(data_type).or_default() += 1;
        } else if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            *self.seen.entry(expr.to_string()).or_default() += 1;
        }
        ControlFlow::Continue(())
    }
}

struct Named {
    repeated: HashSet<String>,
    depth: usize,
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Some((value, data_type)) = cast_of(expr)
            && (self.repeated.contains(&value) || is_told_apart(expr))
        {
            let cast = std::mem::replace(expr, string(""));
            *expr = call(Ident::new(TOLD_APART), vec![cast, string(&data_type)]);
        }
        ControlFlow::Continue(())
    }
}

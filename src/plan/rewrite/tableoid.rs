//! `tableoid`: which table a row is of, which its name in FROM tells.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::JoinOperator::{CrossJoin, Inner, Join, Left, LeftAnti, LeftOuter, LeftSemi, Right, RightOuter};
use sqlparser::ast::{
    Expr, Ident, JoinOperator, Select, SelectItem, TableFactor, Visit, VisitMut, VisitorMut, visit_expressions,
};

use super::output::column_name;
use super::syntax::{only_where, outside_subqueries, typed};
use super::wildcard::{Sight, called, ident, of_factor};
use crate::catalog::RelationKind;
use crate::pg::system;
use crate::plan::query;

const TABLEOID: &str = "tableoid";

/// Puts OIDs in the place of `tableoid` and `name.tableoid`, where FROM has the table, and no rows that are NULL instead of its own.
pub(super) fn resolve(sight: Sight<'_>, select: &mut Select) {
    if !mentions(select) {
        return;
    }
    let mut tables = HashMap::new();
    let mut others = 0;
    for from in &select.from {
        let operators = || from.joins.iter().map(|join| &join.join_operator);
        let is_optional = operators().any(|operator| !keeps_left(operator));
        let joined = from.joins.iter().map(|join| {
            let keeps_right =
                matches!(&join.join_operator, Join(_) | Inner(_) | CrossJoin(_) | Right(_) | RightOuter(_));
            (&join.relation, is_optional || !keeps_right)
        });
        for (factor, is_optional) in std::iter::once((&from.relation, is_optional)).chain(joined) {
            match (oid(sight, factor, is_optional), called(factor)) {
                (Some(oid), Some(name)) => drop(tables.insert(name, oid)),
                _ => others += 1,
            }
        }
    }
    let only = tables.values().next().filter(|_| tables.len() == 1 && others == 0);
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && mentions(expr)
        {
            let alias = Ident::with_quote('"', column_name(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    if let Some(oid) = only {
        outside_subqueries(select, &mut |expr| {
            if matches!(expr, Expr::Identifier(name) if ident(name) == TABLEOID) {
                *expr = oid.clone();
            }
        });
    }
    let _flow = VisitMut::visit(select, &mut Qualified(&tables));
}

/// Whether each row of what stands left of a join is in its result with its own values.
fn keeps_left(operator: &JoinOperator) -> bool {
    matches!(operator, Join(_) | Inner(_) | CrossJoin(_) | Left(_) | LeftOuter(_) | LeftSemi(_) | LeftAnti(_))
}

/// Whether there is a `tableoid` in some syntax.
fn mentions(syntax: &impl Visit) -> bool {
    let is_one = |expr: &Expr| match expr {
        Expr::Identifier(name) => ident(name) == TABLEOID,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| ident(name) == TABLEOID),
        _ => false,
    };
    let flow =
        visit_expressions(syntax, |expr| if is_one(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    flow.is_break()
}

/// The OID of a table in FROM that has no column of that name; views have no rows of their own. Where a row of NULLs may stand for
/// none of the table, it is told by the first column, which has no NULL in the system's tables; of others nothing is known.
fn oid(sight: Sight<'_>, factor: &TableFactor, is_optional: bool) -> Option<Expr> {
    let TableFactor::Table { name, args: None, .. } = factor else { return None };
    let name = query::qualified(name)?;
    let columns = of_factor(sight, factor)?;
    if name.schema.is_none() && sight.with.contains_key(&name.name) || columns.iter().any(|column| column == TABLEOID) {
        return None;
    }
    let value = |oid: u32| typed("oid", &oid.to_string());
    if let Some(relation) = system::relation(name.schema.as_deref(), &name.name) {
        let quoted = |name: String| Ident::with_quote('"', name);
        let first = vec![quoted(called(factor)?), quoted(columns.into_iter().next()?)];
        let is_there = Expr::IsNotNull(Box::new(Expr::CompoundIdentifier(first)));
        let oid = value(relation.oid);
        return (!relation.view).then(|| if is_optional { only_where(is_there, oid) } else { oid });
    }
    let (id, relation) = sight.scope.ctx.relation(&name)?;
    (!is_optional && !matches!(relation.storage, RelationKind::View(_))).then(|| value(id.oid()))
}

/// Puts OIDs in the place of `name.tableoid`, also in subqueries.
struct Qualified<'a>(&'a HashMap<String, Expr>);

impl VisitorMut for Qualified<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [.., table, column] = parts.as_slice()
            && ident(column) == TABLEOID
            && let Some(oid) = self.0.get(&ident(table))
        {
            *expr = oid.clone();
        }
        ControlFlow::Continue(())
    }
}

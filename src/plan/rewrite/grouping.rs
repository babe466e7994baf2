//! GROUP BY a primary key: the table's other columns have one value in each group, and may be named as they are. They are
//! grouped by, too, which changes no group.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, GroupByExpr, Select, SelectItem, TableFactor, Visit, Visitor};

use super::wildcard::{With, called, ident};
use crate::catalog::{Constraint, Relation};
use crate::plan::{Scope, query};

/// Adds to the keys of a query what follows from them. `with`: names of WITH, which may hide tables.
pub(super) fn by_primary_keys(scope: &Scope, select: &mut Select, order_by: Option<&ast::OrderBy>, with: &With) {
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return };
    if keys.is_empty() || !modifiers.is_empty() {
        return;
    }
    let tables = tables(scope, select, with);
    let mut named = Named::default();
    named.items(&select.projection);
    let _flow = (select.projection.visit(&mut named), select.having.visit(&mut named));
    let _flow = order_by.map(|order_by| order_by.visit(&mut named));
    let mut more: Vec<Expr> = Vec::new();
    for (alias, relation) in &tables {
        let Some(primary) = relation.primary_key().and_then(Constraint::index) else { continue };
        let Some(index) = scope.ctx.catalog.relation(primary).and_then(Relation::as_index) else { continue };
        let alone = |column: &str| {
            tables.iter().filter(|(_, relation)| relation.column(column).is_some()).count() == 1
                && tables.len() == factors(select).count()
        };
        let is_key = |key: &Expr, column: &str| match part(key, &select.projection) {
            Some((Some(qualifier), name)) => qualifier == *alias && name == column,
            Some((None, name)) => name == column && alone(column),
            None => false,
        };
        let all_named = index.columns().unwrap_or_default().iter().all(|id| {
            let column = relation.column_by_id(*id);
            column.is_some_and(|column| keys.iter().any(|key| is_key(key, &column.name)))
        });
        if !all_named {
            continue;
        }
        let wanted = relation.columns.iter().filter(|column| {
            let qualified = (Some(alias.clone()), column.name.clone());
            named.all.contains(&qualified)
                || named.all.contains(&(None, column.name.clone()))
                || named.stars.contains(&Some(alias.clone()))
                || named.stars.contains(&None)
        });
        let wanted = wanted.filter(|column| !keys.iter().any(|key| is_key(key, &column.name)));
        more.extend(wanted.map(|column| {
            Expr::CompoundIdentifier(vec![
                ast::Ident::with_quote('"', alias),
                ast::Ident::with_quote('"', &column.name),
            ])
        }));
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.extend(more);
    }
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    let all = select.from.iter();
    all.flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// The tables of FROM, by what they go by.
fn tables<'a>(scope: &'a Scope, select: &Select, with: &With) -> Vec<(String, &'a Relation)> {
    let found = factors(select).filter_map(|factor| {
        let TableFactor::Table { name, args: None, alias, .. } = factor else { return None };
        let name = query::qualified(name)?;
        let hidden = name.schema.is_none() && with.contains_key(&name.name);
        let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
        let relation = scope.ctx.relation(&name).filter(|_| !hidden && !renamed)?.1;
        Some((called(factor)?, relation))
    });
    found.collect()
}

/// A column's qualifier and name; a number stands for an item of the select list.
fn part(expr: &Expr, projection: &[SelectItem]) -> Option<(Option<String>, String)> {
    match expr {
        Expr::Nested(inner) => part(inner, projection),
        Expr::Identifier(name) => Some((None, ident(name))),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] | [_, table, column] => Some((Some(ident(table)), ident(column))),
            _ => None,
        },
        Expr::Value(value) => {
            let ast::Value::Number(digits, _) = &value.value else { return None };
            let item = digits.parse::<usize>().ok()?.checked_sub(1).and_then(|index| projection.get(index))?;
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return None };
            if matches!(expr, Expr::Value(_)) { None } else { part(expr, projection) }
        }
        _ => None,
    }
}

/// Columns and tables that some syntax names.
#[derive(Default)]
struct Named {
    all: HashSet<(Option<String>, String)>,
    /// What has a wildcard; `None`: all of FROM.
    stars: HashSet<Option<String>>,
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.all.extend(part(expr, &[]));
        ControlFlow::Continue(())
    }
}

impl Named {
    fn items(&mut self, items: &[SelectItem]) {
        for item in items {
            match item {
                SelectItem::Wildcard(_) => {
                    self.stars.insert(None);
                }
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                    self.stars.insert(query::qualified(table).map(|name| name.name));
                }
                _ => {}
            }
        }
    }
}

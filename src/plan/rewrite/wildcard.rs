//! The names that the wildcards of a select list stand for, as far as its text and the catalog tell.

use std::collections::HashSet;

use sqlparser::ast::{self, Query, Select, SelectItem, SetExpr, TableFactor};

use super::output::{column_name, visible_name};
use crate::name::fold;
use crate::pg::system;
use crate::plan::{Scope, query};

/// `None`: not all of them are known.
pub(super) fn names(scope: &Scope, select: &Select) -> Option<HashSet<String>> {
    let mut names = HashSet::new();
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(_) => names.extend(of_from(scope, select, None)?),
            SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                names.extend(of_from(scope, select, Some(&query::qualified(table)?.name))?);
            }
            SelectItem::QualifiedWildcard(..) => return None,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } | SelectItem::ExprWithAliases { .. } => {}
        }
    }
    Some(names)
}

/// The columns of FROM, or of one table in it.
pub(super) fn of_from(scope: &Scope, select: &Select, table: Option<&str>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for from in &select.from {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            if table.is_none_or(|table| called(factor).is_none_or(|name| name == table)) {
                names.extend(of_factor(scope, factor)?);
            }
        }
    }
    Some(names)
}

pub(super) fn ident(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { fold(&ident.value) }
}

/// What a table goes by.
pub(in crate::plan) fn called(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. } => Some(ident(&alias.name)),
        TableFactor::Table { name, alias: None, .. } => Some(query::qualified(name)?.name),
        _ => None,
    }
}

pub(super) fn of_factor(scope: &Scope, factor: &TableFactor) -> Option<Vec<String>> {
    let (mut names, alias) = match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let name = query::qualified(name)?;
            let names = match system::relation(name.schema.as_deref(), &name.name) {
                Some(relation) => relation.columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
                None => scope.ctx.relation(&name)?.1.columns.iter().map(|column| column.name.clone()).collect(),
            };
            (names, alias)
        }
        TableFactor::Derived { subquery, alias, .. } => (of_query(scope, subquery)?, alias),
        _ => return None,
    };
    let given = alias.iter().flat_map(|alias| &alias.columns);
    for (name, column) in names.iter_mut().zip(given) {
        *name = ident(&column.name);
    }
    Some(names)
}

fn of_query(scope: &Scope, query: &Query) -> Option<Vec<String>> {
    let mut body = query.body.as_ref();
    let select = loop {
        body = match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                return Some((1..=width).map(|number| format!("column{number}")).collect());
            }
            _ => return None,
        };
    };
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => names.push(column_name(expr)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(visible_name(&ident(alias)).to_owned()),
            SelectItem::Wildcard(_) => names.extend(of_from(scope, select, None)?),
            SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                names.extend(of_from(scope, select, Some(&query::qualified(table)?.name))?);
            }
            SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => return None,
        }
    }
    Some(names)
}

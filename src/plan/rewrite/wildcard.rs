//! The names that the wildcards of a select list stand for, as far as its text and the catalog tell.

use std::collections::{BTreeMap, HashSet};

use sqlparser::ast::{self, Query, Select, SelectItem, SetExpr, TableFactor};

use super::output::{column_name, visible_name};
use super::sets::{column_of, composite};
use crate::name::fold;
use crate::pg::system;
use crate::plan::{Scope, query};

/// What the names of FROM mean: relations of the catalog, and those of WITH with their columns, if they are known.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) scope: &'a Scope,
    pub(super) with: &'a With,
}

/// Names of WITH and their columns.
pub(super) type With = BTreeMap<String, Option<Vec<String>>>;

/// The names that the wildcards of a select list stand for; `None`: not all of them are known.
pub(super) fn names(sight: Sight<'_>, select: &Select) -> Option<HashSet<String>> {
    let mut names = HashSet::new();
    for item in &select.projection {
        names.extend(of_wildcard(sight, select, item)?);
    }
    Some(names)
}

/// The names of a wildcard; none if an item is something else.
fn of_wildcard(sight: Sight<'_>, select: &Select, item: &SelectItem) -> Option<Vec<String>> {
    let (mut names, options) = match item {
        SelectItem::Wildcard(options) => (of_from(sight, select, None)?, options),
        SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(table), options) => {
            (of_from(sight, select, Some(&query::qualified(table)?.name))?, options)
        }
        SelectItem::QualifiedWildcard(..) => return None,
        _ => return Some(Vec::new()),
    };
    if let Some(ast::ExcludeSelectItem::Multiple(excluded)) = &options.opt_exclude {
        let excluded: Vec<String> = excluded.iter().filter_map(|name| Some(query::qualified(name)?.name)).collect();
        names.retain(|name| !excluded.contains(name));
    }
    Some(names)
}

/// The columns of FROM, or of one table in it.
pub(super) fn of_from(sight: Sight<'_>, select: &Select, table: Option<&str>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for from in &select.from {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            if table.is_none_or(|table| called(factor).is_none_or(|name| name == table)) {
                names.extend(of_factor(sight, factor)?);
            }
        }
    }
    Some(names)
}

/// The names of a query's WITH, beside those that are known around it.
pub(super) fn of_with(sight: Sight<'_>, with: &ast::With) -> With {
    let mut all = sight.with.clone();
    for table in &with.cte_tables {
        let columns = of_query(Sight { with: &all, ..sight }, &table.query);
        all.insert(ident(&table.alias.name), renamed(columns, Some(&table.alias)));
    }
    all
}

/// Columns with the names that an alias gives them.
fn renamed(columns: Option<Vec<String>>, alias: Option<&ast::TableAlias>) -> Option<Vec<String>> {
    let mut columns = columns?;
    for (name, column) in columns.iter_mut().zip(alias.iter().flat_map(|alias| &alias.columns)) {
        *name = ident(&column.name);
    }
    Some(columns)
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

/// The columns of what FROM names.
pub(super) fn of_factor(sight: Sight<'_>, factor: &TableFactor) -> Option<Vec<String>> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let name = query::qualified(name)?;
            let of_with = sight.with.get(&name.name).filter(|_| name.schema.is_none());
            let names = match (of_with, system::relation(name.schema.as_deref(), &name.name)) {
                (Some(known), _) => known.clone()?,
                (None, Some(relation)) => relation.columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
                (None, None) => {
                    let relation = sight.scope.ctx.relation(&name)?.1;
                    relation.columns.iter().map(|column| column.name.clone()).collect()
                }
            };
            renamed(Some(names), alias.as_ref())
        }
        TableFactor::Derived { subquery, alias, .. } => renamed(of_query(sight, subquery), alias.as_ref()),
        TableFactor::Table { name, alias, args: Some(_), with_ordinality, .. }
        | TableFactor::Function { name, alias, with_ordinality, .. } => {
            let function = query::qualified(name)?.name;
            let shown = alias.as_ref().map_or_else(|| function.clone(), |alias| ident(&alias.name));
            let mut names = match (composite(&function), column_of(&function)) {
                ([], Some(column)) => vec![column.to_owned()],
                ([], None) => vec![shown],
                (columns, _) => columns.iter().map(|column| (*column).to_owned()).collect(),
            };
            names.extend(with_ordinality.then(|| "ordinality".to_owned()));
            renamed(Some(names), alias.as_ref())
        }
        TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } if array_exprs.len() == 1 => {
            let shown = alias.as_ref().map_or_else(|| "unnest".to_owned(), |alias| ident(&alias.name));
            let mut names = vec![shown];
            names.extend(with_ordinality.then(|| "ordinality".to_owned()));
            renamed(Some(names), alias.as_ref())
        }
        _ => None,
    }
}

fn of_query(sight: Sight<'_>, query: &Query) -> Option<Vec<String>> {
    let with = query.with.as_ref().map(|with| of_with(sight, with));
    let sight = Sight { with: with.as_ref().unwrap_or(sight.with), ..sight };
    let mut body = query.body.as_ref();
    let select = loop {
        body = match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            SetExpr::Query(query) => return of_query(sight, query),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                return Some((1..=width).map(|number| format!("column{number}")).collect());
            }
            _ => return None,
        };
    };
    // What joins merge is there once.
    let mut merged = None;
    if select.from.iter().any(merges) && select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
        let mut said = select.as_ref().clone();
        super::merged::columns(sight, &mut said, None).ok()?;
        merged = Some(said);
    }
    let select = merged.as_ref().unwrap_or(select);
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => names.push(column_name(expr)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(visible_name(&ident(alias)).to_owned()),
            SelectItem::Wildcard(_) if select.from.iter().any(merges) => return None,
            SelectItem::ExprWithAliases { .. } => return None,
            wildcard => names.extend(of_wildcard(sight, select, wildcard)?),
        }
    }
    Some(names)
}

/// Completes an alias that names the first columns only: the engine wants all of them named.
pub(super) fn complete(alias: &mut ast::TableAlias, columns: Option<Vec<String>>) {
    if alias.columns.is_empty() {
        return;
    }
    let rest = columns.into_iter().flatten().skip(alias.columns.len());
    let rest = rest.map(|name| ast::TableAliasColumnDef { name: ast::Ident::with_quote('"', name), data_type: None });
    alias.columns.extend(rest.collect::<Vec<_>>());
}

/// Whether joins of a FROM item merge columns.
pub(super) fn merges(table: &ast::TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| matches!(factor, TableFactor::NestedJoin { table_with_joins, .. } if merges(table_with_joins));
    nested(&table.relation)
        || table.joins.iter().any(|join| {
            nested(&join.relation)
                || constraint_of(&join.join_operator).is_some_and(|constraint| {
                    matches!(constraint, ast::JoinConstraint::Using(_) | ast::JoinConstraint::Natural)
                })
        })
}

/// The condition of a join of two sides.
fn constraint_of(operator: &ast::JoinOperator) -> Option<&ast::JoinConstraint> {
    use ast::JoinOperator as J;
    match operator {
        J::Join(constraint)
        | J::Inner(constraint)
        | J::Left(constraint)
        | J::LeftOuter(constraint)
        | J::Right(constraint)
        | J::RightOuter(constraint)
        | J::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

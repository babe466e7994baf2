//! Rows as values in the text of a query: `ROW(…)`, `(row).column`, and a table's name as its whole row.

use std::ops::ControlFlow;

use sqlparser::ast::{self, AccessExpr, Expr, Ident, Query, Select, SelectItem, TableFactor, VisitMut, VisitorMut};

use super::rows::is_row;
use super::syntax::{call, inside, string};
use super::wildcard::{Sight, called, ident, of_factor};
use crate::error::{SqlError, unsupported};
use crate::pg::{NAMED_ROW, ROW, ROW_ATTRIBUTE};
use crate::plan::query;
use crate::statement::ALL_COLUMNS;
use crate::types::{PgType, from_sql};

/// `(a, b)` as a value.
pub(super) fn tuple(items: &mut Vec<Expr>) -> Expr {
    call(Ident::new(ROW), std::mem::take(items))
}

/// `(row).column`, and what goes on from there. `None`: there is no such access in it.
pub(super) fn access(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let (name, chain) = named(root, chain);
    of_row(name.as_ref().unwrap_or(root), chain)
}

/// `table.column[1]`: a name's parts, and what goes on from there.
pub(super) fn named<'a>(root: &Expr, chain: &'a [AccessExpr]) -> (Option<Expr>, &'a [AccessExpr]) {
    let mut parts = match root {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return (None, chain),
    };
    let mut rest = chain;
    while let [AccessExpr::Dot(Expr::Identifier(part)), after @ ..] = rest {
        parts.push(part.clone());
        rest = after;
    }
    let name = match <[Ident; 1]>::try_from(parts) {
        Ok([name]) => Expr::Identifier(name),
        Err(parts) => Expr::CompoundIdentifier(parts),
    };
    (Some(name), rest)
}

pub(super) fn of_row(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let first = chain.iter().position(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(_))))?;
    let (before, after) = chain.split_at(first);
    let (AccessExpr::Dot(Expr::Identifier(column)), after) = after.split_first()? else { return None };
    let row = further(root.clone(), before);
    let value = call(Ident::new(ROW_ATTRIBUTE), vec![row, string(&ident(column))]);
    Some(of_row(&value, after).unwrap_or_else(|| further(value, after)))
}

pub(super) fn further(root: Expr, chain: &[AccessExpr]) -> Expr {
    if chain.is_empty() {
        return root;
    }
    Expr::CompoundFieldAccess { root: Box::new(root), access_chain: chain.to_vec() }
}

/// `(row).*` in a select list as its columns. `0A000` for a row whose columns the text does not tell.
pub(super) fn expand(sight: Sight<'_>, select: &mut Select) -> Result<(), SqlError> {
    let row_of = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::CompoundFieldAccess { root, access_chain }) => match access_chain.as_slice() {
            [before @ .., AccessExpr::Dot(Expr::Identifier(last))]
                if last.value == ALL_COLUMNS && last.quote_style.is_some() =>
            {
                Some(further(root.as_ref().clone(), before))
            }
            _ => None,
        },
        _ => None,
    };
    if !select.projection.iter().any(|item| row_of(item).is_some()) {
        return Ok(());
    }
    let mut items = Vec::new();
    for item in std::mem::take(&mut select.projection) {
        let Some(row) = row_of(&item) else {
            items.push(item);
            continue;
        };
        let names = columns_of(sight, select, &row).ok_or_else(|| {
            SqlError::from(unsupported("(row).* of a row that is no column, table or value of a named type"))
        })?;
        items.extend(names.into_iter().map(|name| {
            let access_chain = vec![AccessExpr::Dot(Expr::Identifier(Ident::with_quote('"', &name)))];
            let root = Box::new(Expr::Nested(Box::new(row.clone())));
            let expr = Expr::CompoundFieldAccess { root, access_chain };
            SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) }
        }));
    }
    select.projection = items;
    Ok(())
}

/// The columns of a row that is a table's, a column's of a table, or cast to a type; `None`: it is something else.
fn columns_of(sight: Sight<'_>, select: &Select, row: &Expr) -> Option<Vec<String>> {
    let names = |pg: &PgType| Some(pg.attributes()?.iter().map(|attribute| attribute.name.clone()).collect());
    let (table, column) = match inside(row) {
        Expr::Cast { data_type, .. } => {
            let (pg, _) = sight.scope.ctx.named_type(&from_sql(data_type).ok()?).ok()?;
            return names(&pg);
        }
        Expr::Identifier(column) => (None, ident(column)),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] => (Some(ident(table)), ident(column)),
            _ => return None,
        },
        _ => return None,
    };
    let is_meant = |factor: &&TableFactor| table.is_none() || called(factor) == table;
    for factor in factors(select).filter(is_meant) {
        if let TableFactor::Table { name, args: None, alias, .. } = factor
            && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
            && let Some(found) = sight.scope.ctx.relation(&query::qualified(name)?)?.1.column(&column)
        {
            return names(&found.pg);
        }
    }
    let whole = factors(select).find(|factor| table.is_none() && called(factor).as_ref() == Some(&column))?;
    of_factor(sight, whole)
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// The name of a table of FROM where a value is meant is its whole row, unless a column has the name.
pub(super) fn whole_rows(sight: Sight<'_>, select: &mut Select) -> Result<(), SqlError> {
    let mut tables = Vec::new();
    for factor in factors(select) {
        // Where the columns are not all known, a name may be one of them.
        let (Some(name), Some(columns)) = (called(factor), of_factor(sight, factor)) else { return Ok(()) };
        tables.push((name, columns));
    }
    let is_column = |name: &String| tables.iter().any(|(_, columns)| columns.contains(name));
    let tables: Vec<(String, Vec<String>)> = tables.iter().filter(|(name, _)| !is_column(name)).cloned().collect();
    if tables.is_empty() {
        return Ok(());
    }
    let mut visitor = WholeRows { tables, outer: select.from.iter().any(has_outer_join), depth: 0, refused: false };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && let Some(expr) = visitor.row(&ident(name))
        {
            *item = SelectItem::ExprWithAlias { alias: Ident::with_quote('"', ident(name)), expr };
        }
    }
    let _flow = VisitMut::visit(&mut select.projection, &mut visitor);
    let _flow = VisitMut::visit(&mut select.selection, &mut visitor);
    let _flow = VisitMut::visit(&mut select.group_by, &mut visitor);
    let _flow = VisitMut::visit(&mut select.having, &mut visitor);
    if visitor.refused {
        return Err(unsupported("a whole row of a table of an outer join").into());
    }
    Ok(())
}

/// Where a row has no match in an outer join, it is NULL, and not a row of NULLs.
fn has_outer_join(from: &ast::TableWithJoins) -> bool {
    use ast::JoinOperator as J;
    from.joins.iter().any(|join| {
        matches!(join.join_operator, J::Left(_) | J::LeftOuter(_) | J::Right(_) | J::RightOuter(_) | J::FullOuter(_))
    })
}

struct WholeRows {
    /// What tables go by, with their columns.
    tables: Vec<(String, Vec<String>)>,
    /// Whether one of them may have no row.
    outer: bool,
    /// Whether a whole row of such tables was met.
    refused: bool,
    /// Subqueries around the current expression: they have tables of their own.
    depth: usize,
}

impl WholeRows {
    /// The columns of a table; `None`: it is none.
    fn columns(&self, name: &str) -> Option<Vec<Expr>> {
        let (table, columns) = self.tables.iter().find(|(known, _)| known == name)?;
        let quoted = |name: &str| Ident::with_quote('"', name);
        Some(columns.iter().map(|column| Expr::CompoundIdentifier(vec![quoted(table), quoted(column)])).collect())
    }

    /// The whole row of a table.
    fn row(&mut self, name: &str) -> Option<Expr> {
        let (_, names) = self.tables.iter().find(|(known, _)| known == name)?;
        self.refused |= self.outer;
        let named = names.iter().zip(self.columns(name)?).flat_map(|(name, column)| [string(name), column]);
        Some(call(Ident::new(NAMED_ROW), named.collect()))
    }
}

impl VisitorMut for WholeRows {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && self.depth == 0
            && let Expr::Identifier(table) = inside(root)
            && let [AccessExpr::Dot(Expr::Identifier(column)), rest @ ..] = access_chain.as_slice()
            && self.tables.iter().any(|(known, columns)| *known == ident(table) && columns.contains(&ident(column)))
        {
            // A column of it is that column alone, which is all that there must be a right to.
            let column = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
            let rest = rest.to_vec();
            *expr = further(column, &rest);
        }
        // What comes after a point is no table's name.
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let Some(replaced) = access(root, access_chain)
        {
            *expr = replaced;
        }
        if let Expr::Function(function) = expr
            && self.depth == 0
            && let ast::FunctionArguments::List(list) = &mut function.args
        {
            let is_row = is_row(&function.name);
            for argument in std::mem::take(&mut list.args) {
                let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(name)) = &argument else {
                    list.args.push(argument);
                    continue;
                };
                let values = match name.0.as_slice() {
                    [ast::ObjectNamePart::Identifier(name)] if is_row => self.columns(&ident(name)),
                    [ast::ObjectNamePart::Identifier(name)] => self.row(&ident(name)).map(|row| vec![row]),
                    _ => None,
                };
                let unnamed = |value| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value));
                match values {
                    Some(values) => list.args.extend(values.into_iter().map(unnamed)),
                    None => list.args.push(argument),
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && let Some(row) = self.row(&ident(name))
        {
            *expr = row;
        }
        ControlFlow::Continue(())
    }
}

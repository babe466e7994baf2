//! Columns that joins with USING or NATURAL merge. Wildcards show them once and first, as in PostgreSQL, and after RIGHT and
//! FULL JOIN they come from the side that has a row: the engine takes them from the side whose name is first in the alphabet,
//! and from the left.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem, VisitMut, VisitorMut,
};

use super::output::column_name;
use super::syntax::call;
use super::wildcard::{Sight, called, ident, merges, of_factor, of_from};
use crate::error::{Plain, SqlState, unsupported};

/// Says in each SELECT of a query what its joins merge, as [`columns`] does for one.
pub(super) fn in_body(
    sight: Sight<'_>,
    body: &mut ast::SetExpr,
    order_by: Option<&mut ast::OrderBy>,
) -> Result<(), Plain> {
    match body {
        ast::SetExpr::Select(select) => columns(sight, select, order_by),
        ast::SetExpr::SetOperation { left, right, .. } => {
            in_body(sight, left, None)?;
            in_body(sight, right, None)
        }
        _ => Ok(()),
    }
}

/// Says what merged columns are wherever a SELECT names them without a table, and which columns its wildcard stands for.
/// `0A000` for what RIGHT and FULL JOIN merge in parentheses, and for columns that cannot be told.
pub(super) fn columns(sight: Sight<'_>, select: &mut Select, order_by: Option<&mut ast::OrderBy>) -> Result<(), Plain> {
    let factors = select.from.iter().flat_map(|table| {
        let joined = table.joins.iter().map(|join| &join.relation);
        std::iter::once(&table.relation).chain(joined)
    });
    // What is not there is told of when the query is bound.
    let is_missing = |factor: &ast::TableFactor| {
        let ast::TableFactor::Table { name, args: None, .. } = factor else { return false };
        let is_of_with = matches!(name_of(name), Some(name) if sight.with.contains_key(&name));
        !is_of_with && of_factor(sight, factor).is_none()
    };
    if !select.from.iter().any(merges) || factors.into_iter().any(is_missing) {
        return Ok(());
    }
    let mut merged = Merged { sight, columns: BTreeMap::new(), around: Vec::new() };
    let mut shown = Vec::new();
    for table in &mut select.from {
        shown.push(merged.in_joins(table)?);
    }
    let mut projection = Vec::new();
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(options) => {
                if options != ast::WildcardAdditionalOptions::default() {
                    return Err(unsupported("a wildcard with options over columns that joins merge"));
                }
                for table in &shown {
                    projection.extend(merged.wildcard(table)?);
                }
            }
            SelectItem::UnnamedExpr(mut expr) => {
                let (name, own) = (column_name(&expr), expr.clone());
                let _flow = VisitMut::visit(&mut expr, &mut merged);
                projection.push(if expr == own {
                    SelectItem::UnnamedExpr(expr)
                } else {
                    SelectItem::ExprWithAlias { alias: Ident::with_quote('"', name), expr }
                });
            }
            mut other => {
                let _flow = VisitMut::visit(&mut other, &mut merged);
                projection.push(other);
            }
        }
    }
    select.projection = projection;
    let outputs: HashSet<String> = select.projection.iter().filter_map(output_name).collect();
    let _flow = VisitMut::visit(&mut select.from, &mut merged);
    let _flow = VisitMut::visit(&mut select.selection, &mut merged);
    let _flow = VisitMut::visit(&mut select.group_by, &mut merged);
    let _flow = VisitMut::visit(&mut select.having, &mut merged);
    let _flow = VisitMut::visit(&mut select.named_window, &mut merged);
    if let Some(order_by) = order_by {
        // The names of output columns come first there.
        merged.columns.retain(|name, _| !outputs.contains(name));
        let _flow = VisitMut::visit(order_by, &mut merged);
    }
    Ok(())
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(ident(alias)),
        SelectItem::UnnamedExpr(expr) => Some(column_name(expr)),
        _ => None,
    }
}

/// A table of FROM and what is known of its columns.
struct Source {
    /// What it goes by.
    name: Option<String>,
    columns: Option<Vec<String>>,
    /// What the join on whose right it is merges.
    merges: Vec<String>,
}

/// What joins merge, by name, in the SELECT and around the subqueries that are visited.
struct Merged<'a> {
    sight: Sight<'a>,
    columns: BTreeMap<String, Expr>,
    /// The columns in FROM of each subquery around the current expression; `None`: they are not known.
    around: Vec<Option<Vec<String>>>,
}

impl Merged<'_> {
    /// Notes what the joins of one FROM item merge, and gives its tables.
    fn in_joins(&mut self, table: &mut ast::TableWithJoins) -> Result<Vec<Source>, Plain> {
        let mut left = vec![self.source(&table.relation)?];
        for join in &mut table.joins {
            let mut source = self.source(&join.relation)?;
            if let Some((takes_right, takes_left, constraint)) = sides(&mut join.join_operator) {
                source.merges = match constraint {
                    JoinConstraint::Using(names) => names.iter().filter_map(name_of).collect(),
                    JoinConstraint::Natural => in_common(&left, &source)?,
                    _ => Vec::new(),
                };
                let again = source.merges.iter().any(|name| self.columns.contains_key(name));
                let is_natural = matches!(constraint, JoinConstraint::Natural);
                let mut conditions = Vec::new();
                for name in &source.merges {
                    let on_left = self.columns.get(name).cloned().map_or_else(|| owner(&left, name), Ok);
                    let (on_left, right) = match (on_left, column(&source, name)) {
                        (Ok(on_left), Ok(right)) => (on_left, right),
                        // The left one is the engine's choice, too.
                        _ if !takes_right && !again => continue,
                        (Err(refusal), _) | (_, Err(refusal)) => return Err(refusal),
                    };
                    conditions.push(Expr::BinaryOp {
                        left: Box::new(on_left.clone()),
                        op: ast::BinaryOperator::Eq,
                        right: Box::new(right.clone()),
                    });
                    let value = match (takes_left, takes_right) {
                        (true, true) => call(Ident::new("coalesce"), vec![on_left, right]),
                        (_, true) => right,
                        _ => on_left,
                    };
                    self.columns.insert(name.clone(), value);
                }
                if again {
                    // The engine would compare the first of the columns that are merged.
                    let and = |left, right| Expr::BinaryOp {
                        left: Box::new(left),
                        op: ast::BinaryOperator::And,
                        right: Box::new(right),
                    };
                    if let Some(condition) = conditions.into_iter().reduce(and) {
                        *constraint = JoinConstraint::On(condition);
                    }
                } else if is_natural && !source.merges.is_empty() {
                    let names = source.merges.iter().map(|name| Ident::with_quote('"', name).into());
                    *constraint = JoinConstraint::Using(names.collect());
                }
            }
            left.push(source);
        }
        Ok(left)
    }

    fn source(&self, factor: &ast::TableFactor) -> Result<Source, Plain> {
        if let ast::TableFactor::NestedJoin { table_with_joins, .. } = factor
            && takes_from_right(table_with_joins)
        {
            return Err(unsupported("RIGHT or FULL JOIN with USING or NATURAL in parentheses"));
        }
        Ok(Source { name: called(factor), columns: of_factor(self.sight, factor), merges: Vec::new() })
    }

    /// What a wildcard stands for in one FROM item: what is merged, the last join's first, and what else each table has.
    fn wildcard(&self, tables: &[Source]) -> Result<Vec<SelectItem>, Plain> {
        let mut first: Vec<&String> = Vec::new();
        for name in tables.iter().rev().flat_map(|table| &table.merges) {
            if !first.contains(&name) {
                first.push(name);
            }
        }
        let mut items = Vec::new();
        for name in &first {
            items.push(match self.columns.get(*name) {
                Some(value) => {
                    SelectItem::ExprWithAlias { expr: value.clone(), alias: Ident::with_quote('"', name.as_str()) }
                }
                None => SelectItem::UnnamedExpr(owner(tables, name)?),
            });
        }
        for (index, table) in tables.iter().enumerate() {
            let mut excluded = Vec::new();
            for name in &first {
                // What only has the same name is shown.
                if table.merges.contains(*name) || owner_of(tables, name)? == index {
                    excluded.push(ast::ObjectName::from(vec![Ident::with_quote('"', name.as_str())]));
                }
            }
            if table.columns.as_ref().is_some_and(|columns| columns.len() == excluded.len()) {
                continue;
            }
            let name = table.name.as_ref().ok_or_else(|| unsupported("a wildcard over what has no name"))?;
            let name = ast::ObjectName::from(vec![Ident::with_quote('"', name)]);
            let options = ast::WildcardAdditionalOptions {
                opt_exclude: (!excluded.is_empty()).then_some(ast::ExcludeSelectItem::Multiple(excluded)),
                ..ast::WildcardAdditionalOptions::default()
            };
            let kind = ast::SelectItemQualifiedWildcardKind::ObjectName(name);
            items.push(SelectItem::QualifiedWildcard(kind, options));
        }
        Ok(items)
    }
}

/// Whether a table has a column of a name that is merged.
fn has(tables: &[Source], index: usize, name: &String) -> Result<bool, Plain> {
    let table = tables.get(index);
    if let Some(columns) = table.and_then(|table| table.columns.as_ref()) {
        return Ok(columns.contains(name));
    }
    let place = tables.iter().position(|table| table.merges.contains(name));
    if place == Some(1) && index == 0 || table.is_some_and(|table| table.merges.contains(name)) {
        return Ok(true);
    }
    Err(unsupported(format!("merging columns \"{name}\" beside a table that may have one")))
}

/// The columns that NATURAL merges.
fn in_common(left: &[Source], right: &Source) -> Result<Vec<String>, Plain> {
    let unknown = || unsupported("NATURAL JOIN of what has no known columns");
    let right = right.columns.as_ref().ok_or_else(unknown)?;
    let mut common = Vec::new();
    for table in left {
        for name in table.columns.as_ref().ok_or_else(unknown)? {
            if right.contains(name) && !common.contains(name) {
                common.push(name.clone());
            }
        }
    }
    Ok(common)
}

/// The column of a name in the first table that has it. What others have, joins have merged with it.
fn owner(tables: &[Source], name: &String) -> Result<Expr, Plain> {
    match tables {
        [one] => column(one, name),
        several => {
            several.get(owner_of(several, name)?).map_or_else(|| Err(missing(name)), |owner| column(owner, name))
        }
    }
}

fn owner_of(tables: &[Source], name: &String) -> Result<usize, Plain> {
    for index in 0..tables.len() {
        if has(tables, index, name)? {
            return Ok(index);
        }
    }
    Err(missing(name))
}

fn missing(name: &str) -> Plain {
    Plain::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" specified in USING clause does not exist"))
}

/// Whether RIGHT or FULL JOIN merges columns in it.
fn takes_from_right(table: &ast::TableWithJoins) -> bool {
    let nested = |factor: &ast::TableFactor| matches!(factor, ast::TableFactor::NestedJoin { table_with_joins, .. } if takes_from_right(table_with_joins));
    nested(&table.relation)
        || table.joins.iter().any(|join| {
            let merges = sides(&mut join.join_operator.clone()).is_some_and(|(takes_right, _, constraint)| {
                takes_right && matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
            });
            merges || nested(&join.relation)
        })
}

impl VisitorMut for Merged<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let names = match query.body.as_ref() {
            ast::SetExpr::Select(select) if query.with.is_none() => of_from(self.sight, select, None),
            _ => None,
        };
        self.around.push(names);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Identifier(name) = expr else { return ControlFlow::Continue(()) };
        let name = ident(name);
        let is_own = |names: &Option<Vec<String>>| names.as_ref().is_none_or(|names| names.contains(&name));
        if !self.around.iter().any(is_own)
            && let Some(value) = self.columns.get(&name)
        {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Whether a join's merged columns may come from the right, and from the left, with its condition.
fn sides(operator: &mut JoinOperator) -> Option<(bool, bool, &mut JoinConstraint)> {
    use JoinOperator as J;
    Some(match operator {
        J::Right(constraint) | J::RightOuter(constraint) => (true, false, constraint),
        J::FullOuter(constraint) => (true, true, constraint),
        J::Join(constraint) | J::Inner(constraint) | J::Left(constraint) | J::LeftOuter(constraint) => {
            (false, true, constraint)
        }
        _ => return None,
    })
}

fn name_of(name: &ast::ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(name)] => Some(ident(name)),
        _ => None,
    }
}

/// A column of a table, with the table's name.
fn column(table: &Source, name: &str) -> Result<Expr, Plain> {
    let missing = || unsupported("merged columns of what has no name");
    let table = table.name.as_ref().ok_or_else(missing)?;
    Ok(Expr::CompoundIdentifier(vec![Ident::with_quote('"', table), Ident::with_quote('"', name)]))
}

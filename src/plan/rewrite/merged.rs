//! Columns that RIGHT and FULL JOIN … USING merge: the engine takes them from the left side, PostgreSQL from the side that has
//! a row.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem, VisitMut, VisitorMut,
};

use super::output::column_name;
use super::syntax::call;
use super::wildcard::{called, ident, of_factor, of_from};
use crate::error::{Plain, unsupported};
use crate::plan::Scope;

/// Says what merged columns are wherever a SELECT names them without a table. `with`: names of CTEs. `0A000` for what is
/// merged by NATURAL, in parentheses, or more than once below a wildcard.
pub(super) fn columns(
    scope: &Scope,
    select: &mut Select,
    order_by: Option<&mut ast::OrderBy>,
    with: &HashSet<String>,
) -> Result<(), Plain> {
    let mut merged = Merged { scope, columns: BTreeMap::new(), around: Vec::new() };
    let mut kept = HashSet::new();
    for table in &mut select.from {
        kept.extend(merged.in_joins(table, with)?);
    }
    if merged.columns.is_empty() {
        return Ok(());
    }
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(options) => {
                if options.opt_replace.is_some() || merged.columns.keys().any(|name| !kept.contains(name)) {
                    return Err(unsupported("a wildcard over columns that several joins merge"));
                }
                let replace = merged.columns.iter().map(|(name, value)| {
                    let column_name = Ident::with_quote('"', name);
                    Box::new(ast::ReplaceSelectElement { expr: value.clone(), column_name, as_keyword: true })
                });
                options.opt_replace = Some(ast::ReplaceSelectItem { items: replace.collect() });
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = column_name(expr);
                let own = expr.clone();
                let _flow = VisitMut::visit(expr, &mut merged);
                if *expr != own {
                    *item = SelectItem::ExprWithAlias { alias: Ident::with_quote('"', name), expr: expr.clone() };
                }
            }
            other => {
                let _flow = VisitMut::visit(other, &mut merged);
            }
        }
    }
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

/// What is merged, by name, in the SELECT and around the subqueries that are visited.
struct Merged<'a> {
    scope: &'a Scope,
    columns: BTreeMap<String, Expr>,
    /// The columns in FROM of each subquery around the current expression; `None`: they are not known.
    around: Vec<Option<Vec<String>>>,
}

impl Merged<'_> {
    /// Notes what the joins of one FROM item merge. Gives the names that its wildcard shows once, still by USING.
    fn in_joins(&mut self, table: &mut ast::TableWithJoins, with: &HashSet<String>) -> Result<HashSet<String>, Plain> {
        let mut kept = HashSet::new();
        let mut left = vec![table.relation.clone()];
        for join in &mut table.joins {
            if let ast::TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
                refuse_in(table_with_joins)?;
            }
            let Some((takes_right, takes_left, constraint)) = sides(&mut join.join_operator) else {
                left.push(join.relation.clone());
                continue;
            };
            let names = match constraint {
                JoinConstraint::Using(names) => names.iter().map(name_of).collect::<Option<Vec<_>>>(),
                JoinConstraint::Natural if takes_right => None,
                _ => Some(Vec::new()),
            };
            let names = names.ok_or_else(|| unsupported("NATURAL RIGHT or FULL JOIN"))?;
            let again = names.iter().any(|name| self.columns.contains_key(name));
            let mut conditions = Vec::new();
            for name in names.iter().filter(|_| takes_right || again) {
                let right = column(&join.relation, name)?;
                let known = self.columns.get(name).cloned();
                let on_left = known.map_or_else(|| self.owner(&left, name, with), Ok)?;
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
                names.iter().for_each(|name| {
                    kept.remove(name);
                });
                let and = |left, right| Expr::BinaryOp {
                    left: Box::new(left),
                    op: ast::BinaryOperator::And,
                    right: Box::new(right),
                };
                if let Some(condition) = conditions.into_iter().reduce(and) {
                    *constraint = JoinConstraint::On(condition);
                }
            } else if takes_right {
                kept.extend(names);
            }
            left.push(join.relation.clone());
        }
        if let ast::TableFactor::NestedJoin { table_with_joins, .. } = &table.relation {
            refuse_in(table_with_joins)?;
        }
        Ok(kept)
    }

    /// The column of a name in the tables on the left of a join.
    fn owner(&self, left: &[ast::TableFactor], name: &str, with: &HashSet<String>) -> Result<Expr, Plain> {
        if let [one] = left {
            return column(one, name);
        }
        let unknown = || unsupported(format!("RIGHT or FULL JOIN with USING (\"{name}\") after other joins"));
        let mut owners = Vec::new();
        for factor in left {
            let is_cte = called(factor).is_none_or(|table| with.contains(&table));
            let names = of_factor(self.scope, factor).filter(|_| !is_cte).ok_or_else(unknown)?;
            if names.iter().any(|known| known == name) {
                owners.push(factor);
            }
        }
        // What several have, joins before have merged, and an inner or left join's value is the left one.
        owners.first().map_or_else(|| Err(unknown()), |owner| column(owner, name))
    }
}

impl VisitorMut for Merged<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let names = match query.body.as_ref() {
            ast::SetExpr::Select(select) if query.with.is_none() => of_from(self.scope, select, None),
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
fn column(factor: &ast::TableFactor, name: &str) -> Result<Expr, Plain> {
    let table = called(factor).ok_or_else(|| unsupported("RIGHT or FULL JOIN with USING of what has no name"))?;
    Ok(Expr::CompoundIdentifier(vec![Ident::with_quote('"', table), Ident::with_quote('"', name)]))
}

fn refuse_in(table: &ast::TableWithJoins) -> Result<(), Plain> {
    for join in &table.joins {
        let merges = sides(&mut join.join_operator.clone()).is_some_and(|(takes_right, _, constraint)| {
            takes_right && matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
        });
        if merges {
            return Err(unsupported("RIGHT or FULL JOIN with USING or NATURAL in parentheses"));
        }
        if let ast::TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
            refuse_in(table_with_joins)?;
        }
    }
    match &table.relation {
        ast::TableFactor::NestedJoin { table_with_joins, .. } => refuse_in(table_with_joins),
        _ => Ok(()),
    }
}

//! Names of output columns.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Distinct, Expr, Ident, ObjectNamePart, OrderBy, OrderByKind, Select, SelectItem};
use sqlparser::tokenizer::Span;

use super::function_name;
use super::session::is_session_word;
use super::sets::returns_set;
use super::syntax::{inside, outside_subqueries};
use crate::name::fold;
use crate::types::from_sql;

/// Separates an output column's name from the number that makes it unique inside the engine.
const UNIQUE: char = '\u{1}';

/// The name of an output column as the user sees it.
pub(in crate::plan) fn visible_name(name: &str) -> &str {
    name.split(UNIQUE).next().unwrap_or(name)
}

/// The same name again, told apart inside the engine.
pub(in crate::plan) fn numbered(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}{UNIQUE}{number}") }
}

/// Gives every unnamed output column PostgreSQL's name for it, made unique for the engine. `may_repeat`: a wildcard beside
/// it may give the name, too.
pub(super) fn name_columns(items: &mut [SelectItem], may_repeat: impl Fn(&str) -> bool) {
    let several = items.len() > 1;
    let wildcard = items.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let unnests = items.iter().any(|item| {
        let returns = |expr: &Expr| matches!(expr, Expr::Function(function) if function_name(function).is_some_and(|name| name == "unnest" || returns_set(&name)));
        let found = ast::visit_expressions(item, |expr| if returns(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        found.is_break()
    });
    let mut taken: HashSet<String> = HashSet::new();
    let mut unique = |name: String, mark: bool| -> Ident {
        let mut candidate = if mark { format!("{name}{UNIQUE}0") } else { name.clone() };
        let mut number = 0;
        while !taken.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name}{UNIQUE}{number}");
        }
        Ident { value: candidate, quote_style: Some('"'), span: Span::empty() }
    };
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let column = match &*expr {
                    Expr::Identifier(name) => !is_session_word(name),
                    other => matches!(other, Expr::CompoundIdentifier(_)),
                };
                let name = column_name(expr);
                if column {
                    // Kept as it is, so that its qualifier stays known, unless it would be there twice.
                    let alias = if several { unique(name.clone(), wildcard && may_repeat(&name)) } else { continue };
                    if alias.value == name {
                        continue;
                    }
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                } else {
                    // The engine unnests below, where the column itself goes by its name.
                    let mark = unnests && matches!(expr, Expr::CompoundFieldAccess { .. });
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(name, mark) };
                }
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                *alias = unique(folded(alias), false);
            }
            SelectItem::ExprWithAliases { .. } | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
        }
    }
}

/// Lets expressions in ORDER BY find the columns of FROM: PostgreSQL looks for an output column only where ORDER BY or
/// DISTINCT ON has its bare name, the engine everywhere.
pub(super) fn hide_from_order(select: &mut Select, order_by: &mut OrderBy) {
    let OrderByKind::Expressions(keys) = &mut order_by.kind else { return };
    let mut mentioned: HashSet<String> = HashSet::new();
    for key in keys.iter_mut().filter(|key| bare_name(&key.expr).is_none()) {
        outside_subqueries(&mut key.expr, &mut |expr| {
            mentioned.extend(bare_name(expr));
            if let Expr::CompoundIdentifier(parts) = inside(expr) {
                mentioned.extend(parts.last().map(folded));
            }
        });
    }
    for item in &mut select.projection {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (&*expr, column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (&*expr, folded(alias)),
            _ => continue,
        };
        let is_that_column = match inside(expr) {
            Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|column| folded(column) == name),
            other => bare_name(other).is_some_and(|column| column == name),
        };
        if is_that_column || !mentioned.contains(&name) {
            continue;
        }
        let hidden = Ident::with_quote('"', numbered(&name, 1));
        let on = match &mut select.distinct {
            Some(Distinct::On(on)) => on.as_mut_slice(),
            _ => &mut [],
        };
        for key in keys.iter_mut().map(|key| &mut key.expr).chain(on) {
            if bare_name(key).is_some_and(|key| key == name) {
                *key = Expr::Identifier(hidden.clone());
            }
        }
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: hidden };
    }
}

fn bare_name(expr: &Expr) -> Option<String> {
    match inside(expr) {
        Expr::Identifier(name) => Some(folded(name)),
        _ => None,
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { fold(&ident.value) }
}

/// PostgreSQL's `FigureColname`.
pub(in crate::plan) fn column_name(expr: &Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".to_owned())
}

/// The same, if an expression has a name by itself.
pub(in crate::plan) fn figure(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(parts) => folded(parts.last()?),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(name) => folded(name),
            ObjectNamePart::Function(_) => return None,
        },
        Expr::CompoundFieldAccess { root, access_chain } => {
            let name = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(folded(name)),
                _ => None,
            });
            return name.or_else(|| figure(root));
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return figure(inner),
        Expr::Cast { expr: inner, data_type, .. } => {
            let mut value = inside(inner);
            while let Expr::Cast { expr, .. } = value {
                value = inside(expr);
            }
            return Some(value)
                .filter(|value| !matches!(value, Expr::Case { .. } | Expr::TypedString(_) | Expr::Interval(_)))
                .and_then(figure)
                .or_else(|| from_sql(data_type).ok().map(|pg| pg.typname().trim_start_matches('_').to_owned()));
        }
        Expr::TypedString(typed) => from_sql(&typed.data_type).ok()?.typname(),
        Expr::Interval(interval) => match interval.value.as_ref() {
            cast @ Expr::Cast { .. } => return figure(cast),
            _ => "interval".to_owned(),
        },
        Expr::Case { else_result, .. } => {
            else_result.as_deref().and_then(strong_figure).unwrap_or_else(|| "case".to_owned())
        }
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Subquery(query) => match query.body.as_ref() {
            ast::SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => return figure(expr),
                SelectItem::ExprWithAlias { alias, .. } => folded(alias),
                _ => return None,
            },
            _ => return None,
        },
        Expr::Array(_) => "array".to_owned(),
        Expr::Tuple(_) => "row".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Substring { shorthand: true, .. } => "substr".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { trim_where: Some(ast::TrimWhereField::Leading), .. } => "ltrim".to_owned(),
        Expr::Trim { trim_where: Some(ast::TrimWhereField::Trailing), .. } => "rtrim".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => "overlaps".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        _ => return None,
    })
}

/// A CASE takes the name of its ELSE only from a column or function.
fn strong_figure(expr: &Expr) -> Option<String> {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_))
        .then(|| figure(expr))
        .flatten()
}

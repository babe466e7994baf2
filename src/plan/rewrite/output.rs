//! Names of output columns.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, Ident, ObjectNamePart, SelectItem};
use sqlparser::tokenizer::Span;

use super::function_name;
use super::session::is_session_word;
use super::sets::returns_set;
use super::syntax::inside;
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
                let name = if alias.quote_style.is_some() { alias.value.clone() } else { fold(&alias.value) };
                *alias = unique(name, false);
            }
            SelectItem::ExprWithAliases { .. } | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
        }
    }
}

/// PostgreSQL's `FigureColname`.
pub(in crate::plan) fn column_name(expr: &Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn figure(expr: &Expr) -> Option<String> {
    let ident = |ident: &Ident| if ident.quote_style.is_some() { ident.value.clone() } else { fold(&ident.value) };
    Some(match expr {
        Expr::Identifier(name) => ident(name),
        Expr::CompoundIdentifier(parts) => ident(parts.last()?),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(name) => ident(name),
            ObjectNamePart::Function(_) => return None,
        },
        Expr::CompoundFieldAccess { root, access_chain } => {
            let name = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(ident(name)),
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
                .filter(|value| !matches!(value, Expr::Case { .. } | Expr::TypedString(_)))
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
                SelectItem::ExprWithAlias { alias, .. } => ident(alias),
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

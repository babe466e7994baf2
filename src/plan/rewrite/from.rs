//! Functions in FROM.

use sqlparser::ast::{self, Expr, Ident, ObjectName, ObjectNamePart};

use super::session::session_call;
use super::syntax::plain_query;
use super::{is_independent, unqualify};
use crate::plan::Scope;

/// Functions, `unnest` included, become what the engine calls one, or the rows they stand for.
pub(super) fn function(scope: &Scope, factor: &mut ast::TableFactor) {
    if let ast::TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } = factor {
        unqualify(name);
        let series = name.to_string().eq_ignore_ascii_case("generate_series") && !*with_ordinality;
        let constant = args.args.iter().all(|argument| {
            matches!(argument, ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) if is_constant(expr))
        });
        if series && constant {
            // The engine has a table function that makes the numbers as they are read.
            let alias = alias.get_or_insert_with(|| ast::TableAlias {
                explicit: false,
                name: Ident::new("generate_series"),
                columns: vec![],
                at: None,
            });
            if alias.columns.is_empty() {
                alias.columns = vec![ast::TableAliasColumnDef::from_name(alias.name.to_string())];
            }
        } else {
            *factor = ast::TableFactor::Function {
                lateral: true,
                name: name.clone(),
                args: args.args.clone(),
                with_ordinality: *with_ordinality,
                alias: alias.clone(),
            };
        }
    }
    if let ast::TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } = factor {
        let args = std::mem::take(array_exprs)
            .into_iter()
            .map(|expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)));
        *factor = ast::TableFactor::Function {
            lateral: true,
            name: ObjectName::from(vec![Ident::new("unnest")]),
            args: args.collect(),
            with_ordinality: *with_ordinality,
            alias: alias.take(),
        };
    }
    if let ast::TableFactor::Function { lateral, name, args, alias, .. } = factor {
        unqualify(name);
        // What refers to nothing may stand on either side of any join.
        *lateral = !is_independent(args);
        if let Some(value) = args.is_empty().then(|| session_call(scope, name)).flatten() {
            let alias = alias.clone().unwrap_or_else(|| ast::TableAlias {
                explicit: false,
                name: name.0.last().and_then(ObjectNamePart::as_ident).cloned().unwrap_or_else(|| Ident::new("f")),
                columns: vec![],
                at: None,
            });
            let rows = ast::SetExpr::Values(ast::Values {
                explicit_row: false,
                value_keyword: false,
                rows: vec![ast::Parens::with_empty_span(vec![value])],
            });
            let columns = match alias.columns.as_slice() {
                [] => vec![ast::TableAliasColumnDef::from_name(alias.name.to_string())],
                given => given.to_vec(),
            };
            *factor = ast::TableFactor::Derived {
                lateral: false,
                subquery: Box::new(plain_query(rows)),
                alias: Some(ast::TableAlias { columns, ..alias }),
                sample: None,
            };
        }
    }
}

/// Whether an expression needs no row: literals and their signs.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        _ => false,
    }
}

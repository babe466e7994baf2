//! Functions in FROM.

use sqlparser::ast::{self, Expr, Ident, ObjectName, ObjectNamePart, SelectItem};

use super::session::session_call;
use super::sets::column_of;
use super::syntax::{cast, plain_query, select_from};
use super::{integer_literal, is_independent, unqualify};
use crate::plan::Scope;
use crate::types::PgType;

/// `FROM a, LATERAL l JOIN b` as `a CROSS JOIN LATERAL l JOIN b`: what is lateral is then the right side of a join, where
/// the engine looks for it.
pub(super) fn raise_laterals(from: &mut Vec<ast::TableWithJoins>) {
    use ast::{JoinConstraint as C, JoinOperator as J, TableFactor as F};
    let lateral = |factor: &F| match factor {
        F::Derived { lateral, .. } => *lateral,
        F::Function { .. } | F::Table { args: Some(_), .. } | F::UNNEST { .. } => true,
        _ => false,
    };
    let keeps = |join: &ast::Join| {
        matches!(
            join.join_operator,
            J::Join(C::On(_) | C::None)
                | J::Inner(C::On(_) | C::None)
                | J::Left(C::On(_))
                | J::LeftOuter(C::On(_))
                | J::CrossJoin(C::None)
        )
    };
    let last = from.iter().skip(1).rposition(|table| lateral(&table.relation) && !table.joins.is_empty());
    let Some(count) = last.map(|index| index + 2) else { return };
    if !from.iter().take(count).all(|table| table.joins.iter().all(keeps)) {
        return;
    }
    let mut tables = from.drain(..count);
    let Some(mut whole) = tables.next() else { return };
    for table in tables {
        whole.joins.push(ast::Join { relation: table.relation, global: false, join_operator: J::CrossJoin(C::None) });
        whole.joins.extend(table.joins);
    }
    from.insert(0, whole);
}

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
            let shown = alias.get_or_insert_with(|| named("generate_series"));
            if shown.columns.is_empty() {
                shown.columns = vec![ast::TableAliasColumnDef::from_name(shown.name.to_string())];
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
        if let Some(column) = column_of(&name.to_string().to_lowercase()) {
            let shown = alias.get_or_insert_with(|| named(&name.to_string().to_lowercase()));
            if shown.columns.is_empty() {
                shown.columns = vec![ast::TableAliasColumnDef::from_name(column)];
            }
        }
        // What refers to nothing may stand on either side of any join.
        *lateral = !is_independent(args);
        if let Some(value) = args.is_empty().then(|| session_call(scope, name)).flatten() {
            let function = name.0.last().and_then(ObjectNamePart::as_ident).map_or("f", |name| &name.value);
            let alias = alias.clone().unwrap_or_else(|| named(function));
            let rows = ast::SetExpr::Values(ast::Values {
                explicit_row: false,
                value_keyword: false,
                rows: vec![ast::Parens::with_empty_span(vec![value])],
            });
            let columns = match alias.columns.as_slice() {
                [] => vec![ast::TableAliasColumnDef::from_name(alias.name.to_string())],
                given => given.to_vec(),
            };
            *factor = derived(rows, ast::TableAlias { columns, ..alias });
        }
    }
}

/// The engine's series are of bigint; those between integers are of integer.
pub(super) fn narrow_series(factor: &mut ast::TableFactor) {
    let ast::TableFactor::Table { args: Some(args), alias, .. } = factor else { return };
    let narrow = args.args.iter().all(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => integer_literal(expr) == Some(PgType::Int4),
        _ => false,
    });
    let Some(shown) = alias.take_if(|_| narrow) else { return };
    let columns = vec![ast::TableAliasColumnDef::from_name("value")];
    *alias = Some(ast::TableAlias { columns, ..named("generate_series") });
    let value = cast(Expr::Identifier(Ident::new("value")), "int4");
    *factor = derived(select_from(vec![SelectItem::UnnamedExpr(value)], factor.clone()), shown);
}

fn named(name: &str) -> ast::TableAlias {
    ast::TableAlias { explicit: false, name: Ident::new(name), columns: vec![], at: None }
}

fn derived(rows: ast::SetExpr, alias: ast::TableAlias) -> ast::TableFactor {
    let subquery = Box::new(plain_query(rows));
    ast::TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None }
}

/// Whether an expression needs no row: literals and their signs.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        _ => false,
    }
}

//! Functions in FROM.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, Ident, ObjectName, ObjectNamePart, SelectItem, VisitMut, VisitorMut};

use super::output::column_name;
use super::session::session_call;
use super::sets::column_of;
use super::syntax::{cast, plain_query, select_from};
use super::wildcard::ident as called;
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

/// What a function in FROM goes by is its one value, where its rows have a column of another name: `e` in
/// `jsonb_array_elements(…) e`.
pub(super) fn values_of_functions(select: &mut ast::Select) {
    let relations = select
        .from
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
    let named = relations.filter_map(|factor| match factor {
        ast::TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
        | ast::TableFactor::Function { name, alias: Some(alias), .. }
            if alias.columns.is_empty() =>
        {
            let function = name.to_string().to_lowercase();
            let pg = match function.as_str() {
                name if name.ends_with("_text") => "text",
                name if name.starts_with("jsonb") => "jsonb",
                _ => "json",
            };
            Some((called(&alias.name), column_of(&function)?, pg))
        }
        _ => None,
    });
    let mut values = Values(named.collect());
    if values.0.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(value @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) = item
            && let Some(replaced) = values.of(value)
        {
            let alias = Ident::with_quote('"', column_name(value));
            *item = SelectItem::ExprWithAlias { alias, expr: replaced };
        }
    }
    let _flow = VisitMut::visit(&mut select.projection, &mut values);
    let _flow = VisitMut::visit(&mut select.from, &mut values);
    let _flow = VisitMut::visit(&mut select.selection, &mut values);
    let _flow = VisitMut::visit(&mut select.group_by, &mut values);
    let _flow = VisitMut::visit(&mut select.having, &mut values);
}

/// Names of functions' rows, with their column and its type, which the engine does not tell of what it unnests.
struct Values(Vec<(String, &'static str, &'static str)>);

impl Values {
    fn of(&self, value: &Expr) -> Option<Expr> {
        let (name, column) = match value {
            Expr::Identifier(name) => (name, None),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [name, column] => (name, Some(called(column))),
                _ => return None,
            },
            _ => return None,
        };
        let (_, own, pg) = self.0.iter().find(|(known, ..)| *known == called(name))?;
        if column.is_some_and(|column| column != *own) {
            return None;
        }
        Some(cast(Expr::CompoundIdentifier(vec![name.clone(), Ident::new(*own)]), pg))
    }
}

impl VisitorMut for Values {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(value) = self.of(expr) {
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}

/// Functions, `unnest` included, become what the engine calls one, or the rows they stand for.
pub(super) fn function(scope: &Scope, factor: &mut ast::TableFactor) {
    if let ast::TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } = factor {
        unqualify(name);
        let series = name.to_string().eq_ignore_ascii_case("generate_series") && !*with_ordinality;
        if series && is_of_literals(args) {
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
    let narrow = literals(args).all(|literal| literal == Some(PgType::Int4));
    let Some(shown) = alias.take_if(|_| narrow) else { return };
    let columns = vec![ast::TableAliasColumnDef::from_name("value")];
    *alias = Some(ast::TableAlias { columns, ..named("generate_series") });
    let value = cast(Expr::Identifier(Ident::new("value")), "int4");
    *factor = derived(select_from(vec![SelectItem::UnnamedExpr(value)], factor.clone()), shown);
}

pub(super) fn named(name: &str) -> ast::TableAlias {
    ast::TableAlias { explicit: false, name: Ident::new(name), columns: vec![], at: None }
}

pub(super) fn derived(rows: ast::SetExpr, alias: ast::TableAlias) -> ast::TableFactor {
    let subquery = Box::new(plain_query(rows));
    ast::TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None }
}

fn literals(args: &ast::TableFunctionArgs) -> impl Iterator<Item = Option<PgType>> {
    args.args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => integer_literal(expr),
        _ => None,
    })
}

/// Whether a series is between literal integers, by steps that are none but zero.
fn is_of_literals(args: &ast::TableFunctionArgs) -> bool {
    let step = args.args.get(2).map(ToString::to_string);
    matches!(args.args.len(), 2 | 3) && literals(args).all(|literal| literal.is_some()) && step.as_deref() != Some("0")
}

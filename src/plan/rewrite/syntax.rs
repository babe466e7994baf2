//! Pieces of syntax: how they are made, and what is inside them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Value, VisitMut,
    VisitorMut,
};
use sqlparser::tokenizer::Span;

/// `name(arguments)`.
pub(in crate::plan) fn call(name: Ident, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)));
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// An expression with a type of this name around it.
pub(in crate::plan) fn cast(expr: Expr, pg: &str) -> Expr {
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(pg))]);
    cast_to(expr, ast::DataType::Custom(name, vec![]))
}

/// An expression with a type around it.
pub(super) fn cast_to(expr: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// `CASE WHEN condition THEN value END`.
pub(super) fn only_where(condition: Expr, value: Expr) -> Expr {
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen { condition, result: value }],
        else_result: None,
    }
}

/// `CAST('value' AS type)`.
pub(super) fn typed(pg: &str, text: &str) -> Expr {
    cast(string(text), pg)
}

pub(super) fn null(pg: &str) -> Expr {
    cast(Expr::Value(ast::ValueWithSpan { value: Value::Null, span: Span::empty() }), pg)
}

pub(super) fn string(text: &str) -> Expr {
    Expr::Value(ast::ValueWithSpan { value: Value::SingleQuotedString(text.to_owned()), span: Span::empty() })
}

pub(super) fn select_from(projection: Vec<SelectItem>, relation: ast::TableFactor) -> ast::SetExpr {
    let from = vec![ast::TableWithJoins { relation, joins: vec![] }];
    match select_of(projection) {
        ast::SetExpr::Select(select) => ast::SetExpr::Select(Box::new(Select { from, ..*select })),
        other => other,
    }
}

/// SELECT without FROM.
pub(super) fn select_of(projection: Vec<SelectItem>) -> ast::SetExpr {
    ast::SetExpr::Select(Box::new(Select {
        select_token: ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: vec![],
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: ast::GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    }))
}

pub(super) fn plain_query(body: ast::SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

/// The arguments of a call that are plain expressions.
pub(in crate::plan) fn arguments(function: &ast::Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let expression = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().filter_map(expression).collect()
}

pub(super) fn inside(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => inside(inner),
        other => other,
    }
}

/// Visits the expressions in some syntax, innermost first, but for those in subqueries.
pub(super) fn outside_subqueries(syntax: &mut impl VisitMut, visit: &mut impl FnMut(&mut Expr)) {
    struct Outside<'f, F> {
        visit: &'f mut F,
        /// Subqueries around the current expression.
        depth: usize,
    }

    impl<F: FnMut(&mut Expr)> VisitorMut for Outside<'_, F> {
        type Break = ();

        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if self.depth == 0 {
                (self.visit)(expr);
            }
            ControlFlow::Continue(())
        }
    }

    let _flow = VisitMut::visit(syntax, &mut Outside { visit, depth: 0 });
}

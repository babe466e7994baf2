//! What PostgreSQL decides from a query's text before binding: names of output columns, functions that stand for facts
//! of the session, types of parameters that a cast names.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Value, VisitMut,
    VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::Scope;
use crate::error::{Plain, SqlError, SqlState};
use crate::name::fold;
use crate::pg::{ARRAY_SUBQUERY, UNTYPED_ARRAY};
use crate::setting::{SERVER_VERSION, Zone};
use crate::types::{PgType, from_sql};

/// Separates an output column's name from the number that makes it unique inside the engine.
const UNIQUE: char = '\u{1}';

/// The name of an output column as the user sees it.
pub(super) fn visible_name(name: &str) -> &str {
    name.split(UNIQUE).next().unwrap_or(name)
}

/// The same name again, told apart inside the engine.
pub(super) fn numbered(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}{UNIQUE}{number}") }
}

/// Set-returning functions other than `unnest`: in the engine each makes an array.
const SET_RETURNING: &[&str] = &["generate_series", "generate_subscripts", "pg_partition_ancestors"];

/// Set-returning functions of several columns: for each column there is a function `name.column` that makes an array.
const COMPOSITES: &[(&str, &[&str])] = &[
    ("pg_options_to_table", &["option_name", "option_value"]),
    ("aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
    ("_pg_expandarray", &["x", "n"]),
    ("pg_get_keywords", &["word", "catcode", "barelabel", "catdesc", "baredesc"]),
];

pub(super) fn returns_set(name: &str) -> bool {
    SET_RETURNING.contains(&name) || !composite(name).is_empty()
}

/// The columns of a set-returning function that has several.
pub(super) fn composite(name: &str) -> &'static [&'static str] {
    COMPOSITES.iter().find(|(known, _)| *known == name).map_or(&[], |(_, columns)| columns)
}

/// `name(arguments)`.
pub(super) fn call(name: Ident, arguments: Vec<Expr>) -> Expr {
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

/// Makes set-returning functions in a select list what the engine knows: the unnesting of an array.
struct SetsInSelect {
    /// Subqueries around the current expression.
    depth: usize,
}

impl VisitorMut for SetsInSelect {
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
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let unnested = match expr {
            Expr::Function(function) if function_name(function).is_some_and(|name| SET_RETURNING.contains(&&*name)) => {
                Some(expr.clone())
            }
            // `(f(x)).column`
            Expr::CompoundFieldAccess { root, access_chain } => match (unnest(root), access_chain.as_slice()) {
                (Expr::Function(function), [ast::AccessExpr::Dot(Expr::Identifier(column))]) => {
                    let name = function_name(function).unwrap_or_default();
                    let column = fold(&column.value);
                    composite(&name).contains(&column.as_str()).then(|| {
                        let mut part = function.clone();
                        let ident = Ident::with_quote('"', format!("{name}.{column}"));
                        part.name = ObjectName::from(vec![ident]);
                        Expr::Function(part)
                    })
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(array) = unnested {
            *expr = call(Ident::new("unnest"), vec![array]);
        }
        ControlFlow::Continue(())
    }
}

fn unnest(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnest(inner),
        other => other,
    }
}

/// The folded name of a function of `pg_catalog` or `information_schema`.
fn function_name(function: &ast::Function) -> Option<String> {
    let mut name = function.name.clone();
    unqualify(&mut name);
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] if name.quote_style.is_none() => Some(fold(&name.value)),
        _ => None,
    }
}

/// Rewrites a query in place. `types` receives the parameter types that casts name.
pub(super) fn query(scope: &Scope, query: &mut Query, types: &mut Vec<Option<PgType>>) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { scope, types, error: None };
    let _flow = VisitMut::visit(query, &mut rewriter);
    rewriter.error.map_or(Ok(()), Err)
}

/// Rewrites one expression in place.
pub(super) fn expression(scope: &Scope, expr: &mut Expr) -> Result<(), SqlError> {
    let mut types = Vec::new();
    let mut rewriter = Rewriter { scope, types: &mut types, error: None };
    let _flow = VisitMut::visit(expr, &mut rewriter);
    rewriter.error.map_or(Ok(()), Err)
}

struct Rewriter<'a> {
    scope: &'a Scope,
    types: &'a mut Vec<Option<PgType>>,
    error: Option<SqlError>,
}

impl Rewriter<'_> {
    /// A parameter's type, unless it has one.
    fn suggest(&mut self, index: usize, pg: PgType) {
        if self.types.len() <= index {
            self.types.resize(index + 1, None);
        }
        if let Some(slot) = self.types.get_mut(index) {
            slot.get_or_insert(pg);
        }
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        values_of_columns(&mut query.body);
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let counts = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            for index in counts.filter_map(placeholder) {
                self.suggest(index, PgType::Int8);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.error = Some(crate::error::unsupported("SELECT INTO").into());
            return ControlFlow::Break(());
        }
        qualify_wildcards(select);
        name_columns(&mut select.projection);
        let mut sets = SetsInSelect { depth: 0 };
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item {
                let _flow = VisitMut::visit(expr, &mut sets);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
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
            if let Some(value) = args.is_empty().then(|| session_call(self.scope, name)).flatten() {
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
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && let Some(index) = placeholder(inner)
        {
            match from_sql(data_type) {
                Ok(pg) => self.suggest(index, pg),
                Err(error) => {
                    self.error = Some(error.into());
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replacement = match expr {
            Expr::Function(function) => {
                unqualify(&mut function.name);
                match &function.args {
                    _ if let Some(pg) = counted(function) => Some(cast(Expr::Function(function.clone()), pg)),
                    FunctionArguments::Subquery(query) if is_array(function) => {
                        Some(call(Ident::new(ARRAY_SUBQUERY), vec![Expr::Subquery(query.clone())]))
                    }
                    _ => session_function(self.scope, function),
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take()
                    && !matches!(&escape.value, Value::SingleQuotedString(text) if text == "\\")
                {
                    let given = std::mem::replace(pattern.as_mut(), string(""));
                    **pattern = call(Ident::new("like_escape"), vec![given, Expr::Value(escape)]);
                }
                None
            }
            // The engine plans the items of ARRAY[…] without the outer query in sight; those of a call it does not.
            Expr::Array(array) if !array.elem.is_empty() => {
                Some(call(Ident::new("make_array"), std::mem::take(&mut array.elem)))
            }
            Expr::Collate { expr: inner, collation } => match check_collation(collation) {
                Ok(()) => Some(inner.as_ref().clone()),
                Err(error) => {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
            },
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
                if let Expr::Function(function) = unnest(right)
                    && function_name(function).as_deref() == Some(ARRAY_SUBQUERY)
                    && let FunctionArguments::List(list) = &function.args
                    && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(query @ Expr::Subquery(_)))] =
                        list.args.as_slice()
                {
                    // `ANY (ARRAY(SELECT …))` asks the query itself.
                    let query = query.clone();
                    **right = query;
                }
                if matches!(unnest(right), Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_))) {
                    let text = std::mem::replace(right.as_mut(), string(""));
                    **right = call(Ident::new(UNTYPED_ARRAY), vec![text]);
                }
                None
            }
            Expr::BinaryOp { left, op: ast::BinaryOperator::PGOverlap, right } => {
                Some(call(Ident::new("array_has_any"), vec![left.as_ref().clone(), right.as_ref().clone()]))
            }
            Expr::BinaryOp { op: op @ ast::BinaryOperator::PGCustomBinaryOperator(_), .. } => {
                if let ast::BinaryOperator::PGCustomBinaryOperator(parts) = op
                    && let Some(plain) = parts.last().and_then(|symbol| operator(symbol))
                {
                    *op = plain;
                }
                None
            }
            // `x::numeric` without scale: the literal's own.
            Expr::Cast { expr: inner, data_type, .. } => {
                if let (Expr::Value(value), ast::DataType::Numeric(info) | ast::DataType::Decimal(info)) =
                    (inner.as_ref(), &mut *data_type)
                    && *info == ast::ExactNumberInfo::None
                    && let Value::Number(text, _) | Value::SingleQuotedString(text) = &value.value
                    && let Some(numeric) = crate::encode::parse_numeric(text)
                {
                    let scale = i64::from(numeric.scale.max(0));
                    *info = ast::ExactNumberInfo::PrecisionAndScale(38, scale);
                }
                None
            }
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// The index of `$n`, from 0.
pub(super) fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

/// What PostgreSQL counts in, for functions whose results are unsigned in the engine.
fn counted(function: &ast::Function) -> Option<&'static str> {
    match function_name(function)?.as_str() {
        "row_number" | "rank" | "dense_rank" | "ntile" if function.over.is_some() => Some("int8"),
        "cardinality" | "array_length" | "array_ndims" | "array_position" => Some("int4"),
        _ => None,
    }
}

fn is_array(function: &ast::Function) -> bool {
    matches!(function.name.0.as_slice(), [ObjectNamePart::Identifier(name)] if fold(&name.value) == "array")
}

/// Whether an expression needs no row: literals and their signs.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        _ => false,
    }
}

/// Text is compared byte by byte, as in collation C. `42704` for another one.
fn check_collation(name: &ObjectName) -> Result<(), SqlError> {
    let last = match name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) if ident.quote_style.is_some() => ident.value.clone(),
        Some(ObjectNamePart::Identifier(ident)) => fold(&ident.value),
        _ => String::new(),
    };
    if matches!(last.as_str(), "default" | "C" | "POSIX" | "ucs_basic") {
        return Ok(());
    }
    let message = format!("collation \"{last}\" for encoding \"UTF8\" does not exist");
    Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into())
}

/// The operator behind `OPERATOR(pg_catalog.…)`.
fn operator(symbol: &str) -> Option<ast::BinaryOperator> {
    use ast::BinaryOperator as O;
    Some(match symbol {
        "=" => O::Eq,
        "<>" | "!=" => O::NotEq,
        "<" => O::Lt,
        "<=" => O::LtEq,
        ">" => O::Gt,
        ">=" => O::GtEq,
        "+" => O::Plus,
        "-" => O::Minus,
        "*" => O::Multiply,
        "/" => O::Divide,
        "%" => O::Modulo,
        "||" => O::StringConcat,
        "~" => O::PGRegexMatch,
        "~*" => O::PGRegexIMatch,
        "!~" => O::PGRegexNotMatch,
        "!~*" => O::PGRegexNotIMatch,
        "~~" => O::PGLikeMatch,
        "~~*" => O::PGILikeMatch,
        "!~~" => O::PGNotLikeMatch,
        "!~~*" => O::PGNotILikeMatch,
        _ => return None,
    })
}

/// Whether nothing in some syntax refers to a column or reads a relation.
fn is_independent(syntax: &impl ast::Visit) -> bool {
    ast::visit_expressions(syntax, |expr: &Expr| match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Subquery(_)
        | Expr::Exists { .. }
        | Expr::InSubquery { .. } => ControlFlow::Break(()),
        Expr::Function(function) if matches!(function.args, FunctionArguments::Subquery(_)) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_continue()
}

/// VALUES with columns of other relations in them: the engine takes constants only, and types each row by itself.
fn values_of_columns(body: &mut ast::SetExpr) {
    let ast::SetExpr::Values(values) = body else { return };
    if is_independent(values) {
        return;
    }
    let row = |row: ast::Parens<Vec<Expr>>| {
        let named = row.content.into_iter().enumerate().map(|(index, expr)| {
            let alias = Ident::new(format!("column{}", index + 1));
            SelectItem::ExprWithAlias { expr, alias }
        });
        select_of(named.collect())
    };
    let union = |left: ast::SetExpr, right: ast::SetExpr| ast::SetExpr::SetOperation {
        op: ast::SetOperator::Union,
        set_quantifier: ast::SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    };
    let rows = std::mem::take(&mut values.rows);
    if let Some(all) = rows.into_iter().map(row).reduce(union) {
        *body = all;
    }
}

/// SELECT without FROM.
fn select_of(projection: Vec<SelectItem>) -> ast::SetExpr {
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

/// `t.*` of a table that FROM names with its schema: the engine knows it by its whole name.
fn qualify_wildcards(select: &mut Select) {
    let factors = select
        .from
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
    let named: Vec<ObjectName> = factors
        .filter_map(|factor| match factor {
            ast::TableFactor::Table { name, alias: None, args: None, .. } if name.0.len() > 1 => Some(name.clone()),
            _ => None,
        })
        .collect();
    for item in &mut select.projection {
        if let SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(qualifier), _) = item
            && let [ObjectNamePart::Identifier(short)] = qualifier.0.as_slice()
        {
            let same = |name: &&ObjectName| {
                let last = name.0.last().and_then(ObjectNamePart::as_ident);
                last.is_some_and(|last| super::query::folded(last) == super::query::folded(short))
            };
            if let Some(full) = named.iter().find(same) {
                *qualifier = full.clone();
            }
        }
    }
}

/// The value of a function of the session without arguments.
fn session_call(scope: &Scope, name: &ObjectName) -> Option<Expr> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
    match call(ident.clone(), vec![]) {
        Expr::Function(function) => session_function(scope, &function),
        _ => None,
    }
}

fn plain_query(body: ast::SetExpr) -> Query {
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

/// Drops `pg_catalog.` (or `information_schema.`) before a function's name.
fn unqualify(name: &mut ObjectName) {
    if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)] = name.0.as_slice()
        && crate::pg::system::is_system_schema(&fold(&schema.value))
    {
        *name = ObjectName(vec![ObjectNamePart::Identifier(function.clone())]);
    }
}

/// Gives every unnamed output column PostgreSQL's name for it, made unique for the engine.
fn name_columns(items: &mut [SelectItem]) {
    let several = items.len() > 1;
    let wildcard = items.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
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
                let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                let name = column_name(expr);
                if column {
                    // Kept as it is, so that its qualifier stays known, unless it would be there twice.
                    let alias = if several { unique(name.clone(), wildcard) } else { continue };
                    if alias.value == name {
                        continue;
                    }
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                } else {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: unique(name, false) };
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
pub(super) fn column_name(expr: &Expr) -> String {
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
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return figure(inner),
        Expr::Cast { expr: inner, data_type, .. } => {
            return Some(inner.as_ref())
                .filter(|inner| !matches!(unnest(inner), Expr::Cast { .. } | Expr::Case { .. } | Expr::TypedString(_)))
                .and_then(figure)
                .or_else(|| from_sql(data_type).ok().map(|pg| pg.typname().trim_start_matches('_').to_owned()));
        }
        Expr::TypedString(typed) => from_sql(&typed.data_type).ok()?.typname(),
        Expr::Interval(_) => "interval".to_owned(),
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
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        Expr::Value(value) => match value.value {
            Value::Boolean(_) => "bool".to_owned(),
            _ => return None,
        },
        _ => return None,
    })
}

/// A CASE takes the name of its ELSE only from a column or function.
fn strong_figure(expr: &Expr) -> Option<String> {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_))
        .then(|| figure(expr))
        .flatten()
}

/// Functions whose value the session knows: they become literals.
fn session_function(scope: &Scope, function: &ast::Function) -> Option<Expr> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let arguments: Vec<&Expr> = match &function.args {
        FunctionArguments::None => vec![],
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect::<Option<_>>()?,
        FunctionArguments::Subquery(_) => return None,
    };
    let ctx = &scope.ctx;
    let timestamp = |micros: i64, zoned: bool, text_only_date: bool| {
        let zone = ctx.settings.time_zone();
        let offset = i64::from(zone.offset_at(micros)) * 1_000_000;
        let (pg, value) = if text_only_date {
            (
                "date",
                crate::encode::timestamp_text(micros + offset, None).split(' ').next().unwrap_or_default().to_owned(),
            )
        } else if zoned {
            ("timestamptz", crate::encode::timestamp_text(micros, Some(Zone::UTC)))
        } else {
            ("timestamp", crate::encode::timestamp_text(micros + offset, None))
        };
        typed(pg, &value)
    };
    let first_schema =
        || ctx.search_path.first().and_then(|id| ctx.catalog.schema(*id)).map(|schema| schema.name.clone());
    Some(match (fold(&name.value).as_str(), arguments.as_slice()) {
        ("current_user" | "user" | "current_role", []) => typed("name", &ctx.catalog.role_name(ctx.user)),
        ("session_user", []) => typed("name", &ctx.catalog.role_name(ctx.session_role)),
        ("current_database" | "current_catalog", []) => typed("name", crate::catalog::DATABASE_NAME),
        ("current_schema", []) => match first_schema() {
            Some(schema) => typed("name", &schema),
            None => null("name"),
        },
        ("version", []) => typed(
            "text",
            &format!(
                "PostgreSQL {SERVER_VERSION} (Boathouse {}) on x86_64-pc-linux-gnu, 64-bit",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        ("pg_backend_pid", []) => typed("int4", &ctx.backend_pid.to_string()),
        ("now" | "current_timestamp" | "transaction_timestamp", []) => timestamp(ctx.transaction_start_us, true, false),
        ("statement_timestamp", []) => timestamp(ctx.statement_start_us, true, false),
        ("localtimestamp", []) => timestamp(ctx.transaction_start_us, false, false),
        ("current_date", []) => timestamp(ctx.transaction_start_us, false, true),
        ("current_setting", [Expr::Value(value), rest @ ..]) => {
            let Value::SingleQuotedString(setting) = &value.value else { return None };
            match (ctx.settings.show(setting), rest) {
                (Some((_, value)), _) => typed("text", &value),
                (None, [Expr::Value(missing_ok)]) if missing_ok.value == Value::Boolean(true) => null("text"),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn string(text: &str) -> Expr {
    Expr::Value(ast::ValueWithSpan { value: Value::SingleQuotedString(text.to_owned()), span: Span::empty() })
}

/// `CAST('value' AS type)`.
fn typed(pg: &str, text: &str) -> Expr {
    cast(string(text), pg)
}

fn null(pg: &str) -> Expr {
    cast(Expr::Value(ast::ValueWithSpan { value: Value::Null, span: Span::empty() }), pg)
}

/// An expression with a type of this name around it.
pub(super) fn cast(expr: Expr, pg: &str) -> Expr {
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(pg))]);
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(expr),
        data_type: ast::DataType::Custom(name, vec![]),
        array: false,
        format: None,
    }
}

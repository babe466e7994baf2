//! What PostgreSQL decides from a query's text before binding: names of output columns, functions that stand for facts
//! of the session, types of parameters that casts and literals tell.

mod arrays;
mod casts;
mod dates;
mod from;
mod grouping;
mod merged;
mod output;
mod precedence;
mod records;
mod recordset;
mod rows;
mod session;
mod sets;
mod spelling;
mod syntax;
mod tableoid;
mod values;
mod wildcard;

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Value, VisitMut,
    VisitorMut,
};

pub(super) use self::output::{column_name, figure, numbered, visible_name};
pub(super) use self::sets::{composite, returns_set};
pub(super) use self::syntax::{arguments, call, cast};
use self::syntax::{inside, string};
pub(super) use self::wildcard::called;
use self::wildcard::{Sight, With};
use super::Scope;
use super::ties::WITH_TIES;
use crate::error::{Plain, SqlError, SqlState};
use crate::name::fold;
use crate::pg::{ANY_EQUAL, ARRAY_OF, ARRAY_SUBQUERY, OUTPUT_TEXT, UNTYPED_ARRAY};
use crate::types::{PgType, from_sql};

/// The folded name of a function of `pg_catalog` or `information_schema`.
fn function_name(function: &ast::Function) -> Option<String> {
    let mut name = function.name.clone();
    unqualify(&mut name);
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] if name.quote_style.is_none() => Some(fold(&name.value)),
        _ => None,
    }
}

/// Rewrites a query in place. `types` receives the parameter types that its text tells.
pub(super) fn query(scope: &Scope, query: &mut Query, types: &mut Vec<Option<PgType>>) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { scope, types, depth: 0, with: With::new(), around: Vec::new(), error: None };
    let _flow = VisitMut::visit(query, &mut rewriter);
    rewriter.error.map_or(Ok(()), Err)
}

/// Rewrites one expression in place.
pub(super) fn expression(scope: &Scope, expr: &mut Expr) -> Result<(), SqlError> {
    typed_expression(scope, expr, &mut Vec::new())
}

/// The same for one with parameters.
pub(super) fn typed_expression(
    scope: &Scope,
    expr: &mut Expr,
    types: &mut Vec<Option<PgType>>,
) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { scope, types, depth: 0, with: With::new(), around: Vec::new(), error: None };
    let _flow = VisitMut::visit(expr, &mut rewriter);
    match rewriter.error {
        Some(error) => Err(error),
        None => super::query::check_expression(expr, scope),
    }
}

struct Rewriter<'a> {
    scope: &'a Scope,
    types: &'a mut Vec<Option<PgType>>,
    /// How many queries the visited syntax is in.
    depth: usize,
    /// Names of WITH that are known here.
    with: With,
    /// Those that are known around each query that is being visited.
    around: Vec<With>,
    error: Option<SqlError>,
}

impl Rewriter<'_> {
    fn sight(&self) -> Sight<'_> {
        Sight { scope: self.scope, with: &self.with }
    }

    /// A parameter's type, unless it has one. Anything else than a parameter has a type of its own.
    fn suggest(&mut self, expr: &Expr, pg: &PgType) {
        let Some(index) = placeholder(expr) else { return };
        if self.types.len() <= index {
            self.types.resize(index + 1, None);
        }
        if let Some(slot) = self.types.get_mut(index) {
            slot.get_or_insert_with(|| pg.clone());
        }
    }

    /// Parameters among expressions that have a type in common, when all others are integer literals, take theirs.
    fn suggest_together<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr> + Clone) {
        let mut found = None;
        for expr in exprs.clone().filter(|expr| placeholder(expr).is_none()) {
            match integer_literal(expr) {
                Some(PgType::Int4) => found = found.or(Some(PgType::Int4)),
                Some(wide) => found = Some(wide),
                // It has a type of its own, which the engine knows.
                None => return,
            }
        }
        if let Some(pg) = found {
            exprs.for_each(|expr| self.suggest(expr, &pg));
        }
    }

    /// Types of the parameters that an expression has as operands.
    fn suggest_operands(&mut self, expr: &Expr) {
        use ast::BinaryOperator as O;
        match expr {
            Expr::BinaryOp { left, op: O::And | O::Or, right } => {
                self.suggest(left, &PgType::Bool);
                self.suggest(right, &PgType::Bool);
            }
            Expr::UnaryOp { op: ast::UnaryOperator::Not, expr }
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr) => self.suggest(expr, &PgType::Bool),
            Expr::BinaryOp {
                left,
                op:
                    O::Plus
                    | O::Minus
                    | O::Multiply
                    | O::Divide
                    | O::Modulo
                    | O::Eq
                    | O::NotEq
                    | O::Lt
                    | O::LtEq
                    | O::Gt
                    | O::GtEq,
                right,
            } => self.suggest_together([left.as_ref(), right].into_iter()),
            Expr::BinaryOp { left, op: O::StringConcat, right }
                if placeholder(left).is_some() && placeholder(right).is_some() =>
            {
                self.suggest(left, &PgType::Text);
                self.suggest(right, &PgType::Text);
            }
            Expr::Between { expr, low, high, .. } => {
                self.suggest_together([expr.as_ref(), low].into_iter());
                self.suggest_together([expr.as_ref(), high].into_iter());
            }
            Expr::InList { expr, list, .. } => {
                self.suggest_together(std::iter::once(expr.as_ref()).chain(list));
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                match operand {
                    None => conditions.iter().for_each(|when| self.suggest(&when.condition, &PgType::Bool)),
                    Some(operand) => {
                        let compared = conditions.iter().map(|when| &when.condition);
                        self.suggest_together(std::iter::once(operand.as_ref()).chain(compared));
                    }
                }
                self.suggest_together(conditions.iter().map(|when| &when.result).chain(else_result.as_deref()));
            }
            Expr::Function(function) => {
                let name = function_name(function).unwrap_or_default();
                if let FunctionArguments::List(list) = &function.args
                    && matches!(name.as_str(), "coalesce" | "nullif" | "greatest" | "least")
                {
                    let args = list.args.iter().filter_map(|argument| match argument {
                        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                        _ => None,
                    });
                    self.suggest_together(args);
                }
                if let FunctionArguments::List(list) = &function.args
                    && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(fraction))] = list.args.as_slice()
                    && !function.within_group.is_empty()
                    && name.starts_with("percentile_")
                {
                    self.suggest(fraction, &PgType::Float8);
                }
            }
            _ => {}
        }
    }
}

/// The type of an integer literal.
fn integer_literal(expr: &Expr) -> Option<PgType> {
    match expr {
        Expr::Nested(inner) | Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: inner } => integer_literal(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.parse::<i32>().is_ok() => Some(PgType::Int4),
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => Some(PgType::Int8),
            _ => None,
        },
        _ => None,
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            casts::mark_recursive_terms(with);
        }
        self.depth -= 1;
        self.with = self.around.pop().unwrap_or_default();
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        if let Err(error) = values::alike(&mut query.body) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        values::as_union(&mut query.body, self.depth == 1);
        let known = query.with.as_ref().map(|with| wildcard::of_with(self.sight(), with));
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            let columns = known.as_ref().and_then(|known| known.get(&wildcard::ident(&table.alias.name)).cloned());
            wildcard::complete(&mut table.alias, columns.flatten());
        }
        self.around.push(self.with.clone());
        self.with.extend(known.into_iter().flatten());
        let sight = Sight { scope: self.scope, with: &self.with };
        if let Err(refusal) = merged::in_body(sight, &mut query.body, query.order_by.as_mut()) {
            self.error = Some(refusal.into());
            return ControlFlow::Break(());
        }
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            if let Some(order_by) = &mut query.order_by {
                output::hide_from_order(select, order_by);
                casts::tell_apart_in_order(order_by, &casts::repeated(select));
            }
            grouping::by_primary_keys(self.scope, select, query.order_by.as_ref(), &self.with);
        }
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            for count in limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)) {
                if let Err(error) = as_count(count) {
                    self.error = Some(error.into());
                    return ControlFlow::Break(());
                }
            }
            let counts = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            counts.for_each(|count| self.suggest(count, &PgType::Int8));
        }
        if let Err(error) = mark_ties(query) {
            self.error = Some(error.into());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.error = Some(crate::error::unsupported("SELECT INTO").into());
            return ControlFlow::Break(());
        }
        if let ast::GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in std::mem::take(keys) {
                match key {
                    // `GROUP BY ()`: one group, also of no rows.
                    Expr::Tuple(items) if items.is_empty() => keys.push(Expr::GroupingSets(vec![vec![]])),
                    Expr::Tuple(items) => keys.extend(items),
                    key => keys.push(key),
                }
            }
        }
        for condition in select.selection.iter().chain(&select.having) {
            self.suggest(condition, &PgType::Bool);
        }
        if let Err(error) = recordset::as_queries(&mut select.from) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        from::raise_laterals(&mut select.from);
        qualify_wildcards(select);
        if let Err(error) = records::expand(self.sight(), select) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        let starred = wildcard::names(self.sight(), select);
        let outermost = self.depth == 1;
        let may_repeat = |name: &str| starred.as_ref().map_or(outermost, |names| names.contains(name));
        output::name_columns(&mut select.projection, may_repeat);
        let repeated = casts::repeated(select);
        casts::tell_apart(select, &repeated);
        sets::in_select(&mut select.projection);
        from::values_of_functions(select);
        if let Err(error) = records::whole_rows(self.sight(), select) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // After subqueries, which may have tables of the same names.
        tableoid::resolve(self.sight(), select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        from::function(self.scope, factor);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        from::narrow_series(factor);
        let columns = wildcard::of_factor(self.sight(), factor);
        if let ast::TableFactor::Table { alias: Some(alias), .. }
        | ast::TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            wildcard::complete(alias, columns);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Wildcard(_) | Expr::QualifiedWildcard(..)) {
            self.error = Some(crate::error::unsupported("a whole row as a value").into());
            return ControlFlow::Break(());
        }
        dates::overlaps(expr);
        spelling::float_literal(expr);
        self.suggest_operands(expr);
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && placeholder(inner).is_some()
        {
            match from_sql(data_type) {
                Ok(pg) => {
                    // A name that stands for nothing is found out later.
                    if let Ok((pg, _)) = self.scope.ctx.named_type(&pg) {
                        self.suggest(inner, &pg.unbounded());
                    }
                }
                Err(error) => {
                    self.error = Some(error.into());
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        precedence::raise_not(expr);
        precedence::lower_distinct(expr);
        if let Some(error) = spelling::refused(expr) {
            self.error = Some(error.into());
            return ControlFlow::Break(());
        }
        if let Some(call) = spelling::as_call(expr) {
            *expr = call;
        }
        let replacement = match expr {
            Expr::Identifier(ident) if session::is_session_word(ident) => {
                session::session_call(self.scope, &ObjectName::from(vec![ident.clone()]))
            }
            Expr::Function(function) => {
                unqualify(&mut function.name);
                output_arguments(function);
                arrays::unnested(function);
                dates::arguments(self.scope, function);
                match &function.args {
                    _ if let Some(pg) = counted(function) => Some(cast(Expr::Function(function.clone()), pg)),
                    FunctionArguments::Subquery(query) if is_array(function) => {
                        Some(call(Ident::new(ARRAY_SUBQUERY), vec![Expr::Subquery(query.clone())]))
                    }
                    _ => session::session_function(self.scope, function),
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
            // What an interval's text means is for its type to say.
            Expr::Interval(interval)
                if interval.leading_field.is_none()
                    && interval.leading_precision.is_none()
                    && matches!(interval.value.as_ref(), Expr::Value(_)) =>
            {
                Some(cast(interval.value.as_ref().clone(), "interval"))
            }
            Expr::Extract { field, expr, .. } => Some(dates::extract(field, expr)),
            Expr::AtTimeZone { timestamp, time_zone } => {
                let (timestamp, zone) = (timestamp.as_ref().clone(), time_zone.as_ref().clone());
                Some(call(Ident::new("timezone"), vec![zone, timestamp]))
            }
            // The engine plans the items of ARRAY[…] without the outer query in sight; those of a call it does not.
            Expr::Array(array) if !array.elem.is_empty() => {
                Some(call(Ident::new(ARRAY_OF), std::mem::take(&mut array.elem)))
            }
            Expr::Collate { expr: inner, collation } => match check_collation(collation) {
                Ok(()) => Some(inner.as_ref().clone()),
                Err(error) => {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
            },
            Expr::AnyOp { .. } | Expr::AllOp { .. } => quantified(expr),
            Expr::BinaryOp { left, op: ast::BinaryOperator::AtArrow | ast::BinaryOperator::ArrowAt, right } => {
                arrays::flatten(left);
                arrays::flatten(right);
                None
            }
            Expr::BinaryOp { left, op: ast::BinaryOperator::PGOverlap, right } => {
                for side in [&mut *left, right] {
                    if !mark_untyped_array(side) {
                        arrays::flatten(side);
                    }
                }
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
            Expr::Tuple(items) => Some(records::tuple(items)),
            Expr::CompoundFieldAccess { root, access_chain } => match arrays::subscripts(root, access_chain) {
                Ok(several) => several.or_else(|| records::access(root, access_chain)),
                Err(error) => {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
            },
            Expr::BinaryOp { left, op, right } => rows::comparison(left, op, right),
            Expr::InList { expr, list, negated } => rows::in_list(expr, list, *negated),
            Expr::Between { expr, negated, low, high } => rows::between(expr, low, high, *negated),
            Expr::IsDistinctFrom(left, right) => rows::distinct(left, right, true),
            Expr::IsNotDistinctFrom(left, right) => rows::distinct(left, right, false),
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// Marks a literal without a type as an array. Tells whether it is one.
fn mark_untyped_array(expr: &mut Expr) -> bool {
    let is_text = matches!(inside(expr), Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)));
    if is_text {
        let text = std::mem::replace(expr, string(""));
        *expr = call(Ident::new(UNTYPED_ARRAY), vec![text]);
    }
    is_text
}

/// `value op ANY (array)` and `ALL`. `None`: it stays as it has become.
fn quantified(expr: &mut Expr) -> Option<Expr> {
    let (Expr::AnyOp { right, .. } | Expr::AllOp { right, .. }) = expr else { return None };
    if let Expr::Function(function) = inside(right)
        && function_name(function).as_deref() == Some(ARRAY_SUBQUERY)
        && let FunctionArguments::List(list) = &function.args
        && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(query @ Expr::Subquery(_)))] = list.args.as_slice()
    {
        // `ANY (ARRAY(SELECT …))` asks the query itself.
        let query = query.clone();
        **right = query;
    }
    if !mark_untyped_array(right) && placeholder(right).is_none() && !matches!(inside(right), Expr::Subquery(_)) {
        arrays::flatten(right);
    }
    match expr {
        // Different from all is equal to none: the engine compares with NULL in its own way.
        Expr::AllOp { left, compare_op: ast::BinaryOperator::NotEq, right }
            if !matches!(inside(right), Expr::Subquery(_)) =>
        {
            let any = call(Ident::new(ANY_EQUAL), vec![right.as_ref().clone(), left.as_ref().clone()]);
            Some(Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(any) })
        }
        Expr::AnyOp { left, compare_op: ast::BinaryOperator::Eq, right, .. }
            if !matches!(inside(right), Expr::Subquery(_)) =>
        {
            Some(call(Ident::new(ANY_EQUAL), vec![right.as_ref().clone(), left.as_ref().clone()]))
        }
        _ => None,
    }
}

/// What `concat` and its like put together is the text of any values.
fn output_arguments(function: &mut ast::Function) {
    if !function_name(function).is_some_and(|name| ["concat", "concat_ws"].contains(&name.as_str())) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) = argument
            && !matches!(value, Expr::Value(literal) if !matches!(literal.value, Value::Boolean(_)))
        {
            let given = std::mem::replace(value, string(""));
            *value = call(Ident::new(OUTPUT_TEXT), vec![given]);
        }
    }
}

/// A limit that is `FETCH FIRST n ROWS WITH TIES`, of which the statement's text made `LIMIT n FETCH FIRST ROWS WITH TIES`.
fn mark_ties(query: &mut Query) -> Result<(), Plain> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.percent {
        return Err(crate::error::unsupported("FETCH of a percentage"));
    }
    if query.order_by.is_none() {
        let message = "WITH TIES cannot be specified without ORDER BY clause";
        return Err(Plain::new(SqlState::SYNTAX_ERROR, message));
    }
    if let Some(ast::LimitClause::LimitOffset { limit: Some(limit), .. }) = &mut query.limit_clause {
        let count = std::mem::replace(limit, string(""));
        *limit = call(Ident::new(WITH_TIES), vec![count]);
    }
    Ok(())
}

/// A literal of no type as a number of rows. `22P02`
fn as_count(count: &mut Expr) -> Result<(), Plain> {
    let Expr::Value(ast::ValueWithSpan { value, .. }) = count else { return Ok(()) };
    if let Value::SingleQuotedString(text) = value {
        let number: i64 = text.trim().parse().map_err(|_malformed| {
            let message = format!("invalid input syntax for type bigint: \"{text}\"");
            Plain::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })?;
        *value = Value::Number(number.to_string(), false);
    }
    Ok(())
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

/// Text is compared byte by byte, as in collation C. `42704` for another one.
fn check_collation(name: &ObjectName) -> Result<(), SqlError> {
    let last = match name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) if ident.quote_style.is_some() => ident.value.clone(),
        Some(ObjectNamePart::Identifier(ident)) => fold(&ident.value),
        _ => String::new(),
    };
    crate::types::unknown_collation(&last)
        .map_or(Ok(()), |message| Err(Plain::new(SqlState::UNDEFINED_OBJECT, message).into()))
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

/// Drops `pg_catalog.` (or `information_schema.`) before a function's name.
fn unqualify(name: &mut ObjectName) {
    if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)] = name.0.as_slice()
        && crate::pg::system::is_system_schema(&fold(&schema.value))
    {
        *name = ObjectName(vec![ObjectNamePart::Identifier(function.clone())]);
    }
}

//! Syntax of SQL's own functions and operators as calls of functions.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, UnaryOperator, Value};

use super::function_name;
use super::syntax::{arguments, call, cast, inside, string};
use crate::error::{Plain, unsupported};
use crate::pg::{SORTED_INTERPOLATION, SORTED_MODE, SORTED_PERCENTILE};
use crate::types::PgType;

fn named(name: &str, values: Vec<Expr>) -> Option<Expr> {
    Some(call(Ident::new(name), values))
}

/// What stands for an expression; `None`: itself.
pub(super) fn as_call(expr: &mut Expr) -> Option<Expr> {
    let sensitive = matches!(expr, Expr::Like { .. });
    match expr {
        Expr::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
            named("ceil", vec![expr.as_ref().clone()])
        }
        Expr::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
            named("floor", vec![expr.as_ref().clone()])
        }
        Expr::Position { expr, r#in } => named("strpos", vec![r#in.as_ref().clone(), expr.as_ref().clone()]),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let start = substring_from.as_deref().cloned();
            let length = substring_for.as_deref().cloned();
            let start = start.unwrap_or_else(|| number("1"));
            named("substring", [expr.as_ref().clone(), start].into_iter().chain(length).collect())
        }
        Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
            let name = match trim_where {
                Some(ast::TrimWhereField::Leading) => "ltrim",
                Some(ast::TrimWhereField::Trailing) => "rtrim",
                Some(ast::TrimWhereField::Both) | None => "btrim",
            };
            let what = trim_what.as_deref().cloned().or_else(|| trim_characters.as_ref()?.first().cloned());
            named(name, std::iter::once(expr.as_ref().clone()).chain(what).collect())
        }
        Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
            let values = [expr, overlay_what, overlay_from].map(|value| value.as_ref().clone());
            named("overlay", values.into_iter().chain(overlay_for.as_deref().cloned()).collect())
        }
        Expr::SimilarTo { negated, expr, pattern, escape_char } => {
            let escape = escape_char.take().map(Expr::Value);
            let pattern =
                named("similar_to_escape", std::iter::once(pattern.as_ref().clone()).chain(escape).collect())?;
            let op = if *negated { ast::BinaryOperator::PGRegexNotMatch } else { ast::BinaryOperator::PGRegexMatch };
            Some(Expr::BinaryOp { left: expr.clone(), op, right: Box::new(pattern) })
        }
        Expr::BinaryOp { left, op: ast::BinaryOperator::PGStartsWith, right } => {
            named("starts_with", vec![left.as_ref().clone(), right.as_ref().clone()])
        }
        Expr::Value(value) => match &value.value {
            Value::UnicodeStringLiteral(text) => Some(string(text)),
            _ => None,
        },
        Expr::UnaryOp { op, expr } => unary(*op, expr),
        // The type that a text is cast to is not one of the interval's.
        Expr::Interval(interval) => match interval.value.as_mut() {
            Expr::Cast { expr: value, .. } if matches!(value.as_ref(), Expr::Value(_)) => {
                let text = value.as_ref().clone();
                let Expr::Cast { expr: value, .. } = interval.value.as_mut() else { return None };
                **value = cast(text, "interval");
                Some(interval.value.as_ref().clone())
            }
            // The fields say how precise it is; from years to months and from days to seconds its text says it all.
            Expr::Value(_) if interval.last_field.is_some() => Some(cast(interval.value.as_ref().clone(), "interval")),
            _ => None,
        },
        Expr::Like { negated, any, expr, pattern, escape_char }
        | Expr::ILike { negated, any, expr, pattern, escape_char } => {
            let (patterns, op) = if *any {
                (items(pattern)?, ast::BinaryOperator::Or)
            } else {
                let Expr::Function(function) = inside(pattern) else { return None };
                let [list] = <[Expr; 1]>::try_from(arguments(function)).ok()?;
                (items(&list).filter(|_| function_name(function).as_deref() == Some("all"))?, ast::BinaryOperator::And)
            };
            let like = |pattern: Expr| {
                let (negated, expr, pattern, escape_char) =
                    (*negated, expr.clone(), Box::new(pattern), escape_char.clone());
                if sensitive {
                    Expr::Like { negated, any: false, expr, pattern, escape_char }
                } else {
                    Expr::ILike { negated, any: false, expr, pattern, escape_char }
                }
            };
            joined(patterns.into_iter().map(like), &op)
        }
        Expr::Function(function) => other_name(function),
        _ => None,
    }
}

/// `1e300::float8`: the engine takes such a number for a numeric first, which does not hold it.
pub(super) fn float_literal(expr: &mut Expr) {
    let Expr::Cast { expr: value, data_type, .. } = expr else { return };
    if !matches!(crate::types::from_sql(data_type), Ok(PgType::Float4 | PgType::Float8)) {
        return;
    }
    let (sign, number) = match inside(value) {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => ("-", inside(expr)),
        other => ("", other),
    };
    if let Expr::Value(ast::ValueWithSpan { value: Value::Number(digits, _), .. }) = number
        && digits.contains(['e', 'E'])
    {
        **value = string(&format!("{sign}{digits}"));
    }
}

/// Functions that are others, or expressions, in the engine.
fn other_name(function: &ast::Function) -> Option<Expr> {
    match function_name(function).as_deref() {
        Some("every") => renamed(function, "bool_and"),
        Some("avg") => {
            let mut unordered = function.clone();
            if let FunctionArguments::List(list) = &mut unordered.args {
                list.clauses.clear();
            }
            named("average_of", vec![renamed(&unordered, "sum")?, renamed(&unordered, "count")?])
        }
        Some("mode") => named(SORTED_MODE, vec![sorted(function)?]),
        Some("percentile_disc") => percentile(function, SORTED_PERCENTILE),
        Some("percentile_cont") => percentile(function, SORTED_INTERPOLATION),
        Some("variance") => renamed(function, "var_samp"),
        // The engine's own of these names are about the first that is found.
        Some("array_remove") => renamed(function, "array_remove_all"),
        Some("array_replace") => renamed(function, "array_replace_all"),
        Some(
            name @ ("json_extract_path" | "json_extract_path_text" | "jsonb_extract_path" | "jsonb_extract_path_text"),
        ) => {
            let pg = if name.starts_with("jsonb") { "jsonb" } else { "json" };
            at_path(function, pg, if name.ends_with("_text") { "#>>" } else { "#>" })
        }
        Some("jsonb_agg") => named("to_jsonb", vec![collected(function, 0, None)?]),
        Some("json_agg") => named("json_of_items", vec![collected(function, 0, Some("to_json"))?]),
        Some(name @ ("json_object_agg" | "jsonb_object_agg")) => {
            let keys = collected(function, 0, Some(crate::pg::OUTPUT_TEXT))?;
            let whole = call(Ident::new("json_of_pairs"), vec![keys, collected(function, 1, Some("to_json"))?]);
            Some(if name == "jsonb_object_agg" { cast(cast(whole, "text"), "jsonb") } else { whole })
        }
        Some(name @ ("num_nulls" | "num_nonnulls")) => {
            let wants_null = name == "num_nulls";
            let counted = arguments(function).into_iter().map(|value| {
                let value = Box::new(value);
                cast(if wants_null { Expr::IsNull(value) } else { Expr::IsNotNull(value) }, "int4")
            });
            joined(counted, &ast::BinaryOperator::Plus)
        }
        _ => None,
    }
}

/// What the engine takes for a window function. `0A000`
pub(super) fn refused(expr: &Expr) -> Option<Plain> {
    let Expr::Function(function) = expr else { return None };
    let name = function_name(function)?;
    let ranks = matches!(name.as_str(), "rank" | "dense_rank" | "percent_rank" | "cume_dist");
    (ranks && !function.within_group.is_empty()).then(|| unsupported(format!("{name} as an aggregate")))
}

/// The values of a group in the order of WITHIN GROUP, as an array without NULL.
fn sorted(function: &ast::Function) -> Option<Expr> {
    let [order] = function.within_group.as_slice() else { return None };
    let mut array = function.clone();
    array.name = ast::ObjectName::from(vec![Ident::new("array_agg")]);
    array.within_group.clear();
    let FunctionArguments::List(list) = &mut array.args else { return None };
    list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(order.expr.clone()))];
    list.clauses = vec![ast::FunctionArgumentClause::OrderBy(vec![order.clone()])];
    let is_there = Expr::IsNotNull(Box::new(order.expr.clone()));
    array.filter = Some(Box::new(match array.filter.take() {
        Some(filter) => joined([Expr::Nested(filter), is_there].into_iter(), &ast::BinaryOperator::And)?,
        None => is_there,
    }));
    Some(Expr::Function(array))
}

/// A percentile, or an array of those of several fractions.
fn percentile(function: &ast::Function, name: &str) -> Option<Expr> {
    let [fraction] = <[Expr; 1]>::try_from(arguments(function)).ok()?;
    let one = |fraction: Expr| named(name, vec![sorted(function)?, fraction]);
    match items(&fraction) {
        Some(fractions) => {
            let all = fractions.into_iter().map(one).collect::<Option<Vec<_>>>()?;
            named(crate::pg::ARRAY_OF, all)
        }
        None => one(fraction),
    }
}

fn renamed(function: &ast::Function, name: &str) -> Option<Expr> {
    Some(Expr::Function(ast::Function { name: ast::ObjectName::from(vec![Ident::new(name)]), ..function.clone() }))
}

/// A value of a document, by the steps of a path that are given one by one.
fn at_path(function: &ast::Function, pg: &str, operator: &str) -> Option<Expr> {
    let mut steps = arguments(function).into_iter();
    let document = steps.next()?;
    let steps = steps.map(|step| cast(step, "text")).collect();
    named(operator, vec![cast(document, pg), call(Ident::new(crate::pg::ARRAY_OF), steps)])
}

/// An argument of an aggregate in all rows, as an array, after a function was applied to it.
fn collected(function: &ast::Function, argument: usize, apply: Option<&str>) -> Option<Expr> {
    let mut array = function.clone();
    let value = arguments(function).into_iter().nth(argument)?;
    let value = match apply {
        Some(name) => cast(call(Ident::new(name), vec![value]), "text"),
        None => value,
    };
    array.name = ast::ObjectName::from(vec![Ident::new("array_agg")]);
    let FunctionArguments::List(list) = &mut array.args else { return None };
    list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
    Some(Expr::Function(array))
}

fn unary(op: UnaryOperator, value: &Expr) -> Option<Expr> {
    let as_float = || cast(value.clone(), "float8");
    match op {
        UnaryOperator::PGSquareRoot => named("sqrt", vec![as_float()]),
        UnaryOperator::PGCubeRoot => named("cbrt", vec![as_float()]),
        UnaryOperator::PGAbs => named("abs", vec![value.clone()]),
        UnaryOperator::BitwiseNot => named("~", vec![value.clone()]),
        _ => None,
    }
}

fn number(digits: &str) -> Expr {
    let span = sqlparser::tokenizer::Span::empty();
    Expr::Value(ast::ValueWithSpan { value: Value::Number(digits.to_owned(), false), span })
}

/// The items of `ARRAY[…]`.
fn items(list: &Expr) -> Option<Vec<Expr>> {
    match inside(list) {
        Expr::Array(array) => Some(array.elem.clone()),
        Expr::Function(function) if function_name(function).as_deref() == Some(crate::pg::ARRAY_OF) => {
            Some(arguments(function))
        }
        _ => None,
    }
}

fn joined(parts: impl Iterator<Item = Expr>, op: &ast::BinaryOperator) -> Option<Expr> {
    let whole =
        parts.reduce(|left, right| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) });
    whole.map(|whole| Expr::Nested(Box::new(whole)))
}

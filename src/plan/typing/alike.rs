//! What stands beside each other: literals without a type take the other's, types that differ in kind are refused.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, ScalarUDF, lit};

use super::call::call;
use super::cast::{cast, literal, remembering, without_scale};
use super::common::{Place, alike};
use super::pg_type;
use crate::error::{Plain, SqlError, SqlState};
use crate::pg::function::{JSONB_ORDER, PgFunction};
use crate::pg::{CheckedArithmetic, NestedCompare, ShiftedDate, Unified, rows_comparable};
use crate::plan::{Scope, records};
use crate::types::{PgType, field};

pub(super) fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::ScalarFunction(function) => function.args.iter().all(is_constant) && !function.args.is_empty(),
        _ => false,
    }
}

/// `IN` with columns in its list as comparisons: the engine compares lists with each other by their text.
pub(super) fn any_of(
    scope: &Scope,
    expr: &Expr,
    list: Vec<Expr>,
    negated: bool,
    schema: &DFSchema,
) -> Result<Transformed<Expr>> {
    let (op, all) = if negated { (Operator::NotEq, Operator::And) } else { (Operator::Eq, Operator::Or) };
    let mut whole: Option<Expr> = None;
    for item in list {
        let one = binary(scope, BinaryExpr::new(Box::new(expr.clone()), op, Box::new(item)), schema)?.data;
        whole = Some(match whole {
            Some(whole) => Expr::BinaryExpr(BinaryExpr::new(Box::new(whole), all, Box::new(one))),
            None => one,
        });
    }
    Ok(Transformed::yes(whole.unwrap_or_else(|| lit(negated))))
}

/// COALESCE and its like: all of one type. `42804`, `42846`, `42883`
pub(super) fn unified(scope: &Scope, function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let name = function.func.name().to_uppercase();
    if matches!(name.as_str(), "GREATEST" | "LEAST") {
        records::refuse_extreme(&name, &function.args, schema)?;
    }
    let (args, result) = match <[Expr; 2]>::try_from(function.args) {
        Ok([left, right]) if name == "NULLIF" => {
            let (left, right) = beside_each_other(scope, left, right, schema)?;
            comparable(Operator::Eq, &left, &right, schema)?;
            // Equality is that of texts.
            let text = |pg| if matches!(pg, PgType::Varchar(_)) { PgType::Text } else { pg };
            let result = pg_type(&left, schema).map(text);
            (vec![left, right], result)
        }
        Ok(args) => alike(scope, Place(&name, &name), args.into(), schema)?,
        Err(args) => alike(scope, Place(&name, &name), args, schema)?,
    };
    let engine = function.func.inner().downcast_ref::<Unified>();
    let func = engine.map_or(&function.func, Unified::inner);
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(func), args));
    Ok(Transformed::yes(remembering(call, result, schema)))
}

/// A string literal beside a value of another type is read as that type, as PostgreSQL does with unknown literals.
pub(in crate::plan) fn untyped(scope: &Scope, expr: Expr, target: Option<&PgType>) -> Result<Expr> {
    let is_char = |target: &&PgType| matches!(target, PgType::Char(_));
    // jsonb has one text for equal values only in its normal form.
    let has_own_form = |target: &&PgType| is_char(target) || **target == PgType::Jsonb;
    let Some(target) = target.filter(|target| !target.is_text() || has_own_form(target)) else { return Ok(expr) };
    match &expr {
        // Its padding means nothing, and its length need not fit.
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) if is_char(&target) => {
            Ok(lit(text.trim_end_matches(' ')))
        }
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            literal(scope, &target.without_modifier(), text)
        }
        _ => Ok(expr),
    }
}

/// A numeric beside a floating-point number is compared as one, too; a day beside a time as its midnight, which in the engine's own
/// unit not all of them have; a local time beside a moment as the moment that it is in the session's zone.
pub(in crate::plan) fn beside(scope: &Scope, expr: Expr, other: Option<&PgType>, schema: &DFSchema) -> Result<Expr> {
    let target = match (pg_type(&expr, schema), other) {
        (Some(PgType::Numeric(_)), Some(PgType::Float4 | PgType::Float8)) => PgType::Float8,
        (Some(PgType::Date), Some(PgType::Timestamp(_))) => PgType::Timestamp(None),
        (Some(PgType::Date | PgType::Timestamp(_)), Some(PgType::Timestamptz(_))) => PgType::Timestamptz(None),
        _ => return Ok(expr),
    };
    Ok(cast(scope, Cast::new_from_field(Box::new(expr), Arc::new(field("", &target, true))), schema)?.data)
}

/// Two values that are compared with each other, each as what the other makes of it.
fn beside_each_other(scope: &Scope, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (pg_type(&left, schema), pg_type(&right, schema));
    let left = untyped(scope, left, right_type.as_ref())?;
    let right = untyped(scope, right, left_type.as_ref())?;
    Ok((beside(scope, left, right_type.as_ref(), schema)?, beside(scope, right, left_type.as_ref(), schema)?))
}

pub(in crate::plan) fn with_type(scope: &Scope, exprs: Vec<Expr>, target: Option<&PgType>) -> Result<Vec<Expr>> {
    exprs.into_iter().map(|expr| untyped(scope, expr, target)).collect()
}

/// CASE: all results are of one type, and what is compared of that of what it is compared with. `42804`, `42846`
pub(super) fn case(scope: &Scope, mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Some(target) = case.expr.as_ref().and_then(|expr| pg_type(expr, schema)) {
        for (when, _) in &mut case.when_then_expr {
            let value = untyped(scope, when.as_ref().clone(), Some(&target))?;
            **when = beside(scope, value, Some(&target), schema)?;
        }
        // The engine has no table of such values.
        if let Some(expr) = case.expr.take_if(|expr| matches!(expr.get_type(schema), Ok(DataType::FixedSizeBinary(_))))
        {
            for (when, _) in &mut case.when_then_expr {
                **when = expr.as_ref().clone().eq(when.as_ref().clone());
            }
        }
    }
    // PostgreSQL looks at ELSE first.
    let mut slots: Vec<&mut Box<Expr>> = case.else_expr.as_mut().into_iter().collect();
    slots.extend(case.when_then_expr.iter_mut().map(|(_, then)| then));
    let results = slots.iter_mut().map(|slot| std::mem::replace(slot.as_mut(), Expr::Literal(ScalarValue::Null, None)));
    let (results, common) = alike(scope, Place("CASE", "CASE/WHEN"), results.collect(), schema)?;
    for (slot, result) in slots.into_iter().zip(results) {
        **slot = result;
    }
    let whole = remembering(Expr::Case(case), common, schema);
    Ok(Transformed::yes(if matches!(whole.get_type(schema), Ok(DataType::Boolean)) { guarding(whole) } else { whole }))
}

/// A CASE whose branches are conditions, as one whose branches are numbers: the engine takes the former apart into AND and OR,
/// which do not guard a division or a cast.
pub(super) fn guarding(expr: Expr) -> Expr {
    let Expr::Case(mut case) = expr else { return expr };
    let branches = || case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
    if !branches().any(may_fail) {
        return Expr::Case(case);
    }
    let number = |expr: &mut Box<Expr>| {
        let condition = std::mem::replace(expr.as_mut(), Expr::Literal(ScalarValue::Null, None));
        **expr = Expr::Cast(Cast::new(Box::new(condition), DataType::Int8));
    };
    case.when_then_expr.iter_mut().for_each(|(_, then)| number(then));
    case.else_expr.iter_mut().for_each(number);
    Expr::Case(case).eq(lit(1_i8))
}

/// Whether an expression may be an error for some rows.
pub(super) fn may_fail(expr: &Expr) -> bool {
    let fails = |expr: &Expr| {
        let divides =
            matches!(expr, Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Divide | Operator::Modulo));
        Ok(divides || matches!(expr, Expr::Cast(_) | Expr::ScalarFunction(_)))
    };
    expr.exists(fails).unwrap_or(true)
}

/// A varchar beside a char(n) is compared without the blanks at its end.
pub(super) fn beside_char(expr: Expr, own: Option<&PgType>, other: Option<&PgType>) -> Expr {
    match (own, other) {
        (Some(PgType::Varchar(_)), Some(PgType::Char(_))) => {
            datafusion::functions::expr_fn::rtrim(vec![expr, lit(" ")])
        }
        _ => expr,
    }
}

/// What is in the order of a value: documents are not in that of their texts.
pub(in crate::plan) fn ordered(scope: &Scope, value: Expr, schema: &DFSchema) -> Result<Expr> {
    let is_document =
        pg_type(&value, schema) == Some(PgType::Jsonb) && matches!(value.get_type(schema), Ok(DataType::Utf8View));
    match PgFunction::named(JSONB_ORDER).filter(|_| is_document) {
        Some(key) => call(scope, &key, vec![value], schema),
        None => Ok(value),
    }
}

pub(super) fn binary(scope: &Scope, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    let regex =
        matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch);
    let right = if regex { Box::new(regex_of(scope, *right, schema)?) } else { right };
    if op.supports_propagation() || matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        let (left_type, right_type) = (pg_type(&left, schema), pg_type(&right, schema));
        let (left, right) = beside_each_other(scope, *left, *right, schema)?;
        let left = beside_char(left, left_type.as_ref(), right_type.as_ref());
        let right = beside_char(right, right_type.as_ref(), left_type.as_ref());
        comparable(op, &left, &right, schema)?;
        let (left, right) = if matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) {
            (ordered(scope, left, schema)?, ordered(scope, right, schema)?)
        } else {
            (left, right)
        };
        let (left, right) = records::alike(scope, left, right, schema)?;
        if left.get_type(schema).is_ok_and(|data_type| data_type.is_nested())
            && right.get_type(schema).is_ok_and(|data_type| data_type.is_nested())
            && let Some(compare) = NestedCompare::new(op)
        {
            let compare = Arc::new(ScalarUDF::new_from_impl(compare));
            let compared = ScalarFunction::new_udf(compare, vec![left, right]);
            return Ok(Transformed::yes(Expr::ScalarFunction(compared)));
        }
        return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
    }
    let bytes = Some(PgType::Bytea).filter(|bytes| {
        let is_bytes = |expr: &Expr| pg_type(expr, schema).as_ref() == Some(bytes);
        op == Operator::StringConcat && (is_bytes(&left) || is_bytes(&right))
    });
    let left = Box::new(untyped(scope, *left, bytes.as_ref())?);
    let right = Box::new(untyped(scope, *right, bytes.as_ref())?);
    if let (Ok(a), Ok(b)) = (left.get_type(schema), right.get_type(schema))
        && let Some(result) = CheckedArithmetic::result_type(&a, &b)
        && let Some(checked) = CheckedArithmetic::new(op, result)
    {
        let udf = Arc::new(ScalarUDF::new_from_impl(checked));
        return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![*left, *right]))));
    }
    if let (Ok(a), Ok(b)) = (left.get_type(schema), right.get_type(schema)) {
        let swapped = op == Operator::Plus && b == DataType::Date32;
        let (a, b, date, days) = if swapped { (b, a, &right, &left) } else { (a, b, &left, &right) };
        if let Some(shifted) = ShiftedDate::new(op, &a, &b) {
            let arguments = vec![date.as_ref().clone(), days.as_ref().clone()];
            let udf = Arc::new(ScalarUDF::new_from_impl(shifted));
            return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments))));
        }
    }
    let plain = [&left, &right].into_iter().any(|expr| pg_type(expr, schema) == Some(PgType::Numeric(None)));
    let expr = Expr::BinaryExpr(BinaryExpr::new(left, op, right));
    if plain && matches!(expr.get_type(schema), Ok(DataType::Decimal128(..))) {
        return Ok(Transformed::yes(without_scale(expr, schema)));
    }
    Ok(Transformed::no(expr))
}

/// A regular expression as the engine reads it.
fn regex_of(scope: &Scope, pattern: Expr, schema: &DFSchema) -> Result<Expr> {
    match PgFunction::named("regex_of") {
        Some(function) => call(scope, &function, vec![pattern], schema),
        None => Ok(pattern),
    }
}

/// Refuses comparisons of an enumeration with anything else than itself. `42883`.
pub(super) fn comparable(op: Operator, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    match (pg_type(left, schema), pg_type(right, schema)) {
        (Some(a), Some(b)) if !is_unknown(left) && !is_unknown(right) => types_comparable(op, &a, &b),
        _ => Ok(()),
    }
}

/// Whether an expression takes its type from what it stands beside.
pub(in crate::plan) fn is_unknown(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(_)) || matches!(expr, Expr::Literal(value, _) if value.is_null())
}

pub(in crate::plan) fn types_comparable(op: Operator, a: &PgType, b: &PgType) -> Result<()> {
    if a == b {
        return Ok(());
    }
    if a.attributes().or(b.attributes()).is_some() {
        return Ok(rows_comparable(&op, a, b).map_err(SqlError::from)?);
    }
    if !a.is_made() && !b.is_made() {
        return Ok(());
    }
    let error = Plain::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {a} {op} {b}"))
        .hint("No operator matches the given name and argument types. You might need to add explicit type casts.");
    Err(SqlError::from(error).into())
}

//! PostgreSQL's typing rules on a freshly bound plan: integer literals, untyped string literals, casts from and to text,
//! integer overflow. Runs before the engine's own coercion.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Between, Case, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Projection, ScalarUDF, Union, lit,
};

use super::decorrelate::barrier;
use super::{Scope, arrays, domain, records};
use crate::catalog::{Relation, RelationKind, Sequence};
use crate::error::{Plain, SqlError, SqlState};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::{
    ANY_EQUAL, CheckedArithmetic, ExactNumeric, FromText, KnownAs, LastValue, OUTPUT_TEXT, Objects, SequenceAction,
    SequenceFunction, ToInteger, ToText, Unified, is_unbound, rows_comparable,
};
use crate::types::{PgType, TYPE_KEY, arrow_type, field, of_field};

/// Applies the rules to a plan and to its subqueries.
pub(super) fn apply(scope: &Scope, plan: LogicalPlan) -> Result<LogicalPlan> {
    // The columns of a recursive query keep the engine's types: its work table has been given them already.
    let recursive = contains_recursion(&plan)?;
    plan.transform_up_with_subqueries(|node| {
        // A limit is counted in the engine's own integers.
        if matches!(node, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(node));
        }
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let names = NamePreserver::new(&node);
        let values = matches!(node, LogicalPlan::Values(_));
        let keys = null_safe_keys(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| rule(scope, expr, &schema, !recursive))?;
            Ok(if values { rewritten } else { rewritten.update_data(|expr| name.restore(expr)) })
        })?;
        let mapped = if keys == NullSafe::Compared { mapped.map_data(compare_null_safely)? } else { mapped };
        if keys == NullSafe::Joined {
            // Or a later equality would become a key of the same, null-safe join.
            return mapped.map_data(barrier);
        }
        mapped.map_data(|node| match node {
            // Its schema is not recomputed: it is built anew, with a common type for each column.
            LogicalPlan::Values(values) => values_list(values.values),
            LogicalPlan::Union(union) => unite(scope, union),
            other => other.recompute_schema().and_then(remember_results).and_then(arrays::unnested),
        })
    })
    .map(|transformed| transformed.data)
}

/// UNION: literals without a type take that of the other rows. `42804`, `42846`.
fn unite(scope: &Scope, union: Union) -> Result<LogicalPlan> {
    let mut inputs: Vec<LogicalPlan> = union.inputs.iter().map(|input| input.as_ref().clone()).collect();
    for column in 0..union.schema.fields().len() {
        let known = |input: &LogicalPlan| {
            let pg = of_field(input.schema().fields().get(column)?);
            (selected_literal(input, column).is_none() && pg != PgType::Unknown).then_some(pg)
        };
        let types: Vec<PgType> = inputs.iter().filter_map(known).collect();
        types_agree(("UNION", "UNION"), types.iter().cloned())?;
        let Some(target) = types.iter().find(|pg| !pg.is_text()) else { continue };
        for input in &mut inputs {
            let Some(literal) = selected_literal(input, column).cloned() else { continue };
            let LogicalPlan::Projection(projection) = input else { continue };
            let mut exprs = projection.expr.clone();
            if let Some(expr) = exprs.get_mut(column) {
                let name = expr.schema_name().to_string();
                *expr = untyped(scope, literal, Some(target))?.alias(name);
            }
            *input = LogicalPlan::Projection(Projection::try_new(exprs, Arc::clone(&projection.input))?);
        }
    }
    let inputs = inputs.into_iter().map(Arc::new).collect();
    LogicalPlan::Union(Union { inputs, schema: union.schema }).recompute_schema()
}

/// The text that a query selects as it is, in the place of a column.
fn selected_literal(plan: &LogicalPlan, column: usize) -> Option<&Expr> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    let mut expr = projection.expr.get(column)?;
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), None)).then_some(expr)
}

/// A VALUES list. What PostgreSQL knows of its columns is said of them above it: the engine wants the same said of all values
/// of one column, and forgets it of those that it computes ahead.
fn values_list(mut rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
    let empty = DFSchema::empty();
    let mut known: Vec<Option<PgType>> = vec![None; rows.first().map_or(0, Vec::len)];
    for row in &mut rows {
        for (value, known) in row.iter_mut().zip(&mut known) {
            let (_, own) = value.to_field(&empty)?;
            if own.metadata().is_empty() {
                continue;
            }
            known.get_or_insert_with(|| of_field(&own));
            let plain = Field::new("value", own.data_type().clone(), own.is_nullable());
            let inner = std::mem::replace(value, Expr::Literal(ScalarValue::Null, None));
            *value = match inner {
                Expr::Literal(value, _) => Expr::Literal(value, None),
                Expr::Cast(cast) => Expr::Cast(Cast::new_from_field(cast.expr, Arc::new(plain))),
                other => Expr::Cast(Cast::new_from_field(Box::new(other), Arc::new(plain))),
            };
        }
    }
    let list = LogicalPlanBuilder::values(rows)?.build()?;
    if known.iter().all(Option::is_none) {
        return Ok(list);
    }
    let columns = list.schema().iter().zip(known).map(|((qualifier, shown), pg)| {
        let column = Expr::Column(datafusion::common::Column::new(qualifier.cloned(), shown.name()));
        match pg.filter(|pg| *pg != of_field(shown)) {
            Some(pg) => known_as(column, pg).alias(shown.name()),
            None => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(list).project(columns)?.build()
}

/// A value, which stays as it is, as one of a PostgreSQL type. A cast to the type that it has would be left out, and not
/// everywhere.
pub(super) fn known_as(value: Expr, pg: PgType) -> Expr {
    let function = ScalarUDF::new_from_impl(KnownAs::new(pg));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
}

/// Whether a plan is a VALUES list.
pub(super) fn is_values_list(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Values(_) => true,
        LogicalPlan::Projection(projection) => matches!(projection.input.as_ref(), LogicalPlan::Values(_)),
        _ => false,
    }
}

/// Applies the rules to one expression over a schema.
pub(super) fn expression(scope: &Scope, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| rule(scope, expr, schema, true))
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::ScalarFunction(function) => function.args.iter().all(is_constant) && !function.args.is_empty(),
        _ => false,
    }
}

/// `IN` with columns in its list as comparisons: the engine compares lists with each other by their text.
fn any_of(scope: &Scope, expr: &Expr, list: Vec<Expr>, negated: bool, schema: &DFSchema) -> Result<Transformed<Expr>> {
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

fn contains_recursion(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// What becomes of IS NOT DISTINCT FROM between columns in a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NullSafe {
    None,
    /// A join by nothing else.
    Joined,
    /// A condition beside others: the engine would take all of them for null-safe.
    Compared,
}

fn null_safe_keys(node: &LogicalPlan) -> NullSafe {
    let condition = match node {
        LogicalPlan::Filter(filter) => Some(&filter.predicate),
        LogicalPlan::Join(join) => join.filter.as_ref(),
        _ => None,
    };
    let is_null_safe = |expr: &Expr| {
        matches!(expr, Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right })
            if !left.column_refs().is_empty() && !right.column_refs().is_empty())
    };
    let conjuncts = condition.map(split_conjunction).unwrap_or_default();
    if !conjuncts.iter().any(|expr| expr.exists(|expr| Ok(is_null_safe(expr))).unwrap_or(true)) {
        NullSafe::None
    } else if matches!(node, LogicalPlan::Join(join) if join.on.is_empty())
        && conjuncts.iter().all(|expr| is_null_safe(expr))
    {
        NullSafe::Joined
    } else {
        NullSafe::Compared
    }
}

/// IS NOT DISTINCT FROM between columns in a form that is no key of a join.
fn compare_null_safely(node: LogicalPlan) -> Result<LogicalPlan> {
    let compared = node.map_expressions(|expr| {
        expr.transform_up(|expr| match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right }) => {
                let (null, equal) = ((*left).clone().is_null().and((*right).clone().is_null()), (*left).eq(*right));
                Ok(Transformed::yes(coalesce(vec![equal, null])))
            }
            other => Ok(Transformed::no(other)),
        })
    });
    compared.map(|transformed| transformed.data)
}

/// `narrow`: whether an integer literal takes the smallest type that holds it.
fn rule(scope: &Scope, expr: Expr, schema: &DFSchema, narrow: bool) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), metadata) if narrow => match i32::try_from(value) {
            Ok(value) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(value)), metadata)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(value)), metadata)),
        },
        Expr::Cast(cast) => match domain::of_cast(&cast.field) {
            Some((id, field)) => {
                let pg = of_field(&field);
                let value = self::cast(scope, Cast::new_from_field(cast.expr, field), schema)?.data;
                Transformed::yes(domain::held(scope, value, id, &pg)?)
            }
            None => self::cast(scope, cast, schema)?,
        },
        Expr::BinaryExpr(binary) => self::binary(scope, binary, schema)?,
        Expr::Between(Between { expr, negated, low, high }) => {
            let target = pg_type(&expr, schema);
            let (low, high) = (untyped(scope, *low, target.as_ref())?, untyped(scope, *high, target.as_ref())?);
            let low = beside_float(scope, low, target.as_ref(), schema)?;
            let high = beside_float(scope, high, target.as_ref(), schema)?;
            Transformed::yes(Expr::Between(Between::new(expr, negated, Box::new(low), Box::new(high))))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let target = pg_type(&expr, schema);
            let list = with_type(scope, list, target.as_ref())?;
            let list = list.into_iter().map(|item| beside_float(scope, item, target.as_ref(), schema));
            let list = list.collect::<Result<Vec<_>>>()?;
            if list.iter().all(is_constant) || expr.is_volatile() {
                Transformed::yes(Expr::InList(InList::new(expr, list, negated)))
            } else {
                any_of(scope, &expr, list, negated, schema)?
            }
        }
        Expr::ScalarFunction(function) if matches!(function.func.name(), "date_part" | "date_trunc") => {
            if scope.ctx.settings.time_zone() == crate::setting::Zone::UTC {
                Transformed::no(Expr::ScalarFunction(function))
            } else {
                local_time(scope, function, schema)
            }
        }
        // A sum of bigint is numeric: it does not wrap around.
        Expr::AggregateFunction(mut aggregate) if aggregate.func.name() == "sum" => {
            let widened = widen_bigint(&mut aggregate.params.args, schema)?;
            let expr = Expr::AggregateFunction(aggregate);
            if widened { Transformed::yes(expr) } else { Transformed::no(expr) }
        }
        Expr::WindowFunction(mut window) => {
            let mut changed = window.fun.name() == "sum" && widen_bigint(&mut window.params.args, schema)?;
            for sort in &mut window.params.order_by {
                changed |= make_comparable(&mut sort.expr, schema)?;
            }
            let expr = Expr::WindowFunction(window);
            if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
        }
        // A date, and a literal, is a moment for AT TIME ZONE.
        Expr::ScalarFunction(mut function) if function.func.name() == "timezone" => {
            if let Some(moment) = function.args.get_mut(1)
                && let Some(pg) = pg_type(moment, schema)
                && (pg == PgType::Date || pg.is_text() && matches!(moment, Expr::Literal(..)))
            {
                let given = std::mem::replace(moment, Expr::Literal(ScalarValue::Null, None));
                let target = Arc::new(field("", &PgType::Timestamptz, true));
                *moment = cast(scope, Cast::new_from_field(Box::new(given), target), schema)?.data;
            }
            Transformed::yes(Expr::ScalarFunction(function))
        }
        Expr::ScalarFunction(function) if arrays::applies_to(function.func.name()) => {
            arrays::function(scope, function, schema)?
        }
        Expr::InSubquery(mut inside) => {
            let pg = inside.subquery.subquery.schema().fields().first().map(|value| of_field(value));
            inside.expr = Box::new(untyped(scope, *inside.expr, pg.as_ref())?);
            if let (Some(own), Some(pg)) = (pg_type(&inside.expr, schema), pg)
                && !is_unknown(&inside.expr)
            {
                types_comparable(Operator::Eq, &own, &pg)?;
            }
            Transformed::yes(Expr::InSubquery(inside))
        }
        Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
            unified(scope, function, schema)?
        }
        Expr::IsNull(value) => Transformed::yes(records::null_test(*value, true, schema)),
        Expr::IsNotNull(value) => Transformed::yes(records::null_test(*value, false, schema)),
        Expr::ScalarFunction(function) if function.func.name() == "get_field" => {
            Transformed::yes(records::named_column(function, schema))
        }
        Expr::ScalarFunction(function) if records::changes_row(&function) => {
            Transformed::yes(records::with_value(scope, function, schema)?)
        }
        Expr::Case(of) => case(scope, of, schema)?,
        Expr::ScalarFunction(function) if function.func.name() == OUTPUT_TEXT => {
            Transformed::yes(output_text(scope, function, schema))
        }
        Expr::ScalarFunction(function) if is_unbound(&function.func) => {
            Transformed::yes(if function.func.name().starts_with("enum_") {
                enum_function(scope, &function, schema)?
            } else {
                sequence_function(scope, function)?
            })
        }
        other => Transformed::no(other),
    })
}

/// COALESCE and its like: all of one type.
fn unified(scope: &Scope, function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let name = function.func.name().to_uppercase();
    if name == "NULLIF" {
        if let [left, right] = function.args.as_slice() {
            comparable(Operator::Eq, left, right, schema)?;
        }
    } else {
        agree((&name, &name), function.args.iter(), schema)?;
    }
    let target = common_type(function.args.iter(), schema);
    let args = with_type(scope, function.args, target.as_ref())?;
    let float = floating(args.iter(), schema);
    let args = args.into_iter().map(|item| beside_float(scope, item, float.as_ref(), schema));
    let args = args.collect::<Result<Vec<_>>>()?;
    let engine = function.func.inner().downcast_ref::<Unified>();
    let func = engine.map_or(&function.func, Unified::inner);
    let result = same_type(args.iter(), schema);
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(func), args));
    Ok(Transformed::yes(remembering(call, result, schema)))
}

/// The engine has no ranges of bytes of a fixed length: their digits are in the same order. Tells whether it changed it.
fn make_comparable(key: &mut Expr, schema: &DFSchema) -> Result<bool> {
    if !matches!(key.get_type(schema)?, DataType::FixedSizeBinary(_)) {
        return Ok(false);
    }
    let inner = std::mem::replace(key, Expr::Literal(ScalarValue::Null, None));
    let bytes = Expr::Cast(Cast::new(Box::new(inner), DataType::Binary));
    *key = datafusion::functions::expr_fn::encode(bytes, lit("hex"));
    Ok(true)
}

/// Makes a bigint argument a decimal. Tells whether there was one.
fn widen_bigint(arguments: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let Some(argument) = arguments.first_mut() else { return Ok(false) };
    if argument.get_type(schema)? != DataType::Int64 {
        return Ok(false);
    }
    let inner = std::mem::replace(argument, Expr::Literal(ScalarValue::Null, None));
    *argument = Expr::Cast(Cast::new(Box::new(inner), DataType::Decimal128(19, 0)));
    Ok(true)
}

/// Types of parameters that the engine does not infer: in `value = ANY ($1)` that of an array of the value's type, among
/// the results of CASE, COALESCE and their like that of the others.
pub(super) fn suggest(plan: &LogicalPlan, types: &mut Vec<Option<PgType>>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::ScalarFunction(function) if function.func.name() == ANY_EQUAL => {
                        let [array, value] = function.args.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
                        if let Some(pg) = pg_type(value, &schema).filter(|pg| pg.element().is_none()) {
                            suggest_one(array, &PgType::Array(Box::new(pg)), types);
                        }
                        if let Some(pg) = pg_type(array, &schema).filter(|pg| pg.element().is_some()) {
                            suggest_one(value, pg.base(), types);
                        }
                    }
                    Expr::ScalarFunction(function) if Unified::applies_to(function.func.name()) => {
                        suggest_alike(&function.args.iter().collect::<Vec<_>>(), &schema, types);
                    }
                    Expr::Case(case) => {
                        let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                        let results = results.chain(case.else_expr.as_deref()).collect::<Vec<_>>();
                        suggest_alike(&results, &schema, types);
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn suggest_alike(exprs: &[&Expr], schema: &DFSchema, types: &mut Vec<Option<PgType>>) {
    let others = || exprs.iter().copied().filter(|expr| !matches!(expr, Expr::Placeholder(_)));
    let first = || others().find_map(|expr| pg_type(expr, schema));
    if let Some(pg) = common_type(others(), schema).or_else(first) {
        for expr in exprs {
            suggest_one(expr, &pg, types);
        }
    }
}

/// A type for a parameter that has none; nothing for any other expression.
fn suggest_one(expr: &Expr, pg: &PgType, types: &mut Vec<Option<PgType>>) {
    let Expr::Placeholder(placeholder) = expr else { return };
    let number = placeholder.id.strip_prefix('$').and_then(|id| id.parse::<usize>().ok());
    let Some(index) = number.and_then(|number| number.checked_sub(1)) else { return };
    if types.len() <= index {
        types.resize(index + 1, None);
    }
    if let Some(slot) = types.get_mut(index) {
        slot.get_or_insert_with(|| pg.clone());
    }
}

/// The PostgreSQL type of an expression, if it can be told.
pub(super) fn pg_type(expr: &Expr, schema: &DFSchema) -> Option<PgType> {
    if let Expr::Column(column) = expr
        && let Ok(field) = schema.field_from_column(column)
    {
        return Some(of_field(field));
    }
    expr.to_field(schema).ok().map(|(_, field)| of_field(&field))
}

/// A string literal beside a value of another type is read as that type, as PostgreSQL does with unknown literals.
pub(super) fn untyped(scope: &Scope, expr: Expr, target: Option<&PgType>) -> Result<Expr> {
    let is_char = |target: &&PgType| matches!(target, PgType::Char(_));
    let Some(target) = target.filter(|target| !target.is_text() || is_char(target)) else { return Ok(expr) };
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

/// `float8`, if one of these expressions is a floating-point number.
fn floating<'a>(mut exprs: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<PgType> {
    let is_float = |expr: &Expr| matches!(pg_type(expr, schema), Some(PgType::Float4 | PgType::Float8));
    exprs.any(is_float).then_some(PgType::Float8)
}

/// A numeric beside a floating-point number is compared as one, too.
fn beside_float(scope: &Scope, expr: Expr, other: Option<&PgType>, schema: &DFSchema) -> Result<Expr> {
    let float = matches!(other, Some(PgType::Float4 | PgType::Float8));
    if !float || !matches!(pg_type(&expr, schema), Some(PgType::Numeric(_))) {
        return Ok(expr);
    }
    Ok(cast(scope, Cast::new(Box::new(expr), DataType::Float64), schema)?.data)
}

/// The type that literals without one take beside these expressions: that of the first that is no text.
pub(super) fn common_type<'a>(exprs: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<PgType> {
    exprs
        .filter(|expr| !matches!(expr, Expr::Literal(ScalarValue::Null, _)))
        .filter_map(|expr| pg_type(expr, schema))
        .find(|pg| !pg.is_text())
}

/// The type that all of these expressions have that are not NULL.
pub(super) fn same_type<'a>(exprs: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<PgType> {
    let mut types = exprs
        .filter(|expr| !matches!(expr, Expr::Literal(value, _) if value.is_null()))
        .map(|expr| pg_type(expr, schema));
    let first = types.next()??;
    types.all(|pg| pg.as_ref() == Some(&first)).then_some(first)
}

/// An expression of which the engine forgets what PostgreSQL type it has, with that type.
pub(super) fn remembering(expr: Expr, pg: Option<PgType>, schema: &DFSchema) -> Expr {
    match (pg, pg_type(&expr, schema)) {
        (Some(pg), Some(shown))
            if pg != shown && expr.get_type(schema).is_ok_and(|data_type| data_type == arrow_type(&pg)) =>
        {
            Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(field("", &pg, true))))
        }
        _ => expr,
    }
}

/// A decimal as a `numeric` without a scale.
fn without_scale(expr: Expr, schema: &DFSchema) -> Expr {
    let Ok(data_type) = expr.get_type(schema) else { return expr };
    if pg_type(&expr, schema) == Some(PgType::Numeric(None)) {
        return expr;
    }
    let field = field("", &PgType::Numeric(None), true).with_data_type(data_type);
    Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(field)))
}

/// A decimal as a value of a column of type `numeric`. `0A000` for one that has more digits.
pub(super) fn exact_numeric(value: Expr) -> Expr {
    let DataType::Decimal128(precision, scale) = arrow_type(&PgType::Numeric(None)) else { return value };
    let function = ScalarUDF::new_from_impl(ExactNumeric::new(precision, scale));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
}

pub(super) fn with_type(scope: &Scope, exprs: Vec<Expr>, target: Option<&PgType>) -> Result<Vec<Expr>> {
    exprs.into_iter().map(|expr| untyped(scope, expr, target)).collect()
}

/// Reads a literal as a type. A type without precision takes that of the text.
pub(super) fn literal(scope: &Scope, pg: &PgType, text: &str) -> Result<Expr> {
    // Its padding means nothing.
    let text = if matches!(pg, PgType::Char(_)) { text.trim_end_matches(' ') } else { text };
    let declared = pg;
    let pg = match pg {
        PgType::Numeric(_) => {
            let scale = crate::encode::parse_numeric(text).map_or(0, |numeric| numeric.scale.max(0));
            match pg {
                PgType::Numeric(Some(fixed)) => PgType::Numeric(Some(*fixed)),
                _ => PgType::Numeric(Some((38, scale))),
            }
        }
        other => other.clone(),
    };
    let value =
        FromText::new(pg.clone(), Objects::style(&scope.ctx)).scalar(text).map_err(|error| error.of_literal(text))?;
    if *declared == PgType::Numeric(None) {
        let field = field("", declared, true).with_data_type(value.data_type());
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(Expr::Literal(value, None)), Arc::new(field))));
    }
    let field = field("", &pg, true);
    let metadata = (!field.metadata().is_empty())
        .then(|| datafusion::common::metadata::FieldMetadata::from(field.metadata().clone()));
    Ok(Expr::Literal(value, metadata))
}

pub(super) fn cast(scope: &Scope, cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let target = of_field(&cast.field);
    if let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) = cast.expr.as_ref()
        && !matches!(target, PgType::Text | PgType::Varchar(_) | PgType::Name | PgType::Unknown)
    {
        // Beside an item of an array, whose type was not known yet when it was bound.
        let of_item = target == PgType::Bytea && matches!(cast.field.data_type(), DataType::FixedSizeBinary(_));
        let target = match crate::encode::text_dimensions(text).filter(|_| target.dimensions() > 0) {
            Some(dimensions) => target.with_dimensions(dimensions),
            None => target,
        };
        return Ok(Transformed::yes(if of_item { *cast.expr } else { literal(scope, &target, text)? }));
    }
    // What is an array already keeps its dimensions.
    let target_field = Arc::clone(&cast.field);
    let source = pg_type(&cast.expr, schema);
    let (target, cast) = match &source {
        Some(source)
            if target.dimensions() > 0 && source.dimensions() > 0 && source.dimensions() != target.dimensions() =>
        {
            let target = target.with_dimensions(source.dimensions());
            let field = Arc::new(field(target_field.name(), &target, true));
            (target, Cast::new_from_field(cast.expr, field))
        }
        _ => (target, cast),
    };
    // Exactly, not by dividing.
    if let Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) = cast.expr.as_ref()
        && matches!(target, PgType::Float4 | PgType::Float8)
    {
        return Ok(Transformed::yes(literal(scope, &target, &format!("{value}e{}", -i32::from(*scale)))?));
    }
    let Some(source) = source else { return Ok(Transformed::no(Expr::Cast(cast))) };
    // A numeric without a scale has that of what it is made of.
    if target == PgType::Numeric(None) && matches!(cast.expr.get_type(schema), Ok(DataType::Decimal128(..))) {
        return Ok(Transformed::yes(without_scale(*cast.expr, schema)));
    }
    // What the client declared is cast like any other value; without a declaration it is of the type at once.
    if matches!(cast.expr.as_ref(), Expr::Placeholder(_)) && source == target {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    let function =
        |udf: ScalarUDF, argument: Expr| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), vec![argument]));
    let null = matches!(cast.expr.as_ref(), Expr::Placeholder(_))
        || matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null());
    let text = |pg: &PgType| pg.base().is_text();
    if records::casts(&source, &target) && !null {
        return Ok(Transformed::yes(records::cast(scope, &cast.expr, &source, &target, schema)?));
    }
    if let (PgType::Array(from), PgType::Array(to)) = (&source, &target)
        && records::casts(from, to)
        && let Some(array) = arrays::of_rows(scope, &cast.expr, to, schema)?
    {
        return Ok(Transformed::yes(array));
    }
    if target == PgType::Record(None) && source.attributes().is_some() {
        return Ok(Transformed::yes(*cast.expr));
    }
    let of_rows = source.attributes().or(target.attributes()).is_some();
    let made = source.is_made() || target.is_made() || of_rows;
    if made && source != target && !null && !text(&source) && !text(&target) {
        let error = Plain::new(SqlState::CANNOT_COERCE, format!("cannot cast type {source} to {target}"));
        return Err(SqlError::from(error).into());
    }
    if goes_through_text(&source, &target) {
        let text = function(ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx))), *cast.expr);
        let read = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
        return Ok(Transformed::yes(function(read, text)));
    }
    let zoned = |pg: &PgType| *pg == PgType::Timestamptz;
    let calendar = |pg: &PgType| matches!(pg, PgType::Date | PgType::Timestamp);
    let elsewhere = scope.ctx.settings.time_zone() != crate::setting::Zone::UTC;
    if elsewhere && ((zoned(&source) && calendar(&target)) || (calendar(&source) && zoned(&target))) {
        return Ok(Transformed::yes(by_session_zone(scope, *cast.expr, source, target)));
    }
    Ok(match (source.is_text(), target.is_text()) {
        (true, false) => {
            let udf = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        (false, true) if !matches!(cast.expr.as_ref(), Expr::Literal(ScalarValue::Null, _)) => {
            let udf = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
            Transformed::yes(function(udf, *cast.expr))
        }
        _ => match (cast.expr.get_type(schema), cast.field.data_type()) {
            (Ok(given), wanted) if let Some(rounding) = ToInteger::new(&given, wanted) => {
                Transformed::yes(function(ScalarUDF::new_from_impl(rounding), *cast.expr))
            }
            // To another type of the same form: it is said, or the type of what is cast would show through.
            (Ok(given), wanted) if given == *wanted && source != target => {
                let mut metadata = cast.field.metadata().clone();
                metadata.insert(TYPE_KEY.to_owned(), target.to_string());
                let field = Arc::new(cast.field.as_ref().clone().with_metadata(metadata));
                Transformed::yes(Expr::Cast(Cast::new_from_field(cast.expr, field)))
            }
            _ => Transformed::no(Expr::Cast(cast)),
        },
    })
}

/// Whether a cast is that of the value's text: of arrays whose elements are cast so, and of times with offsets.
fn goes_through_text(source: &PgType, target: &PgType) -> bool {
    let of_offsets = |pg: &PgType| matches!(pg, PgType::Time | PgType::Timetz | PgType::Timestamptz);
    match (source, target) {
        (PgType::Array(from), PgType::Array(to)) => {
            let texts = from.base().is_text() != to.base().is_text();
            texts || from != to && !to.is_made() && goes_through_text(from, to)
        }
        // Digits that binary fractions cannot say are not values of theirs.
        (PgType::Float4 | PgType::Float8, PgType::Numeric(None)) => true,
        (from, to) if *from == PgType::Timetz || *to == PgType::Timetz => {
            from != to && of_offsets(from) && of_offsets(to)
        }
        _ => false,
    }
}

/// A value as its type's output function gives it.
fn output_text(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Expr {
    let value = function.args.pop().unwrap_or(Expr::Literal(ScalarValue::Null, None));
    match pg_type(&value, schema) {
        Some(pg) if !pg.is_text() || matches!(pg, PgType::Char(_)) => {
            let function = ScalarUDF::new_from_impl(ToText::output(pg, Objects::style(&scope.ctx)));
            Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
        }
        _ => value,
    }
}

/// A cast between local and absolute time, by the session's time zone: through the text, which has it.
fn by_session_zone(scope: &Scope, expr: Expr, source: PgType, target: PgType) -> Expr {
    let to_text = ScalarUDF::new_from_impl(ToText::new(source, Objects::style(&scope.ctx)));
    let from_text = ScalarUDF::new_from_impl(FromText::new(target, Objects::style(&scope.ctx)));
    let text = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(to_text), vec![expr]));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(from_text), vec![text]))
}

/// `date_part` and `date_trunc` see the session's local time.
fn local_time(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let Some(moment) =
        function.args.get_mut(1).filter(|argument| pg_type(argument, schema) == Some(PgType::Timestamptz))
    else {
        return Transformed::no(Expr::ScalarFunction(function));
    };
    let inner = std::mem::replace(moment, Expr::Literal(ScalarValue::Null, None));
    *moment = by_session_zone(scope, inner, PgType::Timestamptz, PgType::Timestamp);
    let truncates = function.func.name() == "date_trunc";
    let expr = Expr::ScalarFunction(function);
    Transformed::yes(if truncates {
        by_session_zone(scope, expr, PgType::Timestamp, PgType::Timestamptz)
    } else {
        expr
    })
}

/// Refuses values of different enumerations, or of one and of another type, where all are to be of one type. `of`: what
/// PostgreSQL calls it where types differ in kind, and where they do not. `42804`, `42846`.
pub(super) fn agree<'a>(of: (&str, &str), exprs: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Result<()> {
    let text = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Utf8View(_), _));
    let known = exprs.filter(|expr| !text(expr) && !is_unknown(expr));
    types_agree(of, known.filter_map(|expr| pg_type(expr, schema)))
}

fn types_agree(of: (&str, &str), types: impl Iterator<Item = PgType>) -> Result<()> {
    let mut first: Option<PgType> = None;
    for pg in types.filter(|pg| *pg != PgType::Unknown) {
        let Some(first) = &first else {
            first = Some(pg);
            continue;
        };
        let made = first.is_made() || pg.is_made();
        let kinds = |pg: &PgType| (pg.category(), pg.element().is_some());
        let error = if kinds(first) != kinds(&pg) {
            let message = format!("{} types {first} and {pg} cannot be matched", of.0);
            Plain::new(SqlState::DATATYPE_MISMATCH, message)
        } else if made && *first != pg {
            Plain::new(SqlState::CANNOT_COERCE, format!("{} could not convert type {pg} to {first}", of.1))
        } else {
            continue;
        };
        return Err(SqlError::from(error).into());
    }
    Ok(())
}

/// CASE: literals without a type take that of what they stand beside.
fn case(scope: &Scope, mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    agree(("CASE", "CASE/WHEN"), case.else_expr.as_deref().into_iter().chain(thens), schema)?;
    if let Some(target) = case.expr.as_ref().and_then(|expr| pg_type(expr, schema)) {
        for (when, _) in &mut case.when_then_expr {
            **when = untyped(scope, when.as_ref().clone(), Some(&target))?;
        }
        // The engine has no table of such values.
        if let Some(expr) = case.expr.take_if(|expr| matches!(expr.get_type(schema), Ok(DataType::FixedSizeBinary(_))))
        {
            for (when, _) in &mut case.when_then_expr {
                **when = expr.as_ref().clone().eq(when.as_ref().clone());
            }
        }
    }
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    if let Some(target) = common_type(results.chain(case.else_expr.as_deref()), schema) {
        for (_, then) in &mut case.when_then_expr {
            **then = untyped(scope, then.as_ref().clone(), Some(&target))?;
        }
        if let Some(otherwise) = &mut case.else_expr {
            **otherwise = untyped(scope, otherwise.as_ref().clone(), Some(&target))?;
        }
    }
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let float = floating(results.chain(case.else_expr.as_deref()), schema);
    for (_, then) in &mut case.when_then_expr {
        **then = beside_float(scope, then.as_ref().clone(), float.as_ref(), schema)?;
    }
    if let Some(otherwise) = &mut case.else_expr {
        **otherwise = beside_float(scope, otherwise.as_ref().clone(), float.as_ref(), schema)?;
    }
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let result = same_type(results.chain(case.else_expr.as_deref()), schema);
    let whole = remembering(Expr::Case(case), result, schema);
    Ok(Transformed::yes(if matches!(whole.get_type(schema), Ok(DataType::Boolean)) { guarding(whole) } else { whole }))
}

/// A CASE whose branches are conditions, as one whose branches are numbers: the engine takes the former apart into AND and OR,
/// which do not guard a division or a cast.
fn guarding(expr: Expr) -> Expr {
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
fn may_fail(expr: &Expr) -> bool {
    let fails = |expr: &Expr| {
        let divides =
            matches!(expr, Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Divide | Operator::Modulo));
        Ok(divides || matches!(expr, Expr::Cast(_) | Expr::ScalarFunction(_)))
    };
    expr.exists(fails).unwrap_or(true)
}

/// A varchar beside a char(n) is compared without the blanks at its end.
fn beside_char(expr: Expr, own: Option<&PgType>, other: Option<&PgType>) -> Expr {
    match (own, other) {
        (Some(PgType::Varchar(_)), Some(PgType::Char(_))) => {
            datafusion::functions::expr_fn::rtrim(vec![expr, lit(" ")])
        }
        _ => expr,
    }
}

fn binary(scope: &Scope, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    if op.supports_propagation() || matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        let (left_type, right_type) = (pg_type(&left, schema), pg_type(&right, schema));
        let left = untyped(scope, *left, right_type.as_ref())?;
        let right = untyped(scope, *right, left_type.as_ref())?;
        let left = beside_float(scope, left, right_type.as_ref(), schema)?;
        let right = beside_float(scope, right, left_type.as_ref(), schema)?;
        let left = beside_char(left, left_type.as_ref(), right_type.as_ref());
        let right = beside_char(right, right_type.as_ref(), left_type.as_ref());
        comparable(op, &left, &right, schema)?;
        let (left, right) = records::alike(scope, left, right, schema)?;
        return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
    }
    if let (Ok(a), Ok(b)) = (left.get_type(schema), right.get_type(schema))
        && let Some(result) = CheckedArithmetic::result_type(&a, &b)
        && let Some(checked) = CheckedArithmetic::new(op, result)
    {
        let udf = Arc::new(ScalarUDF::new_from_impl(checked));
        return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![*left, *right]))));
    }
    let plain = [&left, &right].into_iter().any(|expr| pg_type(expr, schema) == Some(PgType::Numeric(None)));
    let expr = Expr::BinaryExpr(BinaryExpr::new(left, op, right));
    if plain && matches!(expr.get_type(schema), Ok(DataType::Decimal128(..))) {
        return Ok(Transformed::yes(without_scale(expr, schema)));
    }
    Ok(Transformed::no(expr))
}

/// Refuses comparisons of an enumeration with anything else than itself. `42883`.
fn comparable(op: Operator, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    match (pg_type(left, schema), pg_type(right, schema)) {
        (Some(a), Some(b)) if !is_unknown(left) && !is_unknown(right) => types_comparable(op, &a, &b),
        _ => Ok(()),
    }
}

/// Whether an expression takes its type from what it stands beside.
pub(super) fn is_unknown(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(_)) || matches!(expr, Expr::Literal(value, _) if value.is_null())
}

pub(super) fn types_comparable(op: Operator, a: &PgType, b: &PgType) -> Result<()> {
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

/// What PostgreSQL knows of the results of functions over groups and windows and the engine forgets.
fn remember_results(node: LogicalPlan) -> Result<LogicalPlan> {
    let (functions, input) = match &node {
        LogicalPlan::Aggregate(aggregate) => (&aggregate.aggr_expr, &aggregate.input),
        LogicalPlan::Window(window) => (&window.window_expr, &window.input),
        _ => return Ok(node),
    };
    let mut results = BTreeMap::new();
    for function in functions {
        if let Some(pg) = result_type(function, input.schema()) {
            results.insert(function.schema_name().to_string(), pg);
        }
    }
    let columns: Vec<Expr> = node
        .schema()
        .iter()
        .map(|(qualifier, shown)| {
            let column = Expr::Column(datafusion::common::Column::new(qualifier.cloned(), shown.name()));
            let pg = results.get(shown.name()).filter(|_| qualifier.is_none());
            let pg = pg.filter(|pg| **pg != of_field(shown) || pg.dimensions() > 1);
            match pg {
                Some(pg) if pg.dimensions() > 1 => {
                    known_as(arrays::of_arrays(column, true), pg.clone()).alias(shown.name())
                }
                Some(pg) => known_as(column, pg.clone()).alias(shown.name()),
                None => column,
            }
        })
        .collect();
    if columns.iter().all(|column| matches!(column, Expr::Column(_))) {
        return Ok(node);
    }
    LogicalPlanBuilder::from(node).project(columns)?.build()
}

/// The PostgreSQL type that a function gives over arguments that have one of their own.
fn result_type(function: &Expr, schema: &DFSchema) -> Option<PgType> {
    let (name, arguments) = match function {
        Expr::Alias(alias) => return result_type(&alias.expr, schema),
        Expr::AggregateFunction(aggregate) => (aggregate.func.name(), &aggregate.params.args),
        Expr::WindowFunction(window) => (window.fun.name(), &window.params.args),
        _ => return None,
    };
    let pg = pg_type(arguments.first()?, schema)?;
    let plain = pg == PgType::Numeric(None);
    match name {
        "min" | "max" if !pg.is_text() => Some(pg),
        "sum" | "avg" if plain => Some(pg),
        "first_value" | "last_value" | "nth_value" | "lag" | "lead" | "any_value" => Some(pg),
        "array_agg" => Some(PgType::Array(Box::new(pg))),
        _ => None,
    }
}

/// A function of sequences, bound to the one that it names.
fn sequence_function(scope: &Scope, mut function: ScalarFunction) -> Result<Expr> {
    let bound = |udf: ScalarUDF, args| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), args));
    let action = match function.func.name() {
        "nextval" => SequenceAction::Next { explicit: true },
        "currval" => SequenceAction::Current,
        "setval" if (2..=3).contains(&function.args.len()) => SequenceAction::Set,
        "lastval" => {
            let last = LastValue::new(Arc::clone(&scope.ctx.drawn));
            return Ok(bound(ScalarUDF::new_from_impl(last), vec![]));
        }
        name => return Err(undefined_function(name).into()),
    };
    let rest = function.args.split_off(1);
    let (id, relation) = named_sequence(scope, function.args.first())?;
    let RelationKind::Sequence(sequence) = &relation.storage else {
        let message = format!("\"{}\" is not a sequence", relation.name);
        return Err(SqlError::from(Plain::new(SqlState::WRONG_OBJECT_TYPE, message)).into());
    };
    Ok(bound(ScalarUDF::new_from_impl(function_of(scope, action, (id, &relation.name), sequence)), rest))
}

/// `enum_first`, `enum_last` and `enum_range`: labels of the enumeration that an argument is of.
fn enum_function(scope: &Scope, function: &ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    let name = function.func.name();
    let of = function.args.iter().find_map(|argument| match pg_type(argument, schema) {
        Some(PgType::Enum(of)) => Some(of),
        _ => None,
    });
    let Some(of) = of else {
        let error = Plain::new(SqlState::DATATYPE_MISMATCH, "could not determine actual enum type");
        return Err(SqlError::from(error).into());
    };
    let labels = || of.labels.iter().map(|label| label.name.as_str());
    let pg = PgType::Enum(Arc::clone(&of));
    let found = match name {
        "enum_first" => labels().next(),
        "enum_last" => labels().next_back(),
        _ => {
            let bound = |argument: Option<&Expr>| -> Result<Option<String>> {
                let Some(argument) = argument else { return Ok(None) };
                let value = match argument {
                    Expr::Cast(cast) if matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null()) => {
                        None
                    }
                    argument => {
                        let computed = || SqlError::from(crate::error::unsupported("enum_range of a computed value"));
                        Some(constant(scope, argument)?.ok_or_else(computed)?).filter(|value| !value.is_null())
                    }
                };
                let style = Objects::style(&scope.ctx);
                value.map(|value| Ok(crate::encode::scalar_text(&value, &pg, &style)?)).transpose()
            };
            let (from, to) = match function.args.as_slice() {
                [from, to] => (bound(Some(from))?, bound(Some(to))?),
                _ => (None, None),
            };
            let place =
                |label: &Option<String>| label.as_deref().and_then(|label| labels().position(|known| known == label));
            let reversed = place(&to).is_some_and(|last| place(&from).is_some_and(|first| first > last));
            let after =
                labels().filter(|_| !reversed).skip_while(|label| from.as_deref().is_some_and(|from| from != *label));
            let mut range = Vec::new();
            for label in after {
                range.push(array_item(label));
                if to.as_deref() == Some(label) {
                    break;
                }
            }
            return literal(scope, &PgType::Array(Box::new(pg)), &format!("{{{}}}", range.join(",")));
        }
    };
    match found {
        Some(label) => literal(scope, &pg, label),
        None => Ok(Expr::Literal(ScalarValue::try_from(&arrow_type(&pg))?, None)),
    }
}

/// A label in the text of an array.
fn array_item(label: &str) -> String {
    format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The sequence that an argument names: a name, or an OID, as a literal.
fn named_sequence<'a>(scope: &'a Scope, argument: Option<&Expr>) -> Result<(ObjectId, &'a Relation)> {
    let value = match argument {
        Some(Expr::Cast(cast)) => constant(scope, &cast.expr)?,
        Some(other) => constant(scope, other)?,
        None => None,
    };
    let found = match value {
        Some(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name))) => {
            let name = QualifiedName::parse(&name).map_err(SqlError::from)?;
            let found = scope.ctx.require_relation(&name).map_err(SqlError::from)?;
            // What a role may not know of is not there.
            if !crate::pg::system::is_visible(&scope.ctx, found.1) {
                return Err(SqlError::from(crate::context::undefined_table(&name)).into());
            }
            Some(found)
        }
        Some(value) => {
            let oid = value.cast_to(&DataType::UInt32).ok();
            let id = oid.and_then(|oid| match oid {
                ScalarValue::UInt32(Some(oid)) => ObjectId::from_oid(oid),
                _ => None,
            });
            let relation = id.and_then(|id| Some((id, scope.ctx.catalog.relation(id)?)));
            relation.filter(|(_, relation)| crate::pg::system::is_visible(&scope.ctx, relation))
        }
        None => None,
    };
    let computed = || SqlError::from(crate::error::unsupported("a sequence whose name is computed")).into();
    found.ok_or_else(computed)
}

/// The value of an expression that reads no row; `None`: it reads one, or a parameter.
fn constant(scope: &Scope, expr: &Expr) -> Result<Option<ScalarValue>> {
    if let Expr::Literal(value, _) = expr {
        return Ok(Some(value.clone()));
    }
    let reads = |expr: &Expr| Ok(matches!(expr, Expr::Placeholder(_) | Expr::OuterReferenceColumn(..)));
    if expr.any_column_refs() || super::has_subquery(expr) || expr.exists(reads)? || expr.is_volatile() {
        return Ok(None);
    }
    let physical = scope.engine.physical_expr(expr, &DFSchema::empty())?;
    let row = super::evaluate_default(&physical, 1)?;
    ScalarValue::try_from_array(&row, 0).map(Some)
}

fn function_of(
    scope: &Scope,
    action: SequenceAction,
    named: (ObjectId, &str),
    sequence: &Sequence,
) -> SequenceFunction {
    let counter = scope.ctx.counter(named.0);
    SequenceFunction::new(action, named, sequence, Arc::clone(counter), Arc::clone(&scope.ctx.drawn))
}

/// The next value of an identity column's sequence.
pub(super) fn next_value_of(scope: &Scope, id: ObjectId, name: &str, sequence: &Sequence) -> Expr {
    let next = function_of(scope, SequenceAction::Next { explicit: false }, (id, name), sequence);
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(next)), vec![]))
}

pub(super) fn undefined_function(name: &str) -> SqlError {
    Plain::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist"))
        .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
        .into()
}

/// Whether two types are the same to the engine.
pub(super) fn same_arrow(pg: &PgType, data_type: &DataType) -> bool {
    arrow_type(pg) == *data_type
}

//! Rows as values: what they are cast to, compared with, and when they are NULL.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF, Sort, WindowFrameUnits, lit};

use super::Scope;
use super::typing::{self, pg_type};
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::pg::{MakeRow, NAMED_ROW, ROW, ROW_WITH, RowAttribute, RowTest};
use crate::types::{PgType, field};

/// `row IS [NOT] NULL`; nothing else than a row is tested so.
pub(super) fn null_test(value: Expr, null: bool, schema: &DFSchema) -> Expr {
    let of_rows = pg_type(&value, schema).is_some_and(|pg| pg.attributes().is_some());
    match (of_rows, null) {
        (true, null) => {
            let test = Arc::new(ScalarUDF::new_from_impl(RowTest::new(null)));
            Expr::ScalarFunction(ScalarFunction::new_udf(test, vec![value]))
        }
        (false, true) => Expr::IsNull(Box::new(value)),
        (false, false) => Expr::IsNotNull(Box::new(value)),
    }
}

/// Whether a cast is one of rows that have no type of their own, column by column.
pub(super) fn casts(source: &PgType, target: &PgType) -> bool {
    matches!(source, PgType::Record(_)) && target.attributes().is_some() && source != target
}

/// A row as one of another type. `42846`.
pub(super) fn cast(scope: &Scope, row: &Expr, source: &PgType, target: &PgType, schema: &DFSchema) -> Result<Expr> {
    let (from, to) = (source.attributes().unwrap_or_default(), target.attributes().unwrap_or_default());
    if from.len() != to.len() {
        let few = if from.len() < to.len() { "few" } else { "many" };
        let error = Plain::new(SqlState::CANNOT_COERCE, format!("cannot cast type {source} to {target}"))
            .detail(format!("Input has too {few} columns."));
        return Err(SqlError::from(error).into());
    }
    let made = match row {
        Expr::ScalarFunction(function) if function.func.name() == ROW => Some(function.args.clone()),
        Expr::ScalarFunction(function) if function.func.name() == NAMED_ROW => {
            Some(function.args.iter().skip(1).step_by(2).cloned().collect())
        }
        _ => None,
    };
    let (make, rest) = match &made {
        Some(_) => (MakeRow::of(target.clone()), None),
        None => (MakeRow::of_row(target.clone()), Some(row.clone())),
    };
    let values = made.unwrap_or_else(|| columns_of(row, from.len()));
    let typed = values.into_iter().zip(to).map(|(value, attribute)| {
        let target = Arc::new(field("", &attribute.pg, true));
        Ok(typing::cast(scope, Cast::new_from_field(Box::new(value), target), schema)?.data)
    });
    let args = rest.into_iter().map(Ok).chain(typed).collect::<Result<Vec<_>>>()?;
    let make = ScalarUDF::new_from_impl(make);
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(make), args)))
}

fn columns_of(row: &Expr, width: usize) -> Vec<Expr> {
    let function = Arc::new(ScalarUDF::new_from_impl(RowAttribute::default()));
    let column = |place: usize| {
        let args = vec![row.clone(), lit(place as u64)];
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&function), args))
    };
    (0..width).map(column).collect()
}

/// `row_with(row, 'name', value)`, with the value as one of that column.
pub(super) fn with_value(scope: &Scope, mut function: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    if let [row, Expr::Literal(name, _), value] = function.args.as_mut_slice()
        && let Some(pg) = pg_type(row, schema)
        && let Some(name) = name.try_as_str().flatten()
    {
        let (_, pg) = crate::pg::attribute(&pg, name).map_err(SqlError::from)?;
        let given = std::mem::replace(value, Expr::Literal(ScalarValue::Null, None));
        let target = Arc::new(field("", &pg, true));
        *value = typing::cast(scope, Cast::new_from_field(Box::new(given), target), schema)?.data;
    }
    Ok(Expr::ScalarFunction(function))
}

/// A column of a row that the engine found by a name with points, `table.row.column`, as one with its own type.
pub(super) fn named_column(function: ScalarFunction, schema: &DFSchema) -> Expr {
    let of_rows = |row: &Expr| pg_type(row, schema).is_some_and(|pg| pg.attributes().is_some());
    if !function.args.first().is_some_and(of_rows) {
        return Expr::ScalarFunction(function);
    }
    let attribute = Arc::new(ScalarUDF::new_from_impl(RowAttribute::default()));
    let column = |row, name| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&attribute), vec![row, name]));
    let mut args = function.args.into_iter();
    let row = args.next().unwrap_or(Expr::Literal(ScalarValue::Null, None));
    args.fold(row, column)
}

/// Refuses the least or greatest of rows, and of arrays of several dimensions: the engine has no order of them. `0A000`.
pub(super) fn refuse_extreme(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    let mut types = args.iter().filter_map(|argument| pg_type(argument, schema));
    let refused = |pg: &PgType| pg.base().attributes().is_some() || pg.dimensions() > 1;
    let Some(pg) = types.find(refused) else { return Ok(()) };
    Err(SqlError::from(unsupported(format!("{name} of type {pg}"))).into())
}

/// Refuses a window over a range of rows. `0A000`.
pub(super) fn refuse_ranges(window: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let by_rows = window.params.window_frame.units == WindowFrameUnits::Rows;
    let mut keys = window.params.order_by.iter().filter_map(|key| pg_type(&key.expr, schema));
    let Some(pg) = keys.find(|pg| !by_rows && pg.attributes().is_some()) else { return Ok(()) };
    Err(SqlError::from(unsupported(format!("a window in the order of type {pg} without ROWS"))).into())
}

/// Documents in their own order, and arrays and rows where NULL is not where it is by default: the engine would put those in them
/// there, too.
pub(super) fn in_order(scope: &Scope, mut sort: Sort) -> Result<Sort> {
    let mut keys = Vec::with_capacity(sort.expr.len());
    for mut key in std::mem::take(&mut sort.expr) {
        key.expr = typing::ordered(scope, key.expr, sort.input.schema())?;
        let nested = key.expr.get_type(sort.input.schema())?.is_nested();
        if nested && key.asc == key.nulls_first {
            keys.push(key.expr.clone().is_null().sort(!key.nulls_first, false));
            keys.push(key.expr.sort(key.asc, !key.asc));
        } else {
            keys.push(key);
        }
    }
    Ok(Sort { expr: keys, ..sort })
}

/// Whether a function is [`ROW_WITH`].
pub(super) fn changes_row(function: &ScalarFunction) -> bool {
    function.func.name() == ROW_WITH
}

/// Rows to be compared as rows of one type: what columns are called counts for nothing.
pub(super) fn alike(scope: &Scope, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (Some(a), Some(b)) = (pg_type(&left, schema), pg_type(&right, schema)) else { return Ok((left, right)) };
    if a.attributes().is_none() || b.attributes().is_none() || a == b {
        return Ok((left, right));
    }
    let unknown = |pg: &PgType| pg.attributes().unwrap_or_default().iter().any(|part| part.pg == PgType::Unknown);
    if matches!(a, PgType::Record(_)) && !unknown(&b) {
        return Ok((cast(scope, &left, &a, &b, schema)?, right));
    }
    let right = cast(scope, &right, &b, &a, schema)?;
    Ok((left, right))
}

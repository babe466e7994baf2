//! What PostgreSQL knows of a result and the engine forgets: of VALUES lists, UNION, functions over groups and windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};

use super::cast::known_as;
use super::common::{Common, Place, alike, common, is_open};
use super::pg_type;
use super::sets::with_columns_as;
use crate::error::{Plain, SqlError, SqlState};
use crate::plan::{Scope, arrays};
use crate::types::{NUMERIC_PRECISION_MAX, PgType, field, of_field};

/// The rows of a recursive query's step with the types that its rows had before. `42804`.
pub(super) fn as_before(scope: &Scope, name: &str, before: &LogicalPlan, step: LogicalPlan) -> Result<LogicalPlan> {
    let mut commons = Vec::new();
    for (column, own) in before.schema().fields().iter().enumerate() {
        let next = step.schema().fields().get(column).filter(|_| selected_literal(&step, column).is_none());
        let pg = of_field(own);
        let both = std::iter::once(own).chain(next).cloned();
        if let Some(common) = common(Place("UNION", "UNION"), both)?.filter(|common| common.pg != pg) {
            let number = column + 1;
            let overall = if is_numeric(&common.pg) { PgType::Numeric(None) } else { common.pg };
            let message = format!(
                "recursive query \"{name}\" column {number} has type {pg} in non-recursive term but type {overall} overall"
            );
            let refusal = Plain::new(SqlState::DATATYPE_MISMATCH, message)
                .hint("Cast the output of the non-recursive term to the correct type.");
            return Err(SqlError::from(refusal).into());
        }
        commons.push(Some(Common::exactly(pg)));
    }
    let step = Arc::unwrap_or_clone(with_columns_as(scope, Arc::new(step), &commons)?);
    // A literal of no type is one of the engine's texts, of which there are several.
    let columns = before.schema().fields().iter().zip(step.schema().columns()).map(|(own, column)| {
        let name = column.name.clone();
        Ok(Expr::Column(column).cast_to(own.data_type(), step.schema())?.alias(name))
    });
    let columns: Vec<Expr> = columns.collect::<Result<_>>()?;
    LogicalPlanBuilder::from(step).project(columns)?.build()
}

fn is_numeric(pg: &PgType) -> bool {
    matches!(pg, PgType::Numeric(_))
}

/// The first rows of a recursive query with decimals that have room for those of a step, where these are others: of any
/// number of digits, if a step gives more of them.
pub(super) fn with_room_for(step: &LogicalPlan, before: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut widened = false;
    let columns = before.schema().iter().zip(step.schema().fields()).map(|((qualifier, own), next)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), own.name()));
        let target = match (of_field(own), of_field(next)) {
            (own, next) if own == next => return column,
            (PgType::Numeric(Some((_, scale))), PgType::Numeric(Some((_, more)))) if more <= scale => {
                PgType::Numeric(Some((NUMERIC_PRECISION_MAX, scale)))
            }
            (PgType::Numeric(_), PgType::Numeric(_)) => PgType::Numeric(None),
            _ => return column,
        };
        widened = true;
        let target = Arc::new(field(own.name(), &target, true));
        Expr::Cast(Cast::new_from_field(Box::new(column), target)).alias_qualified(qualifier.cloned(), own.name())
    });
    let columns = columns.collect::<Vec<_>>();
    let plan = LogicalPlanBuilder::from(before.clone()).project(columns)?.build()?;
    Ok(widened.then_some(plan))
}

/// The literal of no type that a query selects in the place of a column.
pub(super) fn selected_literal(plan: &LogicalPlan, column: usize) -> Option<&Expr> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    let mut expr = projection.expr.get(column)?;
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    is_open(expr).then_some(expr)
}

/// A VALUES list. What PostgreSQL knows of its columns is said of them above it: the engine wants the same said of all values
/// of one column, and forgets it of those that it computes ahead.
pub(super) fn values_list(scope: &Scope, rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
    let empty = DFSchema::empty();
    let mut rows = with_common_types(scope, rows)?;
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
        let column = Expr::Column(Column::new(qualifier.cloned(), shown.name()));
        match pg.filter(|pg| *pg != of_field(shown)) {
            Some(pg) => known_as(column, pg).alias(shown.name()),
            None => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(list).project(columns)?.build()
}

/// The rows of a VALUES list with all values of a column of one type. `42804`, `42846`.
fn with_common_types(scope: &Scope, rows: Vec<Vec<Expr>>) -> Result<Vec<Vec<Expr>>> {
    let mut columns: Vec<Vec<Expr>> = rows.first().map(|row| vec![Vec::new(); row.len()]).unwrap_or_default();
    let height = rows.len();
    for row in rows {
        row.into_iter().zip(&mut columns).for_each(|(value, column)| column.push(value));
    }
    let mut rows = vec![Vec::new(); height];
    for column in columns {
        let (column, _) = alike(scope, Place("VALUES", "VALUES"), column, &DFSchema::empty())?;
        column.into_iter().zip(&mut rows).for_each(|(value, row)| row.push(value));
    }
    Ok(rows)
}

/// Whether a plan is a VALUES list.
pub(in crate::plan) fn is_values_list(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Values(_) => true,
        LogicalPlan::Projection(projection) => matches!(projection.input.as_ref(), LogicalPlan::Values(_)),
        _ => false,
    }
}

/// What PostgreSQL knows of the results of functions over groups and windows and the engine forgets.
pub(super) fn remember_results(node: LogicalPlan) -> Result<LogicalPlan> {
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
            let column = Expr::Column(Column::new(qualifier.cloned(), shown.name()));
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
pub(super) fn result_type(function: &Expr, schema: &DFSchema) -> Option<PgType> {
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

//! Expressions over one row of a table that mean the same to everybody at all times: of generated columns and of indexes.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, internal_err};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF};

use super::{PlanError, PlanResult, Scope, has_subquery, policy, type_names};
use crate::catalog::{Check, KeyExpression, Relation};
use crate::error::{Plain, SqlError, SqlState};
use crate::name::ObjectId;
use crate::pg::always_the_same;
use crate::pg::system::SystemFunction;
use crate::types::{PgType, field, of_field};

/// What an expression is for, which decides what is said of one that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A generated column.
    Generation,
    /// A part of an index's key.
    Key,
    /// The rows that an index is about.
    Predicate,
}

/// The value of a part of an index's key over the table's columns, which go by their names alone.
pub fn key_value(scope: &Scope, table: &Relation, key: &KeyExpression) -> Result<Expr, SqlError> {
    Ok(bound(scope, table, &key.expression).map_err(PlanError::unlocated)?.0)
}

/// Whether a row is one of those that an index is about, over the same.
pub fn predicate(scope: &Scope, table: &Relation, predicate: &Check) -> Result<Expr, SqlError> {
    Ok(bound(scope, table, &predicate.condition).map_err(PlanError::unlocated)?.0)
}

/// An expression over a table's columns, and those columns.
pub(super) fn bound(scope: &Scope, table: &Relation, expression: &str) -> PlanResult<(Expr, DFSchema)> {
    let columns = table.columns.iter().map(|column| field(&column.name, &column.pg, true));
    let schema = policy::schema_of(columns)?;
    Ok((policy::expression(scope, expression, &schema, &[])?, schema))
}

/// Checks an expression that is to be kept; gives its text with all types' schemas, and what [`bound`] does. `42P17`, `42803`, `0A000`.
pub(super) fn define(
    scope: &Scope,
    table: &Relation,
    expression: &str,
    of: Use,
) -> PlanResult<(String, Expr, DFSchema)> {
    let expression = type_names::qualified(scope, expression)?;
    let (value, schema) = bound(scope, table, &expression)?;
    let refused = |code, message: String| Err(Plain::new(code, message).into());
    if has_subquery(&value) {
        return refused(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot use subquery in {}", of.one()));
    }
    if value.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(_))))? {
        return refused(SqlState::GROUPING_ERROR, format!("aggregate functions are not allowed in {}", of.many()));
    }
    if value.exists(|expr| Ok(matches!(expr, Expr::WindowFunction(_))))? {
        return refused(SqlState::WINDOWING_ERROR, format!("window functions are not allowed in {}", of.many()));
    }
    if value.exists(|expr| Ok(matches!(expr, Expr::Unnest(_))))? {
        return refused(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("set-returning functions are not allowed in {}", of.many()),
        );
    }
    let (elsewhere, _) = bound(&elsewhere(scope)?, table, &expression)?;
    let depends = |expr: &Expr| {
        Ok(matches!(expr, Expr::ScalarFunction(own) if is_of_session(&own.func) || STABLE.contains(&own.func.name())))
    };
    if value.is_volatile() || value.exists(depends)? || without_casts(value.clone())? != without_casts(elsewhere)? {
        let message = match of {
            Use::Generation => "generation expression is not immutable".to_owned(),
            Use::Key | Use::Predicate => format!("functions in {} must be marked IMMUTABLE", of.one()),
        };
        return refused(SqlState::INVALID_OBJECT_DEFINITION, message);
    }
    Ok((expression, value, schema))
}

/// A part of an index's key, but for its name, and what an index's WHERE says. `42804`, and as [`define`].
pub(super) fn define_key(
    scope: &Scope,
    table: &Relation,
    expression: &str,
) -> PlanResult<(String, BTreeSet<i32>, PgType)> {
    let (expression, value, schema) = define(scope, table, expression, Use::Key)?;
    let pg = match of_field(value.to_field(&schema)?.1.as_ref()) {
        PgType::Unknown => PgType::Text,
        pg => pg,
    };
    Ok((expression, reads(table, &value), pg))
}

/// The same of an index's WHERE.
pub(super) fn define_predicate(scope: &Scope, table: &Relation, condition: &str) -> PlanResult<Check> {
    let (condition, value, schema) = define(scope, table, condition, Use::Predicate)?;
    let value = policy::condition(value, &schema, "WHERE")?;
    Ok(Check { condition, columns: reads(table, &value).into_iter().collect() })
}

/// Ids of the columns that an expression reads.
fn reads(table: &Relation, value: &Expr) -> BTreeSet<i32> {
    value.column_refs().into_iter().filter_map(|read| Some(table.column(&read.name)?.id)).collect()
}

impl Use {
    fn one(self) -> &'static str {
        match self {
            Self::Generation => "column generation expression",
            Self::Key => "index expression",
            Self::Predicate => "index predicate",
        }
    }

    fn many(self) -> &'static str {
        match self {
            Self::Generation => "column generation expressions",
            Self::Key => "index expressions",
            Self::Predicate => "index predicates",
        }
    }
}

/// Functions that show values in a way that settings may change.
const STABLE: &[&str] = &[
    "array_to_string",
    "concat",
    "concat_ws",
    "format",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "row_to_json",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
];

/// Whether a function tells of the session, the catalog or the server.
fn is_of_session(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<SystemFunction>().is_some()
}

/// The expression with plain casts in the place of ours that mean the same in every session.
fn without_casts(expr: Expr) -> PlanResult<Expr> {
    let plain = expr.transform(|expr| {
        Ok(match expr {
            Expr::ScalarFunction(function) => match always_the_same(&function.func) {
                Some(target) if function.args.len() == 1 => match function.args.into_iter().next() {
                    Some(argument) => Transformed::yes(Expr::Cast(Cast::new(Box::new(argument), target))),
                    None => return internal_err!("a cast of nothing"),
                },
                _ => Transformed::no(Expr::ScalarFunction(function)),
            },
            other => Transformed::no(other),
        })
    })?;
    Ok(plain.data)
}

/// The same statement of somebody else, somewhere else, at another time.
fn elsewhere(scope: &Scope) -> PlanResult<Scope> {
    let mut other = scope.clone();
    let ctx = &mut other.ctx;
    ctx.statement_start_us += 90_000_000_000;
    ctx.transaction_start_us += 90_000_000_000;
    ctx.backend_pid += 1;
    (ctx.user, ctx.session_role) = (ObjectId(-1), ObjectId(-1));
    let mut settings = ctx.settings.as_ref().clone();
    let here = settings.show("timezone").map(|(_, zone)| zone);
    let zone = if here.as_deref() == Some("Asia/Tokyo") { "America/Lima" } else { "Asia/Tokyo" };
    settings.set("timezone", Some(zone))?;
    settings.set("search_path", Some("pg_catalog"))?;
    ctx.settings = std::sync::Arc::new(settings);
    ctx.search_path.clear();
    Ok(other)
}

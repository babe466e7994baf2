//! Functions in FROM: each row of the left side calls them, their rows may be numbered (`WITH ORDINALITY`).
//!
//! A set-returning function is the unnesting of an array that a scalar function makes; any other function is one row.

use datafusion::common::{Column, DFSchema, Result, UnnestOptions};
use datafusion::functions::core::expr_fn::greatest;
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableFactor};

use super::query::folded;
use super::rewrite;
use crate::error::{SqlError, unsupported};
use crate::pg::ARRAY_FLATTENED;

/// Plans functions in FROM.
#[derive(Debug)]
pub(super) struct FromFunction;

/// A call in FROM.
struct Call {
    name: Ident,
    arguments: Vec<ast::Expr>,
    ordinality: bool,
    alias: Option<TableAlias>,
}

impl RelationPlanner for FromFunction {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let call = match relation {
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                Call { name: function_name(&name)?, arguments: arguments(args)?, ordinality: with_ordinality, alias }
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        Ok(RelationPlanning::Planned(Box::new(call.plan(context)?)))
    }
}

fn function_name(name: &ObjectName) -> Result<Ident> {
    let part = name.0.last().and_then(ast::ObjectNamePart::as_ident);
    part.cloned().ok_or_else(|| SqlError::from(unsupported("this function name in FROM")).into())
}

/// Positional arguments only.
pub(super) fn arguments(given: Vec<FunctionArg>) -> Result<Vec<ast::Expr>> {
    let positional = given.into_iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err(SqlError::from(unsupported("a named argument of a function in FROM")).into()),
    });
    positional.collect()
}

impl Call {
    fn plan(self, context: &mut dyn RelationPlannerContext) -> Result<PlannedRelation> {
        let name = folded(&self.name);
        let mut values = Vec::new();
        let empty = DFSchema::empty();
        let unnested = name == "unnest";
        if unnested {
            for argument in self.arguments {
                let flat = rewrite::call(Ident::new(ARRAY_FLATTENED), vec![argument]);
                values.push(context.sql_to_expr(flat, &empty)?);
            }
        } else {
            let columns = rewrite::composite(&name);
            for column in columns {
                let part = Ident::with_quote('"', format!("{name}.{column}"));
                values.push(context.sql_to_expr(rewrite::call(part, self.arguments.clone()), &empty)?);
            }
            if columns.is_empty() {
                values.push(context.sql_to_expr(rewrite::call(self.name.clone(), self.arguments), &empty)?);
            }
        }
        let set = unnested || rewrite::returns_set(&name);
        let numbers = if set { numbers(&values) } else { lit(1_i64) };
        let alone = values.len() == 1;
        // An alias for a function with one column names the column, too.
        let default = match &self.alias {
            Some(alias) if alone => folded(&alias.name),
            _ => name.clone(),
        };
        let given = self.alias.iter().flat_map(|alias| &alias.columns).map(|column| folded(&column.name));
        let mut given = given.collect::<Vec<_>>().into_iter();
        let mut columns: Vec<(Expr, String)> = Vec::new();
        for value in values {
            let own = rewrite::composite(&name).get(columns.len()).map(|column| (*column).to_owned());
            let shown = given.next().or(own).unwrap_or_else(|| rewrite::numbered(&default, columns.len()));
            columns.push((value, shown));
        }
        if self.ordinality {
            columns.push((numbers, given.next().unwrap_or_else(|| "ordinality".to_owned())));
        }
        let names: Vec<Column> = columns.iter().map(|(_, name)| Column::new_unqualified(name)).collect();
        let exprs = columns.into_iter().map(|(expr, name)| expr.alias(name)).collect::<Vec<_>>();
        let mut plan = LogicalPlanBuilder::empty(true).project(exprs)?;
        if set {
            let options = UnnestOptions::new().with_preserve_nulls(false);
            plan = plan.unnest_columns_with_options(names, options)?;
        }
        let alias = self
            .alias
            .map(|alias| TableAlias { columns: vec![], ..alias })
            .or_else(|| Some(TableAlias { explicit: false, name: self.name.clone(), columns: vec![], at: None }));
        Ok(PlannedRelation::new(plan.build()?, alias))
    }
}

/// `1, 2, …` for the longest of some arrays.
fn numbers(arrays: &[Expr]) -> Expr {
    let lengths: Vec<Expr> =
        arrays.iter().map(|array| cast(cardinality(array.clone()), arrow::datatypes::DataType::Int64)).collect();
    let length = match <[Expr; 1]>::try_from(lengths) {
        Ok([length]) => length,
        Err(lengths) => greatest(lengths),
    };
    datafusion::functions_nested::expr_fn::gen_series(lit(1_i64), length, lit(1_i64))
}

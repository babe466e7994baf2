//! Statements that are planned once and run many times.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::direct::Direct;
use super::{Outcome, Stores, insert, modify, query};
use crate::error::SqlError;
use crate::name::ObjectId;
use crate::plan::{InsertPlan, ModifyPlan, Plan, RowCheck, Scope, has_subquery};
use crate::secure::Authorized;
use crate::transaction::Transaction;
use crate::types::{PgType, arrow_type};

/// A permitted statement with parameters. It may run as long as definitions, settings and roles are those that it was planned
/// on, which is for its keeper to know.
#[derive(Debug)]
pub struct Ready {
    statement: Statement,
    rows: Direct,
    /// Sequences that it draws from.
    drawn: BTreeSet<ObjectId>,
}

#[derive(Debug)]
enum Statement {
    Query(Vec<FieldRef>),
    Insert(Box<InsertPlan>),
    Modify(Box<ModifyPlan>),
}

impl Ready {
    /// `None`: each run has to be planned.
    pub fn new(scope: &Scope, plan: Authorized<Plan>, parameters: &[PgType]) -> Result<Option<Self>, SqlError> {
        let types: Vec<DataType> = parameters.iter().map(arrow_type).collect();
        let rows = |logical: &_| Direct::kept(scope, logical, &types).map_err(SqlError::from_engine);
        Ok(match plan.into_inner() {
            Plan::Query(query) if query.locks.tables.is_empty() => {
                let drawn = query::sequences(&query.logical)?;
                rows(&query.logical)?.map(|rows| Self { statement: Statement::Query(query.fields), rows, drawn })
            }
            Plan::Insert(mut insert)
                if insert.on_conflict.is_none()
                    && !insert.returning.iter().any(has_parameters)
                    && !look_things_up(&insert.checks) =>
            {
                let drawn = query::sequences(&insert.source)?;
                // It has the rows of now of what it reads.
                let rows = rows(&std::mem::take(&mut insert.source))?;
                rows.map(|rows| Self { statement: Statement::Insert(Box::new(insert)), rows, drawn })
            }
            Plan::Modify(mut modify)
                if modify.steps.is_none()
                    && !modify.returning.iter().any(has_parameters)
                    && !look_things_up(&modify.checks) =>
            {
                let source = modify.rows(modify::target(scope, &modify)?).map_err(SqlError::from_engine)?;
                let drawn = query::sequences(&source)?;
                let rows = rows(&source)?;
                // It has the table's rows of now.
                modify.source = LogicalPlan::default();
                rows.map(|rows| Self { statement: Statement::Modify(Box::new(modify)), rows, drawn })
            }
            _ => None,
        })
    }

    /// Runs it inside a transaction. `None`: nothing was done, it has to be planned for these values.
    pub async fn run(
        &self,
        scope: &Scope,
        stores: &Stores,
        transaction: &mut Transaction,
        values: &[ScalarValue],
    ) -> Result<Option<Outcome>, SqlError> {
        let Some(rows) = self.rows.rows(scope, values).await.map_err(SqlError::from_engine)? else {
            return Ok(None);
        };
        let rows = query::in_memory(rows);
        let drawn = self.drawn.clone();
        Ok(Some(match &self.statement {
            Statement::Query(fields) => {
                transaction.drew_from(drawn);
                Outcome::Rows { fields: fields.clone(), stream: query::rename(rows, fields), tag: "SELECT" }
            }
            Statement::Insert(insert) => insert::rows(scope, stores, transaction, insert, (vec![rows], drawn)).await?,
            Statement::Modify(modify) => {
                modify::change(scope, stores, transaction, modify, (vec![rows], drawn)).await?
            }
        }))
    }
}

/// Whether policies check new rows by what tables held when the statement was planned.
fn look_things_up(checks: &[RowCheck]) -> bool {
    checks.iter().any(|check| has_subquery(&check.condition))
}

fn has_parameters(returning: &crate::plan::Returning) -> bool {
    let is_parameter = |expr: &Expr| Ok(matches!(expr, Expr::Placeholder(_)));
    returning.expressions.iter().any(|expr| expr.exists(is_parameter).unwrap_or(true))
}

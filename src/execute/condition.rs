//! Conditions that new rows must satisfy.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Column, DFSchema, Result, internal_err};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_plan::{PhysicalExpr, collect};

use crate::error::SqlError;
use crate::guard::expand_views;
use crate::plan::{Scope, has_subquery};

/// What must be true of a row.
#[derive(Debug)]
pub(super) enum Condition {
    Expression(Arc<dyn PhysicalExpr>),
    /// It has subqueries: the rows for which it is true are asked for.
    Query {
        condition: Expr,
        /// What outer columns in subqueries are qualified with.
        table: String,
        state: Arc<SessionState>,
    },
}

/// The number of a row, among the table's columns. No statement can spell it.
const ROW: &str = "\u{2}row";

impl Condition {
    /// `condition`: bound over the columns of `table`, which are those of `schema`.
    pub(super) fn new(scope: &Scope, table: &str, schema: &DFSchema, condition: &Expr) -> Result<Self, SqlError> {
        if has_subquery(condition) {
            let (table, state) = (table.to_owned(), Arc::clone(scope.engine.state()));
            return Ok(Self::Query { condition: condition.clone(), table, state });
        }
        let physical = scope.engine.physical_expr(condition, schema).map_err(SqlError::from_engine)?;
        Ok(Self::Expression(physical))
    }

    /// For each row whether it is true, false or unknown; a condition with subqueries is false where it is unknown.
    pub(super) fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        match self {
            Self::Expression(expression) => {
                let values = expression.evaluate(batch)?.into_array(batch.num_rows())?;
                match values.as_boolean_opt() {
                    Some(values) => Ok(values.clone()),
                    None => internal_err!("a condition that is not boolean"),
                }
            }
            Self::Query { condition, table, state } => {
                let asked = rows_where(condition, table, state, batch);
                // Rows are checked wherever they are made, be it in a thread that only computes.
                let found = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asked))?;
                let mut holds = vec![false; batch.num_rows()];
                for row in found.iter().flat_map(|rows| rows.column(0).as_primitive::<UInt32Type>().values()) {
                    if let Some(holds) = usize::try_from(*row).ok().and_then(|row| holds.get_mut(row)) {
                        *holds = true;
                    }
                }
                Ok(holds.into())
            }
        }
    }
}

async fn rows_where(
    condition: &Expr,
    table: &str,
    state: &SessionState,
    batch: &RecordBatch,
) -> Result<Vec<RecordBatch>> {
    let numbers: UInt32Array = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
    let number = Arc::new(Field::new(ROW, DataType::UInt32, false));
    let fields = batch.schema_ref().fields().iter().cloned().chain([number]).collect::<Vec<_>>();
    let columns = batch.columns().iter().cloned().chain([Arc::new(numbers) as Arc<dyn Array>]).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let rows = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    let plan = LogicalPlanBuilder::scan(table, provider_as_source(Arc::new(rows)), None)?
        .filter(condition.clone())?
        .project([Expr::Column(Column::new_unqualified(ROW))])?
        .build()?;
    let plan = state.create_physical_plan(&expand_views(plan)?).await?;
    collect(plan, state.task_ctx()).await
}

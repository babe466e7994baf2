//! Queries: physical plan, last inspection, stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream, execute_stream_partitioned};
use futures::StreamExt;

use super::direct::Direct;
use crate::error::SqlError;
use crate::name::ObjectId;
use crate::pg::SequenceFunction;
use crate::plan::{Scope, decorrelate};

/// The physical plan of a permitted query, with nothing in it that the guard did not issue.
pub(super) async fn physical(scope: &Scope, logical: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let logical = decorrelate(logical.clone()).map_err(SqlError::from_engine)?;
    let plan = scope.engine.state().create_physical_plan(&logical).await.map_err(SqlError::from_engine)?;
    scope.guard.inspect(&plan)?;
    Ok(plan)
}

/// The sequences that a query draws from.
pub(super) fn sequences(logical: &LogicalPlan) -> Result<BTreeSet<ObjectId>, SqlError> {
    let mut found = BTreeSet::new();
    let visited = logical.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(function) = expr {
                    let sequence = function.func.inner().downcast_ref::<SequenceFunction>();
                    found.extend(sequence.filter(|sequence| sequence.moves()).map(|sequence| sequence.id));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    visited.map_err(SqlError::from_engine)?;
    Ok(found)
}

/// The rows of a query, with the fields that the client was told of.
pub(super) async fn stream(
    scope: &Scope,
    logical: LogicalPlan,
    fields: &[FieldRef],
) -> Result<SendableRecordBatchStream, SqlError> {
    Ok(rename(one(scope, &logical).await?, fields))
}

/// The rows of a permitted query.
pub(super) async fn one(scope: &Scope, logical: &LogicalPlan) -> Result<SendableRecordBatchStream, SqlError> {
    if let Some(rows) = directly(scope, logical).await? {
        return Ok(rows);
    }
    let plan = physical(scope, logical).await?;
    execute_stream(plan, scope.engine.task()).map_err(SqlError::from_engine)
}

/// The rows of a permitted query, in parts that can be read side by side.
pub(super) async fn parts(scope: &Scope, logical: &LogicalPlan) -> Result<Vec<SendableRecordBatchStream>, SqlError> {
    if let Some(rows) = directly(scope, logical).await? {
        return Ok(vec![rows]);
    }
    let plan = physical(scope, logical).await?;
    execute_stream_partitioned(plan, scope.engine.task()).map_err(SqlError::from_engine)
}

async fn directly(scope: &Scope, logical: &LogicalPlan) -> Result<Option<SendableRecordBatchStream>, SqlError> {
    let rows = match Direct::new(scope, logical, &[]).map_err(SqlError::from_engine)? {
        Some(direct) => direct.rows(scope, &[]).await.map_err(SqlError::from_engine)?,
        None => None,
    };
    Ok(rows.map(in_memory))
}

/// Rows that are in memory, as they are.
pub(super) fn in_memory(rows: RecordBatch) -> SendableRecordBatchStream {
    let schema = rows.schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(rows)])))
}

/// Gives batches the names and PostgreSQL types of the output columns, keeping the types of their data.
pub(super) fn rename(inner: SendableRecordBatchStream, fields: &[FieldRef]) -> SendableRecordBatchStream {
    let data = inner.schema();
    let fields = fields.iter().zip(data.fields()).map(|(shown, data)| {
        Arc::new(shown.as_ref().clone().with_data_type(data.data_type().clone()).with_nullable(true))
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let output = Arc::clone(&schema);
    let renamed = inner.map(move |batch| {
        let batch = batch?;
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(output, renamed))
}

/// Rows that are in memory.
pub(super) fn ready(fields: &[FieldRef], batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = Arc::new(Schema::new(fields.to_vec()));
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

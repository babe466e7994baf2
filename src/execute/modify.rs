//! UPDATE and DELETE: the rows that a query finds go, those it makes of them come.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream_partitioned;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::returning::{Kept, give_back};
use super::rows::RowChecks;
use super::{Outcome, Stores, query};
use crate::catalog::Index;
use crate::error::{SqlError, internal};
use crate::plan::{ADDRESS_COLUMNS, ModifyPlan, Scope};
use crate::transaction::Transaction;
use crate::warehouse::{Addresses, TableWriter, Written};

pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    modify: ModifyPlan,
) -> Result<Outcome, SqlError> {
    let relation = scope.ctx.catalog.relation(modify.table);
    let relation = relation.ok_or_else(|| internal("the table of an UPDATE or DELETE is gone"))?.clone();
    let updates = modify.assigned.is_some();
    let drawn = query::sequences(&modify.source)?;
    let plan = query::physical(scope, &modify.rows(&relation).map_err(SqlError::from_engine)?).await?;
    let streams = execute_stream_partitioned(plan, scope.engine.state().task_ctx()).map_err(SqlError::from_engine)?;
    let found = Arc::new(Mutex::new(Addresses::default()));
    let sets = |column: i32| {
        let position = relation.columns.iter().position(|known| known.id == column);
        position.is_some_and(|position| modify.sets(position))
    };
    let touches = |index: &Index| index.columns().into_iter().any(sets);
    let checks = Arc::new(RowChecks::new(scope, modify.table, &relation, None, &modify.checks, touches)?);
    // Dropped when the statement is cancelled: its tasks end with it.
    let mut workers = JoinSet::new();
    for stream in streams {
        let writer =
            if updates { Some(TableWriter::new(&stores.warehouse, &scope.ctx.catalog, &relation)?) } else { None };
        let (found, checks) = (Arc::clone(&found), Arc::clone(&checks));
        let keep = modify.returning.is_some();
        workers.spawn(Worker { found, checks, columns: relation.columns.len(), writer, keep }.run(stream));
    }
    let mut all = Vec::new();
    let mut kept = Vec::new();
    while let Some(done) = workers.join_next().await {
        let (written, rows) = done.map_err(internal)??;
        all.extend(written);
        kept.extend(rows);
    }
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    // First: the addresses are those of the data as it was.
    transaction.delete(modify.table, &found)?;
    let new = checks.keys_are_new(transaction).await;
    for written in all {
        // Also after a failure: the transaction's end deletes the files.
        transaction.stage(modify.table, written);
    }
    new?;
    checks.finish(transaction).await?;
    transaction.drew_from(drawn);
    let tag = format!("{} {}", if updates { "UPDATE" } else { "DELETE" }, found.len());
    match &modify.returning {
        Some(returning) => give_back(scope, &relation, returning, kept, tag),
        None => Ok(Outcome::Done(tag)),
    }
}

struct Worker {
    /// Rows that were found, by all workers.
    found: Arc<Mutex<Addresses>>,
    checks: Arc<RowChecks>,
    /// How many the table has.
    columns: usize,
    /// For UPDATE.
    writer: Option<TableWriter>,
    /// Whether RETURNING wants the rows.
    keep: bool,
}

impl Worker {
    async fn run(
        mut self,
        mut stream: SendableRecordBatchStream,
    ) -> Result<(Option<Written>, Vec<RecordBatch>), SqlError> {
        let mut kept = Kept::default();
        while let Some(batch) = stream.try_next().await.map_err(SqlError::from_engine)? {
            let batch = self.first_only(&batch)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let others = ADDRESS_COLUMNS + self.columns;
            let mut own = columns(&batch, ADDRESS_COLUMNS..others.min(batch.num_columns()))?;
            if let Some(writer) = &mut self.writer {
                own = self.checks.apply(&own)?;
                writer.write(own.clone()).await?;
            }
            if self.keep {
                kept.add(joined(&own, &columns(&batch, others..batch.num_columns())?)?)?;
            }
        }
        let written = match self.writer {
            Some(writer) => Some(writer.finish().await?),
            None => None,
        };
        Ok((written, kept.batches))
    }

    /// A row that joins several others changes once, as the first of them says.
    fn first_only(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let address = |index: usize| batch.column(index).as_primitive_opt::<Int64Type>();
        let (Some(files), Some(positions)) = (address(0), address(1)) else {
            return Err(internal("a row without an address").into());
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = files.values().iter().zip(positions.values());
        let first: BooleanArray = addresses.map(|(file, position)| Some(found.insert(*file, *position))).collect();
        drop(found);
        if first.true_count() == first.len() {
            return Ok(batch.clone());
        }
        filter_record_batch(batch, &first).map_err(|error| SqlError::from_engine(error.into()))
    }
}

/// Some of a batch's columns.
fn columns(batch: &RecordBatch, range: std::ops::Range<usize>) -> Result<RecordBatch, SqlError> {
    batch.project(&range.collect::<Vec<_>>()).map_err(|error| SqlError::from_engine(error.into()))
}

/// The columns of both, which have the same number of rows.
fn joined(left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let fields = left.schema_ref().fields().iter().chain(right.schema_ref().fields()).cloned();
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(|error| SqlError::from_engine(error.into()))
}

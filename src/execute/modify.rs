//! UPDATE, DELETE and MERGE: the rows that a query finds go, those it makes of them come.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::returning::{Kept, give_back};
use super::rows::{RowChecks, touches};
use super::{Outcome, Stores, query};
use crate::catalog::{Index, Relation};
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::name::ObjectId;
use crate::plan::{ADDRESS_COLUMNS, MergeStep, ModifyPlan, Scope};
use crate::transaction::Transaction;
use crate::warehouse::{Addresses, TableWriter, Written};

pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    modify: &ModifyPlan,
) -> Result<Outcome, SqlError> {
    let rows = modify.rows(target(scope, modify)?).map_err(SqlError::from_engine)?;
    let drawn = query::sequences(&rows)?;
    let source = query::parts(scope, &rows).await?;
    change(scope, stores, transaction, modify, (source, drawn)).await
}

/// The table whose rows are changed.
pub(super) fn target<'a>(scope: &'a Scope, modify: &ModifyPlan) -> Result<&'a Relation, SqlError> {
    let relation = scope.ctx.catalog.relation(modify.table);
    relation.ok_or_else(|| internal("the table of an UPDATE or DELETE is gone").into())
}

/// Changes the rows that a source gives as [`ModifyPlan::rows`] does, which were drawn from some sequences.
pub(super) async fn change(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    modify: &ModifyPlan,
    (source, drawn): (Vec<SendableRecordBatchStream>, BTreeSet<ObjectId>),
) -> Result<Outcome, SqlError> {
    let relation = target(scope, modify)?.clone();
    let writes = modify.assigned.is_some() || modify.steps.is_some();
    let found = Arc::new(Mutex::new(Addresses::default()));
    let touches = |index: &Index| touches(&relation, index, |position| modify.sets(position));
    let checks = Arc::new(RowChecks::new(scope, modify.table, &relation, None, &modify.checks, touches)?.of_old_rows());
    // Dropped when the statement is cancelled: its tasks end with it.
    let mut workers = JoinSet::new();
    for stream in source {
        let writer =
            if writes { Some(TableWriter::new(&stores.warehouse, &scope.ctx.catalog, &relation)?) } else { None };
        let (found, checks) = (Arc::clone(&found), Arc::clone(&checks));
        let keep = modify.returning.is_some();
        let steps = modify.steps.as_ref().map(|steps| steps.iter().map(Effect::of).collect());
        workers.spawn(Worker { found, checks, columns: relation.columns.len(), writer, steps, keep }.run(stream));
    }
    let mut total = 0;
    let mut all = Vec::new();
    let mut kept = Vec::new();
    while let Some(done) = workers.join_next().await {
        let done = done.map_err(internal)??;
        total += done.rows;
        all.extend(done.written);
        kept.extend(done.kept);
    }
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    // First: the addresses are those of the data as it was.
    transaction.delete(modify.table, &found)?;
    let new = checks.keys_are_new(transaction).await;
    for written in all {
        // Also after a failure: the transaction's end deletes the files.
        transaction.stage(modify.table, written)?;
    }
    new?;
    checks.finish(transaction).await?;
    transaction.drew_from(drawn);
    let command = match (&modify.assigned, &modify.steps) {
        (_, Some(_)) => "MERGE",
        (Some(_), None) => "UPDATE",
        (None, None) => "DELETE",
    };
    let tag = format!("{command} {total}");
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
    /// For UPDATE and MERGE.
    writer: Option<TableWriter>,
    /// For MERGE: what its clauses do, by their numbers.
    steps: Option<Vec<Effect>>,
    /// Whether RETURNING wants the rows.
    keep: bool,
}

/// What a clause of MERGE does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Update,
    Delete,
    Insert,
    Nothing,
}

impl Effect {
    fn of(step: &MergeStep) -> Self {
        match step {
            MergeStep::Update(_) => Self::Update,
            MergeStep::Delete => Self::Delete,
            MergeStep::Insert(_) => Self::Insert,
            MergeStep::Nothing => Self::Nothing,
        }
    }
}

/// What a worker has done.
struct Done {
    rows: usize,
    written: Option<Written>,
    kept: Vec<RecordBatch>,
}

impl Worker {
    async fn run(mut self, mut stream: SendableRecordBatchStream) -> Result<Done, SqlError> {
        let mut kept = Kept::default();
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await.map_err(SqlError::from_engine)? {
            let parts = match &self.steps {
                Some(steps) => self.by_effect(&batch, steps)?,
                None => vec![(self.first_only(&batch)?, self.writer.is_some())],
            };
            let first = ADDRESS_COLUMNS + usize::from(self.steps.is_some());
            let others = first + self.columns;
            for (batch, is_written) in parts.into_iter().filter(|(batch, _)| batch.num_rows() > 0) {
                rows += batch.num_rows();
                let mut own = columns(&batch, first..others.min(batch.num_columns()))?;
                if let Some(writer) = self.writer.as_mut().filter(|_| is_written) {
                    own = self.checks.apply(&own)?;
                    writer.write(own.clone()).await?;
                }
                if self.keep {
                    kept.add(joined(&own, &columns(&batch, others..batch.num_columns())?)?)?;
                }
            }
        }
        let written = match self.writer {
            Some(writer) => Some(writer.finish().await?),
            None => None,
        };
        Ok(Done { rows, written, kept: kept.batches })
    }

    /// The rows that MERGE does something to: those that are written, and those that only go. `21000` for a row of the
    /// target that changes twice.
    fn by_effect(&self, batch: &RecordBatch, steps: &[Effect]) -> Result<Vec<(RecordBatch, bool)>, SqlError> {
        let broken = || internal("a row of MERGE without an address");
        let address = |index: usize| batch.column(index).as_primitive_opt::<Int64Type>().ok_or_else(broken);
        let (files, positions) = (address(0)?, address(1)?);
        let numbers = cast(batch.column(ADDRESS_COLUMNS), &DataType::Int64).map_err(SqlError::from_arrow)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        let effects: Vec<Effect> = (0..batch.num_rows())
            .map(|row| {
                let number = numbers.is_valid(row).then(|| usize::try_from(numbers.value(row)).ok()).flatten();
                number.and_then(|number| steps.get(number)).copied().unwrap_or(Effect::Nothing)
            })
            .collect();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, effect) in effects.iter().enumerate() {
            let changes = matches!(effect, Effect::Update | Effect::Delete);
            if changes && !found.insert(files.value(row), positions.value(row)) {
                let message = "MERGE command cannot affect row a second time";
                let hint = "Ensure that not more than one source row matches any one target row.";
                return Err(Plain::new(SqlState::CARDINALITY_VIOLATION, message).hint(hint).into());
            }
        }
        drop(found);
        let some = |wanted: &[Effect]| -> Result<RecordBatch, SqlError> {
            let mask: BooleanArray = effects.iter().map(|effect| Some(wanted.contains(effect))).collect();
            filter_record_batch(batch, &mask).map_err(SqlError::from_arrow)
        };
        Ok(vec![(some(&[Effect::Update, Effect::Insert])?, true), (some(&[Effect::Delete])?, false)])
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
        filter_record_batch(batch, &first).map_err(SqlError::from_arrow)
    }
}

/// Some of a batch's columns.
fn columns(batch: &RecordBatch, range: std::ops::Range<usize>) -> Result<RecordBatch, SqlError> {
    batch.project(&range.collect::<Vec<_>>()).map_err(SqlError::from_arrow)
}

/// The columns of both, which have the same number of rows.
fn joined(left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let fields = left.schema_ref().fields().iter().chain(right.schema_ref().fields()).cloned();
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(SqlError::from_arrow)
}

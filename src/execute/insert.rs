//! INSERT and CREATE TABLE AS: the source's partitions are written side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::returning::{Kept, give_back};
use super::rows::RowChecks;
use super::{Outcome, Stores, query, upsert};
use crate::catalog::Relation;
use crate::error::{SqlError, internal};
use crate::name::ObjectId;
use crate::plan::{InsertPlan, Scope};
use crate::transaction::Transaction;
use crate::warehouse::{TableWriter, Written};

pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    insert: &InsertPlan,
) -> Result<Outcome, SqlError> {
    let drawn = query::sequences(&insert.source)?;
    if let Some(on_conflict) = &insert.on_conflict {
        let relation = target(scope, insert)?;
        let (total, kept) = Box::pin(upsert::run(scope, stores, transaction, &relation, insert, on_conflict)).await?;
        // Those that the table draws from, and any that the catalog's defaults may name.
        transaction.drew_from(scope.ctx.catalog.sequences_for(insert.table).chain(drawn));
        let tag = format!("INSERT 0 {total}");
        return match &insert.returning {
            Some(returning) => give_back(scope, &relation, returning, kept, tag),
            None => Ok(Outcome::Done(tag)),
        };
    }
    let source = query::parts(scope, &insert.source).await?;
    rows(scope, stores, transaction, insert, (source, drawn)).await
}

fn target(scope: &Scope, insert: &InsertPlan) -> Result<Relation, SqlError> {
    let relation = scope.ctx.catalog.relation(insert.table);
    Ok(relation.ok_or_else(|| internal("the table of an INSERT is gone"))?.clone())
}

/// Inserts the rows of a source, which were drawn from some sequences.
pub(super) async fn rows(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    insert: &InsertPlan,
    (source, drawn): (Vec<SendableRecordBatchStream>, BTreeSet<ObjectId>),
) -> Result<Outcome, SqlError> {
    let relation = target(scope, insert)?;
    let rows = Arc::new(RowChecks::new(scope, insert.table, &relation, None, &insert.checks, |_| true)?);
    let keep = insert.returning.is_some();
    // Dropped when the statement is cancelled: its tasks end with it.
    let mut writers = JoinSet::new();
    let mut done = Vec::new();
    let alone = source.len() == 1;
    for (partition, stream) in source.into_iter().enumerate() {
        let writer = TableWriter::new(&stores.warehouse, &scope.ctx.catalog, &relation)?;
        let rows = Arc::clone(&rows);
        let writing = async move { Ok::<_, SqlError>((partition, write(stream, writer, rows, keep).await?)) };
        if alone {
            done.push(Box::pin(writing).await?);
        } else {
            writers.spawn(writing);
        }
    }
    while let Some(finished) = writers.join_next().await {
        done.push(finished.map_err(internal)??);
    }
    // In the order of the source.
    done.sort_by_key(|(partition, _)| *partition);
    let mut total = 0_u64;
    let mut kept = Vec::new();
    let mut all = Vec::new();
    for (_, (written, batches)) in done {
        total += written.rows;
        kept.extend(batches);
        all.push(written);
    }
    let new = rows.keys_are_new(transaction).await;
    for written in all {
        // Also after a failure: the transaction's end deletes the files.
        transaction.stage(insert.table, written)?;
    }
    new?;
    rows.finish(transaction).await?;
    // Those that the table draws from, and any that the catalog's defaults may name.
    transaction.drew_from(scope.ctx.catalog.sequences_for(insert.table).chain(drawn));
    let tag = match insert.tag {
        "INSERT" => format!("INSERT 0 {total}"),
        other => format!("{other} {total}"),
    };
    match &insert.returning {
        Some(returning) => give_back(scope, &relation, returning, kept, tag),
        None => Ok(Outcome::Done(tag)),
    }
}

async fn write(
    mut stream: SendableRecordBatchStream,
    mut writer: TableWriter,
    checks: Arc<RowChecks>,
    keep: bool,
) -> Result<(Written, Vec<RecordBatch>), SqlError> {
    let mut kept = Kept::default();
    while let Some(batch) = stream.try_next().await.map_err(SqlError::from_engine)? {
        let batch = checks.apply(&batch)?;
        if keep {
            kept.add(batch.clone())?;
        }
        writer.write(batch).await?;
    }
    Ok((writer.finish().await?, kept.batches))
}

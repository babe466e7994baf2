//! INSERT and CREATE TABLE AS: the source's partitions are written side by side.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::{PhysicalExpr, execute_stream_partitioned};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::returning::{Kept, give_back};
use super::{Outcome, Stores, query};
use crate::catalog::{Column, Relation, RelationKind, Sequence};
use crate::encode::length_checked;
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::govern::Privilege;
use crate::guard::{masks, row_security_applies};
use crate::name::ObjectId;
use crate::plan::{InsertPlan, Scope, WithCheck, has_subquery};
use crate::transaction::Transaction;
use crate::types::PgType;
use crate::warehouse::{ShownColumns, TableWriter, Written};

pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    insert: InsertPlan,
) -> Result<Outcome, SqlError> {
    let relation =
        scope.ctx.catalog.relation(insert.table).ok_or_else(|| internal("the table of an INSERT is gone"))?.clone();
    let drawn = query::sequences(&insert.source)?;
    let plan = query::physical(scope, &insert.source).await?;
    let streams = execute_stream_partitioned(plan, scope.engine.state().task_ctx()).map_err(SqlError::from_engine)?;
    let rows = Arc::new(RowChecks::new(scope, &relation, None, &insert.checks)?);
    let keep = insert.returning.is_some();
    // Dropped when the statement is cancelled: its tasks end with it.
    let mut writers = JoinSet::new();
    let shown = shown_columns(scope, insert.table, &relation)?;
    for (partition, stream) in streams.into_iter().enumerate() {
        let writer = TableWriter::new(&stores.warehouse, &scope.ctx.catalog, &relation)?.showing(shown.clone());
        let rows = Arc::clone(&rows);
        writers.spawn(async move { Ok::<_, SqlError>((partition, write(stream, writer, rows, keep).await?)) });
    }
    let mut done = Vec::new();
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
    for written in all {
        transaction.stage(insert.table, written);
    }
    transaction.drew_from(sequences_of(scope, insert.table).into_iter().chain(drawn));
    let tag = match insert.tag {
        "INSERT" => format!("INSERT 0 {total}"),
        other => format!("{other} {total}"),
    };
    match &insert.returning {
        Some(returning) => give_back(scope, &relation, returning, kept, tag),
        None => Ok(Outcome::Done(tag)),
    }
}

/// The columns of a table that the user may see as they are.
pub(super) fn shown_columns(scope: &Scope, id: ObjectId, relation: &Relation) -> Result<ShownColumns, SqlError> {
    let ctx = &scope.ctx;
    if ctx.superuser {
        return Ok(ShownColumns::All);
    }
    if row_security_applies(ctx, relation) {
        return Ok(ShownColumns::Only(Vec::new()));
    }
    let masked: Vec<usize> = masks(ctx, &scope.reader, id, relation)?.iter().map(|mask| mask.column).collect();
    let all = ctx.rights(&relation.effective_acl()).contains(Privilege::Select);
    if all && masked.is_empty() {
        return Ok(ShownColumns::All);
    }
    let readable = |column: &Column| {
        all || column.acl.as_ref().is_some_and(|acl| acl.held_by(&ctx.roles).contains(Privilege::Select))
    };
    let shown =
        relation.columns.iter().enumerate().filter(|(index, column)| !masked.contains(index) && readable(column));
    Ok(ShownColumns::Only(shown.map(|(index, _)| index).collect()))
}

/// The sequences a table draws from, and any that the catalog's defaults may name.
fn sequences_of(scope: &Scope, table: ObjectId) -> Vec<ObjectId> {
    let owned = scope.ctx.catalog.relations().filter(|(_, relation)| match &relation.storage {
        RelationKind::Sequence(Sequence { owned_by: Some((owner, _)), .. }) => *owner == table,
        RelationKind::Sequence(Sequence { owned_by: None, .. }) => true,
        RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) => false,
    });
    owned.map(|(id, _)| id).collect()
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

/// What every new row is held against: lengths of its types, then COPY's WHERE, then WITH CHECK.
pub(super) struct RowChecks {
    relation: String,
    types: Vec<PgType>,
    /// The table's columns, all nullable.
    schema: SchemaRef,
    filter: Option<Arc<dyn PhysicalExpr>>,
    conditions: Vec<(Option<String>, Arc<dyn PhysicalExpr>)>,
}

impl RowChecks {
    pub(super) fn new(
        scope: &Scope,
        relation: &Relation,
        filter: Option<&Expr>,
        checks: &[WithCheck],
    ) -> Result<Self, SqlError> {
        let fields = relation.columns.iter().map(|column| crate::types::field(&column.name, &column.pg, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let df_schema = DFSchema::try_from(Arc::clone(&schema)).map_err(SqlError::from_engine)?;
        let state = scope.engine.state();
        let physical =
            |expr: &Expr| state.create_physical_expr(expr.clone(), &df_schema).map_err(SqlError::from_engine);
        let mut conditions = Vec::new();
        for check in checks {
            if has_subquery(&check.condition) {
                return Err(crate::error::unsupported("a subquery in a WITH CHECK policy").into());
            }
            conditions.push((check.policy.clone(), physical(&check.condition)?));
        }
        let types = relation.columns.iter().map(|column| column.pg.clone()).collect();
        let filter = filter.map(physical).transpose()?;
        Ok(Self { relation: relation.name.clone(), types, schema, filter, conditions })
    }

    /// The rows as they are to be kept. `22001`, `42501`.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let arrow = |error: arrow::error::ArrowError| SqlError::from_engine(error.into());
        let mut columns = Vec::with_capacity(batch.num_columns());
        for ((array, pg), field) in batch.columns().iter().zip(&self.types).zip(self.schema.fields()) {
            let array = if array.data_type() == field.data_type() {
                Arc::clone(array)
            } else {
                cast(array, field.data_type()).map_err(arrow)?
            };
            columns.push(length_checked(array, pg)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let mut batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(arrow)?;
        if let Some(filter) = &self.filter {
            let kept = filter.evaluate(&batch).and_then(|kept| kept.into_array(batch.num_rows()));
            let kept = kept.map_err(SqlError::from_engine)?;
            let kept = kept.as_boolean_opt().ok_or_else(|| internal("a filter that is not boolean"))?;
            batch = filter_record_batch(&batch, kept).map_err(arrow)?;
        }
        for (policy, condition) in &self.conditions {
            let value = condition
                .evaluate(&batch)
                .and_then(|value| value.into_array(batch.num_rows()))
                .map_err(SqlError::from_engine)?;
            let passed =
                value.as_boolean_opt().is_some_and(|passed| passed.null_count() == 0 && passed.false_count() == 0);
            if !passed && batch.num_rows() > 0 {
                let which = policy.as_ref().map(|policy| format!(" \"{policy}\"")).unwrap_or_default();
                let message =
                    format!("new row violates row-level security policy{which} for table \"{}\"", self.relation);
                return Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
        }
        Ok(batch)
    }
}

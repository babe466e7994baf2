//! INSERT … ON CONFLICT: rows are held against the keys that are there, a window of rows at a time, in the order in which
//! the source gives them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, filter_record_batch, interleave_record_batch};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::OwnedRow;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;
use futures::TryStreamExt;

use super::Stores;
use super::keys::{ADDRESS, Key, Lookup, REMEMBERED_MAX, address, hash};
use super::query;
use super::returning::Kept;
use super::rows::{RowChecks, touches};
use crate::catalog::{Index, Relation};
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::plan::{ConflictUpdate, InsertPlan, OnConflict, Scope, excluded_name, set_name};
use crate::transaction::Transaction;
use crate::warehouse::{Addresses, TableWriter};

/// One statement in progress.
struct Upsert<'a> {
    scope: &'a Scope,
    stores: &'a Stores,
    relation: &'a Relation,
    insert: &'a InsertPlan,
    arbiters: &'a OnConflict,
    update: Option<Update<'a>>,
    checks: RowChecks,
    /// Keys that the statement has given rows, by arbiter.
    touched: Vec<HashSet<u64>>,
    kept: Kept,
    rows: usize,
}

/// Runs the statement; tells how many rows it inserted or updated, and gives those that RETURNING wants.
pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    relation: &Relation,
    insert: &InsertPlan,
    arbiters: &OnConflict,
) -> Result<(usize, Vec<RecordBatch>), SqlError> {
    let mut source = query::one(scope, &insert.source).await?;
    let checks = RowChecks::new(scope, insert.table, relation, None, &insert.checks, |_| true)?;
    let checks = checks.arbitrated_by(&arbiters.arbiters);
    let update = arbiters.update.as_ref().map(|update| Update::new(scope, insert, relation, update)).transpose()?;
    let touched = vec![HashSet::new(); arbiters.arbiters.len()];
    let kept = Kept::default();
    let mut upsert = Upsert { scope, stores, relation, insert, arbiters, update, checks, touched, kept, rows: 0 };
    let mut window = Vec::new();
    let mut rows = 0;
    while let Some(batch) = source.try_next().await.map_err(SqlError::from_engine)? {
        let batch = upsert.checks.check(&batch)?;
        if rows + batch.num_rows() > REMEMBERED_MAX {
            upsert.take(transaction, &std::mem::take(&mut window)).await?;
            rows = 0;
        }
        rows += batch.num_rows();
        window.push(batch);
    }
    upsert.take(transaction, &window).await?;
    Ok((upsert.rows, upsert.kept.batches))
}

/// What is known of the keys of a window's rows in one unique index.
struct Arbiter {
    /// By row of the window: its key; `None`: one that is never another's.
    keys: Vec<Option<OwnedRow>>,
    /// Where the rows are that have such keys: among what was found.
    existing: HashMap<OwnedRow, (usize, usize)>,
    /// Rows of the table: where each is, then its columns.
    found: Vec<RecordBatch>,
}

impl Upsert<'_> {
    /// Inserts or updates a window of rows.
    async fn take(&mut self, transaction: &mut Transaction, window: &[RecordBatch]) -> Result<(), SqlError> {
        let Some(first) = window.first() else { return Ok(()) };
        let rows = arrow::compute::concat_batches(&first.schema(), window).map_err(SqlError::from_arrow)?;
        let mut arbiters = Vec::new();
        for index in &self.arbiters.arbiters {
            let key = self.checks.keys().get(*index).ok_or_else(|| internal("an arbiter that is no unique index"))?;
            arbiters.push(self.arbiter(transaction, key, &rows).await?);
        }
        let conflict = |row: usize| {
            let taken = |arbiter: &&Arbiter| arbiter.conflict(row).is_some();
            arbiters.iter().find(taken)
        };
        if self.update.is_none() {
            // Rows that keep others out: who is about to take them away must come to an end first.
            for row in 0..rows.num_rows() {
                if let Some((batch, found)) = conflict(row).and_then(|arbiter| {
                    let (batch, found) = arbiter.conflict(row)?;
                    Some((arbiter.found.get(batch)?, found))
                }) {
                    transaction.met(self.insert.table, &address(batch, found)?);
                }
            }
        }
        // A row that conflicts, with the row that it conflicts with.
        let mut pairs = Vec::new();
        if self.update.is_some() {
            for row in 0..rows.num_rows() {
                if let Some(arbiter) = conflict(row)
                    && let Some((batch, found)) = arbiter.conflict(row)
                    && let Some(batch) = arbiter.found.get(batch)
                {
                    pairs.push((row, batch.slice(found, 1)));
                }
            }
        }
        let changed = match &self.update {
            Some(update) if !pairs.is_empty() => Some(update.changed(&rows, &pairs)?),
            _ => None,
        };
        // In the order of the source: rows to insert, and rows of `changed`.
        let mut order = Vec::new();
        let mut inserted = Vec::new();
        for row in 0..rows.num_rows() {
            let seen = arbiters.iter().zip(&self.touched).any(|(arbiter, touched)| {
                arbiter.keys.get(row).and_then(Option::as_ref).is_some_and(|key| touched.contains(&hash(key.row())))
            });
            if conflict(row).is_none() && !seen {
                order.push((0, inserted.len()));
                inserted.push(row);
            } else if self.update.is_none() {
                continue;
            } else if let Some(position) = changed.as_ref().and_then(|changed| changed.of_row.get(&row)) {
                if seen {
                    return Err(second_time());
                }
                order.push((1, *position));
            } else if seen {
                return Err(second_time());
            } else {
                // WHERE does not hold.
                continue;
            }
            for (arbiter, touched) in arbiters.iter().zip(&mut self.touched) {
                touched.extend(arbiter.keys.get(row).and_then(Option::as_ref).map(|key| hash(key.row())));
            }
        }
        let picked: Vec<(usize, usize)> = inserted.iter().map(|row| (0, *row)).collect();
        let new = interleave_record_batch(&[&rows], &picked).map_err(SqlError::from_arrow)?;
        let mut both = vec![new];
        if let (Some(update), Some(changed)) = (&self.update, changed) {
            transaction.delete(self.insert.table, &changed.addresses)?;
            both.push(update.checks.check(&changed.rows)?);
        }
        let checks = std::iter::once(&self.checks).chain(self.update.as_ref().map(|update| &update.checks));
        for (rows, checks) in both.iter().zip(checks) {
            self.stage(transaction, checks, rows).await?;
        }
        self.rows += order.len();
        if self.insert.returning.is_some() && !order.is_empty() {
            let both: Vec<&RecordBatch> = both.iter().collect();
            self.kept.add(interleave_record_batch(&both, &order).map_err(SqlError::from_arrow)?)?;
        }
        Ok(())
    }

    /// Looks up the keys of some rows in one index.
    async fn arbiter(&self, transaction: &Transaction, key: &Key, rows: &RecordBatch) -> Result<Arbiter, SqlError> {
        let (all, counts) = key.of(rows)?;
        let converted = key.convert(&all)?;
        let counted = |row: usize| counts.as_ref().is_none_or(|counts| counts.value(row));
        let keys = (0..all.num_rows()).map(|row| counted(row).then(|| converted.row(row).owned())).collect();
        let mut arbiter = Arbiter { keys, existing: HashMap::new(), found: Vec::new() };
        let wanted = match &counts {
            Some(counts) => filter_record_batch(&all, counts).map_err(SqlError::from_arrow)?,
            None => all,
        };
        if wanted.num_rows() == 0 {
            return Ok(arbiter);
        }
        let lookup = Lookup::new(key, std::slice::from_ref(&wanted))?;
        let whole = self.update.is_some();
        let mut found =
            self.checks.keys().find(transaction.staged(), key, std::slice::from_ref(&wanted), whole).await?;
        while let Some(batch) = found.try_next().await.map_err(SqlError::from_engine)? {
            let rows = key.convert(&key.of_found(&batch, whole)?)?;
            let mut any = false;
            for (number, row) in rows.iter().enumerate() {
                if lookup.get(row).is_some() {
                    arbiter.existing.insert(row.owned(), (arbiter.found.len(), number));
                    any = true;
                }
            }
            if any {
                arbiter.found.push(batch);
            }
        }
        Ok(arbiter)
    }

    async fn stage(
        &self,
        transaction: &mut Transaction,
        checks: &RowChecks,
        rows: &RecordBatch,
    ) -> Result<(), SqlError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        checks.note_keys(rows)?;
        checks.keys_are_new(transaction).await?;
        let mut writer = TableWriter::new(&self.stores.warehouse, &self.scope.ctx.catalog, self.relation)?;
        writer.write(rows.clone()).await?;
        transaction.stage(self.insert.table, writer.finish().await?)?;
        checks.finish(transaction).await
    }
}

impl Arbiter {
    /// The row that is in the way of a row of the window.
    fn conflict(&self, row: usize) -> Option<(usize, usize)> {
        self.existing.get(self.keys.get(row)?.as_ref()?).copied()
    }
}

fn second_time() -> SqlError {
    let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    let hint = "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.";
    Plain::new(SqlState::CARDINALITY_VIOLATION, message).hint(hint).into()
}

/// DO UPDATE, ready to be computed.
struct Update<'a> {
    plan: &'a ConflictUpdate,
    /// The table's columns, then those of the row that was to be inserted.
    both: SchemaRef,
    condition: Option<Arc<dyn PhysicalExpr>>,
    values: Vec<Arc<dyn PhysicalExpr>>,
    scope: &'a Scope,
    checks: RowChecks,
}

/// What DO UPDATE makes of a window.
struct Changed {
    /// The rows as they are to be.
    rows: RecordBatch,
    /// By row of the window: its position in `rows`.
    of_row: HashMap<usize, usize>,
    /// Where the rows are now.
    addresses: Addresses,
}

impl<'a> Update<'a> {
    fn new(
        scope: &'a Scope,
        insert: &InsertPlan,
        relation: &Relation,
        plan: &'a ConflictUpdate,
    ) -> Result<Self, SqlError> {
        let own = relation.columns.iter().map(|column| crate::types::field(&column.name, &column.pg, true));
        let excluded = relation.columns.iter().enumerate();
        let excluded = excluded.map(|(index, column)| crate::types::field(excluded_name(index), &column.pg, true));
        let both = Arc::new(Schema::new(own.chain(excluded).collect::<Vec<_>>()));
        let sets = |position: usize| plan.assigned.get(position).is_some_and(Option::is_some);
        let touches = |index: &Index| touches(relation, index, sets);
        let checks = RowChecks::new(scope, insert.table, relation, None, &plan.checks, touches)?.of_old_rows();
        let condition = plan.condition.as_ref().map(|condition| physical(scope, &both, condition)).transpose()?;
        let values = plan.values.iter().map(|value| physical(scope, &both, value)).collect::<Result<_, _>>()?;
        Ok(Self { plan, both, condition, values, scope, checks })
    }

    /// `pairs`: rows of the window, with the rows of the table that they conflict with.
    fn changed(&self, window: &RecordBatch, pairs: &[(usize, RecordBatch)]) -> Result<Changed, SqlError> {
        let (_, first) = pairs.first().ok_or_else(|| internal("no rows to update"))?;
        let existing: Vec<&RecordBatch> = pairs.iter().map(|(_, row)| row).collect();
        let existing = arrow::compute::concat_batches(&first.schema(), existing).map_err(SqlError::from_arrow)?;
        let rows: Vec<(usize, usize)> = pairs.iter().map(|(row, _)| (0, *row)).collect();
        let excluded = interleave_record_batch(&[window], &rows).map_err(SqlError::from_arrow)?;
        let own = existing.columns().iter().skip(ADDRESS);
        let columns = conform(own.chain(excluded.columns()), &self.both)?;
        let mut both = RecordBatch::try_new(Arc::clone(&self.both), columns).map_err(SqlError::from_arrow)?;
        let mut addresses = existing.project(&[0, 1]).map_err(SqlError::from_arrow)?;
        let mut rows: Vec<usize> = pairs.iter().map(|(row, _)| *row).collect();
        if let Some(condition) = &self.condition {
            let holds = evaluated(condition, &both)?;
            let holds = holds.as_boolean_opt().ok_or_else(|| internal("a condition that is not boolean"))?;
            rows = rows
                .into_iter()
                .enumerate()
                .filter(|(at, _)| holds.is_valid(*at) && holds.value(*at))
                .map(|(_, row)| row)
                .collect();
            both = filter_record_batch(&both, holds).map_err(SqlError::from_arrow)?;
            addresses = filter_record_batch(&addresses, holds).map_err(SqlError::from_arrow)?;
        }
        let values: Vec<ArrayRef> =
            self.values.iter().map(|value| evaluated(value, &both)).collect::<Result<_, _>>()?;
        let fields = self.values.iter().zip(&values).enumerate().map(|(index, (value, array))| {
            let metadata = value.return_field(&self.both).map(|field| field.metadata().clone()).unwrap_or_default();
            Field::new(set_name(index), array.data_type().clone(), true).with_metadata(metadata)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(both.num_rows()));
        let set =
            RecordBatch::try_new_with_options(Arc::clone(&schema), values, &options).map_err(SqlError::from_arrow)?;
        let mut columns = Vec::with_capacity(self.plan.assigned.len());
        for (index, assigned) in self.plan.assigned.iter().enumerate() {
            columns.push(match assigned {
                Some(value) => evaluated(&physical(self.scope, &schema, value)?, &set)?,
                None => Arc::clone(both.column(index)),
            });
        }
        let own = Arc::new(self.both.project(&(0..columns.len()).collect::<Vec<_>>()).map_err(SqlError::from_arrow)?);
        let columns = conform(columns.iter(), &own)?;
        let mut changed = Changed {
            rows: RecordBatch::try_new(own, columns).map_err(SqlError::from_arrow)?,
            of_row: rows.into_iter().enumerate().map(|(position, row)| (row, position)).collect(),
            addresses: Addresses::default(),
        };
        let address = |index: usize| addresses.column(index).as_primitive_opt::<Int64Type>();
        let (Some(files), Some(positions)) = (address(0), address(1)) else {
            return Err(internal("a row without an address").into());
        };
        for (file, position) in files.values().iter().zip(positions.values()) {
            // Two rows of the window that conflict with one row are told of as such.
            changed.addresses.insert(*file, *position);
        }
        Ok(changed)
    }
}

fn physical(scope: &Scope, schema: &SchemaRef, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    let df_schema = DFSchema::try_from(Arc::clone(schema)).map_err(SqlError::from_engine)?;
    scope.engine.physical_expr(expr, &df_schema).map_err(SqlError::from_engine)
}

fn evaluated(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, SqlError> {
    expr.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())).map_err(SqlError::from_engine)
}

/// Columns in exactly a schema's types.
fn conform<'a>(columns: impl Iterator<Item = &'a ArrayRef>, schema: &SchemaRef) -> Result<Vec<ArrayRef>, SqlError> {
    columns
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()).map_err(SqlError::from_arrow))
        .collect()
}

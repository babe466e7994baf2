//! Unique keys: whether the keys of new rows are new.
//!
//! Few keys are looked up in the table, whose files are chosen by their bounds; for many, the table's keys are counted once
//! the rows are there. Both see the transaction's view of the table. What others commit meanwhile is found by hashes of the
//! keys, at commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use super::query;
use super::rows::Table;
use crate::catalog::{Claims, ConstraintKind, Index};
use crate::error::{About, Plain, SqlError, SqlState, internal};
use crate::guard::{FILE_COLUMN, OpenTable, POSITION_COLUMN};
use crate::name::ObjectId;
use crate::plan::{Scope, duplicates};
use crate::transaction::Transaction;
use crate::warehouse::{Addresses, Staged};

/// Keys that are remembered to be looked up.
pub(super) const REMEMBERED_MAX: usize = 131_072;
/// Keys that a scan is told one by one.
const LISTED_MAX: usize = 64;

/// The unique keys of a table that a statement gives new values.
pub(super) struct Keys {
    scope: Scope,
    table: Arc<Table>,
    unique: Vec<Key>,
}

/// One unique index, and the keys of the rows that one statement adds.
pub(super) struct Key {
    pub(super) index: ObjectId,
    /// The constraint's, or the index's own.
    pub(super) name: String,
    /// Indexes of its columns in the table.
    pub(super) columns: Vec<usize>,
    nulls_too: bool,
    arbitrates: bool,
    schema: SchemaRef,
    converter: RowConverter,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The key columns, unless there were too many rows.
    batches: Vec<RecordBatch>,
    rows: usize,
    bounds: Option<(OwnedRow, OwnedRow)>,
    hashes: Vec<u64>,
}

impl Keys {
    /// `touches`: whether the statement gives an index other keys.
    pub(super) fn new(scope: &Scope, table: &Arc<Table>, touches: impl Fn(&Index) -> bool) -> Result<Self, SqlError> {
        let indexes = scope.ctx.catalog.indexes(&table.relation);
        let unique = indexes
            .filter(|(_, _, index)| index.unique && touches(index))
            .map(|(id, name, index)| Key::new(table, id, name, index))
            .collect::<Result<_, _>>()?;
        Ok(Self { scope: scope.clone(), table: Arc::clone(table), unique })
    }

    /// Keys that decide what happens to a row, and are not held against those that are there.
    pub(super) fn arbitrate(&mut self, arbiters: &[ObjectId]) {
        for key in &mut self.unique {
            key.arbitrates = arbiters.contains(&key.index);
        }
    }

    /// The key of an index.
    pub(super) fn get(&self, index: ObjectId) -> Option<&Key> {
        self.unique.iter().find(|key| key.index == index)
    }

    /// Notes the keys of new rows.
    pub(super) fn add(&self, batch: &RecordBatch) -> Result<(), SqlError> {
        self.unique.iter().try_for_each(|key| key.add(batch))
    }

    /// See [`super::rows::RowChecks::keys_are_new`].
    pub(super) async fn are_new(&self, transaction: &mut Transaction) -> Result<(), SqlError> {
        for key in &self.unique {
            let (batches, hashes) = key.take();
            if hashes.is_empty() {
                continue;
            }
            let claims = Claims::new(hashes, key.arbitrates);
            transaction.claim(self.table.id, key.index, claims);
            if !batches.is_empty() && !key.arbitrates {
                let new = Lookup::new(key, &batches)?;
                if let Some((batch, row)) = new.repeated.and_then(|(batch, row)| Some((batches.get(batch)?, row))) {
                    return Err(self.violation(key, batch, row));
                }
                let mut found = self.find(transaction.staged(), key, &batches, false).await?;
                while let Some(batch) = found.try_next().await.map_err(SqlError::from_engine)? {
                    let keys = ADDRESS..ADDRESS + key.columns.len();
                    let found_rows = batch;
                    let batch = found_rows.project(&keys.collect::<Vec<_>>()).map_err(SqlError::from_arrow)?;
                    let rows = key.convert(&batch)?;
                    if let Some(row) = (0..rows.num_rows()).find(|row| new.get(rows.row(*row)).is_some()) {
                        transaction.met(self.table.id, &address(&found_rows, row)?);
                        return Err(self.violation(key, &batch, row));
                    }
                }
            }
        }
        Ok(())
    }

    /// See [`super::rows::RowChecks::finish`].
    pub(super) async fn finish(&self, transaction: &mut Transaction) -> Result<(), SqlError> {
        for key in &self.unique {
            let filter = {
                let seen = key.seen();
                if seen.is_remembered() {
                    continue;
                }
                key.within(seen.bounds.as_ref())?
            };
            let mut rows = self.scan(transaction.staged())?;
            if let Some(filter) = filter {
                rows = rows.filter(filter).map_err(SqlError::from_engine)?;
            }
            let names: Vec<&str> = key.schema.fields().iter().map(|field| field.name().as_str()).collect();
            let plan = duplicates(rows, &names, key.nulls_too).map_err(SqlError::from_engine)?;
            let mut found = self.run(&plan).await?;
            while let Some(batch) = found.try_next().await.map_err(SqlError::from_engine)? {
                if batch.num_rows() > 0 {
                    let columns: Vec<usize> = (0..key.columns.len()).collect();
                    return Err(self.violation(key, &batch.project(&columns).map_err(SqlError::from_arrow)?, 0));
                }
            }
        }
        Ok(())
    }

    /// Rows of the table that may have one of some keys: where each is, then the key's columns, or all of the table.
    pub(super) async fn find(
        &self,
        staged: &Arc<Staged>,
        key: &Key,
        batches: &[RecordBatch],
        whole: bool,
    ) -> Result<SendableRecordBatchStream, SqlError> {
        if let Some(found) = self.lookup(staged, key, batches, whole).await? {
            return Ok(found);
        }
        let mut rows = self.scan(staged)?;
        if let Some(filter) = key.filter(batches)? {
            rows = rows.filter(filter).map_err(SqlError::from_engine)?;
        }
        let names = if whole { &self.table.schema } else { &key.schema };
        let names = names.fields().iter().map(|field| field.name().as_str());
        let wanted = [FILE_COLUMN, POSITION_COLUMN].into_iter().chain(names).map(named);
        let plan = rows.project(wanted).and_then(LogicalPlanBuilder::build).map_err(SqlError::from_engine)?;
        self.run(&plan).await
    }

    /// As [`Keys::find`], without a scan; `None` if that is not possible.
    async fn lookup(
        &self,
        staged: &Arc<Staged>,
        key: &Key,
        batches: &[RecordBatch],
        whole: bool,
    ) -> Result<Option<SendableRecordBatchStream>, SqlError> {
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let enabled = self.scope.ctx.settings.is_on("enable_indexscan");
        if !enabled || count > LISTED_MAX {
            return Ok(None);
        }
        let keys = concat_batches(&key.schema, batches).map_err(SqlError::from_arrow)?;
        // To a key that may be NULL once, one NULL is like another.
        if key.nulls_too && keys.columns().iter().any(|column| column.logical_null_count() > 0) {
            return Ok(None);
        }
        let table = self.open(staged)?;
        let Some(table) = table.downcast_ref::<OpenTable>() else { return Ok(None) };
        let columns = self.table.schema.fields().len();
        let wanted = if whole { (0..columns).collect() } else { key.columns.clone() };
        let projection: Vec<usize> = (columns..columns + ADDRESS).chain(wanted).collect();
        let found = table.lookup(&key.columns, keys.columns(), &projection).await.map_err(SqlError::from_engine)?;
        let Some(found) = found else { return Ok(None) };
        let schema = Arc::new(table.schema().project(&projection).map_err(SqlError::from_arrow)?);
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(found.into_iter().map(Ok))))))
    }

    /// The table as the transaction has it, with the addresses of its rows. Policies and masks do not hold for keys.
    fn open(&self, staged: &Arc<Staged>) -> Result<Arc<dyn TableProvider>, SqlError> {
        let scope = &self.scope;
        let mut ctx = scope.ctx.clone();
        ctx.staged = Arc::clone(staged);
        let system = scope.engine.state();
        Ok(scope.guard.open_target(&ctx, self.table.id, &self.table.relation, None, system)?)
    }

    /// The table's rows in the transaction, with their addresses.
    fn scan(&self, staged: &Arc<Staged>) -> Result<LogicalPlanBuilder, SqlError> {
        let table = self.open(staged)?;
        LogicalPlanBuilder::scan("keys", provider_as_source(table), None).map_err(SqlError::from_engine)
    }

    async fn run(&self, plan: &datafusion::logical_expr::LogicalPlan) -> Result<SendableRecordBatchStream, SqlError> {
        let plan = query::physical(&self.scope, plan).await?;
        execute_stream(plan, self.scope.engine.task()).map_err(SqlError::from_engine)
    }

    fn violation(&self, key: &Key, batch: &RecordBatch, row: usize) -> SqlError {
        let message = format!("duplicate key value violates unique constraint \"{}\"", key.name);
        let about = About { constraint: Some(key.name.clone()), ..self.table.about() };
        let error = Plain::new(SqlState::UNIQUE_VIOLATION, message).about(about);
        match self.table.describe_key(&key.columns, batch, row) {
            Some(described) => error.detail(format!("Key {described} already exists.")).into(),
            None => error.into(),
        }
    }
}

/// Where a row is that [`Keys::find`] gave.
pub(super) fn address(found: &RecordBatch, row: usize) -> Result<Addresses, SqlError> {
    let column = |index: usize| found.column(index).as_primitive_opt::<Int64Type>().map(|column| column.value(row));
    let (Some(file), Some(position)) = (column(0), column(1)) else {
        return Err(internal("a row without an address").into());
    };
    let mut address = Addresses::default();
    address.insert(file, position);
    Ok(address)
}

/// Columns before the key in what [`Keys::find`] gives.
pub(super) const ADDRESS: usize = 2;

impl Key {
    fn new(table: &Table, id: ObjectId, name: &str, index: &Index) -> Result<Self, SqlError> {
        let position = |id: &i32| table.relation.columns.iter().position(|column| column.id == *id);
        let columns: Vec<usize> = index.columns().iter().filter_map(position).collect();
        let schema = Arc::new(table.schema.project(&columns).map_err(SqlError::from_arrow)?);
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(SqlError::from_arrow)?;
        let constraint = table.relation.constraint_of(id);
        let name = constraint.map_or(name, |constraint| &constraint.name).to_owned();
        let primary = constraint.is_some_and(|constraint| matches!(constraint.kind, ConstraintKind::Primary(_)));
        let nulls_too = index.nulls_not_distinct && !primary;
        Ok(Self { index: id, name, columns, nulls_too, arbitrates: false, schema, converter, seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key's columns of some of the table's rows, and which of the rows have a key that can be another's.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>), SqlError> {
        let batch = batch.project(&self.columns).map_err(SqlError::from_arrow)?;
        let columns: Vec<ArrayRef> = batch.columns().iter().map(normalized).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(SqlError::from_arrow)?;
        let nullable = !self.nulls_too && batch.columns().iter().any(|column| column.logical_null_count() > 0);
        let counts = nullable.then(|| {
            let nulls: Vec<_> = batch.columns().iter().filter_map(Array::logical_nulls).collect();
            (0..batch.num_rows()).map(|row| Some(nulls.iter().all(|nulls| nulls.is_valid(row)))).collect()
        });
        Ok((batch, counts))
    }

    pub(super) fn convert(&self, keys: &RecordBatch) -> Result<Rows, SqlError> {
        let columns: Vec<ArrayRef> = keys.columns().iter().map(normalized).collect();
        self.converter.convert_columns(&columns).map_err(SqlError::from_arrow)
    }

    /// The keys that were noted since the last call, and their hashes. Too many keys are not given, and stay noted.
    fn take(&self) -> (Vec<RecordBatch>, Vec<u64>) {
        let mut seen = self.seen();
        let hashes = std::mem::take(&mut seen.hashes);
        if seen.is_remembered() { (std::mem::take(&mut *seen).batches, hashes) } else { (Vec::new(), hashes) }
    }

    fn add(&self, batch: &RecordBatch) -> Result<(), SqlError> {
        let (mut batch, counts) = self.of(batch)?;
        if let Some(counts) = counts {
            batch = filter_record_batch(&batch, &counts).map_err(SqlError::from_arrow)?;
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.convert(&batch)?;
        let hashes: Vec<u64> = rows.iter().map(hash).collect();
        let mut seen = self.seen();
        seen.bounds = widened(seen.bounds.take(), &rows);
        seen.rows += batch.num_rows();
        seen.hashes.extend(hashes);
        if seen.is_remembered() {
            seen.batches.push(batch);
        } else {
            seen.batches.clear();
        }
        Ok(())
    }

    /// What holds of all rows with one of some keys; `None`: nothing that a scan could use.
    fn filter(&self, batches: &[RecordBatch]) -> Result<Option<Expr>, SqlError> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let mut bounds = None;
        for batch in batches {
            bounds = widened(bounds, &self.convert(batch)?);
        }
        let mut filter = self.within(bounds.as_ref())?;
        if rows > LISTED_MAX {
            return Ok(filter);
        }
        for (index, field) in self.schema.fields().iter().enumerate() {
            let mut values: Vec<ScalarValue> = Vec::new();
            for batch in batches {
                for row in 0..batch.num_rows() {
                    let value = ScalarValue::try_from_array(batch.column(index), row).map_err(SqlError::from_engine)?;
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
            }
            if values.iter().any(ScalarValue::is_null) || is_float(field.data_type()) {
                continue;
            }
            let column = named(field.name());
            let listed = match values.as_slice() {
                [value] => column.eq(lit(value.clone())),
                _ => column.in_list(values.into_iter().map(lit).collect(), false),
            };
            filter = Some(filter.map_or_else(|| listed.clone(), |filter| filter.and(listed.clone())));
        }
        Ok(filter)
    }

    /// The rows whose first key column lies between those of two keys.
    fn within(&self, bounds: Option<&(OwnedRow, OwnedRow)>) -> Result<Option<Expr>, SqlError> {
        let Some((least, most)) = bounds else { return Ok(None) };
        let columns = self.converter.convert_rows([least.row(), most.row()]).map_err(SqlError::from_arrow)?;
        let (Some(first), Some(field)) = (columns.first(), self.schema.fields().first()) else { return Ok(None) };
        let value = |row| ScalarValue::try_from_array(first, row).map_err(SqlError::from_engine);
        let (least, most) = (value(0)?, value(1)?);
        // A NULL sorts first, and a NaN compares in no way that files are chosen by.
        if least.is_null() || is_float(field.data_type()) || matches!(field.data_type(), DataType::List(_)) {
            return Ok(None);
        }
        let column = || named(field.name());
        Ok(Some(if least == most {
            column().eq(lit(least))
        } else {
            column().gt_eq(lit(least)).and(column().lt_eq(lit(most)))
        }))
    }
}

impl Seen {
    fn is_remembered(&self) -> bool {
        self.rows <= REMEMBERED_MAX
    }
}

/// Keys and where they stand among some batches.
pub(super) struct Lookup {
    found: HashMap<OwnedRow, (usize, usize)>,
    /// The first key that is there for the second time.
    repeated: Option<(usize, usize)>,
}

impl Lookup {
    pub(super) fn new(key: &Key, batches: &[RecordBatch]) -> Result<Self, SqlError> {
        let mut found = HashMap::new();
        let mut repeated = None;
        for (number, batch) in batches.iter().enumerate() {
            for (row, value) in key.convert(batch)?.iter().enumerate() {
                if found.insert(value.owned(), (number, row)).is_some() {
                    repeated.get_or_insert((number, row));
                }
            }
        }
        Ok(Self { found, repeated })
    }

    pub(super) fn get(&self, key: Row<'_>) -> Option<(usize, usize)> {
        self.found.get(&key.owned()).copied()
    }
}

/// The least and the greatest of some keys and these rows.
fn widened(bounds: Option<(OwnedRow, OwnedRow)>, rows: &Rows) -> Option<(OwnedRow, OwnedRow)> {
    let (Some(least), Some(most)) = (rows.iter().min(), rows.iter().max()) else { return bounds };
    Some(match bounds {
        None => (least.owned(), most.owned()),
        Some((first, last)) => (
            if least < first.row() { least.owned() } else { first },
            if most > last.row() { most.owned() } else { last },
        ),
    })
}

/// A key's hash, the same in all transactions of all servers of this version.
pub(super) fn hash(key: Row<'_>) -> u64 {
    let hash = murmur3::murmur3_x64_128(&mut key.as_ref(), 0);
    // Bytes in memory can be read.
    u64::try_from(hash.unwrap_or_default() >> 64).unwrap_or_default()
}

/// Equal floats with equal bytes: one zero, one NaN.
fn normalized(array: &ArrayRef) -> ArrayRef {
    use arrow::array::AsArray;
    match array.data_type() {
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            Arc::new(values.unary::<_, Float32Type>(one) as Float32Array)
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
            Arc::new(values.unary::<_, Float64Type>(one) as Float64Array)
        }
        _ => Arc::clone(array),
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

fn named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

//! Unique keys: whether the keys of new rows are new.
//!
//! Few keys are looked up in the table, whose files are chosen by their bounds; for many, the table's keys are counted once
//! the rows are there. Both see the transaction's view of the table. What others commit meanwhile is found by hashes of the
//! keys, at commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, ListArray, StructArray};
use arrow::compute::{cast, concat_batches, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit, when};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{PhysicalExpr, execute_stream};
use futures::TryStreamExt;

use super::query;
use super::rows::Table;
use crate::catalog::{Claims, ConstraintKind, Index, KeyValue};
use crate::error::{About, Plain, SqlError, SqlState, internal};
use crate::guard::{FILE_COLUMN, OpenTable, POSITION_COLUMN};
use crate::name::{ObjectId, quote};
use crate::pg::system::deparse;
use crate::plan::{Scope, duplicates, key_value, predicate};
use crate::transaction::Transaction;
use crate::types::field;
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
    parts: Vec<Part>,
    /// The rows that have a key.
    predicate: Option<Computed>,
    /// Indexes of the columns that decide about it.
    reads: Vec<usize>,
    nulls_too: bool,
    arbitrates: bool,
    schema: SchemaRef,
    converter: RowConverter,
    seen: Mutex<Seen>,
}

/// A part of a key.
enum Part {
    /// The index of a column in the table.
    Column(usize),
    /// An expression, and its text.
    Expression(Computed, String),
}

/// An expression over the table's columns.
struct Computed {
    logical: Expr,
    physical: Arc<dyn PhysicalExpr>,
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
            .map(|(id, name, index)| Key::new(scope, table, id, name, index))
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
                    let keys = key.of_found(&batch, false)?;
                    let rows = key.convert(&keys)?;
                    if let Some(row) = (0..rows.num_rows()).find(|row| new.get(rows.row(*row)).is_some()) {
                        transaction.met(self.table.id, &address(&batch, row)?);
                        return Err(self.violation(key, &keys, row));
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
            let rows = self.scan(transaction.staged(), key, filter)?;
            let rows = rows.project(key.values()).map_err(SqlError::from_engine)?;
            let names: Vec<&str> = key.schema.fields().iter().map(|field| field.name().as_str()).collect();
            let plan = duplicates(rows, &names, key.nulls_too).map_err(SqlError::from_engine)?;
            let mut found = self.run(&plan).await?;
            while let Some(batch) = found.try_next().await.map_err(SqlError::from_engine)? {
                if batch.num_rows() > 0 {
                    let columns: Vec<usize> = (0..key.parts.len()).collect();
                    return Err(self.violation(key, &batch.project(&columns).map_err(SqlError::from_arrow)?, 0));
                }
            }
        }
        Ok(())
    }

    /// Rows of the table that may have one of some keys: where each is, then its key, or all of the table's columns.
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
        let rows = self.scan(staged, key, key.filter(batches)?)?;
        let mut wanted: Vec<Expr> = [FILE_COLUMN, POSITION_COLUMN].map(named).into();
        if whole {
            wanted.extend(self.table.schema.fields().iter().map(|field| named(field.name())));
        } else {
            wanted.extend(key.values());
        }
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
        let Some(own) = key.columns().filter(|_| enabled && count <= LISTED_MAX) else { return Ok(None) };
        let keys = concat_batches(&key.schema, batches).map_err(SqlError::from_arrow)?;
        // To a key that may be NULL once, one NULL is like another.
        if key.nulls_too && keys.columns().iter().any(|column| column.logical_null_count() > 0) {
            return Ok(None);
        }
        let table = self.open(staged)?;
        let Some(table) = table.downcast_ref::<OpenTable>() else { return Ok(None) };
        let columns = self.table.schema.fields().len();
        // Which rows have a key may depend on any column.
        let all = whole || key.predicate.is_some();
        let wanted = if all { (0..columns).collect() } else { own.clone() };
        let mut projection: Vec<usize> = (columns..columns + ADDRESS).chain(wanted).collect();
        let found = table.lookup(&own, keys.columns(), &projection).await.map_err(SqlError::from_engine)?;
        let Some(mut found) = found else { return Ok(None) };
        if let Some(predicate) = &key.predicate {
            for batch in &mut found {
                let table = batch.project(&(ADDRESS..ADDRESS + columns).collect::<Vec<_>>());
                let kept = predicate.holds(&table.map_err(SqlError::from_arrow)?)?;
                *batch = filter_record_batch(batch, &kept).map_err(SqlError::from_arrow)?;
                if !whole {
                    let kept: Vec<usize> = (0..ADDRESS).chain(own.iter().map(|column| ADDRESS + column)).collect();
                    *batch = batch.project(&kept).map_err(SqlError::from_arrow)?;
                }
            }
            if !whole {
                projection = (columns..columns + ADDRESS).chain(own).collect();
            }
        }
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

    /// The table's rows in the transaction that have such a key and that a filter leaves, with their addresses.
    fn scan(&self, staged: &Arc<Staged>, key: &Key, filter: Option<Expr>) -> Result<LogicalPlanBuilder, SqlError> {
        let table = self.open(staged)?;
        let mut rows = LogicalPlanBuilder::scan("keys", provider_as_source(table), None);
        for filter in key.predicate.as_ref().map(|predicate| predicate.logical.clone()).into_iter().chain(filter) {
            rows = rows.and_then(|rows| rows.filter(filter));
        }
        rows.map_err(SqlError::from_engine)
    }

    async fn run(&self, plan: &datafusion::logical_expr::LogicalPlan) -> Result<SendableRecordBatchStream, SqlError> {
        let plan = query::physical(&self.scope, plan).await?;
        execute_stream(plan, self.scope.engine.task()).map_err(SqlError::from_engine)
    }

    fn violation(&self, key: &Key, batch: &RecordBatch, row: usize) -> SqlError {
        let message = format!("duplicate key value violates unique constraint \"{}\"", key.name);
        let about = About { constraint: Some(key.name.clone()), ..self.table.about() };
        let error = Plain::new(SqlState::UNIQUE_VIOLATION, message).about(about);
        match self.table.describe_key(&key.shown(&self.table), &key.reads, batch, row) {
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
    fn new(scope: &Scope, table: &Table, id: ObjectId, name: &str, index: &Index) -> Result<Self, SqlError> {
        let position = |id: &i32| table.relation.columns.iter().position(|column| column.id == *id);
        let columns = DFSchema::try_from(Arc::clone(&table.schema)).map_err(SqlError::from_engine)?;
        let computed = |logical: Expr| {
            let physical = scope.engine.physical_expr(&logical, &columns).map_err(SqlError::from_engine)?;
            Ok::<_, SqlError>(Computed { logical, physical })
        };
        let filter = index.predicate.as_ref();
        let filter = filter.map(|own| predicate(scope, &table.relation, own)).transpose()?;
        let mut parts = Vec::new();
        let mut fields: Vec<FieldRef> = Vec::new();
        for key in &index.keys {
            match &key.value {
                KeyValue::Column(id) => {
                    let position = position(id).ok_or_else(|| internal("a key of a column that is not there"))?;
                    fields.extend(table.schema.fields().get(position).cloned());
                    parts.push(Part::Column(position));
                }
                KeyValue::Expression(own) => {
                    fields.push(Arc::new(field(format!("\u{2}key{}", parts.len()), &own.pg, true)));
                    let value = key_value(scope, &table.relation, own)?;
                    // What is no row of the index need not have a key.
                    let value = match &filter {
                        Some(filter) => when(filter.clone(), value).end().map_err(SqlError::from_engine)?,
                        None => value,
                    };
                    let value = computed(value)?;
                    parts.push(Part::Expression(value, deparse::key(&scope.ctx, &table.relation, own, false)));
                }
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let filter = filter.map(computed).transpose()?;
        let reads = index.reads().iter().filter_map(position).collect();
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(SqlError::from_arrow)?;
        let constraint = table.relation.constraint_of(id);
        let name = constraint.map_or(name, |constraint| &constraint.name).to_owned();
        let primary = constraint.is_some_and(|constraint| matches!(constraint.kind, ConstraintKind::Primary(_)));
        let nulls_too = index.nulls_not_distinct && !primary;
        let (arbitrates, seen) = (false, Mutex::default());
        Ok(Self { index: id, name, parts, predicate: filter, reads, nulls_too, arbitrates, schema, converter, seen })
    }

    /// Indexes of its columns in the table, if it is of nothing else.
    fn columns(&self) -> Option<Vec<usize>> {
        let column = |part: &Part| match part {
            Part::Column(index) => Some(*index),
            Part::Expression(..) => None,
        };
        self.parts.iter().map(column).collect()
    }

    /// The value of a part over the table's columns.
    fn value(&self, part: usize) -> Option<Expr> {
        Some(match self.parts.get(part)? {
            Part::Column(_) => named(self.schema.fields().get(part)?.name()),
            Part::Expression(computed, _) => computed.logical.clone(),
        })
    }

    /// The values of all parts, which go by the names of its schema.
    fn values(&self) -> Vec<Expr> {
        let parts = self.schema.fields().iter().enumerate();
        parts.filter_map(|(part, field)| Some(self.value(part)?.alias(field.name()))).collect()
    }

    /// What it is of, as errors show it.
    fn shown(&self, table: &Table) -> String {
        let parts = self.parts.iter().filter_map(|part| match part {
            Part::Column(index) => table.relation.columns.get(*index).map(|column| quote(&column.name)),
            Part::Expression(_, text) => Some(text.clone()),
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The keys of what [`Keys::find`] gave.
    pub(super) fn of_found(&self, found: &RecordBatch, whole: bool) -> Result<RecordBatch, SqlError> {
        let columns: Vec<usize> = (ADDRESS..found.num_columns()).collect();
        let rows = found.project(&columns).map_err(SqlError::from_arrow)?;
        if whole { self.keys(&rows) } else { Ok(rows) }
    }

    /// The keys of some of the table's rows.
    fn keys(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let value = |part: &Part| match part {
            Part::Column(index) => Ok(normalized(batch.column(*index))),
            Part::Expression(computed, _) => computed.of(batch).map(|values| normalized(&values)),
        };
        let values = self.parts.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), self.typed(values)?).map_err(SqlError::from_arrow)
    }

    /// Values in the types of the schema: an expression's text may be one of several of the engine's.
    fn typed(&self, values: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, SqlError> {
        let pairs = values.into_iter().zip(self.schema.fields());
        let typed = pairs.map(|(values, field)| {
            if values.data_type() == field.data_type() { Ok(values) } else { cast(&values, field.data_type()) }
        });
        typed.collect::<Result<_, _>>().map_err(SqlError::from_arrow)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of some of the table's rows, and which of the rows have a key that can be another's.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>), SqlError> {
        let keys = self.keys(batch)?;
        let mut counts = self.predicate.as_ref().map(|predicate| predicate.holds(batch)).transpose()?;
        if !self.nulls_too && keys.columns().iter().any(|column| column.logical_null_count() > 0) {
            let nulls: Vec<_> = keys.columns().iter().filter_map(Array::logical_nulls).collect();
            let whole = |row| nulls.iter().all(|nulls| nulls.is_valid(row));
            let counted = |row| counts.as_ref().is_none_or(|counts| counts.value(row));
            counts = Some((0..keys.num_rows()).map(|row| Some(whole(row) && counted(row))).collect());
        }
        Ok((keys, counts))
    }

    pub(super) fn convert(&self, keys: &RecordBatch) -> Result<Rows, SqlError> {
        let columns: Vec<ArrayRef> = keys.columns().iter().map(normalized).collect();
        self.converter.convert_columns(&self.typed(columns)?).map_err(SqlError::from_arrow)
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
            let Some(column) = self.value(index) else { continue };
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
        let Some(first) = self.value(0) else { return Ok(None) };
        let column = || first.clone();
        Ok(Some(if least == most {
            column().eq(lit(least))
        } else {
            column().gt_eq(lit(least)).and(column().lt_eq(lit(most)))
        }))
    }
}

impl Computed {
    fn of(&self, batch: &RecordBatch) -> Result<ArrayRef, SqlError> {
        let value = self.physical.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
        value.map_err(SqlError::from_engine)
    }

    /// The rows for which it is true.
    fn holds(&self, batch: &RecordBatch) -> Result<BooleanArray, SqlError> {
        let value = self.of(batch)?;
        let value = value.as_boolean_opt().ok_or_else(|| internal("a condition that is not boolean"))?;
        Ok(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
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
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (item, offsets, values, nulls) = list.clone().into_parts();
            Arc::new(ListArray::new(item, offsets, normalized(&values), nulls))
        }
        DataType::Struct(_) => {
            let (fields, columns, nulls) = array.as_struct().clone().into_parts();
            Arc::new(StructArray::new(fields, columns.iter().map(normalized).collect(), nulls))
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

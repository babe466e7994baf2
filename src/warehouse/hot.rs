//! Parts of data files in memory: decoded columns, and where each key is in them.
//!
//! Data files never change, so nothing kept here is ever stale; what is not asked for any more makes room. Of columns that a
//! file lacks nothing is kept: what they have there hangs on the table, and their ids are given again if the transaction
//! that added them is rolled back. A file is opened when a key is looked up that its bounds do not rule out. Row groups of
//! many rows get an index once they have been asked for some times, and are left to scans until then.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering as Atomic};

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar, UInt32Array, make_comparator};
use arrow::compute::kernels::boolean::{and, or};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{SortOptions, cast, concat_batches, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::PageIndexPolicy;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, OnceCell};

use super::adapter::ByColumnId;
use super::evolve::initial;
use super::stats::column_bounds;
use crate::catalog::{Column, DataFile, field_id};
use crate::types::{arrow_type, field};

/// Parts that are expected; only a hint.
const PARTS: usize = 10_000;
/// Row groups up to this size are indexed when they are first asked for.
const SMALL_ROWS: usize = 16_384;
/// How often a larger one is left to a scan.
const LEFT_TO_SCANS: u32 = 3;
/// How often single rows are read of a column before all of it is kept.
const READ_ROW_BY_ROW: u32 = 8;
/// A column of this size is kept at once.
const SMALL_BYTES: u64 = 1 << 20;
/// What a value of variable length takes besides its bytes.
const VIEW_BYTES: u64 = 16;

/// What is kept in memory of all tables, up to a number of bytes.
pub(super) struct Hot {
    parts: Cache<PartKey, Part, ByBytes>,
    bytes_max: u64,
    /// Whoever makes an index: others scan meanwhile.
    building: Mutex<()>,
}

impl std::fmt::Debug for Hot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hot").field("bytes", &self.parts.weight()).finish_non_exhaustive()
    }
}

/// Columns by id and present type.
type Columns = Arc<[(i32, DataType)]>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PartKey {
    File(Path, Columns),
    Index(Path, usize, Columns),
    Column(Path, usize, i32, DataType),
}

#[derive(Clone)]
enum Part {
    File(Arc<KeyedFile>),
    Index(Arc<Index>),
    Column(ArrayRef),
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<PartKey, Part> for ByBytes {
    fn weight(&self, key: &PartKey, part: &Part) -> u64 {
        let (PartKey::File(path, _) | PartKey::Index(path, ..) | PartKey::Column(path, ..)) = key;
        let part = match part {
            // With its footer, which comes later.
            Part::File(_) => 16 << 10,
            Part::Index(index) => index.bytes(),
            Part::Column(array) => array.get_array_memory_size(),
        };
        (path.as_ref().len() + part) as u64
    }
}

/// The least and the greatest value, if they are known.
type Bounds = Option<(ScalarValue, ScalarValue)>;

/// One data file, as it is asked for the rows with some key.
pub(super) struct KeyedFile {
    /// Of each column of the key.
    bounds: Vec<Bounds>,
    asked: AtomicU32,
    opened: OnceCell<Opened>,
}

/// What a file's footer says.
pub(super) struct Opened {
    metadata: ArrowReaderMetadata,
    pub(super) groups: Vec<Group>,
}

/// A row group.
pub(super) struct Group {
    /// The position of its first row in the file.
    pub(super) first: u64,
    pub(super) rows: usize,
    bounds: Vec<Bounds>,
    /// How often rows were read of it one by one.
    read: AtomicU32,
}

/// Where each key is in a row group.
pub(super) struct Index {
    columns: Vec<ArrayRef>,
    order: Order,
}

enum Order {
    /// The rows are in the order of the key, which is one column.
    Sorted,
    /// In ascending order: upper half of the key's hash, number of the row.
    Hashed(Vec<u64>),
}

/// Where a data file is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) store: &'a Arc<dyn ObjectStore>,
    pub(super) path: &'a Path,
    pub(super) file: &'a DataFile,
}

impl At<'_> {
    fn reader(&self) -> Result<Box<dyn AsyncFileReader>> {
        let file = PartitionedFile::new(self.path.to_string(), self.file.size_bytes);
        let factory = DefaultParquetFileReaderFactory::new(Arc::clone(self.store));
        Ok(factory.create_reader(0, file, None, &ExecutionPlanMetricsSet::new())?)
    }
}

/// Keys that are looked up: an array of values for each column. None of them is NULL.
pub(super) struct Keys {
    pub(super) columns: Vec<ArrayRef>,
    hashes: Vec<u64>,
    scalars: Vec<Vec<ScalarValue>>,
}

impl Keys {
    pub(super) fn new(columns: Vec<ArrayRef>) -> Result<Self> {
        let hashes = hashed(&columns)?;
        let count = hashes.len();
        let of_row = |row| columns.iter().map(|column| ScalarValue::try_from_array(column, row)).collect();
        let scalars = (0..count).map(of_row).collect::<Result<_>>()?;
        Ok(Self { columns, hashes, scalars })
    }

    /// Numbers of the keys.
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..self.hashes.len()
    }

    fn within(&self, row: usize, bounds: &[Bounds]) -> bool {
        let inside = |(value, bounds): (&ScalarValue, &Bounds)| {
            bounds.as_ref().is_none_or(|(least, most)| {
                value.partial_cmp(least) != Some(Ordering::Less) && value.partial_cmp(most) != Some(Ordering::Greater)
            })
        };
        self.scalars.get(row).is_some_and(|key| key.iter().zip(bounds).all(inside))
    }
}

fn hashed(columns: &[ArrayRef]) -> Result<Vec<u64>> {
    let mut hashes = vec![0; columns.first().map_or(0, Array::len)];
    create_hashes(columns, &RandomState::default(), &mut hashes)?;
    Ok(hashes)
}

impl KeyedFile {
    /// Whether a row of the file may have a key.
    pub(super) fn may_have(&self, keys: &Keys, row: usize) -> bool {
        keys.within(row, &self.bounds)
    }

    /// Whether it has been left to scans often enough.
    pub(super) fn is_asked_often(&self) -> bool {
        self.asked.fetch_add(1, Atomic::Relaxed) >= LEFT_TO_SCANS
    }
}

impl Group {
    pub(super) fn may_have(&self, keys: &Keys, row: usize) -> bool {
        keys.within(row, &self.bounds)
    }

    pub(super) fn is_small(&self) -> bool {
        self.rows <= SMALL_ROWS
    }
}

impl Index {
    fn new(columns: Vec<ArrayRef>) -> Result<Self> {
        let order = if let [column] = columns.as_slice()
            && is_sorted(column)?
        {
            Order::Sorted
        } else {
            let hashes = hashed(&columns)?;
            let rows = 0_u32..;
            let mut order: Vec<u64> =
                hashes.iter().zip(rows).map(|(hash, row)| hash & UPPER | u64::from(row)).collect();
            order.sort_unstable();
            Order::Hashed(order)
        };
        Ok(Self { columns, order })
    }

    fn bytes(&self) -> usize {
        let order = match &self.order {
            Order::Sorted => 0,
            Order::Hashed(order) => order.capacity() * size_of::<u64>(),
        };
        order + self.columns.iter().map(Array::get_array_memory_size).sum::<usize>()
    }

    /// Numbers of the rows that have one of some keys, in ascending order.
    pub(super) fn find(&self, keys: &Keys, wanted: &[usize]) -> Result<Vec<u32>, ArrowError> {
        let compare = self.columns.iter().zip(&keys.columns);
        let compare = compare.map(|(own, key)| make_comparator(own, key, SortOptions::default()));
        let compare = compare.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for key in wanted {
            match (&self.order, compare.as_slice()) {
                (Order::Sorted, [compare]) => {
                    let rows = self.columns.first().map_or(0, Array::len);
                    let first = first_that(rows, |row| compare(row, *key) != Ordering::Less);
                    let equal = (first..rows).take_while(|row| compare(*row, *key) == Ordering::Equal);
                    found.extend(equal.filter_map(|row| u32::try_from(row).ok()));
                }
                (Order::Sorted, _) => return Err(ArrowError::ComputeError("an order of several columns".to_owned())),
                (Order::Hashed(order), compare) => {
                    let hash = keys.hashes.get(*key).map_or(0, |hash| hash & UPPER);
                    let first = order.partition_point(|entry| *entry < hash);
                    let same = order.iter().skip(first).take_while(|entry| *entry & UPPER == hash);
                    let rows = same.filter_map(|entry| u32::try_from(entry & !UPPER).ok());
                    let equal =
                        |row: &u32| compare.iter().all(|compare| compare(*row as usize, *key) == Ordering::Equal);
                    found.extend(rows.filter(equal));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// The half of a hash that is kept.
const UPPER: u64 = !0 << 32;

/// The first number for which a condition holds that holds for all after it.
fn first_that(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn is_sorted(column: &ArrayRef) -> Result<bool, ArrowError> {
    if column.logical_null_count() > 0 {
        return Ok(false);
    }
    let compare = make_comparator(column, column, SortOptions::default())?;
    Ok((1..column.len()).all(|row| compare(row - 1, row) != Ordering::Greater))
}

impl Hot {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { parts: Cache::with_weighter(PARTS, bytes_max, ByBytes), bytes_max, building: Mutex::default() }
    }

    /// A file for a key of some columns.
    pub(super) fn file(&self, path: &Path, file: &DataFile, key: &[&Column]) -> Arc<KeyedFile> {
        let part = PartKey::File(path.clone(), identity(key));
        if let Some(Part::File(known)) = self.parts.get(&part) {
            return known;
        }
        let bounds = key.iter().map(|column| column_bounds(file, column)).collect();
        let new = Arc::new(KeyedFile { bounds, asked: AtomicU32::new(0), opened: OnceCell::new() });
        self.parts.insert(part, Part::File(Arc::clone(&new)));
        new
    }

    /// What a file's footer says, read once.
    pub(super) async fn open<'a>(&self, at: At<'_>, known: &'a KeyedFile, key: &[&Column]) -> Result<&'a Opened> {
        known.opened.get_or_try_init(|| open(at, key)).await
    }

    /// The index of a row group, if there is one.
    pub(super) fn index(&self, path: &Path, group: usize, key: &[&Column]) -> Option<Arc<Index>> {
        match self.parts.get(&PartKey::Index(path.clone(), group, identity(key))) {
            Some(Part::Index(index)) => Some(index),
            _ => None,
        }
    }

    /// Whether indexes of so many bytes leave room for others.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        bytes <= self.bytes_max / 2
    }

    /// Makes the index of a row group, unless somebody else makes one.
    pub(super) async fn build(
        &self,
        at: At<'_>,
        opened: &Opened,
        group: usize,
        key: &[&Column],
    ) -> Result<Option<Arc<Index>>> {
        let Ok(_builder) = self.building.try_lock() else { return Ok(None) };
        let columns = read(at, opened, group, key, None).await?;
        let index = Arc::new(
            tokio::task::spawn_blocking(|| Index::new(columns))
                .await
                .map_err(|error| internal_datafusion_err!("an index was not made: {error}"))??,
        );
        self.parts.insert(PartKey::Index(at.path.clone(), group, identity(key)), Part::Index(Arc::clone(&index)));
        Ok(Some(index))
    }

    /// Values of some columns in some rows of a row group.
    pub(super) async fn values(
        &self,
        at: At<'_>,
        opened: &Opened,
        group: usize,
        columns: &[&Column],
        rows: &[u32],
    ) -> Result<Vec<ArrayRef>> {
        let part = |column: &Column| PartKey::Column(at.path.clone(), group, column.id, arrow_type(&column.pg));
        let kept = |column: &&Column| match self.parts.get(&part(column)) {
            Some(Part::Column(array)) => Some(array),
            _ => None,
        };
        let whole: Vec<Option<ArrayRef>> = columns.iter().map(kept).collect();
        let missing = columns.iter().zip(&whole).filter(|(column, whole)| whole.is_none() && opened.has(column));
        let missing: Vec<&Column> = missing.map(|(column, _)| *column).collect();
        let mut keeps = false;
        let mut read_now = Vec::new().into_iter();
        if !missing.is_empty() {
            let bytes = opened.bytes(group, &missing);
            let often = opened.group(group)?.read.fetch_add(1, Atomic::Relaxed) >= READ_ROW_BY_ROW;
            keeps = bytes <= SMALL_BYTES || often && bytes <= self.bytes_max / 16;
            let arrays = read(at, opened, group, &missing, (!keeps).then_some(rows)).await?;
            if keeps {
                for (column, array) in missing.iter().zip(&arrays) {
                    self.parts.insert(part(column), Part::Column(Arc::clone(array)));
                }
            }
            read_now = arrays.into_iter();
        }
        let numbers = UInt32Array::from(rows.to_vec());
        let lost = || internal_datafusion_err!("a column that was not read");
        let of_rows = columns.iter().zip(whole).map(|(column, whole)| match whole {
            None if !opened.has(column) => Ok(initial(column)?.to_array_of_size(rows.len())?),
            None if !keeps => read_now.next().ok_or_else(lost),
            whole => {
                let array = whole.or_else(|| read_now.next()).ok_or_else(lost)?;
                Ok(take(&array, &numbers, None)?)
            }
        });
        of_rows.collect()
    }
}

impl Opened {
    /// Whether the file has a column.
    pub(super) fn has(&self, column: &Column) -> bool {
        self.metadata.schema().fields().iter().any(|stored| field_id(stored) == Some(column.id))
    }

    pub(super) fn group(&self, group: usize) -> Result<&Group> {
        self.groups.get(group).ok_or_else(|| internal_datafusion_err!("row group {group} is not there"))
    }

    /// About how many bytes some columns of a row group take in memory.
    pub(super) fn bytes(&self, group: usize, columns: &[&Column]) -> u64 {
        let Some(chunks) = self.metadata.metadata().row_groups().get(group) else { return 0 };
        let rows = u64::try_from(chunks.num_rows()).unwrap_or(0);
        let (schema, parquet) = (self.metadata.schema(), self.metadata.parquet_schema());
        let of_column = |column: &&Column| {
            let root = schema.fields().iter().position(|stored| field_id(stored) == Some(column.id));
            let leaves = (0..parquet.num_columns()).filter(|leaf| Some(parquet.get_column_root_idx(*leaf)) == root);
            let chunks = leaves.filter_map(|leaf| chunks.columns().get(leaf));
            // Values in a dictionary count once in its size, and each time in memory.
            let encoded =
                chunks.map(|chunk| chunk.unencoded_byte_array_data_bytes().unwrap_or(0).max(chunk.uncompressed_size()));
            let encoded: u64 = encoded.map(|bytes| u64::try_from(bytes).unwrap_or(0)).sum();
            let data_type = arrow_type(&column.pg);
            match data_type.primitive_width() {
                Some(width) => rows * width as u64,
                None => encoded + rows * VIEW_BYTES,
            }
        };
        columns.iter().map(of_column).sum()
    }
}

fn identity(columns: &[&Column]) -> Columns {
    columns.iter().map(|column| (column.id, arrow_type(&column.pg))).collect()
}

async fn open(at: At<'_>, key: &[&Column]) -> Result<Opened> {
    let mut reader = at.reader()?;
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await?;
    let row_groups = metadata.metadata().row_groups();
    let of_columns: Vec<Vec<Bounds>> = key.iter().map(|column| group_bounds(&metadata, column)).collect();
    let mut groups = Vec::with_capacity(row_groups.len());
    let mut first = 0;
    for (number, group) in row_groups.iter().enumerate() {
        let bounds = of_columns.iter().map(|column| column.get(number).cloned().flatten()).collect();
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        groups.push(Group { first, rows, bounds, read: AtomicU32::new(0) });
        first += rows as u64;
    }
    Ok(Opened { metadata, groups })
}

/// Of each row group; empty if nothing is known.
fn group_bounds(metadata: &ArrowReaderMetadata, column: &Column) -> Vec<Bounds> {
    let (schema, parquet) = (metadata.schema(), metadata.parquet_schema());
    let groups = metadata.metadata().row_groups();
    let stored = schema.fields().iter().find(|stored| field_id(stored) == Some(column.id));
    let bounds = || {
        let stored = stored?;
        let converter = StatisticsConverter::try_new(stored.name(), schema, parquet).ok()?;
        let wanted = arrow_type(&column.pg);
        // Values that are kept as text, and those whose type was changed, may have another order.
        let same = *stored.data_type() == wanted
            || matches!((stored.data_type(), &wanted), (DataType::Utf8, DataType::Utf8View) if column.pg.is_text());
        if !same {
            return None;
        }
        let least = cast(&converter.row_group_mins(groups).ok()?, &wanted).ok()?;
        let most = cast(&converter.row_group_maxes(groups).ok()?, &wanted).ok()?;
        let of_group = |group: usize| {
            let value = |array: &ArrayRef| ScalarValue::try_from_array(array, group).ok();
            Some((value(&least)?, value(&most)?)).filter(|(least, most)| !least.is_null() && !most.is_null())
        };
        Some((0..groups.len()).map(of_group).collect())
    };
    bounds().unwrap_or_default()
}

/// Values of some columns in a row group, in their present types: of some rows, or of all.
async fn read(
    at: At<'_>,
    opened: &Opened,
    group: usize,
    columns: &[&Column],
    rows: Option<&[u32]>,
) -> Result<Vec<ArrayRef>> {
    let of_group = opened.group(group)?;
    let stored = opened.metadata.schema();
    let is_wanted = |id: Option<i32>| columns.iter().any(|column| id == Some(column.id));
    let roots = stored.fields().iter().enumerate().filter(|(_, field)| is_wanted(field_id(field)));
    let mask = ProjectionMask::roots(opened.metadata.parquet_schema(), roots.map(|(index, _)| index));
    let count = rows.map_or(of_group.rows, <[u32]>::len);
    let mut stream = ParquetRecordBatchStreamBuilder::new_with_metadata(at.reader()?, opened.metadata.clone())
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(of_group.rows.clamp(1, SMALL_ROWS));
    if let Some(rows) = rows {
        let ranges = rows.iter().map(|row| *row as usize..*row as usize + 1);
        stream = stream.with_row_selection(RowSelection::from_consecutive_ranges(ranges, of_group.rows));
    }
    let stream = stream.build()?;
    let schema = Arc::clone(stream.schema());
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    let raw = concat_batches(&schema, &batches)?;
    if raw.num_rows() != count {
        return Err(internal_datafusion_err!("{} has {} rows where {count} are asked for", at.path, raw.num_rows()));
    }
    let logical = columns.iter().map(|column| field(&column.name, &column.pg, true)).collect::<Vec<_>>();
    let logical = Arc::new(Schema::new(logical));
    let adapter = ByColumnId::new(columns.iter().copied())?.create(Arc::clone(&logical), schema)?;
    let evolved = logical.fields().iter().enumerate().map(|(index, field)| {
        let own: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(field.name(), index));
        adapter.rewrite(own)?.evaluate(&raw)?.into_array(count)
    });
    evolved.collect()
}

/// Which rows have one of some keys, of rows that are in memory.
pub(super) fn matching(own: &[ArrayRef], keys: &Keys, rows: usize) -> Result<BooleanArray> {
    let mut any = BooleanArray::from(vec![false; rows]);
    for key in keys.rows() {
        let mut all: Option<BooleanArray> = None;
        for (own, column) in own.iter().zip(&keys.columns) {
            let same = eq(own, &Scalar::new(column.slice(key, 1)))?;
            all = Some(match all {
                None => same,
                Some(all) => and(&all, &same)?,
            });
        }
        if let Some(all) = all {
            let all = if all.nulls().is_some() { prep_null_mask_filter(&all) } else { all };
            any = or(&any, &all)?;
        }
    }
    Ok(any)
}

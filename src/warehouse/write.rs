//! Writing a table's rows: small amounts stay in memory until commit, larger ones become Parquet files at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::{cast, concat, concat_batches, take, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::Warehouse;
use super::layout::Layout;
use super::stats::{FloatStats, collect, is_float};
use super::text::{self, stored_field};
use crate::catalog::{CatalogState, Column, DataFile, Deletes, FilePartition, Moves, Relation, file_schema};
use crate::error::{Report, SqlState};
use crate::name::{FileId, QualifiedName};

/// Rows a statement may keep in memory before they become a file.
const MEMORY_ROWS_MAX: usize = 65_536;
const MEMORY_BYTES_MAX: usize = 16 << 20;
/// A file is closed when it has grown this large.
const FILE_BYTES_MAX: usize = 256 << 20;
const ROW_GROUP_ROWS_MAX: usize = 1 << 20;
/// Rows that are brought into a table's order at a time.
const ARRANGED_ROWS_MAX: usize = 1 << 20;
const ARRANGED_BYTES_MAX: usize = 64 << 20;
/// Rows that are given to the encoder at a time.
const ENCODED_ROWS: usize = 65_536;
/// Files of different partitions that are written at the same time, and what they may hold in memory.
const OPEN_FILES_MAX: usize = 128;
const OPEN_BYTES_MAX: usize = 256 << 20;
/// The part of a file that is buffered before it goes to the store.
const UPLOAD_BYTES: usize = 8 << 20;

/// Why rows could not be written to a table.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// `58030`: the Parquet writer failed, or the store beneath it.
    #[error("could not write a data file")]
    Parquet(#[from] ParquetError),
    /// `58030`: the warehouse's store failed when the writer was done with the file.
    #[error("could not write a data file")]
    Store(#[from] object_store::Error),
    /// `58030`: a file of deleted rows could not be read.
    #[error("could not read a delete file")]
    Deletes(#[from] DataFusionError),
    /// `XX000`: a column could not be brought to the type of the table or of the file.
    #[error("could not convert a value")]
    Arrow(#[from] ArrowError),
    /// `XX000`: the relation is no table of the warehouse, so its files have no folder.
    #[error("relation {0} has no storage")]
    NoStorage(QualifiedName),
}

impl WriteError {
    pub(super) fn no_storage(relation: &Relation) -> Self {
        Self::NoStorage(QualifiedName::bare(relation.name.clone()))
    }
}

impl Report for WriteError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Parquet(_) | Self::Store(_) | Self::Deletes(_) => SqlState::IO_ERROR,
            Self::Arrow(_) | Self::NoStorage(_) => SqlState::INTERNAL_ERROR,
        }
    }
}

/// What a writer made of its rows.
#[derive(Debug, Default)]
pub struct Written {
    /// How many there were, in files and in memory.
    pub rows: u64,
    /// Complete, and not named by any snapshot yet.
    pub files: Vec<DataFile>,
    /// Rows that were too few for a file; they become one at commit.
    pub memory: Vec<RecordBatch>,
}

/// Takes one statement's, or one worker's, rows for a table. Dropped without [`TableWriter::finish`], it leaves at most
/// an unfinished file, which a sweep finds.
#[derive(Debug)]
pub struct TableWriter {
    warehouse: Warehouse,
    target: Arc<Target>,
    memory: Vec<Buffered>,
    memory_rows: usize,
    memory_bytes: usize,
    /// By partition.
    open: BTreeMap<Option<FilePartition>, OpenFile>,
    written: Written,
    /// Where the rows of each written file were before, if they were told.
    sources: Vec<Source>,
}

/// Rows that are not in a file yet.
#[derive(Debug)]
struct Buffered {
    rows: RecordBatch,
    /// Columns with their files and positions, if they are a table's own.
    from: Option<(Int64Array, Int64Array)>,
}

/// Addresses of rows, in their order, as runs: file, first position, count.
#[derive(Debug, Default)]
struct Source(Vec<(FileId, u64, u64)>);

impl Source {
    fn add(&mut self, (files, positions): &(Int64Array, Int64Array)) {
        for (file, position) in files.values().iter().zip(positions.values()) {
            let (file, position) = (FileId(*file), u64::try_from(*position).unwrap_or(u64::MAX));
            match self.0.last_mut() {
                Some((last, first, count)) if *last == file && *first + *count == position => *count += 1,
                _ => self.0.push((file, position, 1)),
            }
        }
    }
}

#[derive(Debug)]
struct Target {
    directory: Path,
    columns: Vec<Column>,
    /// With column ids, in the types of the engine.
    schema: SchemaRef,
    /// As in the file: some types are kept as text.
    stored: SchemaRef,
    layout: Option<Layout>,
}

struct OpenFile {
    name: String,
    writer: AsyncArrowWriter<BufWriter>,
    floats: FloatStats,
    source: Source,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableWriter {
    /// A writer that makes no file before it must. `XX000` if the relation is no table of the warehouse.
    pub fn new(warehouse: &Warehouse, catalog: &CatalogState, relation: &Relation) -> Result<Self, WriteError> {
        let directory = warehouse.directory(catalog, relation).ok_or_else(|| WriteError::no_storage(relation))?;
        let schema = file_schema(&relation.columns);
        let target = Target {
            directory,
            columns: relation.columns.clone(),
            stored: stored_schema(&relation.columns, &schema),
            schema,
            layout: Layout::of(relation),
        };
        Ok(Self {
            warehouse: warehouse.clone(),
            target: Arc::new(target),
            memory: Vec::new(),
            memory_rows: 0,
            memory_bytes: 0,
            open: BTreeMap::new(),
            written: Written::default(),
            sources: Vec::new(),
        })
    }

    /// Takes rows whose columns are the table's, in order and type.
    pub async fn write(&mut self, rows: RecordBatch) -> Result<(), WriteError> {
        self.take(rows, None).await
    }

    /// Takes rows of the table to write them again. `files` and `positions`: their addresses.
    pub async fn write_again(
        &mut self,
        rows: RecordBatch,
        files: Int64Array,
        positions: Int64Array,
    ) -> Result<(), WriteError> {
        self.take(rows, Some((files, positions))).await
    }

    async fn take(&mut self, rows: RecordBatch, from: Option<(Int64Array, Int64Array)>) -> Result<(), WriteError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.target.schema), conform(&rows, &self.target.schema)?)?;
        self.written.rows += u64::try_from(rows.num_rows()).unwrap_or(0);
        let buffered = Buffered { rows, from };
        // Rows that are arranged are arranged many at a time.
        let (rows_max, bytes_max) = match &self.target.layout {
            Some(_) => (ARRANGED_ROWS_MAX, ARRANGED_BYTES_MAX),
            None if self.open.is_empty() => (MEMORY_ROWS_MAX, MEMORY_BYTES_MAX),
            None => return self.write_file(None, buffered).await,
        };
        self.memory_rows += buffered.rows.num_rows();
        self.memory_bytes += buffered.rows.get_array_memory_size();
        self.memory.push(buffered);
        if self.memory_rows <= rows_max && self.memory_bytes <= bytes_max {
            return Ok(());
        }
        self.spill().await
    }

    /// Moves what is in memory to files.
    async fn spill(&mut self) -> Result<(), WriteError> {
        (self.memory_rows, self.memory_bytes) = (0, 0);
        let memory = std::mem::take(&mut self.memory);
        let target = Arc::clone(&self.target);
        let Some(layout) = target.layout.as_ref().filter(|_| !memory.is_empty()) else {
            for buffered in memory {
                self.write_file(None, buffered).await?;
            }
            return Ok(());
        };
        let rows = concat_batches(&target.schema, memory.iter().map(|buffered| &buffered.rows))?;
        let from: Vec<(Int64Array, Int64Array)> = memory.into_iter().filter_map(|buffered| buffered.from).collect();
        let from = if from.is_empty() { None } else { Some(joined(&from)?) };
        for part in layout.arrange(&rows)? {
            let from = match &from {
                Some((files, positions)) => Some((taken(files, &part.rows)?, taken(positions, &part.rows)?)),
                None => None,
            };
            // The encoder is given no more than it would get from a scan.
            let mut first = 0;
            while first < part.rows.len() {
                let count = ENCODED_ROWS.min(part.rows.len() - first);
                let rows = take_record_batch(&rows, &part.rows.slice(first, count))?;
                let slice = |array: &Int64Array| array.slice(first, count);
                let from = from.as_ref().map(|(files, positions)| (slice(files), slice(positions)));
                self.write_file(part.partition.as_ref(), Buffered { rows, from }).await?;
                first += count;
            }
        }
        Ok(())
    }

    async fn write_file(&mut self, partition: Option<&FilePartition>, buffered: Buffered) -> Result<(), WriteError> {
        let partition = partition.cloned();
        if partition.is_some() {
            self.make_room().await?;
        }
        if !self.open.contains_key(&partition) {
            self.open.insert(partition.clone(), OpenFile::create(&self.warehouse, &self.target)?);
        }
        let Some(open) = self.open.get_mut(&partition) else { return Ok(()) };
        open.floats.add(&buffered.rows);
        open.writer.write(&to_stored(&buffered.rows, &self.target)?).await?;
        if let Some(from) = &buffered.from {
            open.source.add(from);
        }
        if open.writer.bytes_written() + open.writer.in_progress_size() > FILE_BYTES_MAX
            && let Some((partition, open)) = self.open.remove_entry(&partition)
        {
            self.close(partition, open).await?;
        }
        Ok(())
    }

    /// Closes files as long as there are too many, or what they hold in memory is too much: the largest first.
    async fn make_room(&mut self) -> Result<(), WriteError> {
        while let Some((partition, open)) = self.one_too_many() {
            self.close(partition, open).await?;
        }
        Ok(())
    }

    fn one_too_many(&mut self) -> Option<(Option<FilePartition>, OpenFile)> {
        let held: usize = self.open.values().map(|open| open.writer.memory_size()).sum();
        if self.open.len() <= 1 || self.open.len() < OPEN_FILES_MAX && held < OPEN_BYTES_MAX {
            return None;
        }
        let size = |open: &OpenFile| open.writer.bytes_written() + open.writer.memory_size();
        let largest = self.open.iter().max_by_key(|(_, open)| size(open)).map(|(partition, _)| partition.clone())?;
        self.open.remove_entry(&largest)
    }

    async fn close(&mut self, partition: Option<FilePartition>, mut open: OpenFile) -> Result<(), WriteError> {
        self.sources.push(std::mem::take(&mut open.source));
        let mut file = open.close(&self.warehouse, &self.target).await?;
        file.partition = partition.map(Arc::new);
        self.written.files.push(file);
        Ok(())
    }

    async fn close_all(&mut self) -> Result<(), WriteError> {
        for (partition, open) in std::mem::take(&mut self.open) {
            self.close(partition, open).await?;
        }
        Ok(())
    }

    /// Ends the statement: files are complete, small amounts stay in memory.
    pub async fn finish(mut self) -> Result<Written, WriteError> {
        if self.memory_rows > MEMORY_ROWS_MAX || self.memory_bytes > MEMORY_BYTES_MAX {
            self.spill().await?;
        }
        self.close_all().await?;
        self.written.memory = std::mem::take(&mut self.memory).into_iter().map(|buffered| buffered.rows).collect();
        Ok(self.written)
    }

    /// Ends a transaction: all rows are in files.
    pub async fn finish_to_files(mut self) -> Result<Vec<DataFile>, WriteError> {
        self.spill().await?;
        self.close_all().await?;
        Ok(self.written.files)
    }

    /// Ends the writing of rows that were there: all are in files. Tells where they went.
    pub async fn finish_again(mut self) -> Result<(Written, Moves), WriteError> {
        self.spill().await?;
        self.close_all().await?;
        let runs: Vec<(FileId, u64, u64)> = self.sources.into_iter().flat_map(|source| source.0).collect();
        Ok((self.written, Moves::new(&runs)))
    }
}

fn joined(all: &[(Int64Array, Int64Array)]) -> Result<(Int64Array, Int64Array), ArrowError> {
    let files: Vec<&dyn Array> = all.iter().map(|(files, _)| files as &dyn Array).collect();
    let positions: Vec<&dyn Array> = all.iter().map(|(_, positions)| positions as &dyn Array).collect();
    Ok((concat(&files)?.as_primitive().clone(), concat(&positions)?.as_primitive().clone()))
}

fn taken(array: &Int64Array, rows: &UInt32Array) -> Result<Int64Array, ArrowError> {
    Ok(take(array, rows, None)?.as_primitive().clone())
}

impl OpenFile {
    fn create(warehouse: &Warehouse, target: &Target) -> Result<Self, WriteError> {
        let name = format!("{}.parquet", uuid::Uuid::now_v7());
        let sink = BufWriter::with_capacity(
            Arc::clone(&warehouse.store),
            target.directory.clone().join(name.as_str()),
            UPLOAD_BYTES,
        );
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
            .set_created_by(format!("Boathouse {}", env!("CARGO_PKG_VERSION")));
        for field in target.stored.fields().iter().filter(|field| is_float(field.data_type())) {
            properties = properties
                .set_column_statistics_enabled(ColumnPath::from(vec![field.name().clone()]), EnabledStatistics::None);
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(sink, Arc::clone(&target.stored), options)?;
        Ok(Self { name, writer, floats: FloatStats::default(), source: Source::default() })
    }

    async fn close(mut self, warehouse: &Warehouse, target: &Target) -> Result<DataFile, WriteError> {
        let metadata = self.writer.finish().await?;
        let path = target.directory.clone().join(self.name.as_str());
        let size_bytes = warehouse.store.head(&path).await?.size;
        let columns = collect(&target.columns, &target.stored, &metadata, &self.floats)?;
        let record_count = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let deletes = Deletes::default();
        Ok(DataFile {
            id: None,
            path: self.name,
            record_count,
            size_bytes,
            footer_bytes: None,
            columns,
            deletes,
            partition: None,
        })
    }
}

/// The batch's columns in exactly the schema's types.
fn conform(batch: &RecordBatch, schema: &Schema) -> Result<Vec<ArrayRef>, ArrowError> {
    let pairs = batch.columns().iter().zip(schema.fields());
    pairs
        .map(|(array, field)| {
            if array.data_type() == field.data_type() { Ok(Arc::clone(array)) } else { cast(array, field.data_type()) }
        })
        .collect()
}

fn stored_schema(columns: &[Column], schema: &Schema) -> SchemaRef {
    let fields = columns.iter().zip(schema.fields()).map(|(column, field)| stored_field(&column.pg, field));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn to_stored(batch: &RecordBatch, target: &Target) -> Result<RecordBatch, ArrowError> {
    let columns = target.columns.iter().zip(target.stored.fields()).zip(batch.columns());
    let arrays = columns.map(|((column, field), array)| text::to_stored(&column.pg, array, field.data_type()));
    RecordBatch::try_new(Arc::clone(&target.stored), arrays.collect::<Result<Vec<_>, ArrowError>>()?)
}

//! Writing a table's rows: small amounts stay in memory until commit, larger ones become Parquet files at once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNanoType, Schema, SchemaRef};
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

use super::stats::{FloatStats, collect, is_float};
use super::{Warehouse, stored_as_text};
use crate::catalog::{CatalogState, Column, DataFile, Deletes, Relation, file_schema};
use crate::error::{Report, SqlState};
use crate::name::QualifiedName;

/// Rows a statement may keep in memory before they become a file.
const MEMORY_ROWS_MAX: usize = 65_536;
const MEMORY_BYTES_MAX: usize = 16 << 20;
/// A file is closed when it has grown this large.
const FILE_BYTES_MAX: usize = 256 << 20;
const ROW_GROUP_ROWS_MAX: usize = 1 << 20;
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
    memory: Vec<RecordBatch>,
    memory_rows: usize,
    memory_bytes: usize,
    open: Option<OpenFile>,
    written: Written,
}

#[derive(Debug)]
struct Target {
    directory: Path,
    columns: Vec<Column>,
    /// With column ids, in the types of the engine.
    schema: SchemaRef,
    /// As in the file: some types are kept as text.
    stored: SchemaRef,
}

struct OpenFile {
    name: String,
    writer: AsyncArrowWriter<BufWriter>,
    floats: FloatStats,
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
        };
        Ok(Self {
            warehouse: warehouse.clone(),
            target: Arc::new(target),
            memory: Vec::new(),
            memory_rows: 0,
            memory_bytes: 0,
            open: None,
            written: Written::default(),
        })
    }

    /// Takes rows whose columns are the table's, in order and type.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), WriteError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.target.schema), conform(&batch, &self.target.schema)?)?;
        self.written.rows += u64::try_from(batch.num_rows()).unwrap_or(0);
        if self.open.is_none() {
            self.memory_rows += batch.num_rows();
            self.memory_bytes += batch.get_array_memory_size();
            self.memory.push(batch);
            if self.memory_rows <= MEMORY_ROWS_MAX && self.memory_bytes <= MEMORY_BYTES_MAX {
                return Ok(());
            }
            return self.spill().await;
        }
        self.write_file(batch).await
    }

    /// Moves what is in memory to a file.
    async fn spill(&mut self) -> Result<(), WriteError> {
        (self.memory_rows, self.memory_bytes) = (0, 0);
        for batch in std::mem::take(&mut self.memory) {
            self.write_file(batch).await?;
        }
        Ok(())
    }

    async fn write_file(&mut self, batch: RecordBatch) -> Result<(), WriteError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(OpenFile::create(&self.warehouse, &self.target)?),
        };
        open.floats.add(&batch);
        open.writer.write(&to_stored(&batch, &self.target)?).await?;
        if open.writer.bytes_written() + open.writer.in_progress_size() > FILE_BYTES_MAX {
            self.close().await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), WriteError> {
        if let Some(open) = self.open.take() {
            self.written.files.push(open.close(&self.warehouse, &self.target).await?);
        }
        Ok(())
    }

    /// Ends the statement: files are complete, small amounts stay in memory.
    pub async fn finish(mut self) -> Result<Written, WriteError> {
        self.close().await?;
        self.written.memory = std::mem::take(&mut self.memory);
        Ok(self.written)
    }

    /// Ends a transaction: all rows are in files.
    pub async fn finish_to_files(mut self) -> Result<Vec<DataFile>, WriteError> {
        self.spill().await?;
        self.close().await?;
        Ok(self.written.files)
    }
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
        Ok(Self { name, writer, floats: FloatStats::default() })
    }

    async fn close(mut self, warehouse: &Warehouse, target: &Target) -> Result<DataFile, WriteError> {
        let metadata = self.writer.finish().await?;
        let path = target.directory.clone().join(self.name.as_str());
        let size_bytes = warehouse.store.head(&path).await?.size;
        let columns = collect(&target.columns, &target.stored, &metadata, &self.floats)?;
        let record_count = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let deletes = Deletes::default();
        Ok(DataFile { id: None, path: self.name, record_count, size_bytes, footer_bytes: None, columns, deletes })
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
    let fields = columns.iter().zip(schema.fields()).map(|(column, field)| {
        if stored_as_text(&column.pg) {
            Arc::new(Field::clone(field).with_data_type(DataType::Utf8))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn to_stored(batch: &RecordBatch, target: &Target) -> Result<RecordBatch, ArrowError> {
    let arrays = target.columns.iter().zip(batch.columns()).map(|(column, array)| {
        if stored_as_text(&column.pg) { Ok(interval_text(array)) } else { Ok(Arc::clone(array)) }
    });
    RecordBatch::try_new(Arc::clone(&target.stored), arrays.collect::<Result<Vec<_>, ArrowError>>()?)
}

/// Intervals in a form that Arrow's cast, DuckDB and PostgreSQL all read.
fn interval_text(array: &ArrayRef) -> ArrayRef {
    let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
    let text = intervals.iter().map(|value| {
        value.map(|value| {
            let (micros, sign) = (value.nanoseconds / 1000, if value.nanoseconds < 0 { "-" } else { "" });
            let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
            format!("{} mons {} days {sign}{seconds}.{fraction:06} secs", value.months, value.days)
        })
    });
    Arc::new(text.collect::<StringArray>())
}

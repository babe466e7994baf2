//! Reading a table at one snapshot, with the transaction's own rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use parquet::arrow::RowNumber;

use super::adapter::ByColumnId;
use super::deletes::{Place, live_rows};
use super::evolve::evolved;
use super::layout::pruned;
use super::stats::file_statistics;
use super::{StagedTable, Warehouse};
use crate::catalog::{CatalogState, Column, DataFile, Partitioning, Relation};
use crate::name::{FileId, ObjectId};

/// Names of the columns that tell where a row is. No statement can spell them.
pub const FILE_COLUMN: &str = "\u{2}file";
/// See [`FILE_COLUMN`]: the row's position in its file.
pub const POSITION_COLUMN: &str = "\u{2}position";

/// One table as one statement sees it.
#[derive(Debug)]
pub struct WarehouseTable {
    pub(super) warehouse: Warehouse,
    pub(super) directory: object_store::path::Path,
    pub(super) columns: Vec<Column>,
    /// The table's columns.
    pub(super) own: SchemaRef,
    /// With the address columns, if the scan has them.
    pub(super) schema: SchemaRef,
    pub(super) files: Vec<(Place, Arc<DataFile>)>,
    partitioning: Option<Partitioning>,
    /// Whether files and parts of them are left out that cannot have what is asked for.
    prunes: bool,
    pub(super) rows: Vec<(RecordBatch, Int64Array, Place)>,
}

impl WarehouseTable {
    /// `None` if the relation is not a table. `addressed`: the scan also tells where each row is, in two more columns.
    pub fn new(
        warehouse: &Warehouse,
        catalog: &CatalogState,
        id: ObjectId,
        relation: &Relation,
        staged: Option<&StagedTable>,
        addressed: bool,
    ) -> Option<Self> {
        let nothing = StagedTable::default();
        let staged = staged.unwrap_or(&nothing);
        let mut files = Vec::new();
        if !staged.truncated {
            for file in &catalog.data(id).files {
                let number = file.id?;
                let mut file = Arc::clone(file);
                if let Some(deleted) = staged.deleted.get(&number) {
                    *Arc::make_mut(&mut Arc::make_mut(&mut file).deletes.inlined) |= deleted.as_ref();
                }
                files.push((Place::Committed(number), file));
            }
        }
        files.extend(staged.files.iter().enumerate().map(|(index, file)| (Place::Staged(index), Arc::clone(file))));
        files.retain(|(_, file)| file.live_count() > 0);
        let own = relation.arrow_schema();
        let schema = if addressed {
            let addresses =
                [FILE_COLUMN, POSITION_COLUMN].map(|name| Arc::new(Field::new(name, DataType::Int64, false)));
            Arc::new(Schema::new(own.fields().iter().cloned().chain(addresses).collect::<Vec<_>>()))
        } else {
            Arc::clone(&own)
        };
        Some(Self {
            warehouse: warehouse.clone(),
            directory: warehouse.directory(catalog, relation)?,
            columns: relation.columns.clone(),
            own,
            schema,
            files,
            partitioning: relation.partitioning().cloned(),
            prunes: true,
            rows: Self::in_memory(catalog, id, relation, staged).ok()?,
        })
    }

    /// Whether scans leave out files and parts of them that cannot have what is asked for.
    #[must_use]
    pub fn pruning(self, prunes: bool) -> Self {
        Self { prunes, ..self }
    }

    /// Rows that are in no file, with their positions: those in the metadata database, then the transaction's own.
    fn in_memory(
        catalog: &CatalogState,
        id: ObjectId,
        relation: &Relation,
        staged: &StagedTable,
    ) -> Result<Vec<(RecordBatch, Int64Array, Place)>> {
        let mut rows = Vec::new();
        if !staged.truncated {
            let gone = staged.deleted.get(&FileId::INLINED).map(Arc::as_ref);
            for inlined in catalog.data(id).inlined.rows(gone)? {
                let place = Place::Committed(FileId::INLINED);
                rows.push((evolved(&inlined.rows, relation)?, inlined.positions(), place));
            }
        }
        let mut first = 0_i64;
        for own in &staged.rows {
            let next = first + i64::try_from(own.num_rows()).unwrap_or(i64::MAX);
            rows.push((evolved(own, relation)?, Int64Array::from_iter_values(first..next), Place::Memory));
            first = next;
        }
        Ok(rows)
    }

    /// Full paths of the files it reads.
    pub fn paths(&self) -> Vec<String> {
        self.files.iter().map(|(_, file)| self.directory.clone().join(file.path.as_str()).to_string()).collect()
    }

    /// Whether the scan also tells where each row is.
    pub fn is_addressed(&self) -> bool {
        self.schema.fields().len() > self.own.fields().len()
    }

    async fn scan_files(
        &self,
        state: &dyn Session,
        files: &[&(Place, Arc<DataFile>)],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::local_filesystem();
        let store = Arc::clone(&self.warehouse.store);
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let mut table_schema = TableSchema::builder(Arc::clone(&self.own));
        if self.is_addressed() {
            let position = Field::new(POSITION_COLUMN, DataType::Int64, false).with_extension_type(RowNumber);
            table_schema = table_schema
                .with_table_partition_cols(vec![Arc::new(Field::new(FILE_COLUMN, DataType::Int64, false))])
                .with_virtual_columns(vec![Arc::new(position)]);
        }
        let mut options = state.table_options().parquet.clone();
        if !self.prunes {
            options.global.pruning = false;
            options.global.enable_page_index = false;
            options.global.bloom_filter_on_read = false;
        }
        let source = ParquetSource::new(table_schema.build())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, cache)));
        let mut statistics = Vec::with_capacity(files.len());
        let mut group = Vec::with_capacity(files.len());
        for (place, file) in files {
            let path = self.directory.clone().join(file.path.as_str());
            let of_file = if self.prunes {
                file_statistics(file, &self.columns, &self.schema)
            } else {
                Statistics::new_unknown(&self.schema)
            };
            let mut part =
                PartitionedFile::new(path.to_string(), file.size_bytes).with_statistics(Arc::new(of_file.clone()));
            if self.is_addressed() {
                part = part.with_partition_values(vec![ScalarValue::Int64(Some(place.number()))]);
            }
            if !file.deletes.is_empty() {
                let deleted = self.warehouse.deleted(&self.directory, &file.deletes).await?;
                part = part.with_extension(ParquetRowSelection::new(live_rows(&deleted, file.record_count)));
            }
            group.push(part);
            statistics.push(of_file);
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(vec![FileGroup::new(group)])
            .with_statistics(Statistics::try_merge_iter(&statistics, &self.schema)?)
            .with_expr_adapter(Some(Arc::new(ByColumnId::new(&self.columns)?)))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The rows in memory, under the schema of the scan.
    fn memory(&self) -> Result<Vec<RecordBatch>> {
        let addressed = self.is_addressed();
        let with_schema = |(rows, positions, place): &(RecordBatch, Int64Array, Place)| {
            let columns = rows.columns().iter().zip(self.own.fields());
            // They have column ids in their own schema.
            let mut columns: Vec<ArrayRef> = columns
                .map(|(column, field)| cast(column, field.data_type()))
                .collect::<std::result::Result<_, _>>()?;
            let count = rows.num_rows();
            if addressed {
                columns.push(Arc::new(Int64Array::from_value(place.number(), count)));
                columns.push(Arc::new(positions.clone()));
            }
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
        };
        self.rows.iter().map(with_schema).collect()
    }
}

#[async_trait]
impl TableProvider for WarehouseTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters reach the Parquet source later, by the engine's own push-down rule.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let memory = || -> Result<Arc<dyn ExecutionPlan>> {
            let rows = self.memory()?;
            Ok(MemorySourceConfig::try_new_exec(&[rows], Arc::clone(&self.schema), projection.cloned())?)
        };
        let partitioning = self.partitioning.as_ref().filter(|_| self.prunes);
        let files = pruned(&self.files, partitioning, &self.columns, filters);
        if files.is_empty() {
            return memory();
        }
        let files = self.scan_files(state, &files, projection, limit).await?;
        if self.rows.is_empty() {
            return Ok(files);
        }
        UnionExec::try_new(vec![files, memory()?])
    }
}

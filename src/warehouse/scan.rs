//! Reading a table at one snapshot, with the transaction's own rows.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::adapter::ByColumnId;
use super::stats::file_statistics;
use super::{StagedTable, Warehouse};
use crate::catalog::{CatalogState, Column, DataFile, Relation};
use crate::name::ObjectId;

/// One table as one statement sees it.
#[derive(Debug)]
pub struct WarehouseTable {
    warehouse: Warehouse,
    directory: object_store::path::Path,
    columns: Vec<Column>,
    schema: SchemaRef,
    files: Vec<Arc<DataFile>>,
    rows: Vec<RecordBatch>,
}

impl WarehouseTable {
    /// `None` if the relation is not a table.
    pub fn new(
        warehouse: &Warehouse,
        catalog: &CatalogState,
        id: ObjectId,
        relation: &Relation,
        staged: Option<&StagedTable>,
    ) -> Option<Self> {
        let mut files = match staged {
            Some(staged) if staged.truncated => Vec::new(),
            _ => catalog.data(id).files.clone(),
        };
        let mut rows = Vec::new();
        if let Some(staged) = staged {
            files.extend(staged.files.iter().cloned());
            rows.clone_from(&staged.rows);
        }
        Some(Self {
            warehouse: warehouse.clone(),
            directory: warehouse.directory(catalog, relation)?,
            columns: relation.columns.clone(),
            schema: relation.arrow_schema(),
            files,
            rows,
        })
    }

    /// Full paths of the files it reads.
    pub fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| self.directory.clone().join(file.path.as_str()).to_string()).collect()
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::local_filesystem();
        let store = Arc::clone(&self.warehouse.store);
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let table_schema = TableSchema::builder(Arc::clone(&self.schema)).build();
        let source = ParquetSource::new(table_schema)
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, cache)));
        let ids = self.columns.iter().map(|column| (column.name.clone(), column.id)).collect();
        let mut statistics = Vec::with_capacity(self.files.len());
        let mut group = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let path = self.directory.clone().join(file.path.as_str());
            let of_file = file_statistics(file, &self.columns, &self.schema);
            group.push(
                PartitionedFile::new(path.to_string(), file.size_bytes).with_statistics(Arc::new(of_file.clone())),
            );
            statistics.push(of_file);
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(vec![FileGroup::new(group)])
            .with_statistics(Statistics::try_merge_iter(&statistics, &self.schema)?)
            .with_expr_adapter(Some(Arc::new(ByColumnId { ids })))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
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
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let memory = || -> Result<Arc<dyn ExecutionPlan>> {
            let rows = self.rows.iter().map(|rows| with_schema(rows, &self.schema)).collect::<Result<Vec<_>>>()?;
            Ok(MemorySourceConfig::try_new_exec(&[rows], Arc::clone(&self.schema), projection.cloned())?)
        };
        if self.files.is_empty() {
            return memory();
        }
        let files = self.scan_files(state, projection, limit)?;
        if self.rows.is_empty() {
            return Ok(files);
        }
        UnionExec::try_new(vec![files, memory()?])
    }
}

/// Staged rows, which have column ids in their schema, under the schema of the scan.
fn with_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

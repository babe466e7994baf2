//! What a part of a statement gave back, as a table for the parts after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// Rows that the user may see: they came through his rights and masks. There when the part has run, and planned before.
#[derive(Debug)]
pub struct ResultTable {
    schema: SchemaRef,
    rows: OnceLock<Vec<RecordBatch>>,
    /// Whether another part reads it.
    wanted: AtomicBool,
}

impl ResultTable {
    /// A result that is not there yet.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: OnceLock::new(), wanted: AtomicBool::new(false) }
    }

    /// Another part names it.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether a part that was planned names it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Gives it its rows, once.
    pub fn fill(&self, batches: &[RecordBatch]) -> Result<()> {
        let rows = batches.iter().map(|batch| {
            let pairs = batch.columns().iter().zip(self.schema.fields());
            let columns = pairs.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        self.rows.set(rows).map_err(|_again| internal_datafusion_err!("a part of a statement ran twice"))
    }
}

#[async_trait]
impl TableProvider for ResultTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.get().ok_or_else(|| internal_datafusion_err!("a part of a statement has not run"))?;
        let plan = MemorySourceConfig::try_new_exec(
            std::slice::from_ref(rows),
            Arc::clone(&self.schema),
            projection.cloned(),
        )?;
        Ok(plan)
    }
}

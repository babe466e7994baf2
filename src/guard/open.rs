//! A relation without an applicable policy: the raw table, with a note of the files it hands to the plan.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::Issued;
use super::gate::file_paths;
use crate::name::ObjectId;
use crate::warehouse::WarehouseTable;

/// A relation that the user reads as it is. Files that its scans read are noted with the statement's guard.
#[derive(Debug)]
pub struct OpenTable {
    relation: ObjectId,
    raw: Arc<dyn TableProvider>,
    issued: Arc<Issued>,
}

impl OpenTable {
    pub(super) fn new(relation: ObjectId, raw: Arc<dyn TableProvider>, issued: Arc<Issued>) -> Self {
        Self { relation, raw, issued }
    }

    /// The relation of the catalog behind it; `i64::MIN` for a file that COPY reads, which belongs to none.
    pub fn relation(&self) -> ObjectId {
        self.relation
    }

    /// Whether it also tells where each row is.
    pub fn is_addressed(&self) -> bool {
        self.raw.downcast_ref::<WarehouseTable>().is_some_and(WarehouseTable::is_addressed)
    }

    /// All rows with one of some keys, as [`WarehouseTable::lookup`] finds them. `None`: they are to be scanned for.
    pub async fn lookup(
        &self,
        columns: &[usize],
        values: &[ArrayRef],
        projection: &[usize],
    ) -> Result<Option<Vec<RecordBatch>>> {
        match self.raw.downcast_ref::<WarehouseTable>() {
            Some(table) => table.lookup(columns, values, projection).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl TableProvider for OpenTable {
    fn schema(&self) -> SchemaRef {
        self.raw.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.raw.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.raw.scan(state, projection, filters, limit).await?;
        file_paths(&plan, &mut |path| self.issued.add(path))?;
        Ok(plan)
    }
}

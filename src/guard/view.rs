//! A view during planning: a leaf that privilege checks can see. It is replaced by its query once they have passed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::name::ObjectId;

/// A view as a source of the engine that can be planned with, but not scanned.
#[derive(Debug)]
pub struct ViewTable {
    /// `None`: a view of the system's, which everyone may read.
    pub relation: Option<ObjectId>,
    /// The view's columns as a query over it sees them: the output of `plan`.
    pub schema: SchemaRef,
    /// Its query, bound with the rights of `checked_as`, with the view's column names.
    pub plan: LogicalPlan,
    /// Whose rights count below it: its owner's; the reading role's for `security_invoker` and for system views.
    pub checked_as: ObjectId,
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal("a view reached execution".to_owned()))
    }
}

/// Replaces each view by its query, for a plan whose rights were proven.
pub fn expand_views(plan: LogicalPlan) -> Result<LogicalPlan> {
    let expanded = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let Some(view) = provider.downcast_ref::<ViewTable>() else { return Ok(Transformed::no(node)) };
        let inner = expand_views(view.plan.clone())?;
        let plan = LogicalPlanBuilder::from(inner).alias(scan.table_name.clone())?.build()?;
        Ok(Transformed::yes(plan))
    });
    expanded.map(|transformed| transformed.data)
}

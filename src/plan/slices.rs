//! Rows in small slices, with a pause after each.
//!
//! A nested loop join compares a batch of one side with all rows of the other at a stretch, and goes on to the next batch
//! while it finds nothing: a statement could not be stopped for minutes, and kept the others waiting.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::StreamExt;
use futures::stream;

/// The rows of its input, at most so many at once.
#[derive(Debug)]
pub(super) struct SlicesExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl SlicesExec {
    /// `rows`: at least one.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, rows: usize) -> Self {
        Self { input, rows: rows.max(1) }
    }
}

impl DisplayAs for SlicesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlicesExec: rows={}", self.rows)
    }
}

impl ExecutionPlan for SlicesExec {
    fn name(&self) -> &'static str {
        "SlicesExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.as_slice() {
            [input] => Ok(Arc::new(Self::new(Arc::clone(input), self.rows))),
            _ => internal_err!("slices of {} plans", children.len()),
        }
    }
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("slices of {} plans", inputs.len()),
        }
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows;
        let batches = self.input.execute(partition, context)?;
        let slices = batches.flat_map(move |batch| match batch {
            Ok(batch) => stream::iter(slices(&batch, rows)),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        let paused = slices.then(|slice| async {
            tokio::task::yield_now().await;
            slice
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), paused)))
    }
}

fn slices(batch: &RecordBatch, rows: usize) -> Vec<Result<RecordBatch>> {
    let all = batch.num_rows();
    (0..all).step_by(rows).map(|start| Ok(batch.slice(start, rows.min(all - start)))).collect()
}

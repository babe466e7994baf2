//! Plans of which only some partitions may be read.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// Keeps the joins of a plan from waiting for partitions of theirs that nobody reads.
///
/// A join that collects one of its sides for all partitions filters the other by it as soon as each partition was asked for
/// rows: this filter is taken away where not all may be.
pub(crate) fn asked_in_part(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|node| {
        let asks_all =
            node.is::<RepartitionExec>() || node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>();
        if asks_all {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        match node.downcast_ref::<HashJoinExec>() {
            Some(join)
                if *join.partition_mode() == PartitionMode::CollectLeft
                    && !join.dynamic_expressions_produced().is_empty()
                    && node.output_partitioning().partition_count() > 1 =>
            {
                Ok(Transformed::yes(join.builder().reset_state().build_exec()?))
            }
            _ => Ok(Transformed::no(node)),
        }
    })
    .map(|transformed| transformed.data)
}

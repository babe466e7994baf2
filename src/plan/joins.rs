//! Joins that give way to others and do not wait for each other.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::slices::SlicesExec;
use crate::guard::asked_in_part;

/// Lets joins give way to others. A join makes many batches of one batch of its input, and only reading input counts as
/// work that must pause; without this a cross join could not be cancelled for minutes.
#[derive(Debug)]
pub(super) struct YieldInJoins;

impl PhysicalOptimizerRule for YieldInJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let node = if node.is::<NestedLoopJoinExec>() { in_slices(node)? } else { node };
            let multiplies = node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() || node.is::<HashJoinExec>();
            Ok(if multiplies { Transformed::yes(Arc::new(CooperativeExec::new(node))) } else { Transformed::no(node) })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "yield_in_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rows of one side that a nested loop join compares with all of the other at a stretch: of a million rows there, pairs for
/// less than a second.
const ROWS_AT_A_STRETCH: usize = 256;

/// Lets a nested loop join pause while it finds nothing.
fn in_slices(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let [collected, probed] = join.children()[..] else { return Ok(join) };
    if probed.is::<SlicesExec>() {
        return Ok(join);
    }
    let slices = Arc::new(SlicesExec::new(Arc::clone(probed), ROWS_AT_A_STRETCH));
    let children = vec![Arc::clone(collected), slices as _];
    replace_children_if_necessary(join, children)
}

/// Keeps joins from waiting for partitions of theirs that nobody reads; to run when all joins filter what they read.
///
/// A join that collects one of its sides for all partitions filters the other by it as soon as each partition was asked for
/// rows. A partitioned join above it never asks in a partition where its own collected side is empty: then the others would
/// wait forever.
#[derive(Debug)]
pub(super) struct AskedInPart;

impl PhysicalOptimizerRule for AskedInPart {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join)
                if *join.partition_mode() == PartitionMode::Partitioned
                    && join.join_type().empty_build_side_produces_empty_result() =>
            {
                let children = vec![Arc::clone(join.left()), asked_in_part(Arc::clone(join.right()))?];
                Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
            }
            _ => Ok(Transformed::no(node)),
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "asked_in_part"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

//! Hides from the optimizer what it concludes wrongly.
//!
//! It keeps constants of an outer join's input above the join, where the rows without a match have NULL, and those of columns
//! that are grouped by above ROLLUP and its like, where some groups have NULL; it takes running
//! aggregates to be ordered as their window is, whatever NULLs come first; and it moves a limit below a window that
//! counts all rows. And it filters the rows that a join, a limit or an aggregate reads by bounds of the keys that others have
//! shown: of arrays and rows it does not know the order where they have NULLs in them.

use std::fmt;
use std::sync::Arc;

use super::decorrelate::fenced;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, replace_children_if_necessary,
};

/// The rule; to run before any other.
#[derive(Debug)]
pub(super) struct HideOrderings;

impl PhysicalOptimizerRule for HideOrderings {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let hidden = plan.transform_up(|node| {
            let inside = is_window(&node);
            let sets = has_grouping_sets(&node);
            let children = node.children();
            let hide = |child: &Arc<dyn ExecutionPlan>| is_window(child) && !inside || loses_constants(child) || sets;
            if !children.iter().any(|child| hide(child)) {
                return Ok(Transformed::no(node));
            }
            let children =
                children.into_iter().map(|child| if hide(child) { opaque(child) } else { Arc::clone(child) });
            let children = children.collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        });
        hidden.map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "hide_orderings"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_window(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>()
}

/// Whether a join may give NULLs for a column that one of its inputs has but one value for.
fn loses_constants(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let join_type = match (plan.downcast_ref::<HashJoinExec>(), plan.downcast_ref::<NestedLoopJoinExec>()) {
        (Some(join), _) => *join.join_type(),
        (_, Some(join)) => *join.join_type(),
        _ => return false,
    };
    matches!(join_type, JoinType::Left | JoinType::Right | JoinType::Full)
        && plan.children().iter().any(|input| !input.properties().equivalence_properties().constants().is_empty())
}

/// Whether an aggregate has groups in which columns that are grouped by are NULL.
fn has_grouping_sets(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>().is_some_and(|aggregate| aggregate.group_expr().has_grouping_set())
}

/// The rule that keeps joins and limits from filtering what they read by arrays or rows; to run before the one that has them
/// do so.
#[derive(Debug)]
pub(super) struct KeepNestedKeys;

impl PhysicalOptimizerRule for KeepNestedKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            if !has_nested_keys(&node) {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().map(|child| fenced(Arc::clone(child))).collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        });
        kept.map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "keep_nested_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a plan may filter what it reads by arrays or rows.
fn has_nested_keys(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let nested = |key: &Arc<dyn PhysicalExpr>, input: &Arc<dyn ExecutionPlan>| {
        key.data_type(&input.schema()).is_ok_and(|data_type| data_type.is_nested())
    };
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return join.on().iter().any(|(left, _)| nested(left, join.left()));
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return sort.fetch().is_some() && sort.expr().iter().any(|key| nested(&key.expr, sort.input()));
    }
    false
}

fn opaque(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let known = input.properties();
    let properties = PlanProperties::new(
        EquivalenceProperties::new(input.schema()),
        known.output_partitioning().clone(),
        known.emission_type,
        known.boundedness,
    );
    Arc::new(OpaqueExec { input: Arc::clone(input), properties: Arc::new(properties) })
}

/// The rows of its input, in no known order.
#[derive(Debug)]
struct OpaqueExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for OpaqueExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueExec")
    }
}

impl ExecutionPlan for OpaqueExec {
    fn name(&self) -> &'static str {
        "OpaqueExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
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
            [input] => Ok(opaque(input)),
            _ => internal_err!("an opaque plan over {} plans", children.len()),
        }
    }
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("an opaque plan over {} plans", inputs.len()),
        }
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

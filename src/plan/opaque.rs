//! Hides from the optimizer what it concludes wrongly.
//!
//! It keeps constants of an outer join's input above the join, where the rows without a match have NULL, and those of columns
//! that are grouped by above ROLLUP and its like, where some groups have NULL; joins forget others that it has relied on; it
//! takes running aggregates to be ordered as their window is, whatever NULLs come first; it moves a limit below a window that
//! counts all rows, and into groups, where it loses those of NaN. And it filters the rows that a join, a limit or an aggregate reads by bounds of the keys that others have
//! shown: of arrays and rows it does not know the order where they have NULLs in them. What it moves down like that it takes
//! to the first column of the same name, be it another one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
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
            let children = node.children();
            let hide = |child: &Arc<dyn ExecutionPlan>| is_misread(&node, child);
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

/// Whether a plan would be planned wrongly by what is known of its input.
fn is_misread(plan: &Arc<dyn ExecutionPlan>, input: &Arc<dyn ExecutionPlan>) -> bool {
    is_window(input) && !is_window(plan)
        || loses_constants(input)
        || has_grouping_sets(plan)
        || groups_by_floats(input) && !plan.is::<AggregateExec>()
        || is_join(plan) && has_literals(input)
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

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>()
}

/// Whether a column has the same value in all rows because a query says so. A join forgets that when it takes in a projection,
/// after a sort was left out for it.
fn has_literals(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let literal = |projection: &ProjectionExec| projection.expr().iter().any(|output| output.expr.is::<Literal>());
    plan.downcast_ref::<ProjectionExec>().is_some_and(literal)
        || matches!(plan.children().as_slice(), [input] if !plan.is::<OpaqueExec>() && has_literals(input))
}

/// Whether an aggregate has groups in which columns that are grouped by are NULL.
fn has_grouping_sets(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>().is_some_and(|aggregate| aggregate.group_expr().has_grouping_set())
}

/// Whether an aggregate's groups may be of NaN. A limit that becomes part of it loses sight of such a group, and panics.
fn groups_by_floats(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return false };
    let input = aggregate.input().schema();
    let mut keys = aggregate.group_expr().expr().iter();
    keys.any(|(key, _)| key.data_type(&input).is_ok_and(|data_type| data_type.is_floating()))
}

/// A rule that moves filters down, those that joins, limits and aggregates make on their way, too: without those that would be
/// others further down.
#[derive(Debug)]
pub(super) struct KeepFilters(pub Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for KeepFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            if !has_nested_keys(&node) && !goes_astray(&node)? {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().map(fenced).collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        });
        let moved = self.0.optimize(kept?.data, config)?;
        let open =
            moved.transform_up(|node| match node.downcast_ref::<OpaqueExec>().filter(|opaque| opaque.is_fence) {
                Some(fence) => Ok(Transformed::yes(Arc::clone(&fence.input))),
                None => Ok(Transformed::no(node)),
            });
        open.map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
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

/// Whether a plan filters what it reads, or may do so, by a column that has namesakes on the way down.
fn goes_astray(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let is_limit = plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
    if !(is_limit || plan.is::<FilterExec>() || plan.is::<HashJoinExec>() || plan.is::<AggregateExec>()) {
        return Ok(false);
    }
    let mut names = BTreeSet::new();
    plan.apply_expressions(&mut |expr| {
        names.extend(columns_of(expr));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(plan.children().into_iter().any(|child| has_namesakes(child, &names)))
}

fn columns_of(expr: &Arc<dyn PhysicalExpr>) -> impl Iterator<Item = String> + use<> {
    collect_columns(expr).into_iter().map(|column| column.name().to_owned())
}

/// Whether one of these columns of a plan, or one that it is made of, shares its name with another one.
fn has_namesakes(plan: &Arc<dyn ExecutionPlan>, names: &BTreeSet<String>) -> bool {
    let schema = plan.schema();
    let known: BTreeSet<&String> =
        names.iter().filter(|name| schema.fields().iter().any(|field| field.name() == *name)).collect();
    if known.iter().any(|name| schema.fields().iter().filter(|field| field.name() == *name).count() > 1) {
        return true;
    }
    let mut below: BTreeSet<String> = BTreeSet::new();
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let wanted = projection.expr().iter().filter(|output| known.contains(&output.alias));
        below.extend(wanted.flat_map(|output| columns_of(&output.expr)));
    } else {
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            let groups = aggregate.group_expr().expr().iter().filter(|(_, name)| known.contains(name));
            below.extend(groups.flat_map(|(expr, _)| columns_of(expr)));
        }
        below.extend(known.into_iter().cloned());
    }
    !below.is_empty() && plan.children().into_iter().any(|child| has_namesakes(child, &below))
}

fn opaque(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let known = input.properties();
    let properties = PlanProperties::new(
        EquivalenceProperties::new(input.schema()),
        known.output_partitioning().clone(),
        known.emission_type,
        known.boundedness,
    );
    Arc::new(OpaqueExec { input: Arc::clone(input), properties: Arc::new(properties), is_fence: false })
}

fn fenced(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(OpaqueExec { input: Arc::clone(input), properties: Arc::clone(input.properties()), is_fence: true })
}

/// The rows of its input; no filter is moved into it.
#[derive(Debug)]
struct OpaqueExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// Whether nothing else is hidden, and it will be gone before long; else their order is.
    is_fence: bool,
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
        vec![self.is_fence]
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
            [input] => Ok(if self.is_fence { fenced(input) } else { opaque(input) }),
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

//! The last look at a physical plan before it runs: every leaf must be one that the guard issued.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::work_table::WorkTableExec;

use super::Guard;
use super::leaf::SecurityBarrierExec;
use crate::error::{Report, SqlState};

/// Why a physical plan does not run. Always `XX000`: such a plan is a bug, not the user's fault.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A scan outside a secure leaf reads a file that no open table handed out.
    #[error("the plan reads \"{path}\", which was not opened for this statement")]
    File {
        /// URL of the object store, then the path in it.
        path: String,
    },
    /// A leaf of a kind that is not listed as harmless.
    #[error("the plan has a leaf \"{name}\" that is not known to be safe")]
    Leaf {
        /// The engine's name of the plan node, such as `DataSourceExec`.
        name: String,
    },
    /// The engine failed while the plan's nodes were visited.
    #[error("the plan could not be inspected")]
    Engine(#[from] DataFusionError),
}

impl Report for GateError {
    fn sqlstate(&self) -> SqlState {
        SqlState::INTERNAL_ERROR
    }
}

impl Guard {
    /// Refuses a plan with a leaf that this guard did not issue.
    pub fn inspect(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<(), GateError> {
        let mut refused = None;
        plan.apply(|node| {
            if node.children().is_empty() && refused.is_none() {
                refused = self.inspect_leaf(node).err();
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn inspect_leaf(&self, node: &Arc<dyn ExecutionPlan>) -> Result<(), GateError> {
        let harmless = node.is::<SecurityBarrierExec>()
            || node.is::<PlaceholderRowExec>()
            || node.is::<EmptyExec>()
            || node.is::<WorkTableExec>()
            || node.is::<LazyMemoryExec>();
        if harmless {
            return Ok(());
        }
        let unknown = || GateError::Leaf { name: node.name().to_owned() };
        let source = node.downcast_ref::<DataSourceExec>().ok_or_else(unknown)?.data_source();
        // VALUES, and a transaction's own rows, which only an open table hands out.
        if source.is::<MemorySourceConfig>() {
            return Ok(());
        }
        if !source.is::<FileScanConfig>() {
            return Err(unknown());
        }
        let mut stranger = None;
        file_paths(node, &mut |path| {
            if !self.issued.contains(&path) {
                stranger.get_or_insert(path);
            }
        })?;
        stranger.map_or(Ok(()), |path| Err(GateError::File { path }))
    }
}

/// Calls `visit` with store and path of every file a plan reads.
pub(super) fn file_paths(plan: &Arc<dyn ExecutionPlan>, visit: &mut dyn FnMut(String)) -> Result<()> {
    plan.apply(|node| {
        if let Some(exec) = node.downcast_ref::<DataSourceExec>()
            && let Some(config) = exec.data_source().downcast_ref::<FileScanConfig>()
        {
            for file in config.file_groups.iter().flat_map(FileGroup::iter) {
                visit(format!("{}{}", config.object_store_url.as_str(), file.object_meta.location));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

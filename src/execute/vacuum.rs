//! VACUUM: the live rows of some files are written to new ones. To other transactions it is an update of all these rows
//! that changes nothing.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::Column;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, SortExpr};
use datafusion::physical_plan::execute_stream_partitioned;
use futures::{StreamExt, TryStreamExt};

use super::{Outcome, Stores, query};
use crate::catalog::{Inlined, KeyColumn, Relation, Sorting, TableData};
use crate::error::{Notice, SqlError, internal};
use crate::name::{FileId, ObjectId};
use crate::plan::{ADDRESS_COLUMNS, Scope, VacuumPlan};
use crate::transaction::Transaction;
use crate::warehouse::{Addresses, Running, Staged, TableWriter};

pub(super) async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    vacuum: VacuumPlan,
    notices: &mut Vec<Notice>,
) -> Result<Outcome, SqlError> {
    notices.extend(vacuum.notices);
    for (table, files) in vacuum.tables {
        rewrite(scope, stores, transaction, table, &files).await?;
    }
    Ok(Outcome::Done("VACUUM".to_owned()))
}

async fn rewrite(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    table: ObjectId,
    files: &[FileId],
) -> Result<(), SqlError> {
    let relation = scope.ctx.catalog.relation(table).ok_or_else(|| internal("a table to vacuum is gone"))?;
    let data = scope.ctx.catalog.data(table);
    let chosen = data.files.iter().filter(|file| file.id.is_some_and(|id| files.contains(&id))).cloned().collect();
    let inlined = if files.contains(&FileId::INLINED) { data.inlined.clone() } else { Inlined::default() };
    let chosen = TableData { files: chosen, inlined, ..data.as_ref().clone() };
    let running = Running { pid: scope.ctx.backend_pid, table, bytes: chosen.size_bytes() };
    let run = scope.ctx.upkeep.begin(running);
    // The same table with no other files.
    let mut ctx = scope.ctx.clone();
    ctx.catalog = Arc::new(ctx.catalog.as_ref().clone().with_data([(table, Some(Arc::new(chosen)))]));
    ctx.staged = Arc::new(Staged::default());
    let source = scope.guard.open_target(&ctx, table, relation, None, scope.engine.state())?;
    let mut plan = LogicalPlanBuilder::scan("vacuumed", provider_as_source(source), None);
    if let Some(sorting) = relation.sorting() {
        plan = plan.and_then(|plan| plan.sort(in_order(relation, sorting)));
    }
    let plan = plan.and_then(LogicalPlanBuilder::build).map_err(SqlError::from_engine)?;
    let plan = query::physical(scope, &plan).await?;
    // One after the other: rows that are near each other stay so.
    let parts = execute_stream_partitioned(plan, scope.engine.task()).map_err(SqlError::from_engine)?;
    let mut rows = futures::stream::iter(parts).flatten();
    let mut writer = TableWriter::new(&stores.warehouse, &scope.ctx.catalog, relation)?;
    let mut found = Addresses::default();
    while let Some(batch) = rows.try_next().await.map_err(SqlError::from_engine)? {
        // The address columns come last in a table's own scan.
        let width = batch.num_columns().saturating_sub(ADDRESS_COLUMNS);
        let address = |index: usize| batch.column(width + index).as_primitive_opt::<Int64Type>();
        let (Some(files), Some(positions)) = (address(0), address(1)) else {
            return Err(internal("a row without an address").into());
        };
        for (file, position) in files.values().iter().zip(positions.values()) {
            found.insert(*file, *position);
        }
        let (files, positions) = (files.clone(), positions.clone());
        let own: Vec<usize> = (0..width).collect();
        writer.write_again(batch.project(&own).map_err(SqlError::from_arrow)?, files, positions).await?;
    }
    let (written, moves) = writer.finish_again().await?;
    transaction.compact(table, &found, written, moves)?;
    run.complete();
    Ok(())
}

fn in_order(relation: &Relation, sorting: &Sorting) -> Vec<SortExpr> {
    let key = |key: &KeyColumn| {
        let column = relation.column_by_id(key.column)?;
        Some(Expr::Column(Column::new_unqualified(&column.name)).sort(!key.descending, key.nulls_first))
    };
    sorting.keys.iter().filter_map(key).collect()
}

//! VACUUM and ANALYZE: which tables, and which of their files.

use std::sync::Arc;

use super::super::{Need, PlanResult, Right, Scope};
use super::{DdlPlan, relation};
use crate::catalog::{DataFile, RelationKind};
use crate::error::{Notice, Plain, SqlState};
use crate::name::{FileId, ObjectId};
use crate::statement::Maintain;

/// Files below this size are merged.
const SMALL_BYTES: u64 = 32 << 20;
/// A file with more deleted rows than one in this many is written again.
const DELETED_ONE_IN: u64 = 5;

/// So many rows that are in no file become one.
const INLINED_MANY: u64 = 1_000;

/// Tables whose files are to be written again.
#[derive(Debug, Default)]
pub struct VacuumPlan {
    /// Each table with those of its files that are to be merged into new ones.
    pub tables: Vec<(ObjectId, Vec<FileId>)>,
    /// Rights on the tables.
    pub needs: Vec<Need>,
    /// Tables that were left out.
    pub notices: Vec<Notice>,
}

/// `None`: ANALYZE, which checks the names only.
pub(in crate::plan) fn plan(scope: &Scope, maintain: &Maintain) -> PlanResult<Result<VacuumPlan, DdlPlan>> {
    let mut plan = VacuumPlan::default();
    let mut tables = Vec::new();
    for name in &maintain.tables {
        let (id, found) = relation(scope, name)?;
        match found.storage {
            RelationKind::Table(_) => {}
            RelationKind::External(_) | RelationKind::View(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => {
                let verb = if maintain.vacuum { "vacuum" } else { "analyze" };
                let message =
                    format!("skipping \"{}\" --- cannot {verb} non-tables or special system tables", found.name);
                plan.notices.push(Notice::warning(SqlState::WARNING, message));
                continue;
            }
        }
        if scope.ctx.owns(found.owner) {
            tables.push(id);
        } else {
            let verb = if maintain.vacuum { "vacuum" } else { "analyze" };
            let message = format!("permission denied to {verb} \"{}\", skipping it", found.name);
            plan.notices.push(Notice::warning(SqlState::WARNING, message));
        }
    }
    if maintain.tables.is_empty() {
        let own = scope.catalog().relations();
        let own =
            own.filter(|(_, found)| matches!(found.storage, RelationKind::Table(_)) && scope.ctx.owns(found.owner));
        tables.extend(own.map(|(id, _)| id));
    }
    if !maintain.vacuum {
        return Ok(Err(DdlPlan { tag: "ANALYZE", notices: plan.notices, ..DdlPlan::default() }));
    }
    for id in tables {
        let data = scope.catalog().data(id);
        let mut files = worn(&data.files, maintain.full);
        if data.inlined.len() >= if maintain.full { 1 } else { INLINED_MANY } {
            files.push(FileId::INLINED);
        }
        if !files.is_empty() {
            plan.needs.push(Need { role: scope.ctx.role, right: Right::Own(id) });
            plan.tables.push((id, files));
        }
    }
    Ok(Ok(plan))
}

/// Files that are worth being written again: small ones if there are several, and those with many deleted rows.
fn worn(files: &[Arc<DataFile>], full: bool) -> Vec<FileId> {
    let is_damaged = |file: &DataFile| {
        let deleted = file.record_count - file.live_count();
        if full { deleted > 0 } else { deleted.saturating_mul(DELETED_ONE_IN) > file.record_count }
    };
    let is_small = |file: &DataFile| file.size_bytes < SMALL_BYTES;
    let several = files.iter().filter(|file| is_small(file)).count() > 1;
    let worn = files.iter().filter(|file| is_damaged(file) || several && is_small(file));
    worn.filter_map(|file| file.id).collect()
}

/// `25001`: it commits by itself.
pub fn in_block(command: &str) -> Plain {
    let message = format!("{command} cannot run inside a transaction block");
    Plain::new(SqlState::ACTIVE_TRANSACTION, message)
}

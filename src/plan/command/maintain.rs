//! VACUUM and ANALYZE: which tables, and which of their files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{Need, PlanResult, Right, Scope};
use super::{DdlPlan, relation};
use crate::catalog::{DataFile, FilePartition, Relation, RelationKind, TableData};
use crate::error::{Notice, Plain, SqlState};
use crate::govern::Privilege;
use crate::name::{FileId, ObjectId};
use crate::statement::{Effort, Maintain};

/// Files below this size are merged.
const SMALL_BYTES: u64 = 32 << 20;
/// A file with more deleted rows than one in this many is written again.
const DELETED_ONE_IN: u64 = 5;

/// So many rows that are in no file become one.
const INLINED_MANY: u64 = 1_000;
/// So many do it without being asked.
const INLINED_BURDEN: u64 = 5_000;
/// So many small files are merged without being asked.
const FILES_BURDEN: usize = 16;
/// Files of which none is so many times larger than the smaller ones together are merged together.
const ALIKE_TIMES: u64 = 4;
/// Files below this size count as much as one of it.
const ALIKE_BYTES: u64 = 1 << 20;

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
        if scope.ctx.relation_rights(id, found).contains(Privilege::Maintain) {
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
        let Some(found) = scope.catalog().relation(id) else { continue };
        let files = worn(found, &scope.catalog().data(id), maintain.effort);
        if !files.is_empty() {
            plan.needs.push(Need {
                role: scope.ctx.role,
                right: Right::Relation { id, privilege: Privilege::Maintain, columns: vec![] },
            });
            plan.tables.push((id, files));
        }
    }
    Ok(Ok(plan))
}

/// Files that are worth being written again: small ones of one partition if there are several, those with many deleted rows,
/// and the rows that are in no file if they are many.
pub fn worn(table: &Relation, data: &TableData, effort: Effort) -> Vec<FileId> {
    let partitioning = table.partitioning().map(|partitioning| partitioning.id);
    // Files of an older layout have rows of any partition.
    let partition = |file: &DataFile| file.partition.clone().filter(|own| Some(own.of) == partitioning);
    let is_misplaced = |file: &DataFile| {
        effort == Effort::Full && (table.sorting().is_some() || partitioning.is_some() != partition(file).is_some())
    };
    let is_damaged = |file: &DataFile| {
        let deleted = file.record_count - file.live_count();
        if effort == Effort::Full { deleted > 0 } else { deleted.saturating_mul(DELETED_ONE_IN) > file.record_count }
    };
    let (inlined, several) = match effort {
        Effort::Automatic => (INLINED_BURDEN, FILES_BURDEN),
        Effort::Usual => (INLINED_MANY, 2),
        Effort::Full => (1, 2),
    };
    let mut small: BTreeMap<Option<Arc<FilePartition>>, Vec<&DataFile>> = BTreeMap::new();
    for file in data.files.iter().filter(|file| file.size_bytes < SMALL_BYTES) {
        small.entry(partition(file)).or_default().push(file);
    }
    let mut merged: BTreeSet<Option<FileId>> = BTreeSet::new();
    for files in small.into_values() {
        let files = if effort == Effort::Automatic { alike(files) } else { files };
        if files.len() >= several {
            merged.extend(files.iter().map(|file| file.id));
        }
    }
    let chosen = |file: &DataFile| merged.contains(&file.id) || is_damaged(file) || is_misplaced(file);
    let files = data.files.iter().filter(|file| chosen(file));
    let mut worn: Vec<FileId> = files.filter_map(|file| file.id).collect();
    if data.inlined.len() >= inlined {
        worn.push(FileId::INLINED);
    }
    worn
}

/// The smallest files, up to the first that is much larger than all before it together: what is written again together
/// with its like is written a few times only, however many come later.
fn alike(mut files: Vec<&DataFile>) -> Vec<&DataFile> {
    files.sort_by_key(|file| file.size_bytes);
    let mut total = 0;
    let fits = |file: &&DataFile| {
        let fits = file.size_bytes <= ALIKE_TIMES * ALIKE_BYTES.max(total);
        total += file.size_bytes;
        fits
    };
    files.into_iter().take_while(fits).collect()
}

/// `25001`: it commits by itself.
pub fn in_block(command: &str) -> Plain {
    let message = format!("{command} cannot run inside a transaction block");
    Plain::new(SqlState::ACTIVE_TRANSACTION, message)
}

//! What a commit makes of the data that is at the head by then: rows of others stay, and what both changed is a conflict.

use std::sync::Arc;

use super::claims::Verdict;
use super::commit::{CommitError, DeletedRows, TableCommit, conflict};
use super::moves::follow_deletes;
use super::{MetastoreError, Recent};
use crate::catalog::{Body, CatalogState, Change, Claims, DataFile, Inlined, Relation, TableData};
use crate::name::{FileId, ObjectId, SnapshotId};

/// What the tables of one commit are merged with.
pub(super) struct Merge<'a> {
    pub(super) head: &'a CatalogState,
    /// What the transaction read.
    pub(super) base: &'a CatalogState,
    /// What it read when it first gave a row a key.
    pub(super) claimed_at: SnapshotId,
    pub(super) changes: &'a [Change],
    pub(super) recent: &'a Recent,
}

impl Merge<'_> {
    /// A table's data after the commit. `next`: the catalog with the commit's changes.
    pub(super) fn table(
        &self,
        next: &CatalogState,
        relation: &Relation,
        table: &mut TableCommit,
        next_file_id: &mut i64,
    ) -> Result<TableData, CommitError> {
        let Self { head, base, claimed_at, changes, recent } = self;
        let snapshot = SnapshotId(head.snapshot.0 + 1);
        let changed_here = changes.iter().any(|change| change.id() == table.table);
        let (now, then) = (head.data(table.table), base.data(table.table));
        if !changed_here && !base.relation(table.table).is_some_and(|then| then.holds_the_same(relation)) {
            return Err(conflict("A table that the transaction wrote to was altered at the same time."));
        }
        if table.truncated && now.version != then.version {
            return Err(conflict("A table that the transaction truncated was written to at the same time."));
        }
        match table.moves.clone() {
            Some(_) if recent.moves.any_since(base.snapshot, table.table) => {
                return Err(conflict("A table was compacted twice at the same time."));
            }
            Some(moves) => follow_deletes(&now, &then, table, &moves)?,
            None => recent.moves.follow(base.snapshot, head.snapshot, table.table, &mut table.deleted),
        }
        // A compaction leaves the rows as they are.
        let version = if table.moves.is_some() { now.version } else { Some(snapshot) };
        let mut after = TableData { version, ..now.as_ref().clone() };
        after.files = merged(&now, &then, table, next_file_id)?;
        if changes.iter().any(|change| redefines(change, head, table.table)) {
            after.inlined_version = None;
        }
        merge_inlined(&mut after, &now, &then, table, next.schema_version + i64::from(!changes.is_empty()))?;
        // Last: who changed a row that others changed, too, is told that.
        if now.version.is_some_and(|version| version > *claimed_at) {
            for (index, claims) in &table.claims {
                let verdict = recent.claims.verdict(*claimed_at, table.table, *index, claims);
                check_keys(next, relation, *index, claims, verdict)?;
            }
        }
        Ok(after)
    }
}

/// The files of a table after the commit: those of the head without the rows that go, and the new ones. `then`: what the
/// transaction saw.
fn merged(
    now: &TableData,
    then: &TableData,
    table: &mut TableCommit,
    next_file_id: &mut i64,
) -> Result<Vec<Arc<DataFile>>, CommitError> {
    let mut files = if table.truncated { Vec::new() } else { now.files.clone() };
    for (id, rows) in table.deleted.iter_mut().filter(|(id, _)| **id != FileId::INLINED) {
        let file = files.iter_mut().find(|file| file.id == Some(*id));
        let file = file.ok_or_else(|| conflict("A row that the transaction changed is gone."))?;
        let then = then.files.iter().find(|file| file.id == Some(*id));
        delete_rows(Arc::make_mut(file), then.map(Arc::as_ref), rows, next_file_id)?;
    }
    files.retain(|file| file.live_count() > 0);
    let mut take_id = || {
        *next_file_id += 1;
        Some(FileId(*next_file_id - 1))
    };
    for file in &mut table.added {
        file.id = take_id();
        if let Some(deletes) = &mut file.deletes.file {
            Arc::make_mut(deletes).id = take_id();
        }
        files.push(Arc::new(file.clone()));
    }
    Ok(files)
}

/// The rows of a table that are in no file, after the commit. `schema_version`: that of the commit.
fn merge_inlined(
    after: &mut TableData,
    now: &TableData,
    then: &TableData,
    table: &TableCommit,
    schema_version: i64,
) -> Result<(), CommitError> {
    let corrupt = |error: arrow::error::ArrowError| MetastoreError::Corrupt(error.to_string());
    if table.moves_inlined && now.inlined.ids() != then.inlined.ids() {
        return Err(conflict("A table that the transaction altered was written to at the same time."));
    }
    if table.truncated {
        after.inlined = Inlined::default();
    } else if let Some(gone) = table.deleted.get(&FileId::INLINED) {
        if !gone.positions.is_subset(now.inlined.ids()) {
            return Err(conflict("A row that the transaction changed was changed or deleted at the same time."));
        }
        after.inlined = now.inlined.without(&gone.positions).map_err(corrupt)?;
    }
    after.next_row_id += table.added.iter().map(|file| file.record_count).sum::<u64>();
    if let Some(rows) = &table.inlined {
        after.inlined_version.get_or_insert(schema_version);
        after.inlined = std::mem::take(&mut after.inlined).with(rows.with_ids(after.next_row_id)).map_err(corrupt)?;
        after.next_row_id += rows.len();
    }
    Ok(())
}

/// Whether a change gives a table that was there other columns or another name: what readers know it by.
pub(super) fn redefines(change: &Change, head: &CatalogState, id: ObjectId) -> bool {
    let Change::Put(changed, body) = change else { return false };
    match (head.relation(id), body.as_ref()) {
        (Some(old), Body::Relation(new)) if *changed == id => !old.is_same_to_readers(new),
        _ => false,
    }
}

/// Keys that others gave their rows since are not free.
fn check_keys(
    state: &CatalogState,
    table: &Relation,
    index: ObjectId,
    claims: &Claims,
    verdict: Verdict,
) -> Result<(), CommitError> {
    match verdict {
        Verdict::Free => Ok(()),
        Verdict::Taken if !claims.arbitrated => {
            let schema = state.schema(table.schema).map(|schema| schema.name.clone()).unwrap_or_default();
            let constraint = state.relation(index).map(|index| index.name.clone()).unwrap_or_default();
            Err(CommitError::Key { schema, table: table.name.clone(), constraint })
        }
        Verdict::Taken | Verdict::TakenAtTimes => {
            Err(conflict("A row with the same key was committed at the same time."))
        }
        Verdict::Unknown => Err(conflict("Too many keys were committed since the transaction began.")),
    }
}

/// Deletes rows of a file, unless others were faster. `then`: the file as the transaction saw it.
fn delete_rows(
    now: &mut DataFile,
    then: Option<&DataFile>,
    rows: &mut DeletedRows,
    next_file_id: &mut i64,
) -> Result<(), CommitError> {
    let updated = || conflict("A row that the transaction changed was changed or deleted at the same time.");
    if !now.deletes.inlined.is_disjoint(&rows.positions) {
        return Err(updated());
    }
    if now.deletes.file != then.and_then(|then| then.deletes.file.clone()) {
        // Others wrote a delete file; what is in it is known if they did it on this server.
        let others = now.deletes.file.as_ref().and_then(|file| file.positions.get());
        if rows.file.is_some() || others.is_none_or(|others| !others.is_disjoint(&rows.positions)) {
            return Err(updated());
        }
    }
    match rows.file.take() {
        Some(mut file) => {
            file.id = Some(FileId(*next_file_id));
            *next_file_id += 1;
            now.deletes.file = Some(Arc::new(file));
        }
        None => *Arc::make_mut(&mut now.deletes.inlined) |= rows.positions.as_ref(),
    }
    Ok(())
}

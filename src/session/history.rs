//! What happened to a table: `table_changes`.

use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Shared;
use crate::catalog::{CatalogState, DataFile, Deletes, Inlined, Relation, RelationKind, TableData};
use crate::context::Context;
use crate::error::{Plain, SqlError, SqlState, unsupported};
use crate::metastore::Metastore;
use crate::name::{ObjectId, QualifiedName, SnapshotId};
use crate::plan::{ChangeKind, TableChange};

/// Snapshots that one `table_changes` goes through; each is read for itself.
const SNAPSHOTS_MAX: usize = 200;

/// The changes of a table from one snapshot to another, both included. Nothing is looked up for those who may not read the
/// table: planning tells them. `42704`, `22023`, `54000`, or `0A000` if the columns changed meanwhile.
pub(super) async fn changes(
    shared: &Shared,
    ctx: &Context,
    name: &str,
    from: SnapshotId,
    to: SnapshotId,
) -> Result<Option<Vec<TableChange>>, SqlError> {
    let Some((id, relation)) = ctx.relation(&QualifiedName::parse(name)?) else { return Ok(None) };
    if !ctx.may_read_all(id, relation) || !matches!(relation.storage, RelationKind::Table(_)) {
        return Ok(None);
    }
    if from > to {
        let message = format!("the first snapshot, {from}, is after the last, {to}");
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
    }
    let last = shared.metastore.at(to).await?;
    if from.0 > 0 {
        shared.metastore.at(SnapshotId(from.0 - 1)).await?;
    }
    let mut changed = Vec::new();
    for (snapshot, made) in shared.metastore.changes(from, to).await? {
        let is_about = |what: &str| made.split(',').any(|token| token == format!("{what}:{id}"));
        if is_about("altered_table") {
            let message = format!("changes of a table over a change of its columns, which was snapshot {snapshot}");
            return Err(unsupported(message).hint("Ask for the snapshots before and after it.").into());
        }
        if ["inserted_into_table", "deleted_from_table", "inlined_insert", "inlined_delete"].into_iter().any(is_about) {
            changed.push(snapshot);
        }
    }
    if changed.len() > SNAPSHOTS_MAX {
        let message =
            format!("{} snapshots changed the table (at most {SNAPSHOTS_MAX} can be read at once)", changed.len());
        return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
    }
    let with = |data: TableData| Arc::new(last.as_ref().clone().with_data([(id, Some(Arc::new(data)))]));
    let nothing = TableChange { snapshot: to, kind: ChangeKind::Insert, catalog: with(TableData::default()) };
    let mut changes = vec![nothing];
    for snapshot in changed {
        let difference = Difference::of(&shared.metastore, &last, id, snapshot).await?;
        let Some(relation) = last.relation(id) else { continue };
        for (kind, data) in [
            (ChangeKind::Delete, difference.deleted(shared, &last, relation).await?),
            (ChangeKind::Insert, difference.inserted()?),
        ] {
            if !data.files.is_empty() || !data.inlined.is_empty() {
                changes.push(TableChange { snapshot, kind, catalog: with(data) });
            }
        }
    }
    Ok(Some(changes))
}

/// A table's rows before and after one snapshot.
struct Difference {
    before: TableData,
    after: TableData,
}

impl Difference {
    async fn of(
        metastore: &Metastore,
        state: &CatalogState,
        table: ObjectId,
        snapshot: SnapshotId,
    ) -> Result<Self, SqlError> {
        let before = metastore.table_at(state, table, SnapshotId(snapshot.0 - 1)).await?;
        Ok(Self { before, after: metastore.table_at(state, table, snapshot).await? })
    }

    fn inserted(&self) -> Result<TableData, SqlError> {
        let known = |file: &DataFile| self.before.files.iter().any(|before| before.id == file.id);
        let files = self.after.files.iter().filter(|file| !known(file)).cloned().collect();
        Ok(TableData { files, inlined: new_rows(&self.after.inlined, &self.before.inlined)?, ..TableData::default() })
    }

    async fn deleted(
        &self,
        shared: &Shared,
        catalog: &CatalogState,
        relation: &Relation,
    ) -> Result<TableData, SqlError> {
        let mut files = Vec::new();
        for file in &self.before.files {
            let Some(after) = self.after.files.iter().find(|after| after.id == file.id) else {
                files.push(Arc::clone(file));
                continue;
            };
            if after.deletes == file.deletes {
                continue;
            }
            let before = shared.warehouse.deleted_rows(catalog, relation, file).await?;
            let now = shared.warehouse.deleted_rows(catalog, relation, after).await?;
            // All others are left out.
            let mut others = RoaringTreemap::new();
            others.insert_range(0..file.record_count);
            others -= now.as_ref() - before.as_ref();
            let deletes = Deletes { inlined: Arc::new(others), file: None };
            files.push(Arc::new(DataFile { deletes, ..file.as_ref().clone() }));
        }
        let inlined = new_rows(&self.before.inlined, &self.after.inlined)?;
        Ok(TableData { files, inlined, ..TableData::default() })
    }
}

/// Rows that are in one state and not in the other.
fn new_rows(these: &Inlined, others: &Inlined) -> Result<Inlined, SqlError> {
    these.without(others.ids()).map_err(SqlError::from_arrow)
}

//! The commit protocol: lock first, take ids from the snapshot row, check for conflicts against the head, write catalog,
//! data and grants in one database transaction, publish.
//!
//! Conflicts are found by comparing with the head itself, object by object, not by parsing what others wrote about
//! their changes: an object that the transaction changes must still have the version it read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::claims::{RecentClaims, Verdict};
use super::db::{Tx, Value};
use super::rows::{end_ducklake, now_text, object_row, put_ducklake};
use super::sequence::Sequences;
use super::{Metastore, MetastoreError};
use crate::catalog::{
    Body, CatalogState, Change, Claims, DataFile, DeleteFile, NameKey, Namespace, Relation, RelationKind, TableData,
    name_key,
};
use crate::error::{About, Report, SqlState};
use crate::name::{FileId, ObjectId, SnapshotId};

/// All a transaction did.
#[derive(Debug)]
pub struct Commit {
    /// The catalog it read.
    pub base: Arc<CatalogState>,
    /// In the order in which they were made; several for one object are allowed, the last one counts.
    pub changes: Vec<Change>,
    /// The tables whose rows it changed, each of them once.
    pub tables: Vec<TableCommit>,
    /// Tables whose rows must be those that it read.
    pub relied_on: Vec<ObjectId>,
    /// Sequences it drew values from.
    pub sequences: Vec<ObjectId>,
    /// Values of sequences that it created, which go by provisional ids.
    pub own_sequences: Arc<Sequences>,
    /// Name of the role, for `ducklake_snapshot_changes`.
    pub author: String,
}

/// What a transaction did to one table's data.
#[derive(Debug)]
pub struct TableCommit {
    /// Provisional if the transaction created the table.
    pub table: ObjectId,
    /// New files, already written; they have no ids yet.
    pub added: Vec<DataFile>,
    /// Whether the rows that were there before are gone.
    pub truncated: bool,
    /// Rows of committed files that are gone; empty if it is truncated.
    pub deleted: BTreeMap<FileId, DeletedRows>,
    /// Keys of its new rows, by unique index.
    pub claims: BTreeMap<ObjectId, Arc<Claims>>,
    /// Whether the table's rows are the same as before, in other files.
    pub compacted: bool,
}

/// Rows of one committed data file that a transaction deleted.
#[derive(Debug)]
pub struct DeletedRows {
    /// Their positions in the file. None of them was deleted in the catalog that the transaction read.
    pub positions: Arc<RoaringTreemap>,
    /// They and those of the delete file that the transaction saw, already written; `None`: they go into the metadata
    /// database.
    pub file: Option<DeleteFile>,
}

/// Names of DuckLake's tables of inlined deletes begin so; a table's id follows.
pub(super) const INLINED_DELETES: &str = "ducklake_inlined_delete_";

/// Why a transaction was not committed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// `40001`: another transaction was faster; nothing was committed.
    #[error("could not serialize access due to concurrent update")]
    Conflict {
        /// What it collided with, as a sentence for the client.
        detail: String,
    },
    /// A name it wanted was taken since; nothing was committed.
    #[error("{kind} \"{name}\" already exists")]
    Duplicate {
        /// What the message calls the object.
        kind: &'static str,
        /// The name that is taken, without its schema.
        name: String,
        /// `42P06` for a schema, `42P07` for a relation, `42710` for others.
        code: SqlState,
    },
    /// `23505`: a row with the same key was committed since the transaction looked; nothing was committed.
    #[error("duplicate key value violates unique constraint \"{constraint}\"")]
    Key {
        /// The name of the table's schema.
        schema: String,
        /// The table's name.
        table: String,
        /// The name of the constraint, or of the unique index.
        constraint: String,
    },
    /// `08007`: COMMIT failed, and whether it took place could not be found out.
    #[error("the outcome of the commit is unknown")]
    Unknown {
        /// Why the database did not tell.
        source: MetastoreError,
    },
    /// Nothing was committed, because the metadata database failed; with that error's SQLSTATE.
    #[error("could not commit")]
    Metastore(#[from] MetastoreError),
}

impl Report for CommitError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Conflict { .. } => SqlState::SERIALIZATION_FAILURE,
            Self::Duplicate { code, .. } => *code,
            Self::Key { .. } => SqlState::UNIQUE_VIOLATION,
            Self::Unknown { .. } => SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
            Self::Metastore(error) => error.sqlstate(),
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Conflict { detail } => Some(detail.clone()),
            Self::Key { .. } => Some("A row with the same key was committed at the same time.".to_owned()),
            Self::Duplicate { .. } | Self::Unknown { .. } | Self::Metastore(_) => None,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { .. } => Some("Run the transaction again.".to_owned()),
            Self::Unknown { .. } => Some("Look whether its changes are there before running it again.".to_owned()),
            Self::Duplicate { .. } | Self::Key { .. } | Self::Metastore(_) => None,
        }
    }
    fn about(&self) -> About {
        match self {
            Self::Key { schema, table, constraint } => About {
                schema: Some(schema.clone()),
                table: Some(table.clone()),
                constraint: Some(constraint.clone()),
                ..About::default()
            },
            Self::Conflict { .. } | Self::Duplicate { .. } | Self::Unknown { .. } | Self::Metastore(_) => {
                About::default()
            }
        }
    }
}

/// What a commit made of provisional ids.
pub type Resolved = BTreeMap<ObjectId, ObjectId>;

impl Metastore {
    /// Makes a transaction durable and visible, or changes nothing. Returns the new head and the final ids of objects
    /// it created.
    pub async fn commit(&self, commit: Commit) -> Result<(Arc<CatalogState>, Resolved), CommitError> {
        let mut tx = self.db.begin().await?;
        let head = self.head();
        let own = Arc::clone(&commit.own_sequences);
        let plan = Prepared::new(&head, commit, &self.recent())?;
        let marker = uuid::Uuid::now_v7().to_string();
        plan.write(
            &mut tx,
            &head,
            &marker,
            |id| {
                if id.is_provisional() { own.last(id) } else { self.sequences.last(id) }
            },
        )
        .await?;
        if let Err(error) = tx.commit().await
            && !has_committed(&mut tx, &marker).await?
        {
            return Err(CommitError::Metastore(error));
        }
        for (provisional, id) in &plan.ids {
            if let Some(last) = own.last(*provisional) {
                self.sequences.set(*id, Some(last));
            }
        }
        let mut recent = self.recent();
        for (index, claims) in plan.tables.iter().flat_map(|table| &table.claims) {
            let index = plan.ids.get(index).copied().unwrap_or(*index);
            recent.add(plan.next.snapshot, index, claims);
        }
        drop(recent);
        let head = self.publish(plan.next);
        // Nobody else began before the new head was there.
        drop(tx);
        Ok((head, plan.ids))
    }
}

/// After a COMMIT that failed: whether it took place nevertheless.
async fn has_committed(tx: &mut Tx<'_>, marker: &str) -> Result<bool, CommitError> {
    let sql = "SELECT count(*) FROM ducklake_snapshot_changes WHERE commit_extra_info = $1";
    let look = async {
        tx.roll_back().await?;
        let rows = tx.query(sql, vec![marker.into()]).await?;
        rows.first().map_or(Ok(false), |row| Ok(row.int(0)? > 0))
    };
    look.await.map_err(|source| CommitError::Unknown { source })
}

/// A commit that was checked and whose ids are final.
struct Prepared {
    next: CatalogState,
    ids: Resolved,
    changes: Vec<Change>,
    tables: Vec<TableCommit>,
    sequences: Vec<(ObjectId, ObjectId)>,
    author: String,
}

impl Prepared {
    fn new(head: &CatalogState, commit: Commit, recent: &RecentClaims) -> Result<Self, CommitError> {
        let snapshot = SnapshotId(head.snapshot.0 + 1);
        // Only the last change of an object counts; one that was created and dropped again leaves no trace.
        let mut latest: BTreeMap<ObjectId, Change> = BTreeMap::new();
        for change in commit.changes {
            latest.insert(change.id(), change);
        }
        latest.retain(|id, change| !(id.is_provisional() && matches!(change, Change::Delete(_))));

        let mut ids = Resolved::new();
        let mut next_catalog_id = head.next_catalog_id;
        // Provisional ids count downwards: the oldest object gets the lowest id.
        let mut new: BTreeSet<ObjectId> = latest.keys().copied().collect();
        for change in latest.values() {
            if let Change::Put(_, body) = change {
                new.extend(body.parts());
            }
        }
        for id in new.into_iter().rev().filter(|id| id.is_provisional()) {
            ids.insert(id, ObjectId(next_catalog_id));
            next_catalog_id += 1;
        }
        let resolve = |id: ObjectId| ids.get(&id).copied().unwrap_or(id);
        let mut changes: Vec<Change> = latest
            .into_values()
            .map(|change| match change {
                Change::Put(id, mut body) => {
                    body.map_ids(&resolve);
                    Change::Put(resolve(id), body)
                }
                Change::Delete(id) => Change::Delete(id),
            })
            .collect();
        changes.sort_by_key(Change::id);
        let created = |id: ObjectId| id.0 >= head.next_catalog_id;

        for change in changes.iter().filter(|change| !created(change.id())) {
            let unchanged = match (head.entry(change.id()), commit.base.entry(change.id())) {
                (Some(now), Some(then)) => now.version == then.version,
                _ => false,
            };
            if !unchanged {
                return Err(conflict(
                    "An object that the transaction changed was changed or dropped at the same time.",
                ));
            }
        }
        check_definitions(head, &commit.base, &changes)?;
        let mut next = head.clone().with(snapshot, changes.iter().cloned());
        check_names(head, &next, &changes)?;
        check_parents(&next, &changes)?;

        if commit.relied_on.iter().any(|id| head.data(*id).version != commit.base.data(*id).version) {
            return Err(conflict("A table that the transaction altered was written to at the same time."));
        }
        let mut next_file_id = head.next_file_id;
        let mut tables = Vec::new();
        let mut data = Vec::new();
        for mut table in commit.tables {
            table.table = resolve(table.table);
            let Some(relation) = next.relation(table.table) else {
                if changes.contains(&Change::Delete(table.table)) || table.table.is_provisional() {
                    continue; // written to and then dropped by the same transaction
                }
                return Err(conflict("A table that the transaction wrote to was dropped at the same time."));
            };
            let changed_here = changes.iter().any(|change| change.id() == table.table);
            let (now, then) = (head.data(table.table), commit.base.data(table.table));
            let holds = |then: &Relation| {
                then.columns == relation.columns
                    && then.constraints == relation.constraints
                    && then.indexes == relation.indexes
            };
            if !changed_here && !commit.base.relation(table.table).is_some_and(holds) {
                return Err(conflict("A table that the transaction wrote to was altered at the same time."));
            }
            if now.version != then.version {
                if table.truncated {
                    return Err(conflict("A table that the transaction truncated was written to at the same time."));
                }
                for (index, claims) in &table.claims {
                    let verdict = recent.verdict(commit.base.snapshot, *index, claims);
                    check_keys(&next, relation, *index, claims, verdict)?;
                }
            }
            let files = merged(&now, &then, &mut table, &mut next_file_id)?;
            data.push((table.table, Some(Arc::new(TableData { version: Some(snapshot), files }))));
            tables.push(table);
        }
        data.extend(changes.iter().filter_map(|change| match change {
            Change::Delete(id) => Some((*id, None)),
            Change::Put(..) => None,
        }));
        next = next.with_data(data);
        next.snapshot = snapshot;
        next.next_catalog_id = next_catalog_id;
        next.next_file_id = next_file_id;
        if !changes.is_empty() {
            next.schema_version += 1;
        }
        let sequences =
            commit.sequences.into_iter().map(|id| (id, resolve(id))).filter(|(_, id)| !id.is_provisional()).collect();
        Ok(Self { next, ids, changes, tables, sequences, author: commit.author })
    }

    async fn write(
        &self,
        tx: &mut Tx<'_>,
        head: &CatalogState,
        marker: &str,
        last_value: impl Fn(ObjectId) -> Option<i64>,
    ) -> Result<(), MetastoreError> {
        let snapshot = self.next.snapshot;
        let mut tokens: Vec<String> = Vec::new();
        let mut objects = Vec::new();
        for change in &self.changes {
            let old = head.entry(change.id());
            if old.is_some() {
                let sql = "UPDATE boathouse_object SET end_snapshot = $1 WHERE object_id = $2 AND end_snapshot IS NULL";
                tx.execute(sql, vec![snapshot.0.into(), change.id().0.into()]).await?;
            }
            match change {
                Change::Put(id, body) => {
                    objects.push(object_row(*id, snapshot, body)?);
                    tokens
                        .extend(put_ducklake(tx, &self.next, snapshot, *id, old.map(|entry| &entry.body), body).await?);
                }
                Change::Delete(id) => {
                    if let Some(entry) = old {
                        tokens.extend(end_ducklake(tx, snapshot, *id, &entry.body).await?);
                    }
                }
            }
        }
        tx.insert("boathouse_object", &["object_id", "kind", "begin_snapshot", "body"], objects).await?;
        for table in &self.tables {
            let mut done = Vec::new();
            self.write_data(tx, head, table, &mut done).await?;
            if table.compacted && !done.is_empty() {
                done = vec![format!("compacted_table:{}", table.table)];
            }
            tokens.extend(done);
        }
        for (drawn, id) in &self.sequences {
            if let Some(last) = last_value(*drawn) {
                let sql = "INSERT INTO boathouse_sequence (sequence_id, last_value) VALUES ($1, $2)
                           ON CONFLICT (sequence_id) DO UPDATE SET last_value = excluded.last_value";
                tx.execute(sql, vec![id.0.into(), last.into()]).await?;
            }
        }
        self.write_schema_versions(tx).await?;
        tx.insert(
            "ducklake_snapshot",
            &["snapshot_id", "snapshot_time", "schema_version", "next_catalog_id", "next_file_id"],
            vec![vec![
                snapshot.0.into(),
                now_text().into(),
                self.next.schema_version.into(),
                self.next.next_catalog_id.into(),
                self.next.next_file_id.into(),
            ]],
        )
        .await?;
        tx.insert(
            "ducklake_snapshot_changes",
            &["snapshot_id", "changes_made", "author", "commit_extra_info"],
            vec![vec![snapshot.0.into(), tokens.join(",").into(), self.author.as_str().into(), marker.into()]],
        )
        .await
    }

    async fn write_data(
        &self,
        tx: &mut Tx<'_>,
        head: &CatalogState,
        table: &TableCommit,
        tokens: &mut Vec<String>,
    ) -> Result<(), MetastoreError> {
        let (snapshot, id) = (self.next.snapshot.0, table.table.0);
        if table.truncated {
            for files in ["ducklake_data_file", "ducklake_delete_file"] {
                let sql = format!("UPDATE {files} SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL");
                tx.execute(&sql, vec![snapshot.into(), id.into()]).await?;
            }
            tokens.push(format!("deleted_from_table:{id}"));
        }
        self.write_deletes(tx, head, table, tokens).await?;
        let rows =
            tx.query("SELECT next_row_id FROM ducklake_table_stats WHERE table_id = $1", vec![id.into()]).await?;
        let mut next_row_id = rows.first().map_or(Ok(0), |row| row.int(0))?;
        let mut files = Vec::new();
        let mut stats = Vec::new();
        for file in &table.added {
            let file_id = file.id.map_or(Value::Null, |file| file.0.into());
            let count = signed(file.record_count);
            files.push(vec![
                file_id.clone(),
                id.into(),
                snapshot.into(),
                file.path.as_str().into(),
                true.into(),
                "parquet".into(),
                count.into(),
                signed(file.size_bytes).into(),
                file.footer_bytes.map(signed).into(),
                next_row_id.into(),
            ]);
            next_row_id += count;
            for column in &file.columns {
                stats.push(vec![
                    file_id.clone(),
                    id.into(),
                    i64::from(column.column).into(),
                    column.size_bytes.into(),
                    column.value_count.into(),
                    column.null_count.into(),
                    column.min.clone().into(),
                    column.max.clone().into(),
                    column.contains_nan.into(),
                ]);
            }
        }
        if !files.is_empty() {
            tokens.push(format!("inserted_into_table:{id}"));
        }
        tx.insert(
            "ducklake_data_file",
            &[
                "data_file_id",
                "table_id",
                "begin_snapshot",
                "path",
                "path_is_relative",
                "file_format",
                "record_count",
                "file_size_bytes",
                "footer_size",
                "row_id_start",
            ],
            files,
        )
        .await?;
        tx.insert(
            "ducklake_file_column_stats",
            &[
                "data_file_id",
                "table_id",
                "column_id",
                "column_size_bytes",
                "value_count",
                "null_count",
                "min_value",
                "max_value",
                "contains_nan",
            ],
            stats,
        )
        .await?;
        let live = self.next.data(table.table);
        let sql = "UPDATE ducklake_table_stats SET record_count = $1, next_row_id = $2, file_size_bytes = $3 WHERE table_id = $4";
        let values =
            vec![signed(live.row_count()).into(), next_row_id.into(), signed(live.size_bytes()).into(), id.into()];
        tx.execute(sql, values).await?;
        Ok(())
    }

    /// Ends files without rows, and writes down the deleted rows of others.
    async fn write_deletes(
        &self,
        tx: &mut Tx<'_>,
        head: &CatalogState,
        table: &TableCommit,
        tokens: &mut Vec<String>,
    ) -> Result<(), MetastoreError> {
        let (snapshot, id) = (self.next.snapshot.0, table.table.0);
        let (before, after) = (head.data(table.table), self.next.data(table.table));
        let mut inlined = Vec::new();
        let mut delete_files = Vec::new();
        let mut deleted = false;
        let committed = table.deleted.iter().map(|(file, rows)| (*file, Some(rows)));
        let added = table.added.iter().filter(|file| !file.deletes.is_empty());
        for (file_id, rows) in committed.chain(added.filter_map(|file| Some((file.id?, None)))) {
            let file = after.files.iter().find(|file| file.id == Some(file_id));
            let was = before.files.iter().find(|file| file.id == Some(file_id));
            if file.is_none() || file.map(|file| &file.deletes.file) != was.map(|file| &file.deletes.file) {
                let end = "UPDATE ducklake_delete_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL";
                tx.execute(end, vec![snapshot.into(), file_id.0.into()]).await?;
            }
            let Some(file) = file else {
                let end =
                    "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL";
                tx.execute(end, vec![snapshot.into(), file_id.0.into()]).await?;
                deleted = true;
                continue;
            };
            let new = rows.map_or(&file.deletes.inlined, |rows| &rows.positions);
            match &file.deletes.file {
                Some(written) if was.is_none_or(|was| was.deletes.file.as_ref() != Some(written)) => {
                    deleted = true;
                    delete_files.push(vec![
                        written.id.map_or(Value::Null, |id| id.0.into()),
                        id.into(),
                        snapshot.into(),
                        file_id.0.into(),
                        written.path.as_str().into(),
                        true.into(),
                        "parquet".into(),
                        signed(written.count).into(),
                        signed(written.size_bytes).into(),
                    ]);
                }
                _ => inlined.extend(new.iter().map(|row| vec![file_id.0.into(), signed(row).into(), snapshot.into()])),
            }
        }
        let columns = [
            "delete_file_id",
            "table_id",
            "begin_snapshot",
            "data_file_id",
            "path",
            "path_is_relative",
            "format",
            "delete_count",
            "file_size_bytes",
        ];
        tx.insert("ducklake_delete_file", &columns, delete_files).await?;
        if !inlined.is_empty() {
            let name = format!("{INLINED_DELETES}{id}");
            let columns = "file_id BIGINT, row_id BIGINT, begin_snapshot BIGINT";
            tx.execute(&format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"), vec![]).await?;
            tx.insert(&name, &["file_id", "row_id", "begin_snapshot"], inlined).await?;
            tokens.push(format!("inlined_delete:{id}"));
        }
        if deleted {
            tokens.push(format!("deleted_from_table:{id}"));
        }
        Ok(())
    }

    async fn write_schema_versions(&self, tx: &mut Tx<'_>) -> Result<(), MetastoreError> {
        let rows = self.changes.iter().filter_map(|change| match change {
            Change::Put(id, body) => match body.as_ref() {
                Body::Relation(relation) if matches!(relation.storage, RelationKind::Table(_)) => {
                    Some(vec![self.next.snapshot.0.into(), self.next.schema_version.into(), id.0.into()])
                }
                _ => None,
            },
            Change::Delete(_) => None,
        });
        tx.insert("ducklake_schema_versions", &["begin_snapshot", "schema_version", "table_id"], rows.collect()).await
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
    for (id, rows) in &mut table.deleted {
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
        Verdict::Taken => Err(conflict("A row with the same key was committed at the same time.")),
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

fn conflict(detail: &str) -> CommitError {
    CommitError::Conflict { detail: detail.to_owned() }
}

/// A new or renamed object may not take a name that somebody else took since.
fn check_names(head: &CatalogState, next: &CatalogState, changes: &[Change]) -> Result<(), CommitError> {
    for change in changes {
        let Change::Put(id, body) = change else { continue };
        let Some(key) = name_key(body) else { continue };
        let NameKey(namespace, name) = &key;
        let taken_before = head.find(*namespace, name).is_some_and(|other| other != *id && next.entry(other).is_some());
        if taken_before || next.find(*namespace, name) != Some(*id) {
            let (kind, code) = match namespace {
                Namespace::Schema => ("schema", SqlState::DUPLICATE_SCHEMA),
                Namespace::Relation(_) => ("relation", SqlState::DUPLICATE_TABLE),
                Namespace::Role => ("role", SqlState::DUPLICATE_OBJECT),
                Namespace::RowPolicy(_) => ("policy", SqlState::DUPLICATE_OBJECT),
                Namespace::MaskingPolicy => ("masking policy", SqlState::DUPLICATE_OBJECT),
                Namespace::Credential => ("storage credential", SqlState::DUPLICATE_OBJECT),
            };
            return Err(CommitError::Duplicate { kind, name: name.clone(), code });
        }
    }
    Ok(())
}

/// What refers to columns of a table was checked against the table that the transaction read, and a table that is altered
/// against what referred to it then: neither may have changed since.
fn check_definitions(head: &CatalogState, base: &CatalogState, changes: &[Change]) -> Result<(), CommitError> {
    let version = |state: &CatalogState, id: ObjectId| state.entry(id).map(|entry| entry.version);
    let changed_since = |id: ObjectId| version(head, id) != version(base, id);
    for change in changes {
        let Change::Put(id, body) = change else { continue };
        let table = match body.as_ref() {
            Body::RowPolicy(policy) => Some(policy.relation),
            Body::MaskAttachment(mask) => Some(mask.relation),
            _ => None,
        };
        if table.is_some_and(|table| head.entry(table).is_some() && changed_since(table)) {
            return Err(conflict("A table was altered while a policy on it was made."));
        }
        let old = head.relation(*id);
        let altered = matches!((old, body.as_ref()), (Some(old), Body::Relation(new)) if old.columns != new.columns || old.name != new.name);
        let refers = |body: &Body| match body {
            Body::RowPolicy(_) => true,
            Body::MaskAttachment(mask) => mask.relation == *id,
            Body::Relation(relation) => matches!(relation.storage, RelationKind::View(_)),
            _ => false,
        };
        if altered && head.entries().any(|entry| refers(&entry.body) && changed_since(entry.id)) {
            return Err(conflict("A view or policy was made while a table was altered."));
        }
    }
    Ok(())
}

/// Nothing may refer to an object that is gone: neither what this transaction made nor what others made since.
fn check_parents(next: &CatalogState, changes: &[Change]) -> Result<(), CommitError> {
    let deletes = changes.iter().any(|change| matches!(change, Change::Delete(_)));
    let new_bodies = changes.iter().filter_map(|change| match change {
        Change::Put(_, body) => Some(body.as_ref()),
        Change::Delete(_) => None,
    });
    let all_bodies = next.entries().map(|entry| &entry.body).filter(|_| deletes);
    for body in new_bodies.chain(all_bodies) {
        if body.parents().into_iter().any(|parent| next.entry(parent).is_none()) {
            return Err(conflict(
                "An object that the transaction depends on was dropped at the same time, or the reverse.",
            ));
        }
    }
    Ok(())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

//! The commit protocol: lock first, take ids from the snapshot row, check for conflicts against the head, write catalog,
//! data and grants in one database transaction, publish.
//!
//! Conflicts are found by comparing with the head itself, object by object, not by parsing what others wrote about
//! their changes: an object that the transaction changes must still have the version it read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::db::{Tx, Value};
use super::rows::{end_ducklake, now_text, object_row, put_ducklake};
use super::sequence::Sequences;
use super::{Metastore, MetastoreError};
use crate::catalog::{Body, CatalogState, Change, DataFile, NameKey, Namespace, RelationKind, TableData, name_key};
use crate::error::{Report, SqlState};
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
}

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
            Self::Unknown { .. } => SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
            Self::Metastore(error) => error.sqlstate(),
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Conflict { detail } => Some(detail.clone()),
            Self::Duplicate { .. } | Self::Unknown { .. } | Self::Metastore(_) => None,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { .. } => Some("Run the transaction again.".to_owned()),
            Self::Unknown { .. } => Some("Look whether its changes are there before running it again.".to_owned()),
            Self::Duplicate { .. } | Self::Metastore(_) => None,
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
        let plan = Prepared::new(&head, commit)?;
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
            && !self.has_committed(&marker).await?
        {
            return Err(CommitError::Metastore(error));
        }
        for (provisional, id) in &plan.ids {
            if let Some(last) = own.last(*provisional) {
                self.sequences.set(*id, Some(last));
            }
        }
        Ok((self.publish(plan.next), plan.ids))
    }

    /// After a COMMIT that failed: whether it took place nevertheless.
    async fn has_committed(&self, marker: &str) -> Result<bool, CommitError> {
        let look = async {
            let mut tx = self.db.begin().await?;
            let sql = "SELECT count(*) FROM ducklake_snapshot_changes WHERE commit_extra_info = $1";
            let rows = tx.query(sql, vec![marker.into()]).await?;
            tx.commit().await?;
            rows.first().map_or(Ok(false), |row| Ok(row.int(0)? > 0))
        };
        look.await.map_err(|source| CommitError::Unknown { source })
    }
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
    fn new(head: &CatalogState, commit: Commit) -> Result<Self, CommitError> {
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
        for id in latest.keys().rev().filter(|id| id.is_provisional()) {
            ids.insert(*id, ObjectId(next_catalog_id));
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
        let mut next = head.clone().with(snapshot, changes.iter().cloned());
        check_names(head, &next, &changes)?;
        check_parents(&next, &changes)?;

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
            if !changed_here && commit.base.relation(table.table).is_none_or(|then| then.columns != relation.columns) {
                return Err(conflict("A table that the transaction wrote to was altered at the same time."));
            }
            let now = head.data(table.table);
            if table.truncated && now.version != commit.base.data(table.table).version {
                return Err(conflict("A table that the transaction truncated was written to at the same time."));
            }
            let mut files = if table.truncated { Vec::new() } else { now.files.clone() };
            for file in &mut table.added {
                file.id = Some(FileId(next_file_id));
                next_file_id += 1;
                files.push(Arc::new(file.clone()));
            }
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
            self.write_data(tx, table, &mut tokens).await?;
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
        table: &TableCommit,
        tokens: &mut Vec<String>,
    ) -> Result<(), MetastoreError> {
        let (snapshot, id) = (self.next.snapshot.0, table.table.0);
        if table.truncated {
            let sql = "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
            tx.execute(sql, vec![snapshot.into(), id.into()]).await?;
            tokens.push(format!("deleted_from_table:{id}"));
        }
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

//! The commit protocol: lock first, take ids from the snapshot row, check for conflicts against the head, write catalog,
//! data and grants in one database transaction, publish.
//!
//! Conflicts are found by comparing with the head itself, object by object, not by parsing what others wrote about
//! their changes: an object that the transaction changes must still have the version it read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::poll;
use roaring::RoaringTreemap;
use tokio::sync::{MutexGuard, OwnedMutexGuard, oneshot};
use tokio::task::yield_now;

use super::claims::tell;
use super::db::{Script, Turn, Value};
use super::inline::{self, InlinedInsert};
use super::keys::{self, NewKey, sealed_text};
use super::merge::{Merge, redefines};
use super::rows::{OBJECT_COLUMNS, end_ducklake, now_text, object_row, put_ducklake};
use super::sequence::Sequences;
use super::{Metastore, MetastoreError, Recent, Store, load};
use crate::catalog::{
    Body, CatalogState, Change, Claims, DataFile, DeleteFile, Entry, Moves, NameKey, Namespace, Relation, RelationKind,
    TableData, name_key, tags_stand, types_stand,
};
use crate::error::{About, Report, SqlState};
use crate::name::{FileId, ObjectId, SnapshotId};
use crate::secret::Keyring;

/// All a transaction did.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The catalog it read.
    pub base: Arc<CatalogState>,
    /// In the order in which they were made; several for one object are allowed, the last one counts.
    pub changes: Vec<Change>,
    /// The tables whose rows it changed, each of them once.
    pub tables: Vec<TableCommit>,
    /// Tables whose rows must be those that it read.
    pub relied_on: Vec<ObjectId>,
    /// What it read when it first gave a row a key: nobody may have taken one of its keys since.
    pub claimed_at: SnapshotId,
    /// Sequences it drew values from.
    pub sequences: Vec<ObjectId>,
    /// Values of sequences that it created, which go by provisional ids.
    pub own_sequences: Arc<Sequences>,
    /// Sequences whose values are among its own although it did not create them.
    pub restarted: BTreeSet<ObjectId>,
    /// A data key that it puts in the place of the others.
    pub key: Option<Arc<NewKey>>,
    /// Name of the role, for `ducklake_snapshot_changes`.
    pub author: String,
}

/// What a transaction did to one table's data.
#[derive(Clone, Debug)]
pub struct TableCommit {
    /// Provisional if the transaction created the table.
    pub table: ObjectId,
    /// New files, already written; they have no ids yet.
    pub added: Vec<DataFile>,
    /// New rows that are too few for a file.
    pub inlined: Option<Arc<InlinedInsert>>,
    /// Whether all rows that were in no file get other columns; then nobody else may have added one.
    pub moves_inlined: bool,
    /// Whether the rows that were there before are gone.
    pub truncated: bool,
    /// Rows of committed files that are gone; empty if it is truncated.
    pub deleted: BTreeMap<FileId, DeletedRows>,
    /// Keys of its new rows, by unique index.
    pub claims: BTreeMap<ObjectId, Claims>,
    /// Where `added` has the rows that are `deleted`, if it only writes them again; then the table's rows stay the same.
    pub moves: Option<Arc<Moves>>,
}

impl TableCommit {
    /// Whether a key that was taken may be free after it, be it one of its own.
    fn may_free_keys(&self) -> bool {
        let deletes = !self.deleted.is_empty() && self.moves.is_none();
        self.truncated || deletes || self.claims.values().any(|claims| claims.arbitrated)
    }
}

/// Rows of one committed data file that a transaction deleted.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, thiserror::Error)]
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
        source: Arc<MetastoreError>,
    },
    /// Nothing was committed, because the metadata database failed; with that error's SQLSTATE.
    #[error("could not commit")]
    Metastore(#[source] Arc<MetastoreError>),
}

impl From<MetastoreError> for CommitError {
    fn from(error: MetastoreError) -> Self {
        Self::Metastore(Arc::new(error))
    }
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

/// A transaction that waits to be committed, and where to tell what became of it.
#[derive(Debug)]
pub(super) struct Request {
    commit: Commit,
    reply: oneshot::Sender<Result<(Arc<CatalogState>, Resolved), CommitError>>,
}

/// Commits that become durable together.
const TOGETHER_MAX: usize = 64;

impl Metastore {
    /// Makes a transaction durable and visible, or changes nothing. Returns the new head and the final ids of objects
    /// it created. A caller that does not wait for the end does not stop it.
    pub async fn commit(&self, commit: Commit) -> Result<(Arc<CatalogState>, Resolved), CommitError> {
        let (reply, done) = oneshot::channel();
        self.store.waiting().push_back(Request { commit, reply });
        if let Some(turn) = Committing::begin(&self.store) {
            let mut work = Box::pin(turn.commit_all());
            // Who is alone need not wake another task for it. What must wait goes on without the caller, who may be cancelled.
            if !self.store.alone.load(Ordering::Relaxed) || poll!(work.as_mut()).is_pending() {
                tokio::spawn(work);
            }
        }
        let lost = |_dropped| {
            let source = MetastoreError::Corrupt("a commit came to no end".to_owned());
            CommitError::Unknown { source: Arc::new(source) }
        };
        done.await.map_err(lost)?
    }
}

/// The right to commit what waits, which one task has at a time.
struct Committing {
    store: Arc<Store>,
    _only: OwnedMutexGuard<()>,
}

impl Committing {
    /// `None`: somebody else has it, and will see what waits.
    fn begin(store: &Arc<Store>) -> Option<Self> {
        let only = Arc::clone(&store.committing).try_lock_owned().ok()?;
        Some(Self { store: Arc::clone(store), _only: only })
    }

    /// Commits one batch of transactions after the other, until none waits. Those of a batch become durable by one transaction
    /// of the database, each with a snapshot of its own.
    async fn commit_all(self) {
        let mut turn = self;
        loop {
            turn.commit_batches().await;
            let store = Arc::clone(&turn.store);
            drop(turn);
            // Who came since then found that somebody commits.
            if store.waiting().is_empty() {
                return;
            }
            let Some(again) = Self::begin(&store) else { return };
            turn = again;
        }
    }

    async fn commit_batches(&self) {
        loop {
            let batch: Vec<Request> = {
                let mut waiting = self.store.waiting();
                let count = waiting.len().min(TOGETHER_MAX);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let is_one = batch.len() == 1;
            self.store.commit(batch).await;
            let others = !self.store.waiting().is_empty();
            if self.store.alone.swap(is_one && !others, Ordering::Relaxed) && others {
                // The one whose task this is has its answer.
                yield_now().await;
            }
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody knows what took place. Who waits is told so.
            self.store.unsure.store(true, Ordering::Release);
            self.store.waiting().clear();
        }
    }
}

/// A transaction of a batch that is on its way, and what it takes to do it again alone.
struct Sent {
    plan: Prepared,
    own: Arc<Sequences>,
    restarted: BTreeSet<ObjectId>,
    reply: oneshot::Sender<Result<(Arc<CatalogState>, Resolved), CommitError>>,
    again: Option<Commit>,
}

impl Store {
    /// Whoever fails in the database does not fail others: after a failure each is tried alone.
    async fn commit(&self, batch: Vec<Request>) {
        for request in self.commit_together(batch).await {
            let rest = self.commit_together(vec![request]).await;
            debug_assert!(rest.is_empty(), "one alone is not tried again");
        }
    }

    /// The right to commit, on what is the head by now.
    async fn turn(&self) -> Result<(Turn<'_>, MutexGuard<'_, ()>), MetastoreError> {
        let (turn, last) = self.db.turn(load::LAST_SNAPSHOT).await?;
        let heads = self.new_heads.lock().await;
        let others = last.is_some_and(|last| SnapshotId(last) != self.head().snapshot);
        if (others || self.unsure.load(Ordering::Acquire))
            && let Err(error) = self.catch_up(&heads).await
        {
            turn.release().await;
            return Err(error);
        }
        self.unsure.store(false, Ordering::Release);
        Ok((turn, heads))
    }

    /// Gives back those that are to be tried alone.
    async fn commit_together(&self, batch: Vec<Request>) -> Vec<Request> {
        let several = batch.len() > 1;
        let (mut turn, heads) = match self.turn().await {
            Ok(turn) => turn,
            Err(error) => {
                let error = CommitError::from(error);
                for request in batch {
                    drop(request.reply.send(Err(error.clone())));
                }
                return Vec::new();
            }
        };
        let before = self.head();
        let mut keyring = self.keys.keyring();
        let mut alone = Vec::new();
        let mut head = Arc::clone(&before);
        let mut script = self.db.script();
        let mut prepared = Vec::with_capacity(batch.len());
        let marker = uuid::Uuid::now_v7().to_string();
        for Request { commit, reply } in batch {
            // It seals again what is there, so nothing may be on its way.
            if several && commit.key.is_some() {
                alone.push(Request { commit, reply });
                continue;
            }
            let own = Arc::clone(&commit.own_sequences);
            let place = script.len();
            let again = several.then(|| commit.clone());
            let restarted = commit.restarted.clone();
            let sealing = self.sealing(&mut turn, &mut script, &commit).await;
            let plan = sealing.and_then(|sealing| {
                keyring = sealing;
                Prepared::new(&head, commit, &self.recent())
            });
            let is_own = |id: &ObjectId| id.is_provisional() || restarted.contains(id);
            let last = |id: ObjectId| if is_own(&id) { own.known(id) } else { self.sequences.known(id) };
            let plan = plan.and_then(|mut plan| {
                // Where sequences count in the database, it knows how far they have come.
                plan.sequences.retain(|(drawn, _)| is_own(drawn) || !self.db.is_shared());
                plan.write(&mut script, &keyring, &head, &marker, last)?;
                if self.db.is_shared() {
                    tell(&mut script, plan.next.snapshot, plan.claims());
                }
                Ok(plan)
            });
            match plan {
                Ok(plan) => {
                    head = Arc::new(plan.next.clone());
                    // The next of the batch must not have what this one has.
                    self.remember(&plan);
                    prepared.push(Sent { plan, own, restarted, reply, again });
                }
                Err(error) => {
                    script.truncate(place);
                    drop(reply.send(Err(error)));
                }
            }
        }
        if prepared.is_empty() {
            turn.release().await;
            return alone;
        }
        match self.make_durable(turn, script, &marker).await {
            Ok(()) => {
                for Sent { plan, own, restarted, .. } in &prepared {
                    for id in restarted {
                        self.sequences.restart(*id, own.known(*id));
                    }
                    for (provisional, id) in &plan.ids {
                        if let Some(last) = own.known(*provisional) {
                            self.sequences.restart(*id, Some(last));
                        }
                    }
                }
                if !Arc::ptr_eq(&keyring, &self.keys.keyring()) {
                    self.keys.learn(&keyring);
                }
                self.head.send_replace(Arc::clone(&head));
                drop(heads);
                for Sent { plan, reply, .. } in prepared {
                    drop(reply.send(Ok((Arc::clone(&head), plan.ids))));
                }
                alone
            }
            Err(error) => {
                self.recent().forget_after(before.snapshot);
                let unknown = matches!(error, CommitError::Unknown { .. });
                self.unsure.fetch_or(unknown, Ordering::AcqRel);
                let mut rest = alone;
                for Sent { reply, again, .. } in prepared {
                    match again.filter(|_| !unknown) {
                        Some(commit) => rest.push(Request { commit, reply }),
                        None => drop(reply.send(Err(error.clone()))),
                    }
                }
                rest
            }
        }
    }

    /// What a commit's secrets are sealed with. If it brings a data key, all others are sealed anew; `40001` if another server
    /// was faster.
    async fn sealing(
        &self,
        turn: &mut Turn<'_>,
        script: &mut Script,
        commit: &Commit,
    ) -> Result<Arc<Keyring>, CommitError> {
        let has_secrets = |change: &Change| matches!(change, Change::Put(_, body) if body.without_secrets().is_some());
        if self.db.is_shared() && (commit.key.is_some() || commit.changes.iter().any(has_secrets)) {
            // Another server may have rotated keys, which changes no object.
            self.keys.refresh(&self.db).await?;
        }
        let now = self.keys.keyring();
        let Some(key) = &commit.key else { return Ok(now) };
        if key.wrapped.number != now.next() {
            return Err(conflict("Keys were rotated at the same time."));
        }
        let rows = turn.query(&keys::secrets(), vec![]).await?;
        keys::replace(script, &key.wrapped, &rows, &now, &key.keyring)?;
        Ok(Arc::new(now.merged(&key.keyring)))
    }

    fn remember(&self, plan: &Prepared) {
        let mut recent = self.recent();
        for table in plan.tables.iter().filter(|table| table.may_free_keys()) {
            recent.claims.delete(plan.next.snapshot, table.table);
        }
        for (index, claims) in plan.claims() {
            recent.claims.add(plan.next.snapshot, index, claims);
        }
        for table in &plan.tables {
            recent.moves.add(plan.next.snapshot, table);
        }
    }

    /// Runs a script that leaves the marker. Whether one that failed took place nevertheless is found out.
    async fn make_durable(&self, turn: Turn<'_>, script: Script, marker: &str) -> Result<(), CommitError> {
        let Err(error) = turn.run(script).await else { return Ok(()) };
        let find = async || {
            let (mut turn, _) = self.db.turn(load::LAST_SNAPSHOT).await?;
            let sql = "SELECT count(*) FROM ducklake_snapshot_changes WHERE commit_extra_info = $1";
            let found = turn.query(sql, vec![marker.into()]).await;
            turn.release().await;
            found?.first().map_or(Ok(0), |row| row.int(0))
        };
        match find().await {
            Ok(0) => Err(error.into()),
            Ok(_) => Ok(()),
            Err(source) => Err(CommitError::Unknown { source: Arc::new(source) }),
        }
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
    /// Keys that its rows got, by index.
    fn claims(&self) -> impl Iterator<Item = (ObjectId, &Claims)> {
        let all = self.tables.iter().flat_map(|table| &table.claims);
        all.map(|(index, claims)| (self.ids.get(index).copied().unwrap_or(*index), claims))
    }

    fn new(head: &CatalogState, commit: Commit, recent: &Recent) -> Result<Self, CommitError> {
        let snapshot = SnapshotId(head.snapshot.0 + 1);
        let (ids, changes) = resolved(head, commit.changes);
        let next_catalog_id = head.next_catalog_id + i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let resolve = |id: ObjectId| ids.get(&id).copied().unwrap_or(id);
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
            for partition in table.added.iter_mut().filter_map(|file| file.partition.as_mut()) {
                Arc::make_mut(partition).of = resolve(partition.of);
            }
            let scope = Merge { head, base: &commit.base, claimed_at: commit.claimed_at, changes: &changes, recent };
            let after = scope.table(&next, relation, &mut table, &mut next_file_id)?;
            data.push((table.table, Some(Arc::new(after))));
            tables.push(table);
        }
        for change in &changes {
            let id = change.id();
            if *change == Change::Delete(id) {
                data.push((id, None));
            } else if redefines(change, head, id) && !tables.iter().any(|table| table.table == id) {
                let now = head.data(id);
                if !now.inlined.is_empty() {
                    return Err(conflict("A table that the transaction altered was written to at the same time."));
                }
                let after = TableData { inlined_version: None, ..now.as_ref().clone() };
                data.push((id, Some(Arc::new(after))));
            }
        }
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

    fn write(
        &self,
        script: &mut Script,
        keyring: &Keyring,
        head: &CatalogState,
        marker: &str,
        last_value: impl Fn(ObjectId) -> Option<i64>,
    ) -> Result<(), MetastoreError> {
        let snapshot = self.next.snapshot;
        let mut tokens: Vec<String> = Vec::new();
        let mut objects = Vec::new();
        for change in &self.changes {
            let old = head.entry(change.id());
            if let Some(Entry { id, body, .. }) = old.map(Arc::as_ref) {
                if let Some(bare) = body.without_secrets() {
                    let sql = "UPDATE boathouse_object SET body = $1 WHERE object_id = $2 AND end_snapshot IS NULL";
                    script.execute(sql, vec![sealed_text(bare, *id, keyring)?.into(), id.0.into()]);
                }
                let sql = "UPDATE boathouse_object SET end_snapshot = $1 WHERE object_id = $2 AND end_snapshot IS NULL";
                script.execute(sql, vec![snapshot.0.into(), id.0.into()]);
            }
            match change {
                Change::Put(id, body) => {
                    objects.push(object_row(*id, snapshot, body, keyring)?);
                    tokens.extend(put_ducklake(script, &self.next, snapshot, *id, old.map(|entry| &entry.body), body));
                }
                Change::Delete(id) => {
                    if let Some(entry) = old {
                        tokens.extend(end_ducklake(script, snapshot, *id, &entry.body));
                    }
                    let data = head.data(*id);
                    if let Some(version) = data.inlined_version.filter(|_| !data.inlined.is_empty()) {
                        inline::end(script, &inline::table_name(*id, version), snapshot, None);
                    }
                }
            }
        }
        script.insert("boathouse_object", OBJECT_COLUMNS, objects);
        for table in &self.tables {
            let mut done = Vec::new();
            self.write_data(script, head, table, &mut done);
            if table.moves.is_some() && !done.is_empty() {
                done = vec![format!("compacted_table:{}", table.table)];
            }
            tokens.extend(done);
        }
        for (drawn, id) in &self.sequences {
            match last_value(*drawn) {
                Some(last) => {
                    let sql = "INSERT INTO boathouse_sequence (sequence_id, last_value) VALUES ($1, $2)
                               ON CONFLICT (sequence_id) DO UPDATE SET last_value = excluded.last_value";
                    script.execute(sql, vec![id.0.into(), last.into()]);
                }
                None => script.execute("DELETE FROM boathouse_sequence WHERE sequence_id = $1", vec![id.0.into()]),
            }
        }
        self.write_schema_versions(script);
        script.insert(
            "ducklake_snapshot",
            &["snapshot_id", "snapshot_time", "schema_version", "next_catalog_id", "next_file_id"],
            vec![vec![
                snapshot.0.into(),
                now_text().into(),
                self.next.schema_version.into(),
                self.next.next_catalog_id.into(),
                self.next.next_file_id.into(),
            ]],
        );
        script.insert(
            "ducklake_snapshot_changes",
            &["snapshot_id", "changes_made", "author", "commit_extra_info"],
            vec![vec![snapshot.0.into(), tokens.join(",").into(), self.author.as_str().into(), marker.into()]],
        );
        Ok(())
    }

    fn write_data(&self, script: &mut Script, head: &CatalogState, table: &TableCommit, tokens: &mut Vec<String>) {
        let (snapshot, id) = (self.next.snapshot.0, table.table.0);
        if table.truncated {
            for files in ["ducklake_data_file", "ducklake_delete_file"] {
                let sql = format!("UPDATE {files} SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL");
                script.execute(sql, vec![snapshot.into(), id.into()]);
            }
            tokens.push(format!("deleted_from_table:{id}"));
        }
        self.write_deletes(script, head, table, tokens);
        self.write_inlined(script, head, table, tokens);
        let mut next_row_id = signed(head.data(table.table).next_row_id);
        let mut files = Vec::new();
        let mut stats = Vec::new();
        let mut partitions = Vec::new();
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
                file.partition.as_ref().map(|partition| partition.of.0).into(),
            ]);
            next_row_id += count;
            let values = file.partition.iter().flat_map(|partition| partition.values.iter().enumerate());
            partitions.extend(values.map(|(index, value)| {
                vec![file_id.clone(), id.into(), i64::try_from(index).unwrap_or(i64::MAX).into(), value.clone().into()]
            }));
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
        script.insert(
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
                "partition_id",
            ],
            files,
        );
        let columns = ["data_file_id", "table_id", "partition_key_index", "partition_value"];
        script.insert("ducklake_file_partition_value", &columns, partitions);
        script.insert(
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
        );
        let live = self.next.data(table.table);
        let sql = "UPDATE ducklake_table_stats SET record_count = $1, next_row_id = $2, file_size_bytes = $3 WHERE table_id = $4";
        let values = [signed(live.row_count()), signed(live.next_row_id), signed(live.file_bytes()), id];
        script.execute(sql, values.map(Value::Int).into());
    }

    /// Ends files without rows, and writes down the deleted rows of others.
    fn write_deletes(&self, script: &mut Script, head: &CatalogState, table: &TableCommit, tokens: &mut Vec<String>) {
        let (snapshot, id) = (self.next.snapshot.0, table.table.0);
        let (before, after) = (head.data(table.table), self.next.data(table.table));
        let mut inlined = Vec::new();
        let mut delete_files = Vec::new();
        let mut deleted = false;
        let in_files = table.deleted.iter().filter(|(file, _)| **file != FileId::INLINED);
        let committed = in_files.map(|(file, rows)| (*file, Some(rows)));
        let added = table.added.iter().filter(|file| !file.deletes.is_empty());
        for (file_id, rows) in committed.chain(added.filter_map(|file| Some((file.id?, None)))) {
            let file = after.files.iter().find(|file| file.id == Some(file_id));
            let was = before.files.iter().find(|file| file.id == Some(file_id));
            if file.is_none() || file.map(|file| &file.deletes.file) != was.map(|file| &file.deletes.file) {
                let end = "UPDATE ducklake_delete_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL";
                script.execute(end, vec![snapshot.into(), file_id.0.into()]);
            }
            let Some(file) = file else {
                let end =
                    "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL";
                script.execute(end, vec![snapshot.into(), file_id.0.into()]);
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
                    if rows.is_some() {
                        continue;
                    }
                }
                _ => {}
            }
            inlined.extend(new.iter().map(|row| vec![file_id.0.into(), signed(row).into(), snapshot.into()]));
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
        script.insert("ducklake_delete_file", &columns, delete_files);
        if !inlined.is_empty() {
            let name = format!("{INLINED_DELETES}{id}");
            let columns = "file_id BIGINT, row_id BIGINT, begin_snapshot BIGINT";
            script.execute(format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"), vec![]);
            script.insert(&name, &["file_id", "row_id", "begin_snapshot"], inlined);
            tokens.push(format!("inlined_delete:{id}"));
        }
        if deleted {
            tokens.push(format!("deleted_from_table:{id}"));
        }
    }

    /// Rows in the metadata database that end, and new ones.
    fn write_inlined(&self, script: &mut Script, head: &CatalogState, table: &TableCommit, tokens: &mut Vec<String>) {
        let (id, snapshot) = (table.table, self.next.snapshot);
        let (before, after) = (head.data(id), self.next.data(id));
        if let Some(version) = before.inlined_version {
            let name = inline::table_name(id, version);
            if table.truncated && !before.inlined.is_empty() {
                inline::end(script, &name, snapshot, None);
            } else if let Some(gone) = table.deleted.get(&FileId::INLINED) {
                inline::end(script, &name, snapshot, Some(&gone.positions));
                tokens.push(format!("inlined_delete:{id}"));
            }
        }
        if let (Some(rows), Some(version)) = (&table.inlined, after.inlined_version)
            && let Some(relation) = self.next.relation(id)
        {
            if before.inlined_version != Some(version) {
                inline::create(script, id, version, &relation.columns);
            }
            let name = inline::table_name(id, version);
            let first = after.next_row_id.saturating_sub(rows.len());
            rows.write(script, &name, &relation.columns, snapshot, first);
            tokens.push(format!("inlined_insert:{id}"));
        }
    }

    fn write_schema_versions(&self, script: &mut Script) {
        let rows = self.changes.iter().filter_map(|change| match change {
            Change::Put(id, body) => match body.as_ref() {
                Body::Relation(relation) if matches!(relation.storage, RelationKind::Table(_)) => {
                    Some(vec![self.next.snapshot.0.into(), self.next.schema_version.into(), id.0.into()])
                }
                _ => None,
            },
            Change::Delete(_) => None,
        });
        script.insert("ducklake_schema_versions", &["begin_snapshot", "schema_version", "table_id"], rows.collect());
    }
}

/// The last change of each object with final ids, and what became of provisional ones.
fn resolved(head: &CatalogState, all: Vec<Change>) -> (Resolved, Vec<Change>) {
    // Only the last change of an object counts; one that was created and dropped again leaves no trace.
    let mut latest: BTreeMap<ObjectId, Change> = BTreeMap::new();
    for change in all {
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
    (ids, changes)
}

pub(super) fn conflict(detail: &str) -> CommitError {
    CommitError::Conflict { detail: detail.to_owned() }
}

/// A new or renamed object may not take a name that somebody else took since.
fn check_names(head: &CatalogState, next: &CatalogState, changes: &[Change]) -> Result<(), CommitError> {
    for change in changes {
        let Change::Put(id, body) = change else { continue };
        let Some(key) = name_key(body) else { continue };
        let NameKey(namespace, name) = &key;
        // Unless it gave the name up, or is gone.
        let has_it =
            |other: ObjectId| next.entry(other).is_some_and(|entry| name_key(&entry.body).as_ref() == Some(&key));
        let taken_before = head.find(*namespace, name).is_some_and(|other| other != *id && has_it(other));
        if taken_before || next.find(*namespace, name) != Some(*id) {
            let (kind, code) = match namespace {
                Namespace::Schema => ("schema", SqlState::DUPLICATE_SCHEMA),
                Namespace::Relation(_) => ("relation", SqlState::DUPLICATE_TABLE),
                Namespace::Role => ("role", SqlState::DUPLICATE_OBJECT),
                Namespace::RowPolicy(_) => ("policy", SqlState::DUPLICATE_OBJECT),
                Namespace::RlsPolicy => ("RLS policy", SqlState::DUPLICATE_OBJECT),
                Namespace::MaskingPolicy => ("masking policy", SqlState::DUPLICATE_OBJECT),
                Namespace::Credential => ("storage credential", SqlState::DUPLICATE_OBJECT),
                Namespace::Type(_) => ("type", SqlState::DUPLICATE_OBJECT),
                Namespace::Tag => ("tag", SqlState::DUPLICATE_OBJECT),
                Namespace::TagAssignment(_) => return Err(conflict("The same tag was set at the same time.")),
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
    if !types_stand(head, base, changes) {
        return Err(conflict("A type was altered at the same time."));
    }
    if !tags_stand(head, base, changes) {
        return Err(conflict("Tags, or masks, were changed at the same time."));
    }
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
        let differs = |old: &Relation, new: &Relation| {
            let secured = |of: &Relation| (of.row_security, of.force_row_security, of.any_rls_policy);
            old.columns != new.columns || old.name != new.name || secured(old) != secured(new)
        };
        let altered = matches!((old, body.as_ref()), (Some(old), Body::Relation(new)) if differs(old, new));
        let refers = |body: &Body| match body {
            Body::RowPolicy(_) => true,
            Body::MaskAttachment(mask) => mask.relation == *id,
            Body::Relation(relation) => relation.query().is_some(),
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

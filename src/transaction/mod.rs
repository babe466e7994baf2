//! The staged transaction: what a transaction reads, what it has done and nobody else sees yet.
//!
//! Catalog changes and rows are kept apart from the committed state until [`Transaction::commit`] makes all of them
//! visible at once; dropping it without commit leaves nothing but files that [`Transaction::rollback`] deletes or a sweep
//! finds.

mod locks;
mod temporary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

pub use locks::Locks;
use locks::{Holder, Wanted};
pub use temporary::{Temporary, temporary_schema};

use crate::catalog::{
    CatalogState, Change, Claims, DataFile, Moves, NameKey, Relation, RelationKind, TEMPORARY_SCHEMA, TableData,
    name_key, tags_stand, types_stand,
};
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::metastore::{
    Commit, CommitError, DeletedRows, InlinedInsert, Metastore, NewKey, Resolved, Sequences, TableCommit,
};
use crate::name::{FileId, ObjectId, SnapshotId};
use crate::warehouse::{Addresses, Staged, StagedTable, TRANSACTION_AGE_MAX, TableWriter, Warehouse, Written, evolved};

/// Deleted rows of a data file that are kept in the metadata database; more become a file.
const INLINED_DELETES_MAX: u64 = 10_000;
/// Rows of a table that are kept in the metadata database; more become files.
const INLINED_ROWS_MAX: u64 = 20_000;

/// The catalog that one transaction reads, and its own changes and rows until it commits.
#[derive(Debug)]
pub struct Transaction {
    /// The committed catalog it reads.
    base: Arc<CatalogState>,
    /// `base` with its own changes.
    catalog: Arc<CatalogState>,
    changes: Vec<Change>,
    staged: Arc<Staged>,
    sequences: BTreeSet<ObjectId>,
    /// Tables whose rows nobody else may have changed when it commits.
    relied_on: BTreeSet<ObjectId>,
    /// Values of sequences that it created, or restarted.
    own_sequences: Arc<Sequences>,
    /// Sequences that it restarted: for others they go on until it commits.
    restarted: Arc<BTreeSet<ObjectId>>,
    /// Files of the past that it uses, by their paths below their table's.
    borrowed: BTreeSet<String>,
    /// What it read when it first gave a row a key.
    claimed_at: Option<SnapshotId>,
    /// A data key that takes the place of the others when it commits.
    key: Option<Arc<NewKey>>,
    /// What nobody else may change until it ends.
    locks: Option<Holder>,
    /// Committed rows that its statement has met: by their keys they are in the way of new ones.
    met: BTreeMap<ObjectId, BTreeMap<FileId, Arc<RoaringTreemap>>>,
    /// If its statement may not wait for locks: what it could not lock, as the error's message says it.
    nowait: Option<&'static str>,
    /// The lowest provisional id that was given, so that none is given twice.
    lowest_id: ObjectId,
    /// The session's temporary objects when it began: its first changes and rows.
    temporary: Arc<Temporary>,
    /// How many of its changes those are.
    begun_with: usize,
    /// Microseconds since 1970.
    pub started_us: i64,
}

/// Whether what a statement did holds, now that nobody else can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It does.
    Firmly,
    /// Others committed rows with keys that it gave to its own, in this unique index.
    KeyTaken(ObjectId),
    /// Others changed rows, or a table, that it changed.
    Lost,
}

/// What a transaction had done at some moment. Cheap: it shares what it remembers.
#[derive(Clone, Debug)]
pub struct Savepoint {
    base: Arc<CatalogState>,
    catalog: Arc<CatalogState>,
    changes: usize,
    staged: Arc<Staged>,
    sequences: BTreeSet<ObjectId>,
    relied_on: BTreeSet<ObjectId>,
    restarted: Arc<BTreeSet<ObjectId>>,
    claimed_at: Option<SnapshotId>,
    key: Option<Arc<NewKey>>,
}

impl Transaction {
    /// A transaction that has done nothing yet. `head`: what it reads; `started_us`: microseconds since 1970.
    pub fn new(head: Arc<CatalogState>, temporary: Arc<Temporary>, started_us: i64) -> Self {
        let changes = head.with_types(temporary.changes());
        let own_sequences = Arc::clone(&temporary.sequences);
        own_sequences.keep_temporary();
        let files = temporary.staged.iter().flat_map(|(_, table)| &table.files);
        let borrowed = files.map(|file| file.path.clone()).collect();
        Self {
            catalog: temporary.over(&head),
            base: head,
            begun_with: changes.len(),
            changes,
            staged: Arc::clone(&temporary.staged),
            sequences: BTreeSet::new(),
            relied_on: BTreeSet::new(),
            own_sequences,
            restarted: Arc::default(),
            borrowed,
            temporary,
            claimed_at: None,
            key: None,
            locks: None,
            met: BTreeMap::new(),
            nowait: None,
            lowest_id: ObjectId(0),
            started_us,
        }
    }

    /// The committed snapshot that it reads.
    pub fn base(&self) -> SnapshotId {
        self.base.snapshot
    }

    /// What its statements read: the committed catalog with its own changes.
    pub fn catalog(&self) -> &Arc<CatalogState> {
        &self.catalog
    }

    /// Its own rows, and which tables it has truncated.
    pub fn staged(&self) -> &Arc<Staged> {
        &self.staged
    }

    /// Values of sequences that it created; nobody else sees them until it commits.
    pub fn own_sequences(&self) -> &Arc<Sequences> {
        &self.own_sequences
    }

    /// Sequences whose values are among its own although it did not create them.
    pub fn restarted(&self) -> &Arc<BTreeSet<ObjectId>> {
        &self.restarted
    }

    /// A sequence goes on after `last`; with `None` from its start. Others see that when it commits.
    pub fn restart(&mut self, sequence: ObjectId, last: Option<i64>) {
        if !sequence.is_provisional() {
            Arc::make_mut(&mut self.restarted).insert(sequence);
        }
        self.own_sequences.restart(sequence, last);
        self.sequences.insert(sequence);
    }

    /// The lowest id of an object it created, dropped ones included; 0 if there is none.
    pub fn lowest_id(&self) -> ObjectId {
        self.lowest_id
    }

    /// Whether it has done nothing that a commit would have to write.
    pub fn is_clean(&self) -> bool {
        let untouched = self.staged.is_empty() || Arc::ptr_eq(&self.staged, &self.temporary.staged);
        self.changes.len() == self.begun_with && untouched && self.sequences.is_empty()
    }

    /// Reads the newest catalog from now on, as a statement of a READ COMMITTED transaction does; tells whether it does.
    /// What it has done moves along. A transaction that others were faster than keeps what it reads.
    pub fn refresh(&mut self, metastore: &Metastore) -> bool {
        let head = metastore.head();
        if head.snapshot == self.base.snapshot {
            return true;
        }
        if !self.changes_stand(&head) {
            return false;
        }
        let Some(staged) = self.moved_to(metastore, &head) else { return false };
        self.staged = staged;
        self.catalog = if self.changes.is_empty() {
            Arc::clone(&head)
        } else {
            Arc::new(head.as_ref().clone().with(head.snapshot, self.changes.iter().cloned()))
        };
        self.base = head;
        true
    }

    /// Whether what it did to the catalog can be done to a newer head as well.
    fn changes_stand(&self, head: &CatalogState) -> bool {
        let version = |state: &CatalogState, id: ObjectId| state.entry(id).map(|entry| entry.version);
        let rows = |state: &CatalogState, id: ObjectId| state.data(id).version;
        let stands = |change: &Change| {
            let id = change.id();
            let free = match change {
                Change::Put(_, body) => name_key(body).is_none_or(|NameKey(namespace, name)| {
                    head.find(namespace, &name)
                        .is_none_or(|other| other == id || self.changes.iter().any(|change| change.id() == other))
                }),
                Change::Delete(_) => true,
            };
            free && (id.is_provisional() || version(head, id) == version(&self.base, id))
        };
        self.changes.iter().all(stands)
            && types_stand(head, &self.base, &self.changes)
            && tags_stand(head, &self.base, &self.changes)
            && self.altered(0).all(|id| rows(head, id) == rows(&self.base, id))
    }

    /// What it has staged, by the addresses that rows have at a newer head; `None`: others changed some of it.
    fn moved_to(&self, metastore: &Metastore, head: &CatalogState) -> Option<Arc<Staged>> {
        if self.relied_on.iter().any(|id| head.data(*id).version != self.base.data(*id).version) {
            return None;
        }
        if self.staged.is_empty() {
            return Some(Arc::clone(&self.staged));
        }
        let mut staged = self.staged.as_ref().clone();
        for (id, _) in self.staged.iter().filter(|(id, _)| !id.is_provisional()) {
            if !is_same(self.base.relation(id)?, head.relation(id)?) {
                return None;
            }
            let table = staged.table(id);
            if table.truncated && head.data(id).version != self.base.data(id).version {
                return None;
            }
            table.deleted = metastore.still_there(&self.base, head, id, std::mem::take(&mut table.deleted))?;
        }
        Some(Arc::new(staged))
    }

    /// Locks what it has done since `point` against others; waits for those who have it and have not ended. Tells whether
    /// it still holds: or else others were faster. `40P01`.
    pub async fn lock(&mut self, point: &Savepoint, locks: &Arc<Locks>, metastore: &Metastore) -> Result<Held, Plain> {
        let wanted = self.wanted(point);
        if wanted.is_empty() {
            return Ok(Held::Firmly);
        }
        let relied_on_others = !std::mem::take(&mut self.met).is_empty();
        let nowait = self.nowait.take();
        let holder = self.locks.get_or_insert_with(|| locks.holder());
        let name = wanted.whole.first().and_then(|table| self.catalog.relation(*table)).map(|table| table.name.clone());
        let waited =
            holder.acquire(wanted, metastore, nowait.is_none()).await.map_err(|error| match (name, nowait) {
                (Some(name), Some(what)) => {
                    let message = format!("could not obtain lock on {what} \"{name}\"");
                    Plain::new(SqlState::LOCK_NOT_AVAILABLE, message)
                }
                _ => error,
            })?;
        let head = metastore.head();
        if head.snapshot == self.base.snapshot {
            return Ok(Held::Firmly);
        }
        if !self.changes_stand(&head) || self.moved_to(metastore, &head).is_none() || waited && relied_on_others {
            return Ok(Held::Lost);
        }
        let claims = self.staged.iter().flat_map(|(id, table)| table.claims.iter().map(move |claim| (id, claim)));
        let claimed_at = self.claimed_at.unwrap_or(self.base.snapshot);
        for (id, (index, claims)) in claims {
            if !metastore.are_free(claimed_at, &head, id, *index, claims) {
                return Ok(Held::KeyTaken(*index));
            }
        }
        Ok(Held::Firmly)
    }

    /// Before a statement that writes to a table: waits for those who may take all its rows, or change it. Tells whether it
    /// waited. `40P01`.
    pub async fn wait_for(
        &mut self,
        table: ObjectId,
        locks: &Arc<Locks>,
        metastore: &Metastore,
    ) -> Result<bool, Plain> {
        if table.is_provisional() {
            return Ok(false);
        }
        let written = BTreeSet::from([table]);
        let wanted =
            Wanted { written, rows: std::mem::take(&mut self.met), at: self.base.snapshot, ..Wanted::default() };
        self.locks.get_or_insert_with(|| locks.holder()).acquire(wanted, metastore, true).await
    }

    /// Notes rows of others that kept a new row out by their keys: whoever changes them must come to an end first.
    pub fn met(&mut self, table: ObjectId, rows: &Addresses) {
        let met = self.met.entry(table).or_default();
        for (file, positions) in rows.committed() {
            *Arc::make_mut(met.entry(file).or_default()) |= positions;
        }
    }

    /// The locks that the next statement wants must be free. `what`: what it could not lock, as the error's message says it.
    pub fn do_not_wait(&mut self, what: &'static str) {
        self.nowait = Some(what);
    }

    /// A place in its locks, for a savepoint.
    pub fn seal_locks(&self) -> usize {
        self.locks.as_ref().map_or(0, Holder::seal)
    }

    /// Gives back what was locked since; 0: everything.
    pub fn release_locks(&self, place: usize) {
        if let Some(locks) = &self.locks {
            locks.release(place);
        }
    }

    /// Tables that were there and that its changes, from one on, make another: rows for the old one are none for the new.
    fn altered(&self, first: usize) -> impl Iterator<Item = ObjectId> {
        let changed = self.changes.iter().skip(first).map(Change::id);
        changed.filter(|id| {
            let old = self.base.relation(*id).filter(|old| matches!(old.storage, RelationKind::Table(_)));
            old.is_some_and(|old| !self.catalog.relation(*id).is_some_and(|new| is_same(old, new)))
        })
    }

    /// What it has done since, as locks.
    fn wanted(&self, point: &Savepoint) -> Wanted {
        let mut wanted = Wanted { at: self.base.snapshot, rows: self.met.clone(), ..Wanted::default() };
        wanted.whole.extend(self.relied_on.difference(&point.relied_on).filter(|id| !id.is_provisional()));
        wanted.whole.extend(self.altered(point.changes));
        if Arc::ptr_eq(&self.staged, &point.staged) {
            return wanted;
        }
        for (id, now) in self.staged.iter().filter(|(id, _)| !id.is_provisional()) {
            wanted.written.insert(id);
            // Where a compaction puts rows is told to those who change them.
            if now.moves.is_some() {
                continue;
            }
            let before = point.staged.get(id);
            if now.truncated && !before.is_some_and(|before| before.truncated) {
                wanted.whole.insert(id);
            }
            for (file, rows) in &now.deleted {
                let before = before.and_then(|before| before.deleted.get(file));
                if before.is_some_and(|before| Arc::ptr_eq(before, rows)) {
                    continue;
                }
                let rows = before.map_or_else(|| rows.as_ref().clone(), |before| rows.as_ref() - before.as_ref());
                if !rows.is_empty() {
                    let all = wanted.rows.entry(id).or_default().entry(*file).or_default();
                    *Arc::make_mut(all) |= rows;
                }
            }
            for (index, claims) in now.claims.iter().filter(|(index, _)| !index.is_provisional()) {
                let known = before.and_then(|before| before.claims.get(index)).map_or(0, Claims::len);
                wanted.keys.extend(claims.after(known).map(|hash| (*index, hash)));
            }
        }
        wanted
    }

    /// Applies catalog changes.
    pub fn apply(&mut self, changes: Vec<Change>) {
        let state = self.catalog.as_ref().clone().with(self.base.snapshot, changes.iter().cloned());
        self.catalog = Arc::new(state);
        for change in &changes {
            self.lowest_id = self.lowest_id.min(change.lowest_id());
            if let Change::Delete(id) = change {
                Arc::make_mut(&mut self.staged).forget(*id);
                self.sequences.remove(id);
            }
        }
        self.changes.extend(changes);
    }

    /// Adds rows to a table.
    pub fn stage(&mut self, table: ObjectId, written: Written) -> Result<(), SqlError> {
        if written.files.is_empty() && written.memory.is_empty() {
            return Ok(());
        }
        let staged = Arc::make_mut(&mut self.staged).table(table);
        staged.files.extend(written.files.into_iter().map(Arc::new));
        written.memory.into_iter().try_for_each(|rows| staged.add(rows)).map_err(SqlError::from_arrow)
    }

    /// Adds rows of the past to a table, in the files where they are: those stay whatever becomes of the transaction.
    pub fn restore(&mut self, table: ObjectId, data: &TableData) -> Result<(), SqlError> {
        // Partitions of another table, or of an older layout, mean nothing here.
        let now = self.catalog.relation(table).and_then(Relation::partitioning).map(|partitioning| partitioning.id);
        let partition = |file: &DataFile| file.partition.clone().filter(|own| Some(own.of) == now);
        let files =
            data.files.iter().map(|file| DataFile { id: None, partition: partition(file), ..file.as_ref().clone() });
        let rows = data.inlined.rows(None).map_err(SqlError::from_arrow)?;
        let written = Written {
            rows: data.row_count(),
            files: files.collect(),
            memory: rows.iter().map(|rows| rows.rows.clone()).collect(),
        };
        self.borrowed.extend(written.files.iter().map(|file| file.path.clone()));
        self.borrowed.extend(written.files.iter().filter_map(|file| Some(file.deletes.file.as_ref()?.path.clone())));
        self.stage(table, written)
    }

    /// Removes rows that a scan of the table gave in this transaction.
    pub fn delete(&mut self, table: ObjectId, rows: &Addresses) -> Result<(), SqlError> {
        if rows.is_empty() {
            return Ok(());
        }
        Arc::make_mut(&mut self.staged).table(table).delete(rows).map_err(SqlError::from_engine)
    }

    /// Writes rows of a table again, unchanged. `moves`: where `written` has them, in its order.
    pub fn compact(
        &mut self,
        table: ObjectId,
        rows: &Addresses,
        written: Written,
        moves: Moves,
    ) -> Result<(), SqlError> {
        self.delete(table, rows)?;
        self.stage(table, written)?;
        Arc::make_mut(&mut self.staged).table(table).moves = Some(Arc::new(moves));
        Ok(())
    }

    /// Notes that its new rows have these keys in a unique index.
    pub fn claim(&mut self, table: ObjectId, index: ObjectId, claims: Claims) {
        self.claimed_at.get_or_insert(self.base.snapshot);
        Arc::make_mut(&mut self.staged).table(table).claim(index, claims);
    }

    /// Removes all of a table's rows.
    pub fn truncate(&mut self, table: ObjectId) {
        Arc::make_mut(&mut self.staged).table(table).truncate();
    }

    /// Notes that values were drawn from a table's sequences.
    pub fn drew_from(&mut self, sequences: impl IntoIterator<Item = ObjectId>) {
        self.sequences.extend(sequences);
    }

    /// Notes that what it did holds only for the rows that a table has now.
    pub fn rely_on(&mut self, table: ObjectId) {
        self.relied_on.insert(table);
    }

    /// Makes everything durable and visible, or nothing. Tells the final ids of what it created, and what the session's
    /// temporary objects are from now on. `40001` if others were faster.
    pub async fn commit(
        mut self,
        metastore: &Metastore,
        warehouse: &Warehouse,
        author: String,
    ) -> Result<(Resolved, Arc<Temporary>), SqlError> {
        let before = Arc::clone(&self.temporary);
        if before.is_empty() && self.catalog.schema(TEMPORARY_SCHEMA).is_none() {
            return Ok((self.commit_permanent(metastore, warehouse, author).await?, before));
        }
        let mut parts = self.split();
        let catalog = Arc::clone(&self.catalog);
        let own_sequences = Arc::clone(&self.own_sequences);
        let done = match parts.settle(&catalog, warehouse).await {
            Ok(()) => self.commit_permanent(metastore, warehouse, author).await,
            Err(error) => {
                self.discard_files(warehouse).await;
                Err(error)
            }
        };
        let mut resolved = match done {
            Ok(resolved) => resolved,
            Err(error) => {
                parts.discard(&before, &catalog, warehouse).await;
                return Err(error);
            }
        };
        let kept = parts.kept(&before, &own_sequences, &mut resolved);
        let (now, mut gone) = (kept.files(), before.files());
        gone.retain(|path| !now.contains(path));
        warehouse.delete_quietly(gone).await;
        Ok((resolved, Arc::new(kept)))
    }

    async fn commit_permanent(
        self,
        metastore: &Metastore,
        warehouse: &Warehouse,
        author: String,
    ) -> Result<Resolved, SqlError> {
        if self.changes.is_empty() && self.staged.is_empty() && self.sequences.is_empty() && self.key.is_none() {
            return Ok(Resolved::new());
        }
        let mut tables = Vec::new();
        let staged = match self.in_time().and_then(|()| self.with_moved_rows()) {
            Ok(staged) => staged,
            Err(error) => {
                self.discard_files(warehouse).await;
                return Err(error);
            }
        };
        for (id, staged) in staged.iter() {
            // A table that this transaction dropped again.
            let Some(relation) = self.catalog.relation(id) else { continue };
            match self.to_files(warehouse, id, relation, staged).await {
                Ok(table) => tables.push(table),
                Err(error) => {
                    self.discard_files(warehouse).await;
                    return Err(error);
                }
            }
        }
        let written: Vec<(ObjectId, Vec<String>)> = tables.iter().map(|table| (table.table, paths(table))).collect();
        let commit = Commit {
            base: Arc::clone(&self.base),
            changes: self.changes.clone(),
            tables,
            sequences: self.sequences.iter().copied().collect(),
            relied_on: self.relied_on.iter().copied().collect(),
            own_sequences: Arc::clone(&self.own_sequences),
            restarted: self.restarted.iter().copied().collect(),
            claimed_at: self.claimed_at.unwrap_or(self.base.snapshot),
            key: self.key.clone(),
            author,
        };
        match metastore.commit(commit).await {
            Ok((_, resolved)) => Ok(resolved),
            Err(error @ CommitError::Unknown { .. }) => Err(error.into()),
            Err(error) => {
                self.discard_files(warehouse).await;
                for (id, paths) in written {
                    self.discard(warehouse, id, paths).await;
                }
                Err(error.into())
            }
        }
    }

    /// `40001` for a transaction whose files may be gone.
    fn in_time(&self) -> Result<(), SqlError> {
        let age_us = chrono::Utc::now().timestamp_micros().saturating_sub(self.started_us);
        if u128::try_from(age_us).is_ok_and(|age_us| age_us > TRANSACTION_AGE_MAX.as_micros()) {
            let message = "could not serialize access: the transaction is too old";
            let hint = "Run the transaction again.";
            return Err(Plain::new(SqlState::SERIALIZATION_FAILURE, message).hint(hint).into());
        }
        Ok(())
    }

    /// What is staged, and the rows that are in no file of tables whose columns it changes: they are written again with the
    /// new columns.
    fn with_moved_rows(&self) -> Result<Arc<Staged>, SqlError> {
        let mut staged = Arc::clone(&self.staged);
        for change in &self.changes {
            let id = change.id();
            let (Some(old), Some(new)) = (self.base.relation(id), self.catalog.relation(id)) else { continue };
            let inlined = &self.base.data(id).inlined;
            if old.is_same_to_readers(new) || inlined.is_empty() || self.staged.get(id).is_some_and(|own| own.truncated)
            {
                continue;
            }
            let table = Arc::make_mut(&mut staged).table(id);
            if !std::mem::replace(&mut table.moves_inlined, true) {
                let gone = table.deleted.entry(FileId::INLINED).or_default();
                let rows = inlined.rows(Some(gone.as_ref())).map_err(SqlError::from_arrow)?;
                table.rows.splice(0..0, rows.iter().map(|rows| rows.rows.clone()));
                table.deleted.insert(FileId::INLINED, Arc::clone(inlined.ids()));
            }
        }
        Ok(staged)
    }

    /// A table's staged data as it is committed: rows in memory become a file, and so do positions of many deleted rows.
    async fn to_files(
        &self,
        warehouse: &Warehouse,
        id: ObjectId,
        relation: &Relation,
        staged: &StagedTable,
    ) -> Result<TableCommit, SqlError> {
        let mut added: Vec<DataFile> = Vec::new();
        for file in staged.files.iter().filter(|file| file.live_count() > 0) {
            let mut file = file.as_ref().clone();
            if file.deletes.inlined.len() > INLINED_DELETES_MAX {
                let positions = std::mem::take(&mut file.deletes.inlined);
                let written = warehouse.write_deletes(&self.catalog, relation, &file, &positions).await?;
                file.deletes.file = Some(Arc::new(written));
            }
            added.push(file);
        }
        let rows: Vec<RecordBatch> = staged
            .rows
            .iter()
            .map(|rows| evolved(rows, relation))
            .collect::<Result<_, _>>()
            .map_err(SqlError::from_engine)?;
        let committed = self.base.data(id);
        let few = staged.moves.is_none() && committed.inlined.len() < INLINED_ROWS_MAX;
        let inlined = if few { InlinedInsert::new(relation, &rows).map(Arc::new) } else { None };
        if inlined.is_none() && !rows.is_empty() {
            let mut writer = TableWriter::new(warehouse, &self.catalog, relation)?;
            for rows in rows {
                writer.write(rows).await?;
            }
            added.extend(writer.finish_to_files().await?);
        }
        let mut deleted = BTreeMap::new();
        for (file_id, positions) in &staged.deleted {
            if *file_id == FileId::INLINED {
                deleted.insert(*file_id, DeletedRows { positions: Arc::clone(positions), file: None });
                continue;
            }
            let found = committed.files.iter().find(|file| file.id == Some(*file_id));
            let data = found.ok_or_else(|| internal("a deleted row is in no file of its table"))?;
            let inlined = data.deletes.inlined.len() + positions.len();
            let file = if inlined > INLINED_DELETES_MAX && data.deletes.count() + positions.len() < data.record_count {
                Some(warehouse.write_deletes(&self.catalog, relation, data, positions).await?)
            } else {
                None
            };
            deleted.insert(*file_id, DeletedRows { positions: Arc::clone(positions), file });
        }
        Ok(TableCommit {
            table: id,
            added,
            truncated: staged.truncated,
            deleted,
            claims: staged.claims.clone(),
            moves: staged.moves.clone(),
            inlined,
            moves_inlined: staged.moves_inlined,
        })
    }

    /// Puts a data key for secrets in the place of the others when it commits.
    pub fn rotate_keys(&mut self, key: NewKey) {
        self.key = Some(Arc::new(key));
    }

    /// This moment, to go back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            base: Arc::clone(&self.base),
            catalog: Arc::clone(&self.catalog),
            changes: self.changes.len(),
            staged: Arc::clone(&self.staged),
            sequences: self.sequences.clone(),
            relied_on: self.relied_on.clone(),
            restarted: Arc::clone(&self.restarted),
            claimed_at: self.claimed_at,
            key: self.key.clone(),
        }
    }

    /// Undoes what was done since. Ids that were given since are not given again.
    pub async fn roll_back_to(&mut self, point: &Savepoint, warehouse: &Warehouse) {
        for (id, staged) in self.staged.iter() {
            let kept = point.staged.get(id).map(|table| table.files.as_slice()).unwrap_or_default();
            let is_new = |file: &&Arc<DataFile>| !kept.iter().any(|kept| kept.path == file.path);
            let paths = staged.files.iter().filter(is_new).map(|file| file.path.clone()).collect();
            self.discard(warehouse, id, paths).await;
        }
        self.base = Arc::clone(&point.base);
        self.catalog = Arc::clone(&point.catalog);
        self.changes.truncate(point.changes);
        self.staged = Arc::clone(&point.staged);
        self.sequences.clone_from(&point.sequences);
        self.relied_on.clone_from(&point.relied_on);
        self.restarted = Arc::clone(&point.restarted);
        self.claimed_at = point.claimed_at;
        self.key.clone_from(&point.key);
        self.met.clear();
    }

    /// Deletes the files it wrote.
    pub async fn rollback(self, warehouse: &Warehouse) {
        self.discard_files(warehouse).await;
    }

    /// Deletes what its statements wrote.
    async fn discard_files(&self, warehouse: &Warehouse) {
        for (id, staged) in self.staged.iter() {
            self.discard(warehouse, id, staged.files.iter().map(|file| file.path.clone()).collect()).await;
        }
    }

    /// Deletes files of a table that are its own.
    async fn discard(&self, warehouse: &Warehouse, table: ObjectId, mut paths: Vec<String>) {
        if let Some(relation) = self.catalog.relation(table) {
            paths.retain(|path| !self.borrowed.contains(path));
            warehouse.discard(&self.catalog, relation, &paths).await;
        }
    }
}

/// Whether what was meant for one version of a table is right for the other.
fn is_same(old: &Relation, new: &Relation) -> bool {
    new.holds_the_same(old) && new.is_same_to_readers(old)
}

/// All files of a commit, below the table's path.
fn paths(table: &TableCommit) -> Vec<String> {
    let deletes = table.added.iter().filter_map(|file| file.deletes.file.as_deref());
    let deletes = deletes.chain(table.deleted.values().filter_map(|rows| rows.file.as_ref()));
    let added = table.added.iter().map(|file| &file.path);
    added.chain(deletes.map(|file| &file.path)).cloned().collect()
}

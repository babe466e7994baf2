//! Temporary tables and views: those of one session, which nobody else sees and no snapshot has.
//!
//! To a transaction they are changes and rows of its own that it begins with. What becomes of them is told apart from the
//! rest when it commits, and kept for the session's next transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::record_batch::RecordBatch;

use super::Transaction;
use crate::catalog::{
    BOOTSTRAP_ROLE, Body, CatalogState, Change, OnCommit, Relation, RelationKind, Schema, TEMPORARY_SCHEMA,
};
use crate::error::SqlError;
use crate::govern::{Acl, Grantee, Privilege, PrivilegeSet};
use crate::metastore::{Resolved, Sequences};
use crate::name::ObjectId;
use crate::warehouse::{Staged, StagedTable, TableWriter, Warehouse, evolved, folder};

/// Rows of a temporary table that are kept in memory; more become a file when a transaction commits.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// A session's temporary objects.
#[derive(Debug, Default)]
pub struct Temporary {
    objects: BTreeMap<ObjectId, Body>,
    pub(super) staged: Arc<Staged>,
    pub(super) sequences: Arc<Sequences>,
    /// Ids that were given so far.
    given: i64,
    /// The last committed catalog that it was asked for, and that catalog with its objects.
    seen: Mutex<Option<(Arc<CatalogState>, Arc<CatalogState>)>>,
}

impl Temporary {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// A committed catalog, and the temporary objects.
    pub fn over(&self, head: &Arc<CatalogState>) -> Arc<CatalogState> {
        if self.is_empty() {
            return Arc::clone(head);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((below, whole)) = seen.as_ref()
            && Arc::ptr_eq(below, head)
        {
            return Arc::clone(whole);
        }
        let whole = Arc::new(head.as_ref().clone().with(head.snapshot, head.with_types(self.changes())));
        *seen = Some((Arc::clone(head), Arc::clone(&whole)));
        whole
    }

    /// The rows of its tables.
    pub fn staged(&self) -> &Arc<Staged> {
        &self.staged
    }

    /// The values of its sequences.
    pub fn sequences(&self) -> &Arc<Sequences> {
        &self.sequences
    }

    /// What makes its objects.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.objects.iter().map(|(id, body)| Change::Put(*id, Box::new(body.clone()))).collect()
    }

    /// Paths below the warehouse's root of the files that have its rows.
    pub fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let Some(Body::Schema(schema)) = self.objects.get(&TEMPORARY_SCHEMA) else { return files };
        for (id, table) in self.staged.iter() {
            if let Some(Body::Relation(Relation { storage: RelationKind::Table(storage), .. })) = self.objects.get(&id)
            {
                files.extend(table.files.iter().map(|file| format!("{}{}{}", schema.path, storage.path, file.path)));
            }
        }
        files
    }
}

/// The schema of a session's temporary objects; everybody may use it, because nobody else can.
pub fn temporary_schema(pid: i32) -> Schema {
    let name = format!("pg_temp_{pid}");
    let mut acl = Acl::default_for(BOOTSTRAP_ROLE, PrivilegeSet::schema(), PrivilegeSet::EMPTY);
    acl.grant(Grantee::Public, BOOTSTRAP_ROLE, PrivilegeSet::of(&[Privilege::Usage, Privilege::Create]), false);
    Schema { path: folder(&name), name, owner: BOOTSTRAP_ROLE, acl: Some(acl), comment: None }
}

impl Transaction {
    /// Takes what is temporary out of the changes, tables and sequences; the rest is to be committed.
    pub(super) fn split(&mut self) -> Parts {
        let mut bodies: BTreeMap<ObjectId, Option<Body>> = BTreeMap::new();
        for change in &self.changes {
            match change {
                Change::Put(id, body) => bodies.insert(*id, Some(body.as_ref().clone())),
                Change::Delete(id) => bodies.insert(*id, None),
            };
        }
        let mut ids: BTreeSet<ObjectId> = bodies.keys().copied().filter(|id| id.is_temporary()).collect();
        loop {
            let belongs = |body: &Option<Body>| match body {
                Some(Body::Relation(relation)) => relation.schema == TEMPORARY_SCHEMA,
                Some(body) => body.parents().iter().any(|parent| ids.contains(parent) || parent.is_temporary()),
                None => false,
            };
            let more = bodies.iter().filter(|(id, body)| !ids.contains(*id) && belongs(body)).map(|(id, _)| *id);
            let more: Vec<ObjectId> = more.collect();
            if more.is_empty() {
                break;
            }
            ids.extend(more);
        }
        self.changes.retain(|change| !ids.contains(&change.id()));
        self.sequences.retain(|id| !ids.contains(id));
        let mut tables = BTreeMap::new();
        let staged = Arc::make_mut(&mut self.staged);
        for id in &ids {
            tables.extend(staged.take(*id).map(|table| (*id, table)));
        }
        let objects = bodies.into_iter().filter(|(id, _)| ids.contains(id));
        Parts { objects: objects.filter_map(|(id, body)| Some((id, body?))).collect(), tables }
    }
}

/// What is temporary at the end of a transaction.
pub(super) struct Parts {
    objects: BTreeMap<ObjectId, Body>,
    tables: BTreeMap<ObjectId, StagedTable>,
}

impl Parts {
    /// Does what is to be done ON COMMIT, and moves many rows to files. `catalog`: what the transaction saw last.
    pub(super) async fn settle(&mut self, catalog: &CatalogState, warehouse: &Warehouse) -> Result<(), SqlError> {
        let mut dropped = BTreeSet::new();
        for (id, body) in &self.objects {
            let Body::Relation(relation) = body else { continue };
            let RelationKind::Table(storage) = &relation.storage else { continue };
            match storage.on_commit {
                Some(OnCommit::DeleteRows) => drop(self.tables.remove(id)),
                Some(OnCommit::Drop) => {
                    dropped.insert(*id);
                }
                Some(OnCommit::PreserveRows) | None => {}
            }
            let Some(table) = self.tables.get_mut(id) else { continue };
            let bytes: usize = table.rows.iter().map(RecordBatch::get_array_memory_size).sum();
            if bytes > MEMORY_BYTES_MAX {
                let mut writer = TableWriter::new(warehouse, catalog, relation)?;
                for rows in std::mem::take(&mut table.rows) {
                    writer.write(evolved(&rows, relation).map_err(SqlError::from_engine)?).await?;
                }
                table.files.extend(writer.finish_to_files().await?.into_iter().map(Arc::new));
            }
        }
        drop_with_parts(&mut self.objects, dropped);
        self.tables.retain(|id, _| self.objects.contains_key(id));
        Ok(())
    }

    /// Deletes the files that the transaction wrote.
    pub(super) async fn discard(&self, before: &Temporary, catalog: &CatalogState, warehouse: &Warehouse) {
        for (id, table) in &self.tables {
            let Some(relation) = catalog.relation(*id) else { continue };
            let known: BTreeSet<&str> = before.staged.get(*id).iter().flat_map(|table| paths(table)).collect();
            let new = paths(table).filter(|path| !known.contains(path)).map(str::to_owned);
            warehouse.discard(catalog, relation, &new.collect::<Vec<_>>()).await;
        }
    }

    /// What the session goes on with. `resolved`: final ids of objects that the transaction made; those of temporary ones
    /// are added.
    pub(super) fn kept(self, before: &Temporary, own_sequences: &Sequences, resolved: &mut Resolved) -> Temporary {
        let Self { objects, tables } = self;
        let mut given = before.given;
        for (id, body) in &objects {
            for new in std::iter::once(*id).chain(body.parts()).filter(|id| !id.is_temporary() && id.is_provisional()) {
                given += 1;
                resolved.insert(new, ObjectId(TEMPORARY_SCHEMA.0 - given));
            }
        }
        let last = |id: ObjectId| resolved.get(&id).copied().unwrap_or(id);
        let mut staged = Staged::default();
        for (id, table) in tables {
            *staged.table(last(id)) = StagedTable { files: table.files, rows: table.rows, ..StagedTable::default() };
        }
        let sequences = Arc::new(Sequences::default());
        let mut kept = BTreeMap::new();
        for (id, mut body) in objects {
            body.map_ids(&last);
            if matches!(&body, Body::Relation(Relation { storage: RelationKind::Sequence(_), .. })) {
                sequences.restart(last(id), own_sequences.known(id));
            }
            kept.insert(last(id), body);
        }
        Temporary { objects: kept, staged: Arc::new(staged), sequences, given, seen: Mutex::default() }
    }
}

fn paths(table: &StagedTable) -> impl Iterator<Item = &str> {
    table.files.iter().map(|file| file.path.as_str())
}

/// Takes objects away, and what cannot be without them.
fn drop_with_parts(objects: &mut BTreeMap<ObjectId, Body>, mut gone: BTreeSet<ObjectId>) {
    while !gone.is_empty() {
        objects.retain(|id, _| !gone.contains(id));
        let owned = |body: &Body| match body {
            Body::Relation(Relation { storage: RelationKind::Sequence(sequence), .. }) => {
                sequence.owned_by.is_some_and(|(table, _)| gone.contains(&table))
            }
            Body::Relation(Relation { storage: RelationKind::View(view), .. }) => {
                view.reads.iter().any(|read| gone.contains(read))
            }
            other => other.parents().iter().any(|parent| gone.contains(parent)),
        };
        gone = objects.iter().filter(|(_, body)| owned(body)).map(|(id, _)| *id).collect();
    }
}

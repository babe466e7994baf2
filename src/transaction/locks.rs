//! Rows, keys and tables that open transactions have changed: who wants one of them waits until its transaction ends, as
//! in PostgreSQL. Readers never wait.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::error::{Plain, SqlState};
use crate::metastore::Metastore;
use crate::name::{FileId, ObjectId, SnapshotId};

/// Keys that one transaction locks; of others it finds out at commit.
const KEYS_MAX: usize = 10_000;

/// What one transaction locks, or wants to.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The snapshot at which rows have these addresses.
    pub(super) at: SnapshotId,
    /// Rows of committed data that are changed or deleted, by table.
    pub(super) rows: BTreeMap<ObjectId, BTreeMap<FileId, Arc<RoaringTreemap>>>,
    /// Hashes of keys of new rows, by unique index.
    pub(super) keys: HashSet<(ObjectId, u64)>,
    /// Tables that are written to.
    pub(super) written: BTreeSet<ObjectId>,
    /// Tables that nobody else may write to.
    pub(super) whole: BTreeSet<ObjectId>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.whole.is_empty() && self.rows.is_empty()
    }

    fn collides(&self, held: &Self) -> bool {
        let overlap = |left: &BTreeSet<ObjectId>, right: &BTreeSet<ObjectId>| !left.is_disjoint(right);
        let (few, many) = if self.keys.len() <= held.keys.len() { (self, held) } else { (held, self) };
        let share_rows = |(table, files): (&ObjectId, &BTreeMap<FileId, Arc<RoaringTreemap>>)| {
            let held = held.rows.get(table);
            let share = |(file, rows): (&FileId, &Arc<RoaringTreemap>)| {
                held.and_then(|held| held.get(file)).is_some_and(|held| !held.is_disjoint(rows))
            };
            files.iter().any(share)
        };
        overlap(&self.written, &held.whole)
            || overlap(&self.whole, &held.written)
            || overlap(&self.whole, &held.whole)
            || few.keys.iter().any(|key| many.keys.contains(key))
            || self.rows.iter().any(share_rows)
    }

    /// Both are of the same snapshot.
    fn add(&mut self, more: Self) {
        for (table, files) in more.rows {
            let own = self.rows.entry(table).or_default();
            for (file, rows) in files {
                *Arc::make_mut(own.entry(file).or_default()) |= rows.as_ref();
            }
        }
        if self.keys.len() + more.keys.len() <= KEYS_MAX {
            self.keys.extend(more.keys);
        }
        self.written.extend(more.written);
        self.whole.extend(more.whole);
        self.at = more.at;
    }

    /// Rows that a compaction moved have other addresses since.
    fn follow(&mut self, metastore: &Metastore, head: SnapshotId) {
        if self.at < head {
            for (table, rows) in &mut self.rows {
                metastore.follow(self.at, head, *table, rows);
            }
            self.at = head;
        }
    }
}

/// The locks of all open transactions of this server.
#[derive(Debug, Default)]
pub struct Locks(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    holders: BTreeMap<u64, Held>,
    /// Who waits for whom.
    waits: BTreeMap<u64, u64>,
    /// Whole tables that are waited for: who comes later and has nothing of one waits behind.
    queued: BTreeMap<u64, BTreeSet<ObjectId>>,
}

#[derive(Debug)]
struct Held {
    /// What was locked up to each savepoint, then since the last.
    layers: Vec<Wanted>,
    /// Cancelled when the transaction ends, or gives some of it back.
    ended: CancellationToken,
}

impl Held {
    fn has_written(&self, table: ObjectId) -> bool {
        self.layers.iter().any(|layer| layer.written.contains(&table) || layer.whole.contains(&table))
    }
}

/// One transaction's locks, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Holder {
    locks: Arc<Locks>,
    number: u64,
}

impl Locks {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holder(self: &Arc<Self>) -> Holder {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let held = Held { layers: vec![Wanted::default()], ended: CancellationToken::new() };
        inner.holders.insert(number, held);
        drop(inner);
        Holder { locks: Arc::clone(self), number }
    }
}

/// Removes a wait from the graph however it ends.
struct Waiting<'a>(&'a Holder);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.locks.lock();
        inner.waits.remove(&self.0.number);
        inner.queued.remove(&self.0.number);
    }
}

impl Holder {
    /// Locks all that is wanted, at once; as long as others have any of it, waits until they end. Tells whether it waited.
    /// `40P01` if one of them waits for this one; `55P03` if it may not wait.
    pub(super) async fn acquire(
        &self,
        mut wanted: Wanted,
        metastore: &Metastore,
        may_wait: bool,
    ) -> Result<bool, Plain> {
        if wanted.keys.len() > KEYS_MAX {
            wanted.keys.clear();
        }
        let mut waited = false;
        loop {
            let Some((waiting, ended)) = self.attempt(&mut wanted, metastore)? else { return Ok(waited) };
            if !may_wait {
                let message = "could not obtain lock on rows that another transaction has";
                return Err(Plain::new(SqlState::LOCK_NOT_AVAILABLE, message));
            }
            waited = true;
            ended.cancelled().await;
            drop(waiting);
        }
    }

    /// Locks it, or gives the end of somebody who has some of it.
    fn attempt(
        &self,
        wanted: &mut Wanted,
        metastore: &Metastore,
    ) -> Result<Option<(Waiting<'_>, CancellationToken)>, Plain> {
        let head = metastore.head().snapshot;
        let mut inner = self.locks.lock();
        wanted.follow(metastore, head);
        for layer in inner.holders.values_mut().flat_map(|held| &mut held.layers) {
            layer.follow(metastore, head);
        }
        let is_other = |number: &u64| *number != self.number;
        let own = inner.holders.get(&self.number);
        let is_new = |table: &ObjectId| !own.is_some_and(|own| own.has_written(*table));
        let behind = |queued: &BTreeSet<ObjectId>| wanted.written.intersection(queued).any(is_new);
        let has = |held: &Held| held.layers.iter().any(|layer| wanted.collides(layer));
        let holder = inner.holders.iter().find(|(number, held)| is_other(number) && has(held));
        let other = holder.map(|(number, _)| number).or_else(|| {
            inner.queued.iter().find(|(number, queued)| is_other(number) && behind(queued)).map(|(number, _)| number)
        });
        let other = other.copied();
        let ended = other.and_then(|other| inner.holders.get(&other)).map(|held| held.ended.clone());
        let (Some(other), Some(ended)) = (other, ended) else {
            let own = inner.holders.get_mut(&self.number).and_then(|own| own.layers.last_mut());
            if let Some(own) = own {
                own.add(std::mem::take(wanted));
            }
            return Ok(None);
        };
        let mut next = Some(other);
        while let Some(number) = next {
            if number == self.number {
                return Err(deadlock());
            }
            next = inner.waits.get(&number).copied();
        }
        inner.waits.insert(self.number, other);
        if !wanted.whole.is_empty() {
            inner.queued.insert(self.number, wanted.whole.clone());
        }
        Ok(Some((Waiting(self), ended)))
    }

    /// A place to go back to: how much is locked now.
    pub(super) fn seal(&self) -> usize {
        let mut inner = self.locks.lock();
        let Some(own) = inner.holders.get_mut(&self.number) else { return 0 };
        own.layers.push(Wanted::default());
        own.layers.len() - 1
    }

    /// Gives back what was locked since; 0: all of it.
    pub(super) fn release(&self, place: usize) {
        let mut inner = self.locks.lock();
        let Some(own) = inner.holders.get_mut(&self.number) else { return };
        own.layers.truncate(place);
        own.layers.push(Wanted::default());
        std::mem::take(&mut own.ended).cancel();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let held = self.locks.lock().holders.remove(&self.number);
        if let Some(held) = held {
            held.ended.cancel();
        }
    }
}

fn deadlock() -> Plain {
    Plain::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail("Two transactions wait for each other, directly or through others.")
        .hint("Run the transaction again.")
}

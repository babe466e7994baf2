//! Rows, keys and tables that open transactions have changed: who wants one of them waits until its transaction ends, as
//! in PostgreSQL. Readers never wait.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::error::{Plain, SqlState};
use crate::name::{FileId, ObjectId};

/// Keys that one transaction locks; of others it finds out at commit.
const KEYS_MAX: usize = 10_000;

/// What one transaction locks, or wants to.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Rows of committed data that are changed or deleted.
    pub(super) rows: BTreeMap<(ObjectId, FileId), RoaringTreemap>,
    /// Hashes of keys of new rows, by unique index.
    pub(super) keys: HashSet<(ObjectId, u64)>,
    /// Tables that are written to.
    pub(super) written: BTreeSet<ObjectId>,
    /// Tables that nobody else may write to.
    pub(super) whole: BTreeSet<ObjectId>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.whole.is_empty()
    }

    fn collides(&self, held: &Self) -> bool {
        let overlap = |left: &BTreeSet<ObjectId>, right: &BTreeSet<ObjectId>| !left.is_disjoint(right);
        let (few, many) = if self.keys.len() <= held.keys.len() { (self, held) } else { (held, self) };
        overlap(&self.written, &held.whole)
            || overlap(&self.whole, &held.written)
            || overlap(&self.whole, &held.whole)
            || few.keys.iter().any(|key| many.keys.contains(key))
            || self.rows.iter().any(|(file, rows)| held.rows.get(file).is_some_and(|held| !held.is_disjoint(rows)))
    }

    fn add(&mut self, more: Self) {
        for (file, rows) in more.rows {
            *self.rows.entry(file).or_default() |= rows;
        }
        self.keys.extend(more.keys);
        self.written.extend(more.written);
        self.whole.extend(more.whole);
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
}

#[derive(Debug)]
struct Held {
    locks: Wanted,
    /// Cancelled when the transaction ends.
    ended: CancellationToken,
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
        inner.holders.insert(number, Held { locks: Wanted::default(), ended: CancellationToken::new() });
        drop(inner);
        Holder { locks: Arc::clone(self), number }
    }
}

/// Removes a wait from the graph however it ends.
struct Waiting<'a>(&'a Holder);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.locks.lock().waits.remove(&self.0.number);
    }
}

impl Holder {
    /// Locks all that is wanted, at once; as long as others have any of it, waits until they end. Tells whether it waited.
    /// `40P01` if one of them waits for this one.
    pub(super) async fn acquire(&self, mut wanted: Wanted) -> Result<bool, Plain> {
        if wanted.keys.len() > KEYS_MAX {
            wanted.keys.clear();
        }
        let mut waited = false;
        loop {
            let Some((waiting, ended)) = self.attempt(&mut wanted)? else { return Ok(waited) };
            waited = true;
            ended.cancelled().await;
            drop(waiting);
        }
    }

    /// Locks it, or gives the end of somebody who has some of it.
    fn attempt(&self, wanted: &mut Wanted) -> Result<Option<(Waiting<'_>, CancellationToken)>, Plain> {
        let mut inner = self.locks.lock();
        let other = inner.holders.iter().find(|(number, held)| **number != self.number && wanted.collides(&held.locks));
        let Some((other, ended)) = other.map(|(number, held)| (*number, held.ended.clone())) else {
            if let Some(own) = inner.holders.get_mut(&self.number) {
                own.locks.add(std::mem::take(wanted));
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
        Ok(Some((Waiting(self), ended)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(positions: &[u64]) -> Wanted {
        let rows = [((ObjectId(1), FileId(2)), positions.iter().copied().collect())].into();
        Wanted { rows, written: [ObjectId(1)].into(), ..Wanted::default() }
    }

    #[tokio::test]
    async fn waiters_go_on_when_the_holder_ends_and_cycles_are_refused() {
        let locks = Arc::new(Locks::default());
        let (a, b, c) = (locks.holder(), locks.holder(), locks.holder());
        a.acquire(rows(&[1])).await.unwrap();
        a.acquire(rows(&[1, 2])).await.unwrap();
        b.acquire(rows(&[3])).await.unwrap();
        let waiting = tokio::spawn(async move { (b.acquire(rows(&[2])).await, b) });
        while locks.lock().waits.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(a.acquire(rows(&[3])).await.unwrap_err().to_string(), "deadlock detected");
        let whole = Wanted { whole: [ObjectId(1)].into(), ..Wanted::default() };
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), c.acquire(whole)).await.is_err());
        drop(a);
        let (granted, b) = waiting.await.unwrap();
        assert!(granted.unwrap());
        b.acquire(rows(&[2])).await.unwrap();
        assert_eq!(locks.lock().waits.len(), 0);
    }
}

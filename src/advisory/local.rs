//! Advisory locks of one server's sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Key, Mode};
use crate::error::{Plain, SqlState};

/// Who has which, and who waits, by the numbers of their sessions.
#[derive(Debug, Default)]
pub struct LocalLocks(Mutex<BTreeMap<Key, Lock>>);

#[derive(Debug, Default)]
struct Lock {
    /// How often each has it.
    holders: BTreeMap<i32, Count>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Count {
    shared: u32,
    exclusive: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    pid: i32,
    mode: Mode,
}

impl Count {
    fn of(&mut self, mode: Mode) -> &mut u32 {
        match mode {
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }

    fn excludes(&self, mode: Mode) -> bool {
        self.exclusive > 0 || mode == Mode::Exclusive && self.shared > 0
    }
}

impl Lock {
    /// Those that one who wants it waits for: holders, and who came before, unless he waits for the one himself.
    fn in_the_way(&self, wanted: Waiting) -> impl Iterator<Item = i32> {
        let holders =
            self.holders.iter().filter(move |(pid, count)| **pid != wanted.pid && count.excludes(wanted.mode));
        let is_holder = self.holders.contains_key(&wanted.pid);
        let excludes = move |other: &&Waiting| Mode::Exclusive == other.mode.max(wanted.mode);
        let before = self.waiting.iter().take_while(move |other| other.pid != wanted.pid);
        let before = before.filter(excludes).filter(move |_| !is_holder);
        holders.map(|(pid, _)| *pid).chain(before.map(|other| other.pid))
    }
}

impl LocalLocks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session has it now; if it waits, it has. `40P01`
    pub(super) async fn acquire(&self, pid: i32, key: Key, mode: Mode, waits: bool) -> Result<bool, Plain> {
        let wanted = Waiting { pid, mode };
        if self.attempt(key, wanted) {
            return Ok(true);
        }
        if !waits {
            return Ok(false);
        }
        let (_turn, changed) = self.queue(key, wanted)?;
        loop {
            let change = changed.notified();
            if self.attempt(key, wanted) {
                return Ok(true);
            }
            change.await;
        }
    }

    fn attempt(&self, key: Key, wanted: Waiting) -> bool {
        let mut locks = self.lock();
        let lock = locks.entry(key).or_default();
        let is_free = lock.in_the_way(wanted).next().is_none();
        if is_free {
            *lock.holders.entry(wanted.pid).or_default().of(wanted.mode) += 1;
        }
        is_free
    }

    /// Waits behind those that wait already. `40P01` if one of those in the way waits for this session.
    fn queue(&self, key: Key, wanted: Waiting) -> Result<(Turn<'_>, Arc<Notify>), Plain> {
        let mut locks = self.lock();
        let lock = locks.entry(key).or_default();
        lock.waiting.push(wanted);
        let changed = Arc::clone(&lock.changed);
        let (mut next, mut met) = (vec![wanted.pid], BTreeSet::new());
        while let Some(pid) = next.pop() {
            let wants = locks.values().flat_map(|lock| {
                let own = lock.waiting.iter().filter(|waiting| waiting.pid == pid);
                own.flat_map(|waiting| lock.in_the_way(*waiting))
            });
            let new: Vec<i32> = wants.filter(|other| met.insert(*other)).collect();
            next.extend(new);
        }
        let turn = Turn { locks: self, key, wanted };
        drop(locks);
        if met.contains(&wanted.pid) {
            return Err(Plain::new(SqlState::DEADLOCK_DETECTED, "deadlock detected"));
        }
        Ok((turn, changed))
    }

    /// Once less.
    pub(super) fn release(&self, pid: i32, key: Key, mode: Mode) {
        self.change(key, |lock| {
            if let Some(count) = lock.holders.get_mut(&pid) {
                let of_mode = count.of(mode);
                *of_mode = of_mode.saturating_sub(1);
                if count.shared + count.exclusive == 0 {
                    lock.holders.remove(&pid);
                }
            }
        });
    }

    /// All that a session has.
    pub(super) fn release_all(&self, pid: i32) {
        let keys: Vec<Key> =
            self.lock().iter().filter(|(_, lock)| lock.holders.contains_key(&pid)).map(|(key, _)| *key).collect();
        for key in keys {
            self.change(key, |lock| {
                lock.holders.remove(&pid);
            });
        }
    }

    fn change(&self, key: Key, change: impl FnOnce(&mut Lock)) {
        let mut locks = self.lock();
        let Some(lock) = locks.get_mut(&key) else { return };
        change(lock);
        lock.changed.notify_waiters();
        if lock.holders.is_empty() && lock.waiting.is_empty() {
            locks.remove(&key);
        }
    }
}

/// A place among those that wait, given up when it is dropped.
struct Turn<'a> {
    locks: &'a LocalLocks,
    key: Key,
    wanted: Waiting,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.locks.change(self.key, |lock| {
            if let Some(place) = lock.waiting.iter().position(|waiting| *waiting == self.wanted) {
                lock.waiting.remove(place);
            }
        });
    }
}

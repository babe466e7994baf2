//! Advisory locks: what clients agree on by numbers, and the server only keeps.
//!
//! Those of a server alone are in its memory (`local.rs`); servers that share a metadata database take them there, each session on
//! a connection of its own, so that they end with it.
//!
//! Source: <https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS>.

mod local;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::local::LocalLocks;
use crate::error::{Plain, Report, SqlState};
pub use crate::metastore::AdvisoryKey as Key;
use crate::metastore::{AdvisoryCall, AdvisoryConnection, Metastore};

/// Locks that one session may have at once, of different numbers or kinds.
const LOCKS_MAX: usize = 10_000;

/// What else may be locked meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The same, by those who share it, too.
    Shared,
    /// Nothing.
    Exclusive,
}

/// When a lock ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// With the session.
    Session,
    /// With the transaction, or when it goes back behind the savepoint before it.
    Transaction,
}

/// The locks of one session. They end when it is dropped.
#[derive(Debug)]
pub struct AdvisoryLocks {
    pid: i32,
    place: Place,
    held: Mutex<Held>,
}

/// Where they are kept.
#[derive(Debug)]
enum Place {
    Here(Arc<LocalLocks>),
    /// The connection is there while there are locks.
    Database(Arc<Metastore>, tokio::sync::Mutex<Option<Arc<AdvisoryConnection>>>),
}

#[derive(Debug, Default)]
struct Held {
    /// How often each was taken until the session's end.
    session: BTreeMap<(Key, Mode), u32>,
    /// Those until the transaction's end, in order.
    transaction: Vec<(Key, Mode)>,
}

impl AdvisoryLocks {
    /// None yet. `here`: those of this server's sessions, unless others share its metadata.
    pub fn new(pid: i32, metastore: &Arc<Metastore>, here: &Arc<LocalLocks>) -> Self {
        let place = if metastore.is_shared() {
            Place::Database(Arc::clone(metastore), tokio::sync::Mutex::default())
        } else {
            Place::Here(Arc::clone(here))
        };
        Self { pid, place, held: Mutex::default() }
    }

    /// Takes a lock, once more if the session has it. Whether it got it: unless it waits, others may be in the way. `55P03` after
    /// `timeout`, `40P01` if others wait for this session, `53200`, `0A000` for a number that is the server's own; `08006` if the
    /// database does not answer.
    pub async fn acquire(
        &self,
        key: Key,
        mode: Mode,
        until: Until,
        waits: bool,
        timeout: Option<Duration>,
    ) -> Result<bool, Plain> {
        if self.held().len() >= LOCKS_MAX {
            let message = format!("too many advisory locks in one session (at most {LOCKS_MAX})");
            return Err(Plain::new(SqlState::OUT_OF_MEMORY, message));
        }
        let taken = self.take(key, mode, waits);
        let got = match timeout.filter(|_| waits) {
            Some(timeout) => tokio::time::timeout(timeout, taken).await.map_err(|_elapsed| {
                Plain::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
            })??,
            None => taken.await?,
        };
        if got {
            let mut held = self.held();
            match until {
                Until::Session => *held.session.entry((key, mode)).or_default() += 1,
                Until::Transaction => held.transaction.push((key, mode)),
            }
        }
        Ok(got)
    }

    async fn take(&self, key: Key, mode: Mode, waits: bool) -> Result<bool, Plain> {
        match &self.place {
            Place::Here(locks) => locks.acquire(self.pid, key, mode, waits).await,
            Place::Database(metastore, connection) => {
                let mut connection = connection.lock().await;
                if connection.as_ref().is_none_or(|open| open.is_closed()) {
                    self.lost_nothing()?;
                    let made = metastore.advisory_connection().await;
                    let made = made.map_err(|error| Plain::new(error.sqlstate(), error.to_string()))?;
                    *connection = made.map(Arc::new);
                }
                let Some(open) = connection.as_ref() else { return Ok(false) };
                let (waiting, asking, undo) = functions(mode);
                let function = if waits { waiting } else { asking };
                open.call(AdvisoryCall { function, undo: Some(undo), key }).await
            }
        }
    }

    /// Gives back one that the session has until its end; `false`: it has none. `08006`
    pub async fn release(&self, key: Key, mode: Mode) -> Result<bool, Plain> {
        {
            let mut held = self.held();
            let Some(count) = held.session.get_mut(&(key, mode)) else { return Ok(false) };
            *count -= 1;
            if *count == 0 {
                held.session.remove(&(key, mode));
            }
        }
        self.give_back(&[(key, mode)]).await?;
        Ok(true)
    }

    /// Gives back all that the session has until its end. `08006`
    pub async fn release_all(&self) -> Result<(), Plain> {
        let all = std::mem::take(&mut self.held().session);
        let each = all.into_iter().flat_map(|(lock, count)| (0..count).map(move |_| lock));
        self.give_back(&each.collect::<Vec<_>>()).await
    }

    /// How many the transaction has taken.
    pub fn in_transaction(&self) -> usize {
        self.held().transaction.len()
    }

    /// Gives back what the transaction has taken, but for the first ones.
    pub async fn truncate(&self, count: usize) {
        let dropped: Vec<(Key, Mode)> = {
            let mut held = self.held();
            let count = count.min(held.transaction.len());
            held.transaction.drain(count..).collect()
        };
        if let Err(error) = self.give_back(&dropped).await {
            tracing::warn!(%error, "advisory locks could not be given back");
        }
    }

    /// `08006` if locks were lost with the connection that had them. It is said once.
    pub fn still_there(&self) -> Result<(), Plain> {
        let Place::Database(_, connection) = &self.place else { return Ok(()) };
        // Who uses it finds out himself.
        let Ok(connection) = connection.try_lock() else { return Ok(()) };
        if connection.as_ref().is_some_and(|open| !open.is_closed()) { Ok(()) } else { self.lost_nothing() }
    }

    /// `08006` if there were locks on a connection that is no more.
    fn lost_nothing(&self) -> Result<(), Plain> {
        if std::mem::take(&mut *self.held()).len() == 0 {
            return Ok(());
        }
        let message = "the connection to the metadata database that had this session's advisory locks broke";
        Err(Plain::new(SqlState::CONNECTION_FAILURE, message).hint("Others may have taken them since."))
    }

    async fn give_back(&self, locks: &[(Key, Mode)]) -> Result<(), Plain> {
        match &self.place {
            Place::Here(here) => locks.iter().for_each(|(key, mode)| here.release(self.pid, *key, *mode)),
            Place::Database(_, connection) => {
                let mut connection = connection.lock().await;
                let Some(open) = connection.clone() else { return Ok(()) };
                let locks = locks.to_vec();
                // To its end, whether or not anybody waits for it.
                let given_back = tokio::spawn(async move {
                    for (key, mode) in locks {
                        let (_, _, function) = functions(mode);
                        open.call(AdvisoryCall { function, undo: None, key }).await?;
                    }
                    Ok(())
                });
                given_back
                    .await
                    .unwrap_or_else(|error| Err(Plain::new(SqlState::INTERNAL_ERROR, error.to_string())))?;
                if self.held().len() == 0 {
                    *connection = None;
                }
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// PostgreSQL's functions: one that waits, one that does not, and the one that takes back what they give.
fn functions(mode: Mode) -> (&'static str, &'static str, &'static str) {
    match mode {
        Mode::Exclusive => ("pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_unlock"),
        Mode::Shared => ("pg_advisory_lock_shared", "pg_try_advisory_lock_shared", "pg_advisory_unlock_shared"),
    }
}

impl Held {
    fn len(&self) -> usize {
        self.session.len() + self.transaction.len()
    }
}

impl Drop for AdvisoryLocks {
    fn drop(&mut self) {
        if let Place::Here(locks) = &self.place {
            locks.release_all(self.pid);
        }
    }
}

//! What VACUUM did to tables since the server started, and what it is doing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::name::ObjectId;

/// Shared by all sessions and the upkeep in the background.
#[derive(Debug, Default)]
pub struct UpkeepLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tables: BTreeMap<ObjectId, Vacuumed>,
    running: BTreeMap<u64, Running>,
    next: u64,
}

/// A table's runs of VACUUM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vacuumed {
    /// Those that a user asked for.
    pub manual: Runs,
    /// Those in the background.
    pub automatic: Runs,
}

/// Runs of VACUUM on one table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    /// How many were completed.
    pub count: i64,
    /// When the last one was completed, in microseconds since 1970.
    pub last_us: Option<i64>,
    /// How long they took together, in milliseconds.
    pub total_ms: f64,
}

/// A run that is not completed.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The connection's number; 0 for one in the background.
    pub pid: i32,
    /// What it works on.
    pub table: ObjectId,
    /// Bytes that it is to write again.
    pub bytes: u64,
}

/// A run that is in the log as long as this lives.
#[derive(Debug)]
pub struct Run {
    log: Arc<UpkeepLog>,
    number: u64,
    running: Running,
    began: Instant,
}

impl UpkeepLog {
    /// A run begins.
    pub fn begin(self: &Arc<Self>, running: Running) -> Run {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.running.insert(number, running);
        drop(inner);
        Run { log: Arc::clone(self), number, running, began: Instant::now() }
    }

    /// What was done to a table.
    pub fn table(&self, table: ObjectId) -> Vacuumed {
        self.lock().tables.get(&table).copied().unwrap_or_default()
    }

    /// Runs that are not completed, the oldest first.
    pub fn running(&self) -> Vec<Running> {
        self.lock().running.values().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// The run is completed.
    pub fn complete(self) {
        let mut inner = self.log.lock();
        let table = inner.tables.entry(self.running.table).or_default();
        let runs = if self.running.pid == 0 { &mut table.automatic } else { &mut table.manual };
        runs.count += 1;
        runs.last_us = Some(chrono::Utc::now().timestamp_micros());
        runs.total_ms += self.began.elapsed().as_secs_f64() * 1000.0;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.log.lock().running.remove(&self.number);
    }
}

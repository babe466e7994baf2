//! Sequence values. They are handed out outside transactions: in memory, where each commit stores how far the sequences it
//! drew from have come, so that no committed value is ever handed out again; or in the database if several servers draw.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::MetastoreError;
use super::db::{Db, Value};
use crate::catalog::Sequence;
use crate::error::{Plain, SqlError, SqlState};
use crate::name::ObjectId;

/// How often others may be faster.
const ATTEMPTS_MAX: usize = 1_000;

/// The last value handed out, by sequence; none for one that was never drawn from.
#[derive(Debug, Default)]
pub struct Sequences {
    /// With a database, what it had when it was last asked.
    last: Mutex<HashMap<ObjectId, i64>>,
    database: Option<Arc<Db>>,
}

impl Sequences {
    /// Sequences that other servers draw from, too.
    pub(super) fn shared(database: Arc<Db>) -> Self {
        Self { last: Mutex::default(), database: Some(database) }
    }

    /// Takes over how far sequences have come that are not known yet.
    pub(super) fn learn(&self, last_values: BTreeMap<ObjectId, i64>) {
        let mut last = self.lock();
        for (id, value) in last_values {
            last.entry(id).or_insert(value);
        }
    }

    /// The next `count` values. `2200H` says when the sequence has come to its end.
    pub fn draw(&self, id: ObjectId, name: &str, sequence: &Sequence, count: usize) -> Result<Vec<i64>, SqlError> {
        let Some(database) = &self.database else {
            let mut last = self.lock();
            let values = next(sequence, last.get(&id).copied(), count);
            // What was drawn is not given back, even if it does not suffice.
            last.extend(values.last().map(|value| (id, *value)));
            return complete(values, name, sequence, count);
        };
        wait_for(async {
            for _attempt in 0..ATTEMPTS_MAX {
                let before = self.lock().get(&id).copied();
                let values = next(sequence, before, count);
                let Some(after) = values.last() else { return complete(values, name, sequence, count) };
                if advance(database, id, before, *after).await? {
                    self.lock().insert(id, *after);
                    return complete(values, name, sequence, count);
                }
                self.restart(id, stored(database, id).await?);
            }
            let message = format!("could not draw from sequence \"{name}\": other servers are faster");
            Err(Plain::new(SqlState::LOCK_NOT_AVAILABLE, message).into())
        })
    }

    /// Forgets all but those of temporary objects.
    pub fn keep_temporary(&self) {
        self.lock().retain(|id, _| id.is_temporary());
    }

    /// The last value handed out, if any was.
    pub fn last(&self, id: ObjectId) -> Result<Option<i64>, MetastoreError> {
        match &self.database {
            Some(database) => wait_for(stored(database, id)),
            None => Ok(self.known(id)),
        }
    }

    /// Goes on after `last`; with `None` from the sequence's start.
    pub fn set(&self, id: ObjectId, last: Option<i64>) -> Result<(), MetastoreError> {
        if let Some(database) = &self.database {
            wait_for(store(database, id, last))?;
        }
        self.restart(id, last);
        Ok(())
    }

    /// The last value that this server knows of.
    pub fn known(&self, id: ObjectId) -> Option<i64> {
        self.lock().get(&id).copied()
    }

    /// As [`Sequences::set`], where the database knows it already or need not know it.
    pub fn restart(&self, id: ObjectId, last: Option<i64>) {
        match last {
            Some(last) => self.lock().insert(id, last),
            None => self.lock().remove(&id),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, i64>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits where nobody can be awaited: a function is evaluated.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// The values after `last`; fewer than `count` where the sequence ends.
fn next(sequence: &Sequence, mut last: Option<i64>, count: usize) -> Vec<i64> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let next = match last {
            None => sequence.start,
            Some(last) => {
                let next = last.checked_add(sequence.increment).filter(|n| (sequence.min..=sequence.max).contains(n));
                match next {
                    Some(next) => next,
                    None if sequence.cycle && sequence.increment > 0 => sequence.min,
                    None if sequence.cycle => sequence.max,
                    None => break,
                }
            }
        };
        values.push(next);
        last = Some(next);
    }
    values
}

fn complete(values: Vec<i64>, name: &str, sequence: &Sequence, count: usize) -> Result<Vec<i64>, SqlError> {
    if values.len() == count { Ok(values) } else { Err(exhausted(name, sequence).into()) }
}

async fn stored(database: &Db, id: ObjectId) -> Result<Option<i64>, MetastoreError> {
    let sql = "SELECT last_value FROM boathouse_sequence WHERE sequence_id = $1";
    let rows = database.query_quickly(sql, vec![id.0.into()]).await?;
    rows.first().map(|row| row.int(0)).transpose()
}

async fn store(database: &Db, id: ObjectId, last: Option<i64>) -> Result<(), MetastoreError> {
    let id = Value::from(id.0);
    let (sql, values) = match last {
        Some(last) => (
            "INSERT INTO boathouse_sequence (sequence_id, last_value) VALUES ($1, $2)
             ON CONFLICT (sequence_id) DO UPDATE SET last_value = excluded.last_value",
            vec![id, last.into()],
        ),
        None => ("DELETE FROM boathouse_sequence WHERE sequence_id = $1", vec![id]),
    };
    database.query_quickly(sql, values).await.map(drop)
}

/// Moves a sequence on, unless others have moved it.
async fn advance(database: &Db, id: ObjectId, before: Option<i64>, after: i64) -> Result<bool, MetastoreError> {
    let (id, after) = (Value::from(id.0), Value::from(after));
    let (sql, values) = match before {
        Some(before) => (
            "UPDATE boathouse_sequence SET last_value = $1 WHERE sequence_id = $2 AND last_value = $3
             RETURNING sequence_id",
            vec![after, id, before.into()],
        ),
        None => (
            "INSERT INTO boathouse_sequence (sequence_id, last_value) VALUES ($1, $2) ON CONFLICT DO NOTHING
             RETURNING sequence_id",
            vec![id, after],
        ),
    };
    Ok(!database.query_quickly(sql, values).await?.is_empty())
}

fn exhausted(name: &str, sequence: &Sequence) -> Plain {
    let (end, value) = if sequence.increment > 0 { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
    Plain::new(
        SqlState::SEQUENCE_LIMIT_EXCEEDED,
        format!("nextval: reached {end} value of sequence \"{name}\" ({value})"),
    )
}

//! What a session has open, for it to see: prepared statements and cursors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;

use crate::types::PgType;

/// A prepared statement, as `pg_prepared_statements` shows it.
#[derive(Clone, Debug)]
pub struct PreparedEntry {
    /// What it goes by; empty: it is not listed.
    pub name: String,
    /// As the client sent it.
    pub statement: String,
    /// The types of its parameters.
    pub parameters: Vec<PgType>,
    /// The types of its columns; `None`: it has no rows.
    pub results: Option<Vec<PgType>>,
    /// By PREPARE, not by a message of the protocol.
    pub from_sql: bool,
}

/// A cursor, as `pg_cursors` shows it.
#[derive(Clone, Debug)]
pub struct CursorEntry {
    /// What it goes by.
    pub name: String,
    /// The DECLARE as the client sent it.
    pub statement: String,
    /// WITH HOLD.
    pub hold: bool,
    /// SCROLL.
    pub scroll: bool,
}

/// Entries in the order in which they came, with the time of that in microseconds since 1970.
#[derive(Debug)]
pub struct Listing<T>(Mutex<BTreeMap<(i64, usize), T>>);

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Listing<T> {
    /// Lists something until what is returned is dropped.
    pub fn add(self: &Arc<Self>, entry: T) -> Listed<T> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Utc::now().timestamp_micros();
        let last = entries.last_key_value().map_or(0, |((_, number), _)| number + 1);
        let place = (now, last);
        entries.insert(place, entry);
        Listed { listing: Arc::clone(self), place }
    }

    /// All of them, each with its time.
    pub fn entries(&self) -> Vec<(i64, T)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|((time, _), entry)| (*time, entry.clone())).collect()
    }
}

/// Something that is listed as long as this is there.
#[derive(Debug)]
pub struct Listed<T> {
    listing: Arc<Listing<T>>,
    place: (i64, usize),
}

impl<T> Drop for Listed<T> {
    fn drop(&mut self) {
        self.listing.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// What a session has open.
#[derive(Debug, Default)]
pub struct OpenObjects {
    /// Its prepared statements that have a name.
    pub prepared: Arc<Listing<PreparedEntry>>,
    /// Its cursors.
    pub cursors: Arc<Listing<CursorEntry>>,
}

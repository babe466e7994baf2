//! Cursors of SQL: queries that run as their rows are fetched.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::Mutex;

use super::Session;
use super::scroll::{Fetched, Rows};
use crate::error::{Plain, SqlError, SqlState};
use crate::execute::Outcome;
use crate::listing::{CursorEntry, Listed};
use crate::statement::{Declare, Fetch};

/// Cursors that one session may have open.
const CURSORS_MAX: usize = 1_000;

/// An open cursor.
#[derive(Debug)]
pub(super) struct OpenCursor {
    pub(super) fields: Vec<FieldRef>,
    rows: Arc<Mutex<Rows>>,
    /// It outlives its transaction.
    pub(super) hold: bool,
    /// Its transaction is over.
    pub(super) committed: bool,
    /// Savepoints that its transaction had when it was declared.
    pub(super) savepoints: usize,
    /// For the session to see.
    _listed: Listed<CursorEntry>,
}

impl Session {
    /// Whether a cursor of that name may be declared now. `25P01`, `42P03`, `54000`.
    pub(super) fn may_declare(&self, declare: &Declare) -> Result<(), SqlError> {
        if !declare.hold && !self.is_in_block() {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Plain::new(SqlState::NO_ACTIVE_TRANSACTION, message).into());
        }
        if self.cursors.contains_key(&declare.name) || self.portals.contains_key(&declare.name) {
            let message = format!("cursor \"{}\" already exists", declare.name);
            return Err(Plain::new(SqlState::DUPLICATE_CURSOR, message).into());
        }
        if self.cursors.len() >= CURSORS_MAX {
            let message = format!("too many cursors in one session (at most {CURSORS_MAX})");
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
        }
        Ok(())
    }

    /// Keeps a query's rows for FETCH.
    pub(super) fn keep_cursor(
        &mut self,
        (declare, text): (&Declare, &str),
        fields: Vec<FieldRef>,
        stream: SendableRecordBatchStream,
    ) {
        let pool = &self.shared.engine.runtime().memory_pool;
        let memory = declare.scroll.then(|| MemoryConsumer::new("scrolling cursor").register(pool));
        let rows = Arc::new(Mutex::new(Rows::new(stream, memory)));
        let cursor = OpenCursor {
            fields,
            rows,
            hold: declare.hold,
            committed: false,
            savepoints: self.savepoint_count(),
            _listed: self.open_objects.cursors.add(CursorEntry {
                name: declare.name.clone(),
                statement: text.to_owned(),
                hold: declare.hold,
                scroll: declare.scroll,
            }),
        };
        self.cursors.insert(declare.name.clone(), cursor);
    }

    /// `34000` if there is no such cursor.
    pub(super) fn cursor(&self, name: &str) -> Result<&OpenCursor, SqlError> {
        self.cursors.get(name).ok_or_else(|| no_cursor(name))
    }

    /// Moves a cursor: the rows that it meets, or their number if they are passed over. `34000`, `55000`.
    pub(super) async fn fetch_cursor(&mut self, fetch: &Fetch) -> Result<Outcome, SqlError> {
        let cursor = self.cursor(&fetch.name)?;
        let mut rows = cursor.rows.lock().await;
        if rows.failed {
            let message = format!("portal \"{}\" cannot be run", fetch.name);
            return Err(Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        }
        let fetched = rows.fetch(fetch.direction).await.map_err(SqlError::from_engine)?;
        if fetch.skip {
            let moved = match fetched {
                Fetched::Rows(batches) => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
                Fetched::Next(count) => rows.skip(count).await.map_err(SqlError::from_engine)?,
            };
            return Ok(Outcome::Done(format!("MOVE {moved}")));
        }
        drop(rows);
        let fields = cursor.fields.clone();
        let schema = Arc::new(Schema::new(fields.clone()));
        let stream: SendableRecordBatchStream = match fetched {
            Fetched::Rows(batches) => {
                Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches).map(Ok)))
            }
            Fetched::Next(count) => {
                let next = |(rows, left): (Arc<Mutex<Rows>>, u64)| async move {
                    let batch = if left == 0 { None } else { rows.lock().await.next(left).await? };
                    Ok(batch.map(|batch| {
                        let left = left - batch.num_rows() as u64;
                        (batch, (rows, left))
                    }))
                };
                let batches = futures::stream::try_unfold((Arc::clone(&cursor.rows), count), next);
                Box::pin(RecordBatchStreamAdapter::new(schema, batches))
            }
        };
        Ok(Outcome::Rows { fields, stream, tag: "FETCH" })
    }

    /// `None`: all of them. `34000` if there is no such cursor.
    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<(), SqlError> {
        match name {
            None => self.cursors.clear(),
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
            }
        }
        Ok(())
    }
}

fn no_cursor(name: &str) -> SqlError {
    Plain::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist")).into()
}

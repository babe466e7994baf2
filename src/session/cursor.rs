//! Cursors of SQL: queries that run as their rows are fetched.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::Mutex;

use super::Session;
use crate::error::{Plain, SqlError, SqlState};
use crate::execute::Outcome;
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
}

struct Rows {
    /// `None`: it has come to its end.
    stream: Option<SendableRecordBatchStream>,
    /// Rows that were read and not fetched yet.
    rest: Option<RecordBatch>,
    /// It gives no more rows.
    failed: bool,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("rest", &self.rest.as_ref().map(RecordBatch::num_rows)).finish_non_exhaustive()
    }
}

impl Rows {
    /// Some of the next rows, at most `limit`; `None` at the end.
    async fn next(&mut self, limit: u64) -> Result<Option<RecordBatch>, DataFusionError> {
        let batch = loop {
            if let Some(rest) = self.rest.take() {
                break rest;
            }
            let Some(stream) = &mut self.stream else { return Ok(None) };
            match stream.next().await.transpose().inspect_err(|_error| self.failed = true)? {
                Some(batch) if batch.num_rows() > 0 => break batch,
                Some(_empty) => {}
                None => {
                    self.stream = None;
                    return Ok(None);
                }
            }
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if batch.num_rows() <= limit {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(limit, batch.num_rows() - limit));
        Ok(Some(batch.slice(0, limit)))
    }
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
    pub(super) fn keep_cursor(&mut self, declare: &Declare, fields: Vec<FieldRef>, stream: SendableRecordBatchStream) {
        let rows = Arc::new(Mutex::new(Rows { stream: Some(stream), rest: None, failed: false }));
        let cursor =
            OpenCursor { fields, rows, hold: declare.hold, committed: false, savepoints: self.savepoint_count() };
        self.cursors.insert(declare.name.clone(), cursor);
    }

    /// `34000` if there is no such cursor.
    pub(super) fn cursor(&self, name: &str) -> Result<&OpenCursor, SqlError> {
        self.cursors.get(name).ok_or_else(|| no_cursor(name))
    }

    /// The next rows of a cursor, or their number if they are passed over.
    pub(super) async fn fetch_cursor(&mut self, fetch: &Fetch) -> Result<Outcome, SqlError> {
        if self.cursor(&fetch.name)?.rows.lock().await.failed {
            self.close_cursor(Some(&fetch.name))?;
        }
        let cursor = self.cursor(&fetch.name)?;
        let left = fetch.count.unwrap_or(u64::MAX);
        if fetch.skip {
            let mut rows = cursor.rows.lock().await;
            let mut skipped = 0;
            while skipped < left
                && let Some(batch) = rows.next(left - skipped).await.map_err(SqlError::from_engine)?
            {
                skipped += batch.num_rows() as u64;
            }
            return Ok(Outcome::Done(format!("MOVE {skipped}")));
        }
        let rows = Arc::clone(&cursor.rows);
        let batches = futures::stream::try_unfold((rows, left), |(rows, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let batch = rows.lock().await.next(left).await?;
            Ok(batch.map(|batch| {
                let left = left - batch.num_rows() as u64;
                (batch, (rows, left))
            }))
        });
        let fields = cursor.fields.clone();
        let schema = Arc::new(Schema::new(fields.clone()));
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
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

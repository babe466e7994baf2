//! The rows of a cursor, and the way through them.
//!
//! Source: <https://www.postgresql.org/docs/18/sql-fetch.html>.

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;

use crate::error::{Plain, SqlError, SqlState};
use crate::statement::Direction;

/// A query's rows, read as they are asked for.
pub(super) struct Rows {
    /// `None`: it has come to its end.
    stream: Option<SendableRecordBatchStream>,
    /// Rows that were read and are not behind the cursor yet. One that scrolls keeps all of its rows instead.
    rest: Option<RecordBatch>,
    /// It gives no more rows.
    pub(super) failed: bool,
    /// The row that the cursor is on, counted from 1; 0: it is before the first.
    position: u64,
    /// Whether it is behind the last row.
    after_last: bool,
    kept: Option<Kept>,
}

/// All rows so far of a cursor that scrolls.
struct Kept {
    batches: Vec<RecordBatch>,
    rows: u64,
    memory: MemoryReservation,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("position", &self.position).finish_non_exhaustive()
    }
}

/// What FETCH gives: rows that are there, or so many of those to come.
pub(super) enum Fetched {
    Rows(Vec<RecordBatch>),
    Next(u64),
}

impl Rows {
    /// `memory`: where a cursor that scrolls reserves what its rows take.
    pub(super) fn new(stream: SendableRecordBatchStream, memory: Option<MemoryReservation>) -> Self {
        let kept = memory.map(|memory| Kept { batches: Vec::new(), rows: 0, memory });
        Self { stream: Some(stream), rest: None, failed: false, position: 0, after_last: false, kept }
    }

    /// Moves, and tells which rows that gives. `55000` for a cursor that does not scroll and would have to.
    pub(super) async fn fetch(&mut self, direction: Direction) -> Result<Fetched> {
        let fetched = match self.kept {
            Some(_) => self.scroll(direction).await.map(Fetched::Rows),
            None => self.go_on(direction).await,
        };
        self.failed |= fetched.is_err();
        fetched
    }

    async fn go_on(&mut self, direction: Direction) -> Result<Fetched> {
        let on_row = self.position > 0 && !self.after_last;
        match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) if !on_row => {
                Ok(Fetched::Rows(vec![]))
            }
            Direction::Forward(None) => Ok(Fetched::Next(u64::MAX)),
            Direction::Forward(Some(count)) if count > 0 => Ok(Fetched::Next(count)),
            Direction::Relative(_) | Direction::Absolute(_) => {
                let skipped = match direction {
                    Direction::Relative(by) => u64::try_from(by).ok(),
                    Direction::Absolute(to) => u64::try_from(to).ok().and_then(|to| to.checked_sub(self.position)),
                    _ => None,
                };
                match skipped.and_then(|by| by.checked_sub(1)) {
                    Some(before) => {
                        self.skip(before).await?;
                        Ok(Fetched::Next(1))
                    }
                    None if direction == Direction::Absolute(0) && self.position == 0 => Ok(Fetched::Rows(vec![])),
                    None => Err(forward_only()),
                }
            }
            Direction::Forward(_) | Direction::Backward(_) => Err(forward_only()),
        }
    }

    /// Passes over some of the next rows; tells how many there were.
    pub(super) async fn skip(&mut self, count: u64) -> Result<u64> {
        let mut skipped = 0;
        while skipped < count
            && let Some(batch) = self.next(count - skipped).await?
        {
            skipped += batch.num_rows() as u64;
        }
        Ok(skipped)
    }

    /// Some of the next rows, at most `limit`; `None` at the end.
    pub(super) async fn next(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let read = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.read().await?,
        };
        let Some(batch) = read else {
            self.after_last = true;
            return Ok(None);
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let taken = batch.slice(0, batch.num_rows().min(limit));
        if batch.num_rows() > limit {
            self.rest = Some(batch.slice(limit, batch.num_rows() - limit));
        }
        self.position += taken.num_rows() as u64;
        Ok(Some(taken))
    }

    /// The next rows of the query, at least one; `None` at its end.
    async fn read(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(stream) = &mut self.stream {
            match stream.next().await.transpose().inspect_err(|_error| self.failed = true)? {
                Some(batch) if batch.num_rows() > 0 => return Ok(Some(batch)),
                Some(_empty) => {}
                None => self.stream = None,
            }
        }
        Ok(None)
    }

    /// Reads until there are so many rows, or no more. How many there are. `53200`
    async fn keep(&mut self, count: u64) -> Result<u64> {
        loop {
            let rows = self.kept.as_ref().map_or(0, |kept| kept.rows);
            if rows >= count {
                return Ok(rows);
            }
            let Some(batch) = self.read().await? else { return Ok(rows) };
            if let Some(kept) = &mut self.kept {
                kept.memory.try_grow(batch.get_array_memory_size())?;
                kept.rows += batch.num_rows() as u64;
                kept.batches.push(batch);
            }
        }
    }

    /// The rows that a direction gives, in its order; then the cursor is on the last of them, or where the rows end.
    async fn scroll(&mut self, direction: Direction) -> Result<Vec<RecordBatch>> {
        let at = self.position;
        match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => self.kept(at, at),
            Direction::Forward(count) => {
                let wanted = count.map_or(u64::MAX, |count| at.saturating_add(count));
                let there = self.keep(wanted).await?;
                self.position = wanted.min(there + 1);
                self.kept(at + 1, wanted.min(there))
            }
            Direction::Backward(count) => {
                let first = count.map_or(0, |count| at.saturating_sub(count));
                self.position = first;
                let batches = self.kept(first.max(1), at.saturating_sub(1))?;
                batches.iter().rev().map(reversed).collect()
            }
            Direction::Absolute(to) => self.go(to).await,
            Direction::Relative(by) => self.go(i64::try_from(at).unwrap_or(i64::MAX).saturating_add(by).max(0)).await,
        }
    }

    /// One row, by its number; from the end, if that is negative.
    async fn go(&mut self, to: i64) -> Result<Vec<RecordBatch>> {
        let there = self.keep(if to < 0 { u64::MAX } else { to.unsigned_abs() }).await?;
        let target = to.unsigned_abs();
        self.position = if to < 0 { (there + 1).saturating_sub(target) } else { target.min(there + 1) };
        self.kept(self.position, self.position)
    }

    /// Kept rows from one number to another, both included.
    fn kept(&self, first: u64, last: u64) -> Result<Vec<RecordBatch>> {
        let Some(kept) = &self.kept else { return Ok(vec![]) };
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut before = 0;
        let slices = kept.batches.iter().filter_map(|batch| {
            let begins = before;
            before += batch.num_rows() as u64;
            let (from, to) = (first.max(begins + 1), last.min(before));
            (first > 0 && from <= to).then(|| batch.slice(place(from - begins - 1), place(to - from + 1)))
        });
        Ok(slices.collect())
    }
}

fn reversed(batch: &RecordBatch) -> Result<RecordBatch> {
    let rows = UInt64Array::from_iter_values((0..batch.num_rows() as u64).rev());
    Ok(take_record_batch(batch, &rows)?)
}

fn forward_only() -> DataFusionError {
    let error = Plain::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward");
    SqlError::from(error.hint("Declare it with SCROLL option to enable backward scan.")).into()
}

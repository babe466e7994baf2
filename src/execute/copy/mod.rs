//! COPY FROM: the connection, or a reader of files, hands over bytes as they come; workers parse and write them side by side.
//!
//! Between them are bounded channels: a client that is faster than the disk has to wait.

mod encoder;
mod fields;
mod parse;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use arrow::array::ArrayRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;
use futures::TryStreamExt;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

pub use self::encoder::CopyEncoder;
use self::fields::Fields;
use self::parse::{Parsed, parse_chunk, shown};
use self::split::{Chunk, Splitter};
use super::Stores;
use super::rows::RowChecks;
use crate::error::{Notice, Plain, SqlError, SqlState, internal};
use crate::lake::Location;
use crate::name::ObjectId;
use crate::plan::{ColumnSource, CopyPlan, Scope, evaluate_default};
use crate::setting::Zone;
use crate::statement::{CopyFormat, CopyOptions, Header, Verbosity};
use crate::transaction::Transaction;
use crate::types::PgType;
use crate::warehouse::{TableWriter, Written};

/// Chunks that may wait for a worker.
const QUEUE_CHUNKS: usize = 4;
/// Rows that `LOG_VERBOSITY` verbose names one by one.
const TOLD_MAX: usize = 10_000;

/// What all chunks of one COPY have in common.
#[derive(Debug)]
struct Layout {
    table: String,
    names: Vec<String>,
    types: Vec<PgType>,
    options: CopyOptions,
    /// Which columns have a default.
    defaults: Vec<bool>,
    zone: Zone,
    /// Names of the files; empty: the client sends the data.
    files: Vec<String>,
    /// Rows passed over because of `ON_ERROR` ignore.
    skipped: AtomicU64,
    /// What `LOG_VERBOSITY` verbose says about them, in their order.
    told: std::sync::Mutex<BTreeMap<Position, String>>,
}

/// A line of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    /// Among [`Layout::files`].
    file: usize,
    /// From 1, within its file.
    line: u64,
}

impl Layout {
    /// A line as `CONTEXT` names it.
    fn place(&self, position: Position) -> String {
        let Position { file, line } = position;
        match self.files.get(file) {
            Some(file) => format!("COPY {}, file \"{file}\", line {line}", self.table),
            None => format!("COPY {}, line {line}", self.table),
        }
    }

    fn name(&self, column: usize) -> &str {
        self.names.get(column).map(String::as_str).unwrap_or_default()
    }

    /// Tells of a row that is passed over.
    fn say(&self, position: Position, column: &str, value: &[u8]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX {
            let line = match self.files.get(position.file) {
                Some(file) => format!("line {} of file \"{file}\"", position.line),
                None => format!("line {}", position.line),
            };
            let reason = "skipping row due to data type incompatibility";
            told.insert(position, format!("{reason} at {line} for column \"{column}\": \"{}\"", shown(value)));
        }
    }

    /// What was said about single rows.
    fn told(&self) -> impl Iterator<Item = Notice> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let context = format!("COPY {}", self.table);
        told.into_values().map(move |text| {
            let context = Some(context.clone());
            Notice { context, ..Notice::new(SqlState::SUCCESSFUL_COMPLETION, text) }
        })
    }

    /// How many rows were passed over.
    fn summary(&self) -> Option<Notice> {
        let rows = match self.skipped.load(Ordering::Acquire) {
            0 => return None,
            1 => "1 row was skipped".to_owned(),
            several => format!("{several} rows were skipped"),
        };
        let text = format!("{rows} due to data type incompatibility");
        (self.options.verbosity != Verbosity::Silent).then(|| Notice::new(SqlState::SUCCESSFUL_COMPLETION, text))
    }
}

/// A COPY FROM STDIN in progress. Dropped without [`CopyIn::finish`], nothing of it is visible.
pub struct CopyIn {
    table: ObjectId,
    layout: Arc<Layout>,
    shape: Arc<Shape>,
    splitter: Splitter,
    /// Whichever worker is free takes the next chunk.
    chunks: Option<mpsc::Sender<Chunk>>,
    /// Whether the client has sent everything: without it, no file is finished.
    ended: Arc<AtomicBool>,
    tasks: JoinSet<Result<Written, Failed>>,
    sequences: Vec<ObjectId>,
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn").field("table", &self.table).finish_non_exhaustive()
    }
}

fn bad(message: impl Into<String>) -> SqlError {
    Plain::new(SqlState::BAD_COPY_FILE_FORMAT, message).into()
}

/// What a worker makes of parsed columns.
struct Shape {
    columns: Vec<Shaped>,
    checks: RowChecks,
}

enum Shaped {
    Data(usize, Option<Arc<dyn PhysicalExpr>>),
    Default(Arc<dyn PhysicalExpr>),
}

impl CopyIn {
    /// `files`: their names, if it is not the client who sends the data.
    pub(super) fn start(scope: &Scope, stores: &Stores, copy: CopyPlan, files: Vec<String>) -> Result<Self, SqlError> {
        let table = copy.table.ok_or_else(|| internal("COPY FROM without a table"))?;
        let relation = scope.ctx.catalog.relation(table).ok_or_else(|| internal("the table of a COPY is gone"))?;
        let mut defaults = vec![false; copy.names.len()];
        for source in &copy.shape {
            if let ColumnSource::Data { index, default } = source
                && let Some(has) = defaults.get_mut(*index)
            {
                *has = default.is_some();
            }
        }
        let layout = Arc::new(Layout {
            table: relation.name.clone(),
            names: copy.names,
            types: copy.types,
            options: copy.options,
            defaults,
            zone: scope.ctx.settings.time_zone(),
            files,
            skipped: AtomicU64::new(0),
            told: std::sync::Mutex::default(),
        });
        let empty = DFSchema::empty();
        let physical = |expr: &datafusion::logical_expr::Expr| {
            scope.engine.physical_expr(expr, &empty).map_err(SqlError::from_engine)
        };
        let columns = copy.shape.iter().map(|source| match source {
            ColumnSource::Data { index, default } => {
                Ok(Shaped::Data(*index, default.as_deref().map(physical).transpose()?))
            }
            ColumnSource::Default(expr) => Ok(Shaped::Default(physical(expr)?)),
        });
        let columns = columns.collect::<Result<Vec<_>, SqlError>>()?;
        let checks = RowChecks::new(scope, table, relation, copy.filter.as_ref(), &copy.checks, |_| true)?;
        let shape = Arc::new(Shape { columns, checks });
        let mut tasks = JoinSet::new();
        let (sender, receiver) = mpsc::channel(QUEUE_CHUNKS);
        let receiver = Arc::new(Mutex::new(receiver));
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..stores.workers.max(1) {
            let writer = TableWriter::new(&stores.warehouse, &scope.ctx.catalog, relation)?;
            let (layout, shape) = (Arc::clone(&layout), Arc::clone(&shape));
            let (chunks, ended, turns) = (Arc::clone(&receiver), Arc::clone(&ended), Arc::clone(&stores.turns));
            tasks.spawn(Worker { chunks, ended, turns, writer, layout, shape }.run());
        }
        let sequences =
            relation.columns.iter().filter_map(|column| column.identity.as_ref().map(|identity| identity.sequence));
        Ok(Self {
            table,
            splitter: Splitter::new(&layout.options, 0),
            sequences: sequences.collect(),
            layout,
            shape,
            chunks: Some(sender),
            ended,
            tasks,
        })
    }

    /// The table that gets the rows.
    pub fn table(&self) -> ObjectId {
        self.table
    }

    /// Fields in each row that the client sends; columns filled by their defaults do not count.
    pub fn columns(&self) -> usize {
        self.layout.names.len()
    }

    /// Whether the client sends rows in the binary format; else as text or CSV.
    pub fn is_binary(&self) -> bool {
        self.layout.options.format == CopyFormat::Binary
    }

    /// Where the reading is: `CONTEXT` of an error that the client caused.
    pub fn context(&self) -> String {
        self.layout.place(self.splitter.position())
    }

    /// Takes bytes, cut anywhere. Waits while the workers are busy.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), SqlError> {
        self.splitter.feed(bytes)?;
        self.hand_out(false).await
    }

    async fn hand_out(&mut self, at_end: bool) -> Result<(), SqlError> {
        if let Some(line) = self.splitter.take_header() {
            let first = Position { line: 1, ..self.splitter.position() };
            let context = || format!("{}: \"{}\"", self.layout.place(first), shown(&line));
            self.check_header(&line).map_err(|error| error.with_context(context))?;
        }
        while let Some(chunk) = self.splitter.take_chunk(at_end) {
            let chunks = self.chunks.as_ref().ok_or_else(|| internal("COPY has no workers"))?;
            if chunks.send(chunk).await.is_err() {
                return Err(self.failure().await);
            }
        }
        Ok(())
    }

    fn check_header(&self, line: &[u8]) -> Result<(), SqlError> {
        if self.layout.options.header != Header::Match {
            return Ok(());
        }
        let names = Fields::header(&self.layout.options, line)?;
        if names.len() != self.layout.names.len() {
            let message = format!(
                "wrong number of fields in header line: got {}, expected {}",
                names.len(),
                self.layout.names.len()
            );
            return Err(bad(message));
        }
        for (index, (given, wanted)) in names.iter().zip(&self.layout.names).enumerate() {
            if given != wanted {
                let number = index + 1;
                return Err(bad(format!(
                    "column name mismatch in header line field {number}: got \"{given}\", expected \"{wanted}\""
                )));
            }
        }
        Ok(())
    }

    /// Why a worker gave up.
    async fn failure(&mut self) -> SqlError {
        match self.written().await.1 {
            Err(error) => error,
            Ok(()) => internal("a COPY worker ended without a reason").into(),
        }
    }

    /// What the workers wrote; no more chunks come. Of several errors the one in the first chunk is told.
    async fn written(&mut self) -> (Vec<Written>, Result<(), SqlError>) {
        self.chunks = None;
        let mut all = Vec::new();
        let mut first: Option<Failed> = None;
        while let Some(done) = self.tasks.join_next().await {
            let failed = |error| Failed { at: LAST, error: internal(error).into() };
            match done.unwrap_or_else(|error| Err(failed(error))) {
                Ok(written) => all.push(written),
                Err(failed) if first.as_ref().is_none_or(|first| failed.at < first.at) => first = Some(failed),
                Err(_later) => {}
            }
        }
        (all, first.map_or(Ok(()), |first| Err(first.error)))
    }

    /// A file is over: what comes is the next one's.
    pub(super) async fn next_file(&mut self) -> Result<(), SqlError> {
        self.end_input().await?;
        let file = self.splitter.position().file + 1;
        self.splitter = Splitter::new(&self.layout.options, file);
        Ok(())
    }

    async fn end_input(&mut self) -> Result<(), SqlError> {
        if let Err(error) = self.splitter.finish() {
            let (begin, record) = self.splitter.unfinished();
            let context = format!("{}: \"{}\"", self.layout.place(begin), shown(record));
            // What is wrong before it comes first.
            self.hand_out(true).await?;
            self.written().await.1?;
            return Err(error.with_context(|| context));
        }
        self.hand_out(true).await
    }

    /// All data has come. Returns how many rows there were; also when it fails, `notices` get what is to be said.
    pub async fn finish(mut self, transaction: &mut Transaction, notices: &mut Vec<Notice>) -> Result<u64, SqlError> {
        let ended = self.end_input().await;
        let rows = match ended {
            Ok(()) => self.stage(transaction).await,
            Err(error) => Err(error),
        };
        notices.extend(self.layout.told());
        let rows = rows?;
        notices.extend(self.layout.summary());
        Ok(rows)
    }

    async fn stage(&mut self, transaction: &mut Transaction) -> Result<u64, SqlError> {
        self.ended.store(true, Ordering::Release);
        let mut rows = 0;
        let (all, outcome) = self.written().await;
        let new = match &outcome {
            Ok(()) => self.shape.checks.keys_are_new(transaction).await,
            Err(_) => Ok(()),
        };
        for written in all {
            rows += written.rows;
            // Also after a failure: the transaction's end deletes the files.
            transaction.stage(self.table, written)?;
        }
        outcome.and(new)?;
        self.shape.checks.finish(transaction).await?;
        transaction.drew_from(std::mem::take(&mut self.sequences));
        Ok(rows)
    }
}

/// `COPY t FROM 's3://…'`: the files' bytes take the road of those that a client sends.
pub(super) async fn from_files(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    copy: CopyPlan,
    location: &Location,
    notices: &mut Vec<Notice>,
) -> Result<u64, SqlError> {
    let files = scope.guard.files(&scope.ctx, scope.engine.state(), location).await?;
    let names = files.iter().map(|file| file.name().to_owned()).collect();
    let mut copy = CopyIn::start(scope, stores, copy, names)?;
    for (index, file) in files.iter().enumerate() {
        if index > 0 {
            copy.next_file().await?;
        }
        let mut bytes = file.read().await.map_err(SqlError::from_engine)?;
        while let Some(part) = bytes.try_next().await.map_err(SqlError::from_engine)? {
            copy.feed(&part).await?;
        }
    }
    copy.finish(transaction, notices).await
}

/// Behind every line.
const LAST: Position = Position { file: usize::MAX, line: u64::MAX };

/// An error, and the first line of the chunk it is in.
struct Failed {
    at: Position,
    error: SqlError,
}

struct Worker {
    chunks: Arc<Mutex<mpsc::Receiver<Chunk>>>,
    ended: Arc<AtomicBool>,
    turns: Arc<Semaphore>,
    writer: TableWriter,
    layout: Arc<Layout>,
    shape: Arc<Shape>,
}

impl Worker {
    async fn run(mut self) -> Result<Written, Failed> {
        let mut at = Position { file: 0, line: 0 };
        loop {
            let next = self.chunks.lock().await.recv().await;
            let Some(chunk) = next else { break };
            at = chunk.first;
            let gone = |error| Failed { at, error };
            // On a thread of its own, or it would keep connections waiting for one; but on none while the client is idle.
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let turn = turn.map_err(|error| gone(internal(error).into()))?;
            let runtime = Handle::current();
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                let written = runtime.block_on(self.write(&chunk));
                (self, written)
            });
            let (worker, written) = done.await.map_err(|error| gone(internal(error).into()))?;
            self = worker;
            if let Err(error) = written {
                // The others finish what they have: an earlier line may be wrong, too.
                self.chunks.lock().await.close();
                return Err(Failed { at, error });
            }
        }
        if !self.ended.load(Ordering::Acquire) {
            return Ok(Written::default());
        }
        self.writer.finish().await.map_err(|error| Failed { at, error: error.into() })
    }

    async fn write(&mut self, chunk: &Chunk) -> Result<(), SqlError> {
        let parsed = parse_chunk(&self.layout, chunk)?;
        let batch = self.shape.batch(&parsed)?;
        Ok(self.writer.write(batch).await?)
    }
}

impl Shape {
    fn batch(&self, parsed: &Parsed) -> Result<RecordBatch, SqlError> {
        let rows = parsed.columns.first().map_or(0, |column| column.values.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            columns.push(match column {
                Shaped::Data(index, default) => {
                    let column = parsed.columns.get(*index);
                    let column = column.ok_or_else(|| internal("COPY has fewer columns than planned"))?;
                    match default {
                        Some(default) if !column.defaults.is_empty() => {
                            let values = evaluate_default(default, column.defaults.len())?;
                            with_defaults(&column.values, &values, &column.defaults)?
                        }
                        _ => Arc::clone(&column.values),
                    }
                }
                Shaped::Default(expr) => evaluate_default(expr, rows)?,
            });
        }
        let fields = columns
            .iter()
            .enumerate()
            .map(|(index, array)| arrow::datatypes::Field::new(index.to_string(), array.data_type().clone(), true));
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options).map_err(SqlError::from_arrow)?;
        self.checks.apply(&batch)
    }
}

/// A column with other values in some rows, which are given in order.
fn with_defaults(column: &ArrayRef, values: &ArrayRef, rows: &[usize]) -> Result<ArrayRef, SqlError> {
    let engine = |error: arrow::error::ArrowError| SqlError::from_engine(error.into());
    let values = arrow::compute::cast(values, column.data_type()).map_err(engine)?;
    let mut places: Vec<(usize, usize)> = (0..column.len()).map(|row| (0, row)).collect();
    for (index, row) in rows.iter().enumerate() {
        if let Some(place) = places.get_mut(*row) {
            *place = (1, index);
        }
    }
    arrow::compute::interleave(&[column.as_ref(), values.as_ref()], &places).map_err(engine)
}

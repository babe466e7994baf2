//! COPY FROM STDIN: the connection hands over bytes as they come; workers parse and write them side by side.
//!
//! Between them are bounded channels: a client that is faster than the disk has to wait.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Stores;
use super::copy_parse::{Chunk, Layout, Splitter, header_names, parse_chunk};
use super::insert::RowChecks;
use crate::error::{Plain, SqlError, SqlState, internal};
use crate::name::ObjectId;
use crate::plan::{ColumnSource, CopyPlan, Scope};
use crate::statement::{CopyFormat, Header};
use crate::transaction::Transaction;
use crate::warehouse::{TableWriter, Written};

/// Chunks that may wait for each worker.
const QUEUE_CHUNKS: usize = 2;

/// A COPY FROM STDIN in progress. Dropped without [`CopyIn::finish`], nothing of it is visible.
pub struct CopyIn {
    table: ObjectId,
    layout: Arc<Layout>,
    splitter: Splitter,
    workers: Vec<mpsc::Sender<Chunk>>,
    next_worker: usize,
    tasks: JoinSet<Result<Written, SqlError>>,
    sequences: Vec<ObjectId>,
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn").field("table", &self.table).finish_non_exhaustive()
    }
}

/// What a worker makes of parsed columns.
struct Shape {
    columns: Vec<Shaped>,
    checks: RowChecks,
}

enum Shaped {
    Data(usize),
    Default(Arc<dyn PhysicalExpr>),
}

impl CopyIn {
    pub(super) fn start(scope: &Scope, stores: &Stores, copy: CopyPlan) -> Result<Self, SqlError> {
        let table = copy.table.ok_or_else(|| internal("COPY FROM without a table"))?;
        let relation = scope.ctx.catalog.relation(table).ok_or_else(|| internal("the table of a COPY is gone"))?;
        let layout = Arc::new(Layout {
            table: relation.name.clone(),
            names: copy.names,
            types: copy.types,
            options: copy.options,
            zone: scope.ctx.settings.time_zone(),
        });
        let state = scope.engine.state();
        let empty = DFSchema::empty();
        let columns = copy.shape.iter().map(|source| match source {
            ColumnSource::Data(index) => Ok(Shaped::Data(*index)),
            ColumnSource::Default(expr) => Ok(Shaped::Default(
                state.create_physical_expr(expr.as_ref().clone(), &empty).map_err(SqlError::from_engine)?,
            )),
        });
        let columns = columns.collect::<Result<Vec<_>, SqlError>>()?;
        let shape = Arc::new(Shape { columns, checks: RowChecks::new(scope, relation, &copy.checks)? });
        let mut tasks = JoinSet::new();
        let mut workers = Vec::new();
        for _ in 0..stores.workers.max(1) {
            let (sender, receiver) = mpsc::channel(QUEUE_CHUNKS);
            let writer = TableWriter::new(&stores.warehouse, &scope.ctx.catalog, relation)?;
            tasks.spawn(work(receiver, writer, Arc::clone(&layout), Arc::clone(&shape)));
            workers.push(sender);
        }
        let sequences =
            relation.columns.iter().filter_map(|column| column.identity.as_ref().map(|identity| identity.sequence));
        Ok(Self {
            table,
            splitter: Splitter::new(&layout.options),
            sequences: sequences.collect(),
            layout,
            workers,
            next_worker: 0,
            tasks,
        })
    }

    pub fn columns(&self) -> usize {
        self.layout.names.len()
    }

    pub fn is_binary(&self) -> bool {
        self.layout.options.format == CopyFormat::Binary
    }

    /// For `CONTEXT` of an error that the client caused.
    pub fn table_name(&self) -> &str {
        &self.layout.table
    }

    /// Takes bytes, cut anywhere. Waits while the workers are busy.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), SqlError> {
        self.splitter.feed(bytes)?;
        self.hand_out(false).await
    }

    async fn hand_out(&mut self, at_end: bool) -> Result<(), SqlError> {
        if let Some(line) = self.splitter.take_header() {
            self.check_header(&line)?;
        }
        while let Some(chunk) = self.splitter.take_chunk(at_end) {
            let worker = self.workers.get(self.next_worker).ok_or_else(|| internal("COPY has no workers"))?;
            self.next_worker = (self.next_worker + 1) % self.workers.len();
            if worker.send(chunk).await.is_err() {
                return Err(self.failure().await);
            }
        }
        Ok(())
    }

    fn check_header(&self, line: &[u8]) -> Result<(), SqlError> {
        if self.layout.options.header != Header::Match {
            return Ok(());
        }
        let names = header_names(&self.layout, line)?;
        let mismatch = |message: String| SqlError::from(Plain::new(SqlState::BAD_COPY_FILE_FORMAT, message));
        if names.len() != self.layout.names.len() {
            let message = format!(
                "wrong number of fields in header line: got {}, expected {}",
                names.len(),
                self.layout.names.len()
            );
            return Err(mismatch(message));
        }
        for (index, (given, wanted)) in names.iter().zip(&self.layout.names).enumerate() {
            if given != wanted {
                let number = index + 1;
                return Err(mismatch(format!(
                    "column name mismatch in header line field {number}: got \"{given}\", expected \"{wanted}\""
                )));
            }
        }
        Ok(())
    }

    /// The error of the worker that gave up.
    async fn failure(&mut self) -> SqlError {
        self.workers.clear();
        while let Some(done) = self.tasks.join_next().await {
            match done {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error,
                Err(error) => return internal(error).into(),
            }
        }
        internal("a COPY worker ended without a reason").into()
    }

    /// The client has sent everything. Returns how many rows there were.
    pub async fn finish(mut self, transaction: &mut Transaction) -> Result<u64, SqlError> {
        self.splitter.finish()?;
        self.hand_out(true).await?;
        self.workers.clear();
        let mut rows = 0;
        let mut all = Vec::new();
        while let Some(done) = self.tasks.join_next().await {
            let written = done.map_err(internal)??;
            rows += written.rows;
            all.push(written);
        }
        for written in all {
            transaction.stage(self.table, written);
        }
        transaction.drew_from(self.sequences);
        Ok(rows)
    }
}

async fn work(
    mut chunks: mpsc::Receiver<Chunk>,
    mut writer: TableWriter,
    layout: Arc<Layout>,
    shape: Arc<Shape>,
) -> Result<Written, SqlError> {
    while let Some(chunk) = chunks.recv().await {
        let arrays = parse_chunk(&layout, &chunk)?;
        let rows = arrays.first().map_or(0, |array| array.len());
        let batch = shape.batch(&arrays, rows)?;
        writer.write(batch).await?;
    }
    Ok(writer.finish().await?)
}

impl Shape {
    fn batch(&self, arrays: &[ArrayRef], rows: usize) -> Result<RecordBatch, SqlError> {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let empty = RecordBatch::try_new_with_options(schema, vec![], &options)
            .map_err(|error| SqlError::from_engine(error.into()))?;
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            columns.push(match column {
                Shaped::Data(index) => {
                    arrays.get(*index).cloned().ok_or_else(|| internal("COPY has fewer columns than planned"))?
                }
                Shaped::Default(expr) => {
                    expr.evaluate(&empty).and_then(|value| value.into_array(rows)).map_err(SqlError::from_engine)?
                }
            });
        }
        let fields = columns
            .iter()
            .enumerate()
            .map(|(index, array)| arrow::datatypes::Field::new(index.to_string(), array.data_type().clone(), true));
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| SqlError::from_engine(error.into()))?;
        self.checks.apply(batch)
    }
}

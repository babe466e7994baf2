//! Authorized plan → effects. The only stage that reads data and changes anything.

mod condition;
mod copy;
mod direct;
mod explain;
mod insert;
mod keys;
mod modify;
mod query;
mod ready;
mod returning;
mod rows;
mod upsert;
mod vacuum;

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use tokio::sync::Semaphore;

pub use copy::{CopyEncoder, CopyIn};
pub use ready::Ready;

use crate::encode::describe_row;
use crate::error::{Notice, Plain, Report, SqlError, SqlState, unsupported};
use crate::guard::{masks, row_security_applies};
use crate::metastore::MetastoreError;
use crate::name::ObjectId;
use crate::pg::Objects;
use crate::plan::{DdlPlan, Locks, PartPlan, Plan, Scope, Validation};
use crate::secure::Authorized;
use crate::statement::CopyFormat;
use crate::transaction::Transaction;
use crate::warehouse::Warehouse;

/// What came of a statement.
pub enum Outcome {
    /// The whole command tag.
    Done(String),
    /// Rows that are still to be read, and the tag that their count is added to.
    Rows {
        /// Names and PostgreSQL types of the output columns, as the client is told of them.
        fields: Vec<FieldRef>,
        /// Reading it runs the query; an error may come after any number of rows.
        stream: SendableRecordBatchStream,
        /// The command's name, such as `SELECT`.
        tag: &'static str,
    },
    /// Rows that are all there already; the tag is complete.
    Returned {
        /// Names and PostgreSQL types of the output columns, as the client is told of them.
        fields: Vec<FieldRef>,
        /// Reads from memory: the statement has had its effects.
        stream: SendableRecordBatchStream,
        /// The whole command tag, such as `INSERT 0 3`.
        tag: String,
    },
    /// The client sends rows.
    CopyIn(Box<CopyIn>),
    /// The client receives rows in a COPY format.
    CopyOut {
        /// Reading it runs the query; an error may come after any number of rows.
        stream: SendableRecordBatchStream,
        /// Turns rows into the statement's format.
        encoder: Box<CopyEncoder>,
        /// Fields in each row, which the client is told before the first.
        columns: usize,
        /// Whether the format is binary, not text or CSV.
        binary: bool,
    },
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done(_) => "Done",
            Self::Rows { .. } => "Rows",
            Self::Returned { .. } => "Returned",
            Self::CopyIn(_) => "CopyIn",
            Self::CopyOut { .. } => "CopyOut",
        })
    }
}

/// Where effects go.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Takes the data files of new rows.
    pub warehouse: Warehouse,
    /// Tasks that parse and write one COPY; 0 counts as 1.
    pub workers: usize,
    /// How many chunks of COPY data are read and written at once, by all connections.
    pub turns: Arc<Semaphore>,
}

/// Runs a plan inside a transaction.
pub async fn execute(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    plan: Authorized<Plan>,
    notices: &mut Vec<Notice>,
) -> Result<Outcome, SqlError> {
    run(scope, stores, transaction, plan.into_inner(), notices).await
}

/// See [`execute`]: the plan is permitted.
async fn run(
    scope: &Scope,
    stores: &Stores,
    transaction: &mut Transaction,
    plan: Plan,
    notices: &mut Vec<Notice>,
) -> Result<Outcome, SqlError> {
    match plan {
        Plan::Parts { parts, main, .. } => {
            for PartPlan { plan, result } in parts {
                let unread = result.as_ref().is_none_or(|result| !result.is_wanted());
                if unread && matches!(plan, Plan::Query(_)) {
                    continue;
                }
                let outcome = Box::pin(run(scope, stores, transaction, plan, notices)).await?;
                if let Some(result) = result {
                    result.fill(&rows_of(outcome).await?.1).map_err(SqlError::from_engine)?;
                }
            }
            match Box::pin(run(scope, stores, transaction, *main, notices)).await? {
                // Nobody gets a row of it before all is done.
                Outcome::Rows { fields, stream, tag } => {
                    let (count, rows) = rows_of(Outcome::Rows { fields: Vec::new(), stream, tag }).await?;
                    let stream = query::ready(&fields, rows);
                    Ok(Outcome::Returned { fields, stream, tag: format!("{tag} {count}") })
                }
                outcome => Ok(outcome),
            }
        }
        Plan::Query(query) => {
            transaction.drew_from(query::sequences(&query.logical)?);
            lock(transaction, &query.locks);
            let stream = query::stream(scope, query.logical, &query.fields).await?;
            Ok(Outcome::Rows { fields: query.fields, stream, tag: "SELECT" })
        }
        Plan::Declare { query, hold } => {
            let drawn = query::sequences(&query.logical)?;
            if hold && !drawn.is_empty() {
                return Err(unsupported("a cursor WITH HOLD that draws from a sequence").into());
            }
            transaction.drew_from(drawn);
            lock(transaction, &query.locks);
            let stream = query::stream(scope, query.logical, &query.fields).await?;
            Ok(Outcome::Rows { fields: query.fields, stream, tag: "FETCH" })
        }
        Plan::Explain { query, analyze, verbose, policies } => {
            explain::run(scope, query, analyze, verbose, policies).await
        }
        Plan::Insert(insert) => Box::pin(insert::run(scope, stores, transaction, &insert)).await,
        Plan::Modify(modify) => Box::pin(modify::run(scope, stores, transaction, &modify)).await,
        Plan::CopyOut(copy, query) => {
            transaction.drew_from(query::sequences(&query.logical)?);
            let stream = query::stream(scope, query.logical, &query.fields).await?;
            let binary = copy.options.format == CopyFormat::Binary;
            let columns = copy.names.len();
            let encoder = Box::new(CopyEncoder::new(copy.options, copy.names, Objects::style(&scope.ctx)));
            Ok(Outcome::CopyOut { stream, encoder, columns, binary })
        }
        Plan::CopyIn(copy) => Ok(Outcome::CopyIn(Box::new(CopyIn::start(scope, stores, copy, Vec::new())?))),
        Plan::CopyFiles(copy, location) => {
            let rows = Box::pin(copy::from_files(scope, stores, transaction, copy, &location, notices)).await?;
            Ok(Outcome::Done(format!("COPY {rows}")))
        }
        Plan::Fill { ddl, fill } => {
            let tag = ddl.tag;
            apply(scope, transaction, ddl, notices)?;
            match fill {
                Some(insert) => {
                    let mut scope = scope.clone();
                    scope.ctx.catalog = Arc::clone(transaction.catalog());
                    let filled = insert::run(&scope, stores, transaction, &insert).await?;
                    // One that is filled again does not tell how many rows it has.
                    Ok(if insert.tag == tag { Outcome::Done(tag.to_owned()) } else { filled })
                }
                None => Ok(Outcome::Done(tag.to_owned())),
            }
        }
        Plan::Rewrite { ddl, fill } => {
            let tag = ddl.tag;
            validate(scope, transaction, &ddl).await?;
            apply(scope, transaction, ddl, notices)?;
            // Its scan has the old rows already.
            transaction.truncate(fill.table);
            let mut scope = scope.clone();
            scope.ctx.catalog = Arc::clone(transaction.catalog());
            insert::run(&scope, stores, transaction, &fill).await?;
            Ok(Outcome::Done(tag.to_owned()))
        }
        Plan::Vacuum(vacuum) => Box::pin(vacuum::run(scope, stores, transaction, vacuum, notices)).await,
        Plan::Ddl(ddl) => {
            let tag = ddl.tag;
            lock(transaction, &ddl.locks);
            validate(scope, transaction, &ddl).await?;
            if ddl.rotates_keys {
                let key = scope.metastore.new_key().await.map_err(|error| explained(&error))?;
                let (number, master) = key.name();
                let message = format!("secrets get data key {number}, wrapped by master key \"{master}\"");
                notices.push(Notice::new(SqlState::SUCCESSFUL_COMPLETION, message));
                transaction.rotate_keys(key);
            }
            apply(scope, transaction, ddl, notices)?;
            Ok(Outcome::Done(tag.to_owned()))
        }
    }
}

/// The error with its causes, for whoever may know them.
fn explained(error: &MetastoreError) -> Plain {
    let mut causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let plain = Plain::new(error.sqlstate(), error.to_string());
    match causes.next() {
        Some(cause) => plain.detail(cause.to_string()),
        None => plain,
    }
}

/// All rows of a part, and how many there are. `54000` if there are too many.
async fn rows_of(outcome: Outcome) -> Result<(usize, Vec<RecordBatch>), SqlError> {
    let (Outcome::Rows { mut stream, .. } | Outcome::Returned { mut stream, .. }) = outcome else {
        return Ok((0, Vec::new()));
    };
    let mut kept = returning::Kept::default();
    while let Some(batch) = stream.try_next().await.map_err(SqlError::from_engine)? {
        kept.add(batch)?;
    }
    Ok((kept.rows(), kept.batches))
}

/// FOR UPDATE.
fn lock(transaction: &mut Transaction, locks: &Locks) {
    locks.tables.iter().for_each(|table| transaction.rely_on(*table));
    if let Some(what) = locks.nowait {
        transaction.do_not_wait(what);
    }
}

/// Holds the rows of tables against what changes of them rely on, also until they are committed.
async fn validate(scope: &Scope, transaction: &mut Transaction, ddl: &DdlPlan) -> Result<(), SqlError> {
    for Validation { table, none_of, error, key } in &ddl.validations {
        let plan = query::physical(scope, none_of).await?;
        let mut rows = execute_stream(plan, scope.engine.task()).map_err(SqlError::from_engine)?;
        while let Some(batch) = rows.try_next().await.map_err(SqlError::from_engine)? {
            if batch.num_rows() > 0 {
                let error = error.clone();
                let Some(names) = key else { return Err(error.into()) };
                let shown = described(scope, *table, names, &batch)?;
                let detail =
                    shown.map_or("Duplicate keys exist.".to_owned(), |key| format!("Key {key} is duplicated."));
                return Err(error.detail(detail).into());
            }
        }
        transaction.rely_on(*table);
    }
    Ok(())
}

/// `(a, b)=(1, 2)`: the first row's first columns, unless a policy or a mask hides anything of the table.
fn described(
    scope: &Scope,
    table: ObjectId,
    names: &[String],
    batch: &RecordBatch,
) -> Result<Option<String>, SqlError> {
    let Some(relation) = scope.ctx.catalog.relation(table) else { return Ok(None) };
    if row_security_applies(&scope.ctx, relation) || !masks(&scope.ctx, &scope.reader, table, relation)?.is_empty() {
        return Ok(None);
    }
    let failed = |error: arrow::error::ArrowError| SqlError::from_engine(error.into());
    let columns = batch.project(&(0..names.len()).collect::<Vec<_>>()).map_err(failed)?;
    Ok(Some(format!("({})=({})", names.join(", "), describe_row(&columns, 0).map_err(failed)?)))
}

fn apply(
    scope: &Scope,
    transaction: &mut Transaction,
    ddl: DdlPlan,
    notices: &mut Vec<Notice>,
) -> Result<(), SqlError> {
    if !ddl.changes.is_empty() {
        transaction.apply(ddl.changes);
    }
    for table in ddl.truncate {
        transaction.truncate(table);
    }
    for (table, data) in ddl.restored {
        transaction.restore(table, &data)?;
    }
    for (new, old) in ddl.counters {
        transaction.restart(new, scope.metastore.sequences().last(old)?);
    }
    for (sequence, last) in ddl.restart {
        transaction.restart(sequence, last);
    }
    notices.extend(ddl.notices);
    Ok(())
}

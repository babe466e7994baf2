//! Metadata in a SQLite file: for one server, without any other program.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior, params_from_iter};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::{Change, Row, Value, check_rows, failed};
use crate::metastore::MetastoreError;

/// How long to wait for another process that reads the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 200;

/// One connection writes, another reads beside it.
#[derive(Debug)]
pub(in crate::metastore) struct Sqlite {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Opens or creates it; commits survive a power failure (WAL, synchronous=FULL).
    pub(super) async fn open(path: &Path) -> Result<Self, MetastoreError> {
        let path = path.to_owned();
        blocking(move || {
            let open = || -> rusqlite::Result<Arc<Mutex<Connection>>> {
                let connection = Connection::open(&path)?;
                connection.busy_timeout(BUSY_TIMEOUT)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
                Ok(Arc::new(Mutex::new(connection)))
            };
            let pair = open().and_then(|writer| Ok(Self { writer, reader: open()? }));
            pair.map_err(|source| failed(&format!("open {}", path.display()), source))
        })
        .await
    }

    pub(super) fn run(&self, script: &[Change]) -> Result<(), MetastoreError> {
        at_once(|| {
            let mut connection = lock(&self.writer);
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            // Dropped without a commit, it is rolled back.
            let tx = begun.map_err(|source| failed("begin", source))?;
            for change in script {
                let mut statement = tx.prepare_cached(&change.sql).map_err(|source| failed(&change.sql, source))?;
                let changed = statement.execute(params_from_iter(&change.values));
                let changed = changed.map_err(|source| failed(&change.sql, source))?;
                check_rows(change, u64::try_from(changed).unwrap_or(u64::MAX))?;
            }
            tx.commit().map_err(|source| failed("commit", source))
        })
    }

    pub(super) async fn batch(&self, sql: &'static str) -> Result<(), MetastoreError> {
        let connection = Arc::clone(&self.writer);
        blocking(move || lock(&connection).execute_batch(sql).map_err(|source| failed(sql, source))).await
    }

    pub(super) async fn query(&self, sql: String, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        let connection = Arc::clone(&self.reader);
        blocking(move || {
            let connection = lock(&connection);
            let read = || -> rusqlite::Result<Vec<Row>> {
                let mut statement = connection.prepare_cached(&sql)?;
                for number in 1..=values.len() {
                    if statement.parameter_name(number) != Some(&format!("${number}")) {
                        return Err(rusqlite::Error::InvalidParameterName(format!("${number}")));
                    }
                }
                let width = statement.column_count();
                let rows = statement.query_map(params_from_iter(&values), |row| {
                    (0..width).map(|index| value(row.get_ref(index)?)).collect::<rusqlite::Result<_>>().map(Row)
                })?;
                rows.collect()
            };
            read().map_err(|source| failed(&sql, source))
        })
        .await
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that somebody waits for: on this thread, whose connections another one serves meanwhile. The way to another thread and
/// back would take as long as a small commit.
fn at_once<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

/// Off the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MetastoreError> + Send + 'static,
) -> Result<T, MetastoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(source) => Err(failed("run a statement", source)),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    })
}

//! A few verbs over the metadata database, so that every statement is written once for all engines. `$1 … $n` are its
//! placeholders, [`Value`] its only types.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Executor, Row as _, SqliteConnection, TypeInfo, ValueRef};
use tokio::sync::{Mutex, MutexGuard};

use super::MetastoreError;

/// How long to wait for another process that reads the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// SQLite's default limit is 32,766 variables in one statement.
const VARIABLES_MAX: usize = 30_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a result.
#[derive(Debug)]
pub(super) struct Row(Vec<Value>);

impl Row {
    pub(super) fn int(&self, index: usize) -> Result<i64, MetastoreError> {
        self.int_or_null(index)?.ok_or_else(|| corrupt(index, "a number", &Value::Null))
    }
    pub(super) fn text(&self, index: usize) -> Result<String, MetastoreError> {
        self.text_or_null(index)?.ok_or_else(|| corrupt(index, "a text", &Value::Null))
    }
    pub(super) fn int_or_null(&self, index: usize) -> Result<Option<i64>, MetastoreError> {
        match self.0.get(index) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            other => Err(corrupt(index, "a number", other.unwrap_or(&Value::Null))),
        }
    }
    pub(super) fn text_or_null(&self, index: usize) -> Result<Option<String>, MetastoreError> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Ok(Some(value.clone())),
            Some(Value::Null) => Ok(None),
            other => Err(corrupt(index, "a text", other.unwrap_or(&Value::Null))),
        }
    }
}

fn corrupt(index: usize, wanted: &str, found: &Value) -> MetastoreError {
    MetastoreError::Corrupt(format!("column {index} should be {wanted}, found {found:?}"))
}

/// The database. One connection: SQLite has one writer, and reads happen at start only.
#[derive(Debug)]
pub(super) struct Db {
    connection: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    sqlite: SqliteConnection,
    /// A transaction whose future was dropped half-way leaves this set; the next one rolls it back first.
    in_transaction: bool,
}

impl Db {
    /// Opens or creates a SQLite database whose commits survive a power failure (WAL, synchronous=FULL).
    pub(super) async fn open_sqlite(path: &Path) -> Result<Self, MetastoreError> {
        let sqlite = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(200)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|source| MetastoreError::Database { doing: format!("open {}", path.display()), source })?;
        Ok(Self { connection: Mutex::new(Open { sqlite, in_transaction: false }) })
    }

    /// Begins a transaction and takes the right to be the only writer until it ends.
    pub(super) async fn begin(&self) -> Result<Tx<'_>, MetastoreError> {
        let mut tx = Tx { connection: self.connection.lock().await };
        if tx.connection.in_transaction {
            tx.raw("ROLLBACK").await?;
        }
        tx.connection.in_transaction = true;
        tx.raw("BEGIN IMMEDIATE").await?;
        Ok(tx)
    }
}

/// A transaction. Without [`Tx::commit`] it is rolled back before the next one begins.
pub(super) struct Tx<'a> {
    connection: MutexGuard<'a, Open>,
}

impl Tx<'_> {
    /// Runs a script of several statements.
    pub(super) async fn raw(&mut self, sql: &'static str) -> Result<(), MetastoreError> {
        self.connection.sqlite.execute(sqlx::raw_sql(sql)).await.map_err(|source| database(sql, source))?;
        Ok(())
    }

    /// Runs one statement and tells how many rows it changed.
    pub(super) async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, MetastoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        let done = query.execute(&mut self.connection.sqlite).await.map_err(|source| database(sql, source))?;
        Ok(done.rows_affected())
    }

    /// Inserts rows into `columns` of a table, with as few statements as the engine allows.
    pub(super) async fn insert(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), MetastoreError> {
        let per_statement = (VARIABLES_MAX / columns.len().max(1)).max(1);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<Vec<Value>> = rows.by_ref().take(per_statement).collect();
            let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
            let mut number = 0;
            for index in 0..chunk.len() {
                sql.push_str(if index == 0 { "(" } else { ", (" });
                for position in 0..columns.len() {
                    number += 1;
                    sql.push_str(if position == 0 { "$" } else { ", $" });
                    sql.push_str(&number.to_string());
                }
                sql.push(')');
            }
            self.execute(&sql, chunk.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    pub(super) async fn query(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        let rows = query.fetch_all(&mut self.connection.sqlite).await.map_err(|source| database(sql, source))?;
        rows.iter().map(read_row).collect()
    }

    /// Names of the tables that begin with `prefix`.
    pub(super) async fn tables_like(&mut self, prefix: &str) -> Result<Vec<String>, MetastoreError> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, length($1)) = $1";
        self.query(sql, vec![prefix.into()]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Makes it durable. Until it is dropped nobody else begins.
    pub(super) async fn commit(&mut self) -> Result<(), MetastoreError> {
        self.raw("COMMIT").await?;
        self.connection.in_transaction = false;
        Ok(())
    }

    /// Undoes what is not committed, if anything is left of the transaction.
    pub(super) async fn roll_back(&mut self) -> Result<(), MetastoreError> {
        if self.connection.in_transaction && self.raw("ROLLBACK").await.is_ok() {
            self.connection.in_transaction = false;
        }
        Ok(())
    }
}

fn database(doing: &str, source: sqlx::Error) -> MetastoreError {
    MetastoreError::Database { doing: doing.chars().take(80).collect(), source }
}

fn arguments(values: Vec<Value>) -> Result<SqliteArguments, MetastoreError> {
    use sqlx::Arguments;
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
        };
        added.map_err(|source| database("bind", sqlx::Error::Encode(source)))?;
    }
    Ok(arguments)
}

fn read_row(row: &SqliteRow) -> Result<Row, MetastoreError> {
    let read = |index: usize| -> Result<Value, sqlx::Error> {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        Ok(match raw.type_info().name() {
            "INTEGER" | "BOOLEAN" => Value::Int(row.try_get_unchecked(index)?),
            _ => Value::Text(row.try_get_unchecked(index)?),
        })
    };
    let values: Result<Vec<Value>, sqlx::Error> = row.columns().iter().map(|column| read(column.ordinal())).collect();
    Ok(Row(values.map_err(|source| database("read a row", source))?))
}

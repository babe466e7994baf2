//! A few verbs over the metadata database, so that every statement is written once for all engines. `$1 … $n` are its
//! placeholders, first named in this order (SQLite counts them so); [`Value`] are its only types.

mod advisory;
mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::path::Path;

pub use advisory::{AdvisoryCall, AdvisoryConnection, AdvisoryKey};
use postgres::Postgres;
use sqlite::Sqlite;

use super::MetastoreError;

/// Engines allow 32,766 (SQLite) or 65,535 (PostgreSQL) variables in one statement.
const VARIABLES_MAX: usize = 30_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
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
impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_owned())
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
    pub(super) fn bytes_or_null(&self, index: usize) -> Result<Option<&[u8]>, MetastoreError> {
        match self.0.get(index) {
            Some(Value::Bytes(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            other => Err(corrupt(index, "bytes", other.unwrap_or(&Value::Null))),
        }
    }
}

fn corrupt(index: usize, wanted: &str, found: &Value) -> MetastoreError {
    MetastoreError::Corrupt(format!("column {index} should be {wanted}, found {found:?}"))
}

/// Statements that change the database, all of them or none.
#[derive(Clone, Debug)]
pub(super) struct Script {
    changes: Vec<Change>,
    /// What the engine calls the type of bytes.
    bytes: &'static str,
}

#[derive(Clone, Debug)]
struct Change {
    sql: Cow<'static, str>,
    values: Vec<Value>,
    /// How many rows it must change; `None`: any number.
    rows: Option<u64>,
}

impl Script {
    /// Adds a statement.
    pub(super) fn execute(&mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.changes.push(Change { sql: sql.into(), values, rows: None });
    }

    /// Adds a statement without which nothing is done if it does not change just so many rows.
    pub(super) fn execute_exactly(&mut self, rows: u64, sql: String, values: Vec<Value>) {
        self.changes.push(Change { sql: sql.into(), values, rows: Some(rows) });
    }

    /// Inserts rows into `columns` of a table, with as few statements as the engines allow.
    pub(super) fn insert(&mut self, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) {
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
            self.execute(sql, chunk.into_iter().flatten().collect());
        }
    }

    /// The engine's type of a column of bytes.
    pub(super) fn bytes_type(&self) -> &'static str {
        self.bytes
    }

    /// A place to go back to.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Leaves out what was added since.
    pub(super) fn truncate(&mut self, len: usize) {
        self.changes.truncate(len);
    }
}

/// A PostgreSQL database for the metadata.
#[derive(Clone, Copy)]
pub struct MetadataDatabase<'a> {
    /// Where it is; with `sslmode=require` connections are encrypted and the server's certificate is verified.
    pub url: &'a str,
    /// Beside the URL, so that that can be shown.
    pub password: Option<&'a str>,
    /// A PEM file with the authorities that may have signed the server's certificate. With it, connections are encrypted unless
    /// the URL says otherwise; without, it must be one that the system trusts.
    pub authorities: Option<&'a Path>,
}

impl std::fmt::Debug for MetadataDatabase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetadataDatabase").finish_non_exhaustive()
    }
}

/// The database. One script runs at a time, whichever server has it; queries run beside it.
#[derive(Debug)]
pub(super) enum Db {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Db {
    /// Opens or creates a SQLite database whose commits survive a power failure.
    pub(super) async fn sqlite(path: &Path) -> Result<Self, MetastoreError> {
        Sqlite::open(path).await.map(Self::Sqlite)
    }

    /// Connects to a PostgreSQL database, which other servers may use as well.
    pub(super) async fn postgres(database: &MetadataDatabase<'_>) -> Result<Self, MetastoreError> {
        Ok(Self::Postgres(Box::new(Postgres::open(database).await?)))
    }

    /// A script for this engine, with nothing in it yet.
    pub(super) fn script(&self) -> Script {
        let bytes = match self {
            Self::Sqlite(_) => "BLOB",
            Self::Postgres(_) => "BYTEA",
        };
        Script { changes: Vec::new(), bytes }
    }

    /// Whether other servers may write to it, too.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Waits until no other server is starting. It may start when what is given back is dropped.
    pub(super) async fn alone(&self) -> Result<Option<postgres::Alone>, MetastoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(db) => db.alone().await.map(Some),
        }
    }

    /// Waits until nobody else writes and, if somebody else might have, asks for a number: `sql` has no placeholders.
    pub(super) async fn turn(&self, sql: &str) -> Result<(Turn<'_>, Option<i64>), MetastoreError> {
        match self {
            Self::Sqlite(db) => Ok((Turn::Sqlite(db), None)),
            Self::Postgres(db) => db.turn(sql).await.map(|(turn, number)| (Turn::Postgres(turn), number)),
        }
    }

    /// Does all of it, durably, or nothing. An error may hide that it was done.
    pub(super) async fn run(&self, script: Script) -> Result<(), MetastoreError> {
        let (turn, _) = self.turn("SELECT 0").await?;
        turn.run(script).await
    }

    /// Runs several statements without placeholders.
    pub(super) async fn batch(&self, sql: &'static str) -> Result<(), MetastoreError> {
        match self {
            Self::Sqlite(db) => db.batch(sql).await,
            Self::Postgres(db) => db.batch(sql).await,
        }
    }

    /// Leaves nothing of former contents in the files. PostgreSQL's are not ours.
    pub(super) async fn wipe(&self) -> Result<(), MetastoreError> {
        match self {
            Self::Sqlite(db) => db.batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").await,
            Self::Postgres(_) => Ok(()),
        }
    }

    pub(super) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        match self {
            Self::Sqlite(db) => db.query(sql.to_owned(), values).await,
            Self::Postgres(db) => db.query(sql, values).await,
        }
    }

    /// As [`Db::query`], for what is small; what it changes need not be durable yet.
    pub(super) async fn query_quickly(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        match self {
            Self::Sqlite(db) => db.query(sql.to_owned(), values).await,
            Self::Postgres(db) => db.query_quickly(sql, values).await,
        }
    }

    /// Whether this server is the one that looks after the tables.
    pub(super) async fn leads(&self) -> Result<bool, MetastoreError> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(db) => db.leads().await,
        }
    }

    /// A connection for one session's advisory locks; `None`: no other server's sessions need to know of them.
    pub(super) async fn advisory(&self) -> Result<Option<AdvisoryConnection>, MetastoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(db) => db.advisory().await.map(Some),
        }
    }

    /// Tells the servers that share it something.
    pub(super) async fn tell(&self, letters: Vec<String>) -> Result<(), MetastoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(db) => db.tell(letters).await,
        }
    }

    /// Hears what servers that share it tell, until the connection breaks.
    pub(super) async fn hear(&self, heard: impl Fn(&str) + Send) -> Result<(), MetastoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(db) => db.hear(heard).await,
        }
    }

    /// Names of the tables that begin with `prefix`.
    pub(super) async fn tables_like(&self, prefix: &str) -> Result<Vec<String>, MetastoreError> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, length($1)) = $1"
            }
            Self::Postgres(_) => {
                "SELECT tablename FROM pg_catalog.pg_tables
                  WHERE schemaname = current_schema() AND starts_with(tablename, $1)"
            }
        };
        self.query(sql, vec![prefix.into()]).await?.iter().map(|row| row.text(0)).collect()
    }
}

/// The right to write, of which there is one. Whatever a script before it did has come to its end, even if nobody was told.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    Sqlite(&'a Sqlite),
    Postgres(postgres::Turn<'a>),
}

impl Turn<'_> {
    pub(super) async fn query(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        match self {
            Self::Sqlite(db) => db.query(sql.to_owned(), values).await,
            Self::Postgres(turn) => turn.query(sql, &values).await,
        }
    }

    /// Does all of it, durably, or nothing. An error may hide that it was done.
    pub(super) async fn run(self, script: Script) -> Result<(), MetastoreError> {
        match self {
            Self::Sqlite(db) => db.run(&script.changes),
            Self::Postgres(turn) => turn.run(script.changes).await,
        }
    }

    /// Gives it back unused.
    pub(super) async fn release(self) {
        if let Self::Postgres(turn) = self {
            turn.release().await;
        }
    }
}

fn failed(doing: &str, source: impl std::error::Error + Send + Sync + 'static) -> MetastoreError {
    MetastoreError::Database { doing: doing.chars().take(80).collect(), source: Box::new(source) }
}

fn check_rows(change: &Change, changed: u64) -> Result<(), MetastoreError> {
    if change.rows.is_some_and(|wanted| wanted != changed) {
        return Err(MetastoreError::Corrupt(format!("{changed} rows are changed by {}", change.sql)));
    }
    Ok(())
}

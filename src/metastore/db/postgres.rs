//! Metadata in a PostgreSQL database: backed up and watched over like any other.
//!
//! The session that writes holds an advisory lock; a second server on the same database is refused. Should the connection
//! break, the next statement connects and takes the lock again, so whatever the broken session did has come to its end; that
//! nobody else committed in between is seen from the snapshots' primary key.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::TryStreamExt;
use futures::future::try_join_all;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::{Change, Row, Value, check_rows, failed};
use crate::metastore::MetastoreError;

/// Key of the advisory lock: `boathous`.
const LOCK: i64 = 0x626f_6174_686f_7573;
/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the database may be silent before the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the lock may be another's: a session of this server that broke may still be ending.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 200;
/// Longer statements are not kept: their number of rows is never the same.
const KEPT_LENGTH_MAX: usize = 2_000;

#[derive(Debug)]
pub(in crate::metastore) struct Postgres {
    config: Config,
    /// Has the lock.
    writer: Mutex<Option<Session>>,
    reader: Mutex<Option<Session>>,
}

struct Session {
    client: Client,
    prepared: HashMap<String, Statement>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) async fn open(url: &str, password: Option<&str>) -> Result<Self, MetastoreError> {
        let mut config: Config = url.parse().map_err(|source| failed("read the URL", source))?;
        if let Some(password) = password {
            config.password(password);
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(MetastoreError::Unsupported("sslmode=require for the metadata database"));
        }
        config.ssl_mode(SslMode::Disable);
        // A database that is not heard of any more must not hold up commits for ever.
        config.application_name("boathouse").connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(SILENCE_MAX).tcp_user_timeout(SILENCE_MAX);
        let db = Self { config, writer: Mutex::default(), reader: Mutex::default() };
        drop(db.session(&db.writer, true).await?);
        Ok(db)
    }

    /// A session that works; a new one if there is none.
    async fn session<'a>(
        &self,
        kept: &'a Mutex<Option<Session>>,
        locked: bool,
    ) -> Result<MutexGuard<'a, Option<Session>>, MetastoreError> {
        let mut session = kept.lock().await;
        if session.as_ref().is_none_or(|session| session.client.is_closed()) {
            *session = None;
            *session = Some(self.connect(locked).await?);
        }
        Ok(session)
    }

    async fn connect(&self, locked: bool) -> Result<Session, MetastoreError> {
        let (client, connection) =
            self.config.connect(NoTls).await.map_err(|source| failed("connect to PostgreSQL", source))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "the connection to the metadata database broke");
            }
        });
        if locked {
            self.lock(&client).await?;
        }
        Ok(Session { client, prepared: HashMap::new() })
    }

    async fn lock(&self, client: &Client) -> Result<(), MetastoreError> {
        let began = Instant::now();
        loop {
            let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await;
            if row.map_err(|source| failed("take the lock", source))?.get::<_, bool>(0) {
                return Ok(());
            }
            if began.elapsed() > LOCK_TIMEOUT {
                let database = self.config.get_dbname().unwrap_or_default().to_owned();
                return Err(MetastoreError::DatabaseInUse { database });
            }
            tokio::time::sleep(LOCK_INTERVAL).await;
        }
    }

    pub(super) async fn run(&self, script: Vec<Change>) -> Result<(), MetastoreError> {
        let mut session = self.session(&self.writer, true).await?;
        let Some(session) = session.as_mut() else { return Ok(()) };
        let mut statements = Vec::with_capacity(script.len());
        let mut begun = false;
        // Tables that the script makes are not there yet when its other statements are prepared.
        for change in &script {
            match session.statement(&change.sql).await {
                Ok(statement) => statements.push(Some(statement)),
                Err(_) => statements.push(None),
            }
        }
        let outcome = session.transaction(&script, &statements, &mut begun).await;
        if outcome.is_err() && begun && !session.client.is_closed() {
            session.client.batch_execute("ROLLBACK").await.map_err(|source| failed("roll back", source))?;
        }
        outcome
    }

    pub(super) async fn batch(&self, sql: &'static str) -> Result<(), MetastoreError> {
        let session = self.session(&self.writer, true).await?;
        let Some(session) = session.as_ref() else { return Ok(()) };
        session.client.batch_execute(sql).await.map_err(|source| failed(sql, source))
    }

    pub(super) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        self.ask(&mut *self.session(&self.reader, false).await?, sql, values).await
    }

    /// As a query after all that was ever sent: the lock is given back by a session that has ended.
    pub(super) async fn query_last(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        self.ask(&mut *self.session(&self.writer, true).await?, sql, values).await
    }

    async fn ask(
        &self,
        session: &mut Option<Session>,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, MetastoreError> {
        let Some(session) = session else { return Ok(Vec::new()) };
        let failed = |source| failed(sql, source);
        let statement = session.statement(sql).await.map_err(failed)?;
        let rows = session.client.query_raw(&statement, &values).await.map_err(failed)?;
        let rows: Vec<tokio_postgres::Row> = rows.try_collect().await.map_err(failed)?;
        let read = |row: &tokio_postgres::Row| -> Result<Row, tokio_postgres::Error> {
            (0..row.len()).map(|index| row.try_get(index)).collect::<Result<_, _>>().map(Row)
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
    }
}

impl Session {
    async fn statement(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        if sql.len() <= KEPT_LENGTH_MAX {
            if self.prepared.len() >= STATEMENTS_MAX {
                self.prepared.clear();
            }
            self.prepared.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    /// Sends all statements before it waits for the first answer.
    async fn transaction(
        &self,
        script: &[Change],
        statements: &[Option<Statement>],
        begun: &mut bool,
    ) -> Result<(), MetastoreError> {
        self.client.batch_execute("BEGIN").await.map_err(|source| failed("begin", source))?;
        *begun = true;
        let mut rest = script.iter().zip(statements).peekable();
        while rest.peek().is_some() {
            let mut sent = Vec::new();
            while let Some((change, Some(statement))) = rest.next_if(|(_, statement)| statement.is_some()) {
                let client = &self.client;
                sent.push(async move {
                    let changed = client.execute_raw(statement, &change.values).await;
                    check_rows(change, changed.map_err(|source| failed(&change.sql, source))?)
                });
            }
            try_join_all(sent).await?;
            if let Some((change, _)) = rest.next() {
                let changed = self.client.execute_raw(change.sql.as_ref(), &change.values).await;
                check_rows(change, changed.map_err(|source| failed(&change.sql, source))?)?;
            }
        }
        self.client.batch_execute("COMMIT").await.map_err(|source| failed("commit", source))?;
        *begun = false;
        Ok(())
    }
}

/// Parameters go as text, whatever their type.
impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(ty, raw)?.into()),
            Type::NUMERIC => return Err("a number without bounds".into()),
            _ => Self::Text(String::from_utf8(raw.to_vec())?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::BOOL | Type::TEXT | Type::VARCHAR | Type::NAME)
    }
}

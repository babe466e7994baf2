//! Metadata in a PostgreSQL database: backed up and watched over like any other, and shared by several servers.
//!
//! Whoever writes holds an advisory lock until its transaction ends: servers take turns, in the order in which they asked.
//! Should the connection break, the next turn begins after whatever the broken session did has come to its end.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::TryStreamExt;
use futures::future::{poll_fn, try_join_all};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::advisory::AdvisoryConnection;
use super::{Change, MetadataDatabase, Row, Value, check_rows, failed};
use crate::metastore::MetastoreError;
use crate::tls::client_config;

/// Key of the advisory lock of whoever writes: `boathous`.
pub(super) const WRITE_LOCK: i64 = 0x626f_6174_686f_7573;
/// Key of the advisory lock of the server that looks after the tables: `boathoup`.
pub(super) const UPKEEP_LOCK: i64 = 0x626f_6174_686f_7570;
/// Key of the advisory lock of a server that starts: `boathous` and one.
pub(super) const START_LOCK: i64 = WRITE_LOCK + 1;
/// The channel on which servers tell each other what their clients say.
const CHANNEL: &str = "boathouse";
/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the database may be silent before the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a server that has the turn may do nothing; then the database takes it away.
const TURN_IDLE_MAX: Duration = Duration::from_secs(30);
/// Sessions of one server that may have advisory locks at once: each has a connection of its own for them.
const ADVISORY_MAX: usize = 32;
/// Prepared statements that are kept.
const STATEMENTS_MAX: usize = 200;
/// Longer statements are not kept: their number of rows is never the same.
const KEPT_LENGTH_MAX: usize = 2_000;

pub(in crate::metastore) struct Postgres {
    config: Config,
    /// `None`: connections are not encrypted.
    tls: Option<MakeRustlsConnect>,
    writer: Mutex<Option<Session>>,
    reader: Mutex<Option<Session>>,
    /// For what is small and must not wait for a reader. It does not wait for the disk either: what it writes is there by the
    /// time a later commit of another session is.
    quick: Mutex<Option<Session>>,
    /// Has the lock of upkeep, if this server has it.
    upkeep: Mutex<Option<Session>>,
    /// One for each connection that sessions may have for their advisory locks.
    advisory: Arc<Semaphore>,
}

/// While it lasts, no other server starts.
pub(in crate::metastore) struct Alone {
    _session: Session,
}

/// A transaction that no other server writes beside. If it is dropped before its end, the connection goes with it.
pub(in crate::metastore) struct Turn<'a> {
    session: MutexGuard<'a, Option<Session>>,
    ended: bool,
}

impl std::fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            *self.session = None;
        }
    }
}

struct Session {
    client: Arc<Client>,
    prepared: HashMap<String, Statement>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) async fn open(database: &MetadataDatabase<'_>) -> Result<Self, MetastoreError> {
        // Whoever is encrypted to is always verified.
        let url = database.url.replace("sslmode=verify-full", "sslmode=require");
        let url = url.replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = url.parse().map_err(|source| failed("read the URL", source))?;
        if let Some(password) = database.password {
            config.password(password);
        }
        let tls = match (config.get_ssl_mode(), database.authorities) {
            (SslMode::Require, authorities) => Some(tls(authorities)?),
            (SslMode::Prefer, Some(authorities)) => {
                config.ssl_mode(SslMode::Require);
                Some(tls(Some(authorities))?)
            }
            _ => {
                config.ssl_mode(SslMode::Disable);
                None
            }
        };
        // A database that is not heard of any more must not hold up commits for ever.
        config.application_name("boathouse").connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(SILENCE_MAX).tcp_user_timeout(SILENCE_MAX);
        let db = Self {
            config,
            tls,
            writer: Mutex::default(),
            reader: Mutex::default(),
            quick: Mutex::default(),
            upkeep: Mutex::default(),
            advisory: Arc::new(Semaphore::new(ADVISORY_MAX)),
        };
        drop(db.session(&db.writer).await?);
        Ok(db)
    }

    /// A session that works; a new one if there is none.
    async fn session<'a>(
        &self,
        kept: &'a Mutex<Option<Session>>,
    ) -> Result<MutexGuard<'a, Option<Session>>, MetastoreError> {
        let mut session = kept.lock().await;
        if session.as_ref().is_none_or(|session| session.client.is_closed()) {
            *session = None;
            let connected = self.connect().await?;
            if std::ptr::eq(kept, &raw const self.quick) {
                let sql = "SET synchronous_commit = off";
                connected.client.batch_execute(sql).await.map_err(|source| failed(sql, source))?;
            }
            *session = Some(connected);
        }
        Ok(session)
    }

    async fn connect(&self) -> Result<Session, MetastoreError> {
        let failed_to_connect = |source| failed("connect to PostgreSQL", source);
        let client = if let Some(tls) = self.tls.clone() {
            let (client, connection) = self.config.connect(tls).await.map_err(failed_to_connect)?;
            tokio::spawn(watch(connection));
            client
        } else {
            let (client, connection) = self.config.connect(NoTls).await.map_err(failed_to_connect)?;
            tokio::spawn(watch(connection));
            client
        };
        let sql = format!(
            "SET idle_in_transaction_session_timeout = {}; SET default_transaction_isolation = 'read committed';
             SET client_min_messages = warning",
            TURN_IDLE_MAX.as_millis()
        );
        client.batch_execute(&sql).await.map_err(|source| failed(&sql, source))?;
        Ok(Session { client: Arc::new(client), prepared: HashMap::new() })
    }

    /// Waits for the turn, then asks for a number.
    pub(super) async fn turn(&self, sql: &str) -> Result<(Turn<'_>, Option<i64>), MetastoreError> {
        let session = self.session(&self.writer).await?;
        let turn = Turn { session, ended: false };
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({WRITE_LOCK}); {sql}");
        let client = turn.client().ok_or_else(|| failed("begin", std::io::Error::other("no session")))?;
        let answers = client.simple_query(&begin).await.map_err(|source| failed(sql, source))?;
        let row = answers.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let number = row.map(str::parse).transpose().map_err(|source| failed(sql, source))?;
        Ok((turn, number))
    }

    pub(super) async fn batch(&self, sql: &'static str) -> Result<(), MetastoreError> {
        let session = self.session(&self.writer).await?;
        let Some(session) = session.as_ref() else { return Ok(()) };
        session.client.batch_execute(sql).await.map_err(|source| failed(sql, source))
    }

    pub(super) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        self.ask(&self.reader, sql, &values).await
    }

    /// As a query, beside those that take long.
    pub(super) async fn query_quickly(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, MetastoreError> {
        self.ask(&self.quick, sql, &values).await
    }

    /// Once more on a new connection if this one breaks: what is asked here may be asked twice.
    async fn ask(
        &self,
        kept: &Mutex<Option<Session>>,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, MetastoreError> {
        let mut session = self.session(kept).await?;
        let first = ask(&mut session, sql, values).await;
        let broken = session.as_ref().is_none_or(|session| session.client.is_closed());
        drop(session);
        match first {
            Err(_) if broken => ask(&mut *self.session(kept).await?, sql, values).await,
            answer => answer,
        }
    }

    /// A connection for one session's advisory locks.
    pub(super) async fn advisory(&self) -> Result<AdvisoryConnection, MetastoreError> {
        let permit = Arc::clone(&self.advisory).try_acquire_owned();
        let permit = permit.map_err(|_none_left| MetastoreError::AdvisoryConnections(ADVISORY_MAX))?;
        let session = self.connect().await?;
        let sql = "SET statement_timeout = 0; SET lock_timeout = 0";
        session.client.batch_execute(sql).await.map_err(|source| failed(sql, source))?;
        Ok(AdvisoryConnection::new(session.client, self.tls.clone(), permit))
    }

    /// A session that has the lock of those that start.
    pub(super) async fn alone(&self) -> Result<Alone, MetastoreError> {
        let session = self.connect().await?;
        let locked = session.client.execute("SELECT pg_advisory_lock($1)", &[&START_LOCK]).await;
        locked.map_err(|source| failed("take the lock of the start", source))?;
        Ok(Alone { _session: session })
    }

    pub(super) async fn tell(&self, letters: Vec<String>) -> Result<(), MetastoreError> {
        let session = self.session(&self.quick).await?;
        let Some(session) = session.as_ref() else { return Ok(()) };
        let failed = |source| failed("NOTIFY", source);
        for letter in letters {
            session.client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &letter]).await.map_err(failed)?;
        }
        Ok(())
    }

    /// On a connection of its own.
    pub(super) async fn hear(&self, heard: impl Fn(&str) + Send) -> Result<(), MetastoreError> {
        let failed_to_connect = |source| failed("connect to PostgreSQL", source);
        if let Some(tls) = self.tls.clone() {
            let (client, connection) = self.config.connect(tls).await.map_err(failed_to_connect)?;
            listen(client, connection, heard).await
        } else {
            let (client, connection) = self.config.connect(NoTls).await.map_err(failed_to_connect)?;
            listen(client, connection, heard).await
        }
    }

    /// Whether this server is the one that looks after the tables. It stays so until its connection breaks.
    pub(super) async fn leads(&self) -> Result<bool, MetastoreError> {
        let mut kept = self.upkeep.lock().await;
        if kept.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(true);
        }
        *kept = None;
        let session = self.connect().await?;
        let row = session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&UPKEEP_LOCK]).await;
        let leads = row.map_err(|source| failed("take the lock of upkeep", source))?.get::<_, bool>(0);
        *kept = Some(session).filter(|_| leads);
        Ok(leads)
    }
}

/// Listens to what servers tell each other while a connection lasts.
async fn listen<S, T>(
    client: Client,
    mut connection: Connection<S, T>,
    heard: impl Fn(&str) + Send,
) -> Result<(), MetastoreError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |source| failed("LISTEN", source);
    let sql = format!("LISTEN {CHANNEL}");
    let mut asked = std::pin::pin!(client.batch_execute(&sql));
    let mut answered = false;
    loop {
        let message = poll_fn(|context| connection.poll_message(context));
        tokio::select! {
            done = &mut asked, if !answered => {
                done.map_err(failed)?;
                answered = true;
            }
            message = message => match message {
                Some(Ok(AsyncMessage::Notification(told))) => heard(told.payload()),
                Some(Ok(_)) => {}
                Some(Err(source)) => return Err(failed(source)),
                None => return Ok(()),
            }
        }
    }
}

/// Keeps a connection going.
async fn watch(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::warn!(%error, "the connection to the metadata database broke");
    }
}

/// TLS to a server with a certificate of one of some authorities: those of a PEM file, or those that the system trusts.
fn tls(authorities: Option<&Path>) -> Result<MakeRustlsConnect, MetastoreError> {
    let config = client_config(authorities).map_err(|source| failed("set up TLS", source))?;
    Ok(MakeRustlsConnect::new(config))
}

async fn ask(session: &mut Option<Session>, sql: &str, values: &[Value]) -> Result<Vec<Row>, MetastoreError> {
    let Some(session) = session else { return Ok(Vec::new()) };
    let failed = |source| failed(sql, source);
    let statement = session.statement(sql).await.map_err(failed)?;
    let rows = session.client.query_raw(&statement, values).await.map_err(failed)?;
    let rows: Vec<tokio_postgres::Row> = rows.try_collect().await.map_err(failed)?;
    let read = |row: &tokio_postgres::Row| -> Result<Row, tokio_postgres::Error> {
        (0..row.len()).map(|index| row.try_get(index)).collect::<Result<_, _>>().map(Row)
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
}

impl Turn<'_> {
    fn client(&self) -> Option<&Client> {
        self.session.as_ref().map(|session| session.client.as_ref())
    }

    pub(super) async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, MetastoreError> {
        ask(&mut self.session, sql, values).await
    }

    /// Ends it; all is done, or nothing. An error may hide that it was done.
    pub(super) async fn run(mut self, script: Vec<Change>) -> Result<(), MetastoreError> {
        let Some(session) = self.session.as_mut() else {
            return Err(failed("commit", std::io::Error::other("no session")));
        };
        if let Err(error) = session.apply(&script).await {
            self.release().await;
            return Err(error);
        }
        session.client.batch_execute("COMMIT").await.map_err(|source| failed("commit", source))?;
        self.ended = true;
        Ok(())
    }

    /// Ends it without having done anything.
    pub(super) async fn release(mut self) {
        if let Some(client) = self.client()
            && client.batch_execute("ROLLBACK").await.is_ok()
        {
            self.ended = true;
        }
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

    /// Does what a script says. Statements that are known are sent before the first is answered; the others have to wait: what
    /// they are about may be made by those before them.
    async fn apply(&mut self, script: &[Change]) -> Result<(), MetastoreError> {
        let mut sent = Vec::new();
        for change in script {
            if !self.prepared.contains_key(change.sql.as_ref()) {
                try_join_all(sent.drain(..)).await?;
            }
            let statement = self.statement(&change.sql).await.map_err(|source| failed(&change.sql, source))?;
            let client = Arc::clone(&self.client);
            sent.push(async move {
                let changed = client.execute_raw(&statement, &change.values).await;
                check_rows(change, changed.map_err(|source| failed(&change.sql, source))?)
            });
        }
        try_join_all(sent).await.map(drop)
    }
}

/// Parameters go as text, whatever their type.
impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => {
                out.extend_from_slice(b"\\x");
                out.extend(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
            }
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
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            Type::NUMERIC => return Err("a number without bounds".into()),
            _ => Self::Text(String::from_utf8(raw.to_vec())?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::BOOL | Type::TEXT | Type::VARCHAR | Type::NAME | Type::BYTEA)
    }
}

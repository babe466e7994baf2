//! A session's connection for its advisory locks, which PostgreSQL keeps as long as it lasts.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit};
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failed;
use super::postgres::{START_LOCK, UPKEEP_LOCK, WRITE_LOCK};
use crate::error::{Plain, Report, SqlState, unsupported};

/// One session's. Its locks end with it.
pub struct AdvisoryConnection {
    client: Arc<Client>,
    tls: Option<MakeRustlsConnect>,
    /// Who asks has it until the answer is there, or the question is withdrawn: a late withdrawal would be the next one's.
    turn: Arc<Mutex<()>>,
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for AdvisoryConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdvisoryConnection").finish_non_exhaustive()
    }
}

/// One of PostgreSQL's functions over advisory locks, for one lock.
#[derive(Clone, Debug)]
pub struct AdvisoryCall {
    /// Such as `pg_try_advisory_lock`.
    pub function: &'static str,
    /// One that takes back what the function gives, if nobody waits for the answer any more. `None`: it is done nevertheless.
    pub undo: Option<&'static str>,
    /// The lock's numbers.
    pub key: AdvisoryKey,
}

/// The numbers of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdvisoryKey {
    /// One of 64 bits.
    One(i64),
    /// Two of 32 bits. They are no number of 64 bits.
    Two(i32, i32),
}

impl AdvisoryCall {
    fn sql(&self, function: &str) -> String {
        match self.key {
            AdvisoryKey::One(number) => format!("SELECT {function}(({number})::int8)"),
            AdvisoryKey::Two(first, second) => format!("SELECT {function}(({first})::int4, ({second})::int4)"),
        }
    }
}

impl AdvisoryConnection {
    pub(super) fn new(client: Arc<Client>, tls: Option<MakeRustlsConnect>, permit: OwnedSemaphorePermit) -> Self {
        Self { client, tls, turn: Arc::default(), _permit: permit }
    }

    /// Whether the connection broke, and the locks with it.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What a function gives: `false`, or `true` for anything else. Who does not wait for it any more has not got the lock.
    /// `0A000` for numbers of the server's own, PostgreSQL's own error, `08006` if there is no answer.
    pub async fn call(&self, call: AdvisoryCall) -> Result<bool, Plain> {
        if let AdvisoryKey::One(WRITE_LOCK | UPKEEP_LOCK | START_LOCK) = call.key {
            return Err(unsupported("an advisory lock by a number that servers themselves lock"));
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (client, sql) = (Arc::clone(&self.client), call.sql(call.function));
        let task = tokio::spawn(async move { ask(&client, &sql).await });
        let (client, tls) = (Arc::clone(&self.client), self.tls.clone());
        let (cancel, undo) = (client.cancel_token(), call.undo.map(|undo| call.sql(undo)));
        let mut asked = Asked { task: Some(task), cancel, tls, undo, client, turn: Some(turn) };
        let Some(task) = asked.task.as_mut() else { return Ok(false) };
        let answer = task.await;
        asked.task = None;
        match answer {
            Ok(Ok(got)) => Ok(got),
            Ok(Err(error)) => Err(as_told(&error)),
            Err(error) => Err(Plain::new(SqlState::INTERNAL_ERROR, error.to_string())),
        }
    }
}

async fn ask(client: &Client, sql: &str) -> Result<bool, tokio_postgres::Error> {
    let answer = client.simple_query(sql).await?;
    let is_false =
        |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("f"));
    Ok(!answer.iter().any(is_false))
}

/// PostgreSQL's own error about a lock, or that it does not answer.
fn as_told(error: &tokio_postgres::Error) -> Plain {
    let told = error.as_db_error().map(|told| (told.code().code(), told.message().to_owned()));
    match told {
        Some(("40P01", message)) => Plain::new(SqlState::DEADLOCK_DETECTED, message),
        Some(("53200", message)) => Plain::new(SqlState::OUT_OF_MEMORY, message),
        _ => {
            Plain::new(SqlState::CONNECTION_FAILURE, format!("the metadata database gives no advisory locks: {error}"))
        }
    }
}

/// A question whose answer may not be waited for any more. Then it is withdrawn, and what was got nevertheless is given back.
struct Asked {
    task: Option<JoinHandle<Result<bool, tokio_postgres::Error>>>,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
    undo: Option<String>,
    client: Arc<Client>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let (cancel, tls, undo, client, turn) =
            (self.cancel.clone(), self.tls.take(), self.undo.take(), Arc::clone(&self.client), self.turn.take());
        tokio::spawn(async move {
            let _turn = turn;
            let Some(undo) = undo else { return drop(task.await) };
            let withdrawn = match tls {
                Some(tls) => cancel.cancel_query(tls).await,
                None => cancel.cancel_query(NoTls).await,
            };
            let got = matches!(task.await, Ok(Ok(true)));
            let undone = if got { ask(&client, &undo).await.map(drop) } else { Ok(()) };
            for error in [withdrawn.err(), undone.err()].into_iter().flatten() {
                let error = failed("withdraw a question for an advisory lock", error);
                tracing::warn!(code = %error.sqlstate(), cause = ?error, "an advisory lock may stay until its session ends");
            }
        });
    }
}

//! The life of a connection after start-up: messages in, replies out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::FieldRef;
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::watch;

use super::link::{Fault, Link, Stop, Watch, terminated};
use super::listen::Server;
use super::message::{Message, violation};
use super::reply::Bare;
use crate::activity::{Backend, Doing, Shown};
use crate::encode::{Format, RowEncoder};
use crate::error::{Plain, SqlError, SqlState};
use crate::execute::{CopyEncoder, CopyIn, Outcome};
use crate::plan::Parameters;
use crate::session::{Keeper, Run, Session, TransactionStatus};
use crate::statement::{Command, Statement};

/// How long a client may take to read why its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Times a statement of its own transaction is run before a conflict becomes the client's.
const COMMIT_ATTEMPTS_MAX: u32 = 100;

pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) link: Link,
    pub(super) session: Session,
    /// When it ends, whatever the client says; `None`: when he likes.
    until: Option<Instant>,
    /// What others see of it.
    backend: Backend,
    cancel: watch::Receiver<u64>,
    /// Values of reported settings that the client knows.
    reported: Vec<(&'static str, String)>,
    /// After an error in the extended protocol, until Sync.
    pub(super) skipping: bool,
}

/// Whether a commit failed because of what others did meanwhile, and so another attempt sees what that was.
fn lost_to_others(error: &SqlError) -> bool {
    [SqlState::SERIALIZATION_FAILURE, SqlState::UNIQUE_VIOLATION].contains(&error.sqlstate())
}

/// A connection's place among those allowed; given back however the connection ends.
struct Place(Arc<Server>, i32);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

impl Connection {
    pub(super) fn new(
        server: Arc<Server>,
        link: Link,
        (session, until): (Session, Option<Instant>),
        pid: i32,
        key: Vec<u8>,
    ) -> Self {
        let reported = session.reported();
        let now_us = Utc::now().timestamp_micros();
        let backend = Backend::new(pid, session.login_role(), session.client().to_owned(), key, now_us);
        let cancel = backend.cancels();
        Self { server, link, session, until, backend, cancel, reported, skipping: false }
    }

    /// Speaks until the client goes, breaks the protocol, or the server stops.
    pub(super) async fn run(mut self) {
        match self.server.enter(&self.backend) {
            Ok(()) => {
                let _place = Place(Arc::clone(&self.server), self.backend.pid);
                let ended = self.converse().await;
                if let Err(Fault::Fatal(error)) = ended {
                    self.say_fatal(&error).await;
                }
            }
            Err(error) => self.say_fatal(&error).await,
        }
        self.session.end().await;
        self.link.shutdown().await;
    }

    /// The last message, for a client that reads.
    async fn say_fatal(&mut self, error: &SqlError) {
        self.link.reply().error("FATAL", error);
        let _gone = tokio::time::timeout(FAREWELL, self.link.flush()).await;
    }

    /// Sends what has gathered. A client that does not read can still be told to go.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        tokio::select! {
            biased;
            done = self.link.flush() => done,
            () = self.backend.ended().cancelled() => Err(terminated()),
            () = self.server.shutdown.cancelled() => Err(terminated()),
        }
    }

    async fn converse(&mut self) -> Result<(), Fault> {
        self.ready();
        self.flush().await?;
        loop {
            let message = match self.next_message().await? {
                Ok(message) => message,
                Err(error) => {
                    // Extended-protocol errors skip to Sync; everything else is answered at once.
                    self.report(&error);
                    self.skipping = true;
                    self.flush().await?;
                    continue;
                }
            };
            if self.skipping && !matches!(message, Message::Sync | Message::Terminate) {
                continue;
            }
            match message {
                Message::Terminate => return Ok(()),
                Message::Query(sql) => {
                    self.query(&sql).await?;
                    self.ready();
                    self.flush().await?;
                }
                Message::Sync => {
                    self.skipping = false;
                    if let Err(error) = self.session.end_implicit().await {
                        self.report(&error);
                    }
                    self.ready();
                    self.flush().await?;
                }
                Message::Flush => self.flush().await?,
                Message::FunctionCall => {
                    let error = SqlError::from(crate::error::unsupported("the function call protocol"));
                    self.report(&error);
                    self.ready();
                    self.flush().await?;
                }
                // What is left of a COPY that failed.
                Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {}
                Message::Password(_) => return Err(Fault::Fatal(violation("unexpected password message"))),
                Message::Parse { .. }
                | Message::Bind(_)
                | Message::Describe(..)
                | Message::Execute { .. }
                | Message::Close(..) => {
                    self.extended(message).await?;
                    if self.link.is_full() {
                        self.flush().await?;
                    }
                }
            }
        }
    }

    /// Waits for a message; ends the connection on shutdown, when the client's token has expired or when a transaction is idle for
    /// too long.
    async fn next_message(&mut self) -> Result<Result<Message, SqlError>, Fault> {
        loop {
            if let Some(message) = self.message_or_mail().await? {
                return Ok(message);
            }
            self.notifications();
            self.flush().await?;
        }
    }

    /// `None`: others told something.
    async fn message_or_mail(&mut self) -> Result<Option<Result<Message, SqlError>>, Fault> {
        let listens = self.session.is_idle();
        let idle = self.session.settings().idle_in_transaction_timeout();
        let idle = idle.filter(|_| self.session.status() != TransactionStatus::Idle);
        let too_long = async {
            match idle {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let until = self.until;
        let expired = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let fatal = |code: SqlState, message: &str| Fault::Fatal(Plain::new(code, message).into());
        tokio::select! {
            biased;
            // Also if there is a message.
            () = expired => {
                let error = Plain::new(SqlState::INVALID_AUTHORIZATION, "terminating connection because the token has expired");
                Err(Fault::Fatal(error.hint("Connect again with a new token.").into()))
            }
            () = self.backend.ended().cancelled() => {
                Err(fatal(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"))
            }
            message = self.link.next(usize::MAX) => message.map(Some),
            () = self.backend.mailbox().arrived(), if listens => Ok(None),
            () = self.server.shutdown.cancelled() => {
                Err(fatal(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"))
            }
            () = too_long => {
                Err(fatal(SqlState::IDLE_IN_TRANSACTION_TIMEOUT, "terminating connection due to idle-in-transaction timeout"))
            }
        }
    }

    /// ReadyForQuery, after the settings that have changed since the last one.
    fn ready(&mut self) {
        let now = self.session.reported();
        for ((name, value), (_, known)) in now.iter().zip(&self.reported) {
            if value != known {
                self.link.reply().parameter_status(name, value);
            }
        }
        let application = now.iter().find(|(name, _)| *name == "application_name").map(|(_, value)| value.clone());
        self.reported = now;
        let status = self.session.status();
        let transaction_us = self.session.transaction_start();
        self.backend.set(|now| {
            now.doing = match status {
                TransactionStatus::Idle => Doing::Idle,
                TransactionStatus::InTransaction => Doing::InTransaction,
                TransactionStatus::Failed => Doing::Failed,
            };
            now.changed_us = Utc::now().timestamp_micros();
            now.transaction_us = transaction_us;
            now.application = application.unwrap_or_default();
        });
        if self.session.is_idle() {
            self.notifications();
        }
        self.link.reply().ready(status);
    }

    /// What others told since, for a client outside a transaction.
    fn notifications(&mut self) {
        for told in self.backend.mailbox().take() {
            self.link.reply().notification(&told);
        }
    }

    /// Shows others that a statement runs.
    fn begins(&self, statement: &Statement) {
        let now_us = Utc::now().timestamp_micros();
        let transaction_us = self.session.transaction_start().or(Some(now_us));
        self.backend.set(|now| {
            now.doing = Doing::Active;
            (now.changed_us, now.statement_us) = (now_us, Some(now_us));
            now.transaction_us = transaction_us;
            now.statement = Some(Arc::clone(&statement.text) as Arc<dyn Shown>);
        });
    }

    /// Tells the client of a failure and fails the transaction.
    pub(super) fn report(&mut self, error: &SqlError) {
        if error.is_internal() {
            tracing::error!(error_id = %error.id(), cause = %error.chain(), "internal error");
        } else {
            tracing::debug!(sqlstate = %error.sqlstate(), message = %error.chain(), "statement failed");
        }
        self.session.fail();
        self.notices();
        self.link.reply().error("ERROR", error);
    }

    pub(super) fn notices(&mut self) {
        for notice in self.session.take_notices() {
            self.link.reply().notice(&notice);
        }
    }

    pub(super) fn watch(&self) -> Watch {
        let deadline = self.session.settings().statement_timeout().map(|timeout| Instant::now() + timeout);
        Watch::new(&self.cancel, deadline, self.backend.ended())
    }

    /// A simple query: all its statements are parsed, then each runs and answers in turn.
    async fn query(&mut self, sql: &str) -> Result<(), Fault> {
        self.session.drop_unnamed();
        let message = match self.session.message(sql) {
            Ok(message) => message,
            Err(error) => {
                self.report(&error);
                self.close_message().await;
                return Ok(());
            }
        };
        let statements = &message.statements;
        if statements.is_empty() {
            self.link.reply().bare(Bare::EmptyQuery);
            return Ok(());
        }
        let keeper = (statements.len() == 1).then_some(&message.keeper);
        let last = statements.len() - 1;
        for (index, statement) in statements.iter().enumerate() {
            let done = self.simple_statement(statement, keeper, index == last).await;
            match done {
                Ok(tag) => {
                    self.notices();
                    self.link.reply().command_complete(&tag);
                    if self.link.is_full() {
                        self.flush().await?;
                    }
                }
                Err(Stop::Statement(error)) => {
                    self.report(&error);
                    break;
                }
                Err(Stop::Connection(fault)) => return Err(fault),
            }
        }
        self.close_message().await;
        Ok(())
    }

    /// Ends the implicit transaction of a message.
    async fn close_message(&mut self) {
        if let Err(error) = self.session.end_implicit().await {
            self.report(&error);
        }
    }

    /// Runs a statement and sends its rows. The last one of a message is committed before its tag is sent. `keeper`: of the
    /// only one.
    async fn simple_statement(
        &mut self,
        statement: &Statement,
        keeper: Option<&Keeper>,
        last: bool,
    ) -> Result<String, Stop> {
        let mut watch = self.watch();
        let parameters = Parameters::default();
        let run = Run { statement, parameters: &parameters, told: None, keeper };
        let outcome = self.perform(run, keeper.is_some(), &mut watch).await?;
        let tag = self.finish(outcome, &mut watch, None).await?;
        if last {
            self.session.end_implicit().await?;
        }
        Ok(tag)
    }

    /// Runs a statement. `alone`: it is all of its transaction, which ends here unless rows are still to be read, and is
    /// tried again if others were faster.
    pub(super) async fn perform(&mut self, run: Run<'_>, alone: bool, watch: &mut Watch) -> Result<Outcome, Stop> {
        let alone = alone && self.session.is_idle();
        self.begins(run.statement);
        let mut attempt = 1;
        loop {
            let running = Box::pin(self.session.run_again(run));
            // A COMMIT that has begun comes to its end: nobody is told that it was canceled when it was not.
            let outcome = match &run.statement.command {
                Command::Commit => running.await?,
                _ => watch.run(&mut self.link, running).await??,
            };
            if !alone || !matches!(outcome, Outcome::Done(_) | Outcome::Returned { .. }) {
                return Ok(outcome);
            }
            match self.session.end_implicit().await {
                Ok(()) => return Ok(outcome),
                Err(error) if lost_to_others(&error) && attempt < COMMIT_ATTEMPTS_MAX => {
                    attempt += 1;
                    drop(self.session.take_notices());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends what a statement gives, to the end. `formats`: of the extended protocol, where the client knows the columns.
    pub(super) async fn finish(
        &mut self,
        outcome: Outcome,
        watch: &mut Watch,
        formats: Option<&[Format]>,
    ) -> Result<String, Stop> {
        match outcome {
            Outcome::Done(tag) => Ok(tag),
            Outcome::Rows { fields, stream, tag } => {
                let count = self.send_rows(&fields, stream, watch, formats).await?;
                Ok(format!("{tag} {count}"))
            }
            Outcome::Returned { fields, stream, tag } => {
                self.send_rows(&fields, stream, watch, formats).await?;
                Ok(tag)
            }
            Outcome::CopyOut { stream, encoder, columns, binary } => {
                self.copy_out(stream, &encoder, columns, binary, watch).await
            }
            Outcome::CopyIn(copy) => self.copy_in(*copy, watch).await,
        }
    }

    async fn send_rows(
        &mut self,
        fields: &[FieldRef],
        mut stream: SendableRecordBatchStream,
        watch: &mut Watch,
        formats: Option<&[Format]>,
    ) -> Result<u64, Stop> {
        let text = vec![Format::Text; fields.len()];
        if formats.is_none() {
            self.link.reply().row_description(fields, &[]);
        }
        let formats = formats.unwrap_or(&text);
        let style = self.session.style();
        let mut count = 0;
        while let Some(batch) = watch.run(&mut self.link, stream.next()).await? {
            let batch = batch.map_err(SqlError::from_engine)?;
            let rows = RowEncoder::new(&batch, formats).map_err(SqlError::from_arrow)?;
            for row in 0..rows.rows() {
                rows.write(&mut self.link.write, row, &style);
                count += 1;
                if self.link.is_full() {
                    watch.flush(&mut self.link).await?;
                }
            }
        }
        Ok(count)
    }

    async fn copy_out(
        &mut self,
        mut stream: SendableRecordBatchStream,
        encoder: &CopyEncoder,
        columns: usize,
        binary: bool,
        watch: &mut Watch,
    ) -> Result<String, Stop> {
        self.link.reply().copy_response(b'H', binary, columns);
        // The binary header travels with the first row.
        let mut pending = encoder.header();
        let mut count = 0_u64;
        if !binary && !pending.is_empty() {
            self.link.reply().copy_data(&pending);
            pending.clear();
        }
        while let Some(batch) = watch.run(&mut self.link, stream.next()).await? {
            let batch = batch.map_err(SqlError::from_engine)?;
            let link = &mut self.link;
            encoder
                .write(&mut pending, &batch, |row| {
                    link.reply().copy_data(row);
                    row.clear();
                    count += 1;
                })
                .map_err(SqlError::from_arrow)?;
            if self.link.is_full() {
                watch.flush(&mut self.link).await?;
            }
        }
        pending.extend_from_slice(encoder.trailer());
        if !pending.is_empty() {
            self.link.reply().copy_data(&pending);
        }
        self.link.reply().bare(Bare::CopyDone);
        Ok(format!("COPY {count}"))
    }

    async fn copy_in(&mut self, mut copy: CopyIn, watch: &mut Watch) -> Result<String, Stop> {
        self.link.reply().copy_response(b'G', copy.is_binary(), copy.columns());
        self.flush().await?;
        loop {
            match self.link.next(usize::MAX).await?? {
                Message::CopyData(data) => {
                    let fed = watch.run(&mut self.link, copy.feed(&data)).await?;
                    fed?;
                }
                Message::CopyDone => break,
                Message::CopyFail(reason) => {
                    let error = Plain::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}"));
                    return Err(SqlError::from(error).with_context(|| copy.context()).into());
                }
                // Allowed, and without meaning here.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Fault::Closed.into()),
                _ => return Err(violation("unexpected message during COPY from stdin").into()),
            }
        }
        let rows = watch.run(&mut self.link, self.session.finish_copy(copy)).await??;
        Ok(format!("COPY {rows}"))
    }
}

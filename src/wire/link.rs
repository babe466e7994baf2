//! A connection's socket and buffers.

use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::message::{Message, decode, violation};
use super::reply::Reply;
use crate::error::{Plain, SqlError, SqlState, internal};

/// The longest message. PostgreSQL's limit is 1 GiB; ours bounds what one client can make us hold.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// Output is sent when this much has gathered.
const OUTPUT_BYTES: usize = 64 << 10;
/// Room for input, at least.
const INPUT_BYTES: usize = 8 << 10;
/// Input that is read ahead while a statement runs.
const AHEAD_BYTES: usize = 1 << 20;

/// A socket, plain or under TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// Why the conversation ends.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client has gone.
    Closed,
    Io(#[expect(dead_code, reason = "shown when debugging")] io::Error),
    /// Told to the client before the connection closes.
    Fatal(SqlError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) struct Link {
    io: Box<dyn Socket>,
    read: BytesMut,
    pub(super) write: Vec<u8>,
    /// How much of it is sent already: a flush may have been stopped on its way.
    sent: usize,
}

impl Link {
    /// With an empty buffer: bytes from before TLS must not be taken for bytes under TLS.
    pub(super) fn new(io: Box<dyn Socket>) -> Self {
        Self { io, read: BytesMut::new(), write: Vec::new(), sent: 0 }
    }

    pub(super) fn into_io(self) -> Box<dyn Socket> {
        self.io
    }

    pub(super) fn has_input(&self) -> bool {
        !self.read.is_empty()
    }

    pub(super) fn reply(&mut self) -> Reply<'_> {
        Reply(&mut self.write)
    }

    pub(super) async fn fill(&mut self) -> Result<(), Fault> {
        self.read.reserve(INPUT_BYTES);
        if self.io.read_buf(&mut self.read).await? == 0 { Err(Fault::Closed) } else { Ok(()) }
    }

    /// Exactly `length` bytes.
    pub(super) async fn take(&mut self, length: usize) -> Result<BytesMut, Fault> {
        while self.read.len() < length {
            self.fill().await?;
        }
        Ok(self.read.split_to(length))
    }

    /// A start-up packet's body: no type byte, a length that counts itself.
    pub(super) async fn startup_packet(&mut self, bytes_max: usize) -> Result<BytesMut, Fault> {
        let length = self.take(4).await?.get_i32();
        match usize::try_from(length).ok().filter(|length| (8..=bytes_max).contains(length)) {
            Some(length) => self.take(length - 4).await,
            None => Err(Fault::Fatal(violation("invalid length of startup packet"))),
        }
    }

    /// The next message. A damaged one is an error after which the stream is still in step.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<Result<Message, SqlError>, Fault> {
        while self.read.len() < 5 {
            self.fill().await?;
        }
        let kind = self.read.first().copied().unwrap_or_default();
        let length = self.read.get(1..5).map(|mut head| head.get_i32()).unwrap_or_default();
        let limit = bytes_max.min(MESSAGE_BYTES_MAX);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length >= 4 && *length <= limit) else {
            return Err(Fault::Fatal(violation(format!("invalid message length {length}"))));
        };
        let frame = self.take(length + 1).await?;
        Ok(decode(kind, frame.get(5..).unwrap_or_default()))
    }

    /// Whether the next message is there already and of this kind.
    pub(super) fn next_is(&self, kind: u8) -> bool {
        self.read.first() == Some(&kind)
    }

    /// Sends what has gathered. If it is dropped before its end, the next one goes on where it was.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        while let Some(rest) = self.write.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.io.write(rest).await? {
                0 => return Err(Fault::Closed),
                sent => self.sent += sent,
            }
        }
        self.write.clear();
        self.write.shrink_to(4 * OUTPUT_BYTES);
        self.sent = 0;
        self.io.flush().await?;
        Ok(())
    }

    pub(super) async fn shutdown(&mut self) {
        // The client may be gone already: there is nobody to tell.
        let _gone = self.io.shutdown().await;
    }

    pub(super) fn is_full(&self) -> bool {
        self.write.len() >= OUTPUT_BYTES
    }
}

/// Somebody ends the connection.
pub(super) fn terminated() -> Fault {
    let message = "terminating connection due to administrator command";
    Fault::Fatal(Plain::new(SqlState::ADMIN_SHUTDOWN, message).into())
}

/// What can stop a statement from outside.
pub(super) struct Watch {
    cancel: watch::Receiver<u64>,
    /// Cancel requests before the statement do not count.
    before: u64,
    deadline: Option<Instant>,
    /// Whether somebody ends the connection.
    ended: CancellationToken,
}

/// A statement that was stopped, or a client that went away meanwhile.
#[derive(Debug)]
pub(super) enum Stop {
    Statement(SqlError),
    Connection(Fault),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Statement(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Connection(fault)
    }
}

impl Watch {
    pub(super) fn new(cancel: &watch::Receiver<u64>, deadline: Option<Instant>, ended: &CancellationToken) -> Self {
        let before = *cancel.borrow();
        Self { cancel: cancel.clone(), before, deadline, ended: ended.clone() }
    }

    async fn stopped(&mut self) -> Stop {
        let canceled = |message: &str| SqlError::from(Plain::new(SqlState::QUERY_CANCELED, message)).into();
        let before = self.before;
        let requested = self.cancel.wait_for(|count| *count != before);
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.ended.cancelled() => terminated().into(),
            _ = requested => canceled("canceling statement due to user request"),
            () = late => canceled("canceling statement due to statement timeout"),
        }
    }

    /// Waits for some work; meanwhile listens for cancel requests, the deadline, and the client's going away. A panic in
    /// the work is an internal error of the statement.
    pub(super) async fn run<T>(&mut self, link: &mut Link, work: impl Future<Output = T>) -> Result<T, Stop> {
        let work = AssertUnwindSafe(work).catch_unwind();
        tokio::pin!(work);
        loop {
            let ahead = link.read.len() < AHEAD_BYTES;
            tokio::select! {
                biased;
                stop = self.stopped() => return Err(stop),
                done = &mut work => {
                    return done.map_err(|panic| {
                        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
                        Stop::Statement(internal(text.unwrap_or("panic")).into())
                    });
                }
                read = link.fill(), if ahead => read?,
            }
        }
    }

    /// Sends what has gathered; a client that does not read can still be cancelled.
    pub(super) async fn flush(&mut self, link: &mut Link) -> Result<(), Stop> {
        tokio::select! {
            biased;
            stop = self.stopped() => Err(stop),
            done = link.flush() => Ok(done?),
        }
    }
}

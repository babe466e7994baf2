//! Accepting connections, and ending them when the server stops.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::Link;
use super::startup::serve;
use super::throttle::Throttle;
use super::tls::{Tls, TlsError};
use crate::error::{Plain, SqlError, SqlState};
use crate::name::ObjectId;
use crate::session::Shared;

/// How long a client may take to log in.
const LOGIN_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections that are not logged in yet count double: this many sockets may be open at most.
const SOCKETS_PER_CONNECTION: usize = 2;

/// Why the server cannot accept connections; it does not start then.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refuses the address: it is in use, not this machine's, or not permitted.
    #[error("could not listen on {address}")]
    Bind {
        /// IP address and port, as configured.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What connections share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<Tls>,
    pub(super) tls_required: bool,
    pub(super) login_timeout: Duration,
    /// Makes up salts for users who do not exist.
    pub(super) mock_secret: Vec<u8>,
    pub(super) throttle: Throttle,
    pub(super) shutdown: CancellationToken,
    connections_max: usize,
    connections: AtomicUsize,
    sockets: AtomicUsize,
    next_pid: AtomicI32,
    connected: Mutex<HashMap<i32, Connected>>,
}

#[derive(Debug)]
struct Connected {
    /// Who logged in.
    role: ObjectId,
    /// What a cancel request must know.
    key: Vec<u8>,
    requests: watch::Sender<u64>,
}

impl Server {
    pub(super) fn next_pid(&self) -> i32 {
        self.next_pid.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection's place among those allowed, in all and for its role, or `53300`.
    pub(super) fn enter(&self, pid: i32, role: ObjectId, key: Vec<u8>) -> Result<watch::Receiver<u64>, SqlError> {
        if self.connections.fetch_add(1, Ordering::AcqRel) >= self.connections_max {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            return Err(Plain::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already").into());
        }
        let head = self.shared.metastore.head();
        let mut connected = self.connected();
        if let Some(limited) = head.role(role)
            && let Ok(most) = usize::try_from(limited.connection_limit)
            && !limited.superuser
            && connected.values().filter(|other| other.role == role).count() >= most
        {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            let message = format!("too many connections for role \"{}\"", limited.name);
            return Err(Plain::new(SqlState::TOO_MANY_CONNECTIONS, message).into());
        }
        let (sender, receiver) = watch::channel(0);
        connected.insert(pid, Connected { role, key, requests: sender });
        Ok(receiver)
    }

    pub(super) fn leave(&self, pid: i32) {
        self.connected().remove(&pid);
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// A cancel request. A wrong key is ignored without a word.
    pub(super) fn cancel(&self, pid: i32, key: &[u8]) {
        if let Some(connected) = self.connected().get(&pid)
            && subtle::ConstantTimeEq::ct_eq(connected.key.as_slice(), key).into()
        {
            connected.requests.send_modify(|count| *count += 1);
        }
    }

    fn connected(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open door.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    server: Arc<Server>,
    tasks: TaskTracker,
}

impl Listener {
    /// Opens the port; [`Listener::run`] serves it. `tls`: PEM certificate, its key, whether to require it; or no TLS.
    pub async fn bind(
        address: SocketAddr,
        shared: Arc<Shared>,
        connections_max: usize,
        tls: Option<(&Path, &Path, bool)>,
        shutdown: CancellationToken,
    ) -> Result<Self, ListenError> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::Bind { address: address.to_string(), source })?;
        let (tls, tls_required) = match tls {
            Some((certificate, key, required)) => (Some(Tls::load(certificate, key)?), required),
            None => (None, false),
        };
        let server = Server {
            shared,
            tls,
            tls_required,
            login_timeout: LOGIN_TIMEOUT,
            mock_secret: rand::random::<[u8; 32]>().to_vec(),
            throttle: Throttle::default(),
            shutdown,
            connections_max,
            connections: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            next_pid: AtomicI32::new(1000),
            connected: Mutex::default(),
        };
        Ok(Self { socket, server: Arc::new(server), tasks: TaskTracker::new() })
    }

    /// Where it listens, with the port that the system chose if it was asked for port 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until shutdown; then waits for the connections to end what they are doing, at most `grace`.
    pub async fn run(self, grace: Duration) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = self.server.shutdown.cancelled() => break,
            };
            let socket = match accepted {
                Ok((socket, _peer)) => socket,
                Err(error) => {
                    // Out of file descriptors, most likely: give some time to come back.
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let server = Arc::clone(&self.server);
            if server.sockets.fetch_add(1, Ordering::AcqRel)
                >= server.connections_max.saturating_mul(SOCKETS_PER_CONNECTION) + 16
            {
                server.sockets.fetch_sub(1, Ordering::AcqRel);
                let mut link = Link::new(Box::new(socket));
                let error =
                    SqlError::from(Plain::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already"));
                link.reply().error("FATAL", &error);
                let _gone = link.flush().await;
                continue;
            }
            self.tasks.spawn(async move {
                Box::pin(serve(Arc::clone(&server), socket)).await;
                server.sockets.fetch_sub(1, Ordering::AcqRel);
            });
        }
        drop(self.socket);
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections were cut off at shutdown");
        }
    }
}

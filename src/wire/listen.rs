//! Accepting connections, and ending them when the server stops.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::Link;
use super::startup::{Accepted, serve};
use super::throttle::Throttle;
use super::tls::{TlsError, TlsFiles, TlsHolder};
use crate::activity::Backend;
use crate::error::{Plain, SqlError, SqlState, chain};
use crate::login::Issuers;
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
    /// The socket in the file system cannot be made.
    #[error("could not create the socket \"{path}\"")]
    Local {
        /// Where it should be.
        path: PathBuf,
        /// The system's reason; `AddrInUse` if another server has it.
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
    pub(super) tls: Option<TlsHolder>,
    pub(super) tls_required: bool,
    pub(super) login_timeout: Duration,
    /// Makes up salts for users who do not exist.
    pub(super) mock_secret: Vec<u8>,
    pub(super) throttle: Throttle,
    /// Passwords that are hashed at once.
    pub(super) hashing: Semaphore,
    /// Keys of OAuth issuers.
    pub(super) issuers: Issuers,
    pub(super) shutdown: CancellationToken,
    connections_max: usize,
    connections: AtomicUsize,
    sockets: AtomicUsize,
    next_pid: AtomicI32,
}

impl Server {
    pub(super) fn next_pid(&self) -> i32 {
        self.next_pid.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection's place among those allowed, in all and for its role, or `53300`.
    pub(super) fn enter(&self, backend: &Backend) -> Result<(), SqlError> {
        if self.connections.fetch_add(1, Ordering::AcqRel) >= self.connections_max {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            return Err(Plain::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already").into());
        }
        let head = self.shared.metastore.head();
        let role = head.role(backend.role);
        let limited = role.filter(|role| !role.superuser);
        let most = limited.and_then(|role| usize::try_from(role.connection_limit).ok());
        if !self.shared.activity.enter(backend, most) {
            self.connections.fetch_sub(1, Ordering::AcqRel);
            let name = role.map_or("", |role| &role.name);
            let message = format!("too many connections for role \"{name}\"");
            return Err(Plain::new(SqlState::TOO_MANY_CONNECTIONS, message).into());
        }
        Ok(())
    }

    pub(super) fn leave(&self, pid: i32) {
        self.shared.activity.leave(pid);
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Puts in force what the files of rules, maps and certificates say now; if one has a fault, all stays.
    fn reload(&self) {
        let certificates = self.tls.as_ref().map(|tls| tls.read().map(|new| (tls, new))).transpose();
        match (self.shared.login.read(), certificates) {
            (Ok(login), Ok(certificates)) => {
                self.shared.login.put(login);
                if let Some((tls, new)) = certificates {
                    tls.put(new);
                }
                tracing::info!("rules, maps and certificates were read again");
            }
            (login, certificates) => {
                let faults = [login.err().map(|fault| chain(&fault)), certificates.err().map(|fault| chain(&fault))];
                for error in faults.into_iter().flatten() {
                    tracing::error!(error, "rules, maps and certificates stay as they were");
                }
            }
        }
    }
}

/// How clients may come.
#[derive(Debug)]
pub struct Doors<'a> {
    /// Where TCP clients come.
    pub address: SocketAddr,
    /// Where the socket in the file system is; `None`: there is none.
    pub directory: Option<&'a Path>,
    /// Connections open at once; more are refused with 53300.
    pub connections_max: usize,
    /// `None`: no connection is encrypted.
    pub tls: Option<TlsFiles>,
    /// Whether TCP connections must be.
    pub tls_required: bool,
}

/// The socket in the file system, which everybody may connect to: who may come in is for the rules to say. One that is left
/// from a server that is no more is replaced.
fn open_local(path: &Path) -> std::io::Result<UnixListener> {
    let opened = match UnixListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let answer = std::os::unix::net::UnixStream::connect(path);
            let is_left = answer.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
            if !is_left || !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        opened => opened?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(opened)
}

/// The open doors.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// The socket in the file system, and where it is.
    local: Option<(UnixListener, PathBuf)>,
    server: Arc<Server>,
    tasks: TaskTracker,
}

impl Listener {
    /// Opens the doors; [`Listener::run`] serves them.
    pub async fn bind(doors: Doors<'_>, shared: Arc<Shared>, shutdown: CancellationToken) -> Result<Self, ListenError> {
        let address = doors.address;
        let bind_failed = |source| ListenError::Bind { address: address.to_string(), source };
        let socket = TcpListener::bind(address).await.map_err(bind_failed)?;
        let port = socket.local_addr().map_err(bind_failed)?.port();
        let local = match doors.directory {
            Some(directory) => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                let opened = open_local(&path).map_err(|source| ListenError::Local { path: path.clone(), source })?;
                Some((opened, path))
            }
            None => None,
        };
        let hashing = Semaphore::new(shared.workers.max(1));
        let server = Server {
            shared,
            tls: doors.tls.map(TlsHolder::open).transpose()?,
            tls_required: doors.tls_required,
            login_timeout: LOGIN_TIMEOUT,
            mock_secret: rand::random::<[u8; 32]>().to_vec(),
            throttle: Throttle::default(),
            hashing,
            issuers: Issuers::default(),
            shutdown,
            connections_max: doors.connections_max,
            connections: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            next_pid: AtomicI32::new(1000),
        };
        Ok(Self { socket, local, server: Arc::new(server), tasks: TaskTracker::new() })
    }

    /// Where it listens, with the port that the system chose if it was asked for port 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until shutdown; then waits for the connections to end what they are doing, at most `grace`. Rules, maps and
    /// certificates are read again whenever someone asks for it.
    pub async fn run(self, grace: Duration) {
        let mut reloads = self.server.shared.login.reloads();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted.map(|(socket, _)| Accepted::Tcp(socket)),
                accepted = accept_local(self.local.as_ref()) => accepted,
                Ok(()) = reloads.changed() => {
                    let server = Arc::clone(&self.server);
                    let reloaded = tokio::task::spawn_blocking(move || server.reload()).await;
                    if let Err(error) = reloaded {
                        tracing::error!(%error, "reading rules and certificates again failed");
                    }
                    continue;
                }
                () = self.server.shutdown.cancelled() => break,
            };
            match accepted {
                Ok(socket) => self.welcome(socket).await,
                Err(error) => {
                    // Out of file descriptors, most likely: give some time to come back.
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // While the port is ours, nobody else makes a socket of this name.
        if let Some((socket, path)) = self.local {
            drop(socket);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "could not remove the socket");
            }
        }
        drop(self.socket);
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections were cut off at shutdown");
        }
    }

    /// Serves a client, in a task of its own, if there are not too many.
    async fn welcome(&self, socket: Accepted) {
        let server = Arc::clone(&self.server);
        let most = server.connections_max.saturating_mul(SOCKETS_PER_CONNECTION) + 16;
        let place = Place::take(&server);
        if place.before >= most {
            let mut link = match socket {
                Accepted::Tcp(socket) => Link::new(Box::new(socket)),
                Accepted::Local(socket) => Link::new(Box::new(socket)),
            };
            let error = SqlError::from(Plain::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already"));
            link.reply().error("FATAL", &error);
            let _gone = link.flush().await;
            return;
        }
        self.tasks.spawn(async move {
            let _place = place;
            Box::pin(serve(server, socket)).await;
        });
    }
}

/// A socket's place among those that may be open; it is free again whatever becomes of the task.
struct Place {
    server: Arc<Server>,
    /// How many were taken before.
    before: usize,
}

impl Place {
    fn take(server: &Arc<Server>) -> Self {
        Self { server: Arc::clone(server), before: server.sockets.fetch_add(1, Ordering::AcqRel) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.sockets.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn accept_local(local: Option<&(UnixListener, PathBuf)>) -> std::io::Result<Accepted> {
    match local {
        Some((listener, _)) => listener.accept().await.map(|(socket, _)| Accepted::Local(socket)),
        None => std::future::pending().await,
    }
}

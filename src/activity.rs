//! The clients of this server: who is there, what each does, and how it is stopped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::name::ObjectId;
use crate::notification::{Mailbox, Notification};

/// A statement's text, as others may see it.
pub trait Shown: fmt::Debug + Send + Sync {
    /// The text without literals.
    fn shown(&self) -> &str;
}

/// What a client's session does: `pg_stat_activity.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It waits for the client.
    #[default]
    Idle,
    /// It runs a statement.
    Active,
    /// It waits for the client, in a transaction block.
    InTransaction,
    /// The same, and a statement of the block failed.
    Failed,
}

impl Doing {
    /// PostgreSQL's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::InTransaction => "idle in transaction",
            Self::Failed => "idle in transaction (aborted)",
        }
    }
}

/// What a session is at. Times are microseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// What it does.
    pub doing: Doing,
    /// Since when.
    pub changed_us: i64,
    /// When its transaction began, if it is in one.
    pub transaction_us: Option<i64>,
    /// When its last statement began.
    pub statement_us: Option<i64>,
    /// That statement.
    pub statement: Option<Arc<dyn Shown>>,
    /// `application_name`.
    pub application: String,
}

/// A client that has logged in.
#[derive(Clone)]
pub struct Backend {
    /// Its number, which a cancel request names; not a process.
    pub pid: i32,
    /// Who logged in.
    pub role: ObjectId,
    /// Its address and port; something else: it came through a socket of this machine.
    pub client: String,
    /// Microseconds since 1970.
    pub started_us: i64,
    /// What a cancel request must know.
    key: Arc<[u8]>,
    now: Arc<Mutex<Now>>,
    cancels: watch::Sender<u64>,
    ended: CancellationToken,
    mailbox: Arc<Mailbox>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl Backend {
    /// A client that comes now.
    pub fn new(pid: i32, role: ObjectId, client: String, key: Vec<u8>, started_us: i64) -> Self {
        Self {
            pid,
            role,
            client,
            started_us,
            key: key.into(),
            now: Arc::new(Mutex::new(Now { changed_us: started_us, ..Now::default() })),
            cancels: watch::channel(0).0,
            ended: CancellationToken::new(),
            mailbox: Arc::default(),
        }
    }

    /// What it is at.
    pub fn now(&self) -> Now {
        self.lock().clone()
    }

    /// Says what it is at from now on.
    pub fn set(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.lock());
    }

    /// Changes with each request to cancel what it runs.
    pub fn cancels(&self) -> watch::Receiver<u64> {
        self.cancels.subscribe()
    }

    /// Whether someone ended its connection, and when.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// What others tell it.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Cancels the statement that it runs.
    pub fn cancel(&self) {
        self.cancels.send_modify(|count| *count += 1);
    }

    /// Ends its connection, and what it runs.
    pub fn end(&self) {
        self.ended.cancel();
        self.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All clients of this server.
pub struct Activity {
    id: u64,
    backends: Mutex<BTreeMap<i32, Backend>>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { id: rand::random(), backends: Mutex::default() }
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Activity")
    }
}

impl Activity {
    /// Takes a client in unless `most` of its role are there already. Tells whether it was taken in.
    pub fn enter(&self, backend: &Backend, most: Option<usize>) -> bool {
        let mut all = self.lock();
        let same = all.values().filter(|other| other.role == backend.role).count();
        let has_room = most.is_none_or(|most| same < most);
        if has_room {
            all.insert(backend.pid, backend.clone());
        }
        has_room
    }

    /// Tells this server apart from others.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Tells the clients of this server what one said on channels that they listen to. A client that does not read what it
    /// was told, of which other servers do not know, is disconnected: it would miss this.
    pub fn tell(&self, notifications: &[Arc<Notification>]) {
        for backend in self.lock().values().filter(|backend| !backend.mailbox.put(notifications)) {
            backend.end();
        }
    }

    /// Whether someone listens to a channel who has not read what he was told, so that there is no room for more.
    pub fn is_deaf(&self, channel: &str) -> bool {
        self.lock().values().any(|backend| backend.mailbox.is_full(channel))
    }

    /// A client went.
    pub fn leave(&self, pid: i32) {
        self.lock().remove(&pid);
    }

    /// A client by its number.
    pub fn backend(&self, pid: i32) -> Option<Backend> {
        self.lock().get(&pid).cloned()
    }

    /// All of them, by number.
    pub fn backends(&self) -> Vec<Backend> {
        self.lock().values().cloned().collect()
    }

    /// A cancel request. A wrong key is ignored without a word.
    pub fn cancel(&self, pid: i32, key: &[u8]) {
        if let Some(backend) = self.backend(pid)
            && subtle::ConstantTimeEq::ct_eq(backend.key.as_ref(), key).into()
        {
            backend.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Backend>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

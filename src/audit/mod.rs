//! The audit trail: who did what to which objects, under which policies, and with what success.
//!
//! Records are lines of JSON in files of the server's own. Each has the hash of the record and of the line before it, so that one
//! that was changed, taken out or put in shows ([`verify`]); what is cut off at the end shows by comparing the last hash with one
//! that was noted elsewhere. Literals are taken out of statements before a record exists.

mod trail;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use trail::{Found, Trail, read, verify};

use crate::error::{Plain, SqlState};

/// Records that may wait to be written; then statements wait, too.
const WAITING_MAX: usize = 10_000;
/// How long to wait for a place among them before looking again.
const PAUSE: Duration = Duration::from_millis(1);

/// When records are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// There are none.
    Off,
    /// Soon after the statement: a crash of the machine may lose the last second, a killed server what it was about to write.
    #[default]
    Async,
    /// What changes definitions or rights, or reads through policies, begins when a record of it is on disk, and fails if that
    /// cannot be.
    Strict,
}

/// What kind of thing a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Connections: who came in, who was refused, who left.
    Session,
    /// Roles, privileges and policies.
    Role,
    /// Other definitions.
    Ddl,
    /// Changes of rows.
    Write,
    /// Reads of users' relations. Those through policies are [`Class::Protected`].
    Read,
    /// Reads through row policies or masks.
    Protected,
    /// All else, such as settings and the ends of transactions.
    Misc,
}

/// Something that a statement uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// With its schema.
    pub name: String,
    /// `table`, `view` and so on.
    pub kind: &'static str,
    /// What it took, such as `SELECT`.
    pub privilege: String,
    /// Names of the columns that it took it on; empty: on the whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Whose rights counted, if not the current user's: a view's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights_of: Option<String>,
}

/// What is recorded of one event; number, time and server are added when it is written.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// What kind of thing it is.
    pub class: Class,
    /// What happened: `statement`, `begin` (strict mode), `login`, `login refused`, `logout`, `start`, `stop` …
    pub event: &'static str,
    /// The connection's number.
    pub pid: i32,
    /// Who logged in.
    pub login_role: String,
    /// The session's user, after SET SESSION AUTHORIZATION.
    pub session_role: String,
    /// The current user, after SET ROLE.
    pub effective_role: String,
    /// The client's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// The command tag, without counts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// The whole message, without its literals.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub statement: String,
    /// What it takes, up to what was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// Policies that it was done under.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Rows that it gave or changed, if it gave or changed any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// False: the client did not read all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Why it failed. Messages are left out: they may have data in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// More about events that are no statements.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Entry {
    /// Of an event of the server, not of a session.
    pub fn of_server(event: &'static str, detail: String) -> Self {
        Self {
            class: Class::Session,
            event,
            pid: 0,
            login_role: String::new(),
            session_role: String::new(),
            effective_role: String::new(),
            client: String::new(),
            application: String::new(),
            command: String::new(),
            statement: String::new(),
            objects: Vec::new(),
            policies: Vec::new(),
            rows: None,
            complete: None,
            duration_us: None,
            sqlstate: None,
            detail,
        }
    }
}

/// An entry on its way to the file; `None`: only what was handed in before.
struct Job {
    entry: Option<Box<Entry>>,
    /// Told when it is in the file, or why it cannot be.
    done: Option<oneshot::Sender<Result<(), String>>>,
    /// Whether it must be on disk by then.
    durable: bool,
}

/// Where entries are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    mode: Mode,
    classes: Arc<[Class]>,
    directory: PathBuf,
    /// `None`: nothing is recorded.
    sender: Option<SyncSender<Job>>,
    lost: Arc<AtomicU64>,
}

impl Audit {
    /// Nothing is recorded.
    pub fn off() -> Self {
        Self { mode: Mode::Off, classes: Arc::from([]), directory: PathBuf::new(), sender: None, lost: Arc::default() }
    }

    /// Goes on with the trail in a directory, which is made if it is not there. `file_bytes`: a file that is longer is
    /// followed by another.
    pub fn open(directory: &Path, mode: Mode, classes: &[Class], file_bytes: u64) -> std::io::Result<Self> {
        if mode == Mode::Off {
            return Ok(Self { directory: directory.to_owned(), ..Self::off() });
        }
        let lost = Arc::new(AtomicU64::new(0));
        let sender = writer::start(directory, file_bytes, WAITING_MAX, Arc::clone(&lost))?;
        Ok(Self { mode, classes: classes.into(), directory: directory.to_owned(), sender: Some(sender), lost })
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether such things are recorded.
    pub fn records(&self, class: Class) -> bool {
        self.sender.is_some() && self.classes.contains(&class)
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether what changes rights, or reads through policies, waits for its record.
    pub fn is_strict(&self) -> bool {
        self.mode == Mode::Strict && self.sender.is_some()
    }

    /// Writes an entry: when it is done, a server that is killed has left it. Failures are counted, and told of later.
    pub async fn record(&self, entry: Entry) {
        let _counted = self.hand_in(Some(entry), false).await;
    }

    /// Waits until all that was handed in is in the files.
    pub async fn catch_up(&self) {
        let _nothing_written = self.hand_in(None, false).await;
    }

    /// Hands in an entry, or counts it as lost if too many wait already.
    pub fn record_now(&self, entry: Entry) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(Job { entry: Some(Box::new(entry)), done: None, durable: false }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes an entry to disk. `58030` if it cannot be.
    pub async fn record_durably(&self, entry: Entry) -> Result<(), Plain> {
        let failed = |reason: String| Plain::new(SqlState::IO_ERROR, "could not write the audit trail").detail(reason);
        self.hand_in(Some(entry), true).await.map_err(failed)
    }

    async fn hand_in(&self, entry: Option<Entry>, durable: bool) -> Result<(), String> {
        let closed = || "It is closed.".to_owned();
        let (done, written) = oneshot::channel();
        let job = Job { entry: entry.map(Box::new), done: Some(done), durable };
        self.send(job).await.map_err(|()| closed())?;
        written.await.unwrap_or_else(|_dropped| Err(closed()))
    }

    async fn send(&self, mut job: Job) -> Result<(), ()> {
        let Some(sender) = &self.sender else { return Ok(()) };
        loop {
            match sender.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => {
                    job = back;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TrySendError::Disconnected(_)) => return Err(()),
            }
        }
    }
}

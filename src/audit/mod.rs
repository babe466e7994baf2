//! The audit trail: who did what to which objects, under which policies, and with what success.
//!
//! Records are lines of JSON in files of the server's own. Each has the hash of the record and of the line before it, so that one
//! that was changed, taken out or put in shows ([`verify`]); what is cut off at the end shows by comparing the last hash with one
//! that was noted elsewhere. Literals are taken out of statements before a record exists.

mod trail;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use trail::{Found, Trail, read, verify};
use writer::Open;

use crate::error::{Plain, SqlState};

/// How long written records may not be on disk.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// When records are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// There are none.
    Off,
    /// In the file before the client is told, on disk soon after: a crash of the machine may lose the last second.
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

/// Where entries are written.
#[derive(Debug)]
pub struct Audit {
    mode: Mode,
    classes: Vec<Class>,
    directory: PathBuf,
    /// `None`: nothing is recorded.
    open: Option<Mutex<Open>>,
    /// Records that could not be written since the last that could.
    lost: AtomicU64,
}

impl Audit {
    /// Nothing is recorded.
    pub fn off() -> Self {
        Self { mode: Mode::Off, classes: Vec::new(), directory: PathBuf::new(), open: None, lost: AtomicU64::new(0) }
    }

    /// Goes on with the trail in a directory, which is made if it is not there. `file_bytes`: a file that is longer is
    /// followed by another. What is written is on disk a second later.
    pub fn open(directory: &Path, mode: Mode, classes: &[Class], file_bytes: u64) -> std::io::Result<Arc<Self>> {
        if mode == Mode::Off {
            return Ok(Arc::new(Self { directory: directory.to_owned(), ..Self::off() }));
        }
        let open = Some(Mutex::new(Open::new(directory, file_bytes)?));
        let (classes, directory) = (classes.to_vec(), directory.to_owned());
        let audit = Arc::new(Self { mode, classes, directory, open, lost: AtomicU64::new(0) });
        let known = Arc::downgrade(&audit);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(SYNC_AFTER);
                let Some(audit) = known.upgrade() else { return };
                audit.sync();
            }
        })?;
        Ok(audit)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether such things are recorded.
    pub fn records(&self, class: Class) -> bool {
        self.open.is_some() && self.classes.contains(&class)
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.open.is_some()
    }

    /// Whether what changes rights, or reads through policies, waits for its record.
    pub fn is_strict(&self) -> bool {
        self.mode == Mode::Strict && self.open.is_some()
    }

    /// Writes an entry: when it is done, a server that is killed has left it. Failures are counted, and told of later.
    pub fn record(&self, entry: &Entry) {
        if let Err(error) = self.write(entry) {
            tracing::error!(%error, "the audit trail cannot be written");
        }
    }

    /// Writes an entry to disk. `58030` if it cannot be.
    pub async fn record_durably(&self, entry: Entry) -> Result<(), Plain> {
        let failed = |error: std::io::Error| {
            Plain::new(SqlState::IO_ERROR, "could not write the audit trail").detail(error.to_string())
        };
        let Some(file) = self.write(&entry).map_err(failed)? else { return Ok(()) };
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced.map_err(crate::error::internal)?.map_err(failed)
    }

    /// The file that the entry is in.
    fn write(&self, entry: &Entry) -> std::io::Result<Option<Arc<File>>> {
        let Some(open) = &self.open else { return Ok(None) };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = self.lost.swap(0, Ordering::Relaxed);
        let lost = (missing > 0).then(|| Entry::of_server("lost", format!("{missing} records are missing here")));
        let entries: Vec<&Entry> = lost.iter().chain([entry]).collect();
        match open.append(&entries) {
            Ok(()) => Ok(Some(open.file())),
            Err(error) => {
                self.lost.fetch_add(missing + 1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn sync(&self) {
        let Some(open) = &self.open else { return };
        let open = || open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = open().take_dirty();
        if let Some(Err(error)) = file.map(|file| file.sync_data()) {
            tracing::error!(%error, "the audit trail cannot be written to disk");
            open().not_synced();
        }
    }
}

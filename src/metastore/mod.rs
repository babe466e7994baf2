//! The metadata database: DuckLake's tables and ours, side by side, one commit for both.
//!
//! [`Metastore`] keeps the newest committed [`CatalogState`] in memory, so that planning costs no SQL, and is the only
//! place that speaks SQL to the database.

mod claims;
mod commit;
mod db;
mod inline;
mod load;
mod merge;
mod migrate;
mod rows;
mod sequence;

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use claims::RecentClaims;
pub use commit::{Commit, CommitError, DeletedRows, Resolved, TableCommit};
use db::Db;
pub use inline::InlinedInsert;
pub use sequence::Sequences;

use crate::catalog::{BOOTSTRAP_ROLE, CatalogState};
use crate::error::{Report, SqlState};
use crate::govern::PasswordVerifier;
use crate::name::SnapshotId;

/// Earlier states that are kept.
const PAST_MAX: usize = 8;

/// What went wrong with the data directory or the metadata database.
#[derive(Debug, thiserror::Error)]
pub enum MetastoreError {
    /// `55000`: another process holds the directory's lock.
    #[error("data directory \"{directory}\" is in use by another server")]
    InUse {
        /// Path of the data directory.
        directory: String,
    },
    /// `58030`: the file system refused.
    #[error("could not {doing} in data directory \"{directory}\"")]
    Directory {
        /// What was tried, to stand after “could not”.
        doing: &'static str,
        /// Path of the data directory, or of the folder in it that was meant.
        directory: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// `58030`: SQLite refused.
    #[error("metadata database: {doing}")]
    Database {
        /// What was tried: the first 80 characters of an SQL statement, or in words.
        doing: String,
        /// What the database's driver said.
        source: sqlx::Error,
    },
    /// `55000`: a newer server has migrated the database.
    #[error("the metadata database has schema version {found}, this server knows versions up to {known}")]
    TooNew {
        /// Number of the last migration in the database.
        found: i64,
        /// Number of the last migration that this server has.
        known: i64,
    },
    /// `42704`: a snapshot that is not there.
    #[error("{0}")]
    NoSnapshot(String),
    /// `XX000`: what is stored makes no sense, or something cannot be stored; says what.
    #[error("metadata database: {0}")]
    Corrupt(String),
}

impl Report for MetastoreError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::InUse { .. } | Self::TooNew { .. } => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::Directory { .. } | Self::Database { .. } => SqlState::IO_ERROR,
            Self::NoSnapshot(_) => SqlState::UNDEFINED_OBJECT,
            Self::Corrupt(_) => SqlState::INTERNAL_ERROR,
        }
    }
}

/// The catalog's home. Shared by all sessions.
#[derive(Debug)]
pub struct Metastore {
    db: Db,
    head: RwLock<Arc<CatalogState>>,
    sequences: Arc<Sequences>,
    recent: Mutex<RecentClaims>,
    /// Earlier states that were asked for, the latest first.
    past: Mutex<VecDeque<Arc<CatalogState>>>,
    /// Held for the server's life: a second server on the same directory is refused.
    _lock: File,
}

impl Metastore {
    /// Opens or creates the metadata of a data directory. A new catalog gets its bootstrap role with the verifier that
    /// `password` makes.
    pub async fn open(directory: &Path, password: impl FnOnce() -> PasswordVerifier) -> Result<Self, MetastoreError> {
        let lock = lock(directory)?;
        let db = Db::open_sqlite(&directory.join("metadata.sqlite")).await?;
        migrate::run(&db).await?;
        if load::is_empty(&db).await? {
            migrate::bootstrap(&db, &directory.join("warehouse"), password()).await?;
        }
        let head = load::at(&db, load::LAST).await?;
        if head.role(BOOTSTRAP_ROLE).is_none() {
            return Err(MetastoreError::Corrupt("the bootstrap role is missing".to_owned()));
        }
        let sequences = Arc::new(Sequences::new(load::sequences(&db).await?));
        let recent = Mutex::new(RecentClaims::new(head.snapshot));
        Ok(Self { db, head: RwLock::new(Arc::new(head)), sequences, recent, past: Mutex::default(), _lock: lock })
    }

    /// The newest committed catalog.
    pub fn head(&self) -> Arc<CatalogState> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The catalog at an earlier snapshot. `42704` if there is none of that number.
    pub async fn at(&self, snapshot: SnapshotId) -> Result<Arc<CatalogState>, MetastoreError> {
        let head = self.head();
        if snapshot.0 < 0 || snapshot > head.snapshot {
            return Err(MetastoreError::NoSnapshot(format!("snapshot {snapshot} does not exist")));
        }
        if snapshot == head.snapshot {
            return Ok(head);
        }
        let known = |past: &VecDeque<Arc<CatalogState>>| past.iter().find(|past| past.snapshot == snapshot).cloned();
        if let Some(known) = known(&self.past.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let found = Arc::new(load::at(&self.db, snapshot).await?);
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push_front(Arc::clone(&found));
        past.truncate(PAST_MAX);
        Ok(found)
    }

    /// The snapshot that was the last at a time, in microseconds since 1970. `42704` if there was none yet.
    pub async fn snapshot_at(&self, time_us: i64) -> Result<SnapshotId, MetastoreError> {
        if time_us >= chrono::Utc::now().timestamp_micros() {
            return Ok(self.head().snapshot);
        }
        let text = rows::time_text(time_us);
        let found = load::snapshot_at(&self.db, &text).await?;
        found.ok_or_else(|| MetastoreError::NoSnapshot(format!("there is no snapshot at {text} or before")))
    }

    fn recent(&self) -> MutexGuard<'_, RecentClaims> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: CatalogState) -> Arc<CatalogState> {
        let state = Arc::new(state);
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&state);
        state
    }

    /// Counters of the committed sequences, one for all sessions.
    pub fn sequences(&self) -> &Arc<Sequences> {
        &self.sequences
    }

    /// Paths, below the data path, of every data file that some snapshot still needs.
    pub async fn referenced_files(&self) -> Result<std::collections::HashSet<String>, MetastoreError> {
        load::referenced_files(&self.db).await
    }
}

fn lock(directory: &Path) -> Result<File, MetastoreError> {
    let shown = directory.display().to_string();
    std::fs::create_dir_all(directory).map_err(|source| MetastoreError::Directory {
        doing: "create",
        directory: shown.clone(),
        source,
    })?;
    restrict(directory).map_err(|source| MetastoreError::Directory {
        doing: "set permissions",
        directory: shown.clone(),
        source,
    })?;
    let file =
        File::options().create(true).truncate(false).write(true).open(directory.join("lock")).map_err(|source| {
            MetastoreError::Directory { doing: "create the lock file", directory: shown.clone(), source }
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(MetastoreError::InUse { directory: shown }),
        Err(TryLockError::Error(source)) => Err(MetastoreError::Directory { doing: "lock", directory: shown, source }),
    }
}

/// The directory holds password verifiers and object-store keys: nobody else may read it.
fn restrict(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

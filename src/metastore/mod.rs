//! The metadata database: DuckLake's tables and ours, side by side, one commit for both.
//!
//! [`Metastore`] keeps the newest committed [`CatalogState`] in memory, so that planning costs no SQL, and is the only
//! place that speaks SQL to the database.

mod claims;
mod commit;
mod db;
mod expire;
mod inline;
mod keys;
mod load;
mod merge;
mod migrate;
mod moves;
mod rows;
mod sequence;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claims::{RecentClaims, Told, Verdict};
use commit::Request;
pub use commit::{Commit, CommitError, DeletedRows, Resolved, TableCommit};
use db::Db;
pub use db::{AdvisoryCall, AdvisoryConnection, AdvisoryKey, MetadataDatabase};
pub use inline::InlinedInsert;
use keys::Keys;
pub use keys::NewKey;
pub use load::SnapshotRow;
use load::{Later, RowChanges};
use moves::RecentMoves;
use roaring::RoaringTreemap;
pub use sequence::Sequences;
use tokio::sync::watch;

use crate::catalog::{BOOTSTRAP_ROLE, Body, CatalogState, Claims, Relation, RelationKind, TableData};
use crate::error::{Report, SqlState};
use crate::govern::PasswordVerifier;
use crate::name::{FileId, ObjectId, SnapshotId};
use crate::secret::{MasterKeys, SecretError};

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
    /// `58030`: the database refused, or cannot be reached.
    #[error("metadata database: {doing}")]
    Database {
        /// What was tried: the first 80 characters of an SQL statement, or in words.
        doing: String,
        /// What the database's driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `55000`: a newer server has migrated the database.
    #[error("the metadata database has schema version {found}, this server knows versions up to {known}")]
    TooNew {
        /// Number of the last migration in the database.
        found: i64,
        /// Number of the last migration that this server has.
        known: i64,
    },
    /// `55000`: the tables' files are elsewhere.
    #[error(
        "the files of this metadata database are at \"{found}\", not at \"{configured}\": set storage.warehouse_url"
    )]
    OtherWarehouse {
        /// Where they are.
        found: String,
        /// Where this server looks for them.
        configured: String,
    },
    /// `55000`: secrets are not to be given up that can be opened.
    #[error("no secret is lost: the master key is there")]
    NothingLost,
    /// `53300`: as many sessions as may have advisory locks in a shared database have some.
    #[error("too many sessions with advisory locks (at most {0})")]
    AdvisoryConnections(usize),
    /// `42704`: a snapshot that is not there.
    #[error("{0}")]
    NoSnapshot(String),
    /// A secret or a key cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// `XX000`: what is stored makes no sense, or something cannot be stored; says what.
    #[error("metadata database: {0}")]
    Corrupt(String),
}

impl Report for MetastoreError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::InUse { .. } | Self::TooNew { .. } | Self::OtherWarehouse { .. } | Self::NothingLost => {
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::Directory { .. } | Self::Database { .. } => SqlState::IO_ERROR,
            Self::AdvisoryConnections(_) => SqlState::TOO_MANY_CONNECTIONS,
            Self::NoSnapshot(_) => SqlState::UNDEFINED_OBJECT,
            Self::Secret(error) => error.sqlstate(),
            Self::Corrupt(_) => SqlState::INTERNAL_ERROR,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Secret(error) => error.hint(),
            _ => None,
        }
    }
}

/// What recent commits of this process did, for transactions that began before them.
#[derive(Debug)]
struct Recent {
    claims: RecentClaims,
    moves: RecentMoves,
}

impl Recent {
    fn new(head: SnapshotId) -> Self {
        Self { claims: RecentClaims::new(head), moves: RecentMoves::default() }
    }

    /// Takes over what other servers did. `state`: the catalog afterwards.
    fn learn(&mut self, state: &CatalogState, changed: &BTreeMap<ObjectId, RowChanges>, told: Vec<Told>) {
        for (table, changes) in changed {
            if let Some(deleted) = changes.deleted {
                self.claims.delete(deleted, *table);
            }
        }
        for Told { snapshot, index, claims } in told {
            let table = state.relation(index).and_then(Relation::as_index).map(|index| index.table);
            match (claims, table) {
                (Some(claims), table) => {
                    if let Some(table) = table.filter(|_| claims.arbitrated) {
                        self.claims.delete(snapshot, table);
                    }
                    self.claims.add(snapshot, index, &claims);
                }
                (None, Some(table)) => self.claims.unknown(snapshot, table),
                (None, None) => {}
            }
        }
    }

    fn forget_after(&mut self, snapshot: SnapshotId) {
        self.claims.forget_after(snapshot);
        self.moves.forget_after(snapshot);
    }
}

/// What is committed, and the database that it is in.
#[derive(Debug)]
struct Store {
    db: Arc<Db>,
    head: watch::Sender<Arc<CatalogState>>,
    sequences: Arc<Sequences>,
    recent: Mutex<Recent>,
    /// Transactions that nobody commits yet.
    waiting: Mutex<VecDeque<Request>>,
    /// Held by whoever commits.
    committing: Arc<tokio::sync::Mutex<()>>,
    /// Whether nobody waited during the last commit.
    alone: AtomicBool,
    /// Held by whoever makes a new head, from the moment its snapshot may be seen in the database.
    new_heads: tokio::sync::Mutex<()>,
    /// Whether a commit may be there that nobody saw succeed.
    unsure: AtomicBool,
    looks: Looks,
    keys: Keys,
}

/// Looks for the last snapshot in the database. Who asks while others look shares the next look.
#[derive(Debug, Default)]
struct Looks {
    /// Those that were begun.
    begun: AtomicU64,
    /// The last that came to its end.
    done: tokio::sync::Mutex<u64>,
}

impl Store {
    fn head(&self) -> Arc<CatalogState> {
        Arc::clone(&self.head.borrow())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what others committed the new head, or a commit of which this server did not hear.
    async fn catch_up(&self, _: &tokio::sync::MutexGuard<'_, ()>) -> Result<(), MetastoreError> {
        let before = self.head().snapshot;
        let Some(Later { state, changed }) = load::since(&self.db, &self.keys, &self.head()).await? else {
            return Ok(());
        };
        let told = if self.db.is_shared() { claims::told(&self.db, before, state.snapshot).await? } else { None };
        match (changed, told) {
            (Some(changed), Some(told)) => self.recent().learn(&state, &changed, told),
            // What was done is not remembered: who began before cannot be held against it.
            _ => *self.recent() = Recent::new(state.snapshot),
        }
        if !self.db.is_shared() {
            self.sequences.learn(load::sequences(&self.db).await?);
        }
        self.head.send_replace(Arc::new(state));
        Ok(())
    }

    /// Makes sure that the head has all that was committed before, on whatever server.
    async fn refresh(&self) -> Result<(), MetastoreError> {
        let asked = self.looks.begun.load(Ordering::Acquire);
        let mut done = self.looks.done.lock().await;
        if *done > asked {
            return Ok(());
        }
        let look = self.looks.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let rows = self.db.query_quickly(load::LAST_SNAPSHOT, vec![]).await?;
        if rows.first().map_or(Ok(0), |row| row.int(0))? > self.head().snapshot.0 {
            let heads = self.new_heads.lock().await;
            self.catch_up(&heads).await?;
        }
        *done = look;
        Ok(())
    }
}

/// The catalog's home. Shared by all sessions.
#[derive(Debug)]
pub struct Metastore {
    store: Arc<Store>,
    /// Earlier states that were asked for, the latest first.
    past: Mutex<VecDeque<Arc<CatalogState>>>,
    /// Held for the server's life: a second server on the same directory is refused.
    _lock: File,
}

impl Metastore {
    /// Opens or creates the metadata of a data directory, which is in the directory or, with its URL and password, in a
    /// PostgreSQL database, for a warehouse whose files are below `data_path`. A new catalog gets its bootstrap role with the
    /// verifier that `password` makes.
    pub async fn open(
        directory: &Path,
        database: Option<MetadataDatabase<'_>>,
        data_path: &str,
        master: MasterKeys,
        password: impl FnOnce() -> PasswordVerifier,
    ) -> Result<Self, MetastoreError> {
        let lock = lock(directory)?;
        let db = database_of(directory, database).await?;
        let alone = db.alone().await?;
        migrate::run(&db).await?;
        let keys = Keys::open(&db, master).await?;
        if load::is_empty(&db).await? {
            migrate::bootstrap(&db, &keys.keyring(), data_path, password()).await?;
        }
        migrate::add_predefined_roles(&db, &keys.keyring()).await?;
        drop(alone);
        let found = load::data_path(&db).await?;
        // A data directory that was moved is used as it is.
        let may_have_moved = !db.is_shared() && !found.contains("://") && !data_path.contains("://");
        if found != data_path && !may_have_moved {
            return Err(MetastoreError::OtherWarehouse { found, configured: data_path.to_owned() });
        }
        let head = load::at(&db, &keys, load::LAST).await?;
        if head.role(BOOTSTRAP_ROLE).is_none() {
            return Err(MetastoreError::Corrupt("the bootstrap role is missing".to_owned()));
        }
        let db = Arc::new(db);
        let sequences = if db.is_shared() {
            Sequences::shared(Arc::clone(&db))
        } else {
            let sequences = Sequences::default();
            sequences.learn(load::sequences(&db).await?);
            sequences
        };
        let sequences = Arc::new(sequences);
        let recent = Mutex::new(Recent::new(head.snapshot));
        let store = Arc::new(Store {
            db,
            head: watch::Sender::new(Arc::new(head)),
            sequences,
            recent,
            waiting: Mutex::default(),
            committing: Arc::default(),
            alone: AtomicBool::new(true),
            new_heads: tokio::sync::Mutex::default(),
            unsure: AtomicBool::new(false),
            looks: Looks::default(),
            keys,
        });
        Ok(Self { store, past: Mutex::default(), _lock: lock })
    }

    /// Gives up all secrets, for whoever lost their master key: roles have no passwords any more, storage credentials no
    /// secret options. The bootstrap role gets a verifier. No server may run on this metadata meanwhile.
    pub async fn forget_secrets(
        directory: &Path,
        database: Option<MetadataDatabase<'_>>,
        master: MasterKeys,
        password: PasswordVerifier,
    ) -> Result<(), MetastoreError> {
        if database.is_none() && !directory.join("metadata.sqlite").exists() {
            return Err(MetastoreError::Corrupt(format!("there is none in \"{}\"", directory.display())));
        }
        let _lock = lock(directory)?;
        let db = database_of(directory, database).await?;
        let _alone = db.alone().await?;
        // One of the servers that run has this.
        if !db.leads().await? {
            return Err(MetastoreError::InUse { directory: directory.display().to_string() });
        }
        migrate::run(&db).await?;
        keys::forget(&db, &master, password).await
    }

    /// The newest committed catalog.
    pub fn head(&self) -> Arc<CatalogState> {
        self.store.head()
    }

    /// Makes sure that the newest catalog has all that was committed before, on whatever server.
    pub async fn refresh(&self) -> Result<(), MetastoreError> {
        if self.is_shared() { Box::pin(self.store.refresh()).await } else { Ok(()) }
    }

    /// Whether this server is the one that looks after the tables: one of those that share the database is.
    pub async fn leads(&self) -> Result<bool, MetastoreError> {
        self.store.db.leads().await
    }

    /// Whether other servers may write to the same tables.
    pub fn is_shared(&self) -> bool {
        self.store.db.is_shared()
    }

    /// A connection for one session's advisory locks; `None`: the database is this server's alone.
    pub async fn advisory_connection(&self) -> Result<Option<AdvisoryConnection>, MetastoreError> {
        self.store.db.advisory().await
    }

    /// Tells the servers that share the database something.
    pub async fn tell(&self, letters: Vec<String>) -> Result<(), MetastoreError> {
        self.store.db.tell(letters).await
    }

    /// Hears what servers that share the database tell, its own words too. Ends when the connection does.
    pub async fn hear(&self, heard: impl Fn(&str) + Send) -> Result<(), MetastoreError> {
        self.store.db.hear(heard).await
    }

    /// Tells of each new head.
    pub fn heads(&self) -> watch::Receiver<Arc<CatalogState>> {
        self.store.head.subscribe()
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
        let kept = known(&self.past.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(known) = kept {
            // Another server may have let it go.
            if self.is_shared() && !load::is_kept(&self.store.db, snapshot).await? {
                return Err(MetastoreError::NoSnapshot(format!("snapshot {snapshot} is not kept any more")));
            }
            return Ok(known);
        }
        let found = Arc::new(load::at(&self.store.db, &self.store.keys, snapshot).await?);
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
        let found = load::snapshot_at(&self.store.db, &text).await?;
        found.ok_or_else(|| MetastoreError::NoSnapshot(format!("there is no snapshot at {text} or before")))
    }

    /// Rows that a transaction deleted, which it saw at `base`, by the addresses that they have at `head`. `None`: others
    /// changed or deleted one of them.
    pub fn still_there(
        &self,
        base: &CatalogState,
        head: &CatalogState,
        table: ObjectId,
        deleted: BTreeMap<FileId, Arc<RoaringTreemap>>,
    ) -> Option<BTreeMap<FileId, Arc<RoaringTreemap>>> {
        if deleted.is_empty() {
            return Some(deleted);
        }
        let mut there = deleted;
        self.follow(base.snapshot, head.snapshot, table, &mut there);
        let (now, then) = (head.data(table), base.data(table));
        let is_there = |(file, rows): (&FileId, &Arc<RoaringTreemap>)| {
            moves::dead(&now, &then, *file, rows).is_ok_and(|dead| dead.is_empty())
        };
        there.iter().all(is_there).then_some(there)
    }

    /// Gives rows of a table that were seen at `base` the addresses that they have at `head`.
    pub fn follow(
        &self,
        base: SnapshotId,
        head: SnapshotId,
        table: ObjectId,
        rows: &mut BTreeMap<FileId, Arc<RoaringTreemap>>,
    ) {
        let recent = self.store.recent();
        if recent.moves.any_since(base, table) {
            let all = std::mem::take(rows).into_iter();
            let mut there = all.map(|(file, positions)| (file, DeletedRows { positions, file: None })).collect();
            recent.moves.follow(base, head, table, &mut there);
            *rows = there.into_iter().map(|(file, rows)| (file, rows.positions)).collect();
        }
    }

    /// Whether no commit after `since`, up to a head, gave a row of a table one of these keys.
    pub fn are_free(
        &self,
        since: SnapshotId,
        head: &CatalogState,
        table: ObjectId,
        index: ObjectId,
        claims: &Claims,
    ) -> bool {
        let changed = head.data(table).version.is_some_and(|version| version > since);
        !changed || self.store.recent().claims.verdict(since, table, index, claims) == Verdict::Free
    }

    /// One table's rows at a snapshot. `state`: a catalog in which it has the columns that it had then.
    pub async fn table_at(
        &self,
        state: &CatalogState,
        table: ObjectId,
        snapshot: SnapshotId,
    ) -> Result<TableData, MetastoreError> {
        load::table(&self.store.db, state, table, snapshot).await
    }

    /// What snapshots did, from one to another: `changes_made` as DuckLake has it.
    pub async fn changes(&self, from: SnapshotId, to: SnapshotId) -> Result<Vec<(SnapshotId, String)>, MetastoreError> {
        load::changes(&self.store.db, from, to).await
    }

    /// The table of a name in a schema that was dropped last, and the catalog just before.
    pub async fn dropped(
        &self,
        schema: ObjectId,
        name: &str,
    ) -> Result<Option<(ObjectId, Arc<CatalogState>)>, MetastoreError> {
        for (id, dropped, body) in load::dropped_relations(&self.store.db).await? {
            let body: Body = serde_json::from_str(&body)
                .map_err(|error| MetastoreError::Corrupt(format!("object {id}: {error}")))?;
            let Body::Relation(relation) = body else { continue };
            let is_table = matches!(relation.storage, RelationKind::Table(_));
            if is_table && relation.schema == schema && relation.name == name {
                return Ok(Some((id, self.at(SnapshotId(dropped.0 - 1)).await?)));
            }
        }
        Ok(None)
    }

    /// A data key for secrets, to take the place of the present one in a commit.
    pub async fn new_key(&self) -> Result<NewKey, MetastoreError> {
        self.store.keys.generate().await
    }

    /// All snapshots, in order.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotRow>, MetastoreError> {
        load::snapshots(&self.store.db).await
    }

    /// Forgets the snapshots before the one that was the last at a time, in microseconds since 1970. Files that only they
    /// needed are put down for deletion.
    pub async fn expire(&self, time_us: i64) -> Result<(), MetastoreError> {
        if let Some(kept) = expire::snapshots(&self.store.db, &rows::time_text(time_us)).await? {
            self.past.lock().unwrap_or_else(PoisonError::into_inner).retain(|past| past.snapshot >= kept);
        }
        Ok(())
    }

    /// Files, by their paths below the data path, that were put down for deletion up to a time, in microseconds since 1970.
    pub async fn due_files(&self, time_us: i64) -> Result<Vec<String>, MetastoreError> {
        expire::due(&self.store.db, &rows::time_text(time_us)).await
    }

    /// Notes that such files are deleted.
    pub async fn forget_files(&self, paths: &[String]) -> Result<(), MetastoreError> {
        expire::deleted(&self.store.db, paths).await
    }

    /// Counters of the committed sequences, one for all sessions.
    pub fn sequences(&self) -> &Arc<Sequences> {
        &self.store.sequences
    }

    /// Paths, below the data path, of every data file that some snapshot still needs, or that is to be deleted later.
    pub async fn referenced_files(&self) -> Result<std::collections::HashSet<String>, MetastoreError> {
        let mut files = load::used_files(&self.store.db).await?;
        files.extend(expire::scheduled(&self.store.db, &rows::now_text()).await?);
        Ok(files)
    }
}

async fn database_of(directory: &Path, database: Option<MetadataDatabase<'_>>) -> Result<Db, MetastoreError> {
    match database {
        Some(database) => Db::postgres(&database).await,
        None => Db::sqlite(&directory.join("metadata.sqlite")).await,
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

//! Upkeep in the background: tables that many small writes have worn are vacuumed, one at a time, as a user would. To
//! writers it is invisible: rows are found where they went (`catalog::Moves`). Of the servers that share a database one does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::catalog::{BOOTSTRAP_ROLE, CatalogState, RelationKind, TableData};
use crate::error::{SqlError, SqlState};
use crate::metastore::MetastoreError;
use crate::name::{ObjectId, QualifiedName};
use crate::plan::{Parameters, worn};
use crate::session::{Session, Shared};
use crate::setting::Settings;
use crate::statement::{Command, Effort, Maintain, Statement};
use crate::warehouse::WriteError;

/// The time between two looks at the tables.
const INTERVAL: Duration = Duration::from_millis(500);
/// The time between two looks when nobody commits.
const IDLE: Duration = Duration::from_secs(2);
/// The longest time between two looks for snapshots that are too old.
const FORGET_INTERVAL: Duration = Duration::from_mins(10);
/// The time between two looks for files that no snapshot needs.
const SWEEP_INTERVAL: Duration = Duration::from_hours(24);
/// How long it waits for transactions that alter a table.
const LOCK_TIMEOUT: &str = "100ms";
/// A table whose VACUUM failed is left alone for so many looks.
const PATIENCE: u32 = 120;
/// The connection's number of the background.
const PID: i32 = 0;

/// Looks after the tables until shutdown. What it is doing then ends without a trace.
pub async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut upkeep =
        Upkeep { shared, seen: BTreeMap::new(), failed: BTreeMap::new(), forgot: None, swept: Instant::now() };
    if shutdown.run_until_cancelled(Box::pin(upkeep.keep_up())).await.is_none() {
        tracing::debug!("upkeep ends");
    }
}

struct Upkeep {
    shared: Arc<Shared>,
    /// Data that was found to be in good order.
    seen: BTreeMap<ObjectId, Arc<TableData>>,
    /// Looks to wait until a table is tried again.
    failed: BTreeMap<ObjectId, u32>,
    /// When it last looked for snapshots that are too old.
    forgot: Option<Instant>,
    /// When it, or the start, last looked for files that no snapshot needs.
    swept: Instant,
}

impl Upkeep {
    async fn keep_up(&mut self) {
        let mut heads = self.shared.metastore.heads();
        loop {
            match self.leads().await {
                Ok(true) => {
                    let head = Arc::clone(&heads.borrow_and_update());
                    self.look(&head).await;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %SqlError::from(error).chain(), "upkeep has to wait"),
            }
            tokio::time::sleep(INTERVAL).await;
            // Failed tables are tried again, and snapshots get old, even if nothing happens.
            let pause = if self.failed.is_empty() { IDLE } else { Duration::ZERO };
            if let Ok(Err(_closed)) = tokio::time::timeout(pause, heads.changed()).await {
                return;
            }
        }
    }

    /// Whether it is up to this server. The head is the newest then.
    async fn leads(&self) -> Result<bool, MetastoreError> {
        let leads = self.shared.metastore.leads().await?;
        if leads {
            self.shared.metastore.refresh().await?;
        }
        Ok(leads)
    }

    async fn look(&mut self, head: &CatalogState) {
        self.failed.retain(|_, looks| {
            *looks = looks.saturating_sub(1);
            *looks > 0
        });
        let settings = Settings::default().with_system(head.system_settings());
        if settings.is_on("autovacuum") {
            for (table, name) in self.worn(head) {
                self.vacuum(table, name).await;
            }
            if let Err(error) = self.forget(&settings).await {
                tracing::warn!(error = %error.chain(), "old snapshots could not be removed");
            }
            if self.swept.elapsed() > SWEEP_INTERVAL {
                self.swept = Instant::now();
                if let Err(error) = self.sweep().await {
                    tracing::warn!(error = %error.chain(), "left-over files could not be removed");
                }
            }
        }
    }

    /// Snapshots and files that are too old go.
    async fn forget(&mut self, settings: &Settings) -> Result<(), SqlError> {
        let Some(retention) = settings.snapshot_retention() else { return Ok(()) };
        let delay = settings.file_deletion_delay();
        let often = (retention.min(delay) / 10).clamp(INTERVAL, FORGET_INTERVAL);
        if self.forgot.is_some_and(|last| last.elapsed() < often) {
            return Ok(());
        }
        self.forgot = Some(Instant::now());
        let now = chrono::Utc::now().timestamp_micros();
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let metastore = &self.shared.metastore;
        metastore.expire(before(retention)).await?;
        let due = metastore.due_files(before(delay)).await?;
        if !due.is_empty() {
            self.shared.warehouse.delete(&due).await.map_err(WriteError::Store)?;
            metastore.forget_files(&due).await?;
        }
        Ok(())
    }

    /// Files that transactions and servers left behind go.
    async fn sweep(&self) -> Result<(), SqlError> {
        let referenced = self.shared.metastore.referenced_files().await?;
        let orphans = self.shared.warehouse.sweep(&referenced, false).await.map_err(WriteError::Store)?;
        tracing::debug!(orphans, "deleted left-over files");
        Ok(())
    }

    /// Tables that need it.
    fn worn(&mut self, head: &CatalogState) -> Vec<(ObjectId, QualifiedName)> {
        let mut worn_tables = Vec::new();
        let mut there = BTreeSet::new();
        let tables = head.relations().filter(|(_, relation)| matches!(relation.storage, RelationKind::Table(_)));
        for (id, relation) in tables {
            there.insert(id);
            let data = head.data(id);
            if self.failed.contains_key(&id) || self.seen.get(&id).is_some_and(|seen| Arc::ptr_eq(seen, &data)) {
                continue;
            }
            if worn(relation, &data, Effort::Automatic).is_empty() {
                self.seen.insert(id, data);
            } else if let Some(schema) = head.schema(relation.schema) {
                worn_tables
                    .push((id, QualifiedName { schema: Some(schema.name.clone()), name: relation.name.clone() }));
            }
        }
        self.seen.retain(|id, _| there.contains(id));
        worn_tables
    }

    async fn vacuum(&mut self, table: ObjectId, name: QualifiedName) {
        let began = Instant::now();
        match self.run(name.clone()).await {
            Ok(()) => tracing::debug!(table = %name, elapsed = ?began.elapsed(), "vacuumed"),
            // Who altered or dropped the table was faster.
            Err(error)
                if [SqlState::SERIALIZATION_FAILURE, SqlState::LOCK_NOT_AVAILABLE].contains(&error.sqlstate()) => {}
            Err(error) => {
                tracing::warn!(table = %name, error = %error.chain(), "a table could not be vacuumed");
                self.failed.insert(table, PATIENCE);
            }
        }
    }

    async fn run(&self, name: QualifiedName) -> Result<(), SqlError> {
        let vacuum = Maintain { vacuum: true, effort: Effort::Automatic, tables: vec![name] };
        let statement = Statement::of(Command::Maintain(vacuum));
        // Who alters the table goes first.
        let options = [("lock_timeout".to_owned(), LOCK_TIMEOUT.to_owned())];
        let mut session = Session::new(Arc::clone(&self.shared), PID, BOOTSTRAP_ROLE, &options)?;
        let done = match Box::pin(session.run(&statement, Parameters::default())).await {
            Ok(_) => session.end_implicit().await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            session.fail();
            session.roll_back().await;
        }
        done
    }
}

//! The transaction state machine: idle, in an implicit or explicit transaction, failed.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Session, Shared, in_failed_transaction};
use crate::catalog::Namespace;
use crate::error::{About, Notice, Plain, SqlError, SqlState, internal, unsupported};
use crate::name::ObjectId;
use crate::notification::{Listening, Notification, letter};
use crate::setting::Settings;
use crate::statement::{Class, Command, IsolationLevel, Statement, TransactionModes};
use crate::transaction::{Held, Savepoint, Transaction};

/// As ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: outside a transaction block, even while a message's implicit transaction is open.
    Idle,
    /// `T`: in a block that BEGIN opened.
    InTransaction,
    /// `E`: in a block where a statement failed; only COMMIT, ROLLBACK and ROLLBACK TO are accepted.
    Failed,
}

/// A transaction in progress.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Open {
    pub(super) transaction: Transaction,
    /// Begun by BEGIN; else it ends with the message or at Sync.
    explicit: bool,
    failed: bool,
    read_only: bool,
    isolation: IsolationLevel,
    /// Whether a statement has run: what REPEATABLE READ reads is settled by its first, not by BEGIN.
    has_read: bool,
    /// Settings to go back to when it is rolled back.
    before: Settings,
    roles_before: Roles,
    /// Points to go back to, the latest last.
    savepoints: Vec<Point>,
    /// What is done once it commits.
    pub(super) pending: Pending,
}

/// LISTEN, UNLISTEN and NOTIFY of a transaction, in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    listening: Vec<Listening>,
    notifications: Vec<Arc<Notification>>,
    /// Those that are there already.
    known: HashSet<Arc<Notification>>,
}

impl Pending {
    /// LISTEN or UNLISTEN.
    pub(super) fn listen(&mut self, listening: Listening) {
        self.listening.push(listening);
    }

    /// NOTIFY; the same again is told once. `54000` for too many.
    pub(super) fn tell(&mut self, told: Notification) -> Result<(), SqlError> {
        let told = Arc::new(told);
        if self.known.contains(&told) {
            return Ok(());
        }
        if self.notifications.len() >= NOTIFICATIONS_MAX {
            let message = format!("too many notifications in one transaction (at most {NOTIFICATIONS_MAX})");
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
        }
        self.known.insert(Arc::clone(&told));
        self.notifications.push(told);
        Ok(())
    }

    fn len(&self) -> (usize, usize) {
        (self.listening.len(), self.notifications.len())
    }

    fn truncate(&mut self, (listening, notifications): (usize, usize)) {
        self.listening.truncate(listening);
        for told in self.notifications.drain(notifications..) {
            self.known.remove(&told);
        }
    }
}

impl Open {
    /// Whether each statement reads what is committed by then.
    pub(super) fn may_look_again(&self) -> bool {
        self.isolation == IsolationLevel::ReadCommitted
    }
}

/// Session role and current role.
type Roles = (ObjectId, ObjectId);

/// A savepoint: the transaction, the settings and the roles at that moment.
#[derive(Debug)]
struct Point {
    name: String,
    transaction: Savepoint,
    /// The place in the transaction's locks.
    locks: usize,
    pending: (usize, usize),
    /// How many advisory locks the transaction had.
    advisory: usize,
    settings: (Settings, Settings),
    roles: (Roles, Roles),
}

/// Savepoints of one transaction.
const SAVEPOINTS_MAX: usize = 10_000;
/// Notifications of one transaction.
const NOTIFICATIONS_MAX: usize = 100_000;

/// The transaction of a statement that is running.
pub(super) fn open_transaction(open: &mut Option<Open>) -> Result<&mut Open, SqlError> {
    open.as_mut().ok_or_else(|| internal("a statement runs outside a transaction").into())
}

impl Session {
    /// What ReadyForQuery tells. An implicit transaction does not count, not even a failed one.
    pub fn status(&self) -> TransactionStatus {
        match &self.open {
            Some(open) if open.failed && open.explicit => TransactionStatus::Failed,
            Some(open) if open.explicit => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }

    /// Whether BEGIN opened a transaction block, or a message has several statements.
    pub(super) fn is_in_block(&self) -> bool {
        self.open.is_some()
    }

    /// Savepoints of the open transaction.
    pub(super) fn savepoint_count(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.savepoints.len())
    }

    /// Whether there is no transaction at all.
    pub fn is_idle(&self) -> bool {
        self.open.is_none()
    }

    /// Whether a statement of the open transaction failed, be it explicit or implicit.
    pub fn is_failed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.failed)
    }

    /// Whether the transaction's state admits a statement. `25P02`, `25006`.
    pub(super) fn admit(&self, statement: &Statement) -> Result<(), SqlError> {
        let class = statement.command.class();
        if matches!(statement.command, Command::LockTable(_)) && !self.open.as_ref().is_some_and(|open| open.explicit) {
            return Err(outside_block("LOCK TABLE"));
        }
        if class == Class::Write && self.settings.snapshot().is_some() {
            let hint = "RESET snapshot_version and snapshot_time.";
            let message = format!("cannot execute {} while tables are read as they were", statement.command.tag());
            return Err(Plain::new(SqlState::READ_ONLY_TRANSACTION, message).hint(hint).into());
        }
        let Some(open) = &self.open else {
            if class == Class::Write && self.settings.is_on("default_transaction_read_only") {
                return Err(read_only(&statement.command));
            }
            return Ok(());
        };
        if open.failed && !matches!(statement.command, Command::Commit | Command::Rollback | Command::RollbackTo(_)) {
            return Err(in_failed_transaction());
        }
        if open.read_only && class == Class::Write {
            return Err(read_only(&statement.command));
        }
        Ok(())
    }

    /// Begins a transaction for a statement unless there is one; a READ COMMITTED one moves on to the newest catalog.
    pub(super) fn begin_implicit(&mut self) {
        match &mut self.open {
            Some(open) => {
                if open.isolation == IsolationLevel::ReadCommitted || !open.has_read {
                    let _unless_others_were_faster = open.transaction.refresh(&self.shared.metastore);
                }
                if !open.has_read {
                    // What savepoints go back to reads what the first statement read; nothing was done before it.
                    let now = open.transaction.savepoint();
                    open.savepoints.iter_mut().for_each(|point| point.transaction = now.clone());
                }
                open.has_read = true;
            }
            None => {
                let mut open = self.new_open(false);
                open.has_read = true;
                self.open = Some(open);
            }
        }
    }

    /// Locks what was done since; tells whether it may stay. `40001` for those who may not look again.
    pub(super) async fn is_settled(&mut self, point: &Savepoint) -> Result<bool, SqlError> {
        let held = self.settle(point).await?;
        let may_look_again = open_transaction(&mut self.open)?.may_look_again();
        match held {
            Held::Firmly => Ok(true),
            Held::KeyTaken(_) | Held::Lost if may_look_again => Ok(false),
            Held::KeyTaken(index) => Err(self.key_taken(index)),
            Held::Lost => Err(lost_race()),
        }
    }

    /// Locks what was done since. Waits for others at most as long as `lock_timeout` says. `40P01`, `55P03`.
    pub(super) async fn settle(&mut self, point: &Savepoint) -> Result<Held, SqlError> {
        let timeout = self.settings.lock_timeout();
        let open = open_transaction(&mut self.open)?;
        in_time(timeout, open.transaction.lock(point, &self.shared.locks, &self.shared.metastore)).await
    }

    /// Waits for those who may take all rows from a table, or change it; tells whether it waited. `40P01`, `55P03`.
    pub(super) async fn waited_for(&mut self, table: ObjectId) -> Result<bool, SqlError> {
        let timeout = self.settings.lock_timeout();
        let open = open_transaction(&mut self.open)?;
        in_time(timeout, open.transaction.wait_for(table, &self.shared.locks, &self.shared.metastore)).await
    }

    /// Whether a key that is taken may be free by now: somebody was about to take the row away, or all rows of the table, and
    /// has ended.
    pub(super) async fn may_be_mended(&mut self, code: SqlState, about: About) -> Result<bool, SqlError> {
        if code != SqlState::UNIQUE_VIOLATION {
            return Ok(false);
        }
        let (Some(schema), Some(name)) = (about.schema, about.table) else { return Ok(false) };
        let catalog = open_transaction(&mut self.open)?.transaction.catalog();
        let table = catalog.schema_id(&schema).and_then(|schema| catalog.find(Namespace::Relation(schema), &name));
        match table {
            Some(table) => self.waited_for(table).await,
            None => Ok(false),
        }
    }

    /// `23505`: others committed a row with a key that a new row has.
    pub(super) fn key_taken(&self, index: ObjectId) -> SqlError {
        let catalog = self.catalog();
        let name = catalog.relation(index).map(|index| index.name.clone()).unwrap_or_default();
        let message = format!("duplicate key value violates unique constraint \"{name}\"");
        let about = About { constraint: Some(name), ..About::default() };
        Plain::new(SqlState::UNIQUE_VIOLATION, message)
            .about(about)
            .detail("A row with the same key was committed at the same time.")
            .into()
    }

    /// As [`Session::rights_are_todays`], after a READ COMMITTED transaction has moved on to the newest catalog.
    pub(super) fn read_todays_rights(&mut self) -> Result<(), SqlError> {
        if self.open.is_some() {
            self.begin_implicit();
        }
        self.rights_are_todays()
    }

    /// Rights and policies are today's, also where data is that of a moment ago: a transaction that reads an older catalog
    /// ends with `40001` once some were changed.
    pub(super) fn rights_are_todays(&self) -> Result<(), SqlError> {
        let head = self.shared.metastore.head();
        match &self.open {
            Some(open) if open.transaction.base() < head.rights_changed => {
                let message = "could not serialize access due to a concurrent change of rights or policies";
                Err(Plain::new(SqlState::SERIALIZATION_FAILURE, message).hint("Run the transaction again.").into())
            }
            _ => Ok(()),
        }
    }

    fn new_open(&self, explicit: bool) -> Open {
        let isolation = match self.settings.show("default_transaction_isolation").map(|(_, value)| value).as_deref() {
            Some("repeatable read") => IsolationLevel::RepeatableRead,
            _ => IsolationLevel::ReadCommitted,
        };
        Open {
            transaction: Transaction::new(
                self.shared.metastore.head(),
                Arc::clone(&self.temporary),
                chrono::Utc::now().timestamp_micros(),
            ),
            explicit,
            failed: false,
            read_only: self.settings.is_on("default_transaction_read_only"),
            isolation,
            has_read: false,
            before: self.lasting.clone(),
            roles_before: self.lasting_roles,
            savepoints: Vec::new(),
            pending: Pending::default(),
        }
    }

    pub(super) fn begin(&mut self, modes: TransactionModes) -> Result<(), SqlError> {
        // No block begins that would only have to be ended.
        refuse_serializable(modes)?;
        match &mut self.open {
            Some(open) if open.explicit => {
                self.notify(Notice::warning(
                    SqlState::ACTIVE_TRANSACTION,
                    "there is already a transaction in progress",
                ));
            }
            // A BEGIN inside a message of several statements takes over what they have done.
            Some(open) => open.explicit = true,
            None => self.open = Some(self.new_open(true)),
        }
        self.set_modes(modes)
    }

    pub(super) fn set_modes(&mut self, modes: TransactionModes) -> Result<(), SqlError> {
        let Some(open) = &mut self.open else {
            self.notify(Notice::warning(
                SqlState::NO_ACTIVE_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            ));
            return Ok(());
        };
        refuse_serializable(modes)?;
        match modes.isolation {
            None => {}
            Some(level) if open.transaction.is_clean() => open.isolation = level,
            Some(_) => {
                let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                return Err(Plain::new(SqlState::ACTIVE_TRANSACTION, message).into());
            }
        }
        if modes.read_only == Some(false) && open.read_only && !open.savepoints.is_empty() {
            let message = "cannot set transaction read-write mode inside a read-only transaction";
            return Err(Plain::new(SqlState::ACTIVE_TRANSACTION, message).into());
        }
        open.read_only = modes.read_only.unwrap_or(open.read_only);
        let level = match open.isolation {
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead | IsolationLevel::Serializable => "repeatable read",
        };
        self.settings.set_internal("transaction_isolation", level);
        self.settings.set_internal("transaction_read_only", if open.read_only { "on" } else { "off" });
        Ok(())
    }

    /// COMMIT. The tag is ROLLBACK if the transaction had failed.
    pub(super) async fn commit(&mut self) -> Result<&'static str, SqlError> {
        match &self.open {
            Some(open) if open.explicit => {}
            _ => self.notify(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction in progress")),
        }
        if self.is_failed() {
            self.roll_back().await;
            return Ok("ROLLBACK");
        }
        self.commit_open().await?;
        Ok("COMMIT")
    }

    async fn commit_open(&mut self) -> Result<(), SqlError> {
        self.portals.clear();
        self.cursors.retain(|_, cursor| {
            cursor.committed = cursor.hold;
            cursor.hold
        });
        let Some(open) = self.open.take() else { return Ok(()) };
        let author = open.transaction.catalog().role_name(self.role);
        let pending = open.pending;
        let done = open.transaction.commit(&self.shared.metastore, &self.shared.warehouse, author).await;
        self.advisory.truncate(0).await;
        match &done {
            Ok((resolved, temporary)) => {
                self.temporary = Arc::clone(temporary);
                self.drawn.rename(resolved);
                self.settings = self.lasting.clone();
                // A role that the transaction made and became has another id now.
                let last = |role: ObjectId| resolved.get(&role).copied().unwrap_or(role);
                self.lasting_roles = (last(self.lasting_roles.0), last(self.lasting_roles.1));
                (self.session_role, self.role) = self.lasting_roles;
            }
            Err(_) => self.restore(open.before, open.roles_before),
        }
        self.show_roles();
        if done.is_ok() {
            tell(&self.shared, self.pid, pending).await;
        }
        let done = done.map(|_resolved| ());
        self.audit_commit(done.as_ref().err().map(SqlError::sqlstate));
        done
    }

    /// The session ends: nothing of it is left.
    pub async fn end(&mut self) {
        self.roll_back().await;
        self.drop_temporary().await;
    }

    /// DISCARD TEMP.
    pub(super) async fn drop_temporary(&mut self) {
        let files = std::mem::take(&mut self.temporary).files();
        self.shared.warehouse.delete_quietly(files).await;
    }

    /// ROLLBACK, with a warning if there is nothing to roll back.
    pub(super) async fn roll_back_explicit(&mut self) {
        if !self.open.as_ref().is_some_and(|open| open.explicit) {
            self.notify(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction in progress"));
        }
        self.roll_back().await;
    }

    /// Undoes the transaction in progress, if there is one.
    pub async fn roll_back(&mut self) {
        self.portals.clear();
        drop(self.effects.take());
        if let Some(open) = self.open.take() {
            // Held ones of earlier transactions stay.
            self.cursors.retain(|_, cursor| cursor.hold && cursor.committed);
            self.restore(open.before, open.roles_before);
            self.show_roles();
            open.transaction.rollback(&self.shared.warehouse).await;
        }
        self.advisory.truncate(0).await;
    }

    fn restore(&mut self, settings: Settings, (session_role, role): Roles) {
        self.settings = settings.clone();
        self.lasting = settings;
        self.session_role = session_role;
        self.role = role;
        self.lasting_roles = (session_role, role);
    }

    /// SAVEPOINT. `25P01` outside a transaction block.
    pub(super) fn savepoint(&mut self, name: &str) -> Result<(), SqlError> {
        let settings = (self.settings.clone(), self.lasting.clone());
        let roles = ((self.session_role, self.role), self.lasting_roles);
        let advisory = self.advisory.in_transaction();
        let open = self.block("SAVEPOINT")?;
        if open.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("too many savepoints in one transaction (at most {SAVEPOINTS_MAX})");
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
        }
        let (transaction, locks) = (open.transaction.savepoint(), open.transaction.seal_locks());
        let pending = open.pending.len();
        open.savepoints.push(Point { name: name.to_owned(), transaction, locks, pending, advisory, settings, roles });
        Ok(())
    }

    /// ROLLBACK TO: the savepoint stays, those after it are gone; a failed transaction goes on. `3B001`.
    pub(super) async fn roll_back_to(&mut self, name: &str) -> Result<(), SqlError> {
        let warehouse = self.shared.warehouse.clone();
        let open = self.block("ROLLBACK TO SAVEPOINT")?;
        let index = find_savepoint(open, name)?;
        open.savepoints.truncate(index + 1);
        open.failed = false;
        let Some(point) = open.savepoints.last() else { return Ok(()) };
        let (settings, roles) = (point.settings.clone(), point.roles);
        open.transaction.roll_back_to(&point.transaction, &warehouse).await;
        open.transaction.release_locks(point.locks);
        open.pending.truncate(point.pending);
        let advisory = point.advisory;
        self.portals.clear();
        self.cursors.retain(|_, cursor| cursor.committed || cursor.savepoints <= index);
        (self.settings, self.lasting) = settings;
        ((self.session_role, self.role), self.lasting_roles) = roles;
        self.show_roles();
        self.advisory.truncate(advisory).await;
        Ok(())
    }

    /// RELEASE: the savepoint and those after it are gone, what was done since stays. `3B001`.
    pub(super) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let open = self.block("RELEASE SAVEPOINT")?;
        let index = find_savepoint(open, name)?;
        open.savepoints.truncate(index);
        self.cursors.values_mut().for_each(|cursor| cursor.savepoints = cursor.savepoints.min(index));
        Ok(())
    }

    /// The transaction block that a command needs.
    fn block(&mut self, command: &str) -> Result<&mut Open, SqlError> {
        match &mut self.open {
            Some(open) if open.explicit => Ok(open),
            _ => Err(outside_block(command)),
        }
    }

    /// A statement failed: so has its transaction.
    pub fn fail(&mut self) {
        drop(self.effects.take());
        if let Some(open) = &mut self.open {
            open.failed = true;
            // What was done since the last savepoint can only be rolled back.
            open.transaction.release_locks(open.savepoints.last().map_or(0, |point| point.locks));
        }
    }

    /// Ends an implicit transaction, at the end of a message or at Sync: commits what succeeded, undoes what failed.
    pub async fn end_implicit(&mut self) -> Result<(), SqlError> {
        if !self.is_failed() {
            self.take_effects()?;
        }
        match &self.open {
            Some(open) if !open.explicit => {
                if open.failed {
                    self.roll_back().await;
                    Ok(())
                } else {
                    self.commit_open().await
                }
            }
            _ => Ok(()),
        }
    }
}

/// What a transaction that has committed listens to and tells.
async fn tell(shared: &Shared, pid: i32, pending: Pending) {
    if pending.len() == (0, 0) {
        return;
    }
    if let Some(backend) = shared.activity.backend(pid) {
        pending.listening.into_iter().for_each(|listening| backend.mailbox().listen(listening));
    }
    shared.activity.tell(&pending.notifications);
    if shared.metastore.is_shared() {
        let own = shared.activity.id();
        let letters = pending.notifications.iter().filter_map(|told| letter(own, told).ok());
        if let Err(error) = shared.metastore.tell(letters.collect()).await {
            tracing::warn!(cause = ?error, "other servers are not told of notifications");
        }
    }
}

fn find_savepoint(open: &Open, name: &str) -> Result<usize, SqlError> {
    let found = open.savepoints.iter().rposition(|point| point.name == name);
    found.ok_or_else(|| Plain::new(SqlState::INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist")).into())
}

/// `55P03` if it takes too long.
async fn in_time<T>(
    timeout: Option<std::time::Duration>,
    lock: impl Future<Output = Result<T, Plain>>,
) -> Result<T, SqlError> {
    let too_late = || Plain::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout");
    Ok(match timeout {
        Some(timeout) => tokio::time::timeout(timeout, lock).await.map_err(|_elapsed| too_late())??,
        None => lock.await?,
    })
}

/// Others were faster, and what is read may not change any more.
pub(super) fn lost_race() -> SqlError {
    Plain::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
        .hint("Run the transaction again.")
        .into()
}

fn read_only(command: &Command) -> SqlError {
    let message = format!("cannot execute {} in a read-only transaction", command.tag());
    Plain::new(SqlState::READ_ONLY_TRANSACTION, message).into()
}

fn outside_block(command: &str) -> SqlError {
    let message = format!("{command} can only be used in transaction blocks");
    Plain::new(SqlState::NO_ACTIVE_TRANSACTION, message).into()
}

/// `0A000` for a level that promises more than is kept.
fn refuse_serializable(modes: TransactionModes) -> Result<(), SqlError> {
    match modes.isolation {
        Some(IsolationLevel::Serializable) => {
            Err(unsupported("isolation level SERIALIZABLE").hint("Use REPEATABLE READ.").into())
        }
        _ => Ok(()),
    }
}

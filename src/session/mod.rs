//! One connected user. Every statement, from every door, passes [`Session::run`].

mod audited;
mod control;
mod cursor;
mod history;
mod kept;
mod prepared;
mod scroll;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use quick_cache::unsync::Cache;
use tokio::sync::Semaphore;

use audited::Seen;
use cursor::OpenCursor;
pub use kept::{Keeper, SimpleMessage};
use kept::{MESSAGE_BYTES_MAX, MESSAGES_MAX, Permitted};
use prepared::ResultChanged;
pub use prepared::{BoundValue, Portal, PortalRows, Prepared};
pub use state::TransactionStatus;
use state::{Open, lost_race, open_transaction};

use crate::activity::Activity;
use crate::advisory::{AdvisoryLocks, LocalLocks};
use crate::audit::{Audit, Entry};
use crate::catalog::CatalogState;
use crate::context::{Context, Drawn, Effects, resolve_search_path};
use crate::encode::{Style, parse_timestamp};
use crate::error::{Notice, Plain, SqlError, SqlState};
use crate::execute::{CopyIn, Outcome, Stores, execute};
use crate::govern::predefined::READ_SERVER_FILES;
use crate::guard::{Guard, Reader};
use crate::lake::{Lake, LakeTable};
use crate::listing::OpenObjects;
use crate::login::LoginFiles;
use crate::metastore::Metastore;
use crate::name::{ObjectId, SnapshotId};
use crate::pg::Objects;
use crate::plan::{Description, Engine, Facts, Need, Parameters, Plan, Scope, file_format, in_block, plan};
use crate::secure::authorize;
use crate::setting::{SETTINGS, Settings, SnapshotSetting};
use crate::statement::{AsOf, Class, Command, CopyTarget, Statement};
use crate::transaction::{Held, Locks, Temporary};
use crate::types::PgType;
use crate::warehouse::Warehouse;

/// Prepared statements and portals of one session.
const STATEMENTS_MAX: usize = 10_000;
/// Times a statement is run because others changed what it changes.
const ATTEMPTS_MAX: u32 = 100;
/// `pg_type.oid` of `unknown`.
const UNKNOWN_OID: u32 = 705;
/// Moments of the past that one statement may ask for; each is a catalog in memory.
const MOMENTS_MAX: usize = 100;
/// Notices that wait to be sent.
const NOTICES_MAX: usize = 1_000;

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    /// The committed catalog, and where transactions commit.
    pub metastore: Arc<Metastore>,
    /// Plans and runs queries, within one memory limit for all sessions.
    pub engine: Arc<Engine>,
    /// Data files of the tables we own.
    pub warehouse: Warehouse,
    /// Which other files may be read, and how to get there.
    pub lake: Lake,
    /// Tasks that parse and write one COPY.
    pub workers: usize,
    /// How many chunks of COPY data are read and written at once, by all connections.
    pub turns: Arc<Semaphore>,
    /// What open transactions have changed.
    pub locks: Arc<Locks>,
    /// Advisory locks, where no other server's sessions need to know of them.
    pub advisory: Arc<LocalLocks>,
    /// Who is there, and what each does.
    pub activity: Arc<Activity>,
    /// Who did what.
    pub audit: Arc<Audit>,
    /// Who may log in by which means.
    pub login: Arc<LoginFiles>,
}

/// A connected user's state: roles, settings, transaction, prepared statements and portals.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "login, session and current role are PostgreSQL's names")]
pub struct Session {
    shared: Arc<Shared>,
    pid: i32,
    /// Who logged in.
    login_role: ObjectId,
    session_role: ObjectId,
    role: ObjectId,
    /// Session role and role after a commit: without what SET LOCAL changed.
    lasting_roles: (ObjectId, ObjectId),
    /// In force now.
    settings: Settings,
    /// In force after a commit: without what SET LOCAL changed.
    lasting: Settings,
    /// What RESET goes back to.
    initial: Settings,
    open: Option<Open>,
    temporary: Arc<Temporary>,
    effects: Arc<Effects>,
    advisory: Arc<AdvisoryLocks>,
    drawn: Arc<Drawn>,
    prepared: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    cursors: HashMap<String, OpenCursor>,
    /// These, as the session sees them.
    open_objects: Arc<OpenObjects>,
    notices: Vec<Notice>,
    /// Simple messages by their text: who sends one often sends it again.
    messages: Cache<Box<str>, Arc<SimpleMessage>>,
    /// The client's address; empty: there is no client.
    client: String,
    /// How the client was found to be who he is, and who.
    identity: Option<Arc<str>>,
    /// What the audit trail is told of the present statement.
    seen: Seen,
    /// A COPY FROM STDIN that is under way, for the audit trail.
    copying: Option<(Entry, Instant)>,
}

/// A statement that is to run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What it says.
    pub statement: &'a Statement,
    /// What its parameters are.
    pub parameters: &'a Parameters,
    /// What the client was told of it, if it was told.
    pub told: Option<&'a Description>,
    /// Has the plan that was made before.
    pub keeper: Option<&'a Keeper>,
}

/// A plan whose parameters are arrays of as many dimensions as what they stand beside: what a client declares does not tell
/// them. `None`: that is not the matter.
fn with_other_dimensions(
    scope: &Scope,
    statement: &Statement,
    declared: &[Option<PgType>],
) -> Option<(Plan, Vec<Option<PgType>>)> {
    let is_array = |pg: &Option<PgType>| pg.as_ref().is_some_and(|pg| pg.dimensions() > 0);
    if !declared.iter().any(is_array) {
        return None;
    }
    let open = declared.iter().map(|pg| pg.clone().filter(|_| !is_array(pg))).collect();
    let inferred = plan(scope, statement, &Parameters { types: open, values: None }).ok()?;
    let inferred = inferred.parameter_types(&[], statement.parameters);
    let types = declared.iter().zip(&inferred).map(|(declared, inferred)| match declared {
        Some(pg) if pg.dimensions() > 0 && inferred.dimensions() > 0 => Some(pg.with_dimensions(inferred.dimensions())),
        other => other.clone(),
    });
    let types: Vec<Option<PgType>> = types.collect();
    if types == declared {
        return None;
    }
    let plan = plan(scope, statement, &Parameters { types: types.clone(), values: None }).ok()?;
    Some((plan, types))
}

impl Session {
    /// A session of a role that has been authenticated. `options`: settings from the start-up packet.
    pub fn new(shared: Arc<Shared>, pid: i32, role: ObjectId, options: &[(String, String)]) -> Result<Self, SqlError> {
        let mut settings = Settings::default();
        let head = shared.metastore.head();
        for (name, value) in head.role(role).iter().flat_map(|role| &role.settings) {
            settings.set(name, Some(value))?;
        }
        for (name, value) in options {
            settings.set(name, Some(value))?;
        }
        let advisory = Arc::new(AdvisoryLocks::new(pid, &shared.metastore, &shared.advisory));
        let mut session = Self {
            shared,
            pid,
            login_role: role,
            session_role: role,
            role,
            lasting_roles: (role, role),
            lasting: settings.clone(),
            initial: settings.clone(),
            settings,
            open: None,
            temporary: Arc::default(),
            effects: Arc::default(),
            advisory,
            drawn: Arc::default(),
            prepared: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            open_objects: Arc::default(),
            notices: Vec::new(),
            messages: Cache::new(MESSAGES_MAX),
            client: String::new(),
            identity: None,
            seen: Seen::default(),
            copying: None,
        };
        session.show_roles();
        session.initial = session.settings.clone();
        Ok(session)
    }

    /// Who logged in.
    pub fn login_role(&self) -> ObjectId {
        self.login_role
    }

    /// The client's address; empty: there is no client.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// When the open transaction began, in microseconds since 1970.
    pub fn transaction_start(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.transaction.started_us)
    }

    /// Whose session it is: a client's, by its address.
    pub fn set_client(&mut self, client: String) {
        self.client = client;
    }

    /// How it was found out who the client is, and whom it found: PostgreSQL's `SYSTEM_USER`.
    pub fn set_identity(&mut self, identity: Option<String>) {
        self.identity = identity.map(Arc::from);
    }

    /// As [`Session::set_identity`] said.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Runs one statement up to its first row. The caller reads the rows, says [`Session::fail`] if that
    /// goes wrong, and [`Session::end_implicit`] after the last statement of a message.
    pub async fn run(&mut self, statement: &Statement, parameters: Parameters) -> Result<Outcome, SqlError> {
        self.run_again(Run { statement, parameters: &parameters, told: None, keeper: None }).await
    }

    /// As [`Session::run`], with a plan that was made before.
    pub async fn run_again(&mut self, run: Run<'_>) -> Result<Outcome, SqlError> {
        if let Command::Execute(execute) = &run.statement.command {
            if self.is_failed() {
                return Err(in_failed_transaction());
            }
            let (prepared, parameters) = self.executed(execute).await?;
            let Some(statement) = &prepared.statement else { return Ok(Outcome::Done(String::new())) };
            let run = Run { statement, parameters: &parameters, told: run.told, keeper: Some(&prepared.keeper) };
            return Box::pin(self.run_again(run)).await;
        }
        if !self.shared.audit.is_on() {
            return self.perform(&run).await;
        }
        self.seen = Seen::default();
        let started = Instant::now();
        let outcome = self.perform(&run).await;
        self.audit_end(&run, started, outcome)
    }

    async fn perform(&mut self, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let statement = run.statement;
        self.take_effects()?;
        self.advisory.still_there()?;
        self.admit(statement)?;
        if let (1.., None) = (statement.parameters, &run.parameters.values) {
            return Err(no_parameter(statement).into());
        }
        // What ends a transaction looks for itself.
        if statement.command.class() != Class::Transaction || matches!(statement.command, Command::Begin(_)) {
            self.shared.metastore.refresh().await?;
        }
        if let Some(outcome) = self.control(statement).await? {
            if let (Some(told), Outcome::Rows { fields, .. } | Outcome::Returned { fields, .. }) = (run.told, &outcome)
                && !told.gives(Some(fields))
            {
                return Err(ResultChanged.into());
            }
            return Ok(outcome);
        }
        if matches!(&statement.command, Command::Maintain(maintain) if maintain.vacuum) && self.open.is_some() {
            return Err(in_block("VACUUM").into());
        }
        if let Command::Declare(declare) = &statement.command {
            self.may_declare(declare)?;
        }
        let mut attempt = 1;
        loop {
            self.begin_implicit();
            let point = open_transaction(&mut self.open)?.transaction.savepoint();
            let told = self.notices.len();
            let done = self.attempt(run).await;
            let stays = match &done {
                Ok(Outcome::CopyIn(copy)) => !self.waited_for(copy.table()).await?,
                Ok(_) => self.is_settled(&point).await?,
                Err(error) => !self.may_be_mended(error.sqlstate(), error.report().about()).await?,
            };
            if stays {
                return done;
            }
            drop(done);
            self.notices.truncate(told);
            let open = open_transaction(&mut self.open)?;
            open.transaction.roll_back_to(&point, &self.shared.warehouse).await;
            // A REPEATABLE READ one that has waited for nothing it can see goes on.
            let refreshed = !open.may_look_again() || open.transaction.refresh(&self.shared.metastore);
            if attempt == ATTEMPTS_MAX || !refreshed {
                return Err(lost_race());
            }
            attempt += 1;
        }
    }

    /// Runs one statement on what its transaction reads now.
    async fn attempt(&mut self, run: &Run<'_>) -> Result<Outcome, SqlError> {
        let statement = run.statement;
        self.rights_are_todays()?;
        let scope = self.scope(statement).await?;
        let stores = Stores {
            warehouse: self.shared.warehouse.clone(),
            workers: self.shared.workers,
            turns: Arc::clone(&self.shared.turns),
        };
        let ready = match run.keeper {
            Some(keeper) => keeper.get(&scope, statement, run.told)?,
            None => None,
        };
        if let Some(Permitted { ready, needs }) = ready {
            self.see(&scope, statement, &needs, false);
            let values = run.parameters.values.as_deref().unwrap_or_default();
            let transaction = &mut open_transaction(&mut self.open)?.transaction;
            if let Some(outcome) = Box::pin(ready.run(&scope, &stores, transaction, values)).await? {
                return Ok(outcome);
            }
        }
        let plan = plan(&scope, statement, run.parameters)?;
        if run.told.is_some_and(|told| !told.gives(plan.fields().as_deref())) {
            return Err(ResultChanged.into());
        }
        let mut needs = Vec::new();
        let permitted = authorize(&scope.ctx, plan, &mut needs);
        self.see(&scope, statement, &needs, permitted.is_err());
        let plan = permitted?;
        self.audit_begin(run).await?;
        let open = open_transaction(&mut self.open)?;
        let mut notices = Vec::new();
        let outcome = execute(&scope, &stores, &mut open.transaction, plan, &mut notices).await;
        for notice in notices {
            self.notify(notice);
        }
        match (outcome?, &statement.command) {
            (Outcome::Rows { fields, stream, .. }, Command::Declare(declare)) => {
                self.keep_cursor((declare, statement.text.sql()), fields, stream);
                Ok(Outcome::Done(statement.command.tag().to_owned()))
            }
            (outcome, _) => Ok(outcome),
        }
    }

    /// Notes what a statement takes, if the audit trail is to know.
    fn see(&mut self, scope: &Scope, statement: &Statement, needs: &[Need], denied: bool) {
        let audit = &self.shared.audit;
        if !audit.is_on() {
            return;
        }
        let class = statement.command.audit_class();
        if denied || audit.records(class) || audited::are_protected(&scope.ctx, needs) {
            self.seen = Seen::of(&scope.ctx, &scope.reader, needs);
        }
    }

    /// Ends a COPY FROM STDIN whose data is complete.
    pub async fn finish_copy(&mut self, copy: CopyIn) -> Result<u64, SqlError> {
        let done = self.finish(copy).await;
        self.audit_copied(done.as_ref().ok().copied(), done.as_ref().err().map(SqlError::sqlstate));
        done
    }

    async fn finish(&mut self, copy: CopyIn) -> Result<u64, SqlError> {
        let open = open_transaction(&mut self.open)?;
        let point = open.transaction.savepoint();
        let mut notices = Vec::new();
        let rows = Box::pin(copy.finish(&mut open.transaction, &mut notices)).await;
        for notice in notices {
            self.notify(notice);
        }
        let rows = rows?;
        // Its data is read: it cannot be done again.
        match self.settle(&point).await? {
            Held::Firmly => Ok(rows),
            Held::Lost => Err(lost_race()),
            Held::KeyTaken(index) => Err(self.key_taken(index)),
        }
    }

    /// A message of the simple protocol. `42601`.
    pub fn message(&mut self, sql: &str) -> Result<Arc<SimpleMessage>, SqlError> {
        if let Some(known) = self.messages.get(sql) {
            return Ok(Arc::clone(known));
        }
        let message = Arc::new(SimpleMessage::new(sql)?);
        if sql.len() <= MESSAGE_BYTES_MAX {
            self.messages.insert(sql.into(), Arc::clone(&message));
        }
        Ok(message)
    }

    /// The type that a client declared by its OID; 0 leaves it to the server. `42704`.
    pub fn parameter_type(&self, oid: u32) -> Result<Option<PgType>, SqlError> {
        let unknown = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"));
        match oid {
            0 | UNKNOWN_OID => Ok(None),
            oid => match PgType::from_oid(oid).or_else(|| self.context().type_of_oid(oid)) {
                Some(pg) => Ok(Some(pg)),
                None => Err(unknown().into()),
            },
        }
    }

    /// What a statement takes and gives, and its plan if that can be kept. No effects.
    async fn describe(
        &mut self,
        statement: &Statement,
        types: &[Option<PgType>],
    ) -> Result<(Description, Keeper), SqlError> {
        if self.is_failed() && statement.command.class() != Class::Transaction {
            return Err(in_failed_transaction());
        }
        if let Some(description) = self.describe_control(statement)? {
            return Ok((description, Keeper::default()));
        }
        self.shared.metastore.refresh().await?;
        let scope = self.scope(statement).await?;
        let parameters = Parameters { types: types.to_vec(), values: None };
        let (plan, types) = match plan(&scope, statement, &parameters) {
            Ok(plan) => (plan, types.to_vec()),
            Err(error) => with_other_dimensions(&scope, statement, types).ok_or(error)?,
        };
        let description =
            Description { parameters: plan.parameter_types(&types, statement.parameters), fields: plan.fields() };
        // Whoever may not run it may not learn its columns either.
        let mut needs = Vec::new();
        let plan = authorize(&scope.ctx, plan, &mut needs)?;
        let keeper = Keeper::new(&scope, plan, needs, &description.parameters)?;
        Ok((description, keeper))
    }

    /// Everything planning may look at. The only I/O before permission is here, and superusers cause it only.
    async fn scope(&mut self, statement: &Statement) -> Result<Scope, SqlError> {
        let ctx = self.context();
        let mut scope = Scope {
            reader: Reader::of(&ctx),
            engine: Arc::clone(&self.shared.engine),
            guard: Guard::new(self.shared.warehouse.clone(), self.shared.lake.clone()),
            metastore: Arc::clone(&self.shared.metastore),
            facts: Facts::default(),
            target: None,
            results: BTreeMap::new(),
            fleeting: Arc::default(),
            ctx,
        };
        scope.facts = gather(&self.shared, &scope.ctx, &statement.command).await?;
        let mut moments = statement.moments.clone();
        scope.facts.moment = self.moment()?;
        moments.extend(scope.facts.moment.clone());
        scope.facts.past = Box::pin(past(&self.shared, &scope.ctx, &moments)).await?;
        if let Command::Restore(restore) = &statement.command
            && restore.dropped
        {
            let name = &restore.table;
            let schema = match &name.schema {
                Some(schema) => scope.ctx.catalog.schema_id(schema),
                None => scope.ctx.creation_schema(name).ok().map(|(id, _)| id),
            };
            if let Some(schema) = schema.filter(|schema| scope.ctx.may_use_schema(*schema)) {
                scope.facts.dropped = Box::pin(self.shared.metastore.dropped(schema, &name.name)).await?;
            }
        }
        for moment in &statement.moments {
            if let AsOf::Changes { table, from, to } = moment
                && let Some(changes) =
                    Box::pin(history::changes(&self.shared, &scope.ctx, table, SnapshotId(*from), SnapshotId(*to)))
                        .await?
            {
                scope.facts.changes.insert(moment.clone(), changes);
            }
        }
        Ok(scope)
    }

    /// The moment as of which tables are read. `22023` for a number that is none.
    fn moment(&self) -> Result<Option<AsOf>, SqlError> {
        Ok(match self.settings.snapshot() {
            Some((SnapshotSetting::Version, text)) => {
                Some(AsOf::Version(text.trim().parse().map_err(|_malformed| {
                    let message = format!("invalid value for parameter \"snapshot_version\": \"{text}\"");
                    Plain::new(SqlState::INVALID_PARAMETER_VALUE, message)
                })?))
            }
            Some((SnapshotSetting::Time, text)) => Some(AsOf::Time(text)),
            None => None,
        })
    }

    fn context(&self) -> Context {
        let now = Utc::now().timestamp_micros();
        let (catalog, staged, own_sequences, restarted, started) = match &self.open {
            Some(open) => (
                Arc::clone(open.transaction.catalog()),
                Arc::clone(open.transaction.staged()),
                Arc::clone(open.transaction.own_sequences()),
                Arc::clone(open.transaction.restarted()),
                open.transaction.started_us,
            ),
            None => {
                let own = &self.temporary;
                (
                    own.over(&self.shared.metastore.head()),
                    Arc::clone(own.staged()),
                    Arc::clone(own.sequences()),
                    Arc::default(),
                    now,
                )
            }
        };
        let settings = Arc::new(self.settings.with_system(catalog.system_settings()));
        Context {
            roles: catalog.closure(self.role),
            superuser: catalog.role(self.role).is_some_and(|role| role.superuser),
            search_path: resolve_search_path(&catalog, self.role, &self.settings.search_path()),
            catalog,
            staged,
            upkeep: Arc::clone(self.shared.warehouse.upkeep()),
            metastore: Arc::clone(&self.shared.metastore),
            activity: Arc::clone(&self.shared.activity),
            audit: Arc::clone(&self.shared.audit),
            login: Arc::clone(&self.shared.login),
            identity: self.identity.clone(),
            own_sequences,
            restarted,
            settings,
            effects: Arc::clone(&self.effects),
            open_objects: Arc::clone(&self.open_objects),
            advisory: Arc::clone(&self.advisory),
            drawn: Arc::clone(&self.drawn),
            session_role: self.session_role,
            user: self.role,
            role: self.role,
            lowest_id: self.open.as_ref().map_or(ObjectId(0), |open| open.transaction.lowest_id()),
            backend_pid: self.pid,
            transaction_start_us: started,
            statement_start_us: now,
        }
    }

    /// How values print now.
    pub fn style(&self) -> Style {
        Objects::style(&self.context())
    }

    /// In force now, with what SET LOCAL changed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The open transaction's catalog, its own changes included; without one, the newest that was committed.
    pub fn catalog(&self) -> Arc<CatalogState> {
        self.open.as_ref().map_or_else(
            || self.temporary.over(&self.shared.metastore.head()),
            |open| Arc::clone(open.transaction.catalog()),
        )
    }

    /// Values that clients are told of, in the order of the definitions.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        SETTINGS
            .iter()
            .filter(|setting| setting.report)
            .map(|setting| (setting.name, self.settings.value(setting)))
            .collect()
    }

    fn notify(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(notice);
        }
    }

    /// Notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let threshold = self.settings.min_messages();
        let mut notices = std::mem::take(&mut self.notices);
        notices.retain(|notice| match threshold.as_str() {
            "error" => false,
            "warning" => notice.severity >= crate::error::Severity::Warning,
            _ => true,
        });
        notices
    }
}

/// The catalog as it was, at some moments.
async fn past(shared: &Shared, ctx: &Context, moments: &[AsOf]) -> Result<BTreeMap<AsOf, Arc<CatalogState>>, SqlError> {
    let mut past = BTreeMap::new();
    if moments.len() > MOMENTS_MAX {
        let message = format!("too many moments of the past in one statement (at most {MOMENTS_MAX})");
        return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
    }
    for moment in moments {
        let snapshot = match moment {
            AsOf::Changes { .. } => continue,
            AsOf::Version(number) => SnapshotId(*number),
            AsOf::Time(text) => {
                let time = parse_timestamp(text, Some(ctx.settings.time_zone())).map_err(|_malformed| {
                    let message = format!("invalid input syntax for type timestamp with time zone: \"{text}\"");
                    Plain::new(SqlState::INVALID_DATETIME_FORMAT, message)
                })?;
                shared.metastore.snapshot_at(time).await?
            }
        };
        past.insert(moment.clone(), shared.metastore.at(snapshot).await?);
    }
    Ok(past)
}

/// Looks at the files that a statement names.
async fn gather(shared: &Shared, ctx: &Context, command: &Command) -> Result<Facts, SqlError> {
    let denied = |what: &str| {
        Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {what}"))
            .detail("Only roles with privileges of role \"pg_read_server_files\" may do that.")
    };
    let may_read = ctx.superuser || ctx.roles.contains(&READ_SERVER_FILES);
    let lake = &shared.lake;
    let state = shared.engine.state();
    Ok(match command {
        Command::CreateExternalTable(create) => {
            if !may_read {
                return Err(denied("create an external table").into());
            }
            let location = lake.locate(&create.location)?;
            let found =
                LakeTable::infer(lake, &ctx.catalog, state.as_ref(), &location, create.format, &create.options).await;
            let inferred = match found {
                Ok(inferred) => inferred,
                // An empty location is all right for a table whose columns are given.
                Err(error) if error.sqlstate() == SqlState::UNDEFINED_FILE && !create.columns.is_empty() => {
                    crate::lake::InferredTable { columns: vec![], partitions: vec![], options: create.options.clone() }
                }
                Err(error) => return Err(error),
            };
            Facts { location: Some(location), inferred: Some(Arc::new(inferred)), ..Facts::default() }
        }
        Command::Copy(copy) => match &copy.target {
            CopyTarget::FromLocation(text) => {
                if !may_read {
                    return Err(denied("COPY from a location").into());
                }
                let location = lake.locate(text)?;
                let inferred = match file_format(&copy.options) {
                    Some(format) => {
                        let (catalog, options) = (&ctx.catalog, BTreeMap::new());
                        let found = LakeTable::infer(lake, catalog, state.as_ref(), &location, format, &options);
                        Some(Arc::new(found.await?))
                    }
                    None => None,
                };
                Facts { location: Some(location), inferred, ..Facts::default() }
            }
            CopyTarget::FromStdin | CopyTarget::ToStdout | CopyTarget::ToLocation(_) => Facts::default(),
        },
        _ => Facts::default(),
    })
}

/// `42P02`: nothing was given for the parameters of a statement.
fn no_parameter(statement: &Statement) -> Plain {
    let named = (1..=statement.parameters).map(|number| format!("${number}"));
    let found = named.filter_map(|name| Some((statement.text.find_word(&name)?, name))).min();
    let (position, name) = found.map_or((None, "$1".to_owned()), |(position, name)| (Some(position), name));
    Plain::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}")).at(position)
}

fn in_failed_transaction() -> SqlError {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Plain::new(SqlState::IN_FAILED_TRANSACTION, message).into()
}

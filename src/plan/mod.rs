//! Statement + catalog → plan. Pure: no network, no writes, no effects.
//!
//! Queries become logical plans whose relations are issued by the statement's guard; every other command becomes the
//! catalog changes it asks for. Each plan says what it needs to be permitted ([`Need`]); `secure` decides.

mod arrays;
mod command;
mod conflict;
mod decorrelate;
mod domain;
mod engine;
mod from_function;
mod generated;
mod immutable;
mod insert;
mod joins;
mod lock;
mod mask;
mod merge;
mod modify;
mod names;
mod opaque;
mod origin;
mod parts;
mod policy;
mod query;
mod records;
mod returning;
mod rewrite;
mod slices;
mod ties;
mod type_names;
mod typing;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::FieldRef;

pub use command::{ColumnSource, CopyPlan, DdlPlan, VacuumPlan, Validation, duplicates, file_format, in_block, worn};
pub use conflict::{ConflictUpdate, OnConflict, excluded_name, set_name};
pub use decorrelate::{BarrierPlanner, decorrelate, lateral_left};
pub use domain::DomainRules;
pub use engine::Engine;
pub use generated::generation;
pub use immutable::{key_value, predicate};
pub use insert::{AskedBy, InsertPlan, RowCheck, evaluate_default};
pub use lock::Locks;
pub use merge::MergeStep;
pub use modify::{ADDRESS_COLUMNS, ModifyPlan, Target};
pub use parts::PartPlan;
pub use query::QueryPlan;
pub use returning::{Returning, other_name};

use crate::catalog::{CatalogState, Change, TEMPORARY_SCHEMA};
use crate::context::Context;
use crate::error::{SqlError, unsupported};
use crate::govern::Privilege;
use crate::guard::{Guard, Reader, ResultTable};
use crate::lake::{InferredTable, Location};
use crate::metastore::Metastore;
use crate::name::{ObjectId, SnapshotId};
use crate::pg::SequenceAction;
use crate::statement::{AsOf, Command, CopySource, CopyTarget, Explain, Statement};
use crate::types::{PgType, of_field};

/// What planning may look at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Who runs the statement, on which catalog, with which settings.
    pub ctx: Context,
    /// Who sees the result: masks are his, also in a view that is read with its owner's rights.
    pub reader: Reader,
    /// The engine's functions, optimizer and limits.
    pub engine: Arc<Engine>,
    /// Opens the statement's relations, each under its policies.
    pub guard: Guard,
    /// For the counters of its sequences. Planning does not move them.
    pub metastore: Arc<Metastore>,
    /// What was found out about files before planning.
    pub facts: Facts,
    /// The table whose rows the statement changes, while its source is planned.
    pub target: Option<Target>,
    /// Results of the statement's parts so far, by the names that WITH gives them; `None`: it gives nothing back.
    pub results: BTreeMap<String, Option<Arc<ResultTable>>>,
    /// Set when something becomes part of the plan that holds for this run alone, such as the time.
    pub fleeting: Arc<AtomicBool>,
}

/// The results of the only I/O before permission.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The location that the statement names. `None`: it names none.
    pub location: Option<Location>,
    /// What the location's files hold, where that decides about columns.
    pub inferred: Option<Arc<InferredTable>>,
    /// The catalog as it was, at each moment that the statement asks for.
    pub past: BTreeMap<AsOf, Arc<CatalogState>>,
    /// The moment as of which tables are read that are named without one. `None`: now.
    pub moment: Option<AsOf>,
    /// The table that UNDROP names, and the catalog before it was dropped. `None`: none is known.
    pub dropped: Option<(ObjectId, Arc<CatalogState>)>,
    /// What happened to tables, for each `table_changes` of the statement, in order; at least one, be it of no rows.
    pub changes: BTreeMap<AsOf, Vec<TableChange>>,
}

/// Rows that one snapshot gave a table, or took from it.
#[derive(Clone, Debug)]
pub struct TableChange {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Which of both.
    pub kind: ChangeKind,
    /// A catalog in which the table has just these rows.
    pub catalog: Arc<CatalogState>,
}

/// What happened to a row. A changed row is deleted and inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Insert,
    /// It is gone.
    Delete,
}

impl ChangeKind {
    /// As `table_changes` shows it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

/// What a statement will do.
#[derive(Debug)]
pub enum Plan {
    /// Send a query's rows to the client.
    Query(QueryPlan),
    /// Keep a query's rows for FETCH.
    Declare {
        /// The query.
        query: QueryPlan,
        /// Whether it goes on after the transaction.
        hold: bool,
    },
    /// Write rows to a table: INSERT, or COPY of files that have columns and types of their own.
    Insert(InsertPlan),
    /// Change or delete rows of a table.
    Modify(ModifyPlan),
    /// Do several things, each once, in order; all on what was there before.
    Parts {
        /// What comes before the statement itself.
        parts: Vec<PartPlan>,
        /// The statement itself: its result is the client's.
        main: Box<Plan>,
        /// Types of the parameters by position, as far as they are known.
        parameters: Vec<Option<PgType>>,
    },
    /// Show how a query would run.
    Explain {
        /// The query that is shown.
        query: QueryPlan,
        /// Whether it runs, too, and what it took is shown.
        analyze: bool,
        /// Whether each step is shown in full.
        verbose: bool,
        /// Whether the policies that count are shown.
        policies: bool,
    },
    /// Send a query's rows to the client in a format of COPY.
    CopyOut(CopyPlan, QueryPlan),
    /// Write rows to a table that the client sends in a format of COPY.
    CopyIn(CopyPlan),
    /// Write rows to a table that are read from files in one of COPY's formats between server and client.
    CopyFiles(CopyPlan, Location),
    /// Create a table, or empty a materialized view, then fill it.
    Fill {
        /// What comes before. Without changes if there is a table by that name already.
        ddl: DdlPlan,
        /// The rows. `None`: WITH NO DATA, or there is such a table already.
        fill: Option<InsertPlan>,
    },
    /// Change a table, and write all its rows again.
    Rewrite {
        /// What changes the table.
        ddl: DdlPlan,
        /// All its rows, as they are to be.
        fill: InsertPlan,
    },
    /// Write files of tables again.
    Vacuum(VacuumPlan),
    /// Change the catalog.
    Ddl(DdlPlan),
}

/// Something that must be permitted, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Whose rights count: the current role's, or a view owner's.
    pub role: ObjectId,
    /// What that role must hold. A superuser holds everything.
    pub right: Right,
}

/// What a role may have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Being a superuser. What for, as the error's message says it: `permission denied to …`.
    Superuser(&'static str),
    /// An attribute, to create roles or to change it.
    Attribute(Attribute, &'static str),
    /// Ownership of an object.
    Own(ObjectId),
    /// USAGE of a type.
    UseType(ObjectId),
    /// All rights of a role, or ownership of an object.
    OwnOr(ObjectId, ObjectId),
    /// Membership in a role.
    Member(ObjectId),
    /// All rights of a role. What for, as the error's message says it: `permission denied to …`.
    RightsOf(ObjectId, &'static str),
    /// ADMIN OPTION on a role, and the attribute CREATEROLE unless it is to grant, revoke or comment; a superuser's role is for
    /// superusers. What for, as the error's message says it: `grant`.
    Admin(ObjectId, &'static str),
    /// APPLY on a tag.
    Apply(ObjectId),
    /// A privilege on the one database.
    Database(Privilege),
    /// A privilege on a schema.
    Schema(ObjectId, Privilege),
    /// With columns (their indexes): the privilege on the relation, or on each of them. Without: on the relation.
    Relation {
        /// The relation. Its schema must be usable, too.
        id: ObjectId,
        /// What is done to it.
        privilege: Privilege,
        /// Positions from 0, not column ids. Empty: only the relation's own ACL counts.
        columns: Vec<i32>,
    },
    /// What is done with a sequence.
    Sequence(ObjectId, SequenceAction),
    /// The privilege on the relation or on any of its columns.
    AnyColumn {
        /// The relation. Its schema must be usable, too.
        id: ObjectId,
        /// What is done to it.
        privilege: Privilege,
    },
    /// One of some privileges on a relation.
    AnyOf {
        /// The relation. Its schema must be usable, too.
        id: ObjectId,
        /// Each of them suffices.
        privileges: &'static [Privilege],
    },
    /// Any privilege on an object, or on a column of it.
    Anything {
        /// The relation, schema or database.
        id: ObjectId,
        /// The id of a column whose privileges count besides the relation's. `None`: the object's alone.
        column: Option<i32>,
    },
}

/// What a role may have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// SUPERUSER.
    Superuser,
    /// CREATEROLE.
    CreateRole,
    /// CREATEDB.
    CreateDb,
    /// REPLICATION.
    Replication,
    /// BYPASSRLS.
    BypassRls,
}

/// A statement's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// By position; `None`: to be inferred.
    pub types: Vec<Option<PgType>>,
    /// Present when the statement is to run.
    pub values: Option<Vec<datafusion::common::ScalarValue>>,
}

/// What a statement takes and gives, before it runs.
#[derive(Clone, Debug)]
pub struct Description {
    /// Types of the parameters by position; text where nothing tells.
    pub parameters: Vec<PgType>,
    /// `None`: no rows.
    pub fields: Option<Vec<FieldRef>>,
}

impl Description {
    /// Whether a result of other columns has the same types.
    pub fn gives(&self, now: Option<&[FieldRef]>) -> bool {
        let oids = |fields: &[FieldRef]| fields.iter().map(|field| of_field(field).oid()).collect::<Vec<_>>();
        self.fields.as_deref().map(oids) == now.map(oids)
    }
}

impl Plan {
    /// The columns of its result, if it has rows.
    pub fn fields(&self) -> Option<Vec<FieldRef>> {
        match self {
            Self::Query(query) => Some(query.fields.clone()),
            Self::Insert(insert) => insert.returning.as_ref().map(|returning| returning.fields.clone()),
            Self::Modify(modify) => modify.returning.as_ref().map(|returning| returning.fields.clone()),
            Self::Parts { main, .. } => main.fields(),
            Self::Explain { .. } => Some(vec![Arc::new(crate::types::field("QUERY PLAN", &PgType::Text, false))]),
            Self::Declare { .. }
            | Self::CopyOut(..)
            | Self::CopyIn(_)
            | Self::CopyFiles(..)
            | Self::Fill { .. }
            | Self::Rewrite { .. }
            | Self::Vacuum(_)
            | Self::Ddl(_) => None,
        }
    }

    /// Parameter types, as far as the plan shows them; text where nothing does.
    pub fn parameter_types(&self, declared: &[Option<PgType>], count: usize) -> Vec<PgType> {
        let found = self.found_types();
        (0..count)
            .map(|index| {
                let known = declared.get(index).cloned().flatten();
                // What a value stands beside gives it the type, not the length or the scale.
                let found = || found.get(index).cloned().flatten().map(|pg| pg.unbounded());
                known.or_else(found).unwrap_or(PgType::Text)
            })
            .collect()
    }

    fn found_types(&self) -> Vec<Option<PgType>> {
        match self {
            Self::Query(query)
            | Self::Declare { query, .. }
            | Self::Explain { query, .. }
            | Self::CopyOut(_, query) => query.parameters.clone(),
            Self::Insert(insert) => insert.parameters.clone(),
            Self::Modify(modify) => modify.parameters.clone(),
            Self::Parts { parameters, .. } => parameters.clone(),
            Self::CopyIn(_)
            | Self::CopyFiles(..)
            | Self::Fill { .. }
            | Self::Rewrite { .. }
            | Self::Vacuum(_)
            | Self::Ddl(_) => Vec::new(),
        }
    }
}

/// Plans a statement that is not about the session.
pub fn plan(scope: &Scope, statement: &Statement, parameters: &Parameters) -> Result<Plan, SqlError> {
    let text = &statement.text;
    plan_command(scope, &statement.command, parameters).map_err(|error| error.located(text))
}

/// An error that may still carry the engine's line and column.
pub(crate) enum PlanError {
    Sql(SqlError),
    Engine(datafusion::error::DataFusionError),
    Undefined(crate::error::Plain, String),
}

impl PlanError {
    fn located(self, text: &crate::statement::Text) -> SqlError {
        match self {
            Self::Sql(error) => error.located(|part| text.find(part)),
            Self::Engine(error) => {
                let error = SqlError::from_engine_at(error, &|line, column| text.position(line, column));
                error.located(|part| text.find(part))
            }
            Self::Undefined(error, name) => {
                let position = text.find_word(&name);
                error.at(position).into()
            }
        }
    }
}

impl PlanError {
    /// The error of a stored query, whose text the user does not see.
    fn unlocated(self) -> SqlError {
        match self {
            Self::Sql(error) => error,
            Self::Engine(error) => SqlError::from_engine(error),
            Self::Undefined(error, _) => error.into(),
        }
    }
}

impl<E: Into<SqlError>> From<E> for PlanError {
    fn from(error: E) -> Self {
        Self::Sql(error.into())
    }
}

pub(crate) type PlanResult<T> = Result<T, PlanError>;

fn plan_command(scope: &Scope, command: &Command, parameters: &Parameters) -> PlanResult<Plan> {
    Ok(match command {
        Command::Query(query) => Plan::Query(query::plan_locking(scope, query, parameters)?),
        Command::Declare(declare) => match declare.query.as_ref() {
            Command::Query(query) => {
                Plan::Declare { query: query::plan_locking(scope, query, parameters)?, hold: declare.hold }
            }
            _ => return Err(unsupported("a cursor for a statement that is not a query").into()),
        },
        Command::Insert(insert) => Plan::Insert(insert::plan(scope, insert, parameters)?),
        Command::Modify(modify) => Plan::Modify(modify::plan(scope, modify, parameters)?),
        Command::Merge(merge) => Plan::Modify(merge::plan(scope, merge, parameters)?),
        Command::Parts(with) => parts::plan(scope, with, parameters)?,
        Command::Explain(Explain { analyze, verbose, policies, statement }) => match statement.as_ref() {
            Command::Query(query) => {
                let query = query::plan(scope, query, parameters)?;
                Plan::Explain { query, analyze: *analyze, verbose: *verbose, policies: *policies }
            }
            _ => return Err(unsupported("EXPLAIN of a statement that is not a query").into()),
        },
        Command::Copy(copy) => match (&copy.source, &copy.target) {
            (CopySource::Query(query), CopyTarget::ToStdout) => {
                let query = query::plan(scope, query, parameters)?;
                Plan::CopyOut(command::copy_query(copy, &query), query)
            }
            (CopySource::Table { .. }, CopyTarget::ToStdout) => {
                let (copy, query) = command::copy_table_out(scope, copy)?;
                Plan::CopyOut(copy, query)
            }
            (CopySource::Table { .. }, CopyTarget::FromStdin) => Plan::CopyIn(command::copy_in(scope, copy)?),
            (CopySource::Table { .. }, CopyTarget::FromLocation(_)) => match file_format(&copy.options) {
                Some(format) => Plan::Insert(command::copy_from_table(scope, copy, format)?),
                None => {
                    let (copy, location) = command::copy_from_files(scope, copy)?;
                    Plan::CopyFiles(copy, location)
                }
            },
            (CopySource::Query(_), CopyTarget::FromStdin | CopyTarget::FromLocation(_))
            | (_, CopyTarget::ToLocation(_)) => {
                return Err(unsupported("COPY TO a location").into());
            }
        },
        Command::CreateTableAs(create) => {
            let (ddl, fill) = command::create_table_as(scope, create, parameters)?;
            Plan::Fill { ddl, fill }
        }
        Command::Refresh(refresh) => {
            let (ddl, fill) = command::refresh(scope, refresh)?;
            Plan::Fill { ddl, fill }
        }
        Command::AlterTable(alter) => match command::alter(scope, alter)? {
            (ddl, Some(fill)) => Plan::Rewrite { ddl, fill },
            (ddl, None) => Plan::Ddl(ddl),
        },
        Command::Maintain(maintain) => match command::maintain(scope, maintain)? {
            Ok(vacuum) => Plan::Vacuum(vacuum),
            Err(ddl) => Plan::Ddl(ddl),
        },
        other => Plan::Ddl(command::plan(scope, other)?),
    })
}

impl Scope {
    /// The same statement, seen as another role (a view's owner), with the invoker's masks.
    fn as_role(&self, role: ObjectId, search_path: &[String]) -> Self {
        let mut other = self.clone();
        other.results.clear();
        other.ctx = self.ctx.as_role(role).with_search_path(search_path);
        other
    }

    /// The same statement, with names found on another path.
    fn with_path(&self, search_path: &[String]) -> Self {
        let mut other = self.clone();
        other.results.clear();
        other.ctx = other.ctx.with_search_path(search_path);
        // Policies are of today, also in what they read.
        other.facts.moment = None;
        other
    }

    /// Names of the schemas on the search path, but for the session's own.
    fn path_names(&self) -> Vec<String> {
        let lasting = self.ctx.search_path.iter().filter(|id| **id != TEMPORARY_SCHEMA);
        let schemas = lasting.filter_map(|id| self.ctx.catalog.schema(*id));
        schemas.map(|schema| schema.name.clone()).collect()
    }

    fn catalog(&self) -> &CatalogState {
        &self.ctx.catalog
    }

    /// Something of this moment becomes part of the plan.
    fn note_moment(&self) {
        self.fleeting.store(true, Ordering::Relaxed);
    }

    /// Whether the plan that was made holds for later runs, too, while catalog, settings and roles are the same.
    pub fn is_lasting(&self) -> bool {
        let facts = &self.facts;
        let now = facts.moment.is_none() && facts.past.is_empty() && facts.changes.is_empty();
        now && self.ctx.restarted.is_empty() && !self.fleeting.load(Ordering::Relaxed)
    }
}

/// Whether an expression reads more than its row.
pub fn has_subquery(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    use datafusion::logical_expr::Expr;
    expr.exists(|expr: &Expr| Ok(subquery_of(expr).is_some())).unwrap_or(true)
}

/// The subquery that an expression is about itself.
fn subquery_of(expr: &datafusion::logical_expr::Expr) -> Option<&datafusion::logical_expr::Subquery> {
    use datafusion::logical_expr::Expr;
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(compared) => Some(&compared.subquery),
        _ => None,
    }
}

/// Whether something is in an expression, or in its subqueries at any depth.
fn exists_within(
    expr: &datafusion::logical_expr::Expr,
    is_it: &mut dyn FnMut(&datafusion::logical_expr::Expr) -> bool,
) -> datafusion::common::Result<bool> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut found = false;
    expr.apply(|expr| {
        found = found || is_it(expr);
        if let Some(subquery) = subquery_of(expr) {
            subquery.subquery.apply_with_subqueries(|node| {
                node.apply_expressions(|expr| {
                    found = found || expr.exists(|expr| Ok(is_it(expr)))?;
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The catalog after a plan's changes: what later steps of the same statement see.
pub(crate) fn with_changes(ctx: &Context, changes: &[Change]) -> Context {
    let mut next = ctx.clone();
    let state = ctx.catalog.as_ref().clone().with(ctx.catalog.snapshot, changes.iter().cloned());
    next.catalog = Arc::new(state);
    next
}

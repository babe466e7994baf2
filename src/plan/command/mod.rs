//! Commands that change the catalog: each becomes the changes it asks for and the rights it needs. COPY, too, finds its
//! table and columns here.

mod alter;
mod constraint;
mod copy;
mod dependents;
mod grant;
mod layout;
mod maintain;
mod materialized;
mod membership;
mod owned;
mod policy;
mod restore;
mod rls;
mod role;
mod schema;
mod sequence;
mod table;
mod tag;
mod user_type;

pub(super) use alter::alter;
pub use constraint::duplicates;
pub(super) use constraint::{bind_check, without_table};
pub use copy::{ColumnSource, CopyPlan, file_format};
pub(super) use copy::{copy_from_files, copy_from_table, copy_in, copy_query, copy_table_out};
pub(super) use layout::find as named;
pub(super) use maintain::plan as maintain;
pub use maintain::{VacuumPlan, in_block, worn};
pub(super) use materialized::refresh;
pub(super) use table::create_table_as;

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::{Locks, Need, PlanResult, Right, Scope};
use crate::catalog::{Body, Change, Column, Relation, TableData};
use crate::error::{Notice, Plain, SqlState, internal};
use crate::govern::predefined::CHECKPOINT;
use crate::name::{ObjectId, QualifiedName};
use crate::statement::{Command, RoleSpec};

/// Changes to the catalog, and what else happens with them.
#[derive(Debug, Default)]
pub struct DdlPlan {
    /// The command tag.
    pub tag: &'static str,
    /// In the order in which they are made; empty: the catalog stays as it is.
    pub changes: Vec<Change>,
    /// All rights that the command takes.
    pub needs: Vec<Need>,
    /// What the user is told when it is done, such as that an object was skipped.
    pub notices: Vec<Notice>,
    /// Tables whose rows go.
    pub truncate: Vec<ObjectId>,
    /// Why it cannot be done, for those who have the right to do it.
    pub refusal: Option<Plain>,
    /// Sequences that start again.
    pub restart: Vec<(ObjectId, Option<i64>)>,
    /// Tables, after they have lost their rows, with rows of the past that they get.
    pub restored: Vec<(ObjectId, Arc<TableData>)>,
    /// New sequences that go on where others, which are gone, have come to.
    pub counters: Vec<(ObjectId, ObjectId)>,
    /// What must hold of rows that are there.
    pub validations: Vec<Validation>,
    /// Whether secrets get a new data key.
    pub rotates_keys: bool,
    /// What is locked.
    pub locks: Locks,
    /// The last id that was given to a new object.
    lowest_id: Option<ObjectId>,
}

/// A condition on a table's rows that a change of the table relies on.
#[derive(Debug)]
pub struct Validation {
    /// The table.
    pub table: ObjectId,
    /// Finds a row that breaks it.
    pub none_of: LogicalPlan,
    /// What is said of such a row.
    pub error: Plain,
    /// What its first columns are, as it is shown, if they are a key that several rows have; the error then tells its values.
    pub key: Option<Vec<String>>,
}

impl DdlPlan {
    fn new(command: &Command) -> Self {
        Self { tag: command.tag(), ..Self::default() }
    }

    fn need(&mut self, scope: &Scope, right: Right) {
        self.needs.push(Need { role: scope.ctx.role, right });
    }

    fn put(&mut self, id: ObjectId, body: Body) {
        self.changes.push(Change::Put(id, Box::new(body)));
    }

    fn skip(&mut self, code: SqlState, message: String) {
        self.notices.push(Notice::new(code, message));
    }

    /// What is to be created is there: passed over with a notice under IF NOT EXISTS, else an error with `code`.
    fn exists(&mut self, code: SqlState, what: &str, name: &str, if_not_exists: bool) -> PlanResult<()> {
        let message = format!("{what} \"{name}\" already exists");
        if !if_not_exists {
            return Err(Plain::new(code, message).into());
        }
        self.skip(code, format!("{message}, skipping"));
        Ok(())
    }

    /// An id for a new object: provisional until commit, and below all that the transaction has.
    fn new_id(&mut self, scope: &Scope) -> ObjectId {
        let lowest = self.lowest_id.unwrap_or(scope.ctx.lowest_id);
        *self.lowest_id.insert(ObjectId(lowest.0.min(0) - 1))
    }

    /// A relation as it is after the changes so far.
    fn relation<'a>(&'a self, scope: &'a Scope, id: ObjectId) -> Option<&'a Relation> {
        let changed = self.changes.iter().rev().find(|change| change.id() == id);
        match changed {
            Some(Change::Put(_, body)) => match body.as_ref() {
                Body::Relation(relation) => Some(relation),
                _ => None,
            },
            Some(Change::Delete(_)) => None,
            None => scope.catalog().relation(id),
        }
    }
}

pub(super) fn plan(scope: &Scope, command: &Command) -> PlanResult<DdlPlan> {
    let mut ddl = DdlPlan::new(command);
    match command {
        Command::CreateSchema(create) => table::create_schema(scope, &mut ddl, create)?,
        Command::LockTable(lock) => super::lock::tables(scope, &mut ddl, lock)?,
        Command::Checkpoint => ddl.need(scope, Right::RightsOf(CHECKPOINT, "execute CHECKPOINT command")),
        Command::AlterSchema(alter) => schema::alter(scope, &mut ddl, alter)?,
        Command::CreateTable(create) => table::create_table(scope, &mut ddl, create)?,
        Command::CreateExternalTable(create) => table::create_external(scope, &mut ddl, create)?,
        Command::CreateIndex(create) => constraint::create_index(scope, &mut ddl, create)?,
        Command::CreateView(create) => table::create_view(scope, &mut ddl, create)?,
        Command::CreateSequence(create) => sequence::create(scope, &mut ddl, create)?,
        Command::AlterSequence(alter) => sequence::alter(scope, &mut ddl, alter)?,
        Command::CreateType(create) => user_type::create(scope, &mut ddl, create)?,
        Command::AlterType(alter) => user_type::alter(scope, &mut ddl, alter)?,
        Command::CreateCredential(create) => table::create_credential(scope, &mut ddl, create)?,
        Command::Drop(drop) => table::drop(scope, &mut ddl, drop)?,
        Command::Truncate(truncate) => table::truncate(scope, &mut ddl, truncate)?,
        Command::Comment(comment) => table::comment(scope, &mut ddl, comment)?,
        Command::CreateRole(create) => role::create(scope, &mut ddl, create)?,
        Command::AlterRole(alter) => role::alter(scope, &mut ddl, alter)?,
        Command::Restore(restore) => restore::plan(scope, &mut ddl, restore)?,
        Command::AlterSystem(alter) => role::alter_system(scope, &mut ddl, alter)?,
        Command::DropRole(drop) => role::drop(scope, &mut ddl, drop)?,
        Command::AlterDefaultPrivileges(alter) => grant::alter_defaults(scope, &mut ddl, alter)?,
        Command::Owned(owned) => owned::plan(scope, &mut ddl, owned)?,
        Command::GrantRole(grant) => membership::grant(scope, &mut ddl, grant)?,
        Command::RevokeRole(revoke) => membership::revoke(scope, &mut ddl, revoke)?,
        Command::Grant(grant) => grant::change(scope, &mut ddl, grant, true)?,
        Command::Revoke(revoke) => grant::change(scope, &mut ddl, revoke, false)?,
        Command::CreatePolicy(create) => policy::create(scope, &mut ddl, create)?,
        Command::AlterPolicy(alter) => policy::alter(scope, &mut ddl, alter)?,
        Command::CreateMaskingPolicy(create) => policy::create_masking(scope, &mut ddl, create)?,
        Command::CreateRlsPolicy(create) => rls::create(scope, &mut ddl, create)?,
        Command::AlterRlsPolicy(alter) => rls::alter(scope, &mut ddl, alter)?,
        Command::ChangeRls(change) => rls::change(scope, &mut ddl, change)?,
        Command::AttachMask(attach) => policy::attach(scope, &mut ddl, attach)?,
        Command::DetachMask(detach) => policy::detach(scope, &mut ddl, detach)?,
        Command::CreateTag(create) => tag::create(scope, &mut ddl, create)?,
        Command::AlterTag(alter) => tag::alter(scope, &mut ddl, alter)?,
        Command::SetTags(set) => tag::set(scope, &mut ddl, set)?,
        Command::TagMask(change) => tag::mask(scope, &mut ddl, change)?,
        Command::AlterTable(_)
        | Command::Maintain(_)
        | Command::Query(_)
        | Command::Insert(_)
        | Command::Parts(_)
        | Command::Modify(_)
        | Command::Merge(_)
        | Command::Explain(_)
        | Command::Copy(_)
        | Command::CreateTableAs(_)
        | Command::Refresh(_)
        | Command::Set(_)
        | Command::SetCharacteristics(_)
        | Command::Show(_)
        | Command::Reset(_)
        | Command::DiscardAll
        | Command::DiscardTemporary
        | Command::Deallocate(_)
        | Command::Listen(_)
        | Command::Notify(..)
        | Command::Prepare(_)
        | Command::Execute(_)
        | Command::Declare(_)
        | Command::Fetch(_)
        | Command::CloseCursor(_)
        | Command::Begin(_)
        | Command::SetTransaction(_)
        | Command::SetConstraints(_)
        | Command::Commit
        | Command::Rollback
        | Command::Savepoint(_)
        | Command::RollbackTo(_)
        | Command::Release(_) => return Err(internal("a command that is no DDL reached its planner").into()),
    }
    Ok(ddl)
}

/// The role a command names. `42704`.
fn role_id(scope: &Scope, spec: &RoleSpec) -> PlanResult<ObjectId> {
    match spec {
        RoleSpec::Name(name) => scope.catalog().role_id(name).ok_or_else(|| undefined_role(name).into()),
        RoleSpec::CurrentUser => Ok(scope.ctx.role),
        RoleSpec::SessionUser => Ok(scope.ctx.session_role),
        RoleSpec::Public => Err(Plain::new(SqlState::UNDEFINED_OBJECT, "role \"public\" does not exist").into()),
    }
}

fn undefined_role(name: &str) -> Plain {
    Plain::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

/// A relation to be changed. `42P01`.
fn relation<'a>(scope: &'a Scope, name: &QualifiedName) -> PlanResult<(ObjectId, &'a Relation)> {
    scope.ctx.require_relation(name).map_err(|error| super::PlanError::Undefined(error, name.name.clone()))
}

fn column<'a>(relation: &'a Relation, name: &str) -> PlanResult<&'a Column> {
    relation.column(name).ok_or_else(|| {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
        super::PlanError::Undefined(Plain::new(SqlState::UNDEFINED_COLUMN, message), name.to_owned())
    })
}

fn reserved(name: &str, kind: &str) -> PlanResult<()> {
    if name.starts_with("pg_") {
        let message = format!("unacceptable {kind} name \"{name}\"");
        return Err(Plain::new(SqlState::RESERVED_NAME, message)
            .detail(format!("The prefix \"pg_\" is reserved for system {kind}s."))
            .into());
    }
    Ok(())
}

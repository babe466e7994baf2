//! The facts one statement runs under. Immutable: a statement sees one catalog and one set of settings from start to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::activity::Activity;
use crate::advisory::AdvisoryLocks;
use crate::audit::Audit;
use crate::catalog::{CatalogState, Column, DomainUse, Namespace, Relation, Schema, TEMPORARY_SCHEMA, UserType};
use crate::error::{Plain, SqlState};
use crate::govern::predefined::{on_all_relations, on_all_schemas};
use crate::govern::{Acl, Privilege, PrivilegeSet};
use crate::listing::OpenObjects;
use crate::login::LoginFiles;
use crate::metastore::{Metastore, Sequences};
use crate::name::{ObjectId, QualifiedName};
use crate::notification::Notification;
use crate::setting::Settings;
use crate::types::{PgType, type_of_oid};
use crate::warehouse::{Staged, UpkeepLog};

/// What a running statement leaves to its session.
#[derive(Debug, Default)]
pub struct Effects(Mutex<Vec<Effect>>);

/// One thing of it.
#[derive(Debug)]
pub enum Effect {
    /// `set_config(name, value, local)`.
    Assigned(Assignment),
    /// `pg_notify(channel, payload)`.
    Notified(Notification),
    /// A warning for the client.
    Warned(SqlState, String),
}

/// A new value of a setting.
#[derive(Debug)]
pub struct Assignment {
    /// The setting, spelled as the caller spelled it.
    pub name: String,
    /// Text of the new value; `None` (SQL's NULL): back to what the session began with.
    pub value: Option<String>,
    /// For the rest of the transaction only, as SET LOCAL.
    pub local: bool,
}

/// Different settings that one statement may assign.
const ASSIGNED_MAX: usize = 1_000;
/// Notifications that one statement may send, settings included.
const EFFECTS_MAX: usize = 100_000;

impl Effects {
    /// Takes the place of an earlier assignment to the same setting, or of the same notification. `54000` for too many.
    pub fn add(&self, effect: Effect) -> Result<(), Plain> {
        let mut effects = self.lock();
        match &effect {
            Effect::Assigned(new) => effects.retain(
                |earlier| !matches!(earlier, Effect::Assigned(old) if old.name == new.name && old.local == new.local),
            ),
            // The last one is looked at alone: all others, when the statement has ended.
            Effect::Notified(new) if matches!(effects.last(), Some(Effect::Notified(last)) if last == new) => {
                return Ok(());
            }
            Effect::Notified(_) | Effect::Warned(..) => {}
        }
        let assigned = || effects.iter().filter(|effect| matches!(effect, Effect::Assigned(_))).count();
        let (what, most) = match &effect {
            Effect::Assigned(_) if assigned() >= ASSIGNED_MAX => ("settings", ASSIGNED_MAX),
            _ if effects.len() >= EFFECTS_MAX => ("notifications", EFFECTS_MAX),
            _ => {
                effects.push(effect);
                return Ok(());
            }
        };
        let message = format!("too many {what} in one statement (at most {most})");
        Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
    }

    /// What there was since the last call, in order; leaves nothing behind.
    pub fn take(&self) -> Vec<Effect> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Effect>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session drew from sequences.
#[derive(Debug, Default)]
pub struct Drawn(Mutex<LastDrawn>);

#[derive(Debug, Default)]
struct LastDrawn {
    values: HashMap<ObjectId, i64>,
    last: Option<ObjectId>,
}

impl Drawn {
    fn lock(&self) -> MutexGuard<'_, LastDrawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a value of a sequence.
    pub fn note(&self, sequence: ObjectId, value: i64) {
        let mut drawn = self.lock();
        drawn.values.insert(sequence, value);
        drawn.last = Some(sequence);
    }

    /// The last value of a sequence; `None` if there is none.
    pub fn value(&self, sequence: ObjectId) -> Option<i64> {
        self.lock().values.get(&sequence).copied()
    }

    /// The last value of all; `None` if there is none.
    pub fn last(&self) -> Option<i64> {
        let drawn = self.lock();
        drawn.values.get(&drawn.last?).copied()
    }

    /// Sequences got other ids, because they were committed.
    pub fn rename(&self, ids: &BTreeMap<ObjectId, ObjectId>) {
        let mut drawn = self.lock();
        let renamed = |id: ObjectId| ids.get(&id).copied().unwrap_or(id);
        drawn.values = std::mem::take(&mut drawn.values).into_iter().map(|(id, value)| (renamed(id), value)).collect();
        drawn.last = drawn.last.map(renamed);
    }
}

/// Who runs a statement, on what, when.
#[derive(Clone)]
pub struct Context {
    /// The transaction's catalog, its own changes included.
    pub catalog: Arc<CatalogState>,
    /// The transaction's own rows.
    pub staged: Arc<Staged>,
    /// What VACUUM did and does to the tables.
    pub upkeep: Arc<UpkeepLog>,
    /// Where snapshots are listed.
    pub metastore: Arc<Metastore>,
    /// Who is there, and what each does.
    pub activity: Arc<Activity>,
    /// Where the audit trail is.
    pub audit: Arc<Audit>,
    /// Who may log in by which means.
    pub login: Arc<LoginFiles>,
    /// How it was found out who the client is, and whom it found.
    pub identity: Option<Arc<str>>,
    /// Values of sequences that the transaction created or restarted.
    pub own_sequences: Arc<Sequences>,
    /// Sequences that the transaction restarted.
    pub restarted: Arc<BTreeSet<ObjectId>>,
    /// The session's, as they were when the statement began.
    pub settings: Arc<Settings>,
    /// What the statement leaves to its session, which takes it over when it is done.
    pub effects: Arc<Effects>,
    /// What the session has open.
    pub open_objects: Arc<OpenObjects>,
    /// The session's advisory locks.
    pub advisory: Arc<AdvisoryLocks>,
    /// What the session drew from sequences.
    pub drawn: Arc<Drawn>,
    /// Who logged in (or SET SESSION AUTHORIZATION).
    pub session_role: ObjectId,
    /// The current user (SET ROLE): who asks, also inside a view.
    pub user: ObjectId,
    /// Whose privileges count: the user's, or those of the owner of a view.
    pub role: ObjectId,
    /// `role` and all it inherits from.
    pub roles: Vec<ObjectId>,
    /// Whether `role` is a superuser, who has every privilege and sees every row.
    pub superuser: bool,
    /// Schemas of the search path that exist and may be used, in order.
    pub search_path: Vec<ObjectId>,
    /// The lowest provisional id the transaction has given.
    pub lowest_id: ObjectId,
    /// The connection's number, which a cancel request names too; not a process.
    pub backend_pid: i32,
    /// Microseconds since 1970.
    pub transaction_start_us: i64,
    /// Microseconds since 1970.
    pub statement_start_us: i64,
}

/// Errors of the engine may show what is in its expressions, which is not everybody's to know.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// With the rights of another role, such as a view's owner. The user stays who he is.
    #[must_use]
    pub fn as_role(&self, role: ObjectId) -> Self {
        let mut other = self.clone();
        other.role = role;
        other.roles = self.catalog.closure(role);
        other.superuser = self.catalog.role(role).is_some_and(|role| role.superuser);
        other
    }

    /// Under the search path that a view or policy was made with. Every schema of it counts, whoever reads: a schema the
    /// reader may not use is refused later, not skipped, or a name would stand for something else to him.
    #[must_use]
    pub fn with_search_path(mut self, names: &[String]) -> Self {
        self.search_path = names.iter().filter_map(|name| self.catalog.schema_id(name)).collect();
        self
    }

    /// Finds a relation by name. Whether its schema may be used is a need of the plan.
    pub fn relation(&self, name: &QualifiedName) -> Option<(ObjectId, &Relation)> {
        let id = match &name.schema {
            Some(schema) => self.catalog.find(Namespace::Relation(self.catalog.schema_id(schema)?), &name.name)?,
            None => self
                .search_path
                .iter()
                .find_map(|schema| self.catalog.find(Namespace::Relation(*schema), &name.name))?,
        };
        Some((id, self.catalog.relation(id)?))
    }

    /// As [`Context::relation`]; `42P01` or `3F000` if there is none.
    pub fn require_relation(&self, name: &QualifiedName) -> Result<(ObjectId, &Relation), Plain> {
        self.schema_usable(name)?;
        self.relation(name).ok_or_else(|| undefined_table(name))
    }

    /// Whoever may not use a schema may not know what is in it. `42501`.
    pub fn schema_usable(&self, name: &QualifiedName) -> Result<(), Plain> {
        let schema = name.schema.as_ref().and_then(|schema| Some((schema, self.catalog.schema_id(schema)?)));
        match schema {
            Some((name, id)) if !self.may_use_schema(id) => {
                let message = format!("permission denied for schema {name}");
                Err(Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
            }
            _ => Ok(()),
        }
    }

    /// Why there is no relation of a name: `42P01`, or `42501` where the role may not know.
    pub fn missing_relation(&self, name: &QualifiedName) -> Plain {
        self.schema_usable(name).err().unwrap_or_else(|| undefined_table(name))
    }

    /// Finds a user's type by name.
    pub fn user_type(&self, name: &QualifiedName) -> Option<(ObjectId, &UserType)> {
        let find = |schema: ObjectId| self.catalog.find(Namespace::Type(schema), &name.name);
        let id = match &name.schema {
            Some(schema) => find(self.catalog.schema_id(schema)?)?,
            None => self.search_path.iter().copied().find_map(find)?,
        };
        Some((id, self.catalog.user_type(id)?))
    }

    /// What a type is that SQL names, and its domain if it is one. `42704`; `0A000` for an array of a domain.
    pub fn named_type(&self, pg: &PgType) -> Result<(PgType, Option<DomainUse>), Plain> {
        match pg {
            PgType::Named(name) => {
                let undefined = || Plain::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"));
                let (id, user_type) = self.user_type(name).ok_or_else(undefined)?;
                let domain = user_type.as_domain().map(|domain| DomainUse { id, revision: domain.revision });
                Ok((self.catalog.value_type(id, user_type), domain))
            }
            PgType::Array(element) => match self.named_type(element)? {
                (element, None) => Ok((PgType::Array(Box::new(element)), None)),
                (_, Some(_)) => Err(crate::error::unsupported("an array of a domain")),
            },
            other => Ok((other.clone(), None)),
        }
    }

    /// The type with an OID, without a modifier; that of a domain's values.
    pub fn type_of_oid(&self, oid: u32) -> Option<PgType> {
        PgType::from_oid(oid).or_else(|| {
            let (id, is_array) = type_of_oid(oid)?;
            let pg = self.catalog.value_type(id, self.catalog.user_type(id)?);
            Some(if is_array { PgType::Array(Box::new(pg)) } else { pg })
        })
    }

    /// A type's name as `format_type` gives it: with its schema unless the search path finds it.
    pub fn type_name(&self, oid: u32, typmod: i32) -> Option<String> {
        if let Some(pg) = PgType::from_oid(oid) {
            return Some(pg.with_typmod(typmod).to_string());
        }
        let (id, is_array) = type_of_oid(oid)?;
        let user_type = self.catalog.user_type(id)?;
        let name = crate::name::quote(&user_type.name);
        let found = self.user_type(&QualifiedName::bare(user_type.name.clone()));
        let name = if found.is_some_and(|(found, _)| found == id) {
            name
        } else {
            let schema = self.catalog.schema(user_type.schema).map(|schema| schema.name.as_str()).unwrap_or_default();
            format!("{}.{name}", crate::name::quote(schema))
        };
        Some(if is_array { format!("{name}[]") } else { name })
    }

    /// The schema where a new object goes. `3F000` if there is none.
    pub fn creation_schema(&self, name: &QualifiedName) -> Result<(ObjectId, &Schema), Plain> {
        let id =
            match &name.schema {
                Some(schema) => self.catalog.schema_id(schema).ok_or_else(|| undefined_schema(schema))?,
                None => *self.search_path.iter().find(|schema| **schema != TEMPORARY_SCHEMA).ok_or_else(|| {
                    Plain::new(SqlState::UNDEFINED_SCHEMA, "no schema has been selected to create in")
                })?,
            };
        let schema = self.catalog.schema(id).ok_or_else(|| undefined_schema(&name.to_string()))?;
        Ok((id, schema))
    }

    /// Where a sequence counts: in the transaction if that created or restarted it.
    pub fn counter(&self, sequence: ObjectId) -> &Arc<Sequences> {
        let own = sequence.is_provisional() || self.restarted.contains(&sequence);
        if own { &self.own_sequences } else { self.metastore.sequences() }
    }

    /// Whether the current role has the owner's rights.
    pub fn owns(&self, owner: ObjectId) -> bool {
        self.superuser || self.roles.contains(&owner)
    }

    /// What the current role may do with an object; a superuser may do everything, an owner is in the ACL.
    pub fn rights(&self, acl: &Acl) -> PrivilegeSet {
        if self.superuser { PrivilegeSet::of(Privilege::ALL) } else { acl.held_by(&self.roles) }
    }

    /// A schema's ACL, with the owner's default rights if none was ever granted.
    pub fn schema_acl(schema: &Schema) -> Acl {
        schema
            .acl
            .clone()
            .unwrap_or_else(|| Acl::default_for(schema.owner, PrivilegeSet::schema(), PrivilegeSet::EMPTY))
    }

    /// What the current role may do with a schema.
    pub fn schema_rights(&self, schema: &Schema) -> PrivilegeSet {
        self.rights(&Self::schema_acl(schema)).with(on_all_schemas(&self.roles))
    }

    /// What the current role may do with a relation as a whole.
    pub fn relation_rights(&self, id: ObjectId, relation: &Relation) -> PrivilegeSet {
        if self.superuser {
            return PrivilegeSet::of(Privilege::ALL);
        }
        let everywhere = on_all_relations(&self.roles);
        self.rights(&relation.effective_acl()).with(everywhere).with(self.catalog.tagged_rights(id, &self.roles))
    }

    /// What the current role may do with a column of a relation, beside its rights on the whole.
    pub fn column_rights(&self, id: ObjectId, column: &Column) -> PrivilegeSet {
        let granted = column.acl.as_ref().map(|acl| acl.held_by(&self.roles)).unwrap_or_default();
        granted.with(self.catalog.tagged_column_rights(id, column.id, &self.roles))
    }

    /// Whether the current role has USAGE on a schema; false if there is no such schema.
    pub fn may_use_schema(&self, id: ObjectId) -> bool {
        self.catalog.schema(id).is_some_and(|schema| self.schema_rights(schema).contains(Privilege::Usage))
    }

    /// Whether the role may read all of a relation, as the past demands: rights on single columns do not count.
    pub fn may_read_all(&self, id: ObjectId, relation: &Relation) -> bool {
        self.relation_rights(id, relation).contains(Privilege::Select) && self.may_use_schema(relation.schema)
    }

    /// A relation's name as messages and `regclass` show it: with its schema unless the search path finds it.
    pub fn display_name(&self, id: ObjectId) -> String {
        let Some(relation) = self.catalog.relation(id) else { return id.oid().to_string() };
        if self.relation(&QualifiedName::bare(relation.name.clone())).is_some_and(|(found, _)| found == id) {
            return crate::name::quote(&relation.name);
        }
        let schema = self.catalog.schema(relation.schema).map(|schema| schema.name.as_str()).unwrap_or_default();
        format!("{}.{}", crate::name::quote(schema), crate::name::quote(&relation.name))
    }
}

/// Ids of the schemas of a search path that exist and that a role may use.
pub fn resolve_search_path(catalog: &CatalogState, role: ObjectId, names: &[String]) -> Vec<ObjectId> {
    let roles = catalog.closure(role);
    let superuser = catalog.role(role).is_some_and(|role| role.superuser);
    let own = catalog.role(role).map(|role| role.name.clone()).unwrap_or_default();
    let mut found = Vec::new();
    // Temporary relations hide others, unless the path says otherwise.
    if !names.iter().any(|name| name == "pg_temp") {
        found.extend(catalog.schema(TEMPORARY_SCHEMA).map(|_| TEMPORARY_SCHEMA));
    }
    for name in names {
        let name = if name == "$user" { &own } else { name };
        let Some(id) = catalog.schema_id(name) else { continue };
        let Some(schema) = catalog.schema(id) else { continue };
        let held = Context::schema_acl(schema).held_by(&roles).with(on_all_schemas(&roles));
        let usable = superuser || held.contains(Privilege::Usage);
        if usable && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

/// `42P01`, for a relation that is not there or that the role may not know of.
pub fn undefined_table(name: &QualifiedName) -> Plain {
    Plain::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// `3F000`, for a schema that is not there.
pub fn undefined_schema(name: &str) -> Plain {
    Plain::new(SqlState::UNDEFINED_SCHEMA, format!("schema \"{name}\" does not exist"))
}

//! GRANT and REVOKE of privileges.

use super::super::{PlanResult, Right, Scope};
use super::policy::grantee;
use super::tag;
use super::{DdlPlan, column, relation, role_id, undefined_role, user_type};
use crate::catalog::{Body, Column, DATABASE_ID, DATABASE_NAME, Database, Relation, RelationKind};
use crate::context::{Context, undefined_schema};
use crate::encode::ObjectNames;
use crate::error::{Notice, Plain, SqlState, unsupported};
use crate::govern::{Acl, DefaultPrivileges, Grantee, ObjectKind, Privilege, PrivilegeSet};
use crate::name::{ObjectId, QualifiedName};
use crate::pg::Objects;
use crate::statement::{AlterDefaultPrivileges, Grant, GrantObjects};
use crate::types::PgType;

/// Grants or revokes, on each object.
pub(super) fn change(scope: &Scope, ddl: &mut DdlPlan, grant: &Grant, give: bool) -> PlanResult<()> {
    let grantees = grant.grantees.iter().map(|spec| grantee(scope, spec)).collect::<PlanResult<Vec<_>>>()?;
    if give && grant.option && grantees.contains(&Grantee::Public) {
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, "grant options can only be granted to roles").into());
    }
    if let Some(grantor) = &grant.granted_by
        && role_id(scope, grantor)? != scope.ctx.role
    {
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, "grantor must be current user").into());
    }
    let order = Order { grant, give, grantees };
    match &grant.objects {
        GrantObjects::Relations(names) => {
            for name in names {
                let (id, found) = relation(scope, name)?;
                on_relation(scope, ddl, &order, id, found)?;
            }
        }
        GrantObjects::AllRelations { schemas, sequences } => {
            for name in schemas {
                let schema = scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name))?;
                for (id, found) in scope.catalog().relations().filter(|(_, relation)| relation.schema == schema) {
                    let meant = match found.storage {
                        RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) => !*sequences,
                        RelationKind::Sequence(_) => *sequences,
                        RelationKind::Index(_) => false,
                    };
                    if meant {
                        on_relation(scope, ddl, &order, id, found)?;
                    }
                }
            }
        }
        GrantObjects::Schemas(names) => {
            for name in names {
                let id = scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name))?;
                let mut schema = scope.catalog().schema(id).cloned().ok_or_else(|| undefined_schema(name))?;
                let mut acl = Context::schema_acl(&schema);
                let object =
                    Granted { id, column: None, owner: schema.owner, name: format!("\"{name}\""), around: None };
                order.object_level(scope, ddl, &mut acl, &object, (PrivilegeSet::schema(), "schema"))?;
                schema.acl = Some(acl);
                ddl.put(id, Body::Schema(schema));
            }
        }
        GrantObjects::Types { names, domains } => {
            for name in names {
                on_type(scope, ddl, &order, name, *domains)?;
            }
        }
        GrantObjects::Tags(names) => {
            for name in names {
                let (id, found) = tag::tag(scope, name)?;
                let mut tag = found.clone();
                let mut acl = tag.effective_acl();
                let object = Granted { id, column: None, owner: tag.owner, name: format!("\"{name}\""), around: None };
                order.object_level(scope, ddl, &mut acl, &object, (PrivilegeSet::tag(), "tag"))?;
                tag.acl = Some(acl);
                ddl.put(id, Body::Tag(tag));
            }
        }
        GrantObjects::Tagged(condition) => tag::grant(scope, ddl, &order, condition)?,
        GrantObjects::Databases(names) => {
            for name in names {
                let missing =
                    || Plain::new(SqlState::UNDEFINED_DATABASE, format!("database \"{name}\" does not exist"));
                let mut database: Database =
                    scope.catalog().database().filter(|_| name == DATABASE_NAME).cloned().ok_or_else(missing)?;
                let mut acl = database.acl.take().unwrap_or_default();
                let (id, owner) = (DATABASE_ID, database.owner);
                let object = Granted { id, column: None, owner, name: format!("\"{name}\""), around: None };
                order.object_level(scope, ddl, &mut acl, &object, (PrivilegeSet::database(), "database"))?;
                database.acl = Some(acl);
                ddl.put(DATABASE_ID, Body::Database(database));
            }
        }
    }
    Ok(())
}

/// Changes what new objects have from the start. `0LP01`.
pub(super) fn alter_defaults(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterDefaultPrivileges) -> PlanResult<()> {
    let grantees = alter.grantees.iter().map(|spec| grantee(scope, spec)).collect::<PlanResult<Vec<_>>>()?;
    if alter.give && alter.option && grantees.contains(&Grantee::Public) {
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, "grant options can only be granted to roles").into());
    }
    if alter.kind == ObjectKind::Schemas && !alter.schemas.is_empty() {
        let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
    }
    let all = alter.kind.privileges();
    if let Some(invalid) = alter.privileges.iter().find(|privilege| !all.contains(**privilege)) {
        let message = format!("invalid privilege type {} for {}", invalid.keyword(), alter.kind.name());
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
    }
    let privileges = if alter.privileges.is_empty() { all } else { PrivilegeSet::of(&alter.privileges) };
    let schema = |name: &String| scope.catalog().schema_id(name).ok_or_else(|| undefined_schema(name));
    let mut schemas = alter.schemas.iter().map(|name| schema(name).map(Some)).collect::<Result<Vec<_>, _>>()?;
    if schemas.is_empty() {
        schemas.push(None);
    }
    let mut roles = alter.roles.iter().map(|spec| role_id(scope, spec)).collect::<PlanResult<Vec<_>>>()?;
    if roles.is_empty() {
        roles.push(scope.ctx.role);
    }
    for id in roles {
        ddl.need(scope, Right::RightsOf(id, "change default privileges"));
        let mut role = scope.catalog().role(id).cloned().ok_or_else(|| undefined_role("?"))?;
        for schema in &schemas {
            let built_in = if schema.is_none() { alter.kind.built_in(id) } else { Acl::default() };
            let known = |defaults: &DefaultPrivileges| defaults.kind == alter.kind && defaults.schema == *schema;
            let place = role.default_privileges.iter().position(known);
            let mut acl = match place {
                Some(place) => role.default_privileges.remove(place).acl,
                None => built_in.clone(),
            };
            for grantee in &grantees {
                if alter.give {
                    acl.grant(*grantee, id, privileges, alter.option);
                } else {
                    acl.revoke(*grantee, id, privileges, alter.option);
                }
            }
            acl.sort();
            if acl != built_in {
                role.default_privileges.push(DefaultPrivileges { schema: *schema, kind: alter.kind, acl });
            }
        }
        ddl.put(id, Body::Role(role));
    }
    Ok(())
}

/// What is granted on: an object or one of its columns.
struct Granted<'a> {
    id: ObjectId,
    column: Option<i32>,
    owner: ObjectId,
    /// As warnings call it.
    name: String,
    /// The relation's own, if it is a column: what may be granted on there may be granted on here.
    around: Option<&'a Acl>,
}

/// What is to be given or taken, whatever it is on.
pub(super) struct Order<'a> {
    pub(super) grant: &'a Grant,
    pub(super) give: bool,
    pub(super) grantees: Vec<Grantee>,
}

impl Order<'_> {
    /// The privileges meant for the object itself. `0LP01` for one its kind does not have.
    fn privileges(&self, all: PrivilegeSet, kind: &str) -> PlanResult<PrivilegeSet> {
        if self.grant.privileges.is_empty() {
            return Ok(if self.grant.all_columns.is_empty() { all } else { PrivilegeSet::EMPTY });
        }
        let mut set = PrivilegeSet::EMPTY;
        for item in self.grant.privileges.iter().filter(|item| item.columns.is_empty()) {
            if !all.contains(item.privilege) {
                let message = format!("invalid privilege type {} for {kind}", item.privilege.keyword());
                return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
            }
            set = set.with(PrivilegeSet::of(&[item.privilege]));
        }
        Ok(set)
    }

    /// Privileges with their columns.
    fn columns(&self) -> Vec<(Vec<Privilege>, &[String])> {
        let mut all = Vec::new();
        if !self.grant.all_columns.is_empty() {
            all.push((PrivilegeSet::column().iter().collect(), self.grant.all_columns.as_slice()));
        }
        for item in self.grant.privileges.iter().filter(|item| !item.columns.is_empty()) {
            all.push((vec![item.privilege], item.columns.as_slice()));
        }
        all
    }

    /// The privileges meant for the object itself, of a kind whose parts have none. `0LP01`.
    pub(super) fn whole(&self, all: PrivilegeSet, kind: &str) -> PlanResult<PrivilegeSet> {
        if !self.columns().is_empty() {
            let message = "column privileges are only valid for relations";
            return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
        self.privileges(all, kind)
    }

    fn object_level(
        &self,
        scope: &Scope,
        ddl: &mut DdlPlan,
        acl: &mut Acl,
        object: &Granted<'_>,
        (all, kind): (PrivilegeSet, &str),
    ) -> PlanResult<()> {
        let privileges = self.whole(all, kind)?;
        self.apply(scope, ddl, acl, object, privileges)
    }

    /// Grants or revokes what the current role may, and warns of what it may not.
    fn apply(
        &self,
        scope: &Scope,
        ddl: &mut DdlPlan,
        acl: &mut Acl,
        object: &Granted<'_>,
        privileges: PrivilegeSet,
    ) -> PlanResult<()> {
        let Granted { id, column, owner, .. } = *object;
        let (grantor, grantable) = best_grantor(scope, &[Some(&*acl), object.around], owner, privileges);
        if grantable.is_empty() {
            ddl.need(scope, Right::Anything { id, column });
        }
        let (code, done) = if self.give {
            (SqlState::PRIVILEGE_NOT_GRANTED, "granted")
        } else {
            (SqlState::PRIVILEGE_NOT_REVOKED, "revoked")
        };
        let verb = if self.give { "were" } else { "could be" };
        let is_all = self.grant.privileges.is_empty();
        if grantable.is_empty() {
            ddl.notices.push(Notice::warning(code, format!("no privileges {verb} {done} for {}", object.name)));
        } else if !is_all && grantable != privileges {
            ddl.notices.push(Notice::warning(code, format!("not all privileges {verb} {done} for {}", object.name)));
        }
        for grantee in &self.grantees {
            if self.give {
                if !grantable.is_empty() {
                    acl.grant(*grantee, grantor, grantable, self.grant.option);
                }
                continue;
            }
            if let Grantee::Role(role) = grantee {
                revoke_onward(acl, *role, owner, grantable, self.grant.cascade)?;
            }
            acl.revoke(*grantee, grantor, grantable, self.grant.option);
        }
        Ok(())
    }
}

/// Who grants, and which of some privileges: the owner all of them, for those who have his rights; else the one of the current
/// role's roles that may grant most.
fn best_grantor(
    scope: &Scope,
    acls: &[Option<&Acl>],
    owner: ObjectId,
    privileges: PrivilegeSet,
) -> (ObjectId, PrivilegeSet) {
    if scope.ctx.owns(owner) {
        return (owner, privileges);
    }
    let own = scope.ctx.role;
    let mut best = (own, PrivilegeSet::EMPTY);
    for role in std::iter::once(own).chain(scope.ctx.roles.iter().copied().filter(|role| *role != own)) {
        let grantable = acls.iter().flatten().flat_map(|acl| &acl.0).filter(|item| item.grantee == Grantee::Role(role));
        let grantable = grantable.fold(PrivilegeSet::EMPTY, |set, item| set.with(item.grantable)).within(privileges);
        if grantable.iter().count() > best.1.iter().count() {
            best = (role, grantable);
        }
    }
    best
}

/// Takes all that a role has been granted, with what it granted on.
pub(super) fn revoke_all(acl: &mut Acl, role: ObjectId, owner: ObjectId) -> PlanResult<()> {
    if role == owner {
        return Ok(());
    }
    revoke_onward(acl, role, owner, PrivilegeSet::of(Privilege::ALL), true)?;
    acl.0.retain(|item| item.grantee != Grantee::Role(role));
    Ok(())
}

/// What a role granted on cannot stay when its grant option goes: taken back with CASCADE, refused without.
fn revoke_onward(
    acl: &mut Acl,
    role: ObjectId,
    owner: ObjectId,
    privileges: PrivilegeSet,
    cascade: bool,
) -> PlanResult<()> {
    if role == owner {
        return Ok(());
    }
    let dependent: Vec<_> = acl
        .0
        .iter()
        .filter(|item| item.grantor == role && !item.privileges.within(privileges).is_empty())
        .map(|item| item.grantee)
        .collect();
    for grantee in dependent {
        if !cascade {
            return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                .hint("Use CASCADE to revoke them too.")
                .into());
        }
        if let Grantee::Role(next) = grantee
            && next != role
        {
            revoke_onward(acl, next, owner, privileges, cascade)?;
        }
        acl.revoke(grantee, role, privileges, false);
    }
    Ok(())
}

fn on_type(scope: &Scope, ddl: &mut DdlPlan, order: &Order<'_>, name: &QualifiedName, domain: bool) -> PlanResult<()> {
    let is_built_in = || Objects::new(&scope.ctx).oid(&PgType::Regtype, &name.to_string()).is_ok();
    if scope.ctx.user_type(name).is_none() && is_built_in() {
        let hint = "Everyone may use the system's own types.";
        return Err(unsupported(format!("GRANT or REVOKE on type {name}")).hint(hint).into());
    }
    let (id, found) = user_type::find(scope, name, false)?;
    if domain && found.as_domain().is_none() {
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a domain")).into());
    }
    let mut user_type = found.clone();
    let mut acl = user_type.effective_acl();
    let owner = user_type.owner;
    let object = Granted { id, column: None, owner, name: format!("\"{}\"", user_type.name), around: None };
    let kind = if domain { "domain" } else { "type" };
    order.object_level(scope, ddl, &mut acl, &object, (ObjectKind::Types.privileges(), kind))?;
    user_type.acl = Some(acl);
    ddl.put(id, Body::Type(user_type));
    Ok(())
}

fn on_relation(scope: &Scope, ddl: &mut DdlPlan, order: &Order<'_>, id: ObjectId, old: &Relation) -> PlanResult<()> {
    if matches!(old.storage, RelationKind::Index(_)) {
        return Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is an index", old.name)).into());
    }
    let mut new = old.clone();
    let kind = if matches!(old.storage, RelationKind::Sequence(_)) { "sequence" } else { "table" };
    let privileges = order.privileges(old.all_rights(), kind)?;
    let before = old.effective_acl();
    let on_column = |ddl: &mut DdlPlan, column: &mut Column, privileges: PrivilegeSet| {
        let mut acl = column.acl.take().unwrap_or_default();
        let name = format!("column \"{}\" of relation \"{}\"", column.name, old.name);
        let object = Granted { id, column: Some(column.id), owner: old.owner, name, around: Some(&before) };
        let applied = order.apply(scope, ddl, &mut acl, &object, privileges);
        column.acl = (!acl.0.is_empty()).then_some(acl);
        applied
    };
    if !privileges.is_empty() {
        let mut acl = before.clone();
        let object = Granted { id, column: None, owner: old.owner, name: format!("\"{}\"", old.name), around: None };
        order.apply(scope, ddl, &mut acl, &object, privileges)?;
        new.acl = Some(acl);
        // Taking a privilege from the whole relation takes it from its columns too.
        let of_columns = privileges.within(PrivilegeSet::column());
        if !order.give && !of_columns.is_empty() && kind == "table" {
            for column in &mut new.columns {
                on_column(ddl, column, of_columns)?;
            }
        }
    }
    for (privileges, names) in order.columns() {
        if let Some(invalid) = privileges.iter().find(|privilege| !PrivilegeSet::column().contains(**privilege)) {
            let message = format!("invalid privilege type {} for column", invalid.keyword());
            return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
        for name in names {
            let column_id = column(old, name)?.id;
            for column in new.columns.iter_mut().filter(|column| column.id == column_id) {
                on_column(ddl, column, PrivilegeSet::of(&privileges))?;
            }
        }
    }
    ddl.put(id, Body::Relation(new));
    Ok(())
}

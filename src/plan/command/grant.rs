//! GRANT and REVOKE of privileges.

use super::super::{PlanResult, Right, Scope};
use super::policy::grantee;
use super::{DdlPlan, column, relation, role_id, undefined_role};
use crate::catalog::{Body, DATABASE_ID, DATABASE_NAME, Database, Relation, RelationKind};
use crate::context::{Context, undefined_schema};
use crate::error::{Plain, SqlState};
use crate::govern::{Acl, DefaultPrivileges, Grantee, ObjectKind, Privilege, PrivilegeSet};
use crate::name::ObjectId;
use crate::statement::{AlterDefaultPrivileges, Grant, GrantObjects};

/// Grants or revokes, on each object.
pub(super) fn change(scope: &Scope, ddl: &mut DdlPlan, grant: &Grant, give: bool) -> PlanResult<()> {
    let grantees = grant.grantees.iter().map(|spec| grantee(scope, spec)).collect::<PlanResult<Vec<_>>>()?;
    if give && grant.option && grantees.contains(&Grantee::Public) {
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, "grant options can only be granted to roles").into());
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
                    if matches!(found.storage, RelationKind::Sequence(_)) == *sequences {
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
                order.table_level(scope, ddl, id, &mut acl, schema.owner, PrivilegeSet::schema(), "schema")?;
                schema.acl = Some(acl);
                ddl.put(id, Body::Schema(schema));
            }
        }
        GrantObjects::Databases(names) => {
            for name in names {
                let missing =
                    || Plain::new(SqlState::UNDEFINED_DATABASE, format!("database \"{name}\" does not exist"));
                let mut database: Database =
                    scope.catalog().database().filter(|_| name == DATABASE_NAME).cloned().ok_or_else(missing)?;
                let mut acl = database.acl.take().unwrap_or_default();
                order.table_level(
                    scope,
                    ddl,
                    DATABASE_ID,
                    &mut acl,
                    database.owner,
                    PrivilegeSet::database(),
                    "database",
                )?;
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
struct Granted {
    id: ObjectId,
    column: Option<i32>,
    owner: ObjectId,
}

struct Order<'a> {
    grant: &'a Grant,
    give: bool,
    grantees: Vec<Grantee>,
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

    #[expect(clippy::too_many_arguments, reason = "one object's identity, rights and kind")]
    fn table_level(
        &self,
        scope: &Scope,
        ddl: &mut DdlPlan,
        id: ObjectId,
        acl: &mut Acl,
        owner: ObjectId,
        all: PrivilegeSet,
        kind: &str,
    ) -> PlanResult<()> {
        if let Some((_, columns)) = self.columns().first() {
            let message = format!("column privileges are only valid for relations, not for {} {kind}", columns.len());
            return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
        let privileges = self.privileges(all, kind)?;
        self.apply(scope, ddl, acl, &Granted { id, column: None, owner }, privileges)
    }

    fn apply(
        &self,
        scope: &Scope,
        ddl: &mut DdlPlan,
        acl: &mut Acl,
        object: &Granted,
        privileges: PrivilegeSet,
    ) -> PlanResult<()> {
        let Granted { id, column, owner } = *object;
        for privilege in privileges.iter() {
            ddl.need(scope, Right::GrantOption { id, column, privilege });
        }
        // A superuser, or a member of the owner, grants as the owner.
        let grantor = if scope.ctx.owns(owner) { owner } else { scope.ctx.role };
        for grantee in &self.grantees {
            if self.give {
                acl.grant(*grantee, grantor, privileges, self.grant.option);
                continue;
            }
            if let Grantee::Role(role) = grantee {
                revoke_onward(acl, *role, owner, privileges, self.grant.cascade)?;
            }
            acl.revoke(*grantee, grantor, privileges, self.grant.option);
        }
        Ok(())
    }
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

fn on_relation(scope: &Scope, ddl: &mut DdlPlan, order: &Order<'_>, id: ObjectId, old: &Relation) -> PlanResult<()> {
    let mut new = old.clone();
    let kind = if matches!(old.storage, RelationKind::Sequence(_)) { "sequence" } else { "relation" };
    let privileges = order.privileges(old.all_rights(), kind)?;
    if !privileges.is_empty() {
        let mut acl = old.effective_acl();
        order.apply(scope, ddl, &mut acl, &Granted { id, column: None, owner: old.owner }, privileges)?;
        new.acl = Some(acl);
        // Taking a privilege from the whole relation takes it from its columns too.
        if !order.give {
            for column in &mut new.columns {
                if let Some(acl) = &mut column.acl {
                    for grantee in &order.grantees {
                        acl.revoke(
                            *grantee,
                            if scope.ctx.owns(old.owner) { old.owner } else { scope.ctx.role },
                            privileges,
                            order.grant.option,
                        );
                    }
                }
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
                let mut acl = column.acl.take().unwrap_or_default();
                let object = Granted { id, column: Some(column_id), owner: old.owner };
                order.apply(scope, ddl, &mut acl, &object, PrivilegeSet::of(&privileges))?;
                column.acl = (!acl.0.is_empty()).then_some(acl);
            }
        }
    }
    ddl.put(id, Body::Relation(new));
    Ok(())
}

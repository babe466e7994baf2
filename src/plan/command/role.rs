//! Roles and membership.

use super::super::{PlanResult, Right, Scope};
use super::{DdlPlan, reserved, role_id, undefined_role};
use crate::catalog::{Body, Change, DATABASE_ID};
use crate::encode::parse_timestamp;
use crate::error::{Notice, Plain, SqlState, internal};
use crate::govern::{Membership, PasswordVerifier, Role, is_member};
use crate::name::ObjectId;
use crate::setting::system;
use crate::statement::{AlterSystem, CreateRole, DropRole, GrantRole, RoleOptions, RoleSpec};

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateRole) -> PlanResult<()> {
    let RoleSpec::Name(name) = &create.name else {
        return Err(Plain::new(SqlState::RESERVED_NAME, "role name is reserved").into());
    };
    reserved(name, "role")?;
    if matches!(name.as_str(), "public" | "none") {
        return Err(Plain::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved")).into());
    }
    ddl.need(scope, Right::CreateRole("create role"));
    if scope.catalog().role_id(name).is_some() {
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")).into());
    }
    let mut role = Role::new(name.clone());
    apply(scope, ddl, &mut role, &create.options)?;
    let id = ddl.new_id(scope);
    for group in &create.options.in_roles {
        let group = scope.catalog().role_id(group).ok_or_else(|| undefined_role(group))?;
        ddl.need(scope, Right::Admin(group));
        role.member_of.push(membership(group, scope.ctx.role, false));
    }
    ddl.put(id, Body::Role(role));
    // Whoever makes a role may administer it, but does not have its rights.
    if !scope.ctx.superuser
        && let Some(creator) = scope.catalog().role(scope.ctx.role)
    {
        let mut creator = creator.clone();
        let admin = Membership { role: id, grantor: scope.ctx.role, admin: true, inherit: false, set: false };
        creator.member_of.push(admin);
        ddl.put(scope.ctx.role, Body::Role(creator));
    }
    for (members, admin) in [(&create.options.members, false), (&create.options.admins, true)] {
        for member in members {
            let member_id = scope.catalog().role_id(member).ok_or_else(|| undefined_role(member))?;
            let mut role = scope.catalog().role(member_id).cloned().ok_or_else(|| undefined_role(member))?;
            role.member_of.push(membership(id, scope.ctx.role, admin));
            ddl.put(member_id, Body::Role(role));
        }
    }
    Ok(())
}

/// The server's settings are kept with the database: there is one.
pub(super) fn alter_system(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterSystem) -> PlanResult<()> {
    ddl.need(scope, Right::Superuser("change the server's settings"));
    let mut database = scope.catalog().database().cloned().ok_or_else(|| internal("there is no database"))?;
    match &alter.setting {
        Some(name) => {
            let (setting, value) = system(name, alter.value.as_deref())?;
            match value {
                Some(value) => database.settings.insert(setting.name.to_owned(), value),
                None => database.settings.remove(setting.name),
            };
        }
        None => database.settings.clear(),
    }
    ddl.put(DATABASE_ID, Body::Database(database));
    Ok(())
}

fn membership(role: ObjectId, grantor: ObjectId, admin: bool) -> Membership {
    Membership { role, grantor, admin, inherit: true, set: true }
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &CreateRole) -> PlanResult<()> {
    let id = role_id(scope, &alter.name)?;
    let mut role = scope.catalog().role(id).cloned().ok_or_else(|| undefined_role("?"))?;
    // One may change one's own password and settings.
    let o = &alter.options;
    let only_own = id == scope.ctx.role
        && alter.rename_to.is_none()
        && [o.superuser, o.inherit, o.create_role, o.create_db, o.login, o.replication, o.bypass_rls]
            .iter()
            .all(Option::is_none)
        && o.connection_limit.is_none()
        && o.valid_until.is_none();
    if !only_own {
        ddl.need(scope, Right::CreateRole("alter role"));
        ddl.need(scope, Right::Admin(id));
        if role.superuser {
            ddl.need(scope, Right::Superuser("alter role"));
        }
    }
    apply(scope, ddl, &mut role, &alter.options)?;
    for (name, value) in &alter.settings {
        let mut probe = (*scope.ctx.settings).clone();
        probe.set(name, value.as_deref())?;
        match value {
            Some(value) => role.settings.insert(name.clone(), value.clone()),
            None => role.settings.remove(name),
        };
    }
    if let Some(name) = &alter.rename_to {
        reserved(name, "role")?;
        if scope.catalog().role_id(name).is_some() {
            return Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")).into());
        }
        role.name.clone_from(name);
    }
    ddl.put(id, Body::Role(role));
    Ok(())
}

fn apply(scope: &Scope, ddl: &mut DdlPlan, role: &mut Role, options: &RoleOptions) -> PlanResult<()> {
    for (flag, value) in [
        (&mut role.superuser, options.superuser),
        (&mut role.replication, options.replication),
        (&mut role.bypass_rls, options.bypass_rls),
    ] {
        if let Some(value) = value {
            if value || *flag {
                ddl.need(scope, Right::Superuser("change this attribute"));
            }
            *flag = value;
        }
    }
    for (flag, value) in [
        (&mut role.inherit, options.inherit),
        (&mut role.create_role, options.create_role),
        (&mut role.create_db, options.create_db),
        (&mut role.login, options.login),
    ] {
        *flag = value.unwrap_or(*flag);
    }
    role.connection_limit = options.connection_limit.unwrap_or(role.connection_limit);
    if let Some(until) = &options.valid_until {
        let parsed = parse_timestamp(until, Some(scope.ctx.settings.time_zone()));
        let micros = parsed.map_err(|_malformed| {
            Plain::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type timestamp with time zone: \"{until}\""),
            )
        })?;
        role.valid_until_us = (micros != i64::MAX).then_some(micros);
    }
    match &options.password {
        None => {}
        Some(None) => role.password = None,
        Some(Some(password)) if password.is_empty() => {
            ddl.notices.push(Notice::new(
                SqlState::SUCCESSFUL_COMPLETION,
                "empty string is not a valid password, clearing password",
            ));
            role.password = None;
        }
        Some(Some(password)) => {
            role.password = Some(match PasswordVerifier::from_hashed(password)? {
                Some(verifier) => verifier,
                None if scope.ctx.settings.password_encryption() == "argon2id" => PasswordVerifier::argon2id(password)?,
                None => PasswordVerifier::scram(password, scope.ctx.settings.scram_iterations()),
            });
        }
    }
    Ok(())
}

pub(super) fn drop(scope: &Scope, ddl: &mut DdlPlan, drop: &DropRole) -> PlanResult<()> {
    ddl.need(scope, Right::CreateRole("drop role"));
    let catalog = scope.catalog();
    for name in &drop.names {
        let Some(id) = catalog.role_id(name) else {
            if drop.if_exists {
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("role \"{name}\" does not exist, skipping"));
                continue;
            }
            return Err(undefined_role(name).into());
        };
        if catalog.role(id).is_some_and(|role| role.superuser) {
            ddl.need(scope, Right::Superuser("drop role"));
        }
        ddl.need(scope, Right::Admin(id));
        if id == scope.ctx.role || id == scope.ctx.session_role {
            return Err(Plain::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped").into());
        }
        if let Some(detail) = catalog.entries().find_map(|entry| dependency(scope, &entry.body, entry.id, id)) {
            let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).detail(detail).into());
        }
        for (member_id, member) in catalog.roles().filter(|(_, member)| member.member_of.iter().any(|m| m.role == id)) {
            let mut member = member.clone();
            member.member_of.retain(|membership| membership.role != id);
            ddl.put(member_id, Body::Role(member));
        }
        ddl.changes.push(Change::Delete(id));
    }
    Ok(())
}

/// Why a role cannot go.
fn dependency(scope: &Scope, body: &Body, object: ObjectId, role: ObjectId) -> Option<String> {
    use crate::govern::Grantee;
    let name = || scope.ctx.display_name(object);
    match body {
        Body::Database(database) => {
            let mentioned = database.acl.as_ref().is_some_and(|acl| acl.mentions(role));
            (database.owner == role || mentioned).then(|| format!("privileges for database {}", database.name))
        }
        Body::Schema(schema) if schema.owner == role => Some(format!("owner of schema {}", schema.name)),
        Body::Schema(schema) => schema
            .acl
            .as_ref()
            .filter(|acl| acl.mentions(role))
            .map(|_| format!("privileges for schema {}", schema.name)),
        Body::Relation(relation) if relation.owner == role => {
            Some(format!("owner of {} {}", relation.kind_name(), name()))
        }
        Body::Relation(relation) => {
            let columns = relation.columns.iter().filter_map(|column| column.acl.as_ref());
            let mentioned = relation.acl.iter().chain(columns).any(|acl| acl.mentions(role));
            mentioned.then(|| format!("privileges for {} {}", relation.kind_name(), name()))
        }
        Body::RowPolicy(policy) => {
            policy.roles.contains(&Grantee::Role(role)).then(|| format!("target of policy {}", policy.name))
        }
        Body::MaskAttachment(attachment) => (attachment.grantee == Grantee::Role(role))
            .then(|| format!("target of a masking policy on {}", scope.ctx.display_name(attachment.relation))),
        Body::MaskingPolicy(policy) => {
            (policy.owner == role).then(|| format!("owner of masking policy {}", policy.name))
        }
        Body::Credential(credential) => {
            (credential.owner == role).then(|| format!("owner of storage credential {}", credential.name))
        }
        Body::Type(user_type) => {
            (user_type.owner == role).then(|| format!("owner of {} {}", user_type.kind_name(), user_type.name))
        }
        Body::Role(other) => {
            let own = object == role && !other.default_privileges.is_empty();
            let mentioned = other.default_privileges.iter().any(|defaults| defaults.acl.mentions(role));
            (own || mentioned).then(|| {
                let what = if own { "owner of" } else { "privileges for" };
                format!("{what} default privileges on new objects belonging to role {}", other.name)
            })
        }
    }
}

pub(super) fn grant(scope: &Scope, ddl: &mut DdlPlan, grant: &GrantRole) -> PlanResult<()> {
    let catalog = scope.catalog();
    for member in &grant.members {
        let member_id = role_id(scope, member)?;
        let mut role = catalog.role(member_id).cloned().ok_or_else(|| undefined_role("?"))?;
        for group in &grant.roles {
            let group_id = catalog.role_id(group).ok_or_else(|| undefined_role(group))?;
            ddl.need(scope, Right::Admin(group_id));
            if is_member(group_id, member_id, |id| catalog.role(id)) {
                let message = format!("role \"{group}\" is a member of role \"{}\"", role.name);
                return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
            }
            match role.member_of.iter_mut().find(|membership| membership.role == group_id) {
                Some(old) => {
                    old.admin = grant.admin.unwrap_or(old.admin);
                    old.inherit = grant.inherit.unwrap_or(old.inherit);
                    old.set = grant.set.unwrap_or(old.set);
                }
                None => role.member_of.push(Membership {
                    role: group_id,
                    grantor: scope.ctx.role,
                    admin: grant.admin.unwrap_or(false),
                    inherit: grant.inherit.unwrap_or(role.inherit),
                    set: grant.set.unwrap_or(true),
                }),
            }
        }
        ddl.put(member_id, Body::Role(role));
    }
    Ok(())
}

pub(super) fn revoke(scope: &Scope, ddl: &mut DdlPlan, revoke: &GrantRole) -> PlanResult<()> {
    let catalog = scope.catalog();
    for member in &revoke.members {
        let member_id = role_id(scope, member)?;
        let mut role = catalog.role(member_id).cloned().ok_or_else(|| undefined_role("?"))?;
        for group in &revoke.roles {
            let group_id = catalog.role_id(group).ok_or_else(|| undefined_role(group))?;
            ddl.need(scope, Right::Admin(group_id));
            if !role.member_of.iter().any(|membership| membership.role == group_id) {
                let message = format!("role \"{}\" has not been granted membership in role \"{group}\"", role.name);
                ddl.notices.push(Notice::warning(SqlState::WARNING, message));
                continue;
            }
            if [revoke.admin, revoke.inherit, revoke.set].iter().all(Option::is_none) {
                role.member_of.retain(|membership| membership.role != group_id);
            }
            for membership in role.member_of.iter_mut().filter(|membership| membership.role == group_id) {
                membership.admin &= revoke.admin.is_none();
                membership.inherit &= revoke.inherit.is_none();
                membership.set &= revoke.set.is_none();
            }
        }
        ddl.put(member_id, Body::Role(role));
    }
    Ok(())
}

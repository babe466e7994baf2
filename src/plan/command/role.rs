//! Roles.

use std::collections::BTreeSet;

use super::super::{Attribute, PlanResult, Right, Scope};
use super::membership::{Options, grantor, join};
use super::{DdlPlan, role_id, undefined_role};
use crate::catalog::{BOOTSTRAP_ROLE, Body, Change, DATABASE_ID};
use crate::encode::parse_timestamp;
use crate::error::{Notice, Plain, SqlState, internal};
use crate::govern::{Membership, PasswordVerifier, Role};
use crate::name::ObjectId;
use crate::setting::system;
use crate::statement::{AlterSystem, CreateRole, DropRole, RoleOptions, RoleSpec};

pub(super) fn create(scope: &Scope, ddl: &mut DdlPlan, create: &CreateRole) -> PlanResult<()> {
    let RoleSpec::Name(name) = &create.name else {
        return Err(Plain::new(SqlState::RESERVED_NAME, "role name is reserved").into());
    };
    not_reserved(name)?;
    ddl.need(scope, Right::Attribute(Attribute::CreateRole, "create"));
    if scope.catalog().role_id(name).is_some() {
        return Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")).into());
    }
    let mut role = Role::new(name.clone());
    apply(scope, ddl, &mut role, &create.options, "create")?;
    let id = ddl.new_id(scope);
    ddl.put(id, Body::Role(role));
    // Whoever makes a role may administer it, and has its rights if he wants to.
    if !scope.ctx.superuser {
        let plain = Options { admin: Some(true), inherit: Some(false), set: Some(false) };
        join(scope, ddl, (id, scope.ctx.role), BOOTSTRAP_ROLE, plain)?;
        let (set, inherit) = scope.ctx.settings.createrole_self_grant();
        if set || inherit {
            let own = Options { admin: Some(false), inherit: Some(inherit), set: Some(set) };
            join(scope, ddl, (id, scope.ctx.role), scope.ctx.role, own)?;
        }
    }
    for group in &create.options.in_roles {
        let group = scope.catalog().role_id(group).ok_or_else(|| undefined_role(group))?;
        let grantor = grantor(scope, ddl, group, None, "grant")?;
        join(scope, ddl, (group, id), grantor, Options::default())?;
    }
    let grantor = if scope.ctx.superuser { BOOTSTRAP_ROLE } else { scope.ctx.role };
    for (members, admin) in [(&create.options.members, None), (&create.options.admins, Some(true))] {
        for member in members {
            let member = scope.catalog().role_id(member).ok_or_else(|| undefined_role(member))?;
            join(scope, ddl, (id, member), grantor, Options { admin, ..Options::default() })?;
        }
    }
    Ok(())
}

/// `42939` for a name that no user's role may have.
fn not_reserved(name: &str) -> PlanResult<()> {
    if name.starts_with("pg_") {
        return Err(reserved(name).detail("Role names starting with \"pg_\" are reserved.").into());
    }
    if matches!(name, "public" | "none") { Err(reserved(name).into()) } else { Ok(()) }
}

fn reserved(name: &str) -> Plain {
    Plain::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved"))
}

/// The server's settings are kept with the database, of which there is one.
pub(super) fn alter_system(scope: &Scope, ddl: &mut DdlPlan, alter: &AlterSystem) -> PlanResult<()> {
    if matches!(alter, AlterSystem::RotateKeys) {
        ddl.need(scope, Right::Superuser("rotate keys"));
        ddl.rotates_keys = true;
        return Ok(());
    }
    ddl.need(scope, Right::Superuser("change the server's settings"));
    let mut database = scope.catalog().database().cloned().ok_or_else(|| internal("there is no database"))?;
    match alter {
        AlterSystem::Set { setting, value } => {
            let (setting, value) = system(setting, value.as_deref())?;
            match value {
                Some(value) => database.settings.insert(setting.name.to_owned(), value),
                None => database.settings.remove(setting.name),
            };
        }
        AlterSystem::ResetAll => database.settings.clear(),
        AlterSystem::RotateKeys => {}
    }
    ddl.put(DATABASE_ID, Body::Database(database));
    Ok(())
}

pub(super) fn alter(scope: &Scope, ddl: &mut DdlPlan, alter: &CreateRole) -> PlanResult<()> {
    let id = role_id(scope, &alter.name)?;
    if id.is_predefined() && alter.rename_to.is_none() {
        return Err(reserved(&scope.catalog().role_name(id)).detail("Cannot alter reserved roles.").into());
    }
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
        ddl.need(scope, Right::Admin(id, if alter.rename_to.is_some() { "rename" } else { "alter" }));
    }
    apply(scope, ddl, &mut role, &alter.options, "alter")?;
    for (name, value) in &alter.settings {
        let mut probe = (*scope.ctx.settings).clone();
        probe.set(name, value.as_deref())?;
        match value {
            Some(value) => role.settings.insert(name.clone(), value.clone()),
            None => role.settings.remove(name),
        };
    }
    if let Some(name) = &alter.rename_to {
        not_reserved(&role.name)?;
        not_reserved(name)?;
        for (own, what) in [(scope.ctx.session_role, "session user"), (scope.ctx.role, "current user")] {
            if id == own {
                let message = format!("{what} cannot be renamed");
                return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
            }
        }
        if scope.catalog().role_id(name).is_some() {
            return Err(Plain::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")).into());
        }
        role.name.clone_from(name);
    }
    ddl.put(id, Body::Role(role));
    Ok(())
}

fn apply(
    scope: &Scope,
    ddl: &mut DdlPlan,
    role: &mut Role,
    options: &RoleOptions,
    doing: &'static str,
) -> PlanResult<()> {
    for (flag, value, attribute) in [
        (&mut role.superuser, options.superuser, Some(Attribute::Superuser)),
        (&mut role.replication, options.replication, Some(Attribute::Replication)),
        (&mut role.bypass_rls, options.bypass_rls, Some(Attribute::BypassRls)),
        (&mut role.create_db, options.create_db, Some(Attribute::CreateDb)),
        (&mut role.inherit, options.inherit, None),
        (&mut role.create_role, options.create_role, None),
        (&mut role.login, options.login, None),
    ] {
        let Some(value) = value else { continue };
        // A new role without it is nothing to have a right for.
        if let Some(attribute) = attribute
            && (value || doing == "alter")
        {
            ddl.need(scope, Right::Attribute(attribute, doing));
        }
        *flag = value;
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

/// How many of the objects that keep a role are told.
const TOLD_MAX: usize = 100;

pub(super) fn drop(scope: &Scope, ddl: &mut DdlPlan, drop: &DropRole) -> PlanResult<()> {
    ddl.need(scope, Right::Attribute(Attribute::CreateRole, "drop"));
    let catalog = scope.catalog();
    let gone: BTreeSet<ObjectId> = drop.names.iter().filter_map(|name| catalog.role_id(name)).collect();
    for name in &drop.names {
        let Some(id) = catalog.role_id(name) else {
            if drop.if_exists {
                ddl.skip(SqlState::SUCCESSFUL_COMPLETION, format!("role \"{name}\" does not exist, skipping"));
                continue;
            }
            return Err(undefined_role(name).into());
        };
        if id.is_predefined() {
            let message = format!("cannot drop role {name} because it is required by the database system");
            return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).into());
        }
        ddl.need(scope, Right::Admin(id, "drop"));
        if id == scope.ctx.role || id == scope.ctx.session_role {
            return Err(Plain::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped").into());
        }
    }
    for id in &gone {
        let all = catalog.entries().filter_map(|entry| dependency(scope, &entry.body, entry.id, *id, &gone));
        let mut all: Vec<String> = all.collect();
        if !all.is_empty() {
            let rest = all.len().saturating_sub(TOLD_MAX);
            all.truncate(TOLD_MAX);
            all.extend((rest > 0).then(|| format!("and {rest} other objects")));
            let detail = all.join("\n");
            let name = catalog.role_name(*id);
            let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).detail(detail).into());
        }
        ddl.changes.push(Change::Delete(*id));
    }
    for (id, role) in catalog.roles().filter(|(id, _)| !gone.contains(id)) {
        let mut role = role.clone();
        let before = role.member_of.len();
        role.member_of.retain(|membership| !gone.contains(&membership.role));
        if role.member_of.len() < before {
            ddl.put(id, Body::Role(role));
        }
    }
    Ok(())
}

/// Why a role cannot go. `gone`: all that go with it.
fn dependency(
    scope: &Scope,
    body: &Body,
    object: ObjectId,
    role: ObjectId,
    gone: &BTreeSet<ObjectId>,
) -> Option<String> {
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
            let table = || scope.ctx.display_name(policy.relation);
            policy
                .roles
                .contains(&Grantee::Role(role))
                .then(|| format!("target of policy {} on table {}", policy.name, table()))
        }
        Body::MaskAttachment(attachment) => (attachment.grantee == Grantee::Role(role))
            .then(|| format!("target of a masking policy on {}", scope.ctx.display_name(attachment.relation))),
        Body::RlsPolicy(policy) => (policy.owner == role).then(|| format!("owner of RLS policy {}", policy.name)),
        Body::MaskingPolicy(policy) => {
            (policy.owner == role).then(|| format!("owner of masking policy {}", policy.name))
        }
        Body::Credential(credential) => {
            (credential.owner == role).then(|| format!("owner of storage credential {}", credential.name))
        }
        Body::Type(user_type) => {
            let mentioned = user_type.acl.as_ref().is_some_and(|acl| acl.mentions(role));
            let what = if user_type.owner == role { "owner of" } else { "privileges for" };
            let kind = if user_type.owner == role { user_type.kind_name() } else { "type" };
            let name = || scope.ctx.type_name(object.oid(), -1).unwrap_or_default();
            (user_type.owner == role || mentioned).then(|| format!("{what} {kind} {}", name()))
        }
        Body::Tag(tag) => {
            let mentioned = tag.acl.as_ref().is_some_and(|acl| acl.mentions(role));
            let what = if tag.owner == role { "owner of" } else { "privileges for" };
            (tag.owner == role || mentioned).then(|| format!("{what} tag {}", tag.name))
        }
        Body::TagMask(mask) => (mask.grantee == Grantee::Role(role)).then(|| {
            let tag = scope.catalog().tag(mask.tag).map(|tag| tag.name.as_str()).unwrap_or_default();
            format!("target of a masking policy on tag {tag}")
        }),
        Body::TagGrant(grant) => {
            (grant.grantee == Grantee::Role(role)).then(|| "privileges for tagged objects".to_owned())
        }
        Body::TagAssignment(_) => None,
        Body::Role(other) => {
            let own = object == role && !other.default_privileges.is_empty();
            let mentioned = other.default_privileges.iter().any(|defaults| defaults.acl.mentions(role));
            let defaults = (own || mentioned).then(|| {
                let what = if own { "owner of" } else { "privileges for" };
                format!("{what} default privileges on new objects belonging to role {}", other.name)
            });
            let stays = |grant: &&Membership| grant.grantor == role && !gone.contains(&grant.role);
            let granted = other.member_of.iter().find(stays).filter(|_| !gone.contains(&object));
            defaults.or_else(|| {
                let group = scope.catalog().role_name(granted?.role);
                Some(format!("privileges for membership of role {} in role {group}", other.name))
            })
        }
    }
}

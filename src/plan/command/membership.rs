//! GRANT and REVOKE of roles: who is a member of what, by whose grant.
//!
//! A role may have been made a member of another by several grantors, each with options of its own; it is a member as long as
//! one of these grants is there. Who grants without being a superuser does so by the ADMIN option of a grant to himself, or to
//! a role whose rights he has; if that goes, so does what depends on it.

use std::collections::BTreeMap;

use super::super::{PlanResult, Right, Scope};
use super::{DdlPlan, role_id, undefined_role};
use crate::catalog::{BOOTSTRAP_ROLE, Body, Change};
use crate::error::{Notice, Plain, SqlState};
use crate::govern::predefined::DATABASE_OWNER;
use crate::govern::{Membership, Role, best_admin, is_member};
use crate::name::ObjectId;
use crate::statement::{GrantRole, RoleSpec};

/// What is said of a membership; `None`: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) admin: Option<bool>,
    pub(super) inherit: Option<bool>,
    pub(super) set: Option<bool>,
}

/// The grants of one role, by member and grantor.
type Grants = BTreeMap<(ObjectId, ObjectId), Membership>;

pub(super) fn grant(scope: &Scope, ddl: &mut DdlPlan, grant: &GrantRole) -> PlanResult<()> {
    let options = Options { admin: grant.admin, inherit: grant.inherit, set: grant.set };
    for group in &grant.roles {
        let group = scope.catalog().role_id(group).ok_or_else(|| undefined_role(group))?;
        let members = grant.members.iter().map(|member| role_id(scope, member)).collect::<PlanResult<Vec<_>>>()?;
        let grantor = grantor(scope, ddl, group, grant.granted_by.as_ref(), "grant")?;
        for member in members {
            join(scope, ddl, (group, member), grantor, options)?;
        }
    }
    Ok(())
}

/// Makes a role a member of another, or changes the options of that grant. `0LP01`, `0A000`.
pub(super) fn join(
    scope: &Scope,
    ddl: &mut DdlPlan,
    (group, member): (ObjectId, ObjectId),
    grantor: ObjectId,
    options: Options,
) -> PlanResult<()> {
    let name = |id: ObjectId| role(scope, ddl, id).map(|role| role.name.clone()).unwrap_or_default();
    for (id, refusal) in [(group, "cannot have explicit members"), (member, "cannot be a member of any role")] {
        if id == DATABASE_OWNER {
            let message = format!("role \"{}\" {refusal}", name(id));
            return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
    }
    if is_member(group, member, |id| role(scope, ddl, id)) {
        let message = format!("role \"{}\" is a member of role \"{}\"", name(group), name(member));
        return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
    }
    let mut grants = grants(scope, ddl, group);
    if options.admin == Some(true) && grantor != BOOTSTRAP_ROLE {
        let mut without = grants.clone();
        without.retain(|(_, by), _| *by != member);
        drop_dependents(&mut without, member);
        if member == BOOTSTRAP_ROLE || !has_admin(&without, grantor) {
            let message = "ADMIN option cannot be granted back to your own grantor";
            return Err(Plain::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
    }
    let inherits = role(scope, ddl, member).is_some_and(|role| role.inherit);
    let old = grants.get(&(member, grantor)).cloned();
    let known = old.clone().unwrap_or(Membership { role: group, grantor, admin: false, inherit: inherits, set: true });
    let new = Membership {
        admin: options.admin.unwrap_or(known.admin),
        inherit: options.inherit.unwrap_or(known.inherit),
        set: options.set.unwrap_or(known.set),
        ..known
    };
    if old.as_ref() == Some(&new) {
        let message = format!(
            "role \"{}\" has already been granted membership in role \"{}\" by role \"{}\"",
            name(member),
            name(group),
            name(grantor)
        );
        ddl.notices.push(Notice::new(SqlState::SUCCESSFUL_COMPLETION, message));
        return Ok(());
    }
    grants.insert((member, grantor), new);
    store(scope, ddl, group, &grants);
    Ok(())
}

pub(super) fn revoke(scope: &Scope, ddl: &mut DdlPlan, revoke: &GrantRole) -> PlanResult<()> {
    let whole = [revoke.admin, revoke.inherit, revoke.set].iter().all(Option::is_none);
    for group in &revoke.roles {
        let group = scope.catalog().role_id(group).ok_or_else(|| undefined_role(group))?;
        let members = revoke.members.iter().map(|member| role_id(scope, member)).collect::<PlanResult<Vec<_>>>()?;
        let grantor = grantor(scope, ddl, group, revoke.granted_by.as_ref(), "revoke")?;
        for member in members {
            let mut grants = grants(scope, ddl, group);
            let Some(found) = grants.get_mut(&(member, grantor)) else {
                let name = |id: ObjectId| scope.catalog().role_name(id);
                let message = format!(
                    "role \"{}\" has not been granted membership in role \"{}\" by role \"{}\"",
                    name(member),
                    name(group),
                    name(grantor)
                );
                ddl.notices.push(Notice::warning(SqlState::WARNING, message));
                continue;
            };
            found.admin &= !whole && revoke.admin.is_none();
            found.inherit &= revoke.inherit.is_none();
            found.set &= revoke.set.is_none();
            if whole {
                grants.remove(&(member, grantor));
            }
            if drop_dependents(&mut grants, member) && !revoke.cascade {
                return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                    .hint("Use CASCADE to revoke them too.")
                    .into());
            }
            store(scope, ddl, group, &grants);
        }
    }
    Ok(())
}

/// Takes away what a role granted, and so on, if it has no ADMIN option any more. Tells whether there was something.
fn drop_dependents(grants: &mut Grants, of: ObjectId) -> bool {
    if has_admin(grants, of) {
        return false;
    }
    let dependent: Vec<(ObjectId, ObjectId)> = grants.keys().filter(|(_, grantor)| *grantor == of).copied().collect();
    for key in &dependent {
        grants.remove(key);
        drop_dependents(grants, key.0);
    }
    !dependent.is_empty()
}

/// Whether a role may grant by a grant to itself.
fn has_admin(grants: &Grants, member: ObjectId) -> bool {
    member == BOOTSTRAP_ROLE || grants.iter().any(|((to, _), grant)| *to == member && grant.admin)
}

/// Whose grant it is: the one named, the bootstrap superuser for superusers, else the nearest of the current role's roles with
/// the ADMIN option. That there is one is a need. `42501` later for another than may be named.
pub(super) fn grantor(
    scope: &Scope,
    ddl: &mut DdlPlan,
    group: ObjectId,
    named: Option<&RoleSpec>,
    doing: &'static str,
) -> PlanResult<ObjectId> {
    ddl.need(scope, Right::Admin(group, doing));
    let own = scope.ctx.role;
    let Some(named) = named else {
        let nearest = best_admin(own, group, |id| role(scope, ddl, id));
        return Ok(if scope.ctx.superuser { BOOTSTRAP_ROLE } else { nearest.unwrap_or(own) });
    };
    let id = role_id(scope, named)?;
    let name = scope.catalog().role_name(id);
    let (message, as_this) = if doing == "grant" {
        (format!("permission denied to grant privileges as role \"{name}\""), "grant privileges as this role")
    } else {
        (
            format!("permission denied to revoke privileges granted by role \"{name}\""),
            "revoke privileges granted by this role",
        )
    };
    let denied = Plain::new(SqlState::INSUFFICIENT_PRIVILEGE, message);
    if !scope.ctx.owns(id) {
        let detail = format!("Only roles with privileges of role \"{name}\" may {as_this}.");
        ddl.refusal = Some(denied.detail(detail));
    } else if doing == "grant" && id != BOOTSTRAP_ROLE && best_admin(id, group, |id| role(scope, ddl, id)) != Some(id) {
        let group = scope.catalog().role_name(group);
        ddl.refusal = Some(denied.detail(format!("The grantor must have the ADMIN option on role \"{group}\".")));
    }
    Ok(id)
}

/// A role as it is after the changes so far.
fn role<'a>(scope: &'a Scope, ddl: &'a DdlPlan, id: ObjectId) -> Option<&'a Role> {
    let changed = ddl.changes.iter().rev().find(|change| change.id() == id);
    match changed {
        Some(Change::Put(_, body)) => match body.as_ref() {
            Body::Role(role) => Some(role),
            _ => None,
        },
        Some(Change::Delete(_)) => None,
        None => scope.catalog().role(id),
    }
}

fn members(scope: &Scope, ddl: &DdlPlan, group: ObjectId) -> Vec<ObjectId> {
    let changed = ddl.changes.iter().map(Change::id).filter(|id| scope.catalog().role(*id).is_none());
    let all = scope.catalog().roles().map(|(id, _)| id).chain(changed);
    let is_member = |id: &ObjectId| {
        role(scope, ddl, *id).is_some_and(|role| role.member_of.iter().any(|grant| grant.role == group))
    };
    all.filter(is_member).collect()
}

fn grants(scope: &Scope, ddl: &DdlPlan, group: ObjectId) -> Grants {
    let mut grants = Grants::new();
    for id in members(scope, ddl, group) {
        let own = role(scope, ddl, id).map(|role| role.member_of.as_slice()).unwrap_or_default();
        for grant in own.iter().filter(|grant| grant.role == group) {
            grants.insert((id, grant.grantor), grant.clone());
        }
    }
    grants
}

fn store(scope: &Scope, ddl: &mut DdlPlan, group: ObjectId, grants: &Grants) {
    let mut touched = members(scope, ddl, group);
    touched.extend(grants.keys().map(|(member, _)| *member));
    touched.sort_unstable();
    touched.dedup();
    for id in touched {
        let Some(old) = role(scope, ddl, id) else { continue };
        let mut new = old.clone();
        new.member_of.retain(|grant| grant.role != group);
        new.member_of.extend(grants.iter().filter(|((member, _), _)| *member == id).map(|(_, grant)| grant.clone()));
        if new != *old {
            ddl.put(id, Body::Role(new));
        }
    }
}

//! REASSIGN OWNED and DROP OWNED: all that roles own, and what they may do.

use std::collections::BTreeSet;

use super::super::{PlanResult, Right, Scope};
use super::grant::revoke_all;
use super::table::{cascade, change_owner};
use super::{DdlPlan, role_id};
use crate::catalog::{BOOTSTRAP_ROLE, Body, Change};
use crate::error::{Notice, Plain, SqlState};
use crate::govern::{Acl, Grantee};
use crate::name::ObjectId;
use crate::statement::{Drop, DropKind, Owned};

pub(super) fn plan(scope: &Scope, ddl: &mut DdlPlan, owned: &Owned) -> PlanResult<()> {
    let what = if owned.to.is_some() { "reassign objects" } else { "drop objects" };
    let mut by = BTreeSet::new();
    for spec in &owned.by {
        let id = role_id(scope, spec)?;
        ddl.need(scope, Right::RightsOf(id, what));
        if id == BOOTSTRAP_ROLE || id.is_predefined() {
            let message = format!(
                "cannot {} objects owned by role {} because they are required by the database system",
                if owned.to.is_some() { "reassign ownership of" } else { "drop" },
                scope.catalog().role_name(id)
            );
            return Err(Plain::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).into());
        }
        by.insert(id);
    }
    match &owned.to {
        Some(to) => {
            let to = role_id(scope, to)?;
            ddl.need(scope, Right::RightsOf(to, what));
            reassign(scope, ddl, &by, to);
            Ok(())
        }
        None => drop(scope, ddl, &by, owned.cascade),
    }
}

/// Whether one of some roles owns an object.
fn owns(by: &BTreeSet<ObjectId>, body: &Body) -> bool {
    body.owner().is_some_and(|owner| by.contains(&owner))
}

fn reassign(scope: &Scope, ddl: &mut DdlPlan, by: &BTreeSet<ObjectId>, to: ObjectId) {
    let hand_over = |acl: &mut Option<Acl>, old: ObjectId| acl.iter_mut().for_each(|acl| acl.hand_over(old, to));
    for entry in scope.catalog().entries().filter(|entry| owns(by, &entry.body)) {
        let mut body = entry.body.clone();
        match &mut body {
            Body::Relation(relation) => change_owner(relation, to),
            Body::Schema(schema) => {
                let old = std::mem::replace(&mut schema.owner, to);
                hand_over(&mut schema.acl, old);
            }
            Body::Database(database) => {
                let old = std::mem::replace(&mut database.owner, to);
                hand_over(&mut database.acl, old);
            }
            Body::Type(user_type) => {
                let old = std::mem::replace(&mut user_type.owner, to);
                hand_over(&mut user_type.acl, old);
            }
            Body::RlsPolicy(policy) => policy.owner = to,
            Body::MaskingPolicy(policy) => policy.owner = to,
            Body::Credential(credential) => credential.owner = to,
            Body::Tag(tag) => {
                let old = std::mem::replace(&mut tag.owner, to);
                hand_over(&mut tag.acl, old);
            }
            // What belongs to a relation has its owner.
            Body::Role(_)
            | Body::RowPolicy(_)
            | Body::MaskAttachment(_)
            | Body::TagAssignment(_)
            | Body::TagMask(_)
            | Body::TagGrant(_) => continue,
        }
        ddl.put(entry.id, body);
    }
}

/// Drops what the roles own, and takes their privileges on everything else. Masks that were attached for them stay: without
/// them the roles, as long as they are there, would see more.
fn drop(scope: &Scope, ddl: &mut DdlPlan, by: &BTreeSet<ObjectId>, with_cascade: bool) -> PlanResult<()> {
    let owned = scope.catalog().entries().filter(|entry| owns(by, &entry.body));
    let gone: BTreeSet<ObjectId> =
        owned.filter(|entry| !matches!(entry.body, Body::Database(_))).map(|entry| entry.id).collect();
    let order = Drop { kind: DropKind::Schema, names: Vec::new(), if_exists: false, cascade: with_cascade };
    cascade(scope, ddl, &order, gone)?;
    if let Some(refusal) = &mut ddl.refusal {
        "cannot drop desired object(s) because other objects depend on them".clone_into(&mut refusal.message);
        return Ok(());
    }
    let deleted = |change: &Change| match change {
        Change::Delete(id) => Some(*id),
        Change::Put(..) => None,
    };
    let gone: BTreeSet<ObjectId> = ddl.changes.iter().filter_map(deleted).collect();
    for entry in scope.catalog().entries().filter(|entry| !gone.contains(&entry.id)) {
        let mut body = match &entry.body {
            // As it is by now.
            Body::Relation(_) => match ddl.relation(scope, entry.id) {
                Some(relation) => Body::Relation(relation.clone()),
                None => continue,
            },
            other => other.clone(),
        };
        match &mut body {
            Body::Relation(relation) => {
                let columns = relation.columns.iter_mut().map(|column| &mut column.acl);
                for acl in columns.chain([&mut relation.acl]) {
                    take_from(acl, by, relation.owner)?;
                }
            }
            Body::Schema(schema) => take_from(&mut schema.acl, by, schema.owner)?,
            Body::Database(database) => take_from(&mut database.acl, by, database.owner)?,
            // Who does not own the table must not take away what restricts him on it; RLS policies restrict its owner, too.
            Body::RowPolicy(policy) if policy.attached.is_some() || !owns_table(scope, policy.relation) => {
                if policy.roles.iter().any(|grantee| matches!(grantee, Grantee::Role(role) if by.contains(role))) {
                    let table = scope.ctx.display_name(policy.relation);
                    let message = format!("a role could not be removed from policy \"{}\" on \"{table}\"", policy.name);
                    ddl.notices.push(Notice::warning(SqlState::PRIVILEGE_NOT_REVOKED, message));
                }
                continue;
            }
            Body::RowPolicy(policy) => {
                policy.roles.retain(|grantee| !matches!(grantee, Grantee::Role(role) if by.contains(role)));
                if policy.roles.is_empty() {
                    ddl.changes.push(Change::Delete(entry.id));
                    continue;
                }
            }
            Body::Role(role) => {
                if by.contains(&entry.id) {
                    role.default_privileges.clear();
                }
                for defaults in &mut role.default_privileges {
                    defaults.acl.0.retain(|item| !matches!(item.grantee, Grantee::Role(role) if by.contains(&role)));
                }
                role.default_privileges.retain(|defaults| defaults.schema.is_none() || !defaults.acl.0.is_empty());
                // Memberships that they granted are privileges, too.
                role.member_of.retain(|grant| !by.contains(&grant.grantor));
            }
            Body::Tag(tag) => take_from(&mut tag.acl, by, tag.owner)?,
            Body::Type(user_type) => take_from(&mut user_type.acl, by, user_type.owner)?,
            Body::TagGrant(grant) => {
                if matches!(grant.grantee, Grantee::Role(role) if by.contains(&role)) {
                    ddl.changes.push(Change::Delete(entry.id));
                }
                continue;
            }
            Body::RlsPolicy(_)
            | Body::MaskingPolicy(_)
            | Body::MaskAttachment(_)
            | Body::Credential(_)
            | Body::TagAssignment(_)
            | Body::TagMask(_) => continue,
        }
        if body != entry.body {
            ddl.put(entry.id, body);
        }
    }
    Ok(())
}

fn owns_table(scope: &Scope, table: ObjectId) -> bool {
    scope.catalog().relation(table).is_some_and(|relation| scope.ctx.owns(relation.owner))
}

fn take_from(acl: &mut Option<Acl>, by: &BTreeSet<ObjectId>, owner: ObjectId) -> PlanResult<()> {
    let Some(acl) = acl else { return Ok(()) };
    by.iter().try_for_each(|role| revoke_all(acl, *role, owner))
}

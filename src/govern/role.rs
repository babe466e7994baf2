//! Roles and membership.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DefaultPrivileges, PasswordVerifier};
use crate::name::ObjectId;

/// A user or a group: PostgreSQL makes no difference but LOGIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "PostgreSQL's role attributes, one by one")]
pub struct Role {
    /// Already folded; unique among users and groups. What a client logs in with.
    pub name: String,
    /// SUPERUSER: has every privilege, and sees rows and values without policies.
    pub superuser: bool,
    /// INHERIT: what GRANT assumes when it makes this role a member and does not say WITH INHERIT.
    pub inherit: bool,
    /// CREATEROLE: may create roles, and alter and drop those it has the ADMIN option on.
    pub create_role: bool,
    /// CREATEDB: kept and shown only, as there is one database.
    pub create_db: bool,
    /// LOGIN: may connect.
    pub login: bool,
    /// REPLICATION: kept and shown only, as replication connections are refused.
    pub replication: bool,
    /// BYPASSRLS: row policies do not count for it; masks do.
    pub bypass_rls: bool,
    /// -1: no limit.
    pub connection_limit: i32,
    /// Microseconds since 1970 after which the password does not count.
    pub valid_until_us: Option<i64>,
    /// `None`: no password is right, so it cannot log in.
    pub password: Option<PasswordVerifier>,
    /// The roles it belongs to directly; empty if it is in no group.
    pub member_of: Vec<Membership>,
    /// Settings that a new session of this role starts with.
    pub settings: BTreeMap<String, String>,
    /// What ALTER DEFAULT PRIVILEGES said of objects that this role makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_privileges: Vec<DefaultPrivileges>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Role {
    /// With the attributes CREATE ROLE gives if nothing is said: INHERIT only, no password, in no group.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_db: false,
            login: false,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            valid_until_us: None,
            password: None,
            member_of: Vec::new(),
            settings: BTreeMap::new(),
            default_privileges: Vec::new(),
            comment: None,
        }
    }
}

/// That a role belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group.
    pub role: ObjectId,
    /// The role that made it a member.
    pub grantor: ObjectId,
    /// May give the membership to others.
    pub admin: bool,
    /// Has the role's rights without SET ROLE.
    pub inherit: bool,
    /// May SET ROLE to it.
    pub set: bool,
}

/// The role itself and all it inherits the rights of, in ascending order of id.
pub fn closure<'a>(start: ObjectId, role: impl Fn(ObjectId) -> Option<&'a Role>) -> Vec<ObjectId> {
    let mut found = reach(start, &role, |membership| membership.inherit);
    found.sort_unstable();
    found
}

/// The nearest of a role and those whose rights it inherits that has the ADMIN option on `group`; no role has it on itself.
pub fn best_admin<'a>(
    start: ObjectId,
    group: ObjectId,
    role: impl Fn(ObjectId) -> Option<&'a Role>,
) -> Option<ObjectId> {
    let is_admin = |id: &ObjectId| {
        role(*id).is_some_and(|role| role.member_of.iter().any(|grant| grant.role == group && grant.admin))
    };
    if start == group { None } else { reach(start, &role, |membership| membership.inherit).into_iter().find(is_admin) }
}

/// Whether `member` belongs to `group`, directly or not, whatever the options of the memberships.
pub fn is_member<'a>(member: ObjectId, group: ObjectId, role: impl Fn(ObjectId) -> Option<&'a Role>) -> bool {
    reach(member, &role, |_membership| true).contains(&group)
}

/// From the nearest on.
fn reach<'a>(
    start: ObjectId,
    role: &impl Fn(ObjectId) -> Option<&'a Role>,
    follow: impl Fn(&Membership) -> bool,
) -> Vec<ObjectId> {
    let mut found = vec![start];
    let mut next = 0;
    while let Some(current) = found.get(next).copied() {
        next += 1;
        for membership in role(current).map(|r| r.member_of.as_slice()).unwrap_or_default() {
            if follow(membership) && !found.contains(&membership.role) {
                found.push(membership.role);
            }
        }
    }
    found
}

/// Whether `member` may SET ROLE to `group`.
pub fn can_set<'a>(member: ObjectId, group: ObjectId, role: impl Fn(ObjectId) -> Option<&'a Role>) -> bool {
    reach(member, &role, |membership| membership.set).contains(&group)
}

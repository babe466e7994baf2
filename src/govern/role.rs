//! Roles and membership.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PasswordVerifier;
use crate::name::ObjectId;

/// A user or a group: PostgreSQL makes no difference but LOGIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    /// -1: no limit.
    pub connection_limit: i32,
    /// Microseconds since 1970 after which the password does not count.
    pub valid_until_us: Option<i64>,
    pub password: Option<PasswordVerifier>,
    pub member_of: Vec<Membership>,
    /// Settings that a new session of this role starts with.
    pub settings: BTreeMap<String, String>,
}

impl Role {
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
        }
    }
}

/// That a role belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub role: ObjectId,
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
    reach(start, &role, |membership| membership.inherit)
}

/// Whether `member` belongs to `group`, directly or not, whatever the options of the memberships.
pub fn is_member<'a>(member: ObjectId, group: ObjectId, role: impl Fn(ObjectId) -> Option<&'a Role>) -> bool {
    reach(member, &role, |_membership| true).contains(&group)
}

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
    found.sort_unstable();
    found
}

/// Whether `member` may SET ROLE to `group`.
pub fn can_set<'a>(member: ObjectId, group: ObjectId, role: impl Fn(ObjectId) -> Option<&'a Role>) -> bool {
    reach(member, &role, |membership| membership.set).contains(&group)
}

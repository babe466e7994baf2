//! Roles that every catalog has, for rights that are on no single object. Who is granted one has them.
//!
//! Those of PostgreSQL are described in <https://www.postgresql.org/docs/18/predefined-roles.html>. Roles for what this server
//! does not have (subscriptions, programs) are there for scripts that grant them.

use super::{Membership, Privilege, PrivilegeSet, Role};
use crate::name::ObjectId;

/// SELECT on all relations and USAGE of all schemas. Row policies and masks count.
pub const READ_ALL_DATA: ObjectId = ObjectId::predefined(6181);
/// INSERT, UPDATE and DELETE on all relations and USAGE of all schemas. Row policies and masks count.
pub const WRITE_ALL_DATA: ObjectId = ObjectId::predefined(6182);
/// MAINTAIN on all relations.
pub const MAINTAIN: ObjectId = ObjectId::predefined(6337);
/// Sees what other sessions do.
pub const READ_ALL_STATS: ObjectId = ObjectId::predefined(3375);
/// May cancel and end sessions of others, but not those of superusers.
pub const SIGNAL_BACKEND: ObjectId = ObjectId::predefined(4200);
/// May execute CHECKPOINT.
pub const CHECKPOINT: ObjectId = ObjectId::predefined(4544);
/// May make external tables of, and COPY from, what lies at the locations that the server may read.
pub const READ_SERVER_FILES: ObjectId = ObjectId::predefined(4569);
/// Makes masking policies and says which columns of whose tables they are for, and makes row policies of whose tables ever.
/// It does not read what is in them.
pub const SECURITY_ADMIN: ObjectId = ObjectId::predefined(9901);
/// Sees values as they are, whatever masks are attached.
pub const READ_UNMASKED: ObjectId = ObjectId::predefined(9902);

/// Reads the audit trail.
pub const AUDIT_READER: ObjectId = ObjectId::predefined(9903);

const MONITOR: ObjectId = ObjectId::predefined(3373);
const READ_ALL_SETTINGS: ObjectId = ObjectId::predefined(3374);
const STAT_SCAN_TABLES: ObjectId = ObjectId::predefined(3377);
/// Stands for the owner of the database, and has no members.
pub const DATABASE_OWNER: ObjectId = ObjectId::predefined(6171);

/// All of them.
pub const PREDEFINED_ROLES: &[(ObjectId, &str)] = &[
    (MONITOR, "pg_monitor"),
    (READ_ALL_SETTINGS, "pg_read_all_settings"),
    (READ_ALL_STATS, "pg_read_all_stats"),
    (STAT_SCAN_TABLES, "pg_stat_scan_tables"),
    (READ_SERVER_FILES, "pg_read_server_files"),
    (ObjectId::predefined(4570), "pg_write_server_files"),
    (ObjectId::predefined(4571), "pg_execute_server_program"),
    (SIGNAL_BACKEND, "pg_signal_backend"),
    (CHECKPOINT, "pg_checkpoint"),
    (MAINTAIN, "pg_maintain"),
    (ObjectId::predefined(4550), "pg_use_reserved_connections"),
    (ObjectId::predefined(6304), "pg_create_subscription"),
    (DATABASE_OWNER, "pg_database_owner"),
    (READ_ALL_DATA, "pg_read_all_data"),
    (WRITE_ALL_DATA, "pg_write_all_data"),
    (ObjectId::predefined(6392), "pg_signal_autovacuum_worker"),
    (SECURITY_ADMIN, "pg_security_admin"),
    (READ_UNMASKED, "pg_read_unmasked"),
    (AUDIT_READER, "pg_audit_reader"),
];

/// One of them as a new catalog has it. `grantor` made it a member of others.
pub fn predefined_role(id: ObjectId, name: &str, grantor: ObjectId) -> Role {
    let groups: &[ObjectId] = if id == MONITOR { &[READ_ALL_SETTINGS, READ_ALL_STATS, STAT_SCAN_TABLES] } else { &[] };
    let member_of =
        groups.iter().map(|group| Membership { role: *group, grantor, admin: false, inherit: true, set: true });
    Role { member_of: member_of.collect(), ..Role::new(name) }
}

/// What such roles may do with any relation.
pub fn on_all_relations(roles: &[ObjectId]) -> PrivilegeSet {
    let rights: &[(ObjectId, &[Privilege])] = &[
        (READ_ALL_DATA, &[Privilege::Select]),
        (WRITE_ALL_DATA, &[Privilege::Insert, Privilege::Update, Privilege::Delete]),
        (MAINTAIN, &[Privilege::Maintain]),
    ];
    let held = rights.iter().filter(|(role, _)| roles.contains(role));
    held.fold(PrivilegeSet::EMPTY, |set, (_, privileges)| set.with(PrivilegeSet::of(privileges)))
}

/// What such roles may do with any schema.
pub fn on_all_schemas(roles: &[ObjectId]) -> PrivilegeSet {
    let held = [READ_ALL_DATA, WRITE_ALL_DATA].iter().any(|role| roles.contains(role));
    if held { PrivilegeSet::of(&[Privilege::Usage]) } else { PrivilegeSet::EMPTY }
}

#[cfg(test)]
mod tests {
    use super::PREDEFINED_ROLES;
    use crate::name::ObjectId;

    #[test]
    fn oids_lead_back_to_their_roles() {
        for (id, name) in PREDEFINED_ROLES {
            assert_eq!(ObjectId::from_oid(id.oid()), Some(*id), "{name}");
            assert!(id.is_predefined(), "{name}");
        }
    }
}

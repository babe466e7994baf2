//! Who may do what, as nouns: privileges and ACLs, roles and their closure, row and masking policies, password
//! verifiers. Decisions are made in `secure`, enforcement in `guard`.

mod acl;
mod defaults;
mod password;
mod policy;
pub mod predefined;
mod role;
mod tag;

pub use acl::{Acl, AclItem, Grantee, Privilege, PrivilegeSet};
pub use defaults::{DefaultPrivileges, ObjectKind, initial_acl};
pub use password::{MOCK_ITERATIONS, PasswordError, PasswordVerifier, ScramVerifier};
pub use policy::{MaskAttachment, MaskingPolicy, PolicyCommand, RlsPolicy, RowPolicy, UNMASKED_POLICY, part_name};
pub use role::{Membership, Role, best_admin, can_set, closure, is_member};
pub use tag::{Tag, TagAssignment, TagGrant, TagLevel, TagMask};

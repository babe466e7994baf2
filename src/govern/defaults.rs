//! Privileges that objects have from the start: ALTER DEFAULT PRIVILEGES.
//!
//! Source: <https://www.postgresql.org/docs/18/sql-alterdefaultprivileges.html>.

use serde::{Deserialize, Serialize};

use super::{Acl, Privilege, PrivilegeSet};
use crate::name::ObjectId;

/// Kinds of objects that have default privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Tables, external tables and views.
    Tables,
    /// Sequences, also those of columns.
    Sequences,
    /// Kept and shown; users make no functions.
    Functions,
    /// Enumerations, composite types and domains.
    Types,
    /// Schemas.
    Schemas,
}

impl ObjectKind {
    /// `pg_default_acl.defaclobjtype`.
    pub fn letter(self) -> char {
        match self {
            Self::Tables => 'r',
            Self::Sequences => 'S',
            Self::Functions => 'f',
            Self::Types => 'T',
            Self::Schemas => 'n',
        }
    }

    /// What messages call one of them where a privilege does not fit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tables => "relation",
            Self::Sequences => "sequence",
            Self::Functions => "function",
            Self::Types => "type",
            Self::Schemas => "schema",
        }
    }

    /// What ALL means for it.
    pub fn privileges(self) -> PrivilegeSet {
        match self {
            Self::Tables => PrivilegeSet::table(),
            Self::Sequences => PrivilegeSet::sequence(),
            Self::Functions => PrivilegeSet::of(&[Privilege::Execute]),
            Self::Types => PrivilegeSet::of(&[Privilege::Usage]),
            Self::Schemas => PrivilegeSet::schema(),
        }
    }

    /// What its owner and PUBLIC have of it if nothing else was said.
    pub fn built_in(self, owner: ObjectId) -> Acl {
        let public =
            if matches!(self, Self::Functions | Self::Types) { self.privileges() } else { PrivilegeSet::EMPTY };
        Acl::default_for(owner, self.privileges(), public)
    }
}

/// What objects of one kind, made by one role, have from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultPrivileges {
    /// Where; `None`: in every schema.
    pub schema: Option<ObjectId>,
    /// Which objects.
    pub kind: ObjectKind,
    /// In every schema: all that they have, in place of what is built in. In one schema: what they have besides.
    pub acl: Acl,
}

/// The privileges of a new object. `None`: what is built in.
pub fn initial_acl(
    defaults: &[DefaultPrivileges],
    owner: ObjectId,
    kind: ObjectKind,
    schema: Option<ObjectId>,
) -> Option<Acl> {
    let find = |schema| defaults.iter().find(|known| known.kind == kind && known.schema == schema);
    let (everywhere, here) = (find(None), schema.and_then(|schema| find(Some(schema))));
    if everywhere.is_none() && here.is_none() {
        return None;
    }
    let built_in = kind.built_in(owner);
    let mut acl = everywhere.map_or_else(|| built_in.clone(), |known| known.acl.clone());
    for item in here.iter().flat_map(|known| &known.acl.0) {
        acl.grant(item.grantee, item.grantor, item.privileges, false);
        acl.grant(item.grantee, item.grantor, item.grantable, true);
    }
    acl.sort();
    (acl != built_in).then_some(acl)
}

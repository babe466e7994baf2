//! Tags: what objects are about, in words of an organisation's own, and what follows from it (as AWS Lake Formation's tags).
//! A tag on the database is one on each schema in it, and so on down to columns, unless a lower level has another value.

use serde::{Deserialize, Serialize};

use super::{Acl, Grantee, PrivilegeSet};
use crate::name::ObjectId;

/// `CREATE TAG name [ALLOWED_VALUES …]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Already folded; unique among tags.
    pub name: String,
    /// The role that created it.
    pub owner: ObjectId,
    /// The values it may have; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Who may set it (APPLY) on what is theirs; `None`: its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Acl>,
}

impl Tag {
    /// Its ACL, with the owner's default rights if none was ever granted.
    pub fn effective_acl(&self) -> Acl {
        self.acl.clone().unwrap_or_else(|| Acl::default_for(self.owner, PrivilegeSet::tag(), PrivilegeSet::EMPTY))
    }
}

/// `SET TAG name = value` on an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagAssignment {
    /// The tag.
    pub tag: ObjectId,
    /// The database, a schema or a relation.
    pub object: ObjectId,
    /// The id of a column of the relation; `None`: it is on the object as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<i32>,
    /// One of those that the tag may have.
    pub value: String,
}

/// `ATTACH MASKING POLICY … ON TAG name [= value] TO grantee PRIORITY n`: for all columns with the tag, now and to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMask {
    /// `None`: [`super::UNMASKED_POLICY`].
    pub policy: Option<ObjectId>,
    /// The tag.
    pub tag: ObjectId,
    /// `None`: whatever its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// For whom it counts, with all who inherit their rights; superusers see no masks.
    pub grantee: Grantee,
    /// As of [`super::MaskAttachment`].
    pub priority: i32,
}

/// `GRANT … ON TABLES | COLUMNS TAGGED (condition) TO grantee`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagGrant {
    /// Privileges on columns; else on tables, views and external tables as a whole.
    pub columns: bool,
    /// Each tag with the values of which it must have one, in ascending order; never empty.
    pub condition: Vec<(ObjectId, Vec<String>)>,
    /// What the grantee may do.
    pub privileges: PrivilegeSet,
    /// Who may do it, with all who inherit their rights.
    pub grantee: Grantee,
}

/// From where a tag comes to an object: what is later in this list goes before what is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagLevel {
    /// Of everything.
    Database,
    /// Of all relations in it.
    Schema,
    /// Of all columns of it.
    Relation,
    /// Its own.
    Column,
}

impl TagLevel {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Relation => "relation",
            Self::Column => "column",
        }
    }
}

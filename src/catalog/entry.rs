//! The kinds of catalog objects. They are stored as JSON in `boathouse_object`: fields may be added with a default,
//! never renamed or given another meaning without a migration.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::govern::{Acl, Grantee, MaskAttachment, MaskingPolicy, PrivilegeSet, Role, RowPolicy};
use crate::name::{ObjectId, SnapshotId};
use crate::types::{PgType, field};

/// One version of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: ObjectId,
    /// The snapshot that brought this version.
    pub version: SnapshotId,
    pub body: Body,
}

/// What the object is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    Database(Database),
    Schema(Schema),
    Relation(Relation),
    Role(Role),
    RowPolicy(RowPolicy),
    MaskingPolicy(MaskingPolicy),
    MaskAttachment(MaskAttachment),
    Credential(Credential),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub name: String,
    pub owner: ObjectId,
    pub acl: Option<Acl>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub name: String,
    /// Below the data path; ends with a slash.
    pub path: String,
    pub owner: ObjectId,
    pub acl: Option<Acl>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// A table, external table, view or sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    pub schema: ObjectId,
    pub name: String,
    pub owner: ObjectId,
    pub acl: Option<Acl>,
    pub columns: Vec<Column>,
    pub storage: RelationKind,
    #[serde(default)]
    pub row_security: bool,
    #[serde(default)]
    pub force_row_security: bool,
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    Table(TableStorage),
    External(ExternalTable),
    View(View),
    Sequence(Sequence),
}

/// Where a warehouse table's files lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableStorage {
    pub uuid: String,
    /// Below the schema's path; ends with a slash.
    pub path: String,
}

/// Files that somebody else wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalTable {
    pub format: ExternalFormat,
    /// Canonical URL of a file or of a folder (with a slash at its end).
    pub location: String,
    /// Names of the columns that come from `name=value` folders; they are the last columns.
    pub partitions: Vec<String>,
    /// Format options, with names in lower case.
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalFormat {
    Parquet,
    Csv,
    Json,
}

impl ExternalFormat {
    /// As `STORED AS` names it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The defining query as the user wrote it.
    pub query: String,
    /// The search path under which its names are resolved.
    pub search_path: Vec<String>,
    /// Whether base tables are read with the rights of the user instead of the owner's.
    pub security_invoker: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    /// The table and column it belongs to and is dropped with.
    pub owned_by: Option<(ObjectId, i32)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Unique within the relation for ever: `attnum` and Parquet field id.
    pub id: i32,
    pub name: String,
    pub pg: PgType,
    pub nullable: bool,
    /// Source text of the default expression.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    #[serde(default)]
    pub acl: Option<Acl>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// `GENERATED … AS IDENTITY`, or serial (a plain default that draws from the sequence).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub kind: IdentityKind,
    pub sequence: ObjectId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    Always,
    ByDefault,
    Serial,
}

/// Keys for an object store.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    pub name: String,
    pub owner: ObjectId,
    /// URL prefix it is used for.
    pub scope: String,
    pub options: BTreeMap<String, String>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Relation {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn column_by_id(&self, id: i32) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// The relation's columns as the engine sees them.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| field(&column.name, &column.pg, column.nullable));
        Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
    }

    /// `pg_class.relkind`.
    pub fn relkind(&self) -> char {
        match self.storage {
            RelationKind::Table(_) => 'r',
            RelationKind::External(_) => 'f',
            RelationKind::View(_) => 'v',
            RelationKind::Sequence(_) => 'S',
        }
    }

    /// What messages call it.
    pub fn kind_name(&self) -> &'static str {
        match self.storage {
            RelationKind::Table(_) => "table",
            RelationKind::External(_) => "foreign table",
            RelationKind::View(_) => "view",
            RelationKind::Sequence(_) => "sequence",
        }
    }

    /// All the rights there are on it.
    pub fn all_rights(&self) -> PrivilegeSet {
        match self.storage {
            RelationKind::Sequence(_) => PrivilegeSet::sequence(),
            RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) => PrivilegeSet::table(),
        }
    }

    /// Its ACL, with the owner's default rights if none was ever granted.
    pub fn effective_acl(&self) -> Acl {
        self.acl.clone().unwrap_or_else(|| Acl::default_for(self.owner, self.all_rights(), PrivilegeSet::EMPTY))
    }
}

impl Body {
    pub fn owner(&self) -> Option<ObjectId> {
        match self {
            Self::Database(object) => Some(object.owner),
            Self::Schema(object) => Some(object.owner),
            Self::Relation(object) => Some(object.owner),
            Self::MaskingPolicy(object) => Some(object.owner),
            Self::Credential(object) => Some(object.owner),
            Self::Role(_) | Self::RowPolicy(_) | Self::MaskAttachment(_) => None,
        }
    }
}

impl Body {
    /// Replaces every object id in it: those of a new object and of what it refers to are provisional until commit.
    pub fn map_ids(&mut self, id: &impl Fn(ObjectId) -> ObjectId) {
        let map = |at: &mut ObjectId| *at = id(*at);
        let map_grantee = |grantee: &mut Grantee| {
            if let Grantee::Role(role) = grantee {
                *role = id(*role);
            }
        };
        let map_acl = |acl: &mut Option<Acl>| {
            for item in acl.iter_mut().flat_map(|acl| acl.0.iter_mut()) {
                item.grantor = id(item.grantor);
                map_grantee(&mut item.grantee);
            }
        };
        match self {
            Self::Database(database) => {
                map(&mut database.owner);
                map_acl(&mut database.acl);
            }
            Self::Schema(schema) => {
                map(&mut schema.owner);
                map_acl(&mut schema.acl);
            }
            Self::Relation(relation) => {
                map(&mut relation.schema);
                map(&mut relation.owner);
                map_acl(&mut relation.acl);
                for column in &mut relation.columns {
                    map_acl(&mut column.acl);
                    if let Some(identity) = &mut column.identity {
                        map(&mut identity.sequence);
                    }
                }
                if let RelationKind::Sequence(Sequence { owned_by: Some((table, _)), .. }) = &mut relation.storage {
                    map(table);
                }
            }
            Self::Role(role) => {
                for membership in &mut role.member_of {
                    map(&mut membership.role);
                    map(&mut membership.grantor);
                }
            }
            Self::RowPolicy(policy) => {
                map(&mut policy.relation);
                policy.roles.iter_mut().for_each(map_grantee);
            }
            Self::MaskingPolicy(policy) => map(&mut policy.owner),
            Self::MaskAttachment(attachment) => {
                map(&mut attachment.relation);
                attachment.policy.iter_mut().for_each(map);
                map_grantee(&mut attachment.grantee);
            }
            Self::Credential(credential) => map(&mut credential.owner),
        }
    }

    /// Objects that must exist for this one to make sense.
    pub fn parents(&self) -> Vec<ObjectId> {
        match self {
            Self::Relation(relation) => vec![relation.schema, relation.owner],
            Self::RowPolicy(policy) => vec![policy.relation],
            Self::MaskAttachment(attachment) => attachment.policy.into_iter().chain([attachment.relation]).collect(),
            Self::Role(role) => role.member_of.iter().map(|membership| membership.role).collect(),
            Self::Database(_) | Self::Schema(_) | Self::MaskingPolicy(_) | Self::Credential(_) => {
                self.owner().into_iter().collect()
            }
        }
    }
}

/// The column id (and Parquet field id) of an array column's elements. Ids of columns stay below a million.
pub fn element_id(column: i32) -> i32 {
    column + 1_000_000
}

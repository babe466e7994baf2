//! The kinds of catalog objects. They are stored as JSON in `boathouse_object`: fields may be added with a default,
//! never renamed or given another meaning without a migration.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{Constraint, ConstraintKind, DomainUse, Index, Partitioning, Sorting, UserType};
use crate::govern::{
    Acl, Grantee, MaskAttachment, MaskingPolicy, PrivilegeSet, RlsPolicy, Role, RowPolicy, Tag, TagAssignment,
    TagGrant, TagMask,
};
use crate::name::{ObjectId, SnapshotId};
use crate::secret::Secret;
use crate::types::{PgType, field};

/// One version of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The same in all versions of the object.
    pub id: ObjectId,
    /// The snapshot that brought this version.
    pub version: SnapshotId,
    /// The whole object as this version has it.
    pub body: Body,
}

/// What the object is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The server's one database.
    Database(Database),
    /// A namespace for relations.
    Schema(Schema),
    /// A table, external table, view or sequence.
    Relation(Relation),
    /// A user or a group.
    Role(Role),
    /// Says which rows of a relation a command may see or write.
    RowPolicy(RowPolicy),
    /// Says which rows may be seen; without effect until it is attached to a table.
    RlsPolicy(RlsPolicy),
    /// Says how a value is masked; without effect until it is attached to a column.
    MaskingPolicy(MaskingPolicy),
    /// Puts a masking policy on a column, for one grantee.
    MaskAttachment(MaskAttachment),
    /// Keys for an object store.
    Credential(Credential),
    /// An enumeration or a domain.
    Type(UserType),
    /// What may be said of objects.
    Tag(Tag),
    /// Says it of an object.
    TagAssignment(TagAssignment),
    /// Puts a masking policy on all columns of which it is said, for one grantee.
    TagMask(TagMask),
    /// Gives privileges on all objects of which it is said, to one grantee.
    TagGrant(TagGrant),
}

/// What clients connect to; there is one, and it cannot be dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// As clients give it when they connect.
    pub name: String,
    /// The role that grants on it without needing a grant option.
    pub owner: ObjectId,
    /// Who may connect and create schemas, set from the start; `None` leaves that to superusers.
    pub acl: Option<Acl>,
    /// The server's settings that ALTER SYSTEM changed, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What `mask_hash` hashes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<Secret>,
}

/// A namespace for relations, and the folder that the files of its tables lie in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Already folded; unique in the database.
    pub name: String,
    /// Below the data path; ends with a slash.
    pub path: String,
    /// The role that may drop it, grant on it and comment on it.
    pub owner: ObjectId,
    /// `None`: the owner's default rights.
    pub acl: Option<Acl>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A table, external table, view or sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// The schema it is in.
    pub schema: ObjectId,
    /// Already folded; unique in its schema among relations of every kind.
    pub name: String,
    /// The role that may alter it, drop it and grant on it, and whose rights a view reads with by default.
    pub owner: ObjectId,
    /// Grants on the relation as a whole; `None`: the owner's default rights.
    pub acl: Option<Acl>,
    /// In the order of `SELECT *`; empty for a sequence.
    pub columns: Vec<Column>,
    /// What kind of relation it is, with what only that kind has.
    pub storage: RelationKind,
    /// ENABLE ROW LEVEL SECURITY: row policies are in force, but not for its owner.
    #[serde(default)]
    pub row_security: bool,
    /// FORCE ROW LEVEL SECURITY: if row policies are in force, then for its owner too.
    #[serde(default)]
    pub force_row_security: bool,
    /// CONJUNCTION TYPE OR: one of the RLS policies that are for a reader is enough. False, AND: all must hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_rls_policy: bool,
    /// What COMMENT ON said of it, if anything.
    #[serde(default)]
    pub comment: Option<String>,
    /// What must hold of its rows, in the order in which it was declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Its indexes, those of its keys included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<ObjectId>,
}

/// What a relation is, and where its rows come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// Rows in files of the warehouse.
    Table(TableStorage),
    /// Rows in files of the lake; read only.
    External(ExternalTable),
    /// Rows of a stored query.
    View(View),
    /// No rows: a source of numbers. How far it has come is kept outside the catalog.
    Sequence(Sequence),
    /// No rows of its own: a key of a table.
    Index(Index),
}

impl RelationKind {
    /// What it refers to, or its parts that have ids of their own.
    fn object_ids(&mut self) -> Vec<&mut ObjectId> {
        match self {
            Self::Sequence(Sequence { owned_by: Some((table, _)), .. }) | Self::Index(Index { table, .. }) => {
                vec![table]
            }
            Self::View(view) => view.reads.iter_mut().collect(),
            Self::Table(storage) => {
                let partitioning = storage.partitioning.iter_mut().map(|partitioning| &mut partitioning.id);
                partitioning.chain(storage.sorting.iter_mut().map(|sorting| &mut sorting.id)).collect()
            }
            Self::Sequence(_) | Self::External(_) => Vec::new(),
        }
    }
}

/// Where a warehouse table's files lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableStorage {
    /// DuckLake's `table_uuid`: given when the table is created and never changed.
    pub uuid: String,
    /// Below the path of its home; ends with a slash.
    pub path: String,
    /// The path of the schema it was created in, if it is in another one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The id of the next new column; `None`: the table has its first columns, and the next id is beyond theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_column_id: Option<i32>,
    /// For a temporary table: what a commit does to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_commit: Option<OnCommit>,
    /// `PARTITIONED BY`; `None`: files have any rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioning: Option<Partitioning>,
    /// `SORTED BY`; `None`: rows are as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorting: Option<Sorting>,
    /// Of a materialized view: where its rows are from. `None`: it is a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub materialized: Option<Box<Materialized>>,
}

/// Where the rows of a materialized view are from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Materialized {
    /// Its query, which is run with the rights, policies and masks of the owner.
    pub view: View,
    /// Whether it was run: without, the relation cannot be read.
    pub populated: bool,
}

/// What the end of a transaction does to a temporary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCommit {
    /// Nothing.
    PreserveRows,
    /// It is empty afterwards.
    DeleteRows,
    /// It is gone afterwards.
    Drop,
}

/// Files that somebody else wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalTable {
    /// The format of all its files.
    pub format: ExternalFormat,
    /// Canonical URL of a file or of a folder (with a slash at its end).
    pub location: String,
    /// Names of the columns that come from `name=value` folders; they are the last columns.
    pub partitions: Vec<String>,
    /// Format options, with names in lower case.
    pub options: BTreeMap<String, String>,
}

/// What files of the lake may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalFormat {
    /// Apache Parquet.
    Parquet,
    /// Delimited text, with a header line unless an option says otherwise; may be compressed.
    Csv,
    /// One JSON object a line; may be compressed.
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

/// A stored query; the relation's columns are the query's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The defining query as the user wrote it.
    pub query: String,
    /// The search path under which its names are resolved.
    pub search_path: Vec<String>,
    /// Whether base tables are read with the rights of the user instead of the owner's.
    pub security_invoker: bool,
    /// Of a temporary view: the temporary relations that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ObjectId>,
}

/// How a sequence counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// The first value, also after a restart.
    pub start: i64,
    /// From one value to the next; negative if it counts down.
    pub increment: i64,
    /// The lowest value; with `cycle`, an ascending sequence goes on from here.
    pub min: i64,
    /// The highest value; with `cycle`, a descending sequence goes on from here.
    pub max: i64,
    /// Whether it goes on at the other end after its last value; without, that is error `55000`.
    pub cycle: bool,
    /// `AS type`; `None`: bigint, or the type of its identity or serial column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pg: Option<PgType>,
    /// The table and column it belongs to and is dropped with.
    pub owned_by: Option<(ObjectId, i32)>,
}

impl Sequence {
    /// The value after which it gives this one.
    pub fn before(&self, value: i64) -> i64 {
        value.wrapping_sub(self.increment)
    }
}

/// A column of a relation, in the catalog's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Unique within the relation for ever: `attnum` and Parquet field id.
    pub id: i32,
    /// Already folded; unique in the relation.
    pub name: String,
    /// Its type in SQL.
    pub pg: PgType,
    /// The domain that its values are of; `None`: it was declared with a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainUse>,
    /// False with NOT NULL, and for identity and serial columns.
    pub nullable: bool,
    /// Source text of the default expression.
    pub default: Option<String>,
    /// Its value in rows of files that were written before it was added, as text in UTC; `None`: NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// The sequence it draws from by itself; `None` for other columns.
    pub identity: Option<Identity>,
    /// How its value is computed from those of other columns; `None`: it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Grants on this column, beside those on the relation; `None` if there are none.
    #[serde(default)]
    pub acl: Option<Acl>,
    /// What COMMENT ON said of it, if anything.
    #[serde(default)]
    pub comment: Option<String>,
}

/// `GENERATED ALWAYS AS (expression)`. The values are kept with the rows, whatever it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// Source text, over the table's columns by their names alone.
    pub expression: String,
    /// Ids of the columns that it reads.
    pub columns: Vec<i32>,
    /// `STORED`; or else VIRTUAL.
    pub stored: bool,
}

/// `GENERATED … AS IDENTITY`, or serial (a plain default that draws from the sequence).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// How it was declared: whether INSERT may give a value.
    pub kind: IdentityKind,
    /// The relation that the values are drawn from; it is dropped with the table.
    pub sequence: ObjectId,
}

/// How a column that draws from its own sequence was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// `GENERATED ALWAYS AS IDENTITY`: INSERT may say DEFAULT only, or fails with `428C9`.
    Always,
    /// `GENERATED BY DEFAULT AS IDENTITY`: INSERT may give another value.
    ByDefault,
    /// `serial` and its like: INSERT may give another value; `pg_catalog` shows a plain default.
    Serial,
}

/// Keys for an object store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Already folded; unique among storage credentials. `configured` if it comes from the configuration.
    pub name: String,
    /// The superuser who created it.
    pub owner: ObjectId,
    /// URL prefix it is used for.
    pub scope: String,
    /// What the store is opened with, by name in lower case (`access_key_id`, `region`, …).
    pub options: BTreeMap<String, String>,
    /// Options of [`SECRET_OPTIONS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
}

/// Options of a storage credential that nobody is shown.
const SECRET_OPTIONS: &[&str] = &["secret_access_key", "session_token"];

impl Credential {
    /// From all its options.
    pub fn new(name: String, owner: ObjectId, scope: String, options: BTreeMap<String, String>) -> Self {
        let mut credential = Self { name, owner, scope, options, secrets: BTreeMap::new() };
        credential.set_secrets_apart();
        credential
    }

    /// Older servers had them among the others.
    pub fn set_secrets_apart(&mut self) {
        for name in SECRET_OPTIONS {
            if let Some(secret) = self.options.remove(*name) {
                self.secrets.insert((*name).to_owned(), Secret::new(secret));
            }
        }
    }
}

impl Relation {
    /// The column of a folded name, if there is one.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column with an id, if there is one; ids are not positions.
    pub fn column_by_id(&self, id: i32) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// Where its rows are from, if it is a materialized view.
    pub fn materialized(&self) -> Option<&Materialized> {
        match &self.storage {
            RelationKind::Table(storage) => storage.materialized.as_deref(),
            _ => None,
        }
    }

    /// Whether statements may change its rows: it is a table of the warehouse.
    pub fn is_table(&self) -> bool {
        matches!(self.storage, RelationKind::Table(_)) && self.materialized().is_none()
    }

    /// The query that it stands for, of a view, or whose rows it keeps, of a materialized one.
    pub fn query(&self) -> Option<&View> {
        match &self.storage {
            RelationKind::View(view) => Some(view),
            _ => self.materialized().map(|materialized| &materialized.view),
        }
    }

    /// The same, to be changed.
    pub fn query_mut(&mut self) -> Option<&mut View> {
        match &mut self.storage {
            RelationKind::View(view) => Some(view),
            RelationKind::Table(storage) => storage.materialized.as_mut().map(|materialized| &mut materialized.view),
            RelationKind::External(_) | RelationKind::Sequence(_) | RelationKind::Index(_) => None,
        }
    }

    /// How its rows are spread over files, if it is a table and somebody said so.
    pub fn partitioning(&self) -> Option<&Partitioning> {
        match &self.storage {
            RelationKind::Table(storage) => storage.partitioning.as_ref(),
            _ => None,
        }
    }

    /// How its rows are ordered in files, if it is a table and somebody said so.
    pub fn sorting(&self) -> Option<&Sorting> {
        match &self.storage {
            RelationKind::Table(storage) => storage.sorting.as_ref(),
            _ => None,
        }
    }

    /// Whether DuckLake's readers see no difference between two versions of a table.
    pub fn is_same_to_readers(&self, other: &Self) -> bool {
        self.has_columns_of(other) && self.name == other.name && self.schema == other.schema
    }

    /// Whether rows that one version of a table takes are right for the other.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        self.has_columns_of(other) && self.constraints == other.constraints && self.indexes == other.indexes
    }

    /// Whether the columns differ in nothing but rights.
    fn has_columns_of(&self, other: &Self) -> bool {
        let plain = |column: &Column| Column { acl: None, ..column.clone() };
        self.columns == other.columns || self.columns.iter().map(plain).eq(other.columns.iter().map(plain))
    }

    /// The relation's columns as the engine sees them.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| field(&column.name, &column.pg, column.nullable));
        Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
    }

    /// `pg_class.relkind`.
    pub fn relkind(&self) -> char {
        match self.storage {
            RelationKind::Table(TableStorage { materialized: Some(_), .. }) => 'm',
            RelationKind::Table(_) => 'r',
            RelationKind::External(_) => 'f',
            RelationKind::View(_) => 'v',
            RelationKind::Sequence(_) => 'S',
            RelationKind::Index(_) => 'i',
        }
    }

    /// What messages call it.
    pub fn kind_name(&self) -> &'static str {
        match self.storage {
            RelationKind::Table(TableStorage { materialized: Some(_), .. }) => "materialized view",
            RelationKind::Table(_) => "table",
            RelationKind::External(_) => "foreign table",
            RelationKind::View(_) => "view",
            RelationKind::Sequence(_) => "sequence",
            RelationKind::Index(_) => "index",
        }
    }

    /// All the rights there are on it.
    pub fn all_rights(&self) -> PrivilegeSet {
        match self.storage {
            RelationKind::Sequence(_) => PrivilegeSet::sequence(),
            RelationKind::Table(_) | RelationKind::External(_) | RelationKind::View(_) => PrivilegeSet::table(),
            RelationKind::Index(_) => PrivilegeSet::EMPTY,
        }
    }

    /// Its ACL, with the owner's default rights if none was ever granted.
    pub fn effective_acl(&self) -> Acl {
        self.acl.clone().unwrap_or_else(|| Acl::default_for(self.owner, self.all_rights(), PrivilegeSet::EMPTY))
    }
}

impl Body {
    /// The role that owns it; `None` for kinds that have no owner.
    pub fn owner(&self) -> Option<ObjectId> {
        match self {
            Self::Database(object) => Some(object.owner),
            Self::Schema(object) => Some(object.owner),
            Self::Relation(object) => Some(object.owner),
            Self::RlsPolicy(object) => Some(object.owner),
            Self::MaskingPolicy(object) => Some(object.owner),
            Self::Credential(object) => Some(object.owner),
            Self::Type(object) => Some(object.owner),
            Self::Tag(object) => Some(object.owner),
            Self::Role(_)
            | Self::RowPolicy(_)
            | Self::MaskAttachment(_)
            | Self::TagAssignment(_)
            | Self::TagMask(_)
            | Self::TagGrant(_) => None,
        }
    }
}

impl Body {
    /// Its secrets, by the names of their fields.
    pub fn secrets(&mut self) -> Vec<(&str, &mut Secret)> {
        match self {
            Self::Role(role) => role.password.iter_mut().map(|verifier| ("password", verifier.as_secret())).collect(),
            Self::Credential(object) => object.secrets.iter_mut().map(|(name, value)| (name.as_str(), value)).collect(),
            Self::Database(database) => database.hash_key.iter_mut().map(|key| ("hash_key", key)).collect(),
            Self::Schema(_)
            | Self::Relation(_)
            | Self::RowPolicy(_)
            | Self::RlsPolicy(_)
            | Self::MaskingPolicy(_)
            | Self::MaskAttachment(_)
            | Self::Type(_)
            | Self::Tag(_)
            | Self::TagAssignment(_)
            | Self::TagMask(_)
            | Self::TagGrant(_) => Vec::new(),
        }
    }

    /// The same without its secrets; `None`: it has none.
    pub fn without_secrets(&self) -> Option<Self> {
        match self {
            Self::Role(role) if role.password.is_some() => Some(Self::Role(Role { password: None, ..role.clone() })),
            Self::Credential(credential) if !credential.secrets.is_empty() => {
                Some(Self::Credential(Credential { secrets: BTreeMap::new(), ..credential.clone() }))
            }
            Self::Database(database) if database.hash_key.is_some() => {
                Some(Self::Database(Database { hash_key: None, ..database.clone() }))
            }
            Self::Role(_)
            | Self::Credential(_)
            | Self::Database(_)
            | Self::Schema(_)
            | Self::Relation(_)
            | Self::RowPolicy(_)
            | Self::RlsPolicy(_)
            | Self::MaskingPolicy(_)
            | Self::MaskAttachment(_)
            | Self::Type(_)
            | Self::Tag(_)
            | Self::TagAssignment(_)
            | Self::TagMask(_)
            | Self::TagGrant(_) => None,
        }
    }

    /// Replaces every object id in it: those of a new object and of what it refers to are provisional until commit.
    pub fn map_ids(&mut self, id: &impl Fn(ObjectId) -> ObjectId) {
        let map = |at: &mut ObjectId| *at = id(*at);
        let map_grantee = |grantee: &mut Grantee| {
            if let Grantee::Role(role) = grantee {
                *role = id(*role);
            }
        };
        let map_items = |acl: &mut Acl| {
            for item in &mut acl.0 {
                map(&mut item.grantor);
                map_grantee(&mut item.grantee);
            }
        };
        let map_acl = |acl: &mut Option<Acl>| acl.iter_mut().for_each(map_items);
        let map_type = |pg: &mut PgType| {
            pg.change_made(&mut |made| match made {
                PgType::Enum(of) => map(&mut Arc::make_mut(of).id),
                PgType::Composite(of) => map(&mut Arc::make_mut(of).id),
                _ => {}
            });
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
                    column.domain.iter_mut().for_each(|domain| map(&mut domain.id));
                    map_type(&mut column.pg);
                }
                relation.storage.object_ids().into_iter().for_each(map);
                relation.indexes.iter_mut().for_each(map);
                for constraint in &mut relation.constraints {
                    constraint.object_ids().into_iter().for_each(map);
                }
            }
            Self::Role(role) => {
                for membership in &mut role.member_of {
                    map(&mut membership.role);
                    map(&mut membership.grantor);
                }
                for defaults in &mut role.default_privileges {
                    defaults.schema.iter_mut().for_each(map);
                    map_items(&mut defaults.acl);
                }
            }
            Self::RowPolicy(policy) => {
                map(&mut policy.relation);
                policy.roles.iter_mut().for_each(map_grantee);
                policy.attached.iter_mut().for_each(map);
            }
            Self::RlsPolicy(RlsPolicy { owner, columns: typed, .. })
            | Self::MaskingPolicy(MaskingPolicy { owner, arguments: typed, .. }) => {
                map(owner);
                for (_, pg) in typed {
                    map_type(pg);
                }
            }
            Self::MaskAttachment(attachment) => {
                map(&mut attachment.relation);
                attachment.policy.iter_mut().for_each(map);
                map_grantee(&mut attachment.grantee);
            }
            Self::Credential(credential) => map(&mut credential.owner),
            Self::Type(user_type) => {
                map(&mut user_type.schema);
                map(&mut user_type.owner);
                map_acl(&mut user_type.acl);
                user_type.over_mut().for_each(map_type);
            }
            Self::Tag(tag) => {
                map(&mut tag.owner);
                map_acl(&mut tag.acl);
            }
            Self::TagAssignment(assignment) => {
                map(&mut assignment.tag);
                map(&mut assignment.object);
            }
            Self::TagMask(mask) => {
                map(&mut mask.tag);
                mask.policy.iter_mut().for_each(map);
                map_grantee(&mut mask.grantee);
            }
            Self::TagGrant(grant) => {
                grant.condition.iter_mut().for_each(|(tag, _)| map(tag));
                grant.condition.sort();
                map_grantee(&mut grant.grantee);
            }
        }
    }

    /// Ids of parts that have ids of their own and no entry.
    pub fn parts(&self) -> Vec<ObjectId> {
        match self {
            Self::Relation(relation) => {
                let constraints = relation.constraints.iter().map(|constraint| constraint.id);
                let partitioning = relation.partitioning().map(|partitioning| partitioning.id);
                let sorting = relation.sorting().map(|sorting| sorting.id);
                constraints.chain(partitioning).chain(sorting).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Types of the catalog that it has copies of, or whose rules it was held to.
    pub fn types(&self) -> Vec<ObjectId> {
        match self {
            Self::Relation(relation) => relation.columns.iter().flat_map(Column::types).collect(),
            Self::Type(user_type) => user_type.over().flat_map(PgType::objects).collect(),
            Self::RlsPolicy(RlsPolicy { columns: typed, .. })
            | Self::MaskingPolicy(MaskingPolicy { arguments: typed, .. }) => {
                typed.iter().flat_map(|(_, pg)| pg.objects()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Objects that must exist for this one to make sense.
    pub fn parents(&self) -> Vec<ObjectId> {
        match self {
            Self::Relation(relation) => {
                let table = relation.as_index().map(|index| index.table);
                let foreign = relation.constraints.iter().filter_map(|constraint| match &constraint.kind {
                    ConstraintKind::Foreign(key) => Some([key.table, key.index]),
                    _ => None,
                });
                let mut parents = vec![relation.schema, relation.owner];
                parents.extend(table.into_iter().chain(foreign.flatten()).chain(relation.indexes.iter().copied()));
                parents.extend(self.types());
                parents
            }
            Self::Type(user_type) => self.types().into_iter().chain([user_type.schema, user_type.owner]).collect(),
            Self::RowPolicy(policy) => policy.attached.into_iter().chain([policy.relation]).collect(),
            Self::MaskAttachment(attachment) => attachment.policy.into_iter().chain([attachment.relation]).collect(),
            Self::Role(role) => role.member_of.iter().map(|membership| membership.role).collect(),
            Self::MaskingPolicy(MaskingPolicy { owner, .. }) | Self::RlsPolicy(RlsPolicy { owner, .. }) => {
                self.types().into_iter().chain([*owner]).collect()
            }
            Self::TagAssignment(assignment) => vec![assignment.tag, assignment.object],
            Self::TagMask(mask) => mask.policy.into_iter().chain([mask.tag]).collect(),
            Self::TagGrant(grant) => grant.condition.iter().map(|(tag, _)| *tag).collect(),
            Self::Database(_) | Self::Schema(_) | Self::Credential(_) | Self::Tag(_) => {
                self.owner().into_iter().collect()
            }
        }
    }
}

impl Column {
    /// The type of the catalog that it was declared with, be it an array of it.
    pub fn named_type(&self) -> Option<ObjectId> {
        self.domain.map(|domain| domain.id).or_else(|| self.pg.base().object())
    }

    /// The types of the catalog that its values are of.
    pub fn types(&self) -> impl Iterator<Item = ObjectId> {
        self.domain.iter().map(|domain| domain.id).chain(self.pg.objects())
    }
}

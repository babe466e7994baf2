//! What exists: objects as immutable descriptions, and the states of the whole catalog that statements read.
//!
//! A [`CatalogState`] never changes. A transaction's own changes make a new state on top of the one it reads
//! ([`CatalogState::with`]); a commit publishes the next one.

mod constraint;
mod data_file;
mod entry;
mod fields;
mod inlined;
mod layout;
mod moves;
mod state;
mod user_type;

pub use constraint::{
    Check, Claims, Constraint, ConstraintKind, ForeignKey, Index, IndexKey, KeyColumn, KeyExpression, KeyValue,
};
pub use data_file::{ColumnStats, DataFile, DeleteFile, Deletes, TableData};
pub use entry::{
    Body, Column, Credential, Database, Entry, ExternalFormat, ExternalTable, Generated, Identity, IdentityKind,
    Materialized, OnCommit, Relation, RelationKind, Schema, Sequence, TableStorage, View,
};
pub use fields::{FIELD_ID, PARTS_MAX, Part, field_id, file_schema, parts};
pub use inlined::{Inlined, InlinedRows};
pub use layout::{FilePartition, PartitionKey, Partitioning, Sorting, Transform};
pub use moves::Moves;
pub use state::{
    CatalogState, Change, Definitions, NameKey, Namespace, Tags, TagsWithin, name_key, tags_stand, types_stand,
};
pub use user_type::{Domain, DomainCheck, DomainUse, TypeDefinition, UserType};

use crate::name::{ObjectId, TEMPORARY_ID_MAX};

/// The one database of a server.
pub const DATABASE_NAME: &str = "boathouse";
/// The bootstrap superuser.
pub const BOOTSTRAP_ROLE: ObjectId = ObjectId(1);
/// The database's object id.
pub const DATABASE_ID: ObjectId = ObjectId(2);
/// Schema `public`. DuckLake's own default schema, `main`, has id 0 and stays empty.
pub const PUBLIC_SCHEMA: ObjectId = ObjectId(3);
/// The schema of a session's temporary objects, in catalogs that only the session sees. `pg_temp` stands for it.
pub const TEMPORARY_SCHEMA: ObjectId = ObjectId(TEMPORARY_ID_MAX);
/// The first id that is free for users' objects in a new catalog.
pub const FIRST_FREE_ID: i64 = 4;

//! `pg_catalog` and `information_schema`: their relations, functions, and the names of objects.
//!
//! Which relations there are, with which columns, is data: `sql/pg_catalog/relations.tsv`. Those of `pg_catalog` that
//! this server has something to say in are filled from the catalog state ([`table`]); those that are views in
//! PostgreSQL and ours too are queries over them (`sql/information_schema/`); all others are empty.

mod activity;
pub mod deparse;
mod function;
mod keys;
mod login;
mod names;
mod objects;
mod roles;
mod rows;
mod table;
mod tags;
mod types;
mod value;
mod views;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Schema, SchemaRef};

pub use function::{SystemFunction, argument_types, is_system_function};
pub use names::Objects;
pub use objects::is_visible;
pub use table::SystemTable;
pub use views::view_query;

use crate::types::{PgType, field};

/// The schema that comes first on every search path.
pub const PG_CATALOG: &str = "pg_catalog";
/// The schema of the SQL standard's views of the catalog.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// `pg_namespace.oid` of [`PG_CATALOG`].
pub const PG_CATALOG_OID: u32 = 11;
/// `pg_namespace.oid` of [`INFORMATION_SCHEMA`].
pub const INFORMATION_SCHEMA_OID: u32 = 13_000;

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub struct SystemRelation {
    /// [`PG_CATALOG`] or [`INFORMATION_SCHEMA`].
    pub schema: &'static str,
    /// `pg_class.relname`.
    pub name: &'static str,
    /// `pg_class.oid`.
    pub oid: u32,
    /// A view in PostgreSQL: its empty columns are NULL, those of a table are zero or false.
    pub view: bool,
    /// Name and type of each column, in order.
    pub columns: Vec<(&'static str, PgType)>,
    arrow: SchemaRef,
}

impl SystemRelation {
    /// Its columns as the engine knows them, all nullable.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }
}

static RELATIONS: LazyLock<Vec<SystemRelation>> = LazyLock::new(|| {
    include_str!("../../../sql/pg_catalog/relations.tsv").lines().filter_map(parse_relation).collect()
});

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static SystemRelation>> =
    LazyLock::new(|| RELATIONS.iter().map(|relation| ((relation.schema, relation.name), relation)).collect());

/// One line of the list of relations.
fn parse_relation(line: &'static str) -> Option<SystemRelation> {
    let mut fields = line.split('\t');
    let (schema, name) = (fields.next()?, fields.next()?);
    let oid = fields.next()?.parse().ok()?;
    let view = fields.next()? == "v";
    let columns: Vec<(&str, PgType)> = fields
        .next()?
        .split(' ')
        .filter_map(|column| column.split_once(':'))
        .map(|(name, typname)| (name, PgType::from_typname(typname).unwrap_or(PgType::Text)))
        .collect();
    let arrow = Schema::new(columns.iter().map(|(name, pg)| field(*name, pg, true)).collect::<Vec<_>>());
    Some(SystemRelation { schema, name, oid, view, columns, arrow: Arc::new(arrow) })
}

/// A system relation by name. Without a schema it is one of `pg_catalog`.
pub fn relation(schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
    BY_NAME.get(&(schema.unwrap_or(PG_CATALOG), name)).copied()
}

/// Whether a schema is one of the system's.
pub fn is_system_schema(name: &str) -> bool {
    matches!(name, PG_CATALOG | INFORMATION_SCHEMA)
}

fn relations() -> impl Iterator<Item = &'static SystemRelation> {
    RELATIONS.iter()
}

fn relation_by_oid(oid: u32) -> Option<&'static SystemRelation> {
    RELATIONS.iter().find(|relation| relation.oid == oid)
}

fn schema_oid(relation: &SystemRelation) -> u32 {
    if relation.schema == PG_CATALOG { PG_CATALOG_OID } else { INFORMATION_SCHEMA_OID }
}

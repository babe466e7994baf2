//! Columns as fields of a Parquet file: each carries the id by which it is found again, whatever it is called.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Column;
use crate::types::{PgType, arrow_type, field};

/// Where Arrow's Parquet reader and writer look for a field's id.
pub const FIELD_ID: &str = "PARQUET:field_id";
/// How many parts the type of a column may have: their ids are 32-bit numbers.
pub const PARTS_MAX: usize = 2_000;
/// The distance between the ids of a column's parts. Ids of columns stay below it.
const PART_STEP: i32 = 1_000_000;

/// Something in a column's values that has an id of its own: an array's elements, a row's columns.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The column's in DuckLake, and the field's in Parquet.
    pub id: i32,
    /// The id of what it is in.
    pub parent: i32,
    /// What DuckLake calls it.
    pub name: &'a str,
    /// The type of its values.
    pub pg: &'a PgType,
}

/// The schema of a table's files: every field carries its column id.
pub fn file_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(file_field).collect::<Vec<_>>()))
}

fn file_field(column: &Column) -> Field {
    let own = field(&column.name, &column.pg, column.nullable);
    let data_type = with_ids(&column.pg, &mut parts(column).into_iter());
    with_id(own.with_data_type(data_type), column.id)
}

/// The parts of a column's values, each before its own.
pub fn parts(column: &Column) -> Vec<Part<'_>> {
    let mut all = Vec::new();
    add_parts(column, &column.pg, column.id, &mut all);
    all
}

fn add_parts<'a>(column: &Column, pg: &'a PgType, parent: i32, all: &mut Vec<Part<'a>>) {
    let mut add = |name: &'a str, pg: &'a PgType| {
        let number = i32::try_from(all.len() + 1).unwrap_or(i32::MAX);
        let id = column.id.saturating_add(PART_STEP.saturating_mul(number));
        all.push(Part { id, parent, name, pg });
        add_parts(column, pg, id, all);
    };
    if let Some(element) = pg.element() {
        add("element", element);
    }
    for attribute in pg.attributes().unwrap_or_default() {
        add(&attribute.name, &attribute.pg);
    }
}

/// The Arrow type of values whose parts have ids.
fn with_ids(pg: &PgType, parts: &mut std::vec::IntoIter<Part<'_>>) -> DataType {
    let mut own = |name: &str, pg: &PgType| {
        let id = parts.next().map_or(0, |part| part.id);
        let data_type = with_ids(pg, parts);
        Arc::new(with_id(field(name, pg, true).with_data_type(data_type), id))
    };
    match (pg, pg.attributes()) {
        (PgType::Array(element), _) => DataType::List(own("item", element)),
        (_, Some(attributes)) => {
            DataType::Struct(attributes.iter().map(|attribute| own(&attribute.name, &attribute.pg)).collect())
        }
        _ => arrow_type(pg),
    }
}

fn with_id(field: Field, id: i32) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(FIELD_ID.to_owned(), id.to_string());
    field.with_metadata(metadata)
}

/// A field's column id, if it has one.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

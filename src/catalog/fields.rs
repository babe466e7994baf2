//! Columns as fields of a Parquet file: each carries the id by which it is found again, whatever it is called.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{Column, element_id};
use crate::types::{PgType, field};

/// Where Arrow's Parquet reader and writer look for a field's id.
pub const FIELD_ID: &str = "PARQUET:field_id";

/// The schema of a table's files: every field carries its column id.
pub fn file_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(file_field).collect::<Vec<_>>()))
}

fn file_field(column: &Column) -> Field {
    let mut own = field(&column.name, &column.pg, column.nullable);
    if let PgType::Array(element) = &column.pg {
        let inner = with_id(field("item", element, true), element_id(column.id));
        own = own.with_data_type(arrow::datatypes::DataType::List(Arc::new(inner)));
    }
    with_id(own, column.id)
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

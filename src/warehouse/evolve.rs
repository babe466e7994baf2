//! Rows of a table that was altered since they were written.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result, ScalarValue};

use crate::catalog::{Column, Relation, field_id, file_schema};
use crate::encode::ColumnBuilder;
use crate::setting::Zone;
use crate::types::arrow_type;

/// What a column has in rows that were written before it was there.
pub fn initial(column: &Column) -> Result<ScalarValue> {
    let Some(text) = &column.initial else { return ScalarValue::try_from(&arrow_type(&column.pg)) };
    let external = |error| DataFusionError::External(Box::new(error));
    let mut builder = ColumnBuilder::new(&column.pg, Zone::UTC).map_err(external)?;
    builder.append_text(text).map_err(external)?;
    ScalarValue::try_from_array(&builder.finish(), 0)
}

/// Staged rows with the columns that the table has now. They carry column ids.
pub fn evolved(rows: &RecordBatch, relation: &Relation) -> Result<RecordBatch> {
    let schema = file_schema(&relation.columns);
    let written = rows.schema();
    let columns = relation.columns.iter().zip(schema.fields()).map(|(column, field)| {
        let index = written.fields().iter().position(|field| field_id(field) == Some(column.id));
        match index.map(|index| rows.column(index)) {
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => Ok(cast(array, field.data_type())?),
            None => Ok(cast(&initial(column)?.to_array_of_size(rows.num_rows())?, field.data_type())?),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

//! RETURNING: rows that a statement wrote or deleted, through the user's masks and then the expressions.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;

use super::{Outcome, query};
use crate::catalog::Relation;
use crate::error::{Plain, SqlError, SqlState};
use crate::guard::sanitize;
use crate::plan::{Returning, Scope, other_name};

/// Rows that one statement may give back.
const ROWS_MAX: usize = 10_000_000;

/// One worker's rows, until the statement is done.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) batches: Vec<RecordBatch>,
    rows: usize,
}

impl Kept {
    /// `54000` if there are too many.
    pub(super) fn add(&mut self, batch: RecordBatch) -> Result<(), SqlError> {
        self.rows += batch.num_rows();
        if self.rows > ROWS_MAX {
            return Err(Plain::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "RETURNING gives back too many rows").into());
        }
        self.batches.push(batch);
        Ok(())
    }

    /// How many there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

/// The result of a statement. `batches`: the table's columns, then those of joined tables that RETURNING reads.
pub(super) fn give_back(
    scope: &Scope,
    relation: &Relation,
    returning: &Returning,
    batches: Vec<RecordBatch>,
    tag: String,
) -> Result<Outcome, SqlError> {
    if batches.is_empty() {
        let (fields, stream) = (returning.fields.clone(), query::ready(&returning.fields, batches));
        return Ok(Outcome::Returned { fields, stream, tag });
    }
    let named = |name: &str| Expr::Column(Column::new_unqualified(name));
    let own = relation.columns.iter().map(|column| crate::types::field(&column.name, &column.pg, true));
    let given = batches.first().map(RecordBatch::schema);
    let others = given.iter().flat_map(|schema| schema.fields().iter().skip(relation.columns.len())).enumerate();
    let others = others.map(|(index, field)| Field::clone(field).with_name(other_name(index)).with_nullable(true));
    let schema = Arc::new(Schema::new(own.chain(others).collect::<Vec<_>>()));
    let masks = schema.fields().iter().enumerate().map(|(index, field)| {
        let mask = returning.masks.get(index).and_then(Option::as_ref);
        mask.cloned().unwrap_or_else(|| named(field.name()))
    });
    // A mask that fails must not tell on what.
    let hidden = |error| SqlError::from_engine(sanitize(&relation.name, error));
    let masked = project(scope, &schema, &masks.collect::<Vec<_>>(), batches, Some(&schema), &hidden)?;
    let batches = project(scope, &schema, &returning.expressions, masked, None, &SqlError::from_engine)?;
    Ok(Outcome::Returned {
        fields: returning.fields.clone(),
        stream: query::ready(&refit(&returning.fields, &batches), batches),
        tag,
    })
}

/// The fields with the types that the batches really have.
fn refit(fields: &[FieldRef], batches: &[RecordBatch]) -> Vec<FieldRef> {
    let Some(first) = batches.first() else { return fields.to_vec() };
    let pairs = fields.iter().zip(first.schema_ref().fields());
    pairs.map(|(field, data)| Arc::new(field.as_ref().clone().with_data_type(data.data_type().clone()))).collect()
}

fn project(
    scope: &Scope,
    schema: &SchemaRef,
    expressions: &[Expr],
    batches: Vec<RecordBatch>,
    output: Option<&SchemaRef>,
    failure: &dyn Fn(DataFusionError) -> SqlError,
) -> Result<Vec<RecordBatch>, SqlError> {
    let engine = SqlError::from_engine;
    let df_schema = DFSchema::try_from(Arc::clone(schema)).map_err(engine)?;
    let physical: Vec<_> = expressions
        .iter()
        .map(|expr| scope.engine.physical_expr(expr, &df_schema).map_err(engine))
        .collect::<Result<_, _>>()?;
    let mut projected = Vec::with_capacity(batches.len());
    for batch in batches {
        let batch =
            RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(|error| engine(error.into()))?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(physical.len());
        for expr in &physical {
            let value = expr.evaluate(&batch).and_then(|value| value.into_array(batch.num_rows()));
            arrays.push(value.map_err(failure)?);
        }
        let schema = match output {
            Some(schema) => {
                // A mask may give another type or NULL: bring it back to the column's.
                for (array, field) in arrays.iter_mut().zip(schema.fields()) {
                    *array = cast(array, field.data_type()).map_err(|error| failure(error.into()))?;
                }
                Arc::clone(schema)
            }
            None => {
                let fields = physical.iter().zip(&arrays).enumerate().map(|(index, (expr, array))| {
                    let metadata =
                        expr.return_field(batch.schema_ref()).map(|field| field.metadata().clone()).unwrap_or_default();
                    Field::new(index.to_string(), array.data_type().clone(), true).with_metadata(metadata)
                });
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        projected
            .push(RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| engine(error.into()))?);
    }
    Ok(projected)
}

//! Reads each file with the columns it was written with: by column id, not by name.
//!
//! A column that a file does not have is NULL or its first default; a column of another type is cast.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use datafusion::physical_plan::PhysicalExpr;

use super::evolve::initial;
use super::text::{FromStored, stored_as_text};
use crate::catalog::{Column as TableColumn, field_id};
use crate::types::PgType;

/// Binds columns by id. Virtual columns, which have none, by name.
#[derive(Clone, Debug)]
pub(super) struct ByColumnId {
    /// By name.
    columns: HashMap<String, Known>,
}

/// A column of the table.
#[derive(Clone, Debug)]
struct Known {
    id: i32,
    pg: PgType,
    /// What it has in files that lack it.
    initial: ScalarValue,
}

#[derive(Debug)]
struct Adapter {
    by_name: HashMap<String, Bound>,
}

#[derive(Debug)]
enum Bound {
    Physical {
        column: Column,
        cast_to: Option<Arc<Field>>,
    },
    /// The file has it as text.
    Text {
        column: Column,
        read: Arc<ScalarUDF>,
        field: FieldRef,
    },
    Absent(Arc<dyn PhysicalExpr>),
}

impl ByColumnId {
    pub(super) fn new<'a>(columns: impl IntoIterator<Item = &'a TableColumn>) -> Result<Self> {
        let known = |column: &TableColumn| {
            Ok((column.name.clone(), Known { id: column.id, pg: column.pg.clone(), initial: initial(column)? }))
        };
        Ok(Self { columns: columns.into_iter().map(known).collect::<Result<_>>()? })
    }
}

impl PhysicalExprAdapterFactory for ByColumnId {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut by_id: HashMap<i32, usize> = HashMap::new();
        for (index, field) in physical.fields().iter().enumerate() {
            if let Some(id) = field_id(field)
                && by_id.insert(id, index).is_some()
            {
                return exec_err!("Parquet file has two columns with field id {id}");
            }
        }
        let mut by_name = HashMap::new();
        for field in logical.fields() {
            let known = self.columns.get(field.name());
            let index = match known {
                Some(known) => by_id.get(&known.id).copied(),
                None => Some(physical.index_of(field.name())?),
            };
            let bound = match (index, known) {
                (Some(index), Some(known))
                    if stored_as_text(&known.pg) && physical.field(index).data_type() != field.data_type() =>
                {
                    let read = FromStored::new(known.pg.clone(), field.data_type().clone());
                    let read = Arc::new(ScalarUDF::new_from_impl(read));
                    let column = Column::new(physical.field(index).name(), index);
                    Bound::Text { column, read, field: Arc::clone(field) }
                }
                (Some(index), _) => {
                    let stored = physical.field(index);
                    // Types only: names, metadata and nullability may differ freely.
                    let cast_to = (stored.data_type() != field.data_type())
                        .then(|| Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable())));
                    Bound::Physical { column: Column::new(stored.name(), index), cast_to }
                }
                (None, _) => {
                    let value = match known {
                        Some(known) => known.initial.cast_to(field.data_type())?,
                        None => ScalarValue::try_from(field.data_type())?,
                    };
                    Bound::Absent(Arc::new(Literal::new(value)))
                }
            };
            by_name.insert(field.name().clone(), bound);
        }
        Ok(Arc::new(Adapter { by_name }))
    }
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        // Upwards: a replacement is never visited again, so that columns that swapped names stay right.
        expr.transform_up(|node| {
            let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
            match self.by_name.get(column.name()) {
                None => exec_err!("column {} is not in the table schema", column.name()),
                Some(Bound::Absent(literal)) => Ok(Transformed::yes(Arc::clone(literal))),
                Some(Bound::Text { column, read, field }) => {
                    let arguments: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(column.clone())];
                    let options = Arc::new(ConfigOptions::default());
                    let function =
                        ScalarFunctionExpr::new("from_stored", Arc::clone(read), arguments, Arc::clone(field), options);
                    Ok(Transformed::yes(Arc::new(function)))
                }
                Some(Bound::Physical { column, cast_to: None }) => Ok(Transformed::yes(Arc::new(column.clone()))),
                Some(Bound::Physical { column, cast_to: Some(field) }) => {
                    let cast = CastExpr::new_with_target_field(Arc::new(column.clone()), Arc::clone(field), None);
                    Ok(Transformed::yes(Arc::new(cast)))
                }
            }
        })
        .data()
    }
}

//! What is in arrays and rows, changed one by one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::types::PgType;

/// Values in the form of an Arrow type: `part` changes what is in arrays and rows, `value` all else.
pub(crate) fn rebuilt<E: From<ArrowError>>(
    pg: &PgType,
    array: &ArrayRef,
    target: &DataType,
    part: &impl Fn(&PgType, &ArrayRef, &DataType) -> Result<ArrayRef, E>,
    value: &impl Fn(&PgType, &ArrayRef) -> Result<ArrayRef, E>,
) -> Result<ArrayRef, E> {
    match (target, array.as_list_opt::<i32>(), array.as_struct_opt()) {
        (DataType::List(item), Some(list), _) => {
            let mut values = Arc::clone(list.values());
            for element in pg.parts() {
                values = part(element, &values, item.data_type())?;
            }
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        (DataType::Struct(fields), _, Some(rows)) => {
            let columns = pg.parts().zip(rows.columns()).zip(fields);
            let columns = columns.map(|((pg, values), field)| part(pg, values, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, E>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?))
        }
        _ => value(pg, array),
    }
}

//! Values that data files keep as text, because Parquet has no home for their type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNanoType};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::encode::{ColumnBuilder, Style, rebuilt, text_array, write_stored_interval};
use crate::setting::Zone;
use crate::types::{PgType, field};

/// Whether data files keep a column's values, or something in them, as text.
pub(super) fn stored_as_text(pg: &PgType) -> bool {
    let is_text = matches!(pg, PgType::Interval | PgType::Timetz(_) | PgType::Enum(_)) || pg.is_network();
    is_text || pg.parts().any(stored_as_text)
}

/// A column's field as data files have it.
pub(super) fn stored_field(pg: &PgType, own: &FieldRef) -> FieldRef {
    if !stored_as_text(pg) {
        return Arc::clone(own);
    }
    let mut parts = pg.parts();
    let mut part = |own: &FieldRef| parts.next().map_or_else(|| Arc::clone(own), |pg| stored_field(pg, own));
    let data_type = match own.data_type() {
        DataType::List(element) => DataType::List(part(element)),
        DataType::Struct(columns) => DataType::Struct(columns.iter().map(part).collect()),
        _ => DataType::Utf8,
    };
    Arc::new(Field::clone(own).with_data_type(data_type))
}

/// A column's values as data files have them. `stored`: the type of the field that [`stored_field`] gives.
pub(super) fn to_stored(pg: &PgType, array: &ArrayRef, stored: &DataType) -> Result<ArrayRef, ArrowError> {
    if !stored_as_text(pg) {
        return Ok(Arc::clone(array));
    }
    rebuilt(pg, array, stored, &to_stored, &text)
}

fn text(pg: &PgType, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match pg {
        PgType::Interval => Ok(interval_text(array)),
        PgType::Enum(of) if !of.has_all(array) => {
            Err(ArrowError::ComputeError(format!("a value that type {pg} does not have")))
        }
        _ => text_array(array, &field("", pg, true), &Style::utc()),
    }
}

fn interval_text(array: &ArrayRef) -> ArrayRef {
    let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
    let text = intervals.iter().map(|value| {
        let mut out = Vec::new();
        value.map(|value| {
            write_stored_interval(&mut out, value);
            String::from_utf8_lossy(&out).into_owned()
        })
    });
    Arc::new(text.collect::<StringArray>())
}

/// The values of a column from what data files have.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromStored {
    pg: PgType,
    data_type: DataType,
    signature: Signature,
}

impl FromStored {
    /// `data_type`: as the scan has the column.
    pub(super) fn new(pg: PgType, data_type: DataType) -> Self {
        Self { pg, data_type, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef> {
        from_stored(&self.pg, array, &self.data_type)
    }
}

fn from_stored(pg: &PgType, array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    if !stored_as_text(pg) {
        return Ok(cast(array, target)?);
    }
    rebuilt(pg, array, target, &from_stored, &values)
}

fn values(pg: &PgType, text: &ArrayRef) -> Result<ArrayRef> {
    let external = |error| DataFusionError::External(Box::new(error));
    let text = cast(text, &DataType::Utf8View)?;
    let mut builder = ColumnBuilder::with_capacity(pg, Zone::UTC, text.len()).map_err(external)?;
    builder.append_texts(text.as_string_view().iter().map(Ok)).map_err(external)?;
    Ok(builder.finish())
}

impl ScalarUDFImpl for FromStored {
    fn name(&self) -> &'static str {
        "from_stored"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name(), &self.pg, true).with_data_type(self.data_type.clone())))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(self.convert(array)?)),
            [ColumnarValue::Scalar(scalar)] => {
                let array = self.convert(&scalar.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            _ => exec_err!("from_stored has one argument"),
        }
    }
}

//! JSON made of values: `json_build_object`, `json_build_array`, `to_json` and their `jsonb` forms.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::encode::{Column, ColumnBuilder, Style, Values, bounds, write_text};
use crate::error::{Plain, SqlError, SqlState};
use crate::setting::Zone;
use crate::types::{PgType, field};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// Keys and values by turns.
    Object,
    Array,
    /// One value as it is.
    Value,
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonBuild {
    shape: Shape,
    binary: bool,
    signature: Signature,
}

/// All of them.
pub fn json_functions() -> Vec<ScalarUDF> {
    let shapes = [Shape::Object, Shape::Array, Shape::Value];
    let both = shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]);
    let function = |(shape, binary)| {
        let function = ScalarUDF::new_from_impl(JsonBuild {
            shape,
            binary,
            signature: Signature::user_defined(Volatility::Stable),
        });
        // A row is a value like any other.
        if function.name() == "to_json" { function.with_aliases(["row_to_json", "array_to_json"]) } else { function }
    };
    both.map(function).collect()
}

impl JsonBuild {
    fn pg(&self) -> PgType {
        if self.binary { PgType::Jsonb } else { PgType::Json }
    }

    fn row(&self, columns: &[Column], row: usize) -> Result<String, SqlError> {
        let mut out = Vec::new();
        match self.shape {
            Shape::Value => {
                if let Some(column) = columns.first() {
                    write_json(&mut out, column, row);
                }
            }
            Shape::Array => {
                out.push(b'[');
                for (index, column) in columns.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    write_json(&mut out, column, row);
                }
                out.push(b']');
            }
            Shape::Object => {
                out.push(b'{');
                for (index, pair) in columns.chunks(2).enumerate() {
                    let [key, value] = pair else { continue };
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    if key.values.is_null(row) {
                        let message = format!("argument {}: key must not be null", 2 * index + 1);
                        return Err(Plain::new(SqlState::NULL_VALUE_NOT_ALLOWED, message).into());
                    }
                    write_string(&mut out, key, row);
                    out.extend_from_slice(b" : ");
                    write_json(&mut out, value, row);
                }
                out.push(b'}');
            }
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

fn write_string(out: &mut Vec<u8>, column: &Column, row: usize) {
    let mut text = Vec::new();
    write_text(&mut text, column, row, &Style::utc());
    // Strings never fail to serialize.
    let quoted = serde_json::to_string(&String::from_utf8_lossy(&text)).unwrap_or_default();
    out.extend_from_slice(quoted.as_bytes());
}

/// A value as `to_json` writes it.
fn write_json(out: &mut Vec<u8>, column: &Column, row: usize) {
    if column.values.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match (&column.values, &column.pg) {
        (Values::Bool(array), _) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
        (Values::List(list, elements), _) => {
            out.push(b'[');
            for (position, element) in bounds(list.value_offsets(), row).enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_json(out, elements, element);
            }
            out.push(b']');
        }
        (Values::Row(_, columns), pg) => {
            out.push(b'{');
            for (position, (column, attribute)) in columns.iter().zip(pg.attributes().unwrap_or_default()).enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(serde_json::to_string(&attribute.name).unwrap_or_default().as_bytes());
                out.push(b':');
                write_json(out, column, row);
            }
            out.push(b'}');
        }
        (_, PgType::Json | PgType::Jsonb) => write_text(out, column, row, &Style::utc()),
        (_, PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Float4 | PgType::Float8 | PgType::Numeric(_)) => {
            let start = out.len();
            write_text(out, column, row, &Style::utc());
            // NaN and the infinities are no JSON numbers.
            let number = out.get(start..).is_some_and(|text| text.last().is_some_and(u8::is_ascii_digit));
            if !number {
                out.truncate(start);
                write_string(out, column, row);
            }
        }
        (Values::Timestamp(_) | Values::Timestamptz(_), _) => {
            let mut text = Vec::new();
            write_text(&mut text, column, row, &Style::utc());
            let iso = String::from_utf8_lossy(&text).replacen(' ', "T", 1);
            let iso = if iso.ends_with("+00") { format!("{iso}:00") } else { iso };
            out.extend_from_slice(serde_json::to_string(&iso).unwrap_or_default().as_bytes());
        }
        _ => write_string(out, column, row),
    }
}

impl ScalarUDFImpl for JsonBuild {
    fn name(&self) -> &'static str {
        match (self.shape, self.binary) {
            (Shape::Object, false) => "json_build_object",
            (Shape::Object, true) => "jsonb_build_object",
            (Shape::Array, false) => "json_build_array",
            (Shape::Array, true) => "jsonb_build_array",
            (Shape::Value, false) => "to_json",
            (Shape::Value, true) => "to_jsonb",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match self.shape {
            Shape::Object if !given.len().is_multiple_of(2) => {
                plan_err!("argument list must have even number of elements")
            }
            Shape::Value if given.len() != 1 => plan_err!("{} takes one argument", self.name()),
            Shape::Object | Shape::Array | Shape::Value => Ok(given.to_vec()),
        }
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name(), &self.pg(), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let columns = arrays.iter().zip(&args.arg_fields).map(|(array, field)| Column::new(array, field));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut builder = ColumnBuilder::new(&self.pg(), Zone::UTC).map_err(SqlError::from)?;
        let strict = |row: usize| self.shape == Shape::Value && columns.iter().any(|column| column.values.is_null(row));
        for row in 0..rows {
            if strict(row) {
                builder.append_null();
                continue;
            }
            let json = self.row(&columns, row)?;
            builder.append_text(&json).map_err(SqlError::from)?;
        }
        let array = builder.finish();
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

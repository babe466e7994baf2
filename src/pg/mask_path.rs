//! Masks of parts of a value: attributes of rows, what is at a key of JSON objects, at any depth. They never fail, as masks do
//! not. What is no object where a path goes on becomes `null`: nobody knows what is in it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use super::record::{attribute, column};
use crate::encode::jsonb_text;
use crate::error::{Plain, SqlState, unsupported};
use crate::types::{PgType, field, of_field};

/// The type of what is at a path in values of a type. `42703`: there is no such attribute; `42809`: it has no parts; `0A000`: it
/// is in an array.
pub fn part_type(pg: &PgType, path: &[String]) -> Result<PgType, Plain> {
    let Some((step, rest)) = path.split_first() else { return Ok(pg.clone()) };
    match pg {
        PgType::Jsonb => Ok(PgType::Jsonb),
        PgType::Array(_) => Err(unsupported("a masking policy on a part of an array's items")),
        PgType::Composite(_) => part_type(&attribute(pg, step)?.1, rest),
        other => {
            let message = format!("column notation .{step} applied to type {other}, which is not a composite type");
            Err(Plain::new(SqlState::WRONG_OBJECT_TYPE, message))
        }
    }
}

/// `part(value)`: what is at the path; NULL if nothing is.
pub fn part_at(path: Vec<String>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Part { path, signature: Signature::any(1, Volatility::Immutable) })
}

/// `with_parts(value, part, …)`: the value with others at the paths, none of which is within another.
pub fn with_parts(paths: Vec<Vec<String>>) -> ScalarUDF {
    ScalarUDF::new_from_impl(WithParts { paths, signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    path: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Part {
    fn name(&self) -> &'static str {
        "mask_part"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a part comes from the whole value's field")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [whole] = args.arg_fields else { return exec_err!("one value is expected") };
        let part = part_type(&of_field(whole), &self.path).map_err(crate::error::SqlError::from)?;
        Ok(Arc::new(field(self.name(), &part, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ([whole], [of]) = (args.args.as_slice(), args.arg_fields.as_slice()) else {
            return exec_err!("one value is expected");
        };
        let part = part(&whole.to_array(args.number_rows)?, &of_field(of), &self.path)?;
        Ok(ColumnarValue::Array(cast(&part, args.return_field.data_type())?))
    }
}

fn part(values: &ArrayRef, pg: &PgType, path: &[String]) -> Result<ArrayRef> {
    let Some((step, rest)) = path.split_first() else { return Ok(Arc::clone(values)) };
    if *pg == PgType::Jsonb {
        return texts(values, |_, document| {
            let inner = path.iter().try_fold(document, |within, key| within.as_object_mut()?.get_mut(key))?;
            Some(jsonb_text(inner))
        });
    }
    let (place, pg) = attribute(pg, step).map_err(crate::error::SqlError::from)?;
    match values.as_struct_opt() {
        Some(rows) => part(&column(rows, place)?, &pg, rest),
        None => Ok(new_null_array(values.data_type(), values.len())),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithParts {
    paths: Vec<Vec<String>>,
    signature: Signature,
}

impl ScalarUDFImpl for WithParts {
    fn name(&self) -> &'static str {
        "mask_parts"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of a masked value comes from its field")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(whole) = args.arg_fields.first() else { return exec_err!("a value is expected") };
        Ok(Arc::new(field(self.name(), &of_field(whole), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(of), arrays) = (args.arg_fields.first(), ColumnarValue::values_to_arrays(&args.args)?) else {
            return exec_err!("a value is expected");
        };
        let Some((whole, parts)) = arrays.split_first().filter(|(_, parts)| parts.len() == self.paths.len()) else {
            return exec_err!("a value for each path is expected");
        };
        let parts: Vec<_> = self.paths.iter().map(Vec::as_slice).zip(parts).collect();
        let masked = with(whole, &of_field(of), &parts)?;
        Ok(ColumnarValue::Array(cast(&masked, args.return_field.data_type())?))
    }
}

fn with(values: &ArrayRef, pg: &PgType, parts: &[(&[String], &ArrayRef)]) -> Result<ArrayRef> {
    if let Some((_, whole)) = parts.iter().find(|(path, _)| path.is_empty()) {
        return Ok(cast(whole, values.data_type())?);
    }
    if *pg == PgType::Jsonb {
        let parts: Vec<(&[String], ArrayRef)> = parts
            .iter()
            .map(|(path, masked)| Ok((*path, cast(masked, &DataType::Utf8View)?)))
            .collect::<Result<_>>()?;
        return texts(values, |row, document| {
            for (path, masked) in &parts {
                let masked = masked.as_string_view();
                let new = masked.is_valid(row).then(|| serde_json::from_str(masked.value(row)).ok()).flatten();
                put(document, path, new.unwrap_or(Value::Null));
            }
            Some(jsonb_text(document))
        });
    }
    let (Some(attributes), Some(rows)) = (pg.attributes(), values.as_struct_opt()) else {
        // Of a type without parts: what a mask was attached to is not there any more.
        return Ok(new_null_array(values.data_type(), values.len()));
    };
    let changed = |(attribute, old): (&crate::types::Attribute, &ArrayRef)| {
        let within: Vec<_> = parts
            .iter()
            .filter_map(|(path, masked)| {
                let (step, rest) = path.split_first()?;
                (*step == attribute.name).then_some((rest, *masked))
            })
            .collect();
        if within.is_empty() { Ok(Arc::clone(old)) } else { with(old, &attribute.pg, &within) }
    };
    let columns = attributes.iter().zip(rows.columns()).map(changed).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(rows.fields().clone(), columns, rows.nulls().cloned())?))
}

/// What is made of each document that is there.
fn texts(values: &ArrayRef, make: impl Fn(usize, &mut Value) -> Option<String>) -> Result<ArrayRef> {
    let values = cast(values, &DataType::Utf8View)?;
    let made = values.as_string_view().iter().enumerate().map(|(row, text)| {
        let mut document = serde_json::from_str(text?).ok()?;
        make(row, &mut document)
    });
    Ok(Arc::new(made.collect::<StringViewArray>()))
}

fn put(within: &mut Value, path: &[String], new: Value) {
    let Some((key, rest)) = path.split_first() else {
        *within = new;
        return;
    };
    match within {
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(key) {
                put(inner, rest, new);
            }
        }
        other => *other = Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::put;

    #[test]
    fn a_part_is_replaced_and_what_has_no_parts_is_hidden() {
        let path = ["a".to_owned(), "b".to_owned()];
        for (before, after) in [
            (json!({"a": {"b": 1, "c": 2}, "b": 3}), json!({"a": {"b": "x", "c": 2}, "b": 3})),
            (json!({"a": {"c": 2}}), json!({"a": {"c": 2}})),
            (json!({"c": 2}), json!({"c": 2})),
            (json!({"a": [{"b": 1}]}), json!({"a": null})),
            (json!({"a": "b=1"}), json!({"a": null})),
            (json!([{"a": {"b": 1}}]), json!(null)),
            (json!(null), json!(null)),
        ] {
            let mut document = before;
            put(&mut document, &path, json!("x"));
            assert_eq!(document, after);
        }
    }
}

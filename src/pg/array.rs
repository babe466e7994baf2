//! Arrays: their subscripts, and the mark of a subquery whose rows become one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int32Builder, ListBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::convert::one;
use super::dimensions::length_in;
use crate::error::{Plain, SqlError, SqlState};
use crate::types::{PgType, arrow_type, field, of_field};

/// The function around a subquery whose rows become an array: `ARRAY(SELECT …)`.
pub const ARRAY_SUBQUERY: &str = "array_subquery";
/// The function around a text that is an array of a type still to be found: `value = ANY ('{…}')`.
pub const UNTYPED_ARRAY: &str = "untyped_array";

/// `value = ANY (array)`, as `any_equal(array, value)`, until their types are known.
pub const ANY_EQUAL: &str = "any_equal";

/// The function of that name, to be replaced.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct AnyEqual(Signature);

impl Default for AnyEqual {
    fn default() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for AnyEqual {
    fn name(&self) -> &'static str {
        ANY_EQUAL
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let array = arguments.first();
        if array.is_some_and(|array| matches!(array, DataType::List(_) | DataType::LargeList(_) | DataType::Null)) {
            return Ok(DataType::Boolean);
        }
        let message = "op ANY/ALL (array) requires array on right side";
        Err(SqlError::from(Plain::new(SqlState::WRONG_OBJECT_TYPE, message)).into())
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{ANY_EQUAL} was not replaced")
    }
}

/// `ARRAY[…]` until the types of its items are known.
pub const ARRAY_OF: &str = "array_of";

/// The function of that name, to be replaced by the engine's own.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayOf(Signature);

impl Default for ArrayOf {
    fn default() -> Self {
        Self(Signature::variadic_any(Volatility::Immutable))
    }
}

impl ScalarUDFImpl for ArrayOf {
    fn name(&self) -> &'static str {
        ARRAY_OF
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        make_array_udf().return_type(arguments)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let made = args.arg_fields.iter().find(|item| keeps_type(item.data_type()));
        if let Some(item) = made {
            return Ok(Arc::new(field(ARRAY_OF, &PgType::Array(Box::new(of_field(item))), true)));
        }
        // What the engine brings together. Text without a type takes that of the others, which may be floating-point numbers.
        let is_untyped = |value| matches!(value, Some(&ScalarValue::Utf8(_) | &ScalarValue::Null));
        let typed = args.arg_fields.iter().zip(args.scalar_arguments).filter(|(_, value)| !is_untyped(**value));
        let mut types: Vec<DataType> = typed.map(|(item, _)| item.data_type().clone()).collect();
        if types.is_empty() {
            types.extend(args.arg_fields.iter().map(|item| item.data_type().clone()));
        }
        if types.iter().any(DataType::is_floating) && types.iter().all(DataType::is_numeric) {
            types = vec![DataType::Float64];
        }
        let alike = make_array_udf().inner().coerce_types(&types)?;
        Ok(Arc::new(Field::new(ARRAY_OF, make_array_udf().return_type(&alike)?, true)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{ARRAY_OF} was not replaced")
    }
}

/// Whether the engine does not know how to bring values of a type together with text.
fn keeps_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeBinary(_) | DataType::Struct(_))
}

/// A mark on an expression that is an array. It is gone before execution.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayMark {
    name: &'static str,
    signature: Signature,
}

impl ArrayMark {
    /// The mark of a name: [`ARRAY_SUBQUERY`] or [`UNTYPED_ARRAY`].
    pub fn new(name: &'static str) -> Self {
        Self { name, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ArrayMark {
    fn name(&self) -> &'static str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(arguments.first().cloned().unwrap_or(DataType::Null), true))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(element) = args.arg_fields.first() else { return exec_err!("{} has one argument", self.name) };
        if self.name == UNTYPED_ARRAY {
            let element = Field::new("item", DataType::Null, true);
            return Ok(Arc::new(Field::new("array", DataType::List(Arc::new(element)), true)));
        }
        let item = Field::new("item", element.data_type().clone(), true);
        let known = field("array", &PgType::Array(Box::new(of_field(element))), true);
        Ok(Arc::new(known.with_data_type(DataType::List(Arc::new(item)))))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} reached execution", self.name)
    }
}

/// Whether an item of an array is NULL; false if the array is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HasNull {
    signature: Signature,
}

impl Default for HasNull {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for HasNull {
    fn name(&self) -> &'static str {
        "array_has_null"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| {
            let Some(lists) = array.as_list_opt::<i32>() else { return Ok(new_false(array.len())) };
            let has = |list: Option<ArrayRef>| list.is_some_and(|items| items.logical_null_count() > 0);
            Ok(Arc::new(lists.iter().map(|list| Some(has(list))).collect::<BooleanArray>()))
        })
    }
}

fn new_false(rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![false; rows]))
}

/// `generate_subscripts(array, dimension)` as an array: from 1, those of a catalog's vector from 0.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Subscripts {
    signature: Signature,
}

impl Default for Subscripts {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Subscripts {
    fn name(&self) -> &'static str {
        "generate_subscripts"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        array_and_dimension(given)
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&PgType::Array(Box::new(PgType::Int4))))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (lengths, first) = dimension_lengths(&args)?;
        let DataType::List(field) = arrow_type(&PgType::Array(Box::new(PgType::Int4))) else {
            return exec_err!("an array is a list");
        };
        let mut builder = ListBuilder::new(Int32Builder::new()).with_field(field);
        for length in lengths {
            (first..first + length.unwrap_or(0)).for_each(|subscript| builder.values().append_value(subscript));
            builder.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

/// `array_lower` and `array_upper`: the first and last subscript; NULL for an empty array.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    upper: bool,
    signature: Signature,
}

impl Bound {
    /// `array_lower(array, dimension)`.
    pub fn lower() -> Self {
        Self { upper: false, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// `array_upper(array, dimension)`.
    pub fn upper() -> Self {
        Self { upper: true, ..Self::lower() }
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &'static str {
        if self.upper { "array_upper" } else { "array_lower" }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        array_and_dimension(given)
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (arrays, first) = dimension_lengths(&args)?;
        let bounds = arrays.into_iter().map(|length| {
            let length = length.filter(|length| *length > 0)?;
            Some(if self.upper { first + length - 1 } else { first })
        });
        Ok(ColumnarValue::Array(Arc::new(bounds.collect::<Int32Array>())))
    }
}

pub(super) fn array_and_dimension(given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [array @ DataType::List(_), _] => Ok(vec![array.clone(), DataType::Int64]),
        [DataType::Null, _] => Ok(vec![arrow_type(&PgType::Array(Box::new(PgType::Text))), DataType::Int64]),
        _ => plan_err!("an array and one of its dimensions are expected"),
    }
}

/// By row the length of the dimension that is asked for, and the first subscript of all.
pub(super) fn dimension_lengths(args: &ScalarFunctionArgs) -> Result<(Vec<Option<i32>>, i32)> {
    let first = i32::from(!args.arg_fields.first().is_some_and(|field| is_vector(&of_field(field))));
    let [arrays, dimensions] = args.args.as_slice() else { return exec_err!("two arguments are expected") };
    let (arrays, dimensions) = (arrays.to_array(args.number_rows)?, dimensions.to_array(args.number_rows)?);
    let (arrays, dimensions) = (arrays.as_list::<i32>(), dimensions.as_primitive::<Int64Type>());
    let length = |row: usize| length_in(arrays, row, dimensions.is_valid(row).then(|| dimensions.value(row))?);
    Ok(((0..arrays.len()).map(length).collect(), first))
}

/// Whether subscripts start at 0.
pub fn is_vector(pg: &PgType) -> bool {
    matches!(pg, PgType::Int2vector | PgType::Oidvector)
}

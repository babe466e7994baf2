//! Arrays of several dimensions: their values, their subscripts, and that their parts are of one length.
//!
//! Source: <https://www.postgresql.org/docs/18/arrays.html>.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StringViewArray, UInt32Array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::array::{array_and_dimension, dimension_lengths, is_vector};
use super::convert::one;
use crate::encode::{ColumnBuilder, bounds};
use crate::error::{Plain, SqlError, SqlState};
use crate::setting::Zone;
use crate::types::{PgType, arrow_type, field, of_field};

/// `array[i][j]`, as `array_at(array, i, j)`.
pub const ARRAY_AT: &str = "array_at";
/// The values of an array of any number of dimensions, in one.
pub const ARRAY_FLATTENED: &str = "array_flattened";

/// The functions that syntax becomes, and those that users call.
pub fn dimension_functions() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::new_from_impl(ArrayAt::default()),
        ScalarUDF::new_from_impl(Flattened::default()),
        ScalarUDF::new_from_impl(Dimensions::new(Asked::Bounds)),
        ScalarUDF::new_from_impl(Dimensions::new(Asked::Count)),
        ScalarUDF::new_from_impl(Dimensions::new(Asked::Values)),
        ScalarUDF::new_from_impl(Length { signature: Signature::user_defined(Volatility::Immutable) }),
    ]
}

/// `array[i][j]`: NULL outside of the array, and where there are not as many subscripts as dimensions. Of a document or a name, it is replaced.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayAt {
    signature: Signature,
}

impl Default for ArrayAt {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ArrayAt {
    fn name(&self) -> &'static str {
        ARRAY_AT
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Some((array, subscripts)) = given.split_first() else { return plan_err!("an array is expected") };
        if !matches!(array, DataType::List(_) | DataType::Null) {
            return Ok(given.to_vec());
        }
        Ok(std::iter::once(array.clone()).chain(subscripts.iter().map(|_| DataType::Int64)).collect())
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of an array's item comes from its field")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(array) = args.arg_fields.first() else { return plan_err!("an array is expected") };
        let pg = of_field(array);
        let base = match pg.element() {
            Some(element) => element.base(),
            None if let DataType::Map(entries, _) = array.data_type()
                && let DataType::Struct(pair) = entries.data_type()
                && let [_, value] = pair.as_ref() =>
            {
                return Ok(Arc::new(value.as_ref().clone().with_name(self.name()).with_nullable(true)));
            }
            None if pg == PgType::Jsonb => &PgType::Jsonb,
            None if pg == PgType::Name => &PgType::InternalChar,
            None if *array.data_type() == DataType::Null => &PgType::Text,
            None => {
                let message = format!("cannot subscript type {pg} because it does not support subscripting");
                return Err(SqlError::from(Plain::new(SqlState::DATATYPE_MISMATCH, message)).into());
            }
        };
        let mut inner = array.data_type();
        while let DataType::List(item) = inner {
            inner = item.data_type();
        }
        let own = field(self.name(), base, true);
        // As the values are: a numeric without a scale has that of its array.
        Ok(Arc::new(if *inner == DataType::Null || pg.element().is_none() {
            own
        } else {
            own.with_data_type(inner.clone())
        }))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let Some((array, subscripts)) = arrays.split_first() else { return exec_err!("an array is expected") };
        let first = i64::from(!args.arg_fields.first().is_some_and(|field| is_vector(&of_field(field))));
        // Where the values of each row begin, at the depth that is reached.
        let mut places: Vec<Option<usize>> = (0..rows).map(Some).collect();
        let mut values = Arc::clone(array);
        for subscript in subscripts {
            let Some(list) = values.as_list_opt::<i32>().cloned() else {
                places = vec![None; rows];
                break;
            };
            let subscript = cast(subscript, &DataType::Int64)?;
            let subscript = subscript.as_primitive::<Int64Type>();
            for (row, place) in places.iter_mut().enumerate() {
                *place = place.filter(|at| list.is_valid(*at) && subscript.is_valid(row)).and_then(|at| {
                    let (start, length) = (list.value_offsets().get(at)?, list.value_length(at));
                    let index = subscript.value(row).checked_sub(first)?;
                    let inside = (0..i64::from(length)).contains(&index);
                    usize::try_from(i64::from(*start) + index).ok().filter(|_| inside)
                });
            }
            values = Arc::clone(list.values());
        }
        let wanted = args.return_field.data_type();
        let result = if matches!(values.data_type(), DataType::List(_)) {
            new_null_array(wanted, rows)
        } else {
            let places = places.into_iter().map(|place| place.and_then(|place| u32::try_from(place).ok()));
            cast(&take(&values, &places.collect::<UInt32Array>(), None)?, wanted)?
        };
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

/// The values of an array of any number of dimensions, in one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Flattened {
    signature: Signature,
}

impl Default for Flattened {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Flattened {
    fn name(&self) -> &'static str {
        ARRAY_FLATTENED
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of an array comes from its field")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [array] = args.arg_fields else { return plan_err!("an array is expected") };
        let mut data_type = array.data_type();
        while let DataType::List(item) = data_type
            && matches!(item.data_type(), DataType::List(_))
        {
            data_type = item.data_type();
        }
        if data_type == array.data_type() {
            return Ok(Arc::clone(array));
        }
        let pg = of_field(array).with_dimensions(1);
        Ok(Arc::new(field(self.name(), &pg, true).with_data_type(data_type.clone())))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| Ok(flattened(array)))
    }
}

fn flattened(array: &ArrayRef) -> ArrayRef {
    let (Some(outer), DataType::List(item)) = (array.as_list_opt::<i32>(), array.data_type()) else {
        return Arc::clone(array);
    };
    let (Some(inner), DataType::List(item)) = (outer.values().as_list_opt::<i32>(), item.data_type()) else {
        return Arc::clone(array);
    };
    let at = |place: &i32| usize::try_from(*place).ok().and_then(|place| inner.value_offsets().get(place)).copied();
    let offsets: Vec<i32> = outer.value_offsets().iter().map(|place| at(place).unwrap_or_default()).collect();
    let values = Arc::clone(inner.values());
    let flat = ListArray::new(Arc::clone(item), OffsetBuffer::new(offsets.into()), values, outer.nulls().cloned());
    flattened(&(Arc::new(flat) as ArrayRef))
}

/// An array made of arrays, which must be alike. `2202E`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OfArrays {
    aggregated: bool,
    signature: Signature,
}

impl OfArrays {
    /// `aggregated`: they were collected from rows.
    pub fn new(aggregated: bool) -> Self {
        Self { aggregated, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn mismatch(&self) -> Plain {
        let message = if self.aggregated {
            "cannot accumulate arrays of different dimensionality"
        } else {
            "multidimensional arrays must have array expressions with matching dimensions"
        };
        Plain::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    }
}

impl ScalarUDFImpl for OfArrays {
    fn name(&self) -> &'static str {
        "array_of_arrays"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().map_or_else(|| exec_err!("array_of_arrays has one argument"), Ok)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields.first().cloned().map_or_else(|| exec_err!("array_of_arrays has one argument"), Ok)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| alike(array, &|| self.mismatch()))
    }
}

/// Values to be kept: an array of several dimensions must have parts of one length. `2202E`.
pub fn rectangular(array: ArrayRef, pg: &PgType) -> Result<ArrayRef, SqlError> {
    if pg.dimensions() < 2 {
        return Ok(array);
    }
    let mismatch = || Plain::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "an array whose parts are not of one length");
    alike(&array, &mismatch).map_err(SqlError::from_engine)
}

/// Arrays as those of a column with another number of dimensions, which only those can be that are empty or NULL. The refusal
/// of all others.
#[derive(Debug)]
pub struct WithDimensions {
    target: PgType,
    refusal: Plain,
    signature: Signature,
}

impl WithDimensions {
    /// `target`: the column's type.
    pub fn new(target: PgType, refusal: Plain) -> Self {
        Self { target, refusal, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl PartialEq for WithDimensions {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target && self.refusal.message == other.refusal.message
    }
}
impl Eq for WithDimensions {}
impl Hash for WithDimensions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.hash(state);
    }
}

impl ScalarUDFImpl for WithDimensions {
    fn name(&self) -> &'static str {
        "with_dimensions"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.target))
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.name(), &self.target, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| {
            let mut builder = ColumnBuilder::new(&self.target, Zone::UTC).map_err(SqlError::from)?;
            let list = array.as_list_opt::<i32>();
            for row in 0..array.len() {
                match list.filter(|list| list.is_valid(row)) {
                    None => builder.append_null(),
                    Some(list) if list.value_length(row) == 0 => {
                        builder.append_items(|_| Ok(())).map_err(SqlError::from)?;
                    }
                    Some(_) => return Err(SqlError::from(self.refusal.clone()).into()),
                }
            }
            Ok(builder.finish())
        })
    }
}

/// The arrays, without parts where all parts are empty.
fn alike(array: &ArrayRef, mismatch: &impl Fn() -> Plain) -> Result<ArrayRef> {
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(Arc::clone(array)) };
    let mut empty = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        let lengths =
            if list.is_valid(row) { lengths(list, row).ok_or_else(|| SqlError::from(mismatch()))? } else { Vec::new() };
        empty.push(lengths.len() > 1 && lengths.contains(&0));
    }
    if !empty.contains(&true) {
        return Ok(Arc::clone(array));
    }
    let places = empty.iter().enumerate().flat_map(|(row, empty)| {
        let range = bounds(list.value_offsets(), row);
        range.filter(move |_| !empty).map(|place| u32::try_from(place).unwrap_or(u32::MAX))
    });
    let values = take(list.values(), &places.collect::<UInt32Array>(), None)?;
    let kept = (0..list.len())
        .zip(&empty)
        .map(|(row, empty)| if *empty { 0 } else { usize::try_from(list.value_length(row)).unwrap_or_default() });
    let DataType::List(item) = array.data_type() else { return Ok(Arc::clone(array)) };
    let offsets = OffsetBuffer::from_lengths(kept);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned())?))
}

/// How long an array is in each dimension. `None`: its parts are not alike.
fn lengths(list: &ListArray, row: usize) -> Option<Vec<usize>> {
    let range = bounds(list.value_offsets(), row);
    let mut inner: Option<Vec<usize>> = None;
    if let Some(parts) = list.values().as_list_opt::<i32>() {
        for part in range.clone() {
            let own = if parts.is_valid(part) { lengths(parts, part)? } else { return None };
            if *inner.get_or_insert_with(|| own.clone()) != own {
                return None;
            }
        }
    }
    Some(std::iter::once(range.len()).chain(inner.unwrap_or_default()).collect())
}

/// What is asked of an array's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// `array_dims`: `[1:2][1:3]`.
    Bounds,
    /// `array_ndims`.
    Count,
    /// `cardinality`: of values in all of them.
    Values,
}

/// A function of an array's dimensions; of an empty array it is NULL, but the number of its values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Dimensions {
    asked: Asked,
    signature: Signature,
}

impl Dimensions {
    fn new(asked: Asked) -> Self {
        Self { asked, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn pg(&self) -> PgType {
        if self.asked == Asked::Bounds { PgType::Text } else { PgType::Int4 }
    }

    fn of(&self, lengths: &[usize], first: i32) -> Option<String> {
        let empty = lengths.contains(&0);
        let last = |length: &usize| i64::try_from(*length).unwrap_or(i64::MAX) + i64::from(first) - 1;
        match self.asked {
            Asked::Values => Some(lengths.iter().product::<usize>().to_string()),
            _ if empty => None,
            Asked::Count => Some(lengths.len().to_string()),
            Asked::Bounds => {
                let bounds: Vec<String> = lengths.iter().map(|length| format!("[{first}:{}]", last(length))).collect();
                Some(bounds.concat())
            }
        }
    }
}

impl ScalarUDFImpl for Dimensions {
    fn name(&self) -> &'static str {
        match self.asked {
            Asked::Bounds => "array_dims",
            Asked::Count => "array_ndims",
            Asked::Values => "cardinality",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.pg()))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [array] if matches!(array.data_type(), DataType::List(_) | DataType::Null) => {
                Ok(Arc::new(Field::new(self.name(), arrow_type(&self.pg()), true)))
            }
            _ => plan_err!("an array is expected"),
        }
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = i32::from(!args.arg_fields.first().is_some_and(|field| is_vector(&of_field(field))));
        one(&args, |array| {
            let wanted = arrow_type(&self.pg());
            let Some(list) = array.as_list_opt::<i32>() else { return Ok(new_null_array(&wanted, array.len())) };
            let of_row = |row| if list.is_valid(row) { self.of(&lengths(list, row)?, first) } else { None };
            let shown: StringViewArray = (0..list.len()).map(of_row).collect();
            Ok(cast(&shown, &wanted)?)
        })
    }
}

/// `array_length(array, dimension)`: NULL for one that it does not have.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "array_length"
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
        let (lengths, _) = dimension_lengths(&args)?;
        let lengths = lengths.into_iter().map(|length| length.filter(|length| *length > 0));
        Ok(ColumnarValue::Array(Arc::new(lengths.collect::<Int32Array>())))
    }
}

/// How long an array is in a dimension, from 1; `None`: it has no such dimension.
pub(super) fn length_in(list: &ListArray, row: usize, dimension: i64) -> Option<i32> {
    if list.is_null(row) || dimension < 1 {
        return None;
    }
    if dimension == 1 {
        return Some(list.value_length(row));
    }
    let first = usize::try_from(*list.value_offsets().get(row)?).ok().filter(|_| list.value_length(row) > 0)?;
    length_in(list.values().as_list_opt::<i32>()?, first, dimension - 1)
}

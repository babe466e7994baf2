//! Integer arithmetic that fails instead of wrapping around, and casts to integers that round.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Float64Array, ListArray};
use arrow::compute::kernels::cast::{CastOptions, cast, cast_with_options};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::convert::one;
use crate::error::{Plain, SqlError, SqlState};

/// `+`, `-` or `*` over integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CheckedArithmetic {
    operator: Operator,
    data_type: DataType,
    signature: Signature,
}

impl CheckedArithmetic {
    /// `None` for operators that cannot overflow silently.
    pub fn new(operator: Operator, data_type: DataType) -> Option<Self> {
        let checked = matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply);
        let signature = Signature::exact(vec![data_type.clone(), data_type.clone()], Volatility::Immutable);
        checked.then_some(Self { operator, data_type, signature })
    }

    /// The type of `a <operator> b` over integers: the wider of the two.
    pub fn result_type(a: &DataType, b: &DataType) -> Option<DataType> {
        if width(a)? >= width(b)? { Some(a.clone()) } else { Some(b.clone()) }
    }
}

impl ScalarUDFImpl for CheckedArithmetic {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "add",
            Operator::Minus => "subtract",
            _ => "multiply",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("arithmetic has two arguments") };
        let scalar = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let operand = |value: &ColumnarValue| -> Result<_> { Ok(cast(&value.to_array(rows)?, &self.data_type)?) };
        let (left, right) = (operand(left)?, operand(right)?);
        let result = match self.operator {
            Operator::Plus => add(&left, &right),
            Operator::Minus => sub(&left, &right),
            _ => mul(&left, &right),
        };
        let array = result.map_err(|_overflow| out_of_range(&self.data_type))?;
        let array = Arc::clone(&array);
        Ok(if scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

/// A date some days later or earlier: `date + integer`, `date - integer`. `22008` beyond what a date can be.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ShiftedDate {
    operator: Operator,
    signature: Signature,
}

impl ShiftedDate {
    /// `None` for operators that dates and integers do not have, or for other types.
    pub fn new(operator: Operator, date: &DataType, days: &DataType) -> Option<Self> {
        let known = matches!(operator, Operator::Plus | Operator::Minus);
        (known && *date == DataType::Date32 && width(days).is_some())
            .then(|| Self { operator, signature: Signature::any(2, Volatility::Immutable) })
    }
}

impl ScalarUDFImpl for ShiftedDate {
    fn name(&self) -> &'static str {
        if self.operator == Operator::Plus { "date_add_days" } else { "date_subtract_days" }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [dates, days] = arrays.as_slice() else { return exec_err!("a date is shifted by one number") };
        let days = cast(days, &DataType::Int64)?;
        let shifted = dates.as_primitive::<Date32Type>().iter().zip(days.as_primitive::<Int64Type>()).map(|pair| {
            let (Some(date), Some(days)) = pair else { return Ok(None) };
            let days = if self.operator == Operator::Plus { Some(days) } else { days.checked_neg() };
            let shifted = days.and_then(|days| i64::from(date).checked_add(days));
            let out_of_range = || SqlError::from(Plain::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"));
            shifted.and_then(|date| i32::try_from(date).ok()).map(Some).ok_or_else(out_of_range)
        });
        Ok(ColumnarValue::Array(Arc::new(shifted.collect::<Result<Date32Array, _>>()?)))
    }
}

/// Bytes of PostgreSQL's integer types.
fn width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    }
}

/// What does not fit becomes NULL.
const SAFE: CastOptions<'static> =
    CastOptions { safe: true, format_options: arrow::util::display::FormatOptions::new() };

fn out_of_range(data_type: &DataType) -> SqlError {
    let name = match data_type {
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range")).into()
}

/// Cast of a number to an integer, or of an array of them. Decimals are rounded half away from zero, floats half to
/// even; the engine cuts the fraction off. `22003` for what does not fit.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToInteger {
    target: DataType,
    signature: Signature,
}

impl ToInteger {
    /// `None` where the engine's cast is right: for a type that is no number, or an integer that always fits.
    pub fn new(source: &DataType, target: &DataType) -> Option<Self> {
        fn element(data_type: &DataType) -> (&DataType, usize) {
            match data_type {
                DataType::List(item) => {
                    let (base, dimensions) = element(item.data_type());
                    (base, dimensions + 1)
                }
                other => (other, 0),
            }
        }
        let ((given, dimensions), (wanted, wanted_dimensions)) = (element(source), element(target));
        let needed = match (width(given), width(wanted)?) {
            (Some(given), wanted) => given > wanted,
            (None, _) => given.is_floating() || given.is_decimal(),
        };
        (needed && dimensions == wanted_dimensions).then(|| Self {
            target: target.clone(),
            // A parameter's value may be of another scale than its type.
            signature: Signature::any(1, Volatility::Immutable),
        })
    }

    fn convert(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        if let (Some(list), DataType::List(element)) = (array.as_list_opt::<i32>(), target) {
            let values = Self::convert(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            return Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?));
        }
        let whole = match array.data_type() {
            DataType::Float32 | DataType::Float64 => {
                let floats = cast(array, &DataType::Float64)?;
                let rounded: Float64Array = floats.as_primitive::<Float64Type>().unary(f64::round_ties_even);
                Arc::new(rounded) as ArrayRef
            }
            // In 128 bits: the kernel's narrowing from 256 bits wraps around.
            data_type if data_type.is_decimal() => cast_with_options(array, &DataType::Decimal128(38, 0), &SAFE)?,
            _ => Arc::clone(array),
        };
        let integers = cast_with_options(&whole, target, &SAFE)?;
        if integers.null_count() > array.null_count() {
            return Err(out_of_range(target).into());
        }
        Ok(integers)
    }
}

impl ScalarUDFImpl for ToInteger {
    fn name(&self) -> &'static str {
        "to_integer"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| Self::convert(array, &self.target))
    }
}

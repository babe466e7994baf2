//! Values of `numeric` without a precision, which are kept with a fixed number of digits after the point.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::convert::one;
use crate::encode::{InputError, Numeric};
use crate::error::SqlError;

/// Decimals as values of another scale. What would lose digits is an error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactNumeric {
    precision: u8,
    scale: i8,
    signature: Signature,
}

impl ExactNumeric {
    /// The conversion to `Decimal128(precision, scale)`.
    pub fn new(precision: u8, scale: i8) -> Self {
        Self { precision, scale, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let DataType::Decimal128(_, scale) = array.data_type() else {
            return Ok(arrow::compute::cast(array, &DataType::Decimal128(self.precision, self.scale))?);
        };
        let values = array.as_primitive::<Decimal128Type>().iter().map(|value| {
            let exact = |value| Numeric { value, scale: *scale }.exactly(self.precision, self.scale);
            value.map(exact).transpose()
        });
        let values: Decimal128Array = values.collect::<Result<_, InputError>>().map_err(SqlError::from)?;
        Ok(Arc::new(values.with_precision_and_scale(self.precision, self.scale)?))
    }
}

impl ScalarUDFImpl for ExactNumeric {
    fn name(&self) -> &'static str {
        "exact_numeric"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        one(&args, |array| self.convert(array))
    }
}
